//! Scenarios: what one seed draws (pure).

mod kinesis;
mod outages;
mod snapshots;
mod step;

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use crate::faults::{Chance, Fault, Rule, ServerError, Throttle};
pub use kinesis::{KinesisMakeUp, Route, WorkerMakeUp};
pub use snapshots::{SnapshotMakeUp, SnapshotStep};
pub use step::{Failing, Step};

/// 2026-11-21 02:59:00 UTC, so that most histories cross the end of an hour.
const BEGINS_AT: i64 = 1_795_229_940_000;
/// At most this many workers, unless there is a crowd of them.
const MOST_WORKERS: usize = 3;

/// Everything that a seed decides.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// The services' time at the beginning, in milliseconds since the epoch.
    pub begins_at: i64,
    /// The table's and its stream's make-up.
    pub table: TableMakeUp,
    /// How the service is set up.
    pub service: ServiceMakeUp,
    /// Kinesis in the path, if changes go through it.
    pub kinesis: Option<KinesisMakeUp>,
    /// How snapshots are taken, if there are any.
    pub snapshots: Option<SnapshotMakeUp>,
    /// What happens, and when after the beginning, in order.
    pub steps: Vec<(Duration, Step)>,
    /// What goes wrong in the services until the last step.
    pub rules: Vec<Rule>,
    /// Whether all workers are killed and started once more when everything has landed.
    pub restarts_when_settled: bool,
}

/// The table's and its stream's make-up.
#[derive(Debug, Clone, Copy)]
pub struct TableMakeUp {
    /// Shards at the beginning.
    pub partitions: usize,
    /// Digits of the first sequence numbers.
    pub digits: u32,
    /// Different items.
    pub items: usize,
    /// Whether the key has a sort key, which is a number.
    pub sorted: bool,
}

/// How the service is set up.
#[derive(Debug, Clone, Copy)]
pub struct ServiceMakeUp {
    /// Processes of it.
    pub workers: usize,
    /// Parquet, or NDJSON.
    pub parquet: bool,
    /// `lease.failover`.
    pub failover: Duration,
    /// `lake.max_age`.
    pub max_age: Duration,
    /// `lake.max_size`, in bytes.
    pub max_size: u64,
    /// `stream.idle_poll`.
    pub idle_poll: Duration,
}

impl Scenario {
    /// What this seed stands for, on a route.
    pub fn draw(seed: u64, route: Route) -> Self {
        let mut scenario = Self::draw_for_the_lake(seed);
        if route == Route::Kinesis {
            scenario.draw_kinesis();
        }
        scenario.draw_snapshots();
        scenario.draw_outages();
        scenario
    }

    /// Puts Kinesis into the path.
    fn draw_kinesis(&mut self) {
        let drawn = kinesis::draw(self.seed, self.length(), self.service.workers, self.rules.is_empty());
        self.steps.extend(drawn.steps);
        self.steps.sort_by_key(|(at, _)| *at);
        self.rules.extend(drawn.rules);
        self.kinesis = Some(drawn.make_up);
    }

    /// Adds snapshots, where changes come into the lake.
    fn draw_snapshots(&mut self) {
        if self.kinesis.as_ref().is_some_and(|kinesis| !kinesis.is_delivered()) {
            return;
        }
        let is_read_once = self.steps.iter().all(|(_, step)| *step != Step::LoseLeases);
        let setting = snapshots::Setting {
            length: self.length(),
            is_calm: self.rules.is_empty(),
            may_delete: self.kinesis.is_none() && is_read_once,
        };
        let Some(drawn) = snapshots::draw(self.seed, &setting) else { return };
        self.steps.extend(drawn.steps);
        self.steps.sort_by_key(|(at, _)| *at);
        self.rules.extend(drawn.rules);
        self.snapshots = Some(drawn.make_up);
    }

