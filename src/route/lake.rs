//! The lake route: a shard's events straight into lake objects.
//!
//! Each writer has one run open. The run closes when it is large enough, old enough, when the next change belongs to another hour, or
//! when memory is short, and becomes one object; only then are its changes reported as durable. Every position that a writer
//! reports is the end of a committed object, its own or another process's: where the next writer starts is where the next object
//! starts. That is what *land-once* rests on, so skipped records move no position by themselves. They are covered by the run that the
//! next change lands in, and read again after a restart before that.
//!
//! Before the first change after opening, after a rewind and after a change of hour, a writer lists what the shard has in that hour
//! already: after a lost lease table it hops from object to object instead of landing their changes again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::budget::{Admission, MemoryBudget, Share};
use super::{Announcement, Arrival, Progress, Route, RouteError, ShardWriter};
use crate::event::{ChangeEvent, Position, ShardId};
use crate::lake::{ChangeKey, ClosedRun, Commit, HourPartition, Lake, LakeError, OpenRun, Problem};
use crate::retry::{RetryPolicy, retry};

/// How long after a failed commit the run is due again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Lands changes in the lake.
#[derive(Debug)]
pub struct LakeRoute {
    lake: Arc<Lake>,
    budget: Arc<MemoryBudget>,
}

impl LakeRoute {
    /// A route into `lake` whose writers together hold about `budget` of memory.
    pub fn new(lake: Arc<Lake>, budget: Arc<MemoryBudget>) -> Self {
        Self { lake, budget }
    }
}

#[async_trait]
impl Route for LakeRoute {
    async fn open(&self, shard: &ShardId, after: Position) -> Result<Box<dyn ShardWriter>, RouteError> {
        Ok(Box::new(LakeWriter {
            lake: Arc::clone(&self.lake),
            shard: shard.clone(),
            position: after,
            seen: after,
            listed: None,
            run: Run::None,
            share: self.budget.share(),
        }))
    }

    async fn announce(&self, _: &Announcement<'_>) -> Result<Arrival, RouteError> {
        Ok(Arrival::Landed)
    }
}

struct LakeWriter {
    lake: Arc<Lake>,
    shard: ShardId,
    /// The end of the last committed object: where the next run starts.
    position: Position,
    /// The last record that was taken or skipped.
    seen: Position,
    /// What the shard had in the current hour when the hour was listed.
    listed: Option<Listed>,
    run: Run,
    share: Share,
}

/// Objects of one hour that start at or after the position of the first change looked up in it.
struct Listed {
    partition: HourPartition,
    ahead: VecDeque<ChangeKey>,
}

enum Run {
    None,
    Open {
        run: OpenRun,
        since: Instant,
    },
    /// Complete, and not known to be committed: a commit failed or was cut short.
    Closed {
        run: ClosedRun,
        retry: Instant,
    },
    /// Encoding failed half-way: changes that were taken are gone, and going on would leave them out.
    Broken,
}

#[async_trait]
impl ShardWriter for LakeWriter {
    async fn append(&mut self, position: Position, event: &ChangeEvent<'_>) -> Result<Progress, RouteError> {
        if position <= self.seen {
            return Ok(Progress::Unchanged);
        }
        let partition = self.partition_of(event)?;
        let mut progress = Progress::Unchanged;
        if self.must_close_before(partition, position) {
            progress = self.close().await?;
        }
        if let Progress::Rewind(_) = progress {
            return Ok(progress);
        }
        if let Some(last) = self.landed(partition, position).await? {
            return Ok(self.rewind(last));
        }
        if self.share.admit().await == Admission::CloseOwn {
            progress = later(progress, self.close().await?);
            if let Progress::Rewind(_) = progress {
                return Ok(progress);
            }
        }
        self.take(position, event, partition)?;
        if self.is_full() {
            progress = later(progress, self.close().await?);
        }
        Ok(progress)
    }

    fn skip(&mut self, position: Position) {
        self.seen = self.seen.max(position);
    }

    async fn due(&mut self) {
        let at = match &self.run {
            Run::None => return std::future::pending().await,
            Run::Open { since, .. } => *since + self.lake.settings().max_age,
            Run::Closed { retry, .. } => return sleep_until(*retry).await,
            Run::Broken => return,
        };
        tokio::select! {
            () = sleep_until(at) => {}
            () = self.share.asked() => {}
        }
    }

    async fn poll(&mut self) -> Result<Progress, RouteError> {
        let due = match &self.run {
            Run::None => false,
            Run::Open { since, .. } => since.elapsed() >= self.lake.settings().max_age || self.share.is_asked(),
            Run::Closed { retry, .. } => *retry <= Instant::now(),
            Run::Broken => true,
        };
        if due { self.close().await } else { Ok(Progress::Unchanged) }
    }

