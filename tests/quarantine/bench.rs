//! A quarantine in a store that can die, redrives over it, and a reader that shares no code with the writer.

use std::fmt;
use std::io::Read;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::AsArray;
use async_trait::async_trait;
use flate2::read::GzDecoder;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use headwater::capture;
use headwater::config::LaterRecords;
use headwater::contract::TableSchema;
use headwater::event::{AttributeType, Position, ShardId};
use headwater::lake::{Decimals, Format, Kind, Lake, LakeLocation, LakeSettings, LakeStore, Origin, PoisonRecord};
use headwater::lease::{Checkpoint, Lease};
use headwater::redrive::{Checkpoints, Redrive, StageRoute};
use headwater::route::Route;
use headwater::route::budget::MemoryBudget;
use headwater::route::lake::LakeRoute;
use headwater::stream::StreamArn;
use headwater::table::Key;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// 2026-11-21T03:00:00Z.
pub(super) const THREE_O_CLOCK: i64 = 1_795_230_000;
const HOUR: i64 = 3600;

/// A store whose user dies at a write: before it, or after it and before its answer. Each call lets others go first.
#[derive(Debug, Default)]
pub(super) struct Mortal {
    inner: InMemory,
    /// Writes until then; none when nobody dies.
    left: AtomicUsize,
    armed: AtomicBool,
    applied: AtomicBool,
    dead: AtomicBool,
}

impl Mortal {
    /// The write of this number, counted from 1, is the last one. `applied`: it happens.
    pub(super) fn arm(&self, write: usize, applied: bool) {
        self.left.store(write, Ordering::SeqCst);
        self.applied.store(applied, Ordering::SeqCst);
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Another process, which lives. True if the one before died.
    pub(super) fn revive(&self) -> bool {
        self.armed.store(false, Ordering::SeqCst);
        self.dead.swap(false, Ordering::SeqCst)
    }

    async fn alive(&self) -> Result<()> {
        tokio::task::yield_now().await;
        if self.dead.load(Ordering::SeqCst) { Err(died()) } else { Ok(()) }
    }

    /// Whether this write happens, and whether its writer lives to see it.
    async fn write(&self) -> Result<(bool, bool)> {
        self.alive().await?;
        if self.armed.load(Ordering::SeqCst) && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.dead.store(true, Ordering::SeqCst);
            return Ok((self.applied.load(Ordering::SeqCst), false));
        }
        Ok((true, true))
    }
}

fn died() -> object_store::Error {
    object_store::Error::Generic { store: "mortal", source: Box::new(std::io::Error::other("died")) }
}

/// The store, as each of its users has it.
#[derive(Debug, Clone, Default)]
pub(super) struct Store(Arc<Mortal>);

impl Deref for Store {
    type Target = Mortal;

