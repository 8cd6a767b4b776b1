//! What the lake's tests stand on: stores, a table, events, and a reader that shares no code with the writer.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, TimestampMillisecondType};
use flate2::read::GzDecoder;
use futures::TryStreamExt;
use headwater::contract::{Column, ColumnType, ContractId, TableSchema};
use headwater::event::encode::Decimals;
use headwater::event::{AttributeType, Cell, ChangeEvent, Operation, Position, SequenceNumber, ShardId, Side};
use headwater::lake::{Format, Lake, LakeLocation, LakeSettings, LakeStore};
use headwater::route::budget::MemoryBudget;
use headwater::route::lake::LakeRoute;
use headwater::route::{Progress, Route, ShardWriter};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::s3;

/// 2026-11-21T03:00:00Z.
pub(super) const THREE_O_CLOCK: i64 = 1_795_230_000;
pub(super) const HOUR: i64 = 3600;
/// A decimal of 38 digits: no float and no 64-bit integer holds it.
pub(super) const PRICE: i128 = 12_345_678_901_234_567_890_123_456_789_012_345_678;

/// A store, and what must live as long as it.
pub(super) struct Bench {
    pub(super) store: LakeStore,
    pub(super) format: Format,
    _folder: Option<tempfile::TempDir>,
}

/// One row as an independent reader finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) object: String,
    pub(super) sequence: u64,
    /// Milliseconds since the epoch in Parquet, text in NDJSON.
    pub(super) time: String,
    pub(super) key: String,
    pub(super) price: Option<String>,
    pub(super) old_price: Option<String>,
    pub(super) changed: Vec<String>,
}

impl Row {
    /// The number in its key.
    pub(super) fn number(&self) -> u64 {
        self.key.strip_prefix("order-").unwrap().parse().unwrap()
    }

    /// The hour whose folder it is in, as `dt=…/hr=…`.
    pub(super) fn hour(&self) -> &str {
        let (_, name) = self.object.split_once("/changes/").unwrap();
        name.rsplit_once('/').unwrap().0
    }
}

impl Bench {
    pub(super) fn local(format: Format) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = LakeLocation::Folder(folder.path().join("not/there/yet"));
        Self { store: LakeStore::connect(&location, None, None).unwrap(), format, _folder: Some(folder) }
    }

    pub(super) fn memory(format: Format) -> Self {
        Self::on(Arc::new(InMemory::new()), format)
    }

    pub(super) fn on(store: Arc<dyn ObjectStore>, format: Format) -> Self {
        let store = LakeStore { store, prefix: Path::from("lake"), address: "memory:/".to_owned(), ordered: true };
        Self { store, format, _folder: None }
    }

    pub(super) async fn s3(format: Format) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bucket")).unwrap();
        let aws = s3::settings(s3::serve(folder.path()).await);
        let store = LakeStore::connect(&"s3://bucket/raw/lake".parse().unwrap(), None, Some(&aws)).unwrap();
        Self { store, format, _folder: Some(folder) }
    }

    /// Settings under which nothing closes by itself.
    pub(super) fn settings(&self) -> LakeSettings {
        LakeSettings {
            location: LakeLocation::Folder("unused".into()),
            format: self.format,
            max_size: u64::MAX,
            max_age: Duration::from_hours(24),
            decimals: Decimals::Number,
            kms_key: None,
        }
    }

    pub(super) async fn lake(&self, settings: LakeSettings) -> Arc<Lake> {
        Arc::new(Lake::on(self.store.clone(), settings, table()).await.unwrap())
    }

    /// A writer of the one shard, as a process of its own would open it.
    pub(super) async fn writer(&self, after: u64) -> Box<dyn ShardWriter> {
        self.writer_with(self.settings(), after).await
    }

    pub(super) async fn writer_with(&self, settings: LakeSettings, after: u64) -> Box<dyn ShardWriter> {
        let route = LakeRoute::new(self.lake(settings).await, MemoryBudget::new(usize::MAX));
        route.open(&shard(), position(after)).await.unwrap()
    }

    /// Every object of changes, by name.
    pub(super) async fn objects(&self) -> Vec<String> {
        let all: Vec<_> = self.store.store.list(None).try_collect().await.unwrap();
        let mut names: Vec<_> = all.iter().map(|object| object.location.to_string()).filter(|name| name.contains("/changes/")).collect();
        names.sort();
        names
    }

    /// Every row of every object, read with nothing of the writer's.
    pub(super) async fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for object in self.objects().await {
            let bytes = self.store.store.get(&Path::parse(&object).unwrap()).await.unwrap().bytes().await.unwrap();
            if object.ends_with(".parquet") {
                for batch in ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap() {
                    rows.extend(parquet_rows(&object, &batch.unwrap()));
                }
            } else {
                let mut text = String::new();
                GzDecoder::new(bytes.as_ref()).read_to_string(&mut text).unwrap();
                rows.extend(text.lines().map(|line| json_row(&object, line)));
            }
        }
        rows
    }

    /// The numbers in the keys of all rows, sorted: those of changes and those of snapshots' rows.
    pub(super) async fn keys(&self) -> Vec<u64> {
        let mut keys: Vec<u64> = self.rows().await.iter().map(Row::number).collect();
        keys.sort_unstable();
        keys
    }

    pub(super) async fn landed(&self) -> Vec<u64> {
        self.rows().await.iter().map(|row| row.sequence).collect()
    }
}

