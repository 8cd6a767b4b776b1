//! How fast a GetRecords page becomes NDJSON, against the AWS SDK's own deserialiser in the same run.
//!
//! Both paths take the same bytes, flatten by the same schema and write the same lines (checked). Both make one client call for each
//! page: the SDK's path gets the page through it, the streaming path an empty page, and reads the bytes itself. So signing and
//! the client's layers weigh on both. Exits with an error when the streaming path is less than [`LEAST_RATIO`] times as fast.
//!
//! `cargo bench --no-default-features --bench decode`; without `--bench` (under `cargo test`) only the output is checked.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::BufRead as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_dynamodbstreams as streams;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use headwater::contract::{Column, ColumnType, TableSchema, TimestampFormat};
use headwater::event::decode::{Decoded, parse_page};
use headwater::event::encode::{Decimals, write_ndjson};
use headwater::event::flatten::Flattener;
use headwater::event::{AttributeType, Item, Operation, StreamRecord, Value};
use streams::operation::get_records::GetRecordsOutput;
use streams::types::{AttributeValue, OperationType, Record};
use tokio::runtime::Runtime;

/// What the streaming path is for.
const LEAST_RATIO: f64 = 3.0;
/// The most records that GetRecords returns.
const RECORDS: u32 = 1_000;
/// Pages of different records, so that no path reads what the processor has just learnt by heart.
const PAGES: u32 = 4;
/// Rounds, in which the paths take turns; the median counts.
const ROUNDS: usize = 9;
/// How often a path reads all pages in a round.
const REPEATS: u32 = 8;

const SHARD: &str = "shardId-00000001732150000000-5f2c1a7b";

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bodies: Vec<Bytes> = (0..PAGES).map(|page| Bytes::from(render_page(page))).collect();
    let bench = Bench { runtime, schema: schema(), flattener: Flattener::new(&schema()), empty: client(Bytes::from_static(EMPTY_PAGE)) };
    let pages: Vec<(Bytes, streams::Client)> = bodies.into_iter().map(|body| (body.clone(), client(body))).collect();
    bench.check(&pages)?;
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("both paths write the same lines");
        return Ok(());
    }

    let (mut by_sdk, mut streaming) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        by_sdk.push(time(&pages, |(_, client), out| bench.by_sdk(client, Attributes::AsTheyCome, out))?);
        streaming.push(time(&pages, |(body, _), out| bench.streaming(body, out))?);
    }
    let (by_sdk, streaming) = (rate(by_sdk), rate(streaming));
    let ratio = streaming / by_sdk;
    let kilobytes = pages.iter().map(|(body, _)| body.len()).sum::<usize>() / pages.len() / 1_000;
    println!("GetRecords page to NDJSON, {RECORDS} MODIFY records of a sales order, {kilobytes} kB a page, one core");
    println!("  SDK deserialiser   {by_sdk:>10.0} records/s");
    println!("  streaming pass     {streaming:>10.0} records/s");
    println!("  ratio              {ratio:>10.2}   (at least {LEAST_RATIO:.1})");
    ensure!(ratio >= LEAST_RATIO, "the streaming pass is only {ratio:.2} times as fast as the SDK's deserialiser");
    Ok(())
}

/// Records per second, from the median round.
fn rate(mut rounds: Vec<Duration>) -> f64 {
    rounds.sort_unstable();
    let records = f64::from(PAGES * RECORDS * REPEATS);
    records / rounds[rounds.len() / 2].as_secs_f64()
}

/// The order of an item's attributes, which the SDK's hash maps lose.
#[derive(Clone, Copy)]
enum Attributes {
    /// For timing: the SDK's path is not charged for sorting.
    AsTheyCome,
    /// For comparing: the pages have them sorted.
    Sorted,
}

struct Bench {
    runtime: Runtime,
    schema: TableSchema,
    flattener: Flattener,
    empty: streams::Client,
}

impl Bench {
    fn by_sdk(&self, client: &streams::Client, order: Attributes, out: &mut Vec<u8>) -> Result<()> {
        let page = self.call(client)?;
        for record in page.records() {
            self.line(&convert_record(record, order)?, out)?;
        }
        Ok(())
    }