    /// Adds workers, and services that are out of order for minutes.
    fn draw_outages(&mut self) {
        let length = self.length();
        let is_delivered = self.kinesis.as_ref().is_some_and(KinesisMakeUp::is_delivered);
        let outages::Drawn { crowd, steps } = outages::draw(self.seed, length, self.service.workers, is_delivered);
        if let Some(crowd) = crowd {
            self.table.partitions = crowd.partitions;
            self.service.workers += crowd.more.len();
            if let Some(kinesis) = &mut self.kinesis {
                kinesis.workers.extend(crowd.more);
            }
        }
        self.steps.extend(steps);
        self.steps.sort_by_key(|(at, _)| *at);
    }

    /// From the beginning to the last step.
    fn length(&self) -> Duration {
        self.steps.last().map_or(Duration::ZERO, |(at, _)| *at).max(Duration::from_secs(1))
    }

    fn draw_for_the_lake(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let service = ServiceMakeUp {
            workers: rng.usize(1..=MOST_WORKERS),
            parquet: rng.bool(),
            failover: Duration::from_secs(rng.u64(2..=10)),
            max_age: Duration::from_millis(rng.u64(200..=8_000)),
            max_size: rng.u64(500..=20_000),
            idle_poll: Duration::from_millis(rng.u64(500..=3_000)),
        };
        let table = TableMakeUp { partitions: rng.usize(1..=3), digits: rng.u32(21..=40), items: rng.usize(1..=30), sorted: rng.bool() };
        let begins_at = BEGINS_AT + rng.i64(0..60_000);
        let length = Duration::from_secs(rng.u64(10..=45));
        let mut steps = traffic(&mut rng, length);
        let shards = fate_of_shards(&mut rng, length);
        // Without leases nobody can know what an earlier stream or a trimmed record was.
        let forgiving = shards.iter().all(|(_, step)| !matches!(step, Step::Disable | Step::TrimEarly { .. } | Step::Jump { .. }));
        steps.extend(shards);
        steps.extend(fate_of_workers(&mut rng, length, service));
        let loses_leases = forgiving && rng.u8(0..100) < 12;
        if loses_leases {
            steps.push((moment(&mut rng, length), Step::LoseLeases));
        }
        steps.sort_by_key(|(at, _)| *at);
        // One outage at most, and the last thing: what follows it is the recovery.
        if !loses_leases && rng.u8(0..100) < 15 {
            let outage = Step::Outage { hours: rng.u64(1..=30), before: rng.usize(0..10), during: rng.usize(0..10) };
            let end = steps.last().map_or(length, |(at, _)| length.max(*at));
            steps.push((end, outage));
            steps.push((end + Duration::from_secs(rng.u64(1..20)), Step::Write { changes: rng.usize(0..10) }));
        }
        let rules = faults(&mut rng);
        let restarts_when_settled = rng.u8(0..3) == 0;
        Self { seed, begins_at, table, service, kinesis: None, snapshots: None, steps, rules, restarts_when_settled }
    }
}

fn moment(rng: &mut Rng, length: Duration) -> Duration {
    Duration::from_millis(rng.u64(0..u64::try_from(length.as_millis()).unwrap_or(u64::MAX)))
}

fn traffic(rng: &mut Rng, length: Duration) -> Vec<(Duration, Step)> {
    let bursts = rng.usize(3..=14);
    let mut steps: Vec<_> = (0..bursts).map(|_| (moment(rng, length), Step::Write { changes: rng.usize(1..=16) })).collect();
    steps.extend((0..rng.usize(0..=2)).map(|_| (moment(rng, length), Step::Expire)));
    steps
}

