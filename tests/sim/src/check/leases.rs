//! What reads and lease writes tell: durable-before-checkpoint, parent-first, one-writer, resume-after.

use super::ledger::{Checkpoint, Gap, Lease};
use super::{Checker, Fate, Invariant};
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

/// A lease as it stands.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) lease: Lease,
    /// When it was last written (milliseconds since the epoch): its holder lived then.
    written: i64,
}

impl Checker {
    pub(super) fn lease_write(&mut self, entry: &Entry, key: &Item, new: Option<&Item>) {
        let Some(AttributeValue::S(shard)) = key.get("leaseKey") else { return };
        self.seen.lease_writes += 1;
        let Some(new) = new else {
            self.forgotten(entry, shard);
            return;
        };
        if let Some(gap) = Gap::read(new) {
            self.seen.gaps += 1;
            self.gaps.push(gap);
            return;
        }
        let Some(lease) = Lease::read(new) else { return };
        self.begun = true;
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.leased = true;
        }
        self.refusals.remove(&(entry.worker.clone(), shard.clone()));
        let before = self.leases.insert(shard.clone(), Seen { lease: lease.clone(), written: entry.at });
        if let Some(before) = &before {
            self.check_holder(entry, shard, before, &lease);
        }
        if before.is_some_and(|before| before.lease.checkpoint == lease.checkpoint) {
            return;
        }
        let through = match &lease.checkpoint {
            Checkpoint::None => return,
            Checkpoint::At(sequence) => Some(sequence),
            Checkpoint::End => {
                self.done.insert(shard.clone());
                None
            }
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

    /// Only the holder moves a checkpoint, and only forward; a lease is taken only from one who was silent for long enough.
    fn check_holder(&mut self, entry: &Entry, shard: &str, before: &Seen, lease: &Lease) {
        let by_holder = before.lease.is_held_by(&entry.worker);
        if before.lease.checkpoint != lease.checkpoint {
            if !by_holder {
                let what = format!("{} moved the checkpoint of {shard} without holding its lease", entry.worker);
                self.violate(Invariant::OneWriter, entry.at, what);
            }
            if before.lease.checkpoint > lease.checkpoint {
                self.violate(Invariant::ResumeAfter, entry.at, format!("{} moved the checkpoint of {shard} back", entry.worker));
            }
        }
        if before.lease.owner.is_some() && lease.owner.is_some() && before.lease.owner != lease.owner {
            self.seen.takeovers += 1;
            let silent = entry.at - before.written;
            if !by_holder && silent < self.subject.failover {
                let what = format!("{} took the lease of {shard} {silent} ms after its holder had written it", entry.worker);
                self.violate(Invariant::OneWriter, entry.at, what);
            }
        }
    }

    /// A lease was deleted. What empties the table has no name; a worker forgets what is done.
    fn forgotten(&mut self, entry: &Entry, shard: &str) {
        let before = self.leases.remove(shard);
        if !entry.worker.is_empty() && before.is_some_and(|before| before.lease.checkpoint != Checkpoint::End) {
            self.violate(Invariant::NoSilentLoss, entry.at, format!("{} deleted the lease of {shard}, which is not done", entry.worker));
        }
    }

    /// The leases whose checkpoints stayed behind what has landed. What landed and was trimmed before it was checkpointed is never met again.
    pub(super) fn stuck_checkpoints(&self) -> impl Iterator<Item = String> {
        self.leases.iter().filter_map(|(name, seen)| {
            let shard = self.shards.get(name).filter(|shard| !shard.forgotten)?;
            let mut changes = shard.changes.iter().rev().map(|index| &self.changes[*index]);
            let last = &changes.find(|change| change.fate == Fate::Landed)?.place.sequence;
            if shard.trimmed.as_ref().is_some_and(|trimmed| last <= trimmed) {
                return None;
            }
            let behind = match &seen.lease.checkpoint {
                Checkpoint::None => true,
                Checkpoint::At(sequence) => sequence < last,
                Checkpoint::End => false,
            };
            behind.then(|| format!("the checkpoint of {name} stays behind {last}, which has landed"))
        })
    }

    pub(super) fn refused(&mut self, entry: &Entry, key: &Item) {
        self.seen.refused_conditions += 1;
        let Some(AttributeValue::S(shard)) = key.get("leaseKey") else { return };
        if self.leases.get(shard).is_some_and(|seen| seen.lease.is_held_by(&entry.worker)) {
            return;
        }
        let refusals = self.refusals.entry((entry.worker.clone(), shard.clone())).or_default();
        if refusals.heard == 0 || std::mem::take(&mut refusals.read_since) {
            refusals.heard += 1;
        }
    }

    pub(super) fn iterator(&mut self, entry: &Entry, shard: &str, kind: &str, position: Option<&str>) {
        self.check_parents(entry, shard);
        let Some(lease) = self.leases.get(shard).map(|seen| &seen.lease).filter(|lease| lease.is_held_by(&entry.worker)) else { return };
        let Checkpoint::At(checkpoint) = &lease.checkpoint else { return };
        let again = match (kind, position.and_then(Sequence::parse)) {
            ("AT_SEQUENCE_NUMBER", Some(position)) => position <= *checkpoint,
            ("AFTER_SEQUENCE_NUMBER", Some(position)) => position < *checkpoint,
            // Whatever the checkpoint says: right only where it is trimmed, and then the ledger tells.
            _ => !self.gaps.iter().any(|gap| gap.origin() == shard),
        };
        if again {
            let position = position.unwrap_or_default();
            let what = format!("{} reads {shard} from {kind} {position}, though it is durable through {checkpoint}", entry.worker);
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
        if !self.done.contains(&parent) {
            let what = format!("{} reads {shard} before its parent {parent} is done", entry.worker);
            self.violate(Invariant::ParentFirst, entry.at, what);
        }
    }
}
