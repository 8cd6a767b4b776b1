//! The Arrow schema of a table's change events.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::contract::{ColumnType, TableSchema};

/// The columns of a change event in lake order: metadata, keys, new side, old side, then what no column holds.
pub fn arrow_schema(table: &TableSchema) -> SchemaRef {
    let item = Arc::new(Field::new_list_field(DataType::Utf8, false));
    let mut fields = vec![
        Field::new("cdc_event_id", DataType::Utf8, false),
        Field::new("cdc_op", DataType::Utf8, false),
        Field::new("cdc_sequence", DataType::Utf8, false),
        Field::new("cdc_time", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), false),
        Field::new("cdc_table", DataType::Utf8, false),
        Field::new("cdc_shard", DataType::Utf8, false),
        Field::new("cdc_snapshot_id", DataType::Utf8, true),
        Field::new("cdc_ttl_delete", DataType::Boolean, false),
        Field::new("cdc_changed", DataType::List(item), false),
    ];
    fields.extend(table.keys.iter().map(|key| Field::new(&key.column, DataType::Utf8, false)));
    fields.extend(table.columns.iter().map(|column| Field::new(&column.name, data_type(column.kind), true)));
    fields.extend(table.columns.iter().map(|column| Field::new(format!("old_{}", column.name), data_type(column.kind), true)));
    fields.push(Field::new("cdc_extra", DataType::Utf8, true));
    fields.push(Field::new("old_cdc_extra", DataType::Utf8, true));
    Arc::new(Schema::new(fields))
}

/// How Arrow holds a column.
fn data_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Text | ColumnType::Json => DataType::Utf8,
        ColumnType::BigInt => DataType::Int64,
        // The contract allows at most 38 digits, so the scale is far below 127.
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(precision, i8::try_from(scale).unwrap_or(i8::MAX)),
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Timestamp { .. } => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}
