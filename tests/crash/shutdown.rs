//! SIGTERM: what was taken lands and is checkpointed, within the deadline, and a second signal ends the wait.

use std::collections::HashMap;
use std::time::Duration;

use super::load::{Load, SHUTDOWN, TABLE, now};
use crate::support::lake::{assert_every_change_once, not_landed};
use crate::support::process::Headwater;
use crate::support::site::{APPLICATION, Settings};

const RATE: u32 = 100;
const SEED: u64 = 3;
/// How far behind the stream a reader may be under this load.
const LAG: i64 = 5;
const START: Duration = Duration::from_mins(1);
/// The exit code for a shutdown that did not finish.
const UNFINISHED: i32 = 4;
/// "At once", on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_lands_and_checkpoints_everything_taken() {
    // Nothing comes of age: what lands, lands because of the signal.
    let mut load = Load::start(&settings("1h", "25s"), RATE, SEED).await;
    let site = &load.site;
    let mut run = site.run();
    run.wait_until(START, "the stream is longer than the lag that is allowed", async || {
        site.stream().await.iter().any(|change| change.created < now() - 3 * LAG)
    })
    .await;
    assert_eq!(site.objects(), 0, "something landed before the signal");
    let signalled = now();
    run.signal("TERM");
    let status = run.exit(SHUTDOWN).await;
    assert!(status.success(), "headwater run ended with {status} after SIGTERM:\n{}", run.log());
    load.generator.kill().await;

    let (stream, rows) = (site.stream().await, site.rows().await);
    let late = not_landed(&rows, &stream);
    let lost: Vec<_> = late.iter().filter(|change| change.created < signalled - LAG).collect();
    assert!(lost.is_empty(), "{} changes were written {LAG} s before the signal and did not land, such as {:?}", lost.len(), lost[0]);

    let checkpoints = checkpoints(&load).await;
    let (landed, after): (Vec<_>, Vec<_>) = stream.iter().cloned().partition(|change| match checkpoints.get(&change.shard) {
        Some(checkpoint) => change.sequence <= *checkpoint,
        None => false,
    });
    // Exactly what is checkpointed is in the lake.
    assert_every_change_once(&rows, &landed);
    assert_eq!(after.len(), late.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let (load, mut run) = running_with_a_stalled_database("25s").await;
    run.signal("TERM");
    assert!(run.ends_within(Duration::from_secs(1)).await.is_none(), "it did not wait for its checkpoint:\n{}", run.log());
    run.signal("TERM");
    let status = run.exit(AT_ONCE).await;
    assert!(!status.success(), "it ended with success although its checkpoint was not written:\n{}", run.log());
    lose_nothing(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_that_cannot_finish_ends_at_its_deadline_and_says_so() {
    let (load, mut run) = running_with_a_stalled_database("2s").await;
    run.signal("TERM");
    let status = run.exit(Duration::from_secs(2) + AT_ONCE).await;
    assert_eq!(status.code(), Some(UNFINISHED), "it ended with {status}:\n{}", run.log());
    lose_nothing(load).await;
}

fn settings(max_age: &'static str, shutdown_deadline: &'static str) -> Settings {
    Settings { table: TABLE, format: "parquet", max_age, shutdown_deadline, contract: None }
}

/// A run that has landed something, and then its database stops answering (it accepts connections and says nothing).
async fn running_with_a_stalled_database(shutdown_deadline: &'static str) -> (Load, Headwater) {
    let load = Load::start(&settings("300ms", shutdown_deadline), RATE, SEED).await;
    let mut run = load.site.run();
    run.wait_until(START, "an object lands", async || load.site.objects() > 0).await;
    load.database.signal("STOP");
    (load, run)
}

/// The database answers again, and the next run lands every change once.
async fn lose_nothing(mut load: Load) {
    load.database.signal("CONT");
    load.stop_and_catch_up().await;
    assert_every_change_once(&load.site.rows().await, &load.site.stream().await);
}

/// The position of every shard in the lease table, padded; shards without a position are left out, ended ones are behind everything.
async fn checkpoints(load: &Load) -> HashMap<String, String> {
    let client = aws_sdk_dynamodb::Client::new(&load.site.sdk_config());
    let leases = client.scan().table_name(APPLICATION).consistent_read(true).send().await.unwrap();
    let text = |item: &HashMap<String, _>, name| {
        item.get(name).and_then(|value: &aws_sdk_dynamodb::types::AttributeValue| value.as_s().ok()).cloned()
    };
    leases
        .items()
        .iter()
        .filter_map(|lease| Some((text(lease, "leaseKey")?, text(lease, "checkpoint")?)))
        .filter_map(|(shard, checkpoint)| match checkpoint.as_str() {
            // A position behind every record of the shard.
            "SHARD_END" => Some((shard, "9".repeat(40))),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some((shard, format!("{digits:0>40}"))),
            _ => None,
        })
        .collect()
}
