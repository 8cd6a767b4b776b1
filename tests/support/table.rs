//! Makes a table with a stream, as an operator would with the plain SDK.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, StreamSpecification, StreamViewType,
};

use super::wait_until;

/// Creates `table`, keyed by the text `key`, with a stream of both images.
pub(crate) async fn create(client: &Client, table: &str, key: &str) {
    client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(AttributeDefinition::builder().attribute_name(key).attribute_type(ScalarAttributeType::S).build().unwrap())
        .key_schema(KeySchemaElement::builder().attribute_name(key).key_type(KeyType::Hash).build().unwrap())
        .stream_specification(both_images())
        .send()
        .await
        .unwrap();
}

/// Disables the table's stream and enables it again: a new stream with a new ARN.
pub(crate) async fn renew_stream(client: &Client, table: &str) {
    let old = stream_arn(client, table).await;
    let disabled = StreamSpecification::builder().stream_enabled(false).build().unwrap();
    client.update_table().table_name(table).stream_specification(disabled).send().await.unwrap();
    // The table takes no second update before the first is done.
    wait_until(Duration::from_secs(20), "the stream is enabled again", async || {
        client.update_table().table_name(table).stream_specification(both_images()).send().await.is_ok()
    })
    .await;
    wait_until(Duration::from_secs(20), "the stream has a new ARN", async || stream_arn(client, table).await != old).await;
}

async fn stream_arn(client: &Client, table: &str) -> Option<String> {
    client.describe_table().table_name(table).send().await.unwrap().table.unwrap().latest_stream_arn
}

fn both_images() -> StreamSpecification {
    StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewAndOldImages).build().unwrap()
}
