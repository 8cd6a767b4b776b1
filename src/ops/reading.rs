//! What is known of the service at one moment, as plain values: what everything that is told of it is told from.

use std::time::Duration;

use tokio::time::Instant;

use super::verdict::{Limits, Reason, is_stalled, verdict};
use crate::consumer::board::{Board, Doing};
use crate::consumer::{Totals, WatchedStage};
use crate::event::ShardId;
use crate::histogram::Distribution;
use crate::lake::LakeCounts;
use crate::pipeline::Watch;
use crate::retry::{self, Cause};
use crate::route::counters::RouteTotals;
use crate::snapshot;
use crate::stream::StreamInfo;

/// How far the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It looks at its table, its leases and its targets.
    Starting,
    /// The stages run.
    Running,
    /// It finishes what it has begun.
    Stopping,
}

impl Phase {
    /// One word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
        }
    }
}

/// The service at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The table that is replicated.
    pub table: String,
    /// How far the process is.
    pub phase: Phase,
    /// How long the process has been there.
    pub uptime: Duration,
    /// Why it is not ready; empty when it is.
    pub reasons: Vec<Reason>,
    /// The stages of this process; none while it starts.
    pub stages: Vec<StageReading>,
    /// What was sent, to each service that is sent to.
    pub sent: Vec<SentReading>,
    /// What has landed, once the lake is open.
    pub lake: Option<LakeReading>,
    /// What was done for snapshots, where this process captures.
    pub snapshots: Option<snapshot::Totals>,
    /// What the route holds in memory, once it is open.
    pub memory: Option<MemoryReading>,
    /// Bytes of memory that the process occupies, where the system tells.
    pub resident: Option<u64>,
    /// What was tried again, by its cause.
    pub retries: [(Cause, u64); Cause::ALL.len()],
}

/// A stage at one moment.
#[derive(Debug, Clone)]
pub struct StageReading {
    /// Its name.
    pub name: &'static str,
    /// What it has done.
    pub totals: Totals,
    /// The time by the clock of its stream, in seconds since the epoch.
    pub now: i64,
    /// The last time that it looked at its stream and its leases, and what it saw; none before the first.
    pub looked: Option<LookReading>,
    /// The shards that it holds, in order of their names.
    pub shards: Vec<ShardReading>,
    /// How many of them have confirmed nothing for too long.
    pub stalled: usize,
    /// Why it could not look the last time, if it could not.
    pub trouble: Option<String>,
}

/// A stage's last look at its stream.
#[derive(Debug, Clone)]
pub struct LookReading {
    /// How long ago that was.
    pub ago: Duration,
    /// The stream.
    pub stream: StreamInfo,
}

/// A shard that is held, at one moment.
#[derive(Debug, Clone)]
pub struct ShardReading {
    /// Its name.
    pub shard: ShardId,
    /// What its task does.
    pub doing: Doing,
    /// For how long it has done that.
    pub since: Duration,
    /// How long ago progress was confirmed last, or the shard was taken.
    pub since_progress: Duration,
    /// Every change made before this time (seconds since the epoch) is durable.
    pub durable_through: Option<i64>,
}

/// What was sent to one service.
#[derive(Debug, Clone, Copy)]
pub struct SentReading {
    /// The service.
    pub service: &'static str,
    /// What was sent.
    pub totals: RouteTotals,
    /// How many events each answered call has acknowledged.
    pub batches: Distribution,
}

/// What has landed.
#[derive(Debug, Clone, Copy)]
pub struct LakeReading {
    /// The counts.
    pub counts: LakeCounts,
    /// How many changes each object holds.
    pub runs: Distribution,
}

/// What the route holds in memory.
#[derive(Debug, Clone, Copy)]
pub struct MemoryReading {
    /// Bytes held for the route.
    pub held: usize,
    /// Bytes that may be.
    pub budget: usize,
}

impl Reading {
    pub(super) fn take(table: String, phase: Phase, uptime: Duration, limits: Limits, watch: Option<&Watch>) -> Self {
        let stages: Vec<StageReading> =
            watch.iter().flat_map(|watch| &watch.stages).map(|stage| StageReading::take(stage, limits)).collect();
        let sent = || watch.iter().flat_map(|watch| &watch.sent);
        let troubles: Vec<_> = sent().map(|(service, sent)| (*service, sent.troubles())).collect();
        Self {
            table,
            phase,
            uptime,
            reasons: verdict(phase, &stages, &troubles, limits),
            stages,
            sent: sent().map(|(service, sent)| SentReading { service, totals: sent.totals(), batches: sent.batches() }).collect(),
            lake: watch.map(|watch| watch.lake.counters()).map(|lake| LakeReading { counts: lake.read(), runs: lake.runs() }),
            snapshots: watch.and_then(|watch| watch.snapshots.as_ref()).map(|snapshots| snapshots.totals()),
            memory: watch.map(|watch| MemoryReading { held: watch.budget.held(), budget: watch.budget.limit() }),
            resident: std::fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident_bytes),
            retries: retry::counts(),
        }
    }

    /// Whether data moves.
    pub fn is_ready(&self) -> bool {
        self.reasons.is_empty()
    }
}

impl StageReading {
    fn take(stage: &WatchedStage, limits: Limits) -> Self {
        let (shards, looked) = (of_board(&stage.board), stage.board.looked());
        Self {
            name: stage.name,
            totals: stage.counters.totals(),
            now: stage.clock.unix_seconds(),
            looked: looked.map(|look| LookReading { ago: look.at.elapsed(), stream: look.stream }),
            stalled: shards.iter().filter(|shard| is_stalled(shard, limits.progress)).count(),
            shards,
            trouble: stage.board.trouble(),
        }
    }

