//! A consumer of a stream's leased shards: what capture and deliver have in common.
//!
//! [`Consumer::run`] goes round: look at the stream, list its shards, read the leases, create what is missing, take what is free
//! and readable, start one `shard` task for each. A round costs one description of the stream, the pages of one listing (of two while a replaced
//! stream is read to its end) and one Scan of the lease table. When asked to stop it lets every task flush, checkpoint and release its lease.
//! A [`Source`] says what is read and how its pages become events; the [`Route`] says where they go.

pub mod board;
mod counters;
mod origin;
pub mod page;
mod parked;
mod shard;
mod sharing;
mod watermark;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::{AwsError, Failure, describe};
use crate::clock::ServiceClock;
use crate::config::{LaterRecords, OnGap, Start, StreamSettings};
use crate::event::ShardId;
use crate::lake::{Lake, LakeError};
use crate::lease::expiry::Observed;
use crate::lease::gap::{Gap, GapKind};
use crate::lease::table::LeaseTable;
use crate::lease::{Checkpoint, Lease};
use crate::retry::{RetryPolicy, Transient as _, retry};
use crate::route::{Route, RouteError};
use crate::stream::lineage::{self, Begin, Leased};
use crate::stream::poll::Pace;
use crate::stream::{ShardInfo, StreamApi, StreamArn, describe_all};

use board::Board;
pub use counters::{Counters, Totals};
use page::Decode;

/// `latest` begins this much before the first start: the clock of this machine and the stream's need not agree to the second.
const LATEST_MARGIN: i64 = 60;
/// The hosts of the service need not agree to the second on what is a day old. A gap told for nothing is better than one not told.
const RETENTION_MARGIN: i64 = 10;
/// A start so little younger than what the stream remembers is about to be trimmed: no more is promised than from the trim horizon.
const START_MARGIN: i64 = 600;
/// How often in the fail-over time a worker looks: an abandoned lease is taken after the fail-over time and one look at the latest.
const ROUNDS: u32 = 2;
/// The same while something that is free was left to others: they may be gone as well.
const ROUNDS_WHEN_LEFT: u32 = 10;
/// How often a disabled stream is complained about.
const REMIND: Duration = Duration::from_mins(1);

/// A stage stopped because something needs a person.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
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
        "shard {}: {}. The gap is recorded (see `headwater status`); set stream.on_gap to \"snapshot\" to read on and bring back \
         what was lost by a snapshot, or to \"continue\" to read on with what there is",
        .0.origin,
        .0.kind.describe()
    )]
    Gap(Box<Gap>),
    /// A task of this process ended in a way that it cannot.
    #[error("the task of a shard ended unexpectedly: {0}")]
    Task(#[from] JoinError),
}

impl ConsumerError {
    /// Whether it may pass without anything being set up differently.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Aws(error) => error.is_transient(),
            Self::Route(error) => error.may_pass,
            // A record that cannot be stored must not be passed over, whatever keeps it from being stored: its shard waits, the others go on.
            Self::Quarantine { .. } => true,
            Self::Gap(_) | Self::Task(_) => false,
        }
    }
}

/// What a stage reads.
pub struct Source {
    /// The name of the stage in logs.
    pub stage: &'static str,
    /// The service.
    pub api: Arc<dyn StreamApi>,
    /// How its pages become events.
    pub decode: Arc<dyn Decode>,
    /// How it is read.
    pub settings: StreamSettings,
    /// What the service allows a reader of one shard.
    pub pace: Pace,
    /// Pages in memory at once, over all shards.
    pub pages_in_memory: usize,
    /// What a position that the service no longer has looks like.
    pub trimming: Trimming,
    /// Whether an item's changes must have rising positions across shards: *latest sequence wins* needs it of the table's own stream.
    pub ordered_across_shards: bool,
}

/// What a position that the service no longer has looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trimming {
    /// Reading from it fails.
    Told,
    /// Reading goes on with what is left, without a word. Reading resumes at the last position, and whether its record is still there tells.
    Silent {
        /// No record younger than this many seconds is ever trimmed.
        kept_at_least: i64,
    },
}

/// What every task of the stage shares.
pub struct Context {
    /// What is read.
    pub source: Source,
    /// Leases, checkpoints and the gap ledger.
    pub leases: Arc<LeaseTable>,
    /// The destination.
    pub route: Arc<dyn Route>,
    /// Where records go that are no events.
    pub quarantine: Arc<Lake>,
    /// What becomes of the later records of an item of which one is in quarantine.
    pub later_records: LaterRecords,
    /// How long a lease may go without renewal.
    pub failover: Duration,
    /// This process's name in the lease table, different at each start.
    pub owner: String,
    /// The clock by which records are kept and trimmed.
    pub clock: ServiceClock,
    /// What was done so far.
    pub counters: Arc<Counters>,
    /// How the shards are doing that this process holds.
    pub board: Arc<Board>,
    pages: Arc<Semaphore>,
}

