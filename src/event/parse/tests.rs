use std::collections::BTreeMap;
use std::error::Error as _;

use super::*;
use crate::contract::{Column, ColumnType, TimestampFormat};
use crate::event::encode::{Decimals, SnapshotEnd, write_marker, write_ndjson, write_pointer};
use crate::event::{AttributeType, Cell};

fn schema() -> TableSchema {
    let column =
        |name: &str, source, kind| Column { name: name.to_owned(), path: vec![name.to_owned()], source, kind, classification: None };
    let keys = vec![("id".into(), AttributeType::S), ("line".into(), AttributeType::N)];
    let mut schema = TableSchema::keys_only("orders", keys);
    schema.columns = vec![
        column("status", AttributeType::S, ColumnType::Text),
        column("code", AttributeType::N, ColumnType::Text),
        column("quantity", AttributeType::N, ColumnType::BigInt),
        column("price", AttributeType::N, ColumnType::Decimal { precision: 38, scale: 2 }),
        column("gift", AttributeType::Bool, ColumnType::Boolean),
        column("at", AttributeType::S, ColumnType::Timestamp { format: TimestampFormat::Millis }),
        column("items", AttributeType::L, ColumnType::Json),
    ];
    schema
}

const HEAD: &str = concat!(
    r#"{"cdc_event_id":"e-1","cdc_op":"MODIFY","cdc_sequence":"0000000000000000000700000000000888747038","#,
    r#""cdc_time":"2026-11-21 03:00:07.000","cdc_table":"orders","cdc_shard":"shardId-01","cdc_ttl_delete":false,"cdc_changed":["status"],"#,
    r#""id":"o-1","line":"7""#
);

fn line(members: &str) -> String {
    format!("{HEAD}{members}}}\n")
}

fn read(line: &str) -> Result<Parsed, ParseError> {
    parse_line(line.as_bytes(), &schema())
}

fn change(line: &str) -> ChangeEvent<'static> {
    match read(line) {
        Ok(Parsed::Change(event)) => event,
        other => panic!("{other:?}"),
    }
}

fn refusal(line: &str) -> String {
    match read(line) {
        Err(error) => error.to_string(),
        Ok(parsed) => panic!("{line}: {parsed:?}"),
    }
}

/// The cells of the new side of a line with these members.
fn cells(members: &str) -> Vec<Cell<'static>> {
    change(&line(members)).new.unwrap().cells
}

