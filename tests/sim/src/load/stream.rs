//! The load's table and its stream: described, and read page by page.
//!
//! All shards are closed and have no children, so a reader comes to an end; DescribeStream calls the stream disabled, or readers would
//! wait for children. DescribeTable calls it enabled, or they would not start. Nothing expires and nothing is trimmed: an iterator is a
//! position, good for as long as the server runs.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::plan::{LOT_CHANGES, Plan};
use super::template::{REGION, Template};
use crate::call::{Answer, ApiError, answer};
use crate::streams::request;

/// Limits of GetRecords: records and bytes of a page. The page's own frame has its room outside of them.
const MOST_RECORDS: usize = 1_000;
const MOST_BYTES: usize = 1_000_000;
/// Shards on a page of DescribeStream.
const MOST_SHARDS: usize = 100;
/// How much time a million records take, in milliseconds.
const MILLION: usize = 4 * 60 * 1_000;
const ACCOUNT: &str = "000000000000";

/// The stream.
#[derive(Debug)]
pub(super) struct Stream {
    table: String,
    table_arn: String,
    arn: String,
    label: String,
    plan: Arc<Plan>,
    template: Template,
    shards: Vec<String>,
    /// When the changes begin and how long they go on, in milliseconds.
    begin: usize,
    span: usize,
}

/// A page that was served.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) json: Bytes,
    pub(super) records: usize,
}

/// What a request to the stream may hold.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    table_name: Option<String>,
    stream_arn: Option<String>,
    shard_id: Option<String>,
    shard_iterator_type: Option<String>,
    sequence_number: Option<String>,
    timestamp: Option<f64>,
    exclusive_start_shard_id: Option<String>,
    shard_filter: Option<Value>,
    limit: Option<i64>,
}

/// A request of GetRecords.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetRecords<'a> {
    #[serde(borrow)]
    shard_iterator: Cow<'a, str>,
    limit: Option<i64>,
}

