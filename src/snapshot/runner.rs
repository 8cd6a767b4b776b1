//! The runner: what a worker of the capture stage does for snapshots.
//!
//! [`Runner::run`] goes round: read the lease table, close gaps and ask for snapshots that gaps call for, bring every snapshot a step further
//! (`steps`), take free segments, start one task for each. Every step is a conditional write, or may be repeated by another worker, so no worker
//! leads: whoever comes first does it. A round costs one Scan of the lease table, of two where deliver has one. When asked to stop, it lets every task
//! flush, checkpoint and release its lease.
//!
//! What fails for good makes a snapshot fail, with its problem told; the service itself goes on.

mod delivered;
mod steps;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::delivered::Delivered;
use super::budget::Budget;
use super::counters::Counters;
use super::plan;
use super::reader::TableReader;
use super::segment::{Outcome, SegmentError, SegmentTask, Shared};
use super::source::RowSource;
use super::sources::Sources;
use crate::aws::{AwsError, describe};
use crate::clock::ServiceClock;
use crate::config::{OnGap, SnapshotSettings};
use crate::consumer;
use crate::event::ShardId;
use crate::lake::Lake;
use crate::lease::expiry::Observed;
use crate::lease::gap::Gap;
use crate::lease::held::HeldLease;
use crate::lease::snapshot::{Snapshot, State};
use crate::lease::table::{Contents, LeaseTable, Move, Write};
use crate::lease::{Checkpoint, Lease};
use crate::route::{Arrival, Route};
use crate::stream::StreamApi;

/// How often an idle runner looks for requests, at the least: a few times the fail-over time, where that is less.
const IDLE: Duration = Duration::from_secs(30);
const IDLE_ROUNDS: u32 = 3;
/// What fails so often in a row without a row getting any further, though it might pass, fails for good.
const MOST_TROUBLES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(2);

/// Everything that a runner needs.
pub struct Context {
    /// How services are reached.
    pub sdk: SdkConfig,
    /// Leases, snapshots and the gap ledger of the capture stage.
    pub leases: Arc<LeaseTable>,
    /// Leases and gap ledger of the deliver stage, if there is one.
    pub delivered: Option<LeaseTable>,
    /// How long rows are on their way when the deliver stage has noted them.
    pub after_delivery: Duration,
    /// The table's stream.
    pub stream: Arc<dyn StreamApi>,
    /// The table.
    pub table: TableReader,
    /// Where rows end up, sooner or later.
    pub lake: Arc<Lake>,
    /// Where rows are given.
    pub route: Arc<dyn Route>,
    /// How snapshots are taken.
    pub settings: SnapshotSettings,
    /// What happens when changes were lost.
    pub on_gap: OnGap,
    /// How long a lease may go without renewal.
    pub failover: Duration,
    /// This process's name in the lease table, different at each start.
    pub owner: String,
    /// The clock of the table's service, which `stream` and `table` set.
    pub clock: ServiceClock,
    /// What the capture stage has done: a gap that it finds is looked at soon.
    pub capture: Arc<consumer::Counters>,
}

/// How the work on a segment ended, by the id of its task.
type Worked = Result<(task::Id, Result<Outcome, SegmentError>), JoinError>;

/// A worker's part in all snapshots of its table.
pub struct Runner {
    context: Context,
    shared: Arc<Shared>,
    sources: Sources,
    observed: Observed,
    /// The segments that this process reads, and the snapshot of each.
    held: BTreeMap<ShardId, String>,
    tasks: JoinSet<Result<Outcome, SegmentError>>,
    /// Which segment each task reads.
    segments: HashMap<task::Id, ShardId>,
    works: BTreeMap<String, Work>,
    troubles: BTreeMap<String, Trouble>,
    waits: BTreeMap<String, Wait>,
}

/// What the segments of one snapshot share in this process.
struct Work {
    source: Arc<dyn RowSource>,
    budget: Arc<Budget>,
    abandoned: CancellationToken,
}

/// What this process knows of a snapshot that waits, to begin or to be complete.
#[derive(Default)]
struct Wait {
    /// It was said that it waits for the deliver stage.
    is_told: bool,
    /// Since when its announcement is left to another worker.
    unannounced: Option<Instant>,
    /// When its rows are in the lake; known once this process has announced it.
    arrival: Option<Arrival>,
    /// Since when everything of it is noted by the deliver stage.
    noted: Option<Instant>,
}

/// What keeps a snapshot from going on, though it may pass.
struct Trouble {
    count: u32,
    not_before: Instant,
    /// How many rows were durable when the lease table was read last.
    rows: u64,
}

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Later,
    Soon,
    AtOnce,
}

