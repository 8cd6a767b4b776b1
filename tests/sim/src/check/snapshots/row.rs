//! What rows of snapshots tell: snapshot-exact, snapshot-land-once, exact-values.

use super::super::landing::hour;
use crate::check::rows;
use crate::check::{Checker, Invariant};
use crate::item::Item;
use crate::journal::Entry;

/// A row of a snapshot: what it says of one key.
#[derive(Debug)]
pub(in crate::check) struct Row {
    pub(super) snapshot: String,
    /// The segment that it comes from.
    pub(super) shard: String,
    event_id: String,
    /// In how many rows of committed objects it is.
    pub(super) landed: u32,
    /// Since when its sender can know that Kinesis has stored it (milliseconds since the epoch).
    pub(in crate::check) acknowledged: Option<i64>,
}

impl Row {
    /// Whether its worker can know that it is durable in the route.
    pub(super) fn is_durable(&self, through_kinesis: bool, now: i64) -> bool {
        if through_kinesis { self.acknowledged.is_some_and(|since| since <= now) } else { self.landed > 0 }
    }
}

impl Checker {
    /// Judges a row of a snapshot, wherever it is seen, and gives its number. None when it is of no snapshot that ever began.
    pub(in crate::check) fn snapshot_row(&mut self, entry: &Entry, described: &str, row: &rows::Row) -> Option<usize> {
        let id = row.snapshot.as_deref()?;
        let Some(started_at) = self.snapshots.known.get(id).and_then(super::Known::started_at) else {
            let what = format!("{described} is a row of the snapshot {id}, which never began");
            self.findings.violate(Invariant::SnapshotExact, entry.at, what);
            return None;
        };
        if let Some(difference) = difference(row, &self.subject.table, id, started_at) {
            self.findings.violate(Invariant::ExactValues, entry.at, format!("{described}: {difference}"));
        }
        let image: Option<Item> = (row.operation != "REMOVE").then(|| row.image());
        if !self.timeline.was(&row.keys, image.as_ref(), started_at * 1000, entry.at) {
            let what = format!("{described} shows {:?} as {image:?}, which it never was from {started_at} on", row.keys);
            self.findings.violate(Invariant::SnapshotExact, entry.at, what);
        }
        let number = self.snapshots.find(id, &row.keys).unwrap_or_else(|| self.add_row(id, row));
        if self.snapshots.rows[number].event_id != row.event_id {
            let what = format!("{described} has the event id {}, and another row of its key has another", row.event_id);
            self.findings.violate(Invariant::SnapshotLandOnce, entry.at, what);
        }
        Some(number)
    }

    fn add_row(&mut self, id: &str, row: &rows::Row) -> usize {
        let number = self.snapshots.rows.len();
        self.snapshots.by_key.insert((id.to_owned(), row.keys.clone()), number);
        let (snapshot, shard, event_id) = (id.to_owned(), row.shard.clone(), row.event_id.clone());
        self.snapshots.rows.push(Row { snapshot, shard, event_id, landed: 0, acknowledged: None });
        number
    }

    /// A row of a snapshot is in a committed object.
    pub(in crate::check) fn snapshot_row_landed(&mut self, entry: &Entry, name: &str, row: &rows::Row) {
        let described = format!("a row in {name}");
        let was_stored = self.snapshots.find(row.snapshot.as_deref().unwrap_or_default(), &row.keys).is_some();
        let Some(number) = self.snapshot_row(entry, &described, row) else { return };
        self.findings.count("snapshot rows landed");
        let landed = &mut self.snapshots.rows[number];
        landed.landed += 1;
        let (times, id) = (landed.landed, landed.snapshot.clone());
        if self.kinesis.is_some() && !was_stored {
            let what = format!("{described} shows {:?} for the snapshot {id}, which was never in Kinesis", row.keys);
            self.findings.violate(Invariant::ExactValues, entry.at, what);
        }
        if self.kinesis.is_none() && times > 1 {
            let what = format!("{:?} of the snapshot {id} landed again, in {name}", row.keys);
            self.findings.violate(Invariant::SnapshotLandOnce, entry.at, what);
        }
        // Sent by a worker that had lost its segment, of an item that the one behind it no longer found. What was there all the time must have its row
        // by the time of the marker: that is judged there.
        if times == 1 && self.snapshots.known.get(&id).is_some_and(|known| known.marker.is_some() && !known.is_damaged) {
            self.findings.count("snapshot rows landed first behind the marker");
        }
        // Where a shard's run is open already the row joins it; it never comes to lie in an hour before its own.
        let earliest = hour(row.time.div_euclid(1000));
        if name.get(..earliest.len()).is_none_or(|partition| partition < earliest.as_str()) {
            let what = format!("{:?} of the snapshot {id} is in {name}, before {earliest}", row.keys);
            self.findings.violate(Invariant::ExactValues, entry.at, what);
        }
    }

    /// Somebody deleted a row's object.
    pub(in crate::check) fn snapshot_row_deleted(&mut self, row: &rows::Row) {
        let Some(id) = row.snapshot.as_deref() else { return };
        if let Some(number) = self.snapshots.find(id, &row.keys) {
            self.snapshots.rows[number].landed = 0;
        }
        if let Some(known) = self.snapshots.known.get_mut(id) {
            known.is_damaged = true;
        }
    }
}

/// What is wrong with a row beside its image.
fn difference(row: &rows::Row, table: &str, id: &str, started_at: i64) -> Option<String> {
    let differs =
        |what: &str, is: &dyn std::fmt::Debug, expected: &dyn std::fmt::Debug| Some(format!("{what} is {is:?}, not {expected:?}"));
    if !matches!(row.operation.as_str(), "SNAPSHOT" | "REMOVE") {
        return differs("cdc_op", &row.operation, &"SNAPSHOT");
    }
    if row.time != started_at * 1000 {
        return differs("cdc_time", &row.time, &(started_at * 1000));
    }
    if row.table != table {
        return differs("cdc_table", &row.table, &table);
    }
    if row.sequence.as_str().bytes().any(|digit| digit != b'0') {
        return differs("cdc_sequence", &row.sequence, &"0");
    }
    if !row.shard.starts_with(&format!("snapshot-{id}-")) {
        return differs("cdc_shard", &row.shard, &"a segment of the snapshot");
    }
    let beside = (row.ttl_delete, &row.changed, &row.old, &row.claim);
    if beside != (false, &Vec::new(), &Item::new(), &None) {
        return differs("what only changes have", &beside, &"nothing");
    }
    if row.operation == "REMOVE" && !row.new.is_empty() {
        return differs("the image of an absent item", &row.new, &"nothing");
    }
    let is_hash = row.event_id.len() == 32 && row.event_id.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_hash { None } else { differs("cdc_event_id", &row.event_id, &"32 hexadecimal digits") }
}
