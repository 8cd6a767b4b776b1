//! A target that is down for ten minutes: memory stays in its budget, the service says what it waits for, and nothing is lost afterwards.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use headwater::consumer::board::Doing;
use headwater::route::budget::MemoryBudget;
use headwater_sim::faults::{Chance, Fault, Rule, ServerError, Service};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::account::{Account, Process};

const SHARDS: usize = 4;
/// The smallest budget that there is.
const BUDGET: usize = 8 << 20;
/// The budget may be passed by about one change for each writer.
const CHANGE: usize = 64 << 10;
/// An item's text, and how many items are written in every second: what comes in the outage is seven times the budget,
/// so that one shard alone that catches up would pass it.
const BYTES: usize = 25_000;
const WRITES: u64 = 4;
/// How often the budget is looked at.
const LOOK: Duration = Duration::from_millis(10);
const DOWN: Duration = Duration::from_mins(10);
/// A shard says that its target is away when it has something to write and the attempts to write it have been given up.
const NOTICED: Duration = Duration::from_mins(4);
/// The longest wait of a shard is a minute, and half as much at random; then what has piled up is read and committed.
const RECOVERED: Duration = Duration::from_mins(3);

#[tokio::test(start_paused = true)]
#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
async fn a_target_that_is_down_for_ten_minutes_is_waited_for_within_the_budget() {
    let mut account = Account::begin(SHARDS).await;
    let settings = "max_age = \"10s\"\n[memory]\nbudget = \"8MiB\"";
    let worker = account.start("worker", settings).await;
    assert_eq!(worker.watch.budget.limit(), BUDGET);
    let most = Peak::of(&worker.watch.budget);
    let second = async |account: &mut Account, worker: &Process| {
        account.write(WRITES, BYTES);
        sleep(Duration::from_secs(1)).await;
        assert!(worker.is_running(), "the service ended by itself");
    };
    for _ in 0..30 {
        second(&mut account, &worker).await;
    }
    assert!(waiting(&worker).is_empty());

    let until = account.cloud.clock.now() + i64::try_from(DOWN.as_millis()).unwrap();
    let down = Fault::ServerError(ServerError::Unavailable);
    account.faults.add(Rule { service: Some(Service::S3), until: Some(until), ..Rule::new("*", down, Chance::Probability(1.0)) });
    let begun = Instant::now();
    let mut told_after = None;
    while begun.elapsed() < DOWN {
        second(&mut account, &worker).await;
        let reasons = waiting(&worker);
        if reasons.len() == SHARDS {
            told_after.get_or_insert(begun.elapsed());
            assert!(reasons.iter().all(|reason| reason.contains("503") || reason.to_lowercase().contains("lake")), "{reasons:?}");
        }
    }
    let told_after = told_after.expect("every shard says that it waits, and for what");
    assert!(told_after <= NOTICED, "{told_after:?}");

    let back = Instant::now();
    // The load goes on while what has piled up is read.
    for _ in 0..60 {
        second(&mut account, &worker).await;
    }
    let mut checker = account.checker(10_000);
    while !checker.is_settled() {
        assert!(back.elapsed() <= RECOVERED, "not everything has landed {RECOVERED:?} after the target came back");
        sleep(Duration::from_secs(1)).await;
        checker.follow(&account.cloud.journal);
    }
    let recovered = back.elapsed();
    let most = most.end();
    assert!(waiting(&worker).is_empty());
    worker.stop().await;
    checker.follow(&account.cloud.journal);
    checker.finish(account.cloud.clock.now());
    assert!(checker.violations().is_empty(), "{:?}", checker.violations());
    let _ = writeln!(
        io::stderr(),
        "a target down for {DOWN:?}: every shard says so after {told_after:.0?}; at most {:.1} MiB of {} MiB held; all {} changes landed once each {recovered:.0?} after it came back",
        most as f64 / f64::from(1 << 20),
        BUDGET >> 20,
        checker.seen()["changes landed"],
    );
    assert!(most > BUDGET / 4, "the budget was never in question: {most} bytes");
    assert!(most <= BUDGET + SHARDS * CHANGE, "{most} bytes were held");
    account.end().await;
}

/// The most that was held of a budget, looked at often enough that a shard's page, which fills it within a second, is not missed.
struct Peak {
    most: Arc<AtomicUsize>,
    looks: JoinHandle<()>,
}

impl Peak {
    fn of(budget: &Arc<MemoryBudget>) -> Self {
        let (most, budget) = (Arc::new(AtomicUsize::new(0)), Arc::clone(budget));
        let seen = Arc::clone(&most);
        let looks = tokio::spawn(async move {
            loop {
                seen.fetch_max(budget.held(), Ordering::Relaxed);
                sleep(LOOK).await;
            }
        });
        Self { most, looks }
    }

    fn end(self) -> usize {
        self.looks.abort();
        self.most.load(Ordering::Relaxed)
    }
}

/// What the shards say that wait.
fn waiting(worker: &Process) -> Vec<String> {
    let standings = worker.watch.stages[0].board.standings();
    standings.into_values().filter_map(|standing| if let Doing::Waiting(reason) = standing.doing { Some(reason) } else { None }).collect()
}
