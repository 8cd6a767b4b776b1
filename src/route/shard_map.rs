//! Where Kinesis puts a record: partition keys, hash keys, and the shards that divide them.
//!
//! Kinesis takes the MD5 of a partition key as an integer and puts the record into the open shard whose range has it. A [`ShardMap`]
//! predicts that, so that records of one shard can be packed together. It is a prediction: a stream may have been resharded since its
//! shards were listed. Kinesis' answer to each record says where it really went.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use md5::{Digest as _, Md5};

use crate::digest::sha256_hex;
use crate::event::ShardId;

/// Kinesis' limit on the length of a partition key, in characters. They are counted as UTF-16 units here, of which there are never fewer than
/// characters: one key that Kinesis does not take would fail the whole call.
pub const LONGEST_PARTITION_KEY: usize = 256;
/// Between the values of an item's key in its partition key.
const SEPARATOR: &str = "/";

/// The partition key of an item's changes, from the texts of its key: joined by `/`, so that a reader recognises the item, or the
/// SHA-256 of that in hexadecimal when it is longer than Kinesis takes.
///
/// Changes of one item always have the same partition key. Items may share one, which only keeps them in one shard.
pub fn partition_key<'a>(key: &'a [Cow<'a, str>]) -> Cow<'a, str> {
    let readable = match key {
        [only] => Cow::Borrowed(only.as_ref()),
        values => Cow::Owned(values.join(SEPARATOR)),
    };
    // Kinesis takes no empty key either. No item has one, but nothing here depends on that.
    if (1..=LONGEST_PARTITION_KEY).contains(&readable.encode_utf16().count()) { readable } else { Cow::Owned(sha256_hex(&*readable)) }
}

/// A place among the shards of a stream: from 0 to 2^128 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKey(u128);

impl HashKey {
    /// The hash key of records with this partition key.
    pub fn of(partition_key: &str) -> Self {
        Self(u128::from_be_bytes(Md5::digest(partition_key).into()))
    }
}

impl From<HashKey> for u128 {
    fn from(key: HashKey) -> Self {
        key.0
    }
}

/// The decimal number, as Kinesis writes it.
impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for HashKey {
    type Err = InvalidHashKey;

    fn from_str(text: &str) -> Result<Self, InvalidHashKey> {
        text.parse().map(Self).map_err(|source| InvalidHashKey { text: text.to_owned(), source })
    }
}

/// A text that is no hash key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no hash key: it must be a decimal number from 0 to 2^128 - 1")]
pub struct InvalidHashKey {
    text: String,
    #[source]
    source: ParseIntError,
}

/// The hash keys of a shard. Both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HashRange {
    start: HashKey,
    end: HashKey,
}

impl HashRange {
    /// Takes the ends as Kinesis gives them, as decimal texts.
    pub fn parse(start: &str, end: &str) -> Result<Self, InvalidHashRange> {
        let (start, end) = (start.parse().map_err(InvalidHashRange::Start)?, end.parse().map_err(InvalidHashRange::End)?);
        if start > end { Err(InvalidHashRange::Reversed { start, end }) } else { Ok(Self { start, end }) }
    }

    /// The first hash key.
    pub fn start(&self) -> HashKey {
        self.start
    }

    /// The last hash key.
    pub fn end(&self) -> HashKey {
        self.end
    }

    /// Whether the hash key belongs to the shard.
    pub fn contains(&self, key: HashKey) -> bool {
        (self.start..=self.end).contains(&key)
    }
}

/// Texts that are no range of hash keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHashRange {
    /// The first hash key is none.
    #[error("read StartingHashKey of a shard")]
    Start(#[source] InvalidHashKey),
    /// The last hash key is none.
    #[error("read EndingHashKey of a shard")]
    End(#[source] InvalidHashKey),
    /// The last hash key is before the first.
    #[error("read HashKeyRange of a shard: it ends at {end}, before its start at {start}")]
    Reversed {
        /// The first hash key.
        start: HashKey,
        /// The last hash key.
        end: HashKey,
    },
}

/// The open shards of a stream, by the hash keys that they take.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShardMap {
    ranges: HashMap<ShardId, HashRange>,
    /// By start.
    places: Vec<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    shard: ShardId,
    range: HashRange,
    /// The last hash key of all shards that start before this one. In a whole listing it is before this one's start.
    taken_before: Option<HashKey>,
}