impl Runner {
    /// A runner that holds nothing yet.
    pub fn new(context: Context) -> Self {
        let shared = Shared {
            lake: Arc::clone(&context.lake),
            route: Arc::clone(&context.route),
            failover: context.failover,
            clock: context.clock.clone(),
            counters: Arc::default(),
            draining: CancellationToken::new(),
            rewinds: tokio::sync::Mutex::new(()),
        };
        let (sdk, reader, lake, settings) =
            (context.sdk.clone(), context.table.clone(), Arc::clone(&context.lake), context.settings.clone());
        Self {
            context,
            shared: Arc::new(shared),
            sources: Sources { sdk, reader, lake, settings },
            observed: Observed::default(),
            held: BTreeMap::new(),
            tasks: JoinSet::new(),
            segments: HashMap::new(),
            works: BTreeMap::new(),
            troubles: BTreeMap::new(),
            waits: BTreeMap::new(),
        }
    }

    fn wait(&mut self, snapshot: &Snapshot) -> &mut Wait {
        self.waits.entry(snapshot.id.clone()).or_default()
    }

    /// What was done so far.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// Works on snapshots until `stop` is cancelled; then every segment is flushed, checkpointed and released before this returns. The caller sets
    /// the deadline.
    pub async fn run(mut self, stop: CancellationToken) {
        self.rounds(&stop).await;
        self.shared.draining.cancel();
        while let Some(done) = self.tasks.join_next().await {
            match done {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::error!(error = describe(&error), "while shutting down"),
                Err(error) => tracing::error!(%error, "while shutting down"),
            }
        }
    }

