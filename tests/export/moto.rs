//! An export whose data file another implementation wrote, read from S3.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, PointInTimeRecoverySpecification};
use flate2::read::MultiGzDecoder;
use headwater::contract::TableSchema;
use headwater::event::{AttributeType, Item, Value, write_typed_item};
use headwater::lake::LakeBucket;
use headwater::snapshot::export::{ExportRequest, Extent, begin, open, wait};
use headwater::snapshot::source::{Row, RowSource};
use headwater::table;
use tokio_util::sync::CancellationToken;

use super::TABLE;
use crate::support::bucket::files;
use crate::support::exports::HandMade;
use crate::support::moto::Moto;
use crate::support::table::create;

const BUCKET: &str = "backups";
const ITEMS: usize = 120;

/// Attributes of every type, with what is hard to spell.
fn attributes(id: usize) -> BTreeMap<&'static str, AttributeValue> {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    BTreeMap::from([
        ("id", text(&format!("order-{id}"))),
        ("text", text("\"quoted\"\\ \n\t\u{1}\u{2028} Gr\u{fc}\u{df}e \u{1F980}")),
        ("empty", text("")),
        ("number", AttributeValue::N(format!("{id}.12345678901234567890123456789"))),
        ("binary", AttributeValue::B(Blob::new([0, 255, u8::try_from(id % 256).unwrap()]))),
        ("bool", AttributeValue::Bool(id.is_multiple_of(2))),
        ("null", AttributeValue::Null(true)),
        ("texts", AttributeValue::Ss(vec!["b".to_owned(), "a".to_owned()])),
        ("numbers", AttributeValue::Ns(vec!["1".to_owned(), id.to_string() + "0"])),
        ("binaries", AttributeValue::Bs(vec![Blob::new("x"), Blob::new("y")])),
        ("list", AttributeValue::L(vec![AttributeValue::Null(true), AttributeValue::L(Vec::new())])),
        (
            "map",
            AttributeValue::M(
                [("inner".to_owned(), AttributeValue::M([("n".to_owned(), AttributeValue::N("-1".to_owned()))].into()))].into(),
            ),
        ),
    ])
}

/// An item as typed JSON, in one order of attributes and of members of sets.
fn spelled(item: &Item<'_>) -> String {
    fn sorted<'a>(value: &Value<'a>) -> Value<'a> {
        let members = |members: &Vec<_>| {
            let mut members = members.clone();
            members.sort();
            members
        };
        match value {
            Value::Ss(texts) => Value::Ss(members(texts)),
            Value::Ns(texts) => Value::Ns(members(texts)),
            Value::Bs(texts) => Value::Bs(members(texts)),
            Value::L(values) => Value::L(values.iter().map(sorted).collect()),
            Value::M(item) => Value::M(sorted_item(item)),
            other => other.clone(),
        }
    }
    fn sorted_item<'a>(item: &Item<'a>) -> Item<'a> {
        let mut attributes: Vec<_> = item.0.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
        attributes.sort_by(|(a, _), (b, _)| a.cmp(b));
        Item(attributes)
    }
    let mut json = String::new();
    write_typed_item(&sorted_item(item), &mut json);
    json
}

/// The table as a scan has it, spelled and in order.
async fn scanned(client: &Client) -> Vec<String> {
    let mut items = Vec::new();
    let scan = table::scan(client, TABLE, |page| {
        items.extend(page.iter().map(|attributes| spelled(&table::item(attributes).unwrap())));
        Ok::<_, headwater::aws::AwsError>(())
    });
    scan.await.unwrap();
    items.sort();
    items
}

#[tokio::test]
async fn an_export_that_another_implementation_wrote_is_the_table() {
    let moto = Moto::start().await;
    let sdk = moto.sdk_config();
    let client = Client::new(&sdk);
    LakeBucket::connect(BUCKET, &sdk).unwrap().create(&CancellationToken::new()).await.unwrap();
    create(&client, TABLE, "id").await;
    let recovery = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build().unwrap();
    client.update_continuous_backups().table_name(TABLE).point_in_time_recovery_specification(recovery).send().await.unwrap();
    for id in 0..ITEMS {
        let item = attributes(id).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        client.put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
    }
    let described = client.describe_table().table_name(TABLE).send().await.unwrap().table.unwrap();
    let table_arn = described.table_arn.unwrap();

    let text = |text: &str| text.to_owned();
    let request = ExportRequest {
        table_arn: table_arn.clone(),
        bucket: text(BUCKET),
        bucket_owner: None,
        prefix: text("exports"),
        token: text("snapshot-1"),
        extent: Extent::Whole,
    };
    let arn = begin(&client, &request).await.unwrap();
    let location = wait(&client, &arn, |_| ()).await.unwrap();

    // It writes the data file, and leaves it to us to tell of it.
    let bucket = moto.bucket(BUCKET);
    let copy = tempfile::tempdir().unwrap();
    bucket.copy("exports", copy.path()).await;
    let [data] = files(copy.path()).try_into().unwrap();
    let bytes = fs::read(&data).unwrap();
    let mut made = HandMade::full(TABLE);
    let folder = location.strip_prefix(&format!("s3://{BUCKET}/")).unwrap();
    made.summary["tableArn"] = table_arn.into();
    made.summary["manifestFilesS3Key"] = format!("{folder}/manifest-files.json").into();
    let mut lines = String::new();
    MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut lines).unwrap();
    made.foreign_data(data.strip_prefix(copy.path()).unwrap().to_str().unwrap(), &bytes, lines.lines().count() as u64);
    for (key, bytes) in made.objects() {
        bucket.put(&key, bytes).await;
    }

    let schema = Arc::new(TableSchema::keys_only(TABLE, vec![(text("id"), AttributeType::S)]));
    let export = open(&location, Some(&sdk), schema).await.unwrap();
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = export.page(0, after.as_ref(), Some(100)).await.unwrap();
        for row in page.rows().unwrap() {
            let Row::Item(item) = row else { panic!("{row:?} is no item") };
            rows.push(spelled(&item));
        }
        after = page.next();
        if after.is_none() {
            break;
        }
    }
    rows.sort();
    assert_eq!(rows.len(), ITEMS);
    assert_eq!(rows, scanned(&client).await);
}