    /// How many seconds the oldest change is behind that may not be durable, over the shards held. None while nothing is held, or while that is not
    /// known of one of them: it may be the one that is behind.
    pub fn lag(&self) -> Option<i64> {
        self.shards.iter().map(|shard| shard.durable_through).min().flatten().map(|through| (self.now - through).max(0))
    }

    /// How many seconds are left until the stream begins to drop what is not durable; below zero when it may have begun. None while the lag or the
    /// stream is not known.
    pub fn seconds_until_trim(&self) -> Option<i64> {
        Some(self.looked.as_ref()?.stream.retention - self.lag()?)
    }

    /// How many shards wait for something to pass.
    pub fn waiting(&self) -> usize {
        self.shards.iter().filter(|shard| matches!(shard.doing, Doing::Waiting(_))).count()
    }
}

fn of_board(board: &Board) -> Vec<ShardReading> {
    let now = Instant::now();
    let standings = board.standings().into_iter();
    standings
        .map(|(shard, standing)| ShardReading {
            shard,
            doing: standing.doing,
            since: now.saturating_duration_since(standing.since),
            since_progress: now.saturating_duration_since(standing.progressed),
            durable_through: standing.durable_through,
        })
        .collect()
}

/// The resident set of the process, from the text of Linux's `/proc/self/status`.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::stream::StreamArn;

    /// Seconds since the epoch, in the afternoon of 2026-11-21.
    pub(in crate::ops) const NOW: i64 = 1_795_270_000;

    /// A shard that reads, confirmed progress a second ago and is durable up to `behind` seconds ago.
    pub(in crate::ops) fn shard(name: &str, behind: Option<i64>) -> ShardReading {
        let since_progress = Duration::from_secs(1);
        let durable_through = behind.map(|behind| NOW - behind);
        ShardReading { shard: ShardId::new(name), doing: Doing::Reading, since: Duration::from_mins(5), since_progress, durable_through }
    }

    /// A stage that has looked two seconds ago.
    pub(in crate::ops) fn stage(name: &'static str, shards: Vec<ShardReading>) -> StageReading {
        let stream =
            StreamInfo { arn: StreamArn::new("arn:aws:dynamodb:eu-west-1:1:table/orders/stream/1"), enabled: true, retention: 86_400 };
        let looked = Some(LookReading { ago: Duration::from_secs(2), stream });
        StageReading {
            name,
            totals: Totals { records: 7, newest: NOW - 9, ..Totals::default() },
            now: NOW,
            looked,
            shards,
            stalled: 0,
            trouble: None,
        }
    }

    /// A service that captures by way of Kinesis and delivers.
    pub(in crate::ops) fn reading() -> Reading {
        let stages = vec![
            stage("capture", vec![shard("shardId-00000001795270000000-a1b2c3d4", Some(12)), shard("shardId-2", Some(3))]),
            stage("deliver", vec![shard("shardId-000000000000", None)]),
        ];
        let mut batches = Distribution { sum: 620, ..Distribution::default() };
        (batches.buckets[0], batches.buckets[5]) = (20, 2);
        let totals = RouteTotals { calls: 23, records: 22, events: 620, retried: 4, ..RouteTotals::default() };
        Reading {
            table: "orders".to_owned(),
            phase: Phase::Running,
            uptime: Duration::from_secs(90),
            reasons: Vec::new(),
            stages,
            sent: vec![SentReading { service: "kinesis", totals, batches }],
            lake: Some(LakeReading { counts: LakeCounts { objects: 1, rows: 600, ..LakeCounts::default() }, runs: batches }),
            snapshots: Some(snapshot::Totals { rows: 5, half_units: 3, ..snapshot::Totals::default() }),
            memory: Some(MemoryReading { held: 1 << 20, budget: 64 << 20 }),
            resident: Some(50 << 20),
            retries: Cause::ALL.map(|cause| (cause, 2)),
        }
    }

    #[test]
    fn the_lag_of_a_stage_is_that_of_its_shard_that_is_furthest_behind() {
        let stage = stage("capture", vec![shard("a", Some(12)), shard("b", Some(300)), shard("c", Some(-2))]);
        assert_eq!((stage.lag(), stage.seconds_until_trim()), (Some(300), Some(86_100)));
    }

    #[test]
    fn a_lag_that_is_not_known_is_not_zero() {
        assert_eq!(stage("capture", Vec::new()).lag(), None, "nothing is held");
        let one_unknown = stage("capture", vec![shard("a", Some(12)), shard("b", None)]);
        assert_eq!((one_unknown.lag(), one_unknown.seconds_until_trim()), (None, None), "that one may be the one that is behind");
    }

    #[test]
    fn a_stage_is_never_ahead_of_its_stream() {
        assert_eq!(stage("capture", vec![shard("a", Some(-2))]).lag(), Some(0), "the clock was told a second too early");
    }

    #[test]
    fn time_to_trim_goes_below_zero() {
        assert_eq!(stage("capture", vec![shard("a", Some(86_410))]).seconds_until_trim(), Some(-10));
    }

    #[test]
    fn the_resident_set_is_read_from_what_linux_says() {
        let status = "Name:\theadwater\nVmHWM:\t   99999 kB\nVmRSS:\t   45056 kB\nThreads:\t5\n";
        assert_eq!(resident_bytes(status), Some(45_056 << 10));
        assert_eq!(resident_bytes("Name:\theadwater\n"), None);
        assert_eq!(resident_bytes("VmRSS:\tmuch\n"), None);
    }
}
