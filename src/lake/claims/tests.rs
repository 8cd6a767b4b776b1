use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutResult,
    Result,
};

use super::*;
use crate::contract::TableSchema;
use crate::event::encode::Decimals;
use crate::event::{AttributeType, Operation};
use crate::lake::{Format, LakeLocation, LakeSettings, LakeStore};

const LOCATION: &str = "claims/dt=2026-11-21/shardId-00000001795230000000-abc-0000000000000000000000000000000000000017.json";

/// A store that times out some times: before or after doing what it is asked for. Only claims are met by it.
#[derive(Debug)]
struct Faulty {
    inner: InMemory,
    written: bool,
    left: AtomicUsize,
    calls: AtomicUsize,
}

impl Faulty {
    fn new(written: bool, times: usize) -> Arc<Self> {
        Arc::new(Self { inner: InMemory::new(), written, left: AtomicUsize::new(times), calls: AtomicUsize::new(0) })
    }

    fn strike(&self, location: &Path) -> Result<()> {
        if !location.as_ref().contains("/claims/") {
            return Ok(());
        }
        self.calls.fetch_add(1, Ordering::SeqCst);
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => {
                Err(object_store::Error::Generic { store: "faulty", source: Box::new(std::io::Error::from(std::io::ErrorKind::TimedOut)) })
            }
            Err(_) => Ok(()),
        }
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
        if !self.written {
            self.strike(location)?;
        }
        let done = self.inner.put_opts(location, payload, options).await?;
        if self.written {
            self.strike(location)?;
        }
        Ok(done)
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.strike(location)?;
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

async fn lake(store: LakeStore) -> Lake {
    let settings = LakeSettings {
        location: LakeLocation::Folder("unused".into()),
        format: Format::Parquet,
        max_size: u64::MAX,
        max_age: Duration::from_mins(1),
        decimals: Decimals::Number,
        kms_key: None,
    };
    let schema = TableSchema::keys_only("orders", vec![("orderId".into(), AttributeType::S)]);
    Lake::on(store, settings, Arc::new(schema)).await.unwrap()
}

async fn lake_on(store: Arc<dyn ObjectStore>) -> Lake {
    lake(LakeStore { store, prefix: Path::from("raw"), address: "memory:/".to_owned(), ordered: true }).await
}

fn event() -> ChangeEvent<'static> {
    ChangeEvent {
        event_id: "event-17".into(),
        operation: Operation::Remove,
        sequence: "17".parse().unwrap(),
        time: 1_795_230_000,
        shard: "shardId-00000001795230000000-abc".into(),
        snapshot_id: None,
        ttl_delete: false,
        changed: Vec::new(),
        keys: vec!["order-17".into()],
        new: None,
        old: None,
    }
}

