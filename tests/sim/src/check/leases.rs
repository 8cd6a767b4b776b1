//! What reads and lease writes tell: durable-before-checkpoint, parent-first, one-writer, resume-after.

use super::ledger::{Checkpoint, Gap, Lease};
use super::{Checker, Invariant};
use crate::item::{AttributeValue, Item};
use crate::journal::Entry;
use crate::sequence::Sequence;

/// A worker that was told this often that its lease is not as it believes, and read on each time, does not listen. Answers get lost on the
/// way, so once or twice proves nothing.
const REFUSALS: u32 = 5;

/// How often a worker was refused on a lease that it does not hold, with pages read in between.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    heard: u32,
    read_since: bool,
}

impl Checker {
    pub(super) fn lease_write(&mut self, entry: &Entry, key: &Item, new: Option<&Item>) {
        let Some(AttributeValue::S(shard)) = key.get("leaseKey") else { return };
        self.seen.lease_writes += 1;
        let Some(new) = new else {
            self.leases.remove(shard);
            return;
        };
        if let Some(gap) = Gap::read(new) {
            self.seen.gaps += 1;
            self.gaps.push(gap);
            return;
        }
        let Some(lease) = Lease::read(new) else { return };
        self.begun = true;
        self.refusals.remove(&(entry.worker.clone(), shard.clone()));
        let before = self.leases.insert(shard.clone(), lease.clone());
        if before.as_ref().is_some_and(|before| before.owner.is_some() && lease.owner.is_some() && before.owner != lease.owner) {
            self.seen.takeovers += 1;
        }
        if before.is_some_and(|before| before.checkpoint == lease.checkpoint) {
            return;
        }
        let through = match &lease.checkpoint {
            Checkpoint::None => return,
            Checkpoint::At(sequence) => Some(sequence),
            Checkpoint::End => None,
        };
        if let Some(pending) = self.first_pending(shard, through) {
            let what = format!(
                "{} checkpointed {shard} at {} while the record at {} is not durable",
                entry.worker,
                through.map_or("its end", Sequence::as_str),
                pending.place.sequence
            );
            self.violate(Invariant::DurableBeforeCheckpoint, entry.at, what);
        }
    }

    pub(super) fn refused(&mut self, entry: &Entry, key: &Item) {
        self.seen.refused_conditions += 1;
        let Some(AttributeValue::S(shard)) = key.get("leaseKey") else { return };
        if self.leases.get(shard).is_some_and(|lease| lease.is_held_by(&entry.worker)) {
            return;
        }
        let refusals = self.refusals.entry((entry.worker.clone(), shard.clone())).or_default();
        if refusals.heard == 0 || std::mem::take(&mut refusals.read_since) {
            refusals.heard += 1;
        }
    }

    pub(super) fn iterator(&mut self, entry: &Entry, shard: &str, kind: &str, position: Option<&str>) {
        self.check_parents(entry, shard);
        let Some(lease) = self.leases.get(shard).filter(|lease| lease.is_held_by(&entry.worker)) else { return };
        let (Checkpoint::At(checkpoint), Some(position)) = (&lease.checkpoint, position.and_then(Sequence::parse)) else { return };
        let again = match kind {
            "AT_SEQUENCE_NUMBER" => position <= *checkpoint,
            "AFTER_SEQUENCE_NUMBER" => position < *checkpoint,
            _ => false,
        };
        if again {
            let what = format!("{} reads {shard} again from {kind} {position}, though it is durable through {checkpoint}", entry.worker);
            self.violate(Invariant::ResumeAfter, entry.at, what);
        }
    }

    pub(super) fn page(&mut self, entry: &Entry, shard: &str, records: usize) {
        self.seen.pages += 1;
        self.seen.empty_pages += u64::from(records == 0);
        self.check_parents(entry, shard);
        let Some(refusals) = self.refusals.get_mut(&(entry.worker.clone(), shard.to_owned())) else { return };
        refusals.read_since = true;
        if refusals.heard == REFUSALS {
            refusals.heard += 1;
            let what = format!("{} reads on in {shard} after {REFUSALS} refusals of a lease that it does not hold", entry.worker);
            self.violate(Invariant::OneWriter, entry.at, what);
        }
    }

    fn check_parents(&mut self, entry: &Entry, shard: &str) {
        let Some(parent) = self.shards.get(shard).and_then(|shard| shard.parent.clone()) else { return };
        // A parent that is no longer listed has expired and counts as done.
        if self.shards.get(&parent).is_none_or(|parent| parent.forgotten) {
            return;
        }
        if self.leases.get(&parent).is_none_or(|lease| lease.checkpoint != Checkpoint::End) {
            let what = format!("{} reads {shard} before its parent {parent} is done", entry.worker);
            self.violate(Invariant::ParentFirst, entry.at, what);
        }
    }
}
