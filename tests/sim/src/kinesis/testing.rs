//! An account for the tests of the models, called by hand, on a clock that is moved by hand.

use base64_simd::STANDARD;
use serde_json::{Value, json};

use super::Kinesis;
use crate::buckets::Buckets;
use crate::call::{Answer, ApiError, Call, Quirks};
use crate::firehose::Firehose;
use crate::journal::{Event, Journal, Put};

/// 2026-11-19T00:00:00Z, in milliseconds since the epoch.
pub(crate) const START: i64 = 1_795_046_400_000;

pub(crate) struct Account {
    pub(crate) kinesis: Kinesis,
    pub(crate) firehose: Firehose,
    pub(crate) buckets: Buckets,
    pub(crate) journal: Journal,
    pub(crate) now: i64,
    /// What goes wrong with the next call.
    pub(crate) quirks: Quirks,
    /// What went wrong with the last call.
    last: Quirks,
}

impl Account {
    pub(crate) fn new() -> Self {
        let (kinesis, firehose, buckets) = (Kinesis::default(), Firehose::default(), Buckets::default());
        Self { kinesis, firehose, buckets, journal: Journal::keeping(), now: START, quirks: Quirks::default(), last: Quirks::default() }
    }

    pub(crate) fn with_stream(name: &str, shards: usize) -> Self {
        let mut account = Self::new();
        account.kinesis("CreateStream", json!({"StreamName": name, "ShardCount": shards})).unwrap();
        account
    }

    pub(crate) fn kinesis(&mut self, operation: &str, body: Value) -> Result<Value, ApiError> {
        self.call(operation, body, |account, call| account.kinesis.call(call))
    }

    pub(crate) fn firehose(&mut self, operation: &str, body: Value) -> Result<Value, ApiError> {
        self.call(operation, body, |Account { kinesis, firehose, buckets, .. }, call| firehose.call(kinesis, buckets, call))
    }

    /// Lets Firehose do what is due.
    pub(crate) fn tick(&mut self) {
        self.firehose.tick(&self.kinesis, &mut self.buckets, self.now, &self.journal);
    }

    #[expect(clippy::needless_pass_by_value, reason = "bodies are written where they are used")]
    fn call(&mut self, operation: &str, body: Value, service: impl Fn(&mut Self, &Call<'_>) -> Answer) -> Result<Value, ApiError> {
        let (journal, quirks) = (self.journal.clone(), std::mem::take(&mut self.quirks));
        let body = Vec::from(body.to_string());
        let call = Call { worker: "tester", now: self.now, operation, body: &body, quirks: &quirks, journal: &journal };
        let answer = service(self, &call);
        self.last = quirks;
        let answer = answer?;
        Ok(if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer).unwrap() })
    }

    /// Whether a quirk made a difference to the last call.
    pub(crate) fn have_bitten(&self, kind: &str) -> bool {
        self.last.have_bitten(kind)
    }

    /// Puts a record into the stream `orders`, and gives its shard and sequence number.
    pub(crate) fn put(&mut self, key: &str, data: &str) -> (String, String) {
        let record = json!({"StreamName": "orders", "PartitionKey": key, "Data": encoded(data)});
        let answer = self.kinesis("PutRecord", record).unwrap();
        (text(&answer["ShardId"]), text(&answer["SequenceNumber"]))
    }

    /// An iterator of the stream `orders`.
    pub(crate) fn iterator(&mut self, shard: &str, kind: &str, with: Value) -> Result<String, ApiError> {
        let mut body = with;
        for (member, value) in [("StreamName", "orders"), ("ShardId", shard), ("ShardIteratorType", kind)] {
            body[member] = json!(value);
        }
        self.kinesis("GetShardIterator", body).map(|answer| text(&answer["ShardIterator"]))
    }

    /// A page from the iterator on: the records' bytes, and the answer.
    pub(crate) fn page(&mut self, iterator: &str) -> (Vec<String>, Value) {
        let answer = self.kinesis("GetRecords", json!({"ShardIterator": iterator})).unwrap();
        (answer["Records"].as_array().unwrap().iter().map(|record| decoded(&record["Data"])).collect(), answer)
    }

    /// What was written into the journal.
    pub(crate) fn events(&self) -> Vec<String> {
        self.journal.since(0).into_iter().map(|entry| entry.event.to_string()).collect()
    }

    /// The bytes that were put, in the journal's order.
    pub(crate) fn journalled_puts(&self) -> Vec<String> {
        let data = |event| match event {
            Event::Put(Put { data, .. }) | Event::Taken { data, .. } => Some(String::from_utf8(data.to_vec()).unwrap()),
            _ => None,
        };
        self.journal.since(0).into_iter().filter_map(|entry| data(entry.event)).collect()
    }
}

pub(crate) fn encoded(data: impl AsRef<[u8]>) -> String {
    STANDARD.encode_to_string(data)
}

pub(crate) fn decoded(data: &Value) -> String {
    String::from_utf8(STANDARD.decode_to_vec(data.as_str().unwrap()).unwrap()).unwrap()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
