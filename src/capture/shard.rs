//! One shard: pages of its stream into its writer, checkpoints behind what is durable.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::origin::Origin;
use super::watermark::Watermark;
use super::{CaptureError, Context, RETENTION, RETENTION_MARGIN};
use crate::event::decode::{Decoded, parse_page};
use crate::event::flatten::Flattener;
use crate::event::{SequenceNumber, ShardId, StreamRecord};
use crate::lake::PoisonRecord;
use crate::lease::gap::{Gap, GapKind};
use crate::lease::held::{HeldLease, Hold};
use crate::lease::{Checkpoint, Lease};
use crate::mutant::{self, Mutant};
use crate::retry::{RetryPolicy, retry};
use crate::route::{Progress, ShardWriter};
use crate::stream::poll::Rhythm;
use crate::stream::reader::{RawPage, Read, ShardReader};
use crate::stream::{IteratorStart, StreamArn, describe_all};

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
    End,
    Lost,
}

/// The work on one shard.
pub(super) struct ShardTask {
    context: Arc<Context>,
    held: HeldLease,
    origin: Origin,
    draining: CancellationToken,
}

impl ShardTask {
    pub(super) fn new(context: Arc<Context>, held: HeldLease, origin: Origin, draining: CancellationToken) -> Self {
        Self { context, held, origin, draining }
    }

    /// Works until the shard ends, the lease is lost or the process drains. A lost lease drops the work where it stands: nothing of it is
    /// checkpointed.
    pub(super) async fn run(self) -> Result<Outcome, CaptureError> {
        let done = CancellationToken::new();
        let outcome = {
            let work = self.work();
            let renewals = self.held.keep_alive(self.context.failover, &done);
            tokio::pin!(work, renewals);
            tokio::select! {
                outcome = &mut work => {
                    done.cancel();
                    renewals.await;
                    outcome
                }
                _ = &mut renewals => return Ok(Outcome::Lost),
            }
        };
        if !matches!(outcome, Ok(Outcome::Ended | Outcome::Lost))
            && let Err(error) = self.held.release().await
        {
            tracing::warn!(%error, "the lease could not be released; it expires by itself");
        }
        outcome
    }

