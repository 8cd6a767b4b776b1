//! What the route needs of Kinesis, and the AWS SDK as that.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    PutRecordsRequestEntry, PutRecordsResultEntry, RecordDistributionStrategy, ShardFilter, ShardFilterType, StreamDescriptionSummary,
};

use super::plan::PlannedRecord;
use crate::aws::{AwsError, Failure};
use crate::event::ShardId;
use crate::route::shard_map::{HashRange, ShardMap};

/// One stream, to write into. Each method is tried once; errors are classified.
#[async_trait]
pub(super) trait PutRecords: Send + Sync {
    /// PutRecords: an answer for each record, in order. After an error any of the records may have been taken.
    async fn put(&self, records: &[PlannedRecord]) -> Result<Vec<Answer>, AwsError>;

    /// The shards that take records now.
    async fn open_shards(&self) -> Result<ShardMap, AwsError>;

    /// Whether records of one partition key go to one shard.
    async fn goes_by_key(&self) -> Result<bool, AwsError>;
}

/// What became of one record of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is durable, on this shard.
    Taken(ShardId),
    /// It is not in the stream.
    Refused {
        /// The service's error code.
        code: String,
        /// What it says.
        message: String,
    },
}

/// A stream through the SDK, without the SDK's retries.
#[derive(Debug, Clone)]
pub(super) struct DataStream {
    name: String,
    client: Client,
}

impl DataStream {
    pub(super) fn new(sdk: &SdkConfig, name: impl Into<String>) -> Self {
        let config = aws_sdk_kinesis::config::Builder::from(sdk).retry_config(RetryConfig::disabled()).build();
        Self { name: name.into(), client: Client::from_conf(config) }
    }

    /// DescribeStreamSummary.
    pub(super) async fn describe(&self) -> Result<StreamDescriptionSummary, AwsError> {
        let output = self.client.describe_stream_summary().stream_name(&self.name).send().await;
        let output = output.map_err(|error| AwsError::new("DescribeStreamSummary", &self.name, &error))?;
        let nothing = || AwsError::of("DescribeStreamSummary", Failure::Invalid, "the response describes no stream");
        output.stream_description_summary.ok_or_else(nothing)
    }
}

#[async_trait]
impl PutRecords for DataStream {
    async fn put(&self, records: &[PlannedRecord]) -> Result<Vec<Answer>, AwsError> {
        let mut request = self.client.put_records().stream_name(&self.name);
        for record in records {
            let entry = PutRecordsRequestEntry::builder()
                .data(Blob::new(record.data.clone()))
                .partition_key(record.partition_key.as_ref())
                .set_explicit_hash_key(record.explicit_hash_key.map(|key| key.to_string()))
                .build();
            request = request.records(entry.map_err(|error| AwsError::of("PutRecords", Failure::Invalid, error.to_string()))?);
        }
        let output = request.send().await.map_err(|error| AwsError::new("PutRecords", &self.name, &error))?;
        if output.records.len() != records.len() {
            let problem = format!("the response answers {} records of {}", output.records.len(), records.len());
            return Err(AwsError::of("PutRecords", Failure::Unavailable, problem));
        }
        Ok(output.records.into_iter().map(answer).collect())
    }

    async fn open_shards(&self) -> Result<ShardMap, AwsError> {
        let mut open = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let request = self.client.list_shards();
            let request = if let Some(token) = token.take() {
                // It stands for the stream and the filter.
                request.next_token(token)
            } else {
                let at_latest = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build();
                let at_latest = at_latest.map_err(|error| AwsError::of("ListShards", Failure::Invalid, error.to_string()))?;
                request.stream_name(&self.name).shard_filter(at_latest)
            };
            let output = request.send().await.map_err(|error| AwsError::new("ListShards", &self.name, &error))?;
            for shard in output.shards.unwrap_or_default() {
                // Not every stand-in knows the filter.
                let ended = shard.sequence_number_range.is_some_and(|range| range.ending_sequence_number.is_some());
                if let (false, Some(range)) = (ended, shard.hash_key_range) {
                    let range = HashRange::parse(&range.starting_hash_key, &range.ending_hash_key);
                    let range = range.map_err(|error| AwsError::of("ListShards", Failure::Invalid, crate::aws::describe(&error)))?;
                    open.push((ShardId::new(shard.shard_id), range));
                }
            }
            token = output.next_token;
            if token.is_none() {
                return Ok(ShardMap::new(open));
            }
        }
    }

    async fn goes_by_key(&self) -> Result<bool, AwsError> {
        Ok(self.describe().await?.record_distribution_strategy != Some(RecordDistributionStrategy::Auto))
    }
}

fn answer(result: PutRecordsResultEntry) -> Answer {
    match (result.error_code, result.shard_id.filter(|shard| !shard.is_empty())) {
        (None, Some(shard)) => Answer::Taken(ShardId::new(shard)),
        (Some(code), _) => Answer::Refused { code, message: result.error_message.unwrap_or_default() },
        (None, None) => Answer::Refused { code: "no error code".to_owned(), message: "the answer names no shard".to_owned() },
    }
}

#[cfg(test)]
mod tests;