    async fn rounds(&mut self, stop: &CancellationToken) {
        loop {
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                next = self.round() => next.unwrap_or_else(|error| {
                    tracing::warn!(error = describe(&error), "snapshots cannot be looked after now; trying again");
                    Next::Soon
                }),
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.pause(next) => {}
            }
        }
    }

    /// Waits until it is time to look again, a segment is done or the capture stage has found a gap.
    async fn pause(&mut self, next: Next) {
        let beat = self.context.failover / 2;
        let until = Instant::now()
            + match next {
                Next::AtOnce => return,
                Next::Soon => beat,
                Next::Later => IDLE.min(self.context.failover * IDLE_ROUNDS),
            };
        let gaps = self.context.capture.totals().gaps;
        while Instant::now() < until && self.context.capture.totals().gaps == gaps {
            tokio::select! {
                () = tokio::time::sleep_until(until.min(Instant::now() + beat)) => {}
                Some(done) = self.tasks.join_next_with_id() => {
                    self.take_leave(done).await;
                    // Segments that end together: one look for all of them.
                    while let Some(done) = self.tasks.try_join_next_with_id() {
                        self.take_leave(done).await;
                    }
                    return;
                }
            }
        }
    }

    /// The work on a segment is over.
    async fn take_leave(&mut self, done: Worked) {
        let task = done.as_ref().map_or_else(JoinError::id, |(task, _)| *task);
        let Some(segment) = self.segments.remove(&task) else { return };
        let Some(id) = self.held.remove(&segment) else { return };
        match done {
            Ok((_, Ok(Outcome::Ended))) => {
                self.troubles.remove(&id);
                self.shared.counters.segment();
            }
            Ok((_, Ok(Outcome::Lost))) => tracing::warn!(%segment, "the lease was taken by another worker"),
            Ok((_, Ok(Outcome::Drained | Outcome::Abandoned))) => {}
            Ok((_, Err(error))) => {
                tracing::warn!(%segment, error = describe(&error), "the work on a segment stopped");
                self.trouble(&id, error.is_final(), describe(&error)).await;
            }
            // Its lease was not released, and expires.
            Err(error) => {
                tracing::error!(%segment, %error, "the task of a segment ended unexpectedly");
                self.trouble(&id, false, format!("the task of segment {segment} ended unexpectedly: {error}")).await;
            }
        }
    }

    /// Takes note that a snapshot does not go on. What cannot pass, and what does not, makes it fail. What fails while the snapshot pauses for
    /// another failure, as its segments do at one outage, is the same trouble.
    async fn trouble(&mut self, id: &str, is_final: bool, problem: String) {
        let now = Instant::now();
        let trouble = self.troubles.entry(id.to_owned()).or_insert(Trouble { count: 0, not_before: now, rows: 0 });
        if trouble.not_before <= now {
            trouble.count += 1;
            trouble.not_before = now + (FIRST_PAUSE * 2_u32.pow(trouble.count.min(10))).min(LONGEST_PAUSE);
        }
        if !is_final && trouble.count < MOST_TROUBLES {
            return;
        }
        if let Err(error) = self.fail(id, problem).await {
            tracing::warn!(snapshot = id, %error, "that the snapshot failed could not be noted; trying again");
        }
    }

    /// A snapshot of which more rows are durable than before goes on, whatever was in its way.
    fn see_progress(&mut self, contents: &Contents) {
        for (id, trouble) in &mut self.troubles {
            let segments = contents.segments.iter().filter_map(|lease| lease.segment.as_ref());
            let rows = segments.filter(|segment| segment.snapshot == *id).map(|segment| segment.rows).sum();
            if rows > trouble.rows {
                (trouble.rows, trouble.count) = (rows, 0);
            }
        }
    }

    /// Makes a snapshot fail that does not have all its rows yet. One that has waits for as long as it takes.
    async fn fail(&self, id: &str, problem: String) -> Result<(), AwsError> {
        match self.context.leases.snapshot(id).await? {
            Some(seen) if matches!(seen.state, State::Requested | State::Running) => self.give_up(&seen, problem).await,
            _ => Ok(()),
        }
    }

    async fn give_up(&self, seen: &Snapshot, problem: String) -> Result<(), AwsError> {
        let now = self.context.clock.unix_seconds();
        let failed = self.context.leases.advance(seen, |snapshot| {
            snapshot.state = State::Failed;
            snapshot.problem = Some(problem.clone());
            snapshot.ended_at = Some(now);
        });
        if let Move::Done(_) = failed.await? {
            tracing::error!(snapshot = seen.id, problem, "the snapshot failed");
        }
        Ok(())
    }

    async fn round(&mut self) -> Result<Next, AwsError> {
        let mut contents = self.context.leases.read().await?;
        contents.snapshots.sort_by(|a, b| (a.requested_at, &a.id).cmp(&(b.requested_at, &b.id)));
        let delivered = Delivered::read(self.context.delivered.as_ref()).await;
        self.see_progress(&contents);
        let mut next = self.forget_strays(&contents).await?;
        next = next.max(self.deal_with_gaps(&mut contents, delivered.gaps()).await?);
        for snapshot in contents.snapshots.clone() {
            if self.troubles.get(&snapshot.id).is_some_and(|trouble| trouble.not_before > Instant::now()) {
                next = next.max(Next::Soon);
                continue;
            }
            match self.step(&snapshot, &contents, &delivered).await {
                Ok(step) => next = next.max(step),
                Err(error) => {
                    tracing::warn!(snapshot = snapshot.id, error = describe(&error), "the snapshot does not go on");
                    self.trouble(&snapshot.id, error.is_final(), describe(&error)).await;
                    next = next.max(Next::Soon);
                }
            }
        }
        // What is known of the table must be newer than what was just written.
        if next < Next::AtOnce {
            self.take_free(&contents).await?;
        }
        Ok(next)
    }

    /// Closes the gaps that a complete snapshot has brought back, and asks for one where none will.
    async fn deal_with_gaps(&self, contents: &mut Contents, delivered: &[Gap]) -> Result<Next, AwsError> {
        let ledgers = [(Some(self.context.leases.as_ref()), contents.gaps.as_slice()), (self.context.delivered.as_ref(), delivered)];
        for (ledger, gaps) in ledgers {
            for gap in gaps {
                if let (Some(ledger), Some(snapshot)) = (ledger, plan::closes(gap, &contents.snapshots)) {
                    let closed_at = snapshot.ended_at.unwrap_or_else(|| self.context.clock.unix_seconds());
                    ledger.close_gap(gap, &snapshot.id, closed_at).await?;
                    tracing::info!(snapshot = snapshot.id, kind = ?gap.kind, origin = gap.origin, "the gap is closed");
                }
            }
        }
        if self.context.on_gap != OnGap::Snapshot {
            return Ok(Next::Later);
        }
        let now = self.context.clock.unix_seconds();
        let gaps = contents.gaps.iter().chain(delivered);
        let Some(request) = plan::request_for(gaps, &contents.snapshots, &self.context.settings, now) else { return Ok(Next::Later) };
        // One that failed or was cancelled stays what it is: a person has to look.
        if contents.snapshots.iter().all(|snapshot| snapshot.id != request.id) {
            self.context.leases.request(&request).await?;
            tracing::warn!(snapshot = request.id, "changes were lost: a snapshot of the table is requested");
            contents.snapshots.push(request);
        }
        Ok(Next::Later)
    }

    /// Deletes the leases of segments whose snapshot is over, and stops the work on them.
    async fn forget_strays(&mut self, contents: &Contents) -> Result<Next, AwsError> {
        let alive = |snapshot: &&Snapshot| !snapshot.state.is_final();
        let alive: BTreeSet<&str> = contents.snapshots.iter().filter(alive).map(|snapshot| snapshot.id.as_str()).collect();
        self.works.retain(|id, work| {
            let is_alive = alive.contains(id.as_str());
            if !is_alive {
                work.abandoned.cancel();
            }
            is_alive
        });
        self.waits.retain(|id, _| alive.contains(id.as_str()));
        self.troubles.retain(|id, _| alive.contains(id.as_str()));
        let mut next = Next::Later;
        for lease in contents.segments.iter().filter(|lease| !alive.contains(of(lease))) {
            if !self.held.contains_key(&lease.shard) {
                self.context.leases.forget(lease).await?;
            }
            next = Next::Soon;
        }
        Ok(next)
    }

    /// Takes segments that nobody reads, the oldest snapshot's first, up to as many as this process reads at once.
    async fn take_free(&mut self, contents: &Contents) -> Result<(), AwsError> {
        let now = Instant::now();
        self.observed.update(&contents.segments, now);
        let mut refused = BTreeSet::new();
        for snapshot in contents.snapshots.iter().filter(|snapshot| snapshot.state == State::Running) {
            let open = |lease: &&Lease| of(lease) == snapshot.id && lease.checkpoint != Checkpoint::ShardEnd;
            let open: Vec<&Lease> = contents.segments.iter().filter(open).collect();
            let mut read_by_others = 0;
            for lease in open {
                if self.held.contains_key(&lease.shard) {
                    continue;
                }
                if !self.observed.is_free(lease, self.context.failover, now) {
                    read_by_others += 1;
                    continue;
                }
                let paused = self.troubles.get(&snapshot.id).is_some_and(|trouble| trouble.not_before > now);
                if self.tasks.len() < self.context.settings.at_once && !paused && !refused.contains(&snapshot.id) {
                    if !self.open(snapshot).await {
                        refused.insert(snapshot.id.clone());
                        continue;
                    }
                    self.take(snapshot, lease).await?;
                }
            }
            if let Some(work) = self.works.get(&snapshot.id) {
                let ours = self.held.values().filter(|id| **id == snapshot.id).count();
                work.budget.share(ours, ours + read_by_others);
            }
        }
        Ok(())
    }

    /// Opens what a snapshot reads, unless this process has it open. False when that is not possible now.
    async fn open(&mut self, snapshot: &Snapshot) -> bool {
        if self.works.contains_key(&snapshot.id) {
            return true;
        }
        match self.sources.open(snapshot).await {
            Ok(opened) => {
                let work = Work { source: opened.source, budget: opened.budget, abandoned: CancellationToken::new() };
                self.works.insert(snapshot.id.clone(), work);
                true
            }
            Err(error) => {
                let error = SegmentError::from(error);
                tracing::warn!(snapshot = snapshot.id, error = describe(&error), "the snapshot cannot be read");
                self.trouble(&snapshot.id, error.is_final(), describe(&error)).await;
                false
            }
        }
    }

    async fn take(&mut self, snapshot: &Snapshot, lease: &Lease) -> Result<(), AwsError> {
        let (Some(work), Some(number)) = (self.works.get(&snapshot.id), number(snapshot, lease)) else { return Ok(()) };
        let sent = Instant::now();
        let Write::Done(lease) = self.context.leases.take(lease, &self.context.owner).await? else { return Ok(()) };
        tracing::info!(segment = %lease.shard, checkpoint = ?lease.checkpoint, "reading segment");
        let segment = lease.shard.clone();
        self.held.insert(segment.clone(), snapshot.id.clone());
        let task = SegmentTask {
            shared: Arc::clone(&self.shared),
            snapshot: Arc::new(snapshot.clone()),
            number,
            source: Arc::clone(&work.source),
            budget: Arc::clone(&work.budget),
            held: HeldLease::new(Arc::clone(&self.context.leases), lease, sent, CancellationToken::new()),
            abandoned: work.abandoned.clone(),
        };
        let started = self.tasks.spawn(async move { Box::pin(task.run()).await });
        self.segments.insert(started.id(), segment);
        Ok(())
    }
}

/// The snapshot that a segment belongs to.
fn of(lease: &Lease) -> &str {
    lease.segment.as_ref().map_or("", |segment| segment.snapshot.as_str())
}

/// Which segment of the snapshot a lease is.
fn number(snapshot: &Snapshot, lease: &Lease) -> Option<u32> {
    let number = lease.shard.as_str().rsplit_once('-')?.1.parse().ok()?;
    (number < snapshot.segments && snapshot.segment(number) == lease.shard).then_some(number)
}
