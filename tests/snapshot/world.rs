//! A table, a lake and workers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::read::MultiGzDecoder;
use headwater::clock::{ServiceClock, WallClock, unix_seconds};
use headwater::config::{self, Settings};
use headwater::consumer::ConsumerError;
use headwater::contract::TableSchema;
use headwater::embedded::{Embedded, Options};
use headwater::event::{AttributeType, ShardId};
use headwater::lake::{Lake, LakeStore};
use headwater::lease::snapshot::{Cause, Request, Snapshot, Source, State};
use headwater::lease::table::LeaseTable;
use headwater::lease::{Checkpoint, Lease};
use headwater::pipeline::{Ended, Pipeline};
use headwater::route::Route;
use headwater::route::budget::MemoryBudget;
use headwater::route::lake::LakeRoute;
use headwater::snapshot::{self, Runner, SnapshotProgress, TableReader, runner};
use headwater::stream::dynamodb::TableStreams;
use headwater::stream::{StreamApi, StreamArn};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{table, wait_until};

pub(super) const TABLE: &str = "orders";
const DEADLINE: Duration = Duration::from_mins(1);

/// Table, leases and lake outlive the workers of a test.
pub(super) struct World {
    dynamo: Embedded,
    folder: tempfile::TempDir,
    pub(super) client: Client,
    pub(super) settings: Settings,
}

pub(super) struct Worker {
    stop: CancellationToken,
    running: JoinHandle<Result<Ended, ConsumerError>>,
}

/// A row of the lake, as far as the tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: String,
    pub(super) operation: String,
    pub(super) snapshot: Option<String>,
    pub(super) event_id: String,
    pub(super) extra: Option<String>,
}

impl World {
    pub(super) async fn new() -> Self {
        let dynamo = Embedded::start(Options::default()).await.unwrap();
        let client = Client::new(&dynamo.sdk_config());
        table::create(&client, TABLE, "id").await;
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[table]\nname = \"{TABLE}\"\n[lake]\nurl = \"{}\"\nmax_age = \"1s\"\n[stream]\nidle_poll = \"100ms\"",
            folder.path().display()
        );
        let mut settings = config::parse(&text, folder.path()).unwrap();
        settings.lease.failover = Duration::from_millis(500);
        settings.lake.max_age = Duration::from_millis(200);
        let world = Self { dynamo, folder, client, settings };
        world.leases().ensure(true).await.unwrap();
        world
    }

    /// Writes items whose keys have these numbers, each with so many bytes beside its key.
    pub(super) async fn put(&self, numbers: impl IntoIterator<Item = u32>, bytes: usize) {
        for number in numbers {
            self.put_value(&key(number), &"x".repeat(bytes)).await;
        }
    }

    pub(super) async fn put_value(&self, key: &str, value: &str) {
        let put = self.client.put_item().table_name(TABLE).item("id", AttributeValue::S(key.to_owned()));
        put.item("value", AttributeValue::S(value.to_owned())).send().await.unwrap();
    }

    pub(super) async fn delete(&self, key: &str) {
        self.client.delete_item().table_name(TABLE).key("id", AttributeValue::S(key.to_owned())).send().await.unwrap();
    }

    pub(super) fn leases(&self) -> LeaseTable {
        LeaseTable::new(&self.dynamo.sdk_config(), &self.settings.lease.application, CancellationToken::new())
    }

    /// The whole service.
    pub(super) async fn worker(&self) -> Worker {
        let pipeline = Pipeline::build(&self.settings, &self.dynamo.sdk_config(), WallClock::system()).await.unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(pipeline.run(stop.clone()));
        Worker { stop, running }
    }

    pub(super) async fn lake(&self) -> Arc<Lake> {
        let schema = TableSchema::keys_only(TABLE, vec![("id".to_owned(), AttributeType::S)]);
        Arc::new(Lake::open(&self.settings.lake, Arc::new(schema), None).await.unwrap())
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn store(&self) -> LakeStore {
        LakeStore::connect(&self.settings.lake.location, None, None).unwrap()
    }

    /// The lease table of a deliver stage.
    pub(super) async fn delivered(&self) -> LeaseTable {
        let leases = LeaseTable::new(&self.dynamo.sdk_config(), "delivered", CancellationToken::new());
        leases.ensure(true).await.unwrap();
        leases
    }

    /// A runner alone, without a capture stage. `around` may change what it writes to.
    pub(super) async fn runner(&self, owner: &str, around: impl FnOnce(Arc<dyn Route>) -> Arc<dyn Route>) -> Runner {
        self.runner_before(None, owner, around).await
    }

    /// The same, with a deliver stage behind it.
    pub(super) async fn runner_before(
        &self,
        delivered: Option<LeaseTable>,
        owner: &str,
        around: impl FnOnce(Arc<dyn Route>) -> Arc<dyn Route>,
    ) -> Runner {
        let sdk = self.dynamo.sdk_config();
        let clock = ServiceClock::new(WallClock::system());
        let stream = Arc::new(TableStreams::new(&sdk, TABLE, clock.clone()));
        let leases = Arc::new(self.leases());
        leases.create(&lease_on(stream.current().await.unwrap().arn)).await.unwrap();
        let lake = self.lake().await;
        let route = Arc::new(LakeRoute::new(Arc::clone(&lake), MemoryBudget::new(64 << 20)));
        Runner::new(runner::Context {
            sdk: sdk.clone(),
            leases,
            delivered,
            after_delivery: Duration::ZERO,
            stream,
            table: TableReader::new(&sdk, TABLE, clock.clone()),
            lake,
            route: around(route),
            settings: self.settings.snapshot.clone(),
            on_gap: self.settings.stream.on_gap,
            failover: self.settings.lease.failover,
            owner: owner.to_owned(),
            clock,
            capture: Arc::default(),
        })
    }

    pub(super) async fn start(&self, request: Request) -> String {
        snapshot::start(&self.leases(), request, unix_seconds()).await.unwrap()
    }

    pub(super) async fn look(&self, id: &str) -> SnapshotProgress {
        let contents = self.leases().read().await.unwrap();
        let snapshot = contents.snapshots.iter().find(|snapshot| snapshot.id == id).unwrap();
        SnapshotProgress::of(snapshot, &contents)
    }

    /// How many segments somebody reads.
    pub(super) async fn held(&self, id: &str) -> usize {
        let of = |lease: &&Lease| lease.owner.is_some() && lease.segment.as_ref().is_some_and(|segment| segment.snapshot == id);
        self.leases().read().await.unwrap().segments.iter().filter(of).count()
    }

    /// Waits until the snapshot is over, and all leases of its segments are gone.
    pub(super) async fn ended(&self, id: &str) -> Snapshot {
        wait_until(DEADLINE, "the snapshot is over", async || {
            let contents = self.leases().read().await.unwrap();
            let is_over = contents.snapshots.iter().any(|snapshot| snapshot.id == id && snapshot.state.is_final());
            is_over && contents.segments.iter().all(|lease| !lease.shard.as_str().starts_with(&Snapshot::key(id)))
        })
        .await;
        self.look(id).await.snapshot
    }

    pub(super) async fn completed(&self, id: &str) -> Snapshot {
        let snapshot = self.ended(id).await;
        assert_eq!((snapshot.state, &snapshot.problem), (State::Completed, &None));
        assert!(self.has_marker(id));
        snapshot
    }

    pub(super) fn has_marker(&self, id: &str) -> bool {
        self.folder.path().join(TABLE).join("snapshots").join(format!("{id}.json")).exists()
    }

    /// Every row of the lake.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut objects = Vec::new();
        collect(&self.folder.path().join(TABLE).join("changes"), &mut objects);
        objects.iter().flat_map(|object| read(object)).collect()
    }

    /// The rows of a snapshot by their keys; panics where one has two.
    pub(super) fn rows_of(&self, id: &str) -> BTreeMap<String, Row> {
        let mut rows = BTreeMap::new();
        for row in self.rows().into_iter().filter(|row| row.snapshot.as_deref() == Some(id)) {
            if let Some(other) = rows.insert(row.key.clone(), row) {
                panic!("key {} is in the snapshot twice", other.key);
            }
        }
        rows
    }

    /// How many objects hold rows of the snapshot.
    pub(super) fn objects_of(&self, id: &str) -> usize {
        let mut objects = Vec::new();
        collect(&self.folder.path().join(TABLE).join("changes"), &mut objects);
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(&Snapshot::key(id));
        objects.iter().filter(|path| name(path)).count()
    }
}

