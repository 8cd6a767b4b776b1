//! A stage on a scripted stream, with real leases in the embedded DynamoDB and a real lake in a folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray};
use headwater::capture;
use headwater::clock::{ServiceClock, WallClock};
use headwater::config::{OnGap, Start, StreamSettings};
use headwater::consumer::board::Board;
use headwater::consumer::{Consumer, ConsumerError, Context, Counters, Source, Trimming};
use headwater::contract::TableSchema;
use headwater::embedded::{Embedded, Options};
use headwater::event::{AttributeType, ShardId};
use headwater::lake::{Decimals, Format, Lake, LakeLocation, LakeSettings};
use headwater::lease::gap::Gap;
use headwater::lease::table::LeaseTable;
use headwater::lease::{Checkpoint, Lease};
use headwater::route::Route;
use headwater::route::budget::MemoryBudget;
use headwater::route::lake::LakeRoute;
use headwater::stream::StreamArn;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::model::Model;

pub(super) const TABLE: &str = "orders";

/// The stream of models.
pub(super) fn stream() -> StreamArn {
    StreamArn::new("arn:stream/1")
}

/// Leases and lake outlive the workers of a test.
pub(super) struct World {
    pub(super) dynamo: Embedded,
    pub(super) folder: tempfile::TempDir,
    pub(super) settings: StreamSettings,
    pub(super) trimming: Trimming,
    /// Short, since most tests wait for somebody's silence.
    pub(super) failover: Duration,
}

pub(super) struct Worker {
    pub(super) stop: CancellationToken,
    pub(super) counters: Arc<Counters>,
    pub(super) board: Arc<Board>,
    pub(super) running: JoinHandle<Result<(), ConsumerError>>,
}

impl World {
    pub(super) async fn new() -> Self {
        Self {
            dynamo: Embedded::start(Options::default()).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
            settings: StreamSettings { start: Start::TrimHorizon, on_gap: OnGap::Continue, idle_poll: Duration::from_millis(20) },
            trimming: Trimming::Told,
            failover: Duration::from_millis(300),
        }
    }

    pub(super) fn leases(&self) -> LeaseTable {
        LeaseTable::new(&self.dynamo.sdk_config(), "leases", CancellationToken::new())
    }

    pub(super) async fn worker(&self, name: &str, model: &Model) -> Worker {
        self.worker_through(name, model, |route| route).await
    }

    /// A worker whose route is what `wrap` makes of the lake's.
    pub(super) async fn worker_through(&self, name: &str, model: &Model, wrap: impl FnOnce(Arc<dyn Route>) -> Arc<dyn Route>) -> Worker {
        let schema = Arc::new(TableSchema::keys_only(TABLE, vec![("id".to_owned(), AttributeType::S)]));
        let settings = LakeSettings {
            location: LakeLocation::Folder(self.folder.path().to_owned()),
            format: Format::Parquet,
            max_size: 1 << 20,
            max_age: Duration::from_millis(50),
            decimals: Decimals::Number,
            kms_key: None,
        };
        let lake = Arc::new(Lake::open(&settings, Arc::clone(&schema), None).await.unwrap());
        let leases = Arc::new(self.leases());
        leases.ensure(true).await.unwrap();
        let capture = Consumer::new(Context::new(
            Source { trimming: self.trimming, ..capture::source(Arc::new(model.clone()), &schema, self.settings.clone()) },
            leases,
            wrap(Arc::new(LakeRoute::new(Arc::clone(&lake), MemoryBudget::new(64 << 20)))),
            lake,
            self.failover,
            name.to_owned(),
            ServiceClock::new(WallClock::system()),
        ));
        let (stop, counters, board) = (CancellationToken::new(), capture.counters(), capture.watch().board);
        let running = tokio::spawn(capture.run(stop.clone()));
        Worker { stop, counters, board, running }
    }

    /// Runs a worker until it has taken `records`, and every closed shard is done.
    pub(super) async fn capture(&self, model: &Model, records: u64) {
        let worker = self.worker("worker", model).await;
        self.settle(model, &worker, records).await;
        worker.drain().await.unwrap();
    }

    pub(super) async fn settle(&self, model: &Model, worker: &Worker, records: u64) {
        wait_until("the records are taken and closed shards are done", async || {
            let leases = self.lease_map().await;
            let closed: Vec<ShardId> = model.change(|state| {
                let closed = state.shards.iter().filter(|(_, shard)| shard.closed);
                closed.map(|(id, _)| ShardId::new(*id)).collect()
            });
            worker.counters.totals().records >= records
                && closed.iter().all(|id| leases.get(id).is_some_and(|lease| lease.checkpoint == Checkpoint::ShardEnd))
        })
        .await;
    }

    pub(super) async fn lease_map(&self) -> BTreeMap<ShardId, Lease> {
        let leases = self.leases().read().await.unwrap().leases;
        leases.into_iter().map(|lease| (lease.shard.clone(), lease)).collect()
    }

    pub(super) async fn gaps(&self) -> Vec<Gap> {
        self.leases().read().await.unwrap().gaps
    }

    /// Sequence numbers of all rows that landed, by shard, in the order of the objects' positions.
    pub(super) fn landed(&self) -> BTreeMap<String, Vec<u64>> {
        let mut objects = Vec::new();
        collect(&self.folder.path().join(TABLE).join("changes"), &mut objects);
        objects.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
        let mut landed: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for object in objects {
            let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(object).unwrap()).unwrap().build().unwrap();
            for batch in reader {
                let batch = batch.unwrap();
                let sequences = batch.column_by_name("cdc_sequence").unwrap().as_string::<i32>();
                let shards = batch.column_by_name("cdc_shard").unwrap().as_string::<i32>();
                for row in 0..sequences.len() {
                    landed.entry(shards.value(row).to_owned()).or_default().push(sequences.value(row).parse().unwrap());
                }
            }
        }
        landed
    }
}

impl Worker {
    pub(super) async fn drain(self) -> Result<(), ConsumerError> {
        self.stop.cancel();
        self.running.await.unwrap()
    }
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
}

pub(super) async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(super) fn rows(of: &[(&str, &[u64])]) -> BTreeMap<String, Vec<u64>> {
    of.iter().map(|(shard, sequences)| ((*shard).to_owned(), sequences.to_vec())).collect()
}
