//! Lines of NDJSON back into change events: the inverse of [`encode`](super::encode).
//!
//! Nothing is guessed. What is read is written again as the same bytes, and what the schema does not know, what does not fit its column
//! and what is given twice is refused by name, so that a stage which runs an older contract than its producer loses nothing: its
//! records go to quarantine whole and are redriven under the right contract. Members may come in any order; those that are missing are
//! null, and an explicit null is refused, as it is never written. A line says as little about an image with no column and no extra
//! attribute as about none: an old side of that kind is read as none.
//!
//! The texts of JSON columns and of `cdc_extra` are taken as they are: [`restore`](super::restore) reads them.

mod cell;
mod error;
mod row;

use std::fmt;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

pub use self::error::ParseError;
use self::error::kind_of;
use self::row::Row;
use super::encode::SnapshotEnd;
use super::typed_json::Text;
use super::{ChangeEvent, Operation, SequenceNumber};
use crate::contract::TableSchema;

/// What a line holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Parsed {
    /// A change.
    Change(ChangeEvent<'static>),
    /// Where a change is stored whose line was too large for the stream.
    Pointer(Pointer),
    /// That the rows of a snapshot stand before this line.
    Marker(SnapshotEnd),
}

/// The line that stands for a change which is stored apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// `cdc_claim_check`: where the change's own line is stored, below the table's folder of the lake. Never leads out of that folder.
    pub location: String,
    /// `cdc_event_id`.
    pub event_id: String,
    /// `cdc_op`.
    pub operation: Operation,
    /// `cdc_sequence`.
    pub sequence: SequenceNumber,
    /// `cdc_time`, seconds since the epoch.
    pub time: i64,
    /// `cdc_shard`.
    pub shard: String,
    /// `cdc_snapshot_id`, when the change is a row of a snapshot.
    pub snapshot_id: Option<String>,
    /// Key columns as text, in the order of [`TableSchema::keys`].
    pub keys: Vec<String>,
}

impl Pointer {
    /// Whether this is the change that the pointer stands for: what is stored at the location may be altered or another's.
    pub fn stands_for(&self, event: &ChangeEvent<'_>) -> bool {
        self.event_id == event.event_id
            && self.operation == event.operation
            && self.sequence == event.sequence
            && self.time == event.time
            && self.shard == event.shard
            && self.snapshot_id.as_deref() == event.snapshot_id.as_deref()
            && self.keys == event.keys
    }
}

/// Reads one line, with or without its line feed, of the table that `schema` describes. Decimals are taken in both spellings.
pub fn parse_line(line: &[u8], schema: &TableSchema) -> Result<Parsed, ParseError> {
    let text = std::str::from_utf8(line).map_err(ParseError::Encoding)?;
    if !text.trim_ascii_start().starts_with('{') {
        return Err(ParseError::NoObject { found: kind_of(text.trim_ascii_start()) });
    }
    let mut row = Row::new(schema);
    let mut fault = None;
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = reader.deserialize_map(Members { row: &mut row, fault: &mut fault }).and_then(|()| reader.end());
    match (read, fault) {
        (_, Some(fault)) => Err(fault),
        (Err(error), None) => Err(ParseError::Malformed(error)),
        (Ok(()), None) => row.finish(),
    }
}

/// Hands the members of the object to the row, values as their text. Serde's errors hold nothing but text, so the row's own goes past
/// them.
struct Members<'r, 's> {
    row: &'r mut Row<'s>,
    fault: &'r mut Option<ParseError>,
}

impl<'de> Visitor<'de> for Members<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a change event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key()? {
            let raw: &RawValue = map.next_value()?;
            if let Err(fault) = self.row.read(&name, raw.get()) {
                *self.fault = Some(fault);
                return Err(de::Error::custom("a member is wrong"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
