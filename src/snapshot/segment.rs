//! One segment: pages of its rows into its writer, checkpoints behind what is durable.
//!
//! Rows are numbered from one in the order in which they are read, and a row's number is its position: the writer takes a segment for a shard. A
//! checkpoint stands at the end of a page, with the cursor that leads to the next one; so what a crash leaves behind is read again from the
//! page on that was not complete. On the lake route another worker's objects may cover these rows already: then the key of the last row
//! of such an object tells where reading goes on, and numbers go on behind its position (*land-once*).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::budget::Budget;
use super::counters::Counters;
use super::row::RowEvents;
use super::source::{Cursor, RowPage, RowSource, SourceError};
use crate::aws::AwsError;
use crate::clock::ServiceClock;
use crate::event::{Position, ShardId};
use crate::lake::{HourPartition, Lake, LakeError, PoisonRecord};
use crate::lease::Checkpoint;
use crate::lease::held::{HeldLease, Hold};
use crate::lease::snapshot::{SegmentProgress, Snapshot};
use crate::lease::table::SequenceOrEnd;
use crate::mutant::{self, Mutant};
use crate::retry::{self, Delays, RetryPolicy, Transient};
use crate::route::{Progress, Route, RouteError, ShardWriter};
use crate::table::Key;

/// How the work on a segment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Every row is durable.
    Ended,
    /// Another worker has the lease.
    Lost,
    /// Stopped on request; what was read is durable and the lease is released.
    Drained,
    /// The snapshot has come to its end otherwise: nothing of the segment matters any more.
    Abandoned,
}

/// The work on a segment stopped.
#[derive(Debug, thiserror::Error)]
pub(super) enum SegmentError {
    /// Rows could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The route refused.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The lake could not take a row that is no event, or not tell what it has.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The lease table or the stream refused, or did not come back.
    #[error(transparent)]
    Leases(#[from] AwsError),
}

impl SegmentError {
    /// Whether trying again cannot help.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Source(error) => !error.is_transient(),
            Self::Lake(error) => !error.is_transient(),
            // The route does not say whether it may pass, and what the lease table refuses stops the capture stage as well.
            Self::Route(_) | Self::Leases(_) => false,
        }
    }
}

/// What the segments of all snapshots share.
pub(super) struct Shared {
    pub(super) lake: Arc<Lake>,
    pub(super) route: Arc<dyn Route>,
    pub(super) failover: Duration,
    pub(super) clock: ServiceClock,
    pub(super) counters: Arc<Counters>,
    pub(super) draining: CancellationToken,
    /// One rewind at a time.
    pub(super) rewinds: tokio::sync::Mutex<()>,
}

/// The work on one segment.
pub(super) struct SegmentTask {
    pub(super) shared: Arc<Shared>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) number: u32,
    pub(super) source: Arc<dyn RowSource>,
    pub(super) budget: Arc<Budget>,
    pub(super) held: HeldLease,
    /// The snapshot has come to its end.
    pub(super) abandoned: CancellationToken,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Taken,
    /// Another process was ahead; reading goes on behind what it has landed.
    Rewound,
    Lost,
}

impl SegmentTask {
    /// Works until the segment ends, the lease is lost, the snapshot is over or the process drains. A lost lease drops the work where it stands.
    pub(super) async fn run(self) -> Result<Outcome, SegmentError> {
        let worked = tokio::select! {
            worked = self.held.while_held(self.shared.failover, self.work()) => worked,
            () = self.abandoned.cancelled() => return Ok(Outcome::Abandoned),
        };
        let Some(outcome) = worked else { return Ok(Outcome::Lost) };
        if !matches!(outcome, Ok(Outcome::Ended | Outcome::Lost)) {
            self.held.release(self.shared.failover).await;
        }
        outcome
    }

