//! A line of a data file as a row.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

use super::manifest::Kind;
use crate::contract::TableSchema;
use crate::event::Item;
use crate::snapshot::source::Row;
use crate::table::Key;

/// `I` is an item that borrows from the line.
#[derive(Deserialize)]
struct FullLine<I> {
    #[serde(rename = "Item")]
    item: I,
}

/// The item's last state within the time of an incremental export. The old image does not matter to a row, and neither does the metadata: the time
/// of the write, in microseconds, is spelled as text by the documentation and as `{"N":"…"}` by the files.
#[derive(Deserialize)]
struct IncrementalLine<I> {
    #[serde(rename = "Keys")]
    keys: I,
    /// Absent when the item was deleted. A null is nothing that DynamoDB writes, and is not taken for a deletion.
    #[serde(rename = "NewImage", default = "absent", deserialize_with = "present")]
    new_image: Option<I>,
}

const fn absent<I>() -> Option<I> {
    None
}

fn present<'de, I: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<I>, D::Error> {
    I::deserialize(deserializer).map(Some)
}

/// The row of a line, which is without its line feed.
pub(super) fn row<'l>(line: &'l [u8], kind: Kind, schema: &TableSchema) -> Row<'l> {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => return Row::Poison { raw: String::from_utf8_lossy(line), reason: format!("the line is not UTF-8: {error}") },
    };
    let parsed = match kind {
        Kind::Full => serde_json::from_str(text).map(|FullLine { item }| Row::Item(item)).map_err(|error| reason(&error)),
        Kind::Incremental => incremental(text, schema),
    };
    parsed.unwrap_or_else(|reason| Row::Poison { raw: Cow::Borrowed(text), reason })
}

/// What is wrong with a line, without its values: reasons are logged, and payloads are not.
fn reason(error: &serde_json::Error) -> String {
    let told = error.to_string();
    // It names what is expected, not what is there.
    if told.starts_with("missing field") {
        return told;
    }
    let what = match error.classify() {
        serde_json::error::Category::Data => "is not what such a line has",
        serde_json::error::Category::Eof => "is the end of the line, which is cut short",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "is not JSON",
    };
    format!("what stands at column {} {what}", error.column())
}

fn incremental<'l>(text: &'l str, schema: &TableSchema) -> Result<Row<'l>, String> {
    let line: IncrementalLine<Item<'l>> = serde_json::from_str(text).map_err(|error| reason(&error))?;
    match line.new_image {
        Some(item) => Ok(Row::Item(item)),
        None => Key::of_item(schema, &line.keys).map(Row::Absent).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{AttributeType, Value};

    fn read(line: &str, kind: Kind) -> Row<'_> {
        let schema = TableSchema::keys_only("orders", vec![("id".to_owned(), AttributeType::S)]);
        row(line.as_bytes(), kind, &schema)
    }

    fn item(note: &'static str) -> Item<'static> {
        Item(vec![("id".into(), Value::S("a".into())), ("note".into(), Value::S(note.into()))])
    }

    fn reason(row: &Row<'_>) -> String {
        let Row::Poison { reason, .. } = row else { panic!("{row:?} is no poison") };
        reason.clone()
    }

    #[test]
    fn a_line_of_a_full_export_is_an_item() {
        assert_eq!(read(r#"{"Item":{"id":{"S":"a"},"note":{"S":"x"}}}"#, Kind::Full), Row::Item(item("x")));
    }

    #[test]
    fn a_line_of_an_incremental_export_is_the_new_image_however_its_time_is_spelled() {
        for time in [r#"{"N":"1680109764000000"}"#, r#""1680109764000000""#, "1680109764000000"] {
            let line = format!(r#"{{"Metadata":{{"WriteTimestampMicros":{time}}},"Keys":{{"id":{{"S":"a"}}}},"#)
                + r#""OldImage":{"id":{"S":"a"},"note":{"S":"old"}},"NewImage":{"id":{"S":"a"},"note":{"S":"new"}}}"#;
            assert_eq!(read(&line, Kind::Incremental), Row::Item(item("new")), "{line}");
        }
    }

    #[test]
    fn a_line_without_a_new_image_is_a_deletion_with_or_without_the_old_one() {
        let absent = Row::Absent(Key::of_texts(vec!["a".to_owned()]));
        let metadata = r#""Metadata":{"WriteTimestampMicros":{"N":"1"}}"#;
        assert_eq!(read(&format!(r#"{{{metadata},"Keys":{{"id":{{"S":"a"}}}}}}"#), Kind::Incremental), absent);
        let old = r#""OldImage":{"id":{"S":"a"},"note":{"S":"x"}}"#;
        assert_eq!(read(&format!(r#"{{{metadata},"Keys":{{"id":{{"S":"a"}}}},{old}}}"#), Kind::Incremental), absent);
    }

    #[test]
    fn what_is_no_row_is_kept_whole_with_the_reason() {
        for (line, kind, expected) in [
            (r#"{"Item":{"id":"#, Kind::Full, "column 14 is the end of the line"),
            ("", Kind::Full, "column 0 is the end of the line"),
            (r#"{"Item":"a@b.c"}"#, Kind::Full, "what stands at column 15 is not what such a line has"),
            (r#"{"Keys":{"id":{"S":"a"}}}"#, Kind::Full, "missing field `Item`"),
            (r#"{"Item":{"id":{"S":"a"}}}"#, Kind::Incremental, "missing field `Keys`"),
            (r#"{"Keys":{"id":{"S":"a"}},"NewImage":null}"#, Kind::Incremental, "is not what such a line has"),
            (r#"{"Keys":{"id":{"N":"1"}}}"#, Kind::Incremental, "it is N in the table and S in the lake's schema"),
            (r#"{"Keys":{"other":{"S":"a"}}}"#, Kind::Incremental, "the item has no such attribute"),
        ] {
            let row = read(line, kind);
            assert!(reason(&row).contains(expected) && !reason(&row).contains("a@b.c"), "{line}: {row:?}");
            assert!(matches!(row, Row::Poison { raw, .. } if raw == line), "{line}");
        }
    }

    #[test]
    fn a_line_that_is_not_utf_8_is_poison() {
        let schema = TableSchema::keys_only("orders", vec![("id".to_owned(), AttributeType::S)]);
        let row = row(b"{\"Item\":{\"id\":{\"S\":\"\xff\"}}}", Kind::Full, &schema);
        assert!(reason(&row).contains("not UTF-8"), "{row:?}");
    }
}
