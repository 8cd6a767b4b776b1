//! What a Glue crawler makes of the lake: one table with the intended columns and partitions, and no drift between objects.
//!
//! There is no crawler outside of AWS. [`rules`] applies what AWS documents of it to a day of objects.

mod rules;

use std::collections::BTreeSet;
use std::path::Path;

use headwater::contract::ddl::{self, Dialect, Layout, Place, Stored};
use headwater::lake::Format;
use serde_json::Value;

use super::day::{TABLE, put, sales_orders, write_firehose, write_lake};
use rules::{Columns, Settings, Table, crawl, crawl_again};

/// A crawler of a path, with what it has by default.
const DEFAULT: Settings = Settings { combine_compatible: false, inherit_from_table: false, log_updates: false };
/// The template's: of declared tables, which it leaves as they are.
const TEMPLATE: Settings = Settings { combine_compatible: true, inherit_from_table: true, log_updates: true };

/// A table as it is declared.
fn declared(layout: Layout, name: &str) -> Table {
    let place = Place { location: "s3://bucket".to_owned(), layout };
    let statements = ddl::statements(Dialect::Glue, &sales_orders(), &place);
    let input = &statements.iter().find(|statement| statement.name == name).unwrap().text;
    let input: Value = serde_json::from_str(input).unwrap();
    let columns = |list: &Value| -> Columns {
        let text = |field: &Value| field.as_str().unwrap().to_owned();
        list.as_array().unwrap().iter().map(|column| (text(&column["Name"]), text(&column["Type"]))).collect()
    };
    Table {
        name: name.to_owned(),
        columns: columns(&input["StorageDescriptor"]["Columns"]),
        partition_keys: columns(&input["PartitionKeys"]),
        partitions: [].into(),
    }
}

fn set(columns: &Columns) -> BTreeSet<&(String, String)> {
    columns.iter().collect()
}

fn hours(range: std::ops::Range<i64>) -> Vec<Vec<String>> {
    range.map(|hour| vec!["2026-11-21".to_owned(), format!("{hour:02}")]).collect()
}

/// Crawled with the template's settings, the table is as declared, and every folder is a partition of it with the table's columns.
fn assert_stable(folder: &Path, include: &str, table: &Table) {
    let crawled = crawl_again(table, &folder.join(TABLE).join(include), TEMPLATE);
    assert_eq!((&crawled.name, &crawled.columns, &crawled.partition_keys), (&table.name, &table.columns, &table.partition_keys));
    let values: Vec<_> = crawled.partitions.keys().cloned().collect();
    assert_eq!(values, hours(0..24));
    assert!(crawled.partitions.values().all(|columns| *columns == table.columns), "a partition drifted");
    assert_eq!(crawl_again(&crawled, &folder.join(TABLE).join(include), TEMPLATE), crawled, "a second crawl changed something");
}

#[tokio::test]
async fn parquet_of_one_contract_is_one_table_whatever_the_settings() {
    let lake = tempfile::tempdir().unwrap();
    write_lake(lake.path(), Format::Parquet, 12..24).await;
    let intended = declared(Layout::Lake(Stored::Parquet), "changes");
    for settings in [DEFAULT, TEMPLATE, Settings { combine_compatible: true, ..DEFAULT }] {
        let tables = crawl(&lake.path().join(TABLE).join("changes"), settings);
        let [table] = &tables[..] else { panic!("{} tables", tables.len()) };
        assert_eq!((&table.name, &table.columns, &table.partition_keys), (&intended.name, &intended.columns, &intended.partition_keys));
        assert_eq!(table.partitions.keys().cloned().collect::<Vec<_>>(), hours(12..24));
        assert!(table.partitions.values().all(|columns| *columns == intended.columns), "a partition drifted");
    }
}

#[tokio::test]
async fn parquet_through_a_growing_contract_stays_one_table_and_only_lacks_what_came_later() {
    let lake = tempfile::tempdir().unwrap();
    write_lake(lake.path(), Format::Parquet, 0..24).await;
    let intended = declared(Layout::Lake(Stored::Parquet), "changes");
    let tables = crawl(&lake.path().join(TABLE).join("changes"), DEFAULT);
    let [table] = &tables[..] else { panic!("{} tables", tables.len()) };
    assert_eq!(set(&table.columns), set(&intended.columns));
    let lacks = |hour: &Vec<String>| -> Vec<&str> {
        let has = set(&table.partitions[hour]);
        intended.columns.iter().filter(|column| !has.contains(column)).map(|(name, _)| name.as_str()).collect()
    };
    assert!(hours(0..12).iter().all(|hour| lacks(hour) == ["region", "expires_at", "old_region", "old_expires_at"]));
    assert!(hours(12..24).iter().all(|hour| lacks(hour).is_empty()));
    // With the settings of the template not even that is seen.
    assert_stable(lake.path(), "changes", &intended);
}

