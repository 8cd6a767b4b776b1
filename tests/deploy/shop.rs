//! A shop with months of orders, and the lake that comes of them: what the table holds and what the stream told is known without asking the lake.
//!
//! Orders are placed, go on, get another price, are deleted, expire, and come again under their old number. Changes get lost, and snapshots of the table and
//! of a part of it heal the state.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use flate2::write::GzEncoder;
use headwater::contract::{Contract, TableSchema};
use headwater::event::encode::{Decimals, SnapshotEnd, write_marker, write_ndjson, write_pointer};
use headwater::event::flatten::Flattener;
use headwater::event::{ChangeEvent, Item, Operation, Position, SequenceNumber, ShardId, StreamRecord, Value};
use headwater::lake::{ChangeKey, Format, HourPartition, Lake, LakeLocation, LakeSettings, Marker};
use jiff::Timestamp;

pub(super) const TABLE: &str = "sales_orders";
/// In every value that the contract classifies.
pub(super) const PERSONAL: &str = "Zofia-Personal";
/// 2026-07-30T09:00:00Z: months end on the way.
const BEGINNING: i64 = 1_785_402_000;
const HOUR: i64 = 3600;
const CATEGORIES: [Option<&str>; 4] = [Some("Books"), Some("Toys"), Some("Garden, \"big\""), None];

/// An order as the table holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) customer: String,
    pub(super) has_email: bool,
    pub(super) product: usize,
    /// None is a quantity that is no number.
    pub(super) quantity: Option<i64>,
    pub(super) cents: i64,
    pub(super) status: &'static str,
    /// Seconds since the epoch.
    pub(super) created: i64,
}

impl Order {
    pub(super) fn category(&self) -> Option<&'static str> {
        CATEGORIES[self.product % CATEGORIES.len()]
    }

    /// Cents; none where the quantity is no number.
    pub(super) fn amount(&self) -> Option<i128> {
        self.quantity.map(|quantity| i128::from(quantity) * i128::from(self.cents))
    }

    fn item(&self, id: &str) -> Item<'static> {
        let text = |name: &'static str, text: String| (Cow::Borrowed(name), Value::S(text.into()));
        let number = |name: &'static str, digits: String| (Cow::Borrowed(name), Value::N(digits.into()));
        let mut item = vec![
            text("order_id", id.to_owned()),
            text("customer_id", self.customer.clone()),
            text("product_id", format!("P-{}", self.product)),
            text("product_name", format!("Product {}", self.product)),
            number("price", format!("{}.{:02}", self.cents / 100, self.cents % 100)),
            text("order_status", self.status.to_owned()),
            text("region", "north".to_owned()),
            text("created_at", Timestamp::from_second(self.created).unwrap().to_string()),
            text("note", format!("for {PERSONAL}")),
            number("expires_at", (self.created + 400 * 24 * HOUR).to_string()),
        ];
        item.extend(self.category().map(|category| text("product_category", category.to_owned())));
        item.extend(self.has_email.then(|| text("customer_email", format!("{PERSONAL}@{}.example", self.customer))));
        item.push(match self.quantity {
            Some(quantity) => number("quantity", quantity.to_string()),
            None => text("quantity", "a dozen".to_owned()),
        });
        let address = ["street", "city", "postal_code", "country"].map(|field| (Cow::Borrowed(field), Value::S(PERSONAL.into())));
        item.push(("shipping_address".into(), Value::M(Item(address.to_vec()))));
        Item(item)
    }
}

/// A change of the stream.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) id: String,
    pub(super) old: Option<Order>,
    pub(super) new: Option<Order>,
    pub(super) ttl: bool,
    pub(super) time: i64,
    pub(super) number: u32,
    lost: bool,
}

impl Change {
    pub(super) fn operation(&self) -> Operation {
        match (&self.old, &self.new) {
            (None, _) => Operation::Insert,
            (Some(_), Some(_)) => Operation::Modify,
            (Some(_), None) => Operation::Remove,
        }
    }
}

