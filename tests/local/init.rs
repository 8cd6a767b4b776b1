//! `headwater init` beside DynamoDB Local: what it says, what it makes, and what it leaves alone.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, StreamSpecification, StreamViewType, TableDescription,
};

use crate::support::dynamodb_local::DynamoDbLocal;
use crate::support::site::{APPLICATION, Settings, Site};

const TABLE: &str = "sales_orders";
const KEY: &str = "order_id";
const PATIENCE: Duration = Duration::from_mins(1);
/// Exit codes.
const DONE: i32 = 0;
const SOMETHING_LEFT: i32 = 1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_without_a_stream_is_made_ready_and_a_second_run_finds_nothing_to_do() {
    let (server, client) = table(None).await;
    let site = site(&server);

    let (code, words) = init(&site, &["--dry-run"]).await;
    assert_eq!(code, SOMETHING_LEFT, "{words}");
    assert!(words.contains("will be enabled with the view type NEW_AND_OLD_IMAGES"), "{words}");
    assert_eq!(stream_arn(&client).await, None, "a dry run changed the table");
    assert_eq!(client.list_tables().send().await.unwrap().table_names(), [TABLE], "a dry run made a table");

    let (code, words) = init(&site, &[]).await;
    assert_eq!(code, DONE, "{words}");
    assert_eq!(first_words(&words), ["enabled", "created"], "{words}");
    let described = describe(&client, TABLE).await.stream_specification.unwrap();
    assert_eq!((described.stream_enabled, described.stream_view_type), (true, Some(StreamViewType::NewAndOldImages)));
    assert_eq!(describe(&client, APPLICATION).await.key_schema()[0].attribute_name, "leaseKey");

    let arn = stream_arn(&client).await;
    for args in [&[][..], &["--dry-run"]] {
        let (code, words) = init(&site, args).await;
        assert_eq!(code, DONE, "{words}");
        assert!(words.ends_with("everything is there\n"), "{words}");
    }
    assert_eq!(stream_arn(&client).await, arn);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_another_view_type_is_left_alone() {
    let (server, client) = table(Some(StreamViewType::KeysOnly)).await;
    let arn = stream_arn(&client).await;
    let (code, words) = init(&site(&server), &[]).await;
    assert_eq!(code, SOMETHING_LEFT, "{words}");
    assert_eq!(first_words(&words), ["differs", "created"], "{words}");
    assert!(words.contains("carries KEYS_ONLY"), "{words}");
    assert_eq!(stream_arn(&client).await, arn);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_table_nothing_is_made() {
    let server = DynamoDbLocal::start().await;
    let (code, words) = init(&site(&server), &["--output", "json"]).await;
    assert_eq!(code, SOMETHING_LEFT, "{words}");
    let report: serde_json::Value = serde_json::from_str(&words).unwrap();
    assert_eq!((&report["dry_run"], &report["resources"][0]["state"]), (&false.into(), &"blocked".into()), "{report}");
    assert_eq!((&report["resources"][1]["state"], &report["resources"][1]["done"]), (&"missing".into(), &serde_json::Value::Null));
    let client = Client::new(&server.sdk_config());
    assert!(client.list_tables().send().await.unwrap().table_names().is_empty());
}

async fn table(view: Option<StreamViewType>) -> (DynamoDbLocal, Client) {
    let server = DynamoDbLocal::start().await;
    let client = Client::new(&server.sdk_config());
    let stream = view.map(|view| StreamSpecification::builder().stream_enabled(true).stream_view_type(view).build().unwrap());
    client
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(AttributeDefinition::builder().attribute_name(KEY).attribute_type(ScalarAttributeType::S).build().unwrap())
        .key_schema(KeySchemaElement::builder().attribute_name(KEY).key_type(KeyType::Hash).build().unwrap())
        .set_stream_specification(stream)
        .send()
        .await
        .unwrap();
    (server, client)
}

fn site(server: &DynamoDbLocal) -> Site {
    let settings = Settings { table: TABLE, format: "parquet", max_age: "500ms", shutdown_deadline: "25s", contract: None };
    Site::new(server.endpoint_url(), &settings)
}

/// Runs `headwater init` to its end: its exit code and what it printed.
async fn init(site: &Site, args: &[&str]) -> (i32, String) {
    let mut process = site.start(&[&["init", "--config", "headwater.toml"], args].concat());
    let status = process.exit(PATIENCE).await;
    (status.code().unwrap(), process.log())
}

/// The first word of each resource's line.
fn first_words(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| line.contains(" table stream ") || line.contains(" lease table "));
    lines.map(|line| line.split_whitespace().next().unwrap()).collect()
}

async fn describe(client: &Client, table: &str) -> TableDescription {
    client.describe_table().table_name(table).send().await.unwrap().table.unwrap()
}

async fn stream_arn(client: &Client) -> Option<String> {
    describe(client, TABLE).await.latest_stream_arn
}
