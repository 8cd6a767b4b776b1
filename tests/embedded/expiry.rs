//! TTL.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::TimeToLiveSpecification;
use aws_sdk_dynamodbstreams::types::OperationType;
use tokio::time::{Instant, sleep};

use super::{DEADLINE, Service, id, n, s};

fn in_seconds(seconds: i64) -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap() + seconds
}

#[tokio::test]
async fn expired_items_are_deleted_in_the_name_of_dynamodb_within_seconds() {
    let service = Service::start().await;
    let arn = service.table("orders").await;
    let ttl = TimeToLiveSpecification::builder().attribute_name("expires_at").enabled(true).build().unwrap();
    service.tables.update_time_to_live().table_name("orders").time_to_live_specification(ttl).send().await.unwrap();
    let put = |id: &str, expires: aws_sdk_dynamodb::types::AttributeValue| {
        service.tables.put_item().table_name("orders").item("id", s(id)).item("expires_at", expires).send()
    };
    put("lasting", n(in_seconds(3_600))).await.unwrap();
    put("mistaken", s("yesterday")).await.unwrap();
    put("ancient", n(in_seconds(-6 * 365 * 24 * 3_600))).await.unwrap();
    put("deleted", n(in_seconds(3_600))).await.unwrap();
    service.tables.delete_item().table_name("orders").key("id", s("deleted")).send().await.unwrap();
    // More than one piece of the sweep.
    for at in 0..60 {
        put(&format!("expired-{at}"), n(in_seconds(-10))).await.unwrap();
    }

    let start = Instant::now();
    let removes = loop {
        let mut records = service.all(&arn).await;
        records.retain(|record| record.event_name() == Some(&OperationType::Remove));
        if records.len() == 61 {
            break records;
        }
        assert!(start.elapsed() < DEADLINE, "{} removes only", records.len());
        sleep(Duration::from_millis(50)).await;
    };
    for record in &removes {
        let identity = record.user_identity().map(|identity| (identity.r#type().unwrap(), identity.principal_id().unwrap()));
        let expected = id(record).starts_with("expired").then_some(("Service", "dynamodb.amazonaws.com"));
        assert_eq!(identity, expected, "{}", id(record));
        assert!(record.dynamodb().unwrap().old_image().is_some());
    }
    let left = service.tables.scan().table_name("orders").send().await.unwrap();
    let mut left: Vec<_> = left.items().iter().map(|item| item["id"].as_s().unwrap().as_str()).collect();
    left.sort_unstable();
    assert_eq!(left, ["ancient", "lasting", "mistaken"]);
    service.stop().await;
}