fn fate_of_shards(rng: &mut Rng, length: Duration) -> Vec<(Duration, Step)> {
    let mut steps = Vec::new();
    for _ in 0..rng.usize(0..=4) {
        let at = moment(rng, length);
        // Generations in a row: a shard that is closed again before anybody has looked at it, with or without records in it.
        for generation in 0..rng.u32(1..=3) {
            let at = at + Duration::from_millis(u64::from(generation) * rng.u64(0..400));
            steps.push((at, Step::Reshard { pick: rng.usize(..1000), into: *rng.choice(&[1, 1, 2, 2, 3]).unwrap_or(&1) }));
            if rng.bool() {
                steps.push((at, Step::Write { changes: rng.usize(1..=6) }));
            }
        }
    }
    if rng.u8(0..100) < 10 {
        steps.push((moment(rng, length), Step::TrimEarly { pick: rng.usize(..1000), keep: rng.usize(0..5) }));
    }
    if rng.u8(0..100) < 10 {
        let at = moment(rng, length);
        steps.push((at, Step::Disable));
        // At once, or so late that workers meet a table whose stream is disabled.
        let pause = if rng.bool() { 0 } else { rng.u64(0..15_000) };
        if rng.bool() {
            steps.push((at + Duration::from_millis(pause / 2), Step::Write { changes: rng.usize(1..6) }));
        }
        steps.push((at + Duration::from_millis(pause), Step::Enable));
    }
    if rng.u8(0..100) < 15 {
        // Longer than an iterator lives, or longer than the stream remembers: a machine that slept.
        let by = if rng.u8(0..4) == 0 { Duration::from_mins(rng.u64(1_300..=1_600)) } else { Duration::from_mins(rng.u64(10..=25)) };
        steps.push((moment(rng, length), Step::Jump { by }));
    }
    steps
}

fn fate_of_workers(rng: &mut Rng, length: Duration, service: ServiceMakeUp) -> Vec<(Duration, Step)> {
    let mut steps = Vec::new();
    for _ in 0..rng.usize(0..=4) {
        let (at, worker) = (moment(rng, length), rng.usize(0..service.workers));
        let end = if rng.u8(0..4) == 0 { Step::Stop { worker } } else { Step::Crash { worker } };
        steps.push((at, end));
        steps.push((at + Duration::from_millis(rng.u64(0..12_000)), Step::Start { worker }));
    }
    for _ in 0..rng.usize(0..=2) {
        // Shorter and longer than a lease.
        let most = u64::try_from(service.failover.as_millis()).unwrap_or(10_000) * 3;
        let length_of_pause = Duration::from_millis(rng.u64(500..most));
        steps.push((moment(rng, length), Step::Pause { worker: rng.usize(0..service.workers), length: length_of_pause }));
    }
    if rng.u8(0..100) < 15 {
        let by_seconds = rng.i64(-7_200..=7_200);
        steps.push((moment(rng, length), Step::WrongClock { worker: rng.usize(0..service.workers), by_seconds }));
    }
    steps
}

/// What may go wrong with calls: a random choice of faults, each rare or frequent.
fn faults(rng: &mut Rng) -> Vec<Rule> {
    // One history in five has none: what fails there fails without help.
    if rng.u8(0..5) == 0 {
        return Vec::new();
    }
    let most = *rng.choice(&[0.02, 0.05, 0.15]).unwrap_or(&0.05);
    let mut rules = Vec::new();
    for (operation, fault) in possible(rng) {
        if rng.u8(0..3) > 0 {
            rules.push(Rule::new(operation, fault, Chance::Probability(rng.f64() * most)));
        }
    }
    if rng.u8(0..10) == 0 {
        // Lateness that lasts: each look misses the same shards.
        rules.push(Rule::new("DescribeStream", Fault::LateListing { ms: rng.i64(500..12_000) }, Chance::Probability(1.0)));
    }
    rules
}