impl ShardMap {
    /// Takes the open shards as they were listed, in any order. A shard that is listed twice counts once, as it is listed last.
    ///
    /// A listing from amid a reshard may have gaps or overlaps. Hash keys in them have no shard in this map.
    pub fn new(open: impl IntoIterator<Item = (ShardId, HashRange)>) -> Self {
        let ranges: HashMap<_, _> = open.into_iter().collect();
        let mut sorted: Vec<_> = ranges.iter().collect();
        sorted.sort_by_key(|(shard, range)| (range.start, *shard));
        let mut taken = None;
        let places = sorted
            .into_iter()
            .map(|(shard, range)| {
                let taken_before = taken;
                taken = taken.max(Some(range.end));
                Place { shard: shard.clone(), range: *range, taken_before }
            })
            .collect();
        Self { ranges, places }
    }

    /// The shard that takes the hash key. `None` where the map has a gap or an overlap: list the shards again.
    pub fn shard_of(&self, key: HashKey) -> Option<&ShardId> {
        let above = self.places.partition_point(|place| place.range.start <= key);
        let place = self.places[..above].last()?;
        (place.range.contains(key) && place.taken_before < Some(key)).then_some(&place.shard)
    }

    /// The hash keys of a shard; `None` when it is not in the map.
    pub fn range(&self, shard: &ShardId) -> Option<HashRange> {
        self.ranges.get(shard).copied()
    }

    /// Every shard with its hash keys, by their first one.
    pub fn shards(&self) -> impl Iterator<Item = (&ShardId, HashRange)> {
        self.places.iter().map(|place| (&place.shard, place.range))
    }

    /// Whether each hash key has one shard, and no shard has hash keys of another one: not so in a listing from amid a reshard.
    pub fn is_whole(&self) -> bool {
        let mut next = Some(0);
        for (_, range) in self.shards() {
            if next != Some(range.start.0) {
                return false;
            }
            next = range.end.0.checked_add(1);
        }
        next.is_none()
    }

    /// How many shards there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no shard.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const LAST: &str = "340282366920938463463374607431768211455";

    fn map(shards: &[(&str, u128, u128)]) -> ShardMap {
        ShardMap::new(shards.iter().map(|&(id, start, end)| (ShardId::new(id), HashRange { start: HashKey(start), end: HashKey(end) })))
    }

    fn shard_of(map: &ShardMap, key: u128) -> Option<&str> {
        map.shard_of(HashKey(key)).map(ShardId::as_str)
    }

    #[test]
    fn a_partition_key_is_the_items_key() {
        assert!(matches!(partition_key(&["order/7".into()]), Cow::Borrowed("order/7")));
        assert_eq!(partition_key(&["customer".into(), "2026-11-21".into()]), "customer/2026-11-21");
    }

    #[test]
    fn a_partition_key_of_more_than_256_characters_is_hashed() {
        let fits = ["ä".repeat(251).into(), "0123".into()];
        assert_eq!(partition_key(&fits), format!("{}/0123", "ä".repeat(251)));
        let too_long = ["a".repeat(257).into()];
        assert_eq!(partition_key(&too_long), "e8d95cc2b4bc198c54b40bd214df958afb65f5e73d2c2eafe0593cf5c635c1f0");
    }

    #[test]
    fn an_empty_key_is_hashed() {
        let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(partition_key(&[]), of_nothing);
        assert_eq!(partition_key(&["".into()]), of_nothing);
    }

    #[test]
    fn a_hash_key_is_the_md5_as_an_integer() {
        assert_eq!(HashKey::of("pk1").to_string(), "329398341438914906102347661116985167824");
        assert_eq!(HashKey::of("pk2").to_string(), "122875064651314509700510597659732835739");
        assert_eq!(HashKey::of("a").to_string(), "16955237001963240173058271559858726497");
    }

    #[test]
    fn a_range_has_both_its_ends() {
        let range = HashRange::parse("170141183460469231731687303715884105728", LAST).unwrap();
        assert!(range.contains(range.start()) && range.contains(range.end()));
        assert!(!range.contains(HashKey(range.start().0 - 1)));
        assert_eq!(range.end(), HashKey(u128::MAX));
    }

    #[test]
    fn a_range_that_is_none_is_refused_with_the_reason() {
        let words = |start, end| {
            let error = HashRange::parse(start, end).unwrap_err();
            error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
        };
        assert_eq!(
            words("-1", "5"),
            "read StartingHashKey of a shard: `-1` is no hash key: it must be a decimal number from 0 to 2^128 - 1"
        );
        assert_eq!(
            words("0", "340282366920938463463374607431768211456"),
            "read EndingHashKey of a shard: `340282366920938463463374607431768211456` is no hash key: \
             it must be a decimal number from 0 to 2^128 - 1"
        );
        assert_eq!(words("6", "5"), "read HashKeyRange of a shard: it ends at 5, before its start at 6");
    }

