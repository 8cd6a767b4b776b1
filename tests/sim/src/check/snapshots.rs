//! What snapshots tell: snapshot-exact, snapshot-complete, snapshot-land-once, gap-closes, and of their segments what leases tell of shards.

mod item;
mod ledger;
mod marker;
mod row;
mod segment;

use std::collections::BTreeMap;

use self::item::Marker;
pub use self::item::{Snapshot, State};
pub(super) use self::row::Row;
use super::holders::Held;
use super::ledger::Closing;
use super::timeline::Key;
use super::{Checker, Invariant};
use crate::item::{AttributeValue, Item};
use crate::journal::Entry;

/// All snapshots of the table.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    pub(super) known: BTreeMap<String, Known>,
    /// Every row, once, wherever it was seen.
    pub(super) rows: Vec<Row>,
    by_key: BTreeMap<(String, Key), usize>,
    /// The leases on segments.
    segments: BTreeMap<String, Held>,
    /// The gap ledgers, by lease table and key.
    gaps: BTreeMap<(String, String), Closing>,
}

/// What is known of a snapshot.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Its item as it was last written.
    pub(super) item: Option<Snapshot>,
    /// The lease table was lost, and the item with it.
    is_lost: bool,
    /// When it began to run (milliseconds since the epoch).
    running_since: Option<i64>,
    /// Its marker, once that is in the lake.
    pub(super) marker: Option<Marker>,
    /// Objects that held rows of it were deleted by somebody.
    pub(super) is_damaged: bool,
    /// The user record of Kinesis with which it was first announced.
    announced: Option<usize>,
    /// The ranges of hash keys for which is noted that its rows are in the lake.
    parts: Vec<(u128, u128)>,
}

impl Known {
    fn state(&self) -> Option<State> {
        self.item.as_ref().map(|item| item.state)
    }

    /// Seconds since the epoch.
    fn started_at(&self) -> Option<i64> {
        self.item.as_ref()?.started_at
    }

    /// What the latest of several is told by, once it is complete.
    pub(super) fn rank(&self) -> Option<(i64, i64, &str)> {
        self.marker.as_ref().map(|marker| (marker.started_at, marker.completed_at, marker.snapshot.as_str()))
    }

    pub(super) fn is_whole(&self) -> bool {
        self.marker.as_ref().is_some_and(|marker| marker.whole)
    }
}

impl Snapshots {
    fn row(&self, snapshot: &str, key: &Key) -> Option<&Row> {
        self.find(snapshot, key).map(|row| &self.rows[row])
    }

    /// The number of a row.
    pub(super) fn find(&self, snapshot: &str, key: &Key) -> Option<usize> {
        self.by_key.get(&(snapshot.to_owned(), key.clone())).copied()
    }

    /// The snapshots that have not come to an end.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = &Snapshot> {
        let items = self.known.values().filter(|known| !known.is_lost).filter_map(|known| known.item.as_ref());
        items.filter(|item| !item.state.is_final())
    }

    /// The gaps that no snapshot has closed.
    pub(super) fn open_gaps(&self) -> impl Iterator<Item = &str> {
        self.gaps.iter().filter(|(_, closing)| closing.closed_by.is_none()).map(|((_, key), _)| key.as_str())
    }
}

impl Checker {
    /// An item of a lease table was written that is no lease of a shard.
    pub(super) fn item_of_snapshots(&mut self, entry: &Entry, table: &str, key: &Item, old: Option<&Item>, new: Option<&Item>) {
        let Some(AttributeValue::S(name)) = key.get("leaseKey") else { return };
        self.gap_written(entry, table, name, new);
        if table != self.subject.leases {
            return;
        }
        match (old.and_then(Snapshot::read), new.and_then(Snapshot::read)) {
            (_, Some(snapshot)) => self.snapshot_written(entry, &snapshot),
            (Some(snapshot), None) => self.snapshot_deleted(entry, &snapshot),
            (None, None) => self.segment_written(entry, name, old, new),
        }
    }

    fn snapshot_written(&mut self, entry: &Entry, snapshot: &Snapshot) {
        let known = self.snapshots.known.entry(snapshot.id.clone()).or_default();
        let before = known.item.replace(snapshot.clone());
        known.is_lost = false;
        let mut wrong = Vec::new();
        if let Some(before) = &before {
            if before.version >= snapshot.version {
                wrong.push(format!("its version goes from {} to {}", before.version, snapshot.version));
            }
            if before.state != snapshot.state && !before.state.leads_to(snapshot.state) {
                wrong.push(format!("it goes from {:?} to {:?}", before.state, snapshot.state));
            }
            let settled = |item: &Snapshot| (item.started_at, item.whole, item.segments);
            if before.started_at.is_some() && settled(before) != settled(snapshot) {
                wrong.push("what it is has changed while it ran".to_owned());
            }
        }
        if before.as_ref().is_some_and(|before| before.state == snapshot.state) {
            // Told again.
        } else {
            match snapshot.state {
                State::Requested => self.findings.count("snapshots requested"),
                State::Running => {
                    known.running_since = Some(entry.at);
                    self.findings.count("snapshots begun");
                }
                State::Completing => {}
                State::Completed => self.findings.count("snapshots completed"),
                State::Cancelled => self.findings.count("snapshots cancelled"),
                State::Failed => self.findings.count("snapshots failed"),
            }
            if snapshot.is_for_a_gap && snapshot.state == State::Requested {
                self.findings.count("snapshots requested for a gap");
            }
            if snapshot.state == State::Completed && known.marker.is_none() {
                let what = format!("{} calls the snapshot {} completed, which has no marker", entry.worker, snapshot.id);
                self.findings.violate(Invariant::SnapshotComplete, entry.at, what);
            }
        }
        for wrong in wrong {
            self.findings.violate(Invariant::OneWriter, entry.at, format!("{} wrote the snapshot {}: {wrong}", entry.worker, snapshot.id));
        }
    }

    /// What empties the table has no name. A snapshot that is at work is lost with it, and that is no fault.
    fn snapshot_deleted(&mut self, entry: &Entry, snapshot: &Snapshot) {
        if let Some(known) = self.snapshots.known.get_mut(&snapshot.id) {
            known.is_lost = true;
        }
        if !entry.worker.is_empty() && !snapshot.state.is_final() {
            let what = format!("{} deleted the snapshot {}, which has not come to an end", entry.worker, snapshot.id);
            self.findings.violate(Invariant::NoSilentLoss, entry.at, what);
        }
    }
}
