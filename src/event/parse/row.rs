//! The members of a line, put together into what the line holds.

use std::borrow::Cow;

use super::cell::{boolean, cell, expected, expected_text, text, text_of};
use super::error::kind_of;
use super::{ParseError, Parsed, Pointer};
use crate::contract::{Column, OLD_PREFIX, TableSchema};
use crate::event::encode::{SNAPSHOT_END, SnapshotEnd, TIME_PLACES};
use crate::event::fault::shown;
use crate::event::typed_json::Text;
use crate::event::{Cell, ChangeEvent, Operation, SequenceNumber, Side, instant};

const MICROS_PER_SECOND: i64 = 1_000_000;
const TEXT: &str = "Unicode text";
const EXTRA: &str = "cdc_extra";
const CLAIM_CHECK: &str = "cdc_claim_check";
const HASH_RANGE: &str = "cdc_hash_range";

/// What has been read of a line.
pub(super) struct Row<'s> {
    schema: &'s TableSchema,
    event_id: Option<String>,
    kind: Option<Kind>,
    sequence: Option<SequenceNumber>,
    time: Option<i64>,
    table: Option<()>,
    shard: Option<String>,
    snapshot_id: Option<String>,
    ttl_delete: Option<bool>,
    changed: Option<Vec<Cow<'static, str>>>,
    location: Option<String>,
    hash_range: Option<(u128, u128)>,
    keys: Vec<Option<String>>,
    new: OpenSide,
    old: OpenSide,
}

/// What a line is about, by its `cdc_op`.
#[derive(Clone, Copy)]
enum Kind {
    Change(Operation),
    SnapshotEnd,
}

/// What has been read of one side.
struct OpenSide {
    prefix: &'static str,
    /// Empty until there is one; [`Cell::Null`] where none has been read.
    cells: Vec<Cell<'static>>,
    extra: Option<String>,
    /// The column behind the last one: lines have their members in the order of the columns, so that is the likely next one.
    likely: usize,
}

impl<'s> Row<'s> {
    pub(super) fn new(schema: &'s TableSchema) -> Self {
        let side = |prefix| OpenSide { prefix, cells: Vec::new(), extra: None, likely: 0 };
        Self {
            schema,
            event_id: None,
            kind: None,
            sequence: None,
            time: None,
            table: None,
            shard: None,
            snapshot_id: None,
            ttl_delete: None,
            changed: None,
            location: None,
            hash_range: None,
            keys: vec![None; schema.keys.len()],
            new: side(""),
            old: side(OLD_PREFIX),
        }
    }

    /// Takes one member; `raw` is the JSON of its value.
    pub(super) fn read(&mut self, name: &str, raw: &str) -> Result<(), ParseError> {
        let owned = || text(raw).map(Cow::into_owned);
        match name {
            "cdc_event_id" => metadata(&mut self.event_id, "cdc_event_id", raw, TEXT, owned()),
            "cdc_op" => {
                let kind = text(raw).and_then(|name| kind(&name));
                metadata(&mut self.kind, "cdc_op", raw, "INSERT, MODIFY, REMOVE, SNAPSHOT or SNAPSHOT_END", kind)
            }
            "cdc_sequence" => {
                let sequence = text(raw).and_then(|digits| digits.parse().ok().filter(|it: &SequenceNumber| it.padded() == digits));
                metadata(&mut self.sequence, "cdc_sequence", raw, "a sequence number of 40 digits", sequence)
            }
            "cdc_time" => {
                let micros = text(raw).and_then(|time| instant::parse_sql(&time, TIME_PLACES));
                let time = micros.filter(|micros| micros % MICROS_PER_SECOND == 0).map(|micros| micros / MICROS_PER_SECOND);
                metadata(&mut self.time, "cdc_time", raw, "a time YYYY-MM-DD HH:MM:SS.000", time)
            }
            "cdc_table" => {
                let table = text(raw);
                if let Some(table) = table.as_deref().filter(|table| *table != self.schema.table) {
                    return Err(ParseError::OtherTable { found: shown(table), expected: self.schema.table.clone() });
                }
                metadata(&mut self.table, "cdc_table", raw, TEXT, table.map(|_| ()))
            }
            "cdc_shard" => metadata(&mut self.shard, "cdc_shard", raw, TEXT, owned()),
            "cdc_snapshot_id" => metadata(&mut self.snapshot_id, "cdc_snapshot_id", raw, TEXT, owned()),
            "cdc_ttl_delete" => metadata(&mut self.ttl_delete, "cdc_ttl_delete", raw, "a boolean", boolean(raw)),
            "cdc_changed" => {
                let names = serde_json::from_str::<Vec<Text<'_>>>(raw).ok();
                let changed = names.map(|names| names.into_iter().map(|Text(name)| Cow::Owned(name.into_owned())).collect());
                metadata(&mut self.changed, "cdc_changed", raw, "a list of attribute names", changed)
            }
            CLAIM_CHECK => {
                let location = owned().filter(|location| stays_below(location));
                metadata(&mut self.location, CLAIM_CHECK, raw, "a location below the table's folder", location)
            }
            HASH_RANGE => {
                let range = text(raw).and_then(|range| hash_range(&range));
                metadata(&mut self.hash_range, HASH_RANGE, raw, "a range of hash keys", range)
            }
            EXTRA => metadata(&mut self.new.extra, EXTRA, raw, TEXT, owned()),
            "old_cdc_extra" => metadata(&mut self.old.extra, "old_cdc_extra", raw, TEXT, owned()),
            _ => self.read_column(name, raw),
        }
    }

