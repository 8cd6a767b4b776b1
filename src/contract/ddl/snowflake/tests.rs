use super::*;
use crate::contract::{Column, ColumnType};
use crate::event::AttributeType;

fn schema() -> TableSchema {
    let column = |name: &str, kind, class: Option<&str>| Column {
        name: name.into(),
        path: vec![name.into()],
        source: AttributeType::S,
        kind,
        classification: class.map(Into::into),
    };
    TableSchema {
        columns: vec![
            column("order", ColumnType::Decimal { precision: 38, scale: 6 }, None),
            column("email", ColumnType::Text, Some("pii")),
            column("born", ColumnType::BigInt, Some("PII")),
        ],
        ..TableSchema::keys_only("orders", vec![("customerId".into(), AttributeType::S), ("no".into(), AttributeType::N)])
    }
}

fn place(layout: Layout) -> Place {
    Place { location: "s3://lake/o'neil".into(), layout }
}

fn of(layout: Layout) -> Vec<Statement> {
    statements(&schema(), &place(layout))
}

fn text(layout: Layout, name: &str) -> String {
    let found: Vec<_> = of(layout).into_iter().filter(|statement| statement.name == name).collect();
    assert_eq!(found.len(), 1, "{name}");
    found[0].text.clone()
}

const PARQUET: Layout = Layout::Lake(Stored::Parquet);
const NDJSON: Layout = Layout::Lake(Stored::Ndjson);
const FIREHOSE: Layout = Layout::Firehose(Stored::Ndjson);

#[test]
fn statements_stand_in_the_order_in_which_they_are_run() {
    let names = |layout| of(layout).into_iter().map(|statement| statement.name).collect::<Vec<_>>().join(" ");
    let state = "current_items current arrived_changes arrived_markers merge_current_items silver_current silver_changes";
    let end = "snapshot_markers backlog snapshots_pipe start";
    assert_eq!(
        names(PARQUET),
        format!(
            "json_lines parquet_rows changes_stage snapshots_stage changes snapshot_markers snapshots {state} changes backlog changes_pipe {end}"
        )
    );
    assert_eq!(
        names(FIREHOSE),
        format!(
            "json_lines firehose_stage claims_stage snapshots_stage delivered claims snapshot_markers changes snapshots {state} \
             delivered backlog firehose_pipe claims backlog claims_pipe {end}"
        )
    );
}

#[test]
fn the_raw_table_has_the_columns_of_the_files() {
    let table = text(PARQUET, "changes");
    for expected in [
        "  cdc_time TIMESTAMP_LTZ(3) NOT NULL COMMENT '",
        "  cdc_changed VARIANT NOT NULL COMMENT '",
        "  customer_id VARCHAR NOT NULL,\n",
        "  \"ORDER\" NUMBER(38, 6),\n",
        "  old_order NUMBER(38, 6),\n",
        "  born NUMBER(19, 0) COMMENT 'PII',\n",
    ] {
        assert!(table.contains(expected), "{expected} is not in\n{table}");
    }
    assert!(text(PARQUET, "changes_stage").contains("URL = 's3://lake/o''neil/orders/changes/'"));
    assert!(text(PARQUET, "changes_pipe").contains("MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"));
}

#[test]
fn lines_are_loaded_whole_and_read_as_the_columns() {
    assert!(text(NDJSON, "landed").ends_with("(line VARIANT NOT NULL)"));
    let view = text(NDJSON, "changes");
    assert!(view.contains("  line:\"order\"::NUMBER(38, 6) AS \"ORDER\",\n"), "{view}");
    let utc = "TO_TIMESTAMP_LTZ(line:cdc_time::VARCHAR || ' +00:00', 'YYYY-MM-DD HH24:MI:SS.FF TZH:TZM') AS cdc_time";
    assert!(view.contains(utc), "{view}");
    assert!(text(NDJSON, "arrived_changes").contains("ON VIEW \"CHANGES\""));
    assert!(text(PARQUET, "arrived_changes").contains("ON TABLE \"CHANGES\""));
}

#[test]
fn what_firehose_delivered_is_neither_pointer_nor_marker_and_the_claims_are_whole() {
    let view = text(FIREHOSE, "changes");
    assert!(
        view.contains("FROM delivered\nWHERE line:cdc_claim_check IS NULL AND line:cdc_op::VARCHAR <> 'SNAPSHOT_END'\nUNION ALL"),
        "{view}"
    );
    assert!(view.ends_with("FROM claims"));
    let table = text(Layout::Firehose(Stored::Parquet), "delivered");
    assert!(
        table.contains("  customer_id VARCHAR,\n") && table.ends_with("  cdc_claim_check VARCHAR,\n  cdc_hash_range VARCHAR\n)"),
        "{table}"
    );
}

#[test]
fn times_that_firehose_writes_without_a_zone_are_utc_whatever_the_sessions_zone() {
    let layout = Layout::Firehose(Stored::Parquet);
    let table = text(layout, "delivered");
    assert!(table.contains("  cdc_time TIMESTAMP_NTZ(3) NOT NULL") && !table.contains("TIMESTAMP_LTZ"), "{table}");
    let view = text(layout, "changes");
    let utc = "  TO_TIMESTAMP_LTZ(TO_VARCHAR(cdc_time, 'YYYY-MM-DD HH24:MI:SS.FF') || ' +00:00', \
               'YYYY-MM-DD HH24:MI:SS.FF TZH:TZM') AS cdc_time,\n";
    assert!(view.contains(utc), "{view}");
    assert!(text(PARQUET, "changes").contains("  cdc_time TIMESTAMP_LTZ(3) NOT NULL"));
}

#[test]
fn classified_values_are_not_in_silver() {
    for name in ["silver_current", "silver_changes"] {
        let view = text(PARQUET, name);
        assert!(view.contains("CREATE SECURE VIEW"));
        assert!(view.contains("  CASE WHEN email IS NOT NULL THEN '***' END AS email,\n"), "{view}");
        assert!(view.contains("  CAST(NULL AS NUMBER(19, 0)) AS born,\n"), "{view}");
        assert!(!view.contains("cdc_extra"), "{view}");
    }
    assert!(text(PARQUET, "silver_changes").contains("FROM \"CHANGES\"\nWHERE cdc_snapshot_id IS NULL\nQUALIFY"));
    assert!(text(PARQUET, "silver_changes").contains("CASE WHEN old_email IS NOT NULL THEN '***' END AS old_email"));
}

#[test]
fn a_classification_that_nobody_knows_is_masked_and_a_harmless_one_is_not() {
    let mut schema = schema();
    for (word, masked) in [("Public ", false), ("internal", false), ("secret", true), ("", true)] {
        schema.columns[1].classification = Some(word.to_owned());
        let views = statements(&schema, &place(PARQUET));
        let view = views.iter().find(|statement| statement.name == "silver_current").unwrap();
        assert_eq!(view.text.contains("'***' END AS email"), masked, "{word}");
    }
}

#[test]
fn items_are_told_apart_by_all_of_their_keys() {
    let task = text(PARQUET, "merge_current_items");
    for expected in [
        "ON item.customer_id = word.customer_id AND item.no = word.no\n",
        "PARTITION BY change.customer_id, change.no)",
        "PARTITION BY customer_id, no ORDER BY cdc_sequence DESC",
        "SELECT customer_id, no FROM arrived_changes\n",
    ] {
        assert!(task.contains(expected), "{expected} is not in\n{task}");
    }
}
