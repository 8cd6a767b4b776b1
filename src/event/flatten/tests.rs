use super::*;
use crate::contract::{Column, TimestampFormat};
use crate::event::decode::{Decoded, parse_record};
use crate::event::restore::canonical_item;
use crate::event::{Operation, item_from_json};

fn schema() -> TableSchema {
    let column = |name: &str, path: &[&str], source, kind| Column {
        name: name.to_owned(),
        path: path.iter().map(|&part| part.to_owned()).collect(),
        source,
        kind,
        classification: None,
    };
    let mut schema = TableSchema::keys_only("orders", vec![("id".into(), AttributeType::S), ("line".into(), AttributeType::N)]);
    schema.columns = vec![
        column("price", &["price"], AttributeType::N, ColumnType::Decimal { precision: 12, scale: 2 }),
        column("ship_city", &["ship", "city"], AttributeType::S, ColumnType::Text),
        column("ship_geo_lat", &["ship", "geo", "lat"], AttributeType::N, ColumnType::Text),
        column("created_at", &["created_at"], AttributeType::S, ColumnType::Timestamp { format: TimestampFormat::Seconds }),
    ];
    schema
}

const KEYS: &str = r#""id":{"S":"a"},"line":{"N":"1.0"}"#;

fn record(new: &str, old: Option<&str>) -> String {
    let old = old.map(|old| format!(r#","OldImage":{{{KEYS}{old}}}"#)).unwrap_or_default();
    let name = if old.is_empty() { "INSERT" } else { "MODIFY" };
    format!(
        r#"{{"eventID":"e","eventName":"{name}","dynamodb":{{"ApproximateCreationDateTime":7,"SequenceNumber":"9","Keys":{{{KEYS}}},"NewImage":{{{KEYS}{new}}}{old}}}}}"#
    )
}

fn flatten(record: &str) -> Result<ChangeEvent<'_>, FlattenError> {
    match parse_record(record) {
        Decoded::Record(record) => Flattener::new(&schema()).flatten(&record, "shardId-1"),
        Decoded::Poison(poison) => panic!("{}", poison.reason),
    }
}

/// The new side of an insert of an item with these attributes beside its key.
fn side(new: &str) -> Side<'static> {
    let record = record(new, None);
    let side = flatten(&record).unwrap().new.unwrap();
    let cells = side.cells.into_iter().map(|cell| match cell {
        Cell::Text(text) => Cell::Text(text.into_owned().into()),
        Cell::Int(value) => Cell::Int(value),
        Cell::Decimal(value) => Cell::Decimal(value),
        Cell::Bool(value) => Cell::Bool(value),
        Cell::Timestamp(value) => Cell::Timestamp(value),
        Cell::Null => Cell::Null,
    });
    Side { cells: cells.collect(), extra: side.extra, misfits: side.misfits }
}

#[test]
fn what_fits_goes_into_its_column_and_nothing_stays_over() {
    let side = side(
        r#","price":{"N":"12.5"},"ship":{"M":{"geo":{"M":{"lat":{"N":"1E0"}}},"city":{"S":"Oslo"}}},"created_at":{"S":"1970-01-01T00:00:01Z"}"#,
    );
    let expected = vec![Cell::Decimal(1_250), Cell::Text("Oslo".into()), Cell::Text("1".into()), Cell::Timestamp(1_000_000)];
    assert_eq!(side, Side { cells: expected, extra: None, misfits: 0 });
}

#[test]
fn key_columns_are_canonical_text() {
    let record = record("", None);
    let event = flatten(&record).unwrap();
    assert_eq!(event.keys, ["a", "1"]);
    assert_eq!((event.time, event.operation, event.sequence.digits(), event.shard.as_ref()), (7, Operation::Insert, "9", "shardId-1"));
    assert_eq!(event.old, None);
}

