//! The capture stage: a table's stream into a route.
//!
//! [`Capture::run`] goes round: look at the table, list the stream's shards, read the leases, create what is missing, take what is free
//! and readable, start one `shard` task for each. A round costs one DescribeTable, the pages of one DescribeStream (of two while a replaced
//! stream is read to its end) and one Scan of the lease table. When asked to stop it lets every task flush, checkpoint and release its lease.

mod counters;
mod origin;
mod shard;
mod watermark;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::{AwsError, Failure};
use crate::clock::ServiceClock;
use crate::config::{OnGap, Start, StreamSettings};
use crate::contract::TableSchema;
use crate::event::ShardId;
use crate::lake::{Lake, LakeError};
use crate::lease::expiry::Observed;
use crate::lease::gap::{Gap, GapKind};
use crate::lease::held::HeldLease;
use crate::lease::table::{LeaseTable, Write};
use crate::lease::{Checkpoint, Lease};
use crate::retry::{RetryPolicy, retry};
use crate::route::{Route, RouteError};
use crate::stream::lineage::{self, Begin, Leased};
use crate::stream::{ShardInfo, StreamApi, StreamArn, describe_all};

pub use counters::{Counters, Totals};
use origin::Origin;

/// Pages in memory at once, over all shards. A page is 1 MB of records, and up to a few MB as JSON.
const PAGES_IN_MEMORY: usize = 8;
/// `latest` begins this much before the first start: the clock of this machine and the stream's need not agree to the second.
const LATEST_MARGIN: i64 = 60;
/// How long a stream keeps a record, in seconds.
const RETENTION: i64 = 24 * 3600;
/// The hosts of the service need not agree to the second on what is a day old. A gap told for nothing is better than one not told.
const RETENTION_MARGIN: i64 = 10;
/// A start so little younger than what the stream remembers is about to be trimmed: no more is promised than from the trim horizon.
const START_MARGIN: i64 = 600;
/// How often a disabled stream is complained about.
const REMIND: Duration = Duration::from_mins(1);

/// Capture stopped because something needs a person.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// A service refused, or did not come back.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The route refused.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// Quarantine could not take a record.
    #[error("store a record of shard {shard} in quarantine")]
    Quarantine {
        /// The shard that waits.
        shard: ShardId,
        /// What the lake said.
        #[source]
        source: LakeError,
    },
    /// Changes are lost, and `on_gap` is `stop`.
    #[error(
        "shard {}: {}. The gap is recorded (see `headwater status`); set stream.on_gap = \"continue\" to read on with what there is",
        .0.origin,
        .0.kind.describe()
    )]
    Gap(Gap),
    /// A task of this process ended in a way that it cannot.
    #[error("the task of a shard ended unexpectedly: {0}")]
    Task(#[from] JoinError),
}

/// What every task of the stage shares.
pub struct Context {
    /// The source.
    pub api: Arc<dyn StreamApi>,
    /// Leases, checkpoints and the gap ledger.
    pub leases: Arc<LeaseTable>,
    /// The destination.
    pub route: Arc<dyn Route>,
    /// Where records go that are no events.
    pub quarantine: Arc<Lake>,
    /// The table's columns.
    pub schema: Arc<TableSchema>,
    /// How the stream is read.
    pub settings: StreamSettings,
    /// How long a lease may go without renewal.
    pub failover: Duration,
    /// This process's name in the lease table, different at each start.
    pub owner: String,
    /// The clock by which records are kept and trimmed.
    pub clock: ServiceClock,
    /// What was done so far.
    pub counters: Arc<Counters>,
    pages: Arc<Semaphore>,
}

impl Context {
    /// Everything that the stage needs.
    #[expect(clippy::too_many_arguments, reason = "one composition root calls this; a builder would only spell the same names twice")]
    pub fn new(
        api: Arc<dyn StreamApi>,
        leases: Arc<LeaseTable>,
        route: Arc<dyn Route>,
        quarantine: Arc<Lake>,
        schema: Arc<TableSchema>,
        settings: StreamSettings,
        failover: Duration,
        owner: String,
        clock: ServiceClock,
    ) -> Self {
        let pages = Arc::new(Semaphore::new(PAGES_IN_MEMORY));
        Self { api, leases, route, quarantine, schema, settings, failover, owner, clock, counters: Arc::default(), pages }
    }

