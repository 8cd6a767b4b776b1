//! The Glue catalog: tables as the `TableInput` that its API and CloudFormation take, and the lists of columns in a template.

mod template;

use serde_json::{Map, Value, json};

pub use template::{TemplateError, Updated, update};

use super::catalog::{self, ExternalTable, HiveColumn};
use super::{Place, Statement, Stored};
use crate::contract::TableSchema;

/// The tables, each as JSON. Views are left to Athena, which keeps them in the catalog in a form of its own.
pub(super) fn statements(schema: &TableSchema, place: &Place) -> Vec<Statement> {
    catalog::tables(schema, place)
        .iter()
        .map(|table| Statement { name: table.name.to_owned(), text: format!("{:#}", input(table)) })
        .collect()
}

/// One JSON object of all tables, by their names.
pub(super) fn document(statements: &[Statement]) -> String {
    let tables: Vec<String> = statements
        .iter()
        .map(|statement| format!("  {}: {}", Value::from(statement.name.as_str()), statement.text.replace('\n', "\n  ")))
        .collect();
    format!("{{\n{}\n}}\n", tables.join(",\n"))
}

fn input(table: &ExternalTable) -> Value {
    let (input, output, serde) = match table.stored {
        Stored::Parquet => (
            "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
            "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
        ),
        Stored::Ndjson => (
            "org.apache.hadoop.mapred.TextInputFormat",
            "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
            "org.openx.data.jsonserde.JsonSerDe",
        ),
    };
    let mut parameters: Map<String, Value> = table.parameters().into_iter().map(|(name, value)| (name, value.into())).collect();
    parameters.insert("EXTERNAL".to_owned(), "TRUE".into());
    json!({
        "Name": table.name,
        "Description": table.description,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": parameters,
        "PartitionKeys": columns(&table.partitions),
        "StorageDescriptor": {
            "Columns": columns(&table.columns),
            "Location": table.location,
            "InputFormat": input,
            "OutputFormat": output,
            "Compressed": table.is_compressed(),
            "SerdeInfo": { "SerializationLibrary": serde, "Parameters": { "serialization.format": "1" } },
        },
    })
}

fn columns(columns: &[HiveColumn]) -> Vec<Value> {
    columns
        .iter()
        .map(|column| {
            let mut fields = json!({ "Name": column.name, "Type": column.kind });
            if let Some(comment) = &column.comment {
                fields["Comment"] = comment.as_str().into();
            }
            fields
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::ddl::tests::{orders, place};
    use crate::contract::ddl::{Dialect, Layout, render};

    #[test]
    fn a_document_has_an_input_for_each_table() {
        let schema = orders();
        let statements = statements(&schema, &place(Layout::Lake(Stored::Parquet)));
        let document: Value = serde_json::from_str(&render(Dialect::Glue, &statements)).unwrap();
        let tables: Vec<&String> = document.as_object().unwrap().keys().collect();
        assert_eq!(tables, ["changes", "snapshot_markers"]);
        let changes = &document["changes"];
        assert_eq!(changes["Parameters"]["projection.enabled"], "true");
        assert_eq!(changes["Parameters"]["storage.location.template"], "s3://lake/some/prefix/orders/changes/dt=${dt}/hr=${hr}/");
        assert_eq!(changes["Parameters"]["headwater.contract"], "orders 1.2.0");
        assert_eq!(changes["PartitionKeys"][1]["Name"], "hr");
        let columns = changes["StorageDescriptor"]["Columns"].as_array().unwrap();
        assert_eq!(columns.len(), schema.lake_columns().len());
        assert_eq!(columns[10], json!({ "Name": "customer_email", "Type": "string", "Comment": "classification: PII" }));
        assert_eq!(columns[11], json!({ "Name": "price", "Type": "decimal(12,2)" }));
        assert_eq!(document["snapshot_markers"]["PartitionKeys"], json!([]));
    }

    #[test]
    fn lines_of_json_have_the_serde_that_reads_them() {
        let statements = statements(&orders(), &place(Layout::Firehose(Stored::Parquet)));
        let serdes: Vec<String> = statements
            .iter()
            .map(|statement| {
                let input: Value = serde_json::from_str(&statement.text).unwrap();
                input["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"].as_str().unwrap().rsplit_once('.').unwrap().1.to_owned()
            })
            .collect();
        assert_eq!(serdes, ["ParquetHiveSerDe", "JsonSerDe", "JsonSerDe"]);
    }
}