    fn read_column(&mut self, name: &str, raw: &str) -> Result<(), ParseError> {
        let schema = self.schema;
        let misfit = |expected| ParseError::Column { member: shown(name), found: kind_of(raw), expected };
        if let Some((key, slot)) = schema.keys.iter().zip(&mut self.keys).find(|(key, _)| key.column == name) {
            let text = text_of(raw, key.attribute_type).ok_or_else(|| misfit(expected_text(key.attribute_type).to_owned()))?;
            return fill(slot, name, text);
        }
        let in_old = name.strip_prefix(OLD_PREFIX).and_then(|name| self.old.find(&schema.columns, name));
        let (side, found) = if in_old.is_some() {
            (&mut self.old, in_old)
        } else {
            let found = self.new.find(&schema.columns, name);
            (&mut self.new, found)
        };
        let (at, column) = found.ok_or_else(|| ParseError::Unknown { member: shown(name), table: schema.table.clone() })?;
        let cell = cell(raw, column).ok_or_else(|| misfit(expected(column)))?;
        side.open(schema);
        match side.cells.get_mut(at) {
            Some(slot @ Cell::Null) => *slot = cell,
            _ => return Err(ParseError::Duplicate { member: shown(name) }),
        }
        Ok(())
    }

    /// What the line holds, once its members have all been read.
    pub(super) fn finish(mut self) -> Result<Parsed, ParseError> {
        let event_id = required(self.event_id, "cdc_event_id")?;
        let kind = required(self.kind, "cdc_op")?;
        let sequence = required(self.sequence, "cdc_sequence")?;
        let time = required(self.time, "cdc_time")?;
        required(self.table, "cdc_table")?;
        let shard = required(self.shard, "cdc_shard")?;
        let ttl_delete = required(self.ttl_delete, "cdc_ttl_delete")?;
        let changed = required(self.changed, "cdc_changed")?;
        let none_of = |side: &OpenSide, what| match side.first_member(self.schema) {
            Some(member) => Err(ParseError::Image { what, member }),
            None => Ok(()),
        };
        let operation = match kind {
            Kind::Change(operation) => operation,
            Kind::SnapshotEnd => {
                const WHAT: &str = "the end of a snapshot";
                for side in [&self.new, &self.old] {
                    none_of(side, WHAT)?;
                }
                let key = self.schema.keys.iter().zip(&self.keys).find(|(_, text)| text.is_some()).map(|(key, _)| key.column.as_str());
                if let Some(member) = key.or(self.location.as_ref().map(|_| CLAIM_CHECK)) {
                    return Err(ParseError::Image { what: WHAT, member: member.to_owned() });
                }
                let snapshot_id = required(self.snapshot_id, "cdc_snapshot_id")?;
                let hash_range = required(self.hash_range, HASH_RANGE)?;
                return Ok(Parsed::Marker(SnapshotEnd { snapshot_id, time, shard, hash_range }));
            }
        };
        if self.hash_range.is_some() {
            return Err(ParseError::Unknown { member: HASH_RANGE.to_owned(), table: self.schema.table.clone() });
        }
        let keys = self.schema.keys.iter().zip(self.keys).map(|(key, text)| required(text, &key.column));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if let Some(location) = self.location {
            for side in [&self.new, &self.old] {
                none_of(side, "a pointer to a claim")?;
            }
            let snapshot_id = self.snapshot_id;
            return Ok(Parsed::Pointer(Pointer { location, event_id, operation, sequence, time, shard, snapshot_id, keys }));
        }
        let new = match operation {
            Operation::Remove => {
                none_of(&self.new, "a REMOVE")?;
                None
            }
            Operation::Insert | Operation::Modify | Operation::Snapshot => {
                self.new.open(self.schema);
                Some(self.new.close())
            }
        };
        let old = self.old.first_member(self.schema).is_some().then(|| {
            self.old.open(self.schema);
            self.old.close()
        });
        Ok(Parsed::Change(ChangeEvent {
            event_id: event_id.into(),
            operation,
            sequence,
            time,
            shard: shard.into(),
            snapshot_id: self.snapshot_id.map(Cow::Owned),
            ttl_delete,
            changed,
            keys: keys.into_iter().map(Cow::Owned).collect(),
            new,
            old,
        }))
    }
}

