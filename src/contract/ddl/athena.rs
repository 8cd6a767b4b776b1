//! Athena: external tables in Hive's language. Names stand in backticks, since some are reserved words.
//!
//! Athena's timestamps have milliseconds; it rounds or cuts the microseconds of the item's columns. Lines that are no JSON fail a query
//! rather than being left out.

use super::catalog::{self, ExternalTable, HiveColumn};
use super::{Place, Statement, Stored};
use crate::contract::TableSchema;

/// The tables. The views over them are in the language that Athena shares with others.
pub(super) fn statements(schema: &TableSchema, place: &Place) -> Vec<Statement> {
    catalog::tables(schema, place).iter().map(|table| Statement { name: table.name.to_owned(), text: create(table) }).collect()
}

fn create(table: &ExternalTable) -> String {
    let mut parts = vec![format!("CREATE EXTERNAL TABLE IF NOT EXISTS `{}` (\n{}\n)", table.name, columns(&table.columns))];
    parts.push(format!("COMMENT {}", quoted(&table.description)));
    if !table.partitions.is_empty() {
        parts.push(format!("PARTITIONED BY (\n{}\n)", columns(&table.partitions)));
    }
    parts.push(
        match table.stored {
            Stored::Parquet => "STORED AS PARQUET",
            Stored::Ndjson => "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'\nSTORED AS TEXTFILE",
        }
        .to_owned(),
    );
    parts.push(format!("LOCATION {}", quoted(&table.location)));
    let properties: Vec<String> =
        table.parameters().iter().map(|(name, value)| format!("  {} = {}", quoted(name), quoted(value))).collect();
    parts.push(format!("TBLPROPERTIES (\n{}\n)", properties.join(",\n")));
    parts.join("\n")
}

fn columns(columns: &[HiveColumn]) -> String {
    let lines: Vec<String> = columns
        .iter()
        .map(|column| {
            let comment = column.comment.as_deref().map(|comment| format!(" COMMENT {}", quoted(comment))).unwrap_or_default();
            format!("  `{}` {}{comment}", column.name, column.kind)
        })
        .collect();
    lines.join(",\n")
}

/// A text literal of Hive's language, where a backslash escapes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::ddl::Layout;
    use crate::contract::ddl::tests::{orders, place};

    #[test]
    fn a_table_of_the_lake_projects_its_hours() {
        let statements = statements(&orders(), &place(Layout::Lake(Stored::Parquet)));
        insta::assert_snapshot!(statements[0].text, @r"
        CREATE EXTERNAL TABLE IF NOT EXISTS `changes` (
          `cdc_event_id` string COMMENT 'identifies the change; equal on every copy of it',
          `cdc_op` string COMMENT 'INSERT, MODIFY, REMOVE, or SNAPSHOT for a row of a snapshot',
          `cdc_sequence` string COMMENT 'place in the stream: 40 digits, so that text order is numeric order',
          `cdc_time` timestamp COMMENT 'when DynamoDB took the change, to the second, UTC',
          `cdc_table` string COMMENT 'the DynamoDB table',
          `cdc_shard` string COMMENT 'the shard of the stream',
          `cdc_snapshot_id` string COMMENT 'the snapshot that the row belongs to',
          `cdc_ttl_delete` boolean COMMENT 'whether DynamoDB removed the item because it had expired',
          `cdc_changed` array<string> COMMENT 'the attributes that differ between the two images',
          `order_id` string,
          `customer_email` string COMMENT 'classification: PII',
          `price` decimal(12,2),
          `old_customer_email` string COMMENT 'classification: PII',
          `old_price` decimal(12,2),
          `cdc_extra` string COMMENT 'typed DynamoDB JSON of what has no column',
          `old_cdc_extra` string COMMENT 'the same of the image before the change'
        )
        COMMENT 'changes of the DynamoDB table orders'
        PARTITIONED BY (
          `dt` string COMMENT 'UTC day of cdc_time, yyyy-MM-dd',
          `hr` string COMMENT 'UTC hour of cdc_time, two digits'
        )
        STORED AS PARQUET
        LOCATION 's3://lake/some/prefix/orders/changes/'
        TBLPROPERTIES (
          'classification' = 'parquet',
          'headwater.contract' = 'orders 1.2.0',
          'projection.dt.format' = 'yyyy-MM-dd',
          'projection.dt.interval' = '1',
          'projection.dt.interval.unit' = 'DAYS',
          'projection.dt.range' = '2026-01-01,NOW',
          'projection.dt.type' = 'date',
          'projection.enabled' = 'true',
          'projection.hr.digits' = '2',
          'projection.hr.range' = '0,23',
          'projection.hr.type' = 'integer',
          'storage.location.template' = 's3://lake/some/prefix/orders/changes/dt=${dt}/hr=${hr}/'
        )
        ");
    }

    #[test]
    fn firehose_gives_a_table_of_what_it_delivered_and_one_of_what_was_too_large_for_it() {
        let statements = statements(&orders(), &place(Layout::Firehose(Stored::Ndjson)));
        let names: Vec<&str> = statements.iter().map(|statement| statement.name.as_str()).collect();
        assert_eq!(names, ["delivered", "claims", "snapshot_markers"]);
        assert!(statements[0].text.contains("LOCATION 's3://lake/some/prefix/orders/firehose/'"), "{}", statements[0].text);
        assert!(statements[0].text.contains("  `cdc_claim_check` string") && statements[0].text.contains("  `cdc_hash_range` string"));
        assert!(statements[0].text.contains("'compressionType' = 'gzip'") && statements[1].text.contains("'compressionType' = 'none'"));
        assert!(
            !statements[1].text.contains("projection.hr") && statements[1].text.contains("claims/dt=${dt}/'"),
            "{}",
            statements[1].text
        );
        assert!(!statements[2].text.contains("projection") && !statements[2].text.contains("PARTITIONED"), "{}", statements[2].text);
    }

    #[test]
    fn what_a_contract_says_cannot_end_a_literal() {
        let mut schema = orders();
        schema.columns[0].classification = Some("it's\n\\ \"PII\"".into());
        let text = &statements(&schema, &place(Layout::Lake(Stored::Parquet)))[0].text;
        assert!(text.contains(r#"`customer_email` string COMMENT 'classification: it\'s \\ "PII"'"#), "{text}");
    }
}
