//! Who holds a lease, and how it may change hands: one-writer, balanced.
//!
//! A lease names its owner, and while it is being handed over also its checkpoint owner: the one who held it before, who alone writes checkpoints until
//! it has passed the lease on by taking its own name off.

use std::collections::BTreeMap;

use super::consumer::Consumer;
use super::findings::{Findings, Invariant};
use super::ledger::{Checkpoint, Lease};
use crate::journal::Entry;

/// A holder that was asked for its lease has so long to hand it over, in milliseconds.
const HAND_OVER: i64 = 30_000;
/// A request that nothing holds up takes effect within this time of its sending, in milliseconds.
const ON_THE_WAY: i64 = 1_000;

/// A lease as it stands.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) lease: Lease,
    /// When its holder last wrote it, or it was taken (milliseconds since the epoch): the holder lived then.
    written: i64,
    /// When somebody asked the holder to hand it over, as long as that is open.
    asked: Option<i64>,
    /// Whether who asked has begun to read before it was handed over.
    begun_early: bool,
}

/// Until when what somebody sends for a shard may still arrive that no longer holds its lease.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    until: i64,
}

/// What a write to a lease means for who holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passing {
    /// The holder stays.
    Kept,
    /// Nobody held it.
    Taken,
    /// The holder gives it up.
    Released,
    /// Another one has taken it without asking.
    TakenOver,
    /// Another one asks the holder to hand it over.
    Asked,
    /// The holder has passed it on to the one who asked.
    HandedOver,
    /// It was taken by somebody who did not wait for the holder to pass it on.
    TimedOut,
    /// What no worker may do.
    Wrong,
}

impl Passing {
    /// Tells it from what the lease was and is. `worker`: who wrote it.
    fn between(before: &Lease, after: &Lease, worker: &str) -> Self {
        let is_same_owner = before.owner == after.owner;
        match (&before.checkpoint_owner, &after.checkpoint_owner) {
            (None, Some(asked)) => {
                let is_of_holder = before.owner.as_ref() == Some(asked) && !is_same_owner;
                let is_untouched = before.counter == after.counter && before.checkpoint == after.checkpoint;
                if is_of_holder && is_untouched && after.is_owned_by(worker) { Self::Asked } else { Self::Wrong }
            }
            (Some(asked), Some(still)) if asked == still && is_same_owner => Self::Kept,
            (Some(_), Some(_)) => Self::Wrong,
            (Some(_), None) if before.is_held_by(worker) && is_same_owner => Self::HandedOver,
            (Some(_), None) if after.owner.is_none() => Self::Released,
            (Some(_), None) => Self::TimedOut,
            (None, None) if is_same_owner => Self::Kept,
            (None, None) if before.owner.is_none() => Self::Taken,
            (None, None) if after.owner.is_none() => Self::Released,
            (None, None) => Self::TakenOver,
        }
    }
}

impl Held {
    /// The lease as an entry leaves it.
    pub(super) fn after(before: Option<&Self>, lease: Lease, entry: &Entry) -> Self {
        let passing = before.map_or(Passing::Taken, |before| Passing::between(&before.lease, &lease, &entry.worker));
        let (asked, begun_early) = before.map_or((None, false), |before| (before.asked, before.begun_early));
        match passing {
            // It is no sign of life of the holder.
            Passing::Asked => {
                Self { lease, written: before.map_or(entry.at, |before| before.written), asked: Some(entry.at), begun_early: false }
            }
            Passing::Kept => Self { lease, written: entry.at, asked, begun_early },
            _ => Self { lease, written: entry.at, asked: None, begun_early: false },
        }
    }

    /// Whether an entry leaves the lease with a holder who goes on with its work.
    pub(super) fn goes_on(&self, lease: &Lease, entry: &Entry, failover: i64) -> bool {
        self.lease.holder() == lease.holder() && entry.at - self.written < failover
    }

    /// The one who waits for the lease to be handed over, if a worker is that.
    fn waits(&self, worker: &str) -> bool {
        self.lease.checkpoint_owner.is_some() && self.lease.is_owned_by(worker) && !self.lease.is_held_by(worker)
    }
}

