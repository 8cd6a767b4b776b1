//! Where a record stands in its shard, as the checker reads it.

use std::fmt;

use crate::sequence::Sequence;

/// A place in a shard: a sequence number, and the place within the stream's record when several were packed into that.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The sequence number.
    pub sequence: Sequence,
    /// The place within, from 0 on.
    pub sub: u64,
}

/// In the names of objects: so many digits of a Kinesis sequence number, and eight of the place within.
const NUMBER: usize = 56;
const WITHIN: usize = 8;

impl Position {
    /// Reads a sequence number of up to 56 digits, or 64 digits that tell the place within too.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != NUMBER + WITHIN {
            return Sequence::parse(text).map(Self::from);
        }
        let (sequence, sub) = text.split_at_checked(NUMBER)?;
        Some(Self { sequence: Sequence::parse(sequence)?, sub: sub.parse().ok()? })
    }
}

impl From<Sequence> for Position {
    fn from(sequence: Sequence) -> Self {
        Self { sequence, sub: 0 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sub == 0 { self.sequence.fmt(f) } else { write!(f, "{}.{}", self.sequence, self.sub) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_four_digits_tell_the_place_within_a_record() {
        let number = format!("4966{}", "1".repeat(52));
        let [whole, second] = [number.clone(), format!("{number}00000001")].map(|text| Position::parse(&text).unwrap());
        assert_eq!((second.sequence.as_str(), second.sub), (number.as_str(), 1));
        assert!(whole < second && second < Position::parse(&format!("{number}00000010")).unwrap());
        assert_eq!(Position::parse(&"0".repeat(40)), Position::parse("0"));
        assert_eq!(second.to_string(), format!("{number}.1"));
        for text in ["", "1x", &"1".repeat(57), &"1".repeat(65)] {
            assert_eq!(Position::parse(text), None, "{text:?}");
        }
    }
}
