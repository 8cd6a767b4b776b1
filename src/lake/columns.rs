//! The lake's columns as Arrow types: what the Parquet writer writes and what a query reads.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::contract::{LakeColumn, LakeType, TableSchema};

/// The lake's columns in order, as Arrow has them.
pub fn arrow_schema(schema: &TableSchema) -> SchemaRef {
    let field = |column: LakeColumn| Field::new(column.name, data_type(column.kind), column.nullable);
    Arc::new(Schema::new(schema.lake_columns().into_iter().map(field).collect::<Vec<_>>()))
}

/// The element of `cdc_changed`.
pub(super) fn changed_element() -> Field {
    Field::new_list_field(DataType::Utf8, false)
}

fn data_type(kind: LakeType) -> DataType {
    match kind {
        LakeType::Text => DataType::Utf8,
        LakeType::BigInt => DataType::Int64,
        // A scale is at most 38.
        LakeType::Decimal { precision, scale } => DataType::Decimal128(precision, i8::try_from(scale).unwrap_or(i8::MAX)),
        LakeType::Boolean => DataType::Boolean,
        LakeType::TimestampMillis => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        LakeType::TimestampMicros => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        LakeType::TextList => DataType::List(Arc::new(changed_element())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Column, ColumnType};
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