    fn streaming(&self, body: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.call(&self.empty)?;
        for record in parse_page(body)?.records {
            match record {
                Decoded::Record(record) => self.line(&record, out)?,
                Decoded::Poison(poison) => bail!("a poison record: {}", poison.reason),
            }
        }
        Ok(())
    }

    fn call(&self, client: &streams::Client) -> Result<GetRecordsOutput> {
        Ok(self.runtime.block_on(client.get_records().shard_iterator("iterator").send())?)
    }

    fn line(&self, record: &StreamRecord<'_>, out: &mut Vec<u8>) -> Result<()> {
        write_ndjson(&self.flattener.flatten(record, SHARD)?, &self.schema, Decimals::Number, out);
        Ok(())
    }

    fn check(&self, pages: &[(Bytes, streams::Client)]) -> Result<()> {
        for (body, client) in pages {
            let (mut theirs, mut ours) = (Vec::new(), Vec::new());
            self.by_sdk(client, Attributes::Sorted, &mut theirs)?;
            self.streaming(body, &mut ours)?;
            ensure!(ours.lines().count() == RECORDS as usize, "not a line for each record");
            ensure!(ours == theirs, "the two paths do not write the same lines");
        }
        Ok(())
    }
}

/// How long a path takes for all pages, [`REPEATS`] times.
fn time<P>(pages: &[P], mut path: impl FnMut(&P, &mut Vec<u8>) -> Result<()>) -> Result<Duration> {
    let mut out = Vec::new();
    let start = Instant::now();
    for _ in 0..REPEATS {
        for page in pages {
            out.clear();
            path(page, &mut out)?;
        }
    }
    Ok(start.elapsed())
}

const EMPTY_PAGE: &[u8] = br#"{"Records":[],"NextShardIterator":"next"}"#;

/// Answers every request with the same body.
#[derive(Debug, Clone)]
struct Canned(Bytes);

impl HttpConnector for Canned {
    fn call(&self, _request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(
            StatusCode::try_from(200_u16)
                .map(|status| HttpResponse::new(status, SdkBody::from(self.0.clone())))
                .map_err(|error| aws_smithy_runtime_api::client::result::ConnectorError::user(error.into())),
        )
    }
}

fn client(body: Bytes) -> streams::Client {
    let connector = SharedHttpConnector::new(Canned(body));
    let config = streams::Config::builder()
        .behavior_version(streams::config::BehaviorVersion::latest())
        .region(streams::config::Region::new("eu-west-1"))
        .credentials_provider(streams::config::Credentials::new("key", "secret", None, None, "bench"))
        .http_client(http_client_fn(move |_: &HttpConnectorSettings, _: &RuntimeComponents| connector.clone()))
        .build();
    streams::Client::from_conf(config)
}

fn convert_record(record: &Record, order: Attributes) -> Result<StreamRecord<'_>> {
    let change = record.dynamodb().context("no change")?;
    Ok(StreamRecord {
        event_id: record.event_id().context("no id")?.into(),
        operation: match record.event_name() {
            Some(OperationType::Insert) => Operation::Insert,
            Some(OperationType::Modify) => Operation::Modify,
            Some(OperationType::Remove) => Operation::Remove,
            other => bail!("unknown operation {other:?}"),
        },
        sequence: change.sequence_number().context("no sequence")?.parse()?,
        created: change.approximate_creation_date_time().context("no time")?.secs(),
        keys: convert_item(change.keys().context("no keys")?, order)?,
        new_image: change.new_image().map(|image| convert_item(image, order)).transpose()?,
        old_image: change.old_image().map(|image| convert_item(image, order)).transpose()?,
        ttl_delete: false,
    })
}

fn convert_item(attributes: &HashMap<String, AttributeValue>, order: Attributes) -> Result<Item<'_>> {
    let converted = attributes.iter().map(|(name, value)| Ok((Cow::Borrowed(name.as_str()), convert_value(value, order)?)));
    let mut item = Item(converted.collect::<Result<_>>()?);
    if let Attributes::Sorted = order {
        item.0.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    }
    Ok(item)
}

/// The attribute types that a sales order has.
fn convert_value(value: &AttributeValue, order: Attributes) -> Result<Value<'_>> {
    Ok(match value {
        AttributeValue::S(text) => Value::S(text.as_str().into()),
        AttributeValue::N(digits) => Value::N(digits.as_str().into()),
        AttributeValue::L(values) => Value::L(values.iter().map(|value| convert_value(value, order)).collect::<Result<_>>()?),
        AttributeValue::M(map) => Value::M(convert_item(map, order)?),
        other => bail!("an attribute type that the pages do not have: {other:?}"),
    })
}

