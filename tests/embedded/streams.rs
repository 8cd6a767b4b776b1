//! What a stream tells about the writes of its table.

use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::types::TransactWriteItem;
use aws_sdk_dynamodbstreams::error::ProvideErrorMetadata;
use aws_sdk_dynamodbstreams::types::{OperationType, ShardIteratorType};

use super::{Service, id, n, s, sequence};

#[tokio::test]
async fn every_change_is_told_in_order_with_both_images() {
    let service = Service::start().await;
    let arn = service.table("orders").await;
    service.put("orders", "a", 1).await;
    service.put("orders", "a", 2).await;
    service.tables.delete_item().table_name("orders").key("id", s("a")).send().await.unwrap();

    let records = service.all(&arn).await;
    let names: Vec<_> = records.iter().map(|record| record.event_name().unwrap().clone()).collect();
    assert_eq!(names, [OperationType::Insert, OperationType::Modify, OperationType::Remove]);
    let images = |at: usize| {
        let change = records[at].dynamodb().unwrap();
        let value = |image: Option<&std::collections::HashMap<String, aws_sdk_dynamodbstreams::types::AttributeValue>>| {
            image.map(|image| image["value"].as_n().unwrap().clone())
        };
        (value(change.old_image()), value(change.new_image()))
    };
    assert_eq!(images(0), (None, Some("1".to_owned())));
    assert_eq!(images(1), (Some("1".to_owned()), Some("2".to_owned())));
    assert_eq!(images(2), (Some("2".to_owned()), None));
    assert!(records.iter().all(|record| record.user_identity().is_none()), "a delete by hand has no identity");
    assert!(records.iter().all(|record| (21..=40).contains(&sequence(record).len())));
    assert!(records.is_sorted_by(|a, b| sequence(a) < sequence(b)));
    let ids: std::collections::HashSet<_> = records.iter().map(|record| record.event_id().unwrap()).collect();
    assert_eq!(ids.len(), 3, "event ids are unique");
    service.stop().await;
}

#[tokio::test]
async fn a_write_that_changes_nothing_is_not_told() {
    let service = Service::start().await;
    let arn = service.table("orders").await;
    service.put("orders", "a", 1).await;
    service.put("orders", "a", 1).await;
    let same = service.tables.update_item().table_name("orders").key("id", s("a")).update_expression("SET #v = :v");
    same.expression_attribute_names("#v", "value").expression_attribute_values(":v", n(1)).send().await.unwrap();
    // Equally long, and another value: this one counts.
    service.put("orders", "a", 2).await;

    let records = service.all(&arn).await;
    let values: Vec<_> = records.iter().map(|record| record.dynamodb().unwrap().new_image().unwrap()["value"].as_n().unwrap()).collect();
    assert_eq!(values, ["1", "2"]);
    service.stop().await;
}

#[tokio::test]
async fn the_open_shard_has_no_end_and_a_valid_id() {
    let service = Service::start().await;
    // The shortest name that a table may have.
    let arn = service.table("tbl").await;
    service.put("tbl", "a", 1).await;
    let description = service.describe(&arn).await;
    let [shard] = description.shards() else { panic!("{description:?}") };
    let range = shard.sequence_number_range().unwrap();
    assert_eq!(range.ending_sequence_number(), None);
    let first = range.starting_sequence_number().unwrap();
    let records = service.all(&arn).await;
    assert!(first <= sequence(&records[0]), "{first}");
    assert!((28..=65).contains(&shard.shard_id().unwrap().len()));
    assert_eq!(shard.parent_shard_id(), None);
    assert_eq!(description.stream_status().unwrap().as_str(), "ENABLED");
    assert_eq!(description.key_schema()[0].attribute_name(), "id");
    assert!(arn.starts_with("arn:aws:dynamodb:us-east-1:000000000000:table/tbl/stream/20"), "{arn}");
    service.stop().await;
}

