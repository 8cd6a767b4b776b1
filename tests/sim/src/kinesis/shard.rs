//! A shard: a range of hash keys, the records put into it, and where it came from.

use std::collections::VecDeque;
use std::collections::vec_deque;

use bytes::Bytes;
use serde_json::{Value, json};

use super::position::{SequenceNumber, ShardId};
use crate::journal::{Event, Journal};

/// A record as the stream keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its position.
    pub sequence: SequenceNumber,
    /// When it arrived (milliseconds since the epoch).
    pub arrived: i64,
    /// Its partition key.
    pub partition_key: String,
    /// Its bytes.
    pub data: Bytes,
}

impl StoredRecord {
    /// What counts against the limits: the bytes and the partition key.
    pub(super) fn size(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }
}

/// The hash keys that belong to a shard, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HashRange {
    pub(super) start: u128,
    pub(super) end: u128,
}

impl HashRange {
    pub(super) const ALL: Self = Self { start: 0, end: u128::MAX };

    /// Cuts all hash keys into ranges of one width; the last takes what remains.
    pub(super) fn even(parts: u32) -> impl Iterator<Item = Self> {
        let all = u128::from(parts.max(1));
        // 2^128 divided by the parts, which a u128 cannot hold before the division.
        let width = if all == 1 { 0 } else { u128::MAX / all + u128::from(u128::MAX % all == all - 1) };
        (0..all).map(move |part| Self { start: part * width, end: if part + 1 == all { u128::MAX } else { (part + 1) * width - 1 } })
    }

    pub(super) fn contains(self, hash: u128) -> bool {
        (self.start..=self.end).contains(&hash)
    }

    /// The first hash key of the upper half; `None` when the range is too narrow for two.
    pub(super) fn middle(self) -> Option<u128> {
        let width = self.end - self.start;
        (width > 2).then(|| self.start + width / 2 + 1)
    }

    /// The range of both, when they lie side by side.
    pub(super) fn joined(self, other: Self) -> Option<Self> {
        let (low, high) = if self.start < other.start { (self, other) } else { (other, self) };
        (low.end.checked_add(1) == Some(high.start)).then_some(Self { start: low.start, end: high.end })
    }

    pub(super) fn describe(self) -> Value {
        json!({"StartingHashKey": self.start.to_string(), "EndingHashKey": self.end.to_string()})
    }
}

/// The end of a shard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closing {
    pub(super) at: i64,
    pub(super) sequence: SequenceNumber,
}

#[derive(Debug)]
pub(super) struct Shard {
    pub(super) id: ShardId,
    /// None at the stream's beginning, one after a split, two after a merge.
    pub(super) parents: Vec<ShardId>,
    pub(super) range: HashRange,
    pub(super) opened: i64,
    /// Where it begins: before all of its records.
    pub(super) first: SequenceNumber,
    /// Behind all of its records; none while it is open.
    pub(super) closed: Option<Closing>,
    pub(super) records: VecDeque<StoredRecord>,
    pub(super) credit: Credit,
    /// Until then it takes nothing (milliseconds since the epoch).
    pub(super) throttled_until: i64,
}

impl Shard {
    pub(super) fn takes(&self, hash: u128) -> bool {
        self.closed.is_none() && self.range.contains(hash)
    }

    /// Whether it was open at a time.
    pub(super) fn open_at(&self, time: i64) -> bool {
        self.opened <= time && self.open_since(time)
    }

    /// Whether it was open at a time or later.
    pub(super) fn open_since(&self, time: i64) -> bool {
        self.closed.is_none_or(|closing| closing.at >= time)
    }

    /// The records from a position on.
    pub(super) fn from(&self, position: SequenceNumber) -> vec_deque::Iter<'_, StoredRecord> {
        self.records.range(self.records.partition_point(|record| record.sequence < position)..)
    }

    /// Drops the oldest records, that many.
    pub(super) fn drop_oldest(&mut self, count: usize, stream: &str, now: i64, journal: &Journal) {
        if let Some(last) = self.records.drain(..count).next_back() {
            let (stream, shard) = (stream.to_owned(), self.id.to_string());
            journal.record(now, "", Event::Trimmed { stream, shard, through: last.sequence.into() });
        }
    }

    /// The shard as the listings show it.
    pub(super) fn describe(&self) -> Value {
        let mut sequences = json!({"StartingSequenceNumber": self.first});
        if let Some(closing) = self.closed {
            sequences["EndingSequenceNumber"] = json!(closing.sequence);
        }
        let mut shard = json!({"ShardId": self.id, "HashKeyRange": self.range.describe(), "SequenceNumberRange": sequences});
        for (member, parent) in ["ParentShardId", "AdjacentParentShardId"].into_iter().zip(&self.parents) {
            shard[member] = json!(parent);
        }
        shard
    }
}

