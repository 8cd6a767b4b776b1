//! The views that stand on the tables, in the SQL that Trino, Athena, DataFusion and DuckDB share.
//!
//! What keeps to the common ground: `varchar` and `date` as types, ordinary window functions, no function of one engine alone, every name of the
//! contract in double quotes, and names of our own begin with `cdc_`, which no column of an item does. `current` is what [`crate::query`] gives under
//! that name.
//!
//! **Masking.** The silver views show a classified column as far as its classification is known to be harmless: `public` and `internal`, in any
//! spelling of case, are shown as they are. Every other classification is masked, `PII` as well as `confidential`, `restricted` or a word of
//! the owner's own: a word that nobody thought of must not publish what it protects. Of text the presence stays ([`MASK`]), of other types
//! nothing, since every number is a possible value. Keys and old sides are masked like the rest, JSON text as a whole, and `cdc_extra`, which may hold
//! anything, is left out. Names of attributes are not masked: `cdc_changed` shows those that differ, whether or not they have a column.

use super::{LEFT_OUT, Layout, MASK, Place, Statement};
use crate::contract::{LakeColumn, LakeType, OLD_PREFIX, TableSchema};

/// The views, each after those that it needs.
pub(super) fn statements(schema: &TableSchema, place: &Place) -> Vec<Statement> {
    let mut views = match place.layout {
        Layout::Lake(_) => Vec::new(),
        Layout::Firehose(_) => vec![changes(schema)],
    };
    views.extend([snapshots(), current(schema), silver_current(schema), silver_changes(schema, place.layout)]);
    views
}

/// What Firehose delivered, with the changes that did not fit into a record in the place of the pointers to them.
fn changes(schema: &TableSchema) -> Statement {
    let columns: Vec<String> = schema.lake_columns().iter().map(|column| quoted(&column.name)).collect();
    let columns = list(&columns);
    let text = format!(
        "\
-- Every change and every row of a snapshot that Firehose delivered. A change may be there more than once: Firehose delivers at least once.
-- Columns: those of the lake; dt and hr are the day and hour (UTC) in which the oldest record of the same object
-- arrived, or those of the change itself where it was too large for a record.
-- Source: delivered, claims.
CREATE OR REPLACE VIEW changes AS
SELECT
    {columns},
    dt,
    hr
FROM delivered
-- Neither pointers to claims, nor what announces the end of a snapshot.
WHERE cdc_claim_check IS NULL AND cdc_op <> 'SNAPSHOT_END'
UNION ALL
SELECT
    {columns},
    dt,
    substr(CAST(cdc_time AS varchar), 12, 2) AS hr
FROM claims"
    );
    statement("changes", text)
}

/// The markers, with instants in the type of `cdc_time`.
fn snapshots() -> Statement {
    // Read as far as milliseconds: a cast would round what is finer, and a snapshot must not start later than it did.
    let instant = |column| format!("CAST(substr(replace(replace({column}, 'T', ' '), 'Z', ''), 1, 23) AS timestamp) AS {column}");
    let (started, completed) = (instant("started_at"), instant("completed_at"));
    let text = format!(
        "\
-- Completed snapshots of the table.
-- Columns: its id (cdc_snapshot_id of its rows), the table, when it started and completed (UTC), how many rows it has, and whether it is of the whole
-- table: then what is not among its rows was not there.
-- Source: snapshot_markers.
CREATE OR REPLACE VIEW snapshots AS
SELECT
    snapshot_id,
    \"table\",
    {started},
    {completed},
    \"rows\",
    coalesce(whole, true) AS whole
FROM snapshot_markers"
    );
    statement("snapshots", text)
}

/// The table's state.
fn current(schema: &TableSchema) -> Statement {
    let keys: Vec<String> = schema.keys.iter().map(|key| quoted(&key.column)).collect();
    let columns = schema.columns.iter().map(|column| quoted(&column.name));
    let kept = ["cdc_extra", "cdc_sequence", "cdc_time", "cdc_op"].map(str::to_owned);
    let columns: Vec<String> = keys.iter().cloned().chain(columns).chain(kept).collect();
    let of_changes = list(&columns.iter().map(|column| format!("changes.{column}")).collect::<Vec<_>>()).replace('\n', "\n    ");
    let (columns, keys) = (list(&columns), keys.join(", "));
    let text = format!(
        "\
-- The table's state: a row for each item that the table holds, as far as the lake knows.
-- Columns: the key and the item's columns; cdc_extra is typed DynamoDB JSON of what has no column; cdc_sequence, cdc_time (UTC) and cdc_op are of the
-- change that made the item what it is, or of the snapshot's row.
-- Source: changes, snapshots.
CREATE OR REPLACE VIEW \"current\" AS
WITH ranked AS (
    -- Snapshots in the order of their starts. Changes have whole seconds, so a start is compared with them in whole seconds.
    SELECT
        snapshot_id,
        whole,
        date_trunc('second', started_at) AS cdc_start,
        row_number() OVER (ORDER BY started_at, completed_at, snapshot_id) AS cdc_layer
    FROM snapshots
),
counted AS (
    -- The latest snapshot of the whole table, and those of a part of it that started later: each stands for the keys that it has.
    SELECT snapshot_id, cdc_start, cdc_layer
    FROM ranked
    WHERE cdc_layer >= (SELECT coalesce(max(cdc_layer), 0) FROM ranked WHERE whole)
),
horizon AS (
    -- What was before the whole snapshot does not count. One row, whose start is null without such a snapshot. Objects are looked for from the day
    -- before on: what Firehose writes lies under the hour of the oldest record in the object, so a change of after midnight may lie under the day before.
    SELECT max(cdc_start) AS cdc_start, coalesce(CAST(CAST(max(cdc_start) - INTERVAL '1' DAY AS date) AS varchar), '') AS cdc_day
    FROM ranked
    WHERE whole
),
candidates AS (
    SELECT
        {of_changes},
        counted.cdc_start,
        counted.cdc_layer
    FROM changes
    CROSS JOIN horizon
    LEFT JOIN counted ON counted.snapshot_id = changes.cdc_snapshot_id
    WHERE changes.dt >= horizon.cdc_day
        AND (horizon.cdc_start IS NULL OR changes.cdc_time >= horizon.cdc_start)
        -- A change of the stream, or what a snapshot that counts found: the item, or that there was none.
        AND (changes.cdc_snapshot_id IS NULL OR (counted.cdc_layer IS NOT NULL AND changes.cdc_op IN ('SNAPSHOT', 'REMOVE')))
),
based AS (
    SELECT candidates.*, max(cdc_start) OVER (PARTITION BY {keys}) AS cdc_base
    FROM candidates
),
placed AS (
    -- Above the latest snapshot that has the key lie the changes since its start, the latest on top; rows of snapshots have sequence zero.
    SELECT based.*, row_number() OVER (PARTITION BY {keys} ORDER BY cdc_sequence DESC, cdc_layer DESC) AS cdc_place
    FROM based
    WHERE cdc_layer IS NOT NULL OR cdc_base IS NULL OR cdc_time >= cdc_base
)
SELECT
    {columns}
FROM placed
WHERE cdc_place = 1 AND cdc_op <> 'REMOVE'"
    );
    statement("current", text)
}

