//! Shards are split and merged while changes pass, on kinesis-local: every change lands, an item's in order, and no shard is read before those
//! that it continues.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kinesis::types::StreamStatus;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::duckdb;
use crate::support::dynamodb_local::DynamoDbLocal;
use crate::support::kinesis_local::KinesisLocal;
use crate::support::lake::{assert_every_change, assert_items_in_order, not_landed};
use crate::support::process::Headwater;
use crate::support::{aws, kinesis_stream, stream, table, wait_until};

const TABLE: &str = "orders";
const KEY: &str = "id";
const STREAM: &str = "orders";
/// Where deliver keeps its leases.
const LEASES: &str = "headwater-orders-deliver";
/// Enough for some to belong to each shard there will be.
const ITEMS: usize = 40;
/// Each item changes once in this time.
const ROUND: Duration = Duration::from_millis(200);
/// For what takes seconds on an idle machine.
const PATIENCE: Duration = Duration::from_mins(5);

const SHARD_END: &str = "SHARD_END";
const TRIM_HORIZON: &str = "TRIM_HORIZON";
/// Hash keys: a quarter and a half of all there are.
const QUARTER: u128 = 1 << 126;
const HALF: u128 = 1 << 127;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_passes_splits_and_merges_in_order() {
    let site = Site::new().await;
    let (mut capture, mut deliver) = (site.stage("capture"), site.stage("deliver"));
    let enough = CancellationToken::new();
    let writer = tokio::spawn(write(aws_sdk_dynamodb::Client::new(&site.dynamodb.sdk_config()), enough.clone()));

    site.flows_through(&mut deliver, &["0", "1"]).await;
    site.split("0", QUARTER).await;
    site.flows_through(&mut deliver, &["1", "2", "3"]).await;
    // Three generations are there to be read when deliver comes back.
    deliver.kill().await;
    site.merge("3", "1").await;
    site.is_written_to(&mut capture, &["2", "4"]).await;
    // A power cut soon after a reshard.
    site.split("4", HALF).await;
    capture.kill().await;
    let mut capture = site.stage("capture");
    site.is_written_to(&mut capture, &["5", "6"]).await;
    let mut deliver = site.stage("deliver");
    site.merge("2", "5").await;
    site.flows_through(&mut deliver, &["6", "7"]).await;

    enough.cancel();
    writer.await.unwrap();
    let changes = stream::read_all(&site.dynamodb.sdk_config(), TABLE).await;
    deliver
        .wait_until(PATIENCE, "every change has landed", async || {
            site.assert_parents_first().await;
            not_landed(&site.rows().await, &changes).is_empty()
        })
        .await;
    site.start(&["verify", "--config", "headwater.toml"]).succeeds(PATIENCE).await;
    for mut stage in [capture, deliver] {
        stage.signal("TERM");
        let status = stage.exit(PATIENCE).await;
        assert!(status.success(), "headwater run ended with {status} after SIGTERM:\n{}", stage.log());
    }

    let rows = site.rows().await;
    let copies = assert_every_change(&rows, &changes);
    assert_items_in_order(&rows, &changes, KEY);
    site.assert_lineage().await;
    // Past the test harness, which keeps what a passing test prints to itself.
    let _ = writeln!(io::stderr(), "{} changes through 8 shards, {copies} of them twice", changes.len());
}

/// Changes every item, round by round.
async fn write(client: aws_sdk_dynamodb::Client, enough: CancellationToken) {
    let mut beat = tokio::time::interval(ROUND);
    for round in 0_u32.. {
        beat.tick().await;
        for item in 0..ITEMS {
            let put = client.put_item().table_name(TABLE).item(KEY, AttributeValue::S(format!("item-{item}")));
            put.item("round", AttributeValue::N(round.to_string())).send().await.unwrap();
        }
        if enough.is_cancelled() {
            return;
        }
    }
}

/// A lease, as it stands in the table.
#[derive(Debug)]
struct Lease {
    checkpoint: String,
    owned: bool,
    parents: BTreeSet<String>,
}

impl Lease {
    fn ended(&self) -> bool {
        self.checkpoint == SHARD_END
    }

    fn moved(&self) -> bool {
        self.checkpoint != TRIM_HORIZON
    }

    /// Whether somebody has begun to read the shard.
    fn begun(&self) -> bool {
        self.owned || self.moved()
    }
}

/// A table, a Kinesis stream of two shards, and headwater between the two and a lake.
struct Site {
    dynamodb: DynamoDbLocal,
    kinesis: KinesisLocal,
    dir: TempDir,
    processes: AtomicUsize,
}

