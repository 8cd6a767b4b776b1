//! The delivery stream, on the AWS SDK.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_firehose::Client;
use aws_sdk_firehose::config::retry::RetryConfig;
use aws_sdk_firehose::error::BuildError;
use aws_sdk_firehose::operation::create_delivery_stream::CreateDeliveryStreamError;
use aws_sdk_firehose::types::{
    BufferingHints, CompressionFormat, DeliveryStreamDescription, DeliveryStreamStatus, DeliveryStreamType, EncryptionConfiguration,
    ExtendedS3DestinationConfiguration, KinesisStreamSourceConfiguration, KmsEncryptionConfig,
};
use tokio_util::sync::CancellationToken;

use super::error::{InitError, Service};
use super::plan::DeliverySpec;
use super::seen::{DeliveryStatus, SeenDelivery, SeenSource};
use super::until_ready;
use crate::aws::{AwsError, Failure};
use crate::retry::{RetryPolicy, retry};

/// A delivery stream is made within a minute or two.
const ACTIVE_DEADLINE: Duration = Duration::from_mins(5);
/// How the names of its objects end, so that readers know what they are.
const EXTENSION: &str = ".json.gz";

/// Firehose, without the SDK's retries: callers decide by the class of the error.
#[derive(Debug)]
pub(super) struct Firehose {
    client: Client,
    stop: CancellationToken,
}

impl Firehose {
    pub(super) fn new(sdk: &SdkConfig, stop: CancellationToken) -> Self {
        let config = aws_sdk_firehose::config::Builder::from(sdk).retry_config(RetryConfig::disabled()).build();
        Self { client: Client::from_conf(config), stop }
    }

    /// The delivery stream, if it is there.
    pub(super) async fn look(&self, name: &str) -> Result<Option<SeenDelivery>, InitError> {
        let described = retry(RetryPolicy::START_UP, &self.stop, || async {
            let described = self.client.describe_delivery_stream().delivery_stream_name(name).send().await;
            described.map_err(|error| AwsError::new("DescribeDeliveryStream", name, &error))
        });
        match described.await {
            Ok(output) => Ok(output.delivery_stream_description.as_ref().map(seen)),
            Err(error) if error.failure == Failure::NotFound => Ok(None),
            Err(error) => Err(failed("look at", name)(error)),
        }
    }

    /// Creates the delivery stream unless it is there, and waits until it is usable. `kinesis` is the ARN of its source, if it has one.
    pub(super) async fn create(&self, name: &str, spec: &DeliverySpec, kinesis: Option<&str>) -> Result<(), InitError> {
        let created = retry(RetryPolicy::START_UP, &self.stop, || self.send_create(name, spec, kinesis)).await;
        created.map_err(failed("create", name))?;
        self.await_active(name).await
    }

    async fn send_create(&self, name: &str, spec: &DeliverySpec, kinesis: Option<&str>) -> Result<(), AwsError> {
        let invalid = |error: BuildError| AwsError::of("CreateDeliveryStream", Failure::Invalid, error.to_string());
        let source =
            kinesis.map(|arn| KinesisStreamSourceConfiguration::builder().kinesis_stream_arn(arn).role_arn(&spec.role_arn).build());
        let kind = if source.is_some() { DeliveryStreamType::KinesisStreamAsSource } else { DeliveryStreamType::DirectPut };
        let request = self
            .client
            .create_delivery_stream()
            .delivery_stream_name(name)
            .delivery_stream_type(kind)
            .set_kinesis_stream_source_configuration(source.transpose().map_err(invalid)?)
            .extended_s3_destination_configuration(destination(spec).map_err(invalid)?);
        match request.send().await {
            Ok(_) => Ok(()),
            // Somebody else was faster, or an attempt took effect without our hearing of it.
            Err(error) if error.as_service_error().is_some_and(CreateDeliveryStreamError::is_resource_in_use_exception) => Ok(()),
            Err(error) => Err(AwsError::new("CreateDeliveryStream", name, &error)),
        }
    }

