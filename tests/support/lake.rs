//! Judges what has landed by what the stream holds.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::duckdb::Row;
use super::stream::Change;

/// How many differences a failing test shows.
const SHOWN: usize = 10;

/// Panics unless the rows are the changes: each in exactly one row, unaltered, in order, in the partition of its time.
pub(crate) fn assert_every_change_once(rows: &[Row], stream: &[Change]) {
    let found = differences(rows, stream);
    assert!(
        found.is_empty(),
        "{} changes, {} rows, {} differences, such as:\n{}",
        stream.len(),
        rows.len(),
        found.len(),
        found.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n"),
    );
}

/// The changes that no row holds.
pub(crate) fn not_landed<'a>(rows: &[Row], stream: &'a [Change]) -> Vec<&'a Change> {
    let landed: HashSet<&str> = rows.iter().map(|row| row.text("cdc_event_id")).collect();
    stream.iter().filter(|change| !landed.contains(change.event_id.as_str())).collect()
}

fn differences(rows: &[Row], stream: &[Change]) -> Vec<String> {
    let mut found = Vec::new();
    let changes: HashMap<&str, &Change> = stream.iter().map(|change| (change.event_id.as_str(), change)).collect();
    if changes.len() != stream.len() {
        found.push("the stream itself repeats an event id, so it cannot serve as the truth".to_owned());
    }
    let mut objects: HashMap<&str, &str> = HashMap::new();
    for row in rows {
        let id = row.text("cdc_event_id");
        if let Some(first) = objects.insert(id, row.object()) {
            found.push(format!("change {id} landed twice: in {first} and in {}", row.object()));
        }
        match changes.get(id) {
            None => found.push(format!("row {id} in {} is no change of the stream", row.object())),
            Some(change) => found.extend(altered(row, change)),
        }
    }
    found.extend(not_landed(rows, stream).iter().map(|change| format!("not landed: {change:?}")));
    found.extend(disorder(rows));
    found
}

/// What a row says otherwise than the change it stands for.
fn altered(row: &Row, change: &Change) -> Vec<String> {
    let mut columns = vec![("cdc_op", &change.operation), ("cdc_sequence", &change.sequence), ("cdc_shard", &change.shard)];
    columns.extend(change.keys.iter().map(|(name, value)| (name.as_str(), value)));
    let mut found: Vec<String> = columns
        .into_iter()
        .filter(|(column, truth)| row.optional(column) != Some(truth.as_str()))
        .map(|(column, truth)| format!("{column} of {} is {:?}, but the stream says {truth}", change.event_id, row.optional(column)))
        .collect();
    let time = row.text("cdc_time");
    let partition = time.get(..13).and_then(|hour| hour.split_once(' ')).map(|(date, hour)| format!("changes/dt={date}/hr={hour}/"));
    if !partition.is_some_and(|partition| row.object().starts_with(&partition)) {
        found.push(format!("{} of {time} stands in {}", change.event_id, row.object()));
    }
    found
}