/// A completed snapshot: the orders that it found, or that were not there.
struct Snapshot {
    marker: Marker,
    rows: Vec<(String, Option<Order>)>,
}

pub(super) struct Shop {
    rng: Rng,
    now: i64,
    placed: u32,
    /// What the table holds.
    pub(super) table: BTreeMap<String, Order>,
    changes: Vec<Change>,
    snapshots: Vec<Snapshot>,
}

impl Shop {
    /// Some hours of business in each of three months, with everything that may happen to a lake.
    pub(super) fn open(seed: u64) -> Self {
        Self::trading(seed, 12)
    }

    /// The same with this many hours of business in each of three parts, which are months when there are many.
    pub(super) fn trading(seed: u64, hours: u32) -> Self {
        let mut shop = Self {
            rng: Rng::with_seed(seed),
            now: BEGINNING,
            placed: 0,
            table: BTreeMap::new(),
            changes: Vec::new(),
            snapshots: Vec::new(),
        };
        shop.trade(hours);
        shop.lose();
        shop.now += HOUR;
        let all = shop.heard_of();
        shop.snapshot("s-whole", true, &all);
        shop.trade(hours);
        let lost = shop.lose();
        shop.now += HOUR;
        shop.snapshot("s-part", false, &lost);
        shop.trade(hours);
        shop
    }

