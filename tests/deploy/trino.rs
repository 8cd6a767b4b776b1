//! The SQL of deploy/athena on Trino, over lakes that headwater wrote and as Firehose leaves them: its rows are those of `headwater query`.

mod rows;
mod service;
mod tables;

use std::fs;
use std::path::Path;

use headwater::contract::ddl::{self, Dialect, Layout, Place, Stored};
use headwater::lake::Format;
use serde_json::Value;

use self::rows::{Row, assert_equal, of_headwater, of_trino, without};
use self::tables::Partitions;
use super::shop::{Shop, TABLE, schema};
use super::sql::{ANALYSES, FOLDER, VIEWS};
use crate::lake::s3;
use crate::support::trino::Trino;

/// What the files define, and what they stand on.
const NAMES: [&str; 10] = [
    "changes",
    "snapshots",
    "current",
    "silver_current",
    "silver_changes",
    "order_book",
    "daily_revenue",
    "cumulative_revenue",
    "order_status_funnel",
    "price_changes",
];
/// Counts rows as they landed, so it tells of copies.
const COPIES: &str = "analyses/copies.sql";

/// A Trino over the buckets below a folder.
struct Engine {
    trino: Trino,
    buckets: tempfile::TempDir,
}

impl Engine {
    async fn start() -> Self {
        let buckets = tempfile::tempdir().unwrap();
        fs::create_dir(buckets.path().join("catalog")).unwrap();
        let trino = Trino::start(&s3::settings(s3::serve(buckets.path()).await), "catalog").await;
        Self { trino, buckets }
    }

