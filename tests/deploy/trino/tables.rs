//! Tables for Trino, made of what the Glue catalog is told. Trino has statements of its own where Athena has Hive's; what they declare is the same:
//! columns, folder, format and partitions, which may be projected.

use serde_json::Value;

/// How Trino comes to know the partitions of a table.
#[derive(Debug, Clone)]
pub(super) enum Partitions {
    /// As the parameters say, but from this day on: Trino asks the store for each hour of each day, and the days before the lake have nothing to show.
    Projected { first_day: String },
    /// They are told to the metastore, one by one.
    Registered,
}

/// The statement that declares the table of a `TableInput`.
pub(super) fn create(input: &Value, known: &Partitions) -> String {
    let parameters = &input["Parameters"];
    let parameter = |name: &str| parameters[name].as_str().unwrap_or_else(|| panic!("no parameter {name} in {input:#}"));
    let storage = &input["StorageDescriptor"];
    let format = match storage["SerdeInfo"]["SerializationLibrary"].as_str().unwrap() {
        "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe" => "PARQUET",
        "org.openx.data.jsonserde.JsonSerDe" => "OPENX_JSON",
        other => panic!("Trino has no format for {other}"),
    };
    let mut properties =
        vec![format!("external_location = {}", quoted(storage["Location"].as_str().unwrap())), format!("format = '{format}'")];
    let mut columns: Vec<String> = storage["Columns"].as_array().unwrap().iter().map(column).collect();
    let partitions = input["PartitionKeys"].as_array().unwrap();
    match known {
        Partitions::Projected { first_day } if !partitions.is_empty() => {
            assert_eq!(parameter("projection.enabled"), "true");
            columns.extend(partitions.iter().map(|partition| {
                let name = partition["Name"].as_str().unwrap();
                let of = |property: &str| parameter(&format!("projection.{name}.{property}")).to_owned();
                format!("{} WITH ({})", column(partition), projection(of, first_day))
            }));
            properties.push("partition_projection_enabled = true".to_owned());
            properties.push(format!("partition_projection_location_template = {}", quoted(parameter("storage.location.template"))));
        }
        Partitions::Projected { .. } | Partitions::Registered => columns.extend(partitions.iter().map(column)),
    }
    if !partitions.is_empty() {
        let names: Vec<String> = partitions.iter().map(|partition| quoted(partition["Name"].as_str().unwrap())).collect();
        properties.push(format!("partitioned_by = ARRAY[{}]", names.join(", ")));
    }
    let name = input["Name"].as_str().unwrap();
    format!("CREATE TABLE \"{name}\" (\n  {}\n) WITH (\n  {}\n)", columns.join(",\n  "), properties.join(",\n  "))
}

/// The properties of a partition column whose values are projected, made of the table's parameters.
fn projection(of: impl Fn(&str) -> String, first_day: &str) -> String {
    let (kind, range) = (of("type"), of("range"));
    let (mut first, last) = range.split_once(',').unwrap();
    let how = match kind.as_str() {
        "date" => {
            first = first_day;
            let (format, interval, unit) = (quoted(&of("format")), of("interval"), quoted(&of("interval.unit")));
            format!(
                "partition_projection_format = {format}, partition_projection_interval = {interval}, partition_projection_interval_unit = {unit}"
            )
        }
        "integer" => format!("partition_projection_digits = {}", of("digits")),
        other => panic!("no projection of type {other} is known"),
    };
    let (kind, first, last) = (quoted(&kind.to_uppercase()), quoted(first), quoted(last));
    format!("partition_projection_type = {kind}, partition_projection_range = ARRAY[{first}, {last}], {how}")
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
            None => statement.extend([line, "\n"]),
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
