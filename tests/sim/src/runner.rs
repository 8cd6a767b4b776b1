//! Runs the service itself through a drawn history, over real HTTP and on virtual time, and checks the invariants.
//!
//! One seed gives one [`scenario::Scenario`]: the table's traffic, its shards' fate, the workers and what becomes of them, and the faults of
//! the services. [`play`] plays it on one thread with tokio's time paused: hours pass in moments, and nothing waits for real. The
//! history, the topology and the faults depend on the seed alone. How the service's own tasks interleave does not depend on it entirely:
//! retries are jittered, `select!` has no order, and sockets are real. A violation that needs a rare interleaving may take a few replays to show
//! again.

pub mod corpus;
pub mod coverage;
pub mod idle;
pub mod marks;
pub mod poison;
pub mod scenario;
pub mod snapshots;
pub mod soak;

mod history;
mod logs;
mod service;
mod short;
mod worker;

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use crate::check::{Checker, Invariant, KinesisSubject, Subject, Violation};
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::faults::{Faults, Script, Service};
use crate::journal::{Event, Journal};
use crate::server::Server;
use coverage::Coverage;
use history::History;
use scenario::{Scenario, Step};
pub use service::sdk_config;
pub use snapshots::snapshot_item;
use worker::Fleet;

/// The replicated table.
const TABLE: &str = "orders";
/// The lease table.
const LEASES: &str = "headwater-orders";
/// The Kinesis stream in the path.
const KINESIS: &str = "orders-changes";
/// The lease table of those who deliver from it.
const DELIVER_LEASES: &str = "headwater-orders-deliver";
/// The lake's bucket.
const BUCKET: &str = "lake";
/// The lake's prefix in it.
const PREFIX: &str = "cdc";
/// Once nothing is in the way any more, everything lands within this time: the longest pause between retries, a fail-over and a round, and then, a
/// minute after a gap was found, a snapshot that closes it.
const SETTLED_WITHIN: Duration = Duration::from_mins(15);
/// Leases are shared out evenly within this time, by one for each worker and round. A worker that ended by itself comes back meanwhile.
const SPREAD_WITHIN: Duration = Duration::from_mins(3);
/// How often requests that were under way for long may take effect after everything had settled.
const ARRIVALS: usize = 3;
/// Abandoned leases are taken by the first round after the fail-over, their shards read and their checkpoints written within this.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(15);

/// What became of a scenario.
#[derive(Debug)]
pub struct Report {
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// What was exercised.
    pub coverage: Coverage,
    /// Everything that happened.
    pub journal: Journal,
}

/// Plays a scenario on a runtime of its own, with paused time. An error means that the simulator itself failed.
///
/// With `logs`, what the service logs at that level and above stands in the journal among the rest.
pub fn play(scenario: &Scenario, logs: Option<tracing::Level>) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().context("start a runtime")?;
    let report = runtime.block_on(run(scenario, logs));
    // Whatever a crashed worker left behind ends here.
    runtime.shutdown_background();
    report
}

async fn run(scenario: &Scenario, logs: Option<tracing::Level>) -> anyhow::Result<Report> {
    let cloud = Cloud::new(Clock::starting_at(scenario.begins_at), Journal::keeping());
    let _logging = logs.map(|level| logs::into_journal(&cloud, level));
    let faults = Faults::new(scenario.seed);
    faults.set(Script { seed: scenario.seed, rules: scenario.rules.clone() });
    let server = Server::start(cloud.clone(), faults.clone(), crate::server::Options::default()).await.context("start the simulator")?;
    let mut history = History::new(cloud.clone(), scenario);
    history.begin()?;
    let mut fleet = Fleet::new(cloud.clone(), faults.clone(), server.address(), scenario)?;
    let mut checker = Checker::new(Subject {
        table: TABLE.to_owned(),
        leases: LEASES.to_owned(),
        bucket: BUCKET.to_owned(),
        folder: format!("{PREFIX}/{TABLE}"),
        failover: i64::try_from(scenario.service.failover.as_millis())?,
        kinesis: scenario.kinesis.as_ref().map(|kinesis| KinesisSubject {
            stream: KINESIS.to_owned(),
            leases: kinesis.is_delivered().then(|| DELIVER_LEASES.to_owned()),
            // What does not fit lies beside the lake's changes, and a pointer is in the stream.
            quarantined_from: None,
        }),
        closes_gaps: scenario.snapshots.is_some_and(|snapshots| snapshots.closes_gaps),
    });
    let begun = Instant::now();
    fleet.start_all();
    for (at, step) in &scenario.steps {
        tokio::time::sleep_until(begun + *at).await;
        cloud.journal.record(cloud.clock.now(), "", Event::Note(step.to_string()));
        perform(step, &mut history, &mut fleet).await?;
        checker.follow(&cloud.journal);
        if !checker.violations().is_empty() {
            break;
        }
    }
    cloud.journal.record(cloud.clock.now(), "", Event::Note("nothing is in the way any more".to_owned()));
    faults.clear();
    fleet.start_all();
    let mut settled = settle(&mut checker, &cloud, &mut fleet).await;
    if settled {
        spread(&mut checker, &cloud, &mut fleet).await;
    }
    if scenario.restarts_when_settled && checker.violations().is_empty() {
        // What is durable stays as it is when everything is read again, and requests that were under way for long arrive by now.
        fleet.crash_all();
        fleet.start_all();
        tokio::time::sleep(scenario.service.failover * 2 + TAKEN_OVER_WITHIN).await;
    }
    fleet.stop_all().await;
    checker.follow(&cloud.journal);
    // A request that was under way for long may have taken effect meanwhile: what it stored is delivered too.
    for _ in 0..ARRIVALS {
        if !settled || checker.is_settled() || !checker.violations().is_empty() {
            break;
        }
        fleet.start_all();
        settled = settle(&mut checker, &cloud, &mut fleet).await;
        fleet.stop_all().await;
        checker.follow(&cloud.journal);
    }
    let mut violations = checker.violations().to_vec();
    violations.extend(fleet.unclean().into_iter().map(|what| Violation { invariant: Invariant::CleanExit, at: cloud.clock.now(), what }));
    if violations.is_empty() {
        checker.finish(cloud.clock.now());
        violations.extend_from_slice(checker.violations());
    }
    if !settled && violations.is_empty() {
        let what = format!("the service did not settle within {} min", SETTLED_WITHIN.as_secs() / 60);
        violations.push(Violation { invariant: Invariant::Liveness, at: cloud.clock.now(), what });
    }
    server.stop().await;
    let coverage = Coverage::of([checker.seen(), fleet.counts(), history.counts()], &faults.counts());
    Ok(Report { violations, coverage, journal: cloud.journal })
}

