//! The lake's side: rows of its state, turned back into items.

use std::borrow::Cow;
use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, TimestampMicrosecondType};

use super::VerifyError;
use crate::contract::TableSchema;
use crate::event::{Cell, Item, Operation, restore};
use crate::table::Key;

/// The column that says whether a row stands for an item or for the lack of one.
const OPERATION: &str = "cdc_op";

/// A batch of rows of `current`, or of the last words that it is made of.
pub(super) struct LakeRows<'b> {
    schema: &'b TableSchema,
    batch: &'b RecordBatch,
    /// Where the columns of the schema stand in the batch.
    positions: HashMap<&'b str, usize>,
}

impl<'b> LakeRows<'b> {
    /// Reads a batch by the table's schema.
    pub(super) fn of(schema: &'b TableSchema, batch: &'b RecordBatch) -> Self {
        let keys = schema.keys.iter().map(|key| key.column.as_str());
        let names = keys.chain(schema.columns.iter().map(|column| column.name.as_str())).chain(["cdc_extra", OPERATION]);
        let positions = names.filter_map(|name| Some((name, batch.schema_ref().index_of(name).ok()?))).collect();
        Self { schema, batch, positions }
    }

    /// Rebuilds one item after another.
    pub(super) fn items(&self, mut visit: impl FnMut(Key, &Item<'_>) -> Result<(), VerifyError>) -> Result<(), VerifyError> {
        self.words(|key, item| item.map_or(Ok(()), |item| visit(key, item)))
    }

    /// Rebuilds one item after another, and gives the keys that have none.
    pub(super) fn words(&self, mut visit: impl FnMut(Key, Option<&Item<'_>>) -> Result<(), VerifyError>) -> Result<(), VerifyError> {
        for row in 0..self.batch.num_rows() {
            let cells: Vec<Cell<'_>> = self.batch.columns().iter().map(|column| cell(column, row)).collect();
            let named = |name: &str| self.positions.get(name).and_then(|position| cells.get(*position)).unwrap_or(&Cell::Null);
            let key = Key::of_texts(self.schema.keys.iter().map(|key| text(named(&key.column)).to_owned()).collect());
            if text(named(OPERATION)) == Operation::Remove.as_str() {
                visit(key, None)?;
                continue;
            }
            let extra = match named("cdc_extra") {
                Cell::Text(extra) => Some(extra.as_ref()),
                _ => None,
            };
            let item = restore::restore_row(self.schema, extra, named)
                .map_err(|source| VerifyError::Row { key: key.to_string(), source: Box::new(source) })?;
            visit(key, Some(&item))?;
        }
        Ok(())
    }
}

fn text<'c>(cell: &'c Cell<'_>) -> &'c str {
    match cell {
        Cell::Text(text) => text,
        _ => "",
    }
}

/// A value of the lake's types. Other types (`cdc_time`) have no part in the item.
fn cell(column: &dyn Array, row: usize) -> Cell<'_> {
    if column.is_null(row) {
        return Cell::Null;
    }
    match column.data_type() {
        DataType::Utf8 => Cell::Text(Cow::Borrowed(column.as_string::<i32>().value(row))),
        DataType::Int64 => Cell::Int(column.as_primitive::<Int64Type>().value(row)),
        DataType::Decimal128(..) => Cell::Decimal(column.as_primitive::<Decimal128Type>().value(row)),
        DataType::Boolean => Cell::Bool(column.as_boolean().value(row)),
        DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, _) => {
            Cell::Timestamp(column.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        _ => Cell::Null,
    }
}