/// What a crawler of a path makes of lines of JSON, which is why the template's is none: types that JSON does not know, and objects that differ.
fn assert_drifts(include: &Path, intended: &Table) {
    let tables = crawl(include, DEFAULT);
    assert!(tables.len() > 1, "an hour of nothing but removals is not similar to the others");

    let tables = crawl(include, Settings { combine_compatible: true, ..DEFAULT });
    let [table] = &tables[..] else { panic!("{} tables", tables.len()) };
    assert_eq!(table.partition_keys, intended.partition_keys);
    let kind = |columns: &Columns, name: &str| columns.iter().find(|(column, _)| column == name).map(|(_, kind)| kind.clone());
    for (name, inferred, meant) in
        [("price", "double", "decimal(12,2)"), ("cdc_time", "string", "timestamp"), ("created_at", "string", "timestamp")]
    {
        assert_eq!((kind(&table.columns, name).unwrap(), kind(&intended.columns, name).unwrap()), (inferred.to_owned(), meant.to_owned()));
    }
    // No order of the day had a name of its product.
    assert_eq!(kind(&table.columns, "product_name"), None);
    let in_partitions = |name: &str| -> BTreeSet<Option<String>> { table.partitions.values().map(|columns| kind(columns, name)).collect() };
    let kinds = |kinds: &[Option<&str>]| -> BTreeSet<Option<String>> { kinds.iter().map(|kind| kind.map(str::to_owned)).collect() };
    assert_eq!(in_partitions("price"), kinds(&[None, Some("int"), Some("double")]));
    assert_eq!(in_partitions("quantity"), kinds(&[None, Some("int"), Some("bigint")]));
    assert_eq!(in_partitions("customer_email"), kinds(&[None, Some("string")]));
}

#[tokio::test]
async fn lines_of_json_drift_for_a_crawler_that_infers_and_are_one_stable_table_for_the_templates() {
    let lake = tempfile::tempdir().unwrap();
    write_lake(lake.path(), Format::Ndjson, 0..24).await;
    let intended = declared(Layout::Lake(Stored::Ndjson), "changes");
    assert_drifts(&lake.path().join(TABLE).join("changes"), &intended);
    assert_stable(lake.path(), "changes", &intended);
}

#[test]
fn so_are_the_lines_that_firehose_delivers() {
    let lake = tempfile::tempdir().unwrap();
    write_firehose(lake.path(), 0..24);
    let intended = declared(Layout::Firehose(Stored::Ndjson), "delivered");
    assert_drifts(&lake.path().join(TABLE).join("firehose"), &intended);
    assert_stable(lake.path(), "firehose", &intended);
}

#[tokio::test]
async fn hour_by_hour_or_all_at_once_the_same_comes_out() {
    let lake = tempfile::tempdir().unwrap();
    let mut table = declared(Layout::Lake(Stored::Ndjson), "changes");
    for hour in 0..24 {
        write_lake(lake.path(), Format::Ndjson, hour..hour + 1).await;
        let crawled = crawl_again(&table, &lake.path().join(TABLE).join("changes"), TEMPLATE);
        assert_eq!(crawled.columns, table.columns);
        assert!(table.partitions.iter().all(|(values, columns)| crawled.partitions.get(values) == Some(columns)), "a partition changed");
        assert_eq!(crawled.partitions.len(), table.partitions.len() + 1);
        table = crawled;
    }
    assert_stable(lake.path(), "changes", &declared(Layout::Lake(Stored::Ndjson), "changes"));
}

#[tokio::test]
async fn a_crawler_of_the_tables_whole_folder_makes_tables_of_what_is_none() {
    let lake = tempfile::tempdir().unwrap();
    write_lake(lake.path(), Format::Parquet, 0..24).await;
    write_firehose(lake.path(), 0..24);
    put(lake.path(), "snapshots/s.json", br#"{"snapshot_id":"s","table":"t","rows":3}"#);
    let tables = crawl(&lake.path().join(TABLE), Settings { combine_compatible: true, ..DEFAULT });
    let names: BTreeSet<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    assert!(names.contains("snapshots") && names.contains("hr_00"), "{names:?}");
}