    /// Waits until the delivery stream is usable.
    pub(super) async fn await_active(&self, name: &str) -> Result<(), InitError> {
        until_ready(&format!("delivery stream {name}"), ACTIVE_DEADLINE, &self.stop, async || match self.look(name).await? {
            Some(SeenDelivery { status: DeliveryStatus::Failed(reason), .. }) => {
                Err(InitError::DeliveryFailed { name: name.to_owned(), reason })
            }
            delivery => Ok(delivery.is_some_and(|delivery| delivery.status == DeliveryStatus::Active)),
        })
        .await
    }
}

fn failed(doing: &str, name: &str) -> impl FnOnce(AwsError) -> InitError {
    InitError::of(Service::Firehose, format!("{doing} delivery stream {name}"))
}

fn destination(spec: &DeliverySpec) -> Result<ExtendedS3DestinationConfiguration, BuildError> {
    let hint = |value: u64| i32::try_from(value).unwrap_or(i32::MAX);
    let hints = BufferingHints::builder().size_in_mbs(hint(spec.buffer_mib)).interval_in_seconds(hint(spec.buffer_seconds)).build();
    let key = spec.kms_key.as_ref().map(|key| KmsEncryptionConfig::builder().awskms_key_arn(key).build()).transpose()?;
    let encryption = key.map(|key| EncryptionConfiguration::builder().kms_encryption_config(key).build());
    ExtendedS3DestinationConfiguration::builder()
        .role_arn(&spec.role_arn)
        .bucket_arn(spec.bucket_arn())
        .prefix(spec.prefix())
        .error_output_prefix(spec.error_prefix())
        .buffering_hints(hints)
        .compression_format(CompressionFormat::Gzip)
        .file_extension(EXTENSION)
        .set_encryption_configuration(encryption)
        .build()
}

fn seen(stream: &DeliveryStreamDescription) -> SeenDelivery {
    let status = match &stream.delivery_stream_status {
        DeliveryStreamStatus::Active => DeliveryStatus::Active,
        DeliveryStreamStatus::Creating => DeliveryStatus::Creating,
        DeliveryStreamStatus::Deleting => DeliveryStatus::Deleting,
        failed => {
            let details = stream.failure_description.as_ref().map(|failure| failure.details.clone());
            DeliveryStatus::Failed(details.unwrap_or_else(|| failed.to_string()))
        }
    };
    let kinesis = || {
        let arn = stream.source.as_ref()?.kinesis_stream_source_description.as_ref()?.kinesis_stream_arn.as_deref()?;
        Some(arn.rsplit('/').next().unwrap_or(arn).to_owned())
    };
    let source = match &stream.delivery_stream_type {
        DeliveryStreamType::DirectPut => SeenSource::DirectPut,
        DeliveryStreamType::KinesisStreamAsSource => SeenSource::Kinesis(kinesis().unwrap_or_default()),
        other => SeenSource::Other(other.to_string()),
    };
    SeenDelivery { status, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::plan::Source;

    fn spec(kms_key: Option<&str>) -> DeliverySpec {
        DeliverySpec {
            source: Source::DirectPut,
            role_arn: "arn:aws-cn:iam::111122223333:role/firehose".to_owned(),
            bucket: "lake".to_owned(),
            folder: "orders".to_owned(),
            buffer_mib: 5,
            buffer_seconds: 60,
            kms_key: kms_key.map(str::to_owned),
        }
    }

    #[test]
    fn the_destination_is_gzip_in_the_bucket_of_the_role_s_partition() {
        let destination = destination(&spec(None)).unwrap();
        assert_eq!(destination.bucket_arn, "arn:aws-cn:s3:::lake");
        assert_eq!(
            (destination.compression_format, destination.file_extension.as_deref()),
            (Some(CompressionFormat::Gzip), Some(".json.gz"))
        );
        let hints = destination.buffering_hints.unwrap();
        assert_eq!((hints.size_in_mbs, hints.interval_in_seconds), (Some(5), Some(60)));
        assert_eq!(destination.encryption_configuration, None);
    }

    #[test]
    fn the_lake_s_key_encrypts_what_firehose_writes() {
        let encryption = destination(&spec(Some("arn:aws:kms:x:1:key/k"))).unwrap().encryption_configuration.unwrap();
        assert_eq!(encryption.kms_encryption_config.unwrap().awskms_key_arn, "arn:aws:kms:x:1:key/k");
    }
}
