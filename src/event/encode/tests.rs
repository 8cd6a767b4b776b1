use super::*;
use crate::contract::TimestampFormat;
use crate::event::decode::{Decoded, parse_record};
use crate::event::flatten::Flattener;
use crate::event::{AttributeType, Operation, SequenceNumber};

fn schema() -> TableSchema {
    let column = |name: &str, path: &[&str], source, kind| Column {
        name: name.to_owned(),
        path: path.iter().map(|&part| part.to_owned()).collect(),
        source,
        kind,
        classification: None,
    };
    let mut schema = TableSchema::keys_only("orders", vec![("orderId".into(), AttributeType::S)]);
    schema.columns = vec![
        column("status", &["status"], AttributeType::S, ColumnType::Text),
        column("quantity", &["quantity"], AttributeType::N, ColumnType::BigInt),
        column("price", &["price"], AttributeType::N, ColumnType::Decimal { precision: 38, scale: 2 }),
        column("gift", &["gift"], AttributeType::Bool, ColumnType::Boolean),
        column("created_at", &["createdAt"], AttributeType::S, ColumnType::Timestamp { format: TimestampFormat::Millis }),
        column("items", &["items"], AttributeType::L, ColumnType::Json),
        column("ship_city", &["ship", "city"], AttributeType::S, ColumnType::Text),
    ];
    schema
}

const PLACED: &str = r#"{"orderId":{"S":"o-1"},"status":{"S":"PLACED"},"quantity":{"N":"2"},"price":{"N":"123456789012345678901234567890123456.70"},"gift":{"BOOL":false},"createdAt":{"S":"2026-11-21T03:00:00.250Z"},"items":{"L":[{"M":{"sku":{"S":"a\"b"},"n":{"N":"2"}}}]},"ship":{"M":{"city":{"S":"Köln"},"floor":{"N":"3"}}},"note":{"NULL":true}}"#;
const PAID: &str = r#"{"orderId":{"S":"o-1"},"status":{"S":"PAID"},"quantity":{"N":"2.0"}}"#;

