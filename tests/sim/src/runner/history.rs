//! The services' side of a history: what other clients and the services themselves do to the table and the streams.

mod kinesis;
mod snapshots;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use fastrand::Rng;
use serde_json::json;

use super::scenario::{KinesisMakeUp, Scenario, TableMakeUp};
use super::{BUCKET, DELIVER_LEASES, LEASES, TABLE, marks};
use crate::call::Quirks;
use crate::check::ledger::{Checkpoint, Lease};
use crate::cloud::Cloud;
use crate::dynamodb::Tables;
use crate::item::{AttributeValue, Item};
use crate::journal::Event;

/// Texts that have broken encoders before. Each that is not empty bears a mark (see [`marks`](super::marks)).
const TEXTS: [&str; 8] = [
    "",
    "payload-7f3a plain",
    "Grüße payload-7f3a",
    "\"payload-7f3a quoted\"",
    "back\\payload-7f3a\\slash",
    "two\npayload-7f3a\nlines",
    "\u{0}payload-7f3a\u{1f}",
    "𝄞 clef payload-7f3a",
];

/// Plays the services' part.
#[derive(Debug)]
pub(super) struct History {
    cloud: Cloud,
    rng: Rng,
    seed: u64,
    make_up: TableMakeUp,
    kinesis: Option<KinesisMakeUp>,
    /// Whether the table's stream is enabled.
    enabled: bool,
    counts: BTreeMap<&'static str, u64>,
}

impl History {
    pub(super) fn new(cloud: Cloud, scenario: &Scenario) -> Self {
        // Contents are drawn apart from steps, so that a change of one does not shift the other.
        Self {
            cloud,
            rng: Rng::with_seed(!scenario.seed),
            seed: scenario.seed,
            make_up: scenario.table,
            kinesis: scenario.kinesis.clone(),
            enabled: true,
            counts: BTreeMap::new(),
        }
    }

    /// Whether changes go through Kinesis.
    pub(super) fn is_through_kinesis(&self) -> bool {
        self.kinesis.is_some()
    }

