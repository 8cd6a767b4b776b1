//! A lease that this process holds.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
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
    /// When the last write that took effect was sent: others may take the lease no sooner than the fail-over time after that.
    confirmed: watch::Sender<Instant>,
    /// Cancelled when another worker asks for the lease: the work is to be finished and the lease passed on.
    asked: CancellationToken,
}

impl HeldLease {
    /// A lease that was taken by a write sent at `sent`. `asked` is cancelled when another worker asks for it.
    pub fn new(table: Arc<LeaseTable>, lease: Lease, sent: Instant, asked: CancellationToken) -> Self {
        Self { table, lease: Mutex::new(lease), confirmed: watch::Sender::new(sent), asked }
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
        self.write(&mut lease, Update::Checkpoint(SequenceOrEnd::Sequence(sequence))).await
    }

    /// As [`checkpoint`](Self::checkpoint), of a segment of a snapshot: where its reading goes on may change though no row came.
    pub async fn segment(&self, reached: SequenceOrEnd, progress: SegmentProgress) -> Result<Hold, AwsError> {
        let mut lease = self.lease.lock().await;
        self.write(&mut lease, Update::Segment(reached, progress)).await
    }

    /// Marks the shard as done for good.
    pub async fn finish(&self, now: i64) -> Result<Hold, AwsError> {
        let mut lease = self.lease.lock().await;
        self.write(&mut lease, Update::Checkpoint(SequenceOrEnd::End(now))).await
    }

    /// Gives the lease up, so that another worker need not wait for it to expire, or passes it on to the one who has asked for it. True when that was
    /// passed on. Whatever goes wrong is told in the log only: the lease expires by itself.
    pub async fn release(&self, failover: Duration) -> bool {
        let mut lease = self.lease.lock().await;
        let released = timeout(failover, self.write(&mut lease, Update::Release)).await;
        match released {
            // Passed on, it has an owner.
            Ok(Ok(hold)) => return hold == Hold::Kept && lease.owner.is_some(),
            Ok(Err(error)) => tracing::warn!(shard = %lease.shard, %error, "the lease could not be released; it expires by itself"),
            Err(_) => tracing::warn!(shard = %lease.shard, "the lease could not be released in time; it expires by itself"),
        }
        false
    }

    /// Does `work` while the lease is held, and renews it meanwhile. None when the lease was lost, or when no write to it took effect for the
    /// fail-over time, so that somebody else may have it: the work is dropped where it stands, and nothing more of it is checkpointed. Another worker
    /// takes the lease no sooner, whatever ails the lease table, so that the two overlap in what was under way already and in nothing else.
    pub async fn while_held<T>(&self, failover: Duration, work: impl Future<Output = T>) -> Option<T> {
        let done = CancellationToken::new();
        let renewals = self.keep_alive(failover, &done);
        tokio::pin!(work, renewals);
        tokio::select! {
            // First of all: a process that was stopped for a while must not send anything more when it goes on.
            biased;
            () = self.expired(failover) => {
                tracing::warn!(?failover, "no write to a lease took effect for the fail-over time: the work on its shard is dropped");
                None
            }
            _ = &mut renewals => None,
            outcome = &mut work => {
                done.cancel();
                tokio::select! {
                    () = self.expired(failover) => {}
                    _ = &mut renewals => {}
                }
                Some(outcome)
            }
        }
    }

    /// Resolves when the last write that took effect was sent `failover` ago.
    async fn expired(&self, failover: Duration) {
        // Who ignores that a lease is lost would be stopped by its time before it hears of it.
        if mutant::armed(Mutant::IgnoreFence) || mutant::armed(Mutant::IgnoreLostLease) {
            return std::future::pending().await;
        }
        let mut confirmed = self.confirmed.subscribe();
        loop {
            let until = *confirmed.borrow_and_update() + failover;
            let mut timer = pin!(sleep_until(until));
            // A timer of tokio's is due when its driver has run. A process that was stopped and goes on may come here first, so the clock is asked too.
            let due = poll_fn(|context| if Instant::now() >= until { Poll::Ready(()) } else { timer.as_mut().poll(context) });
            tokio::select! {
                biased;
                Ok(()) = confirmed.changed() => {}
                () = due => return,
            }
        }
    }

