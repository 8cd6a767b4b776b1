//! A lease that this process holds.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::snapshot::SegmentProgress;
use super::table::{LeaseTable, SequenceOrEnd, Update, Write};
use super::{Checkpoint, Lease};
use crate::aws::AwsError;
use crate::event::Position;
use crate::mutant::{self, Mutant};

/// Whether the lease is still ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It is.
    Kept,
    /// Another worker has it: stop at once, nothing more of the shard may be checkpointed.
    Lost,
}

/// A held lease. Renewals and checkpoints both move its counter, so they take turns.
#[derive(Debug)]
pub struct HeldLease {
    table: Arc<LeaseTable>,
    lease: Mutex<Lease>,
}

impl HeldLease {
    /// A lease that was just taken.
    pub fn new(table: Arc<LeaseTable>, lease: Lease) -> Self {
        Self { table, lease: Mutex::new(lease) }
    }

    /// The lease as it now stands.
    pub async fn current(&self) -> Lease {
        self.lease.lock().await.clone()
    }

    /// Takes note of how far in time the shard is durable; written with the next renewal or checkpoint.
    pub async fn note_durable_through(&self, seconds: i64) {
        let mut lease = self.lease.lock().await;
        lease.durable_through = lease.durable_through.max(Some(seconds));
    }

    /// Moves the checkpoint to a durable record. It never moves back.
    pub async fn checkpoint(&self, sequence: Position) -> Result<Hold, AwsError> {
        let mut lease = self.lease.lock().await;
        if matches!(lease.checkpoint, Checkpoint::At(at) if at >= sequence) {
            return Ok(Hold::Kept);
        }
        let write = self.table.update(&lease, Update::Checkpoint(SequenceOrEnd::Sequence(sequence))).await?;
        Ok(keep(&mut lease, write))
    }

    /// As [`checkpoint`](Self::checkpoint), of a segment of a snapshot: where its reading goes on may change though no row came.
    pub async fn segment(&self, reached: SequenceOrEnd, progress: SegmentProgress) -> Result<Hold, AwsError> {
        let mut lease = self.lease.lock().await;
        let write = self.table.update(&lease, Update::Segment(reached, progress)).await?;
        Ok(keep(&mut lease, write))
    }

    /// Marks the shard as done for good.
    pub async fn finish(&self, now: i64) -> Result<Hold, AwsError> {
        let mut lease = self.lease.lock().await;
        let write = self.table.update(&lease, Update::Checkpoint(SequenceOrEnd::End(now))).await?;
        Ok(keep(&mut lease, write))
    }

    /// Gives the lease up, so that another worker need not wait for it to expire.
    pub async fn release(&self) -> Result<(), AwsError> {
        let mut lease = self.lease.lock().await;
        let write = self.table.update(&lease, Update::Release).await?;
        keep(&mut lease, write);
        Ok(())
    }

    /// Does `work` while the lease is held, and renews it meanwhile. None when the lease was lost: the work is dropped where it stands, and nothing
    /// more of it is checkpointed.
    pub async fn while_held<T>(&self, failover: Duration, work: impl Future<Output = T>) -> Option<T> {
        let done = CancellationToken::new();
        let renewals = self.keep_alive(failover, &done);
        tokio::pin!(work, renewals);
        tokio::select! {
            outcome = &mut work => {
                done.cancel();
                renewals.await;
                Some(outcome)
            }
            _ = &mut renewals => None,
        }
    }

    /// Renews the lease three times per fail-over time until `done` is cancelled or the lease is lost. While the table cannot be
    /// reached the work goes on: no checkpoint can be written then, and if another worker takes the lease, the next renewal tells.
    async fn keep_alive(&self, failover: Duration, done: &CancellationToken) -> Hold {
        let period = failover / 3;
        let mut beat = tokio::time::interval_at(Instant::now() + period, period);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = done.cancelled() => return Hold::Kept,
                _ = beat.tick() => {}
            }
            // Not cut short by `done`: a renewal whose outcome is unknown would cost the holder the next write.
            let mut lease = self.lease.lock().await;
            match self.table.update(&lease, Update::Renew).await {
                Ok(write) => {
                    if keep(&mut lease, write) == Hold::Lost {
                        return Hold::Lost;
                    }
                }
                Err(error) => tracing::warn!(shard = %lease.shard, %error, "the lease could not be renewed; trying again"),
            }
        }
    }
}

fn keep(held: &mut Lease, write: Write) -> Hold {
    match write {
        Write::Done(lease) => {
            *held = lease;
            Hold::Kept
        }
        Write::Lost if mutant::armed(Mutant::IgnoreLostLease) => Hold::Kept,
        Write::Lost => Hold::Lost,
    }
}