/// What a shard may take a second: 1,000 records and 1 MiB, partition keys included.
const RECORDS: i64 = 1_000;
const BYTES: i64 = 1 << 20;

/// How much a shard may still take, in thousandths of a record and of a byte, so that it grows by whole numbers each millisecond.
///
/// There is a second's worth at most. A record of more than 1 MiB is taken when all of it is there and leaves a debt: large records may
/// burst, on the average the limit holds.
#[derive(Debug)]
pub(super) struct Credit {
    at: i64,
    records: i64,
    bytes: i64,
}

impl Credit {
    pub(super) fn full(now: i64) -> Self {
        Self { at: now, records: RECORDS * 1_000, bytes: BYTES * 1_000 }
    }

    /// Takes a record, if there is credit for it.
    pub(super) fn take(&mut self, size: usize, now: i64) -> bool {
        // The largest debt is paid back within ten seconds.
        let elapsed = (now - self.at).clamp(0, 20_000);
        self.at = self.at.max(now);
        self.records = (self.records + elapsed * RECORDS).min(RECORDS * 1_000);
        self.bytes = (self.bytes + elapsed * BYTES).min(BYTES * 1_000);
        let bytes = i64::try_from(size).map_or(i64::MAX, |size| size.saturating_mul(1_000));
        let enough = self.records >= 1_000 && self.bytes >= bytes.min(BYTES * 1_000);
        if enough {
            self.records -= 1_000;
            self.bytes -= bytes;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_ranges_cover_every_hash_key_once() {
        for parts in [1, 2, 3, 4, 7, 1_000] {
            let ranges: Vec<HashRange> = HashRange::even(parts).collect();
            assert_eq!(ranges.len(), parts as usize);
            assert_eq!((ranges[0].start, ranges[ranges.len() - 1].end), (0, u128::MAX), "{parts}");
            assert!(ranges.windows(2).all(|pair| pair[0].end + 1 == pair[1].start), "{parts}");
        }
        let two: Vec<HashRange> = HashRange::even(2).collect();
        assert_eq!(two[0].end, 170_141_183_460_469_231_731_687_303_715_884_105_727);
    }

    #[test]
    fn a_range_is_cut_in_its_middle_unless_it_is_too_narrow() {
        assert_eq!(HashRange { start: 0, end: u128::MAX }.middle(), Some(1 << 127));
        assert_eq!(HashRange { start: 10, end: 12 }.middle(), None);
        assert_eq!(HashRange { start: 10, end: 13 }.middle(), Some(12));
        assert_eq!(HashRange { start: u128::MAX, end: u128::MAX }.middle(), None);
    }

    #[test]
    fn only_neighbours_join() {
        let [low, high, far] = [(0, 9), (10, 19), (21, 30)].map(|(start, end)| HashRange { start, end });
        assert_eq!(low.joined(high), Some(HashRange { start: 0, end: 19 }));
        assert_eq!(high.joined(low), low.joined(high));
        assert_eq!(high.joined(far), None);
        assert_eq!(low.joined(low), None);
    }

    #[test]
    fn credit_for_a_thousand_records_comes_back_within_a_second() {
        let mut credit = Credit::full(0);
        assert_eq!((0..1_200).filter(|_| credit.take(10, 0)).count(), 1_000);
        assert_eq!((0..1_200).filter(|_| credit.take(10, 500)).count(), 500);
    }

    #[test]
    fn a_large_record_is_taken_on_credit_and_paid_back() {
        let mut credit = Credit::full(0);
        assert!(credit.take(5 << 20, 0));
        assert!(!credit.take(1, 3_999));
        assert!(credit.take(1, 4_001));
    }
}