    /// Renews the lease three times per fail-over time, unless other writes do, until `done` is cancelled or the lease is lost.
    async fn keep_alive(&self, failover: Duration, done: &CancellationToken) -> Hold {
        let period = failover / 3;
        loop {
            let due = *self.confirmed.borrow() + period;
            tokio::select! {
                () = done.cancelled() => return Hold::Kept,
                () = sleep_until(due.max(Instant::now())) => {}
            }
            // Not cut short by `done`: a renewal whose outcome is unknown would cost the holder the next write.
            let mut lease = self.lease.lock().await;
            if self.confirmed.borrow().elapsed() < period {
                continue;
            }
            match self.write(&mut lease, Update::Renew).await {
                Ok(Hold::Kept) => {}
                Ok(Hold::Lost) => return Hold::Lost,
                Err(error) => {
                    tracing::warn!(shard = %lease.shard, %error, "the lease could not be renewed; trying again");
                    drop(lease);
                    tokio::select! {
                        () = done.cancelled() => return Hold::Kept,
                        () = sleep(period) => {}
                    }
                }
            }
        }
    }

    async fn write(&self, lease: &mut Lease, update: Update) -> Result<Hold, AwsError> {
        loop {
            let sent = Instant::now();
            match self.table.update(lease, update.clone()).await? {
                Write::Done(now) => {
                    *lease = now;
                    self.confirmed.send_replace(sent);
                    if lease.handing_over.is_some() {
                        self.asked.cancel();
                    }
                    return Ok(Hold::Kept);
                }
                // Once more, as the one who hands it over.
                Write::Asked(Lease { owner, handing_over, .. }) => {
                    (lease.owner, lease.handing_over) = (owner, handing_over);
                    self.asked.cancel();
                }
                Write::Lost if mutant::armed(Mutant::IgnoreLostLease) => return Ok(Hold::Kept),
                Write::Lost => return Ok(Hold::Lost),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_smithy_http_client::test_util::NeverClient;

    use super::*;
    use crate::event::ShardId;
    use crate::stream::StreamArn;

    const FAILOVER: Duration = Duration::from_secs(10);

    /// A lease in a table that takes every request and answers none.
    fn held_in_a_silent_table() -> HeldLease {
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
            .http_client(NeverClient::new())
            .build();
        let table = Arc::new(LeaseTable::new(&sdk, "leases", CancellationToken::new()));
        let lease = Lease::new(ShardId::new("a"), StreamArn::new("stream"), Checkpoint::TrimHorizon);
        HeldLease::new(table, Lease { owner: Some("me".to_owned()), ..lease }, Instant::now(), CancellationToken::new())
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_that_cannot_write_to_its_lease_drops_the_work_when_others_may_take_it() {
        let held = held_in_a_silent_table();
        let begun = Instant::now();
        assert_eq!(held.while_held(FAILOVER, std::future::pending::<()>()).await, None);
        assert_eq!(begun.elapsed(), FAILOVER);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_waits_for_a_checkpoint_is_dropped_too() {
        let held = held_in_a_silent_table();
        let begun = Instant::now();
        let work = Box::pin(held.checkpoint("5".parse().unwrap()));
        assert!(held.while_held(FAILOVER, work).await.is_none());
        assert_eq!(begun.elapsed(), FAILOVER);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_slept_in_the_middle_of_its_work_sends_nothing_more_when_it_wakes() {
        let held = held_in_a_silent_table();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut working = pin!(held.while_held(FAILOVER, receiver));
        assert!(futures::poll!(working.as_mut()).is_pending());
        // What it waited for has come meanwhile, and the runtime has not yet looked at its timers.
        sender.send(()).unwrap();
        tokio::time::advance(FAILOVER * 3).await;
        assert_eq!(working.await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_slept_sends_nothing_more_when_it_wakes() {
        let held = held_in_a_silent_table();
        tokio::time::advance(FAILOVER * 3).await;
        assert_eq!(held.while_held(FAILOVER, std::future::ready(())).await, None, "the work was ready, and is not asked");
    }
}
