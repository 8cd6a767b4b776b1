//! What differs between a row and its change: exact-values.

use std::collections::BTreeSet;

use super::Tracked;
use super::rows::Row;
use crate::item::{AttributeValue, Item};
use crate::journal::Change;

impl Row {
    /// The item as the row leaves it, without its key.
    pub(super) fn image(&self) -> Item {
        self.new.iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
    }

    /// What differs between the row and the change that it stands for.
    pub(super) fn difference(&self, table: &str, tracked: &Tracked) -> Option<String> {
        let change = &tracked.change;
        let differs =
            |what: &str, row: &dyn std::fmt::Debug, change: &dyn std::fmt::Debug| Some(format!("{what} is {row:?}, not {change:?}"));
        let time = tracked.seconds() * 1000;
        if self.event_id != tracked.place.event_id {
            return differs("cdc_event_id", &self.event_id, &tracked.place.event_id);
        }
        if self.operation != change.operation {
            return differs("cdc_op", &self.operation, &change.operation);
        }
        if self.table != table {
            return differs("cdc_table", &self.table, &table);
        }
        if self.time != time {
            return differs("cdc_time", &self.time, &time);
        }
        if self.ttl_delete != change.by_ttl {
            return differs("cdc_ttl_delete", &self.ttl_delete, &change.by_ttl);
        }
        let changed = changed(change);
        if self.changed != changed {
            return differs("cdc_changed", &self.changed, &changed);
        }
        if let Some(claim) = &self.claim {
            return differs("cdc_claim_check", claim, &"absent");
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
pub(super) fn sorted(value: &AttributeValue) -> AttributeValue {
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
