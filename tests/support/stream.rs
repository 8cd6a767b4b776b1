//! An independent reader of a table's streams: the plain AWS SDK, every shard from its trim horizon.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::types::{AttributeValue, Record, ShardIteratorType};

/// Empty pages in a row after which a shard that is still open has nothing more to give; stand-ins have no gaps between records.
const EMPTY_PAGES_AT_THE_TIP: usize = 3;

/// What a stream says of one change: the truth that a lake is judged by.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) event_id: String,
    pub(crate) operation: String,
    /// 40 digits, so that text order is numeric order.
    pub(crate) sequence: String,
    pub(crate) shard: String,
    /// Seconds since the epoch.
    pub(crate) created: i64,
    /// Key attributes and their values, S and N as the stream spells them.
    pub(crate) keys: BTreeMap<String, String>,
}

/// Every change in every stream that the table has or had, shard by shard, in stream order.
pub(crate) async fn read_all(config: &SdkConfig, table: &str) -> Vec<Change> {
    let client = Client::new(config);
    let mut changes = Vec::new();
    let streams = client.list_streams().table_name(table).send().await.unwrap();
    for stream in streams.streams() {
        let arn = stream.stream_arn().unwrap();
        for shard in shards(&client, arn).await {
            read_shard(&client, arn, &shard, &mut changes).await;
        }
    }
    changes
}

async fn shards(client: &Client, arn: &str) -> Vec<String> {
    let mut shards = Vec::new();
    let mut after = None;
    loop {
        let page = client.describe_stream().stream_arn(arn).set_exclusive_start_shard_id(after).send().await.unwrap();
        let description = page.stream_description.unwrap();
        shards.extend(description.shards.unwrap_or_default().into_iter().map(|shard| shard.shard_id.unwrap()));
        after = description.last_evaluated_shard_id;
        if after.is_none() {
            return shards;
        }
    }
}

async fn read_shard(client: &Client, arn: &str, shard: &str, changes: &mut Vec<Change>) {
    let start = client
        .get_shard_iterator()
        .stream_arn(arn)
        .shard_id(shard)
        .shard_iterator_type(ShardIteratorType::TrimHorizon)
        .send()
        .await
        .unwrap();
    let mut position = start.shard_iterator;
    let mut empty_pages = 0;
    while let Some(iterator) = position.take().filter(|_| empty_pages < EMPTY_PAGES_AT_THE_TIP) {
        let page = client.get_records().shard_iterator(iterator).send().await.unwrap();
        empty_pages = if page.records().is_empty() { empty_pages + 1 } else { 0 };
        changes.extend(page.records().iter().map(|record| change(shard, record)));
        position = page.next_shard_iterator;
    }
}

fn change(shard: &str, record: &Record) -> Change {
    let body = record.dynamodb().unwrap();
    Change {
        event_id: record.event_id().unwrap().to_owned(),
        operation: record.event_name().unwrap().as_str().to_owned(),
        sequence: format!("{:0>40}", body.sequence_number().unwrap()),
        shard: shard.to_owned(),
        created: body.approximate_creation_date_time().unwrap().secs(),
        keys: body.keys().unwrap().iter().map(|(name, value)| (name.clone(), key_text(value))).collect(),
    }
}

fn key_text(value: &AttributeValue) -> String {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.clone(),
        other => panic!("these tests have keys of type S and N only, not {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;
    use crate::support::dynamodb_local::DynamoDbLocal;
    use crate::support::table;

    #[tokio::test]
    async fn every_stream_that_the_table_had_is_read() {
        let server = DynamoDbLocal::start().await;
        let client = aws_sdk_dynamodb::Client::new(&server.sdk_config());
        table::create(&client, "orders", "id").await;
        let put = async |id: &str, n: u32| {
            let number = AttributeValue::N(n.to_string());
            client.put_item().table_name("orders").item("id", AttributeValue::S(id.to_owned())).item("n", number).send().await.unwrap();
        };
        put("a", 1).await;
        put("a", 2).await;
        put("a", 2).await;
        table::renew_stream(&client, "orders").await;
        put("b", 1).await;

        let changes = read_all(&server.sdk_config(), "orders").await;
        let mut seen: Vec<_> = changes.iter().map(|change| (change.keys["id"].as_str(), change.operation.as_str())).collect();
        seen.sort_unstable();
        assert_eq!(seen, [("a", "INSERT"), ("a", "MODIFY"), ("b", "INSERT")]);
        assert!(changes.iter().all(|change| change.sequence.len() == 40));
    }
}
