//! What the lease table costs: writes and reads for each shard and minute, when nothing happens and under load.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::time::Duration;

use headwater_sim::item::size;
use tokio::time::sleep;

use crate::account::{Account, LEASES};

const SHARDS: u64 = 8;
const WORKERS: u64 = 2;
/// How long is measured.
const MINUTES: u64 = 3;
/// `lease.failover` when nothing is said about it.
const FAILOVER: u64 = 10;
/// A unit reads so many bytes consistently.
const UNIT: u64 = 4096;

/// The lease table's cost over some minutes.
struct Cost {
    calls: BTreeMap<String, u64>,
    /// Bytes of the whole table.
    size: u64,
}

#[allow(clippy::cast_precision_loss, reason = "small numbers")]
impl Cost {
    fn of(&self, operations: &[&str]) -> u64 {
        operations.iter().filter_map(|operation| self.calls.get(*operation)).sum()
    }

    fn writes_per_shard_and_minute(&self) -> f64 {
        self.of(&["UpdateItem", "PutItem", "DeleteItem"]) as f64 / (SHARDS * MINUTES) as f64
    }

    fn scans_per_worker_and_minute(&self) -> f64 {
        self.of(&["Scan"]) as f64 / (WORKERS * MINUTES) as f64
    }

    fn units_of_a_scan(&self) -> u64 {
        self.size.div_ceil(UNIT)
    }

    fn tell(&self, when: &str) {
        // Past the test harness, which keeps what a passing test prints to itself.
        let _ = writeln!(
            io::stderr(),
            "lease table {when}: {:.1} writes per shard and minute; {:.1} Scans per worker and minute of {} read units each ({SHARDS} leases of {} bytes); {} GetItem",
            self.writes_per_shard_and_minute(),
            self.scans_per_worker_and_minute(),
            self.units_of_a_scan(),
            self.size / SHARDS,
            self.of(&["GetItem"]),
        );
    }
}

#[tokio::test(start_paused = true)]
#[allow(clippy::cast_precision_loss, reason = "small numbers")]
async fn a_lease_is_written_three_times_per_fail_over_time_idle_or_busy() {
    let mut account = Account::begin(SHARDS.try_into().unwrap()).await;
    let mut workers = Vec::new();
    for name in ["first", "second"] {
        workers.push(account.start(name, "").await);
    }
    // Until the shards are shared out.
    sleep(Duration::from_mins(1)).await;
    for worker in &workers {
        let held = worker.watch.stages[0].board.standings().len();
        assert_eq!(u64::try_from(held).unwrap(), SHARDS / WORKERS);
    }

    let idle = measure(&mut account, false).await;
    idle.tell("idle");
    let busy = measure(&mut account, true).await;
    busy.tell("busy");
    // A renewal each third of the fail-over time, from one confirmed write to the next.
    let renewals = (60 * 3 / FAILOVER) as f64;
    assert!((renewals * 0.9..=renewals).contains(&idle.writes_per_shard_and_minute()), "{}", idle.writes_per_shard_and_minute());
    // A checkpoint is a renewal too: by `lake.max_age` there is one a minute.
    assert!((renewals * 0.9..=renewals + 1.0).contains(&busy.writes_per_shard_and_minute()), "{}", busy.writes_per_shard_and_minute());
    // Two rounds per fail-over time, and what watches for snapshots.
    for cost in [&idle, &busy] {
        let rounds = (60 * 2 / FAILOVER) as f64;
        assert!((rounds * 0.9..=rounds * 2.0).contains(&cost.scans_per_worker_and_minute()), "{}", cost.scans_per_worker_and_minute());
    }
    for worker in workers {
        worker.stop().await;
    }
    account.end().await;
}

/// Lets minutes pass, with twenty writes a second or none.
async fn measure(account: &mut Account, is_busy: bool) -> Cost {
    account.calls.take();
    for _ in 0..MINUTES * 60 {
        if is_busy {
            account.write(20, 100);
        }
        sleep(Duration::from_secs(1)).await;
    }
    let size: usize = account.cloud.state().tables.items(LEASES).unwrap().map(size::item).sum();
    Cost { calls: account.calls.take(), size: size.try_into().unwrap() }
}
