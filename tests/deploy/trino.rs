//! The SQL of deploy/athena on Trino, over lakes that headwater wrote and as Firehose leaves them: its rows are those of `headwater query`.

mod rows;
mod service;
mod tables;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

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
/// Views that headwater has of its own: the file's `current` is another statement.
const OWN: [&str; 3] = ["changes", "snapshots", "current"];
/// Counts rows as they landed, so it tells of copies.
const COPIES: &str = "analyses/copies.sql";
/// The hours of business before, between and after snapshots: Trino takes its time for each partition.
const HOURS: u32 = 5;
/// How many processes of headwater run at a time.
const AT_ONCE: usize = 2;

/// What `headwater query` is asked about a lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    /// A view that it has of its own.
    Own(&'static str),
    /// A view or a table after the files.
    Name(&'static str),
    Analysis(&'static str),
}

/// What `headwater query` gives of a lake. A process takes seconds, so each question is asked once, however often Trino's answer is compared.
type Answers = BTreeMap<Question, Vec<Row>>;

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

    /// Has `headwater query` answer everything about the lake in a bucket, beside what Trino does meanwhile.
    fn ask(&self, bucket: &str) -> tokio::task::JoinHandle<Answers> {
        let lake = self.bucket(bucket);
        tokio::task::spawn_blocking(move || ask(&lake))
    }

    /// Compares everything that a lake gives in both engines.
    async fn equals_headwater(&self, schema: &str, expected: &Answers) {
        for name in NAMES {
            let found = self.rows(schema, &all(name)).await;
            if OWN.contains(&name) {
                assert_equal(&format!("{name} of {schema}"), false, found.clone(), expected[&Question::Own(name)].clone());
            }
            assert_equal(&format!("{name} of {schema}, by the files"), false, found, expected[&Question::Name(name)].clone());
        }
        for file in ANALYSES {
            let expected = expected[&Question::Analysis(file)].clone();
            assert_equal(&format!("{file} of {schema}"), true, self.analysis(schema, file).await, expected);
        }
    }

    /// Compares what Firehose's layout gives with what `headwater query` gives of the same changes in the lake's own layout. Only where rows arrived, and how
    /// often, differs.
    async fn firehose_equals_headwater(&self, schema: &str, expected: &Answers) {
        for name in NAMES {
            let (found, expected) = (self.rows(schema, &all(name)).await, expected[&Question::Name(name)].clone());
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
                let expected = expected[&Question::Analysis(file)].clone();
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

/// Asks everything about a lake.
fn ask(lake: &Path) -> Answers {
    let names = OWN.into_iter().map(Question::Own).chain(NAMES.into_iter().map(Question::Name));
    let questions: Vec<Question> = names.chain(ANALYSES.into_iter().map(Question::Analysis)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut answers = Vec::new();
        while let Some(question) = questions.get(next.fetch_add(1, Ordering::Relaxed)) {
            answers.push((*question, question.ask(lake)));
        }
        answers
    };
    std::thread::scope(|scope| {
        let workers = [(); AT_ONCE].map(|()| scope.spawn(work));
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

impl Question {
    fn ask(self, lake: &Path) -> Vec<Row> {
        match self {
            Self::Own(name) => headwater(lake, &[], Some(&all(name))),
            Self::Name(name) => headwater(lake, &VIEWS, Some(&all(name))),
            Self::Analysis(file) => headwater(lake, &[&VIEWS[..], &[file]].concat(), None),
        }
    }
}

/// The query for all rows of a table or view.
fn all(name: &str) -> String {
    format!("SELECT * FROM \"{name}\"")
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

/// One Trino for all lakes: two servers side by side would need twice the memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "heavy: gathers a Trino of 270 MB on first use, and runs it"]
async fn every_file_gives_the_same_rows_on_trino_over_lakes_of_the_service_and_over_what_firehose_delivered() {
    let engine = Engine::start().await;
    lakes_of_the_service(&engine).await;
    months_of_orders_and_what_firehose_delivered_of_them(&engine).await;
}

async fn lakes_of_the_service(engine: &Engine) {
    service::write_lakes(engine.buckets.path(), &["parquet", "ndjson"]).await;
    for (format, stored) in [("parquet", Stored::Parquet), ("ndjson", Stored::Ndjson)] {
        let answers = engine.ask(format);
        let projected = Partitions::Projected { first_day: first_day(&engine.bucket(format)) };
        engine.declare(format, format, Layout::Lake(stored), &projected).await;
        engine.equals_headwater(format, &answers.await.unwrap()).await;
    }
}

async fn months_of_orders_and_what_firehose_delivered_of_them(engine: &Engine) {
    let shop = Shop::trading(5, HOURS);
    let lake = engine.bucket("shop");
    shop.write(&lake, &[Format::Parquet]).await;
    let delivered = shop.write_firehose(&lake);
    assert!(delivered.copies > 0 && delivered.claims > 0 && delivered.markers > 0, "{delivered:?}");
    let answers = engine.ask("shop");
    engine.declare("shop", "shop", Layout::Lake(Stored::Parquet), &Partitions::Registered).await;
    engine.declare("delivered", "shop", Layout::Firehose(Stored::Ndjson), &Partitions::Registered).await;
    let answers = answers.await.unwrap();
    engine.equals_headwater("shop", &answers).await;
    engine.firehose_equals_headwater("delivered", &answers).await;

    let converted = engine.bucket("converted");
    for folder in ["claims", "snapshots"] {
        copy(&lake.join(TABLE).join(folder), &converted.join(TABLE).join(folder));
    }
    engine.convert("delivered", "converted").await;
    engine.declare("converted", "converted", Layout::Firehose(Stored::Parquet), &Partitions::Registered).await;
    engine.firehose_equals_headwater("converted", &answers).await;
}
