//! The table's state, kept by a task: one row for each item.
//!
//! The task asks, of each key that anything arrived of, what all of its rows together say, and makes the item's row so. It compares nothing with what
//! that row was: a late change with a lower sequence is one candidate more, which loses, and a repeated one is no other candidate. So the order of
//! files does not matter, the statement may be repeated at any time, and no tombstones are needed. When a snapshot completes, every key is asked: what
//! is not in it, and was not changed since its start, is no longer there.
//!
//! A marker that is loaded before all rows of its snapshot hides the items whose rows are still to come: they are gone until these are loaded, and back
//! with the task's next run. That lasts as long as a pipe lags behind another, and where Firehose writes the lake as long as Firehose may deliver later.

use super::words::identifier;
use super::{Statement, data_type, statement};
use crate::contract::{LakeColumn, LakeType, TableSchema};

/// What a state says besides the item, as in `headwater query`.
const METADATA: [&str; 3] = ["cdc_sequence", "cdc_time", "cdc_op"];
/// Which change a row comes from: it tells whether an item's row is that of another change.
const EVENT: &str = "cdc_event_id";

const TASK: &str = "merge_current_items";

/// The columns of the state, in order: keys, the item's, what has no column, and of which change they are.
pub(super) fn columns<'c>(schema: &TableSchema, columns: &'c [LakeColumn]) -> Vec<&'c LakeColumn> {
    let keys = schema.keys.iter().map(|key| key.column.as_str());
    let items = schema.columns.iter().map(|column| column.name.as_str());
    let names = keys.chain(items).chain(["cdc_extra"]).chain(METADATA);
    names.filter_map(|name| columns.iter().find(|column| column.name == name)).collect()
}

/// `kind` is what `changes` is: TABLE or VIEW.
pub(super) fn statements(schema: &TableSchema, all: &[LakeColumn], kind: &str) -> Vec<Statement> {
    let columns = columns(schema, all);
    vec![
        table(schema, &columns),
        view(&columns),
        stream("arrived_changes", &format!("{kind} {}", identifier("changes")), "The changes that arrived since the task ran last."),
        stream("arrived_markers", "TABLE snapshot_markers", "The snapshots that completed since then."),
        task(schema, &columns),
    ]
}

/// Tasks are created suspended.
pub(super) fn resume() -> Statement {
    statement("start", format!("ALTER TASK {TASK} RESUME"))
}

fn table(schema: &TableSchema, columns: &[&LakeColumn]) -> Statement {
    let mut lines: Vec<String> = columns
        .iter()
        .map(|column| {
            let required = if column.nullable { "" } else { " NOT NULL" };
            format!("  {} {}{required}", identifier(&column.name), data_type(column.kind))
        })
        .collect();
    lines.push(format!("  {EVENT} {} NOT NULL", data_type(LakeType::Text)));
    lines.push(format!("  PRIMARY KEY ({})", keys(schema, "").join(", ")));
    let text = format!(
        "-- One row for each item that there is. Follows from changes and snapshots: to make it anew, truncate it and run CREATE OR REPLACE STREAM\n\
         -- arrived_changes with SHOW_INITIAL_ROWS = TRUE, which is also what a stream needs that was left unread for too long.\n\
         CREATE TABLE IF NOT EXISTS current_items (\n{}\n)",
        lines.join(",\n")
    );
    statement("current_items", text)
}

fn view(columns: &[&LakeColumn]) -> Statement {
    let list: Vec<_> = columns.iter().map(|column| format!("  {}", identifier(&column.name))).collect();
    let text = format!(
        "-- The items, with the columns that they have in headwater query. CURRENT is one of Snowflake's own words, hence the quotes.\n\
         CREATE VIEW IF NOT EXISTS {} AS\nSELECT\n{}\nFROM current_items",
        identifier("current"),
        list.join(",\n")
    );
    statement("current", text)
}

fn stream(name: &str, of: &str, what: &str) -> Statement {
    statement(name, format!("-- {what}\nCREATE STREAM IF NOT EXISTS {name}\n  ON {of}\n  APPEND_ONLY = TRUE"))
}

fn task(schema: &TableSchema, columns: &[&LakeColumn]) -> Statement {
    let text = format!(
        "-- Asks of each key that anything arrived of what all its rows say, and makes the item's row so. It never compares with what the row was:\n\
         -- a late change loses against the later one that is there, a repeated one changes nothing, whatever the order of files.\n\
         -- When a snapshot completes, every key is asked, so that items which it does not have go. So do those whose rows are loaded after the marker,\n\
         -- until they are.\n\
         CREATE TASK IF NOT EXISTS {TASK}\n  \
           SCHEDULE = '1 MINUTE'\n  \
           USER_TASK_MANAGED_INITIAL_WAREHOUSE_SIZE = 'XSMALL'\n  \
           WHEN SYSTEM$STREAM_HAS_DATA('arrived_changes') OR SYSTEM$STREAM_HAS_DATA('arrived_markers')\n\
         AS\n{}",
        merge(schema, columns)
    );
    statement(TASK, text)
}