#[test]
fn what_has_no_column_or_does_not_fit_stays_whole_in_extra() {
    for (attributes, misfits) in [
        (r#","other":{"L":[{"B":"YQ=="}]}"#, 0),
        (r#","price":{"N":"0.001"}"#, 1),
        (r#","price":{"S":"12"},"created_at":{"S":"yesterday"}"#, 2),
        (r#","price":{"NULL":true}"#, 1),
        (r#","ship":{"S":"by sea"}"#, 1),
        (r#","ship":{"M":{}}"#, 0),
        (r#","ship":{"M":{"geo":{"M":{}}}}"#, 0),
        (r#","ship":{"M":{"geo":{"NULL":true},"city":{"N":"1"},"unknown":{"S":"x"}}}"#, 2),
    ] {
        let side = side(attributes);
        assert!(side.cells.iter().all(|cell| *cell == Cell::Null), "{attributes}");
        let expected = format!("{{{}}}", &attributes[1..]);
        let extra = side.extra.unwrap();
        assert_eq!(canonical_item(&item_from_json(&extra).unwrap()), canonical_item(&item_from_json(&expected).unwrap()));
        assert_eq!(side.misfits, misfits, "{attributes}");
    }
}

#[test]
fn what_remains_of_a_flattened_map_stays_inside_it() {
    let side = side(r#","ship":{"M":{"city":{"S":"Oslo"},"floor":{"N":"3"},"geo":{"M":{"lat":{"N":"1"},"alt":{"N":"9"}}}}}"#);
    assert_eq!(side.cells[1..3], [Cell::Text("Oslo".into()), Cell::Text("1".into())]);
    assert_eq!(side.extra.as_deref(), Some(r#"{"ship":{"M":{"floor":{"N":"3"},"geo":{"M":{"alt":{"N":"9"}}}}}}"#));
}

#[test]
fn changed_names_the_attributes_of_the_item_and_not_the_columns() {
    let (new, old) = (
        r#","ship":{"M":{"city":{"S":"Oslo"}}},"price":{"N":"1.0"}"#,
        r#","ship":{"M":{"city":{"S":"Rome"}}},"price":{"N":"1"},"x":{"S":""}"#,
    );
    assert_eq!(flatten(&record(new, Some(old))).unwrap().changed, ["ship", "x"]);
    assert!(flatten(&record(new, Some(new))).unwrap().changed.is_empty());
    assert!(flatten(&record(new, None)).unwrap().changed.is_empty(), "there is nothing to differ from");
}

#[test]
fn a_key_that_is_not_the_schemas_is_refused() {
    let record = record("", Some(""));
    let keys = format!(r#""Keys":{{{KEYS}}}"#);
    let new_image = format!(r#""NewImage":{{{KEYS}}}"#);
    let old_image = format!(r#""OldImage":{{{KEYS}}}"#);
    let missing = |attribute: &str| FlattenError::MissingKey { attribute: attribute.to_owned() };
    let wrong_type = |expected, attribute: &str| FlattenError::KeyType { attribute: attribute.to_owned(), expected };
    let image = |image, attribute: &str| FlattenError::ImageKey { image, attribute: attribute.to_owned() };
    for (from, to, error) in [
        (&keys, r#""Keys":{"id":{"S":"a"}}"#, missing("line")),
        (&keys, r#""Keys":{"id":{"S":"a"},"row":{"N":"1"}}"#, missing("line")),
        (&keys, r#""Keys":{"id":{"S":"a"},"line":{"S":"1"}}"#, wrong_type(AttributeType::N, "line")),
        (&keys, r#""Keys":{"id":{"S":"a"},"line":{"N":"one"}}"#, wrong_type(AttributeType::N, "line")),
        (&keys, r#""Keys":{"id":{"S":"a"},"line":{"N":"1"},"z":{"S":""}}"#, FlattenError::ExtraKeys { found: 3, expected: 2 }),
        (&new_image, r#""NewImage":{"id":{"S":"a"}}"#, image("NewImage", "line")),
        (&old_image, r#""OldImage":{"id":{"S":"b"},"line":{"N":"1"}}"#, image("OldImage", "id")),
    ] {
        assert!(record.contains(from.as_str()));
        let broken = record.replace(from.as_str(), to);
        assert_eq!(flatten(&broken), Err(error), "{to}");
    }
    assert!(flatten(&record.replace(&new_image, r#""NewImage":{"line":{"N":"1E0"},"id":{"S":"a"}}"#)).is_ok(), "another spelling");
}
