//! A simulated account with a table, and processes of the service on it that a test starts and looks into. Time is tokio's, paused.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use headwater::clock::WallClock;
use headwater::pipeline::{Ended, Pipeline, Watch};
use headwater_sim::call::{Answer, Intercept, Quirks};
use headwater_sim::check::{Checker, Subject};
use headwater_sim::clock::Clock;
use headwater_sim::cloud::Cloud;
use headwater_sim::faults::Faults;
use headwater_sim::item::{AttributeValue, Item};
use headwater_sim::journal::Journal;
use headwater_sim::runner::sdk_config;
use headwater_sim::server::{Options, Server};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const LEASES: &str = "headwater-orders";
const TABLE: &str = "orders";
const BUCKET: &str = "lake";
/// 2026-11-21 03:00:00 UTC.
const BEGINS_AT: i64 = 1_795_230_000_000;

/// The account.
pub(crate) struct Account {
    pub(crate) cloud: Cloud,
    pub(crate) faults: Faults,
    pub(crate) calls: Arc<Calls>,
    server: Server,
    written: u64,
}

/// A process of the service.
pub(crate) struct Process {
    pub(crate) watch: Watch,
    stop: CancellationToken,
    task: JoinHandle<Ended>,
}

/// How often each operation was called on the lease table.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<BTreeMap<String, u64>>);

impl Calls {
    /// The counts since the last time.
    pub(crate) fn take(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Intercept for Calls {
    fn intercept(&self, target: &str, _: &str, body: &Bytes) -> Option<Answer> {
        let input: Value = serde_json::from_slice(body).unwrap_or_default();
        if input["TableName"] == LEASES {
            let operation = target.rsplit('.').next().unwrap_or_default();
            *self.0.lock().unwrap().entry(operation.to_owned()).or_default() += 1;
        }
        None
    }
}

impl Account {
    /// An account with a table whose stream has so many shards.
    pub(crate) async fn begin(shards: usize) -> Self {
        let cloud = Cloud::new(Clock::starting_at(BEGINS_AT), Journal::keeping());
        {
            let mut state = cloud.state();
            state.tables.partitions = shards;
            state.buckets.create(BUCKET);
        }
        let table = json!({
            "TableName": TABLE, "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        });
        cloud.call("DynamoDB_20120810.CreateTable", "", table.to_string().as_bytes(), &Quirks::default()).unwrap();
        let (faults, calls) = (Faults::new(1), Arc::<Calls>::default());
        let options = Options { intercept: Some(Arc::clone(&calls) as Arc<dyn Intercept>), ..Options::default() };
        let server = Server::start(cloud.clone(), faults.clone(), options).await.unwrap();
        Self { cloud, faults, calls, server, written: 0 }
    }

    /// Starts a process with the usual settings and some of its own.
    pub(crate) async fn start(&self, name: &str, more: &str) -> Process {
        let settings = format!(
            "[table]\nname = \"{TABLE}\"\n[lease]\napplication = \"{LEASES}\"\nworker = \"{name}\"\n[lake]\nurl = \"s3://{BUCKET}/cdc\"\n{more}"
        );
        let settings = headwater::config::parse(&settings, Path::new("/")).unwrap();
        let services = self.cloud.clock.clone();
        let clock = WallClock::reading(move || services.now().div_euclid(1000));
        let pipeline = Pipeline::build(&settings, &sdk_config(self.server.address(), name), clock).await.unwrap();
        let (watch, stop) = (pipeline.watch(), CancellationToken::new());
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { pipeline.run(stop).await.unwrap() }
        });
        Process { watch, stop, task }
    }

    /// Writes so many new items with so many bytes of text each.
    pub(crate) fn write(&mut self, items: u64, bytes: usize) {
        let now = self.cloud.clock.now();
        let state = &mut *self.cloud.state();
        for _ in 0..items {
            self.written += 1;
            let text = |text: String| AttributeValue::S(text);
            let item =
                Item::from([("id".to_owned(), text(format!("order {}", self.written))), ("note".to_owned(), text("n".repeat(bytes)))]);
            state.tables.put(&mut state.streams, TABLE, item, now, &self.cloud.journal).unwrap();
        }
    }

    /// What judges everything that has happened.
    pub(crate) fn checker(&self, failover: i64) -> Checker {
        let mut checker = Checker::new(Subject {
            table: TABLE.to_owned(),
            leases: LEASES.to_owned(),
            bucket: BUCKET.to_owned(),
            folder: format!("cdc/{TABLE}"),
            failover,
            kinesis: None,
            closes_gaps: false,
        });
        checker.follow(&self.cloud.journal);
        checker
    }

    pub(crate) async fn end(self) {
        self.server.stop().await;
    }
}

impl Process {
    /// Stops it, which has to end well.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        assert!(matches!(self.task.await.unwrap(), Ended::Clean));
    }

    /// Whether it has not ended by itself.
    pub(crate) fn is_running(&self) -> bool {
        !self.task.is_finished()
    }
}
