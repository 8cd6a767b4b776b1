//! The table against the lake.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue as V;
use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use headwater::embedded::{Embedded, Options};
use headwater::query::verify::{Counts, Difference, Kind, Report, VerifyOptions, VerifyProgress, verify};

use super::handmade::{HandmadeLake, insert, modify, remove};

const HOUR: &str = "dt=2026-11-21/hr=10";

/// The table `orders` in an embedded DynamoDB that serves as long as the first half lives.
pub(super) async fn table() -> (Embedded, Client) {
    let embedded = Embedded::start(Options::default()).await.unwrap();
    let client = Client::new(&embedded.sdk_config());
    client
        .create_table()
        .table_name("orders")
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(
            AttributeDefinition::builder().attribute_name("order_id").attribute_type(ScalarAttributeType::S).build().unwrap(),
        )
        .key_schema(KeySchemaElement::builder().attribute_name("order_id").key_type(KeyType::Hash).build().unwrap())
        .send()
        .await
        .unwrap();
    (embedded, client)
}

pub(super) async fn put(client: &Client, order: &str, attributes: &[(&str, V)]) {
    let mut item = HashMap::from([("order_id".to_owned(), V::S(order.to_owned()))]);
    item.extend(attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    client.put_item().table_name("orders").set_item(Some(item)).send().await.unwrap();
}

fn s(text: &str) -> V {
    V::S(text.to_owned())
}

fn n(digits: &str) -> V {
    V::N(digits.to_owned())
}

async fn compare(client: &Client, lake: &HandmadeLake, options: VerifyOptions, progress: impl Fn(VerifyProgress)) -> Report {
    verify(client, &lake.session().await, options, progress).await.unwrap()
}

/// Differences count after the first second look.
fn at_once() -> VerifyOptions {
    VerifyOptions { deadline: Duration::ZERO, ..VerifyOptions::default() }
}

#[tokio::test]
async fn items_of_every_type_equal_their_rows() {
    let ((_serving, client), lake) = (table().await, HandmadeLake::new());
    put(&client, "1", &[("status", s("placed")), ("price", n("12.50")), ("quantity", n("3")), ("placed", s("2026-11-21T03:00:00.123Z"))])
        .await;
    put(
        &client,
        "2",
        &[
            ("price", n("1234567890123456789012345678901234567.8")),
            ("tags", V::Ss(vec!["b".into(), "a".into()])),
            ("sizes", V::Ns(vec!["10".into(), "9".into()])),
            ("blob", V::B(Blob::new(vec![1, 2]))),
            ("blobs", V::Bs(vec![Blob::new(vec![2]), Blob::new(vec![1])])),
            ("nothing", V::Null(true)),
            ("empty", s("")),
            ("flag", V::Bool(false)),
            ("nested", V::M(HashMap::from([("list".to_owned(), V::L(vec![n("1"), s("x")]))]))),
        ],
    )
    .await;
    lake.ndjson(
        HOUR,
        "a",
        &[insert("1", 1).with(r#""status":"placed","price":12.5,"quantity":3,"placed":"2026-11-21 03:00:00.123000""#), insert("gone", 2)],
    );
    let extra = r#"{"price":{"N":"1234567890123456789012345678901234567.8"},"tags":{"SS":["a","b"]},"sizes":{"NS":["9","10"]},"blob":{"B":"AQI="},"blobs":{"BS":["AQ==","Ag=="]},"nothing":{"NULL":true},"empty":{"S":""},"flag":{"BOOL":false},"nested":{"M":{"list":{"L":[{"N":"1.0"},{"S":"x"}]}}}}"#;
    lake.parquet(HOUR, "b", &[insert("2", 3).with(&format!(r#""cdc_extra":{}"#, serde_json::json!(extra))), remove("gone", 4)]);

    let report = compare(&client, &lake, at_once(), |_| ()).await;

    assert_eq!(report.counts, Counts { matched: 2, ..Counts::default() });
    assert!(report.equal());
}

#[tokio::test]
async fn each_kind_of_difference_is_found_and_named() {
    let ((_serving, client), lake) = (table().await, HandmadeLake::new());
    put(&client, "same", &[("status", s("paid"))]).await;
    put(&client, "missing", &[]).await;
    let address = |zip: &str| V::M(HashMap::from([("zip".to_owned(), s(zip))]));
    put(&client, "different", &[("status", s("paid")), ("price", n("1")), ("address", address("1"))]).await;
    put(&client, "absent-or-empty", &[("status", s(""))]).await;
    lake.parquet(
        HOUR,
        "a",
        &[
            insert("same", 1).with(r#""status":"paid""#),
            insert("extra", 2),
            insert("different", 3).with(r#""status":"paid","price":1.000001,"cdc_extra":"{\"address\":{\"M\":{\"zip\":{\"S\":\"2\"}}}}""#),
            insert("absent-or-empty", 4),
        ],
    );

    let report = compare(&client, &lake, at_once(), |_| ()).await;

    assert_eq!(report.counts, Counts { matched: 1, missing: 1, extra: 1, different: 2, absent: 0, rechecked: 4 });
    assert!(!report.equal());
    let difference = |kind, order: &str, columns: &[&str]| Difference {
        kind,
        key: [("order_id".to_owned(), order.to_owned())].into(),
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
    };
    assert_eq!(
        report.differing,
        [
            difference(Kind::Different, "absent-or-empty", &["status"]),
            difference(Kind::Different, "different", &["address.zip", "price"]),
            difference(Kind::Extra, "extra", &[]),
            difference(Kind::Missing, "missing", &[]),
        ]
    );
}

#[tokio::test]
async fn a_key_that_the_lake_lags_behind_on_settles_when_it_lands() {
    let ((_serving, client), lake) = (table().await, HandmadeLake::new());
    put(&client, "1", &[("status", s("paid"))]).await;
    lake.parquet(HOUR, "a", &[insert("1", 1).with(r#""status":"placed""#), insert("2", 2)]);
    let rounds = Cell::new(0);

    let report = compare(&client, &lake, VerifyOptions::default(), |progress| {
        if let VerifyProgress::Recheck { open, .. } = progress {
            rounds.set(rounds.get() + 1);
            match rounds.get() {
                2 => lake.parquet(HOUR, "b", &[modify("1", 3).with(r#""status":"paid""#)]),
                3 => {
                    assert_eq!(open, 1, "key 1 has settled");
                    lake.parquet(HOUR, "c", &[remove("2", 4)]);
                }
                _ => {}
            }
        }
    })
    .await;

    assert_eq!(report.counts, Counts { matched: 1, absent: 1, rechecked: 2, ..Counts::default() });
    assert_eq!(rounds.get(), 3);
}

#[tokio::test]
async fn keys_beyond_the_bounds_are_counted_and_not_kept() {
    let ((_serving, client), lake) = (table().await, HandmadeLake::new());
    let changes: Vec<_> = (0..300_u128).map(|number| insert(&format!("o-{number:03}"), number + 1)).collect();
    lake.parquet(HOUR, "a", &changes);
    put(&client, "o-000", &[]).await;
    let options = VerifyOptions { listed: 200, recheck_limit: 150, memory: 1, ..at_once() };

    let report = compare(&client, &lake, options, |_| ()).await;

    assert_eq!(report.counts, Counts { matched: 1, extra: 299, rechecked: 150, ..Counts::default() });
    assert_eq!((report.differing.len(), report.unlisted), (200, 99));
}

#[tokio::test]
async fn a_table_that_does_not_exist_is_an_error_and_no_difference() {
    let ((_serving, client), lake) = (table().await, HandmadeLake::new());
    client.delete_table().table_name("orders").send().await.unwrap();
    let error = verify(&client, &lake.session().await, at_once(), |_| ()).await.unwrap_err();
    assert!(format!("{error:?}").contains("DescribeTable"), "{error:?}");
}
