//! A day of changes of sales orders, as headwater writes it and as Firehose does, with all that makes rows differ: absent and null attributes, whole and
//! broken prices, small and large numbers, hours of nothing but removals, and a contract that grows at noon.

use std::borrow::Cow;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flate2::write::GzEncoder;
use headwater::contract::{Contract, TableSchema};
use headwater::event::encode::{Decimals, SnapshotEnd, write_marker, write_ndjson, write_pointer};
use headwater::event::flatten::Flattener;
use headwater::event::{ChangeEvent, Item, Operation, Position, ShardId, StreamRecord, Value};
use headwater::lake::{ChangeKey, Format, HourPartition, Lake, LakeLocation, LakeSettings};

/// The table.
pub(super) const TABLE: &str = "sales_orders";
/// 2026-11-21T00:00:00Z.
const MIDNIGHT: i64 = 1_795_219_200;
const SHARD: &str = "shardId-00000001795219200000-0a1b2c3d";

/// What the contract beside the code says of the table.
pub(super) fn sales_orders() -> TableSchema {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/sales_orders.odcs.yaml");
    let contract = Contract::parse(&fs::read_to_string(path).unwrap(), path).unwrap();
    contract.table_schema(TABLE, None).unwrap()
}

/// What an earlier version of it said: without the columns that came later.
fn earlier() -> TableSchema {
    let mut schema = sales_orders();
    schema.columns.retain(|column| !["region", "expires_at"].contains(&column.name.as_str()));
    schema
}

/// The contract of an hour.
fn schema_at(hour: i64) -> Arc<TableSchema> {
    Arc::new(if hour < 12 { earlier() } else { sales_orders() })
}

/// The hour's changes, in the order of the stream.
fn records(hour: i64) -> Vec<StreamRecord<'static>> {
    // At four nobody orders, but expired orders are deleted.
    let operations: &[Operation] = match hour {
        4 => &[Operation::Remove, Operation::Remove],
        _ => &[Operation::Insert, Operation::Modify, Operation::Insert, Operation::Remove],
    };
    (0_i64..).zip(operations).map(|(n, operation)| record(hour, n, *operation)).collect()
}

fn record(hour: i64, n: i64, operation: Operation) -> StreamRecord<'static> {
    let key = vec![("order_id".into(), Value::S(format!("ord-{hour:02}{n}").into()))];
    let (new, old) = match operation {
        Operation::Insert | Operation::Snapshot => (true, false),
        Operation::Modify => (true, true),
        Operation::Remove => (false, true),
    };
    StreamRecord {
        event_id: format!("event-{hour:02}{n}").into(),
        operation,
        sequence: format!("{:021}", 100 * hour + n + 1).parse().unwrap(),
        created: MIDNIGHT + 3600 * hour + 60 * n,
        keys: Item(key.clone()),
        new_image: new.then(|| item(&key, hour, n, "paid")),
        old_image: old.then(|| item(&key, hour, n, "placed")),
        ttl_delete: operation == Operation::Remove && hour == 4,
    }
}

/// An order. Which of its attributes are there depends on the hour.
fn item(key: &[(Cow<'static, str>, Value<'static>)], hour: i64, n: i64, status: &'static str) -> Item<'static> {
    let text = |name: &'static str, text: &'static str| (Cow::Borrowed(name), Value::S(text.into()));
    let number = |name: &'static str, digits: String| (Cow::Borrowed(name), Value::N(digits.into()));
    let mut attributes = key.to_vec();
    attributes.extend([
        text("customer_id", "cust-00017"),
        text("product_id", "p-1"),
        text("product_category", "books"),
        number("quantity", if hour == 7 { "3000000000".to_owned() } else { (1 + n).to_string() }),
        // Every third hour has prices without a fraction only.
        number("price", if hour % 3 == 0 { "20".to_owned() } else { format!("19.9{n}") }),
        text("order_status", status),
        text("created_at", "2026-11-21T03:00:00Z"),
        ("shipping_address".into(), Value::M(Item(vec![text("city", "Zürich"), text("country", "CH")]))),
        ("gift".into(), Value::Bool(true)),
    ]);
    match hour % 4 {
        0 => {}
        1 => attributes.push(("customer_email".into(), Value::Null)),
        _ => attributes.push(text("customer_email", "a@example.org")),
    }
    if hour >= 12 {
        attributes.extend([text("region", "EU"), number("expires_at", "1800000000".to_owned())]);
    }
    if hour % 5 == 0 {
        attributes.push(("items".into(), Value::L(vec![Value::M(Item(vec![text("sku", "s-1")]))])));
    }
    Item(attributes)
}

/// Writes the hours of the day into a lake, by the real writer.
pub(super) async fn write_lake(folder: &Path, format: Format, hours: std::ops::Range<i64>) {
    for hour in hours {
        let schema = schema_at(hour);
        let settings = LakeSettings {
            location: LakeLocation::Folder(folder.to_owned()),
            format,
            max_size: u64::MAX,
            max_age: Duration::MAX,
            decimals: Decimals::Number,
            kms_key: None,
        };
        let lake = Lake::open(&settings, Arc::clone(&schema), None).await.unwrap();
        let partition = HourPartition::containing(MIDNIGHT + 3600 * hour).unwrap();
        let mut run = lake.begin(ChangeKey { partition, shard: ShardId::new(SHARD), after: Position::ZERO, format }).unwrap();
        let flattener = Flattener::new(&schema);
        for record in &records(hour) {
            run.append(record.sequence.into(), &flattener.flatten(record, SHARD).unwrap()).unwrap();
        }
        lake.commit(&run.close().unwrap()).await.unwrap();
    }
}

/// Writes the hours of the day as Firehose would without conversion: gzip-compressed lines by the hour of arrival, among them a pointer to a change that was
/// too large and the mark of the end of a snapshot. The large change lies in the lake, whole.
pub(super) fn write_firehose(folder: &Path, hours: std::ops::Range<i64>) {
    for hour in hours {
        let schema = schema_at(hour);
        let flattener = Flattener::new(&schema);
        let mut lines = Vec::new();
        let records = records(hour);
        let events: Vec<ChangeEvent<'_>> = records.iter().map(|record| flattener.flatten(record, SHARD).unwrap()).collect();
        for event in &events {
            write_ndjson(event, &schema, Decimals::Number, &mut lines);
        }
        if hour == 9 {
            let location = "claims/dt=2026-11-21/shard-1.json";
            write_pointer(&events[0], location, &schema, &mut lines);
            let mut claim = Vec::new();
            write_ndjson(&ChangeEvent { event_id: "large".into(), ..events[0].clone() }, &schema, Decimals::Number, &mut claim);
            put(folder, location, &claim);
        }
        if hour == 10 {
            let (time, shard) = (MIDNIGHT, "shardId-000000000000".to_owned());
            write_marker(&SnapshotEnd { snapshot_id: "s-1".into(), time, shard, hash_range: (0, u128::MAX) }, &schema, &mut lines);
        }
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&lines).unwrap();
        put(folder, &format!("firehose/dt=2026-11-21/hr={hour:02}/orders-1-2026-11-21-{hour:02}-00-00.gz"), &gzip.finish().unwrap());
    }
}

/// Writes an object below the table's folder.
pub(super) fn put(folder: &Path, path: &str, body: &[u8]) {
    let file = folder.join(TABLE).join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, body).unwrap();
}