/// A snapshot row has the sequence zero, so the order by sequence alone puts it below the changes since its start. Names that stand among the item's
/// columns begin with `cdc_`, as none of those does.
fn merge(schema: &TableSchema, columns: &[&LakeColumn]) -> String {
    let plain = keys(schema, "").join(", ");
    let same = |left: &str, right: &str| {
        let pairs = keys(schema, "").into_iter().map(|key| format!("{left}.{key} = {right}.{key}"));
        pairs.collect::<Vec<_>>().join(" AND ")
    };
    let values: Vec<String> = columns
        .iter()
        .map(|column| identifier(&column.name))
        .filter(|name| !keys(schema, "").contains(name) && name != "cdc_op")
        .chain([EVENT.to_owned()])
        .collect();
    let list = |prefix: &str, names: &[String], indent: &str| {
        names.iter().map(|name| format!("{indent}{prefix}{name}")).collect::<Vec<_>>().join(",\n")
    };
    let all = [keys(schema, ""), values.clone(), vec!["cdc_op".to_owned()]].concat();
    let set: Vec<String> = values.iter().chain(["cdc_op".to_owned()].iter()).map(|name| format!("{name} = word.{name}")).collect();
    let change_keys = keys(schema, "change.").join(", ");
    format!(
        "MERGE INTO current_items AS item
USING (
  WITH marked AS (
    SELECT
      snapshot_id,
      whole,
      DATE_TRUNC('SECOND', started_at) AS start_time,
      ROW_NUMBER() OVER (ORDER BY started_at, completed_at, snapshot_id) AS layer
    FROM snapshots
  ),
  -- The latest snapshot of the whole table, and those of parts of it that started later.
  counted AS (
    SELECT snapshot_id, start_time, layer
    FROM marked
    WHERE layer >= (SELECT COALESCE(MAX(CASE WHEN whole THEN layer END), 0) FROM marked)
  ),
  touched AS (
    SELECT {plain} FROM arrived_changes
    UNION
    SELECT {plain} FROM {changes} WHERE EXISTS (SELECT 1 FROM arrived_markers)
    UNION
    SELECT {plain} FROM current_items WHERE EXISTS (SELECT 1 FROM arrived_markers)
  ),
  -- Of each key the rows that count, and which snapshot is its base: of those that have it, the one that started last.
  candidates AS (
    SELECT
{candidate_columns},
      counted.layer AS cdc_layer,
      MAX(counted.layer) OVER (PARTITION BY {change_keys}) AS cdc_base_layer,
      MAX(counted.start_time) OVER (PARTITION BY {change_keys}) AS cdc_base_time
    FROM {changes} AS change
    INNER JOIN touched ON {touched_change}
    LEFT JOIN counted ON counted.snapshot_id = change.cdc_snapshot_id
    WHERE (change.cdc_snapshot_id IS NULL OR (counted.layer IS NOT NULL AND change.cdc_op IN ('SNAPSHOT', 'REMOVE')))
      AND change.cdc_time >= (
        SELECT COALESCE(MAX(CASE WHEN whole THEN start_time END), '1970-01-01T00:00:00Z'::TIMESTAMP_LTZ) FROM marked
      )
  ),
  words AS (
    SELECT *
    FROM candidates
    WHERE cdc_layer = cdc_base_layer OR (cdc_layer IS NULL AND (cdc_base_time IS NULL OR cdc_time >= cdc_base_time))
    QUALIFY ROW_NUMBER() OVER (PARTITION BY {plain} ORDER BY cdc_sequence DESC) = 1
  )
  -- Of a key that nothing is said of any more there is no item.
  SELECT
{touched_keys},
{word_columns},
    COALESCE(words.cdc_op, 'REMOVE') AS cdc_op
  FROM touched
  LEFT JOIN words ON {words_touched}
) AS word
ON {item_word}
WHEN MATCHED AND word.cdc_op = 'REMOVE' THEN DELETE
WHEN MATCHED AND item.{EVENT} <> word.{EVENT} THEN UPDATE SET
{set}
WHEN NOT MATCHED AND word.cdc_op <> 'REMOVE' THEN INSERT (
{insert}
) VALUES (
{insert_values}
)",
        changes = identifier("changes"),
        candidate_columns = list("change.", &all, "      "),
        touched_change = same("touched", "change"),
        touched_keys = list("touched.", &keys(schema, ""), "    "),
        word_columns = list("words.", &values, "    "),
        words_touched = same("words", "touched"),
        item_word = same("item", "word"),
        set = list("", &set, "  "),
        insert = list("", &all, "  "),
        insert_values = list("word.", &all, "  "),
    )
}

fn keys(schema: &TableSchema, prefix: &str) -> Vec<String> {
    schema.keys.iter().map(|key| format!("{prefix}{}", identifier(&key.column))).collect()
}