impl OpenSide {
    /// The column of that name, and where it stands.
    fn find<'c>(&mut self, columns: &'c [Column], name: &str) -> Option<(usize, &'c Column)> {
        let around = (self.likely..columns.len()).chain(0..self.likely.min(columns.len()));
        let found = around.filter_map(|at| columns.get(at).map(|column| (at, column))).find(|(_, column)| column.name == name);
        if let Some((at, _)) = found {
            self.likely = at + 1;
        }
        found
    }

    /// Makes a cell for each column, unless there are.
    fn open(&mut self, schema: &TableSchema) {
        self.cells.resize(schema.columns.len(), Cell::Null);
    }

    /// A member that is of this side, if any is.
    fn first_member(&self, schema: &TableSchema) -> Option<String> {
        let set = schema.columns.iter().zip(&self.cells).find(|(_, cell)| **cell != Cell::Null).map(|(column, _)| column.name.as_str());
        set.or(self.extra.as_ref().map(|_| EXTRA)).map(|name| format!("{}{name}", self.prefix))
    }

    fn close(self) -> Side<'static> {
        Side { cells: self.cells, extra: self.extra, misfits: 0 }
    }
}

fn kind(name: &str) -> Option<Kind> {
    if name == SNAPSHOT_END {
        return Some(Kind::SnapshotEnd);
    }
    let all = [Operation::Insert, Operation::Modify, Operation::Remove, Operation::Snapshot];
    all.into_iter().find(|operation| operation.as_str() == name).map(Kind::Change)
}

/// Both ends of a range, in the one spelling that is written.
fn hash_range(text: &str) -> Option<(u128, u128)> {
    let (first, last) = text.split_once('-')?;
    let range = (first.parse().ok()?, last.parse().ok()?);
    (range.0 <= range.1 && format!("{}-{}", range.0, range.1) == text).then_some(range)
}

/// Bytes of the longest key of S3.
const LONGEST_KEY: usize = 1024;

/// Whether a location is one below the folder that it is relative to, however it is joined to that.
fn stays_below(location: &str) -> bool {
    location.len() <= LONGEST_KEY && !location.contains('\\') && location.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn metadata<T>(slot: &mut Option<T>, member: &'static str, raw: &str, expected: &'static str, value: Option<T>) -> Result<(), ParseError> {
    fill(slot, member, value.ok_or_else(|| ParseError::Metadata { member, found: kind_of(raw), expected })?)
}

fn fill<T>(slot: &mut Option<T>, member: &str, value: T) -> Result<(), ParseError> {
    match slot.replace(value) {
        Some(_) => Err(ParseError::Duplicate { member: shown(member) }),
        None => Ok(()),
    }
}

fn required<T>(slot: Option<T>, member: &str) -> Result<T, ParseError> {
    slot.ok_or_else(|| ParseError::Missing { member: member.to_owned() })
}
