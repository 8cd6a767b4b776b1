//! *land-once* and *durable-before-checkpoint* under SIGKILL: whenever the process dies, the lake ends up with every change once.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::load::{Load, TABLE};
use super::state;
use crate::support::lake::assert_every_change_once;
use crate::support::site::Settings;

/// Writes a second while processes die.
const RATE: u32 = 200;
/// A process that lands nothing for so long is stuck.
const PROGRESS: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_loses_or_repeats_a_change_in_parquet() {
    survive_kills("parquet", 24, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_loses_or_repeats_a_change_in_ndjson() {
    survive_kills("ndjson", 6, 2).await;
}

async fn survive_kills(format: &'static str, kills: usize, seed: u64) {
    let settings = Settings { table: TABLE, format, max_age: "300ms", shutdown_deadline: "25s", contract: None };
    let mut load = Load::start(&settings, RATE, seed).await;
    let mut moments = fastrand::Rng::with_seed(seed);
    let started = Instant::now();
    for kill in 0..kills {
        let site = &load.site;
        let mut run = site.run();
        if kill % 2 == 0 {
            // Any moment of a short life: starting, taking the lease over, reading back, writing.
            tokio::time::sleep(Duration::from_millis(moments.u64(0..4000))).await;
        } else {
            // About the moment at which an object has landed and its checkpoint may or may not have been written.
            let before = site.objects();
            run.wait_until(PROGRESS, "an object lands", async || site.objects() > before).await;
            tokio::time::sleep(Duration::from_millis(moments.u64(0..400))).await;
        }
        run.assert_running();
        load.generator.assert_running();
        run.kill().await;
    }
    let under_fire = started.elapsed();
    load.stop_and_catch_up().await;

    let (stream, rows) = (load.site.stream().await, load.site.rows().await);
    assert_every_change_once(&rows, &stream);
    state::assert_equals_table(&rows, &load.site.sdk_config(), TABLE).await;
    // Past the test harness, which keeps what a passing test prints to itself.
    let _ = writeln!(
        io::stderr(),
        "{format}: {kills} kills in {under_fire:.0?}, {} changes landed once each in {} objects (seed {seed})",
        rows.len(),
        load.site.objects(),
    );
}
