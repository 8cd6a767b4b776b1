//! The Kinesis stream, on the AWS SDK.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::operation::create_stream::CreateStreamError;
use aws_sdk_kinesis::types::{RecordDistributionStrategy, StreamDescriptionSummary, StreamMode, StreamModeDetails, StreamStatus};
use tokio_util::sync::CancellationToken;

use super::error::{InitError, Service};
use super::plan::KinesisSpec;
use super::seen::{KinesisStatus, SeenKinesis};
use super::until_ready;
use crate::aws::{AwsError, Failure};
use crate::retry::{RetryPolicy, retry};

/// A stream is made within a minute; one with many shards takes longer.
const ACTIVE_DEADLINE: Duration = Duration::from_mins(5);
/// The largest record of a stream that does not say it, in KiB.
const RECORD_KIB: u32 = 1024;

/// Kinesis, without the SDK's retries: callers decide by the class of the error.
#[derive(Debug)]
pub(super) struct Kinesis {
    client: Client,
    stop: CancellationToken,
}

impl Kinesis {
    pub(super) fn new(sdk: &SdkConfig, stop: CancellationToken) -> Self {
        let config = aws_sdk_kinesis::config::Builder::from(sdk).retry_config(RetryConfig::disabled()).build();
        Self { client: Client::from_conf(config), stop }
    }

    /// The stream, if it is there.
    pub(super) async fn look(&self, stream: &str) -> Result<Option<SeenKinesis>, InitError> {
        let described = self.describe(stream).await.map_err(failed("look at", stream))?;
        Ok(described.as_ref().map(seen))
    }

    /// The ARN of a stream that is there.
    pub(super) async fn arn(&self, stream: &str) -> Result<String, InitError> {
        let described = self.describe(stream).await.and_then(|described| {
            let gone = || AwsError::of("DescribeStreamSummary", Failure::NotFound, format!("stream {stream} is not there any more"));
            Ok(described.ok_or_else(gone)?.stream_arn)
        });
        described.map_err(failed("look at", stream))
    }

    /// Creates the stream unless it is there, and waits until it is usable.
    pub(super) async fn create(&self, stream: &str, spec: KinesisSpec) -> Result<(), InitError> {
        retry(RetryPolicy::START_UP, &self.stop, || self.send_create(stream, spec)).await.map_err(failed("create", stream))?;
        self.await_active(stream).await
    }

    async fn send_create(&self, stream: &str, spec: KinesisSpec) -> Result<(), AwsError> {
        let invalid = |problem: String| AwsError::of("CreateStream", Failure::Invalid, problem);
        let shards = spec.shards.map(i32::try_from).transpose().map_err(|_| invalid("kinesis.shards is too large".to_owned()))?;
        let mode = if shards.is_some() { StreamMode::Provisioned } else { StreamMode::OnDemand };
        let mode = StreamModeDetails::builder().stream_mode(mode).build().map_err(|error| invalid(error.to_string()))?;
        let request = self
            .client
            .create_stream()
            .stream_name(stream)
            .stream_mode_details(mode)
            .set_shard_count(shards)
            .set_max_record_size_in_kib(spec.record_kib.and_then(|kib| i32::try_from(kib).ok()));
        match request.send().await {
            Ok(_) => Ok(()),
            // Somebody else was faster, or an attempt took effect without our hearing of it.
            Err(error) if error.as_service_error().is_some_and(CreateStreamError::is_resource_in_use_exception) => Ok(()),
            Err(error) => Err(AwsError::new("CreateStream", stream, &error)),
        }
    }

    /// Lets the stream take records of up to `kib` KiB, and waits until it does.
    pub(super) async fn raise_record_size(&self, stream: &str, kib: u32) -> Result<(), InitError> {
        // A stream that is changing takes no second change.
        self.await_active(stream).await?;
        let arn = self.arn(stream).await?;
        let size = i32::try_from(kib).unwrap_or(i32::MAX);
        let raised = retry(RetryPolicy::START_UP, &self.stop, || async {
            let update = self.client.update_max_record_size().stream_arn(&arn).max_record_size_in_kib(size);
            update.send().await.map(drop).map_err(|error| AwsError::new("UpdateMaxRecordSize", stream, &error))
        });
        raised.await.map_err(failed("raise the largest record of", stream))?;
        self.wait(stream, |seen| seen.status == KinesisStatus::Active && seen.record_kib >= kib).await
    }

    /// Waits until the stream is usable.
    pub(super) async fn await_active(&self, stream: &str) -> Result<(), InitError> {
        self.wait(stream, |seen| seen.status == KinesisStatus::Active).await
    }

    async fn wait(&self, stream: &str, ready: impl Fn(&SeenKinesis) -> bool) -> Result<(), InitError> {
        let what = format!("Kinesis stream {stream}");
        until_ready(&what, ACTIVE_DEADLINE, &self.stop, async || Ok(self.look(stream).await?.is_some_and(|seen| ready(&seen)))).await
    }

    async fn describe(&self, stream: &str) -> Result<Option<StreamDescriptionSummary>, AwsError> {
        let described = retry(RetryPolicy::START_UP, &self.stop, || async {
            let described = self.client.describe_stream_summary().stream_name(stream).send().await;
            described.map_err(|error| AwsError::new("DescribeStreamSummary", stream, &error))
        });
        match described.await {
            Ok(output) => Ok(output.stream_description_summary),
            Err(error) if error.failure == Failure::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn failed(doing: &str, stream: &str) -> impl FnOnce(AwsError) -> InitError {
    InitError::of(Service::Kinesis, format!("{doing} Kinesis stream {stream}"))
}

fn seen(stream: &StreamDescriptionSummary) -> SeenKinesis {
    let mode = stream.stream_mode_details.as_ref().map(|details| &details.stream_mode);
    SeenKinesis {
        status: match stream.stream_status {
            StreamStatus::Active => KinesisStatus::Active,
            StreamStatus::Deleting => KinesisStatus::Deleting,
            _ => KinesisStatus::Changing,
        },
        on_demand: mode == Some(&StreamMode::OnDemand),
        open_shards: u32::try_from(stream.open_shard_count).unwrap_or_default(),
        record_kib: stream.max_record_size_in_kib.and_then(|kib| u32::try_from(kib).ok()).unwrap_or(RECORD_KIB),
        ignores_keys: stream.record_distribution_strategy == Some(RecordDistributionStrategy::Auto),
    }
}
