//! Which changes the load consists of and where each of them stands (pure).
//!
//! A *lot* is a thousand items with their 5,000 changes, in the order in which they happen: a few dozen items change by turns, and when one
//! is done the next begins. Every lot follows the same pattern, drawn once from the seed, so that a record of any lot is known from its
//! position alone. A shard holds whole lots but for its last, which is cut where the shard ends. So every history lies in one shard.
//!
//! An item lives in *lives*: it is inserted, modified several times, removed, and perhaps inserted again. Each image has a version of its own,
//! counted over all lives. A life has at least two modifications, so the versions in a change's images alone tell which change it is.

use std::collections::BTreeMap;

use fastrand::Rng;

/// Items of a lot.
pub(super) const LOT_ITEMS: usize = 1_000;
/// Changes of a whole lot.
pub(super) const LOT_CHANGES: usize = 5_000;
/// Digits of a lot's number.
pub(super) const LOT_DIGITS: usize = 7;
/// Bounds of a load: their lots are far fewer than there are numbers for, and the ledger, with 16 bytes an item, takes at most 3.5 GB.
pub(super) const MOST_SHARDS: usize = 10_000;
pub(super) const MOST_RECORDS: usize = 1_000_000_000;
/// The longest history has nine changes, since two items share ten.
const CHANGES_OF_TWO: usize = 2 * LOT_CHANGES / LOT_ITEMS;
/// Items that change by turns.
const AT_ONCE: usize = 64;

/// A change of an item, with the versions of its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Insert { new: usize },
    Modify { old: usize, new: usize },
    Remove { old: usize },
}

/// What happens to one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct History {
    /// How many changes it has.
    pub(super) length: usize,
    /// Changes from an insert to the remove that ends the life.
    pub(super) life: usize,
}

impl History {
    /// The change at `index` of the history.
    pub(super) fn change(self, index: usize) -> Change {
        let images = self.life - 1;
        let (lives, step) = (index / self.life, index % self.life);
        let version = lives * images + step + 1;
        match step {
            0 => Change::Insert { new: version },
            step if step == images => Change::Remove { old: version - 1 },
            _ => Change::Modify { old: version - 1, new: version },
        }
    }

    /// The index of the change whose images have these versions: twice the same for a change with one image.
    pub(super) fn index_of(self, low: usize, high: usize) -> Option<usize> {
        let images = self.life - 1;
        let image = low.checked_sub(1)?;
        let (lives, step) = (image / images, image % images);
        let begin = lives * self.life;
        let index = match high.checked_sub(low)? {
            0 if step == 0 => begin,
            0 if step == images - 1 => begin + images,
            1 if step < images - 1 => begin + step + 1,
            _ => return None,
        };
        (index < self.length).then_some(index)
    }
}

/// A change's place in the pattern of a lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// The item, counted within its lot.
    pub(super) item: usize,
    /// The change, counted within the item's history.
    pub(super) index: usize,
}

/// The plan of a whole load.
#[derive(Debug)]
pub(super) struct Plan {
    histories: Vec<History>,
    steps: Vec<Step>,
    shards: usize,
    records: usize,
    lots_a_shard: usize,
    /// How long the histories are in a lot that is cut, by the number of changes that it has left.
    cut: BTreeMap<usize, Vec<usize>>,
}

impl Plan {
    /// Spreads `records` over `shards`. `None` when a shard would be empty, or when there are more than [`MOST_SHARDS`] or [`MOST_RECORDS`].
    pub(super) fn new(seed: u64, shards: usize, records: usize) -> Option<Self> {
        if !(1..=MOST_SHARDS).contains(&shards) || !(shards..=MOST_RECORDS).contains(&records) {
            return None;
        }
        let mut rng = Rng::with_seed(seed);
        let histories = draw_histories(&mut rng);
        let steps = interleave(&mut rng, &histories);
        let lots_a_shard = records.div_ceil(shards).div_ceil(LOT_CHANGES);
        let mut plan = Self { histories, steps, shards, records, lots_a_shard, cut: BTreeMap::new() };
        // The first shard is the longest and the last the shortest; they differ by one record.
        for lot in [lots_a_shard - 1, (shards - 1) * lots_a_shard, plan.lots() - 1] {
            let left = plan.changes_in(lot);
            let mut lengths = vec![0; LOT_ITEMS];
            plan.steps[..left].iter().for_each(|step| lengths[step.item] += 1);
            plan.cut.insert(left, lengths);
        }
        Some(plan)
    }

