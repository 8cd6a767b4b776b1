//! An independent reader of lakes: DuckDB, which shares no code with headwater.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value};

use super::tools;

const VERSION: &str = "2.0.0";
const NEEDS: &str =
    "DuckDB comes from PyPI: python3 (3.10 or later) with venv and access to PyPI are needed (apt-get install python3-venv).";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/read_lake.py");

/// The column that says where a row stands.
const OBJECT: &str = "lake_object";

/// A row of the lake. Numbers are text, so that no digit is lost.
#[derive(Debug, Clone)]
pub(crate) struct Row(Map<String, Value>);

impl Row {
    /// A row of its own, for tests of what judges rows.
    #[cfg(test)]
    pub(crate) fn of<const N: usize>(columns: [(&str, &str); N]) -> Self {
        Self(columns.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    }

    /// A line of newline-delimited JSON in `object`, with its line feed, and the line itself as `line`.
    pub(crate) fn of_line(line: &str, object: &str) -> Self {
        let mut columns: Map<String, Value> = serde_json::from_str(line).unwrap_or_else(|error| panic!("{object}: {error}: {line:?}"));
        columns.insert("line".to_owned(), line.into());
        columns.insert(OBJECT.to_owned(), object.into());
        Self(columns)
    }

    /// Whether both rows hold the same, wherever they stand.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        let columns =
            |row: &Self| row.0.iter().filter(|(name, _)| *name != OBJECT).map(|(name, value)| (name.clone(), value.clone())).collect();
        let (mine, others): (Map<_, _>, Map<_, _>) = (columns(self), columns(other));
        mine == others
    }

    /// The text of a column that every row has.
    pub(crate) fn text(&self, column: &str) -> &str {
        self.optional(column).unwrap_or_else(|| panic!("the lake's row has no {column}: {:?}", self.0))
    }

    /// The text of a column; `None` when it is null or absent.
    pub(crate) fn optional(&self, column: &str) -> Option<&str> {
        match self.0.get(column) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(other) => panic!("column {column} holds {other}, not text"),
        }
    }

    /// The path of the row's object below the table's folder.
    pub(crate) fn object(&self) -> &str {
        self.text(OBJECT)
    }
}

/// Every change row of the table, objects by name and rows in the order in which they stand there. Empty when nothing has landed.
pub(crate) async fn changes(lake: &Path, table: &str) -> Vec<Row> {
    let (lake, table) = (lake.to_owned(), table.to_owned());
    tokio::task::spawn_blocking(move || {
        let mut read = Command::new(python());
        read.arg(SCRIPT).arg(lake).arg(table);
        let rows = tools::output(&mut read, NEEDS);
        rows.lines().map(|line| Row(serde_json::from_str(line).unwrap())).collect()
    })
    .await
    .unwrap()
}

/// Runs a Python script that uses DuckDB, and gives what it prints.
pub(crate) fn run(script: &str, arguments: &[&Path]) -> String {
    tools::output(Command::new(python()).arg(script).args(arguments), NEEDS)
}

/// How many rows there are of each operation.
pub(crate) fn count_by_operation(rows: &[Row]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row.text("cdc_op")).or_default() += 1;
    }
    counts
}

/// A Python that has DuckDB.
fn python() -> PathBuf {
    let home = tools::provide(&format!("duckdb-{VERSION}"), |home| {
        tools::output(Command::new("python3").args(["-m", "venv"]).arg(home), NEEDS);
        let mut pip = Command::new(home.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", &format!("duckdb=={VERSION}")]);
        tools::output(&mut pip, NEEDS);
    });
    home.join("bin/python")
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Decimal128Array, ListBuilder, RecordBatch, StringArray, StringBuilder, TimestampMillisecondArray};
    use flate2::write::GzEncoder;
    use parquet::arrow::ArrowWriter;

    use super::*;

    const HOUR: &str = "orders/changes/dt=2026-11-21/hr=03";

    #[tokio::test]
    async fn parquet_is_read_with_every_digit() {
        let lake = tempfile::tempdir().unwrap();
        let hour = lake.path().join(HOUR);
        fs::create_dir_all(&hour).unwrap();
        let mut changed = ListBuilder::new(StringBuilder::new());
        changed.append_value([Some("price"), Some("status")]);
        changed.append_null();
        let digits = 12_345_678_901_234_567_890_123_456_789_012_345_678_i128;
        let columns: [(&str, ArrayRef); 4] = [
            ("cdc_op", Arc::new(StringArray::from(vec!["MODIFY", "REMOVE"]))),
            ("cdc_time", Arc::new(TimestampMillisecondArray::from(vec![1_795_230_000_000; 2]).with_timezone("UTC"))),
            ("cdc_changed", Arc::new(changed.finish())),
            ("price", Arc::new(Decimal128Array::from(vec![Some(digits), None]).with_precision_and_scale(38, 2).unwrap())),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(hour.join("s-0.parquet")).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();

        let rows = changes(lake.path(), "orders").await;
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].text("price"), "123456789012345678901234567890123456.78");
        assert_eq!(rows[0].text("cdc_time"), "2026-11-21 03:00:00+00");
        assert_eq!(rows[0].0["cdc_changed"], serde_json::json!(["price", "status"]));
        assert_eq!(rows[0].object(), "changes/dt=2026-11-21/hr=03/s-0.parquet");
        assert_eq!(rows[1].optional("price"), None);
        assert_eq!(count_by_operation(&rows), BTreeMap::from([("MODIFY", 1), ("REMOVE", 1)]));
    }

    #[tokio::test]
    async fn ndjson_is_read_with_every_digit_and_in_order() {
        let lake = tempfile::tempdir().unwrap();
        let hour = lake.path().join(HOUR);
        fs::create_dir_all(&hour).unwrap();
        let mut gzip = GzEncoder::new(File::create(hour.join("s-0.json.gz")).unwrap(), flate2::Compression::fast());
        for n in 0..5000 {
            writeln!(gzip, "{{\"cdc_op\":\"INSERT\",\"n\":{n},\"price\":123456789012345678901234567890123456.78}}").unwrap();
        }
        gzip.finish().unwrap();
        // What a killed writer leaves behind is no object.
        fs::write(hour.join("s-9.json.gz#1"), "half").unwrap();

        let rows = changes(lake.path(), "orders").await;
        assert!(rows.iter().enumerate().all(|(n, row)| row.text("n") == n.to_string()), "the rows are out of order");
        assert_eq!(rows.len(), 5000);
        assert_eq!(rows[0].text("price"), "123456789012345678901234567890123456.78");
    }

    #[tokio::test]
    async fn a_lake_without_the_table_has_no_rows() {
        let lake = tempfile::tempdir().unwrap();
        assert!(changes(lake.path(), "orders").await.is_empty());
    }
}
