//! What is declared for Snowflake, as far as stand-ins go: every statement is parsed by a grammar of Snowflake's, and what fakesnow knows is run over lakes
//! that headwater wrote. The state is compared with that of `headwater query`, and asked for again after every step.
//!
//! Not run: storage integration, notifications, pipes, streams, the task's schedule. What pipes and the task do is.

use std::fs;
use std::path::Path;

use headwater::contract::ddl::{self, Dialect, Layout, Place, Statement, Stored};
use headwater::lake::{Format, LakeLocation};
use headwater::query::Session;
use headwater::query::render;
use serde_json::{Value, json};

use super::shop::{PERSONAL, Shop, TABLE, schema};
use crate::support::fakesnow;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/snowflake/run.py");
const DEPLOYED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/snowflake/sales_orders.sql");

const PARQUET: Layout = Layout::Lake(Stored::Parquet);
const NDJSON: Layout = Layout::Lake(Stored::Ndjson);
const FIREHOSE: Layout = Layout::Firehose(Stored::Ndjson);
const FIREHOSE_PARQUET: Layout = Layout::Firehose(Stored::Parquet);

fn statements(location: &str, layout: Layout) -> Vec<Statement> {
    ddl::statements(Dialect::Snowflake, &schema(), &Place { location: location.to_owned(), layout })
}

fn text(layout: Layout) -> String {
    ddl::render(Dialect::Snowflake, &statements("s3://LAKE_BUCKET", layout))
}

/// Whether the grammar takes the text.
fn parses(text: &str) -> bool {
    let file = tempfile::NamedTempFile::with_suffix(".sql").unwrap();
    fs::write(file.path(), text).unwrap();
    fakesnow::succeeds(SCRIPT, &[Path::new("parse"), file.path()])
}

/// Loads the lake in a folder, in several orders of its files, and compares. Gives what the script has seen.
async fn load(lake: &Path, expected: &Path, layout: Layout, orders: &[&str]) -> Value {
    let session = Session::open(&LakeLocation::Folder(expected.to_owned()), TABLE, None).await.unwrap();
    let mut rows = Vec::new();
    render::write(session.query("SELECT * FROM current").await.unwrap(), render::Format::Json, &mut rows).await.unwrap();
    let rows: Vec<serde_json::Map<String, Value>> = serde_json::from_slice(&rows).unwrap();
    let statements = statements(&format!("file://{}", lake.display()), layout);
    let statements: Vec<_> = statements.iter().map(|statement| json!({"name": statement.name, "text": statement.text})).collect();
    let plan = json!({"statements": statements, "current": rows, "personal": PERSONAL, "masked": masked(), "orders": orders});
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), plan.to_string()).unwrap();
    let seen = tokio::task::spawn_blocking(move || fakesnow::run(SCRIPT, &[Path::new("load"), file.path()])).await.unwrap();
    serde_json::from_str(&seen).unwrap()
}

#[test]
fn what_is_deployed_for_snowflake_is_what_the_contract_says() {
    let deployed = fs::read_to_string(DEPLOYED).unwrap();
    let command = "headwater contract ddl --dialect snowflake schemas/sales_orders.odcs.yaml > deploy/snowflake/sales_orders.sql";
    assert!(deployed == text(PARQUET), "the file is not what the contract says; make it anew:\n{command}");
}

#[test]
fn every_statement_is_of_snowflakes_grammar() {
    for layout in [PARQUET, NDJSON, FIREHOSE, FIREHOSE_PARQUET] {
        assert!(parses(&text(layout)), "{layout:?}:\n{}", text(layout));
    }
    // The parser can tell.
    for (right, wrong) in
        [("AUTO_INGEST = TRUE", "AUTO_INGEST TRUE"), ("SCHEDULE = '1 MINUTE'", "SCHEDULE"), ("APPEND_ONLY = TRUE", "APPEND")]
    {
        let broken = text(PARQUET).replacen(right, wrong, 1);
        assert!(broken != text(PARQUET) && !parses(&broken), "{wrong}");
    }
}

#[tokio::test]
async fn parquet_of_headwater_gives_the_state_of_headwater_in_whatever_order_it_is_loaded() {
    let lake = tempfile::tempdir().unwrap();
    let shop = Shop::open(5);
    shop.write(lake.path(), &[Format::Parquet]).await;

    let seen = load(lake.path(), lake.path(), PARQUET, &["in_order", "shuffled"]).await;

    assert_eq!(seen["items"], shop.table.len());
    // Each change once, without rows of snapshots.
    assert_eq!(seen["changes"], shop.landed().count());
    assert!(seen["files"].as_u64().unwrap() > 30, "{seen}");
    // Late snapshots took away what had been lost on the way, or the loss was never seen.
    assert!(seen["deleted"]["in_order"].as_u64().unwrap() > 0, "{seen}");
    let not_run = ["arrived_changes", "arrived_markers", "merge_current_items", "changes_pipe", "snapshots_pipe", "start"];
    assert_eq!(seen["not_run"], json!(not_run));
}

#[tokio::test]
async fn ndjson_of_headwater_gives_the_same_state() {
    let lake = tempfile::tempdir().unwrap();
    let shop = Shop::open(6);
    shop.write(lake.path(), &[Format::Ndjson]).await;
    let flat = without_partition_names(lake.path());

    let seen = load(flat.path(), lake.path(), NDJSON, &["shuffled"]).await;

    assert_eq!(seen["items"], shop.table.len());
    // Each change once, without rows of snapshots.
    assert_eq!(seen["changes"], shop.landed().count());
}

#[tokio::test]
async fn what_firehose_delivered_gives_the_same_state_whatever_came_twice() {
    let lake = tempfile::tempdir().unwrap();
    let shop = Shop::open(7);
    shop.write(lake.path(), &[Format::Parquet]).await;
    let delivered = shop.write_firehose(lake.path());
    assert!(delivered.copies > 0 && delivered.claims > 0 && delivered.markers > 0, "{delivered:?}");
    let flat = without_partition_names(lake.path());

    let seen = load(flat.path(), lake.path(), FIREHOSE, &["shuffled"]).await;

    assert_eq!(seen["items"], shop.table.len());
    // Each change once, without rows of snapshots.
    assert_eq!(seen["changes"], shop.landed().count());
}

/// The columns that the contract classifies.
fn masked() -> Vec<String> {
    schema().columns.into_iter().filter(|column| column.classification.is_some()).map(|column| column.name).collect()
}

/// The lake with folders that are not named as partitions: DuckDB, which answers for Snowflake, would make columns of them.
fn without_partition_names(lake: &Path) -> tempfile::TempDir {
    let flat = tempfile::tempdir().unwrap();
    for file in crate::support::bucket::files(lake) {
        let name = file.strip_prefix(lake).unwrap().to_str().unwrap().replace('=', "-");
        let copy = flat.path().join(name);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(&file, copy).unwrap();
    }
    flat
}
