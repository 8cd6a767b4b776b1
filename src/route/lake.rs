//! The lake route: a shard's events straight into lake objects.
//!
//! Each writer has one run open. The run closes when it is large enough, old enough, when the next change belongs to another hour, or
//! when memory is short, and becomes one object; only then are its changes reported as durable. Every position that a writer
//! reports is the end of a committed object, its own or another process's: where the next writer starts is where the next object
//! starts. That is what *land-once* rests on, so skipped records move no position by themselves. They are covered by the run that the
//! next change lands in, and read again after a restart before that.
//!
//! Before the first change after opening, after a rewind and in another hour, a writer lists what the shard has in that hour already: after a
//! lost lease table it hops from object to object instead of landing their changes again.
//!
//! # Rows of snapshots
//!
//! A segment of a snapshot is written like a shard, and where a stream is delivered, a shard has both: changes of the present hour, and rows whose
//! time is the snapshot's start. A row **joins the run that is open** unless the run's hour is before the row's own, so that rows and changes that
//! alternate share an object; the readers of a snapshot look at its rows from its first hour on. A run that begins with a row has the row's hour. So
//! the name of an object follows from the position that it starts behind and from the record that comes first there, whatever follows: of two
//! processes at one position one wins, and *land-once* holds for rows as it does for changes. What is short of that:
//!
//! - Rows that alternate with changes of an earlier hour than the snapshot's start share no run with them, and each turn is an object. That
//!   lasts as long as capture was behind by an hour when the snapshot began.
//! - A writer that starts neither at the beginning nor where another one ended, as after a lost lease table *and* a trimmed stream, finds objects
//!   that hold its first rows only in the hours that it has listed: not one of a later hour, which the rows have joined. Such rows, up to the next
//!   change at most, land again. They are copies with the same event id and the same content, and change nothing for whoever takes one row of a
//!   snapshot for each key, as `current` does.

mod listings;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::listings::{Hours, Listings};
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
    /// A route into `lake` whose writers together hold no more than `budget`.
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
            listings: Listings::default(),
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
    /// What the shard had in the hours of late when they were listed.
    listings: Listings,
    run: Run,
    share: Share,
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
        let hours = self.hours_of(event)?;
        self.listings.list(&self.lake, &self.shard, hours.own()).await?;
        let mut progress = Progress::Unchanged;
        if self.must_close_before(hours, position) {
            progress = self.close().await?;
        }
        if let Progress::Rewind(_) = progress {
            return Ok(progress);
        }
        if let Some(last) = self.listings.covering(&self.lake, hours, position).await? {
            return Ok(self.rewind(last));
        }
        while self.share.admit(self.need(event, hours.own())?).await == Admission::CloseOwn {
            progress = later(progress, self.close().await?);
            if let Progress::Rewind(_) = progress {
                return Ok(progress);
            }
        }
        self.take(position, event, hours.own())?;
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
    fn hours_of(&self, event: &ChangeEvent<'_>) -> Result<Hours, LakeError> {
        let own = HourPartition::containing(event.time)
            .map_err(|error| LakeError::new(format!("take a change of shard {}", self.shard), Problem::Event(error.to_string())))?;
        Ok(if event.snapshot_id.is_some() { Hours::From(own) } else { Hours::Only(own) })
    }

    /// Whether the run must end before this record: the record belongs to another hour, or another process's object begins in between, or
    /// the run is closed already and waits for its commit.
    fn must_close_before(&self, hours: Hours, position: Position) -> bool {
        match &self.run {
            Run::None => false,
            Run::Closed { .. } | Run::Broken => true,
            Run::Open { run, .. } => !hours.contain(run.key().partition) || self.listings.meet(hours, position),
        }
    }

    /// Adds the record to the run that is open, or to one that begins with it, in its own hour.
    fn take(&mut self, position: Position, event: &ChangeEvent<'_>, own: HourPartition) -> Result<(), LakeError> {
        if let Run::None = self.run {
            self.run = Run::Open { run: self.begin(own)?, since: Instant::now() };
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

    /// A run that begins with a record of this hour.
    fn begin(&self, hour: HourPartition) -> Result<OpenRun, LakeError> {
        let format = self.lake.settings().format;
        self.lake.begin(ChangeKey { partition: hour, shard: self.shard.clone(), after: self.position, format })
    }

    /// What taking the record makes this writer hold more.
    fn need(&self, event: &ChangeEvent<'_>, own: HourPartition) -> Result<usize, LakeError> {
        match &self.run {
            Run::Open { run, .. } => Ok(run.growth(event)),
            Run::None | Run::Closed { .. } | Run::Broken => {
                let run = self.begin(own)?;
                Ok(run.memory() + run.growth(event))
            }
        }
    }

    fn is_full(&self) -> bool {
        matches!(&self.run, Run::Open { run, .. } if run.size() as u64 >= self.lake.settings().max_size)
    }

    /// Commits the run, if there is one. After a failure the run is kept and the next call tries again.
    async fn close(&mut self) -> Result<Progress, RouteError> {
        self.complete()?;
        let Run::Closed { run, .. } = &self.run else {
            self.share.hold(0);
            return Ok(Progress::Unchanged);
        };
        let commit = || async {
            let committed = self.lake.commit(run).await;
            // While the lake refuses it, nobody need wait for this run to go: others may have more luck.
            self.share.set_blocked(committed.is_err());
            committed
        };
        match retry(RetryPolicy::COMMIT, &CancellationToken::new(), commit).await {
            Ok(Commit::Committed) => {
                self.position = run.last;
                self.drop_run();
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

    fn drop_run(&mut self) {
        self.run = Run::None;
        self.share.set_blocked(false);
        self.share.hold(0);
    }

    fn rewind(&mut self, last: Position) -> Progress {
        self.drop_run();
        self.listings.clear();
        self.position = last;
        self.seen = last;
        Progress::Rewind(last)
    }
}

/// The progress of two steps, of which the second follows the first.
fn later(first: Progress, second: Progress) -> Progress {
    if second == Progress::Unchanged { first } else { second }
}
