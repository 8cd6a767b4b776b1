//! Shards over time: lineage, trimming, streams that end and begin.

use std::time::Duration;

use aws_sdk_dynamodb::types::StreamSpecification;
use aws_sdk_dynamodbstreams::error::ProvideErrorMetadata;
use aws_sdk_dynamodbstreams::types::{ShardFilter, ShardFilterType, ShardIteratorType};
use headwater::embedded::Options;
use tokio::time::{Instant, sleep};

use super::{DEADLINE, Service, both_images, id, sequence};

#[tokio::test]
async fn an_old_shard_closes_and_its_child_goes_on() {
    let service = Service::with(Options { shard_life: Duration::from_secs(1), ..Options::default() }).await;
    let arn = service.table("orders").await;
    let deadline = Instant::now() + DEADLINE;
    let mut written = 0;
    while service.describe(&arn).await.shards().len() < 3 {
        assert!(Instant::now() < deadline, "no child shards appeared");
        service.put("orders", &format!("{written}"), written).await;
        written += 1;
        sleep(Duration::from_millis(20)).await;
    }
    let description = service.describe(&arn).await;
    let shards = description.shards();
    for pair in shards.windows(2) {
        assert_eq!(pair[1].parent_shard_id(), pair[0].shard_id());
        let (parent, child) = (pair[0].sequence_number_range().unwrap(), pair[1].sequence_number_range().unwrap());
        assert!(parent.ending_sequence_number().unwrap() < child.starting_sequence_number().unwrap());
    }
    assert_eq!(shards.last().unwrap().sequence_number_range().unwrap().ending_sequence_number(), None);

    let mut read = Vec::new();
    for (at, shard) in shards.iter().enumerate() {
        let iterator = service.iterator(&arn, shard, ShardIteratorType::TrimHorizon, None).await;
        let (records, ended) = service.read(iterator).await;
        let open = at + 1 == shards.len();
        assert_eq!(ended, !open, "only a closed shard has an end");
        read.extend(records.iter().map(|record| id(record).parse::<i64>().unwrap()));
    }
    assert_eq!(read, (0..written).collect::<Vec<_>>(), "each change once, in order, over all shards");

    let filter = ShardFilter::builder().r#type(ShardFilterType::ChildShards).shard_id(shards[0].shard_id().unwrap()).build();
    let children = service.streams.describe_stream().stream_arn(&arn).shard_filter(filter).send().await.unwrap();
    let children = children.stream_description().unwrap().shards();
    assert_eq!(children.len(), 1);
    assert_eq!(children[0].shard_id(), shards[1].shard_id());

    let first = service.streams.describe_stream().stream_arn(&arn).limit(1).send().await.unwrap();
    let first = first.stream_description().unwrap();
    assert_eq!(first.last_evaluated_shard_id(), shards[0].shard_id());
    let rest =
        service.streams.describe_stream().stream_arn(&arn).set_exclusive_start_shard_id(first.last_evaluated_shard_id().map(str::to_owned));
    assert_eq!(rest.send().await.unwrap().stream_description().unwrap().shards()[0].shard_id(), shards[1].shard_id());
    service.stop().await;
}

#[tokio::test]
async fn old_records_are_trimmed_and_positions_before_them_refused() {
    let service = Service::with(Options { retention: Duration::from_secs(2), ..Options::default() }).await;
    let arn = service.table("orders").await;
    service.put("orders", "first", 1).await;
    service.put("orders", "second", 1).await;
    let shard = service.describe(&arn).await.shards()[0].clone();
    let start = service.iterator(&arn, &shard, ShardIteratorType::TrimHorizon, None).await;
    let records = service.all(&arn).await;
    let deadline = Instant::now() + DEADLINE;
    loop {
        let iterator = service.iterator(&arn, &shard, ShardIteratorType::TrimHorizon, None).await;
        // Refused when the horizon has passed the iterator just now.
        let page = service.streams.get_records().shard_iterator(iterator).send().await;
        if page.is_ok_and(|page| page.records().is_empty()) {
            break;
        }
        assert!(Instant::now() < deadline, "nothing was trimmed");
        sleep(Duration::from_millis(100)).await;
    }
    service.put("orders", "third", 1).await;

    let stale = service.streams.get_records().shard_iterator(start).send().await.unwrap_err();
    assert!(stale.into_service_error().is_trimmed_data_access_exception());
    let after = |record| {
        let request = service.streams.get_shard_iterator().stream_arn(&arn).shard_id(shard.shard_id().unwrap());
        request.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).sequence_number(sequence(record)).send()
    };
    let refused = after(&records[0]).await.unwrap_err();
    assert!(refused.into_service_error().is_trimmed_data_access_exception());
    assert!(after(&records[1]).await.is_ok(), "nothing lies between the last trimmed record and the next one");
    let rest = service.all(&arn).await;
    assert_eq!(rest.iter().map(id).collect::<Vec<_>>(), ["third"]);
    service.stop().await;
}

