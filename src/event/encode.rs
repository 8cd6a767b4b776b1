//! Change events into newline-delimited JSON.
//!
//! One object a line. Columns come in a fixed order: metadata, keys, `<col>`, `old_<col>`, `cdc_extra`, `old_cdc_extra`. Null columns are
//! left out. Timestamps are in the text form that Athena reads. [`parse`](super::parse) reads the lines back.
//!
//! An event whose line is too large for its way is stored apart, as a claim, and a pointer line goes in its stead: the metadata with
//! `cdc_claim_check` behind it, and the keys.
//!
//! Behind the rows of a snapshot a stream has marker lines: the metadata of a change with the operation SNAPSHOT_END, `cdc_hash_range` behind it,
//! and no keys ([`SnapshotEnd`]).

use std::borrow::Cow;

use super::json::escaped;
use super::number::Number;
use super::{Cell, ChangeEvent, SequenceNumber, Side, instant};
use crate::contract::{Column, ColumnType, OLD_PREFIX, TableSchema};

/// Fraction digits of `cdc_time`, which is in milliseconds in every format of the lake.
pub(super) const TIME_PLACES: usize = 3;
/// Fraction digits of timestamp columns.
pub(super) const COLUMN_PLACES: usize = 6;
/// `cdc_op` of a marker line.
pub(super) const SNAPSHOT_END: &str = "SNAPSHOT_END";
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

/// What a marker line says: every row of a snapshot that belongs to a shard of the stream stands before this line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotEnd {
    /// `cdc_snapshot_id`.
    pub snapshot_id: String,
    /// `cdc_time`: the snapshot's start, in seconds since the epoch.
    pub time: i64,
    /// `cdc_shard`: the shard that the line was meant for, as the service calls it. On another one, to which a reshard led it, it says nothing.
    pub shard: String,
    /// `cdc_hash_range`: the first and the last hash key of the shard.
    pub hash_range: (u128, u128),
}

/// Appends the event as one line, with its line feed. The event was flattened by this schema.
pub fn write_ndjson(event: &ChangeEvent<'_>, schema: &TableSchema, decimals: Decimals, out: &mut Vec<u8>) {
    Metadata::of(event).push(out, schema);
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
    Metadata::of(event).push(out, schema);
    push_member(out, "", "cdc_claim_check");
    push_text(out, location);
    push_keys(out, event, schema);
    out.extend_from_slice(b"}\n");
}

/// Appends a marker line, with its line feed. A repetition is the same line, with the same event id.
pub fn write_marker(end: &SnapshotEnd, schema: &TableSchema, out: &mut Vec<u8>) {
    let metadata = Metadata {
        event_id: &format!("{}/{}", end.snapshot_id, end.shard),
        operation: SNAPSHOT_END,
        sequence: SequenceNumber::ZERO,
        time: end.time,
        shard: &end.shard,
        snapshot_id: Some(&end.snapshot_id),
        ttl_delete: false,
        changed: &[],
    };
    metadata.push(out, schema);
    push_member(out, "", "cdc_hash_range");
    let (first, last) = end.hash_range;
    push_text(out, &format!("{first}-{last}"));
    out.extend_from_slice(b"}\n");
}

/// The members that every line has.
struct Metadata<'e> {
    event_id: &'e str,
    operation: &'static str,
    sequence: SequenceNumber,
    time: i64,
    shard: &'e str,
    snapshot_id: Option<&'e str>,
    ttl_delete: bool,
    changed: &'e [Cow<'e, str>],
}

impl<'e> Metadata<'e> {
    fn of(event: &'e ChangeEvent<'_>) -> Self {
        Self {
            event_id: &event.event_id,
            operation: event.operation.as_str(),
            sequence: event.sequence,
            time: event.time,
            shard: &event.shard,
            snapshot_id: event.snapshot_id.as_deref(),
            ttl_delete: event.ttl_delete,
            changed: &event.changed,
        }
    }

    /// Appends them behind an opening brace.
    fn push(&self, out: &mut Vec<u8>, schema: &TableSchema) {
        out.extend_from_slice(b"{\"cdc_event_id\":");
        push_text(out, self.event_id);
        out.extend_from_slice(b",\"cdc_op\":\"");
        out.extend_from_slice(self.operation.as_bytes());
        out.extend_from_slice(b"\",\"cdc_sequence\":\"");
        out.extend_from_slice(self.sequence.padded().as_bytes());
        out.extend_from_slice(b"\",\"cdc_time\":\"");
        instant::push_sql(out, self.time.saturating_mul(MICROS_PER_SECOND), TIME_PLACES);
        out.extend_from_slice(b"\",\"cdc_table\":");
        push_text(out, &schema.table);
        out.extend_from_slice(b",\"cdc_shard\":");
        push_text(out, self.shard);
        if let Some(id) = self.snapshot_id {
            out.extend_from_slice(b",\"cdc_snapshot_id\":");
            push_text(out, id);
        }
        out.extend_from_slice(if self.ttl_delete { b",\"cdc_ttl_delete\":true" } else { b",\"cdc_ttl_delete\":false" });
        out.extend_from_slice(b",\"cdc_changed\":[");
        for (i, name) in self.changed.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            push_text(out, name);
        }
        out.push(b']');
    }
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
