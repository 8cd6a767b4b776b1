//! DynamoDB Streams: shards, their lineage, records, iterators.
//!
//! A stream's open shards partition the range of hashes, so an item's changes stay in one line of shards: each split or rotation closes
//! a shard and opens its children at the same moment, and the numbers of a child are above its parent's. Records live for 24 hours. Whatever
//! time does to streams is done when the next operation comes in, so it is enough to move the clock.
//!
//! The histories steer it by [`Streams::reshard`], [`Streams::trim_through`] and [`Streams::disable`]; the table's model appends; clients
//! read over the wire protocol ([`Streams::call`]).

mod describe;
mod iterator;
mod numbers;
#[cfg(test)]
mod properties;
mod read;
mod record;
pub(crate) mod request;
mod shard;
mod stream;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::call::{Answer, ApiError, Call};
use crate::item::Item;
use crate::journal::{Journal, Place};

use numbers::Numbers;
use stream::{Origin, Stream};

/// How long records, closed shards and disabled streams can be read, in milliseconds.
const DAY: i64 = 24 * 3600 * 1000;

/// The only region there is.
const REGION: &str = "us-east-1";

/// The streams of one account, those that were replaced among them.
#[derive(Debug, Default)]
pub struct Streams {
    /// What is drawn for the streams enabled from now on (sequence numbers, ids) follows from this, the stream's name and the order of changes.
    pub seed: u64,
    /// How many digits the sequence numbers of streams enabled from now on begin with: 21 to 40. Drawn from the seed when not given.
    pub digits: Option<u32>,
    by_arn: BTreeMap<String, Stream>,
    /// Before this time there is nothing to trim.
    due: i64,
}

/// What a stream's records carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the variants are the API's names")]
pub enum ViewType {
    KeysOnly,
    NewImage,
    OldImage,
    NewAndOldImages,
}

/// A change on its way into a stream.
#[derive(Debug, Clone)]
pub struct NewRecord<'a> {
    /// The item's key attributes.
    pub key: &'a Item,
    /// The partition key's place in the hash range.
    pub hash: u64,
    /// The item before.
    pub old: Option<&'a Item>,
    /// The item after.
    pub new: Option<&'a Item>,
    /// Whether time to live deleted it.
    pub by_ttl: bool,
}

impl NewRecord<'_> {
    /// `INSERT`, `MODIFY` or `REMOVE`; `None` when there is no item before and none after.
    pub fn operation(&self) -> Option<&'static str> {
        match (self.old, self.new) {
            (None, Some(_)) => Some("INSERT"),
            (Some(_), Some(_)) => Some("MODIFY"),
            (Some(_), None) => Some("REMOVE"),
            (None, None) => None,
        }
    }
}

