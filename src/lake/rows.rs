//! Change events as Arrow columns, a few thousand rows at a time.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Decimal128Builder, Int64Builder, ListBuilder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondBuilder, TimestampMillisecondBuilder,
};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::columns::changed_element;
use crate::contract::{Column, ColumnType, TableSchema};
use crate::event::{Cell, ChangeEvent, Side};

const MILLIS_PER_SECOND: i64 = 1000;
/// Offsets and validity of one cell, rounded up.
const CELL_OVERHEAD: usize = 8;
/// What a column occupies besides its values: some 390 bytes for the builder, its name and the least that Arrow allocates, and in a closed file some
/// 430 for its page headers and its part of the footer, as measured with a table of 92 columns.
pub(super) const COLUMN_MEMORY: usize = 512;
/// Arrow's builders double when they grow: what they hold may be half of what they occupy.
const GROWTH: usize = 2;

/// An event that does not have the shape of its table's schema, or that Arrow refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    /// The event's cells are not those of the schema.
    #[error("the event has {found} values where the table's schema has {expected}")]
    Shape {
        /// How many the schema has.
        expected: usize,
        /// How many the event has.
        found: usize,
    },
    /// A cell is of another type than its column, or wider.
    #[error("a value of column '{column}' does not fit the column's type")]
    Cell {
        /// The column's name.
        column: String,
    },
    /// Arrow or Parquet failed.
    #[error("encode rows")]
    Encode(#[from] parquet::errors::ParquetError),
    /// Arrow failed.
    #[error("build columns")]
    Arrow(#[from] ArrowError),
}

/// Rows that are not encoded yet.
pub(super) struct RowBuffer {
    arrow: SchemaRef,
    table: String,
    shard: StringBuilder,
    event_id: StringBuilder,
    operation: StringBuilder,
    sequence: StringBuilder,
    time: TimestampMillisecondBuilder,
    snapshot_id: StringBuilder,
    ttl_delete: BooleanBuilder,
    changed: ListBuilder<StringBuilder>,
    keys: Vec<StringBuilder>,
    new: SideBuffer,
    old: SideBuffer,
    rows: usize,
    payload: usize,
}

impl RowBuffer {
    pub(super) fn new(schema: &TableSchema, arrow: SchemaRef) -> Result<Self, RowError> {
        Ok(Self {
            arrow,
            table: schema.table.clone(),
            shard: text(),
            event_id: text(),
            operation: text(),
            sequence: text(),
            time: TimestampMillisecondBuilder::with_capacity(0).with_timezone("UTC"),
            snapshot_id: text(),
            ttl_delete: BooleanBuilder::with_capacity(0),
            changed: ListBuilder::with_capacity(text(), 0).with_field(changed_element()),
            keys: schema.keys.iter().map(|_| text()).collect(),
            new: SideBuffer::new(&schema.columns)?,
            old: SideBuffer::new(&schema.columns)?,
            rows: 0,
            payload: 0,
        })
    }

    /// Rows held.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of values held, before encoding.
    pub(super) fn payload(&self) -> usize {
        self.payload
    }

    /// Bytes of memory that the columns and their values may occupy.
    pub(super) fn memory(&self) -> usize {
        self.columns() * COLUMN_MEMORY + self.payload * GROWTH
    }

    /// By how much the event makes that more.
    pub(super) fn growth(&self, event: &ChangeEvent<'_>) -> usize {
        self.payload_of(event) * GROWTH
    }

    fn columns(&self) -> usize {
        self.arrow.fields().len()
    }

    /// Bytes of values of an event, before encoding.
    pub(super) fn payload_of(&self, event: &ChangeEvent<'_>) -> usize {
        let optional = |text: Option<&str>| text.map_or(0, str::len);
        let metadata = event.event_id.len()
            + event.operation.as_str().len()
            + event.sequence.padded().len()
            + event.shard.len()
            + optional(event.snapshot_id.as_deref());
        let changed: usize = event.changed.iter().map(|name| name.len() + CELL_OVERHEAD).sum();
        let keys: usize = event.keys.iter().map(|key| key.len()).sum();
        let side = |side: &Option<Side<'_>>| {
            side.as_ref().map_or(0, |side| optional(side.extra.as_deref()) + side.cells.iter().map(value_bytes).sum::<usize>())
        };
        metadata + changed + keys + side(&event.new) + side(&event.old) + self.columns() * CELL_OVERHEAD
    }

    /// Adds a row. After an error the columns are of different lengths and the buffer is of no more use.
    pub(super) fn append(&mut self, event: &ChangeEvent<'_>) -> Result<(), RowError> {
        if event.keys.len() != self.keys.len() {
            return Err(RowError::Shape { expected: self.keys.len(), found: event.keys.len() });
        }
        self.event_id.append_value(&event.event_id);
        self.operation.append_value(event.operation.as_str());
        self.sequence.append_value(event.sequence.padded());
        self.time.append_value(event.time.saturating_mul(MILLIS_PER_SECOND));
        self.shard.append_value(&event.shard);
        self.snapshot_id.append_option(event.snapshot_id.as_deref());
        self.ttl_delete.append_value(event.ttl_delete);
        for name in &event.changed {
            self.changed.values().append_value(name);
        }
        self.changed.append(true);
        for (builder, key) in self.keys.iter_mut().zip(&event.keys) {
            builder.append_value(key);
        }
        self.new.append(event.new.as_ref())?;
        self.old.append(event.old.as_ref())?;
        self.rows += 1;
        self.payload += self.payload_of(event);
        Ok(())
    }

    /// Takes the rows out, in the lake's column order.
    pub(super) fn take(&mut self) -> Result<RecordBatch, RowError> {
        let table = StringArray::from_iter_values(std::iter::repeat_n(&self.table, self.rows));
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.event_id.finish()),
            Arc::new(self.operation.finish()),
            Arc::new(self.sequence.finish()),
            Arc::new(self.time.finish()),
            Arc::new(table),
            Arc::new(self.shard.finish()),
            Arc::new(self.snapshot_id.finish()),
            Arc::new(self.ttl_delete.finish()),
            Arc::new(self.changed.finish()),
        ];
        columns.extend(self.keys.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef));
        columns.extend(self.new.columns.iter_mut().map(ColumnBuffer::finish));
        columns.extend(self.old.columns.iter_mut().map(ColumnBuffer::finish));
        columns.push(Arc::new(self.new.extra.finish()));
        columns.push(Arc::new(self.old.extra.finish()));
        self.rows = 0;
        self.payload = 0;
        Ok(RecordBatch::try_new(Arc::clone(&self.arrow), columns)?)
    }
}