#[tokio::test]
async fn iterators_start_where_they_say() {
    let service = Service::start().await;
    let arn = service.table("orders").await;
    for value in 0..3 {
        service.put("orders", &format!("early-{value}"), value).await;
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    let between = SystemTime::now();
    tokio::time::sleep(Duration::from_millis(5)).await;
    service.put("orders", "late", 1).await;
    let shard = service.describe(&arn).await.shards()[0].clone();
    let latest = service.iterator(&arn, &shard, ShardIteratorType::Latest, None).await;
    service.put("orders", "last", 1).await;

    let from = async |iterator| service.read(iterator).await.0.iter().map(|record| id(record).to_owned()).collect::<Vec<_>>();
    assert_eq!(from(latest).await, ["last"]);
    let all = service.all(&arn).await;
    assert_eq!(all.len(), 5);
    let second = Some(sequence(&all[1]));
    let at = service.iterator(&arn, &shard, ShardIteratorType::AtSequenceNumber, second).await;
    assert_eq!(from(at).await, ["early-1", "early-2", "late", "last"]);
    let after = service.iterator(&arn, &shard, ShardIteratorType::AfterSequenceNumber, second).await;
    assert_eq!(from(after).await, ["early-2", "late", "last"]);

    let by_time = |time: SystemTime| {
        let request = service.streams.get_shard_iterator().stream_arn(&arn).shard_id(shard.shard_id().unwrap());
        request.shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(time.into()).send()
    };
    let at_time = by_time(between).await.unwrap().shard_iterator().unwrap().to_owned();
    assert_eq!(from(at_time).await, ["late", "last"]);
    let long_ago = by_time(SystemTime::UNIX_EPOCH).await.unwrap().shard_iterator().unwrap().to_owned();
    assert_eq!(from(long_ago).await.len(), 5);
    let future = by_time(SystemTime::now() + Duration::from_mins(1)).await.unwrap_err();
    assert_eq!(future.code(), Some("ValidationException"));
    service.stop().await;
}

#[tokio::test]
async fn pages_hold_as_many_records_as_asked_and_never_more_than_a_megabyte() {
    let service = Service::start().await;
    let arn = service.table("orders").await;
    for value in 0..7 {
        service.put("orders", &format!("{value}"), value).await;
    }
    let big = service.tables.put_item().table_name("orders").item("id", s("big")).item("text", s(&"x".repeat(300_000)));
    for value in 0..5 {
        big.clone().item("value", n(value)).send().await.unwrap();
    }
    let shard = service.describe(&arn).await.shards()[0].clone();
    let mut iterator = service.iterator(&arn, &shard, ShardIteratorType::TrimHorizon, None).await;
    let mut pages = Vec::new();
    for limit in [3, 4, 1000, 1000, 1000, 1000] {
        let page = service.streams.get_records().shard_iterator(&iterator).limit(limit).send().await.unwrap();
        page.next_shard_iterator().unwrap().clone_into(&mut iterator);
        pages.push(page.records().len());
    }
    // 300 kB, then 600 kB each with both images: a page ends with the record that fills its megabyte.
    assert_eq!(pages, [3, 4, 3, 2, 0, 0]);
    let refused = service.streams.get_records().shard_iterator(&iterator).limit(1001).send().await.unwrap_err();
    assert_eq!(refused.code(), Some("ValidationException"));
    service.stop().await;
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let service = Service::start().await;
    let arn = service.table("orders").await;
    let stream = service.streams.describe_stream().stream_arn(format!("{arn}0")).send().await.unwrap_err();
    assert!(stream.into_service_error().is_resource_not_found_exception());
    let shard = service.streams.get_shard_iterator().stream_arn(&arn).shard_id("shardId-00000000000000000000-00000000");
    let shard = shard.shard_iterator_type(ShardIteratorType::Latest).send().await.unwrap_err();
    assert!(shard.into_service_error().is_resource_not_found_exception());
    let table = service.tables.describe_table().table_name("nowhere").send().await.unwrap_err();
    assert!(table.into_service_error().is_resource_not_found_exception());
    service.stop().await;
}

#[tokio::test]
async fn a_repeated_transaction_is_done_once() {
    let service = Service::start().await;
    let arn = service.table("orders").await;
    service.put("orders", "a", 1).await;
    let add = |amount: i64| {
        let update = aws_sdk_dynamodb::types::Update::builder().table_name("orders").key("id", s("a")).update_expression("ADD #v :v");
        let update = update.expression_attribute_names("#v", "value").expression_attribute_values(":v", n(amount)).build().unwrap();
        let item = TransactWriteItem::builder().update(update).build();
        service.tables.transact_write_items().client_request_token("once").transact_items(item).send()
    };
    add(5).await.unwrap();
    add(5).await.unwrap();
    assert!(add(6).await.unwrap_err().into_service_error().is_idempotent_parameter_mismatch_exception());
    let records = service.all(&arn).await;
    assert_eq!(records.len(), 2);
    assert_eq!(records[1].dynamodb().unwrap().new_image().unwrap()["value"].as_n().unwrap(), "6");
    service.stop().await;
}
