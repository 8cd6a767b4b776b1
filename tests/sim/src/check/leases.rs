//! What reads and lease writes tell: durable-before-checkpoint, parent-first, resume-after. Who may write a lease is told in `holders`.

use super::consumer::{Consumer, Fate};
use super::findings::{Findings, Invariant};
use super::holders::Held;
use super::ledger::{Checkpoint, Gap, Lease, shard_of};
use super::position::Position;
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

impl Consumer {
    pub(super) fn lease_write(&mut self, entry: &Entry, key: &Item, new: Option<&Item>, findings: &mut Findings) {
        let Some(shard) = leased_shard(key) else { return };
        findings.count("lease writes");
        let Some(new) = new else {
            self.lease_deleted(entry, shard, findings);
            return;
        };
        if let Some(gap) = Gap::read(new) {
            // It is written again when it closes.
            if !self.gaps.contains(&gap) {
                findings.count("gaps in the ledger");
                self.gaps.push(gap);
            }
            return;
        }
        let Some(lease) = Lease::read(new) else { return };
        self.begun = true;
        self.refusals.remove(&(entry.worker.clone(), shard.to_owned()));
        let held = Held::after(self.leases.get(shard), lease.clone(), entry);
        let before = self.leases.insert(shard.to_owned(), held);
        let goes_on = before.as_ref().is_some_and(|before| before.goes_on(&lease, entry, self.failover));
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.leased = true;
            shard.tenure += u64::from(!goes_on);
        }
        if let Some(before) = &before {
            self.check_holder(entry, shard, before, &lease, findings);
            self.note_leaving(entry, shard, &before.lease, Some(&lease));
        }
        if before.is_some_and(|before| before.lease.checkpoint == lease.checkpoint) {
            return;
        }
        let through = match &lease.checkpoint {
            Checkpoint::None => return,
            Checkpoint::At(position) => Some(position),
            Checkpoint::End => {
                self.done.insert(shard.to_owned());
                None
            }
        };
        if let Some(pending) = self.first_pending(shard, through, entry.at) {
            let what = format!(
                "{} checkpointed {shard} at {} while the record at {} is not durable",
                entry.worker,
                through.map_or_else(|| "its end".to_owned(), Position::to_string),
                pending.position
            );
            findings.violate(Invariant::DurableBeforeCheckpoint, entry.at, what);
        }
    }

    /// A lease was deleted. What empties the table has no name; a worker forgets what is done.
    fn lease_deleted(&mut self, entry: &Entry, shard: &str, findings: &mut Findings) {
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.tenure += 1;
        }
        let before = self.leases.remove(shard);
        if let Some(before) = &before {
            self.note_leaving(entry, shard, &before.lease, None);
        }
        if !entry.worker.is_empty() && before.is_some_and(|before| before.lease.checkpoint != Checkpoint::End) {
            findings.violate(
                Invariant::NoSilentLoss,
                entry.at,
                format!("{} deleted the lease of {shard}, which is not done", entry.worker),
            );
        }
    }

    /// The leases whose checkpoints stayed behind what is durable. What is durable and was trimmed before it was checkpointed is never met again, and
    /// what leaves nothing behind the stream (`leaves`, by the record's number) may be read again.
    pub(super) fn stuck_checkpoints(&self, leaves: impl Fn(usize) -> bool) -> impl Iterator<Item = String> {
        self.leases.iter().filter_map(move |(name, held)| {
            let shard = self.shards.get(name).filter(|shard| !shard.forgotten)?;
            let mut records = shard.records.iter().rev().filter(|index| leaves(**index)).map(|index| &self.records[*index]);
            let last = &records.find(|record| matches!(record.fate, Fate::Durable { .. }))?.position;
            if shard.trimmed.as_ref().is_some_and(|trimmed| last.sequence <= *trimmed) {
                return None;
            }
            let behind = match &held.lease.checkpoint {
                Checkpoint::None => true,
                Checkpoint::At(position) => position < last,
                Checkpoint::End => false,
            };
            behind.then(|| format!("the checkpoint of {name} stays behind {last}, which is durable"))
        })
    }

    pub(super) fn refused(&mut self, entry: &Entry, key: &Item, findings: &mut Findings) {
        findings.count("refused lease writes");
        let Some(shard) = leased_shard(key) else { return };
        if self.leases.get(shard).is_some_and(|held| held.lease.is_held_by(&entry.worker)) {
            // It may take that for the loss of the lease.
            if let Some(shard) = self.shards.get_mut(shard) {
                shard.tenure += 1;
            }
            return;
        }
        let refusals = self.refusals.entry((entry.worker.clone(), shard.to_owned())).or_default();
        if refusals.heard == 0 || std::mem::take(&mut refusals.read_since) {
            refusals.heard += 1;
        }
    }

    pub(super) fn iterator(&mut self, entry: &Entry, shard: &str, kind: &str, position: Option<&str>, findings: &mut Findings) {
        self.check_parents(entry, shard, findings);
        self.note_beginning(&entry.worker, shard);
        let asked = position.and_then(Sequence::parse);
        if let Some(shard) = self.shards.get_mut(shard) {
            let goes_on = kind == "AFTER_SEQUENCE_NUMBER" && asked >= shard.read_to;
            shard.tenure += u64::from(!goes_on);
        }
        let Some(lease) = self.leases.get(shard).map(|held| &held.lease).filter(|lease| lease.is_held_by(&entry.worker)) else { return };
        let Checkpoint::At(checkpoint) = &lease.checkpoint else { return };
        let again = match (kind, asked) {
            // A record of Kinesis may hold several of ours, and the checkpoint stand in the middle of them.
            ("AT_SEQUENCE_NUMBER", Some(asked)) if self.has_packed_records => asked < checkpoint.sequence,
            ("AT_SEQUENCE_NUMBER", Some(asked)) => asked <= checkpoint.sequence,
            ("AFTER_SEQUENCE_NUMBER", Some(asked)) => asked < checkpoint.sequence,
            // Whatever the checkpoint says: right only where it is trimmed, and then the ledger tells.
            _ => !self.gaps.iter().any(|gap| gap.origin() == shard),
        };
        if again {
            let position = position.unwrap_or_default();
            let what = format!("{} reads {shard} from {kind} {position}, though it is durable through {checkpoint}", entry.worker);
            findings.violate(Invariant::ResumeAfter, entry.at, what);
        }
    }

    pub(super) fn page(&mut self, entry: &Entry, shard: &str, last: Option<&Sequence>, findings: &mut Findings) {
        findings.count(if last.is_some() { "pages" } else { "empty pages" });
        self.check_parents(entry, shard, findings);
        self.check_patience(entry, shard, findings);
        if let (Some(shard), Some(last)) = (self.shards.get_mut(shard), last) {
            shard.read_to = shard.read_to.take().max(Some(last.clone()));
        }
        let Some(refusals) = self.refusals.get_mut(&(entry.worker.clone(), shard.to_owned())) else { return };
        refusals.read_since = true;
        if refusals.heard == REFUSALS {
            refusals.heard += 1;
            let what = format!("{} reads on in {shard} after {REFUSALS} refusals of a lease that it does not hold", entry.worker);
            findings.violate(Invariant::OneWriter, entry.at, what);
        }
    }

    fn check_parents(&self, entry: &Entry, shard: &str, findings: &mut Findings) {
        for parent in self.shards.get(shard).into_iter().flat_map(|shard| &shard.parents) {
            // A parent that is no longer listed has expired and counts as done.
            let is_there = self.shards.get(parent).is_some_and(|parent| !parent.forgotten);
            if is_there && !self.done.contains(parent) {
                let what = format!("{} reads {shard} before its parent {parent} is done", entry.worker);
                findings.violate(Invariant::ParentFirst, entry.at, what);
            }
        }
    }
}

/// The shard whose lease has this key.
fn leased_shard(key: &Item) -> Option<&str> {
    match key.get("leaseKey") {
        Some(AttributeValue::S(key)) => Some(shard_of(key)),
        _ => None,
    }
}