impl Context {
    /// Everything that the stage needs.
    pub fn new(
        source: Source,
        leases: Arc<LeaseTable>,
        route: Arc<dyn Route>,
        quarantine: Arc<Lake>,
        failover: Duration,
        owner: String,
        clock: ServiceClock,
    ) -> Self {
        let pages = Arc::new(Semaphore::new(source.pages_in_memory));
        let (later_records, counters, board) = (LaterRecords::default(), Arc::default(), Arc::default());
        Self { source, leases, route, quarantine, later_records, failover, owner, clock, counters, board, pages }
    }

    /// Enters a gap into the ledger; by policy, that is where it ends.
    async fn record_gap(&self, gap: Gap) -> Result<(), ConsumerError> {
        self.leases.record(&gap).await?;
        tracing::error!(kind = ?gap.kind, origin = gap.origin, after = gap.after, lost_from = gap.lost_from, "{}", gap.kind.describe());
        self.counters.gap();
        match self.source.settings.on_gap {
            // The order of numbers across shards concerns the query, not what is read.
            _ if gap.kind == GapKind::OrderBroken => Ok(()),
            // The snapshot is begun by whoever sees the open gap.
            OnGap::Continue | OnGap::Snapshot => Ok(()),
            OnGap::Stop => Err(ConsumerError::Gap(Box::new(gap))),
        }
    }
}

/// A stage, for whoever watches it.
#[derive(Debug, Clone)]
pub struct WatchedStage {
    /// Its name.
    pub name: &'static str,
    /// What it has taken.
    pub counters: Arc<Counters>,
    /// How the shards are doing that this process holds.
    pub board: Arc<Board>,
    /// Its leases, checkpoints and gap ledger.
    pub leases: Arc<LeaseTable>,
    /// The time by which its stream keeps records.
    pub clock: ServiceClock,
}

/// How the work on a shard ended.
type Outcome = Result<shard::Outcome, ConsumerError>;

/// A task, its shard, and how the work on it ended.
type Worked = (task::Id, (ShardId, Outcome));

/// A stage: the consumer of one stream.
pub struct Consumer {
    context: Arc<Context>,
    observed: Observed,
    /// The tasks by shard. A shard that was given up and came back may have an earlier task that was not taken leave of yet.
    held: BTreeMap<ShardId, task::Id>,
    /// What was free in the last round and left to others.
    left: BTreeSet<ShardId>,
    tasks: JoinSet<(ShardId, Outcome)>,
    draining: CancellationToken,
    reminded: Option<Instant>,
}

impl Consumer {
    /// A stage that holds nothing yet.
    pub fn new(context: Context) -> Self {
        Self {
            context: Arc::new(context),
            observed: Observed::default(),
            held: BTreeMap::new(),
            left: BTreeSet::new(),
            tasks: JoinSet::new(),
            draining: CancellationToken::new(),
            reminded: None,
        }
    }

