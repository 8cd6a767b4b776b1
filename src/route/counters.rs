//! What a route has sent to its service since it was opened.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::ShardId;
use crate::histogram::{Distribution, Histogram};

/// Counters that every writer of a route adds to.
#[derive(Debug, Default)]
pub struct RouteCounters {
    calls: AtomicU64,
    records: AtomicU64,
    events: AtomicU64,
    bytes: AtomicU64,
    units: AtomicU64,
    retried: AtomicU64,
    misplaced: AtomicU64,
    batches: Histogram,
    /// Since when a shard's changes do not go, and why.
    troubles: Mutex<BTreeMap<ShardId, (Instant, String)>>,
}

/// A shard whose changes are not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The shard that they come from.
    pub shard: ShardId,
    /// For how long.
    pub since: Duration,
    /// Why, as of the last attempt.
    pub why: String,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RouteTotals {
    /// Calls made, answered or not.
    pub calls: u64,
    /// Records that the service took. One that was sent again because its outcome was unknown counts each time that it was seen to be taken.
    pub records: u64,
    /// Events that were acknowledged.
    pub events: u64,
    /// Bytes of the records that the service took.
    pub bytes: u64,
    /// What is billed for them: each record in whole units of the service, such as the 25 KiB of a Kinesis PUT payload unit.
    pub units: u64,
    /// Records that were refused, or whose outcome is unknown, and whose events were sent again.
    pub retried: u64,
    /// Aggregated records that landed on a shard to which not all of their keys belong, and whose events were sent again.
    pub misplaced: u64,
}

impl RouteCounters {
    /// The counters now.
    pub fn totals(&self) -> RouteTotals {
        RouteTotals {
            calls: self.calls.load(Relaxed),
            records: self.records.load(Relaxed),
            events: self.events.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            units: self.units.load(Relaxed),
            retried: self.retried.load(Relaxed),
            misplaced: self.misplaced.load(Relaxed),
        }
    }

    /// How many events each answered call has acknowledged.
    pub fn batches(&self) -> Distribution {
        self.batches.read()
    }

    /// The shards whose changes are not taken now, the one that has waited longest first.
    pub fn troubles(&self) -> Vec<Trouble> {
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let told = troubles.iter().map(|(shard, (at, why))| Trouble { shard: shard.clone(), since: at.elapsed(), why: why.clone() });
        let mut told: Vec<Trouble> = told.collect();
        told.sort_by_key(|trouble| std::cmp::Reverse(trouble.since));
        told
    }

    /// Something of this shard was refused, or a call for it failed.
    pub(super) fn troubled(&self, shard: &ShardId, why: String) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.entry(shard.clone()).or_insert_with(|| (Instant::now(), String::new())).1 = why;
    }

    /// Nothing of this shard waits to be sent again.
    pub(super) fn well(&self, shard: &ShardId) {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).remove(shard);
    }

    pub(super) fn call(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    /// The service took a record of so many bytes, which it bills in units of `unit` bytes.
    pub(super) fn taken(&self, bytes: usize, unit: usize) {
        self.records.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
        self.units.fetch_add(bytes.div_ceil(unit).max(1) as u64, Relaxed);
    }

    pub(super) fn acknowledged(&self, events: usize) {
        self.events.fetch_add(events as u64, Relaxed);
    }

    /// A call was answered, and so many events of it are acknowledged.
    pub(super) fn answered(&self, events: usize) {
        self.batches.observe(events as u64);
    }

    pub(super) fn retried(&self, records: usize) {
        self.retried.fetch_add(records as u64, Relaxed);
    }

    pub(super) fn misplaced(&self) {
        self.misplaced.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_is_billed_in_whole_units() {
        let counters = RouteCounters::default();
        for bytes in [1, 25 << 10, (25 << 10) + 1] {
            counters.taken(bytes, 25 << 10);
        }
        let totals = counters.totals();
        assert_eq!((totals.records, totals.bytes, totals.units), (3, 2 + (50 << 10), 4));
    }
}
