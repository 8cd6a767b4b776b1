//! The table that the traffic goes to.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, StreamSpecification, StreamViewType, TableStatus,
    TimeToLiveSpecification,
};
use tokio::time::{Instant, sleep};

use super::GenerateError;

/// How long a new table may take to become active. On AWS it takes some ten seconds.
const CREATION: Duration = Duration::from_mins(2);

/// How often a table's status is asked for.
const POLL: Duration = Duration::from_millis(250);

/// Creates the sales-order table if there is none of that name: hash key `order_id`, on-demand billing, a stream of both images, TTL
/// on `expires_at`. Waits until it is active. Returns whether it was created; a table that exists is left as it is.
pub async fn create_table(client: &Client, table: &str) -> Result<bool, GenerateError> {
    let failed =
        |action, source: aws_sdk_dynamodb::Error| GenerateError::Table { action, table: table.to_owned(), source: Box::new(source) };
    let invalid = |error: aws_sdk_dynamodb::error::BuildError| failed("describe", error.into());
    let attribute = AttributeDefinition::builder().attribute_name("order_id").attribute_type(ScalarAttributeType::S).build();
    let key = KeySchemaElement::builder().attribute_name("order_id").key_type(KeyType::Hash).build();
    let stream = StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewAndOldImages).build();
    let created = client
        .create_table()
        .table_name(table)
        .attribute_definitions(attribute.map_err(invalid)?)
        .key_schema(key.map_err(invalid)?)
        .billing_mode(BillingMode::PayPerRequest)
        .stream_specification(stream.map_err(invalid)?)
        .send()
        .await;
    let created = match created {
        Ok(_) => true,
        Err(error) if error.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception) => false,
        Err(error) => return Err(failed("create", error.into())),
    };
    wait_until_active(client, table).await?;
    if created {
        let ttl = TimeToLiveSpecification::builder().attribute_name("expires_at").enabled(true).build();
        let enabled = client.update_time_to_live().table_name(table).time_to_live_specification(ttl.map_err(invalid)?).send().await;
        enabled.map_err(|error| failed("enable TTL on", error.into()))?;
    }
    Ok(created)
}

/// Waits until a table is active; two minutes at most.
pub async fn wait_until_active(client: &Client, table: &str) -> Result<(), GenerateError> {
    let deadline = Instant::now() + CREATION;
    loop {
        match client.describe_table().table_name(table).send().await {
            Ok(answer) if answer.table().and_then(|table| table.table_status()) == Some(&TableStatus::Active) => return Ok(()),
            Ok(_) => {}
            // DescribeTable is eventually consistent: a table just created may not be there yet.
            Err(error) if is_missing(&error) && Instant::now() < deadline => {}
            Err(error) => {
                return Err(GenerateError::Table { action: "find", table: table.to_owned(), source: Box::new(error.into()) });
            }
        }
        if Instant::now() >= deadline {
            return Err(GenerateError::NotActive { table: table.to_owned(), seconds: CREATION.as_secs() });
        }
        sleep(POLL).await;
    }
}

fn is_missing<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.code() == Some("ResourceNotFoundException")
}
