//! Stream records into flat change events, by the table's schema.
//!
//! An attribute goes into its column if it can be rebuilt from the cell exactly; otherwise, and if no column names it, it goes whole into
//! `cdc_extra` (*exact-values*). A flattened map is spread over the columns of its fields, and what remains of it stays in `cdc_extra`
//! inside its map.

mod names;

use std::borrow::Cow;

use self::names::{Names, Place};
use super::cell::{canonical_digits, fit};
use super::compare::{changed_attributes, same_value};
use super::json::push_string;
use super::typed_json::write_typed_json;
use super::{AttributeType, Cell, ChangeEvent, Item, Side, StreamRecord, Value};
use crate::contract::{ColumnType, KeyColumn, TableSchema};

/// The record's key is not what the table's schema says. The record is to be quarantined: its row could not be found again by key.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum FlattenError {
    /// A key attribute of the schema is not among the record's keys.
    #[error("the record's keys lack '{attribute}'; was the table created anew with another key?")]
    MissingKey {
        /// The key attribute.
        attribute: String,
    },
    /// The record has more key attributes than the schema.
    #[error("the record has {found} key attributes, the table's schema {expected}; was the table created anew with another key?")]
    ExtraKeys {
        /// How many the record has.
        found: usize,
        /// How many the schema has.
        expected: usize,
    },
    /// A key attribute has another type than the schema says, or is no number although its type is N.
    #[error("the key attribute '{attribute}' is not a value of type {expected}")]
    KeyType {
        /// The key attribute.
        attribute: String,
        /// Its type in the schema.
        expected: AttributeType,
    },
    /// A key attribute is missing in an image, or its value there is not that of the record's keys.
    #[error("the {image} does not hold the record's key: '{attribute}' is missing or differs")]
    ImageKey {
        /// NewImage or OldImage.
        image: &'static str,
        /// The key attribute.
        attribute: String,
    },
}

/// Flattens the records of one table. Built once from the table's schema, so that an attribute's column is found at once.
///
/// Where two columns name one attribute, or a column names a key or a field of a map that is a column itself, the first one has it and
/// the other stays null.
#[derive(Debug, Clone)]
pub struct Flattener {
    keys: Vec<KeyColumn>,
    columns: Vec<ColumnSpec>,
    names: Names,
}

/// What decides whether a value fits a column.
#[derive(Debug, Clone, Copy)]
struct ColumnSpec {
    source: AttributeType,
    kind: ColumnType,
}

