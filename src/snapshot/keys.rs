//! Rows by a list of keys: an object of the lake with an array of texts a line, a line for each key. A cursor is a number of lines.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::{ObjectStoreExt, PutPayload};
use tokio_util::sync::CancellationToken;

use super::reader::TableReader;
use super::source::{Cursor, Row, RowPage, RowSource, SourceError};
use crate::aws::{AwsError, Failure};
use crate::contract::TableSchema;
use crate::lake::{Lake, LakeError, LakeStore, Layout, Problem};
use crate::retry::{RetryPolicy, Transient, retry};
use crate::table::{self, Attributes, BATCH_KEYS, Key};

/// Items of listed keys.
pub(super) struct Keys {
    reader: TableReader,
    schema: Arc<TableSchema>,
    consistent: bool,
    listed: Vec<Key>,
}

/// Writes the list of keys that a snapshot is to read. May be repeated.
pub(super) async fn write(store: &LakeStore, table: &str, snapshot: &str, keys: &[Key]) -> Result<(), LakeError> {
    let location = Layout::new(&store.prefix, table).wanted_keys(snapshot);
    let doing = || format!("write {}", store.describe(&location));
    let mut lines = Vec::new();
    for key in keys {
        serde_json::to_writer(&mut lines, key.texts()).map_err(|error| LakeError::new(doing(), Problem::Other(error.to_string())))?;
        lines.push(b'\n');
    }
    let payload = PutPayload::from(lines);
    let put = || async {
        let put = store.store.put(&location, payload.clone()).await;
        put.map(|_| ()).map_err(|error| LakeError::from_store(doing(), error))
    };
    retry(RetryPolicy::COMMIT, &CancellationToken::new(), put).await
}

impl Keys {
    /// Reads the list of a snapshot.
    pub(super) async fn open(reader: TableReader, lake: &Lake, consistent: bool, snapshot: &str) -> Result<Self, SourceError> {
        let location = lake.layout().wanted_keys(snapshot);
        let doing = || format!("read the keys of the snapshot, {}", lake.store().describe(&location));
        let read = async { lake.store().store.get(&location).await?.bytes().await };
        let list = read.await.map_err(|error| {
            let error = LakeError::from_store(doing(), error);
            let problem = error.problem.to_string();
            if error.is_transient() {
                SourceError::Unavailable { doing: doing(), problem }
            } else {
                SourceError::Broken { doing: doing(), problem }
            }
        })?;
        let keys = parse(&list, lake.schema().keys.len()).map_err(|problem| SourceError::Broken { doing: doing(), problem })?;
        Ok(Self { reader, schema: Arc::clone(lake.schema()), consistent, listed: keys })
    }

    /// Items of these keys, by key.
    async fn get(&self, keys: &[Key]) -> Result<(HashMap<Key, Attributes>, u64), SourceError> {
        let broken = |error: &dyn std::fmt::Display| SourceError::Broken {
            doing: "read items by their keys".to_owned(),
            problem: format!("{error}: the list and the table's schema disagree"),
        };
        let mut left =
            keys.iter().map(|key| key.attributes(&self.schema)).collect::<Result<Vec<_>, _>>().map_err(|error| broken(&error))?;
        let (mut found, mut half_units) = (HashMap::new(), 0);
        while !left.is_empty() {
            let asked = left.len();
            let got = self.reader.get(left, self.consistent).await?;
            half_units += got.half_units;
            for attributes in got.items {
                // The key alone: whatever else the item has is looked at when it becomes a row.
                let own = self.schema.keys.iter().filter_map(|key| attributes.get_key_value(&key.attribute));
                let own: Attributes = own.map(|(name, value)| (name.clone(), value.clone())).collect();
                let item = table::item(&own).map_err(|error| broken(&error))?;
                let key = Key::of_item(&self.schema, &item).map_err(|error| broken(&error))?;
                found.insert(key, attributes);
            }
            left = got.left;
            if left.len() == asked {
                return Err(AwsError::of("BatchGetItem", Failure::Throttled, "the service put off every key").into());
            }
        }
        Ok((found, half_units))
    }
}