    async fn work(&self) -> Result<Outcome, SegmentError> {
        let lease = self.held.current().await;
        let durable = match lease.checkpoint {
            Checkpoint::TrimHorizon | Checkpoint::AtTimestamp(_) => Position::ZERO,
            Checkpoint::At(position) => position,
            Checkpoint::ShardEnd => return Ok(Outcome::Ended),
        };
        let progress = lease.segment;
        let rows = progress.as_ref().map_or(0, |progress| progress.rows);
        let started_at = self.snapshot.started_at.unwrap_or(self.snapshot.requested_at);
        let mut reading = Reading {
            task: self,
            rows: RowEvents::new(self.shared.lake.schema(), &self.snapshot.id, lease.shard.as_str(), started_at),
            writer: self.shared.route.open(&lease.shard, durable).await?,
            segment: lease.shard,
            started_at,
            read: number(durable),
            durable: number(durable),
            cursor: progress.as_ref().and_then(|progress| progress.cursor.clone()).map(Cursor),
            ended: false,
            pages: VecDeque::new(),
            quarantined: number(durable).saturating_sub(rows),
            quarantined_before: number(durable).saturating_sub(rows),
            half_units: progress.map_or(0, |progress| progress.half_units),
            delays: Delays::new(RetryPolicy::SERVICE),
            failing: false,
            not_before: Instant::now(),
        };
        let outcome = reading.consume().await;
        if outcome.is_err() {
            reading.settle().await;
        }
        outcome
    }

    /// Reads the next page when it is time for it and the budget allows it. Cancel-safe.
    async fn page(
        &self,
        not_before: Instant,
        after: Option<&Cursor>,
        left: Option<u64>,
    ) -> Result<(Instant, Box<dyn RowPage>), SourceError> {
        sleep_until(not_before).await;
        // Other readers may go into debt meanwhile.
        while let Some(paid_at) = self.budget.paid_at().filter(|paid_at| *paid_at > Instant::now()) {
            sleep_until(paid_at).await;
        }
        let left = left.map(|left| u32::try_from(left).unwrap_or(u32::MAX));
        let most = [left, self.budget.most()].into_iter().flatten().min();
        let asked = Instant::now();
        Ok((asked, self.source.page(self.number, after, most).await?))
    }
}

/// The end of a page whose rows are not all durable yet.
struct PageEnd {
    /// Its last row.
    number: u64,
    /// Where the next page begins.
    cursor: Cursor,
    /// How many rows up to here are in quarantine.
    quarantined: u64,
}

/// Where the work on a segment stands.
struct Reading<'t> {
    task: &'t SegmentTask,
    segment: ShardId,
    started_at: i64,
    rows: RowEvents,
    writer: Box<dyn ShardWriter>,
    /// The last row that was taken or set aside.
    read: u64,
    /// The last row that is known to be durable.
    durable: u64,
    cursor: Option<Cursor>,
    ended: bool,
    pages: VecDeque<PageEnd>,
    /// How many of the rows read are in quarantine, and how many of those up to the checkpoint.
    quarantined: u64,
    quarantined_before: u64,
    half_units: u64,
    delays: Delays,
    failing: bool,
    not_before: Instant,
}

