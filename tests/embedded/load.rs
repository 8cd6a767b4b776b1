//! Generated traffic.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use aws_sdk_dynamodbstreams::types::OperationType;
use headwater::embedded::generate::{GenerateError, GenerateOptions, create_table, generate};
use headwater::embedded::orders::Mix;
use tokio_util::sync::CancellationToken;

use super::Service;

fn options() -> GenerateOptions {
    GenerateOptions {
        table: "sales_orders".to_owned(),
        rate: None,
        duration: None,
        count: Some(1_500),
        mix: Mix { insert: 50, update: 40, delete: 10 },
        seed: 7,
        concurrency: NonZeroUsize::new(8).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_tells_what_was_written_and_every_order_in_order() {
    let service = Service::start().await;
    assert!(create_table(&service.tables, "sales_orders").await.unwrap());
    assert!(!create_table(&service.tables, "sales_orders").await.unwrap(), "the second time it is there");
    let mut told = 0;
    let summary = generate(&service.tables, options(), |progress| told = progress.operations(), CancellationToken::new()).await.unwrap();
    let counts = summary.counts;
    assert_eq!(counts.operations(), 1_500);
    assert_eq!(told, 1_500);
    assert_eq!(counts.errors, 0);
    assert!(counts.expiries > 0, "the table has TTL");

    let table = service.tables.describe_table().table_name("sales_orders").send().await.unwrap();
    let records = service.all(table.table().unwrap().latest_stream_arn().unwrap()).await;
    let mut status: HashMap<String, String> = HashMap::new();
    let mut inserts = 0;
    for record in records {
        let change = record.dynamodb().unwrap();
        let order = change.keys().unwrap()["order_id"].as_s().unwrap().clone();
        let new = change.new_image().map(|image| image["order_status"].as_s().unwrap().clone());
        let old = change.old_image().map(|image| image["order_status"].as_s().unwrap().clone());
        assert_eq!(status.get(&order), old.as_ref(), "{order} was written out of order");
        inserts += u64::from(record.event_name() == Some(&OperationType::Insert));
        match new {
            Some(new) => status.insert(order, new),
            None => status.remove(&order),
        };
    }
    assert_eq!(inserts, counts.puts);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_and_the_duration_hold() {
    let service = Service::start().await;
    create_table(&service.tables, "sales_orders").await.unwrap();
    let limited = GenerateOptions { rate: Some(100), count: None, duration: Some(Duration::from_secs(2)), ..options() };
    let summary = generate(&service.tables, limited, |_| {}, CancellationToken::new()).await.unwrap();
    assert!((150..=200).contains(&summary.counts.operations()), "{summary:?}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_when_told() {
    let service = Service::start().await;
    create_table(&service.tables, "sales_orders").await.unwrap();
    let stop = CancellationToken::new();
    let endless = GenerateOptions { count: None, ..options() };
    let until = |progress: &headwater::embedded::generate::GenerateProgress| {
        if progress.operations() > 0 {
            stop.cancel();
        }
    };
    let summary = generate(&service.tables, endless, until, stop.clone()).await.unwrap();
    assert!(summary.counts.operations() > 0);
    service.stop().await;
}

#[tokio::test]
async fn a_missing_table_is_named() {
    let service = Service::start().await;
    let error = generate(&service.tables, options(), |_| {}, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, GenerateError::Table { .. }), "{error:?}");
    assert!(error.to_string().contains("'sales_orders'"), "{error}");
    service.stop().await;
}

#[tokio::test]
async fn a_table_with_another_key_ends_the_traffic_at_once() {
    let service = Service::start().await;
    service.table("sales_orders").await;
    let error = generate(&service.tables, options(), |_| {}, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, GenerateError::Write { .. }), "{error:?}");
    service.stop().await;
}
