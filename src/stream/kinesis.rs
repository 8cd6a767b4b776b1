//! A Kinesis data stream on the AWS SDK, as a stream of leased shards.
//!
//! A stream that is deleted and made again has the same name, the same ARN and the same shard ids. So that neither leases nor lake objects of the two
//! meet, the time of its making is a part of both names that are used here: a [`StreamArn`] is Kinesis' with that time behind it, a shard's id
//! is `<account>:<stream>:<seconds since the epoch>:<Kinesis' shard id>`, as the Kinesis Client Library writes it for applications with many streams.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::types::{Shard, ShardIteratorType, StreamDescriptionSummary, StreamStatus};
use bytes::Bytes;
use tokio::time::Instant;

use super::body::{ReadDate, TakeBody, TakenBody};
use super::{DescribePage, IteratorStart, ShardInfo, StreamApi, StreamArn, StreamInfo};
use crate::aws::{AwsError, Failure};
use crate::clock::ServiceClock;
use crate::event::ShardId;
use crate::mutant::{self, Mutant};

/// How long the description of the stream is believed: a round of the consumer looks again after half its fail-over time.
const BELIEVED: Duration = Duration::from_secs(15);
const SECONDS_PER_HOUR: i64 = 3600;

/// One Kinesis data stream, without the SDK's retries: callers decide by the class of the error.
#[derive(Debug, Clone)]
pub struct KinesisStream {
    name: String,
    client: Client,
    /// Stand-ins may write sequence numbers with leading zeros and compare them as text; AWS writes none. What a shard's first number looks like tells
    /// how long they are.
    padded_to: Arc<AtomicUsize>,
    /// What the last description said, and when.
    described: Arc<Mutex<Option<(Instant, StreamInfo)>>>,
}

impl KinesisStream {
    /// The stream of that name. Every answer sets `clock`.
    pub fn new(config: &SdkConfig, name: impl Into<String>, clock: ServiceClock) -> Self {
        let config = aws_sdk_kinesis::config::Builder::from(config).retry_config(RetryConfig::disabled());
        let client = Client::from_conf(config.interceptor(ReadDate::new(clock)).build());
        Self { name: name.into(), client, padded_to: Arc::default(), described: Arc::default() }
    }

    /// What [`current`](StreamApi::current) said a moment ago: descriptions are limited to a few a second for a whole account.
    async fn recent(&self) -> Result<StreamInfo, AwsError> {
        let described = self.described().clone();
        match described {
            Some((at, info)) if at.elapsed() < BELIEVED => Ok(info),
            _ => self.current().await,
        }
    }

    fn described(&self) -> MutexGuard<'_, Option<(Instant, StreamInfo)>> {
        self.described.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_padding(&self, shard: &Shard) {
        let first = shard.sequence_number_range.as_ref().map_or("", |range| range.starting_sequence_number.as_str());
        if first.len() > 1 && first.starts_with('0') {
            self.padded_to.store(first.len(), Relaxed);
        }
    }

    /// DescribeStreamSummary.
    async fn summary(&self) -> Result<StreamDescriptionSummary, AwsError> {
        let output = self.client.describe_stream_summary().stream_name(&self.name).send().await;
        let output = output.map_err(|error| AwsError::new("DescribeStreamSummary", &self.name, &error))?;
        let nothing = || AwsError::of("DescribeStreamSummary", Failure::Invalid, "the response describes no stream");
        output.stream_description_summary.ok_or_else(nothing)
    }
}

#[async_trait]
impl StreamApi for KinesisStream {
    async fn current(&self) -> Result<StreamInfo, AwsError> {
        let summary = self.summary().await?;
        let info = StreamInfo {
            arn: identity(&summary),
            enabled: matches!(summary.stream_status, StreamStatus::Active | StreamStatus::Updating | StreamStatus::Creating),
            retention: i64::from(summary.retention_period_hours) * SECONDS_PER_HOUR,
        };
        *self.described() = Some((Instant::now(), info.clone()));
        Ok(info)
    }

    async fn describe(&self, stream: &StreamArn, after: Option<&ShardId>) -> Result<DescribePage, AwsError> {
        let current = self.recent().await?;
        if current.arn != *stream {
            return Err(gone("ListShards", stream));
        }
        let request = self.client.list_shards().stream_name(&self.name);
        let output = request.set_exclusive_start_shard_id(after.map(|shard| service_id(shard).to_owned())).send().await;
        let output = output.map_err(|error| AwsError::new("ListShards", &self.name, &error))?;
        let shards: Vec<ShardInfo> = output
            .shards
            .unwrap_or_default()
            .into_iter()
            .inspect(|shard| self.note_padding(shard))
            .map(|shard| ShardInfo {
                id: shard_id(stream, &shard.shard_id),
                parents: [shard.parent_shard_id, shard.adjacent_parent_shard_id]
                    .into_iter()
                    .flatten()
                    .filter(|parent| !parent.is_empty())
                    .map(|parent| shard_id(stream, &parent))
                    .collect(),
            })
            .collect();
        // The token of the next page lives for five minutes; the last shard of this one says the same for good.
        let next = output.next_token.and_then(|_| shards.last().map(|shard| shard.id.clone()));
        Ok(DescribePage { enabled: current.enabled, shards, next })
    }

