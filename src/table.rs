//! The table itself: its items and keys, read through the SDK.

pub mod key;

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use self::key::{Key, KeyError};
use crate::aws::{AwsError, Failure};
use crate::contract::TableSchema;
use crate::event::{Item, Value};

/// An attribute has a type that is newer than this program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("attribute '{0}' has a type that this version of headwater does not know")]
pub struct UnknownType(pub String);

/// Items could not be read by their keys.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// DynamoDB refused or could not be reached.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// A key cannot be sent.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Keys in one BatchGetItem, DynamoDB's limit.
pub const BATCH_KEYS: usize = 100;

/// An item as the SDK has it.
pub type Attributes = HashMap<String, AttributeValue>;

/// How many items the table is said to have.
pub async fn item_count(dynamo: &Client, table: &str) -> Result<u64, AwsError> {
    let described = dynamo.describe_table().table_name(table).send().await;
    let described = described.map_err(|error| AwsError::new("DescribeTable", table, &error))?;
    Ok(described.table.and_then(|table| table.item_count).and_then(|count| count.try_into().ok()).unwrap_or(0))
}

/// Whether the service gives the whole table for every segment, as DynamoDB Local does: then two segments begin with one key.
pub async fn ignores_segments(dynamo: &Client, schema: &TableSchema) -> Result<bool, AwsError> {
    let first = |segment| async move {
        let scan = dynamo.scan().table_name(&schema.table).limit(1).segment(segment).total_segments(2).send().await;
        let page = scan.map_err(|error| AwsError::new("Scan", &schema.table, &error))?;
        let key = |item: &Attributes| schema.keys.iter().map(|key| item.get(&key.attribute).cloned()).collect::<Vec<_>>();
        Ok::<_, AwsError>(page.items().first().map(key))
    };
    let (zero, one) = (first(0).await?, first(1).await?);
    Ok(zero.is_some() && zero == one)
}

/// Reads the whole table consistently, page by page.
pub async fn scan<E: From<AwsError>>(
    dynamo: &Client,
    table: &str,
    mut each: impl FnMut(Vec<Attributes>) -> Result<(), E>,
) -> Result<(), E> {
    let mut pages = dynamo.scan().table_name(table).consistent_read(true).into_paginator().send();
    while let Some(page) = pages.next().await {
        each(page.map_err(|error| AwsError::new("Scan", table, &error))?.items.unwrap_or_default())?;
    }
    Ok(())
}

/// Reads items consistently by their keys. Keys that the table has not are not among the results.
pub async fn get(dynamo: &Client, schema: &TableSchema, keys: &[&Key]) -> Result<Vec<Attributes>, GetError> {
    let mut found = Vec::new();
    for keys in keys.chunks(BATCH_KEYS) {
        let keys = keys.iter().map(|key| key.attributes(schema)).collect::<Result<Vec<_>, _>>()?;
        let mut pending = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(true)
            .build()
            .map(|request| HashMap::from([(schema.table.clone(), request)]))
            .map_err(|error| AwsError::of("BatchGetItem", Failure::Invalid, error.to_string()))?;
        while !pending.is_empty() {
            let asked: usize = pending.values().map(|request| request.keys.len()).sum();
            let answer = dynamo.batch_get_item().set_request_items(Some(pending)).send().await;
            let answer = answer.map_err(|error| AwsError::new("BatchGetItem", &schema.table, &error))?;
            found.extend(answer.responses.unwrap_or_default().into_values().flatten());
            pending = answer.unprocessed_keys.unwrap_or_default();
            let left: usize = pending.values().map(|request| request.keys.len()).sum();
            if left == asked {
                // DynamoDB raises an error if it could not read a single item, so this is not throttling.
                return Err(AwsError::of("BatchGetItem", Failure::Unavailable, "the service processed no key and raised no error").into());
            }
        }
    }
    Ok(found)
}

/// The item of the SDK's attributes.
pub fn item(attributes: &Attributes) -> Result<Item<'_>, UnknownType> {
    let attributes = attributes.iter().map(|(name, attribute)| match value(attribute) {
        Some(value) => Ok((Cow::Borrowed(name.as_str()), value)),
        None => Err(UnknownType(name.clone())),
    });
    attributes.collect::<Result<_, _>>().map(Item)
}

/// The value of an attribute; `None` if its type is newer than the SDK.
fn value(attribute: &AttributeValue) -> Option<Value<'_>> {
    let texts = |members: &'_ [String]| members.iter().map(|member| Cow::Owned(member.clone())).collect();
    Some(match attribute {
        AttributeValue::S(text) => Value::S(Cow::Borrowed(text)),
        AttributeValue::N(digits) => Value::N(Cow::Borrowed(digits)),
        AttributeValue::B(bytes) => Value::B(Cow::Owned(STANDARD.encode(bytes))),
        AttributeValue::Bool(value) => Value::Bool(*value),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::Ss(members) => Value::Ss(texts(members)),
        AttributeValue::Ns(members) => Value::Ns(texts(members)),
        AttributeValue::Bs(members) => Value::Bs(members.iter().map(|bytes| Cow::Owned(STANDARD.encode(bytes))).collect()),
        AttributeValue::L(values) => Value::L(values.iter().map(value).collect::<Option<_>>()?),
        AttributeValue::M(fields) => {
            let fields = fields.iter().map(|(name, field)| Some((Cow::Borrowed(name.as_str()), value(field)?)));
            Value::M(Item(fields.collect::<Option<_>>()?))
        }
        _ => return None,
    })
}
