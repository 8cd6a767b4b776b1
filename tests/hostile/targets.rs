//! What is done with input that anybody may have written, and what holds however hostile it is: a function for each place where such input comes in.
//!
//! One source for two readers: the fuzz programs of `tests/fuzz`, which look for input that breaks a promise, and the tests beside this file, which
//! run everything that was found, and the corpus, on every change. A function returns when all promises hold and panics otherwise.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use headwater::aws::{AwsError, Failure};
use headwater::config::{self, OnGap, Start, StreamSettings};
use headwater::consumer::page::{Page, Record};
use headwater::contract::{Column, ColumnType, Contract, TableSchema, TimestampFormat};
use headwater::event::decode::{Decoded, parse_page, parse_record};
use headwater::event::encode::{Decimals, write_marker, write_ndjson};
use headwater::event::flatten::Flattener;
use headwater::event::parse::{Parsed, parse_line};
use headwater::event::restore::{canonical_item, restore};
use headwater::event::{AttributeType, Cell, ChangeEvent, Item, ShardId, Side, StreamRecord};
use headwater::lake::{Format, Lake, LakeLocation, LakeSettings, LakeStore, Layout, arrow_schema};
use headwater::route::aggregate::{Aggregate, Unpacked, unpack};
use headwater::snapshot::export::Export;
use headwater::snapshot::source::{Row, RowSource as _};
use headwater::stream::{DescribePage, IteratorStart, StreamApi, StreamArn, StreamInfo};
use md5::{Digest, Md5};
use object_store::memory::InMemory;
use object_store::path::Path as Location;
use object_store::{ObjectStoreExt as _, PutPayload};

/// What the values of the corpus bear (see the simulator's `runner::marks`). What is said of a record that makes no sense is logged, and no log holds
/// a value.
const MARK: &str = "payload-7f3a";
/// No message about a record is longer.
const LONGEST_REASON: usize = 1 << 10;
/// Where what aggregated records begin with, and the digest that they end with, come from.
const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];

/// A page of DynamoDB Streams' GetRecords. Each of its records is poison, or comes back from its own JSON, from its event and from its event's line
/// exactly.
pub(crate) fn get_records(data: &[u8]) {
    let Ok(page) = parse_page(data) else { return };
    for record in &page.records {
        match record {
            Decoded::Record(record) => {
                let json = record.to_json();
                assert_eq!(parse_record(&json), Decoded::Record(record.clone()), "a record is quarantined as it was");
                for schema in [orders(false), orders(true), keys_of(record)] {
                    travel(record, &schema);
                }
            }
            Decoded::Poison(poison) => {
                assert!(find(data, poison.raw.as_bytes()), "poison is kept as it came");
                check_reason(&poison.reason);
            }
        }
    }
}

/// A line, as it comes from Kinesis or from a claim. What is taken for a change is one: it is written and read again as it is.
pub(crate) fn line(data: &[u8]) {
    for schema in [orders(false), orders(true), TableSchema::keys_only("orders", vec![("id".to_owned(), AttributeType::S)])] {
        match parse_line(data, &schema) {
            Ok(Parsed::Change(event)) => {
                same_from_its_lines(&event, &schema);
                // What anybody may have written into a column of JSON need not make sense, and must not end the process.
                let _ = restore(&event, &schema);
            }
            Ok(Parsed::Pointer(pointer)) => {
                let parts = || pointer.location.split('/');
                assert!(parts().all(|part| !matches!(part, "" | "." | "..")), "{} leads out of the lake", pointer.location);
            }
            Ok(Parsed::Marker(end)) => {
                let mut line = Vec::new();
                write_marker(&end, &schema, &mut line);
                assert_eq!(parse_line(&line, &schema).unwrap(), Parsed::Marker(end));
            }
            Err(error) => assert!(error.to_string().len() <= LONGEST_REASON, "{error}"),
        }
    }
}