    /// What was done, by name.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.clone()
    }

    /// Creates the table, the bucket and what else is in the path.
    pub(super) fn begin(&mut self) -> anyhow::Result<()> {
        {
            let mut state = self.cloud.state();
            state.tables.partitions = self.make_up.partitions;
            state.streams.seed = self.seed;
            state.streams.digits = Some(self.make_up.digits);
            state.buckets.create(BUCKET);
        }
        let mut keys = vec![json!({"AttributeName": "id", "KeyType": "HASH"})];
        let mut attributes = vec![json!({"AttributeName": "id", "AttributeType": "S"})];
        if self.make_up.sorted {
            keys.push(json!({"AttributeName": "line", "KeyType": "RANGE"}));
            attributes.push(json!({"AttributeName": "line", "AttributeType": "N"}));
        }
        self.table_call(
            "CreateTable",
            &json!({
                "TableName": TABLE,
                "KeySchema": keys,
                "AttributeDefinitions": attributes,
                "BillingMode": "PAY_PER_REQUEST",
                "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
            }),
        )?;
        let ttl = json!({"TableName": TABLE, "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": true}});
        self.table_call("UpdateTimeToLive", &ttl)?;
        self.kinesis.iter().try_for_each(|kinesis| self.create_stream(kinesis))
    }

    /// Writes to random items.
    pub(super) fn write(&mut self, writes: usize) -> anyhow::Result<()> {
        for _ in 0..writes {
            let key = self.key();
            let now = self.cloud.clock.now();
            let mut state = self.cloud.state();
            let state = &mut *state;
            let is = |item: &Item| key.iter().all(|(name, value)| item.get(name) == Some(value));
            let old = state.tables.items(TABLE).context("the table is gone")?.find(|item| is(item)).cloned();
            let written = match (old, self.rng.u8(0..10)) {
                (Some(_), 0..=2) => state.tables.delete(&mut state.streams, TABLE, &key, now, &self.cloud.journal),
                // Nothing changes, so nothing may come into the stream.
                (Some(old), 3) => state.tables.put(&mut state.streams, TABLE, old, now, &self.cloud.journal),
                (Some(mut item), 4..=6) => {
                    let (name, value) = attribute(&mut self.rng, now);
                    item.insert(name, value);
                    state.tables.put(&mut state.streams, TABLE, item, now, &self.cloud.journal)
                }
                _ => {
                    let mut item = key;
                    item.extend((0..self.rng.usize(0..6)).map(|_| attribute(&mut self.rng, now)));
                    state.tables.put(&mut state.streams, TABLE, item, now, &self.cloud.journal)
                }
            };
            written.map_err(|error| anyhow!("write to the table: {error}"))?;
        }
        Ok(())
    }

    /// Deletes what has expired.
    pub(super) fn expire(&mut self) {
        let now = self.cloud.clock.now();
        let state = &mut *self.cloud.state();
        state.tables.expire_items(&mut state.streams, now, &self.cloud.journal);
    }

    /// Closes an open shard; it continues in others.
    pub(super) fn reshard(&mut self, pick: usize, into: usize) -> anyhow::Result<()> {
        let Some(stream) = self.stream().filter(|_| self.enabled) else { return Ok(()) };
        let now = self.cloud.clock.now();
        let state = &mut *self.cloud.state();
        let open = state.streams.open_shards(&stream);
        if let Some(shard) = open.get(pick % open.len().max(1)) {
            state.streams.reshard(&stream, shard, into, now, &self.cloud.journal).map_err(|error| anyhow!("reshard: {error}"))?;
        }
        Ok(())
    }

    /// Trims a shard although its records are young. Only one that has a checkpoint: what a stream keeps for less than a day in a shard that nobody has
    /// read cannot be missed by anybody.
    pub(super) fn trim_early(&mut self, pick: usize, keep: usize) {
        let now = self.cloud.clock.now();
        let state = &mut *self.cloud.state();
        let begun: Vec<(String, String)> = leases(&state.tables)
            .filter(|(_, lease)| matches!(lease.checkpoint, Checkpoint::At(_)))
            .map(|(shard, lease)| (lease.stream, shard))
            .collect();
        if let Some((stream, shard)) = begun.get(pick % begun.len().max(1)) {
            let _ = state.streams.trim_through(stream, shard, keep, now, &self.cloud.journal);
            *self.counts.entry("early trims").or_default() += 1;
        }
    }

    /// Disables the stream. Only one that is being replicated: what came and went before the first start is nobody's concern.
    pub(super) fn disable_stream(&mut self) -> anyhow::Result<()> {
        let stream = self.stream();
        if leases(&self.cloud.state().tables).all(|(_, lease)| Some(lease.stream) != stream) {
            return Ok(());
        }
        self.enabled = false;
        *self.counts.entry("streams replaced").or_default() += 1;
        self.table_call("UpdateTable", &json!({"TableName": TABLE, "StreamSpecification": {"StreamEnabled": false}}))
    }

    /// Enables a new stream, if the last one was disabled.
    pub(super) fn enable_stream(&mut self) -> anyhow::Result<()> {
        if std::mem::replace(&mut self.enabled, true) {
            return Ok(());
        }
        let enabled = json!({"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"});
        self.table_call("UpdateTable", &json!({"TableName": TABLE, "StreamSpecification": enabled}))
    }

    /// Empties the lease tables.
    pub(super) fn lose_leases(&mut self) -> anyhow::Result<()> {
        let now = self.cloud.clock.now();
        let state = &mut *self.cloud.state();
        let name = "leaseKey";
        for table in [LEASES, DELIVER_LEASES] {
            let items = state.tables.items(table).into_iter().flatten();
            let keys: Vec<Item> = items.filter_map(|item| Some(Item::from([(name.to_owned(), item.get(name)?.clone())]))).collect();
            for key in keys {
                let deleted = state.tables.delete(&mut state.streams, table, &key, now, &self.cloud.journal);
                deleted.map_err(|error| anyhow!("empty the lease table: {error}"))?;
            }
        }
        *self.counts.entry("lost lease tables").or_default() += 1;
        Ok(())
    }

    /// Moves the services' clock on.
    pub(super) fn jump(&mut self, by: Duration) {
        self.cloud.clock.jump(by);
        let now = self.cloud.clock.now();
        self.cloud.journal.record(now, "", Event::Jump { by: i64::try_from(by.as_millis()).unwrap_or(i64::MAX) });
        let state = &mut *self.cloud.state();
        state.streams.trim(now, &self.cloud.journal);
        state.kinesis.trim(now, &self.cloud.journal);
        *self.counts.entry("clock jumps").or_default() += 1;
    }

    /// Hours pass while nobody replicates.
    pub(super) fn outage(&mut self, length: Duration) {
        self.jump(length);
        *self.counts.entry("outages").or_default() += 1;
    }

    fn stream(&self) -> Option<String> {
        self.cloud.state().streams.latest(TABLE).map(str::to_owned)
    }

    fn key(&mut self) -> Item {
        let number = self.rng.usize(0..self.make_up.items);
        let mut key = Item::from([("id".to_owned(), AttributeValue::S(format!("{} order {}", marks::TEXT, number / 2)))]);
        if self.make_up.sorted {
            key.insert("line".to_owned(), AttributeValue::N(format!("{}{}", marks::NUMBER, number % 2)));
        }
        key
    }

    fn table_call(&self, operation: &str, input: &serde_json::Value) -> anyhow::Result<()> {
        self.call(&format!("DynamoDB_20120810.{operation}"), input)
    }

    fn call(&self, target: &str, input: &serde_json::Value) -> anyhow::Result<()> {
        let answer = self.cloud.call(target, "", input.to_string().as_bytes(), &Quirks::default());
        answer.map(|_| ()).map_err(|error| anyhow!("{target}: {error}"))
    }
}