    /// The changes of a whole lot, in order.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The history of an item of a whole lot, counted within its lot.
    pub(super) fn pattern(&self, item: usize) -> History {
        self.histories[item]
    }

    /// The history of an item: number of the lot times [`LOT_ITEMS`] and number within the lot. `None` when there is no such item.
    pub(super) fn history(&self, item: usize) -> Option<History> {
        let (lot, item) = (item / LOT_ITEMS, item % LOT_ITEMS);
        if lot >= self.lots() {
            return None;
        }
        let history = self.histories[item];
        let left = self.changes_in(lot);
        if left == LOT_CHANGES {
            return Some(history);
        }
        let length = *self.cut.get(&left)?.get(item)?;
        (length > 0).then_some(History { length, ..history })
    }

    /// How many numbers of items there are; not all of them are items, since the last lot of a shard is cut.
    pub(super) fn item_numbers(&self) -> usize {
        self.lots() * LOT_ITEMS
    }

    /// How many shards there are.
    pub(super) fn shards(&self) -> usize {
        self.shards
    }

    /// How many records there are in all.
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// How many records a shard has.
    pub(super) fn records_of(&self, shard: usize) -> usize {
        self.records / self.shards + usize::from(shard < self.records % self.shards)
    }

    /// The lot of a shard's record, and the record's place in the lot.
    pub(super) fn place(&self, shard: usize, position: usize) -> (usize, usize) {
        (shard * self.lots_a_shard + position / LOT_CHANGES, position % LOT_CHANGES)
    }

    /// The position in a shard of a lot's record, if the shard has it.
    pub(super) fn position(&self, shard: usize, lot: usize, step: usize) -> Option<usize> {
        let lot = lot.checked_sub(shard * self.lots_a_shard)?;
        let position = lot.checked_mul(LOT_CHANGES)?.checked_add(step)?;
        (step < LOT_CHANGES && position < self.records_of(shard)).then_some(position)
    }

    fn lots(&self) -> usize {
        self.lots_a_shard * self.shards
    }

    fn changes_in(&self, lot: usize) -> usize {
        let (shard, lot) = (lot / self.lots_a_shard, lot % self.lots_a_shard);
        self.records_of(shard).saturating_sub(lot * LOT_CHANGES).min(LOT_CHANGES)
    }
}

fn draw_histories(rng: &mut Rng) -> Vec<History> {
    let pairs = (0..LOT_ITEMS / 2).flat_map(|_| {
        let length = rng.usize(1..CHANGES_OF_TWO);
        [length, CHANGES_OF_TWO - length].map(|length| History { length, life: rng.usize(4..=7) })
    });
    pairs.collect()
}

