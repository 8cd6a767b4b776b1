//! One shard: a range of hashes, its records and what was trimmed of them.

use std::collections::VecDeque;
use std::ops::{Range, RangeInclusive};

use super::DAY;
use super::iterator::Position;
use super::record::Record;
use crate::sequence::Sequence;

/// GetRecords gives at most this many bytes of records; a single record may be larger.
const PAGE_BYTES: usize = 1 << 20;

/// A shard of a stream.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) parent: Option<String>,
    pub(super) range: RangeInclusive<u64>,
    pub(super) opened: i64,
    pub(super) starting: Sequence,
    pub(super) end: Option<End>,
    /// The last record that is gone.
    pub(super) trimmed: Option<Sequence>,
    records: VecDeque<Record>,
}

/// A closed shard's end.
#[derive(Debug)]
pub(super) struct End {
    pub(super) at: i64,
    /// Above every record's number.
    pub(super) sequence: Sequence,
}

/// Records for a page, by their index, and where the next page begins.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) records: Range<usize>,
    pub(super) next: Position,
    /// Whether the shard is closed and holds nothing behind these records.
    pub(super) end: bool,
}

impl Shard {
    /// A shard that is open from now on.
    pub(super) fn open(parent: Option<&str>, range: RangeInclusive<u64>, starting: Sequence, now: i64) -> Self {
        let parent = parent.map(str::to_owned);
        Self { parent, range, opened: now, starting, end: None, trimmed: None, records: VecDeque::new() }
    }

    /// Adds a record. Its number is above all others'.
    pub(super) fn push(&mut self, record: Record) {
        self.records.push_back(record);
    }

    /// The records that are not trimmed.
    pub(super) fn records(&self) -> &VecDeque<Record> {
        &self.records
    }

    /// The range's parts when it is split into that many equal ones; `None` if it has not so many hashes.
    pub(super) fn parts(&self, into: usize) -> Option<Vec<RangeInclusive<u64>>> {
        parts(&self.range, into)
    }

    /// Drops the oldest `count` records, and tells the last of them.
    pub(super) fn drop_oldest(&mut self, count: usize) -> Option<&Sequence> {
        let last = self.records.drain(..count).next_back()?;
        Some(self.trimmed.insert(last.sequence))
    }

    /// How many records are older than a day.
    pub(super) fn outlived(&self, now: i64) -> usize {
        self.records.partition_point(|record| now - record.at > DAY)
    }

    /// Whether the shard has no more place in a listing: closed for more than a day, and every record of it trimmed.
    pub(super) fn is_forgotten(&self, now: i64) -> bool {
        self.records.is_empty() && self.end.as_ref().is_some_and(|end| now - end.at > DAY)
    }

    /// The earliest time at which [`outlived`](Self::outlived) or [`is_forgotten`](Self::is_forgotten) may tell something new.
    pub(super) fn due(&self) -> i64 {
        let oldest = self.records.front().map(|record| record.at).or(self.end.as_ref().map(|end| end.at));
        oldest.map_or(i64::MAX, |at| at + DAY + 1)
    }

    /// Whether a record that was to be read from that position on is gone.
    pub(super) fn has_lost(&self, position: &Position) -> bool {
        match (position, &self.trimmed) {
            (Position::Horizon, _) | (_, None) => false,
            (Position::At(sequence), Some(trimmed)) => sequence <= trimmed,
            (Position::After(sequence), Some(trimmed)) => sequence < trimmed,
        }
    }

    /// The position of the first record that tells this time (milliseconds since the epoch) or a later one.
    pub(super) fn since(&self, time: i64) -> Position {
        match self.records.partition_point(|record| record.told_time() < time).checked_sub(1) {
            Some(before) => Position::After(self.records[before].sequence.clone()),
            None => self.beginning(),
        }
    }

    /// The oldest record there is, as a position that does not move when it is trimmed.
    fn beginning(&self) -> Position {
        match &self.trimmed {
            Some(trimmed) => Position::After(trimmed.clone()),
            None => Position::At(self.starting.clone()),
        }
    }

    /// At most `limit` records from a position on.
    pub(super) fn page(&self, position: &Position, limit: usize) -> Page {
        let first = match position {
            Position::Horizon => 0,
            Position::At(sequence) => self.records.partition_point(|record| record.sequence < *sequence),
            Position::After(sequence) => self.records.partition_point(|record| record.sequence <= *sequence),
        };
        let mut bytes = 0;
        let fitting = self.records.range(first..).take(limit).take_while(|record| {
            let is_first = bytes == 0;
            bytes += record.json.len() + 1;
            is_first || bytes <= PAGE_BYTES
        });
        let past = first + fitting.count();
        let next = match (past > first, position) {
            (true, _) => Position::After(self.records[past - 1].sequence.clone()),
            (false, Position::Horizon) => self.beginning(),
            (false, position) => position.clone(),
        };
        Page { records: first..past, next, end: self.end.is_some() && past == self.records.len() }
    }
}

