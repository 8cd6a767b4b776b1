//! The views of a session, as logical plans over the lake's objects.

mod state;

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::Result;
use datafusion::prelude::{DataFrame, SessionContext};
use jiff::Timestamp;

use super::STORE;
use super::snapshots::Ground;
use crate::contract::TableSchema;
use crate::lake::Marker;
use crate::lake::columns::arrow_schema;

/// The Hive partitions of a change object, both text.
const PARTITIONS: [&str; 2] = ["dt", "hr"];

/// Builds the three views.
pub(super) fn build(
    context: &SessionContext,
    table: &TableSchema,
    snapshots: &[Marker],
) -> Result<[(&'static str, Arc<dyn TableProvider>); 3]> {
    let changes = changes(context, table)?;
    let current = state::current(changes.clone(), table, Ground::of(snapshots))?;
    Ok([("changes", changes.into_view()), ("snapshots", snapshot_table(snapshots)?), ("current", current.into_view())])
}

/// The last word on each key that was heard of since the start of the latest whole snapshot, that snapshot's rows left aside: one row for each, which
/// says REMOVE if there is no item.
pub(super) fn since_whole(context: &SessionContext, table: &TableSchema, snapshots: &[Marker]) -> Result<DataFrame> {
    state::last_words(changes(context, table)?, table, Ground::of(snapshots), state::Rows::SinceWhole)
}

/// Every change, whatever its object's format.
fn changes(context: &SessionContext, table: &TableSchema) -> Result<DataFrame> {
    let schema = readable(&arrow_schema(table));
    let parquet = objects(Arc::new(ParquetFormat::default()), ".parquet", &schema)?;
    // The schema is given, because an inferred one would make floats of decimals.
    let ndjson = JsonFormat::default().with_file_compression_type(FileCompressionType::GZIP);
    let ndjson = objects(Arc::new(ndjson), ".json.gz", &schema)?;
    context.read_table(parquet)?.union(context.read_table(ndjson)?)
}

/// The schema with every column nullable: objects that were written under an earlier contract lack columns of today's.
fn readable(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>()))
}

/// The change objects of one format.
fn objects(format: Arc<dyn FileFormat>, extension: &str, schema: &SchemaRef) -> Result<Arc<dyn TableProvider>> {
    let partitions = PARTITIONS.map(|name| (name.to_owned(), DataType::Utf8)).to_vec();
    let options = ListingOptions::new(format).with_file_extension(extension).with_table_partition_cols(partitions);
    let url = ListingTableUrl::parse(format!("{STORE}changes/"))?;
    let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(Arc::clone(schema));
    Ok(Arc::new(ListingTable::try_new(config)?))
}

/// The markers as rows.
fn snapshot_table(snapshots: &[Marker]) -> Result<Arc<dyn TableProvider>> {
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let schema = Arc::new(Schema::new(vec![
        Field::new("snapshot_id", DataType::Utf8, false),
        Field::new("table", DataType::Utf8, false),
        Field::new("started_at", time.clone(), false),
        Field::new("completed_at", time, false),
        Field::new("rows", DataType::Int64, false),
        Field::new("whole", DataType::Boolean, false),
    ]));
    let text = |of: fn(&Marker) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(snapshots.iter().map(of))) };
    let instant = |of: fn(&Marker) -> Timestamp| -> ArrayRef {
        let millis = snapshots.iter().map(|snapshot| of(snapshot).as_millisecond());
        Arc::new(TimestampMillisecondArray::from_iter_values(millis).with_timezone("UTC"))
    };
    let rows = snapshots.iter().map(|snapshot| i64::try_from(snapshot.rows).unwrap_or(i64::MAX));
    let columns = vec![
        text(|snapshot| &snapshot.snapshot_id),
        text(|snapshot| &snapshot.table),
        instant(|snapshot| snapshot.started_at),
        instant(|snapshot| snapshot.completed_at),
        Arc::new(Int64Array::from_iter_values(rows)),
        Arc::new(snapshots.iter().map(|snapshot| Some(snapshot.whole)).collect::<BooleanArray>()),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
}