    fn deref(&self) -> &Mortal {
        &self.0
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mortal {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Store {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let (happens, lives) = self.write().await?;
        let done = if happens { self.inner.put_opts(location, payload, options).await } else { Err(died()) };
        if lives { done } else { Err(died()) }
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.alive().await?;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        locations
            .then(move |location| {
                let this = this.clone();
                async move {
                    let (location, (happens, lives)) = (location?, this.write().await?);
                    let done = if happens { this.inner.delete(&location).await.map(|()| location) } else { Err(died()) };
                    if lives { done } else { Err(died()) }
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if self.dead.load(Ordering::SeqCst) {
            return futures::stream::once(async { Err(died()) }).boxed();
        }
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.alive().await?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A table's quarantine and lake.
pub(super) struct Bench {
    pub(super) store: Store,
    pub(super) later_records: LaterRecords,
    /// How far the one shard is checkpointed.
    pub(super) checkpoint: Checkpoint,
}

/// How a process writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) format: Format,
    /// Whether each change is an object of its own.
    pub(super) single: bool,
}

pub(super) const WHOLE: Manner = Manner { format: Format::Parquet, single: false };
pub(super) const SINGLE: Manner = Manner { format: Format::Parquet, single: true };

impl Bench {
    pub(super) fn new() -> Self {
        Self { store: Store::default(), later_records: LaterRecords::Pass, checkpoint: Checkpoint::ShardEnd }
    }

    pub(super) async fn lake(&self, manner: Manner) -> Arc<Lake> {
        let store =
            LakeStore { store: Arc::new(self.store.clone()), prefix: Path::from("lake"), address: "memory:/".to_owned(), ordered: true };
        let settings = LakeSettings {
            location: LakeLocation::Folder("unused".into()),
            format: manner.format,
            max_size: if manner.single { 1 } else { u64::MAX },
            max_age: Duration::from_hours(1),
            decimals: Decimals::Number,
            kms_key: None,
        };
        Arc::new(Lake::on(store, settings, schema()).await.unwrap())
    }

    /// A redrive into the lake.
    pub(super) async fn redrive(&self, manner: Manner) -> Redrive {
        let lake = self.lake(manner).await;
        let route = Arc::new(LakeRoute::new(Arc::clone(&lake), MemoryBudget::new(1 << 30)));
        self.redrive_to(lake, route, true)
    }

    pub(super) fn redrive_to(&self, lake: Arc<Lake>, route: Arc<dyn Route>, lands: bool) -> Redrive {
        let stage = StageRoute {
            origin: Origin::Capture,
            decode: capture::decoder(&schema()),
            route,
            lands,
            checkpoints: Checkpoints::of(&[lease(self.checkpoint)]),
            later_records: self.later_records,
        };
        Redrive::new(lake, vec![stage])
    }

    /// Puts records into quarantine: number, item, and whether it can be decoded now.
    pub(super) async fn quarantine(&self, records: &[(u64, &str, bool)]) {
        let lake = self.lake(WHOLE).await;
        for (number, item, decodes) in records {
            let (key, raw) = (Key::of_texts(vec![(*item).to_owned()]), record(*number, item, *decodes));
            let poison = PoisonRecord {
                shard: &shard(),
                position: Some(at(*number)),
                event_id: Some(&format!("e{number}")),
                key: Some(&key),
                raw: raw.as_bytes(),
                kind: if *decodes { Kind::Behind } else { Kind::Undecodable },
                reason: "for a reason",
                time: time(*number),
            };
            lake.quarantine(&poison).await.unwrap();
        }
    }

    /// How many records are left in quarantine.
    pub(super) async fn left(&self) -> u64 {
        self.lake(WHOLE).await.quarantined().count(u64::MAX).await.unwrap()
    }

    /// The names of all objects.
    pub(super) async fn names(&self) -> Vec<String> {
        let all: Vec<_> = self.store.list(None).try_collect().await.unwrap();
        all.iter().map(|object| object.location.to_string()).collect()
    }

    /// The event ids of all rows in the lake, sorted.
    pub(super) async fn landed(&self) -> Vec<String> {
        let all: Vec<_> = self.store.list(None).try_collect().await.unwrap();
        let mut ids = Vec::new();
        for object in all.iter().filter(|object| object.location.as_ref().contains("/changes/")) {
            let bytes = self.store.get(&object.location).await.unwrap().bytes().await.unwrap();
            if object.location.as_ref().ends_with(".parquet") {
                for batch in ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap() {
                    ids.extend(batch.unwrap()["cdc_event_id"].as_string::<i32>().iter().flatten().map(str::to_owned));
                }
            } else {
                let mut text = String::new();
                GzDecoder::new(bytes.as_ref()).read_to_string(&mut text).unwrap();
                let line =
                    |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["cdc_event_id"].as_str().unwrap().to_owned();
                ids.extend(text.lines().map(line));
            }
        }
        ids.sort();
        ids
    }
}

pub(super) fn schema() -> Arc<TableSchema> {
    Arc::new(TableSchema::keys_only("orders", vec![("id".to_owned(), AttributeType::S)]))
}

pub(super) fn shard() -> ShardId {
    ShardId::new("shardId-1")
}

pub(super) fn at(number: u64) -> Position {
    number.to_string().parse().unwrap()
}

/// Three changes an hour.
pub(super) fn time(number: u64) -> i64 {
    THREE_O_CLOCK + i64::try_from(number / 3).unwrap() * HOUR
}

/// A record of the table's stream; one that does not decode has a value of a type that nobody knows.
pub(super) fn record(number: u64, item: &str, decodes: bool) -> String {
    let value = if decodes { format!(r#"{{"N":"{number}"}}"#) } else { r#"{"Q":"secret"}"#.to_owned() };
    format!(
        r#"{{"eventID":"e{number}","eventName":"INSERT","dynamodb":{{"ApproximateCreationDateTime":{},"Keys":{{"id":{{"S":"{item}"}}}},"NewImage":{{"id":{{"S":"{item}"}},"n":{value}}},"SequenceNumber":"{number}"}}}}"#,
        time(number)
    )
}

fn lease(checkpoint: Checkpoint) -> Lease {
    Lease::new(shard(), StreamArn::new("arn:stream/1"), checkpoint)
}
