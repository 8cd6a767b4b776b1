//! Change events into newline-delimited JSON.
//!
//! One object a line. Columns come in a fixed order: metadata, keys, `<col>`, `old_<col>`, `cdc_extra`, `old_cdc_extra`. Null columns are
//! left out. Timestamps are in the text form that Athena reads. [`parse`](super::parse) reads the lines back.
//!
//! An event whose line is too large for its way is stored apart, as a claim, and a pointer line goes in its stead: the metadata with
//! `cdc_claim_check` behind it, and the keys.

use super::json::escaped;
use super::number::Number;
use super::{Cell, ChangeEvent, Side, instant};
use crate::contract::{Column, ColumnType, TableSchema};

/// Fraction digits of `cdc_time`, which is in milliseconds in every format of the lake.
pub(super) const TIME_PLACES: usize = 3;
/// Fraction digits of timestamp columns.
pub(super) const COLUMN_PLACES: usize = 6;
/// Before the names of the columns of the image before the change.
pub(super) const OLD_PREFIX: &str = "old_";
const MICROS_PER_SECOND: i64 = 1_000_000;

/// How decimals are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decimals {
    /// As number tokens with all their digits.
    #[default]
    Number,
    /// As strings, for readers that would round a number token to a float.
    String,
}

/// Appends the event as one line, with its line feed. The event was flattened by this schema.
pub fn write_ndjson(event: &ChangeEvent<'_>, schema: &TableSchema, decimals: Decimals, out: &mut Vec<u8>) {
    push_metadata(out, event, schema);
    push_keys(out, event, schema);
    let sides = [("", &event.new), (OLD_PREFIX, &event.old)];
    for (prefix, side) in sides {
        if let Some(side) = side {
            push_cells(out, prefix, schema, side, decimals);
        }
    }
    for (prefix, side) in sides {
        if let Some(extra) = side.as_ref().and_then(|side| side.extra.as_deref()) {
            push_member(out, prefix, "cdc_extra");
            push_text(out, extra);
        }
    }
    out.extend_from_slice(b"}\n");
}

/// Appends a line, with its line feed, that stands for the event and says where the whole of it is stored: `location` is below the
/// table's folder of the lake.
pub fn write_pointer(event: &ChangeEvent<'_>, location: &str, schema: &TableSchema, out: &mut Vec<u8>) {
    push_metadata(out, event, schema);
    push_member(out, "", "cdc_claim_check");
    push_text(out, location);
    push_keys(out, event, schema);
    out.extend_from_slice(b"}\n");
}

/// Appends the opening brace and the members that every line has.
fn push_metadata(out: &mut Vec<u8>, event: &ChangeEvent<'_>, schema: &TableSchema) {
    out.extend_from_slice(b"{\"cdc_event_id\":");
    push_text(out, &event.event_id);
    out.extend_from_slice(b",\"cdc_op\":\"");
    out.extend_from_slice(event.operation.as_str().as_bytes());
    out.extend_from_slice(b"\",\"cdc_sequence\":\"");
    out.extend_from_slice(event.sequence.padded().as_bytes());
    out.extend_from_slice(b"\",\"cdc_time\":\"");
    instant::push_sql(out, event.time.saturating_mul(MICROS_PER_SECOND), TIME_PLACES);
    out.extend_from_slice(b"\",\"cdc_table\":");
    push_text(out, &schema.table);
    out.extend_from_slice(b",\"cdc_shard\":");
    push_text(out, &event.shard);
    if let Some(id) = &event.snapshot_id {
        out.extend_from_slice(b",\"cdc_snapshot_id\":");
        push_text(out, id);
    }
    out.extend_from_slice(if event.ttl_delete { b",\"cdc_ttl_delete\":true" } else { b",\"cdc_ttl_delete\":false" });
    out.extend_from_slice(b",\"cdc_changed\":[");
    for (i, name) in event.changed.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        push_text(out, name);
    }
    out.push(b']');
}

fn push_keys(out: &mut Vec<u8>, event: &ChangeEvent<'_>, schema: &TableSchema) {
    for (key, text) in schema.keys.iter().zip(&event.keys) {
        push_member(out, "", &key.column);
        push_text(out, text);
    }
}

fn push_cells(out: &mut Vec<u8>, prefix: &str, schema: &TableSchema, side: &Side<'_>, decimals: Decimals) {
    for (column, cell) in schema.columns.iter().zip(&side.cells) {
        if !matches!(cell, Cell::Null) {
            push_member(out, prefix, &column.name);
            push_cell(out, column, cell, decimals);
        }
    }
}

fn push_cell(out: &mut Vec<u8>, column: &Column, cell: &Cell<'_>, decimals: Decimals) {
    match cell {
        Cell::Null => out.extend_from_slice(b"null"),
        Cell::Text(text) => push_text(out, text),
        Cell::Int(value) => out.extend_from_slice(Number::from(*value).text().as_str().as_bytes()),
        Cell::Decimal(unscaled) => {
            let scale = if let ColumnType::Decimal { scale, .. } = column.kind { scale } else { 0 };
            let text = Number::from_unscaled(*unscaled, scale).text();
            match decimals {
                Decimals::Number => out.extend_from_slice(text.as_str().as_bytes()),
                Decimals::String => push_text(out, text.as_str()),
            }
        }
        Cell::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Cell::Timestamp(micros) => {
            out.push(b'"');
            instant::push_sql(out, *micros, COLUMN_PLACES);
            out.push(b'"');
        }
    }
}

/// Appends `,"<prefix><name>":`.
fn push_member(out: &mut Vec<u8>, prefix: &str, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(prefix.as_bytes());
    escaped(name, |run| out.extend_from_slice(run.as_bytes()));
    out.extend_from_slice(b"\":");
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escaped(text, |run| out.extend_from_slice(run.as_bytes()));
    out.push(b'"');
}

#[cfg(test)]
mod tests;