impl Worker {
    pub(super) async fn drain(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }

    /// As if the process were killed.
    pub(super) async fn kill(self) {
        self.running.abort();
        assert!(self.running.await.is_err_and(|error| error.is_cancelled()));
    }
}

pub(super) fn key(number: u32) -> String {
    format!("k{number:05}")
}

pub(super) fn keys(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers.into_iter().map(key).collect()
}

pub(super) fn request(source: Source) -> Request {
    Request { source, cause: Cause::Request, consistent: true, segments: None, budget: None, limit: None }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "parquet" || extension == "gz") {
            files.push(path);
        }
    }
}

/// A lease on a shard of a stream: whoever has it has a position there.
pub(super) fn lease_on(stream: StreamArn) -> Lease {
    Lease::new(ShardId::new("secured"), stream, Checkpoint::TrimHorizon)
}

fn read(object: &Path) -> Vec<Row> {
    if object.extension().is_some_and(|extension| extension == "gz") { read_lines(object) } else { read_parquet(object) }
}

fn read_lines(object: &Path) -> Vec<Row> {
    let lines = std::io::read_to_string(MultiGzDecoder::new(std::fs::File::open(object).unwrap())).unwrap();
    let row = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |column: &str| row[column].as_str().map(str::to_owned);
        Row {
            key: text("id").unwrap(),
            operation: text("cdc_op").unwrap(),
            snapshot: text("cdc_snapshot_id"),
            event_id: text("cdc_event_id").unwrap(),
            extra: text("cdc_extra"),
        }
    };
    lines.lines().map(row).collect()
}

fn read_parquet(object: &Path) -> Vec<Row> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(object).unwrap()).unwrap().build().unwrap();
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        let text = |column: &str, row: usize| {
            let texts = batch.column_by_name(column).unwrap().as_string::<i32>();
            texts.is_valid(row).then(|| texts.value(row).to_owned())
        };
        rows.extend((0..batch.num_rows()).map(|row| Row {
            key: text("id", row).unwrap(),
            operation: text("cdc_op", row).unwrap(),
            snapshot: text("cdc_snapshot_id", row),
            event_id: text("cdc_event_id", row).unwrap(),
            extra: text("cdc_extra", row),
        }));
    }
    rows
}
