//! The table's state as a plan over the lake's changes.
//!
//! Of each key the base is the row of the counted snapshot with the greatest start, and the changes of the stream since that start lie above it; the
//! latest of them wins. A row is a snapshot's by its `cdc_snapshot_id`, whatever its operation; a snapshot may say that a key was absent (REMOVE).
//!
//! With a snapshot of the whole table, hours before its start are not opened: its rows and those of later ones lie in the hour of its start or behind.

use datafusion::error::Result;
use datafusion::functions_window::expr_fn::{first_value, lead, row_number};
use datafusion::logical_expr::{Expr, ExprFunctionExt, SortExpr, when};
use datafusion::prelude::{DataFrame, ident, lit};
use datafusion::scalar::ScalarValue;
use jiff::Timestamp;

use crate::contract::TableSchema;
use crate::event::Operation;
use crate::lake::Marker;
use crate::query::snapshots::{Ground, start};

/// The metadata columns that a state keeps.
const METADATA: [&str; 3] = ["cdc_sequence", "cdc_time", "cdc_op"];

/// The start of the snapshot that a row belongs to.
const START: &str = "__start";
/// Its place among the counted snapshots; null on changes of the stream.
const LAYER: &str = "__layer";
/// The greatest start among the snapshot rows of the key.
const BASE: &str = "__base";
/// The row's place among those of its key: snapshot rows first, the greatest start first; then changes, the latest first.
const PLACE: &str = "__place";
/// The place of the row that follows.
const NEXT: &str = "__next";

/// Of which rows a state is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// Of all that count.
    All,
    /// Of those that count beside the rows of the whole snapshot: the state of the keys that were heard of since.
    SinceWhole,
}

/// The last word on each key: one row, which says REMOVE if there is no item.
pub(super) fn last_words(changes: DataFrame, table: &TableSchema, ground: Ground<'_>, rows: Rows) -> Result<DataFrame> {
    let base = ground.whole.filter(|_| rows == Rows::All);
    let counted: Vec<&Marker> = base.into_iter().chain(ground.parts).collect();
    let mut counts = of_stream();
    if !counted.is_empty() {
        let ids = counted.iter().map(|marker| lit(marker.snapshot_id.as_str())).collect();
        // What announces the end of a snapshot on a stream also has its id.
        let row = ident("cdc_op").in_list([Operation::Snapshot, Operation::Remove].map(|op| lit(op.as_str())).to_vec(), false);
        counts = counts.or(ident("cdc_snapshot_id").in_list(ids, false).and(row));
    }
    if let Some(whole) = ground.whole {
        counts = counts.and(since(start(whole)));
    }
    let changes = changes.filter(counts)?;
    if ground.parts.is_empty() { by_sequence(changes, table) } else { by_layer(changes, table, &counted) }
}

/// The state: the last words that are not REMOVE.
pub(super) fn current(changes: DataFrame, table: &TableSchema, ground: Ground<'_>) -> Result<DataFrame> {
    last_words(changes, table, ground, Rows::All)?.filter(ident("cdc_op").not_eq(lit(Operation::Remove.as_str())))
}

/// One snapshot at most: its rows have sequence zero, so the order by sequence alone puts them below.
fn by_sequence(rows: DataFrame, table: &TableSchema) -> Result<DataFrame> {
    let latest_first = vec![ident("cdc_sequence").sort(false, false)];
    let place = row_number().partition_by(keys(table)).order_by(latest_first).build()?.alias(PLACE);
    rows.select(columns(table))?.window(vec![place])?.filter(ident(PLACE).eq(lit(1_u64)))?.select(columns(table))
}