fn line(name: &str, images: &str, identity: &str, decimals: Decimals) -> String {
    let record = format!(
        r#"{{"eventID":"4b25bd0d","eventName":"{name}","dynamodb":{{"ApproximateCreationDateTime":1795230007,"Keys":{{"orderId":{{"S":"o-1"}}}},{images},"SequenceNumber":"700000000000888747038"}}{identity}}}"#
    );
    let schema = schema();
    let record = match parse_record(&record) {
        Decoded::Record(record) => record,
        Decoded::Poison(poison) => panic!("{}", poison.reason),
    };
    let event = Flattener::new(&schema).flatten(&record, "shardId-01").unwrap();
    let mut out = Vec::new();
    write_ndjson(&event, &schema, decimals, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn an_insert_has_its_new_columns() {
    let expected = concat!(
        r#"{"cdc_event_id":"4b25bd0d","cdc_op":"INSERT","cdc_sequence":"0000000000000000000700000000000888747038","#,
        r#""cdc_time":"2026-11-21 03:00:07.000","cdc_table":"orders","cdc_shard":"shardId-01","cdc_ttl_delete":false,"cdc_changed":[],"#,
        r#""order_id":"o-1","status":"PLACED","quantity":2,"price":123456789012345678901234567890123456.7,"gift":false,"#,
        r#""created_at":"2026-11-21 03:00:00.250000","items":"[{\"sku\":\"a\\\"b\",\"n\":2}]","ship_city":"Köln","#,
        r#""cdc_extra":"{\"ship\":{\"M\":{\"floor\":{\"N\":\"3\"}}},\"note\":{\"NULL\":true}}"}"#,
        "\n"
    );
    assert_eq!(line("INSERT", &format!(r#""NewImage":{PLACED}"#), "", Decimals::Number), expected);
    let with_strings = line("INSERT", &format!(r#""NewImage":{PLACED}"#), "", Decimals::String);
    assert_eq!(with_strings, expected.replace("123456789012345678901234567890123456.7", r#""123456789012345678901234567890123456.7""#));
}

#[test]
fn a_modify_has_both_sides_and_names_what_changed() {
    let line = line("MODIFY", &format!(r#""NewImage":{PAID},"OldImage":{PLACED}"#), "", Decimals::Number);
    let expected = concat!(
        r#"{"cdc_event_id":"4b25bd0d","cdc_op":"MODIFY","cdc_sequence":"0000000000000000000700000000000888747038","#,
        r#""cdc_time":"2026-11-21 03:00:07.000","cdc_table":"orders","cdc_shard":"shardId-01","cdc_ttl_delete":false,"#,
        r#""cdc_changed":["createdAt","gift","items","note","price","ship","status"],"order_id":"o-1","status":"PAID","quantity":2,"#,
        r#""old_status":"PLACED","old_quantity":2,"old_price":123456789012345678901234567890123456.7,"old_gift":false,"#,
        r#""old_created_at":"2026-11-21 03:00:00.250000","old_items":"[{\"sku\":\"a\\\"b\",\"n\":2}]","old_ship_city":"Köln","#,
        r#""old_cdc_extra":"{\"ship\":{\"M\":{\"floor\":{\"N\":\"3\"}}},\"note\":{\"NULL\":true}}"}"#,
        "\n"
    );
    assert_eq!(line, expected);
}

#[test]
fn a_remove_has_old_columns_only_and_tells_a_ttl_delete() {
    let by_user = line("REMOVE", &format!(r#""OldImage":{PAID}"#), "", Decimals::Number);
    let expected = concat!(
        r#"{"cdc_event_id":"4b25bd0d","cdc_op":"REMOVE","cdc_sequence":"0000000000000000000700000000000888747038","#,
        r#""cdc_time":"2026-11-21 03:00:07.000","cdc_table":"orders","cdc_shard":"shardId-01","cdc_ttl_delete":false,"cdc_changed":[],"#,
        r#""order_id":"o-1","old_status":"PAID","old_quantity":2}"#,
        "\n"
    );
    assert_eq!(by_user, expected);
    let ttl = r#","userIdentity":{"Type":"Service","PrincipalId":"dynamodb.amazonaws.com"}"#;
    let by_ttl = line("REMOVE", &format!(r#""OldImage":{PAID}"#), ttl, Decimals::Number);
    assert_eq!(by_ttl, expected.replace(r#""cdc_ttl_delete":false"#, r#""cdc_ttl_delete":true"#));
}

#[test]
fn a_snapshot_row_names_its_snapshot() {
    let event = ChangeEvent {
        event_id: "hash".into(),
        operation: Operation::Snapshot,
        sequence: SequenceNumber::ZERO,
        time: 0,
        shard: "".into(),
        snapshot_id: Some("s-1".into()),
        ttl_delete: false,
        changed: Vec::new(),
        keys: vec!["o-1".into()],
        new: Some(Side::default()),
        old: None,
    };
    let mut out = Vec::new();
    let schema = TableSchema::keys_only("orders", vec![("orderId".into(), AttributeType::S)]);
    write_ndjson(&event, &schema, Decimals::Number, &mut out);
    let line = String::from_utf8(out).unwrap();
    assert!(line.contains(&format!(r#""cdc_sequence":"{}""#, "0".repeat(40))), "{line}");
    assert!(line.contains(r#""cdc_time":"1970-01-01 00:00:00.000""#), "{line}");
    assert!(
        line.ends_with(
            "\"cdc_shard\":\"\",\"cdc_snapshot_id\":\"s-1\",\"cdc_ttl_delete\":false,\"cdc_changed\":[],\"order_id\":\"o-1\"}\n"
        ),
        "{line}"
    );
}