/// Where the objects are not contiguous runs of one shard each: rows that do not ascend, shards mixed, runs that overlap.
fn disorder(rows: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    let mut objects: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        objects.entry(row.object()).or_default().push(row);
    }
    let mut runs = Vec::new();
    for (object, rows) in objects {
        let shard = rows[0].text("cdc_shard");
        if rows.iter().any(|row| row.text("cdc_shard") != shard) {
            found.push(format!("{object} holds several shards"));
        }
        if !rows.is_sorted_by(|a, b| a.text("cdc_sequence") < b.text("cdc_sequence")) {
            found.push(format!("the rows of {object} do not ascend by sequence"));
        }
        runs.push((shard, rows[0].text("cdc_sequence"), rows[rows.len() - 1].text("cdc_sequence"), object));
    }
    runs.sort_unstable();
    for pair in runs.windows(2) {
        let ((shard, _, last, object), (next_shard, first, _, next_object)) = (pair[0], pair[1]);
        if shard == next_shard && first <= last {
            found.push(format!("{object} and {next_object} overlap"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &str = "changes/dt=2026-11-21/hr=03/s-0.parquet";

    fn change(n: u8) -> Change {
        Change {
            event_id: format!("e{n}"),
            operation: "INSERT".to_owned(),
            sequence: format!("{n:0>40}"),
            shard: "s".to_owned(),
            created: 1_795_230_000,
            keys: BTreeMap::from([("id".to_owned(), format!("k{n}"))]),
        }
    }

    fn row(n: u8, object: &str) -> Row {
        Row::of([
            ("cdc_event_id", &format!("e{n}")),
            ("cdc_op", "INSERT"),
            ("cdc_sequence", &format!("{n:0>40}")),
            ("cdc_shard", "s"),
            ("cdc_time", "2026-11-21 03:00:00+00"),
            ("id", &format!("k{n}")),
            ("lake_object", object),
        ])
    }

    fn stream() -> Vec<Change> {
        (1..=4).map(change).collect()
    }

    fn only_difference(rows: &[Row], stream: &[Change]) -> String {
        let found = differences(rows, stream);
        assert_eq!(found.len(), 1, "{found:#?}");
        found[0].clone()
    }

    #[test]
    fn equal_is_equal() {
        let second = "changes/dt=2026-11-21/hr=03/s-2.parquet";
        let rows = [row(1, OBJECT), row(2, OBJECT), row(3, second), row(4, second)];
        assert_every_change_once(&rows, &stream());
    }

    #[test]
    fn a_lost_change_is_found() {
        let rows = [row(1, OBJECT), row(2, OBJECT), row(4, OBJECT)];
        assert!(only_difference(&rows, &stream()).starts_with("not landed: Change { event_id: \"e3\""));
    }

    #[test]
    fn a_change_that_landed_twice_is_found() {
        let again = "changes/dt=2026-11-21/hr=03/s-4.parquet";
        let rows = [row(1, OBJECT), row(2, OBJECT), row(3, OBJECT), row(4, OBJECT), row(4, again)];
        assert!(differences(&rows, &stream()).contains(&format!("change e4 landed twice: in {OBJECT} and in {again}")));
    }

    #[test]
    fn a_row_out_of_nowhere_is_found() {
        let rows = [row(1, OBJECT), row(2, OBJECT), row(3, OBJECT), row(4, OBJECT), row(5, OBJECT)];
        assert_eq!(only_difference(&rows, &stream()), format!("row e5 in {OBJECT} is no change of the stream"));
    }

    #[test]
    fn an_altered_row_is_found() {
        let mut truth = stream();
        truth[3].keys.insert("id".to_owned(), "other".to_owned());
        let rows = [row(1, OBJECT), row(2, OBJECT), row(3, OBJECT), row(4, OBJECT)];
        assert_eq!(only_difference(&rows, &truth), "id of e4 is Some(\"k4\"), but the stream says other");
    }

    #[test]
    fn rows_out_of_order_are_found() {
        let rows = [row(1, OBJECT), row(3, OBJECT), row(2, OBJECT), row(4, OBJECT)];
        assert_eq!(only_difference(&rows, &stream()), format!("the rows of {OBJECT} do not ascend by sequence"));
    }

    #[test]
    fn overlapping_runs_are_found() {
        let second = "changes/dt=2026-11-21/hr=03/s-1.parquet";
        let rows = [row(1, OBJECT), row(3, OBJECT), row(2, second), row(4, second)];
        assert_eq!(only_difference(&rows, &stream()), format!("{OBJECT} and {second} overlap"));
    }

    #[test]
    fn a_row_in_the_wrong_hour_is_found() {
        let wrong = "changes/dt=2026-11-21/hr=04/s-3.parquet";
        let rows = [row(1, OBJECT), row(2, OBJECT), row(3, OBJECT), row(4, wrong)];
        assert_eq!(only_difference(&rows, &stream()), format!("e4 of 2026-11-21 03:00:00+00 stands in {wrong}"));
    }
}
