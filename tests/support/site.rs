//! One installation of headwater in a temporary folder: its configuration, its lake and its processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_config::SdkConfig;
use tempfile::TempDir;

use super::aws;
use super::duckdb::{self, Row};
use super::process::Headwater;
use super::stream::{self, Change};

/// The lease table's name.
pub(crate) const APPLICATION: &str = "headwater-test";

/// What tests vary in headwater.toml.
pub(crate) struct Settings {
    pub(crate) table: &'static str,
    /// `parquet` or `ndjson`.
    pub(crate) format: &'static str,
    pub(crate) max_age: &'static str,
    pub(crate) shutdown_deadline: &'static str,
    /// A contract under `schemas/`.
    pub(crate) contract: Option<&'static str>,
}

/// A folder with headwater.toml and the lake, and the DynamoDB that it works on.
pub(crate) struct Site {
    dir: TempDir,
    table: &'static str,
    /// How the names of this lake's objects end.
    ending: &'static str,
    endpoint: String,
    processes: AtomicUsize,
}

impl Site {
    /// Writes headwater.toml for the DynamoDB at `endpoint`.
    pub(crate) fn new(endpoint: &str, settings: &Settings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let Settings { table, format, max_age, shutdown_deadline, contract } = settings;
        let contract = contract.map_or(String::new(), |name| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(name);
            format!("contract = {}", toml::Value::from(path.to_str().unwrap()))
        });
        let config = format!(
            r#"
            [table]
            name = "{table}"
            {contract}
            [stream]
            start = "trim-horizon"
            [lease]
            application = "{APPLICATION}"
            failover = "1s"
            [lake]
            url = "./lake"
            format = "{format}"
            max_age = "{max_age}"
            [shutdown]
            deadline = "{shutdown_deadline}"
            "#
        );
        fs::write(dir.path().join("headwater.toml"), config).unwrap();
        let ending = match *format {
            "parquet" => ".parquet",
            "ndjson" => ".json.gz",
            other => panic!("a lake has no format '{other}'"),
        };
        Self { dir, table, ending, endpoint: endpoint.to_owned(), processes: AtomicUsize::new(0) }
    }

    /// Starts `headwater ARGS` here.
    pub(crate) fn start(&self, args: &[&str]) -> Headwater {
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        let log = self.dir.path().join(format!("{number}-{}.log", args[0]));
        Headwater::start(self.dir.path(), log, &aws::environment(&self.endpoint), args)
    }

    /// Starts `headwater run`.
    pub(crate) fn run(&self) -> Headwater {
        self.start(&["run", "--config", "headwater.toml"])
    }

    /// Settings of the plain SDK for the DynamoDB of this site.
    pub(crate) fn sdk_config(&self) -> SdkConfig {
        aws::sdk_config(&self.endpoint)
    }

    /// What the stream holds, read without headwater.
    pub(crate) async fn stream(&self) -> Vec<Change> {
        stream::read_all(&self.sdk_config(), self.table).await
    }

    /// What has landed, read without headwater.
    pub(crate) async fn rows(&self) -> Vec<Row> {
        let rows = duckdb::changes(&self.lake(), self.table).await;
        let other = rows.iter().find(|row| !row.object().ends_with(self.ending));
        assert!(other.is_none(), "an object of another format than {}: {other:?}", self.ending);
        rows
    }

    /// How many objects with changes the lake holds.
    pub(crate) fn objects(&self) -> usize {
        count_files(&self.lake().join(self.table).join("changes"), self.ending)
    }

    /// Adds a setting to a part of headwater.toml.
    pub(crate) fn configure(&self, part: &str, setting: &str) {
        let path = self.dir.path().join("headwater.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(part), "{text}");
        fs::write(&path, text.replacen(part, &format!("{part}\n{setting}"), 1)).unwrap();
    }

    /// The lake's folder.
    pub(crate) fn lake(&self) -> PathBuf {
        self.dir.path().join("lake")
    }
}

/// Files in and below `folder` whose names end so. A folder that does not exist has none.
fn count_files(folder: &Path, ending: &str) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.map(|path| if path.is_dir() { count_files(&path, ending) } else { usize::from(path.to_string_lossy().ends_with(ending)) }).sum()
}