#[async_trait]
impl RowSource for Keys {
    async fn page(&self, _: u32, after: Option<&Cursor>, most: Option<u32>) -> Result<Box<dyn RowPage>, SourceError> {
        let start = after.map_or(Ok(0), line)?.min(self.listed.len());
        let most = most.map_or(BATCH_KEYS, |most| usize::try_from(most).unwrap_or(BATCH_KEYS).clamp(1, BATCH_KEYS));
        let end = start.saturating_add(most).min(self.listed.len());
        let keys = self.listed[start..end].to_vec();
        let (found, half_units) = self.get(&keys).await?;
        let next = (end < self.listed.len()).then(|| Cursor(end.to_string()));
        Ok(Box::new(KeysPage { keys, found, next, half_units }))
    }

    fn behind(&self, _: &Key, number: u64) -> Result<Cursor, SourceError> {
        Ok(Cursor(number.to_string()))
    }
}

fn line(cursor: &Cursor) -> Result<usize, SourceError> {
    cursor.0.parse().map_err(|_| SourceError::Broken {
        doing: "go on reading a list of keys".to_owned(),
        problem: format!("'{}' is no line of it: cancel the snapshot and start another one", cursor.0),
    })
}

/// The keys of a list, each of so many texts.
fn parse(list: &[u8], texts: usize) -> Result<Vec<Key>, String> {
    let list = std::str::from_utf8(list).map_err(|error| error.to_string())?;
    let key = |(index, line): (usize, &str)| {
        let wrong = |problem: String| format!("line {} is not a key ({problem}): cancel the snapshot and start another one", index + 1);
        let key: Vec<String> = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        if key.len() == texts { Ok(Key::of_texts(key)) } else { Err(wrong(format!("it has {} parts and not {texts}", key.len()))) }
    };
    list.lines().enumerate().map(key).collect()
}

struct KeysPage {
    keys: Vec<Key>,
    found: HashMap<Key, Attributes>,
    next: Option<Cursor>,
    half_units: u64,
}

impl RowPage for KeysPage {
    fn rows(&self) -> Result<Vec<Row<'_>>, SourceError> {
        let row = |key: &Key| {
            let Some(attributes) = self.found.get(key) else { return Row::Absent(key.clone()) };
            match table::item(attributes) {
                Ok(item) => Row::Item(item),
                Err(error) => Row::Poison { raw: text(key).into(), reason: error.to_string() },
            }
        };
        Ok(self.keys.iter().map(row).collect())
    }

    fn next(&self) -> Option<Cursor> {
        self.next.clone()
    }

    fn half_units(&self) -> u64 {
        self.half_units
    }
}

/// What is kept of an item that the SDK cannot show whole.
fn text(key: &Key) -> String {
    serde_json::to_string(key.texts()).unwrap_or_else(|_| key.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_key_a_line() {
        let keys = parse(b"[\"a\",\"1\"]\n[\"b \\\"x\\\"\",\"2\"]\n", 2).unwrap();
        assert_eq!(keys.iter().map(|key| key.texts().to_vec()).collect::<Vec<_>>(), [["a", "1"], ["b \"x\"", "2"]]);
        assert_eq!(parse(b"", 2).unwrap(), []);
    }

    #[test]
    fn a_line_that_is_no_key_of_the_table_is_named() {
        for list in ["[\"a\",\"1\"]\n[\"b\"]", "[\"a\",\"1\"]\n{}", "[\"a\",\"1\"]\n[\"b\",2]"] {
            let error = parse(list.as_bytes(), 2).unwrap_err();
            assert!(error.contains("line 2"), "{error}");
        }
    }

    #[test]
    fn reading_goes_on_at_the_line_behind_the_row() {
        assert_eq!(line(&Cursor("7".to_owned())).unwrap(), 7);
        assert!(line(&Cursor("{}".to_owned())).is_err());
    }
}