    #[test]
    fn a_shard_is_found_by_its_range_after_a_split() {
        let map = map(&[("c", 200, u128::MAX), ("a", 0, 99), ("b", 100, 199)]);
        for (key, shard) in [(0, "a"), (99, "a"), (100, "b"), (199, "b"), (200, "c"), (u128::MAX, "c")] {
            assert_eq!(shard_of(&map, key), Some(shard), "{key}");
        }
        assert_eq!(map.range(&ShardId::new("b")).unwrap().start(), HashKey(100));
        assert_eq!(map.range(&ShardId::new("d")), None);
        assert_eq!(map.len(), 3);
    }

    #[test]
    fn a_hash_key_that_no_listed_shard_takes_has_no_shard() {
        let map = map(&[("b", 100, 199), ("d", 300, 400)]);
        for key in [0, 99, 200, 299, 401] {
            assert_eq!(shard_of(&map, key), None, "{key}");
        }
        assert_eq!(ShardMap::default().shard_of(HashKey(0)), None);
    }

    #[test]
    fn a_hash_key_that_a_parent_and_its_child_take_has_no_shard() {
        let map = map(&[("parent", 0, 199), ("left", 0, 99), ("right", 100, 199), ("other", 200, 300)]);
        for key in [0, 99, 100, 199] {
            assert_eq!(shard_of(&map, key), None, "{key}");
        }
        assert_eq!(shard_of(&map, 200), Some("other"));
    }

    #[test]
    fn a_shard_that_is_listed_twice_counts_once() {
        assert_eq!(shard_of(&map(&[("a", 0, 9), ("a", 0, 9)]), 5), Some("a"));
    }

    #[test]
    fn a_map_with_a_gap_or_an_overlap_is_not_whole() {
        assert!(map(&[("a", 0, 9), ("b", 10, u128::MAX)]).is_whole());
        assert!(!map(&[("a", 0, 9), ("b", 11, u128::MAX)]).is_whole());
        assert!(!map(&[("a", 0, 9), ("b", 9, u128::MAX)]).is_whole());
        assert!(!map(&[("a", 1, u128::MAX)]).is_whole());
        assert!(!map(&[("a", 0, u128::MAX - 1)]).is_whole());
        assert!(!map(&[("parent", 0, u128::MAX), ("child", 0, u128::MAX)]).is_whole());
        assert!(!ShardMap::default().is_whole());
    }

    proptest! {
        #[test]
        fn a_partition_key_is_one_that_kinesis_takes(key in vec("\\PC{0,130}", 0..4)) {
            let key: Vec<Cow<'_, str>> = key.into_iter().map(Cow::Owned).collect();
            prop_assert!((1..=256).contains(&partition_key(&key).chars().count()));
        }

        #[test]
        fn every_hash_key_has_the_one_shard_that_takes_it(
            mut cuts in vec(any::<u128>(), 0..8), keys in vec(any::<u128>(), 1..8),
        ) {
            cuts.retain(|&cut| cut > 0);
            cuts.sort_unstable();
            cuts.dedup();
            let starts = std::iter::once(0).chain(cuts.iter().copied());
            let ends = cuts.iter().map(|cut| cut - 1).chain([u128::MAX]);
            let ranges: Vec<_> = starts.zip(ends).map(|(start, end)| HashRange { start: HashKey(start), end: HashKey(end) }).collect();
            let map = ShardMap::new(ranges.iter().rev().enumerate().map(|(n, range)| (ShardId::new(n.to_string()), *range)));
            prop_assert!(map.is_whole());
            prop_assert_eq!(map.shards().map(|(_, range)| range).collect::<Vec<_>>(), ranges.clone());
            for key in keys.into_iter().map(HashKey).chain(ranges.iter().flat_map(|range| [range.start, range.end])) {
                let shard = map.shard_of(key);
                prop_assert!(shard.is_some_and(|shard| map.range(shard).is_some_and(|range| range.contains(key))));
            }
        }

        #[test]
        fn a_shard_is_only_told_when_it_is_the_only_one(
            ranges in vec((0_u128..40, 0_u128..40), 0..6), key in 0_u128..40,
        ) {
            let ids: Vec<_> = (0..ranges.len()).map(|n| n.to_string()).collect();
            let shards: Vec<_> = ids.iter().zip(&ranges).map(|(id, &(a, b))| (id.as_str(), a.min(b), a.max(b))).collect();
            let takers: Vec<_> = shards.iter().filter(|(_, start, end)| (*start..=*end).contains(&key)).map(|shard| shard.0).collect();
            let overlap = (0..40).any(|key| shards.iter().filter(|(_, start, end)| (*start..=*end).contains(&key)).count() > 1);
            match shard_of(&map(&shards), key) {
                Some(shard) => prop_assert_eq!(takers, [shard]),
                None => prop_assert!(overlap || takers.is_empty()),
            }
        }
    }
}
