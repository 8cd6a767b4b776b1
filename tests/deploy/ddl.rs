//! What declares a table agrees with the files of the table: names, order and types of the columns, whoever reads the declaration.

use std::fs;
use std::path::Path;

use arrow::datatypes::{DataType, Schema, TimeUnit};
use headwater::contract::ddl::{self, Dialect, Layout, Place, Stored};
use headwater::contract::{Column, ColumnType, TableSchema, TimestampFormat};
use headwater::event::AttributeType;
use headwater::lake::{Format, arrow_schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::day::{TABLE, put, sales_orders, write_firehose, write_lake};
use crate::support::{duckdb, sqlglot};

const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/cloudformation/headwater.yaml");

const ATHENA_TABLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/athena_tables.py");
const QUERY_DUCKDB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/query_duckdb.py");

/// What Firehose's rows have beyond the lake's columns.
const DELIVERED_ONLY: [&str; 2] = ["cdc_claim_check", "cdc_hash_range"];

const LAYOUTS: [Layout; 4] =
    [Layout::Lake(Stored::Parquet), Layout::Lake(Stored::Ndjson), Layout::Firehose(Stored::Parquet), Layout::Firehose(Stored::Ndjson)];

/// A column's name and its type in Hive's words.
type Columns = Vec<(String, String)>;

fn place(location: &str, layout: Layout) -> Place {
    Place { location: location.to_owned(), layout }
}

fn declared(dialect: Dialect, schema: &TableSchema, layout: Layout) -> String {
    ddl::render(dialect, &ddl::statements(dialect, schema, &place("s3://bucket/lake", layout)))
}

/// The external tables of Athena's text, as a parser understands them: each with its name, its columns and partitions (name, type and comment), its
/// properties, its location and how it is stored. The views behind them are in another language.
fn athena_tables(schema: &TableSchema, layout: Layout) -> Vec<Value> {
    let statements = ddl::statements(Dialect::Athena, schema, &place("s3://bucket/lake", layout));
    let (tables, views): (Vec<_>, Vec<_>) =
        statements.into_iter().partition(|statement| statement.text.starts_with("CREATE EXTERNAL TABLE"));
    assert!(views.iter().all(|view| view.text.contains("CREATE OR REPLACE VIEW ")), "{views:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tables.sql");
    fs::write(&file, ddl::render(Dialect::Athena, &tables)).unwrap();
    let tables = sqlglot::run(ATHENA_TABLES, &[&file]);
    tables.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn glue_tables(schema: &TableSchema, layout: Layout) -> Value {
    serde_json::from_str(&declared(Dialect::Glue, schema, layout)).unwrap()
}

/// Columns as they are written in a list of objects, with these names for a column's name and type.
fn columns(list: &Value, name: &str, kind: &str) -> Columns {
    let text = |column: &Value, field: &str| column[field].as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(|column| (text(column, name), text(column, kind))).collect()
}

/// Arrow's types in Hive's words, written down a second time for these tests.
fn hive(schema: &Schema) -> Columns {
    let hive = |kind: &DataType| match kind {
        DataType::Utf8 => "string".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Timestamp(TimeUnit::Millisecond | TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => "timestamp".to_owned(),
        DataType::List(element) if element.data_type() == &DataType::Utf8 => "array<string>".to_owned(),
        other => panic!("the lake has no columns of type {other}"),
    };
    schema.fields().iter().map(|field| (field.name().clone(), hive(field.data_type()))).collect()
}

/// The columns that a Parquet file of the day says that it has.
async fn columns_of_file() -> Columns {
    let lake = tempfile::tempdir().unwrap();
    write_lake(lake.path(), Format::Parquet, 20..21).await;
    let hour = lake.path().join(TABLE).join("changes/dt=2026-11-21/hr=20");
    let file = fs::read_dir(hour).unwrap().next().unwrap().unwrap().path();
    hive(ParquetRecordBatchReaderBuilder::try_new(fs::File::open(file).unwrap()).unwrap().schema())
}

/// What DuckDB says of a view, in Hive's words.
fn columns_in_duckdb(lake: &Path, layout: Layout, view: &str) -> Columns {
    let rows = in_duckdb(&(duckdb_views(lake, layout) + &format!("DESCRIBE {view};")));
    let hive = |kind: &str| match kind {
        "VARCHAR" => "string".to_owned(),
        "VARCHAR[]" => "array<string>".to_owned(),
        other => other.to_lowercase(),
    };
    let columns = rows.iter().map(|row| (row["column_name"].as_str().unwrap().to_owned(), hive(row["column_type"].as_str().unwrap())));
    columns.filter(|(name, _)| !["dt", "hr"].contains(&name.as_str())).collect()
}

/// The rows of the last statement.
fn in_duckdb(sql: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("statements.sql");
    fs::write(&file, sql).unwrap();
    duckdb::run(QUERY_DUCKDB, &[&file]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The views of a lake in a folder.
fn duckdb_views(lake: &Path, layout: Layout) -> String {
    ddl::render(Dialect::DuckDb, &ddl::statements(Dialect::DuckDb, &sales_orders(), &place(lake.to_str().unwrap(), layout)))
}

/// The columns of a marked list in a template.
fn columns_in_template(template: &str, table: &str) -> Columns {
    let (_, rest) = template.split_once(&format!("# {table} columns: begin\n")).unwrap_or_else(|| panic!("no list of {table}"));
    let (list, _) = rest.split_once(&format!("# {table} columns: end")).unwrap();
    let field = |line: &str, name: &str| -> String {
        let (_, rest) = line.split_once(&format!("{name}: \"")).unwrap_or_else(|| panic!("no {name} in {line}"));
        rest.split_once('"').unwrap().0.to_owned()
    };
    list.lines().filter(|line| !line.trim().is_empty()).map(|line| (field(line, "Name"), field(line, "Type"))).collect()
}

#[tokio::test]
async fn files_and_every_declaration_have_the_same_columns() {
    let schema = sales_orders();
    let intended = columns_of_file().await;
    assert!(intended.contains(&("price".to_owned(), "decimal(12,2)".to_owned())), "{intended:?}");
    let mut delivered = intended.clone();
    delivered.extend(DELIVERED_ONLY.map(|name| (name.to_owned(), "string".to_owned())));

    let nowhere = tempfile::tempdir().unwrap();
    for layout in LAYOUTS {
        let glue = glue_tables(&schema, layout);
        let tables = athena_tables(&schema, layout);
        for table in &tables {
            let name = table["name"].as_str().unwrap();
            let found = columns(&table["columns"], "name", "type");
            assert_eq!(found, columns(&glue[name]["StorageDescriptor"]["Columns"], "Name", "Type"), "{layout:?} {name}");
            assert_eq!(found, columns_in_duckdb(nowhere.path(), layout, name), "{layout:?} {name}");
            match name {
                "changes" | "claims" => assert_eq!(found, intended, "{layout:?} {name}"),
                "delivered" => assert_eq!(found, delivered, "{layout:?}"),
                other => assert_eq!(other, "snapshot_markers"),
            }
        }
        let names: Vec<&str> = tables.iter().map(|table| table["name"].as_str().unwrap()).collect();
        let expected: &[&str] = match layout {
            Layout::Lake(_) => &["changes", "snapshot_markers"],
            Layout::Firehose(_) => &["delivered", "claims", "snapshot_markers"],
        };
        assert_eq!(names, expected);
    }
}

#[test]
fn the_template_has_the_columns_of_the_contract() {
    let template = fs::read_to_string(TEMPLATE).unwrap();
    let schema = sales_orders();
    let updated = ddl::update(&template, &schema).unwrap();
    assert!(updated.text == template, "run: headwater contract ddl --dialect glue --update deploy/cloudformation/headwater.yaml");
    for (layout, table) in [(Layout::Lake(Stored::Parquet), "changes"), (Layout::Firehose(Stored::Parquet), "delivered")] {
        let glue = &glue_tables(&schema, layout)[table]["StorageDescriptor"]["Columns"];
        assert_eq!(columns_in_template(&template, table), columns(glue, "Name", "Type"), "{table}");
    }
}

#[test]
fn the_files_for_athena_are_what_the_command_prints() {
    let schema = sales_orders();
    for (file, layout) in [("tables.sql", Layout::Lake(Stored::Parquet)), ("tables_firehose.sql", Layout::Firehose(Stored::Parquet))] {
        let statements = ddl::statements(Dialect::Athena, &schema, &place("s3://LAKE_BUCKET", layout));
        // The state and what stands on it have files of their own, which fit both layouts.
        let tables: Vec<_> = statements.into_iter().take_while(|statement| statement.name != "current").collect();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/athena").join(file);
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == ddl::render(Dialect::Athena, &tables),
            "{file} is to be printed anew, up to the view current:\n{}",
            ddl::render(Dialect::Athena, &tables)
        );
    }
}

#[test]
fn athena_and_the_glue_catalog_declare_the_same_tables() {
    let schema = sales_orders();
    for layout in LAYOUTS {
        let glue = glue_tables(&schema, layout);
        for table in athena_tables(&schema, layout) {
            let of_glue = &glue[table["name"].as_str().unwrap()];
            assert_eq!(table["external"], true);
            assert_eq!(table["comment"], of_glue["Description"]);
            assert_eq!(table["location"], of_glue["StorageDescriptor"]["Location"]);
            assert_eq!(columns(&table["partitions"], "name", "type"), columns(&of_glue["PartitionKeys"], "Name", "Type"));
            let mut properties = table["properties"].clone();
            // Athena adds it itself.
            properties["EXTERNAL"] = json!("TRUE");
            assert_eq!(properties, of_glue["Parameters"]);
            let serde = of_glue["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"].as_str().unwrap();
            match table["stored"].as_str().unwrap() {
                "PARQUET" => assert!(serde.ends_with(".ParquetHiveSerDe"), "{serde}"),
                text => assert_eq!((text, table["serde"].as_str()), ("TEXTFILE", Some(serde))),
            }
            let comments =
                |list: &Value, field: &str| -> Vec<Value> { list.as_array().unwrap().iter().map(|column| column[field].clone()).collect() };
            assert_eq!(comments(&table["columns"], "comment"), comments(&of_glue["StorageDescriptor"]["Columns"], "Comment"));
        }
    }
}

#[test]
fn what_is_projected_is_where_the_objects_are() {
    for (layout, table) in [(Layout::Lake(Stored::Parquet), "changes"), (Layout::Firehose(Stored::Ndjson), "delivered")] {
        let glue = glue_tables(&sales_orders(), layout);
        let parameters = &glue[table]["Parameters"];
        let template = parameters["storage.location.template"].as_str().unwrap();
        let hour = template.replace("${dt}", "2026-11-21").replace("${hr}", "03");
        let folder = if table == "changes" { "changes" } else { "firehose" };
        assert_eq!(hour, format!("s3://bucket/lake/{TABLE}/{folder}/dt=2026-11-21/hr=03/"));
        assert_eq!((&parameters["projection.hr.range"], &parameters["projection.hr.digits"]), (&json!("0,23"), &json!("2")));
        assert_eq!((&parameters["projection.dt.format"], &parameters["projection.dt.type"]), (&json!("yyyy-MM-dd"), &json!("date")));
    }
}

/// The rows of a query over a lake's views.
fn rows(lake: &Path, layout: Layout, query: &str) -> Vec<Value> {
    in_duckdb(&format!("{}{query};", duckdb_views(lake, layout)))
}

#[tokio::test]
async fn duckdb_reads_the_same_rows_from_every_layout() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [parquet, ndjson, firehose] = folders.each_ref().map(tempfile::TempDir::path);
    write_lake(parquet, Format::Parquet, 0..24).await;
    write_lake(ndjson, Format::Ndjson, 0..24).await;
    write_firehose(firehose, 0..24);
    let [in_parquet, in_ndjson] = [Layout::Lake(Stored::Parquet), Layout::Lake(Stored::Ndjson)];
    let by_firehose = Layout::Firehose(Stored::Ndjson);

    let changes = "SELECT * FROM changes ORDER BY cdc_sequence";
    let expected = rows(parquet, in_parquet, changes);
    assert_eq!(expected.len(), 23 * 4 + 2);
    assert_eq!((&expected[0]["cdc_time"], &expected[0]["hr"]), (&json!("2026-11-21 00:00:00"), &json!("00")));
    assert_eq!(rows(ndjson, in_ndjson, changes), expected);
    let but_the_large_one = "SELECT * FROM changes WHERE cdc_event_id <> 'large' ORDER BY cdc_sequence";
    assert_eq!(rows(firehose, by_firehose, but_the_large_one), expected);
    assert_eq!(rows(firehose, by_firehose, "SELECT * FROM changes").len(), expected.len() + 1);
    let in_an_hour = "SELECT count(*) AS n FROM changes WHERE dt = '2026-11-21' AND hr = '04'";
    assert_eq!(rows(parquet, in_parquet, in_an_hour), [json!({ "n": "2" })]);

    for (view, count) in [("\"current\"", 23 * 3), ("silver_current", 23 * 3), ("silver_changes", 23 * 4 + 2)] {
        let state = format!("SELECT * FROM {view} ORDER BY order_id, cdc_sequence");
        let expected = rows(parquet, in_parquet, &state);
        assert_eq!(expected.len(), count, "{view}");
        assert_eq!(rows(ndjson, in_ndjson, &state), expected, "{view}");
        // The large change comes with a copy in this layout, of which one is enough for the state.
        let but_the_large_one = state.replace("ORDER", "WHERE cdc_sequence NOT IN (SELECT cdc_sequence FROM claims) ORDER");
        let large = "000000000000000000000000000000000000901";
        let expected: Vec<_> = expected.into_iter().filter(|row| !row["cdc_sequence"].as_str().unwrap().ends_with(large)).collect();
        assert_eq!(rows(firehose, by_firehose, &but_the_large_one), expected, "{view}");
    }
}

#[test]
fn a_lake_without_objects_is_empty_in_duckdb_and_a_marker_is_a_row() {
    let lake = tempfile::tempdir().unwrap();
    for layout in LAYOUTS {
        let changes = if matches!(layout, Layout::Lake(_)) { "changes" } else { "delivered" };
        assert_eq!(rows(lake.path(), layout, &format!("SELECT * FROM {changes}")), Vec::<Value>::new());
        assert_eq!(rows(lake.path(), layout, "SELECT * FROM snapshot_markers"), Vec::<Value>::new());
    }
    let marker = r#"{"snapshot_id":"s","table":"t","started_at":"2026-11-21T03:00:00Z","completed_at":"2026-11-21T04:00:00Z","rows":3,"whole":true}"#;
    put(lake.path(), "snapshots/s.json", marker.as_bytes());
    let found = rows(lake.path(), LAYOUTS[0], "SELECT snapshot_id, started_at, \"rows\", whole FROM snapshot_markers");
    let expected = json!({ "snapshot_id": "s", "started_at": "2026-11-21T03:00:00Z", "rows": "3", "whole": "true" });
    assert_eq!(found, [expected]);
}

/// Any table that a contract can describe, as far as its columns go.
fn schemas() -> impl Strategy<Value = TableSchema> {
    let kind = prop_oneof![
        Just(ColumnType::Text),
        Just(ColumnType::BigInt),
        Just(ColumnType::Boolean),
        Just(ColumnType::Json),
        Just(ColumnType::Timestamp { format: TimestampFormat::Micros }),
        (1_u8..=38)
            .prop_flat_map(|precision| (Just(precision), 0..=precision))
            .prop_map(|(precision, scale)| ColumnType::Decimal { precision, scale }),
    ];
    // Some names are words of the languages.
    let name = prop_oneof!["[a-z_][a-z0-9_]{0,20}", Just("select".to_owned()), Just("timestamp".to_owned()), Just("date".to_owned())];
    let classification = prop::option::of(prop_oneof![Just("PII".to_owned()), "\\PC{0,30}", "['\"\\\\\n`;]{1,5}"]);
    let columns = prop::collection::btree_map(name, (kind, classification), 0..12);
    (columns, 1_usize..=2).prop_map(|(columns, keys)| {
        let keys = ["pk", "sk"].into_iter().take(keys).map(|key| (key.to_owned(), AttributeType::S)).collect();
        let mut schema = TableSchema::keys_only("any", keys);
        schema.columns = columns
            .into_iter()
            .filter(|(name, _)| {
                !["pk", "sk", "dt", "hr"].contains(&name.as_str()) && !name.starts_with("old_") && !name.starts_with("cdc_")
            })
            .map(|(name, (kind, classification))| Column { path: vec![name.clone()], name, source: AttributeType::S, kind, classification })
            .collect();
        schema
    })
}

proptest! {
    // Each case starts the parser.
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_contract_declarations_and_files_agree(schema in schemas(), layout in prop::sample::select(&LAYOUTS[..])) {
        let intended = hive(&arrow_schema(&schema));
        let glue = glue_tables(&schema, layout);
        for table in athena_tables(&schema, layout) {
            let name = table["name"].as_str().unwrap();
            let found = columns(&table["columns"], "name", "type");
            prop_assert_eq!(&found, &columns(&glue[name]["StorageDescriptor"]["Columns"], "Name", "Type"));
            if name != "snapshot_markers" {
                prop_assert_eq!(&found[..intended.len()], &intended[..]);
            }
            let comments = |list: &Value, field: &str| -> Vec<Value> { list.as_array().unwrap().iter().map(|column| column[field].clone()).collect() };
            prop_assert_eq!(comments(&table["columns"], "comment"), comments(&glue[name]["StorageDescriptor"]["Columns"], "Comment"));
        }
        let template = "# changes columns: begin\n# changes columns: end\n";
        let updated = ddl::update(template, &schema).unwrap().text;
        prop_assert_eq!(columns_in_template(&updated, "changes"), intended);
    }
}
