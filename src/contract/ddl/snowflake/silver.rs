//! What analysts may read: typed, each change once, and without what the contract classifies as personal.
//!
//! Views, and not masking policies, because every edition of Snowflake has them. They are secure: nobody who may read them sees what they are made of.
//! `cdc_extra` is left out, because it may hold anything.

use super::words::identifier;
use super::{Statement, data_type, state, statement};
use crate::contract::{LakeColumn, LakeType, TableSchema};

/// The classification of columns whose values are masked.
const PERSONAL: &str = "PII";
/// Stands for a text that there is.
const MASK: &str = "'***'";

const EXTRA: [&str; 2] = ["cdc_extra", "old_cdc_extra"];

pub(super) fn statements(schema: &TableSchema, columns: &[LakeColumn]) -> Vec<Statement> {
    let current = state::columns(schema, columns);
    let current = select(schema, &current, "current_items", "");
    let all: Vec<_> = columns.iter().collect();
    // A file that is loaded twice, and Firehose, bring copies of a change.
    let once = "\nQUALIFY ROW_NUMBER() OVER (PARTITION BY cdc_event_id ORDER BY cdc_time) = 1";
    let changes = select(schema, &all, "changes", once);
    vec![
        view("silver_current", "The items, personal columns masked: whether there is a value is kept, the value is not.", &current),
        view("silver_changes", "Every change once, masked likewise.", &changes),
    ]
}

fn view(name: &str, what: &str, select: &str) -> Statement {
    statement(name, format!("-- {what}\nCREATE SECURE VIEW IF NOT EXISTS {name} AS\n{select}"))
}

fn select(schema: &TableSchema, columns: &[&LakeColumn], from: &str, rest: &str) -> String {
    let shown = columns.iter().filter(|column| !EXTRA.contains(&column.name.as_str()));
    let list: Vec<_> = shown.map(|column| format!("  {}", masked(schema, column))).collect();
    format!("SELECT\n{}\nFROM {from}{rest}", list.join(",\n"))
}

fn masked(schema: &TableSchema, column: &LakeColumn) -> String {
    let name = identifier(&column.name);
    if !column.classification.as_deref().is_some_and(|class| class.eq_ignore_ascii_case(PERSONAL)) {
        return name;
    }
    if schema.keys.iter().any(|key| key.column == column.name) {
        // Rows of one item still belong together.
        return format!("SHA2({name}, 256) AS {name}");
    }
    match column.kind {
        LakeType::Text => format!("CASE WHEN {name} IS NOT NULL THEN {MASK} END AS {name}"),
        kind => format!("CAST(NULL AS {}) AS {name}", data_type(kind)),
    }
}
