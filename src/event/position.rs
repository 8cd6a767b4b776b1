//! Where a record stands in its shard.

use std::fmt;
use std::str::FromStr;

use super::SequenceNumber;
use super::fault::shown;
use super::sequence::WIDTH as STREAM_WIDTH;

/// Digits of a Kinesis sequence number as the service spells it; the longest that a position holds.
const WIDTH: usize = 56;
/// Digits of the sub-sequence number in a position's text.
const SUB_WIDTH: usize = 8;
const MOST_SUBS: u32 = 100_000_000;

/// The position of a record within a shard: its sequence number, and within an aggregated Kinesis record the place of the user record in it, counted
/// from 0. Ordered as the shard's records are.
///
/// [`Position::ZERO`] lies before every record: the position of a shard that is read from its trim horizon.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    sequence: [u8; WIDTH],
    sub: u32,
}

/// The text is not a position.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("'{0}' is not a position: up to {WIDTH} decimal digits are expected")]
pub struct InvalidPosition(String);

impl Position {
    /// Before the first record of any shard.
    pub const ZERO: Self = Self { sequence: [b'0'; WIDTH], sub: 0 };

    /// The user record `sub` of the record with this sequence number.
    pub fn new(sequence: &str, sub: u32) -> Result<Self, InvalidPosition> {
        let digits = sequence.as_bytes();
        if digits.is_empty() || digits.len() > WIDTH || !digits.iter().all(u8::is_ascii_digit) || sub >= MOST_SUBS {
            return Err(InvalidPosition(shown(sequence)));
        }
        let mut padded = [b'0'; WIDTH];
        padded[WIDTH - digits.len()..].copy_from_slice(digits);
        Ok(Self { sequence: padded, sub })
    }

    /// The sequence number as the service spells it, without padding.
    pub fn sequence(&self) -> &str {
        let digits = self.padded_sequence().trim_start_matches('0');
        if digits.is_empty() { "0" } else { digits }
    }

    /// The place within an aggregated record; 0 for a record of its own.
    pub fn sub(&self) -> u32 {
        self.sub
    }

    /// The text that names a lake object: 40 digits where they suffice, as for every DynamoDB stream; else 56 digits of the sequence number and 8 of
    /// the place in it. Of positions of one kind the texts are ordered as the positions are.
    pub fn padded(&self) -> String {
        let digits = self.padded_sequence();
        if self.is_short() { digits[WIDTH - STREAM_WIDTH..].to_owned() } else { format!("{digits}{:0SUB_WIDTH$}", self.sub) }
    }

    fn padded_sequence(&self) -> &str {
        std::str::from_utf8(&self.sequence).unwrap_or_default()
    }

    fn is_short(&self) -> bool {
        self.sub == 0 && self.sequence[..WIDTH - STREAM_WIDTH].iter().all(|digit| *digit == b'0')
    }
}

impl From<SequenceNumber> for Position {
    fn from(sequence: SequenceNumber) -> Self {
        let mut padded = [b'0'; WIDTH];
        padded[WIDTH - STREAM_WIDTH..].copy_from_slice(sequence.padded().as_bytes());
        Self { sequence: padded, sub: 0 }
    }
}

/// Reads what [`Position::padded`] and `Display` write.
impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidPosition(shown(text));
        if text.len() != WIDTH + SUB_WIDTH {
            return if text.len() <= STREAM_WIDTH { Self::new(text, 0) } else { Err(invalid()) };
        }
        let (sequence, sub) = text.split_at_checked(WIDTH).ok_or_else(invalid)?;
        if !sub.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(invalid());
        }
        Self::new(sequence, sub.parse().map_err(|_| invalid())?)
    }
}

/// The digits of a short position without their padding, and the whole text of a long one.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_short() { f.write_str(self.sequence()) } else { f.write_str(&self.padded()) }
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Position({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINESIS: &str = "49590338271490256608559692538361571095921575989136588898";

    #[test]
    fn a_stream_s_position_is_its_sequence_number() {
        let sequence: SequenceNumber = "700000000000888747038".parse().unwrap();
        let position = Position::from(sequence);
        assert_eq!(position.padded(), sequence.padded());
        assert_eq!(position.to_string(), "700000000000888747038");
        assert_eq!(Position::from(SequenceNumber::ZERO), Position::ZERO);
    }

    #[test]
    fn a_user_record_stands_behind_those_before_it_in_its_aggregate() {
        let of = |sub| Position::new(KINESIS, sub).unwrap();
        assert!(of(2) < of(10));
        assert!(of(2).padded() < of(10).padded());
        assert_eq!((of(7).sequence(), of(7).sub()), (KINESIS, 7));
        assert_eq!(of(7).to_string(), format!("{KINESIS}00000007"));
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in ["", "12a", "-1", &"1".repeat(41), &"1".repeat(63), &format!("{KINESIS}+0000007"), &"é".repeat(32)] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
        assert!(Position::new(&"1".repeat(57), 0).is_err());
        assert!(Position::new("1", MOST_SUBS).is_err());
    }

    proptest! {
        #[test]
        fn every_position_is_read_back_from_its_text(sequence in "[0-9]{1,56}", sub in prop_oneof![Just(0), 0..MOST_SUBS]) {
            let position = Position::new(&sequence, sub).unwrap();
            prop_assert_eq!(position.padded().parse(), Ok(position));
            prop_assert_eq!(position.to_string().parse(), Ok(position));
        }
    }
}
