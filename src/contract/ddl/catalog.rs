//! The tables that a Hive catalog declares, whatever the language of the declaration.

use super::{Layout, Place, Stored};
use crate::contract::{LakeColumn, LakeType, TableSchema};

/// The first day that a query looks for. No change in a lake is older: streams keep a day, exports 35 days, and there was no headwater before.
/// A later day spares Athena the listing of folders that are not there.
const FIRST_DAY: &str = "2026-01-01";

/// Longest comment that Glue takes, in characters.
const LONGEST_COMMENT: usize = 255;

/// A table over the objects of a folder.
pub(super) struct ExternalTable {
    pub(super) name: &'static str,
    pub(super) description: String,
    pub(super) columns: Vec<HiveColumn>,
    pub(super) partitions: Vec<HiveColumn>,
    pub(super) stored: Stored,
    /// Whether its text is compressed.
    compressed: bool,
    /// Its folder's URL, with a slash at its end.
    pub(super) location: String,
    /// The contract's id and version.
    contract: Option<String>,
}

/// A column in Hive's words.
pub(super) struct HiveColumn {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) comment: Option<String>,
}

impl HiveColumn {
    fn new(name: &str, kind: &str, comment: &str) -> Self {
        Self { name: name.to_owned(), kind: kind.to_owned(), comment: Some(comment.to_owned()).filter(|comment| !comment.is_empty()) }
    }
}

impl From<LakeColumn> for HiveColumn {
    fn from(column: LakeColumn) -> Self {
        let classification = column.classification.map(|classification| format!("classification: {classification}"));
        let comment: Vec<String> = column.meaning.map(str::to_owned).into_iter().chain(classification).collect();
        let comment = comment.join("; ").chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_COMMENT).collect::<String>();
        Self { name: column.name, kind: hive_type(column.kind), comment: Some(comment).filter(|comment| !comment.is_empty()) }
    }
}

impl ExternalTable {
    /// What the catalog knows beside the columns. Partitions are projected, so that no new hour has to be told to the catalog.
    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        let mut parameters = match self.stored {
            Stored::Parquet => vec![("classification", "parquet")],
            Stored::Ndjson if self.compressed => vec![("classification", "json"), ("compressionType", "gzip")],
            Stored::Ndjson => vec![("classification", "json"), ("compressionType", "none")],
        };
        let range = format!("{FIRST_DAY},NOW");
        let folders: Vec<String> = self.partitions.iter().map(|column| format!("{0}=${{{0}}}/", column.name)).collect();
        let template = format!("{}{}", self.location, folders.concat());
        for column in &self.partitions {
            parameters.extend_from_slice(match column.name.as_str() {
                "dt" => &[
                    ("projection.dt.type", "date"),
                    ("projection.dt.format", "yyyy-MM-dd"),
                    ("projection.dt.interval", "1"),
                    ("projection.dt.interval.unit", "DAYS"),
                ],
                _ => &[("projection.hr.type", "integer"), ("projection.hr.range", "0,23"), ("projection.hr.digits", "2")],
            });
        }
        if !self.partitions.is_empty() {
            parameters.extend([
                ("projection.enabled", "true"),
                ("projection.dt.range", range.as_str()),
                ("storage.location.template", template.as_str()),
            ]);
        }
        parameters.extend(self.contract.as_deref().map(|contract| ("headwater.contract", contract)));
        parameters.sort_unstable();
        parameters.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Whether its objects are compressed as whole files.
    pub(super) const fn is_compressed(&self) -> bool {
        self.compressed
    }
}

/// The tables of a lake, in the order in which they are declared.
pub(super) fn tables(schema: &TableSchema, place: &Place) -> Vec<ExternalTable> {
    let table = |name, folder, description: &str, columns, partitions, stored, compressed| ExternalTable {
        name,
        description: format!("{description} of the DynamoDB table {}", schema.table),
        columns,
        partitions,
        stored,
        compressed,
        location: place.folder(schema, folder),
        contract: schema.contract.as_ref().map(|contract| format!("{} {}", contract.id, contract.version)),
    };
    let mut tables = match place.layout {
        Layout::Lake(stored) => {
            let partitions = vec![
                HiveColumn::new("dt", "string", "UTC day of cdc_time, yyyy-MM-dd"),
                HiveColumn::new("hr", "string", "UTC hour of cdc_time, two digits"),
            ];
            vec![table("changes", "changes", "changes", item_columns(schema), partitions, stored, stored == Stored::Ndjson)]
        }
        Layout::Firehose(stored) => {
            let partitions = vec![
                HiveColumn::new("dt", "string", "UTC day of arrival at Firehose of the oldest record in the object, yyyy-MM-dd"),
                HiveColumn::new("hr", "string", "UTC hour of arrival at Firehose of the oldest record in the object, two digits"),
            ];
            let day = vec![HiveColumn::new("dt", "string", "UTC day of cdc_time, yyyy-MM-dd")];
            vec![
                table(
                    "delivered",
                    "firehose",
                    "what Firehose delivered",
                    delivered_columns(schema),
                    partitions,
                    stored,
                    stored == Stored::Ndjson,
                ),
                table("claims", "claims", "changes too large for a record, whole,", item_columns(schema), day, Stored::Ndjson, false),
            ]
        }
    };
    tables.push(table("snapshot_markers", "snapshots", "complete snapshots", marker_columns(), Vec::new(), Stored::Ndjson, false));
    tables
}

/// The columns of a table by its name, whatever the layout; none for an unknown one.
pub(super) fn columns_of(schema: &TableSchema, table: &str) -> Option<Vec<HiveColumn>> {
    match table {
        "changes" | "claims" => Some(item_columns(schema)),
        "delivered" => Some(delivered_columns(schema)),
        "snapshot_markers" => Some(marker_columns()),
        _ => None,
    }
}

fn item_columns(schema: &TableSchema) -> Vec<HiveColumn> {
    schema.lake_columns().into_iter().map(HiveColumn::from).collect()
}

/// The stream has lines of its own besides changes.
fn delivered_columns(schema: &TableSchema) -> Vec<HiveColumn> {
    let mut columns = item_columns(schema);
    columns.push(HiveColumn::new(
        "cdc_claim_check",
        "string",
        "where the whole change is, below the folder of the table; the row is a pointer to it",
    ));
    columns.push(HiveColumn::new("cdc_hash_range", "string", "hash keys of the shard; the row marks the end of a snapshot"));
    columns
}

/// Times are text here: RFC 3339 is no timestamp to a JSON SerDe.
fn marker_columns() -> Vec<HiveColumn> {
    vec![
        HiveColumn::new("snapshot_id", "string", "as in cdc_snapshot_id"),
        HiveColumn::new("table", "string", "the DynamoDB table"),
        HiveColumn::new("started_at", "string", "RFC 3339, UTC; changes from then on lie above its rows"),
        HiveColumn::new("completed_at", "string", "RFC 3339, UTC; its last row was durable"),
        HiveColumn::new("rows", "bigint", "how many rows it has"),
        HiveColumn::new("whole", "boolean", "whether its rows are the whole table; absent means true"),
    ]
}

fn hive_type(kind: LakeType) -> String {
    match kind {
        LakeType::Text => "string".to_owned(),
        LakeType::BigInt => "bigint".to_owned(),
        LakeType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        LakeType::Boolean => "boolean".to_owned(),
        LakeType::TimestampMillis | LakeType::TimestampMicros => "timestamp".to_owned(),
        LakeType::TextList => "array<string>".to_owned(),
    }
}
