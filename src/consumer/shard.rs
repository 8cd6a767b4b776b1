//! One shard: pages of its stream into its writer, checkpoints behind what is durable.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::origin::Origin;
use super::page::{Record, Unreadable};
use super::watermark::Watermark;
use super::{ConsumerError, Context, RETENTION_MARGIN, Trimming};
use crate::aws::{AwsError, Failure};
use crate::event::{ChangeEvent, Position, ShardId};
use crate::lake::PoisonRecord;
use crate::lease::gap::{Gap, GapKind};
use crate::lease::held::{HeldLease, Hold};
use crate::lease::{Checkpoint, Lease};
use crate::mutant::{self, Mutant};
use crate::retry::{RetryPolicy, retry};
use crate::route::{Progress, ShardWriter};
use crate::stream::poll::Rhythm;
use crate::stream::reader::{RawPage, Read, ShardReader};
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
    }
}

/// Where the work on a shard stands.
struct ShardProgress<'t> {
    task: &'t ShardTask,
    shard: ShardId,
    reader: ShardReader,
    writer: Box<dyn ShardWriter>,
    /// The last record that was taken or set aside; anything up to it that comes again is a repetition.
    read: Option<Position>,
    /// The last record that is known to be durable.
    durable: Option<Position>,
    /// Records made before this time are not wanted.
    not_before: Option<i64>,
    watermark: Watermark,
    order_checked: bool,
    /// While no record has been read: since when there may be some. See [`Origin`].
    unread_since: Option<i64>,
    /// Whether the service has said that the shard is not there.
    has_vanished: bool,
}