impl Site {
    async fn new() -> Self {
        let (dynamodb, kinesis) = tokio::join!(DynamoDbLocal::start(), KinesisLocal::start());
        table::create(&aws_sdk_dynamodb::Client::new(&dynamodb.sdk_config()), TABLE, KEY).await;
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            r#"
            [table]
            name = "{TABLE}"
            [route]
            kind = "kinesis"
            [kinesis]
            stream = "{STREAM}"
            shards = 2
            maximum_batching_window = "200ms"
            [deliver]
            target = "lake"
            [lease]
            failover = "2s"
            [lake]
            url = "./lake"
            max_age = "500ms"
            "#
        );
        fs::write(dir.path().join("headwater.toml"), config).unwrap();
        let site = Self { dynamodb, kinesis, dir, processes: AtomicUsize::new(0) };
        site.start(&["init", "--config", "headwater.toml"]).succeeds(PATIENCE).await;
        site
    }

    fn start(&self, args: &[&str]) -> Headwater {
        let mut environment = aws::environment(self.dynamodb.endpoint_url());
        environment.push(("AWS_ENDPOINT_URL_KINESIS", self.kinesis.endpoint_url().to_owned()));
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        Headwater::start(self.dir.path(), self.dir.path().join(format!("{number}-{}.log", args[0])), &environment, args)
    }

    /// Starts `headwater run` with one stage.
    fn stage(&self, stage: &str) -> Headwater {
        self.start(&["run", "--config", "headwater.toml", "--stage", stage])
    }

    async fn rows(&self) -> Vec<duckdb::Row> {
        duckdb::changes(&self.dir.path().join("lake"), TABLE).await
    }

    /// Splits a shard where `hash_key` is to be the second one's first.
    async fn split(&self, shard: &str, hash_key: u128) {
        let request = self.client().split_shard().stream_name(STREAM).shard_to_split(shard_id(shard));
        request.new_starting_hash_key(hash_key.to_string()).send().await.unwrap();
        self.await_active().await;
    }

    async fn merge(&self, shard: &str, adjacent: &str) {
        let request = self.client().merge_shards().stream_name(STREAM).shard_to_merge(shard_id(shard));
        request.adjacent_shard_to_merge(shard_id(adjacent)).send().await.unwrap();
        self.await_active().await;
    }

    fn client(&self) -> aws_sdk_kinesis::Client {
        aws_sdk_kinesis::Client::new(&self.kinesis.sdk_config())
    }

    async fn await_active(&self) {
        wait_until(PATIENCE, "the stream is active", async || {
            let described = self.client().describe_stream_summary().stream_name(STREAM).send().await.unwrap();
            described.stream_description_summary.unwrap().stream_status == StreamStatus::Active
        })
        .await;
    }

    /// Waits until capture has written to each of these shards.
    async fn is_written_to(&self, capture: &mut Headwater, shards: &[&str]) {
        capture
            .wait_until(PATIENCE, &format!("shards {shards:?} hold changes"), async || {
                for shard in shards {
                    if kinesis_stream::records(&self.client(), STREAM, &shard_id(shard)).await.is_empty() {
                        return false;
                    }
                }
                true
            })
            .await;
    }

    /// Waits until changes of each of these shards, the open ones, are durable in the lake.
    async fn flows_through(&self, run: &mut Headwater, open: &[&str]) {
        run.wait_until(PATIENCE, &format!("changes have passed shards {open:?}"), async || {
            self.assert_parents_first().await;
            let leases = self.leases().await;
            open.iter().all(|shard| leases.get(&shard_id(shard)).is_some_and(|lease| lease.moved() && !lease.ended()))
        })
        .await;
    }

    /// Panics when a shard is read before all of those that it continues are at their end.
    async fn assert_parents_first(&self) {
        let before = self.leases().await;
        // Read later: an end that is reached stays.
        let after = self.leases().await;
        for (shard, lease) in before.iter().filter(|(_, lease)| lease.begun()) {
            for parent in &lease.parents {
                assert!(after[parent].ended(), "{shard} is being read, and its parent {parent} is at {}", after[parent].checkpoint);
            }
        }
    }

    /// Panics unless there is a lease for each shard, with its parents: at its end where the shard is closed, and within it where it is open.
    async fn assert_lineage(&self) {
        self.assert_parents_first().await;
        let leases = self.leases().await;
        let shards = kinesis_stream::shards(&self.kinesis.sdk_config(), STREAM).await;
        assert_eq!(leases.len(), shards.len(), "{leases:?}");
        for shard in shards {
            let lease = &leases[&shard.shard_id];
            let parents: BTreeSet<_> = [shard.parent_shard_id, shard.adjacent_parent_shard_id].into_iter().flatten().collect();
            assert_eq!(lease.parents, parents, "{}", shard.shard_id);
            let closed = shard.sequence_number_range.unwrap().ending_sequence_number.is_some();
            assert!(
                lease.ended() == closed && lease.moved(),
                "{} is closed: {closed}, and its lease is at {}",
                shard.shard_id,
                lease.checkpoint
            );
        }
    }

    /// Deliver's leases by Kinesis' own ids of the shards.
    async fn leases(&self) -> BTreeMap<String, Lease> {
        let client = aws_sdk_dynamodb::Client::new(&self.dynamodb.sdk_config());
        let page = client.scan().table_name(LEASES).consistent_read(true).send().await.unwrap();
        assert!(page.last_evaluated_key().is_none(), "the leases fill more than a page");
        let leases = page.items().iter().filter(|item| item["entityType"].as_s().unwrap() == "LEASE");
        leases
            .map(|item| {
                let parents = item.get("parentShardId").map_or(&[][..], |parents| parents.as_ss().unwrap());
                let lease = Lease {
                    checkpoint: item["checkpoint"].as_s().unwrap().clone(),
                    owned: item.contains_key("leaseOwner"),
                    parents: parents.iter().map(|parent| of_kinesis(parent)).collect(),
                };
                (of_kinesis(item["leaseKey"].as_s().unwrap()), lease)
            })
            .collect()
    }
}

/// Kinesis' id of a shard by its number.
fn shard_id(number: &str) -> String {
    format!("shardId-{number:0>12}")
}

/// Kinesis' id of a shard, without the name of its stream before it.
fn of_kinesis(shard: &str) -> String {
    shard.rsplit(':').next().unwrap().to_owned()
}
