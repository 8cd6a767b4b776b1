//! Judges what has landed by what the stream holds.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::duckdb::Row;
use super::stream::Change;

/// How many differences a failing test shows.
const SHOWN: usize = 10;

/// Panics unless the rows are the changes: each in exactly one row, unaltered, in order, in the partition of its time.
pub(crate) fn assert_every_change_once(rows: &[Row], stream: &[Change]) {
    assert_none(&differences(rows, stream), rows, stream);
}

/// Panics unless the rows are the changes: each in at least one row, unaltered, and in further rows only as a whole. Returns how many rows
/// are copies of others.
pub(crate) fn assert_every_change(rows: &[Row], stream: &[Change]) -> usize {
    let (found, copies) = differences_but_copies(rows, stream);
    assert_none(&found, rows, stream);
    copies
}

/// Panics unless each item's changes came through Kinesis in the order of the table's stream: in each shard, and from a shard to those that
/// continue it. Only the first appearance of a change counts. `key` is the item's key column.
pub(crate) fn assert_items_in_order(rows: &[Row], stream: &[Change], key: &str) {
    assert_none(&items_out_of_order(rows, key), rows, stream);
}

fn assert_none(found: &[String], rows: &[Row], stream: &[Change]) {
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
            Some(change) => found.extend(altered(row, change).into_iter().chain(misplaced(row))),
        }
    }
    found.extend(not_landed(rows, stream).iter().map(|change| format!("not landed: {change:?}")));
    found.extend(disorder(rows));
    found
}

/// The differences when a change may be in several rows, and how many rows are copies of others.
fn differences_but_copies(rows: &[Row], stream: &[Change]) -> (Vec<String>, usize) {
    let mut firsts: HashMap<&str, &Row> = HashMap::new();
    let mut found = Vec::new();
    for row in rows {
        let id = row.text("cdc_event_id");
        let first = firsts.entry(id).or_insert(row);
        if !row.equals(first) {
            found.push(format!("change {id} is not in {} what it is in {}", row.object(), first.object()));
        }
    }
    let copies = rows.len() - firsts.len();
    for change in stream {
        match firsts.remove(change.event_id.as_str()) {
            None => found.push(format!("not landed: {change:?}")),
            Some(row) => found.extend(altered(row, change)),
        }
    }
    found.extend(firsts.into_iter().map(|(id, row)| format!("row {id} in {} is no change of the stream", row.object())));
    (found, copies)
}

/// Items whose changes stand in another order than they were made in.
fn items_out_of_order(rows: &[Row], key: &str) -> Vec<String> {
    let mut in_order: Vec<(Run, &Row)> = rows.iter().map(|row| (Run::of(row.object()), row)).collect();
    // Stable: within an object the rows stay as they stand there.
    in_order.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut seen = HashSet::new();
    let mut last: HashMap<&str, &Row> = HashMap::new();
    let mut found = Vec::new();
    for (_, row) in in_order {
        if seen.insert(row.text("cdc_event_id"))
            && let Some(before) = last.insert(row.text(key), row)
            && before.text("cdc_sequence") >= row.text("cdc_sequence")
        {
            let [a, b] = [before, row].map(|row| format!("{} in {}", row.text("cdc_sequence"), row.object()));
            found.push(format!("of item {} change {a} comes before {b}", row.text(key)));
        }
    }
    found
}

/// Where an object's rows stand in a Kinesis stream: the number of the shard, which is greater than those of the shards that it continues, and
/// the position that the rows come behind, as a sequence number of 56 digits and the place in an aggregated record.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    shard: String,
    sequence: String,
    sub: String,
}

impl Run {
    /// Takes `…/<account>.<stream>.<creation>.shardId-<number>-<position>.parquet` apart.
    fn of(object: &str) -> Self {
        let name = object.rsplit('/').next().and_then(|name| name.strip_suffix(".parquet"));
        let parts = name.and_then(|name| name.rsplit_once(".shardId-")).and_then(|(_, shard)| shard.split_once('-'));
        let (shard, position) = parts.unwrap_or_else(|| panic!("{object} is not named after a shard of a Kinesis stream"));
        // Short positions have no place: none is in an aggregated record, or it is the first.
        let (sequence, sub) = position.split_at_checked(56).unwrap_or((position, "0"));
        Self { shard: shard.to_owned(), sequence: format!("{sequence:0>56}"), sub: format!("{sub:0>8}") }
    }
}