    /// The folder that is the bucket of this name.
    fn bucket(&self, name: &str) -> std::path::PathBuf {
        let folder = self.buckets.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Declares the tables and views of a lake in a bucket, within the schema `name`; views that are files from the files.
    async fn declare(&self, name: &str, bucket: &str, layout: Layout, partitions: &Partitions) {
        self.trino.run("none", &format!("CREATE SCHEMA {name}")).await;
        let place = Place { location: format!("s3://{bucket}"), layout };
        for table in ddl::statements(Dialect::Glue, &schema(), &place) {
            let input: Value = serde_json::from_str(&table.text).unwrap();
            self.trino.run(name, &tables::create(&input, partitions)).await;
            let is_partitioned = !input["PartitionKeys"].as_array().unwrap().is_empty();
            if is_partitioned && matches!(partitions, Partitions::Registered) {
                self.trino.run(name, &format!("CALL system.sync_partition_metadata('{name}', '{}', 'ADD')", table.name)).await;
            }
        }
        for view in ddl::statements(Dialect::Athena, &schema(), &place) {
            if view.text.contains("CREATE OR REPLACE VIEW") {
                self.trino.run(name, &view.text).await;
            }
        }
        for file in VIEWS {
            // The file of the silver views is of the layout that headwater writes.
            if matches!(layout, Layout::Firehose(_)) && file == "silver.sql" {
                continue;
            }
            for statement in tables::statements(&read(file)) {
                self.trino.run(name, &statement).await;
            }
        }
    }

    async fn rows(&self, schema: &str, sql: &str) -> Vec<Row> {
        of_trino(&self.trino.run(schema, sql).await)
    }

    async fn analysis(&self, schema: &str, file: &str) -> Vec<Row> {
        let statements = tables::statements(&read(file));
        assert_eq!(statements.len(), 1, "{file} is one query");
        self.rows(schema, &statements[0]).await
    }

    /// Compares everything that the lake in a bucket gives in both engines.
    async fn equals_headwater(&self, schema: &str, bucket: &str) {
        let lake = self.buckets.path().join(bucket);
        let own = ["changes", "snapshots", "current"];
        for name in NAMES {
            let query = format!("SELECT * FROM \"{name}\"");
            let found = self.rows(schema, &query).await;
            // Those of its own first: the file's `current` is another statement than the view that headwater has.
            if own.contains(&name) {
                assert_equal(&format!("{name} of {schema}"), false, found.clone(), headwater(&lake, &[], Some(&query)));
            }
            assert_equal(&format!("{name} of {schema}, by the files"), false, found, headwater(&lake, &VIEWS, Some(&query)));
        }
        for file in ANALYSES {
            let expected = headwater(&lake, &[&VIEWS[..], &[file]].concat(), None);
            assert_equal(&format!("{file} of {schema}"), true, self.analysis(schema, file).await, expected);
        }
    }

    /// Compares what Firehose's layout gives with what `headwater query` gives of the same changes in the lake's own layout. Only where rows arrived, and how
    /// often, differs.
    async fn firehose_equals_headwater(&self, schema: &str, bucket: &str) {
        let lake = self.buckets.path().join(bucket);
        for name in NAMES {
            let query = format!("SELECT * FROM \"{name}\"");
            let (found, expected) = (self.rows(schema, &query).await, headwater(&lake, &VIEWS, Some(&query)));
            let arrival: &[&str] = if ["changes", "silver_changes"].contains(&name) { &["dt", "hr"] } else { &[] };
            let (mut found, expected) = (without(found, arrival), without(expected, arrival));
            if name == "changes" {
                assert!(found.len() > expected.len(), "{schema} has copies");
                found.sort();
                found.dedup();
            }
            assert_equal(&format!("{name} of {schema}"), false, found, expected);
        }
        for file in ANALYSES {
            if file != COPIES {
                let expected = headwater(&lake, &[&VIEWS[..], &[file]].concat(), None);
                assert_equal(&format!("{file} of {schema}"), true, self.analysis(schema, file).await, expected);
            }
        }
    }

    /// Writes what `from` delivered as Parquet, as record format conversion does: each column may be null, times are of 96 bits, and the folders are those
    /// of Firehose, one a month. It is Trino that writes, so this is an imitation.
    async fn convert(&self, from: &str, bucket: &str) {
        self.trino.run("none", "CREATE SCHEMA conversion").await;
        let months = self.rows(from, "SELECT DISTINCT substr(dt, 1, 7) AS month FROM delivered").await;
        let described = self.rows(from, "DESCRIBE delivered").await;
        let columns: Vec<String> =
            described.iter().filter_map(|row| row["Column"].clone()).filter(|name| name != "dt" && name != "hr").collect();
        let columns: String = columns.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        for month in months {
            let month = month["month"].clone().unwrap();
            let name = format!("in_{}", month.replace('-', "_"));
            let statement = format!(
                "CREATE TABLE conversion.{name} \
                 WITH (external_location = 's3://{bucket}/{TABLE}/firehose/dt={month}-28/hr=23', format = 'PARQUET') \
                 AS SELECT {columns} FROM delivered WHERE substr(dt, 1, 7) = '{month}'"
            );
            self.trino.run(from, &statement).await;
        }
    }
}

/// What `headwater query` gives after the files.
fn headwater(lake: &Path, files: &[&str], query: Option<&str>) -> Vec<Row> {
    let mut command = assert_cmd::Command::cargo_bin("headwater").unwrap();
    command.args(["query", "--table", TABLE, "--output", "json", "--lake"]).arg(lake);
    for file in files {
        command.arg("--file").arg(format!("{FOLDER}/{file}"));
    }
    let run = command.args(query).output().unwrap();
    assert!(run.status.success(), "{files:?}, {query:?}: {}", String::from_utf8_lossy(&run.stderr));
    of_headwater(&String::from_utf8(run.stdout).unwrap())
}

fn read(file: &str) -> String {
    fs::read_to_string(format!("{FOLDER}/{file}")).unwrap()
}

/// The day of the first partition of a lake's table.
fn first_day(lake: &Path) -> String {
    let days = fs::read_dir(lake.join(TABLE).join("changes")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    days.filter_map(|name| name.strip_prefix("dt=").map(str::to_owned)).min().unwrap()
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::create_dir_all(to).unwrap();
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "heavy: gathers a Trino of 270 MB on first use, and runs it"]
async fn every_file_gives_the_same_rows_on_trino_over_lakes_of_the_service() {
    let engine = Engine::start().await;
    service::write_lakes(engine.buckets.path(), &["parquet", "ndjson"]).await;
    for (format, stored) in [("parquet", Stored::Parquet), ("ndjson", Stored::Ndjson)] {
        let projected = Partitions::Projected { first_day: first_day(&engine.bucket(format)) };
        engine.declare(format, format, Layout::Lake(stored), &projected).await;
        engine.equals_headwater(format, format).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "heavy: gathers a Trino of 270 MB on first use, and runs it"]
async fn every_file_gives_the_same_rows_on_trino_over_months_of_orders_and_over_what_firehose_delivered_of_them() {
    let engine = Engine::start().await;
    let shop = Shop::open(5);
    let lake = engine.bucket("shop");
    shop.write(&lake, &[Format::Parquet]).await;
    engine.declare("shop", "shop", Layout::Lake(Stored::Parquet), &Partitions::Registered).await;
    engine.equals_headwater("shop", "shop").await;

    let delivered = shop.write_firehose(&lake);
    assert!(delivered.copies > 0 && delivered.claims > 0 && delivered.markers > 0, "{delivered:?}");
    engine.declare("delivered", "shop", Layout::Firehose(Stored::Ndjson), &Partitions::Registered).await;
    engine.firehose_equals_headwater("delivered", "shop").await;

    let converted = engine.bucket("converted");
    for folder in ["claims", "snapshots"] {
        copy(&lake.join(TABLE).join(folder), &converted.join(TABLE).join(folder));
    }
    engine.convert("delivered", "converted").await;
    engine.declare("converted", "converted", Layout::Firehose(Stored::Parquet), &Partitions::Registered).await;
    engine.firehose_equals_headwater("converted", "shop").await;
}
