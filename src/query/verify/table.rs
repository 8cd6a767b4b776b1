//! The table's side: items of DynamoDB, read consistently.

use std::collections::HashMap;
use std::error::Error;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::scan::{ScanError, ScanOutput};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use aws_smithy_types::retry::ErrorKind;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::VerifyError;
use super::keys::Key;
use crate::contract::TableSchema;
use crate::event::{Item, Value};

/// Keys in one BatchGetItem, DynamoDB's limit.
const BATCH_KEYS: usize = 100;

pub(super) type Attributes = HashMap<String, AttributeValue>;

/// How many items the table is said to have.
pub(super) async fn item_count(dynamo: &Client, table: &str) -> Result<u64, VerifyError> {
    let described = dynamo.describe_table().table_name(table).send().await;
    let described = described.map_err(|error| refused(format!("describe table '{table}'"), error))?;
    Ok(described.table.and_then(|table| table.item_count).and_then(|count| count.try_into().ok()).unwrap_or(0))
}
