//! The files of deploy/athena are what is printed, and masking leaves nothing out.

use proptest::prelude::*;

use super::*;
use crate::contract::ddl::Stored;
use crate::contract::{Column, ColumnType, Contract, KeyColumn};
use crate::event::AttributeType;

fn sales_orders() -> TableSchema {
    let contract = Contract::parse(include_str!("../../../../schemas/sales_orders.odcs.yaml"), "sales_orders.odcs.yaml").unwrap();
    contract.table_schema("sales_orders", None).unwrap()
}

fn place(layout: Layout) -> Place {
    Place { location: "s3://LAKE_BUCKET".to_owned(), layout }
}

/// The views of these names as a file.
fn file(names: &[&str]) -> String {
    let views = statements(&sales_orders(), &place(Layout::Lake(Stored::Parquet)));
    let texts: Vec<_> = views.into_iter().filter(|view| names.contains(&view.name.as_str())).map(|view| view.text).collect();
    texts.join(";\n\n") + ";\n"
}

#[test]
fn the_files_are_what_is_printed() {
    for (path, names) in
        [("deploy/athena/current.sql", &["current"][..]), ("deploy/athena/silver.sql", &["silver_current", "silver_changes"])]
    {
        let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        let printed = file(names);
        if std::env::var_os("UPDATE_SQL").is_some() {
            std::fs::write(&path, &printed).unwrap();
        }
        let stored = std::fs::read_to_string(&path).unwrap();
        assert!(stored == printed, "{path} differs from what the contract gives: write it anew with UPDATE_SQL=1");
    }
}

/// A table of one key and one column of a kind, both with a classification.
fn table(kind: ColumnType, classification: Option<&str>) -> TableSchema {
    let classification = classification.map(str::to_owned);
    let key =
        KeyColumn { attribute: "id".into(), column: "id".into(), attribute_type: AttributeType::S, classification: classification.clone() };
    let column = Column { name: "value".into(), path: vec!["value".into()], source: AttributeType::S, kind, classification };
    TableSchema { table: "t".into(), keys: vec![key], columns: vec![column], contract: None }
}

fn silver(schema: &TableSchema) -> String {
    let views = statements(schema, &place(Layout::Lake(Stored::Parquet)));
    views.into_iter().filter(|view| view.name.starts_with("silver_")).map(|view| view.text).collect()
}

#[test]
fn keys_and_both_sides_of_classified_columns_are_masked_in_their_own_type() {
    let text = silver(&table(ColumnType::Text, Some("PII")));
    for name in ["id", "value"] {
        assert_eq!(text.matches(&format!("CASE WHEN \"{name}\" IS NOT NULL THEN '***' END AS \"{name}\"")).count(), 2, "{text}");
    }
    assert!(text.contains("CASE WHEN \"old_value\" IS NOT NULL THEN '***' END AS \"old_value\""), "{text}");
    let decimal = silver(&table(ColumnType::Decimal { precision: 12, scale: 2 }, Some("PII")));
    assert_eq!(decimal.matches("nullif(\"value\", \"value\") AS \"value\"").count(), 2, "{decimal}");
}

#[test]
fn a_word_that_is_not_known_to_be_harmless_masks() {
    for word in ["PII", "pii", "Pii ", "confidential", "restricted", "sensitive", "5", "gdpr-art-9", ""] {
        assert!(silver(&table(ColumnType::Text, Some(word))).contains("'***'"), "{word:?}");
    }
    for word in [None, Some("public"), Some("Internal"), Some(" PUBLIC ")] {
        assert!(!silver(&table(ColumnType::Text, word)).contains("'***'"), "{word:?}");
    }
}

#[test]
fn a_view_changes_is_there_where_firehose_writes_the_lake() {
    let names = |layout| statements(&sales_orders(), &place(layout)).into_iter().map(|view| view.name).collect::<Vec<_>>();
    let others = ["snapshots", "current", "silver_current", "silver_changes"];
    assert_eq!(names(Layout::Lake(Stored::Ndjson)), others);
    assert_eq!(names(Layout::Firehose(Stored::Parquet)), [&["changes"], &others[..]].concat());
}

proptest! {
    #[test]
    fn no_classified_column_is_shown_bare(classified in proptest::collection::vec(any::<bool>(), 1..8)) {
        let columns = classified.iter().zip(0..).map(|(classified, number)| Column {
            name: format!("c{number}"),
            path: vec![format!("c{number}")],
            source: AttributeType::S,
            kind: if number % 2 == 0 { ColumnType::Text } else { ColumnType::Boolean },
            classification: classified.then(|| "PII".to_owned()),
        });
        let schema = TableSchema { columns: columns.collect(), ..table(ColumnType::Text, None) };
        let text = silver(&schema);
        for (classified, number) in classified.into_iter().zip(0..) {
            let bare = [format!("    \"c{number}\","), format!("    \"old_c{number}\",")];
            prop_assert!(bare.iter().all(|bare| text.contains(bare.as_str()) != classified), "{}", text);
        }
    }
}
