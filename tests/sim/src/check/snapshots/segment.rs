//! What leases on segments tell: one-writer, durable-before-checkpoint, no-silent-loss.

use super::State;
use crate::check::holders::Held;
use crate::check::ledger::{Checkpoint, Lease};
use crate::check::{Checker, Invariant};
use crate::item::{AttributeValue, Item};
use crate::journal::Entry;

/// A lease on a segment, and what it tells beside.
struct Segment {
    lease: Lease,
    snapshot: String,
    /// How many rows are said to be durable.
    rows: u64,
}

impl Segment {
    fn read(item: &Item) -> Option<Self> {
        let text = |name: &str| match item.get(name)? {
            AttributeValue::S(text) | AttributeValue::N(text) => Some(text.as_str()),
            _ => None,
        };
        if text("entityType") != Some("SEGMENT") {
            return None;
        }
        let rows = text("segmentRows").and_then(|rows| rows.parse().ok()).unwrap_or_default();
        Some(Self { lease: Lease::of_any_kind(item)?, snapshot: text("snapshotId")?.to_owned(), rows })
    }
}

impl Checker {
    pub(super) fn segment_written(&mut self, entry: &Entry, name: &str, old: Option<&Item>, new: Option<&Item>) {
        match (old.and_then(Segment::read), new.and_then(Segment::read)) {
            (_, Some(segment)) => self.segment_lease(entry, name, &segment),
            (Some(segment), None) => {
                self.snapshots.segments.remove(name);
                let known = self.snapshots.known.get(&segment.snapshot);
                let is_needed = known.and_then(super::Known::state).is_some_and(|state| !state.is_final());
                if is_needed && !entry.worker.is_empty() {
                    let what = format!("{} deleted the lease of {name}, whose snapshot has not come to an end", entry.worker);
                    self.findings.violate(Invariant::NoSilentLoss, entry.at, what);
                }
            }
            (None, None) => {}
        }
    }

    fn segment_lease(&mut self, entry: &Entry, name: &str, segment: &Segment) {
        self.findings.count("segment lease writes");
        let lease = &segment.lease;
        let held = Held::after(self.snapshots.segments.get(name), lease.clone(), entry);
        let before = self.snapshots.segments.insert(name.to_owned(), held);
        if lease.checkpoint_owner.is_some() {
            let what = format!("{} asks for the lease of {name}: segments are not handed over", entry.worker);
            self.findings.violate(Invariant::OneWriter, entry.at, what);
        }
        if let Some(before) = &before {
            self.capture.check_holder(entry, name, before, lease, &mut self.findings);
            if lease.owner.is_some() && lease.owner != before.lease.owner {
                if before.lease.owner.is_some() {
                    self.findings.count("segments taken over");
                }
                if matches!(lease.checkpoint, Checkpoint::At(_)) {
                    self.findings.count("segments resumed");
                }
            }
        }
        if before.is_some_and(|before| before.lease.checkpoint == lease.checkpoint) || lease.checkpoint == Checkpoint::None {
            return;
        }
        if self.snapshots.known.get(&segment.snapshot).and_then(super::Known::state) == Some(State::Requested) {
            let what = format!("{} checkpointed {name}, whose snapshot has not begun", entry.worker);
            self.findings.violate(Invariant::OneWriter, entry.at, what);
        }
        let is_durable = |row: &&super::Row| row.shard == name && row.is_durable(self.kinesis.is_some(), entry.at);
        let durable = self.snapshots.rows.iter().filter(is_durable).count();
        if segment.rows > u64::try_from(durable).unwrap_or(u64::MAX) {
            let what = format!("{} checkpointed {} rows of {name} while {durable} are durable", entry.worker, segment.rows);
            self.findings.violate(Invariant::DurableBeforeCheckpoint, entry.at, what);
        }
    }
}