    async fn flush(&mut self) -> Result<Progress, RouteError> {
        self.close().await
    }

    fn is_flushed(&self) -> bool {
        matches!(self.run, Run::None)
    }

    fn settled(&mut self) -> Progress {
        // An object that was committed before the failure is found by the next writer.
        Progress::Unchanged
    }
}

impl LakeWriter {
    fn partition_of(&self, event: &ChangeEvent<'_>) -> Result<HourPartition, LakeError> {
        let refused = |reason: String| LakeError::new(format!("take a change of shard {}", self.shard), Problem::Event(reason));
        HourPartition::containing(event.time).map_err(|error| refused(error.to_string()))
    }

    /// Whether the run must end before this change: it belongs to another hour, or another process's object begins in between, or
    /// the run is closed already and waits for its commit.
    fn must_close_before(&self, partition: HourPartition, position: Position) -> bool {
        match &self.run {
            Run::None => false,
            Run::Closed { .. } | Run::Broken => true,
            Run::Open { run, .. } => {
                let meets = |listed: &Listed| listed.ahead.front().is_some_and(|key| key.after < position);
                run.key().partition != partition || self.listed.as_ref().is_some_and(meets)
            }
        }
    }

    /// Where the committed object ends that holds the change already, if one does.
    async fn landed(&mut self, partition: HourPartition, position: Position) -> Result<Option<Position>, LakeError> {
        let listed = match &mut self.listed {
            Some(listed) if listed.partition == partition => listed,
            _ => {
                let runs = self.lake.runs(&self.shard, partition).await?;
                self.listed.insert(Listed { partition, ahead: runs.into() })
            }
        };
        let passed = listed.ahead.partition_point(|key| key.after < position);
        if passed == 0 {
            return Ok(None);
        }
        let landed = self.lake.covering(&listed.ahead.make_contiguous()[..passed], position).await?;
        // Only now: had the reading failed, these would have to be looked at again.
        listed.ahead.drain(..passed);
        Ok(landed)
    }

    fn take(&mut self, position: Position, event: &ChangeEvent<'_>, partition: HourPartition) -> Result<(), LakeError> {
        if let Run::None = self.run {
            let format = self.lake.settings().format;
            let key = ChangeKey { partition, shard: self.shard.clone(), after: self.position, format };
            self.run = Run::Open { run: self.lake.begin(key)?, since: Instant::now() };
        }
        if let Run::Open { run, .. } = &mut self.run {
            if let Err(error) = run.append(position, event) {
                self.run = Run::Broken;
                return Err(error);
            }
            self.share.hold(run.memory());
        }
        self.seen = position;
        Ok(())
    }

    fn is_full(&self) -> bool {
        matches!(&self.run, Run::Open { run, .. } if run.size() as u64 >= self.lake.settings().max_size)
    }

    /// Commits the run, if there is one. After a failure the run is kept and the next call tries again.
    async fn close(&mut self) -> Result<Progress, RouteError> {
        self.complete()?;
        let Run::Closed { run, .. } = &self.run else { return Ok(Progress::Unchanged) };
        match retry(RetryPolicy::COMMIT, &CancellationToken::new(), || self.lake.commit(run)).await {
            Ok(Commit::Committed) => {
                self.position = run.last;
                self.run = Run::None;
                self.share.hold(0);
                Ok(Progress::Durable(self.position))
            }
            Ok(Commit::Superseded { last }) => Ok(self.rewind(last)),
            Err(error) => {
                if let Run::Closed { retry, .. } = &mut self.run {
                    *retry = Instant::now() + RETRY_PAUSE;
                }
                Err(error.into())
            }
        }
    }

    /// Turns an open run into its object's bytes.
    fn complete(&mut self) -> Result<(), LakeError> {
        match std::mem::replace(&mut self.run, Run::Broken) {
            Run::Open { run, .. } => {
                let run = run.close()?;
                self.share.hold(run.bytes.len());
                self.run = Run::Closed { run, retry: Instant::now() };
                Ok(())
            }
            Run::Broken => {
                let problem = Problem::Other("an earlier change could not be encoded: open a new writer".to_owned());
                Err(LakeError::new(format!("write shard {}", self.shard), problem))
            }
            run @ (Run::None | Run::Closed { .. }) => {
                self.run = run;
                Ok(())
            }
        }
    }

    fn rewind(&mut self, last: Position) -> Progress {
        self.run = Run::None;
        self.share.hold(0);
        self.listed = None;
        self.position = last;
        self.seen = last;
        Progress::Rewind(last)
    }
}

/// The progress of two steps, of which the second follows the first.
fn later(first: Progress, second: Progress) -> Progress {
    if second == Progress::Unchanged { first } else { second }
}
