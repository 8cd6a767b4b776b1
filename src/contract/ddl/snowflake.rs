//! Snowflake: how a lake's objects are loaded, and how the state is kept.
//!
//! The statements are in the order in which they are run, within a schema of the table's own. What is loaded stays as it is in tables that only grow;
//! everything else is a view of them, or follows from them at any time ([`state`]). So a file that comes late, twice, or before an earlier one does no
//! harm.
//!
//! Two names stand for what an account has: `LAKE_INTEGRATION`, the storage integration that may read the bucket, and the bucket in the location.
//!
//! Instants are `TIMESTAMP_LTZ`, which stores UTC. Snowflake reads Parquet's UTC timestamps as this type; from it into `TIMESTAMP_NTZ` the loading
//! session's time zone would decide the digits, and a pipe's session is nobody's to choose. Firehose's Parquet has timestamps without a zone: they are
//! loaded as they are, into `TIMESTAMP_NTZ`, for the same reason, and the view over them says that they are UTC.

mod silver;
mod state;
mod words;

use super::{Layout, Place, Statement, Stored};
use crate::contract::{LakeColumn, LakeType, TableSchema};
use words::{identifier, member, text};

/// What a reader of the statements is told first.
const HEADER: &str = "\
-- Loads a table of the lake and keeps its state. Run from top to bottom by a role that owns the schema, has EXECUTE TASK and EXECUTE MANAGED TASK on the
-- account, and USAGE on the storage integration:
--   CREATE SCHEMA IF NOT EXISTS <table>
--   USE SCHEMA <table>
-- LAKE_INTEGRATION stands for the storage integration of your account that may list and read the bucket:
--   CREATE STORAGE INTEGRATION LAKE_INTEGRATION TYPE = EXTERNAL_STAGE STORAGE_PROVIDER = 'S3' ENABLED = TRUE
--     STORAGE_AWS_ROLE_ARN = '<role that may read the bucket>' STORAGE_ALLOWED_LOCATIONS = ('<bucket and prefix>')
-- Instants are TIMESTAMP_LTZ: UTC inside, shown in the session's time zone (ALTER SESSION SET TIMEZONE = 'UTC').
";

/// The formats' names.
const PARQUET: &str = "parquet_rows";
const LINES: &str = "json_lines";

/// Of the columns that only Firehose's records have: of pointers to claims, and of the marker at a snapshot's end.
const FIREHOSE_COLUMNS: [&str; 2] = ["cdc_claim_check", "cdc_hash_range"];

/// A folder of the lake, and the table that its objects are loaded into.
struct Load {
    table: &'static str,
    folder: &'static str,
    stored: Stored,
    /// What objects' names match: nothing else in the folder is loaded.
    pattern: &'static str,
}

const PARQUET_OBJECTS: &str = ".*[.]parquet";
const NDJSON_OBJECTS: &str = ".*[.]json[.]gz";
const JSON_OBJECTS: &str = ".*[.]json";
/// Firehose names objects without an ending unless it is given one.
const ANY_OBJECT: &str = ".*";

pub(super) fn statements(schema: &TableSchema, place: &Place) -> Vec<Statement> {
    let columns = schema.lake_columns();
    let loads = loads(place.layout);
    let mut statements = formats(place.layout);
    statements.extend(loads.iter().map(|load| stage(load, schema, place)));
    for load in &loads {
        statements.push(match load.stored {
            Stored::Parquet => rows_table(load, &columns),
            Stored::Ndjson => lines_table(load),
        });
    }
    statements.extend(changes_view(place.layout, &columns));
    statements.push(snapshots_view());
    let kind = if place.layout == Layout::Lake(Stored::Parquet) { "TABLE" } else { "VIEW" };
    statements.extend(state::statements(schema, &columns, kind));
    statements.extend(silver::statements(schema, &columns));
    // Last, so that every row that is loaded goes through the streams.
    for load in &loads {
        statements.extend([copy(load), pipe(load)]);
    }
    statements.push(state::resume());
    statements
}

/// What is loaded, markers last: a snapshot counts from its marker on. Pipes keep no order among each other, so a marker may yet come before its rows
/// ([`state`]).
fn loads(layout: Layout) -> Vec<Load> {
    let mut loads = match layout {
        Layout::Lake(Stored::Parquet) => {
            vec![Load { table: "changes", folder: "changes", stored: Stored::Parquet, pattern: PARQUET_OBJECTS }]
        }
        Layout::Lake(Stored::Ndjson) => {
            vec![Load { table: "landed", folder: "changes", stored: Stored::Ndjson, pattern: NDJSON_OBJECTS }]
        }
        Layout::Firehose(stored) => vec![
            Load { table: "delivered", folder: "firehose", stored, pattern: ANY_OBJECT },
            Load { table: "claims", folder: "claims", stored: Stored::Ndjson, pattern: JSON_OBJECTS },
        ],
    };
    loads.push(Load { table: "snapshot_markers", folder: "snapshots", stored: Stored::Ndjson, pattern: JSON_OBJECTS });
    loads
}

