//! Exports as the documentation describes them.

use std::fs;

use jiff::Timestamp;

use super::{Seen, TABLE, items, line, lines, open_folder, rows};
use crate::support::exports::{FOLDER, HandMade};

fn seconds(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_second()
}

#[tokio::test]
async fn a_full_export_is_the_table_a_while_before_its_time() {
    let bucket = tempfile::tempdir().unwrap();
    let mut made = HandMade::full(TABLE);
    made.data(&lines(0..7)).data(&[]).data(&lines(7..8));
    let export = open_folder(&made.write(bucket.path())).await.unwrap();
    assert!(export.whole());
    // A minute of tearing, a minute of flooring, 15 seconds of clocks.
    assert_eq!(export.start(), seconds("2026-11-21T02:57:45Z"));
    assert_eq!((export.segments(), export.items()), (2, 8), "a file without items is no segment");
    assert_eq!(rows(&export).await.unwrap(), items(0..8));
}

#[tokio::test]
async fn an_incremental_export_is_what_became_of_some_items() {
    let bucket = tempfile::tempdir().unwrap();
    let mut made = HandMade::incremental(TABLE);
    let keys = |id: &str| format!(r#""Keys":{{"id":{{"S":"{id}"}}}}"#);
    let image = |name: &str, id: &str, note: &str| format!(r#""{name}":{{"id":{{"S":"{id}"}},"note":{{"S":"{note}"}}}}"#);
    let [documented, seen] =
        [r#""1795230000000000""#, r#"{"N":"1795230000000000"}"#].map(|time| format!(r#""Metadata":{{"WriteTimestampMicros":{time}}}"#));
    made.data(&[
        format!("{{{documented},{},{}}}", keys("inserted"), image("NewImage", "inserted", "new")),
        format!("{{{seen},{},{},{}}}", keys("updated"), image("OldImage", "updated", "old"), image("NewImage", "updated", "new")),
    ]);
    made.data(&[
        format!("{{{seen},{}}}", keys("gone")),
        format!("{{{documented},{},{}}}", keys("also-gone"), image("OldImage", "also-gone", "old")),
    ]);
    let export = open_folder(&made.write(bucket.path())).await.unwrap();
    assert!(!export.whole());
    assert_eq!(export.start(), seconds("2026-11-21T02:57:45Z"));
    let new = |id: &str| Seen::Item(format!(r#"{{"id":{{"S":"{id}"}},"note":{{"S":"new"}}}}"#));
    let gone = |id: &str| Seen::Absent(vec![id.to_owned()]);
    assert_eq!(rows(&export).await.unwrap(), [new("inserted"), new("updated"), gone("gone"), gone("also-gone")]);
}

#[tokio::test]
async fn an_export_without_items_has_one_segment_without_rows() {
    let bucket = tempfile::tempdir().unwrap();
    let mut made = HandMade::full(TABLE);
    made.data(&[]).raw_data(Vec::new(), 0);
    let export = open_folder(&made.write(bucket.path())).await.unwrap();
    assert_eq!((export.segments(), export.items()), (1, 0));
    assert!(rows(&export).await.unwrap().is_empty());
}

#[tokio::test]
async fn checksums_of_manifests_are_known_under_both_names() {
    let bucket = tempfile::tempdir().unwrap();
    let mut made = HandMade::full(TABLE);
    made.data(&lines(0..2)).checksums = "checksum";
    let export = open_folder(&made.write(bucket.path())).await.unwrap();
    assert_eq!(rows(&export).await.unwrap(), items(0..2));
}

#[tokio::test]
async fn a_copy_of_the_folder_alone_is_read_where_it_lies() {
    let bucket = tempfile::tempdir().unwrap();
    let mut made = HandMade::full(TABLE);
    made.data(&lines(0..2));
    let copy = bucket.path().join("copy of an export");
    fs::rename(made.write(bucket.path()), &copy).unwrap();
    let export = open_folder(&copy).await.unwrap();
    assert_eq!(rows(&export).await.unwrap(), items(0..2));
    let export = open_folder(&copy.join("manifest-summary.json")).await.unwrap();
    assert_eq!(rows(&export).await.unwrap(), items(0..2), "whoever names the manifest means its folder");
}

#[tokio::test]
async fn a_line_that_is_no_item_is_poison_among_the_rows() {
    let bucket = tempfile::tempdir().unwrap();
    let mut made = HandMade::full(TABLE);
    let broken = r#"{"Item":{"id":{"S":"order-1"},"price":{"N":7}}}"#;
    made.data(&[line(0), broken.to_owned(), "half a li".to_owned(), line(3)]);
    let export = open_folder(&made.write(bucket.path())).await.unwrap();
    let poison = |raw: &str| Seen::Poison(raw.to_owned());
    assert_eq!(rows(&export).await.unwrap(), [items(0..1).remove(0), poison(broken), poison("half a li"), items(3..4).remove(0)]);
}

#[tokio::test]
async fn the_folder_says_what_it_is_not() {
    let bucket = tempfile::tempdir().unwrap();
    let mut made = HandMade::full("customers");
    made.data(&lines(0..2));
    let folder = made.write(bucket.path());
    let error = open_folder(&folder).await.unwrap_err().to_string();
    assert!(error.contains("an export of table 'customers', not of 'orders'"), "{error}");
    let error = open_folder(folder.parent().unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("give the folder of one export"), "{error}");

    let mut ion = HandMade::full(TABLE);
    ion.summary["outputFormat"] = "ION".into();
    let error = open_folder(&ion.write(bucket.path())).await.unwrap_err().to_string();
    assert!(error.contains(FOLDER) && error.contains("export the table with the format DYNAMODB_JSON"), "{error}");
}
