//! Declarations of a table in the lake for the engines that read it, made of its columns. Pure.
//!
//! Every dialect is made of [`TableSchema::lake_columns`], the list that the Parquet writer's schema is made of too, so that no declaration can differ
//! from the files. Nothing is qualified: a table of DynamoDB has a database of its own, and the statements run within it.
//!
//! | statement | over | where |
//! |---|---|---|
//! | `changes` | `<lake>/<table>/changes/` | a table where headwater writes the lake |
//! | `delivered` | `<lake>/<table>/firehose/` | a table of what Firehose writes; partitions are by arrival |
//! | `claims` | `<lake>/<table>/claims/` | a table of changes that were too large for Firehose, whole |
//! | `changes` | `delivered` and `claims` | a view where Firehose writes the lake |
//! | `snapshot_markers` | `<lake>/<table>/snapshots/` | a table |
//! | `snapshots`, `current`, `silver_current`, `silver_changes` | the above | views |

mod athena;
mod catalog;
mod duckdb;
mod glue;
mod snowflake;
mod views;

pub use glue::{TemplateError, Updated, update};

use super::TableSchema;

/// What stands for a masked text in the silver views.
const MASK: &str = "***";

/// Metadata columns that tell of the lake's working rather than of the change, or may hold anything; the silver views do without them.
const LEFT_OUT: [&str; 5] = ["cdc_table", "cdc_shard", "cdc_snapshot_id", "cdc_extra", "old_cdc_extra"];

/// The language of declarations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Athena's: external tables in Hive's language, views in Trino's.
    Athena,
    /// The Glue catalog's `TableInput`, as JSON.
    Glue,
    /// Snowflake's.
    Snowflake,
    /// DuckDB's: views over the objects.
    DuckDb,
}

/// Where a lake is, and who writes it how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The lake's URL or path, without a slash at its end.
    pub location: String,
    /// What lies there.
    pub layout: Layout,
}

/// Who writes the changes of a lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// headwater itself, partitioned by the time of the change.
    Lake(Stored),
    /// Firehose, partitioned by the time of arrival.
    Firehose(Stored),
}

/// How rows are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// Parquet.
    Parquet,
    /// Newline-delimited JSON, gzip-compressed.
    Ndjson,
}

/// One declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What it declares.
    pub name: String,
    /// Its text, without a semicolon at its end.
    pub text: String,
}

impl Place {
    /// The URL of a folder of the table, such as `changes`, with a slash at its end.
    fn folder(&self, schema: &TableSchema, name: &str) -> String {
        // The lake spells a leading dot so, because a path segment must not be hidden.
        let table = schema.table.strip_prefix('.').map_or_else(|| schema.table.clone(), |rest| format!("%2E{rest}"));
        format!("{}/{table}/{name}/", self.location)
    }
}

/// The declarations of a table, each after those that it needs.
pub fn statements(dialect: Dialect, schema: &TableSchema, place: &Place) -> Vec<Statement> {
    match dialect {
        Dialect::Athena => [athena::statements(schema, place), views::statements(schema, place)].concat(),
        Dialect::Glue => glue::statements(schema, place),
        Dialect::Snowflake => snowflake::statements(schema, place),
        Dialect::DuckDb => [duckdb::statements(schema, place), views::statements(schema, place)].concat(),
    }
}

/// The statements as one text: SQL with a semicolon behind each, or one object of JSON.
pub fn render(dialect: Dialect, statements: &[Statement]) -> String {
    match dialect {
        Dialect::Glue => glue::document(statements),
        Dialect::Athena | Dialect::Snowflake | Dialect::DuckDb => {
            let texts: Vec<String> = statements.iter().map(|statement| format!("{};\n", statement.text)).collect();
            texts.join("\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Column, ColumnType, ContractId};
    use crate::event::AttributeType;

    /// A table with a column that is classified and a decimal.
    pub(super) fn orders() -> TableSchema {
        let column = |name: &str, source, kind, classification: Option<&str>| Column {
            name: name.into(),
            path: vec![name.into()],
            source,
            kind,
            classification: classification.map(str::to_owned),
        };
        TableSchema {
            columns: vec![
                column("customer_email", AttributeType::S, ColumnType::Text, Some("PII")),
                column("price", AttributeType::N, ColumnType::Decimal { precision: 12, scale: 2 }, None),
            ],
            contract: Some(ContractId { id: "orders".into(), version: "1.2.0".into() }),
            ..TableSchema::keys_only("orders", vec![("order_id".into(), AttributeType::S)])
        }
    }

    pub(super) fn place(layout: Layout) -> Place {
        Place { location: "s3://lake/some/prefix".into(), layout }
    }

    #[test]
    fn a_table_lies_where_the_lake_puts_it() {
        let folder = |table: &str| place(Layout::Lake(Stored::Parquet)).folder(&TableSchema::keys_only(table, Vec::new()), "changes");
        for table in ["Orders-2.eu_v1", ".hidden", "..", "a.b"] {
            let layout = crate::lake::Layout::new(&object_store::path::Path::from("some/prefix"), table);
            assert_eq!(folder(table), format!("s3://lake/{}/", layout.changes()), "{table}");
        }
    }
}
