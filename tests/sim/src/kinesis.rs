//! Kinesis Data Streams: shards by hash range, splits and merges.
//!
//! As on AWS, a record goes to the open shard that its key's MD5 belongs to, a shard that was split or merged stays readable until the
//! retention period has passed, and the page at its end tells its children. PutRecords fails record by record, never as a whole for one of
//! them. All is decided by the calls and their times alone.
//!
//! Not modelled: enhanced fan-out, encryption, UpdateShardCount, limits on reading, streams of the same name in several accounts or regions
//! (a stream's ARN is read for the name only).

mod admin;
pub(crate) mod aggregate;
mod listing;
mod position;
mod put;
mod read;
mod reshard;
mod shard;
mod stream;

#[cfg(test)]
mod lineage;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use self::position::{SequenceNumber, ShardId};
pub(crate) use self::put::hash_key;
pub use self::shard::StoredRecord;
use self::stream::DataStream;
use crate::call::{Answer, ApiError, Call};
use crate::encoding::ACCOUNT;
use crate::journal::Journal;

/// The Kinesis streams of one account.
#[derive(Debug, Default)]
pub struct Kinesis {
    /// Whether a shard takes at most 1,000 records and 1 MiB a second.
    pub enforce_limits: bool,
    /// For how long (milliseconds) a stream is CREATING, and UPDATING after a request that changes its shards.
    pub settle_after: i64,
    streams: BTreeMap<String, DataStream>,
}

/// The members that name a stream in most requests.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StreamReference {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
}

impl StreamReference {
    fn name(self) -> Result<String, ApiError> {
        let named = self.stream_arn.as_deref().and_then(name_in_arn);
        match (self.stream_name, self.stream_arn.as_deref(), named) {
            (_, Some(arn), None) => Err(invalid(format!("StreamARN {arn} is not the ARN of a stream"))),
            (Some(name), _, Some(named)) if name != named => Err(invalid("StreamName and StreamARN do not refer to the same stream")),
            (Some(name), ..) => Ok(name),
            (None, _, Some(named)) => Ok(named.to_owned()),
            (None, None, None) => Err(invalid("Either StreamName or StreamARN should be provided.")),
        }
    }
}

/// The stream that an ARN names.
pub(crate) fn name_in_arn(arn: &str) -> Option<&str> {
    arn.strip_prefix("arn:").and_then(|rest| rest.split_once(":stream/")).map(|(_, name)| name).filter(|name| !name.is_empty())
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidArgumentException", message)
}

impl Kinesis {
    /// Answers a call of the Kinesis API.
    pub fn call(&mut self, call: &Call<'_>) -> Answer {
        self.trim(call.now, call.journal);
        match call.operation {
            "PutRecords" => self.put_records(call),
            "PutRecord" => self.put_record(call),
            "GetRecords" => self.get_records(call),
            "GetShardIterator" => self.get_shard_iterator(call),
            "ListShards" => self.list_shards(call),
            "DescribeStream" => self.describe_stream(call),
            "DescribeStreamSummary" => self.describe_stream_summary(call),
            "SplitShard" => self.split_shard(call),
            "MergeShards" => self.merge_shards(call),
            "CreateStream" => self.create_stream(call),
            "DeleteStream" => self.delete_stream(call),
            "ListStreams" => self.list_streams(call),
            "UpdateStreamRecordDistributionStrategy" => self.update_stream_record_distribution_strategy(call),
            "UpdateMaxRecordSize" => self.update_max_record_size(call),
            "IncreaseStreamRetentionPeriod" => self.increase_stream_retention_period(call),
            "ListTagsForStream" => self.list_tags_for_stream(call),
            unknown => Err(ApiError::new("UnknownOperationException", format!("there is no operation '{unknown}'"))),
        }
    }

    /// The shards of a stream with the records that they still hold, in order. Nothing for a stream that is not there.
    pub fn records(&self, stream: &str) -> impl Iterator<Item = (ShardId, impl ExactSizeIterator<Item = &StoredRecord>)> {
        self.streams.get(stream).into_iter().flat_map(|stream| stream.shards.values().map(|shard| (shard.id, shard.records.iter())))
    }

