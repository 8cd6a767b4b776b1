//! What committed objects tell: land-once, item-order, exact-values.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::rows::{self, Row};
use super::{Checker, Fate, Invariant, Tracked, item_name};
use crate::item::{AttributeValue, Item};
use crate::journal::{Change, Entry};
use crate::sequence::Sequence;

impl Checker {
    pub(super) fn object(&mut self, entry: &Entry, key: &str, body: &Bytes, replaced: bool) {
        let Some(name) = key.strip_prefix(&self.subject.folder).and_then(|rest| rest.strip_prefix('/')) else {
            self.violate(Invariant::LandOnce, entry.at, format!("{} wrote {key}, which is not in the table's folder", entry.worker));
            return;
        };
        if name.starts_with("quarantine/") {
            self.violate(Invariant::NoSilentLoss, entry.at, format!("{} put a good record into quarantine: {key}", entry.worker));
        }
        let Some(name) = name.strip_prefix("changes/") else { return };
        self.seen.objects += 1;
        if replaced {
            self.violate(Invariant::LandOnce, entry.at, format!("{} replaced the committed object {key}", entry.worker));
        }
        match rows::read(name, body) {
            Ok(rows) => self.rows(entry, name, &rows),
            Err(error) => self.violate(Invariant::ExactValues, entry.at, format!("{key} cannot be read: {error:#}")),
        }
    }

    fn rows(&mut self, entry: &Entry, name: &str, rows: &[Row]) {
        let mut last: Option<&Sequence> = None;
        for row in rows {
            if last.is_some_and(|last| row.sequence <= *last) {
                self.violate(
                    Invariant::ItemOrder,
                    entry.at,
                    format!("{name} holds {} behind {}", row.sequence, last.map_or("", Sequence::as_str)),
                );
            }
            last = Some(&row.sequence);
            let Some(index) = self.places.get(&(row.shard.clone(), row.sequence.clone())).copied() else {
                self.violate(
                    Invariant::ExactValues,
                    entry.at,
                    format!("{name} holds {} of {}, which no table wrote", row.sequence, row.shard),
                );
                continue;
            };
            let change = &mut self.changes[index];
            let again = change.fate == Fate::Landed;
            self.seen.lost -= u64::from(change.fate == Fate::Lost);
            change.fate = Fate::Landed;
            self.seen.landed += u64::from(!again);
            let difference = row.difference(name, &self.subject.table, change);
            if again {
                self.violate(Invariant::LandOnce, entry.at, format!("{} of {} landed again, in {name}", row.sequence, row.shard));
            }
            if let Some(difference) = difference {
                self.violate(Invariant::ExactValues, entry.at, format!("{} in {name}: {difference}", row.sequence));
            }
            self.check_item_order(entry, index);
        }
        if rows.is_empty() {
            self.violate(Invariant::LandOnce, entry.at, format!("{name} is empty"));
        }
    }

    /// Every earlier change of the item is durable, or was lost.
    fn check_item_order(&mut self, entry: &Entry, index: usize) {
        let change = &self.changes[index];
        let Some(history) = self.items.get(&item_name(&change.change.key)) else { return };
        let earlier = &history[..history.partition_point(|other| *other < index)];
        let overtaken = earlier.iter().rev().map(|other| &self.changes[*other]).take_while(|other| other.fate != Fate::Landed);
        let overtaken = overtaken.filter(|other| other.fate == Fate::Pending).last();
        if let Some(overtaken) = overtaken {
            let what = format!("the change at {} landed before the same item's at {}", change.place.sequence, overtaken.place.sequence);
            self.violate(Invariant::ItemOrder, entry.at, what);
        }
    }
}

impl Row {
    /// What differs between the row and the change that it stands for, in the object of that name.
    fn difference(&self, name: &str, table: &str, tracked: &Tracked) -> Option<String> {
        let change = &tracked.change;
        let differs =
            |what: &str, row: &dyn std::fmt::Debug, change: &dyn std::fmt::Debug| Some(format!("{what} is {row:?}, not {change:?}"));
        let seconds = tracked.at.div_euclid(1000);
        if self.event_id != tracked.place.event_id {
            return differs("cdc_event_id", &self.event_id, &tracked.place.event_id);
        }
        if self.operation != change.operation {
            return differs("cdc_op", &self.operation, &change.operation);
        }
        if self.table != table {
            return differs("cdc_table", &self.table, &table);
        }
        if self.time != seconds * 1000 {
            return differs("cdc_time", &self.time, &(seconds * 1000));
        }
        if self.ttl_delete != change.by_ttl {
            return differs("cdc_ttl_delete", &self.ttl_delete, &change.by_ttl);
        }
        let hour = jiff::Timestamp::from_second(seconds).ok()?.strftime("dt=%Y-%m-%d/hr=%H").to_string();
        if !name.starts_with(&hour) {
            return differs("the partition", &name, &hour);
        }
        let changed = changed(change);
        if self.changed != changed {
            return differs("cdc_changed", &self.changed, &changed);
        }
        if self.keys.len() != change.key.len() {
            return differs("the columns beside the service's", &self.keys, &change.key);
        }
        for (name, value) in &change.key {
            let (AttributeValue::S(text) | AttributeValue::N(text) | AttributeValue::B(text)) = value else { continue };
            if self.keys.get(name) != Some(text) {
                return differs(name, &self.keys.get(name), &text);
            }
        }
        let rest = |image: &Option<Item>| -> Item {
            image
                .iter()
                .flatten()
                .filter(|(name, _)| !change.key.contains_key(*name))
                .map(|(name, value)| (name.clone(), sorted(value)))
                .collect()
        };
        let landed = |extra: &Item| -> Item { extra.iter().map(|(name, value)| (name.clone(), sorted(value))).collect() };
        if landed(&self.new) != rest(&change.new) {
            return differs("the new image", &self.new, &rest(&change.new));
        }
        if landed(&self.old) != rest(&change.old) {
            return differs("the old image", &self.old, &rest(&change.old));
        }
        None
    }
}

/// The attributes that differ between the images, by name; none where there is only one image.
fn changed(change: &Change) -> Vec<String> {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return Vec::new() };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.into_iter().filter(|name| old.get(*name).map(sorted) != new.get(*name).map(sorted)).cloned().collect()
}

/// Sets have no order.
fn sorted(value: &AttributeValue) -> AttributeValue {
    let in_order = |members: &[String]| {
        let mut members = members.to_vec();
        members.sort();
        members
    };
    match value {
        AttributeValue::SS(members) => AttributeValue::SS(in_order(members)),
        AttributeValue::NS(members) => AttributeValue::NS(in_order(members)),
        AttributeValue::BS(members) => AttributeValue::BS(in_order(members)),
        AttributeValue::L(values) => AttributeValue::L(values.iter().map(sorted).collect()),
        AttributeValue::M(item) => AttributeValue::M(item.iter().map(|(name, value)| (name.clone(), sorted(value))).collect()),
        other => other.clone(),
    }
}
