//! The comparison of keys that are drawn by lot, in both directions: items of the table that the lake must have, and rows of the lake's state that the
//! table must have.
//!
//! From the table whole segments of a scan are drawn, which DynamoDB makes by the hash of the partition key: only they are read, and paid for. The
//! lake's state is read once for both, and rows of it are drawn on the way.

mod draw;
mod segments;

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::Client;
use futures::TryStreamExt;

use self::draw::Reservoir;
use self::segments::Drawn;
use super::digest::{self, Digest};
use super::report::{Sampled, Tally};
use super::rows::LakeRows;
use super::scope::SampleSize;
use super::{VerifyError, VerifyProgress, lookup};
use crate::query::{QueryError, Session};
use crate::table::Key;

/// Keys that are looked for in the table in one go: what is found of them is kept until the next.
const CHUNK: usize = 10_000;

/// Keys that were drawn.
pub(super) struct Sample {
    /// Items of the table, and what the lake has of them.
    of_table: HashMap<Key, (Digest, Option<Digest>)>,
    /// From how many places of the table they come.
    places: u64,
    /// Rows of the lake. Those that are also among the table's are compared there.
    of_lake: HashMap<Key, Digest>,
    /// Whether nothing was left out on either side.
    complete: bool,
    /// Keys whose comparison is made elsewhere.
    elsewhere: HashSet<Key>,
}

impl Sample {
    /// Draws keys on both sides: the table first, because the lake follows it.
    pub(super) async fn draw(
        dynamo: &Client,
        session: &Session,
        size: SampleSize,
        progress: &impl Fn(VerifyProgress),
    ) -> Result<Self, VerifyError> {
        let mut lot = fastrand::Rng::new();
        let Drawn { items, places, is_whole } = segments::draw(dynamo, session.schema(), size, &mut lot, progress).await?;
        let mut of_table: HashMap<Key, (Digest, Option<Digest>)> = items.into_iter().map(|(key, item)| (key, (item, None))).collect();

        let mut drawn = Reservoir::of(size);
        let current = session.view("current").await?;
        let mut batches = current.execute_stream().await.map_err(QueryError::Run)?;
        let mut rows = 0;
        while let Some(batch) = batches.try_next().await.map_err(QueryError::Run)? {
            LakeRows::of(session.schema(), &batch).items(|key, item| {
                let row = digest::of_item(item);
                if let Some((_, in_lake)) = of_table.get_mut(&key) {
                    *in_lake = Some(row);
                }
                drawn.offer(&mut lot, (key, row));
                Ok(())
            })?;
            rows += batch.num_rows() as u64;
            // How many there will be, nobody knows.
            progress(VerifyProgress::Lake { rows, about: rows });
        }
        let complete = is_whole && drawn.has_all();
        Ok(Self { of_table, places, of_lake: drawn.into_kept().into_iter().collect(), complete, elsewhere: HashSet::new() })
    }

    /// Leaves the comparison of a key to somebody else. It still counts as drawn.
    pub(super) fn leave(&mut self, key: &Key) {
        if self.of_table.contains_key(key) || self.of_lake.contains_key(key) {
            self.elsewhere.insert(key.clone());
        }
    }

    /// Compares the keys.
    pub(super) async fn compare(self, dynamo: &Client, session: &Session, tally: &mut Tally) -> Result<Sampled, VerifyError> {
        let Self { of_table, places, of_lake, complete, elsewhere } = self;
        let schema = session.schema();
        for (key, (in_table, in_lake)) in of_table.iter().filter(|(key, _)| !elsewhere.contains(*key)) {
            tally.compared(schema, key, Some(in_table), in_lake.as_ref());
        }
        let left: Vec<&Key> = of_lake.keys().filter(|key| !of_table.contains_key(*key) && !elsewhere.contains(*key)).collect();
        for keys in left.chunks(CHUNK) {
            let found = lookup::items(dynamo, schema, keys).await?;
            for key in keys {
                tally.compared(schema, key, found.get(*key), of_lake.get(*key));
            }
        }
        Ok(Sampled { of_table: of_table.len() as u64, places, of_lake: of_lake.len() as u64, complete, at_most_of_a_million: None })
    }
}
