//! `headwater-sim serve`: a simulated account on a port until it is told to end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::load::LoadOptions;
use crate::call::{ApiError, Intercept, Quirks};
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::faults::{Faults, Script};
use crate::journal::Journal;
use crate::server::{Options, Server};

/// How many entries of the journal are kept, so that a long run does not fill the memory.
const JOURNAL: usize = 10_000;

/// Serves a simulated account until it is told to end (ctrl-c, SIGTERM).
///
/// Any access key with any secret may call: signatures are not verified, and the access key is the caller's name in the journal and in fault rules.
/// S3 is path-style: `http://HOST:PORT/BUCKET/KEY`. Items whose time to live has passed are deleted by `POST /_sim/expire` alone.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:4599")]
    listen: SocketAddr,
    /// A file of fault rules: {"seed": 1, "rules": [{"operation": "GetRecords", "fault": "reset", "chance": {"probability": 0.01}}]}.
    ///
    /// Faults: "reset", "lose_answer", "truncate", "empty_page", "repeat_page", "parents_look_open", "condition_fails", "split_before",
    /// {"throttle": "LimitExceededException"}, {"server_error": "500"}, {"hang": {"ms": 5000}}, {"delay": {"ms": 5000}},
    /// {"slow": {"pieces": 4, "ms": 100}}, {"short_page": 3}, {"stale_read": {"ms": 800}},
    /// {"late_listing": {"ms": 5000}},
    /// {"fail_records": {"probability": 0.5, "code": "InternalFailure"}}. The chance may also be {"calls": [1, 4]}, and a rule may name a
    /// "service", a "worker", a "resource", and times "from" and "until". The load mode has no faults.
    #[arg(long, value_name = "FILE.json", conflicts_with = "shards")]
    faults: Option<PathBuf>,
    /// From which chances, sequence numbers and ids are drawn, in place of the seed of the fault rules.
    #[arg(long)]
    seed: Option<u64>,
    /// Creates a table with a stream of both images; its keys are strings.
    #[arg(long = "table", value_name = "NAME:KEY[:SORT]")]
    tables: Vec<Table>,
    /// How many open shards new streams begin with.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    partitions: u16,
    /// How many digits the tables' sequence numbers have; drawn from the seed when absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(21..=40))]
    digits: Option<u32>,
    /// Creates a bucket.
    #[arg(long = "bucket", value_name = "NAME")]
    buckets: Vec<String>,
    /// Forgets what happened, in place of keeping the newest 10,000 entries of the journal.
    #[arg(long)]
    no_journal: bool,
    #[command(flatten)]
    load: LoadOptions,
}

/// A table to create.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Table {
    name: String,
    /// The partition key, and the sort key if there is one.
    keys: Vec<String>,
}

impl FromStr for Table {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':').map(str::to_owned);
        let name = parts.next().unwrap_or_default();
        let keys: Vec<String> = parts.collect();
        if name.is_empty() || keys.iter().any(String::is_empty) || !(1..=2).contains(&keys.len()) {
            return Err("a table is written NAME:KEY or NAME:KEY:SORT".to_owned());
        }
        Ok(Self { name, keys })
    }
}

impl Table {
    fn create(&self, cloud: &Cloud) -> Result<(), ApiError> {
        cloud.call("DynamoDB_20120810.CreateTable", "", self.request().to_string().as_bytes(), &Quirks::default()).map(drop)
    }

