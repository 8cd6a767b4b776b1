//! A table's way to both lakes, from nothing.

use super::{BUCKET, CONFIG, DONE, KEY, LAKE_CONFIG, Landed, PATIENCE, SOMETHING_LEFT, TABLE, changes, create_table, init, states, stop};
use crate::support::duckdb::count_by_operation;
use crate::support::lake::{assert_every_change, assert_items_in_order, not_landed};
use crate::support::stand_ins::StandIns;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_lands_through_firehose_and_as_parquet_and_the_lake_equals_the_table() {
    let stack = StandIns::start().await;
    create_table(&stack).await;
    everything_is_made_once(&stack).await;

    let mut run = stack.headwater(&["run", "--config", CONFIG]);
    let mut lake = stack.headwater(&["run", "--config", LAKE_CONFIG, "--stage", "deliver"]);
    stack.headwater(&["generate", "--table", TABLE, "--count", "800", "--rate", "200"]).succeeds(PATIENCE).await;

    let stream = changes(&stack).await;
    let landed = Landed::in_bucket(&stack, BUCKET);
    run.wait_until(PATIENCE, "Firehose has delivered every change", async || not_landed(&landed.firehose().await, &stream).is_empty())
        .await;
    lake.wait_until(PATIENCE, "every change is there as Parquet", async || not_landed(&landed.parquet().await, &stream).is_empty()).await;
    stack.headwater(&["verify", "--config", LAKE_CONFIG]).succeeds(PATIENCE).await;
    let sent_twice = stop(run).await;
    stop(lake).await;

    let rows = landed.parquet().await;
    let copies = assert_every_change(&rows, &stream);
    assert!(copies == 0 || sent_twice, "{copies} changes are there more than once");
    assert_items_in_order(&rows, &stream, KEY);
    let made = count_by_operation(&rows);
    assert!(["INSERT", "MODIFY", "REMOVE"].iter().all(|operation| made.contains_key(operation)), "{made:?}");
    let copies = assert_every_change(&landed.firehose().await, &stream);
    assert!(copies == 0 || sent_twice, "{copies} changes were delivered more than once");
    stack.stop().await;
}

/// `init` says what is missing and makes nothing, then makes it, then finds it.
async fn everything_is_made_once(stack: &StandIns) {
    let (code, words) = init(stack, CONFIG, &["--dry-run"]).await;
    assert_eq!(code, SOMETHING_LEFT, "{words}");
    assert_eq!(states(&words), ["exists", "missing", "missing", "missing", "missing", "missing"], "{words}");
    assert_eq!(resources(stack).await, [TABLE], "a dry run made something");

    let (code, words) = init(stack, CONFIG, &[]).await;
    assert_eq!(code, DONE, "{words}");
    assert_eq!(states(&words), ["exists", "created", "created", "created", "created", "created"], "{words}");
    let made = resources(stack).await;
    let lease_tables = ["headwater-sales_orders", "headwater-sales_orders-deliver"];
    let others = ["stream sales-orders", "delivery stream sales-orders", "bucket headwater-lake"];
    assert_eq!(made, [&lease_tables[..], &[TABLE], &others].concat());

    for options in [&[][..], &["--dry-run"]] {
        let (code, words) = init(stack, CONFIG, options).await;
        assert_eq!(code, DONE, "{words}");
        assert_eq!(states(&words), ["exists"; 6], "{words}");
        assert!(words.ends_with("everything is there\n"), "{words}");
    }
    assert_eq!(resources(stack).await, made);
}

/// What there is at the stand-ins, as their own clients list it.
async fn resources(stack: &StandIns) -> Vec<String> {
    let (dynamodb, services) = (stack.dynamodb(), stack.services());
    let mut found = aws_sdk_dynamodb::Client::new(&dynamodb).list_tables().send().await.unwrap().table_names.unwrap();
    found.sort();
    let streams = aws_sdk_kinesis::Client::new(&services).list_streams().send().await.unwrap().stream_names;
    found.extend(streams.iter().map(|name| format!("stream {name}")));
    let delivery = aws_sdk_firehose::Client::new(&services).list_delivery_streams().send().await.unwrap().delivery_stream_names;
    found.extend(delivery.iter().map(|name| format!("delivery stream {name}")));
    if stack.bucket(BUCKET).exists().await {
        found.push(format!("bucket {BUCKET}"));
    }
    found
}
