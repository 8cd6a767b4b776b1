//! What a seed draws for Kinesis in the path (pure). It is drawn apart from everything else, so that a seed's table, workers and faults are the
//! same on either route.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use super::{Step, moment};
use crate::faults::{Chance, Fault, RecordError, Rule, Throttle};

/// At most this many shards at the beginning.
const MOST_SHARDS: u32 = 4;

/// Which way changes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Straight into the lake.
    Lake,
    /// Into a Kinesis stream, and with deliver from there into the lake.
    Kinesis,
}

impl Route {
    /// The route that a seed draws: every fourth goes through Kinesis, which takes longer to play.
    pub fn drawn(seed: u64) -> Self {
        if Rng::with_seed(seed ^ ROUTES).u8(0..4) == 0 { Self::Kinesis } else { Self::Lake }
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lake => "lake",
            Self::Kinesis => "kinesis",
        }
    }
}

/// Tells the draws of this module from others of the same seed.
const ROUTES: u64 = 0x0052_6F75_7465_7321;
const CONTENTS: u64 = 0x4B69_6E65_7369_7321;

/// The Kinesis stream's make-up, and how the service uses it.
#[derive(Debug, Clone, PartialEq)]
pub struct KinesisMakeUp {
    /// Shards at the beginning; none for a stream in on-demand mode, which decides that by itself.
    pub shards: Option<u32>,
    /// `kinesis.aggregation`.
    pub aggregation: bool,
    /// `kinesis.aggregation_max_size`, in bytes.
    pub aggregation_max_size: u64,
    /// `kinesis.batch_size`.
    pub batch_size: u64,
    /// `kinesis.maximum_batching_window`.
    pub batching_window: Duration,
    /// What each worker does. None delivers when the history ends at Kinesis.
    pub workers: Vec<WorkerMakeUp>,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerMakeUp {
    /// Whether it brings the table's changes to Kinesis.
    pub captures: bool,
    /// Whether it delivers them from there into the lake.
    pub delivers: bool,
}

impl KinesisMakeUp {
    /// Whether any worker delivers.
    pub fn is_delivered(&self) -> bool {
        self.workers.iter().any(|worker| worker.delivers)
    }
}

/// What is drawn beside the make-up.
pub(super) struct Drawn {
    pub(super) make_up: KinesisMakeUp,
    pub(super) steps: Vec<(Duration, Step)>,
    pub(super) rules: Vec<Rule>,
}

/// Draws Kinesis's part of a history of that length; `calm` when nothing is to go wrong with calls.
pub(super) fn draw(seed: u64, length: Duration, workers: usize, calm: bool) -> Drawn {
    let mut rng = Rng::with_seed(seed ^ CONTENTS);
    let rng = &mut rng;
    let is_delivered = rng.u8(0..4) > 0;
    let worker = |number: usize| match (number, is_delivered.then(|| rng.u8(0..4))) {
        (_, None) | (1.., Some(0)) => WorkerMakeUp { captures: true, delivers: false },
        (1.., Some(1)) => WorkerMakeUp { captures: false, delivers: true },
        // The first one does both, so that each is done by somebody.
        _ => WorkerMakeUp { captures: true, delivers: true },
    };
    let workers = (0..workers).map(worker).collect();
    let make_up = KinesisMakeUp {
        shards: (rng.u8(0..4) > 0).then(|| rng.u32(1..=MOST_SHARDS)),
        aggregation: rng.u8(0..4) > 0,
        aggregation_max_size: rng.u64(1_000..=51_200),
        batch_size: rng.u64(1..=200),
        batching_window: Duration::from_millis(rng.u64(0..=2_000)),
        workers,
    };
    let steps = fate_of_shards(rng, length);
    let rules = if calm { Vec::new() } else { faults(rng) };
    Drawn { make_up, steps, rules }
}

fn fate_of_shards(rng: &mut Rng, length: Duration) -> Vec<(Duration, Step)> {
    let mut steps = Vec::new();
    for _ in 0..rng.usize(0..=4) {
        let at = moment(rng, length);
        // Several at once, or one just after the other, with traffic in between.
        for generation in 0..rng.u32(1..=2) {
            let at = at + Duration::from_millis(u64::from(generation) * rng.u64(0..400));
            let pick = rng.usize(..1000);
            steps.push((at, if rng.bool() { Step::SplitKinesis { pick } } else { Step::MergeKinesis { pick } }));
            if rng.bool() {
                steps.push((at, Step::Write { changes: rng.usize(1..=6) }));
            }
        }
    }
    for _ in 0..rng.usize(0..=2) {
        let pick = rng.usize(..1000);
        steps.push((moment(rng, length), Step::ThrottleKinesis { pick, length: Duration::from_millis(rng.u64(200..=8_000)) }));
    }
    if rng.u8(0..100) < 4 {
        steps.push((moment(rng, length), Step::WriteLarge));
    }
    steps
}

/// What may go wrong with the calls of Kinesis beside what may go wrong with all.
fn faults(rng: &mut Rng) -> Vec<Rule> {
    let most = *rng.choice(&[0.02, 0.05, 0.2]).unwrap_or(&0.05);
    let failing = |probability, code| ("PutRecords", Fault::FailRecords { probability, code });
    let possible = [
        failing(rng.f64(), RecordError::ProvisionedThroughputExceededException),
        failing(rng.f64(), RecordError::InternalFailure),
        ("PutRecords", Fault::Throttle(Throttle::ProvisionedThroughputExceededException)),
        ("PutRecords", Fault::Throttle(Throttle::LimitExceededException)),
        ("PutRecords", Fault::LoseAnswer),
        ("PutRecords", Fault::Truncate),
        // Some arrive long after their senders have given up.
        ("PutRecords", Fault::Delay { ms: rng.u64(100..45_000) }),
        ("PutRecords", Fault::Hang { ms: Some(rng.u64(1_000..45_000)) }),
        ("ListShards", Fault::Throttle(Throttle::LimitExceededException)),
        ("ListShards", Fault::LoseAnswer),
        ("ListShards", Fault::Hang { ms: Some(rng.u64(1_000..10_000)) }),
        ("DescribeStreamSummary", Fault::Throttle(Throttle::LimitExceededException)),
    ];
    let mut rules: Vec<Rule> = Vec::new();
    for (operation, fault) in possible {
        if rng.u8(0..3) > 0 {
            rules.push(Rule::new(operation, fault, Chance::Probability(rng.f64() * most)));
        }
    }
    if rng.u8(0..3) == 0 {
        // The stream splits under the very call that was made for its shards as they were.
        let calls = (0..rng.usize(1..=3)).map(|_| rng.u64(1..40)).collect();
        rules.push(Rule::new("PutRecords", Fault::SplitBefore, Chance::Calls(calls)));
    }
    rules
}

impl fmt::Display for KinesisMakeUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shards {
            Some(shards) => write!(f, "through {shards} shards of Kinesis")?,
            None => f.write_str("through an on-demand stream of Kinesis")?,
        }
        if self.aggregation {
            write!(f, ", aggregated up to {} bytes", self.aggregation_max_size)?;
        }
        write!(f, ", batches of up to {} or {:?}", self.batch_size, self.batching_window)?;
        for (number, worker) in self.workers.iter().enumerate() {
            let does = match worker {
                WorkerMakeUp { captures: true, delivers: true } => "captures and delivers",
                WorkerMakeUp { captures: true, .. } => "captures",
                WorkerMakeUp { .. } => "delivers",
            };
            write!(f, ", worker {number} {does}")?;
        }
        Ok(())
    }
}
