//! SIGKILL amid the traffic: nothing is lost, order holds, and what is there twice is the same change.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use super::{
    BUCKET, CONFIG, CONTRACT, DELIVERY_STREAM, DONE, KEY, KINESIS, LAKE_CONFIG, Landed, PATIENCE, TABLE, changes, create_table, init, stop,
};
use crate::support::duckdb::Row;
use crate::support::kinesis_stream;
use crate::support::lake::{assert_every_change, assert_items_in_order, not_landed};
use crate::support::stand_ins::StandIns;

const KILLS: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_on_the_way_through_kinesis_loses_a_change_or_alters_its_order() {
    let stack = StandIns::start().await;
    create_table(&stack).await;
    let config = unlucky(CONFIG, stack.folder());
    let lake_config = unlucky(LAKE_CONFIG, stack.folder());
    let start_run = || stack.headwater(&["run", "--config", &config]);
    let start_lake = || stack.headwater(&["run", "--config", &lake_config, "--stage", "deliver"]);
    let (code, words) = init(&stack, &config, &[]).await;
    assert_eq!(code, DONE, "{words}");

    let landed = Landed::in_bucket(&stack, BUCKET);
    // Longer than the test: it is stopped when the test has seen enough.
    let mut generator = stack.headwater(&["generate", "--table", TABLE, "--rate", "100", "--duration", "1h"]);
    let mut moments = fastrand::Rng::with_seed(KILLS);
    for _ in 0..KILLS {
        let (mut run, mut lake) = (start_run(), start_lake());
        let before = (landed.objects("firehose").await, landed.objects("changes").await);
        lake.wait_until(PATIENCE, "a Parquet object lands", async || landed.objects("changes").await > before.1).await;
        tokio::time::sleep(Duration::from_millis(moments.u64(0..400))).await;
        lake.kill().await;
        run.wait_until(PATIENCE, "Firehose delivers an object", async || landed.objects("firehose").await > before.0).await;
        tokio::time::sleep(Duration::from_millis(moments.u64(0..400))).await;
        run.kill().await;
        generator.assert_running();
    }
    generator.signal("TERM");
    generator.succeeds(PATIENCE).await;

    let stream = changes(&stack).await;
    let (mut run, mut lake) = (start_run(), start_lake());
    run.wait_until(PATIENCE, "Firehose has delivered every change", async || not_landed(&landed.firehose().await, &stream).is_empty())
        .await;
    stop(run).await;
    // Whatever capture sent twice is in the Kinesis stream twice. Deliver adds no copy of its own, although it was killed as well.
    let sent = sorted(kinesis_stream::event_ids(&stack.services(), KINESIS).await);
    lake.wait_until(PATIENCE, "all that is in the Kinesis stream is there as Parquet", async || landed.parquet().await.len() >= sent.len())
        .await;
    stack.headwater(&["verify", "--config", &lake_config]).succeeds(PATIENCE).await;
    stop(lake).await;

    let rows = landed.parquet().await;
    assert_eq!(sorted(rows.iter().map(|row: &Row| row.text("cdc_event_id").to_owned()).collect()), sent);
    let copies = assert_every_change(&rows, &stream);
    assert_items_in_order(&rows, &stream, KEY);
    let delivered_copies = assert_every_change(&landed.firehose().await, &stream);
    stack.stop().await;
    // Past the test harness, which keeps what a passing test prints to itself.
    let _ = writeln!(
        io::stderr(),
        "{KILLS} kills of each process, {} changes: {copies} of them twice in the Kinesis stream, {delivered_copies} delivered twice by Firehose",
        stream.len(),
    );
}

/// The configuration with what makes unlucky moments frequent: leases that are free soon after a death, calls to Firehose every few moments, and
/// objects that are full amid an aggregated record.
fn unlucky(config: &str, folder: &Path) -> String {
    let mut settings: toml::Table = fs::read_to_string(config).unwrap().parse().unwrap();
    let mut set = |part: &str, key: &str, value: &str| {
        let part = settings.entry(part).or_insert_with(|| toml::Table::new().into());
        part.as_table_mut().unwrap().insert(key.to_owned(), value.into());
    };
    set("table", "contract", CONTRACT);
    set("lease", "failover", "2s");
    set("kinesis", "maximum_batching_window", "300ms");
    set("firehose", "delivery_stream", DELIVERY_STREAM);
    set("firehose", "maximum_batching_window", "50ms");
    set("lake", "max_size", "32KiB");
    let copy = folder.join(Path::new(config).file_name().unwrap());
    fs::write(&copy, settings.to_string()).unwrap();
    copy.to_str().unwrap().to_owned()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort_unstable();
    texts
}