fn parquet_rows(object: &str, batch: &RecordBatch) -> Vec<Row> {
    let text = |name: &str, row: usize| batch[name].as_string::<i32>().value(row).to_owned();
    let decimal = |name: &str, row: usize| {
        let column = batch[name].as_primitive::<Decimal128Type>();
        column.is_valid(row).then(|| column.value_as_string(row))
    };
    (0..batch.num_rows())
        .map(|row| Row {
            object: object.to_owned(),
            sequence: text("cdc_sequence", row).parse().unwrap(),
            time: batch["cdc_time"].as_primitive::<TimestampMillisecondType>().value(row).to_string(),
            key: text("order_id", row),
            price: decimal("price", row),
            old_price: decimal("old_price", row),
            changed: {
                let names = batch["cdc_changed"].as_list::<i32>().value(row);
                names.as_string::<i32>().iter().map(|name| name.unwrap().to_owned()).collect()
            },
        })
        .collect()
}

fn json_row(object: &str, line: &str) -> Row {
    // Number tokens as they stand: a parsed number would be rounded.
    let fields: std::collections::HashMap<&str, &serde_json::value::RawValue> = serde_json::from_str(line).unwrap();
    let text = |name: &str| serde_json::from_str::<String>(fields[name].get()).unwrap();
    Row {
        object: object.to_owned(),
        sequence: text("cdc_sequence").parse().unwrap(),
        time: text("cdc_time"),
        key: text("order_id"),
        price: fields.get("price").map(|token| token.get().to_owned()),
        old_price: fields.get("old_price").map(|token| token.get().to_owned()),
        changed: serde_json::from_str(fields["cdc_changed"].get()).unwrap(),
    }
}

pub(super) fn table() -> Arc<TableSchema> {
    let mut schema = TableSchema::keys_only("orders", vec![("orderId".into(), AttributeType::S)]);
    schema.contract = Some(ContractId { id: "orders-contract".into(), version: "1.2.0".into() });
    schema.columns.push(Column {
        name: "price".into(),
        path: vec!["price".into()],
        source: AttributeType::N,
        kind: ColumnType::Decimal { precision: 38, scale: 10 },
        classification: None,
    });
    Arc::new(schema)
}

pub(super) fn shard() -> ShardId {
    ShardId::new("shardId-00000001795230000000-abc")
}

pub(super) fn position(number: u64) -> Position {
    number.to_string().parse().unwrap()
}

/// An insert at three o'clock.
pub(super) fn insert(number: u64) -> ChangeEvent<'static> {
    insert_at(number, THREE_O_CLOCK)
}

pub(super) fn insert_at(number: u64, time: i64) -> ChangeEvent<'static> {
    ChangeEvent {
        event_id: format!("event-{number}").into(),
        operation: Operation::Insert,
        sequence: number.to_string().parse().unwrap(),
        time,
        shard: "shardId-00000001795230000000-abc".into(),
        snapshot_id: None,
        ttl_delete: false,
        changed: vec!["price".into()],
        keys: vec![format!("order-{number}").into()],
        new: Some(Side { cells: vec![Cell::Decimal(PRICE)], extra: None, misfits: 0 }),
        old: None,
    }
}

/// A row of a snapshot that started at `time`. Its number is in its event id and its key alone.
pub(super) fn snapshot_row(number: u64, time: i64) -> ChangeEvent<'static> {
    ChangeEvent {
        operation: Operation::Snapshot,
        sequence: SequenceNumber::ZERO,
        shard: "snapshot-s-00000".into(),
        snapshot_id: Some("s".into()),
        changed: Vec::new(),
        ..insert_at(number, time)
    }
}

/// Appends inserts at three o'clock, none of which closes anything.
pub(super) async fn append(writer: &mut dyn ShardWriter, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        assert_eq!(writer.append(position(number), &insert(number)).await.unwrap(), Progress::Unchanged, "{number}");
    }
}