impl Load {
    fn stage(&self) -> String {
        format!("{}_stage", self.folder)
    }

    const fn format(&self) -> &'static str {
        match self.stored {
            Stored::Parquet => PARQUET,
            Stored::Ndjson => LINES,
        }
    }
}

fn statement(name: &str, text: String) -> Statement {
    Statement { name: name.to_owned(), text }
}

fn formats(layout: Layout) -> Vec<Statement> {
    let lines = format!("CREATE FILE FORMAT IF NOT EXISTS {LINES}\n  TYPE = JSON\n  COMMENT = 'One JSON object a line, compressed or not'");
    let mut formats = vec![statement(LINES, format!("{HEADER}\n{lines}"))];
    if matches!(layout, Layout::Lake(Stored::Parquet) | Layout::Firehose(Stored::Parquet)) {
        let rows = format!(
            "-- Without logical types Snowflake reads timestamps as bare numbers, of a unit that it guesses.\n\
             CREATE FILE FORMAT IF NOT EXISTS {PARQUET}\n  TYPE = PARQUET\n  USE_LOGICAL_TYPE = TRUE\n  USE_VECTORIZED_SCANNER = TRUE\n  \
             COMMENT = 'Parquet with the types that its files declare'"
        );
        formats.push(statement(PARQUET, rows));
    }
    formats
}

fn stage(load: &Load, schema: &TableSchema, place: &Place) -> Statement {
    let name = load.stage();
    let url = text(&place.folder(schema, load.folder));
    let text = format!(
        "CREATE STAGE IF NOT EXISTS {name}\n  URL = {url}\n  STORAGE_INTEGRATION = LAKE_INTEGRATION\n  FILE_FORMAT = (FORMAT_NAME = '{}')",
        load.format()
    );
    statement(&name, text)
}

/// A table with the columns of the files.
fn rows_table(load: &Load, columns: &[LakeColumn]) -> Statement {
    let is_lake = load.table == "changes";
    let mut lines: Vec<String> = columns
        .iter()
        .map(|column| {
            // The marker at a snapshot's end has no keys, and travels with Firehose's rows.
            let required = if column.nullable || !(is_lake || column.meaning.is_some()) { "" } else { " NOT NULL" };
            let comment = comment(column).map(|comment| format!(" COMMENT {}", text(&comment))).unwrap_or_default();
            let kind = data_type(column.kind);
            let kind = if is_lake { kind } else { kind.replace("TIMESTAMP_LTZ", "TIMESTAMP_NTZ") };
            format!("  {} {kind}{required}{comment}", identifier(&column.name))
        })
        .collect();
    if !is_lake {
        lines.extend(FIREHOSE_COLUMNS.map(|name| format!("  {name} VARCHAR")));
    }
    let text = format!(
        "-- Every change that was loaded, as it is in the files. Rows are only ever added.\nCREATE TABLE IF NOT EXISTS {} (\n{}\n)",
        identifier(load.table),
        lines.join(",\n")
    );
    statement(load.table, text)
}

/// A table of lines as they are.
fn lines_table(load: &Load) -> Statement {
    let text = format!("-- The lines of the objects, as they are.\nCREATE TABLE IF NOT EXISTS {} (line VARIANT NOT NULL)", load.table);
    statement(load.table, text)
}

/// The view that gives lines, or what Firehose delivered, the names and types of the lake's columns.
fn changes_view(layout: Layout, columns: &[LakeColumn]) -> Option<Statement> {
    let typed = |table: &str, only: &str| {
        let list = columns.iter().map(|column| format!("  {} AS {}", from_line(column), identifier(&column.name)));
        format!("SELECT\n{}\nFROM {table}{only}", list.collect::<Vec<_>>().join(",\n"))
    };
    let select = match layout {
        Layout::Lake(Stored::Parquet) => return None,
        Layout::Lake(Stored::Ndjson) => typed("landed", ""),
        Layout::Firehose(stored) => {
            let delivered = match stored {
                Stored::Ndjson => typed("delivered", "\nWHERE line:cdc_claim_check IS NULL AND line:cdc_op::VARCHAR <> 'SNAPSHOT_END'"),
                Stored::Parquet => {
                    let list = columns.iter().map(|column| format!("  {}", from_delivered(column))).collect::<Vec<_>>();
                    format!("SELECT\n{}\nFROM delivered\nWHERE cdc_claim_check IS NULL AND cdc_op <> 'SNAPSHOT_END'", list.join(",\n"))
                }
            };
            format!("{delivered}\nUNION ALL\n{}", typed("claims", ""))
        }
    };
    Some(statement("changes", format!("CREATE VIEW IF NOT EXISTS {} AS\n{select}", identifier("changes"))))
}

