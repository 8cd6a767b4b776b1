//! A delivery stream on the AWS SDK.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_firehose::Client;
use aws_sdk_firehose::config::retry::RetryConfig;
use aws_sdk_firehose::types::{
    DeliveryStreamDescription, DeliveryStreamStatus, DeliveryStreamType, DestinationDescription, ExtendedS3DestinationDescription,
    ProcessorType, Record,
};
use aws_smithy_types::Blob;
use tokio_util::sync::CancellationToken;

use crate::aws::{AwsError, Failure};
use crate::retry::{RetryPolicy, Transient as _, retry};
use crate::route::RouteError;

const PUT: &str = "PutRecordBatch";

/// What became of one record of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Put {
    /// Firehose has it.
    Taken,
    /// Firehose does not have it, and says why.
    Refused(String),
}

/// What the route needs of a delivery stream. Each method is tried once; errors are classified.
#[async_trait]
pub(super) trait PutRecordBatch: Send + Sync {
    /// Sends records; tells of each, in their order, what became of it. After an error nobody knows what was taken, unless the error is permanent.
    async fn put(&self, records: Vec<Vec<u8>>) -> Result<Vec<Put>, AwsError>;

    /// For how long records are gathered before they are delivered, as the stream is set now; none where that cannot be told.
    async fn gathers_for(&self) -> Result<Option<Duration>, AwsError>;
}

/// One delivery stream, without the SDK's retries: the writer decides by the class of the error.
#[derive(Debug)]
pub(super) struct DeliveryStream {
    name: String,
    client: Client,
}

impl DeliveryStream {
    pub(super) fn new(sdk: &SdkConfig, name: &str) -> Self {
        let config = aws_sdk_firehose::config::Builder::from(sdk).retry_config(RetryConfig::disabled());
        Self { name: name.to_owned(), client: Client::from_conf(config.build()) }
    }

    /// Whether the stream takes records one by one apart, so that several events in one would be taken for one. An error when it does not take
    /// ours at all.
    pub(super) async fn check(&self) -> Result<bool, RouteError> {
        let doing = || format!("check delivery stream '{}'", self.name);
        let described = retry(RetryPolicy::START_UP, &CancellationToken::new(), || self.describe()).await;
        let described = described.map_err(|error| RouteError {
            doing: doing(),
            hint: hint(&error, "firehose:DescribeDeliveryStream"),
            may_pass: error.is_transient(),
            source: Some(Box::new(error)),
        })?;
        match obstacle(&described) {
            Some(hint) => Err(RouteError { doing: doing(), hint, may_pass: false, source: None }),
            None => Ok(described.destinations().is_empty() || described.destinations().iter().any(takes_records_apart)),
        }
    }

    async fn describe(&self) -> Result<DeliveryStreamDescription, AwsError> {
        const DESCRIBE: &str = "DescribeDeliveryStream";
        let output = self.client.describe_delivery_stream().delivery_stream_name(&self.name).send().await;
        let output = output.map_err(|error| AwsError::new(DESCRIBE, &self.name, &error))?;
        output.delivery_stream_description.ok_or_else(|| AwsError::of(DESCRIBE, Failure::Unavailable, "the answer describes nothing"))
    }
}

#[async_trait]
impl PutRecordBatch for DeliveryStream {
    async fn put(&self, records: Vec<Vec<u8>>) -> Result<Vec<Put>, AwsError> {
        let sent = records.len();
        let records = records.into_iter().map(|data| Record::builder().data(Blob::new(data)).build());
        let records = records.collect::<Result<_, _>>().map_err(|error| AwsError::of(PUT, Failure::Invalid, error.to_string()))?;
        let call = self.client.put_record_batch().delivery_stream_name(&self.name).set_records(Some(records));
        let output = call.send().await.map_err(|error| AwsError::new(PUT, &self.name, &error))?;
        let told = output.request_responses.len();
        if told != sent {
            let message = format!("the answer tells of {told} records, and {sent} were sent");
            return Err(AwsError::of(PUT, Failure::Unavailable, message));
        }
        let put = output.request_responses.into_iter().map(|entry| match (entry.error_code, entry.record_id) {
            (None, Some(_)) => Put::Taken,
            (None, None) => Put::Refused("neither an id nor an error was given".to_owned()),
            (Some(code), _) => Put::Refused(format!("{code}: {}", entry.error_message.unwrap_or_default())),
        });
        Ok(put.collect())
    }

