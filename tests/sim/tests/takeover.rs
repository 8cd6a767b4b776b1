//! Three workers of which one is killed every two seconds, under load, while shards split and services throttle: every change lands once, and no shard
//! waits for longer than it takes to tell that its worker is gone.
//!
//! Two minutes of the simulator's time by default, which a debug build plays in some ten seconds; `HEADWATER_KILL_SECONDS=600` in the environment makes
//! it ten minutes.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use headwater_sim::faults::{Chance, Fault, Rule, Throttle};
use headwater_sim::runner::idle::{Came, Idle, between_workers, median_and_longest};
use headwater_sim::runner::play;
use headwater_sim::runner::scenario::{Scenario, ServiceMakeUp, Step, TableMakeUp};

/// How long workers are killed, unless the environment says otherwise.
const LENGTH: Duration = Duration::from_mins(2);
const WORKERS: usize = 3;
/// One of them is killed in this time, in turn, and starts again at once: each lives for three times as long.
const KILLED_EVERY: Duration = Duration::from_secs(2);
/// No longer than a worker lives, or nobody would live to see that another one is gone.
const FAILOVER: Duration = Duration::from_secs(2);
/// How often a worker looks at the leases.
const ROUND: Duration = Duration::from_secs(1);
/// What comes on top of the time that a silent lease has to be watched: the first page after the lease was taken is behind several calls, each of which
/// may be throttled and sent again, and a lease that is left to a worker with fewer is looked at again after a tenth of the fail-over time.
const BEAT: Duration = Duration::from_secs(1);
/// Writes in a second of load, in bursts of so many.
const WRITES: usize = 8;
const BURST: usize = 4;
/// 2026-11-21 03:00:00 UTC.
const BEGINS_AT: i64 = 1_795_230_000_000;

#[test]
fn no_shard_is_idle_for_longer_than_a_fail_over_and_a_round_while_workers_die() {
    let begun = Instant::now();
    let length = std::env::var("HEADWATER_KILL_SECONDS").map_or(LENGTH, |seconds| Duration::from_secs(seconds.parse().unwrap()));
    let report = play(&dying_workers(length), None).unwrap();
    for violation in &report.violations {
        eprintln!("{violation}");
    }
    assert!(report.violations.is_empty(), "{} violations", report.violations.len());
    let coverage = |name: &str| report.coverage.get(name);
    assert_eq!(coverage("changes landed"), coverage("changes"), "each once, as the checker has seen");
    let kills = length.as_secs() / KILLED_EVERY.as_secs();
    assert_eq!(coverage("crashes"), kills);
    for name in ["splits", "shards closed with children", "leases taken over", "leases handed over", "fault: throttle"] {
        assert!(coverage(name) > 0, "nothing of this happened: {name}\n{}", report.coverage);
    }

    let idle = between_workers(&report.journal, "headwater-orders");
    let told =
        [("taken from the dead", Came::Taken), ("handed over or released", Came::Given), ("new", Came::First)].map(|(what, came)| {
            let times: Vec<Duration> =
                idle.iter().filter(|idle| idle.came == came && idle.passed_by == 0).map(|idle| idle.lasted).collect();
            let (median, longest) = median_and_longest(times.iter().copied()).unwrap();
            format!("{} shards {what}: idle for {median:.1?}, at most {longest:.1?}", times.len())
        });
    let unlucky: Vec<&Idle> = idle.iter().filter(|idle| idle.passed_by > 0).collect();
    // Past the test harness, which keeps what a passing test prints to itself.
    let _ = writeln!(
        io::stderr(),
        "{kills} kills in {} min, {} changes landed once each in {:.1?}; {}; {} times the next worker was killed before it had read anything: {:.1?} at most",
        length.as_secs() / 60,
        coverage("changes landed"),
        begun.elapsed(),
        told.join("; "),
        unlucky.len(),
        unlucky.iter().map(|idle| idle.lasted).max().unwrap_or_default(),
    );
    let bound = FAILOVER + ROUND + BEAT;
    // Each worker that dies with a lease before it has read anything leaves the shard to a whole wait of its own.
    let late: Vec<&Idle> = idle.iter().filter(|idle| idle.lasted > bound * (idle.passed_by + 1)).collect();
    assert!(late.is_empty(), "idle for longer than {bound:?}: {late:#?}");
}

/// Load, splits, throttling and kills for so long.
fn dying_workers(length: Duration) -> Scenario {
    let times = |every: Duration| (1..).map(move |number| every * number).take_while(move |at| *at <= length);
    let mut steps: Vec<(Duration, Step)> = Vec::new();
    let bursts = Duration::from_secs(1) * u32::try_from(BURST).unwrap() / u32::try_from(WRITES).unwrap();
    steps.extend(times(bursts).map(|at| (at, Step::Write { changes: BURST })));
    for (number, at) in times(KILLED_EVERY).enumerate() {
        let worker = number % WORKERS;
        steps.extend([(at, Step::Crash { worker }), (at, Step::Start { worker })]);
    }
    // A little off the kills, so that workers die at every stage of a shard's end.
    for (number, at) in times(Duration::from_millis(11_300)).enumerate() {
        steps.push((at, Step::Reshard { pick: number, into: if number % 18 == 0 { 2 } else { 1 } }));
    }
    steps.sort_by_key(|(at, _)| *at);
    let throttled = [
        ("GetRecords", Throttle::ProvisionedThroughputExceededException),
        ("DescribeStream", Throttle::LimitExceededException),
        ("UpdateItem", Throttle::ProvisionedThroughputExceededException),
        ("Scan", Throttle::ThrottlingException),
        ("PutObject", Throttle::ThrottlingException),
    ];
    let rule = |(operation, throttle)| Rule::new(operation, Fault::Throttle(throttle), Chance::Probability(0.03));
    Scenario {
        seed: 1,
        begins_at: BEGINS_AT,
        table: TableMakeUp { partitions: 3, digits: 30, items: 50, sorted: false },
        service: ServiceMakeUp {
            workers: WORKERS,
            parquet: false,
            failover: FAILOVER,
            max_age: Duration::from_secs(4),
            max_size: 100_000,
            idle_poll: Duration::from_secs(1),
        },
        kinesis: None,
        snapshots: None,
        steps,
        rules: throttled.into_iter().map(rule).collect(),
        restarts_when_settled: false,
    }
}