fn interleave(rng: &mut Rng, histories: &[History]) -> Vec<Step> {
    let mut waiting = (0..histories.len()).map(|item| Step { item, index: 0 });
    let mut at_work: Vec<Step> = waiting.by_ref().take(AT_ONCE).collect();
    let mut steps = Vec::with_capacity(LOT_CHANGES);
    while !at_work.is_empty() {
        let drawn = rng.usize(..at_work.len());
        let step = &mut at_work[drawn];
        steps.push(*step);
        step.index += 1;
        if step.index == histories[step.item].length {
            match waiting.next() {
                Some(next) => *step = next,
                None => drop(at_work.swap_remove(drawn)),
            }
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_change_is_known_by_the_versions_of_its_images(length in 1_usize..40, life in 4_usize..8) {
            let history = History { length, life };
            let mut live = None;
            for index in 0..length {
                let (low, high) = match history.change(index) {
                    Change::Insert { new } => {
                        prop_assert_eq!(live, None);
                        live = Some(new);
                        (new, new)
                    }
                    Change::Modify { old, new } => {
                        prop_assert_eq!(live, Some(old));
                        live = Some(new);
                        (old, new)
                    }
                    Change::Remove { old } => {
                        prop_assert_eq!(live, Some(old));
                        live = None;
                        (old, old)
                    }
                };
                prop_assert_eq!(history.index_of(low, high), Some(index));
            }
            let known = (0..200).flat_map(|low| [(low, low), (low, low + 1), (low, low + 2)])
                .filter(|(low, high)| history.index_of(*low, *high).is_some());
            prop_assert_eq!(known.count(), length);
        }

        #[test]
        fn the_histories_of_all_items_are_the_records_of_all_shards(shards in 1_usize..8, records in 8_usize..40_000) {
            let plan = Plan::new(7, shards, records).unwrap();
            let lengths = (0..plan.item_numbers()).filter_map(|item| plan.history(item)).map(|history| history.length);
            prop_assert_eq!(lengths.sum::<usize>(), records);
            prop_assert_eq!((0..shards).map(|shard| plan.records_of(shard)).sum::<usize>(), records);
        }
    }

    #[test]
    fn one_shard_may_need_a_lot_more_than_another() {
        let plan = Plan::new(7, 2, 2 * LOT_CHANGES + 1).unwrap();
        let lengths = (0..plan.item_numbers()).filter_map(|item| plan.history(item)).map(|history| history.length);
        assert_eq!(lengths.sum::<usize>(), 2 * LOT_CHANGES + 1);
        assert_eq!(plan.position(0, 1, 0), Some(LOT_CHANGES));
        assert_eq!(plan.position(1, 3, 0), None, "the second shard ends with its first lot");
    }

    #[test]
    fn a_lot_mixes_all_kinds_of_changes() {
        let plan = Plan::new(1, 1, LOT_CHANGES).unwrap();
        assert_eq!(plan.steps().len(), LOT_CHANGES);
        let share = |kind: fn(&Change) -> bool| {
            let changes = plan.steps().iter().map(|step| plan.pattern(step.item).change(step.index));
            100 * changes.filter(kind).count() / LOT_CHANGES
        };
        let shares = [
            share(|change| matches!(change, Change::Insert { .. })),
            share(|change| matches!(change, Change::Modify { .. })),
            share(|change| matches!(change, Change::Remove { .. })),
        ];
        assert!(matches!(shares, [18..30, 55..75, 5..15]), "{shares:?} percent are inserts, modifications and removes");
    }

    #[test]
    fn every_history_is_whole_and_in_order() {
        let plan = Plan::new(3, 1, LOT_CHANGES).unwrap();
        let mut next = vec![0; LOT_ITEMS];
        for step in plan.steps() {
            assert_eq!(step.index, next[step.item]);
            next[step.item] += 1;
        }
        assert!((0..LOT_ITEMS).all(|item| next[item] == plan.pattern(item).length));
    }

    #[test]
    fn empty_shards_and_more_than_can_be_numbered_are_refused() {
        let is_planned = |shards, records| Plan::new(1, shards, records).is_some();
        assert!(is_planned(1, 1) && is_planned(MOST_SHARDS, MOST_RECORDS));
        assert!(
            !is_planned(0, 10) && !is_planned(11, 10) && !is_planned(MOST_SHARDS + 1, MOST_RECORDS) && !is_planned(1, MOST_RECORDS + 1)
        );
        let largest = Plan::new(1, MOST_SHARDS, MOST_RECORDS).unwrap();
        assert!(largest.lots() < 10_usize.pow(7), "a lot's number has seven digits");
    }
}