fn possible(rng: &mut Rng) -> Vec<(&'static str, Fault)> {
    let spellings = [Throttle::LimitExceededException, Throttle::ProvisionedThroughputExceededException, Throttle::ThrottlingException];
    let throttles = ["GetRecords", "DescribeStream", "GetShardIterator", "UpdateItem", "PutItem", "Scan", "PutObject"];
    let mut spelling = |operation| (operation, Fault::Throttle(*rng.choice(&spellings).unwrap_or(&spellings[0])));
    let mut faults: Vec<_> = throttles.into_iter().map(&mut spelling).collect();
    faults.extend([
        ("*", Fault::ServerError(ServerError::Internal)),
        ("*", Fault::ServerError(ServerError::Unavailable)),
        ("*", Fault::Reset),
        ("*", Fault::LoseAnswer),
        ("UpdateItem", Fault::LoseAnswer),
        ("PutObject", Fault::LoseAnswer),
        ("*", Fault::Hang { ms: Some(rng.u64(1_000..60_000)) }),
        ("*", Fault::Hang { ms: None }),
        ("PutObject", Fault::Delay { ms: rng.u64(100..40_000) }),
        ("UpdateItem", Fault::Delay { ms: rng.u64(100..40_000) }),
        ("*", Fault::Delay { ms: rng.u64(10..3_000) }),
        ("*", Fault::Slow { pieces: rng.usize(2..6), ms: rng.u64(10..2_000) }),
        ("*", Fault::Truncate),
        ("GetRecords", Fault::Truncate),
        ("GetRecords", Fault::EmptyPage),
        ("GetRecords", Fault::ShortPage(rng.usize(1..4))),
        ("GetRecords", Fault::RepeatPage),
        ("DescribeStream", Fault::LateListing { ms: rng.i64(100..20_000) }),
        ("DescribeStream", Fault::ParentsLookOpen),
        ("UpdateItem", Fault::ConditionFails),
        ("PutObject", Fault::ConditionFails),
    ]);
    faults
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, table, service, .. } = self;
        writeln!(
            f,
            "seed {seed}: {} items in {} shards, sequence numbers from {} digits on, {} workers, {}, fail-over {:?}, objects of up to {:?} or {} bytes",
            table.items,
            table.partitions,
            table.digits,
            service.workers,
            if service.parquet { "Parquet" } else { "NDJSON" },
            service.failover,
            service.max_age,
            service.max_size
        )?;
        if let Some(kinesis) = &self.kinesis {
            writeln!(f, "  {kinesis}")?;
        }
        if let Some(snapshots) = &self.snapshots {
            writeln!(f, "  {snapshots}")?;
        }
        for Rule { operation, fault, chance, .. } in &self.rules {
            writeln!(f, "  fault: {operation} {fault:?}, {chance:?}")?;
        }
        for (at, step) in &self.steps {
            writeln!(f, "  {:>7.3} s: {step}", at.as_secs_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_stands_for_one_scenario() {
        for seed in 0..50 {
            for route in [Route::Lake, Route::Kinesis] {
                assert_eq!(Scenario::draw(seed, route).to_string(), Scenario::draw(seed, route).to_string());
            }
        }
        assert_ne!(Scenario::draw(1, Route::Lake).to_string(), Scenario::draw(2, Route::Lake).to_string());
        let through_kinesis = (0..300).filter(|seed| Route::drawn(*seed) == Route::Kinesis).count();
        assert!((50..100).contains(&through_kinesis), "about a fourth: {through_kinesis}");
    }

    #[test]
    fn steps_are_in_order_and_every_kind_is_drawn() {
        let mut kinds = std::collections::BTreeSet::new();
        for (seed, route) in (0..300).flat_map(|seed| [(seed, Route::Lake), (seed, Route::Kinesis)]) {
            let scenario = Scenario::draw(seed, route);
            assert!(scenario.steps.is_sorted_by_key(|(at, _)| *at), "seed {seed}");
            kinds
                .extend(scenario.steps.iter().map(|(_, step)| format!("{step:?}").split([' ', '(']).next().unwrap_or_default().to_owned()));
        }
        assert_eq!(kinds.len(), 23, "{kinds:?}");
    }
}