#[tokio::test]
async fn a_disabled_stream_stays_readable_and_a_new_one_starts_empty() {
    let service = Service::start().await;
    let old = service.table("orders").await;
    service.put("orders", "before", 1).await;
    let update =
        |specification: StreamSpecification| service.tables.update_table().table_name("orders").stream_specification(specification).send();
    let twice = update(both_images()).await.unwrap_err();
    assert_eq!(twice.code(), Some("ValidationException"));
    let off = StreamSpecification::builder().stream_enabled(false).build().unwrap();
    update(off.clone()).await.unwrap();
    assert_eq!(update(off).await.unwrap_err().code(), Some("ValidationException"));
    service.put("orders", "unseen", 1).await;

    let disabled = service.describe(&old).await;
    assert_eq!(disabled.stream_status().unwrap().as_str(), "DISABLED");
    let iterator = service.iterator(&old, &disabled.shards()[0], ShardIteratorType::TrimHorizon, None).await;
    let (records, ended) = service.read(iterator).await;
    assert_eq!(records.iter().map(id).collect::<Vec<_>>(), ["before"]);
    assert!(ended, "the shard of a disabled stream is closed");
    let table = service.tables.describe_table().table_name("orders").send().await.unwrap();
    assert_eq!(table.table().unwrap().latest_stream_arn(), Some(old.as_str()));

    sleep(Duration::from_millis(2)).await;
    let enabled = update(both_images()).await.unwrap();
    let new = enabled.table_description().unwrap().latest_stream_arn().unwrap().to_owned();
    assert_ne!(new, old);
    service.put("orders", "after", 1).await;
    assert_eq!(service.all(&new).await.iter().map(id).collect::<Vec<_>>(), ["after"]);
    assert_eq!(service.all(&old).await.iter().map(id).collect::<Vec<_>>(), ["before"]);
    let listed = service.streams.list_streams().table_name("orders").send().await.unwrap();
    assert_eq!(listed.streams().iter().map(|stream| stream.stream_arn().unwrap()).collect::<Vec<_>>(), [&old, &new]);
    service.stop().await;
}

#[tokio::test]
async fn tables_and_streams_in_a_file_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { data: Some(folder.path().join("tables.db")), ..Options::default() };
    let service = Service::with(options()).await;
    let arn = service.table("orders").await;
    service.put("orders", "before", 1).await;
    let shard = service.describe(&arn).await.shards()[0].clone();
    let start = service.iterator(&arn, &shard, ShardIteratorType::Latest, None).await;
    service.stop().await;

    let service = Service::with(options()).await;
    service.put("orders", "after", 1).await;
    assert_eq!(service.all(&arn).await.iter().map(id).collect::<Vec<_>>(), ["before", "after"]);
    assert_eq!(service.read(start).await.0.iter().map(id).collect::<Vec<_>>(), ["after"]);
    service.stop().await;
}

#[tokio::test]
async fn a_taken_port_and_a_file_that_is_no_database_are_named() {
    let service = Service::start().await;
    let taken = headwater::embedded::Embedded::start(Options { listen: service.embedded.address(), ..Options::default() }).await;
    let message = taken.unwrap_err().to_string();
    assert!(message.contains(&service.embedded.address().to_string()), "{message}");
    service.stop().await;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "this is not a database, however long one reads in it".repeat(100)).unwrap();
    let refused = headwater::embedded::Embedded::start(Options { data: Some(file), ..Options::default() }).await;
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("notes.txt"), "{message}");
}