impl Reading<'_> {
    async fn consume(&mut self) -> Result<Outcome, SegmentError> {
        loop {
            if self.task.shared.draining.is_cancelled() {
                return Ok(if self.flush().await? == Step::Lost { Outcome::Lost } else { Outcome::Drained });
            }
            if self.ended || self.left() == Some(0) {
                match self.flush().await? {
                    Step::Taken => return self.finish().await,
                    Step::Rewound => continue,
                    Step::Lost => return Ok(Outcome::Lost),
                }
            }
            let (task, cursor, left) = (self.task, self.cursor.clone(), self.left());
            let page = task.page(self.not_before, cursor.as_ref(), left);
            tokio::pin!(page);
            let step = loop {
                tokio::select! {
                    biased;
                    () = task.shared.draining.cancelled() => break Step::Taken,
                    () = self.writer.due() => {
                        let written = self.writer.poll().await?;
                        let step = self.apply(written).await?;
                        if step != Step::Taken {
                            break step;
                        }
                    }
                    page = &mut page => break match page {
                        Ok((asked, page)) => self.take(asked, page.as_ref()).await?,
                        Err(error) => self.pause_after(error)?,
                    },
                }
            };
            if step == Step::Lost {
                return Ok(Outcome::Lost);
            }
        }
    }

    /// Takes a page: all of it, unless another process turns out to be ahead or the process drains.
    async fn take(&mut self, asked: Instant, page: &dyn RowPage) -> Result<Step, SegmentError> {
        let rows = match page.rows() {
            Ok(_) if self.read > 0 && mutant::armed(Mutant::SegmentSkipsPage) => Vec::new(),
            Ok(rows) => rows,
            Err(error) => return self.pause_after(error),
        };
        self.failing = false;
        let half_units = page.half_units();
        self.task.budget.charge(asked, half_units, rows.len());
        self.half_units += half_units;
        let shared = &self.task.shared;
        shared.counters.page(half_units);
        for row in &rows {
            if shared.draining.is_cancelled() {
                // The page does not count as read. What is left of it is read again by whoever has the lease next.
                return Ok(Step::Taken);
            }
            if self.left() == Some(0) {
                break;
            }
            let position = at(self.read + 1);
            let written = match self.rows.event(row) {
                Ok(event) => {
                    let written = self.writer.append(position, &event).await?;
                    if !matches!(written, Progress::Rewind(_)) {
                        self.read += 1;
                        shared.counters.row(event.new.as_ref().map_or(0, |side| side.misfits));
                    }
                    written
                }
                Err(poison) => {
                    let (raw, reason) = (poison.raw.as_bytes(), poison.reason.as_str());
                    // By its text: its number may be another one when it is read again.
                    let kind = poison.kind;
                    let record = PoisonRecord {
                        shard: &self.segment,
                        position: None,
                        event_id: None,
                        key: None,
                        raw,
                        kind,
                        reason,
                        time: self.started_at,
                    };
                    shared.lake.quarantine(&record).await?;
                    tracing::error!(segment = %self.segment, %kind, "row put into quarantine: see headwater redrive --list");
                    shared.counters.quarantined();
                    self.writer.skip(position);
                    self.read += 1;
                    self.quarantined += 1;
                    Progress::Unchanged
                }
            };
            let step = self.apply(written).await?;
            if step != Step::Taken {
                return Ok(step);
            }
        }
        let Some(cursor) = page.next() else {
            self.ended = true;
            return Ok(Step::Taken);
        };
        self.pages.push_back(PageEnd { number: self.read, cursor: cursor.clone(), quarantined: self.quarantined });
        self.cursor = Some(cursor);
        // A page without rows is durable as it is.
        self.save().await
    }

    /// How many rows are still wanted; none when all are.
    fn left(&self) -> Option<u64> {
        self.task.snapshot.request.limit.map(|limit| limit.saturating_sub(self.read))
    }

    /// Makes everything durable that was taken. Each step is checkpointed: it may take long, and the process may have to go before the end.
    async fn flush(&mut self) -> Result<Step, SegmentError> {
        loop {
            let written = self.writer.flush().await?;
            let step = self.apply(written).await?;
            if step != Step::Taken || self.writer.is_flushed() {
                return Ok(step);
            }
        }
    }

    /// After an error: what became durable before it is checkpointed, so that it is not sent again.
    async fn settle(&mut self) {
        let written = self.writer.settled();
        if let Err(error) = self.apply(written).await {
            tracing::warn!(segment = %self.segment, %error, "what became durable before an error could not be checkpointed");
        }
    }

    /// Checkpoints what became durable, and nothing else (*durable-before-checkpoint*).
    async fn apply(&mut self, written: Progress) -> Result<Step, SegmentError> {
        match written {
            Progress::Unchanged => Ok(Step::Taken),
            Progress::Durable(position) => {
                self.durable = number(position);
                self.save().await
            }
            Progress::Rewind(position) => self.rewind(position).await,
        }
    }

    /// Writes a checkpoint at the end of the last page that is durable as a whole, if there is a new one.
    async fn save(&mut self) -> Result<Step, SegmentError> {
        let mut last = None;
        while self.pages.front().is_some_and(|page| page.number <= self.durable) {
            last = self.pages.pop_front();
        }
        let Some(page) = last else { return Ok(Step::Taken) };
        self.quarantined_before = page.quarantined;
        let reached = SequenceOrEnd::Sequence(at(page.number));
        let progress = self.progress(page.number - page.quarantined, Some(page.cursor));
        Ok(kept(self.task.held.segment(reached, progress).await?))
    }

    /// Another worker has landed the rows up to this position: reading goes on behind the last of them.
    async fn rewind(&mut self, position: Position) -> Result<Step, SegmentError> {
        tracing::info!(segment = %self.segment, %position, "another process landed these rows already; reading on behind them");
        let shared = &self.task.shared;
        let hour = HourPartition::containing(self.started_at).map_err(|error| SourceError::Broken {
            doing: format!("find the rows of segment {}", self.segment),
            problem: error.to_string(),
        })?;
        let key = {
            // A whole object is read for it, outside the budget.
            let _alone = shared.rewinds.lock().await;
            Key::of_texts(shared.lake.last_key(&self.segment, hour, position).await?)
        };
        let reached = number(position);
        let cursor = match self.task.held.current().await.segment {
            Some(SegmentProgress { cursor: Some(checkpointed), .. }) if mutant::armed(Mutant::RewindToCheckpoint) => Cursor(checkpointed),
            _ => self.task.source.behind(&key, reached)?,
        };
        self.read = reached;
        self.durable = reached;
        self.quarantined = self.quarantined_before;
        self.pages.clear();
        self.ended = false;
        self.cursor = Some(cursor.clone());
        let progress = self.progress(reached.saturating_sub(self.quarantined), Some(cursor));
        let hold = self.task.held.segment(SequenceOrEnd::Sequence(position), progress).await?;
        Ok(if hold == Hold::Lost { Step::Lost } else { Step::Rewound })
    }

    async fn finish(&mut self) -> Result<Outcome, SegmentError> {
        let progress = self.progress(self.read - self.quarantined, None);
        let end = SequenceOrEnd::End(self.task.shared.clock.unix_seconds());
        match self.task.held.segment(end, progress).await? {
            Hold::Kept => {
                tracing::info!(segment = %self.segment, rows = self.read, "segment is done");
                Ok(Outcome::Ended)
            }
            Hold::Lost => Ok(Outcome::Lost),
        }
    }

    fn progress(&self, rows: u64, cursor: Option<Cursor>) -> SegmentProgress {
        let snapshot = self.task.snapshot.id.clone();
        SegmentProgress { snapshot, cursor: cursor.map(|cursor| cursor.0), rows, half_units: self.half_units }
    }

    /// The page is asked for again, after a pause, until the policy gives up.
    fn pause_after(&mut self, error: SourceError) -> Result<Step, SegmentError> {
        if !error.is_transient() {
            return Err(error.into());
        }
        // The policy's time runs from the first failure of a series, not from the last success.
        if !std::mem::replace(&mut self.failing, true) {
            self.delays.reset();
        }
        let Some(delay) = self.delays.next_delay() else { return Err(error.into()) };
        retry::count(error.cause());
        tracing::warn!(segment = %self.segment, %error, delay_ms = delay.as_millis(), "reading is held up; trying again");
        self.not_before = Instant::now() + delay;
        Ok(Step::Taken)
    }
}

fn kept(hold: Hold) -> Step {
    match hold {
        Hold::Kept => Step::Taken,
        Hold::Lost => Step::Lost,
    }
}

/// The position of a row.
fn at(number: u64) -> Position {
    Position::new(&number.to_string(), 0).unwrap_or(Position::ZERO)
}

/// The row at a position.
fn number(position: Position) -> u64 {
    position.sequence().parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_s_number_is_its_position() {
        for row in [0, 1, 999, u64::MAX] {
            assert_eq!(number(at(row)), row);
        }
        assert_eq!(at(0), Position::ZERO);
        assert!(at(9) < at(10));
    }
}
