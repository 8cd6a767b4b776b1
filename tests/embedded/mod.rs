//! The embedded DynamoDB, seen through the AWS SDK.

mod command;
mod conditions;
mod expiry;
mod load;
mod shards;
mod snapshot;
mod streams;

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, StreamSpecification, StreamViewType,
};
use aws_sdk_dynamodbstreams::types::{Record, Shard, ShardIteratorType, StreamDescription};
use headwater::embedded::{Embedded, Options};

/// What a test may wait for.
const DEADLINE: Duration = Duration::from_secs(30);

/// An embedded DynamoDB with SDK clients on it.
struct Service {
    embedded: Embedded,
    tables: aws_sdk_dynamodb::Client,
    streams: aws_sdk_dynamodbstreams::Client,
}

impl Service {
    async fn start() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let embedded = Embedded::start(options).await.unwrap();
        let settings = embedded.sdk_config();
        let tables = aws_sdk_dynamodb::Client::new(&settings);
        let streams = aws_sdk_dynamodbstreams::Client::new(&settings);
        Self { embedded, tables, streams }
    }

    /// A table with the hash key `id` and a stream of both images; returns the stream's ARN.
    async fn table(&self, name: &str) -> String {
        let created = self
            .tables
            .create_table()
            .table_name(name)
            .attribute_definitions(
                AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S).build().unwrap(),
            )
            .key_schema(KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap())
            .billing_mode(BillingMode::PayPerRequest)
            .stream_specification(both_images())
            .send()
            .await
            .unwrap();
        created.table_description().unwrap().latest_stream_arn().unwrap().to_owned()
    }

    async fn put(&self, table: &str, id: &str, value: i64) {
        let item = HashMap::from([("id".to_owned(), s(id)), ("value".to_owned(), n(value))]);
        self.tables.put_item().table_name(table).set_item(Some(item)).send().await.unwrap();
    }

    async fn describe(&self, arn: &str) -> StreamDescription {
        let described = self.streams.describe_stream().stream_arn(arn).send().await.unwrap();
        described.stream_description().unwrap().clone()
    }

    async fn iterator(&self, arn: &str, shard: &Shard, kind: ShardIteratorType, sequence: Option<&str>) -> String {
        let request = self.streams.get_shard_iterator().stream_arn(arn).shard_id(shard.shard_id().unwrap());
        let got = request.shard_iterator_type(kind).set_sequence_number(sequence.map(str::to_owned)).send().await.unwrap();
        got.shard_iterator().unwrap().to_owned()
    }

    /// What there is to read from here on; and whether the shard's end was reached.
    async fn read(&self, mut iterator: String) -> (Vec<Record>, bool) {
        let mut records = Vec::new();
        loop {
            let page = self.streams.get_records().shard_iterator(&iterator).send().await.unwrap();
            let empty = page.records().is_empty();
            records.extend(page.records().iter().cloned());
            match page.next_shard_iterator() {
                None => return (records, true),
                Some(_) if empty => return (records, false),
                Some(next) => next.clone_into(&mut iterator),
            }
        }
    }

    /// All records of a stream, shard after shard.
    async fn all(&self, arn: &str) -> Vec<Record> {
        let mut records = Vec::new();
        for shard in self.describe(arn).await.shards() {
            let iterator = self.iterator(arn, shard, ShardIteratorType::TrimHorizon, None).await;
            records.extend(self.read(iterator).await.0);
        }
        records
    }

    async fn stop(self) {
        self.embedded.shutdown().await.unwrap();
    }
}

fn both_images() -> StreamSpecification {
    StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewAndOldImages).build().unwrap()
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// The `id` of a record.
fn id(record: &Record) -> &str {
    record.dynamodb().unwrap().keys().unwrap()["id"].as_s().unwrap()
}

fn sequence(record: &Record) -> &str {
    record.dynamodb().unwrap().sequence_number().unwrap()
}
