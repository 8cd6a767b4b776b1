//! Where a record stands: its shard and its sequence number.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sequence::Sequence;

/// A shard of a stream, spelled `shardId-000000000012`. Shards are numbered in the order in which they were opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub(crate) u32);

impl ShardId {
    /// Reads a shard's id; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("shardId-").filter(|digits| digits.len() == 12 && is_digits(digits))?;
        digits.parse().ok().map(Self)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shardId-{:012}", self.0)
    }
}

impl Serialize for ShardId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A sequence number: 56 digits that grow within a stream, whatever the shard, and tell the shard.
///
/// As in AWS's numbers, the stream's (there: the shard's) creation, a count and the shard follow each other. The count has gaps, so that
/// nobody can take the next number to be the next record's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber(u128);

/// The first 17 of the 56 digits, which are the same in all numbers.
const HEAD: &str = "49665713804192650";
/// The last ten digits are the shard's.
const SHARDS: u128 = 10_u128.pow(10);
/// The 15 before them are the count's.
const COUNTS: u128 = 10_u128.pow(15);

impl SequenceNumber {
    pub(super) fn new(created: i64, count: u64, shard: ShardId) -> Self {
        let created = u128::try_from(created).unwrap_or_default();
        Self((created * COUNTS + u128::from(count)) * SHARDS + u128::from(shard.0))
    }

    /// Reads a sequence number; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(HEAD).filter(|digits| digits.len() == 39 && is_digits(digits))?;
        digits.parse().ok().map(Self).filter(|sequence| u32::try_from(sequence.0 % SHARDS).is_ok())
    }

    /// The shard that the number belongs to.
    pub fn shard(self) -> ShardId {
        ShardId(u32::try_from(self.0 % SHARDS).unwrap_or(u32::MAX))
    }

    /// The least position behind this one.
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whether both numbers were given out by the same stream.
    pub(super) fn of_the_stream_of(self, other: Self) -> bool {
        self.0 / (COUNTS * SHARDS) == other.0 / (COUNTS * SHARDS)
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEAD}{:039}", self.0)
    }
}

impl From<SequenceNumber> for Sequence {
    fn from(number: SequenceNumber) -> Self {
        Self::spelled(number.to_string())
    }
}

impl Serialize for SequenceNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SequenceNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("no sequence number: {text}")))
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_have_56_digits_in_numeric_order_and_tell_their_shard() {
        let numbers = [(1_795_046_400_000, 3, 2), (1_795_046_400_000, 4, 1), (1_795_046_400_001, 1, 0)]
            .map(|(created, count, shard)| SequenceNumber::new(created, count, ShardId(shard)));
        assert!(numbers.is_sorted());
        let texts = numbers.map(|number| number.to_string());
        assert!(texts.is_sorted());
        assert!(texts.iter().all(|text| text.len() == 56));
        assert_eq!(numbers.map(|number| number.shard().0), [2, 1, 0]);
        assert_eq!(texts.map(|text| SequenceNumber::parse(&text)), numbers.map(Some));
        assert!(numbers[0].of_the_stream_of(numbers[1]) && !numbers[1].of_the_stream_of(numbers[2]));
    }

    #[test]
    fn behind_the_last_number_there_is_nothing() {
        let last = SequenceNumber::parse(&format!("{HEAD}{}", u128::MAX)).unwrap();
        assert_eq!(last.next(), last);
    }

    #[test]
    fn what_the_service_has_not_spelled_is_refused() {
        for text in ["", "0", "-1", "49665713804192650", &format!("{HEAD}{}", "9".repeat(39)), &format!("{HEAD}+{}", "1".repeat(38))] {
            assert_eq!(SequenceNumber::parse(text), None, "{text}");
        }
        assert_eq!(ShardId::parse("shardId-000000000012"), Some(ShardId(12)));
        for text in ["shardId-12", "12", "shardId-00000000001x", "shardId-999999999999"] {
            assert_eq!(ShardId::parse(text), None, "{text}");
        }
    }
}