impl Streams {
    /// Streams whose draws follow from that seed.
    pub fn seeded(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Enables a stream for a table and gives its ARN. `key_schema` is the table's KeySchema; `partitions` shards begin, at least one.
    /// Whether the table has an enabled stream already is the caller's to check.
    pub fn enable(
        &mut self,
        table: &str,
        key_schema: &serde_json::Value,
        view: ViewType,
        partitions: usize,
        now: i64,
        journal: &Journal,
    ) -> String {
        self.trim(now, journal);
        // Labels are unique per table, even of streams that are enabled within the same millisecond.
        let mut at = now;
        while self.by_arn.contains_key(&arn(table, at)) {
            at += 1;
        }
        let (arn, label) = (arn(table, at), label(at));
        let numbers = Numbers::of(&arn, self.seed, self.digits);
        let mut stream = Stream::new(Origin { arn: arn.clone(), table, label, key_schema, view, numbers }, now);
        stream.begin(partitions, now, journal);
        self.by_arn.insert(arn.clone(), stream);
        arn
    }

    /// Disables a stream: its open shards are closed, its records stay readable for a day. Nothing happens to one that is disabled already.
    pub fn disable(&mut self, stream: &str, now: i64, journal: &Journal) {
        self.trim(now, journal);
        if let Some(stream) = self.by_arn.get_mut(stream) {
            stream.disable(now, journal);
            self.look_again_after(now);
        }
    }

    /// Adds a change to the open shard of its partition. `None` when the stream takes no changes, or when this is none. That writes which
    /// change nothing are left out is up to the caller.
    pub fn append(&mut self, stream: &str, record: &NewRecord<'_>, now: i64, journal: &Journal) -> Option<Place> {
        self.trim(now, journal);
        let place = self.by_arn.get_mut(stream)?.append(record, now)?;
        self.look_again_after(now);
        Some(place)
    }

    /// Closes an open shard and opens others behind it, as DynamoDB does when it splits a partition or by itself every few hours: one child
    /// continues the whole range, several divide it into equal parts. Gives the children in the order of their ranges.
    pub fn reshard(&mut self, stream: &str, shard: &str, into: usize, now: i64, journal: &Journal) -> Result<Vec<String>, ApiError> {
        self.trim(now, journal);
        let children = self.stream_mut(stream)?.reshard(shard, into, now, journal)?;
        self.look_again_after(now);
        Ok(children)
    }

    /// The ARN of the table's newest stream, enabled or not, until a day after it was disabled.
    pub fn latest(&self, table: &str) -> Option<&str> {
        let prefix = arn_prefix(table);
        // Nothing in a label sorts above this.
        let past = format!("{prefix}~");
        let bounds = (Bound::Excluded(prefix.as_str()), Bound::Excluded(past.as_str()));
        self.by_arn.range::<str, _>(bounds).next_back().map(|(arn, _)| arn.as_str())
    }

    /// The shards that take changes, in the order of their ranges; none for a stream that is disabled or unknown.
    pub fn open_shards(&self, stream: &str) -> Vec<String> {
        self.by_arn.get(stream).map(Stream::open_shards).unwrap_or_default()
    }

    /// Drops the records that are older than a day, the closed shards and the disabled streams of which nothing is left. Every operation
    /// begins with it.
    pub fn trim(&mut self, now: i64, journal: &Journal) {
        if now < self.due {
            return;
        }
        for stream in self.by_arn.values_mut() {
            stream.trim(now, journal);
        }
        self.by_arn.retain(|_, stream| !stream.is_gone(now));
        self.due = self.by_arn.values().map(Stream::due).min().unwrap_or(i64::MAX);
    }

    /// Drops all records of a shard but the `keep_last` newest, however young they are: the service may trim at any moment. Gives how many
    /// were dropped.
    pub fn trim_through(&mut self, stream: &str, shard: &str, keep_last: usize, now: i64, journal: &Journal) -> Result<usize, ApiError> {
        self.trim(now, journal);
        let dropped = self.stream_mut(stream)?.trim_through(shard, keep_last, now, journal)?;
        self.look_again_after(now);
        Ok(dropped)
    }

    /// Answers a call of the DynamoDB Streams API.
    pub fn call(&mut self, call: &Call<'_>) -> Answer {
        self.trim(call.now, call.journal);
        match call.operation {
            "ListStreams" => self.list_streams(call),
            "DescribeStream" => self.describe_stream(call),
            "GetShardIterator" => self.get_shard_iterator(call),
            "GetRecords" => self.get_records(call),
            other => Err(ApiError::new("UnknownOperationException", format!("there is no operation '{other}'"))),
        }
    }

    /// Something was added that is to be looked at a day from now.
    fn look_again_after(&mut self, now: i64) {
        self.due = self.due.min(now + DAY + 1);
    }

    fn stream(&self, arn: &str) -> Result<&Stream, ApiError> {
        self.by_arn.get(arn).ok_or_else(|| no_stream(arn))
    }

    fn stream_mut(&mut self, arn: &str) -> Result<&mut Stream, ApiError> {
        self.by_arn.get_mut(arn).ok_or_else(|| no_stream(arn))
    }
}

/// What the ARNs of a table's streams begin with.
fn arn_prefix(table: &str) -> String {
    format!("arn:aws:dynamodb:{REGION}:000000000000:table/{table}/stream/")
}

/// The ARN of a table's stream by the time of its label.
fn arn(table: &str, at: i64) -> String {
    format!("{}{}", arn_prefix(table), label(at))
}

/// A stream's label: ISO 8601 with milliseconds, so that text order is the order of time.
fn label(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string()
}

/// The error for a stream that never was or is no more.
fn no_stream(arn: &str) -> ApiError {
    ApiError::not_found(format!("Requested resource not found: Stream: {arn} not found"))
}