/// What no column holds of an image.
enum Leftover<'i, 'a> {
    /// An attribute.
    Whole(&'i str, &'i Value<'a>),
    /// The rest of a flattened map.
    Rest(&'i str, Vec<Leftover<'i, 'a>>),
}

impl Flattener {
    /// Prepares for the tables of `schema`.
    pub fn new(schema: &TableSchema) -> Self {
        let mut names = Names::default();
        for key in &schema.keys {
            names.insert(std::slice::from_ref(&key.attribute), Place::Key);
        }
        for (i, column) in schema.columns.iter().enumerate() {
            names.insert(&column.path, Place::Column(i));
        }
        let columns = schema.columns.iter().map(|column| ColumnSpec { source: column.source, kind: column.kind }).collect();
        Self { keys: schema.keys.clone(), columns, names }
    }

    /// Flattens one record of `shard`. `changed` is empty unless there are two images to differ.
    pub fn flatten<'a>(&self, record: &StreamRecord<'a>, shard: &'a str) -> Result<ChangeEvent<'a>, FlattenError> {
        if record.keys.0.len() > self.keys.len() {
            return Err(FlattenError::ExtraKeys { found: record.keys.0.len(), expected: self.keys.len() });
        }
        let keys = self.keys.iter().map(|key| key_text(key, &record.keys)).collect::<Result<_, _>>()?;
        let side = |image: &Option<Item<'a>>, name| image.as_ref().map(|image| self.side(image, &record.keys, name)).transpose();
        let changed = match (&record.new_image, &record.old_image) {
            (Some(new), Some(old)) => changed_attributes(new, old),
            _ => Vec::new(),
        };
        Ok(ChangeEvent {
            event_id: record.event_id.clone(),
            operation: record.operation,
            sequence: record.sequence,
            time: record.created,
            shard: Cow::Borrowed(shard),
            snapshot_id: None,
            ttl_delete: record.ttl_delete,
            changed,
            keys,
            new: side(&record.new_image, "NewImage")?,
            old: side(&record.old_image, "OldImage")?,
        })
    }

    /// Flattens an item as it stands in the table: the texts of its key columns, and its columns.
    pub fn flatten_row<'a>(&self, item: &Item<'a>) -> Result<(Vec<Cow<'a, str>>, Side<'a>), FlattenError> {
        let keys = self.keys.iter().map(|key| key_text(key, item)).collect::<Result<_, _>>()?;
        Ok((keys, self.cells(item)))
    }

    fn side<'a>(&self, image: &Item<'a>, keys: &Item<'a>, image_name: &'static str) -> Result<Side<'a>, FlattenError> {
        let holds_key = |key: &KeyColumn| match (image.get(&key.attribute), keys.get(&key.attribute)) {
            (Some(found), Some(expected)) => same_value(found, expected),
            _ => false,
        };
        if let Some(key) = self.keys.iter().find(|key| !holds_key(key)) {
            return Err(FlattenError::ImageKey { image: image_name, attribute: key.attribute.clone() });
        }
        Ok(self.cells(image))
    }

    fn cells<'a>(&self, image: &Item<'a>) -> Side<'a> {
        let mut side = Side { cells: vec![Cell::Null; self.columns.len()], extra: None, misfits: 0 };
        let leftovers = self.spread(image, &self.names, &mut side);
        if !leftovers.is_empty() {
            let mut extra = String::with_capacity(128);
            write_leftovers(&leftovers, &mut extra);
            side.extra = Some(extra);
        }
        side
    }

    /// Puts into the cells what fits, and returns the rest.
    fn spread<'i, 'a>(&self, item: &'i Item<'a>, names: &Names, side: &mut Side<'a>) -> Vec<Leftover<'i, 'a>> {
        let mut leftovers = Vec::new();
        for (name, value) in item.iter() {
            match (names.get(name), value) {
                (Some(Place::Key), _) => {}
                (Some(&Place::Column(i)), value) => {
                    if let Some(cell) = fit(value, self.columns[i].source, self.columns[i].kind) {
                        side.cells[i] = cell;
                    } else {
                        side.misfits += 1;
                        leftovers.push(Leftover::Whole(name, value));
                    }
                }
                (Some(Place::Fields(fields)), Value::M(map)) => {
                    let rest = self.spread(map, fields, side);
                    if !rest.is_empty() || map.0.is_empty() {
                        leftovers.push(Leftover::Rest(name, rest));
                    }
                }
                (Some(Place::Fields(_)), value) => {
                    side.misfits += 1;
                    leftovers.push(Leftover::Whole(name, value));
                }
                (None, value) => leftovers.push(Leftover::Whole(name, value)),
            }
        }
        leftovers
    }
}

/// The text of a key column.
fn key_text<'a>(key: &KeyColumn, keys: &Item<'a>) -> Result<Cow<'a, str>, FlattenError> {
    let value = keys.get(&key.attribute).ok_or_else(|| FlattenError::MissingKey { attribute: key.attribute.clone() })?;
    let text = match (key.attribute_type, value) {
        (AttributeType::S, Value::S(text)) | (AttributeType::B, Value::B(text)) => Some(text.clone()),
        (AttributeType::N, Value::N(digits)) => canonical_digits(digits),
        _ => None,
    };
    text.ok_or_else(|| FlattenError::KeyType { attribute: key.attribute.clone(), expected: key.attribute_type })
}

fn write_leftovers(leftovers: &[Leftover<'_, '_>], out: &mut String) {
    out.push('{');
    for (i, leftover) in leftovers.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        match leftover {
            Leftover::Whole(name, value) => {
                push_string(out, name);
                out.push(':');
                write_typed_json(value, out);
            }
            Leftover::Rest(name, fields) => {
                push_string(out, name);
                out.push_str(r#":{"M":"#);
                write_leftovers(fields, out);
                out.push('}');
            }
        }
    }
    out.push('}');
}

#[cfg(test)]
mod tests;
