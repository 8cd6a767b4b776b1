//! Conditional writes and consistent reads, as lease tables need them.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::{Service, n, s};

#[tokio::test]
async fn an_item_is_created_by_one_of_many() {
    let service = Service::start().await;
    service.table("leases").await;
    let create = |owner: i64| {
        let put = service.tables.put_item().table_name("leases").item("id", s("shard-1")).item("owner", n(owner));
        put.condition_expression("attribute_not_exists(id)").send()
    };
    let outcomes = futures::future::join_all((0..8).map(create)).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for lost in outcomes.into_iter().filter_map(Result::err) {
        assert!(lost.into_service_error().is_conditional_check_failed_exception());
    }
    service.stop().await;
}

#[tokio::test]
async fn a_counter_moves_by_compare_and_set_only() {
    let service = Service::start().await;
    service.table("leases").await;
    service.tables.put_item().table_name("leases").item("id", s("shard-1")).item("counter", n(7)).send().await.unwrap();
    let renew = |expected: &str| {
        let update = service.tables.update_item().table_name("leases").key("id", s("shard-1"));
        update
            .update_expression("SET #c = :next, checkpoint = :p REMOVE pending")
            .condition_expression("#c = :expected AND attribute_not_exists(successor)")
            .expression_attribute_names("#c", "counter")
            .expression_attribute_values(":expected", AttributeValue::N(expected.to_owned()))
            .expression_attribute_values(":next", n(8))
            .expression_attribute_values(":p", s("1000000000000000000001"))
            .return_values(ReturnValue::AllNew)
            .send()
    };
    let stale = renew("6").await.unwrap_err();
    assert!(stale.into_service_error().is_conditional_check_failed_exception());
    // Numbers are compared as numbers, however they are written.
    let renewed = renew("7.0").await.unwrap();
    assert_eq!(renewed.attributes().unwrap()["counter"], n(8));
    assert_eq!(renew("7").await.unwrap_err().code(), Some("ConditionalCheckFailedException"));

    let read = service.tables.get_item().table_name("leases").key("id", s("shard-1")).consistent_read(true).send().await.unwrap();
    let expected = HashMap::from([
        ("id".to_owned(), s("shard-1")),
        ("counter".to_owned(), n(8)),
        ("checkpoint".to_owned(), s("1000000000000000000001")),
    ]);
    assert_eq!(read.item(), Some(&expected));
    service.stop().await;
}

#[tokio::test]
async fn a_scan_pages_through_everything_and_segments_part_it() {
    let service = Service::start().await;
    service.table("leases").await;
    for at in 0..53 {
        service.put("leases", &format!("shard-{at}"), at).await;
    }
    let mut seen = BTreeSet::new();
    let mut pages = 0;
    let mut start = None;
    loop {
        let page = service.tables.scan().table_name("leases").consistent_read(true).limit(10).set_exclusive_start_key(start).send();
        let page = page.await.unwrap();
        pages += 1;
        seen.extend(page.items().iter().map(|item| item["id"].as_s().unwrap().clone()));
        start = page.last_evaluated_key().cloned();
        if start.is_none() {
            break;
        }
    }
    assert_eq!((seen.len(), pages), (53, 6));

    let mut parted = Vec::new();
    for segment in 0..4 {
        let part = service.tables.scan().table_name("leases").segment(segment).total_segments(4).send().await.unwrap();
        parted.extend(part.items().iter().map(|item| item["id"].as_s().unwrap().clone()));
    }
    assert_eq!(parted.len(), 53, "no item in two segments");
    assert_eq!(parted.into_iter().collect::<BTreeSet<_>>(), seen);
    service.stop().await;
}

#[tokio::test]
async fn numbers_keep_38_digits() {
    let service = Service::start().await;
    service.table("leases").await;
    let exact = "1234567890123456789012345678.0123456789";
    let put = service.tables.put_item().table_name("leases").item("id", s("a")).item("amount", AttributeValue::N(exact.to_owned()));
    put.send().await.unwrap();
    let read = service.tables.get_item().table_name("leases").key("id", s("a")).send().await.unwrap();
    assert_eq!(read.item().unwrap()["amount"].as_n().unwrap(), exact);
    let long = service.tables.put_item().table_name("leases").item("id", s("a"));
    let refused = long.item("amount", AttributeValue::N(format!("{exact}1"))).send().await.unwrap_err();
    assert_eq!(refused.code(), Some("ValidationException"));
    service.stop().await;
}
