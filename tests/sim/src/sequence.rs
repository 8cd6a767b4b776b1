//! Positions in a stream: decimal digits, ordered as numbers. DynamoDB's have up to 40 digits, Kinesis's 56.

use std::cmp::Ordering;
use std::fmt;

use serde::Serialize;

/// 10 to the power of [`HALF`].
pub(crate) const HALF_RANGE: u128 = 10_u128.pow(HALF);

/// The digits of either half of a number: 40 digits do not fit into a u128.
pub(crate) const HALF: u32 = 20;

/// The digits of the longest numbers, which are Kinesis's.
const LONGEST: usize = 56;

/// A sequence number as its service spells it, without leading zeros.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Sequence(String);

impl Sequence {
    /// Takes digits; leading zeros are dropped. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = match text.trim_start_matches('0') {
            "" => "0",
            digits => digits,
        };
        (digits.len() <= LONGEST).then(|| Self(digits.to_owned()))
    }

    /// The number `high` · 10²⁰ + `low`. Both are below [`HALF_RANGE`].
    pub(crate) fn of_halves(high: u128, low: u128) -> Self {
        Self(if high == 0 { low.to_string() } else { format!("{high}{low:020}") })
    }

    /// A number that a service spells with these digits, the first of which is no zero.
    pub(crate) fn spelled(digits: String) -> Self {
        Self(digits)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ord for Sequence {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Sequence {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_numeric_whatever_the_length() {
        let [short, long] = ["999999999999999999999", "1000000000000000000000"].map(|text| Sequence::parse(text).unwrap());
        assert!(short < long);
        assert_eq!(Sequence::parse("000000000000000000000999999999999999999999"), Some(short));
    }

    #[test]
    fn other_text_is_no_sequence_number() {
        for text in ["", "12a", "-1", " 1", &"1".repeat(57)] {
            assert_eq!(Sequence::parse(text), None, "{text:?}");
        }
        assert_eq!(Sequence::parse(&"1".repeat(56)).unwrap().as_str().len(), 56);
        assert_eq!(Sequence::parse("000").unwrap().as_str(), "0");
    }

    #[test]
    fn halves_make_one_number() {
        assert_eq!(Sequence::of_halves(0, 7).as_str(), "7");
        assert_eq!(Sequence::of_halves(3, 7).as_str(), "300000000000000000007");
        let largest = Sequence::of_halves(HALF_RANGE - 1, HALF_RANGE - 1);
        assert_eq!(largest.as_str(), "9".repeat(40));
    }
}
