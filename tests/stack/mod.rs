//! The topology of `deploy/local.sh`, end to end: a table's changes go through Kinesis and Firehose to S3, and through Kinesis to Parquet on S3.
//! What has landed is counted by readers that share no code with headwater.

mod journey;
mod kill;
mod native;
mod refusals;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_dynamodb::types::TimeToLiveSpecification;
use serde_json::Value;

use crate::support::bucket::{Bucket, files};
use crate::support::duckdb::{self, Row};
use crate::support::process::Headwater;
use crate::support::stand_ins::StandIns;
use crate::support::stream::{self, Change};

/// The table and its key, which the generator knows.
const TABLE: &str = "sales_orders";
const KEY: &str = "order_id";
/// The configurations that the script and docker-compose.yml run, and what they name.
const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/compose/headwater.toml");
const LAKE_CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/compose/lake.toml");
const CONTRACT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/sales_orders.odcs.yaml");
const KINESIS: &str = "sales-orders";
const DELIVERY_STREAM: &str = "sales-orders";
const BUCKET: &str = "headwater-lake";

/// Exit codes.
const DONE: i32 = 0;
const SOMETHING_LEFT: i32 = 1;
const FAILED: i32 = 3;

/// For what takes seconds on an idle machine.
const PATIENCE: Duration = Duration::from_mins(5);

/// Creates the generator's table as the script does. Its TTL is switched off, because orders that expire are deleted at DynamoDB Local's own
/// time: the stream would go on growing after the last write.
async fn create_table(stack: &StandIns) {
    stack.headwater(&["generate", "--table", TABLE, "--create-table", "--count", "0"]).succeeds(PATIENCE).await;
    let off = TimeToLiveSpecification::builder().attribute_name("expires_at").enabled(false).build().unwrap();
    let client = aws_sdk_dynamodb::Client::new(&stack.dynamodb());
    client.update_time_to_live().table_name(TABLE).time_to_live_specification(off).send().await.unwrap();
}

/// Runs the command to its end: its exit code and what it printed.
async fn outcome(mut process: Headwater) -> (i32, String) {
    let status = process.exit(PATIENCE).await;
    (status.code().unwrap(), process.log())
}

/// `headwater init` with the configuration, to its end.
async fn init(stack: &StandIns, config: &str, options: &[&str]) -> (i32, String) {
    outcome(stack.headwater(&[&["init", "--config", config], options].concat())).await
}

/// The first word of each resource's line that `init` printed.
fn states(words: &str) -> Vec<&str> {
    let lines = words.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with(' '));
    lines.map(|line| line.split_whitespace().next().unwrap()).collect()
}

/// Ends `headwater run` in order. Returns whether it says that it may have sent something twice: a call was made again, or a lease was lost. A
/// machine that stands still for long enough makes that happen.
async fn stop(mut run: Headwater) -> bool {
    run.signal("TERM");
    let status = run.exit(PATIENCE).await;
    let log = run.log();
    assert!(status.success(), "headwater run ended with {status} after SIGTERM:\n{log}");
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error} in {line}")));
    lines
        .into_iter()
        .any(|line| line["retried"].as_u64().is_some_and(|calls| calls > 0) || line["message"].as_str().unwrap().contains("lease"))
}

/// Every change in the table's stream, read without headwater.
async fn changes(stack: &StandIns) -> Vec<Change> {
    stream::read_all(&stack.dynamodb(), TABLE).await
}

/// What is in a bucket, read without headwater.
struct Landed {
    bucket: Bucket,
    /// The copy of the bucket.
    folder: PathBuf,
}

impl Landed {
    fn in_bucket(stack: &StandIns, name: &str) -> Self {
        Self { bucket: stack.bucket(name), folder: stack.folder().join("landed").join(name) }
    }

    /// How many objects there are below a folder of the table.
    async fn objects(&self, folder: &str) -> usize {
        let prefix = format!("{TABLE}/{folder}");
        self.bucket.copy(&prefix, &self.folder).await;
        files(&self.folder.join(prefix)).len()
    }

    /// Every change that Firehose has delivered.
    async fn firehose(&self) -> Vec<Row> {
        self.objects("firehose").await;
        let mut rows = Vec::new();
        for object in files(&self.folder.join(TABLE).join("firehose")) {
            let text = fs::read_to_string(&object).unwrap();
            assert!(text.ends_with('\n'), "{} ends amid a line", object.display());
            rows.extend(text.split_inclusive('\n').map(|line| Row::of_line(line, object.to_str().unwrap())));
        }
        rows
    }

    /// Every change that is there as Parquet.
    async fn parquet(&self) -> Vec<Row> {
        self.objects("changes").await;
        duckdb::changes(&self.folder, TABLE).await
    }
}
