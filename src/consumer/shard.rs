//! One shard: pages of its stream into its writer, checkpoints behind what is durable.

mod progress;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::progress::ShardProgress;
use super::board::{Doing, Place};
use super::origin::Origin;
use super::parked::ParkedItems;
use super::watermark::Watermark;
use super::{ConsumerError, Context};
use crate::aws::{Failure, describe};
use crate::event::{Position, ShardId};
use crate::lease::handover::{self, HandOver};
use crate::lease::held::{HeldLease, Hold};
use crate::lease::{Checkpoint, Lease};
use crate::mutant::{self, Mutant};
use crate::retry::{Delays, RetryPolicy, Transient as _, retry};
use crate::stream::poll::Rhythm;
use crate::stream::reader::{Read, ShardReader};
use crate::stream::{IteratorStart, ShardInfo, StreamArn, describe_all};

/// A closed shard's children may be listed late: this many looks, 50 ms apart at first and up to a second.
const LOOKS_FOR_CHILDREN: u32 = 10;
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_LOOK: Duration = Duration::from_secs(1);

/// How long a shard waits for something to pass: a minute at most, so that it goes on soon after; there is no end to it.
const WAITING: RetryPolicy = RetryPolicy { first: Duration::from_secs(1), longest: Duration::from_mins(1), give_up_after: Duration::MAX };

/// How the work on a shard ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Everything is durable and the shard takes no more.
    Ended,
    /// Another worker has the lease, or may have it.
    Lost,
    /// Another worker asked for the shard; what was read is durable and the lease is passed on.
    HandedOver,
    /// The shard that was asked for is done, or somebody else's.
    Gone,
    /// Stopped on request; what was read is durable and the lease is released.
    Drained,
}

/// How this process came by a shard.
pub(super) enum Claim {
    /// Its lease was free and is taken, by a write sent then.
    Taken(Lease, Instant),
    /// Its holder is asked to hand it over.
    Asked(Lease),
}

/// What follows a page.
enum Next {
    Page,
    /// The shard ends; these continue it, as far as its last page names them.
    End(Vec<ShardInfo>),
    Lost,
}

/// What became of making everything durable that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flushed {
    Whole,
    /// Another process was ahead; reading goes on behind what it has landed.
    Rewound,
    Lost,
}

/// A shard that is to be worked on.
pub(super) struct ShardTask {
    context: Arc<Context>,
    origin: Origin,
    /// For how many seconds the stream keeps a record.
    retention: i64,
    place: Place,
    /// Cancelled when the process drains, and when another worker asks for the shard.
    stopping: CancellationToken,
}

impl ShardTask {
    pub(super) fn new(context: Arc<Context>, origin: Origin, retention: i64, place: Place, stopping: CancellationToken) -> Self {
        Self { context, origin, retention, place, stopping }
    }

