use super::*;
use crate::contract::{Column, ColumnType};
use crate::event::{AttributeType, Operation, SequenceNumber};

fn schema() -> TableSchema {
    let column = |name: &str, path: &[&str], source, kind| Column {
        name: name.to_owned(),
        path: path.iter().map(|&part| part.to_owned()).collect(),
        source,
        kind,
        classification: None,
    };
    let mut schema = TableSchema::keys_only("orders", vec![("id".into(), AttributeType::B)]);
    schema.columns = vec![
        column("quantity", &["quantity"], AttributeType::N, ColumnType::BigInt),
        column("ship_city", &["ship", "city"], AttributeType::S, ColumnType::Text),
    ];
    schema
}

fn event(cells: Vec<Cell<'static>>, extra: Option<&str>) -> ChangeEvent<'static> {
    ChangeEvent {
        event_id: "e".into(),
        operation: Operation::Insert,
        sequence: SequenceNumber::ZERO,
        time: 0,
        shard: "shardId-1".into(),
        snapshot_id: None,
        ttl_delete: false,
        changed: Vec::new(),
        keys: vec!["YQ==".into()],
        new: Some(Side { cells, extra: extra.map(str::to_owned), misfits: 0 }),
        old: None,
    }
}

#[test]
fn extra_is_merged_into_the_maps_of_the_columns() {
    let event = event(vec![Cell::Int(2), Cell::Text("Oslo".into())], Some(r#"{"ship":{"M":{"floor":{"N":"3"}}},"note":{"NULL":true}}"#));
    let new = restore(&event, &schema()).unwrap().new.unwrap();
    let expected = r#"{"id":{"B":"YQ=="},"note":{"NULL":true},"quantity":{"N":"2"},"ship":{"M":{"city":{"S":"Oslo"},"floor":{"N":"3"}}}}"#;
    assert_eq!(canonical_item(&new), expected);
}

#[test]
fn absent_differs_from_empty() {
    let schema = schema();
    let (absent, empty) = (event(vec![Cell::Null, Cell::Null], None), event(vec![Cell::Null, Cell::Null], Some(r#"{"ship":{"M":{}}}"#)));
    assert_eq!(restore(&absent, &schema).unwrap().new.unwrap().get("ship"), None);
    assert_eq!(restore(&empty, &schema).unwrap().new.unwrap().get("ship"), Some(&Value::M(Item::default())));
}

#[test]
fn a_row_that_the_schema_cannot_give_is_refused() {
    let text = || Cell::Text("x".into());
    for (event, message) in [
        (event(vec![Cell::Null], None), "the row has 1 columns, its schema 2"),
        (ChangeEvent { keys: Vec::new(), ..event(Vec::new(), None) }, "the row has 0 key columns, its schema 1"),
        (event(vec![text(), Cell::Null], None), "'quantity' is not what its type says"),
        (event(vec![Cell::Null, Cell::Bool(true)], None), "'ship_city' is not what its type says"),
        (event(vec![Cell::Null, Cell::Null], Some("{")), "cdc_extra is not typed DynamoDB JSON"),
        (event(vec![Cell::Int(1), Cell::Null], Some(r#"{"quantity":{"N":"1"}}"#)), "'quantity' is in a column and in cdc_extra"),
        (event(vec![Cell::Null, text()], Some(r#"{"ship":{"M":{"city":{"S":"y"}}}}"#)), "'city' is in a column and in cdc_extra"),
        (event(vec![Cell::Null, text()], Some(r#"{"ship":{"S":"y"}}"#)), "'ship' is in a column and in cdc_extra"),
    ] {
        let error = restore(&event, &schema()).unwrap_err().to_string();
        assert!(error.contains(message), "{message} / {error}");
    }
}

#[test]
fn a_row_by_name_needs_its_key() {
    let (null, number) = (Cell::Null, Cell::Int(1));
    assert!(matches!(restore_row(&schema(), None, |_| &null), Err(RestoreError::MissingKey { column }) if column == "id"));
    assert!(matches!(restore_row(&schema(), None, |_| &number), Err(RestoreError::Cell { column }) if column == "id"));
}
