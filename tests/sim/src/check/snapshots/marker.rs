//! What is written of a snapshot beside its rows: the marker in the lake, the announcement in Kinesis, the notes between them. snapshot-complete.

use bytes::Bytes;

use super::{Marker, State};
use crate::check::consumer::Fate;
use crate::check::stored::Content;
use crate::check::{Checker, Invariant};
use crate::journal::Entry;

/// How late a read that is not consistent may be, in milliseconds.
const LATEST_READ: i64 = 1_000;

impl Checker {
    /// A marker was written: `name` is its place in the folder of markers.
    pub(in crate::check) fn marker_written(&mut self, entry: &Entry, name: &str, body: &Bytes, replaced: Option<&Bytes>) {
        if let Some(wrong) = self.wrong_with_marker(entry, name, body, replaced) {
            let what = format!("{} wrote the marker {name}: {wrong}", entry.worker);
            self.findings.violate(Invariant::SnapshotComplete, entry.at, what);
        }
    }

    fn wrong_with_marker(&mut self, entry: &Entry, name: &str, body: &Bytes, replaced: Option<&Bytes>) -> Option<String> {
        let Some(marker) = Marker::read(body) else { return Some("it cannot be read".to_owned()) };
        if name.strip_suffix(".json") != Some(&marker.snapshot) {
            return Some(format!("it is that of {}", marker.snapshot));
        }
        let Some(known) = self.snapshots.known.get_mut(&marker.snapshot) else { return Some("nobody asked for it".to_owned()) };
        let Some(item) = &known.item else { return Some("nobody asked for it".to_owned()) };
        if !matches!(item.state, State::Completing | State::Completed) {
            return Some(format!("the snapshot is {:?}", item.state));
        }
        if (item.started_at, item.whole) != (Some(marker.started_at), marker.whole) {
            return Some(format!("it says {marker:?}, the snapshot's item {item:?}"));
        }
        if let Some(first) = &known.marker {
            self.findings.count("markers written again");
            return (replaced.is_some_and(|replaced| replaced != body) || *first != marker).then(|| format!("it said {first:?} before"));
        }
        let Some(running_since) = known.running_since else { return Some("it never ran".to_owned()) };
        let (is_consistent, is_damaged) = (item.consistent, known.is_damaged);
        known.marker = Some(marker.clone());
        let is_lake = self.kinesis.as_ref().is_none_or(|stored| stored.consumer.table.is_some());
        let is_there = |row: &super::Row| if is_lake { row.landed > 0 } else { row.is_durable(true, entry.at) };
        let of_it = self.snapshots.rows.iter().filter(|row| row.snapshot == marker.snapshot && is_there(row)).count();
        if u64::try_from(of_it) != Ok(marker.rows) {
            // A row that is sent again is counted again. One that landed from a page which another worker then read without it is not counted.
            if self.kinesis.is_none() && !is_damaged && u64::try_from(of_it).is_ok_and(|of_it| marker.rows > of_it) {
                return Some(format!("it says {} rows, and {of_it} have landed", marker.rows));
            }
            self.findings.count("markers with another number of rows");
        }
        if !marker.whole || is_damaged {
            return None;
        }
        let from = if is_consistent { running_since } else { running_since - LATEST_READ };
        let mut there = self.timeline.there_throughout(from, entry.at);
        let missed = there.find(|key| self.snapshots.row(&marker.snapshot, key).is_none_or(|row| !is_there(row)));
        missed.map(|key| format!("the item {key:?} was in the table all the time and has no row"))
    }

    /// A note was written: `name` is its place in the folder of notes.
    pub(in crate::check) fn note_written(&mut self, entry: &Entry, name: &str) {
        let Some((id, range)) = name.split_once('/') else { return };
        let hash_key = |text: &str| u128::from_str_radix(text, 16).ok();
        let Some((Some(start), Some(end))) = range.split_once('-').map(|(start, end)| (hash_key(start), hash_key(end))) else { return };
        let Some(known) = self.snapshots.known.get_mut(id) else { return };
        known.parts.push((start, end));
        let announced = known.announced;
        self.findings.count("parts of snapshots noted");
        let Some(stored) = &mut self.kinesis else { return };
        let Some(announced) = announced else {
            let what = format!("{} noted {name} of a snapshot that was not announced", entry.worker);
            self.findings.violate(Invariant::SnapshotComplete, entry.at, what);
            return;
        };
        let is_of_it = |content: &Option<Content>| match content {
            Some(Content::Row(row)) => self.snapshots.rows[*row].snapshot == id,
            _ => false,
        };
        let pending = stored.users[..announced].iter().zip(&stored.consumer.records).find(|(user, record)| {
            is_of_it(&user.content) && !user.is_stray && (start..=end).contains(&user.hash_key) && record.fate == Fate::Pending
        });
        if let Some((_, record)) = pending {
            let what = format!("{} noted {name} while the row at {} of {} has not landed", entry.worker, record.position, record.shard);
            self.findings.violate(Invariant::SnapshotComplete, entry.at, what);
        }
        for (number, user) in stored.users.iter().enumerate() {
            let is_told = matches!(&user.content, Some(Content::Announcement { snapshot, .. }) if snapshot == id);
            if is_told && (start..=end).contains(&user.hash_key) {
                stored.consumer.settle(number, entry.at);
            }
        }
    }

    /// A snapshot was announced in Kinesis, by the user record of that number. Whoever delivers it is done with it when its note is written, and at once
    /// where it came into another shard than it was meant for.
    pub(in crate::check) fn announced(&mut self, entry: &Entry, described: &str, id: &str, record: usize, is_meant: bool) {
        self.findings.count("announcements of snapshots");
        let known = self.snapshots.known.entry(id.to_owned()).or_default();
        known.announced.get_or_insert(record);
        let is_due = matches!(known.state(), Some(State::Completing | State::Completed));
        if let Some(stored) = &mut self.kinesis {
            let hash_key = stored.users[record].hash_key;
            if !is_meant || known.parts.iter().any(|(start, end)| (start..=end).contains(&&hash_key)) {
                stored.consumer.settle(record, entry.at);
            }
        }
        if !is_due {
            let what = format!("{described} announces the snapshot {id}, whose rows are not all durable");
            self.findings.violate(Invariant::SnapshotComplete, entry.at, what);
        }
    }
}
