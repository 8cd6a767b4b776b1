//! A client and a clock for the tests of the streams.

use serde_json::{Value, json};

use super::shard::Shard;
use super::{NewRecord, Streams, ViewType};
use crate::call::{ApiError, Bitten, Call, Quirks};
use crate::item::Item;
use crate::journal::{Event, Journal, Place};
use crate::sequence::Sequence;

pub(super) use super::DAY;

/// 2026-11-21T06:33:35.160Z.
pub(super) const BEGINNING: i64 = 1_795_242_815_160;

/// Streams, one of them of the table [`Service::TABLE`], with everything that a call needs.
pub(super) struct Service {
    pub(super) streams: Streams,
    pub(super) journal: Journal,
    pub(super) quirks: Quirks,
    pub(super) now: i64,
    pub(super) stream: String,
    written: usize,
}

/// What GetRecords gave.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) records: Vec<Value>,
    pub(super) next: Option<String>,
}

impl Read {
    /// The records' sequence numbers.
    pub(super) fn sequences(&self) -> Vec<Sequence> {
        let number = |record: &Value| Sequence::parse(record["dynamodb"]["SequenceNumber"].as_str().unwrap()).unwrap();
        self.records.iter().map(number).collect()
    }
}

impl Service {
    pub(super) const TABLE: &'static str = "orders";

    /// A stream with one shard.
    pub(super) fn new() -> Self {
        Self::with_partitions(1)
    }

    pub(super) fn with_partitions(partitions: usize) -> Self {
        let mut service = Self {
            streams: Streams::seeded(7),
            journal: Journal::keeping(),
            quirks: Quirks::default(),
            now: BEGINNING,
            stream: String::new(),
            written: 0,
        };
        service.stream = service.enable(Self::TABLE, partitions);
        service
    }

    pub(super) fn enable(&mut self, table: &str, partitions: usize) -> String {
        let schema = json!([{"AttributeName": "id", "KeyType": "HASH"}]);
        self.streams.enable(table, &schema, ViewType::NewAndOldImages, partitions, self.now, &self.journal)
    }

    pub(super) fn disable(&mut self) {
        self.streams.disable(&self.stream, self.now, &self.journal);
    }

    pub(super) fn wait(&mut self, milliseconds: i64) {
        self.now += milliseconds;
    }

    /// The ids of all shards, whatever a listing shows.
    pub(super) fn shards(&self) -> Vec<String> {
        self.streams.by_arn[&self.stream].shards.keys().cloned().collect()
    }

    /// A shard as it is, whatever a listing shows.
    pub(super) fn shard(&self, id: &str) -> &Shard {
        &self.streams.by_arn[&self.stream].shards[id]
    }

    /// Writes an item of that hash.
    pub(super) fn put(&mut self, hash: u64) -> Place {
        self.try_put(hash).expect("the stream takes changes")
    }

    pub(super) fn try_put(&mut self, hash: u64) -> Option<Place> {
        self.written += 1;
        let key: Item = serde_json::from_value(json!({"id": {"N": hash.to_string()}})).unwrap();
        let mut new = key.clone();
        new.extend(serde_json::from_value::<Item>(json!({"n": {"N": self.written.to_string()}})).unwrap());
        let record = NewRecord { key: &key, hash, old: None, new: Some(&new), by_ttl: false };
        self.streams.append(&self.stream, &record, self.now, &self.journal)
    }

    /// Writes that many items, and gives their positions.
    pub(super) fn put_many(&mut self, count: u64) -> Vec<Sequence> {
        (0..count).map(|hash| self.put(hash).sequence).collect()
    }

    pub(super) fn reshard(&mut self, shard: &str, into: usize) -> Vec<String> {
        self.streams.reshard(&self.stream, shard, into, self.now, &self.journal).unwrap()
    }

    pub(super) fn trim_through(&mut self, shard: &str, keep_last: usize) -> usize {
        self.streams.trim_through(&self.stream, shard, keep_last, self.now, &self.journal).unwrap()
    }

    pub(super) fn call(&mut self, operation: &str, request: &Value) -> Result<Value, ApiError> {
        let body = request.to_string();
        self.quirks.bitten = Bitten::default();
        let call = Call { worker: "tester", now: self.now, operation, body: body.as_bytes(), quirks: &self.quirks, journal: &self.journal };
        self.streams.call(&call).map(|answer| serde_json::from_slice(&answer).unwrap())
    }

    /// Whether a quirk made a difference to the last call.
    pub(super) fn has_bitten(&self, kind: &str) -> bool {
        self.quirks.have_bitten(kind)
    }

    /// DescribeStream of the table's stream.
    pub(super) fn describe(&mut self, request: &Value) -> Value {
        let mut request = request.clone();
        request["StreamArn"] = json!(self.stream);
        self.call("DescribeStream", &request).unwrap()["StreamDescription"].take()
    }

    /// GetShardIterator of the table's stream.
    pub(super) fn try_iterator(&mut self, shard: &str, request: &Value) -> Result<String, ApiError> {
        let mut request = request.clone();
        request["StreamArn"] = json!(self.stream);
        request["ShardId"] = json!(shard);
        self.call("GetShardIterator", &request).map(|answer| answer["ShardIterator"].as_str().unwrap().to_owned())
    }

    pub(super) fn iterator(&mut self, shard: &str, kind: &str) -> String {
        self.try_iterator(shard, &json!({"ShardIteratorType": kind})).unwrap()
    }

    pub(super) fn after(&mut self, shard: &str, sequence: &Sequence) -> Result<String, ApiError> {
        self.try_iterator(shard, &json!({"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": sequence}))
    }

    pub(super) fn try_read(&mut self, iterator: &str, limit: Option<usize>) -> Result<Read, ApiError> {
        let mut request = json!({"ShardIterator": iterator});
        if let Some(limit) = limit {
            request["Limit"] = json!(limit);
        }
        let answer = self.call("GetRecords", &request)?;
        let next = answer.get("NextShardIterator").map(|next| next.as_str().unwrap().to_owned());
        Ok(Read { records: answer["Records"].as_array().unwrap().clone(), next })
    }

    pub(super) fn read(&mut self, iterator: &str) -> Read {
        self.try_read(iterator, None).unwrap()
    }

    /// What the journal holds.
    pub(super) fn events(&self) -> Vec<Event> {
        self.journal.since(0).into_iter().map(|entry| entry.event).collect()
    }
}

/// The ids of a description's shards.
pub(super) fn ids(description: &Value) -> Vec<String> {
    description["Shards"].as_array().unwrap().iter().map(|shard| shard["ShardId"].as_str().unwrap().to_owned()).collect()
}
