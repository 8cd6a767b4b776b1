//! The views of a session, as logical plans over the lake's objects.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::Result;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt};
use datafusion::prelude::{DataFrame, SessionContext, ident, lit};
use datafusion::scalar::ScalarValue;
use jiff::Timestamp;

use super::STORE;
use super::snapshots::Snapshot;
use crate::contract::TableSchema;
use crate::event::Operation;
use crate::lake::columns::arrow_schema;

/// The Hive partitions of a change object, both text.
const PARTITIONS: [&str; 2] = ["dt", "hr"];

/// The metadata columns that `current` keeps.
const CURRENT_METADATA: [&str; 3] = ["cdc_sequence", "cdc_time", "cdc_op"];

/// Builds the three views.
pub(super) fn build(
    context: &SessionContext,
    table: &TableSchema,
    snapshots: &[Snapshot],
) -> Result<[(&'static str, Arc<dyn TableProvider>); 3]> {
    let changes = changes(context, table)?;
    let current = current(changes.clone(), table, snapshots.last())?;
    Ok([("changes", changes.into_view()), ("snapshots", snapshot_table(snapshots)?), ("current", current.into_view())])
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

/// The table's state: the latest snapshot's rows below the stream changes since its start; the latest sequence wins, REMOVE hides.
///
/// Snapshot rows have sequence zero, so the order by sequence alone puts them below. With a snapshot, partitions before its start
/// are not opened.
fn current(changes: DataFrame, table: &TableSchema, snapshot: Option<&Snapshot>) -> Result<DataFrame> {
    let of_stream = ident("cdc_op").not_eq(lit(Operation::Snapshot.as_str()));
    let counted = match snapshot {
        None => of_stream,
        Some(snapshot) => {
            let rows = of_stream.or(ident("cdc_snapshot_id").eq(lit(snapshot.id.as_str())));
            rows.and(since(snapshot.started_at))
        }
    };
    let keys: Vec<Expr> = table.keys.iter().map(|key| ident(&key.column)).collect();
    let latest_first = ident("cdc_sequence").sort(false, false);
    let age = row_number().partition_by(keys).order_by(vec![latest_first]).build()?.alias("age");
    let columns = || current_columns(table).map(ident);
    changes
        .filter(counted)?
        .select(columns())?
        .window(vec![age])?
        .filter(ident("age").eq(lit(1_u64)).and(ident("cdc_op").not_eq(lit(Operation::Remove.as_str()))))?
        .select(columns())
}

/// The columns of `current`: keys, the item's columns, what no column holds, and which change it comes from.
fn current_columns(table: &TableSchema) -> impl Iterator<Item = &str> {
    let keys = table.keys.iter().map(|key| key.column.as_str());
    let columns = table.columns.iter().map(|column| column.name.as_str());
    keys.chain(columns).chain(["cdc_extra"]).chain(CURRENT_METADATA)
}

/// Changes made at or after an instant, said twice: exactly, and by partition. `cdc_time` has whole seconds.
fn since(start: Timestamp) -> Expr {
    let second = start.as_second();
    let exact = ident("cdc_time").gt_eq(lit(ScalarValue::TimestampMillisecond(Some(second * 1000), Some("UTC".into()))));
    let date = start.strftime("%Y-%m-%d").to_string();
    let hour = start.strftime("%H").to_string();
    let same_day = ident("dt").eq(lit(date.clone())).and(ident("hr").gt_eq(lit(hour)));
    exact.and(ident("dt").gt(lit(date)).or(same_day))
}

/// The markers as rows.
fn snapshot_table(snapshots: &[Snapshot]) -> Result<Arc<dyn TableProvider>> {
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let schema = Arc::new(Schema::new(vec![
        Field::new("snapshot_id", DataType::Utf8, false),
        Field::new("table", DataType::Utf8, false),
        Field::new("started_at", time.clone(), false),
        Field::new("completed_at", time, false),
        Field::new("rows", DataType::Int64, false),
    ]));
    let text = |of: fn(&Snapshot) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(snapshots.iter().map(of))) };
    let instant = |of: fn(&Snapshot) -> Timestamp| -> ArrayRef {
        let millis = snapshots.iter().map(|snapshot| of(snapshot).as_millisecond());
        Arc::new(TimestampMillisecondArray::from_iter_values(millis).with_timezone("UTC"))
    };
    let columns = vec![
        text(|snapshot| &snapshot.id),
        text(|snapshot| &snapshot.table),
        instant(|snapshot| snapshot.started_at),
        instant(|snapshot| snapshot.completed_at),
        Arc::new(Int64Array::from_iter_values(snapshots.iter().map(|snapshot| snapshot.rows))),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
}