    /// The stage's name.
    pub fn name(&self) -> &'static str {
        self.context.source.stage
    }

    /// What was done so far.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.context.counters)
    }

    /// What whoever watches the stage looks at.
    pub fn watch(&self) -> WatchedStage {
        let context = &self.context;
        WatchedStage {
            name: context.source.stage,
            counters: Arc::clone(&context.counters),
            board: Arc::clone(&context.board),
            leases: Arc::clone(&context.leases),
            clock: context.clock.clone(),
        }
    }

    /// Consumes until `stop` is cancelled or something needs a person. Either way every shard is flushed, checkpointed and released
    /// before this returns. `stop` is cancelled when that begins; the caller sets the deadline.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), ConsumerError> {
        let mut result = self.rounds(&stop).await;
        if let Err(error) = &result {
            tracing::error!(%error, "stopping: every shard is flushed and released first");
        }
        stop.cancel();
        self.draining.cancel();
        while let Some(done) = self.tasks.join_next().await {
            let outcome = done.map_err(ConsumerError::from).and_then(|(_, outcome)| outcome);
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

    async fn rounds(&mut self, stop: &CancellationToken) -> Result<(), ConsumerError> {
        loop {
            let left_some = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                round = self.round(stop) => match round {
                    Ok(left_some) => left_some,
                    // The tasks go on for as long as their leases last.
                    Err(error) if error.may_pass() => {
                        let problem = describe(&error);
                        tracing::warn!(stage = self.context.source.stage, error = problem, "the stream and the leases cannot be looked at; trying again");
                        self.context.board.note_trouble(problem);
                        false
                    }
                    Err(error) => return Err(error),
                },
            };
            let pause = tokio::time::sleep(self.context.failover / if left_some { ROUNDS_WHEN_LEFT } else { ROUNDS });
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    () = stop.cancelled() => return Ok(()),
                    Some(done) = self.tasks.join_next_with_id() => {
                        let mut ended = self.take_leave(done)?;
                        // Shards that are closed together end together: one look for all of them.
                        while let Some(done) = self.tasks.try_join_next_with_id() {
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
    fn take_leave(&mut self, done: Result<Worked, JoinError>) -> Result<bool, ConsumerError> {
        let (task, (shard, outcome)) = done?;
        if self.held.get(&shard) == Some(&task) {
            self.held.remove(&shard);
        }
        match outcome? {
            shard::Outcome::Ended => return Ok(true),
            shard::Outcome::Lost => {
                self.context.counters.lost();
                tracing::warn!(%shard, "the lease is lost: the work on the shard was dropped");
            }
            shard::Outcome::HandedOver => {
                self.context.counters.handed_over();
                tracing::info!(%shard, "the shard is handed over to another worker");
            }
            shard::Outcome::Gone | shard::Outcome::Drained => {}
        }
        Ok(false)
    }

    /// Looks at the stream and the leases, creates what is missing and takes what is due. True when it is worth looking again soon.
    async fn round(&mut self, stop: &CancellationToken) -> Result<bool, ConsumerError> {
        let context = Arc::clone(&self.context);
        let stream = retry(RetryPolicy::ROUND, stop, || context.source.api.current()).await?;
        let mut listed = self.list(&stream.arn, !stream.enabled, stop).await?;
        let mut leases = context.leases.read().await?.leases;
        let mut older = Vec::new();
        let seen = Instant::now();
        self.observed.update(&leases, seen);
        // What replaced streams still hold comes before the new one's changes, and so do their leases.
        for arn in lineage::replaced(&by_shard(&leases), &stream.arn, self.context.clock.unix_seconds()) {
            let of_replaced = self.list(&arn, true, stop).await?;
            leases = self.create_missing(&arn, stream.retention, &of_replaced, leases).await?;
            older.extend(of_replaced);
        }
        let leases = self.create_missing(&stream.arn, stream.retention, &listed, leases).await?;
        listed.extend(older);

        let by_shard = by_shard(&leases);
        let unfinished = leases.iter().any(|lease| lease.checkpoint != Checkpoint::ShardEnd);
        if !stream.enabled && !unfinished && self.reminded.is_none_or(|at| at.elapsed() >= REMIND) {
            tracing::warn!(stream = %stream.arn, "the stream takes no more changes and everything that it held is dealt with; waiting for another one");
            self.reminded = Some(Instant::now());
        }
        for shard in lineage::forgettable(&listed, &by_shard, self.context.clock.unix_seconds()) {
            if let Some(lease) = leases.iter().find(|lease| lease.shard == shard) {
                context.leases.forget(lease).await?;
            }
        }
        let readable = lineage::readable(&listed, &by_shard);
        let left_some = self.share_out(&readable, &leases, seen, stream.retention).await?;
        context.board.note_look(stream);
        Ok(left_some)
    }

    /// A stream's shards. One that is disabled for longer than it remembers is gone; then there is nothing to list.
    async fn list(&self, stream: &StreamArn, may_be_gone: bool, stop: &CancellationToken) -> Result<Vec<ShardInfo>, ConsumerError> {
        match retry(RetryPolicy::ROUND, stop, || describe_all(self.context.source.api.as_ref(), stream)).await {
            Ok((_, shards)) => Ok(shards),
            Err(error) if error.failure == Failure::NotFound && may_be_gone => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    async fn create_missing(
        &self,
        stream: &StreamArn,
        retention: i64,
        listed: &[ShardInfo],
        mut leases: Vec<Lease>,
    ) -> Result<Vec<Lease>, ConsumerError> {
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
            let durable_through = match new.begin {
                // What was made before is not wanted, so it counts as dealt with.
                Begin::At(seconds) if self.context.clock.unix_seconds() - seconds < retention - START_MARGIN => Some(seconds),
                Begin::At(_) | Begin::TrimHorizon => None,
            };
            let lease = Lease {
                parents: new.parents,
                durable_through,
                found_at: Some(self.context.clock.unix_seconds()),
                ..Lease::new(new.shard, stream.clone(), new.begin.into())
            };
            self.context.leases.create(&lease).await?;
            leases.push(lease);
        }
        Ok(leases)
    }

    /// Where the shards of a first start begin.
    fn first_position(&self) -> Begin {
        match self.context.source.settings.start {
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