#[tokio::test]
async fn a_claim_is_named_after_its_change_and_read_back_by_its_location() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(LakeStore::connect(&LakeLocation::Folder(folder.path().into()), None, None).unwrap()).await;
    // Twice, as after a restart.
    for _ in 0..2 {
        assert_eq!(lake.store_claim(&event(), b"{\"a\":1}\n").await.unwrap(), LOCATION);
    }
    assert_eq!(lake.read_claim(LOCATION).await.unwrap().as_ref(), b"{\"a\":1}\n");
    assert_eq!(std::fs::read(folder.path().join("orders").join(LOCATION)).unwrap(), b"{\"a\":1}\n");
    assert_eq!(lake.counters().read().claims, 2);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_falters_is_asked_again() {
    for written in [false, true] {
        let store = Faulty::new(written, 3);
        let lake = lake_on(Arc::clone(&store) as _).await;
        assert_eq!(lake.store_claim(&event(), b"whole").await.unwrap(), LOCATION);
        assert_eq!(store.calls.load(Ordering::SeqCst), 4);
        assert_eq!(lake.counters().read().claims, 1);
        store.left.store(2, Ordering::SeqCst);
        assert_eq!(lake.read_claim(LOCATION).await.unwrap().as_ref(), b"whole");
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_claim_is_told_from_a_store_that_does_not_answer() {
    let store = Faulty::new(false, 0);
    let lake = lake_on(Arc::clone(&store) as _).await;
    let missing = lake.read_claim(LOCATION).await.unwrap_err();
    assert_eq!(missing.problem, Problem::Missing, "{missing}");
    assert_eq!(store.calls.load(Ordering::SeqCst), 1, "what is missing is not asked for again");
    store.left.store(usize::MAX, Ordering::SeqCst);
    let begun = tokio::time::Instant::now();
    let silent = lake.read_claim(LOCATION).await.unwrap_err();
    assert_eq!(silent.problem, Problem::Unreachable, "{silent}");
    assert!(silent.doing.ends_with(LOCATION), "{silent}");
    assert!(lake.store_claim(&event(), b"whole").await.is_err());
    assert!(begun.elapsed() <= 2 * RetryPolicy::COMMIT.give_up_after);
    assert_eq!(lake.counters().read().claims, 0, "what was not stored does not count");
}

#[tokio::test]
async fn a_pointer_out_of_the_claims_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(LakeStore::connect(&LakeLocation::Folder(folder.path().into()), None, None).unwrap()).await;
    lake.store_claim(&event(), b"whole").await.unwrap();
    for location in [
        "",
        "/",
        "claims",
        "claims/",
        "schema.json",
        "quarantine/dt=2026-11-21/s-1.json",
        "claims-old/x.json",
        "claims/../schema.json",
        "claims/./x.json",
        "claims//x.json",
        "../orders/claims/x.json",
        "../../etc/passwd",
        "/etc/passwd",
        "s3://bucket/orders/claims/x.json",
        &format!("/{LOCATION}"),
        &format!("{LOCATION}/"),
        "claims/%2E%2E/schema.json",
        "claims/dt=2026-11-21/..",
        "claims/dt=2026-11-21/.json",
        "claims/dt=2026-11-21/s-1.json/x.json",
        "claims/dt=2026-11-31/s-1.json",
        "claims/dt=2026-11-21/s\\-1.json",
        "claims/dt=2026-11-21/s-\0.json",
        // A store that takes offence at a name whenever it is asked for it would keep the shard waiting for good.
        &format!("claims/dt=2026-11-21/s-{}.json", "1".repeat(300)),
    ] {
        let refused = lake.read_claim(location).await.unwrap_err();
        assert!(matches!(refused.problem, Problem::NotAClaim(_)), "{refused}");
        assert!(refused.to_string().len() < 300, "{refused}");
    }
    let encoded = lake.read_claim("claims/dt=2026-11-21/s-%2E%2E%2Fschema.json").await.unwrap_err();
    assert_eq!(encoded.problem, Problem::Missing, "percent signs are part of the name: {encoded}");
}

#[tokio::test]
async fn names_without_end_are_stored_under_their_digest() {
    let lake = lake_on(Arc::new(InMemory::new())).await;
    let row = |id: String, shard: String| ChangeEvent {
        event_id: id.into(),
        operation: Operation::Snapshot,
        shard: shard.into(),
        snapshot_id: Some("s".into()),
        ..event()
    };
    let mut locations = Vec::new();
    for (id, shard) in [("/".repeat(999), "s".repeat(999)), ("/".repeat(998), "s".repeat(999)), ("/".repeat(999), "s".repeat(998))] {
        locations.push(lake.store_claim(&row(id.clone(), shard.clone()), id.as_bytes()).await.unwrap());
        assert_eq!(lake.read_claim(locations.last().unwrap()).await.unwrap().as_ref(), id.as_bytes());
    }
    locations.dedup();
    assert_eq!(locations.len(), 3);
    assert!(locations.iter().all(|location| location.len() < 200), "{locations:?}");
}

#[tokio::test]
async fn rows_of_a_snapshot_are_named_by_their_event_ids() {
    let lake = lake_on(Arc::new(InMemory::new())).await;
    let row = |id: &str| ChangeEvent {
        event_id: id.to_owned().into(),
        operation: Operation::Snapshot,
        sequence: crate::event::SequenceNumber::ZERO,
        shard: "snapshot-s-00000".into(),
        snapshot_id: Some("s".into()),
        ..event()
    };
    let first = lake.store_claim(&row("5d41402a"), b"first").await.unwrap();
    let second = lake.store_claim(&row("7d793037"), b"second").await.unwrap();
    assert_eq!(first, "claims/dt=2026-11-21/snapshot-s-00000-5d41402a.json");
    assert_eq!(lake.read_claim(&first).await.unwrap().as_ref(), b"first");
    assert_eq!(lake.read_claim(&second).await.unwrap().as_ref(), b"second");
}

#[tokio::test]
async fn a_change_of_an_impossible_time_is_refused() {
    let lake = lake_on(Arc::new(InMemory::new())).await;
    let wrong = ChangeEvent { time: -1, ..event() };
    assert!(matches!(lake.store_claim(&wrong, b"whole").await.unwrap_err().problem, Problem::Event(_)));
}