    /// The shards of a stream that take records.
    pub fn open_shards(&self, stream: &str) -> Vec<ShardId> {
        self.streams.get(stream).map(|stream| stream.open_shards().map(|shard| shard.id).collect()).unwrap_or_default()
    }

    /// Drops what has outlived its stream's retention period: records, and shards that were closed before. To be called when time has passed; the
    /// operations do it by themselves.
    pub fn trim(&mut self, now: i64, journal: &Journal) {
        for stream in self.streams.values_mut() {
            stream.trim(now, journal);
        }
    }

    /// The open shard that takes the hash keys behind those of another, with which it can be merged; none behind the last.
    pub fn neighbour(&self, stream: &str, shard: ShardId) -> Option<ShardId> {
        self.streams.get(stream)?.neighbour(shard)
    }

    /// A shard takes nothing until then (milliseconds since the epoch), as if others had used up what it can take.
    pub fn throttle(&mut self, stream: &str, shard: ShardId, until: i64) -> Result<(), ApiError> {
        self.stream(stream)?.throttle(shard, until)
    }

    /// The least position behind everything that happened to a stream; `None` when there is no such stream.
    pub(crate) fn tip(&self, stream: &str) -> Option<SequenceNumber> {
        self.streams.get(stream).map(DataStream::tip)
    }

    /// The records of a stream from a position on, in the order of their arrival: parents before children.
    pub(crate) fn arrivals(&self, stream: &str, position: SequenceNumber) -> Vec<&StoredRecord> {
        let Some(stream) = self.streams.get(stream).filter(|stream| stream.tip() > position) else { return Vec::new() };
        let mut records: Vec<&StoredRecord> = stream.shards.values().flat_map(|shard| shard.from(position)).collect();
        records.sort_unstable_by_key(|record| record.sequence);
        records
    }

    /// A stream.
    fn stream(&mut self, name: &str) -> Result<&mut DataStream, ApiError> {
        self.streams.get_mut(name).ok_or_else(|| ApiError::not_found(format!("Stream {name} under account {ACCOUNT} not found.")))
    }

    /// A stream that records can be put into and read from: until it is created, it is as if it were not there.
    fn usable_stream(&mut self, name: &str, now: i64) -> Result<&mut DataStream, ApiError> {
        let stream = self.stream(name)?;
        if stream.status(now) == "CREATING" {
            return Err(ApiError::not_found(format!("Stream {} not found.", stream.title())));
        }
        Ok(stream)
    }

    /// A stream that can be changed.
    fn active_stream(&mut self, name: &str, now: i64) -> Result<&mut DataStream, ApiError> {
        let stream = self.stream(name)?;
        match stream.status(now) {
            "ACTIVE" => Ok(stream),
            status => {
                let message = format!("Stream {} not ACTIVE, instead in state {status}", stream.title());
                Err(ApiError::new("ResourceInUseException", message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Account;
    use serde_json::json;

    #[test]
    fn a_stream_is_found_by_name_or_arn_and_by_both_only_if_they_agree() {
        let mut account = Account::with_stream("orders", 1);
        let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
        for reference in [json!({"StreamName": "orders"}), json!({"StreamARN": arn}), json!({"StreamName": "orders", "StreamARN": arn})] {
            account.kinesis("DescribeStreamSummary", reference).unwrap();
        }
        for reference in [json!({}), json!({"StreamName": "events", "StreamARN": arn}), json!({"StreamARN": "orders"})] {
            assert_eq!(account.kinesis("DescribeStreamSummary", reference).unwrap_err().code, "InvalidArgumentException");
        }
        let error = account.kinesis("DescribeStreamSummary", json!({"StreamName": "events"})).unwrap_err();
        assert_eq!(error.to_string(), "ResourceNotFoundException: Stream events under account 000000000000 not found.");
        assert_eq!(account.kinesis("Frobnicate", json!({})).unwrap_err().code, "UnknownOperationException");
    }
}
