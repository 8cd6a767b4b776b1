//! What committed objects tell: land-once, item-order, exact-values.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::consumer::Fate;
use super::rows::{self, Row};
use super::{Checker, Invariant, item_name};
use crate::journal::Entry;
use crate::sequence::Sequence;

impl Checker {
    pub(super) fn object(&mut self, entry: &Entry, key: &str, body: &Bytes, replaced: Option<&Bytes>) {
        let Some(name) = key.strip_prefix(&self.subject.folder).and_then(|rest| rest.strip_prefix('/')) else {
            let what = format!("{} wrote {key}, which is not in the table's folder", entry.worker);
            self.findings.violate(Invariant::LandOnce, entry.at, what);
            return;
        };
        if name.starts_with("quarantine/") {
            self.quarantined(entry, name);
        }
        if let Some(name) = name.strip_prefix("snapshots/") {
            self.marker_written(entry, name, body, replaced);
        }
        if let Some(name) = name.strip_prefix("parts/") {
            self.note_written(entry, name);
        }
        if name.starts_with("claims/") {
            // A row of a snapshot that is read again may show its item later.
            let is_row = name.rsplit('/').next().is_some_and(|name| name.starts_with("snapshot-"));
            if !is_row && replaced.is_some_and(|replaced| replaced != body) {
                self.findings.violate(Invariant::ExactValues, entry.at, format!("{} changed the event in {key}", entry.worker));
            }
            self.claims.insert(name.to_owned(), body.clone());
        }
        let Some(name) = name.strip_prefix("changes/") else { return };
        self.findings.count("objects");
        if replaced.is_some() {
            self.findings.violate(Invariant::LandOnce, entry.at, format!("{} replaced the committed object {key}", entry.worker));
        }
        let object = match rows::read(name, body) {
            Ok(object) => object,
            Err(error) => {
                self.findings.violate(Invariant::ExactValues, entry.at, format!("{key} cannot be read: {error:#}"));
                return;
            }
        };
        if object.rows.is_empty() {
            self.findings.violate(Invariant::LandOnce, entry.at, format!("{name} is empty"));
        }
        let strays = if self.kinesis.is_some() {
            self.delivered(entry, name, &object)
        } else {
            self.check_sequence(entry, name, &object.rows);
            BTreeSet::new()
        };
        for (number, row) in object.rows.iter().enumerate() {
            if row.snapshot.is_some() {
                self.snapshot_row_landed(entry, name, row);
            } else {
                self.row(entry, name, row, strays.contains(&number));
            }
        }
        self.lake.entry(key.to_owned()).or_default().extend(object.rows);
    }

    /// A run of the table's stream is in the order of its sequence numbers.
    fn check_sequence(&mut self, entry: &Entry, name: &str, rows: &[Row]) {
        let mut last: Option<&Sequence> = None;
        for row in rows.iter().filter(|row| row.snapshot.is_none()) {
            if let Some(last) = last.filter(|last| row.sequence <= **last) {
                self.findings.violate(Invariant::ItemOrder, entry.at, format!("{name} holds {} behind {last}", row.sequence));
            }
            last = Some(&row.sequence);
        }
    }

    /// `stray`: it came into a wrong shard of Kinesis, so that the change comes again, and in its turn.
    fn row(&mut self, entry: &Entry, name: &str, row: &Row, stray: bool) {
        let Some(index) = self.places.get(&(row.shard.clone(), row.sequence.clone())).copied() else {
            let what = format!("{name} holds {} of {}, which no table wrote", row.sequence, row.shard);
            self.findings.violate(Invariant::ExactValues, entry.at, what);
            return;
        };
        // Where Kinesis is in the path, its records land once, and a change may be in two of them.
        let comes_back = std::mem::take(&mut self.changes[index].is_deleted);
        if self.kinesis.is_none() && self.capture.settle(index, entry.at) && !comes_back {
            let what = format!("{} of {} landed again, in {name}", row.sequence, row.shard);
            self.findings.violate(Invariant::LandOnce, entry.at, what);
        }
        let change = &mut self.changes[index];
        let landed_before = change.has_landed;
        change.has_landed |= !stray;
        let hour = hour(change.seconds());
        let difference = row.difference(&self.subject.table, change);
        let difference = difference.or_else(|| (!name.starts_with(&hour)).then(|| format!("it belongs into {hour}")));
        if let Some(difference) = difference {
            self.findings.violate(Invariant::ExactValues, entry.at, format!("{} in {name}: {difference}", row.sequence));
        }
        if !landed_before && !stray {
            self.check_item_order(entry, index);
        }
    }

    /// Every earlier change of the item is in the lake, or was lost.
    fn check_item_order(&mut self, entry: &Entry, index: usize) {
        let change = &self.changes[index];
        let Some(history) = self.items.get(&item_name(&change.change.key)) else { return };
        let earlier = &history[..history.partition_point(|other| *other < index)];
        let overtaken =
            earlier.iter().rev().copied().take_while(|other| !self.changes[*other].has_landed && !self.changes[*other].is_deleted);
        let overtaken = overtaken.filter(|other| self.can_still_land(*other)).last();
        if let Some(overtaken) = overtaken {
            let overtaken = &self.changes[overtaken].place.sequence;
            let what = format!("the change at {} landed before the same item's at {overtaken}", change.place.sequence);
            self.findings.violate(Invariant::ItemOrder, entry.at, what);
        }
    }

    /// Whether a change that has not landed is still on its way, as far as the streams are concerned.
    fn can_still_land(&self, change: usize) -> bool {
        if self.changes[change].is_quarantined || matches!(self.capture.records[change].fate, Fate::Lost | Fate::BeforeTheStart) {
            return false;
        }
        let Some(stored) = &self.kinesis else { return true };
        let copies = self.changes[change].copies.iter().filter(|copy| !stored.users[copy.record].is_stray);
        let mut fates = copies.map(|copy| stored.consumer.records[copy.record].fate).peekable();
        // What was stored and trimmed was stored once and for all.
        fates.peek().is_none() || fates.any(|fate| !matches!(fate, Fate::Lost | Fate::BeforeTheStart))
    }

    /// A record was put into quarantine, which is right only for what does not fit.
    fn quarantined(&mut self, entry: &Entry, name: &str) {
        let stem = name.rsplit('/').next().and_then(|file| file.strip_suffix(".json")).unwrap_or_default();
        let place = stem.rsplit_once('-').and_then(|(shard, digits)| Some((shard.to_owned(), Sequence::parse(digits)?)));
        let change = place.and_then(|place| self.places.get(&place).copied());
        let least = self.subject.kinesis.as_ref().and_then(|kinesis| kinesis.quarantined_from);
        let Some(change) = change.filter(|change| least.is_some_and(|least| self.changes[*change].size() >= least)) else {
            let what = format!("{} put a good record into quarantine: {name}", entry.worker);
            self.findings.violate(Invariant::NoSilentLoss, entry.at, what);
            return;
        };
        self.capture.settle(change, entry.at);
        self.changes[change].is_quarantined = true;
    }
}

/// The partition of a time in seconds.
pub(super) fn hour(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |time| time.strftime("dt=%Y-%m-%d/hr=%H").to_string())
}
