//! The JSON value of a column into its cell.

use std::borrow::Cow;

use crate::contract::{Column, ColumnType, TimestampFormat};
use crate::event::encode::COLUMN_PLACES;
use crate::event::number::{Number, canonical};
use crate::event::typed_json::Text;
use crate::event::{AttributeType, Cell, instant};

/// The cell that is written as this; `None` if the column cannot hold such a value.
pub(super) fn cell(raw: &str, column: &Column) -> Option<Cell<'static>> {
    match column.kind {
        ColumnType::Text => text_of(raw, column.source).map(|text| Cell::Text(text.into())),
        ColumnType::Json => text(raw).map(|text| Cell::Text(text.into_owned().into())),
        ColumnType::BigInt => raw.parse().ok().or_else(|| Number::parse(raw).ok()?.to_i64()).map(Cell::Int),
        ColumnType::Decimal { precision, scale } => {
            let digits = if raw.starts_with('"') { text(raw)? } else { Cow::Borrowed(raw) };
            Number::parse(&digits).ok()?.to_unscaled(precision, scale).map(Cell::Decimal)
        }
        ColumnType::Boolean => boolean(raw).map(Cell::Bool),
        // Of the instants, those alone that the attribute can have spelled.
        ColumnType::Timestamp { format } => instant::parse_sql(&text(raw)?, COLUMN_PLACES)
            .filter(|micros| micros.rem_euclid(instant::unit(format)) == 0)
            .map(Cell::Timestamp),
    }
}

/// What the column holds, for an error.
pub(super) fn expected(column: &Column) -> String {
    match column.kind {
        ColumnType::Text => expected_text(column.source).to_owned(),
        ColumnType::Json => "JSON text".to_owned(),
        ColumnType::BigInt => "a 64-bit integer".to_owned(),
        ColumnType::Decimal { precision, scale } => format!("a decimal({precision},{scale})"),
        ColumnType::Boolean => "a boolean".to_owned(),
        ColumnType::Timestamp { format } => {
            let unit = match format {
                TimestampFormat::Seconds => "seconds",
                TimestampFormat::Millis => "milliseconds",
                TimestampFormat::Micros => "microseconds",
            };
            format!("a time YYYY-MM-DD HH:MM:SS.ffffff in whole {unit}")
        }
    }
}

/// The text of a text column or of a key: numbers have one spelling there, since keys are compared as text.
pub(super) fn text_of(raw: &str, source: AttributeType) -> Option<String> {
    let text = text(raw)?;
    if source == AttributeType::N && canonical(&text).ok()? != text {
        return None;
    }
    Some(text.into_owned())
}

/// What [`text_of`] reads, for an error.
pub(super) const fn expected_text(source: AttributeType) -> &'static str {
    if matches!(source, AttributeType::N) { "the canonical text of a number" } else { "Unicode text" }
}

/// The text of a JSON string.
pub(super) fn text(raw: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str(raw).ok().map(|Text(text)| text)
}

/// The value of a JSON boolean.
pub(super) fn boolean(raw: &str) -> Option<bool> {
    match raw {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}