    /// Enters a gap into the ledger; by policy, that is where it ends.
    async fn record_gap(&self, gap: Gap) -> Result<(), CaptureError> {
        self.leases.record(&gap).await?;
        tracing::error!(kind = ?gap.kind, origin = gap.origin, after = gap.after, lost_from = gap.lost_from, "{}", gap.kind.describe());
        self.counters.gap();
        match self.settings.on_gap {
            // The order of numbers across shards concerns the query, not what is read.
            _ if gap.kind == GapKind::OrderBroken => Ok(()),
            OnGap::Continue => Ok(()),
            OnGap::Stop => Err(CaptureError::Gap(gap)),
        }
    }
}

/// A shard, and how the work on it ended.
type Worked = (ShardId, Result<shard::Outcome, CaptureError>);

/// The capture stage.
pub struct Capture {
    context: Arc<Context>,
    observed: Observed,
    held: BTreeSet<ShardId>,
    tasks: JoinSet<Worked>,
    draining: CancellationToken,
    reminded: Option<Instant>,
}

impl Capture {
    /// A stage that holds nothing yet.
    pub fn new(context: Context) -> Self {
        Self {
            context: Arc::new(context),
            observed: Observed::default(),
            held: BTreeSet::new(),
            tasks: JoinSet::new(),
            draining: CancellationToken::new(),
            reminded: None,
        }
    }

