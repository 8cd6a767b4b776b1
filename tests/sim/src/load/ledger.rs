//! What has arrived of every item's history (pure).

use std::sync::Arc;

use serde::Serialize;

use super::payload::Found;
use super::plan::Plan;

/// What was received so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Received {
    /// Calls of PutRecords and PutRecordBatch.
    pub calls: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of the records' data.
    pub bytes: u64,
    /// PUT payload units, as a provisioned Kinesis stream bills them: 25 KiB or a part of them, for each record with its partition key.
    pub payload_units: u64,
    /// The same as an on-demand stream and Firehose bill it, in KiB: each record rounded up to 1 KiB, or to 5 KiB in Firehose.
    pub billed_kib: u64,
    /// Changes found in the records; a record may hold several.
    pub changes: u64,
    /// Changes that had arrived before.
    pub repeated: u64,
    /// Changes that arrived for the first time after a later change of the same item.
    pub out_of_order: u64,
    /// Events that are no change of the load.
    pub unknown: u64,
    /// Changes that have not arrived.
    pub missing: u64,
}

impl Received {
    /// Whether every change arrived, once and in its item's order, and nothing else.
    pub fn is_exact(&self) -> bool {
        self.missing == 0 && self.repeated == 0 && self.out_of_order == 0 && self.unknown == 0
    }
}

/// What a call brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) records: usize,
    /// Bytes of the records' data.
    pub(super) bytes: usize,
    pub(super) payload_units: usize,
    pub(super) billed_kib: usize,
}

/// Keeps the books.
#[derive(Debug)]
pub(super) struct Ledger {
    plan: Arc<Plan>,
    received: Received,
    items: Vec<Arrived>,
    expected: u64,
}

/// What arrived of one item.
#[derive(Debug, Clone, Copy, Default)]
struct Arrived {
    /// A hash over the indexes in the order in which they arrived.
    chain: u64,
    /// A bit for each index that arrived. Histories are shorter than sixteen.
    seen: u16,
}

impl Arrived {
    fn take(&mut self, index: usize) {
        self.chain = mix(self.chain.wrapping_add(index as u64 + 1));
    }
}

impl Ledger {
    pub(super) fn new(plan: Arc<Plan>) -> Self {
        let mut items = vec![Arrived::default(); plan.item_numbers()];
        for (item, arrived) in items.iter_mut().enumerate() {
            if let Some(history) = plan.history(item) {
                (0..history.length).for_each(|index| arrived.take(index));
            }
        }
        let expected = fold(&items);
        items.fill(Arrived::default());
        let mut ledger = Self { plan, received: Received::default(), items, expected };
        ledger.clear();
        ledger
    }

    /// Forgets everything that arrived.
    pub(super) fn clear(&mut self) {
        self.items.fill(Arrived::default());
        self.received = Received { missing: self.plan.records() as u64, ..Received::default() };
    }

    /// Enters a call with what was found in its records.
    pub(super) fn enter(&mut self, call: Call, found: &[Found]) {
        self.received.calls += 1;
        self.received.records += call.records as u64;
        self.received.bytes += call.bytes as u64;
        self.received.payload_units += call.payload_units as u64;
        self.received.billed_kib += call.billed_kib as u64;
        for found in found {
            self.event(*found);
        }
    }

    fn event(&mut self, found: Found) {
        let received = &mut self.received;
        let Some((arrived, index)) = found.and_then(|(item, index)| Some((self.items.get_mut(item)?, index))) else {
            received.unknown += 1;
            return;
        };
        received.changes += 1;
        arrived.take(index);
        let (bit, later) = (1_u16 << index, u16::MAX << index << 1);
        if arrived.seen & bit != 0 {
            received.repeated += 1;
            return;
        }
        received.out_of_order += u64::from(arrived.seen & later != 0);
        arrived.seen |= bit;
        received.missing -= 1;
    }

    pub(super) fn received(&self) -> Received {
        self.received
    }

    /// One number over all items' histories as they arrived. It is [`expected`](Self::expected) when each of them arrived complete, in order
    /// and once.
    pub(super) fn checksum(&self) -> u64 {
        fold(&self.items)
    }

    pub(super) fn expected(&self) -> u64 {
        self.expected
    }
}

/// The items may have arrived in any order among each other.
fn fold(items: &[Arrived]) -> u64 {
    items.iter().enumerate().fold(0, |sum, (item, arrived)| sum.wrapping_add(mix(arrived.chain ^ mix(item as u64))))
}

