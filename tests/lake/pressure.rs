//! A thousand shards with bursts of large changes, more than fits, and a store that hangs for a while.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arrow::array::AsArray;
use async_trait::async_trait;
use futures::TryStreamExt;
use futures::future::join_all;
use futures::stream::BoxStream;
use headwater::contract::{Column, ColumnType, TableSchema};
use headwater::event::{AttributeType, Cell, ChangeEvent, Position, ShardId, Side};
use headwater::lake::{Format, Lake, UPLOADS_AT_ONCE};
use headwater::route::Route;
use headwater::route::budget::MemoryBudget;
use headwater::route::lake::LakeRoute;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::sync::{Barrier, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::bench::{Bench, insert, position};

const SHARDS: usize = 1000;
/// As the capture stage has.
const PAGES: usize = 8;
/// The default.
const LIMIT: usize = 64 << 20;
/// A change with two images of 400 KB, save for what they share.
const LARGE: usize = 800_000;
/// The changes of each shard; this one of each thousand is large.
const CHANGES: u64 = 3;
const LARGE_ONE: u64 = 2;
static TEXT: LazyLock<String> = LazyLock::new(|| "x".repeat(LARGE));

/// A store whose creations take their time, and hang until it is up.
#[derive(Debug)]
struct Slow {
    inner: InMemory,
    up_at: Instant,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Slow {
    fn until(up_at: Instant) -> Arc<Self> {
        Arc::new(Self { inner: InMemory::new(), up_at, now: AtomicUsize::new(0), most: AtomicUsize::new(0) })
    }
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slow {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Slow {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if options.mode == PutMode::Create {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            sleep_until(self.up_at).await;
            sleep(Duration::from_millis(100)).await;
            self.now.fetch_sub(1, Ordering::SeqCst);
        }
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn schema() -> Arc<TableSchema> {
    let mut schema = TableSchema::keys_only("orders", vec![("orderId".into(), AttributeType::S)]);
    let (name, path) = ("note".to_owned(), vec!["note".to_owned()]);
    schema.columns.push(Column { name, path, source: AttributeType::S, kind: ColumnType::Text, classification: None });
    Arc::new(schema)
}

fn change(shard: &ShardId, number: u64) -> ChangeEvent<'static> {
    let text = if number % 1000 == LARGE_ONE { TEXT.as_str() } else { "small" };
    let new = Some(Side { cells: vec![Cell::Text(text.into())], extra: None, misfits: 0 });
    ChangeEvent { shard: shard.to_string().into(), new, ..insert(number) }
}

/// Writes the changes of every shard at once.
async fn write_all(bench: &Bench, shards: usize, limit: usize) -> Duration {
    let budget = MemoryBudget::new(limit);
    let lake = Arc::new(Lake::on(bench.store.clone(), bench.settings(), schema()).await.unwrap());
    let route = LakeRoute::new(lake, Arc::clone(&budget));
    let (pages, taken) = (Semaphore::new(PAGES), Barrier::new(shards));
    let within = || assert!(budget.held() <= budget.limit(), "{} held", budget.held());
    let begun = Instant::now();
    let writers = (0..shards).map(|shard| {
        let (route, pages, taken, within) = (&route, &pages, &taken, &within);
        async move {
            let shard = ShardId::new(format!("shard-{shard:04}"));
            let mut writer = route.open(&shard, Position::ZERO).await.unwrap();
            for number in 1..=CHANGES {
                // As a stage does: so many pages are in memory at once, and whoever waits for one answers meanwhile.
                let _page = loop {
                    tokio::select! {
                        page = pages.acquire() => break page.unwrap(),
                        () = writer.due() => {
                            writer.poll().await.unwrap();
                            within();
                        }
                    }
                };
                writer.append(position(number), &change(&shard, number)).await.unwrap();
                within();
            }
            // It answers while others still wait for room.
            let mut all_taken = pin!(taken.wait());
            loop {
                tokio::select! {
                    _ = &mut all_taken => break,
                    () = writer.due() => {
                        writer.poll().await.unwrap();
                        within();
                    }
                }
            }
            writer.flush().await.unwrap();
            within();
        }
    });
    timeout(Duration::from_hours(1), join_all(writers)).await.expect("no deadlock");
    assert_eq!(budget.held(), 0);
    begun.elapsed()
}

/// The numbers of the changes of each shard, as they landed.
async fn landed(bench: &Bench) -> BTreeMap<String, Vec<u64>> {
    let mut landed: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let objects: Vec<_> = bench.store.store.list(None).try_collect().await.unwrap();
    for object in objects.iter().filter(|object| object.location.as_ref().ends_with(".parquet")) {
        let bytes = bench.store.store.get(&object.location).await.unwrap().bytes().await.unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        let columns = ProjectionMask::columns(reader.parquet_schema(), ["cdc_shard", "cdc_sequence"]);
        for batch in reader.with_projection(columns).build().unwrap() {
            let batch = batch.unwrap();
            let (shards, numbers) = (batch["cdc_shard"].as_string::<i32>(), batch["cdc_sequence"].as_string::<i32>());
            for (shard, number) in shards.iter().zip(numbers) {
                landed.entry(shard.unwrap().to_owned()).or_default().push(number.unwrap().parse().unwrap());
            }
        }
    }
    for numbers in landed.values_mut() {
        numbers.sort_unstable();
    }
    landed
}

#[tokio::test(start_paused = true)]
async fn bursts_of_large_changes_on_a_thousand_shards_stay_within_the_budget() {
    let store = Slow::until(Instant::now());
    let bench = Bench::on(Arc::clone(&store) as Arc<dyn ObjectStore>, Format::Parquet);
    write_all(&bench, SHARDS, LIMIT).await;
    let landed = landed(&bench).await;
    assert_eq!(landed.len(), SHARDS);
    assert!(landed.values().all(|numbers| numbers.iter().copied().eq(1..=CHANGES)), "each change once");
    let most = store.most.load(Ordering::SeqCst);
    assert!((2..=UPLOADS_AT_ONCE).contains(&most), "{most} uploads at once");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_stops_the_writers_within_the_budget_and_is_not_run_down_when_it_is_back() {
    const OUTAGE: Duration = Duration::from_mins(10);
    let store = Slow::until(Instant::now() + OUTAGE);
    let bench = Bench::on(Arc::clone(&store) as Arc<dyn ObjectStore>, Format::Parquet);
    let took = write_all(&bench, 200, 8 << 20).await;
    let landed = landed(&bench).await;
    assert_eq!(landed.len(), 200);
    assert!(landed.values().all(|numbers| numbers.iter().copied().eq(1..=CHANGES)), "each change once");
    assert_eq!(store.most.load(Ordering::SeqCst), UPLOADS_AT_ONCE);
    assert!(took < OUTAGE + Duration::from_mins(2), "{took:?}");
}

#[tokio::test]
async fn a_run_says_beforehand_what_it_will_occupy() {
    for format in [Format::Parquet, Format::Ndjson] {
        let bench = Bench::memory(format);
        let lake = Lake::on(bench.store.clone(), bench.settings(), schema()).await.unwrap();
        let shard = ShardId::new("s");
        let partition = headwater::lake::HourPartition::containing(super::bench::THREE_O_CLOCK).unwrap();
        let key = headwater::lake::ChangeKey { partition, shard: shard.clone(), after: Position::ZERO, format };
        let mut run = lake.begin(key.clone()).unwrap();
        for number in 1..=10_000 {
            // A large one now and then, so that batches and files of all sizes come about.
            let event = change(&shard, number);
            let expected = run.memory() + run.growth(&event);
            run.append(position(number), &event).unwrap();
            assert!(run.memory() <= expected, "{format:?}: {} bytes at {number}, and {expected} were expected", run.memory());
            if number <= 3 || number % 2500 == 0 {
                // The same run once more, to be closed.
                let mut other = lake.begin(key.clone()).unwrap();
                for number in 1..=number {
                    other.append(position(number), &change(&shard, number)).unwrap();
                }
                let open = other.memory();
                let closed = other.close().unwrap().bytes.len();
                assert!(closed <= open, "{format:?}: {closed} bytes closed and {open} open at {number}");
            }
        }
    }
}
