//! What analysts may read: typed, each change once, and without what the contract classifies.
//!
//! Views, and not masking policies, because every edition of Snowflake has them. They are secure: nobody who may read them sees what they are made of.
//! What is masked and what is left out is as in the views of the other engines.

use super::words::identifier;
use super::{Statement, data_type, state, statement};
use crate::contract::{LakeColumn, LakeType, TableSchema};

/// Classifications that are shown. Every other word is masked: one that nobody thought of must not publish what it protects.
const SHOWN: [&str; 2] = ["public", "internal"];
/// Stands for a text that there is.
const MASK: &str = "'***'";

/// What tells of the lake's working, or may hold anything.
const LEFT_OUT: [&str; 5] = ["cdc_table", "cdc_shard", "cdc_snapshot_id", "cdc_extra", "old_cdc_extra"];

pub(super) fn statements(schema: &TableSchema, columns: &[LakeColumn]) -> Vec<Statement> {
    let current = select(&state::columns(schema, columns), "current_items", "");
    let all: Vec<_> = columns.iter().collect();
    // A file that is loaded twice, and Firehose, bring copies of a change.
    let once = "\nQUALIFY ROW_NUMBER() OVER (PARTITION BY cdc_event_id ORDER BY cdc_time) = 1";
    let changes = select(&all, &identifier("changes"), once);
    vec![
        view("silver_current", "The items, classified columns masked: whether there is a text is kept, the text is not.", &current),
        view("silver_changes", "Every change once, masked likewise.", &changes),
    ]
}

fn view(name: &str, what: &str, select: &str) -> Statement {
    statement(name, format!("-- {what}\nCREATE SECURE VIEW IF NOT EXISTS {name} AS\n{select}"))
}

fn select(columns: &[&LakeColumn], from: &str, rest: &str) -> String {
    let shown = columns.iter().filter(|column| !LEFT_OUT.contains(&column.name.as_str()));
    let list: Vec<_> = shown.map(|column| format!("  {}", masked(column))).collect();
    format!("SELECT\n{}\nFROM {from}{rest}", list.join(",\n"))
}

fn masked(column: &LakeColumn) -> String {
    let name = identifier(&column.name);
    let shown = |class: &str| SHOWN.iter().any(|shown| class.trim().eq_ignore_ascii_case(shown));
    match (&column.classification, column.kind) {
        (None, _) => name,
        (Some(class), _) if shown(class) => name,
        (Some(_), LakeType::Text) => format!("CASE WHEN {name} IS NOT NULL THEN {MASK} END AS {name}"),
        (Some(_), kind) => format!("CAST(NULL AS {}) AS {name}", data_type(kind)),
    }
}
