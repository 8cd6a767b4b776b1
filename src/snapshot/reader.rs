//! The table on the AWS SDK, as snapshots read it: a call a page, without the SDK's retries.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnConsumedCapacity};
use bytes::Bytes;

use super::page::half_units;
use crate::aws::{AwsError, Failure};
use crate::clock::ServiceClock;
use crate::contract::TableSchema;
use crate::stream::body::{ReadDate, TakeBody, TakenBody};
use crate::table::{self, Attributes};

/// Reads one table.
#[derive(Debug, Clone)]
pub struct TableReader {
    client: Client,
    table: String,
}

/// What DescribeTable says that snapshots need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableFacts {
    /// What tells the table from one of the same name that was deleted, or is elsewhere; none where the service has no such thing.
    pub(super) id: Option<String>,
    /// The table's size, as of a few hours ago.
    pub(super) bytes: u64,
    /// The read capacity units that it is provisioned with; none where it is billed on demand.
    pub(super) read_units: Option<u64>,
}

/// What a Query asks for.
#[derive(Debug, Clone)]
pub(super) struct KeyCondition {
    pub(super) expression: String,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

/// How a page is read.
#[derive(Debug, Clone)]
pub(super) struct Paging {
    pub(super) consistent: bool,
    pub(super) after: Option<Attributes>,
    pub(super) most: Option<u32>,
}

/// Items by their keys.
pub(super) struct Got {
    pub(super) items: Vec<Attributes>,
    pub(super) half_units: u64,
    /// Keys that the service has put off.
    pub(super) left: Vec<Attributes>,
}

impl TableReader {
    /// A reader of `table`. Every answer sets `clock`.
    pub fn new(config: &SdkConfig, table: impl Into<String>, clock: ServiceClock) -> Self {
        let config = aws_sdk_dynamodb::config::Builder::from(config).retry_config(RetryConfig::disabled());
        Self { client: Client::from_conf(config.interceptor(ReadDate::new(clock)).build()), table: table.into() }
    }

    /// DescribeTable.
    pub(super) async fn facts(&self) -> Result<TableFacts, AwsError> {
        let output = self.client.describe_table().table_name(&self.table).send().await;
        let output = output.map_err(|error| AwsError::new("DescribeTable", &self.table, &error))?;
        let table = output.table.ok_or_else(|| AwsError::of("DescribeTable", Failure::Invalid, "the response describes no table"))?;
        let read_units = table.provisioned_throughput.and_then(|provisioned| provisioned.read_capacity_units);
        Ok(TableFacts {
            id: table.table_id,
            bytes: table.table_size_bytes.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default(),
            // Zero is what tables on demand have.
            read_units: read_units.and_then(|units| units.try_into().ok()).filter(|units| *units > 0),
        })
    }

    /// Scan of one of so many segments: the body as it came.
    pub(super) async fn scan(&self, segment: u32, of: u32, paging: &Paging) -> Result<Bytes, AwsError> {
        let body = TakenBody::default();
        let parallel = (of > 1).then_some((segment, of));
        self.client
            .scan()
            .table_name(&self.table)
            .set_segment(parallel.and_then(|(segment, _)| segment.try_into().ok()))
            .set_total_segments(parallel.and_then(|(_, of)| of.try_into().ok()))
            .consistent_read(paging.consistent)
            .set_exclusive_start_key(paging.after.clone())
            .set_limit(paging.limit())
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .customize()
            .interceptor(TakeBody(body.clone()))
            .send()
            .await
            .map_err(|error| AwsError::new("Scan", &self.table, &error))?;
        body.read("Scan").await
    }

    /// Query: the body as it came.
    pub(super) async fn query(&self, condition: &KeyCondition, paging: &Paging) -> Result<Bytes, AwsError> {
        let body = TakenBody::default();
        self.client
            .query()
            .table_name(&self.table)
            .key_condition_expression(&condition.expression)
            .set_expression_attribute_names(Some(condition.names.clone()))
            .set_expression_attribute_values(Some(condition.values.clone()))
            .consistent_read(paging.consistent)
            .set_exclusive_start_key(paging.after.clone())
            .set_limit(paging.limit())
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .customize()
            .interceptor(TakeBody(body.clone()))
            .send()
            .await
            .map_err(|error| AwsError::new("Query", &self.table, &error))?;
        body.read("Query").await
    }

    /// BatchGetItem of up to a hundred different keys.
    pub(super) async fn get(&self, keys: Vec<Attributes>, consistent: bool) -> Result<Got, AwsError> {
        let malformed = |error: aws_sdk_dynamodb::error::BuildError| AwsError::of("BatchGetItem", Failure::Invalid, error.to_string());
        let request = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(consistent).build().map_err(malformed)?;
        let get = self.client.batch_get_item().request_items(&self.table, request);
        let answer = get.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        let answer = answer.map_err(|error| AwsError::new("BatchGetItem", &self.table, &error))?;
        let consumed = answer.consumed_capacity.unwrap_or_default();
        Ok(Got {
            items: answer.responses.unwrap_or_default().into_values().flatten().collect(),
            half_units: consumed.iter().map(|consumed| half_units(consumed.capacity_units.unwrap_or_default())).sum(),
            left: answer.unprocessed_keys.unwrap_or_default().into_values().flat_map(|left| left.keys).collect(),
        })
    }

    /// Whether the service does not divide a Scan into segments.
    pub(super) async fn ignores_segments(&self, schema: &TableSchema) -> Result<bool, AwsError> {
        table::ignores_segments(&self.client, schema).await
    }
}

impl Paging {
    fn limit(&self) -> Option<i32> {
        self.most.map(|most| i32::try_from(most).unwrap_or(i32::MAX).max(1))
    }
}
