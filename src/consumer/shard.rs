//! One shard: pages of its stream into its writer, checkpoints behind what is durable.

mod progress;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::progress::ShardProgress;
use super::origin::Origin;
use super::parked::ParkedItems;
use super::watermark::Watermark;
use super::{ConsumerError, Context};
use crate::aws::Failure;
use crate::event::{Position, ShardId};
use crate::lease::held::{HeldLease, Hold};
use crate::lease::{Checkpoint, Lease};
use crate::mutant::{self, Mutant};
use crate::retry::{RetryPolicy, retry};
use crate::stream::poll::Rhythm;
use crate::stream::reader::{Read, ShardReader};
use crate::stream::{IteratorStart, ShardInfo, StreamArn, describe_all};

/// A closed shard's children may be listed late: this many looks, 50 ms apart at first and up to a second.
const LOOKS_FOR_CHILDREN: u32 = 10;
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_LOOK: Duration = Duration::from_secs(1);

/// How the work on a shard ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Everything is durable and the shard takes no more.
    Ended,
    /// Another worker has the lease.
    Lost,
    /// Stopped on request; what was read is durable and the lease is released.
    Drained,
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

/// The work on one shard.
pub(super) struct ShardTask {
    context: Arc<Context>,
    held: HeldLease,
    origin: Origin,
    /// For how many seconds the stream keeps a record.
    retention: i64,
    draining: CancellationToken,
}

impl ShardTask {
    pub(super) fn new(context: Arc<Context>, held: HeldLease, origin: Origin, retention: i64, draining: CancellationToken) -> Self {
        Self { context, held, origin, retention, draining }
    }

    /// Works until the shard ends, the lease is lost or the process drains. A lost lease drops the work where it stands: nothing of it is
    /// checkpointed.
    pub(super) async fn run(self) -> Result<Outcome, ConsumerError> {
        let Some(outcome) = self.held.while_held(self.context.failover, Box::pin(self.work())).await else { return Ok(Outcome::Lost) };
        if !matches!(outcome, Ok(Outcome::Ended | Outcome::Lost))
            && let Err(error) = self.held.release().await
        {
            tracing::warn!(%error, "the lease could not be released; it expires by itself");
        }
        outcome
    }

    async fn work(&self) -> Result<Outcome, ConsumerError> {
        let context = &self.context;
        if let Some(through) = self.origin.dealt_with_through {
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
            task: self,
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
            unread_since: self.origin.unread_since,
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
                () = self.draining.cancelled() => {
                    return match progress.flush().await? {
                        Flushed::Whole | Flushed::Rewound => Ok(Outcome::Drained),
                        Flushed::Lost => Ok(Outcome::Lost),
                    };
                }
                () = progress.writer.due() => {
                    let written = progress.writer.poll().await?;
                    progress.keep_going(written).await?
                }
                read = progress.reader.next() => match read? {
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
        match retry(RetryPolicy::SERVICE, &self.draining, || describe_all(self.context.source.api.as_ref(), &stream)).await {
            Ok((_, listed)) => Ok(listed.iter().any(|listed| listed.id == *shard)),
            Err(error) if error.failure == Failure::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Children get their leases before the parent is marked as done, so that no moment exists at which nothing points to them.
    async fn finish(&self, shard: &ShardId, mut children: Vec<ShardInfo>) -> Result<Outcome, ConsumerError> {
        let context = &self.context;
        let lease = self.held.current().await;
        let stream = lease.stream;
        let mut pause = FIRST_LOOK;
        for _ in 0..LOOKS_FOR_CHILDREN {
            if !children.is_empty() {
                break;
            }
            let listed = retry(RetryPolicy::SERVICE, &self.draining, || describe_all(context.source.api.as_ref(), &stream)).await;
            let (enabled, shards) = match listed {
                Ok(listed) => listed,
                Err(_) if self.draining.is_cancelled() => return Ok(Outcome::Drained),
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
                    () = self.draining.cancelled() => return Ok(Outcome::Drained),
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
    Lease {
        shard: child.id,
        stream,
        parents: child.parents,
        owner: None,
        counter: 0,
        checkpoint,
        last_sequence: None,
        durable_through,
        found_at: Some(now),
        done_at: None,
        segment: None,
    }
}
