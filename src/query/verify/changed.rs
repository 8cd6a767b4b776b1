//! The comparison of the keys that the lake heard of since its latest complete snapshot of the whole table.
//!
//! For each such key the lake's last word is compared with the item that the table has now. So the table is asked for changed keys alone, and the rows
//! of the snapshot are not read; what did not change since is taken from the snapshot on trust.

use aws_sdk_dynamodb::Client;
use futures::TryStreamExt;

use super::digest::{self, Digest};
use super::report::Tally;
use super::rows::LakeRows;
use super::{VerifyError, VerifyProgress, lookup};
use crate::query::{QueryError, Session};
use crate::table::Key;

/// Compares the changed keys. `seen` is told of each. Returns the id of the snapshot since which they are compared.
pub(super) async fn compare(
    dynamo: &Client,
    session: &Session,
    progress: &impl Fn(VerifyProgress),
    tally: &mut Tally,
    mut seen: impl FnMut(&Key),
) -> Result<String, VerifyError> {
    let schema = session.schema();
    let Some((whole, heard_of)) = session.since_whole().await? else {
        return Err(VerifyError::NoSnapshot { table: schema.table.clone() });
    };
    let mut keys = 0;
    let mut batches = heard_of.execute_stream().await.map_err(QueryError::Run)?;
    while let Some(batch) = batches.try_next().await.map_err(QueryError::Run)? {
        let mut words: Vec<(Key, Option<Digest>)> = Vec::with_capacity(batch.num_rows());
        LakeRows::of(schema, &batch).words(|key, item| {
            words.push((key, item.map(digest::of_item)));
            Ok(())
        })?;
        let wanted: Vec<&Key> = words.iter().map(|(key, _)| key).collect();
        let found = lookup::items(dynamo, schema, &wanted).await?;
        for (key, in_lake) in &words {
            seen(key);
            tally.compared(schema, key, found.get(key), in_lake.as_ref());
        }
        keys += words.len() as u64;
        progress(VerifyProgress::Changed { keys });
    }
    Ok(whole.snapshot_id)
}
