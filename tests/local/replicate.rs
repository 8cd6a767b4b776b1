//! A table's changes land in the lake, and the lake equals the table.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue::{self, B, Bool, Bs, L, M, N, Ns, Null, S, Ss};

use crate::support::duckdb::{Row, count_by_operation};
use crate::support::dynamodb_local::DynamoDbLocal;
use crate::support::lake::assert_every_change_once;
use crate::support::process::Headwater;
use crate::support::site::{Settings, Site};
use crate::support::table;

const TABLE: &str = "sales_orders";
const KEY: &str = "order_id";
const CONTRACT: &str = "sales_orders.odcs.yaml";
const LAND: Duration = Duration::from_mins(1);
/// The shutdown deadline by default is 25 s.
const SHUTDOWN: Duration = Duration::from_secs(30);
/// As many digits as the contract's price has.
const PRICE: &str = "1234567890.12";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_lands_in_parquet_and_the_lake_equals_the_table() {
    replicate("parquet").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_lands_in_ndjson_and_the_lake_equals_the_table() {
    replicate("ndjson").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_a_stream_that_replaced_another_land_too() {
    let (server, client) = database().await;
    let site = site(&server, "parquet");
    write_orders(&client, "first").await;
    let run = site.run();
    let mut run = land(&site, run).await;
    table::renew_stream(&client, TABLE).await;
    write_orders(&client, "second").await;
    run.wait_until(LAND, "the new stream's changes land", async || site.rows().await.iter().any(|row| row.text(KEY).starts_with("second")))
        .await;
    stop(land(&site, run).await).await;
    let rows = site.rows().await;
    assert_every_change_once(&rows, &site.stream().await);
    assert_eq!(count_by_operation(&rows), BTreeMap::from([("INSERT", 80), ("MODIFY", 40), ("REMOVE", 20)]));
    verify(&site).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_changes_go_on_behind_the_checkpoint() {
    let (server, client) = database().await;
    let site = site(&server, "parquet");
    for part in ["first", "second"] {
        write_orders(&client, part).await;
        let run = site.run();
        stop(land(&site, run).await).await;
    }
    assert_every_change_once(&site.rows().await, &site.stream().await);
    verify(&site).await;
}

async fn replicate(format: &'static str) {
    let (server, client) = database().await;
    let site = site(&server, format);
    write_orders(&client, "order").await;
    // A part is there before the service starts, a part is written while it runs.
    let mut run = site.run();
    run.wait_until(LAND, "an object lands", async || site.objects() > 0).await;
    put(&client, every_type()).await;
    stop(land(&site, run).await).await;

    let rows = site.rows().await;
    assert_every_change_once(&rows, &site.stream().await);
    assert_eq!(count_by_operation(&rows), BTreeMap::from([("INSERT", 41), ("MODIFY", 20), ("REMOVE", 10)]));
    let last = |key: &str| -> &Row { rows.iter().filter(|row| row.text(KEY) == key).max_by_key(|row| row.text("cdc_sequence")).unwrap() };
    assert_eq!(last("order-1").text("price"), PRICE);
    assert_eq!((last("order-0").optional("price"), last("order-0").text("old_price")), (None, PRICE), "a REMOVE has the old image only");
    verify(&site).await;
}

async fn database() -> (DynamoDbLocal, Client) {
    let server = DynamoDbLocal::start().await;
    let client = Client::new(&server.sdk_config());
    table::create(&client, TABLE, KEY).await;
    (server, client)
}

fn site(server: &DynamoDbLocal, format: &'static str) -> Site {
    let settings = Settings { table: TABLE, format, max_age: "500ms", shutdown_deadline: "25s", contract: Some(CONTRACT) };
    Site::new(server.endpoint_url(), &settings)
}

/// Forty orders; every second one changes, every fourth is deleted.
async fn write_orders(client: &Client, prefix: &str) {
    for n in 0..40 {
        let key = format!("{prefix}-{n}");
        put(client, order(&key, "placed")).await;
        if n % 2 == 0 {
            put(client, order(&key, "paid")).await;
        }
        if n % 4 == 0 {
            client.delete_item().table_name(TABLE).key(KEY, S(key)).send().await.unwrap();
        }
    }
}

fn order(key: &str, status: &str) -> Vec<(&'static str, AttributeValue)> {
    vec![
        (KEY, S(key.to_owned())),
        ("customer_id", S("customer-1".to_owned())),
        ("price", N(PRICE.to_owned())),
        ("quantity", N("3".to_owned())),
        ("order_status", S(status.to_owned())),
        ("created_at", S("2026-11-21T03:00:00Z".to_owned())),
    ]
}

/// An item that a contract cannot foresee: all ten types, empty and extreme values, and a price that is no decimal(12,2).
fn every_type() -> Vec<(&'static str, AttributeValue)> {
    let digits = "1.2345678901234567890123456789012345678E-100".to_owned();
    let nested = M([("empty".to_owned(), L(vec![])), ("absent".to_owned(), Null(true))].into());
    vec![
        (KEY, S("every type".to_owned())),
        ("price", N("12345678901234567890.123".to_owned())),
        ("empty_text", S(String::new())),
        ("digits", N(digits.clone())),
        ("binary", B(Blob::new([0_u8, 255, 1]))),
        ("truth", Bool(true)),
        ("nothing", Null(true)),
        ("texts", Ss(vec!["b".to_owned(), "a".to_owned()])),
        ("numbers", Ns(vec![digits, "-7".to_owned()])),
        ("binaries", Bs(vec![Blob::new([2_u8]), Blob::new([1_u8])])),
        ("list", L(vec![nested.clone(), Bool(false), S("x".to_owned())])),
        ("map", nested),
    ]
}

async fn put(client: &Client, item: Vec<(&'static str, AttributeValue)>) {
    let item = item.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    client.put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
}

/// Waits until as many rows have landed as the streams have changes.
async fn land(site: &Site, mut run: Headwater) -> Headwater {
    let expected = site.stream().await.len();
    run.wait_until(LAND, "every change has landed", async || site.rows().await.len() >= expected).await;
    run
}

async fn stop(mut run: Headwater) {
    run.signal("TERM");
    let status = run.exit(SHUTDOWN).await;
    assert!(status.success(), "headwater run ended with {status} after SIGTERM:\n{}", run.log());
}

/// headwater's own proof, where it is built in.
async fn verify(site: &Site) {
    if cfg!(feature = "sql") {
        let words = site.start(&["verify", "--config", "headwater.toml"]).succeeds(LAND).await;
        assert!(words.contains("lake equals table"), "{words}");
    }
}
