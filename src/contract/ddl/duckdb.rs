//! DuckDB 2.0 or later: views over the objects, so that a lake can be looked into with nothing else.
//!
//! The columns and their types are the contract's: what an older object lacks is null, what has another type there is cast, and a query fails where a
//! value cannot be. A folder without objects is an empty view. Times are `TIMESTAMP`s in UTC, as Athena's are. DuckDB reads numbers in JSON as doubles:
//! decimals of more than 15 digits are exact in Parquet, and in NDJSON with `decimals = "string"`.

use super::{Layout, Place, Statement, Stored};
use crate::contract::{LakeColumn, LakeType, TableSchema};

const HOURS: [&str; 2] = ["dt", "hr"];
const DAYS: [&str; 1] = ["dt"];

/// The views over objects. Those over them are in the language that DuckDB shares with others.
pub(super) fn statements(schema: &TableSchema, place: &Place) -> Vec<Statement> {
    let columns = schema.lake_columns();
    let mut statements = match place.layout {
        Layout::Lake(stored) => {
            let objects = match stored {
                Stored::Parquet => "*/*/*.parquet",
                Stored::Ndjson => "*/*/*.json.gz",
            };
            let reader = if stored == Stored::Parquet { Reader::Parquet { zoned: true } } else { Reader::Ndjson };
            vec![view("changes", &columns, &HOURS, &format!("{}{objects}", place.folder(schema, "changes")), reader)]
        }
        Layout::Firehose(stored) => {
            let mut delivered = columns.clone();
            delivered.extend(["cdc_claim_check", "cdc_hash_range"].map(text));
            // Firehose writes the timestamps of Parquet without a zone.
            let reader = if stored == Stored::Parquet { Reader::Parquet { zoned: false } } else { Reader::Ndjson };
            vec![
                view("delivered", &delivered, &HOURS, &format!("{}*/*/*", place.folder(schema, "firehose")), reader),
                view("claims", &columns, &DAYS, &format!("{}*/*.json", place.folder(schema, "claims")), Reader::Ndjson),
            ]
        }
    };
    let markers = marker_columns();
    statements.push(view("snapshot_markers", &markers, &[], &format!("{}*.json", place.folder(schema, "snapshots")), Reader::Ndjson));
    statements
}

/// How objects are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// By their own columns.
    Parquet {
        /// Whether timestamps are in UTC by their type, not by agreement.
        zoned: bool,
    },
    /// By the columns of the view.
    Ndjson,
}

fn view(name: &str, columns: &[LakeColumn], partitions: &[&str], objects: &str, reader: Reader) -> Statement {
    let names = |of: &dyn Fn(&LakeColumn) -> String| -> Vec<String> {
        columns.iter().map(of).chain(partitions.iter().map(|partition| identifier(partition))).collect()
    };
    let options = if partitions.is_empty() {
        "hive_partitioning = false".to_owned()
    } else {
        let types: Vec<String> = partitions.iter().map(|partition| format!("{partition}: VARCHAR")).collect();
        format!("hive_partitioning = true, hive_types = {{{}}}", types.join(", "))
    };
    let objects = literal(objects);
    // Times of a type with a zone are turned so that the session's zone has no say, as it has in a cast.
    let zoned = reader == Reader::Parquet { zoned: true };
    let selected = names(&|column| {
        let name = identifier(&column.name);
        if zoned && is_time(column.kind) {
            format!("make_timestamp(epoch_us({name})) AS {name}")
        } else {
            // Objects of another version of the contract may have made it wider.
            format!("CAST({name} AS {}) AS {name}", duckdb_type(column.kind, false))
        }
    });
    let mut typed: Vec<String> = columns
        .iter()
        .map(|column| format!("    CAST(NULL AS {}) AS {}", duckdb_type(column.kind, zoned), identifier(&column.name)))
        .collect();
    typed.extend(partitions.iter().map(|partition| format!("    CAST(NULL AS VARCHAR) AS {}", identifier(partition))));
    let read = match reader {
        Reader::Parquet { .. } => format!("read_parquet({objects}, union_by_name = true, allow_empty = true, {options})"),
        Reader::Ndjson => {
            let members: Vec<String> = columns
                .iter()
                .map(|column| format!("    {}: {}", literal(&column.name), literal(&duckdb_type(column.kind, false))))
                .collect();
            let members = members.join(",\n");
            format!("read_json({objects}, format = 'newline_delimited', allow_empty = true, {options}, columns = {{\n{members}\n  }})")
        }
    };
    let text = format!(
        "SELECT\n  {}\nFROM (\n  SELECT\n{}\n  WHERE false\n  UNION ALL BY NAME\n  SELECT * FROM {read}\n)",
        selected.join(",\n  "),
        typed.join(",\n"),
    );
    Statement { name: name.to_owned(), text: format!("CREATE OR REPLACE VIEW {} AS\n{text}", identifier(name)) }
}