    /// The changes that landed, in the order of the stream.
    pub(super) fn landed(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| !change.lost)
    }

    fn trade(&mut self, hours: u32) {
        for _ in 0..hours {
            for _ in 0..12 {
                self.now += self.rng.i64(1..200);
                self.step();
            }
            // Up to four days later: some days have no order.
            self.now += HOUR * self.rng.i64(1..96);
        }
    }

    fn step(&mut self) {
        let known: Vec<String> = self.table.keys().cloned().collect();
        let Some(id) = self.rng.choice(&known).filter(|_| self.rng.u8(..100) >= 45).cloned() else { return self.place() };
        let mut order = self.table[&id].clone();
        match self.rng.u8(..100) {
            0..60 => {
                order.status = match order.status {
                    "placed" if self.rng.u8(..10) < 2 => "cancelled",
                    "placed" => "paid",
                    "paid" => "shipped",
                    "shipped" => "delivered",
                    _ => "returned",
                };
                self.change(id, Some(order), false);
            }
            60..75 => {
                order.cents = self.rng.i64(1..30_000);
                self.change(id, Some(order), false);
            }
            _ => {
                let ttl = self.rng.bool();
                self.change(id, None, ttl);
            }
        }
    }

    fn place(&mut self) {
        self.placed += 1;
        // Now and then an order comes again under the number of one that is gone.
        let number = if self.rng.u8(..10) == 0 { self.rng.u32(1..=self.placed) } else { self.placed };
        let id = format!("o-{number}");
        if self.table.contains_key(&id) {
            return;
        }
        let product = self.rng.usize(..9);
        let order = Order {
            customer: format!("cust-{}", self.rng.u8(..15)),
            has_email: self.rng.bool(),
            product,
            quantity: (self.rng.u8(..20) > 0).then(|| self.rng.i64(1..4)),
            // Most orders of a product have the same price.
            cents: if self.rng.u8(..4) > 0 { 999 + 1_250 * i64::try_from(product).unwrap() } else { self.rng.i64(1..30_000) },
            status: "placed",
            created: self.now,
        };
        self.change(id, Some(order), false);
    }

    fn change(&mut self, id: String, new: Option<Order>, ttl: bool) {
        let old = match &new {
            Some(order) => self.table.insert(id.clone(), order.clone()),
            None => self.table.remove(&id),
        };
        let number = u32::try_from(self.changes.len()).unwrap() + 1;
        self.changes.push(Change { id, old, new, ttl, time: self.now, number, lost: false });
    }

    /// The latest changes never reach the lake. Gives the orders that they were of.
    fn lose(&mut self) -> BTreeSet<String> {
        let from = self.changes.len() - 9;
        self.changes[from..].iter_mut().for_each(|change| change.lost = true);
        self.changes[from..].iter().map(|change| change.id.clone()).collect()
    }

    fn heard_of(&self) -> BTreeSet<String> {
        self.changes.iter().map(|change| change.id.clone()).collect()
    }

    /// A whole snapshot has the orders that are there; one of a list of keys says of the others that they are not.
    fn snapshot(&mut self, id: &str, whole: bool, keys: &BTreeSet<String>) {
        let rows: Vec<_> =
            keys.iter().map(|key| (key.clone(), self.table.get(key).cloned())).filter(|(_, order)| !whole || order.is_some()).collect();
        let [started_at, completed_at] = [self.now, self.now + 60].map(|seconds| Timestamp::from_second(seconds).unwrap());
        let marker = Marker { snapshot_id: id.into(), table: TABLE.into(), started_at, completed_at, rows: rows.len() as u64, whole };
        self.snapshots.push(Snapshot { marker, rows });
        self.now += 60;
    }

    /// Writes the lake as headwater does, its objects in these formats by turns, and snapshots in the first of them.
    pub(super) async fn write(&self, folder: &Path, formats: &[Format]) {
        let schema = Arc::new(schema());
        let settings = LakeSettings {
            location: LakeLocation::Folder(folder.to_owned()),
            format: Format::Parquet,
            max_size: u64::MAX,
            max_age: Duration::MAX,
            decimals: Decimals::Number,
            kms_key: None,
        };
        let lake = Lake::open(&settings, Arc::clone(&schema), None).await.unwrap();
        let landed: Vec<&Change> = self.landed().collect();
        for (hour, format) in landed.chunk_by(|a, b| a.time / HOUR == b.time / HOUR).zip(formats.iter().cycle()) {
            let events: Vec<_> = hour.iter().map(|change| record(change)).collect();
            let flattener = Flattener::new(&schema);
            let events: Vec<_> = events.iter().map(|record| flattener.flatten(record, "shard").unwrap()).collect();
            commit(&lake, "shard", *format, &events).await;
        }
        for snapshot in &self.snapshots {
            let events = snapshot_rows(snapshot, &schema);
            commit(&lake, &snapshot.marker.snapshot_id, formats[0], &events).await;
            lake.complete_snapshot(&snapshot.marker).await.unwrap();
        }
    }

    /// Writes the same as Firehose delivers it and headwater encodes it for Firehose: by arrival, some of it again, with pointers to claims, and with what
    /// announces the end of a snapshot. What is not rows is in the lake that was written before.
    pub(super) fn write_firehose(&self, folder: &Path) -> Delivered {
        let schema = schema();
        let flattener = Flattener::new(&schema);
        let records: Vec<_> = self.landed().map(record).collect();
        let mut arrivals: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
        let mut delivered = Delivered::default();
        for (record, number) in records.iter().zip(0_u32..) {
            let event = flattener.flatten(record, "shard").unwrap();
            Self::deliver(&event, number, folder, &mut arrivals, &mut delivered);
        }
        for snapshot in &self.snapshots {
            for (event, number) in snapshot_rows(snapshot, &schema).iter().zip(0_u32..) {
                Self::deliver(event, number, folder, &mut arrivals, &mut delivered);
            }
            let marker = &snapshot.marker;
            let (snapshot_id, time) = (marker.snapshot_id.clone(), marker.started_at.as_second());
            let end = SnapshotEnd { snapshot_id, time, shard: "shardId-0".into(), hash_range: (0, u128::MAX) };
            write_marker(&end, &schema, arrivals.entry(arrival(time)).or_default());
            delivered.markers += 1;
            delivered.rows += 1;
        }
        for (hour, lines) in arrivals {
            let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&lines).unwrap();
            put(folder, "firehose", hour * HOUR, "stream-1.gz", &gzip.finish().unwrap());
        }
        delivered
    }

    /// A row, or a pointer to it; every fifth row arrives again an hour later.
    fn deliver(event: &ChangeEvent<'_>, number: u32, folder: &Path, arrivals: &mut BTreeMap<i64, Vec<u8>>, delivered: &mut Delivered) {
        let schema = schema();
        let mut line = Vec::new();
        let is_claim = number % 7 == 3;
        if is_claim {
            let name = format!("claim-{}.json", event.event_id);
            write_ndjson(event, &schema, Decimals::Number, &mut line);
            put(folder, "claims", event.time, &name, &line);
            line.clear();
            write_pointer(event, &format!("claims/{name}"), &schema, &mut line);
            delivered.claims += 1;
        } else {
            write_ndjson(event, &schema, Decimals::Number, &mut line);
        }
        let again = number % 5 == 3;
        for hour in [arrival(event.time), arrival(event.time) + 1].into_iter().take(1 + usize::from(again)) {
            arrivals.entry(hour).or_default().extend(&line);
            delivered.rows += 1;
            delivered.pointers += u32::from(is_claim);
        }
        delivered.copies += u32::from(again);
    }
}