    async fn iterator(&self, stream: &StreamArn, shard: &ShardId, start: IteratorStart) -> Result<String, AwsError> {
        // A stream that was made anew has shards of the same ids.
        if self.recent().await?.arn != *stream {
            return Err(gone("GetShardIterator", stream));
        }
        let request = self.client.get_shard_iterator().stream_name(&self.name).shard_id(service_id(shard));
        let request = match start {
            IteratorStart::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            // At the record, not behind it: the rest of an aggregated record may still be unread. The caller passes over what it has.
            IteratorStart::After(position) => {
                let width = self.padded_to.load(Relaxed);
                let kind = if mutant::armed(Mutant::ForgetSubsequence) {
                    ShardIteratorType::AfterSequenceNumber
                } else {
                    ShardIteratorType::AtSequenceNumber
                };
                request.shard_iterator_type(kind).starting_sequence_number(format!("{:0>width$}", position.sequence()))
            }
            IteratorStart::At(seconds) => {
                request.shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(aws_smithy_types::DateTime::from_secs(seconds))
            }
        };
        let output = request.send().await.map_err(|error| AwsError::new("GetShardIterator", shard.as_str(), &error))?;
        output.shard_iterator.ok_or_else(|| AwsError::of("GetShardIterator", Failure::Invalid, "the response holds no iterator"))
    }

    async fn records(&self, iterator: &str, limit: Option<u32>) -> Result<Bytes, AwsError> {
        let body = TakenBody::default();
        self.client
            .get_records()
            .shard_iterator(iterator)
            .set_limit(limit.and_then(|limit| i32::try_from(limit).ok()))
            .customize()
            .interceptor(TakeBody(body.clone()))
            .send()
            .await
            .map_err(|error| AwsError::new("GetRecords", &self.name, &error))?;
        body.read("GetRecords").await
    }
}

/// The ARN with the time of the stream's making behind it, as it stands in ARNs of DynamoDB's streams.
fn identity(summary: &StreamDescriptionSummary) -> StreamArn {
    let created = jiff::Timestamp::from_second(summary.stream_creation_timestamp.secs()).unwrap_or_default();
    StreamArn::new(format!("{}/{}", summary.stream_arn, created.strftime("%Y-%m-%dT%H:%M:%S")))
}

/// What the ids of a stream's shards begin with.
fn prefix(stream: &StreamArn) -> String {
    let arn = stream.as_str().rsplit_once('/').map_or(stream.as_str(), |(arn, _)| arn);
    let name = arn.rsplit_once('/').map_or(arn, |(_, name)| name);
    let account = arn.split(':').nth(4).unwrap_or_default();
    format!("{account}:{name}:{}:", stream.created().unwrap_or_default())
}

/// The id of a shard of `stream` to which Kinesis gives the id `shard`.
pub fn shard_id(stream: &StreamArn, shard: &str) -> ShardId {
    ShardId::new(format!("{}{shard}", prefix(stream)))
}

/// The id of another shard of the stream that `shard` belongs to.
pub fn sibling(shard: &ShardId, other: &str) -> ShardId {
    let prefix = shard.as_str().strip_suffix(service_id(shard)).unwrap_or_default();
    ShardId::new(format!("{prefix}{other}"))
}

/// Kinesis' own id of a shard.
fn service_id(shard: &ShardId) -> &str {
    shard.as_str().rsplit_once(':').map_or(shard.as_str(), |(_, id)| id)
}

/// The stream was deleted; one that was made anew under its name is another one.
fn gone(operation: &'static str, stream: &StreamArn) -> AwsError {
    AwsError::of(operation, Failure::NotFound, format!("the stream {stream} was deleted"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_named_by_its_stream_and_when_that_was_made() {
        let stream = StreamArn::new("arn:aws:kinesis:eu-central-1:123456789012:stream/orders/2026-11-21T03:00:00");
        let shard = shard_id(&stream, "shardId-000000000001");
        assert_eq!(shard.as_str(), "123456789012:orders:1795230000:shardId-000000000001");
        assert_eq!(service_id(&shard), "shardId-000000000001");
        assert_eq!(sibling(&shard, "shardId-000000000002"), shard_id(&stream, "shardId-000000000002"));
    }
}