impl ShardProgress<'_> {
    /// Takes a page: all of it, unless another process turns out to be ahead.
    async fn take(&mut self, raw: &RawPage) -> Result<Next, ConsumerError> {
        let shard = self.shard.clone();
        let page = match self.task.context.source.decode.page(&shard, &raw.body).await {
            Ok(page) => page,
            Err(Unreadable(problem)) => {
                self.reader.refuse_page(problem)?;
                return Ok(Next::Page);
            }
        };
        self.task.context.counters.page(raw.body.len());
        self.check_horizon().await?;
        if let (Some(resumed), Some(first)) = (raw.resumed_at, page.records.first()) {
            self.check_resumption(resumed, first.position()).await?;
        }
        let records = page.records.len();
        for record in page.records {
            if self.task.draining.is_cancelled() {
                // The page does not count as read. What is left of it is read again by whoever has the lease next.
                return Ok(Next::Page);
            }
            let position = record.position();
            if position.is_some_and(|position| self.read.is_some_and(|read| position <= read)) {
                continue;
            }
            let record = match record {
                Record::Elsewhere { fetch, .. } => match fetch.await {
                    Ok(record) => record,
                    Err(Unreadable(problem)) => {
                        self.reader.refuse_page(problem)?;
                        return Ok(Next::Page);
                    }
                },
                here => here,
            };
            let written = self.record(record).await?;
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
        // Where no record comes at all, that of the position does not either.
        let nothing_left = raw.resumed_at.filter(|_| records == 0);
        let Some(next) = page.next else {
            if let Some(resumed) = nothing_left {
                self.check_resumption(resumed, None).await?;
            }
            return Ok(Next::End(page.children));
        };
        self.reader.accept(self.read, next.into_owned(), records, raw.body.len(), page.more);
        if self.reader.is_drained() && self.watermark.is_clear() {
            if let Some(resumed) = nothing_left {
                self.check_resumption(resumed, None).await?;
            }
            self.task.held.note_durable_through(raw.asked_at).await;
            self.unread_since = Some(raw.asked_at);
        }
        Ok(Next::Page)
    }

    async fn record(&mut self, record: Record<'_>) -> Result<Progress, ConsumerError> {
        match record {
            Record::Change { position, time, event } => self.change(position, time, &event).await,
            Record::Elsewhere { position, .. } => {
                Err(AwsError::of("GetRecords", Failure::Invalid, format!("the change at {position} leads from one place to the next"))
                    .into())
            }
            Record::Poison { position, time, event_id, raw, reason } => {
                // A record without a time of its own is filed under the day it was found.
                let time = time.unwrap_or_else(|| self.task.context.clock.unix_seconds());
                let shard = self.shard.clone();
                let record = PoisonRecord { shard: &shard, position, event_id: event_id.as_deref(), raw: &raw, reason: &reason, time };
                self.quarantine(&record).await?;
                if let Some(position) = position {
                    self.read = Some(position);
                    self.writer.skip(position);
                }
                Ok(Progress::Unchanged)
            }
        }
    }

    async fn change(&mut self, position: Position, time: i64, event: &ChangeEvent<'_>) -> Result<Progress, ConsumerError> {
        if self.not_before.is_some_and(|wanted| time < wanted) {
            self.read = Some(position);
            self.writer.skip(position);
            return Ok(Progress::Unchanged);
        }
        self.check_order(position).await?;
        let written = self.writer.append(position, event).await?;
        if !matches!(written, Progress::Rewind(_)) {
            let misfits = [&event.new, &event.old].into_iter().flatten().map(|side| side.misfits).sum();
            self.read = Some(position);
            self.watermark.read(position, time);
            self.task.context.counters.record(event.time, misfits);
        }
        Ok(written)
    }

    /// *Latest sequence wins* needs a shard's numbers to lie above those of the shards that it continues.
    async fn check_order(&mut self, first: Position) -> Result<(), ConsumerError> {
        if std::mem::replace(&mut self.order_checked, true) || !self.task.context.source.ordered_across_shards {
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

    /// Stores a record that is no event, whole.
    async fn quarantine(&mut self, record: &PoisonRecord<'_>) -> Result<(), ConsumerError> {
        let stored = self.task.context.quarantine.quarantine(record).await;
        stored.map_err(|source| ConsumerError::Quarantine { shard: self.shard.clone(), source })?;
        tracing::error!(shard = %self.shard, position = ?record.position, reason = record.reason, "record put into quarantine");
        self.task.context.counters.quarantined();
        Ok(())
    }

    async fn keep_going(&mut self, written: Progress) -> Result<Next, ConsumerError> {
        Ok(match self.apply(written).await? {
            Hold::Kept => Next::Page,
            Hold::Lost => Next::Lost,
        })
    }

    /// Makes everything durable that was taken. Each step is checkpointed: it may take long, and the process may have to go before the end.
    async fn flush(&mut self) -> Result<Flushed, ConsumerError> {
        loop {
            let written = self.writer.flush().await?;
            if self.apply(written).await? == Hold::Lost {
                return Ok(Flushed::Lost);
            }
            if matches!(written, Progress::Rewind(_)) {
                return Ok(Flushed::Rewound);
            }
            if self.writer.is_flushed() {
                return Ok(Flushed::Whole);
            }
        }
    }

    /// After an error: what became durable before it is checkpointed, so that it is not sent again.
    async fn settle(&mut self) {
        let written = self.writer.settled();
        if let Err(error) = self.apply(written).await {
            tracing::warn!(shard = %self.shard, %error, "what became durable before an error could not be checkpointed");
        }
    }

    /// Checkpoints what became durable, and nothing else (*durable-before-checkpoint*).
    async fn apply(&mut self, written: Progress) -> Result<Hold, ConsumerError> {
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
    async fn check_horizon(&mut self) -> Result<(), ConsumerError> {
        let oldest_kept = self.task.context.clock.unix_seconds() - self.task.retention + RETENTION_MARGIN;
        if self.read.is_none() && self.unread_since.take_if(|since| *since < oldest_kept).is_some() {
            self.record_gap(GapKind::Trimmed).await?;
        }
        Ok(())
    }

    /// Some services skip a trimmed position in silence. Reading resumes at the record of the position, not behind it: where that is the first to
    /// come, nothing was trimmed. Where it is not, it may just have been the last one for long, unless nobody has looked for long either.
    async fn check_resumption(&mut self, resumed: Position, first: Option<Position>) -> Result<(), ConsumerError> {
        let Trimming::Silent { kept_at_least } = self.task.context.source.trimming else { return Ok(()) };
        if first.is_some_and(|first| first.sequence() == resumed.sequence()) {
            return Ok(());
        }
        let oldest_kept = self.task.context.clock.unix_seconds() - kept_at_least + RETENTION_MARGIN;
        if self.task.held.current().await.durable_through.or(self.task.origin.unread_since).is_none_or(|through| through < oldest_kept) {
            self.record_gap(GapKind::Trimmed).await?;
        }
        Ok(())
    }

    /// The position, or the shard, is gone: what was read of it is landed before the loss is recorded, since it cannot be read again. A shard that is
    /// still listed has lost the position only.
    async fn vanished(&mut self) -> Result<Next, ConsumerError> {
        if self.flush().await? == Flushed::Lost {
            return Ok(Next::Lost);
        }
        if std::mem::replace(&mut self.has_vanished, true) {
            return Ok(Next::End(Vec::new()));
        }
        self.record_gap(GapKind::Vanished).await?;
        if self.reader.is_at_horizon() || !self.task.is_listed(&self.shard).await? {
            return Ok(Next::End(Vec::new()));
        }
        self.begin_anew().await
    }

    /// The position is gone from the stream: what was read before is landed, the loss is recorded, and reading goes on with what there is.
    async fn trimmed(&mut self) -> Result<Next, ConsumerError> {
        match self.flush().await? {
            Flushed::Whole => {}
            Flushed::Rewound => return Ok(Next::Page),
            Flushed::Lost => return Ok(Next::Lost),
        }
        self.record_gap(GapKind::Trimmed).await?;
        self.begin_anew().await
    }

    /// Goes on with the oldest record that the shard has.
    async fn begin_anew(&mut self) -> Result<Next, ConsumerError> {
        self.reader.rewind(IteratorStart::TrimHorizon);
        // A fresh writer looks whether the record that it begins with has landed already.
        self.writer = self.task.context.route.open(&self.shard, self.durable.unwrap_or(Position::ZERO)).await?;
        Ok(Next::Page)
    }

    async fn record_gap(&mut self, kind: GapKind) -> Result<(), ConsumerError> {
        let lost_from = self.task.held.current().await.durable_through;
        let now = self.task.context.clock.unix_seconds();
        self.task.context.record_gap(Gap::of_shard(kind, &self.shard, self.durable, lost_from, now)).await
    }
}