/// How many rows Firehose has delivered, and what they are.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    pub(super) rows: u32,
    pub(super) copies: u32,
    pub(super) pointers: u32,
    pub(super) claims: u32,
    pub(super) markers: u32,
}

/// The hour in which a row arrives, since the epoch: some minutes after its change.
fn arrival(time: i64) -> i64 {
    (time + 900) / HOUR
}

/// Writes a file below the table's folder, in the partition of a time.
fn put(lake: &Path, kind: &str, time: i64, name: &str, body: &[u8]) {
    let time = Timestamp::from_second(time).unwrap();
    let hour = if kind == "claims" { "" } else { "/hr=%H" };
    let partition = time.strftime(&format!("dt=%Y-%m-%d{hour}")).to_string();
    let folder = lake.join(TABLE).join(kind).join(partition);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), body).unwrap();
}

/// The contract's table.
pub(super) fn schema() -> TableSchema {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/sales_orders.odcs.yaml")).unwrap();
    Contract::parse(&text, "sales_orders.odcs.yaml").unwrap().table_schema(TABLE, None).unwrap()
}

async fn commit(lake: &Lake, shard: &str, format: Format, events: &[ChangeEvent<'_>]) {
    let partition = HourPartition::containing(events[0].time).unwrap();
    let after: Position = events[0].sequence.into();
    let mut run = lake.begin(ChangeKey { partition, shard: ShardId::new(shard.to_owned()), after, format }).unwrap();
    for event in events {
        run.append(event.sequence.into(), event).unwrap();
    }
    lake.commit(&run.close().unwrap()).await.unwrap();
}

fn record(change: &Change) -> StreamRecord<'static> {
    StreamRecord {
        event_id: format!("e-{}", change.number).into(),
        operation: change.operation(),
        sequence: sequence(change.number),
        created: change.time,
        keys: Item(vec![("order_id".into(), Value::S(change.id.clone().into()))]),
        new_image: change.new.as_ref().map(|order| order.item(&change.id)),
        old_image: change.old.as_ref().map(|order| order.item(&change.id)),
        ttl_delete: change.ttl,
    }
}

fn sequence(number: u32) -> SequenceNumber {
    // On the way the numbers get a digit more.
    (99_999_999_999_999_999_900_u128 + u128::from(number)).to_string().parse().unwrap()
}

fn snapshot_rows(snapshot: &Snapshot, schema: &TableSchema) -> Vec<ChangeEvent<'static>> {
    let flattener = Flattener::new(schema);
    let rows = snapshot.rows.iter().map(|(id, order)| ChangeEvent {
        event_id: format!("{}-{id}", snapshot.marker.snapshot_id).into(),
        operation: if order.is_some() { Operation::Snapshot } else { Operation::Remove },
        sequence: SequenceNumber::ZERO,
        time: snapshot.marker.started_at.as_second(),
        shard: "segment".into(),
        snapshot_id: Some(snapshot.marker.snapshot_id.clone().into()),
        ttl_delete: false,
        changed: Vec::new(),
        keys: vec![id.clone().into()],
        new: order.as_ref().map(|order| flattener.flatten_row(&order.item(id)).unwrap().1),
        old: None,
    });
    rows.collect()
}
