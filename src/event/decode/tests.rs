use super::*;
use crate::event::{Operation, Value};

const MODIFY: &str = r#"{"awsRegion":"eu-west-1","dynamodb":{"ApproximateCreationDateTime":1700000000,"Keys":{"id":{"S":"a"}},"NewImage":{"id":{"S":"a"},"v":{"N":"2"}},"OldImage":{"id":{"S":"a"},"v":{"N":"1"}},"SequenceNumber":"700000000000888747038","SizeBytes":26,"StreamViewType":"NEW_AND_OLD_IMAGES"},"eventID":"e1","eventName":"MODIFY","eventSource":"aws:dynamodb","eventVersion":"1.1"}"#;

fn page(records: &[&str]) -> String {
    format!(r#"{{"NextShardIterator":"next","Records":[{}]}}"#, records.join(","))
}

fn decoded(record: &str) -> StreamRecord<'_> {
    match parse_record(record) {
        Decoded::Record(record) => record,
        Decoded::Poison(poison) => panic!("{}: {}", poison.reason, poison.raw),
    }
}

fn poisoned(record: &str) -> Poison<'_> {
    match parse_record(record) {
        Decoded::Record(record) => panic!("decoded: {record:?}"),
        Decoded::Poison(poison) => poison,
    }
}

#[test]
fn a_record_has_its_members() {
    let record = decoded(MODIFY);
    assert_eq!(record.event_id, "e1");
    assert_eq!(record.operation, Operation::Modify);
    assert_eq!(record.sequence.digits(), "700000000000888747038");
    assert_eq!(record.created, 1_700_000_000);
    assert_eq!(record.keys.get("id"), Some(&Value::S("a".into())));
    assert_eq!(record.new_image.unwrap().get("v"), Some(&Value::N("2".into())));
    assert_eq!(record.old_image.unwrap().get("v"), Some(&Value::N("1".into())));
    assert!(!record.ttl_delete);
}