fn text(name: &str) -> LakeColumn {
    LakeColumn { name: name.to_owned(), kind: LakeType::Text, nullable: true, classification: None, meaning: None }
}

/// As in the catalog: times of markers are RFC 3339 text.
fn marker_columns() -> Vec<LakeColumn> {
    let mut columns: Vec<LakeColumn> = ["snapshot_id", "table", "started_at", "completed_at"].map(text).into();
    columns.push(LakeColumn { kind: LakeType::BigInt, ..text("rows") });
    columns.push(LakeColumn { kind: LakeType::Boolean, ..text("whole") });
    columns
}

const fn is_time(kind: LakeType) -> bool {
    matches!(kind, LakeType::TimestampMillis | LakeType::TimestampMicros)
}

fn duckdb_type(kind: LakeType, zoned: bool) -> String {
    match kind {
        LakeType::Text => "VARCHAR".to_owned(),
        LakeType::BigInt => "BIGINT".to_owned(),
        LakeType::Decimal { precision, scale } => format!("DECIMAL({precision},{scale})"),
        LakeType::Boolean => "BOOLEAN".to_owned(),
        LakeType::TimestampMillis | LakeType::TimestampMicros => if zoned { "TIMESTAMP WITH TIME ZONE" } else { "TIMESTAMP" }.to_owned(),
        LakeType::TextList => "VARCHAR[]".to_owned(),
    }
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::ddl::tests::{orders, place};

    #[test]
    fn each_layout_has_the_views_that_its_tables_have_elsewhere() {
        for (layout, expected) in [
            (Layout::Lake(Stored::Ndjson), &["changes", "snapshot_markers"][..]),
            (Layout::Firehose(Stored::Parquet), &["delivered", "claims", "snapshot_markers"]),
        ] {
            let statements = statements(&orders(), &place(layout));
            assert_eq!(statements.iter().map(|statement| statement.name.as_str()).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn columns_have_the_types_of_the_contract_whatever_is_in_the_objects() {
        let lake = statements(&orders(), &place(Layout::Lake(Stored::Parquet)));
        for expected in [
            "  CAST(\"price\" AS DECIMAL(12,2)) AS \"price\",\n",
            "  make_timestamp(epoch_us(\"cdc_time\")) AS \"cdc_time\",\n",
            "  \"hr\"\nFROM (",
        ] {
            assert!(lake[0].text.contains(expected), "{expected} is not in\n{}", lake[0].text);
        }
        let delivered = statements(&orders(), &place(Layout::Firehose(Stored::Parquet)));
        assert!(delivered[0].text.contains("  CAST(\"cdc_time\" AS TIMESTAMP) AS \"cdc_time\",\n"), "{}", delivered[0].text);
    }

    #[test]
    fn a_place_cannot_end_a_literal() {
        let place = Place { location: "it's".into(), layout: Layout::Lake(Stored::Parquet) };
        assert!(statements(&orders(), &place)[0].text.contains("read_parquet('it''s/orders/changes/*/*/*.parquet'"));
    }
}