/// The columns of one image.
struct SideBuffer {
    columns: Vec<ColumnBuffer>,
    extra: StringBuilder,
}

impl SideBuffer {
    fn new(columns: &[Column]) -> Result<Self, RowError> {
        Ok(Self { columns: columns.iter().map(ColumnBuffer::new).collect::<Result<_, _>>()?, extra: text() })
    }

    /// Adds one image, or nulls where there is none.
    fn append(&mut self, side: Option<&Side<'_>>) -> Result<(), RowError> {
        let Some(side) = side else {
            self.columns.iter_mut().for_each(ColumnBuffer::append_null);
            self.extra.append_null();
            return Ok(());
        };
        if side.cells.len() != self.columns.len() {
            return Err(RowError::Shape { expected: self.columns.len(), found: side.cells.len() });
        }
        for (column, cell) in self.columns.iter_mut().zip(&side.cells) {
            column.append(cell)?;
        }
        self.extra.append_option(side.extra.as_deref());
        Ok(())
    }
}

struct ColumnBuffer {
    name: String,
    values: Values,
}

enum Values {
    Text(StringBuilder),
    Int(Int64Builder),
    Decimal { builder: Decimal128Builder, bound: u128 },
    Bool(BooleanBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl ColumnBuffer {
    fn new(column: &Column) -> Result<Self, RowError> {
        let values = match column.kind {
            ColumnType::Text | ColumnType::Json => Values::Text(text()),
            ColumnType::BigInt => Values::Int(Int64Builder::with_capacity(0)),
            ColumnType::Decimal { precision, scale } => Values::Decimal {
                builder: Decimal128Builder::with_capacity(0).with_precision_and_scale(precision, i8::try_from(scale).unwrap_or(i8::MAX))?,
                // Parquet stores as many bytes as the precision needs: a wider value would be cut without a word.
                bound: 10_u128.checked_pow(u32::from(precision)).unwrap_or(u128::MAX),
            },
            ColumnType::Boolean => Values::Bool(BooleanBuilder::with_capacity(0)),
            ColumnType::Timestamp { .. } => Values::Timestamp(TimestampMicrosecondBuilder::with_capacity(0).with_timezone("UTC")),
        };
        Ok(Self { name: column.name.clone(), values })
    }

    fn append_null(&mut self) {
        match &mut self.values {
            Values::Text(builder) => builder.append_null(),
            Values::Int(builder) => builder.append_null(),
            Values::Decimal { builder, .. } => builder.append_null(),
            Values::Bool(builder) => builder.append_null(),
            Values::Timestamp(builder) => builder.append_null(),
        }
    }

    fn append(&mut self, cell: &Cell<'_>) -> Result<(), RowError> {
        match (&mut self.values, cell) {
            (_, Cell::Null) => self.append_null(),
            (Values::Text(builder), Cell::Text(value)) => builder.append_value(value),
            (Values::Int(builder), Cell::Int(value)) => builder.append_value(*value),
            (Values::Decimal { builder, bound }, Cell::Decimal(value)) if value.unsigned_abs() < *bound => {
                builder.append_value(*value);
            }
            (Values::Bool(builder), Cell::Bool(value)) => builder.append_value(*value),
            (Values::Timestamp(builder), Cell::Timestamp(value)) => builder.append_value(*value),
            (
                Values::Text(_) | Values::Int(_) | Values::Decimal { .. } | Values::Bool(_) | Values::Timestamp(_),
                Cell::Text(_) | Cell::Int(_) | Cell::Decimal(_) | Cell::Bool(_) | Cell::Timestamp(_),
            ) => return Err(RowError::Cell { column: self.name.clone() }),
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        match &mut self.values {
            Values::Text(builder) => Arc::new(builder.finish()),
            Values::Int(builder) => Arc::new(builder.finish()),
            Values::Decimal { builder, .. } => Arc::new(builder.finish()),
            Values::Bool(builder) => Arc::new(builder.finish()),
            Values::Timestamp(builder) => Arc::new(builder.finish()),
        }
    }
}

/// What a cell occupies besides [`CELL_OVERHEAD`].
fn value_bytes(cell: &Cell<'_>) -> usize {
    match cell {
        Cell::Text(value) => value.len(),
        Cell::Decimal(_) => size_of::<i128>(),
        Cell::Null | Cell::Int(_) | Cell::Bool(_) | Cell::Timestamp(_) => 0,
    }
}

/// A text column that occupies nothing until it holds something: most shards are idle most of the time.
fn text() -> StringBuilder {
    StringBuilder::with_capacity(0, 0)
}
