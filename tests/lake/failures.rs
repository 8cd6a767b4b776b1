//! What a lake that fails looks like, and that nothing is lost or doubled by it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use headwater::event::{Cell, ChangeEvent, Side};
use headwater::lake::{Format, Lake, LakeLocation, LakeSettings, Problem};
use headwater::route::Progress::{Durable, Rewind, Unchanged};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result,
};
use tokio::net::TcpListener;

use super::bench::{Bench, append, insert, position, table};
use super::s3;

/// How a creation goes wrong.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// The disk is full: nothing is written.
    Full,
    /// The object is written, and the answer is lost.
    AnswerLost,
    /// Another writer of the same key is in flight, and fails.
    Conflict,
}

/// A store whose first creations go wrong.
#[derive(Debug)]
struct Faulty {
    inner: InMemory,
    fault: Fault,
    left: AtomicUsize,
}

impl Faulty {
    fn new(fault: Fault, times: usize) -> Arc<Self> {
        Arc::new(Self { inner: InMemory::new(), fault, left: AtomicUsize::new(times) })
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let strikes = options.mode == PutMode::Create
            && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        let failed = |kind| object_store::Error::Generic { store: "faulty", source: Box::new(std::io::Error::from(kind)) };
        match self.fault {
            _ if !strikes => self.inner.put_opts(location, payload, options).await,
            Fault::Full => Err(failed(std::io::ErrorKind::StorageFull)),
            Fault::AnswerLost => {
                self.inner.put_opts(location, payload, options).await?;
                Err(failed(std::io::ErrorKind::TimedOut))
            }
            Fault::Conflict => Err(object_store::Error::AlreadyExists { path: location.to_string(), source: "409".into() }),
        }
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

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_reported_and_the_run_lands_when_there_is_room() {
    let bench = Bench::on(Faulty::new(Fault::Full, 2), Format::Parquet);
    let mut writer = bench.writer(0).await;
    append(&mut *writer, [1, 2]).await;
    let error = writer.flush().await.unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert!(error.doing.starts_with("create memory:/"), "{error}");
    let refused = writer.append(position(3), &insert(3)).await.unwrap_err();
    assert!(refused.to_string().contains("the disk is full"), "a change behind a run that cannot land is not taken: {refused}");
    assert_eq!(writer.poll().await.unwrap(), Unchanged, "not at once again");
    writer.due().await;
    assert_eq!(writer.poll().await.unwrap(), Durable(position(2)));
    append(&mut *writer, [3]).await;
    writer.flush().await.unwrap();
    assert_eq!(bench.landed().await, [1, 2, 3]);
}

#[tokio::test]
async fn a_lost_answer_doubles_nothing() {
    for format in [Format::Parquet, Format::Ndjson] {
        let bench = Bench::on(Faulty::new(Fault::AnswerLost, 1), format);
        let mut writer = bench.writer(0).await;
        append(&mut *writer, [1, 2]).await;
        // The second attempt meets the object of the first one.
        assert_eq!(writer.flush().await.unwrap(), Rewind(position(2)));
        append(&mut *writer, [3]).await;
        assert_eq!(writer.flush().await.unwrap(), Durable(position(3)));
        assert_eq!(bench.landed().await, [1, 2, 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_with_a_write_that_fails_is_tried_again() {
    let bench = Bench::on(Faulty::new(Fault::Conflict, 2), Format::Parquet);
    let mut writer = bench.writer(0).await;
    append(&mut *writer, [1]).await;
    assert_eq!(writer.flush().await.unwrap(), Durable(position(1)));

    let bench = Bench::on(Faulty::new(Fault::Conflict, 100), Format::Parquet);
    let mut writer = bench.writer(0).await;
    append(&mut *writer, [1]).await;
    assert!(writer.flush().await.is_err(), "but not for ever");
}

#[tokio::test]
async fn a_change_that_does_not_fit_the_schema_breaks_the_writer_and_lands_nothing() {
    let bench = Bench::memory(Format::Parquet);
    let mut writer = bench.writer(0).await;
    append(&mut *writer, [1]).await;
    let wrong = ChangeEvent { new: Some(Side { cells: vec![Cell::Text("x".into())], extra: None, misfits: 0 }), ..insert(2) };
    let error = writer.append(position(2), &wrong).await.unwrap_err();
    assert!(error.to_string().contains("'price'"), "{error}");
    assert!(writer.append(position(3), &insert(3)).await.is_err(), "going on would leave changes out");
    assert!(writer.flush().await.is_err());
    assert!(bench.objects().await.is_empty());
}

#[tokio::test]
async fn a_decimal_wider_than_its_column_is_refused_and_not_cut() {
    let bench = Bench::memory(Format::Parquet);
    let mut writer = bench.writer(0).await;
    let wide = Side { cells: vec![Cell::Decimal(10_i128.pow(38))], extra: None, misfits: 0 };
    assert!(writer.append(position(1), &ChangeEvent { new: Some(wide), ..insert(1) }).await.is_err());
}

#[tokio::test]
async fn changes_that_belong_to_no_hour_are_refused() {
    let bench = Bench::memory(Format::Parquet);
    let mut writer = bench.writer(0).await;
    assert!(writer.append(position(1), &ChangeEvent { time: -1, ..insert(1) }).await.is_err());
    append(&mut *writer, [1]).await;
    assert_eq!(writer.flush().await.unwrap(), Durable(position(1)), "the writer is none the worse");
}

#[tokio::test]
async fn a_foreign_object_in_the_way_is_named() {
    use object_store::ObjectStoreExt;

    for format in [Format::Parquet, Format::Ndjson] {
        let bench = Bench::memory(format);
        let name = format!("lake/orders/changes/dt=2026-11-21/hr=03/{}-{:040}.{}", super::bench::shard(), 0, format.extension());
        bench.store.store.put(&Path::parse(&name).unwrap(), PutPayload::from_static(b"not ours")).await.unwrap();
        let error = bench.writer(0).await.append(position(1), &insert(1)).await.unwrap_err();
        assert!(error.to_string().contains("not one of headwater's") && error.doing.contains(&name), "{error}");
    }
}

fn s3_settings(bench: &Bench, location: &str) -> LakeSettings {
    LakeSettings { location: location.parse().unwrap(), ..bench.settings() }
}

#[tokio::test]
async fn a_lake_that_cannot_be_used_fails_at_the_start() {
    let bench = Bench::memory(Format::Parquet);
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("bucket")).unwrap();
    let address = s3::serve(folder.path()).await;

    for (status, code, problem) in [
        (404, "NoSuchBucket", Problem::NoBucket),
        (403, "AccessDenied", Problem::Denied),
        (403, "InvalidAccessKeyId", Problem::Credentials),
        (301, "PermanentRedirect", Problem::WrongRegion),
    ] {
        let refusing = s3::settings(s3::refuse(status, code).await);
        let refused = Lake::open(&s3_settings(&bench, "s3://bucket/lake"), table(), Some(&refusing)).await.unwrap_err();
        assert_eq!(refused.problem, problem, "{refused:?}");
        assert!(refused.doing.starts_with("write s3://bucket/lake/orders/schema.json"), "{refused}");
    }

    let stranger = s3::settings_with(address, "wrong");
    let refused = Lake::open(&s3_settings(&bench, "s3://bucket/lake"), table(), Some(&stranger)).await.unwrap_err();
    assert_eq!(refused.problem, Problem::Credentials, "{refused:?}");

    let file = folder.path().join("a-file");
    std::fs::write(&file, "x").unwrap();
    let settings = LakeSettings { location: LakeLocation::Folder(file), ..bench.settings() };
    let blocked = Lake::open(&settings, table(), None).await.unwrap_err();
    assert_eq!(blocked.problem, Problem::NotAFolder, "{blocked:?}");

    let settings =
        LakeSettings { location: LakeLocation::Folder(folder.path().join("lake")), kms_key: Some("alias/lake".into()), ..bench.settings() };
    assert!(matches!(Lake::open(&settings, table(), None).await.unwrap_err().problem, Problem::Settings(_)));
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_reported_in_time() {
    let bench = Bench::memory(Format::Parquet);
    // A port that nobody listens on: it was free a moment ago.
    let address = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let settings = s3_settings(&bench, "s3://bucket/lake");
    let start = std::time::Instant::now();
    let error = Lake::open(&settings, table(), Some(&s3::settings(address))).await.unwrap_err();
    assert_eq!(error.problem, Problem::Unreachable, "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(30));
}