impl Consumer {
    /// Only the holder moves a checkpoint, and only forward; a lease is given up and handed over by its holder, and taken only from one who was silent
    /// for long enough or did not hand it over in time.
    pub(super) fn check_holder(&self, entry: &Entry, shard: &str, before: &Held, lease: &Lease, findings: &mut Findings) {
        let by_holder = before.lease.is_held_by(&entry.worker);
        if before.lease.checkpoint != lease.checkpoint {
            if !by_holder {
                let what = format!("{} moved the checkpoint of {shard} without holding its lease", entry.worker);
                findings.violate(Invariant::OneWriter, entry.at, what);
            }
            if before.lease.checkpoint > lease.checkpoint {
                findings.violate(Invariant::ResumeAfter, entry.at, format!("{} moved the checkpoint of {shard} back", entry.worker));
            }
        }
        let silent = entry.at - before.written;
        let waited = before.asked.map_or(0, |asked| entry.at - asked);
        let wrong = match Passing::between(&before.lease, lease, &entry.worker) {
            Passing::Kept | Passing::Taken => None,
            Passing::Asked => {
                findings.count("hand-overs asked");
                None
            }
            Passing::HandedOver => {
                findings.count("leases handed over");
                None
            }
            Passing::Released => (!by_holder).then(|| "gave up the lease, which it did not hold,".to_owned()),
            Passing::TakenOver => {
                findings.count("leases taken over");
                (!by_holder && silent < self.failover).then(|| format!("{silent} ms after its holder had written it took the lease"))
            }
            Passing::TimedOut => {
                findings.count("hand-overs that timed out");
                let is_hasty = !by_holder && silent < self.failover && waited < HAND_OVER;
                is_hasty
                    .then(|| format!("{silent} ms after its holder had written it, and {waited} ms after it was asked for, took the lease"))
            }
            Passing::Wrong => Some("wrote who is to hand over the lease, in a way that asks for nothing,".to_owned()),
        };
        if let Some(wrong) = wrong {
            findings.violate(Invariant::OneWriter, entry.at, format!("{} {wrong} of {shard}", entry.worker));
        }
    }

    /// Notes who no longer holds the lease of a shard: one that gave it away has sent everything before, one that lost it notices by itself when it
    /// could not renew it for the fail-over time.
    pub(super) fn note_leaving(&mut self, entry: &Entry, shard: &str, before: &Lease, after: Option<&Lease>) {
        let Some(former) = before.holder().filter(|former| after.is_none_or(|after| after.holder() != Some(former))) else { return };
        let former = worker_of(former).to_owned();
        let late = if former == entry.worker { 0 } else { self.failover };
        self.left.insert((former, shard.to_owned()), Left { until: entry.at + late + ON_THE_WAY });
    }

    /// Only the holder of a shard's lease sends what the shard holds; one that lost it stops in time. Not for what was held up on its way.
    pub(super) fn check_sender(&self, entry: &Entry, shard: &str, findings: &mut Findings) {
        let Some(held) = self.leases.get(shard).filter(|held| !held.lease.is_held_by(&entry.worker)) else { return };
        let left = self.left.get(&(entry.worker.clone(), shard.to_owned()));
        if left.is_some_and(|left| entry.at <= left.until) {
            return;
        }
        let holder = held.lease.holder().unwrap_or("nobody");
        let what = format!("{} sends what {shard} holds, whose lease {holder} holds for longer than it may take to notice", entry.worker);
        findings.violate(Invariant::OneWriter, entry.at, what);
    }

    /// A worker asks where to read a shard from. One that waits for its lease has to wait with that too.
    pub(super) fn note_beginning(&mut self, worker: &str, shard: &str) {
        if let Some(held) = self.leases.get_mut(shard) {
            held.begun_early |= held.waits(worker);
        }
    }

    /// A worker reads a shard. An answer that it had asked for when it held the lease last may be on its way, but not what follows that.
    pub(super) fn check_patience(&mut self, entry: &Entry, shard: &str, findings: &mut Findings) {
        if let Some(held) = self.leases.get_mut(shard)
            && held.waits(&entry.worker)
            && std::mem::take(&mut held.begun_early)
        {
            let what = format!("{} reads {shard} before its lease is handed over", entry.worker);
            findings.violate(Invariant::OneWriter, entry.at, what);
        }
    }

    /// Why the leases that can be worked on are not shared out evenly over these workers, who all live. None when they are.
    pub(super) fn imbalance(&self, workers: &[String]) -> Option<String> {
        let mut shares: BTreeMap<&str, usize> = workers.iter().map(|worker| (worker.as_str(), 0)).collect();
        if shares.is_empty() {
            return None;
        }
        for (name, held) in self.leases.iter().filter(|(name, held)| held.lease.checkpoint != Checkpoint::End && self.is_readable(name)) {
            if held.lease.checkpoint_owner.is_some() {
                return Some(format!("the lease of {name} is still to be handed over"));
            }
            let holder = held.lease.holder().map(worker_of);
            let Some(share) = holder.and_then(|holder| shares.get_mut(holder)) else {
                return Some(format!("no worker that lives holds the lease of {name}"));
            };
            *share += 1;
        }
        let (least, most) = (shares.values().min()?, shares.values().max()?);
        (most - least > 1).then(|| format!("the workers hold as many leases: {shares:?}"))
    }

    /// Whether a shard is there, and each of its parents done or gone.
    fn is_readable(&self, name: &str) -> bool {
        let is_there = |name: &str| self.shards.get(name).is_some_and(|shard| !shard.forgotten);
        let parents = self.shards.get(name).into_iter().flat_map(|shard| &shard.parents);
        is_there(name) && parents.into_iter().all(|parent| self.done.contains(parent) || !is_there(parent))
    }
}

/// The worker in an owner's name, which is followed by something unique.
pub(super) fn worker_of(owner: &str) -> &str {
    owner.split('/').next().unwrap_or(owner)
}
