use super::*;
use crate::event::{AttributeType, Operation};

const RECORD: &str = concat!(
    r#"{"eventID":"e","eventName":"MODIFY","dynamodb":{"ApproximateCreationDateTime":7,"SequenceNumber":"17","Keys":{"id":{"S":"a"}},"#,
    r#""NewImage":{"id":{"S":"a"},"n":{"N":"1.10"},"tags":{"SS":["x"]}},"OldImage":{"id":{"S":"a"},"n":{"N":"1"}}}}"#
);

fn schema(key: AttributeType) -> TableSchema {
    TableSchema::keys_only("t", vec![("id".to_owned(), key)])
}

fn kept(raw: &[u8]) -> Kept<'_> {
    Kept { position: None, time: 9, raw }
}

#[tokio::test]
async fn a_record_in_quarantine_becomes_the_change_that_the_schema_of_today_makes_of_it() {
    let shard = ShardId::new("s");
    let refused = decoder(&schema(AttributeType::N)).again(&shard, kept(RECORD.as_bytes())).await.unwrap();
    let Record::Poison { key: None, kind: Kind::DoesNotFit, position: Some(_), .. } = refused else { panic!("the key is no number") };
    let Record::Change { position, event, .. } = decoder(&schema(AttributeType::S)).again(&shard, kept(RECORD.as_bytes())).await.unwrap()
    else {
        panic!("it is a change")
    };
    assert_eq!((position.to_string().as_str(), event.operation, event.shard.as_ref()), ("17", Operation::Modify, "s"));
}

#[tokio::test]
async fn what_is_kept_of_a_change_that_waits_becomes_that_change_again() {
    let (decoder, shard) = (decoder(&schema(AttributeType::S)), ShardId::new("s"));
    let Record::Change { event, .. } = decoder.again(&shard, kept(RECORD.as_bytes())).await.unwrap() else { panic!("it is a change") };
    let waits = decoder.record_of(&event);
    assert_eq!(Content::of(&waits), Content::StreamRecord, "so that another contract can be applied to it");
    let Record::Change { event: again, .. } = decoder.again(&shard, kept(&waits)).await.unwrap() else { panic!("it is a change") };
    assert_eq!(again, event);
}

#[tokio::test]
async fn a_line_that_was_too_large_for_the_route_is_read_back() {
    let (schema, shard) = (schema(AttributeType::S), ShardId::new("s"));
    let decoder = decoder(&schema);
    let Record::Change { event, .. } = decoder.again(&shard, kept(RECORD.as_bytes())).await.unwrap() else { panic!("it is a change") };
    let mut line = Vec::new();
    write_ndjson(&event, &schema, Decimals::Number, &mut line);
    let Record::Change { position, event: again, .. } = decoder.again(&shard, kept(&line)).await.unwrap() else { panic!("it is a change") };
    assert_eq!((again, position.to_string().as_str()), (event, "17"));
    let Record::Poison { key, .. } = decoder.again(&shard, kept(br#"{"cdc_op":"INSERT","id":"a"}"#)).await.unwrap() else {
        panic!("it is none")
    };
    assert_eq!(key, Some(Key::of_texts(vec!["a".to_owned()])));
}

#[tokio::test]
async fn bytes_that_are_no_text_stay_what_they_are() {
    let (decoder, shard) = (decoder(&schema(AttributeType::S)), ShardId::new("s"));
    let Record::Poison { raw, kind, .. } = decoder.again(&shard, kept(b"\xf3\x89")).await.unwrap() else { panic!("it is no change") };
    assert_eq!((raw.as_ref(), kind), (&b"\xf3\x89"[..], Kind::Undecodable));
}