/// A contract. It is refused with the place of each fault, or gives tables whose columns are all told apart.
pub(crate) fn contract(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let contract = match Contract::parse(text, "contract.yaml") {
        Ok(contract) => contract,
        Err(errors) => {
            let lines = text.matches(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() + 2;
            assert!(!errors.errors().is_empty());
            assert!(errors.errors().iter().all(|error| (1..=lines as u64).contains(&error.at.line)), "{errors}");
            // Each fault may quote the value that is wrong, and a word on what is expected.
            assert!(errors.to_string().len() <= 4096 * (lines + errors.errors().len()) + 64 * data.len(), "{}", errors.errors().len());
            return;
        }
    };
    for table in contract.tables() {
        let Ok(schema) = contract.table_schema(table.table(), None) else { continue };
        let columns: Vec<String> = arrow_schema(&schema).fields().iter().map(|field| field.name().clone()).collect();
        let apart: HashSet<&String> = columns.iter().collect();
        assert_eq!(apart.len(), columns.len(), "columns of one name: {columns:?}");
        let is_plain = |name: &String| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        assert!(columns.iter().all(is_plain), "columns that no catalog takes: {columns:?}");
        let json = serde_json::to_vec(&schema).unwrap();
        assert_eq!(serde_json::from_slice::<TableSchema>(&json).unwrap(), schema, "a lake describes itself");
        let _ = Flattener::new(&schema);
    }
}

/// The data of a Kinesis record. User records are parts of it, and packed again they are the same.
pub(crate) fn aggregated(data: &[u8]) {
    // No fuzzer finds a digest.
    let sealed = [&MAGIC[..], data, &Md5::digest(data)[..]].concat();
    for record in [data, &sealed] {
        let Unpacked::Aggregated(users) = unpack(record) else { continue };
        let bytes: usize = users.iter().map(|user| user.data.len()).sum();
        assert!(bytes <= record.len(), "{bytes} bytes come out of {}", record.len());
        if users.iter().all(|user| user.explicit_hash_key.is_none()) && !users.is_empty() {
            same_packed_again(&users.iter().map(|user| (user.partition_key, user.data)).collect::<Vec<_>>());
        }
    }
    let parts = data.split(|byte| *byte == 0).map(|part| (MARK, part));
    same_packed_again(&parts.collect::<Vec<_>>());
}

/// An export: its two manifests and a data file behind each other, with a line `---` between them. The file lies compressed where most keys
/// lead; `@MD5@` in the manifest stands for its digest.
pub(crate) fn export(data: &[u8]) {
    const SEPARATOR: &[u8] = b"\n---\n";
    let Some((summary, rest)) = split(data, SEPARATOR) else { return };
    let Some((files, rows)) = split(rest, SEPARATOR) else { return };
    let file = if rows.starts_with(&[0x1F, 0x8B]) { rows.to_vec() } else { gzip(rows) };
    let files = String::from_utf8_lossy(files).replace("@MD5@", &digest(&file));
    wait(async {
        let store = LakeStore {
            store: Arc::new(InMemory::new()),
            prefix: Location::from("exports/AWSDynamoDB/01"),
            address: "memory:".to_owned(),
            ordered: true,
        };
        let name = |name: &str| store.prefix.clone().join(name);
        let objects = [
            (name("manifest-summary.json"), summary.to_vec()),
            (name("manifest-summary.md5"), digest(summary).into_bytes()),
            (name("manifest-files.json"), files.clone().into_bytes()),
            (name("manifest-files.md5"), digest(files.as_bytes()).into_bytes()),
            (Location::from("exports/AWSDynamoDB/01/data/0.json.gz"), file.clone()),
            (Location::from("exports/AWSDynamoDB/data/0.json.gz"), file.clone()),
        ];
        for (location, bytes) in objects {
            store.store.put(&location, PutPayload::from(bytes)).await.unwrap();
        }
        let schema = Arc::new(orders(false));
        let export = match Export::on(store, schema).await {
            Ok(export) => export,
            Err(error) => return assert!(error.to_string().len() <= 4 * data.len() + LONGEST_REASON, "{error}"),
        };
        let _ = (export.whole(), export.start(), export.table_id());
        let mut rows = 0;
        for segment in 0..export.segments().min(4) {
            match read_segment(&export, segment).await {
                Some(read) => rows += read,
                None => return,
            }
        }
        if export.segments() <= 4 {
            assert_eq!(rows, export.items(), "an export that is read to its end gives the rows that its manifest says");
        }
    });
}

/// How many rows a segment has; none if it turns out to be damaged.
async fn read_segment(export: &Export, segment: u32) -> Option<u64> {
    let (mut rows, mut after) = (0, None);
    loop {
        let page = export.page(segment, after.as_ref(), Some(3)).await.ok()?;
        let read = page.rows().ok()?;
        rows += read.len() as u64;
        for row in read {
            if let Row::Poison { reason, .. } = row {
                check_reason(&reason);
            }
        }
        match page.next() {
            Some(next) => after = Some(next),
            None => return Some(rows),
        }
    }
}

/// A configuration. What is accepted is within its bounds.
pub(crate) fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let settings = match config::parse(text, Path::new("/etc/headwater")) {
        Ok(settings) => settings,
        Err(error) => return assert!(!error.is_empty() && error.len() <= 8 * data.len() + 4096, "{error}"),
    };
    assert!((3..=255).contains(&settings.table.name.len()));
    assert!(settings.lease.failover >= Duration::from_secs(1));
    assert!(settings.memory_budget >= 8 << 20);
    assert!(settings.lake.max_size > 0 && !settings.lake.max_age.is_zero() && !settings.stream.idle_poll.is_zero());
    let prefix = match &settings.lake.location {
        LakeLocation::Folder(_) => Location::default(),
        LakeLocation::S3 { prefix, .. } => Location::parse(prefix).unwrap(),
    };
    let root = Layout::new(&prefix, &settings.table.name);
    assert!(root.root().prefix_matches(&prefix) && root.root().parts_count() == prefix.parts_count() + 1, "{}", root.root());
}

