//! The lake's columns as Arrow types: what the Parquet writer writes and what a query reads.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::contract::{ColumnType, TableSchema};

/// The prefix of a column's old side.
pub const OLD_PREFIX: &str = "old_";

/// The lake's columns in order: metadata, keys, the item's columns, their old sides, what no column holds.
pub fn arrow_schema(schema: &TableSchema) -> SchemaRef {
    let required = |name: &str, kind: DataType| Field::new(name, kind, false);
    let optional = |name: &str, kind: DataType| Field::new(name, kind, true);
    let mut fields = vec![
        required("cdc_event_id", DataType::Utf8),
        required("cdc_op", DataType::Utf8),
        required("cdc_sequence", DataType::Utf8),
        required("cdc_time", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))),
        required("cdc_table", DataType::Utf8),
        required("cdc_shard", DataType::Utf8),
        optional("cdc_snapshot_id", DataType::Utf8),
        required("cdc_ttl_delete", DataType::Boolean),
        required("cdc_changed", DataType::List(Arc::new(changed_element()))),
    ];
    fields.extend(schema.keys.iter().map(|key| required(&key.column, DataType::Utf8)));
    fields.extend(schema.columns.iter().map(|column| optional(&column.name, data_type(column.kind))));
    fields.extend(schema.columns.iter().map(|column| optional(&format!("{OLD_PREFIX}{}", column.name), data_type(column.kind))));
    fields.push(optional("cdc_extra", DataType::Utf8));
    fields.push(optional("old_cdc_extra", DataType::Utf8));
    Arc::new(Schema::new(fields))
}

/// The element of `cdc_changed`.
pub(super) fn changed_element() -> Field {
    Field::new_list_field(DataType::Utf8, false)
}

fn data_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Text | ColumnType::Json => DataType::Utf8,
        ColumnType::BigInt => DataType::Int64,
        // A scale is at most 38.
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(precision, i8::try_from(scale).unwrap_or(i8::MAX)),
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Timestamp { .. } => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Column;
    use crate::event::AttributeType;

    #[test]
    fn columns_stand_in_the_order_of_the_lake() {
        let mut schema = TableSchema::keys_only("t", vec![("orderId".into(), AttributeType::S)]);
        schema.columns.push(Column {
            name: "price".into(),
            path: vec!["price".into()],
            source: AttributeType::N,
            kind: ColumnType::Decimal { precision: 12, scale: 2 },
            classification: None,
        });
        let arrow = arrow_schema(&schema);
        let names: Vec<_> = arrow.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(
            names,
            [
                "cdc_event_id",
                "cdc_op",
                "cdc_sequence",
                "cdc_time",
                "cdc_table",
                "cdc_shard",
                "cdc_snapshot_id",
                "cdc_ttl_delete",
                "cdc_changed",
                "order_id",
                "price",
                "old_price",
                "cdc_extra",
                "old_cdc_extra",
            ]
        );
        assert_eq!(arrow.field_with_name("old_price").unwrap().data_type(), &DataType::Decimal128(12, 2));
    }
}