    /// What was done so far.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.context.counters)
    }

    /// Captures until `stop` is cancelled or something needs a person. Either way every shard is flushed, checkpointed and released
    /// before this returns. `stop` is cancelled when that begins; the caller sets the deadline.
    pub async fn run(mut self, table: &str, stop: CancellationToken) -> Result<(), CaptureError> {
        let mut result = self.rounds(table, &stop).await;
        if let Err(error) = &result {
            tracing::error!(%error, "stopping: every shard is flushed and released first");
        }
        stop.cancel();
        self.draining.cancel();
        while let Some(done) = self.tasks.join_next().await {
            let outcome = done.map_err(CaptureError::from).and_then(|(_, outcome)| outcome);
            if let Err(error) = outcome {
                if result.is_ok() {
                    result = Err(error);
                } else {
                    tracing::error!(%error, "while shutting down");
                }
            }
        }
        result
    }

    async fn rounds(&mut self, table: &str, stop: &CancellationToken) -> Result<(), CaptureError> {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                done = self.round(table, stop) => done?,
            }
            let pause = tokio::time::sleep(self.context.failover / 2);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    () = stop.cancelled() => return Ok(()),
                    Some(done) = self.tasks.join_next() => {
                        let mut ended = self.take_leave(done)?;
                        // Shards that are closed together end together: one look for all of them.
                        while let Some(done) = self.tasks.try_join_next() {
                            ended |= self.take_leave(done)?;
                        }
                        // Their children can be read now: look at once.
                        if ended {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// The work on a shard is over. True when the shard is done.
    fn take_leave(&mut self, done: Result<Worked, JoinError>) -> Result<bool, CaptureError> {
        let (shard, outcome) = done?;
        self.held.remove(&shard);
        match outcome? {
            shard::Outcome::Ended => return Ok(true),
            shard::Outcome::Lost => tracing::warn!(%shard, "the lease was taken by another worker"),
            shard::Outcome::Drained => {}
        }
        Ok(false)
    }

    async fn round(&mut self, table: &str, stop: &CancellationToken) -> Result<(), CaptureError> {
        let context = Arc::clone(&self.context);
        let info = retry(RetryPolicy::SERVICE, stop, || context.api.table(table)).await?;
        let Some(stream) = info.stream else {
            return Err(
                AwsError::of("DescribeTable", Failure::Invalid, format!("table '{table}' has no stream any more; enable one")).into()
            );
        };
        let mut listed = self.list(&stream.arn, !stream.enabled, stop).await?;
        let (mut leases, _) = context.leases.read().await?;
        let mut older = Vec::new();
        self.observed.update(&leases, Instant::now());
        // What replaced streams still hold comes before the new one's changes, and so do their leases.
        for arn in lineage::replaced(&by_shard(&leases), &stream.arn, self.context.clock.unix_seconds()) {
            let of_replaced = self.list(&arn, true, stop).await?;
            leases = self.create_missing(&arn, &of_replaced, leases).await?;
            older.extend(of_replaced);
        }
        let leases = self.create_missing(&stream.arn, &listed, leases).await?;
        listed.extend(older);

        let by_shard = by_shard(&leases);
        let unfinished = leases.iter().any(|lease| lease.checkpoint != Checkpoint::ShardEnd);
        if !stream.enabled && !unfinished && self.reminded.is_none_or(|at| at.elapsed() >= REMIND) {
            tracing::warn!(table, "the table's stream is disabled and everything it held has landed; waiting for it to be enabled again");
            self.reminded = Some(Instant::now());
        }
        for shard in lineage::forgettable(&listed, &by_shard, self.context.clock.unix_seconds()) {
            if let Some(lease) = leases.iter().find(|lease| lease.shard == shard) {
                context.leases.forget(lease).await?;
            }
        }
        for shard in lineage::readable(&listed, &by_shard) {
            let Some(lease) = leases.iter().find(|lease| lease.shard == shard) else { continue };
            if !self.held.contains(&shard) && self.observed.is_free(lease, context.failover, Instant::now()) {
                self.take(lease, &leases).await?;
            }
        }
        Ok(())
    }

    /// A stream's shards. One that is disabled for longer than it remembers is gone; then there is nothing to list.
    async fn list(&self, stream: &StreamArn, may_be_gone: bool, stop: &CancellationToken) -> Result<Vec<ShardInfo>, CaptureError> {
        match retry(RetryPolicy::SERVICE, stop, || describe_all(self.context.api.as_ref(), stream)).await {
            Ok((_, shards)) => Ok(shards),
            Err(error) if error.failure == Failure::NotFound && may_be_gone => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    async fn create_missing(&self, stream: &StreamArn, listed: &[ShardInfo], mut leases: Vec<Lease>) -> Result<Vec<Lease>, CaptureError> {
        let missing = lineage::missing_leases(listed, &by_shard(&leases), self.first_position());
        // The ledger first: if this process dies in between, the next one still sees a stream without leases.
        // The label in an ARN is a time: the greatest of the others is the stream's predecessor.
        if let Some(old) = leases.iter().map(|lease| &lease.stream).filter(|other| *other < stream).max().cloned()
            && !missing.is_empty()
            && leases.iter().all(|lease| lease.stream != *stream)
        {
            // Nothing is known when one of its shards tells nothing.
            let of_old = leases.iter().filter(|lease| lease.stream == old);
            let lost_from = of_old.map(|lease| lease.durable_through).min().flatten();
            self.context.record_gap(Gap::of_stream(old.as_str(), stream.as_str(), lost_from, self.context.clock.unix_seconds())).await?;
        }
        for new in missing {
            let lease = Lease {
                shard: new.shard,
                stream: stream.clone(),
                parents: new.parent.into_iter().collect(),
                owner: None,
                counter: 0,
                checkpoint: new.begin.into(),
                last_sequence: None,
                durable_through: match new.begin {
                    // What was made before is not wanted, so it counts as dealt with.
                    Begin::At(seconds) if self.context.clock.unix_seconds() - seconds < RETENTION - START_MARGIN => Some(seconds),
                    Begin::At(_) | Begin::TrimHorizon => None,
                },
                found_at: Some(self.context.clock.unix_seconds()),
                done_at: None,
            };
            self.context.leases.create(&lease).await?;
            leases.push(lease);
        }
        Ok(leases)
    }

    async fn take(&mut self, lease: &Lease, leases: &[Lease]) -> Result<(), CaptureError> {
        let Write::Done(lease) = self.context.leases.take(lease, &self.context.owner).await? else { return Ok(()) };
        let origin = Origin::of(&lease, leases);
        tracing::info!(shard = %lease.shard, checkpoint = ?lease.checkpoint, "reading shard");
        let shard = lease.shard.clone();
        self.held.insert(shard.clone());
        let task = shard::ShardTask::new(
            Arc::clone(&self.context),
            HeldLease::new(Arc::clone(&self.context.leases), lease),
            origin,
            self.draining.clone(),
        );
        self.tasks.spawn(async move { (shard, Box::pin(task.run()).await) });
        Ok(())
    }

    /// Where the shards of a first start begin.
    fn first_position(&self) -> Begin {
        match self.context.settings.start {
            Start::TrimHorizon => Begin::TrimHorizon,
            // To the minute: a stand-in's records may carry no finer time.
            Start::Latest => Begin::At((self.context.clock.unix_seconds() - LATEST_MARGIN) / 60 * 60),
            Start::At(seconds) => Begin::At(seconds),
        }
    }
}

fn by_shard(leases: &[Lease]) -> BTreeMap<ShardId, Leased> {
    leases.iter().map(|lease| (lease.shard.clone(), lease.lineage())).collect()
}