    /// Works until the shard ends, the lease is lost or asked for, or the process drains. A lost lease drops the work where it stands: nothing of it is
    /// checkpointed.
    pub(super) async fn run(self, claim: Claim) -> Result<Outcome, ConsumerError> {
        let context = &self.context;
        let (lease, sent) = match claim {
            Claim::Taken(lease, sent) => (lease, sent),
            Claim::Asked(asked) => {
                let received = tokio::select! {
                    received = handover::receive(&context.leases, &asked, &context.owner, context.failover) => received,
                    // Whoever has it passes it on to nobody, and it expires.
                    () = self.stopping.cancelled() => return Ok(Outcome::Drained),
                };
                match received {
                    Ok(HandOver::Passed(lease, sent)) => {
                        context.counters.stolen();
                        (lease, sent)
                    }
                    Ok(HandOver::Forced(lease, sent)) => {
                        context.counters.taken();
                        (lease, sent)
                    }
                    Ok(HandOver::Gone) => return Ok(Outcome::Gone),
                    Err(error) if error.is_transient() => {
                        tracing::warn!(shard = %asked.shard, %error, "a shard that was asked for cannot be received");
                        return Ok(Outcome::Gone);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        tracing::info!(stage = context.source.stage, shard = %lease.shard, checkpoint = ?lease.checkpoint, "reading shard");
        self.place.now(Doing::Reading);
        let held = HeldLease::new(Arc::clone(&context.leases), lease, sent, self.stopping.clone());
        let failover = context.failover;
        HeldShard { task: self, held }.run(failover).await
    }
}

/// The work on one shard whose lease is held.
pub(super) struct HeldShard {
    task: ShardTask,
    held: HeldLease,
}

impl HeldShard {
    async fn run(self, failover: Duration) -> Result<Outcome, ConsumerError> {
        let work = async {
            tokio::select! {
                outcome = self.persist() => outcome,
                // Who has asked for the shard waits no longer: what is not durable by now is read again.
                () = self.overdue() => Ok(Outcome::Drained),
            }
        };
        let Some(outcome) = self.held.while_held(failover, Box::pin(work)).await else { return Ok(Outcome::Lost) };
        if matches!(outcome, Ok(Outcome::Ended | Outcome::Lost)) {
            return outcome;
        }
        let passed_on = self.held.release(failover).await;
        if passed_on && outcome.is_ok() {
            return Ok(Outcome::HandedOver);
        }
        outcome
    }

    /// Resolves when it is time to give the shard up, finished or not.
    async fn overdue(&self) {
        self.task.stopping.cancelled().await;
        sleep(handover::TIME_TO_FINISH).await;
    }

    /// Works, and where something is in the way that may pass, waits and goes on from the checkpoint: what was taken meanwhile is dropped, and its
    /// memory is others' to use. Each shard waits by itself and for a time of its own, so that what comes back is not met by all at once.
    async fn persist(&self) -> Result<Outcome, ConsumerError> {
        let mut delays = Delays::new(WAITING);
        loop {
            let begun = self.held.current().await;
            let error = match Box::pin(self.work()).await {
                Err(error) if error.may_pass() => error,
                outcome => return outcome,
            };
            let lease = self.held.current().await;
            if (lease.checkpoint, lease.durable_through) != (begun.checkpoint, begun.durable_through) {
                delays.reset();
            }
            let problem = describe(&error);
            let delay = delays.next_delay().unwrap_or(WAITING.longest);
            tracing::warn!(shard = %lease.shard, error = problem, delay_ms = delay.as_millis(), "the shard waits, and goes on from its checkpoint");
            self.task.place.now(Doing::Waiting(problem));
            tokio::select! {
                () = sleep(delay) => {}
                () = self.task.stopping.cancelled() => return Ok(Outcome::Drained),
            }
        }
    }

    async fn work(&self) -> Result<Outcome, ConsumerError> {
        let context = &self.task.context;
        if let Some(through) = self.task.origin.dealt_with_through {
            // So that the shards that continue this one know it too.
            self.held.note_durable_through(through).await;
        }
        let lease = self.held.current().await;
        let (position, durable, not_before) = match lease.checkpoint {
            Checkpoint::TrimHorizon => (IteratorStart::TrimHorizon, None, None),
            Checkpoint::AtTimestamp(seconds) => (IteratorStart::At(seconds), None, Some(seconds)),
            Checkpoint::At(sequence) => (IteratorStart::After(sequence), Some(sequence), None),
            Checkpoint::ShardEnd => return Ok(Outcome::Ended),
        };
        let mut progress = ShardProgress {
            work: self,
            shard: lease.shard.clone(),
            reader: ShardReader::new(
                Arc::clone(&context.source.api),
                lease.stream.clone(),
                lease.shard.clone(),
                position,
                Rhythm::new(context.source.settings.idle_poll, context.source.pace),
                Arc::clone(&context.pages),
                context.clock.clone(),
            ),
            writer: context.route.open(&lease.shard, durable.unwrap_or(Position::ZERO)).await?,
            read: durable,
            durable,
            not_before,
            watermark: Watermark::default(),
            order_checked: durable.is_some(),
            // What has been confirmed since the task began counts.
            unread_since: lease.durable_through.max(self.task.origin.unread_since),
            has_vanished: false,
            parked: ParkedItems::open(&context.quarantine, &lease.shard, context.later_records)
                .await
                .map_err(|source| ConsumerError::Quarantine { shard: lease.shard.clone(), source })?,
        };
        let outcome = self.consume(&lease.shard, &mut progress).await;
        if outcome.is_err() {
            progress.settle().await;
        }
        outcome
    }

    async fn consume(&self, shard: &ShardId, progress: &mut ShardProgress<'_>) -> Result<Outcome, ConsumerError> {
        loop {
            let next = tokio::select! {
                biased;
                () = self.task.stopping.cancelled() => {
                    return match progress.flush().await? {
                        Flushed::Whole | Flushed::Rewound => Ok(Outcome::Drained),
                        Flushed::Lost => Ok(Outcome::Lost),
                    };
                }
                () = progress.writer.due() => {
                    let written = progress.writer.poll().await?;
                    progress.keep_going(written).await?
                }
                // Who waits with a page in hand for a target that takes nothing would keep others from reading.
                read = progress.reader.next(), if !progress.writer.is_stuck() => match read? {
                    Read::Page(page) => progress.take(&page).await?,
                    Read::Trimmed => progress.trimmed().await?,
                    Read::Vanished => progress.vanished().await?,
                },
            };
            match next {
                Next::Page => {}
                Next::Lost => return Ok(Outcome::Lost),
                Next::End(children) => match progress.flush().await? {
                    Flushed::Whole => return self.finish(shard, children).await,
                    // Another process landed a part of the tail: the rest is read again before the shard can end.
                    Flushed::Rewound => {}
                    Flushed::Lost => return Ok(Outcome::Lost),
                },
            }
        }
    }

    async fn is_listed(&self, shard: &ShardId) -> Result<bool, ConsumerError> {
        let stream = self.held.current().await.stream;
        match retry(RetryPolicy::SERVICE, &self.task.stopping, || describe_all(self.task.context.source.api.as_ref(), &stream)).await {
            Ok((_, listed)) => Ok(listed.iter().any(|listed| listed.id == *shard)),
            Err(error) if error.failure == Failure::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Children get their leases before the parent is marked as done, so that no moment exists at which nothing points to them.
    async fn finish(&self, shard: &ShardId, mut children: Vec<ShardInfo>) -> Result<Outcome, ConsumerError> {
        let context = &self.task.context;
        let lease = self.held.current().await;
        let stream = lease.stream;
        let mut pause = FIRST_LOOK;
        for _ in 0..LOOKS_FOR_CHILDREN {
            if !children.is_empty() {
                break;
            }
            let listed = retry(RetryPolicy::SERVICE, &self.task.stopping, || describe_all(context.source.api.as_ref(), &stream)).await;
            let (enabled, shards) = match listed {
                Ok(listed) => listed,
                Err(_) if self.task.stopping.is_cancelled() => return Ok(Outcome::Drained),
                // The whole stream is gone, and with it every child.
                Err(error) if error.failure == Failure::NotFound => break,
                Err(error) => return Err(error.into()),
            };
            children = shards.into_iter().filter(|listed| listed.parents.contains(shard)).collect();
            if !enabled {
                break;
            }
            if children.is_empty() {
                tokio::select! {
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_LOOK),
                    () = self.task.stopping.cancelled() => return Ok(Outcome::Drained),
                }
            }
        }
        for child in children {
            let new = child_lease(child, stream.clone(), lease.durable_through, context.clock.unix_seconds());
            context.leases.create(&new).await?;
        }
        match self.held.finish(context.clock.unix_seconds()).await? {
            Hold::Kept => {
                tracing::info!(%shard, "shard is done");
                Ok(Outcome::Ended)
            }
            Hold::Lost => Ok(Outcome::Lost),
        }
    }
}

/// Everything that the parent held is durable, so the child's own changes are the first that can be missing.
fn child_lease(child: ShardInfo, stream: StreamArn, durable_through: Option<i64>, now: i64) -> Lease {
    let checkpoint = if mutant::armed(Mutant::LatestForChildren) { Checkpoint::AtTimestamp(now) } else { Checkpoint::TrimHorizon };
    Lease { parents: child.parents, durable_through, found_at: Some(now), ..Lease::new(child.id, stream, checkpoint) }
}
