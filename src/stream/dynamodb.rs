//! A DynamoDB table's stream on the AWS SDK.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{KeyType, ScalarAttributeType, StreamViewType, TableDescription};
use aws_sdk_dynamodbstreams::config::retry::RetryConfig;
use aws_sdk_dynamodbstreams::types::{ShardIteratorType, StreamStatus};
use bytes::Bytes;

use super::body::{ReadDate, TakeBody, TakenBody};
use super::{DescribePage, IteratorStart, ShardInfo, StreamApi, StreamArn, StreamInfo, TableInfo, View};
use crate::aws::{AwsError, Failure};
use crate::clock::ServiceClock;
use crate::event::{AttributeType, Position, ShardId};
use crate::mutant::{self, Mutant};

/// How long a stream keeps a record, in seconds.
pub const RETENTION: i64 = 24 * 3600;
/// Digits of the shortest sequence number that the API takes (Amazon DynamoDB Streams API Reference, GetShardIterator).
const SHORTEST_SEQUENCE: usize = 21;

/// DynamoDB and its Streams through the SDK, without the SDK's retries: callers decide by the class of the error.
#[derive(Debug, Clone)]
pub struct TableStreams {
    table: String,
    tables: aws_sdk_dynamodb::Client,
    streams: aws_sdk_dynamodbstreams::Client,
}

impl TableStreams {
    /// The streams of `table`. Every answer sets `clock`.
    pub fn new(config: &SdkConfig, table: impl Into<String>, clock: ServiceClock) -> Self {
        let tables = aws_sdk_dynamodb::config::Builder::from(config).retry_config(RetryConfig::disabled());
        let tables = tables.interceptor(ReadDate::new(clock.clone())).build();
        let streams = aws_sdk_dynamodbstreams::config::Builder::from(config).retry_config(RetryConfig::disabled());
        let streams = streams.interceptor(ReadDate::new(clock)).build();
        Self {
            table: table.into(),
            tables: aws_sdk_dynamodb::Client::from_conf(tables),
            streams: aws_sdk_dynamodbstreams::Client::from_conf(streams),
        }
    }
}

impl TableStreams {
    /// DescribeTable.
    pub async fn table(&self) -> Result<TableInfo, AwsError> {
        let output = self.tables.describe_table().table_name(&self.table).send().await;
        let output = output.map_err(|error| AwsError::new("DescribeTable", &self.table, &error))?;
        let table = output.table.ok_or_else(|| AwsError::of("DescribeTable", Failure::Invalid, "the response describes no table"))?;
        Ok(TableInfo { keys: keys(&table)?, stream: stream(&table), view: view(&table) })
    }
}

#[async_trait]
impl StreamApi for TableStreams {
    async fn current(&self) -> Result<StreamInfo, AwsError> {
        self.table().await?.stream.ok_or_else(|| {
            let problem = format!("table '{}' has no stream any more; enable one with the view type NEW_AND_OLD_IMAGES", self.table);
            AwsError::of("DescribeTable", Failure::Invalid, problem)
        })
    }

    async fn describe(&self, stream: &StreamArn, after: Option<&ShardId>) -> Result<DescribePage, AwsError> {
        let output = self
            .streams
            .describe_stream()
            .stream_arn(stream.as_str())
            .set_exclusive_start_shard_id(after.map(|shard| shard.as_str().to_owned()))
            .send()
            .await
            .map_err(|error| AwsError::new("DescribeStream", stream.as_str(), &error))?;
        let described = output
            .stream_description
            .ok_or_else(|| AwsError::of("DescribeStream", Failure::Invalid, "the response describes no stream"))?;
        let enabled = matches!(described.stream_status, Some(StreamStatus::Enabled | StreamStatus::Enabling));
        let shards = described.shards.unwrap_or_default().into_iter().filter_map(|shard| {
            Some(ShardInfo {
                id: ShardId::new(shard.shard_id?),
                parents: shard.parent_shard_id.filter(|parent| !parent.is_empty()).map(ShardId::new).into_iter().collect(),
            })
        });
        Ok(DescribePage {
            enabled,
            shards: shards.collect(),
            next: described.last_evaluated_shard_id.filter(|next| !next.is_empty()).map(ShardId::new),
        })
    }

    async fn iterator(&self, stream: &StreamArn, shard: &ShardId, start: IteratorStart) -> Result<String, AwsError> {
        let request = self.streams.get_shard_iterator().stream_arn(stream.as_str()).shard_id(shard.as_str());
        let request = match start {
            IteratorStart::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            IteratorStart::After(position) => {
                let at = mutant::armed(Mutant::ResumeAt);
                let kind = if at { ShardIteratorType::AtSequenceNumber } else { ShardIteratorType::AfterSequenceNumber };
                request.shard_iterator_type(kind).sequence_number(sequence_number(position))
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
        self.streams
            .get_records()
            .shard_iterator(iterator)
            .set_limit(limit.and_then(|limit| i32::try_from(limit).ok()))
            .customize()
            .interceptor(TakeBody(body.clone()))
            .send()
            .await
            .map_err(|error| AwsError::new("GetRecords", "", &error))?;
        body.read("GetRecords").await
    }
}

/// A position's sequence number as the service spelled it. DynamoDB Local writes zeros before its small numbers, and refuses them without; those
/// of AWS are long enough by themselves.
fn sequence_number(position: Position) -> String {
    format!("{:0>SHORTEST_SEQUENCE$}", position.sequence())
}

/// Partition key first: the API lists them in that order, but does not promise it.
fn keys(table: &TableDescription) -> Result<Vec<(String, AttributeType)>, AwsError> {
    let mut schema: Vec<_> = table.key_schema().iter().collect();
    schema.sort_by_key(|element| element.key_type != KeyType::Hash);
    schema
        .into_iter()
        .map(|element| {
            let name = element.attribute_name.as_str();
            let defined = table.attribute_definitions().iter().find(|definition| definition.attribute_name == name);
            let attribute_type = match defined.map(|definition| &definition.attribute_type) {
                Some(ScalarAttributeType::S) => AttributeType::S,
                Some(ScalarAttributeType::N) => AttributeType::N,
                Some(ScalarAttributeType::B) => AttributeType::B,
                _ => return Err(AwsError::of("DescribeTable", Failure::Invalid, format!("key attribute '{name}' has no type S, N or B"))),
            };
            Ok((name.to_owned(), attribute_type))
        })
        .collect()
}

fn stream(table: &TableDescription) -> Option<StreamInfo> {
    let enabled = table.stream_specification().is_some_and(|specification| specification.stream_enabled);
    Some(StreamInfo { arn: StreamArn::new(table.latest_stream_arn()?), enabled, retention: RETENTION })
}

fn view(table: &TableDescription) -> View {
    match table.stream_specification().and_then(|specification| specification.stream_view_type.as_ref()) {
        Some(StreamViewType::NewAndOldImages) => View::NewAndOldImages,
        Some(StreamViewType::NewImage) => View::NewImage,
        Some(StreamViewType::OldImage) => View::OldImage,
        Some(StreamViewType::KeysOnly) => View::KeysOnly,
        _ => View::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_number_is_padded_to_what_the_api_takes_and_a_large_one_is_left_alone() {
        let spelled = |digits| sequence_number(Position::new(digits, 0).unwrap());
        assert_eq!(spelled("443"), "000000000000000000443");
        assert_eq!(spelled("13021600000000001596893679"), "13021600000000001596893679");
    }
}
