//! The table's stream and the lease tables, on the AWS SDK.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::{StreamSpecification, StreamViewType, TableDescription, TableStatus};
use aws_sdk_dynamodbstreams::types::StreamStatus;
use tokio_util::sync::CancellationToken;

use super::error::{InitError, Service};
use super::seen::{SeenLeases, SeenTable};
use super::until_ready;
use crate::aws::{AwsError, Failure};
use crate::lease::table::LeaseTable;
use crate::retry::{RetryPolicy, retry};
use crate::stream::View;

/// A stream is enabled within seconds.
const ENABLING_DEADLINE: Duration = Duration::from_mins(3);

/// DynamoDB, without the SDK's retries: callers decide by the class of the error.
#[derive(Debug)]
pub(super) struct Tables {
    sdk: SdkConfig,
    tables: aws_sdk_dynamodb::Client,
    streams: aws_sdk_dynamodbstreams::Client,
    stop: CancellationToken,
}

impl Tables {
    pub(super) fn new(sdk: &SdkConfig, stop: CancellationToken) -> Self {
        let tables = aws_sdk_dynamodb::config::Builder::from(sdk).retry_config(RetryConfig::disabled()).build();
        let streams = aws_sdk_dynamodbstreams::config::Builder::from(sdk).retry_config(RetryConfig::disabled()).build();
        Self {
            sdk: sdk.clone(),
            tables: aws_sdk_dynamodb::Client::from_conf(tables),
            streams: aws_sdk_dynamodbstreams::Client::from_conf(streams),
            stop,
        }
    }

    /// The stream of a table; none when there is no such table.
    pub(super) async fn stream(&self, table: &str) -> Result<Option<SeenTable>, InitError> {
        let doing = || InitError::of(Service::DynamoDb, format!("look at table {table}"));
        let Some(described) = self.describe(table).await.map_err(doing())? else { return Ok(None) };
        let Some(arn) = described.latest_stream_arn() else { return Ok(Some(SeenTable::NoStream)) };
        let Some(specification) = described.stream_specification().filter(|specification| specification.stream_enabled) else {
            return Ok(Some(SeenTable::Disabled));
        };
        let view = match &specification.stream_view_type {
            Some(StreamViewType::NewAndOldImages) => View::NewAndOldImages,
            Some(StreamViewType::NewImage) => View::NewImage,
            Some(StreamViewType::OldImage) => View::OldImage,
            Some(StreamViewType::KeysOnly) => View::KeysOnly,
            _ => View::Unknown,
        };
        let ready = retry(RetryPolicy::START_UP, &self.stop, || self.is_enabled(arn)).await.map_err(doing())?;
        Ok(Some(SeenTable::Stream { view, ready }))
    }

    async fn is_enabled(&self, arn: &str) -> Result<bool, AwsError> {
        let described = self.streams.describe_stream().stream_arn(arn).limit(1).send().await;
        match described.map_err(|error| AwsError::new("DescribeStream", arn, &error)) {
            Ok(output) => Ok(output.stream_description.and_then(|stream| stream.stream_status) == Some(StreamStatus::Enabled)),
            // A new stream may not be known at once.
            Err(error) if error.failure == Failure::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Enables a stream of both images, and waits until it is.
    pub(super) async fn enable_stream(&self, table: &str) -> Result<(), InitError> {
        let enabled = retry(RetryPolicy::START_UP, &self.stop, || self.update(table)).await;
        if let Err(error) = enabled {
            // Somebody else was faster, or an attempt took effect without our hearing of it.
            let now = self.stream(table).await?;
            if !matches!(now, Some(SeenTable::Stream { view: View::NewAndOldImages, .. })) {
                return Err(InitError::of(Service::DynamoDb, format!("enable a stream on table {table}"))(error));
            }
        }
        self.await_stream(table).await
    }

    async fn update(&self, table: &str) -> Result<(), AwsError> {
        let specification = StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewAndOldImages).build();
        let specification = specification.map_err(|error| AwsError::of("UpdateTable", Failure::Invalid, error.to_string()))?;
        let updated = self.tables.update_table().table_name(table).stream_specification(specification).send().await;
        updated.map(drop).map_err(|error| AwsError::new("UpdateTable", table, &error))
    }

    /// Waits until the table's stream is enabled.
    pub(super) async fn await_stream(&self, table: &str) -> Result<(), InitError> {
        let what = format!("the stream of table {table}");
        until_ready(&what, ENABLING_DEADLINE, &self.stop, async || {
            Ok(matches!(self.stream(table).await?, Some(SeenTable::Stream { ready: true, .. })))
        })
        .await
    }

    /// A table in the place of a lease table.
    pub(super) async fn leases(&self, name: &str) -> Result<Option<SeenLeases>, InitError> {
        let described = self.describe(name).await.map_err(InitError::of(Service::DynamoDb, format!("look at lease table {name}")))?;
        Ok(described.map(|table| SeenLeases {
            keys: table.key_schema().iter().map(|key| key.attribute_name.clone()).collect(),
            ready: matches!(table.table_status, Some(TableStatus::Active | TableStatus::Updating)),
        }))
    }

    /// Creates a lease table unless it is there, and waits until it is usable.
    pub(super) async fn ensure_leases(&self, name: &str) -> Result<(), InitError> {
        let table = LeaseTable::new(&self.sdk, name, self.stop.clone());
        table.ensure(true).await.map_err(InitError::of(Service::DynamoDb, format!("create lease table {name}")))
    }

    async fn describe(&self, table: &str) -> Result<Option<TableDescription>, AwsError> {
        let described = retry(RetryPolicy::START_UP, &self.stop, || async {
            let described = self.tables.describe_table().table_name(table).send().await;
            described.map_err(|error| AwsError::new("DescribeTable", table, &error))
        });
        match described.await {
            Ok(output) => Ok(output.table),
            Err(error) if error.failure == Failure::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
