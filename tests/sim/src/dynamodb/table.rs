//! One table: its items and what it tells of itself.

use std::collections::BTreeMap;

use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::key::{AttributeDefinition, ItemKey, KeyElement, KeySchema};
use super::past::Past;
use crate::call::ApiError;
use crate::item::{Item, size};
use crate::journal::{Change, Event, Journal};
use crate::streams::{NewRecord, Streams, ViewType};

/// What every table's ARN begins with.
const ARN: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/";

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) keys: KeySchema,
    pub(super) elements: Vec<KeyElement>,
    pub(super) definitions: Vec<AttributeDefinition>,
    /// When it was created, and from when on it can be used (milliseconds since the epoch).
    pub(super) created: i64,
    pub(super) active_from: i64,
    pub(super) capacity: Capacity,
    pub(super) protected: bool,
    /// The latest stream, if there ever was one.
    pub(super) stream: Option<TableStream>,
    /// The attribute that holds the time after which an item is deleted.
    pub(super) time_to_live: Option<String>,
    pub(super) items: BTreeMap<ItemKey, Stored>,
    /// The size of all items.
    pub(super) bytes: usize,
    /// What items were a moment ago.
    pub(super) past: Past,
}

/// How a table is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capacity {
    OnDemand,
    Provisioned { read: u64, write: u64 },
}

/// A table's latest stream.
#[derive(Debug)]
pub(super) struct TableStream {
    pub(super) arn: String,
    pub(super) view: ViewType,
    pub(super) enabled: bool,
}

/// An item and its size.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) item: Item,
    pub(super) size: usize,
}

/// Where a write's effects go.
#[derive(Debug)]
pub(super) struct Effects<'a> {
    pub(super) streams: &'a mut Streams,
    pub(super) journal: &'a Journal,
    pub(super) now: i64,
    /// Who writes; empty for what happens by itself.
    pub(super) worker: &'a str,
}

impl Table {
    /// The table's ARN.
    pub(super) fn arn(&self) -> String {
        format!("{ARN}{}", self.name)
    }

    /// What the table is doing.
    pub(super) fn status(&self, now: i64) -> &'static str {
        if now < self.active_from { "CREATING" } else { "ACTIVE" }
    }

    /// An item.
    pub(super) fn get(&self, key: &ItemKey) -> Option<&Item> {
        self.items.get(key).map(|stored| &stored.item)
    }

    /// Puts an item in its place, or removes the one that is there, and lets the stream and the journal know. Nothing changes, and nobody
    /// hears of it, if the item is there already.
    pub(super) fn write(&mut self, effects: &mut Effects<'_>, key: ItemKey, new: Option<Item>, by_ttl: bool) {
        if self.get(&key) == new.as_ref() {
            return;
        }
        let hash = key.hash;
        let old = match &new {
            Some(item) => {
                let stored = Stored { item: item.clone(), size: size::item(item) };
                self.bytes += stored.size;
                self.items.insert(key.clone(), stored)
            }
            None => self.items.remove(&key),
        };
        self.past.remember(effects.now, key, old.clone());
        self.bytes -= old.as_ref().map_or(0, |old| old.size);
        let old = old.map(|old| old.item);
        let key = new.as_ref().or(old.as_ref()).map(|item| self.keys.of(item)).unwrap_or_default();
        let event = match &self.stream {
            None => Event::Item { table: self.name.clone(), key, old, new },
            Some(stream) => {
                let record = NewRecord { key: &key, hash, old: old.as_ref(), new: new.as_ref(), by_ttl };
                let Effects { streams, journal, now, .. } = effects;
                let place = if stream.enabled { streams.append(&stream.arn, &record, *now, journal) } else { None };
                let operation = match (&old, &new) {
                    (None, _) => "INSERT",
                    (Some(_), Some(_)) => "MODIFY",
                    (Some(_), None) => "REMOVE",
                };
                Event::Change(Change { table: self.name.clone(), place, operation, key, old, new, by_ttl })
            }
        };
        effects.journal.record(effects.now, effects.worker, event);
    }

    /// Enables a stream. A table has one at a time.
    pub(super) fn enable_stream(&mut self, view: ViewType, partitions: usize, effects: &mut Effects<'_>) -> Result<(), ApiError> {
        if let Some(stream) = self.stream.as_ref().filter(|stream| stream.enabled) {
            return Err(ApiError::validation(format!(
                "Table already has an enabled stream: TableName: {}, StreamArn: {}",
                self.name, stream.arn
            )));
        }
        let arn = effects.streams.enable(&self.name, &json!(self.elements), view, partitions, effects.now, effects.journal);
        self.stream = Some(TableStream { arn, view, enabled: true });
        Ok(())
    }

    /// Disables the stream.
    pub(super) fn disable_stream(&mut self, effects: &mut Effects<'_>) -> Result<(), ApiError> {
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.enabled) else {
            return Err(ApiError::validation(format!("Table has no stream to disable: TableName: {}", self.name)));
        };
        stream.enabled = false;
        effects.streams.disable(&stream.arn, effects.now, effects.journal);
        Ok(())
    }

    /// The TableDescription.
    pub(super) fn description(&self, status: &str) -> Value {
        let (read, write) = match self.capacity {
            Capacity::OnDemand => (0, 0),
            Capacity::Provisioned { read, write } => (read, write),
        };
        let created = seconds(self.created);
        let mut description = json!({
            "TableName": self.name,
            "TableArn": self.arn(),
            "TableId": self.id(),
            "TableStatus": status,
            "AttributeDefinitions": self.definitions,
            "KeySchema": self.elements,
            "CreationDateTime": created,
            "ProvisionedThroughput": { "NumberOfDecreasesToday": 0, "ReadCapacityUnits": read, "WriteCapacityUnits": write },
            "ItemCount": self.items.len(),
            "TableSizeBytes": self.bytes,
            "DeletionProtectionEnabled": self.protected,
        });
        if self.capacity == Capacity::OnDemand {
            description["BillingModeSummary"] = json!({ "BillingMode": "PAY_PER_REQUEST", "LastUpdateToPayPerRequestDateTime": created });
        }
        if let Some(stream) = &self.stream {
            description["LatestStreamArn"] = json!(stream.arn);
            description["LatestStreamLabel"] = json!(stream.arn.rsplit('/').next());
            if stream.enabled {
                description["StreamSpecification"] = json!({ "StreamEnabled": true, "StreamViewType": stream.view });
            }
        }
        description
    }

    /// A UUID that is the same in every run.
    fn id(&self) -> String {
        let digest = Md5::new().chain_update(&self.name).chain_update(self.created.to_be_bytes()).finalize();
        let hex = format!("{:032x}", digest.iter().fold(0_u128, |id, byte| id << 8 | u128::from(*byte)));
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }
}

/// The table's name in what a request calls TableName, which may be an ARN.
pub(super) fn name_in(name_or_arn: &str) -> &str {
    name_or_arn.strip_prefix(ARN).unwrap_or(name_or_arn)
}

/// A point in time as the JSON protocol spells it: seconds with a fraction.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch stay below 2^53 for 285,000 years")]
pub(super) fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}