#[test]
fn a_poison_record_does_not_spoil_its_neighbours() {
    let unknown_type = MODIFY.replace(r#"{"N":"2"}"#, r#"{"Q":"2"}"#);
    let lone_surrogate = MODIFY.replace(r#"{"N":"2"}"#, r#"{"S":"\ud800"}"#);
    let body = page(&[MODIFY, &unknown_type, "7", &lone_surrogate, MODIFY]);
    let page = parse_page(body.as_bytes()).unwrap();
    assert_eq!(page.next_iterator.as_deref(), Some("next"));
    let [Decoded::Record(first), Decoded::Poison(typed), Decoded::Poison(number), Decoded::Poison(surrogate), Decoded::Record(last)] =
        page.records.as_slice()
    else {
        panic!("{:?}", page.records);
    };
    assert_eq!(first, last);
    assert!(typed.reason.contains("unknown attribute type 'Q'"), "{}", typed.reason);
    assert_eq!(typed.raw, unknown_type, "the whole record is kept");
    assert_eq!((number.raw, &number.event_id, number.sequence), ("7", &None, None));
    for poison in [typed, surrogate] {
        assert_eq!(poison.event_id.as_deref(), Some("e1"));
        assert_eq!(poison.sequence.unwrap().digits(), "700000000000888747038");
    }
}

#[test]
fn what_a_record_lacks_is_named() {
    for (from, to, reason) in [
        (r#""ApproximateCreationDateTime":1700000000,"#, "", "no ApproximateCreationDateTime"),
        (r#""ApproximateCreationDateTime":1700000000"#, r#""ApproximateCreationDateTime":null"#, "no ApproximateCreationDateTime"),
        ("1700000000", "-1", "seconds from 1970 to 9999"),
        ("1700000000", "1e300", "seconds from 1970 to 9999"),
        (r#""Keys":{"id":{"S":"a"}},"#, "", "no Keys"),
        (r#""Keys":{"id":{"S":"a"}},"#, r#""Keys":{},"#, "no Keys"),
        (r#""SequenceNumber":"700000000000888747038","#, "", "no SequenceNumber"),
        ("700000000000888747038", "7a", "not a sequence number"),
        (r#""eventID":"e1","#, "", "no eventID"),
        (r#""eventName":"MODIFY","#, "", "no eventName"),
        ("MODIFY", "UPSERT", "unknown eventName 'UPSERT'"),
        ("NewImage", "newImage", "MODIFY without a NewImage"),
    ] {
        let record = MODIFY.replace(from, to);
        assert_ne!(record, MODIFY, "{from}");
        let reason_found = poisoned(&record).reason;
        assert!(reason_found.contains(reason), "{reason} / {reason_found}");
    }
}

#[test]
fn a_creation_time_with_a_fraction_is_floored() {
    for (spelling, seconds) in [("1664559083.0", 1_664_559_083), ("1664559083.999", 1_664_559_083), ("1.664559083E9", 1_664_559_083)] {
        assert_eq!(decoded(&MODIFY.replace("1700000000", spelling)).created, seconds, "{spelling}");
    }
}

#[test]
fn unknown_members_null_members_and_a_higher_version_do_no_harm() {
    let record = MODIFY
        .replace(r#""eventVersion":"1.1""#, r#""eventVersion":"9.0","userIdentity":null,"novel":{"a":[1,{"b":null}]}"#)
        .replace(r#""SizeBytes":26"#, r#""SizeBytes":26,"Novel":[[]]"#);
    assert_eq!(decoded(&record), decoded(MODIFY));
}

#[test]
fn escapes_are_decoded_and_long_sequences_kept() {
    let digits = "9".repeat(40);
    let record = MODIFY.replace("700000000000888747038", &digits).replace(r#""N":"2""#, r#""S":"caf\u00e9 \ud83d\ude00""#);
    let record = decoded(&record);
    assert_eq!(record.sequence.digits(), digits);
    assert_eq!(record.new_image.unwrap().get("v"), Some(&Value::S("café 😀".into())));
}

fn remove(event_name: &str, identity: &str) -> String {
    MODIFY
        .replace("MODIFY", event_name)
        .replace(r#""NewImage":{"id":{"S":"a"},"v":{"N":"2"}},"#, "")
        .replace(r#""eventSource""#, &format!(r#""userIdentity":{identity},"eventSource""#))
}

#[test]
fn a_ttl_delete_is_a_remove_by_dynamodb_itself() {
    for (identity, by_ttl) in [
        (r#"{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"}"#, true),
        (r#"{"principalId":"dynamodb.amazonaws.com","type":"Service"}"#, true),
        (r#"{"PrincipalId":"dynamodb.amazonaws.com","Type":"User"}"#, false),
        (r#"{"PrincipalId":"somebody","Type":"Service"}"#, false),
        (r#"{"Type":"Service"}"#, false),
        ("{}", false),
    ] {
        let record = remove("REMOVE", identity);
        let record = decoded(&record);
        assert_eq!(record.operation, Operation::Remove);
        assert_eq!(record.ttl_delete, by_ttl, "{identity}");
    }
    let modified =
        MODIFY.replace(r#""eventSource""#, r#""userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"},"eventSource""#);
    assert!(!decoded(&modified).ttl_delete, "only a REMOVE is a delete");
}

#[test]
fn the_images_tell_what_dynamodb_local_does_not() {
    let removed = remove("UNKNOWN_TO_SDK_VERSION", "null");
    assert_eq!(decoded(&removed).operation, Operation::Remove);
    let modified = MODIFY.replace("MODIFY", "UNKNOWN_TO_SDK_VERSION");
    assert_eq!(decoded(&modified).operation, Operation::Modify);
    assert_eq!(decoded(&modified.replace("OldImage", "ignored")).operation, Operation::Insert);
    let none = removed.replace("OldImage", "ignored");
    assert!(poisoned(&none).reason.contains("unknown eventName 'UNKNOWN_TO_SDK_VERSION'"));
}

#[test]
fn a_page_may_be_empty_and_may_be_the_last() {
    let open = parse_page(br#" {"Records":[],"NextShardIterator":"n\u002fx"} "#).unwrap();
    assert_eq!((open.records.len(), open.next_iterator.as_deref()), (0, Some("n/x")));
    for closed in [r#"{"Records":[]}"#, r#"{"Records":[],"NextShardIterator":null}"#, r#"{"NextShardIterator":"","Records":[]}"#] {
        assert_eq!(parse_page(closed.as_bytes()).unwrap().next_iterator, None, "{closed}");
    }
}

#[test]
fn a_body_that_is_no_page_is_an_error_and_not_the_end_of_the_shard() {
    for body in ["", "{}", "null", "[]", r#"{"Records":null}"#, r#"{"Records":{}}"#, r#"{"Records":[]"#, r#"{"Records":[{]}"#] {
        assert!(matches!(parse_page(body.as_bytes()), Err(PageError::Malformed(_))), "{body}");
    }
    assert!(matches!(parse_page(b"{\"Records\":[\"\xff\"]}"), Err(PageError::Encoding(_))));
}

#[test]
fn items_may_nest_as_deep_as_dynamodb_allows_and_deeper_is_poison() {
    let nested = |levels: usize| {
        let value = format!(r#"{}{{"N":"2"}}{}"#, r#"{"M":{"x":"#.repeat(levels), "}}".repeat(levels));
        MODIFY.replace(r#"{"N":"2"}"#, &value)
    };
    decoded(&nested(32));
    let body = page(&[&nested(200), MODIFY]);
    let page = parse_page(body.as_bytes()).unwrap();
    assert!(matches!(page.records.as_slice(), [Decoded::Poison(_), Decoded::Record(_)]), "{:?}", page.records);
}