    /// The request that creates it.
    fn request(&self) -> Value {
        let definitions = self.keys.iter().map(|name| json!({"AttributeName": name, "AttributeType": "S"}));
        let schema = self.keys.iter().zip(["HASH", "RANGE"]).map(|(name, role)| json!({"AttributeName": name, "KeyType": role}));
        json!({
            "TableName": self.name,
            "AttributeDefinitions": definitions.collect::<Vec<_>>(),
            "KeySchema": schema.collect::<Vec<_>>(),
            "BillingMode": "PAY_PER_REQUEST",
            "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        })
    }
}

impl Serve {
    /// Serves until the end is asked for.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let script = self.script()?;
        let faults = Faults::default();
        faults.set(script.clone());
        let cloud = self.open(&script)?;
        let load = self.load.plan(cloud.clock.now())?;
        let intercept = load.clone().map(|load| load as Arc<dyn Intercept>);
        let options = Options { listen: Some(self.listen), intercept, tick: true };
        let server = Server::start(cloud, faults, options).await.with_context(|| format!("listen on {}", self.listen))?;
        let address = server.address();
        println!("headwater-sim listens on http://{address}");
        println!("point a client at it with");
        println!("  export AWS_ENDPOINT_URL=http://{address} AWS_ACCESS_KEY_ID=worker AWS_SECRET_ACCESS_KEY=any AWS_REGION=us-east-1");
        if load.is_some() {
            println!("The stream of the table '{}' is the load; http://{address}/_sim/load tells what came of it.", self.load.table());
        }
        told_to_end().await?;
        server.stop().await;
        if let Some(load) = load {
            println!("{:#}", load.report());
        }
        Ok(())
    }

    /// The account, with what is asked for in it.
    fn open(&self, script: &Script) -> anyhow::Result<Cloud> {
        let journal = if self.no_journal { Journal::forgetting() } else { Journal::of_the_last(JOURNAL) };
        let cloud = Cloud::new(Clock::of_this_machine(), journal);
        {
            let mut state = cloud.state();
            (state.streams.seed, state.streams.digits) = (script.seed, self.digits);
            state.tables.partitions = self.partitions.into();
        }
        self.furnish(&cloud)?;
        Ok(cloud)
    }

    fn script(&self) -> anyhow::Result<Script> {
        let mut script = self.faults.as_deref().map_or(Ok(Script::default()), read)?;
        script.seed = self.seed.unwrap_or(script.seed);
        Ok(script)
    }

    /// Creates what is asked for.
    fn furnish(&self, cloud: &Cloud) -> anyhow::Result<()> {
        for table in &self.tables {
            table.create(cloud).with_context(|| format!("create the table {}", table.name))?;
        }
        let now = cloud.clock.now();
        for bucket in &self.buckets {
            if !cloud.state().buckets.create_at(bucket, now) {
                bail!("the bucket {bucket} is named twice");
            }
        }
        Ok(())
    }
}

fn read(file: &Path) -> anyhow::Result<Script> {
    let text = std::fs::read(file).with_context(|| format!("read the fault rules in {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("understand the fault rules in {}", file.display()))
}

async fn told_to_end() -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminated.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Options {
        #[command(flatten)]
        serve: Serve,
    }

    fn options(arguments: &str) -> Result<Serve, String> {
        let parsed = <Options as clap::Parser>::try_parse_from(["sim"].into_iter().chain(arguments.split_whitespace()));
        parsed.map(|options| options.serve).map_err(|error| error.to_string())
    }

    #[test]
    fn the_load_mode_takes_no_faults() {
        let refused = options("--shards 2 --records 300 --faults rules.json").unwrap_err();
        assert!(refused.contains("'--shards <SHARDS>' cannot be used with '--faults <FILE.json>'"), "{refused}");
        options("--faults rules.json").unwrap();
        options("--shards 2 --records 300").unwrap();
    }

    #[tokio::test]
    async fn a_stream_begins_with_its_partitions() {
        let cloud = options("--table orders:id --partitions 3").unwrap().open(&Script::default()).unwrap();
        let stream = cloud.state().streams.latest("orders").unwrap().to_owned();
        let request = json!({"StreamArn": stream}).to_string();
        let answer = cloud.call("DynamoDBStreams_20120810.DescribeStream", "", request.as_bytes(), &Quirks::default()).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let shards = answer["StreamDescription"]["Shards"].as_array().unwrap();
        assert_eq!(shards.len(), 3);
        assert!(shards.iter().all(|shard| shard.get("ParentShardId").is_none()), "none of them comes from a split");
    }

    #[test]
    fn a_table_is_written_as_its_name_and_keys() {
        let table: Table = "orders:customer:order".parse().unwrap();
        let request = table.request();
        assert_eq!(request["KeySchema"][1], json!({"AttributeName": "order", "KeyType": "RANGE"}));
        assert_eq!("orders:id".parse::<Table>().unwrap().request()["KeySchema"].as_array().unwrap().len(), 1);
        for wrong in ["orders", "orders:", ":id", "orders:a:b:c"] {
            assert!(wrong.parse::<Table>().is_err(), "{wrong}");
        }
    }
}
