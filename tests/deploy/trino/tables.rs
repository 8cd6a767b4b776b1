//! Tables for Trino, made of what the Glue catalog is told. Trino has statements of its own where Athena has Hive's; what they declare is the same:
//! columns, folder, format and the projection of partitions.

use serde_json::Value;

/// The statement that declares the table of a `TableInput`. Days are projected from `first_day` on: Trino asks the store for each hour of each day, and the
/// days before the lake have nothing to show.
pub(super) fn create(input: &Value, first_day: &str) -> String {
    let parameters = &input["Parameters"];
    let parameter = |name: &str| parameters[name].as_str().unwrap_or_else(|| panic!("no parameter {name} in {input:#}"));
    let storage = &input["StorageDescriptor"];
    let format = match storage["SerdeInfo"]["SerializationLibrary"].as_str().unwrap() {
        "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe" => "PARQUET",
        "org.openx.data.jsonserde.JsonSerDe" => "OPENX_JSON",
        other => panic!("Trino has no format for {other}"),
    };
    let mut properties = vec![format!("external_location = {}", quoted(storage["Location"].as_str().unwrap())), format!("format = '{format}'")];
    let mut columns: Vec<String> = storage["Columns"].as_array().unwrap().iter().map(column).collect();
    let partitions = input["PartitionKeys"].as_array().unwrap();
    for partition in partitions {
        let name = partition["Name"].as_str().unwrap();
        let of = |property: &str| parameter(&format!("projection.{name}.{property}")).to_owned();
        let mut range: Vec<String> = of("range").split(',').map(str::to_owned).collect();
        let how = match of("type").as_str() {
            "date" => {
                first_day.clone_into(&mut range[0]);
                format!(
                    "partition_projection_format = {}, partition_projection_interval = {}, partition_projection_interval_unit = {}",
                    quoted(&of("format")),
                    of("interval"),
                    quoted(&of("interval.unit"))
                )
            }
            "integer" => format!("partition_projection_digits = {}", of("digits")),
            other => panic!("no projection of type {other} is known"),
        };
        let range: Vec<String> = range.iter().map(|end| quoted(end)).collect();
        columns.push(format!(
            "{} WITH (partition_projection_type = {}, partition_projection_range = ARRAY[{}], {how})",
            column(partition),
            quoted(&of("type").to_uppercase()),
            range.join(", ")
        ));
    }
    if !partitions.is_empty() {
        assert_eq!(parameter("projection.enabled"), "true");
        let names: Vec<String> = partitions.iter().map(|partition| quoted(partition["Name"].as_str().unwrap())).collect();
        properties.push(format!("partitioned_by = ARRAY[{}]", names.join(", ")));
        properties.push("partition_projection_enabled = true".to_owned());
        properties.push(format!("partition_projection_location_template = {}", quoted(parameter("storage.location.template"))));
    }
    let name = input["Name"].as_str().unwrap();
    format!("CREATE TABLE \"{name}\" (\n  {}\n) WITH (\n  {}\n)", columns.join(",\n  "), properties.join(",\n  "))
}

fn column(column: &Value) -> String {
    format!("\"{}\" {}", column["Name"].as_str().unwrap(), kind(column["Type"].as_str().unwrap()))
}

/// Trino's word for a type of Hive's.
fn kind(hive: &str) -> String {
    match hive {
        "string" => "varchar".to_owned(),
        // As precise as Athena's.
        "timestamp" => "timestamp(3)".to_owned(),
        "bigint" | "boolean" => hive.to_owned(),
        decimal if decimal.starts_with("decimal(") => decimal.to_owned(),
        other => match other.strip_prefix("array<").and_then(|rest| rest.strip_suffix('>')) {
            Some(element) => format!("array({})", kind(element)),
            None => panic!("no type of Trino's is known for {other}"),
        },
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The statements of a file: each ends at a line that ends with a semicolon and is no comment. Athena and Trino take one at a time.
pub(super) fn statements(sql: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut statement = String::new();
    for line in sql.lines() {
        match line.trim_end().strip_suffix(';').filter(|line| !line.trim_start().starts_with("--")) {
            Some(end) => statements.push(std::mem::take(&mut statement) + end),
            None => statement += &format!("{line}\n"),
        }
    }
    assert!(statement.trim().is_empty(), "a statement without an end: {statement}");
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_apart_at_its_semicolons_alone() {
        let file = "-- one; two;\nCREATE VIEW a AS\nSELECT ';' AS b;\n\nSELECT 1;\n";
        assert_eq!(statements(file), ["-- one; two;\nCREATE VIEW a AS\nSELECT ';' AS b", "\nSELECT 1"]);
    }

    #[test]
    fn types_are_told_in_other_words() {
        for (hive, trino) in [("array<string>", "array(varchar)"), ("decimal(12,2)", "decimal(12,2)"), ("timestamp", "timestamp(3)")] {
            assert_eq!(kind(hive), trino);
        }
    }
}