/// Several snapshots, of which the later start overrides the earlier for the keys that it has.
///
/// The rows are sorted once: of each key its base first, so that everything behind it is known to lie above or below when it comes by. Both windows
/// look at a few rows at a time, so memory does not depend on how many rows a key has.
fn by_layer(rows: DataFrame, table: &TableSchema, counted: &[&Marker]) -> Result<DataFrame> {
    let mut start_of = Vec::new();
    let mut layer_of = Vec::new();
    for (marker, layer) in counted.iter().zip(1_i64..) {
        let id = || lit(marker.snapshot_id.as_str());
        start_of.push((id(), instant(start(marker))));
        layer_of.push((id(), lit(layer)));
    }
    let with_layers = columns(table).into_iter().chain([by_snapshot(start_of)?.alias(START), by_snapshot(layer_of)?.alias(LAYER)]);

    let order = || -> Vec<SortExpr> { vec![ident(LAYER).sort(false, false), ident("cdc_sequence").sort(false, false)] };
    let base = first_value(ident(START)).partition_by(keys(table)).order_by(order()).build()?.alias(BASE);
    let place =
        || Ok::<_, datafusion::error::DataFusionError>(row_number().partition_by(keys(table)).order_by(order()).build()?.alias(PLACE));
    let is_base = ident(LAYER).is_not_null().and(ident(PLACE).eq(lit(1_u64)));
    let is_above = ident(LAYER).is_null().and(ident(BASE).is_null().or(ident("cdc_time").gt_eq(ident(BASE))));

    // Now a key has its base, if it has one, and the changes above it: the first of these wins, and the base if there is none.
    let kept = columns(table).into_iter().chain([ident(LAYER), ident(BASE)]).collect::<Vec<_>>();
    let next = lead(ident(LAYER).is_null(), Some(1), None).partition_by(keys(table)).order_by(order()).build()?.alias(NEXT);
    let first_change = when(ident(BASE).is_null(), lit(1_u64)).otherwise(lit(2_u64))?;
    let wins = ident(LAYER).is_null().and(ident(PLACE).eq(first_change)).or(ident(LAYER).is_not_null().and(ident(NEXT).is_null()));

    rows.select(with_layers)?
        .window(vec![base, place()?])?
        .filter(is_base.or(is_above))?
        .select(kept)?
        .window(vec![place()?, next])?
        .filter(wins)?
        .select(columns(table))
}

/// What a snapshot's id stands for; null where there is none.
fn by_snapshot(cases: Vec<(Expr, Expr)>) -> Result<Expr> {
    let mut cases = cases.into_iter();
    let Some((id, value)) = cases.next() else { return Ok(lit(ScalarValue::Null)) };
    let mut case = datafusion::logical_expr::case(ident("cdc_snapshot_id"));
    let mut case = case.when(id, value);
    for (id, value) in cases {
        case = case.when(id, value);
    }
    case.end()
}

/// A change of the stream.
pub(super) fn of_stream() -> Expr {
    ident("cdc_snapshot_id").is_null()
}

/// The columns of a state: keys, the item's columns, what no column holds, and which row it comes from.
fn columns(table: &TableSchema) -> Vec<Expr> {
    let items = table.columns.iter().map(|column| column.name.as_str());
    keys(table).into_iter().chain(items.chain(["cdc_extra"]).chain(METADATA).map(ident)).collect()
}

fn keys(table: &TableSchema) -> Vec<Expr> {
    table.keys.iter().map(|key| ident(&key.column)).collect()
}

fn instant(instant: Timestamp) -> Expr {
    lit(ScalarValue::TimestampMillisecond(Some(instant.as_millisecond()), Some("UTC".into())))
}

/// Rows at or after an instant, said twice: exactly, and by partition.
fn since(start: Timestamp) -> Expr {
    let date = start.strftime("%Y-%m-%d").to_string();
    let hour = start.strftime("%H").to_string();
    let same_day = ident("dt").eq(lit(date.clone())).and(ident("hr").gt_eq(lit(hour)));
    ident("cdc_time").gt_eq(instant(start)).and(ident("dt").gt(lit(date)).or(same_day))
}
