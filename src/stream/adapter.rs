//! [`StreamApi`] on the AWS SDK.
//!
//! GetRecords does not go through the SDK's deserialiser: an interceptor takes the body of a successful response, so that one streaming
//! pass makes events of it. Signing, endpoints, error responses and connection handling stay the SDK's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{KeyType, ScalarAttributeType, StreamViewType, TableDescription};
use aws_sdk_dynamodbstreams::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeDeserializationInterceptorContextRef,
};
use aws_sdk_dynamodbstreams::config::{ConfigBag, Intercept, RuntimeComponents, retry::RetryConfig};

use aws_sdk_dynamodbstreams::types::{ShardIteratorType, StreamStatus};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::date_time::{DateTime, Format};
use bytes::Bytes;

use super::{DescribePage, IteratorStart, ShardInfo, StreamApi, StreamArn, StreamInfo, TableInfo, View};
use crate::aws::{AwsError, Failure};
use crate::clock::ServiceClock;
use crate::event::{AttributeType, ShardId};
use crate::mutant::{self, Mutant};

/// The body of a page is at most a few MB; if it is not there by now, the connection is dead.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// DynamoDB and its Streams through the SDK, without the SDK's retries: callers decide by the class of the error.
#[derive(Debug, Clone)]
pub struct AwsStreams {
    tables: aws_sdk_dynamodb::Client,
    streams: aws_sdk_dynamodbstreams::Client,
}

impl AwsStreams {
    /// Clients on that configuration. Every answer sets `clock`.
    pub fn new(config: &SdkConfig, clock: ServiceClock) -> Self {
        let tables = aws_sdk_dynamodb::config::Builder::from(config).retry_config(RetryConfig::disabled());
        let tables = tables.interceptor(ReadDate(clock.clone())).build();
        let streams = aws_sdk_dynamodbstreams::config::Builder::from(config).retry_config(RetryConfig::disabled());
        let streams = streams.interceptor(ReadDate(clock)).build();
        Self { tables: aws_sdk_dynamodb::Client::from_conf(tables), streams: aws_sdk_dynamodbstreams::Client::from_conf(streams) }
    }
}

#[async_trait]
impl StreamApi for AwsStreams {
    async fn table(&self, name: &str) -> Result<TableInfo, AwsError> {
        let output =
            self.tables.describe_table().table_name(name).send().await.map_err(|error| AwsError::new("DescribeTable", name, &error))?;
        let table = output.table.ok_or_else(|| AwsError::of("DescribeTable", Failure::Invalid, "the response describes no table"))?;
        Ok(TableInfo { keys: keys(&table)?, stream: stream(&table) })
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
                parent: shard.parent_shard_id.filter(|parent| !parent.is_empty()).map(ShardId::new),
                open: shard.sequence_number_range.is_none_or(|range| range.ending_sequence_number.is_none()),
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
            IteratorStart::After(sequence) => {
                let at = mutant::armed(Mutant::ResumeAt);
                let kind = if at { ShardIteratorType::AtSequenceNumber } else { ShardIteratorType::AfterSequenceNumber };
                request.shard_iterator_type(kind).sequence_number(sequence.digits())
            }
            IteratorStart::At(seconds) => {
                request.shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(aws_smithy_types::DateTime::from_secs(seconds))
            }
        };
        let output = request.send().await.map_err(|error| AwsError::new("GetShardIterator", shard.as_str(), &error))?;
        output.shard_iterator.ok_or_else(|| AwsError::of("GetShardIterator", Failure::Invalid, "the response holds no iterator"))
    }

    async fn records(&self, iterator: &str) -> Result<Bytes, AwsError> {
        let body = TakenBody::default();
        self.streams
            .get_records()
            .shard_iterator(iterator)
            .customize()
            .interceptor(TakeBody(body.clone()))
            .send()
            .await
            .map_err(|error| AwsError::new("GetRecords", "", &error))?;
        let Some(body) = body.take() else {
            return Err(AwsError::of("GetRecords", Failure::Unavailable, "the response has no body".to_owned()));
        };
        match tokio::time::timeout(BODY_TIMEOUT, ByteStream::new(body).collect()).await {
            Ok(Ok(bytes)) => Ok(bytes.into_bytes()),
            Ok(Err(error)) => Err(AwsError::of("GetRecords", Failure::Unavailable, format!("the response broke off: {error}"))),
            Err(_) => Err(AwsError::of("GetRecords", Failure::Unavailable, format!("the response did not end within {BODY_TIMEOUT:?}"))),
        }
    }
}

/// Sets the clock by the `Date` header of each answer.
#[derive(Debug)]
struct ReadDate(ServiceClock);

impl Intercept for ReadDate {
    fn name(&self) -> &'static str {
        "ReadDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        if let Some(date) = date {
            self.0.told(date.secs());
        }
        Ok(())
    }
}

/// Where the interceptor leaves the body.
#[derive(Debug, Clone, Default)]
struct TakenBody(Arc<Mutex<Option<SdkBody>>>);

impl TakenBody {
    fn put(&self, body: SdkBody) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
    }

    fn take(&self) -> Option<SdkBody> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Swaps the body of a successful response for an empty object, which is all that the SDK's deserialiser gets to see.
#[derive(Debug)]
struct TakeBody(TakenBody);

impl Intercept for TakeBody {
    fn name(&self) -> &'static str {
        "TakeBody"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        if response.status().as_u16() == 200 {
            self.0.put(std::mem::replace(response.body_mut(), SdkBody::from("{}")));
        }
        Ok(())
    }
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
    let arn = StreamArn::new(table.latest_stream_arn()?);
    let specification = table.stream_specification();
    let view = match specification.and_then(|specification| specification.stream_view_type.as_ref()) {
        Some(StreamViewType::NewAndOldImages) => View::NewAndOldImages,
        Some(StreamViewType::NewImage) => View::NewImage,
        Some(StreamViewType::OldImage) => View::OldImage,
        Some(StreamViewType::KeysOnly) => View::KeysOnly,
        _ => View::Unknown,
    };
    Some(StreamInfo { arn, enabled: specification.is_some_and(|specification| specification.stream_enabled), view })
}
