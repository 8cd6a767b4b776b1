//! What the lake shows when it is asked for the current state: current-equals-table.

use std::collections::BTreeMap;

use super::rows::Row;
use super::timeline::Key;
use super::{Checker, Fate};
use crate::item::Item;
use crate::sequence::Sequence;

/// A row and the start of what it stands for, in seconds since the epoch: changes from then on lie above it.
struct Base<'a> {
    rank: (i64, i64, &'a str),
    row: &'a Row,
}

impl Checker {
    /// The first item that the lake shows otherwise than the table has it. None too where that proves nothing: changes are missing that no snapshot
    /// makes up for.
    pub(super) fn current_difference(&self) -> Option<String> {
        if self.kinesis.as_ref().is_some_and(|stored| stored.consumer.table.is_none()) {
            return None;
        }
        let whole = self.snapshots.known.values().filter(|known| known.is_whole()).max_by_key(|known| known.rank());
        if whole.is_some_and(|known| known.is_damaged) || !self.is_covered(whole.and_then(super::snapshots::Known::rank).map(|rank| rank.0))
        {
            return None;
        }
        let shown = self.current(whole.and_then(super::snapshots::Known::rank));
        let table = self.timeline.now();
        let key = shown.keys().chain(table.keys()).find(|key| shown.get(*key) != table.get(*key).map(|image| (*image).clone()).as_ref())?;
        Some(format!("the lake shows {key:?} as {:?}, and the table has {:?}", shown.get(key), table.get(key)))
    }

    /// Whether every change from a time on (seconds since the epoch) is in the lake, and in an order that tells which one of an item's is the last.
    fn is_covered(&self, since: Option<i64>) -> bool {
        let counts = |seconds: i64| since.is_none_or(|since| seconds >= since);
        if self.without_stream.iter().any(|at| counts(at.div_euclid(1000))) {
            return false;
        }
        let is_there = |change: &super::Tracked| !counts(change.seconds()) || change.has_landed;
        let is_in_order = |history: &Vec<usize>| {
            let counting = history.iter().map(|index| &self.changes[*index]).filter(|change| counts(change.seconds()));
            let sequences: Vec<&Sequence> = counting.map(|change| &change.place.sequence).collect();
            sequences.is_sorted()
        };
        // Whoever reads the changes finds out that a shard's numbers do not go on above those of the one before.
        let is_told = self.capture.gaps.iter().any(super::ledger::Gap::is_of_order);
        self.changes.iter().all(is_there) && (!is_told || self.items.values().all(is_in_order))
    }

    /// The state by the rule: of each key the row of the latest snapshot, below the changes from its start on.
    fn current(&self, whole: Option<(i64, i64, &str)>) -> BTreeMap<&Key, Item> {
        let mut bases: BTreeMap<&Key, Base<'_>> = BTreeMap::new();
        let mut changes: BTreeMap<&Key, Vec<&Row>> = BTreeMap::new();
        for row in self.lake.values().flatten() {
            let Some(id) = &row.snapshot else {
                changes.entry(&row.keys).or_default().push(row);
                continue;
            };
            let Some(rank) = self.snapshots.known.get(id).and_then(super::snapshots::Known::rank) else { continue };
            let is_best = bases.get(&row.keys).is_none_or(|best| best.rank < rank);
            if is_best && whole.is_none_or(|whole| rank >= whole) {
                bases.insert(&row.keys, Base { rank, row });
            }
        }
        let keys: std::collections::BTreeSet<&Key> = bases.keys().chain(changes.keys()).copied().collect();
        let state = |key: &Key| {
            let base = bases.get(key);
            let start = base.map(|base| base.rank.0).or(whole.map(|whole| whole.0));
            let above = |row: &&&Row| start.is_none_or(|start| row.time >= start * 1000);
            let last = changes.get(key).into_iter().flatten().filter(above).max_by_key(|row| row.sequence.clone());
            let row = last.copied().or(base.map(|base| base.row))?;
            (row.operation != "REMOVE").then(|| row.image())
        };
        keys.into_iter().filter_map(|key| Some((key, state(key)?))).collect()
    }

    /// Somebody deleted an object: what was in it is not in the lake any more, and may come again.
    pub(super) fn forget_object(&mut self, name: &str) {
        for row in self.lake.remove(name).unwrap_or_default() {
            if row.snapshot.is_some() {
                self.snapshot_row_deleted(&row);
            } else if let Some(change) = self.places.get(&(row.shard.clone(), row.sequence.clone())) {
                self.changes[*change].has_landed = false;
                self.changes[*change].is_deleted = matches!(self.capture.records[*change].fate, Fate::Durable { .. });
            }
        }
    }
}
