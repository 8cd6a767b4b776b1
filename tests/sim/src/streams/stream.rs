//! One stream: shards that partition the range of hashes, and their lineage.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::numbers::Numbers;
use super::record;
use super::shard::{End, Shard, parts};
use super::{DAY, NewRecord, ViewType};
use crate::call::ApiError;
use crate::journal::{Event, Journal, Place};

/// The most shards that one is split into at once: what DynamoDB does by doubling takes its time.
const MOST_CHILDREN: usize = 1_000;

/// A stream of a table.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) arn: String,
    pub(super) table: String,
    pub(super) label: String,
    pub(super) key_schema: Value,
    pub(super) view: ViewType,
    pub(super) created: i64,
    pub(super) disabled: Option<i64>,
    /// By id, which is the order in which they are listed.
    pub(super) shards: BTreeMap<String, Shard>,
    pub(super) numbers: Numbers,
    /// The open shards by the first hash of their range.
    open: BTreeMap<u64, String>,
}

/// What a new stream is made of.
#[derive(Debug)]
pub(super) struct Origin<'a> {
    pub(super) arn: String,
    pub(super) table: &'a str,
    pub(super) label: String,
    pub(super) key_schema: &'a Value,
    pub(super) view: ViewType,
    pub(super) numbers: Numbers,
}

impl Stream {
    /// A stream without shards.
    pub(super) fn new(origin: Origin<'_>, now: i64) -> Self {
        Self {
            arn: origin.arn,
            table: origin.table.to_owned(),
            label: origin.label,
            key_schema: origin.key_schema.clone(),
            view: origin.view,
            created: now,
            disabled: None,
            shards: BTreeMap::new(),
            numbers: origin.numbers,
            open: BTreeMap::new(),
        }
    }

    /// Opens the first shards, at least one.
    pub(super) fn begin(&mut self, partitions: usize, now: i64, journal: &Journal) {
        let ranges = parts(&(0..=u64::MAX), partitions.max(1)).unwrap_or_default();
        let children = self.open_over(ranges, None, now);
        journal.record(now, "", Event::Stream { stream: self.arn.clone(), enabled: true });
        journal.record(now, "", Event::Resharded { stream: self.arn.clone(), parent: None, children });
    }

    /// Closes every shard.
    pub(super) fn disable(&mut self, now: i64, journal: &Journal) {
        if self.disabled.is_some() {
            return;
        }
        self.disabled = Some(now);
        for id in std::mem::take(&mut self.open).into_values() {
            self.close(&id, now);
            journal.record(now, "", Event::Closed { stream: self.arn.clone(), shard: id });
        }
        journal.record(now, "", Event::Stream { stream: self.arn.clone(), enabled: false });
    }

    /// Closes an open shard and opens `into` others over its range.
    pub(super) fn reshard(&mut self, id: &str, into: usize, now: i64, journal: &Journal) -> Result<Vec<String>, ApiError> {
        let shard = self.shards.get(id).ok_or_else(no_shard)?;
        if shard.end.is_some() {
            return Err(ApiError::validation(format!("shard {id} is closed: closed shards never split")));
        }
        let Some(ranges) = Some(into).filter(|into| *into <= MOST_CHILDREN).and_then(|into| shard.parts(into)) else {
            return Err(ApiError::validation(format!("shard {id} cannot be split into {into}")));
        };
        self.close(id, now);
        // The first child takes its parent's place among the open shards.
        let children = self.open_over(ranges, Some(id), now);
        journal.record(now, "", Event::Resharded { stream: self.arn.clone(), parent: Some(id.to_owned()), children: children.clone() });
        Ok(children)
    }

    /// The open shards in the order of their ranges.
    pub(super) fn open_shards(&self) -> Vec<String> {
        self.open.values().cloned().collect()
    }

    /// Adds a change to the open shard of its hash.
    pub(super) fn append(&mut self, change: &NewRecord<'_>, now: i64) -> Option<Place> {
        let (_, id) = self.open.range(..=change.hash).next_back()?;
        let shard = self.shards.get_mut(id)?;
        let (record, event_id) = record::render(change, self.view, &mut self.numbers, now)?;
        let sequence = record.sequence.clone();
        shard.push(record);
        Some(Place { stream: self.arn.clone(), shard: id.clone(), sequence, event_id })
    }

    /// Drops what is older than a day.
    pub(super) fn trim(&mut self, now: i64, journal: &Journal) {
        for (id, shard) in &mut self.shards {
            if let Some(through) = shard.drop_oldest(shard.outlived(now)) {
                journal.record(now, "", Event::Trimmed { stream: self.arn.clone(), shard: id.clone(), through: through.clone() });
            }
        }
        self.shards.retain(|id, shard| {
            let forgotten = shard.is_forgotten(now);
            if forgotten {
                journal.record(now, "", Event::Forgotten { stream: self.arn.clone(), shard: id.clone() });
            }
            !forgotten
        });
    }

    /// Drops all records of a shard but the newest ones, however young, and tells how many.
    pub(super) fn trim_through(&mut self, id: &str, keep_last: usize, now: i64, journal: &Journal) -> Result<usize, ApiError> {
        let shard = self.shards.get_mut(id).ok_or_else(no_shard)?;
        let count = shard.records().len().saturating_sub(keep_last);
        if let Some(through) = shard.drop_oldest(count) {
            journal.record(now, "", Event::Trimmed { stream: self.arn.clone(), shard: id.to_owned(), through: through.clone() });
        }
        Ok(count)
    }

    /// Whether nothing of the stream is left: it has been disabled for more than a day.
    pub(super) fn is_gone(&self, now: i64) -> bool {
        self.disabled.is_some_and(|at| now - at > DAY)
    }

    /// The earliest time at which [`trim`](Self::trim) or [`is_gone`](Self::is_gone) may do or tell something new.
    pub(super) fn due(&self) -> i64 {
        let gone = self.disabled.map_or(i64::MAX, |at| at + DAY + 1);
        self.shards.values().map(Shard::due).fold(gone, i64::min)
    }

    fn open_over(&mut self, ranges: Vec<RangeInclusive<u64>>, parent: Option<&str>, now: i64) -> Vec<String> {
        let mut ids = Vec::with_capacity(ranges.len());
        for range in ranges {
            let mut id = self.draw_id(now);
            while self.shards.contains_key(&id) {
                id = self.draw_id(now);
            }
            let starting = self.numbers.next();
            self.open.insert(*range.start(), id.clone());
            self.shards.insert(id.clone(), Shard::open(parent, range, starting, now));
            ids.push(id);
        }
        ids
    }

    fn draw_id(&mut self, now: i64) -> String {
        format!("shardId-{now:020}-{}", self.numbers.suffix())
    }

    fn close(&mut self, id: &str, now: i64) {
        if let Some(shard) = self.shards.get_mut(id) {
            shard.end = Some(End { at: now, sequence: self.numbers.next() });
        }
    }
}

/// The error for a shard that never was or is no more.
pub(super) fn no_shard() -> ApiError {
    ApiError::not_found("Requested resource not found: Shard does not exist")
}
