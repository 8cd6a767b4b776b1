//! The whole way, by the configuration alone: from a record that an older version could not read to its row in the lake.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use arrow::array::AsArray;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use headwater::clock::WallClock;
use headwater::config;
use headwater::embedded::{Embedded, Options};
use headwater::event::ShardId;
use headwater::lake::{Kind, Lake, PoisonRecord};
use headwater::pipeline::{self, Pipeline};
use headwater::redrive::Selection;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio_util::sync::CancellationToken;

use super::bench::{THREE_O_CLOCK, at, record, schema};
use crate::support::{table, wait_until};

/// The items of all rows below a folder, sorted.
fn items(folder: &Path) -> Vec<String> {
    let mut items = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            items.extend(self::items(&path));
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap() {
                items.extend(batch.unwrap()["id"].as_string::<i32>().iter().flatten().map(str::to_owned));
            }
        }
    }
    items.sort();
    items
}

#[tokio::test]
async fn what_an_older_version_could_not_read_lands_while_the_service_runs() {
    let dynamo = Embedded::start(Options::default()).await.unwrap();
    let (sdk, folder) = (dynamo.sdk_config(), tempfile::tempdir().unwrap());
    let client = Client::new(&sdk);
    table::create(&client, "orders", "id").await;
    let text = "[table]\nname = \"orders\"\n[lake]\nurl = \"./lake\"\nmax_age = \"1s\"\n[stream]\nidle_poll = \"100ms\"";
    let settings = config::parse(text, folder.path()).unwrap();
    let service = Pipeline::build(&settings, &sdk, WallClock::system()).await.unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(service.run(stop.clone()));

    let lake = Lake::open(&settings.lake, schema(), None).await.unwrap();
    for (number, item, decodes) in [(1, "a", true), (2, "b", false)] {
        let raw = record(number, item, decodes);
        let poison = PoisonRecord {
            // A shard that was read to its end long ago.
            shard: &ShardId::new("shardId-1"),
            position: Some(at(number)),
            event_id: None,
            key: None,
            raw: raw.as_bytes(),
            kind: Kind::Undecodable,
            reason: "for a reason",
            time: THREE_O_CLOCK,
        };
        lake.quarantine(&poison).await.unwrap();
    }
    client.put_item().table_name("orders").item("id", AttributeValue::S("c".to_owned())).send().await.unwrap();
    for (sent, stay) in [(1, 1), (0, 1)] {
        let redrive = pipeline::redrive(&settings, &sdk, WallClock::system()).await.unwrap();
        let report = redrive.run(&Selection::default(), None).await.unwrap();
        assert_eq!((report.sent(), report.stays().count()), (sent, stay), "{report:?}");
    }
    let changes = folder.path().join("lake/orders/changes");
    wait_until(Duration::from_mins(1), "the changes have landed", async || items(&changes).len() >= 2).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(items(&changes), ["a", "c"]);
    assert_eq!(lake.quarantined().count(u64::MAX).await.unwrap(), 1);
}
