//! Rows by Scan and Query. A cursor is the key, in typed JSON, that reading goes on behind.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::page::ItemsPage;
use super::reader::{KeyCondition, Paging, TableReader};
use super::source::{Cursor, RowPage, RowSource, SourceError};
use crate::contract::{KeyColumn, TableSchema};
use crate::event::{AttributeType, Item, Value, item_from_json, write_typed_item};
use crate::table::{Attributes, Key, KeyError};

/// The table, or a part of it.
pub(super) struct Scan {
    reader: TableReader,
    schema: Arc<TableSchema>,
    extent: Extent,
    consistent: bool,
}

/// What is read.
enum Extent {
    /// The whole table in so many segments.
    Segments(u32),
    /// One of so many parts of it, as the only segment.
    Part { number: u32, of: u32 },
    /// The items of a partition.
    Partition(KeyCondition),
}

impl Scan {
    /// The whole table in so many segments.
    pub(super) fn table(reader: TableReader, schema: Arc<TableSchema>, consistent: bool, segments: u32) -> Self {
        Self { reader, schema, extent: Extent::Segments(segments), consistent }
    }

    /// One of so many parts of the table.
    pub(super) fn part(reader: TableReader, schema: Arc<TableSchema>, consistent: bool, number: u32, of: u32) -> Self {
        Self { reader, schema, extent: Extent::Part { number, of }, consistent }
    }

    /// The items of one partition key, in a range of sort keys that includes its ends.
    pub(super) fn partition(
        reader: TableReader,
        schema: Arc<TableSchema>,
        consistent: bool,
        partition: &str,
        range: (Option<&str>, Option<&str>),
    ) -> Result<Self, SourceError> {
        let condition = condition(&schema, partition, range)?;
        Ok(Self { reader, schema, extent: Extent::Partition(condition), consistent })
    }
}

#[async_trait]
impl RowSource for Scan {
    async fn page(&self, segment: u32, after: Option<&Cursor>, most: Option<u32>) -> Result<Box<dyn RowPage>, SourceError> {
        let paging = Paging { consistent: self.consistent, after: after.map(start_key).transpose()?, most };
        let (operation, body) = match &self.extent {
            Extent::Segments(of) => ("Scan", self.reader.scan(segment, *of, &paging).await?),
            Extent::Part { number, of } => ("Scan", self.reader.scan(*number, *of, &paging).await?),
            Extent::Partition(condition) => ("Query", self.reader.query(condition, &paging).await?),
        };
        Ok(Box::new(ItemsPage::new(operation, body)))
    }

    fn behind(&self, key: &Key, _: u64) -> Result<Cursor, SourceError> {
        let item = self.schema.keys.iter().zip(key.texts()).map(|(column, text)| {
            let text = Cow::Borrowed(text.as_str());
            let value = match column.attribute_type {
                AttributeType::N => Value::N(text),
                AttributeType::B => Value::B(text),
                _ => Value::S(text),
            };
            (Cow::Borrowed(column.attribute.as_str()), value)
        });
        let mut cursor = String::new();
        write_typed_item(&Item(item.collect()), &mut cursor);
        Ok(Cursor(cursor))
    }
}

/// The key of a cursor, as a request has it.
fn start_key(cursor: &Cursor) -> Result<Attributes, SourceError> {
    let broken = |problem: String| SourceError::Broken {
        doing: format!("go on reading behind '{}'", cursor.0),
        problem: format!("this is no key of the table ({problem}): cancel the snapshot and start another one"),
    };
    let key = item_from_json(&cursor.0).map_err(|error| broken(error.to_string()))?;
    let attribute = |(name, value): (&str, &Value<'_>)| {
        let value = match value {
            Value::S(text) => AttributeValue::S(text.to_string()),
            Value::N(digits) => AttributeValue::N(digits.to_string()),
            Value::B(base64) => AttributeValue::B(Blob::new(STANDARD.decode(base64.as_ref()).map_err(|error| broken(error.to_string()))?)),
            other => return Err(broken(format!("{} cannot be a key", other.attribute_type()))),
        };
        Ok((name.to_owned(), value))
    };
    key.iter().map(attribute).collect()
}

