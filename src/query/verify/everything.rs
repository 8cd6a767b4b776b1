//! The comparison of all keys: both sides are spilled as digests, then compared bucket by bucket.

use std::path::Path;

use futures::TryStreamExt;

use super::report::Tally;
use super::rows::LakeRows;
use super::spill::{self, Outcome, Spill};
use super::{VerifyError, VerifyOptions, VerifyProgress, digest, item_of, key_of};
use crate::query::{QueryError, Session};
use crate::table;

/// Compares the whole table with the lake's whole state.
pub(super) async fn compare(
    dynamo: &aws_sdk_dynamodb::Client,
    session: &Session,
    options: &VerifyOptions,
    progress: &impl Fn(VerifyProgress),
    mut tally: Tally,
) -> Result<Tally, VerifyError> {
    let directory = options.spill_directory.clone().unwrap_or_else(std::env::temp_dir);
    let spilling = |source| VerifyError::Spill { directory: directory.clone(), source };
    let room = tempfile::Builder::new().prefix("headwater-verify-").tempdir_in(&directory).map_err(spilling)?;

    // The table first: what the lake lags behind has the time of the scan to land.
    let table = spill_table(dynamo, session, &room.path().join("table"), &spilling, progress).await?;
    let lake = spill_lake(session, &room.path().join("lake"), table.rows(), &spilling, progress).await?;

    progress(VerifyProgress::Compare);
    let (schema, memory) = (session.schema().clone(), options.memory);
    let compared = tokio::task::spawn_blocking(move || {
        spill::compare(table, lake, memory, &mut |outcome| match outcome {
            Outcome::Same => tally.counts.matched += 1,
            Outcome::Differs(kind, key) => tally.doubts(&schema, kind, key),
        })?;
        Ok(tally)
    });
    compared.await.map_err(std::io::Error::other).flatten().map_err(spilling)
}

async fn spill_table(
    dynamo: &aws_sdk_dynamodb::Client,
    session: &Session,
    directory: &Path,
    spilling: &impl Fn(std::io::Error) -> VerifyError,
    progress: &impl Fn(VerifyProgress),
) -> Result<Spill, VerifyError> {
    let schema = session.schema();
    let about = table::item_count(dynamo, &schema.table).await?;
    let mut spill = Spill::create(directory).map_err(spilling)?;
    table::scan(dynamo, &schema.table, |page| {
        for attributes in &page {
            let item = item_of(schema, attributes)?;
            spill.push(&key_of(schema, &item)?, digest::of_item(&item)).map_err(spilling)?;
        }
        progress(VerifyProgress::Table { rows: spill.rows(), about });
        Ok::<_, VerifyError>(())
    })
    .await?;
    Ok(spill)
}

async fn spill_lake(
    session: &Session,
    directory: &Path,
    about: u64,
    spilling: &impl Fn(std::io::Error) -> VerifyError,
    progress: &impl Fn(VerifyProgress),
) -> Result<Spill, VerifyError> {
    let mut spill = Spill::create(directory).map_err(spilling)?;
    let current = session.view("current").await?;
    let mut batches = current.execute_stream().await.map_err(QueryError::Run)?;
    while let Some(batch) = batches.try_next().await.map_err(QueryError::Run)? {
        LakeRows::of(session.schema(), &batch).items(|key, item| spill.push(&key, digest::of_item(item)).map_err(spilling))?;
        progress(VerifyProgress::Lake { rows: spill.rows(), about });
    }
    Ok(spill)
}