/// Spreads a number over 64 bits; two multiplications with large odd numbers, each followed by a shift.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let number = (number ^ (number >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    number ^ (number >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RECORDS: usize = 700;

    fn ledger() -> (Ledger, Vec<Found>) {
        let plan = Arc::new(Plan::new(5, 2, RECORDS).unwrap());
        // Shards one after the other: across items any order is right.
        let mut all = Vec::new();
        for shard in 0..2 {
            for position in 0..plan.records_of(shard) {
                let (lot, place) = plan.place(shard, position);
                let step = plan.steps()[place];
                all.push(Some((lot * super::super::plan::LOT_ITEMS + step.item, step.index)));
            }
        }
        (Ledger::new(plan), all)
    }

    /// Two neighbouring changes of one item.
    fn neighbours(all: &[Found]) -> (usize, usize) {
        let late = all.iter().position(|found| found.is_some_and(|(_, index)| index > 0)).unwrap();
        let (item, index) = all[late].unwrap();
        (all.iter().position(|found| *found == Some((item, index - 1))).unwrap(), late)
    }

    #[test]
    fn everything_once_and_in_order_is_exact() {
        let (mut ledger, all) = ledger();
        for call in all.chunks(50) {
            assert_ne!(ledger.checksum(), ledger.expected());
            ledger.enter(Call { records: call.len(), bytes: 1_000, payload_units: 2, billed_kib: 3 }, call);
        }
        assert_eq!(ledger.checksum(), ledger.expected());
        let expected =
            Received { calls: 14, records: 700, bytes: 14_000, payload_units: 28, billed_kib: 42, changes: 700, ..Received::default() };
        assert_eq!(ledger.received(), expected);
        assert!(expected.is_exact());
    }

    #[test]
    fn items_may_come_in_any_order_among_each_other() {
        let (mut ledger, mut all) = ledger();
        all.sort_by_key(|found| found.map(|(item, index)| (item % 7, item, index)));
        ledger.enter(Call::default(), &all);
        assert!(ledger.received().is_exact());
        assert_eq!(ledger.checksum(), ledger.expected());
    }

    #[test]
    fn a_lost_change_is_missing_and_nothing_else() {
        let (mut ledger, mut all) = ledger();
        all.remove(neighbours(&all).0);
        ledger.enter(Call::default(), &all);
        let received = ledger.received();
        assert_eq!((received.missing, received.repeated, received.out_of_order, received.unknown), (1, 0, 0, 0));
        assert_ne!(ledger.checksum(), ledger.expected());
    }

    #[test]
    fn a_change_that_comes_again_is_repeated() {
        let (mut ledger, mut all) = ledger();
        let (early, late) = neighbours(&all);
        all.insert(late, all[early]);
        ledger.enter(Call::default(), &all);
        let received = ledger.received();
        assert_eq!((received.missing, received.repeated, received.out_of_order, received.unknown), (0, 1, 0, 0));
        assert_ne!(ledger.checksum(), ledger.expected());
    }

    #[test]
    fn a_change_that_comes_behind_its_successor_is_out_of_order() {
        let (mut ledger, mut all) = ledger();
        let (early, late) = neighbours(&all);
        all.swap(early, late);
        ledger.enter(Call::default(), &all);
        let received = ledger.received();
        assert_eq!((received.missing, received.repeated, received.out_of_order, received.unknown), (0, 0, 1, 0));
        assert_ne!(ledger.checksum(), ledger.expected());
    }

    #[test]
    fn what_is_no_change_is_unknown_and_enters_no_history() {
        let (mut ledger, mut all) = ledger();
        all.push(None);
        ledger.enter(Call::default(), &all);
        assert_eq!(ledger.received().unknown, 1);
        assert_eq!(ledger.checksum(), ledger.expected());
        assert!(!ledger.received().is_exact());
    }

    #[test]
    fn a_cleared_ledger_waits_for_everything_again() {
        let (mut ledger, all) = ledger();
        ledger.enter(Call::default(), &all);
        ledger.clear();
        assert_eq!(ledger.received(), Received { missing: 700, ..Received::default() });
        ledger.enter(Call::default(), &all);
        assert_eq!(ledger.checksum(), ledger.expected());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_deviation_shows_in_the_counts_and_in_the_checksum(
            edits in prop::collection::vec((0..3_u8, 0..RECORDS - 10, 0..RECORDS - 10), 1..4)
        ) {
            let (mut ledger, mut all) = ledger();
            let as_planned = all.clone();
            for (edit, a, b) in edits {
                match edit {
                    0 => drop(all.remove(a)),
                    1 => all.insert(a, all[b]),
                    _ => all.swap(a, b),
                }
            }
            // A swap of different items may leave each history in order, so the order of each item's own changes decides.
            let own = |all: &[Found]| {
                let mut own = all.to_vec();
                own.sort_by_key(|found| found.map(|(item, _)| item));
                own
            };
            let same = own(&all) == own(&as_planned);
            ledger.enter(Call::default(), &all);
            prop_assert_eq!(ledger.received().is_exact(), same);
            prop_assert_eq!(ledger.checksum() == ledger.expected(), same);
        }
    }
}