fn condition(schema: &TableSchema, partition: &str, range: (Option<&str>, Option<&str>)) -> Result<KeyCondition, SourceError> {
    let doing = || format!("read the items of partition '{partition}'");
    let wrong = |error: KeyError| SourceError::Broken { doing: doing(), problem: format!("{error}; keys are spelled as in the lake") };
    let broken = |problem: &str| SourceError::Broken { doing: doing(), problem: problem.to_owned() };
    let value = |column: &KeyColumn, text: &str| {
        let part = TableSchema { keys: vec![column.clone()], ..schema.clone() };
        let mut attributes = Key::of_texts(vec![text.to_owned()]).attributes(&part).map_err(wrong)?;
        attributes.remove(&column.attribute).ok_or_else(|| broken("the key has no value"))
    };
    let hash = schema.keys.first().ok_or_else(|| broken("the table's schema names no key"))?;
    let mut expression = "#p = :p".to_owned();
    let mut names = HashMap::from([("#p".to_owned(), hash.attribute.clone())]);
    let mut values = HashMap::from([(":p".to_owned(), value(hash, partition)?)]);
    let bounds = match range {
        (None, None) => return Ok(KeyCondition { expression, names, values }),
        (Some(_), Some(_)) => " AND #s BETWEEN :from AND :to",
        (Some(_), None) => " AND #s >= :from",
        (None, Some(_)) => " AND #s <= :to",
    };
    let sort = schema.keys.get(1).ok_or_else(|| broken("the table has no sort key: leave out the range of sort keys"))?;
    expression.push_str(bounds);
    names.insert("#s".to_owned(), sort.attribute.clone());
    for (name, bound) in [(":from", range.0), (":to", range.1)] {
        if let Some(bound) = bound {
            values.insert(name.to_owned(), value(sort, bound)?);
        }
    }
    Ok(KeyCondition { expression, names, values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ServiceClock, WallClock};

    fn schema() -> TableSchema {
        TableSchema::keys_only("t", vec![("pk".to_owned(), AttributeType::B), ("sk".to_owned(), AttributeType::N)])
    }

    fn scan() -> Scan {
        let config = aws_config::SdkConfig::builder().behavior_version(aws_config::BehaviorVersion::latest()).build();
        let reader = TableReader::new(&config, "t", ServiceClock::new(WallClock::system()));
        Scan::table(reader, Arc::new(schema()), true, 1)
    }

    #[test]
    fn reading_goes_on_behind_the_key_of_a_row() {
        let cursor = scan().behind(&Key::of_texts(vec!["AQI=".into(), "-1.5".into()]), 7).unwrap();
        assert_eq!(cursor.0, r#"{"pk":{"B":"AQI="},"sk":{"N":"-1.5"}}"#);
        let key = start_key(&cursor).unwrap();
        assert_eq!(key["pk"], AttributeValue::B(Blob::new(vec![1, 2])));
        assert_eq!(key["sk"], AttributeValue::N("-1.5".into()));
    }

    #[test]
    fn a_cursor_that_is_no_key_helps_nobody() {
        for cursor in ["7", "{", r#"{"pk":{"BOOL":true}}"#, r#"{"pk":{"B":"?"}}"#] {
            let error = start_key(&Cursor(cursor.to_owned())).unwrap_err();
            assert!(matches!(error, SourceError::Broken { .. }), "{cursor}: {error}");
        }
    }

    #[test]
    fn a_range_of_sort_keys_includes_its_ends() {
        let of = |from, to| condition(&schema(), "AQI=", (from, to)).unwrap();
        assert_eq!(of(None, None).expression, "#p = :p");
        assert_eq!(of(Some("1"), None).expression, "#p = :p AND #s >= :from");
        assert_eq!(of(None, Some("2")).expression, "#p = :p AND #s <= :to");
        let between = of(Some("1"), Some("2"));
        assert_eq!(between.expression, "#p = :p AND #s BETWEEN :from AND :to");
        assert_eq!((&between.names["#p"], &between.names["#s"]), (&"pk".to_owned(), &"sk".to_owned()));
        assert_eq!(between.values[":p"], AttributeValue::B(Blob::new(vec![1, 2])));
        assert_eq!((&between.values[":from"], &between.values[":to"]), (&AttributeValue::N("1".into()), &AttributeValue::N("2".into())));
    }

    #[test]
    fn a_partition_that_cannot_be_asked_for_is_refused_with_the_reason() {
        let refused = |schema: &TableSchema, partition, from| condition(schema, partition, (from, None)).unwrap_err().to_string();
        assert!(refused(&schema(), "?", None).contains("base64"));
        let without_sort = TableSchema { keys: schema().keys[..1].to_vec(), ..schema() };
        assert!(refused(&without_sort, "AQI=", Some("1")).contains("no sort key"));
    }
}