/// A page of Kinesis' GetRecords, as the deliver stage takes it. What is taken for a change is one, what is none is kept.
pub(crate) fn kinesis_page(data: &[u8]) {
    let schema = Arc::new(orders(true));
    wait(async {
        let lake = Arc::new(lake(&schema).await);
        let settings = StreamSettings { start: Start::TrimHorizon, on_gap: OnGap::Continue, idle_poll: Duration::from_secs(1) };
        let source = headwater::deliver::source(Arc::new(NoStream), Arc::clone(&schema), lake, settings);
        let shard = ShardId::new("123456789012:orders-changes:1795230000:shardId-000000000000");
        match source.decode.page(&shard, data).await {
            Err(error) => check_reason(&error.to_string()),
            Ok(Page { records, .. }) => {
                for record in records {
                    delivered(record, &schema).await;
                }
            }
        }
    });
}

async fn delivered(record: Record<'_>, schema: &TableSchema) {
    let record = match record {
        // A lake without claims answers at once.
        Record::Elsewhere { fetch, .. } => fetch.await.unwrap(),
        here => here,
    };
    match record {
        Record::Change { event, .. } => same_from_its_lines(&event, schema),
        Record::Poison { reason, .. } => assert!(reason.len() <= LONGEST_REASON, "{reason}"),
        Record::Elsewhere { .. } => panic!("a claim leads to another one"),
        Record::Marker { .. } | Record::Void { .. } => {}
    }
}

/// Nobody is asked for what is there already.
struct NoStream;

#[async_trait]
impl StreamApi for NoStream {
    async fn current(&self) -> Result<StreamInfo, AwsError> {
        Err(AwsError::of("DescribeStreamSummary", Failure::NotFound, "there is no stream"))
    }

    async fn describe(&self, _: &StreamArn, _: Option<&ShardId>) -> Result<DescribePage, AwsError> {
        Err(AwsError::of("ListShards", Failure::NotFound, "there is no stream"))
    }

    async fn iterator(&self, _: &StreamArn, _: &ShardId, _: IteratorStart) -> Result<String, AwsError> {
        Err(AwsError::of("GetShardIterator", Failure::NotFound, "there is no stream"))
    }

    async fn records(&self, _: &str, _: Option<u32>) -> Result<Bytes, AwsError> {
        Err(AwsError::of("GetRecords", Failure::NotFound, "there is no stream"))
    }
}

/// A record as an event, as a line, as an event and as images again.
fn travel(record: &StreamRecord<'_>, schema: &TableSchema) {
    let event = match Flattener::new(schema).flatten(record, "shardId-1") {
        Ok(event) => event,
        Err(error) => return check_reason(&error.to_string()),
    };
    same_from_its_lines(&event, schema);
    let images = restore(&event, schema).unwrap();
    let canonical = |image: &Option<Item<'_>>| image.as_ref().map(canonical_item);
    assert_eq!(canonical_item(&images.keys), canonical_item(&record.keys));
    assert_eq!(canonical(&images.new), canonical(&record.new_image));
    assert_eq!(canonical(&images.old), canonical(&record.old_image));
}

fn same_from_its_lines(event: &ChangeEvent<'_>, schema: &TableSchema) {
    for decimals in [Decimals::Number, Decimals::String] {
        let mut line = Vec::new();
        write_ndjson(event, schema, decimals, &mut line);
        assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1), "a line is one line");
        match parse_line(&line, schema) {
            Ok(Parsed::Change(read)) => assert_eq!(read, told(event.clone())),
            other => panic!("{other:?} of {}", String::from_utf8_lossy(&line)),
        }
    }
}

