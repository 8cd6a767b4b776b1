//! Lakes that the program's own writer made, on a local folder and on a real S3 server.

use std::sync::Arc;
use std::time::Duration;

use headwater::contract::ColumnType;
use headwater::event::encode::Decimals;
use headwater::event::flatten::Flattener;
use headwater::event::{Item, Operation, Position, ShardId, StreamRecord, Value};
use headwater::lake::{ChangeKey, Format, HourPartition, Lake, LakeLocation, LakeSettings};
use headwater::query::Session;

use super::handmade::{orders, rows};
use crate::lake::s3;

/// 2026-11-21T10:00:00Z.
const TEN_O_CLOCK: i64 = 1_795_255_200;

/// Writes one change of each format and spelling of decimals.
async fn write(location: &LakeLocation, aws: Option<&aws_config::SdkConfig>) {
    let schema = Arc::new(orders());
    assert!(matches!(schema.columns[1].kind, ColumnType::Decimal { precision: 38, scale: 6 }));
    let variants = [(Format::Parquet, Decimals::Number), (Format::Ndjson, Decimals::Number), (Format::Ndjson, Decimals::String)];
    for (index, (format, decimals)) in (1_u8..).zip(variants) {
        let settings =
            LakeSettings { location: location.clone(), format, max_size: u64::MAX, max_age: Duration::MAX, decimals, kms_key: None };
        let lake = Lake::open(&settings, Arc::clone(&schema), aws).await.unwrap();
        let shard = ShardId::new(format!("shard-{index}"));
        let partition = HourPartition::containing(TEN_O_CLOCK).unwrap();
        let mut run = lake.begin(ChangeKey { partition, shard: shard.clone(), after: Position::ZERO, format }).unwrap();
        let id = index.to_string();
        let record = record(&id);
        run.append(record.sequence.into(), &Flattener::new(&schema).flatten(&record, shard.as_str()).unwrap()).unwrap();
        lake.commit(&run.close().unwrap()).await.unwrap();
    }
}

fn record(id: &str) -> StreamRecord<'_> {
    let text = |name: &'static str, text: &'static str| (name.into(), Value::S(text.into()));
    let key = ("order_id".into(), Value::S(id.into()));
    let item = Item(vec![
        key.clone(),
        text("placed", "2026-11-21T03:00:00.123Z"),
        text("status", "said \"paid\", twice"),
        ("price".into(), Value::N("12345678901234567890123456789012.345678".into())),
        ("unknown".into(), Value::Ns(vec!["2".into(), "1".into()])),
    ]);
    StreamRecord {
        event_id: id.into(),
        operation: Operation::Insert,
        sequence: id.parse().unwrap(),
        created: TEN_O_CLOCK,
        keys: Item(vec![key]),
        new_image: Some(item),
        old_image: None,
        ttl_delete: false,
    }
}

async fn reads_back_exactly(location: &LakeLocation, aws: Option<&aws_config::SdkConfig>) {
    write(location, aws).await;
    let session = Session::open(location, "orders", aws).await.unwrap();

    let found = rows(&session, "SELECT order_id, status, price, placed, cdc_extra, cdc_time FROM current ORDER BY 1").await.unwrap();

    let rest = r#""said ""paid"", twice",12345678901234567890123456789012.345678,2026-11-21T03:00:00.123Z,"{""unknown"":{""NS"":[""2"",""1""]}}",2026-11-21T10:00:00Z"#;
    assert_eq!(found, [format!("1,{rest}"), format!("2,{rest}"), format!("3,{rest}")]);
    let pruned = "SELECT count(*) FROM changes WHERE dt = '2026-11-21' AND hr = '10'";
    assert_eq!(rows(&session, pruned).await.unwrap(), ["3"]);
    assert_eq!(rows(&session, "SELECT count(*) FROM changes WHERE dt = '2026-11-20'").await.unwrap(), ["0"]);
}

#[tokio::test]
async fn a_lake_in_a_folder_reads_back_exactly() {
    let folder = tempfile::tempdir().unwrap();
    reads_back_exactly(&LakeLocation::Folder(folder.path().to_owned()), None).await;
}

#[tokio::test]
async fn a_lake_on_s3_reads_back_exactly() {
    let buckets = tempfile::tempdir().unwrap();
    std::fs::create_dir(buckets.path().join("bucket")).unwrap();
    let aws = s3::settings(s3::serve(buckets.path()).await);
    reads_back_exactly(&"s3://bucket/some/prefix".parse().unwrap(), Some(&aws)).await;
}

#[tokio::test]
async fn a_table_that_was_never_written_on_s3_is_reported_with_those_that_were() {
    let buckets = tempfile::tempdir().unwrap();
    std::fs::create_dir(buckets.path().join("bucket")).unwrap();
    let aws = s3::settings(s3::serve(buckets.path()).await);
    let location: LakeLocation = "s3://bucket/some/prefix".parse().unwrap();
    write(&location, Some(&aws)).await;
    let error = Session::open(&location, "customers", Some(&aws)).await.unwrap_err();
    assert!(error.to_string().contains("no table 'customers' (it has: orders)"), "{error}");
}