    async fn gathers_for(&self) -> Result<Option<Duration>, AwsError> {
        let described = self.describe().await?;
        let destinations = described.destinations().iter().map(gathers_for).collect::<Option<Vec<_>>>();
        Ok(destinations.and_then(|destinations| destinations.into_iter().max()))
    }
}

/// What to do about a call that failed.
pub(super) fn hint(error: &AwsError, action: &str) -> String {
    match error.failure {
        Failure::NotFound => {
            "there is no such delivery stream: create it or run `headwater init`, or correct firehose.delivery_stream or AWS_REGION"
                .to_owned()
        }
        Failure::Denied | Failure::Invalid if error.code.contains("KMS") => {
            format!(
                "the delivery stream is encrypted, and its KMS key cannot be used ({}): allow kms:GenerateDataKey on it, and see that it is enabled",
                error.code
            )
        }
        Failure::Denied => format!("check the credentials, and allow {action}"),
        Failure::Throttled => "Firehose asks for fewer calls: raise the quota, or try again later".to_owned(),
        Failure::Unavailable => "Firehose does not answer: check the network, AWS_REGION and AWS_ENDPOINT_URL_FIREHOSE".to_owned(),
        Failure::ConditionFailed | Failure::Trimmed | Failure::ExpiredIterator | Failure::Invalid => {
            "Firehose refuses the request: check that the delivery stream takes direct puts, and its KMS key if it has one".to_owned()
        }
    }
}

/// Why records cannot be put into the stream, and what to do about it.
fn obstacle(stream: &DeliveryStreamDescription) -> Option<String> {
    match stream.delivery_stream_type() {
        DeliveryStreamType::DirectPut => {}
        DeliveryStreamType::KinesisStreamAsSource => {
            return Some(
                "it reads a Kinesis stream, and takes records from nobody else: set route.kind = \"kinesis\" and kinesis.stream to its source, \
                 or name another delivery stream"
                    .to_owned(),
            );
        }
        other => return Some(format!("it is of type {}, and takes no direct puts: name another delivery stream", other.as_str())),
    }
    match stream.delivery_stream_status() {
        DeliveryStreamStatus::Active => None,
        DeliveryStreamStatus::Creating => Some("it is being created: start again when it is ACTIVE".to_owned()),
        DeliveryStreamStatus::CreatingFailed => {
            let why = stream.failure_description().map_or("the service does not say why", |failure| failure.details());
            Some(format!("it could not be created ({why}): delete it, and create it again or run `headwater init`"))
        }
        other => Some(format!("it is {}: create it again or run `headwater init` once it is gone", other.as_str())),
    }
}

/// Whether the destination looks at records one by one. What is known not to is S3 alone, and only without conversion, dynamic
/// partitioning and Lambda. A feature that is configured counts as enabled unless it says that it is not.
fn takes_records_apart(destination: &DestinationDescription) -> bool {
    let Some(s3) = destination.extended_s3_destination_description() else {
        return destination.s3_destination_description().is_none();
    };
    converts(s3) || partitions(s3) || transforms(s3)
}

/// How long a destination gathers records; none where that is not known: elsewhere than in S3, and behind a Lambda, which has a buffer of its own.
fn gathers_for(destination: &DestinationDescription) -> Option<Duration> {
    let (hints, partitioned) = match (destination.extended_s3_destination_description(), destination.s3_destination_description()) {
        (Some(s3), _) if transforms(s3) => return None,
        (Some(s3), _) => (s3.buffering_hints(), partitions(s3)),
        (None, Some(s3)) => (s3.buffering_hints(), false),
        (None, None) => return None,
    };
    let interval = Duration::from_secs(hints?.interval_in_seconds()?.try_into().ok()?);
    // With dynamic partitioning delivery may take half as long again (Amazon Data Firehose Developer Guide, dynamic partitioning).
    Some(if partitioned { interval * 3 / 2 } else { interval })
}

fn converts(s3: &ExtendedS3DestinationDescription) -> bool {
    s3.data_format_conversion_configuration().is_some_and(|conversion| is_on(conversion.enabled()))
}

fn partitions(s3: &ExtendedS3DestinationDescription) -> bool {
    s3.dynamic_partitioning_configuration().is_some_and(|partitioning| is_on(partitioning.enabled()))
}

fn transforms(s3: &ExtendedS3DestinationDescription) -> bool {
    s3.processing_configuration().is_some_and(|processing| {
        is_on(processing.enabled()) && processing.processors().iter().any(|processor| *processor.r#type() == ProcessorType::Lambda)
    })
}

fn is_on(enabled: Option<bool>) -> bool {
    enabled != Some(false)
}

#[cfg(test)]
mod tests;
