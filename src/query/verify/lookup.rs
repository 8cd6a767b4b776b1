//! Items of the table by their keys, as digests.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use futures::{StreamExt, TryStreamExt, stream};

use super::digest::{self, Digest};
use super::{VerifyError, item_of, key_of};
use crate::contract::TableSchema;
use crate::table::{self, Key};

/// Requests in flight: each is answered within milliseconds, and a verification should not starve the table's users.
const AT_ONCE: usize = 4;

/// Reads items consistently. Keys that the table has not are not among the results.
pub(super) async fn items(dynamo: &Client, schema: &TableSchema, keys: &[&Key]) -> Result<HashMap<Key, Digest>, VerifyError> {
    let requests: Vec<_> = keys.chunks(table::BATCH_KEYS).map(|keys| batch(dynamo, schema, keys)).collect();
    let batches: Vec<_> = stream::iter(requests).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(batches.into_iter().flatten().collect())
}

async fn batch(dynamo: &Client, schema: &TableSchema, keys: &[&Key]) -> Result<Vec<(Key, Digest)>, VerifyError> {
    let found = table::get(dynamo, schema, keys).await?;
    let digests = found.iter().map(|attributes| {
        let item = item_of(schema, attributes)?;
        Ok((key_of(schema, &item)?, digest::of_item(&item)))
    });
    digests.collect()
}
