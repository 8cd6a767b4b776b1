//! Keys that differed at first, read again on both sides until they settle.
//!
//! A write between the two readings, or a change that has not landed yet, makes a key differ though nothing is wrong. A key has settled
//! when the lake's row is one that the table was seen to hold in this phase: for a key that is written all the time, the two sides may
//! never be equal at one instant, because the lake lags.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use datafusion::prelude::{ident, lit};
use futures::TryStreamExt;
use tokio::time::Instant;

use super::digest::{self, Digest};
use super::report::{Kind, Tally};
use super::rows::LakeRows;
use super::{VerifyError, VerifyOptions, VerifyProgress, item_of, key_of};
use crate::event::{Item, Value, restore};
use crate::query::{QueryError, Session};
use crate::table::{self, Attributes, Key};

/// The first pause between two rounds; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause: every round reads the lake.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A key that has not settled.
struct Candidate {
    key: Key,
    /// What the table was seen to hold; `None` is no item. Grows by at most one a round.
    seen: Vec<Option<Digest>>,
}

/// What a round showed of the candidates.
#[derive(Default)]
struct Round {
    table: HashMap<Key, Digest>,
    lake: HashMap<Key, Digest>,
    /// Which attributes differ, of the keys that the report would show.
    differing: HashMap<Key, Vec<String>>,
}

/// Reads the doubtful keys again until they have settled or the deadline has passed, and adds the outcome to the tally.
pub(super) async fn settle(
    dynamo: &Client,
    session: &Session,
    options: &VerifyOptions,
    progress: &impl Fn(VerifyProgress),
    tally: &mut Tally,
) -> Result<(), VerifyError> {
    let mut keys = std::mem::take(&mut tally.doubtful);
    tally.counts.rechecked = keys.len() as u64;
    keys.sort();
    let deadline = Instant::now() + options.deadline;
    let mut pause = FIRST_PAUSE;
    let mut open: Vec<Candidate> = keys.into_iter().map(|key| Candidate { key, seen: Vec::new() }).collect();
    while !open.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        progress(VerifyProgress::Recheck { open: open.len() as u64, left });
        let round = look(dynamo, session, &open, options.examples).await?;
        open.retain_mut(|candidate| {
            let in_table = round.table.get(&candidate.key).copied();
            if !candidate.seen.contains(&in_table) {
                candidate.seen.push(in_table);
            }
            let in_lake = round.lake.get(&candidate.key).copied();
            let settled = candidate.seen.contains(&in_lake);
            tally.counts.matched += u64::from(settled && in_lake.is_some());
            tally.counts.absent += u64::from(settled && in_lake.is_none());
            !settled
        });
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            conclude(session, &open, round, tally);
            return Ok(());
        }
        if !open.is_empty() {
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
    Ok(())
}

/// Counts what has not settled.
fn conclude(session: &Session, open: &[Candidate], mut round: Round, tally: &mut Tally) {
    for candidate in open {
        let kind = match (round.table.get(&candidate.key), round.lake.get(&candidate.key)) {
            (Some(_), None) => Kind::Missing,
            (None, Some(_)) => Kind::Extra,
            // Absent from both sides is a state that both share, so it has settled.
            (Some(_), Some(_)) | (None, None) => Kind::Different,
        };
        let columns = round.differing.remove(&candidate.key).unwrap_or_default();
        tally.concludes(session.schema(), kind, &candidate.key, columns);
    }
}

/// Reads the candidates on both sides, the table first: the lake follows it.
async fn look(dynamo: &Client, session: &Session, open: &[Candidate], examples: usize) -> Result<Round, VerifyError> {
    let schema = session.schema();
    let mut round = Round::default();
    let mut shown: HashMap<Key, Attributes> = HashMap::new();
    let keys: Vec<&Key> = open.iter().map(|candidate| &candidate.key).collect();
    for (index, keys) in keys.chunks(table::BATCH_KEYS).enumerate() {
        for attributes in table::get(dynamo, schema, keys).await? {
            let item = item_of(schema, &attributes)?;
            let key = key_of(schema, &item)?;
            round.table.insert(key.clone(), digest::of_item(&item));
            let first = open.iter().take(examples).skip(index * table::BATCH_KEYS);
            if first.take(table::BATCH_KEYS).any(|candidate| candidate.key == key) {
                shown.insert(key, attributes);
            }
        }
    }
    session.refresh().await?;
    let wanted: HashSet<&Key> = keys.iter().copied().collect();
    let mut batches = current_of(session, &keys).await?;
    while let Some(batch) = batches.try_next().await.map_err(QueryError::Run)? {
        LakeRows::of(schema, &batch).items(|key, item| {
            if !wanted.contains(&key) {
                return Ok(());
            }
            round.lake.insert(key.clone(), digest::of_item(item));
            if let Some(attributes) = shown.get(&key) {
                let mut names = Vec::new();
                differing("", &item_of(schema, attributes)?, item, &mut names);
                round.differing.insert(key, names);
            }
            Ok(())
        })?;
    }
    Ok(round)
}

/// The rows of `current` with these partition keys: a predicate on the key reaches the scan of the lake's objects.
async fn current_of(session: &Session, keys: &[&Key]) -> Result<datafusion::execution::SendableRecordBatchStream, QueryError> {
    let current = session.view("current").await?;
    let Some(partition) = session.schema().keys.first() else {
        return current.execute_stream().await.map_err(QueryError::Run);
    };
    let mut texts: Vec<&str> = keys.iter().map(|key| key.partition()).collect();
    texts.dedup();
    let among = ident(&partition.column).in_list(texts.into_iter().map(lit).collect(), false);
    current.filter(among).map_err(QueryError::Plan)?.execute_stream().await.map_err(QueryError::Run)
}

/// The names of attributes that differ, those of a map's fields behind the map's name and a dot. Sorted at each level.
fn differing(prefix: &str, table: &Item<'_>, lake: &Item<'_>, names: &mut Vec<String>) {
    let mut all: Vec<&str> = table.iter().chain(lake.iter()).map(|(name, _)| name).collect();
    all.sort_unstable();
    all.dedup();
    for name in all {
        match (table.get(name), lake.get(name)) {
            (Some(Value::M(in_table)), Some(Value::M(in_lake))) => differing(&format!("{prefix}{name}."), in_table, in_lake, names),
            (Some(in_table), Some(in_lake)) if canonical(in_table) == canonical(in_lake) => {}
            _ => names.push(format!("{prefix}{name}")),
        }
    }
}

fn canonical(value: &Value<'_>) -> String {
    restore::canonical_item(&Item(vec![("".into(), value.clone())]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(digits: &'static str) -> Value<'static> {
        Value::N(digits.into())
    }

    #[test]
    fn differing_attributes_are_named_by_path() {
        let address = |zip| Value::M(Item(vec![("city".into(), Value::S("Ulm".into())), ("zip".into(), zip)]));
        let table = Item(vec![("price".into(), n("1.50")), ("address".into(), address(n("1"))), ("new".into(), Value::Null)]);
        let lake = Item(vec![("address".into(), address(n("2"))), ("price".into(), n("1.5")), ("old".into(), Value::Bool(true))]);
        let mut names = Vec::new();
        differing("", &table, &lake, &mut names);
        assert_eq!(names, ["address.zip", "new", "old"], "1.50 and 1.5 are one number");
    }
}