impl Stream {
    /// A stream of the plan's records, the last of them made at `end` (milliseconds since the epoch).
    pub(super) fn new(table: &str, plan: Arc<Plan>, template: Template, end: usize) -> Self {
        let span = (plan.records() * MILLION / 1_000_000).max(1_000);
        let begin = end.saturating_sub(span);
        let millis = i64::try_from(begin).unwrap_or(i64::MAX);
        let label = jiff::Timestamp::from_millisecond(millis).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string();
        let table_arn = format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}");
        // The suffix spreads over the digits as the service's does; it only has to differ.
        let shards = (0..plan.shards()).map(|shard| format!("shardId-{begin:020}-{:08x}", shard.wrapping_mul(0x9e37_79b1) & 0xffff_ffff));
        Self {
            table: table.to_owned(),
            arn: format!("{table_arn}/stream/{label}"),
            table_arn,
            label,
            shards: shards.collect(),
            plan,
            template,
            begin,
            span,
        }
    }

    /// Answers DescribeTable, and the calls of DynamoDB Streams other than GetRecords. `None` when the call is for another table or stream.
    pub(super) fn call(&self, operation: &str, body: &[u8]) -> Option<Answer> {
        let request: Request = serde_json::from_slice(body).ok()?;
        let ours = match (&request.stream_arn, &request.table_name) {
            (Some(stream), _) => *stream == self.arn,
            (None, Some(table)) => *table == self.table || *table == self.table_arn,
            (None, None) => false,
        };
        if !ours {
            return None;
        }
        match operation {
            "DescribeTable" => Some(answer(&self.describe_table())),
            "ListStreams" => {
                Some(answer(&json!({ "Streams": [{ "StreamArn": self.arn, "StreamLabel": self.label, "TableName": self.table }] })))
            }
            "DescribeStream" => Some(self.describe(&request)),
            "GetShardIterator" => Some(self.iterator(&request)),
            _ => None,
        }
    }

    /// Answers GetRecords. `None` when the iterator belongs to another stream.
    pub(super) fn records(&self, body: &[u8]) -> Option<Result<Page, ApiError>> {
        let request: GetRecords<'_> = serde_json::from_slice(body).ok()?;
        let (shard, position) = request.shard_iterator.strip_prefix(self.arn.as_str())?.strip_prefix('|')?.split_once('|')?;
        let invalid = || ApiError::validation("Invalid ShardIterator");
        let (Some(shard), Some(position)) = (super::digits::number(shard.as_bytes()), super::digits::number(position.as_bytes())) else {
            return Some(Err(invalid()));
        };
        if shard >= self.shards.len() || position > self.plan.records_of(shard) {
            return Some(Err(invalid()));
        }
        let too_many = || ApiError::new("LimitExceededException", "Limit should be less than or equal to 1000");
        Some(request::limit(request.limit, MOST_RECORDS, too_many).map(|limit| self.page(shard, position, limit)))
    }

    fn page(&self, shard: usize, from: usize, limit: usize) -> Page {
        let end = self.plan.records_of(shard);
        let (to, bytes) = self.extent(shard, from, limit);
        // The frame is small; without growing, the buffer becomes the answer as it is.
        let mut json = Vec::with_capacity(bytes + self.arn.len() + 128);
        json.push(b'{');
        if to < end {
            json.extend_from_slice(b"\"NextShardIterator\":\"");
            json.extend_from_slice(self.iterator_at(shard, to).as_bytes());
            json.extend_from_slice(b"\",");
        }
        json.extend_from_slice(b"\"Records\":[");
        let mut at = from;
        while at < to {
            let (lot, first) = self.plan.place(shard, at);
            let count = (to - at).min(LOT_CHANGES - first);
            self.template.write(&mut json, lot, first, first + count, |n| self.seconds(shard, at + n));
            at += count;
        }
        if json.last() == Some(&b',') {
            json.pop();
        }
        json.extend_from_slice(b"]}");
        Page { json: json.into(), records: to - from }
    }

    /// Where the page ends that begins at `from`, and how many bytes its records have.
    fn extent(&self, shard: usize, from: usize, limit: usize) -> (usize, usize) {
        let last = self.plan.records_of(shard).min(from + limit);
        let (mut at, mut bytes) = (from, 0);
        while at < last {
            let (_, first) = self.plan.place(shard, at);
            let end = self.template.page_end(first, last - at, MOST_BYTES - bytes);
            bytes += self.template.bytes(first, end);
            at += end - first;
            if end < LOT_CHANGES {
                break;
            }
        }
        (at, bytes)
    }

    /// When a record was made, in seconds since the epoch. Every shard has its records evenly over the same time.
    fn seconds(&self, shard: usize, position: usize) -> usize {
        (self.begin + self.span * (position + 1) / self.plan.records_of(shard)) / 1_000
    }

    /// An iterator at a position of a shard.
    pub(super) fn iterator_at(&self, shard: usize, position: usize) -> String {
        format!("{}|{shard}|{position}", self.arn)
    }

    fn iterator(&self, request: &Request) -> Answer {
        let missing = |what: &str| ApiError::not_found(format!("Requested resource not found: {what}"));
        let id = request.shard_id.as_deref().ok_or_else(|| ApiError::validation("ShardId must not be null"))?;
        let shard = self.shards.iter().position(|shard| shard == id).ok_or_else(|| missing(&format!("Shard: {id} does not exist")))?;
        let end = self.plan.records_of(shard);
        let at_sequence = || {
            let sequence = request.sequence_number.as_deref().unwrap_or_default();
            let found = self.template.find(sequence).and_then(|(lot, place)| self.plan.position(shard, lot, place));
            found.ok_or_else(|| ApiError::validation(format!("Invalid SequenceNumber: {sequence} is not in shard {id}")))
        };
        let position = match request.shard_iterator_type.as_deref().unwrap_or_default() {
            "TRIM_HORIZON" => 0,
            "LATEST" => end,
            "AT_SEQUENCE_NUMBER" => at_sequence()?,
            "AFTER_SEQUENCE_NUMBER" => at_sequence()? + 1,
            "AT_TIMESTAMP" => {
                let time = request.timestamp.ok_or_else(|| ApiError::validation("Timestamp must not be null"))?;
                // Times are below 2^53.
                #[expect(clippy::cast_precision_loss)]
                first_where(end, |position| self.seconds(shard, position) as f64 >= time)
            }
            other => return Err(ApiError::validation(format!("Value '{other}' at 'shardIteratorType' is no type of iterator"))),
        };
        answer(&json!({ "ShardIterator": self.iterator_at(shard, position) }))
    }

    fn describe(&self, request: &Request) -> Answer {
        let first = match request.exclusive_start_shard_id.as_deref() {
            Some(after) => self.shards.iter().position(|shard| shard == after).map_or(self.shards.len(), |shard| shard + 1),
            None => 0,
        };
        // The only filter is that for the children of a shard, and none has any.
        let first = if request.shard_filter.is_some() { self.shards.len() } else { first };
        let too_many = || request::invalid("Limit cannot be greater than the maximum: 100");
        let last = self.shards.len().min(first + request::limit(request.limit, MOST_SHARDS, too_many)?);
        let shards = (first..last).map(|shard| {
            let sequence = |position| {
                let (lot, place) = self.plan.place(shard, position);
                self.template.sequence(lot, place)
            };
            let range = json!({ "StartingSequenceNumber": sequence(0), "EndingSequenceNumber": sequence(self.plan.records_of(shard) - 1) });
            json!({ "ShardId": self.shards[shard], "SequenceNumberRange": range })
        });
        let mut description = json!({
            "StreamArn": self.arn,
            "StreamLabel": self.label,
            "StreamStatus": "DISABLED",
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            "CreationRequestDateTime": self.begin / 1_000,
            "TableName": self.table,
            "KeySchema": [{ "AttributeName": "order_id", "KeyType": "HASH" }],
            "Shards": shards.collect::<Vec<_>>(),
        });
        if last < self.shards.len() {
            description["LastEvaluatedShardId"] = json!(self.shards[last - 1]);
        }
        answer(&json!({ "StreamDescription": description }))
    }

    fn describe_table(&self) -> Value {
        json!({ "Table": {
            "TableName": self.table,
            "TableArn": self.table_arn,
            "TableStatus": "ACTIVE",
            "CreationDateTime": self.begin / 1_000,
            "KeySchema": [{ "AttributeName": "order_id", "KeyType": "HASH" }],
            "AttributeDefinitions": [{ "AttributeName": "order_id", "AttributeType": "S" }],
            "BillingModeSummary": { "BillingMode": "PAY_PER_REQUEST" },
            "ProvisionedThroughput": { "ReadCapacityUnits": 0, "WriteCapacityUnits": 0, "NumberOfDecreasesToday": 0 },
            "ItemCount": 0,
            "TableSizeBytes": 0,
            "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" },
            "LatestStreamArn": self.arn,
            "LatestStreamLabel": self.label,
        } })
    }
}

/// The first number below `end` from which on it holds; `end` if there is none.
fn first_where(end: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, end);
    while low < high {
        let middle = usize::midpoint(low, high);
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

#[cfg(test)]
mod tests;
