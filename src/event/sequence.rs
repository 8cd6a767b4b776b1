//! Sequence numbers of a DynamoDB stream: decimal, up to 40 digits, ordered as numbers.

use std::fmt;
use std::str::FromStr;

use super::fault::shown;

/// Digits of the longest sequence number that DynamoDB Streams documents, and the width of `cdc_sequence`.
pub(super) const WIDTH: usize = 40;

/// A position within a shard. Ordered numerically; 40 digits do not fit 128 bits, so the digits are kept left-padded.
///
/// [`SequenceNumber::ZERO`] lies before every record: the position of a shard read from its trim horizon.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber([u8; WIDTH]);

/// The text is not a sequence number.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("'{0}' is not a sequence number: 1 to 40 decimal digits are expected")]
pub struct InvalidSequence(String);

impl SequenceNumber {
    /// Before the first record of any shard.
    pub const ZERO: Self = Self([b'0'; WIDTH]);

    /// The 40 digits, left-padded with zeros: text order is numeric order.
    pub fn padded(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The digits as the service spells them, without padding.
    pub fn digits(&self) -> &str {
        let digits = self.padded().trim_start_matches('0');
        if digits.is_empty() { "0" } else { digits }
    }
}

impl FromStr for SequenceNumber {
    type Err = InvalidSequence;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > WIDTH || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidSequence(shown(text)));
        }
        let mut digits = [b'0'; WIDTH];
        digits[WIDTH - text.len()..].copy_from_slice(text.as_bytes());
        Ok(Self(digits))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.digits())
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SequenceNumber({})", self.digits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_numeric_whatever_the_length() {
        let short: SequenceNumber = "700000000000888747038".parse().unwrap();
        let long: SequenceNumber = "13021600000000001596893679".parse().unwrap();
        assert!(short < long, "as text '7…' would sort behind '1…'");
        assert!(SequenceNumber::ZERO < short);
    }

    #[test]
    fn forty_digits_survive_and_padding_is_text_ordered() {
        let max: SequenceNumber = "9".repeat(40).parse().unwrap();
        assert_eq!(max.digits(), "9".repeat(40));
        let one: SequenceNumber = "1".parse().unwrap();
        assert_eq!(one.padded().len(), WIDTH);
        assert!(one.padded() < max.padded());
    }

    #[test]
    fn anything_but_digits_is_refused() {
        for text in ["", "12a", "-1", &"1".repeat(41)] {
            assert!(text.parse::<SequenceNumber>().is_err(), "{text}");
        }
    }
}