    async fn work(&self) -> Result<Outcome, CaptureError> {
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
                Arc::clone(&context.api),
                lease.stream.clone(),
                lease.shard.clone(),
                position,
                Rhythm::new(context.settings.idle_poll),
                Arc::clone(&context.pages),
                context.clock.clone(),
            ),
            writer: context.route.open(&lease.shard, durable.unwrap_or(SequenceNumber::ZERO)).await?,
            flattener: Flattener::new(&context.schema),
            read: durable,
            durable,
            not_before,
            watermark: Watermark::default(),
            order_checked: durable.is_some(),
            unread_since: self.origin.unread_since,
        };
        loop {
            let next = tokio::select! {
                biased;
                () = self.draining.cancelled() => {
                    let written = progress.writer.flush().await?;
                    return match progress.apply(written).await? {
                        Hold::Kept => Ok(Outcome::Drained),
                        Hold::Lost => Ok(Outcome::Lost),
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
                Next::End => {
                    let written = progress.writer.flush().await?;
                    let rewound = matches!(written, Progress::Rewind(_));
                    if progress.apply(written).await? == Hold::Lost {
                        return Ok(Outcome::Lost);
                    }
                    // Another process landed a part of the tail: the rest is read again before the shard can end.
                    if !rewound {
                        return self.finish(&lease.shard).await;
                    }
                }
            }
        }
    }

    /// Children get their leases before the parent is marked as done, so that no moment exists at which nothing points to them.
    async fn finish(&self, shard: &ShardId) -> Result<Outcome, CaptureError> {
        let context = &self.context;
        let lease = self.held.current().await;
        let stream = lease.stream;
        let mut pause = FIRST_LOOK;
        for _ in 0..LOOKS_FOR_CHILDREN {
            let listed = retry(RetryPolicy::SERVICE, &self.draining, || describe_all(context.api.as_ref(), &stream)).await;
            let (enabled, shards) = match listed {
                Ok(listed) => listed,
                Err(_) if self.draining.is_cancelled() => return Ok(Outcome::Drained),
                // The whole stream is gone, and with it every child.
                Err(error) if error.failure == crate::aws::Failure::NotFound => break,
                Err(error) => return Err(error.into()),
            };
            let children: Vec<_> = shards.into_iter().filter(|listed| listed.parent.as_ref() == Some(shard)).collect();
            for child in &children {
                context
                    .leases
                    .create(&child_lease(
                        child.id.clone(),
                        shard.clone(),
                        stream.clone(),
                        lease.durable_through,
                        context.clock.unix_seconds(),
                    ))
                    .await?;
            }
            if !children.is_empty() || !enabled {
                break;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_LOOK);
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
fn child_lease(shard: ShardId, parent: ShardId, stream: StreamArn, durable_through: Option<i64>, now: i64) -> Lease {
    let checkpoint = if mutant::armed(Mutant::LatestForChildren) { Checkpoint::AtTimestamp(now) } else { Checkpoint::TrimHorizon };
    Lease {
        shard,
        stream,
        parents: vec![parent],
        owner: None,
        counter: 0,
        checkpoint,
        last_sequence: None,
        durable_through,
        found_at: Some(now),
        done_at: None,
    }
}

/// Where the work on a shard stands.
struct ShardProgress<'t> {
    task: &'t ShardTask,
    shard: ShardId,
    reader: ShardReader,
    writer: Box<dyn ShardWriter>,
    flattener: Flattener,
    /// The last record that was taken or set aside; anything up to it that comes again is a repetition.
    read: Option<SequenceNumber>,
    /// The last record that is known to be durable.
    durable: Option<SequenceNumber>,
    /// Records made before this time are not wanted.
    not_before: Option<i64>,
    watermark: Watermark,
    order_checked: bool,
    /// While no record has been read: since when there may be some. See [`Origin`].
    unread_since: Option<i64>,
}

impl ShardProgress<'_> {
    /// Takes a page: all of it, unless another process turns out to be ahead.
    async fn take(&mut self, page: &RawPage) -> Result<Next, CaptureError> {
        let parsed = match parse_page(&page.body) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.reader.refuse_page(describe(&error))?;
                return Ok(Next::Page);
            }
        };
        self.task.context.counters.page(page.body.len());
        self.check_horizon().await?;
        let records = parsed.records.len();
        for decoded in &parsed.records {
            let written = match decoded {
                Decoded::Record(record) => self.record(record).await?,
                Decoded::Poison(poison) => {
                    self.quarantine(
                        poison.sequence,
                        poison.event_id.as_deref(),
                        poison.raw,
                        &poison.reason,
                        self.task.context.clock.unix_seconds(),
                    )
                    .await?;
                    Progress::Unchanged
                }
            };
            let rewound = matches!(written, Progress::Rewind(_));
            if self.apply(written).await? == Hold::Lost {
                return Ok(Next::Lost);
            }
            if rewound {
                return Ok(Next::Page);
            }
        }
        if mutant::armed(Mutant::CheckpointOnRead)
            && let Some(read) = self.read
            && self.task.held.checkpoint(read).await? == Hold::Lost
        {
            return Ok(Next::Lost);
        }
        let Some(next) = parsed.next_iterator else { return Ok(Next::End) };
        self.reader.accept(self.read, next.into_owned(), records, page.body.len());
        if self.reader.is_drained() && self.watermark.is_clear() {
            self.task.held.note_durable_through(page.asked_at).await;
            self.unread_since = Some(page.asked_at);
        }
        Ok(Next::Page)
    }

    async fn record(&mut self, record: &StreamRecord<'_>) -> Result<Progress, CaptureError> {
        if self.read.is_some_and(|read| record.sequence <= read) {
            return Ok(Progress::Unchanged);
        }
        if self.not_before.is_some_and(|time| record.created < time) {
            self.read = Some(record.sequence);
            self.writer.skip(record.sequence);
            return Ok(Progress::Unchanged);
        }
        self.check_order(record.sequence).await?;
        let event = match self.flattener.flatten(record) {
            Ok(event) => event,
            Err(error) => {
                let (sequence, id) = (Some(record.sequence), Some(record.event_id.as_ref()));
                self.quarantine(sequence, id, &record.to_json(), &describe(&error), record.created).await?;
                return Ok(Progress::Unchanged);
            }
        };
        let written = self.writer.append(&event).await?;
        if !matches!(written, Progress::Rewind(_)) {
            let misfits = [&event.new, &event.old].into_iter().flatten().map(|side| side.misfits).sum();
            self.read = Some(record.sequence);
            self.watermark.read(record.sequence, record.created);
            self.task.context.counters.record(record.created, misfits);
        }
        Ok(written)
    }

    /// *Latest sequence wins* needs a shard's numbers to lie above those of the shards that it continues.
    async fn check_order(&mut self, first: SequenceNumber) -> Result<(), CaptureError> {
        if std::mem::replace(&mut self.order_checked, true) {
            return Ok(());
        }
        if self.task.origin.ends.iter().any(|end| first <= *end) {
            self.task
                .context
                .record_gap(Gap::of_shard(GapKind::OrderBroken, &self.shard, None, None, self.task.context.clock.unix_seconds()))
                .await?;
        }
        Ok(())
    }

    /// Stores a record that is no event, whole, and moves on behind it.
    async fn quarantine(
        &mut self,
        sequence: Option<SequenceNumber>,
        event_id: Option<&str>,
        raw: &str,
        reason: &str,
        time: i64,
    ) -> Result<(), CaptureError> {
        if sequence.is_some_and(|sequence| self.read.is_some_and(|read| sequence <= read)) {
            return Ok(());
        }
        let record = PoisonRecord { shard: &self.shard, sequence, event_id, raw, reason, time };
        let stored = self.task.context.quarantine.quarantine(&record).await;
        stored.map_err(|source| CaptureError::Quarantine { shard: self.shard.clone(), source })?;
        tracing::error!(shard = %self.shard, ?sequence, reason, "record put into quarantine");
        self.task.context.counters.quarantined();
        if let Some(sequence) = sequence {
            self.read = Some(sequence);
            self.writer.skip(sequence);
        }
        Ok(())
    }

    async fn keep_going(&mut self, written: Progress) -> Result<Next, CaptureError> {
        Ok(match self.apply(written).await? {
            Hold::Kept => Next::Page,
            Hold::Lost => Next::Lost,
        })
    }

    /// Checkpoints what became durable, and nothing else (*durable-before-checkpoint*).
    async fn apply(&mut self, written: Progress) -> Result<Hold, CaptureError> {
        let sequence = match written {
            Progress::Unchanged => return Ok(Hold::Kept),
            Progress::Durable(sequence) => {
                if let Some(time) = self.watermark.durable(sequence) {
                    self.task.held.note_durable_through(time).await;
                }
                sequence
            }
            Progress::Rewind(sequence) => {
                tracing::info!(shard = %self.shard, %sequence, "another process landed these changes already; reading on behind them");
                self.reader.rewind(IteratorStart::After(sequence));
                self.read = Some(sequence);
                self.watermark.reset();
                sequence
            }
        };
        self.durable = Some(sequence);
        Ok(self.task.held.checkpoint(sequence).await?)
    }

    /// A shard of which no record was read has no position that could be trimmed: an iterator just starts with what is left. That something is
    /// missing shows in how long nobody has looked, and each page tells that anew: the horizon moves on while pages are held up.
    async fn check_horizon(&mut self) -> Result<(), CaptureError> {
        let oldest_kept = self.task.context.clock.unix_seconds() - RETENTION + RETENTION_MARGIN;
        if self.read.is_none() && self.unread_since.take_if(|since| *since < oldest_kept).is_some() {
            self.record_gap(GapKind::Trimmed).await?;
        }
        Ok(())
    }

    /// The shard is gone: what was read of it is landed before the loss is recorded, since it cannot be read again.
    async fn vanished(&mut self) -> Result<Next, CaptureError> {
        let written = self.writer.flush().await?;
        if self.apply(written).await? == Hold::Lost {
            return Ok(Next::Lost);
        }
        self.record_gap(GapKind::Vanished).await?;
        Ok(Next::End)
    }

    /// The position is gone from the stream: what was read before is landed, the loss is recorded, and reading goes on with what there is.
    async fn trimmed(&mut self) -> Result<Next, CaptureError> {
        let written = self.writer.flush().await?;
        if self.apply(written).await? == Hold::Lost {
            return Ok(Next::Lost);
        }
        if matches!(written, Progress::Rewind(_)) {
            return Ok(Next::Page);
        }
        self.record_gap(GapKind::Trimmed).await?;
        self.reader.rewind(IteratorStart::TrimHorizon);
        // A fresh writer looks whether the record that it begins with has landed already.
        self.writer = self.task.context.route.open(&self.shard, self.durable.unwrap_or(SequenceNumber::ZERO)).await?;
        Ok(Next::Page)
    }

    async fn record_gap(&mut self, kind: GapKind) -> Result<(), CaptureError> {
        let lost_from = self.task.held.current().await.durable_through;
        let now = self.task.context.clock.unix_seconds();
        self.task.context.record_gap(Gap::of_shard(kind, &self.shard, self.durable, lost_from, now)).await
    }
}

/// An error with its causes, in one line.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