/// The table's state for analysts.
fn silver_current(schema: &TableSchema) -> Statement {
    let item = schema.lake_columns().into_iter().filter(|column| column.meaning.is_none() && !is_old(schema, &column.name));
    let kept = ["cdc_sequence", "cdc_time", "cdc_op"].map(str::to_owned);
    let columns: Vec<String> = item.map(|column| shown(&column)).chain(kept).collect();
    let columns = list(&columns);
    let text = format!(
        "\
-- The table's state for analysts: a row for each item that the table holds, typed by the contract, with classified columns masked.
-- Columns: the key and the item's columns; cdc_sequence, cdc_time (UTC) and cdc_op are of the change that made the item what it is.
-- Source: current.
CREATE OR REPLACE VIEW silver_current AS
SELECT
    {columns}
FROM \"current\""
    );
    statement("silver_current", text)
}

/// The changes of the stream for analysts, each once.
fn silver_changes(schema: &TableSchema, layout: Layout) -> Statement {
    let columns = schema.lake_columns().into_iter().filter(|column| !LEFT_OUT.contains(&column.name.as_str()));
    let columns: Vec<String> = columns.map(|column| shown(&column)).chain(["dt", "hr"].map(str::to_owned)).collect();
    let columns = list(&columns);
    // Where partitions are by the time of the change, copies of a change share one, and a predicate on dt reaches the objects.
    let (copies, order, partition) = match layout {
        Layout::Lake(_) => ("dt, hr, cdc_event_id", "cdc_sequence", "of the change"),
        Layout::Firehose(_) => ("cdc_event_id", "dt, hr", "of the first arrival (of the oldest record in the object)"),
    };
    let text = format!(
        "\
-- The history for analysts: a row for each change of an item, each once, typed by the contract, with classified columns masked. Rows of snapshots, which
-- tell what an item was rather than that it changed, are not among them.
-- Columns: which change it is (cdc_event_id), what was done (cdc_op: INSERT, MODIFY, REMOVE), the order of changes (cdc_sequence), when (cdc_time, UTC),
-- whether the item had expired (cdc_ttl_delete), the names of the attributes that differ, masked columns' included
-- (cdc_changed), the key, the item's columns after the change, and before it (old_); dt and hr are the day and hour (UTC) {partition}.
-- Source: changes.
CREATE OR REPLACE VIEW silver_changes AS
SELECT
    {columns}
FROM (
    SELECT changes.*, row_number() OVER (PARTITION BY {copies} ORDER BY {order}) AS cdc_copy
    FROM changes
    WHERE cdc_snapshot_id IS NULL
) AS numbered
WHERE cdc_copy = 1"
    );
    statement("silver_changes", text)
}

fn statement(name: &str, text: String) -> Statement {
    Statement { name: name.to_owned(), text }
}

/// A column as the silver views show it.
fn shown(column: &LakeColumn) -> String {
    let name = quoted(&column.name);
    match column.kind {
        _ if !column.is_masked() => name,
        LakeType::Text => format!("CASE WHEN {name} IS NOT NULL THEN '{MASK}' END AS {name}"),
        // Null in the column's own type.
        _ => format!("nullif({name}, {name}) AS {name}"),
    }
}

/// Whether a column is the old side of one of the item's.
fn is_old(schema: &TableSchema, name: &str) -> bool {
    name.strip_prefix(OLD_PREFIX).is_some_and(|name| schema.columns.iter().any(|column| column.name == name))
}

/// A name as all engines take it, whatever it is. The lake's own need no quotes.
fn quoted(name: &str) -> String {
    if name.starts_with("cdc_") || name.starts_with("old_cdc_") { name.to_owned() } else { format!("\"{name}\"") }
}

/// One column a line.
fn list(columns: &[String]) -> String {
    columns.join(",\n    ")
}

#[cfg(test)]
mod tests;