/// What a line can tell of an event: not how many misfits there were, and not an old image of which it holds nothing.
fn told(mut event: ChangeEvent<'_>) -> ChangeEvent<'_> {
    event.new.iter_mut().chain(&mut event.old).for_each(|side| side.misfits = 0);
    let is_empty = |side: &Side<'_>| side.extra.is_none() && side.cells.iter().all(|cell| *cell == Cell::Null);
    event.old = event.old.filter(|side| !is_empty(side));
    event
}

fn same_packed_again(users: &[(&str, &[u8])]) {
    let mut aggregate = Aggregate::default();
    for (key, data) in users {
        aggregate.push(key, data);
    }
    let (size, packed) = (aggregate.size(), aggregate.finish());
    assert_eq!(size, packed.len(), "the size is known before");
    let Unpacked::Aggregated(read) = unpack(&packed) else { panic!("what is packed is not unpacked") };
    assert_eq!(read.iter().map(|user| (user.partition_key, user.data)).collect::<Vec<_>>(), users);
}

/// What is wrong with a record is said shortly, and without what stands in it.
fn check_reason(reason: &str) {
    assert!(reason.len() <= LONGEST_REASON, "{} bytes: {reason}", reason.len());
    assert!(!reason.contains(MARK), "{reason}");
}

/// The simulator's table, with a column of each kind.
fn orders(sorted: bool) -> TableSchema {
    let mut keys = vec![("id".to_owned(), AttributeType::S)];
    keys.extend(sorted.then(|| ("line".to_owned(), AttributeType::N)));
    let json = ColumnType::Json;
    let columns = [
        (&["product_name"][..], AttributeType::S, ColumnType::Text),
        (&["quantity"], AttributeType::N, ColumnType::Decimal { precision: 38, scale: 9 }),
        (&["blob"], AttributeType::B, ColumnType::Text),
        (&["tags"], AttributeType::Ss, json),
        (&["sizes"], AttributeType::Ns, json),
        (&["parts"], AttributeType::Bs, json),
        (&["address", "city"], AttributeType::S, ColumnType::Text),
        (&["address", "zip"], AttributeType::N, ColumnType::Text),
        (&["lines"], AttributeType::L, json),
        (&["details"], AttributeType::M, json),
        (&["paid"], AttributeType::Bool, ColumnType::Boolean),
        (&["expires"], AttributeType::N, ColumnType::BigInt),
        (&["placed_at"], AttributeType::S, ColumnType::Timestamp { format: TimestampFormat::Micros }),
    ];
    let column = |(path, source, kind): (&[&str], AttributeType, ColumnType)| Column {
        name: path.join("_"),
        path: path.iter().map(|name| (*name).to_owned()).collect(),
        source,
        kind,
        classification: None,
    };
    TableSchema { columns: columns.map(column).into(), ..TableSchema::keys_only("orders", keys) }
}

/// The schema of the table that a record says it is of, without a contract.
fn keys_of(record: &StreamRecord<'_>) -> TableSchema {
    // No table has more.
    let keys = record.keys.iter().take(2).map(|(name, value)| (name.to_owned(), value.attribute_type()));
    TableSchema::keys_only("orders", keys.collect())
}

/// A lake in memory.
async fn lake(schema: &Arc<TableSchema>) -> Lake {
    let settings = LakeSettings {
        location: LakeLocation::Folder("unused".into()),
        format: Format::Ndjson,
        max_size: 1 << 20,
        max_age: Duration::from_mins(1),
        decimals: Decimals::Number,
        kms_key: None,
    };
    let store = LakeStore { store: Arc::new(InMemory::new()), prefix: Location::default(), address: "memory:".to_owned(), ordered: true };
    Lake::on(store, settings, Arc::clone(schema)).await.unwrap()
}

/// Runs what does not wait for anything outside of this process.
fn wait<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(work)
}

fn split<'d>(data: &'d [u8], separator: &[u8]) -> Option<(&'d [u8], &'d [u8])> {
    let at = data.windows(separator.len()).position(|window| window == separator)?;
    Some((&data[..at], &data[at + separator.len()..]))
}

fn find(data: &[u8], part: &[u8]) -> bool {
    part.is_empty() || data.windows(part.len()).any(|window| window == part)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// As manifests spell it.
fn digest(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes))
}