/// Lets the workers go on until everything has arrived that can, and gives whether it has.
async fn settle(checker: &mut Checker, cloud: &Cloud, fleet: &mut Fleet) -> bool {
    let settled = tokio::time::timeout(SETTLED_WITHIN, async {
        loop {
            checker.follow(&cloud.journal);
            if checker.is_settled() || !checker.violations().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            // Of those that were still stopping.
            fleet.start_all();
        }
    });
    settled.await.is_ok()
}

/// Lets the workers share out what there is to read. Nothing moves any more but leases.
async fn spread(checker: &mut Checker, cloud: &Cloud, fleet: &mut Fleet) {
    let begun = Instant::now();
    loop {
        checker.follow(&cloud.journal);
        let running = fleet.running();
        let Some(why) = checker.imbalance(&running.capturing, &running.delivering) else { return };
        if !checker.violations().is_empty() {
            return;
        }
        if begun.elapsed() >= SPREAD_WITHIN {
            checker.uneven(cloud.clock.now(), why);
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        fleet.start_all();
    }
}

async fn perform(step: &Step, history: &mut History, fleet: &mut Fleet) -> anyhow::Result<()> {
    match step {
        Step::Write { changes } => history.write(*changes)?,
        Step::Expire => history.expire(),
        Step::Reshard { pick, into } => history.reshard(*pick, *into)?,
        Step::TrimEarly { pick, keep } => history.trim_early(*pick, *keep),
        Step::WriteLarge => history.write_large()?,
        Step::SplitKinesis { pick } => history.split_kinesis(*pick)?,
        Step::MergeKinesis { pick } => history.merge_kinesis(*pick)?,
        Step::ThrottleKinesis { pick, length } => history.throttle_kinesis(*pick, *length)?,
        Step::Snapshot(asked) => history.snapshot(asked)?,
        Step::CancelSnapshot { pick } => history.cancel_snapshot(*pick)?,
        Step::DeleteObject { pick } => history.delete_object(*pick),
        Step::Disable => history.disable_stream()?,
        Step::Enable => history.enable_stream()?,
        Step::Jump { by } => history.jump(*by),
        Step::LoseLeases => {
            fleet.crash_all();
            history.lose_leases()?;
            fleet.start_all();
        }
        Step::Crash { worker } => fleet.crash(*worker),
        Step::Stop { worker } => fleet.stop(*worker),
        Step::Start { worker } => fleet.start(*worker),
        Step::Pause { worker, length } => fleet.pause(*worker, *length),
        Step::WrongClock { worker, by_seconds } => fleet.set_clock(*worker, *by_seconds),
        Step::LeaseTableOutage { worker, length, how } => fleet.cut_off_leases(*worker, *length, *how),
        Step::TargetOutage { is_lake, length, how } => {
            fleet.cut_off_target(if *is_lake || !history.is_through_kinesis() { Service::S3 } else { Service::Kinesis }, *length, *how);
        }
        Step::Outage { hours, before, during } => {
            fleet.crash_all();
            history.write(*before)?;
            history.outage(Duration::from_hours(*hours));
            history.write(*during)?;
            fleet.start_all();
        }
    }
    // The moment of a crash shall not depend on what else was due in the same moment.
    tokio::task::yield_now().await;
    Ok(())
}