fn schema() -> TableSchema {
    let columns = [
        ("created_at", AttributeType::S, ColumnType::Timestamp { format: TimestampFormat::Millis }),
        ("customer_email", AttributeType::S, ColumnType::Text),
        ("customer_id", AttributeType::S, ColumnType::Text),
        ("items", AttributeType::L, ColumnType::Json),
        ("order_status", AttributeType::S, ColumnType::Text),
        ("price", AttributeType::N, ColumnType::Decimal { precision: 12, scale: 2 }),
        ("product_category", AttributeType::S, ColumnType::Text),
        ("quantity", AttributeType::N, ColumnType::BigInt),
        ("region", AttributeType::S, ColumnType::Text),
        ("shipping_address.city", AttributeType::S, ColumnType::Text),
        ("shipping_address.country", AttributeType::S, ColumnType::Text),
    ];
    let mut schema = TableSchema::keys_only("sales_orders", vec![("order_id".to_owned(), AttributeType::S)]);
    schema.columns = columns
        .into_iter()
        .map(|(path, source, kind)| Column {
            name: path.replace('.', "_"),
            path: path.split('.').map(str::to_owned).collect(),
            source,
            kind,
            classification: None,
        })
        .collect();
    schema
}

/// A page of orders that were paid, attributes sorted by name.
fn render_page(page: u32) -> String {
    let mut body = String::from(r#"{"NextShardIterator":"next","Records":["#);
    for i in 0..RECORDS {
        let number = page * RECORDS + i;
        let separator = if i == 0 { "" } else { "," };
        let (new, old) = (render_image(number, "PAID"), render_image(number, "PLACED"));
        // Writing to a string cannot fail.
        let _ = write!(
            body,
            r#"{separator}{{"awsRegion":"eu-west-1","dynamodb":{{"ApproximateCreationDateTime":{},"Keys":{{"order_id":{{"S":"ord-{number:08}"}}}},"NewImage":{new},"OldImage":{old},"SequenceNumber":"7000000000008{number:08}","SizeBytes":642,"StreamViewType":"NEW_AND_OLD_IMAGES"}},"eventID":"{:032x}","eventName":"MODIFY","eventSource":"aws:dynamodb","eventVersion":"1.1"}}"#,
            1_795_230_000 + number,
            u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
        );
    }
    body.push_str("]}");
    body
}

fn render_image(number: u32, status: &str) -> String {
    const CATEGORIES: [&str; 4] = ["Books", "Garden", "Home & Kitchen", "Toys"];
    const CITIES: [(&str, &str); 4] = [("Oslo", "NO"), ("Köln", "DE"), ("Lyon", "FR"), ("Gdańsk", "PL")];
    let at = number as usize % 4;
    let (city, country) = CITIES[at];
    format!(
        concat!(
            r#"{{"created_at":{{"S":"2026-11-21T{:02}:{:02}:{:02}.{:03}Z"}},"customer_email":{{"S":"customer{}@example.com"}},"#,
            r#""customer_id":{{"S":"cus-{:06}"}},"items":{{"L":[{{"M":{{"price":{{"N":"{}.{:02}"}},"sku":{{"S":"sku-{:05}"}}}}}}]}},"#,
            r#""order_id":{{"S":"ord-{:08}"}},"order_status":{{"S":"{}"}},"price":{{"N":"{}.{:02}"}},"product_category":{{"S":"{}"}},"#,
            r#""quantity":{{"N":"{}"}},"region":{{"S":"eu-west-1"}},"#,
            r#""shipping_address":{{"M":{{"city":{{"S":"{}"}},"country":{{"S":"{}"}}}}}}}}"#
        ),
        number / 3600 % 24,
        number / 60 % 60,
        number % 60,
        number % 1000,
        number * 7 % 9_973,
        number * 7 % 9_973,
        number % 900 + 1,
        number % 100,
        number * 31 % 10_007,
        number,
        status,
        number % 2_700 + 1,
        number % 100,
        CATEGORIES[at],
        number % 5 + 1,
        city,
        country
    )
}