/// The leases on the table's stream, by shard.
fn leases(tables: &Tables) -> impl Iterator<Item = (String, Lease)> {
    tables.items(LEASES).into_iter().flatten().filter_map(|item| match item.get("leaseKey") {
        Some(AttributeValue::S(shard)) => Some((shard.clone(), Lease::read(item)?)),
        _ => None,
    })
}

/// An attribute of any type.
fn attribute(rng: &mut Rng, now: i64) -> (String, AttributeValue) {
    use AttributeValue::{B, BOOL, BS, L, M, N, NS, NULL, S, SS};
    let mut text = || (*rng.choice(&TEXTS).unwrap_or(&"")).to_owned();
    let (first, second) = (text(), text());
    let (name, value) = match rng.u8(0..11) {
        0 => ("product_name", S(first)),
        1 => ("quantity", N(number(rng))),
        2 => ("blob", B(format!("{}AAECAwQ=", marks::BASE64))),
        3 => ("tags", SS(vec![format!("a{first}"), format!("b{second}")])),
        4 => ("sizes", NS(vec![rng.u32(1..1000).to_string(), "-0.5".to_owned()])),
        5 => ("parts", BS(vec!["AA==".to_owned(), format!("{}AQ==", marks::BASE64)])),
        6 => ("address", M(Item::from([("city".to_owned(), S(first)), ("zip".to_owned(), N(number(rng)))]))),
        7 => ("lines", L(vec![S(second), N(number(rng)), L(Vec::new()), NULL(true)])),
        8 => ("paid", BOOL(rng.bool())),
        9 => ("nothing", NULL(true)),
        _ => ("expires", N((now / 1000 + rng.i64(-100..60)).to_string())),
    };
    (name.to_owned(), value)
}

/// A number of up to 38 digits, spelled as DynamoDB returns it.
fn number(rng: &mut Rng) -> String {
    let mut digits: String =
        std::iter::once(rng.u8(1..10)).chain((0..rng.usize(0..37)).map(|_| rng.u8(0..10))).map(|digit| char::from(b'0' + digit)).collect();
    if digits.len() > marks::NUMBER.len() {
        digits.replace_range(..marks::NUMBER.len(), marks::NUMBER);
    }
    if rng.bool() {
        digits.push(char::from(b'1' + rng.u8(0..9)));
        let point = rng.usize(1..digits.len());
        digits.insert(point, '.');
    }
    if rng.bool() { format!("-{digits}") } else { digits }
}
