//! A stage's part of sharing shards out among workers: see [`crate::lease::balance`] for the rule and [`crate::lease::handover`] for how one changes hands.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::board::Doing;
use super::origin::Origin;
use super::shard::{Claim, ShardTask};
use super::{Consumer, ConsumerError};
use crate::event::ShardId;
use crate::lease::Lease;
use crate::lease::balance::{Candidate, Holding, Plan, plan};
use crate::lease::table::Write;
use crate::mutant::{self, Mutant};

impl Consumer {
    /// Takes what is free of the readable shards, or asks a busier worker for one. `seen` is when the leases were read. True when it is
    /// worth looking again soon.
    pub(super) async fn share_out(
        &mut self,
        readable: &[ShardId],
        leases: &[Lease],
        seen: Instant,
        retention: i64,
    ) -> Result<bool, ConsumerError> {
        // Whoever has come to its end meanwhile holds nothing any more.
        let mut ended = false;
        while let Some(done) = self.tasks.try_join_next_with_id() {
            ended |= self.take_leave(done)?;
        }
        let readable: BTreeSet<&ShardId> = readable.iter().collect();
        let of_readable = leases.iter().filter(|lease| readable.contains(&lease.shard));
        let candidates: Vec<_> = of_readable.map(|lease| Candidate { lease, hold: self.holding(lease, seen) }).collect();
        let Plan { take, ask, leaves } = plan(&candidates, &self.context.owner, |below| fastrand::usize(..below));
        let taken: BTreeSet<&ShardId> = take.iter().map(|lease| &lease.shard).collect();
        let free = candidates.iter().filter(|candidate| candidate.hold.is_free());
        self.left = free.map(|candidate| &candidate.lease.shard).filter(|shard| !taken.contains(shard)).cloned().collect();
        for lease in take {
            self.take(lease, leases, retention).await?;
        }
        if let Some(lease) = ask {
            self.ask(lease, leases, retention).await?;
        }
        // The children of what has ended can be read now.
        Ok(leaves || ended)
    }

    fn holding(&self, lease: &Lease, seen: Instant) -> Holding {
        let context = &self.context;
        if self.held.contains_key(&lease.shard) {
            // Where the lease is somebody else's, the task that it was taken from is not at its end yet.
            return if lease.owner.as_deref() == Some(context.owner.as_str()) { Holding::Alive } else { Holding::Leaving };
        }
        let hold = if lease.holder().is_none_or(|holder| holder == context.owner) {
            // No task of ours works on it, so nobody does.
            Holding::Free
        } else if self.observed.has_expired(lease, context.failover, seen) {
            Holding::Expired
        } else {
            return Holding::Alive;
        };
        if self.left.contains(&lease.shard) { Holding::Neglected } else { hold }
    }

    async fn take(&mut self, lease: &Lease, leases: &[Lease], retention: i64) -> Result<(), ConsumerError> {
        let sent = Instant::now();
        let Write::Done(lease) = self.context.leases.take(lease, &self.context.owner).await? else { return Ok(()) };
        self.context.counters.taken();
        self.work_on(Claim::Taken(lease, sent), leases, retention);
        Ok(())
    }

    /// Asks the holder of a lease to hand it over; the task waits for it.
    async fn ask(&mut self, lease: &Lease, leases: &[Lease], retention: i64) -> Result<(), ConsumerError> {
        if mutant::armed(Mutant::StealWithoutAsking) {
            return self.take(lease, leases, retention).await;
        }
        let Write::Done(asked) = self.context.leases.ask(lease, &self.context.owner).await? else { return Ok(()) };
        tracing::info!(stage = self.context.source.stage, shard = %asked.shard, from = asked.holder(), "asking for a shard");
        self.work_on(Claim::Asked(asked), leases, retention);
        Ok(())
    }

    fn work_on(&mut self, claim: Claim, leases: &[Lease], retention: i64) {
        let context = &self.context;
        let (lease, doing) = match &claim {
            Claim::Taken(lease, _) => (lease, Doing::Reading),
            Claim::Asked(lease) => (lease, Doing::TakingOver),
        };
        let (shard, origin) = (lease.shard.clone(), Origin::of(lease, leases, retention));
        let place = context.board.place(shard.clone(), doing, lease.durable_through);
        let task = ShardTask::new(Arc::clone(context), origin, retention, place, self.draining.child_token());
        let of_task = shard.clone();
        let spawned = self.tasks.spawn(async move { (of_task, Box::pin(task.run(claim)).await) });
        self.held.insert(shard, spawned.id());
    }
}
