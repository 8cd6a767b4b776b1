//! Rows of a query as text: an aligned table, CSV or JSON, written as they come.
//!
//! Values are written exactly: decimals with all their digits, timestamps in UTC. Only the table for a terminal may cut a cell, marked
//! by `…`, so that a row stays on one line.

use std::io::{self, Write};
use std::sync::Arc;

use datafusion::arrow::array::{Array, RecordBatch, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::writer::{EncoderOptions, make_encoder};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;

mod grid;

use grid::Grid;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns for people. Cells are cut so that a row fits `width` characters, if a width is given.
    Table {
        /// The terminal's width.
        width: Option<usize>,
    },
    /// RFC 4180 with a header. NULL is an empty field, an empty text is `""`; lists are JSON.
    Csv,
    /// One JSON array of objects.
    Json,
}

/// Rows could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The query failed while its rows were read.
    #[error("run the query")]
    Query(#[source] DataFusionError),
    /// A value has no text form in this format.
    #[error("write a row as text: cast the column to text in the query")]
    Value(#[source] ArrowError),
    /// The output does not take the text.
    #[error("write the rows")]
    Output(#[source] io::Error),
}

/// Writes all rows and returns their number. A reader that closes the output early (`| head`) ends the query without an error.
pub async fn write(rows: SendableRecordBatchStream, format: Format, out: &mut (impl Write + Send)) -> Result<u64, RenderError> {
    let mut written = 0;
    match write_all(rows, format, out, &mut written).await {
        Err(RenderError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(written),
        Err(error) => Err(error),
        Ok(()) => Ok(written),
    }
}

async fn write_all(
    mut rows: SendableRecordBatchStream,
    format: Format,
    out: &mut (impl Write + Send),
    written: &mut u64,
) -> Result<(), RenderError> {
    let schema = rows.schema();
    let mut sink = Sink::begin(format, &schema, out)?;
    while let Some(batch) = rows.try_next().await.map_err(RenderError::Query)? {
        sink.batch(&batch, out)?;
        *written += batch.num_rows() as u64;
    }
    sink.end(*written, out)?;
    out.flush().map_err(RenderError::Output)
}

/// A format in the making.
enum Sink {
    Table(Grid),
    Csv,
    /// Whether a row was written.
    Json(bool),
}

impl Sink {
    fn begin(format: Format, schema: &SchemaRef, out: &mut impl Write) -> Result<Self, RenderError> {
        match format {
            Format::Table { width } => Ok(Self::Table(Grid::new(schema, width))),
            Format::Csv => {
                let names = schema.fields().iter().map(|field| quoted(field.name())).collect::<Vec<_>>();
                writeln!(out, "{}", names.join(",")).map_err(RenderError::Output)?;
                Ok(Self::Csv)
            }
            Format::Json => {
                out.write_all(b"[").map_err(RenderError::Output)?;
                Ok(Self::Json(false))
            }
        }
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut impl Write) -> Result<(), RenderError> {
        match self {
            Self::Table(grid) => grid.take(cells(batch, "%Y-%m-%d %H:%M:%S%.f")?, out).map_err(RenderError::Output),
            Self::Csv => cells(batch, "%Y-%m-%dT%H:%M:%S%.fZ")?.into_iter().try_for_each(|row| {
                let fields: Vec<_> = row.iter().map(|cell| cell.as_deref().map_or_else(String::new, quoted)).collect();
                writeln!(out, "{}", fields.join(",")).map_err(RenderError::Output)
            }),
            Self::Json(started) => {
                let body = json_objects(batch).map_err(RenderError::Value)?;
                for row in body {
                    let before: &[u8] = if std::mem::replace(started, true) { b",\n " } else { b"\n " };
                    out.write_all(before).and_then(|()| out.write_all(&row)).map_err(RenderError::Output)?;
                }
                Ok(())
            }
        }
    }

    fn end(self, rows: u64, out: &mut impl Write) -> Result<(), RenderError> {
        match self {
            Self::Table(grid) => grid.end(rows, out),
            Self::Csv => Ok(()),
            Self::Json(started) => writeln!(out, "{}]", if started { "\n" } else { "" }),
        }
        .map_err(RenderError::Output)
    }
}

/// The rows of a batch as text; `None` is NULL.
fn cells(batch: &RecordBatch, instant: &str) -> Result<Vec<Vec<Option<String>>>, RenderError> {
    let options = FormatOptions::new().with_timestamp_tz_format(Some(instant)).with_timestamp_format(Some(instant));
    let mut rows = vec![Vec::with_capacity(batch.num_columns()); batch.num_rows()];
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if field.data_type().is_nested() {
            let texts = json_values(field, column).map_err(RenderError::Value)?;
            for (index, (row, text)) in rows.iter_mut().zip(texts).enumerate() {
                row.push((!column.is_null(index)).then(|| String::from_utf8_lossy(&text).into_owned()));
            }
        } else {
            let formatter = ArrayFormatter::try_new(column, &options).map_err(RenderError::Value)?;
            for (index, row) in rows.iter_mut().enumerate() {
                let text = (!is_null(column, index)).then(|| formatter.value(index).try_to_string()).transpose();
                row.push(text.map_err(RenderError::Value)?);
            }
        }
    }
    Ok(rows)
}

/// `is_null` that also knows the all-null type of `SELECT NULL`, which has no null buffer.
fn is_null(column: &dyn Array, index: usize) -> bool {
    column.data_type() == &DataType::Null || column.is_null(index)
}

/// Each row as a JSON object. Decimals are number tokens with all their digits.
fn json_objects(batch: &RecordBatch) -> Result<Vec<Vec<u8>>, ArrowError> {
    let rows = StructArray::from(batch.clone());
    let field = Arc::new(Field::new("row", rows.data_type().clone(), false));
    json_values(&field, &rows)
}

/// The values of a column as JSON text.
fn json_values(field: &FieldRef, column: &dyn Array) -> Result<Vec<Vec<u8>>, ArrowError> {
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(field, column, &options)?;
    let mut texts = Vec::with_capacity(column.len());
    for index in 0..column.len() {
        let mut text = Vec::new();
        if !column.is_null(index) {
            encoder.encode(index, &mut text);
        }
        texts.push(text);
    }
    Ok(texts)
}

/// A CSV field. Quoted when it must be, and when it is empty, since an empty field is NULL.
fn quoted(text: &(impl AsRef<str> + ?Sized)) -> String {
    let text = text.as_ref();
    if text.is_empty() || text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn rendered(sql: &str, format: Format) -> String {
        let mut out = Vec::new();
        let rows = SessionContext::new().sql(sql).await.unwrap().execute_stream().await.unwrap();
        write(rows, format, &mut out).await.unwrap();
        String::from_utf8(out).unwrap()
    }

    const EVERYTHING: &str = "SELECT * FROM (VALUES
        ('a\"b', arrow_cast('99999999999999999999999999999999.999999', 'Decimal128(38, 6)'), to_timestamp_millis(1), make_array('x', 'y'), 7),
        ('', NULL, NULL, NULL, NULL)) AS t(name, price, at, tags, n)";

    #[tokio::test]
    async fn json_is_one_document_with_exact_numbers() {
        let text = rendered(EVERYTHING, Format::Json).await;
        assert!(text.contains(r#""price":99999999999999999999999999999999.999999,"#), "{text}");
        let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(rows[0]["tags"], serde_json::json!(["x", "y"]));
        assert_eq!(rows[0]["name"], "a\"b");
        assert!(rows[1]["price"].is_null() && rows[1].as_object().unwrap().contains_key("price"));
    }

    #[tokio::test]
    async fn csv_tells_null_from_empty_and_quotes() {
        let text = rendered(EVERYTHING, Format::Csv).await;
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "name,price,at,tags,n");
        assert_eq!(lines[1], r#""a""b",99999999999999999999999999999999.999999,1970-01-01T00:00:00.001Z,"[""x"",""y""]",7"#);
        assert_eq!(lines[2], r#""",,,,"#);
    }

    #[tokio::test]
    async fn no_rows_are_a_header_or_an_empty_array() {
        assert_eq!(rendered("SELECT 1 AS n WHERE false", Format::Json).await, "[]\n");
        assert_eq!(rendered("SELECT 1 AS n WHERE false", Format::Csv).await, "n\n");
        assert_eq!(rendered("SELECT 1 AS n WHERE false", Format::Table { width: None }).await, "n\n─\n(0 rows)\n");
    }

    #[tokio::test]
    async fn a_closed_output_ends_the_query_without_an_error() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let rows = SessionContext::new().sql("SELECT 1").await.unwrap().execute_stream().await.unwrap();
        assert!(write(rows, Format::Csv, &mut Closed).await.is_ok());
    }
}