/// Equal parts of a range, in order.
pub(super) fn parts(range: &RangeInclusive<u64>, into: usize) -> Option<Vec<RangeInclusive<u64>>> {
    let hashes = u128::from(range.end() - range.start()) + 1;
    let count = u64::try_from(into).ok().filter(|count| *count > 0 && u128::from(*count) <= hashes)?;
    let begin = |part: u64| u64::try_from(u128::from(*range.start()) + hashes * u128::from(part) / u128::from(count)).ok();
    let end = |part: u64| if part + 1 == count { Some(*range.end()) } else { begin(part + 1).map(|next| next - 1) };
    (0..count).map(|part| Some(begin(part)?..=end(part)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(number: u128) -> Sequence {
        Sequence::of_halves(5, number)
    }

    /// A shard that began at number 1 and took records 10, 20, 30 … a second apart.
    fn shard(records: u32) -> Shard {
        let mut shard = Shard::open(None, 0..=u64::MAX, number(1), 0);
        for n in 1..=records {
            shard.push(Record { sequence: number(u128::from(n) * 10), at: i64::from(n) * 1000 + 500, json: "{}".into() });
        }
        shard
    }

    #[test]
    fn positions_are_inclusive_or_exclusive() {
        let shard = shard(3);
        assert_eq!(shard.page(&Position::Horizon, 9).records, 0..3);
        assert_eq!(shard.page(&Position::At(number(20)), 9).records, 1..3);
        assert_eq!(shard.page(&Position::At(number(11)), 9).records, 1..3);
        assert_eq!(shard.page(&Position::After(number(20)), 9).records, 2..3);
        assert_eq!(shard.page(&Position::After(number(30)), 9).records, 3..3);
        assert_eq!(shard.page(&Position::At(number(1)), 2).records, 0..2);
    }

    #[test]
    fn a_page_ends_before_a_megabyte_but_has_one_record_at_least() {
        let mut shard = shard(0);
        for (n, bytes) in [400_000, 400_000, 400_000, 2_000_000, 1].into_iter().enumerate() {
            shard.push(Record { sequence: number(n as u128 + 10), at: 0, json: "x".repeat(bytes).into() });
        }
        assert_eq!(shard.page(&Position::Horizon, 1000).records, 0..2);
        assert_eq!(shard.page(&Position::After(number(11)), 1000).records, 2..3);
        assert_eq!(shard.page(&Position::After(number(12)), 1000).records, 3..4);
        assert_eq!(shard.page(&Position::After(number(13)), 1000).records, 4..5);
    }

    #[test]
    fn a_position_is_lost_when_its_next_record_is() {
        let mut shard = shard(3);
        assert!(!shard.has_lost(&Position::At(number(1))));
        assert_eq!(shard.drop_oldest(2), Some(&number(20)));
        assert!(shard.has_lost(&Position::At(number(20))));
        assert!(shard.has_lost(&Position::After(number(19))));
        assert!(!shard.has_lost(&Position::After(number(20))), "what comes next is there");
        assert!(!shard.has_lost(&Position::At(number(21))));
        assert!(!shard.has_lost(&Position::Horizon));
    }

    #[test]
    fn dropping_nothing_keeps_what_was_trimmed() {
        let mut shard = shard(1);
        shard.drop_oldest(1);
        assert_eq!(shard.drop_oldest(0), None);
        assert_eq!(shard.trimmed, Some(number(10)));
    }

    #[test]
    fn an_empty_page_from_the_horizon_pins_the_position() {
        let mut shard = shard(0);
        let pinned = shard.page(&Position::Horizon, 9).next;
        assert_eq!(pinned, Position::At(number(1)));
        shard.push(Record { sequence: number(10), at: 0, json: "{}".into() });
        shard.drop_oldest(1);
        assert!(shard.has_lost(&pinned), "the record was never read and its loss must show");
    }

    #[test]
    fn a_time_is_compared_with_the_second_that_the_record_tells() {
        let shard = shard(3);
        assert_eq!(shard.since(0), Position::At(number(1)));
        assert_eq!(shard.since(1000), Position::At(number(1)));
        assert_eq!(shard.since(1001), Position::After(number(10)), "made at 1500, told as 1000");
        assert_eq!(shard.since(3000), Position::After(number(20)));
        assert_eq!(shard.since(9000), Position::After(number(30)));
    }

    #[test]
    fn a_closed_shard_ends_with_its_last_record() {
        let mut shard = shard(2);
        assert!(!shard.page(&Position::After(number(20)), 9).end, "open");
        shard.end = Some(End { at: 0, sequence: number(25) });
        assert!(!shard.page(&Position::Horizon, 1).end);
        assert!(shard.page(&Position::Horizon, 2).end);
        assert!(shard.page(&Position::After(number(20)), 9).end);
    }

    #[test]
    fn more_parts_than_hashes_are_refused() {
        assert_eq!(parts(&(7..=8), 2), Some(vec![7..=7, 8..=8]));
        assert_eq!(parts(&(7..=8), 3), None);
        assert_eq!(parts(&(7..=8), 0), None);
    }

    proptest! {
        #[test]
        fn parts_partition_the_range(ends: (u64, u64), into in 1_usize..40) {
            let range = ends.0.min(ends.1)..=ends.0.max(ends.1);
            let Some(parts) = parts(&range, into) else { return Ok(()) };
            prop_assert_eq!(parts.len(), into);
            prop_assert_eq!(parts[0].start(), range.start());
            prop_assert_eq!(parts[into - 1].end(), range.end());
            prop_assert!(parts.iter().all(|part| part.start() <= part.end()));
            prop_assert!(parts.windows(2).all(|pair| pair[0].end() + 1 == *pair[1].start()));
        }
    }
}