#[test]
fn members_are_found_in_any_order() {
    let usual =
        line(r#","status":"PAID","quantity":2,"gift":true,"old_status":"PLACED","old_gift":false,"cdc_extra":"{}","old_cdc_extra":"{}""#);
    let members: BTreeMap<&str, &RawValue> = serde_json::from_str(&usual).unwrap();
    let backwards: Vec<String> = members.iter().rev().map(|(name, value)| format!("\"{name}\" : {value}")).collect();
    let backwards = format!(" {{ {} }} ", backwards.join(" , "));
    assert_eq!(change(&backwards), change(&usual));
    assert_eq!(change(&usual).new.unwrap().cells[0], Cell::Text("PAID".into()));
    assert_eq!(change(&usual).old.unwrap().cells[4], Cell::Bool(false));
}

#[test]
fn a_side_is_there_as_the_operation_says() {
    let of = |operation: &str, members: &str| change(&line(members).replace("MODIFY", operation));
    for operation in ["INSERT", "MODIFY", "SNAPSHOT"] {
        let event = of(operation, "");
        assert_eq!(event.new.unwrap().cells, vec![Cell::Null; 7], "an item of its key alone");
        assert_eq!(event.old, None);
    }
    let removed = of("REMOVE", r#","old_cdc_extra":"{}""#);
    assert_eq!((removed.new, removed.old.unwrap().extra.as_deref()), (None, Some("{}")));
    for (members, member) in [(r#","quantity":1"#, "quantity"), (r#","cdc_extra":"{}""#, "cdc_extra")] {
        let error = refusal(&line(members).replace("MODIFY", "REMOVE"));
        assert_eq!(error, format!("a REMOVE does not have the image that the member '{member}' is of"));
    }
}

#[test]
fn decimals_keep_all_their_digits_in_both_spellings() {
    let digits = "123456789012345678901234567890123456.78";
    for (text, unscaled) in [
        (digits, 12_345_678_901_234_567_890_123_456_789_012_345_678),
        ("-0.01", -1),
        ("1.50", 150),
        ("15E-1", 150),
        ("1e35", 10_i128.pow(37)),
        ("0", 0),
    ] {
        for member in [format!(r#","price":{text}"#), format!(r#","price":"{text}""#)] {
            assert_eq!(cells(&member)[3], Cell::Decimal(unscaled), "{member}");
        }
    }
}

#[test]
fn what_does_not_fit_its_column_is_refused_by_name_and_without_its_value() {
    let long = "9".repeat(100_000);
    for (member, value, found, expected) in [
        ("price", "1.234", "a number", "a decimal(38,2)"),
        ("price", "1e999999999999999999999", "a number", "a decimal(38,2)"),
        ("price", long.as_str(), "a number", "a decimal(38,2)"),
        ("price", "\"\"", "a string", "a decimal(38,2)"),
        ("old_price", "true", "a boolean", "a decimal(38,2)"),
        ("quantity", "9223372036854775808", "a number", "a 64-bit integer"),
        ("quantity", "0.5", "a number", "a 64-bit integer"),
        ("quantity", "\"5\"", "a string", "a 64-bit integer"),
        ("status", "5", "a number", "Unicode text"),
        ("status", "\"\\ud800\"", "a string", "Unicode text"),
        ("status", "null", "null", "Unicode text"),
        ("code", "\"1.0\"", "a string", "the canonical text of a number"),
        ("line", "\"seven\"", "a string", "the canonical text of a number"),
        ("gift", "\"true\"", "a string", "a boolean"),
        ("at", "\"2026-11-21 03:00:00.123456\"", "a string", "a time YYYY-MM-DD HH:MM:SS.ffffff in whole milliseconds"),
        ("at", "\"2026-11-21T03:00:00.123Z\"", "a string", "a time YYYY-MM-DD HH:MM:SS.ffffff in whole milliseconds"),
        ("items", "[1]", "an array", "JSON text"),
        ("old_items", "{}", "an object", "JSON text"),
    ] {
        let record = line(&format!(",\"{member}\":{value}")).replace(r#","line":"7","line""#, r#","line""#);
        let error = refusal(&record);
        let says = format!("the member '{member}' holds {found} that is not {expected}, which the contract says");
        assert!(error.starts_with(&says), "{says} / {error}");
    }
}

#[test]
fn whole_numbers_are_read_by_value() {
    for (text, value) in [("9223372036854775807", i64::MAX), ("-9223372036854775808", i64::MIN), ("2.0", 2), ("12e2", 1_200), ("-0", 0)] {
        assert_eq!(cells(&format!(r#","quantity":{text}"#))[2], Cell::Int(value), "{text}");
    }
}

#[test]
fn metadata_that_is_wrong_is_refused_by_name() {
    for (from, to, member, expected) in [
        ("\"e-1\"", "1", "cdc_event_id", "a number that is not Unicode text"),
        ("MODIFY", "UPSERT", "cdc_op", "a string that is not INSERT, MODIFY, REMOVE, SNAPSHOT or SNAPSHOT_END"),
        ("\"0000000000000000000700", "\"700", "cdc_sequence", "a string that is not a sequence number of 40 digits"),
        ("03:00:07.000", "03:00:07.001", "cdc_time", "a string that is not a time YYYY-MM-DD HH:MM:SS.000"),
        ("03:00:07.000", "03:00:07", "cdc_time", "a string that is not a time YYYY-MM-DD HH:MM:SS.000"),
        ("\"orders\"", "{}", "cdc_table", "an object that is not Unicode text"),
        ("\"shardId-01\"", "null", "cdc_shard", "null that is not Unicode text"),
        ("false", "\"false\"", "cdc_ttl_delete", "a string that is not a boolean"),
        ("[\"status\"]", "[1]", "cdc_changed", "an array that is not a list of attribute names"),
    ] {
        let record = line("");
        assert!(record.contains(from));
        assert_eq!(refusal(&record.replacen(from, to, 1)), format!("the member '{member}' holds {expected}"));
    }
}

#[test]
fn every_member_but_those_of_the_images_is_needed() {
    let record = line("");
    for member in
        ["cdc_event_id", "cdc_op", "cdc_sequence", "cdc_time", "cdc_table", "cdc_shard", "cdc_ttl_delete", "cdc_changed", "id", "line"]
    {
        let start = record.find(&format!("\"{member}\":")).unwrap();
        let end = record[start..].find(",\"").map_or(record.len() - "}\n".len(), |len| start + len + 1);
        let without = format!("{}{}", &record[..start], &record[end..]).replace(",}", "}");
        assert_eq!(refusal(&without), format!("the member '{member}' is missing, which every change event has"));
    }
}

#[test]
fn a_member_that_is_given_twice_is_refused() {
    for member in [
        r#""cdc_event_id":"e-1""#,
        r#""cdc_table":"orders""#,
        r#""id":"o-1""#,
        r#""status":"a""#,
        r#""old_status":"a""#,
        r#""cdc_extra":"{}""#,
        r#""old_cdc_extra":"{}""#,
        r#""cdc_snapshot_id":"s""#,
    ] {
        let name = member.split('"').nth(1).unwrap();
        let twice = line(&if HEAD.contains(member) { format!(",{member}") } else { format!(",{member},{member}") });
        assert_eq!(refusal(&twice), format!("the member '{name}' is given twice, so that its value is uncertain"));
    }
}

#[test]
fn a_member_of_a_newer_contract_is_refused_with_what_to_do() {
    for member in ["colour", "old_colour", "old_id", "cdc_new", "", "old_"] {
        let error = refusal(&line(&format!(",\"{member}\":1")));
        assert!(error.starts_with(&format!("the member '{member}' is not in this stage's schema of table 'orders'")), "{error}");
        assert!(error.ends_with("deploy this stage with it first, then redrive the record"), "{error}");
    }
    let error = refusal(&line(&format!(",\"{}\":1", "é".repeat(100_000))));
    assert!(error.len() < 500, "names are shown as far as they help");
}

#[test]
fn the_change_of_another_table_is_refused() {
    let error = refusal(&line("").replace("orders", "returns"));
    assert!(error.starts_with("the record is a change of table 'returns', this stage delivers 'orders'"), "{error}");
}

#[test]
fn what_is_not_one_json_object_is_refused_without_its_content() {
    let whole = line("");
    let two = format!("{whole}{whole}");
    for (record, says) in [
        ("", "the record is empty where"),
        ("\n", "the record is empty where"),
        ("\"secret\"", "the record is a string where"),
        ("[1]", "the record is an array where"),
        ("secret", "the record is no JSON where"),
        ("{", "the record is not one JSON object"),
        ("{}}", "the record is not one JSON object"),
        (&two, "the record is not one JSON object"),
        (&whole[..whole.len() - 2], "the record is not one JSON object"),
    ] {
        let error = read(record).unwrap_err();
        assert!(error.to_string().starts_with(says), "{record}: {error}");
        assert!(!format!("{error} {:?}", error.source()).contains("secret"), "{error}");
    }
    let error = parse_line(b"{\"a\xff\":1}", &schema()).unwrap_err();
    assert!(error.to_string().starts_with("the record is not UTF-8"), "{error}");
}

#[test]
fn depth_without_end_is_refused() {
    for nested in ["[", "{\"a\":"] {
        let deep = nested.repeat(200_000);
        for record in [deep.clone(), format!("{HEAD},\"items\":{deep}"), format!("{HEAD},\"unknown\":{deep}")] {
            assert!(read(&record).is_err());
        }
    }
    let closed = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    for member in ["items", "cdc_changed", "unknown"] {
        let record = line(&format!(",\"{member}\":{closed}")).replacen("\"cdc_changed\":[\"status\"],", "", 1);
        assert!(refusal(&record).contains(&format!("'{member}'")));
    }
}

#[test]
fn a_pointer_says_where_its_change_is_and_holds_nothing_of_its_images() {
    let location = "claims/dt=2026-11-21/shardId-01-0000000000000000000700000000000888747038.json";
    let event = change(&line(r#","status":"PAID","old_status":"PLACED""#));
    let mut pointer_line = Vec::new();
    write_pointer(&event, location, &schema(), &mut pointer_line);
    let pointer_line = String::from_utf8(pointer_line).unwrap();
    let claim = format!(r#""cdc_changed":["status"],"cdc_claim_check":"{location}""#);
    assert_eq!(pointer_line, line("").replace(r#""cdc_changed":["status"]"#, &claim));
    let Ok(Parsed::Pointer(pointer)) = read(&pointer_line) else { panic!("{pointer_line}") };
    assert_eq!((pointer.location.as_str(), pointer.event_id.as_str(), pointer.shard.as_str()), (location, "e-1", "shardId-01"));
    assert_eq!((pointer.operation, pointer.time, pointer.sequence.digits()), (Operation::Modify, 1_795_230_007, "700000000000888747038"));
    assert_eq!(pointer.keys, ["o-1", "7"]);
    assert!(pointer.stands_for(&event));
    for (member, name) in
        [(r#","status":"PAID""#, "status"), (r#","old_status":"PAID""#, "old_status"), (r#","old_cdc_extra":"{}""#, "old_cdc_extra")]
    {
        let error = refusal(&pointer_line.replace("}\n", &format!("{member}}}\n")));
        assert_eq!(error, format!("a pointer to a claim does not have the image that the member '{name}' is of"));
    }
}

#[test]
fn a_pointer_leads_nowhere_but_below_its_tables_folder() {
    for location in ["", "/claims/a", "claims//a", "claims/", "../returns/claims/a", "claims/../../a", "./a", "claims\\\\..\\\\a"] {
        let error = refusal(&line(&format!(",\"cdc_claim_check\":\"{location}\"")));
        assert_eq!(error, "the member 'cdc_claim_check' holds a string that is not a location below the table's folder");
    }
}

#[test]
fn a_claim_is_the_line_that_did_not_fit() {
    let event = change(&line(r#","status":"PAID","price":12.5"#));
    let mut claim = Vec::new();
    write_ndjson(&event, &schema(), Decimals::Number, &mut claim);
    assert_eq!(String::from_utf8(claim).unwrap(), line(r#","status":"PAID","price":12.5"#));
}

const MARKER: &str = concat!(
    r#"{"cdc_event_id":"s-1/shardId-01","cdc_op":"SNAPSHOT_END","cdc_sequence":"0000000000000000000000000000000000000000","#,
    r#""cdc_time":"2026-11-21 03:00:07.000","cdc_table":"orders","cdc_shard":"shardId-01","cdc_snapshot_id":"s-1","#,
    r#""cdc_ttl_delete":false,"cdc_changed":[],"cdc_hash_range":"0-340282366920938463463374607431768211455"}"#
);

#[test]
fn a_marker_tells_of_a_snapshot_in_a_shard() {
    let end =
        SnapshotEnd { snapshot_id: "s-1".to_owned(), time: 1_795_230_007, shard: "shardId-01".to_owned(), hash_range: (0, u128::MAX) };
    let mut line = Vec::new();
    write_marker(&end, &schema(), &mut line);
    assert_eq!(String::from_utf8(line).unwrap(), format!("{MARKER}\n"));
    assert_eq!(read(MARKER).unwrap(), Parsed::Marker(end));
}

#[test]
fn a_marker_has_its_range_and_its_snapshot_and_nothing_of_an_item() {
    for range in ["", "5", "9-5", "-5", "05-9", "+5-9", "0-340282366920938463463374607431768211456"] {
        let wrong = MARKER.replace("0-340282366920938463463374607431768211455", range);
        assert_eq!(refusal(&wrong), "the member 'cdc_hash_range' holds a string that is not a range of hash keys", "{range}");
    }
    for member in [r#","cdc_hash_range":"0-340282366920938463463374607431768211455""#, r#","cdc_snapshot_id":"s-1""#] {
        let name = member.split('"').nth(1).unwrap();
        assert_eq!(refusal(&MARKER.replace(member, "")), format!("the member '{name}' is missing, which every change event has"));
    }
    for (member, name) in
        [(r#","id":"o-1""#, "id"), (r#","status":"PAID""#, "status"), (r#","cdc_claim_check":"claims/x""#, "cdc_claim_check")]
    {
        let error = refusal(&MARKER.replacen('}', &format!("{member}}}"), 1));
        assert_eq!(error, format!("the end of a snapshot does not have the image that the member '{name}' is of"));
    }
    let change = refusal(&line(r#","cdc_hash_range":"0-9""#));
    assert!(change.starts_with("the member 'cdc_hash_range' is not in this stage's schema"), "{change}");
}
