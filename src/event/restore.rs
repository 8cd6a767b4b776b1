//! Change events back into the images they came from.
//!
//! Cells are turned back into attributes, and `cdc_extra` is merged over them. So a row of the lake can be compared with an item of the
//! table: two items are equal exactly if their [`canonical_item`] texts are.

mod canonical;

use std::borrow::Cow;

pub use self::canonical::canonical_item;
use super::cell::{text_value, value_of};
use super::typed_json::item_from_json;
use super::{Cell, ChangeEvent, Item, Side, Value};
use crate::contract::{KeyColumn, TableSchema};

/// The key and the images of a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Images<'a> {
    /// The key attributes.
    pub keys: Item<'a>,
    /// The item after the change.
    pub new: Option<Item<'a>>,
    /// The item before the change.
    pub old: Option<Item<'a>>,
}

/// The row is not one that this schema gives.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There are more or fewer values than columns.
    #[error("the row has {found} {what}, its schema {expected}; it was written by another schema")]
    Shape {
        /// Key columns or columns.
        what: &'static str,
        /// How many the row has.
        found: usize,
        /// How many the schema has.
        expected: usize,
    },
    /// A key column is null.
    #[error("the key column '{column}' is null")]
    MissingKey {
        /// The column.
        column: String,
    },
    /// The cell cannot come from a value of the column's attribute type.
    #[error("the value of column '{column}' is not what its type says; it was written by another schema or altered")]
    Cell {
        /// The column.
        column: String,
    },
    /// `cdc_extra` is broken.
    #[error("cdc_extra is not typed DynamoDB JSON")]
    Extra(#[source] serde_json::Error),
    /// An attribute is in a column and in `cdc_extra`.
    #[error("the attribute '{attribute}' is in a column and in cdc_extra")]
    Twice {
        /// The attribute, or the field of a flattened map.
        attribute: String,
    },
}

/// Rebuilds the key and both images of an event that was flattened by `schema`.
pub fn restore<'e>(event: &'e ChangeEvent<'_>, schema: &TableSchema) -> Result<Images<'e>, RestoreError> {
    if event.keys.len() != schema.keys.len() {
        return Err(RestoreError::Shape { what: "key columns", found: event.keys.len(), expected: schema.keys.len() });
    }
    let mut keys = Item::default();
    for (key, text) in schema.keys.iter().zip(&event.keys) {
        keys.0.push(key_attribute(key, text)?);
    }
    let image = |side: &'e Option<Side<'_>>| side.as_ref().map(|side| restore_side(&keys, side, schema)).transpose();
    Ok(Images { new: image(&event.new)?, old: image(&event.old)?, keys })
}

/// Rebuilds the item of a row of the lake from its cells, given by column name: key columns, item columns (with `old_` stripped, for the
/// old side) and `cdc_extra`, all as the Parquet file or the line has them. A column that the file does not have is null.
pub fn restore_row<'r>(
    schema: &TableSchema,
    extra: Option<&'r str>,
    cell: impl Fn(&str) -> &'r Cell<'r>,
) -> Result<Item<'r>, RestoreError> {
    let mut item = Item::default();
    for key in &schema.keys {
        match cell(&key.column) {
            Cell::Text(text) => item.0.push(key_attribute(key, text)?),
            Cell::Null => return Err(RestoreError::MissingKey { column: key.column.clone() }),
            Cell::Int(_) | Cell::Decimal(_) | Cell::Bool(_) | Cell::Timestamp(_) => {
                return Err(RestoreError::Cell { column: key.column.clone() });
            }
        }
    }
    let cells = schema.columns.iter().map(|column| cell(&column.name));
    fill(item, cells, extra, schema)
}

fn restore_side<'e>(keys: &Item<'e>, side: &'e Side<'_>, schema: &TableSchema) -> Result<Item<'e>, RestoreError> {
    if side.cells.len() != schema.columns.len() {
        return Err(RestoreError::Shape { what: "columns", found: side.cells.len(), expected: schema.columns.len() });
    }
    fill(keys.clone(), side.cells.iter(), side.extra.as_deref(), schema)
}

fn key_attribute<'r>(key: &KeyColumn, text: &'r str) -> Result<(Cow<'r, str>, Value<'r>), RestoreError> {
    let value = text_value(text, key.attribute_type).ok_or_else(|| RestoreError::Cell { column: key.column.clone() })?;
    Ok((Cow::Owned(key.attribute.clone()), value))
}

/// Adds the columns' attributes and the extra ones to the key.
fn fill<'r, 'c: 'r>(
    mut item: Item<'r>,
    cells: impl Iterator<Item = &'r Cell<'c>>,
    extra: Option<&'r str>,
    schema: &TableSchema,
) -> Result<Item<'r>, RestoreError> {
    for (column, cell) in schema.columns.iter().zip(cells) {
        if matches!(cell, Cell::Null) {
            continue;
        }
        let broken = || RestoreError::Cell { column: column.name.clone() };
        let value = value_of(cell, column.source, column.kind).ok_or_else(broken)?;
        put(&mut item, &column.path, value).ok_or_else(broken)?;
    }
    if let Some(extra) = extra {
        merge(&mut item, item_from_json(extra).map_err(RestoreError::Extra)?)?;
    }
    Ok(item)
}

/// Puts a value at its path, with the maps around it; `None` if something else is there.
fn put<'r>(item: &mut Item<'r>, path: &[String], value: Value<'r>) -> Option<()> {
    let (name, fields) = path.split_first()?;
    let at = item.0.iter().position(|(known, _)| known == name);
    if fields.is_empty() {
        item.0.push((Cow::Owned(name.clone()), value));
        return at.is_none().then_some(());
    }
    let at = at.unwrap_or_else(|| {
        item.0.push((Cow::Owned(name.clone()), Value::M(Item::default())));
        item.0.len() - 1
    });
    match item.0.get_mut(at) {
        Some((_, Value::M(map))) => put(map, fields, value),
        _ => None,
    }
}

/// Merges a partial item over another one: maps are merged, anything else must be in one of them only.
fn merge<'r>(item: &mut Item<'r>, extra: Item<'r>) -> Result<(), RestoreError> {
    for (name, value) in extra.0 {
        let known = item.0.iter_mut().find(|(known, _)| *known == name).map(|(_, known)| known);
        match (known, value) {
            (None, value) => item.0.push((name, value)),
            (Some(Value::M(map)), Value::M(rest)) => merge(map, rest)?,
            (Some(_), _) => return Err(RestoreError::Twice { attribute: name.into_owned() }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
