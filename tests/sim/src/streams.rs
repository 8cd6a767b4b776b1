//! DynamoDB Streams: shards, their lineage, records, iterators.

use crate::call::{Answer, ApiError, Call, Quirks};
use crate::item::Item;
use crate::journal::{Journal, Place};
use bytes::Bytes;

/// The streams of one account, those that were replaced among them.
#[derive(Debug, Default)]
pub struct Streams {}

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

impl Streams {
    /// Enables a stream for a table and gives its ARN. `partitions` shards begin.
    #[expect(clippy::unused_self, unused_variables)]
    pub fn enable(
        &mut self,
        table: &str,
        key_schema: &serde_json::Value,
        view: ViewType,
        partitions: usize,
        now: i64,
        journal: &Journal,
    ) -> String {
        String::new()
    }

    /// Disables a stream: its open shards are closed, its records stay readable for a day.
    #[expect(clippy::unused_self, unused_variables)]
    pub fn disable(&mut self, stream: &str, now: i64, journal: &Journal) {}

    /// Adds a change to the open shard of its partition.
    #[expect(clippy::unused_self, unused_variables)]
    pub fn append(&mut self, stream: &str, record: &NewRecord<'_>, now: i64) -> Option<Place> {
        None
    }

    /// Answers a call of the DynamoDB Streams API.
    pub fn call(&mut self, call: &Call<'_>) -> Answer {
        let _: (&Quirks, Bytes) = (call.quirks, Bytes::new());
        Err(ApiError::new("UnknownOperationException", call.operation))
    }

    /// Closes a shard and opens others behind it.
    #[expect(clippy::unused_self, unused_variables)]
    pub fn reshard(&mut self, stream: &str, shard: &str, into: usize, now: i64, journal: &Journal) -> Result<Vec<String>, ApiError> {
        Err(ApiError::not_found(stream))
    }

    /// The open shards of a stream.
    #[expect(clippy::unused_self, unused_variables)]
    pub fn open_shards(&self, stream: &str) -> Vec<String> {
        Vec::new()
    }

    /// Drops the records that are older than a day.
    #[expect(clippy::unused_self, unused_variables)]
    pub fn trim(&mut self, now: i64, journal: &Journal) {}
}