/// What a row says otherwise than the change it stands for.
fn altered(row: &Row, change: &Change) -> Vec<String> {
    let mut columns = vec![("cdc_op", &change.operation), ("cdc_sequence", &change.sequence), ("cdc_shard", &change.shard)];
    columns.extend(change.keys.iter().map(|(name, value)| (name.as_str(), value)));
    columns
        .into_iter()
        .filter(|(column, truth)| row.optional(column) != Some(truth.as_str()))
        .map(|(column, truth)| format!("{column} of {} is {:?}, but the stream says {truth}", change.event_id, row.optional(column)))
        .collect()
}

/// Where a row stands if that is not the partition of its time.
fn misplaced(row: &Row) -> Option<String> {
    let time = row.text("cdc_time");
    let partition = time.get(..13).and_then(|hour| hour.split_once(' ')).map(|(date, hour)| format!("changes/dt={date}/hr={hour}/"));
    let right = partition.is_some_and(|partition| row.object().starts_with(&partition));
    (!right).then(|| format!("{} of {time} stands in {}", row.text("cdc_event_id"), row.object()))
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

    fn through_kinesis(n: u8, item: &str, run: &str) -> Row {
        let object = format!("changes/dt=2026-11-21/hr=03/000000000000.sales-orders.1795230000.shardId-{run}.parquet");
        Row::of([("cdc_event_id", &format!("e{n}")), ("cdc_sequence", &format!("{n:0>40}")), ("id", item), ("lake_object", &object)])
    }

    fn long(sequence: u8, sub: u8) -> String {
        format!("{sequence:0>56}{sub:0>8}")
    }

    #[test]
    fn a_copy_of_a_change_is_counted_and_must_be_the_same() {
        let mut rows = vec![row(1, OBJECT), row(2, OBJECT), row(3, OBJECT), row(4, OBJECT), row(4, "elsewhere")];
        assert_eq!(assert_every_change(&rows, &stream()), 1);
        rows.push(Row::of([("cdc_event_id", "e4"), ("lake_object", "third")]));
        assert_eq!(differences_but_copies(&rows, &stream()).0, [format!("change e4 is not in third what it is in {OBJECT}")]);
    }

    #[test]
    fn among_copies_what_is_lost_altered_or_out_of_nowhere_is_found() {
        let mut truth = stream();
        truth[0].operation = "REMOVE".to_owned();
        let (found, copies) = differences_but_copies(&[row(1, OBJECT), row(2, OBJECT), row(3, OBJECT), row(5, OBJECT)], &truth);
        assert_eq!((found.len(), copies), (3, 0), "{found:#?}");
        assert!(found[0].starts_with("cdc_op of e1") && found[1].starts_with("not landed") && found[2].starts_with("row e5"), "{found:#?}");
    }

    #[test]
    fn an_item_s_changes_stand_in_the_order_of_shards_and_positions() {
        let (first, second) = ("000000000000", "000000000002");
        let rows = [
            through_kinesis(5, "a", &format!("{second}-{:0>40}", 0)),
            through_kinesis(4, "a", &format!("{first}-{}", long(9, 2))),
            through_kinesis(1, "a", &format!("{first}-{:0>40}", 0)),
            through_kinesis(3, "b", &format!("{first}-{:0>40}", 0)),
            through_kinesis(2, "a", &format!("{first}-{:0>40}", 9)),
            // A copy that comes late.
            through_kinesis(1, "a", &format!("{second}-{}", long(20, 1))),
        ];
        assert!(items_out_of_order(&rows, "id").is_empty());
    }

    #[test]
    fn an_item_s_changes_in_another_order_are_found() {
        let run = format!("000000000001-{:0>40}", 0);
        let found = items_out_of_order(&[through_kinesis(2, "a", &run), through_kinesis(1, "a", &run)], "id");
        assert!(found.len() == 1 && found[0].starts_with("of item a change "), "{found:?}");
        let child = format!("000000000002-{:0>40}", 0);
        assert_eq!(items_out_of_order(&[through_kinesis(1, "a", &child), through_kinesis(2, "a", &run)], "id").len(), 1);
    }
}