/// The value of a column in a line.
fn from_line(column: &LakeColumn) -> String {
    let value = format!("line:{}", member(&column.name));
    match column.kind {
        // The text has no zone, and means UTC.
        LakeType::TimestampMillis | LakeType::TimestampMicros => from_utc(&format!("{value}::VARCHAR")),
        LakeType::TextList => value,
        kind => format!("{value}::{}", data_type(kind)),
    }
}

/// A column of what Firehose delivered as Parquet.
fn from_delivered(column: &LakeColumn) -> String {
    let name = identifier(&column.name);
    match column.kind {
        // Neither a cast to an instant nor one to text, which both follow the session's settings.
        LakeType::TimestampMillis | LakeType::TimestampMicros => {
            format!("{} AS {name}", from_utc(&format!("TO_VARCHAR({name}, 'YYYY-MM-DD HH24:MI:SS.FF')")))
        }
        _ => name,
    }
}

/// The instant that a text without a zone means in UTC.
fn from_utc(text: &str) -> String {
    format!("TO_TIMESTAMP_LTZ({text} || ' +00:00', 'YYYY-MM-DD HH24:MI:SS.FF TZH:TZM')")
}

fn snapshots_view() -> Statement {
    let text = "-- Completed snapshots, each once.\n\
        CREATE VIEW IF NOT EXISTS snapshots AS\n\
        SELECT\n  \
          line:snapshot_id::VARCHAR AS snapshot_id,\n  \
          line:table::VARCHAR AS \"TABLE\",\n  \
          line:started_at::TIMESTAMP_LTZ AS started_at,\n  \
          line:completed_at::TIMESTAMP_LTZ AS completed_at,\n  \
          line:rows::NUMBER(19, 0) AS \"ROWS\",\n  \
          COALESCE(line:whole::BOOLEAN, TRUE) AS whole\n\
        FROM snapshot_markers\n\
        QUALIFY ROW_NUMBER() OVER (PARTITION BY line:snapshot_id::VARCHAR ORDER BY line:completed_at::VARCHAR) = 1";
    statement("snapshots", text.to_owned())
}

fn copy(load: &Load) -> Statement {
    let comment = "-- What is there already. Snowflake knows for 64 days which files it has loaded, and passes over them.";
    statement(&format!("{} backlog", load.table), format!("{comment}\n{}", copy_into(load)))
}

fn pipe(load: &Load) -> Statement {
    let name = format!("{}_pipe", load.folder);
    let text = format!(
        "-- What comes from now on, told by the bucket's notifications to the queue that SHOW PIPES names as notification_channel.\n\
         -- A file that comes between both is loaded by ALTER PIPE {name} REFRESH, which may be run at any time.\n\
         CREATE PIPE IF NOT EXISTS {name}\n  AUTO_INGEST = TRUE\nAS\n{}",
        copy_into(load)
    );
    statement(&name, text)
}

/// By name, so that files written under an earlier contract load as well: what they lack is null. Lines are loaded whole.
fn copy_into(load: &Load) -> String {
    let matching = match load.stored {
        Stored::Parquet => "\nMATCH_BY_COLUMN_NAME = CASE_INSENSITIVE",
        Stored::Ndjson => "",
    };
    format!(
        "COPY INTO {}\nFROM @{}\nPATTERN = {}\nFILE_FORMAT = (FORMAT_NAME = '{}'){matching}",
        identifier(load.table),
        load.stage(),
        text(load.pattern),
        load.format()
    )
}

fn comment(column: &LakeColumn) -> Option<String> {
    column.meaning.map(str::to_owned).or_else(|| column.classification.clone())
}

fn data_type(kind: LakeType) -> String {
    match kind {
        LakeType::Text => "VARCHAR".to_owned(),
        LakeType::BigInt => "NUMBER(19, 0)".to_owned(),
        LakeType::Decimal { precision, scale } => format!("NUMBER({precision}, {scale})"),
        LakeType::Boolean => "BOOLEAN".to_owned(),
        LakeType::TimestampMillis => "TIMESTAMP_LTZ(3)".to_owned(),
        LakeType::TimestampMicros => "TIMESTAMP_LTZ(6)".to_owned(),
        // As it is read, whatever that is: into ARRAY a list would be wrapped if a reader took it for an object.
        LakeType::TextList => "VARIANT".to_owned(),
    }
}

#[cfg(test)]
mod tests;
