//! What analysts may read: typed, each change once, and without what the contract classifies.
//!
//! Views, and not masking policies, because every edition of Snowflake has them. They are secure: nobody who may read them sees what they are made of.
//! What is masked and what is left out is as in the views of the other engines.

use super::words::identifier;
use super::{Statement, data_type, state, statement};
use crate::contract::ddl::{LEFT_OUT, MASK};
use crate::contract::{LakeColumn, LakeType, TableSchema};

pub(super) fn statements(schema: &TableSchema, columns: &[LakeColumn]) -> Vec<Statement> {
    let current = select(&state::columns(schema, columns), "current_items", "");
    let all: Vec<_> = columns.iter().collect();
    // A file that is loaded twice, and Firehose, bring copies of a change.
    let once = "\nWHERE cdc_snapshot_id IS NULL\nQUALIFY ROW_NUMBER() OVER (PARTITION BY cdc_event_id ORDER BY cdc_time) = 1";
    let changes = select(&all, &identifier("changes"), once);
    vec![
        view("silver_current", "The items, classified columns masked: whether there is a text is kept, the text is not.", &current),
        view(
            "silver_changes",
            "Every change of the stream once, masked likewise; not the rows of snapshots. cdc_changed shows names of attributes.",
            &changes,
        ),
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
    match column.kind {
        _ if !column.is_masked() => name,
        LakeType::Text => format!("CASE WHEN {name} IS NOT NULL THEN '{MASK}' END AS {name}"),
        kind => format!("CAST(NULL AS {}) AS {name}", data_type(kind)),
    }
}
