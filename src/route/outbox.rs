//! What a writer has taken and its service has not acknowledged.
//!
//! Acknowledgements come in any order: a throttled record waits while others go on. The shard is durable up to where nothing is missing,
//! and no further (*durable-before-checkpoint*). An [`Outbox`] keeps that account. It does no I/O and reads no clock; what a call carries
//! is planned from [`pending`](Outbox::pending) by each service's own rules.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::time::Instant;

use crate::event::Position;

/// Events of one shard that were taken and are not acknowledged, in the order of the shard.
#[derive(Debug)]
pub struct Outbox<K> {
    slots: BTreeMap<EntryId, Slot<K>>,
    next: EntryId,
    bytes: usize,
    /// The last record that was taken or skipped.
    taken: Position,
    /// What [`durable`](Self::durable) told last.
    told: Position,
}

/// Names an entry of one outbox. Later entries have greater ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(u64);

/// One event that waits to be acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<K> {
    /// What the service files it under.
    pub key: K,
    /// The encoded event.
    pub data: Bytes,
    /// When it was taken.
    pub since: Instant,
}

#[derive(Debug)]
struct Slot<K> {
    /// The record before this one: how far the shard is durable while this entry is the oldest that waits.
    before: Position,
    entry: Entry<K>,
}

impl<K> Outbox<K> {
    /// An empty outbox of a shard whose records up to and including `after` are durable.
    pub fn new(after: Position) -> Self {
        Self { slots: BTreeMap::new(), next: EntryId(0), bytes: 0, taken: after, told: after }
    }

    /// Takes the event at `position`, which lies behind every one before it.
    pub fn push(&mut self, position: Position, key: K, data: Bytes, now: Instant) {
        let before = self.taken;
        self.taken = before.max(position);
        self.bytes += data.len();
        self.slots.insert(self.next, Slot { before, entry: Entry { key, data, since: now } });
        self.next.0 += 1;
    }

    /// Notes that the record at `position`, the next of the shard, is durable elsewhere. It counts as acknowledged.
    pub fn skip(&mut self, position: Position) {
        self.taken = self.taken.max(position);
    }

    /// What is not acknowledged, in the order of the shard.
    pub fn pending(&self) -> impl Iterator<Item = (EntryId, &Entry<K>)> {
        self.slots.iter().map(|(id, slot)| (*id, &slot.entry))
    }

    /// What is not acknowledged, from this entry on, in the order of the shard.
    pub fn pending_from(&self, first: EntryId) -> impl Iterator<Item = (EntryId, &Entry<K>)> {
        self.slots.range(first..).map(|(id, slot)| (*id, &slot.entry))
    }

    /// The oldest entry that waits.
    pub fn first_id(&self) -> Option<EntryId> {
        self.slots.first_key_value().map(|(id, _)| *id)
    }

    /// An entry that is not acknowledged.
    pub fn get(&self, id: EntryId) -> Option<&Entry<K>> {
        self.slots.get(&id).map(|slot| &slot.entry)
    }

    /// The service has the entry. To acknowledge it again changes nothing.
    pub fn acknowledge(&mut self, id: EntryId) {
        if let Some(slot) = self.slots.remove(&id) {
            self.bytes -= slot.entry.data.len();
        }
    }

    /// The last record up to which every one is acknowledged, when it lies behind what the last call told.
    pub fn durable(&mut self) -> Option<Position> {
        self.has_news().then(|| {
            self.told = self.durable_through();
            self.told
        })
    }

    /// Whether [`durable`](Self::durable) has something to tell.
    pub fn has_news(&self) -> bool {
        self.durable_through() > self.told
    }

    fn durable_through(&self) -> Position {
        self.slots.first_key_value().map_or(self.taken, |(_, oldest)| oldest.before)
    }

    /// The last record that was taken or skipped.
    pub fn taken(&self) -> Position {
        self.taken
    }

    /// The id that the next entry will have: every entry so far is before it.
    pub fn next_id(&self) -> EntryId {
        self.next
    }

    /// How many entries wait.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The size of all encoded events that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the oldest entry that waits was taken.
    pub fn oldest(&self) -> Option<Instant> {
        self.slots.first_key_value().map(|(_, slot)| slot.entry.since)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    fn at(n: usize) -> Position {
        Position::new(&n.to_string(), 0).unwrap()
    }

    fn push(outbox: &mut Outbox<usize>, n: usize) -> EntryId {
        let id = outbox.next_id();
        outbox.push(at(n), n, Bytes::from(vec![b'x'; n]), Instant::now());
        id
    }

    #[test]
    fn an_acknowledgement_behind_a_missing_one_makes_nothing_durable() {
        let mut outbox = Outbox::new(at(3));
        let (first, second) = (push(&mut outbox, 5), push(&mut outbox, 7));
        outbox.acknowledge(second);
        assert_eq!(outbox.durable(), None);
        outbox.acknowledge(first);
        assert_eq!(outbox.durable(), Some(at(7)));
        assert_eq!(outbox.durable(), None, "it has not moved since");
    }

    #[test]
    fn a_skipped_record_is_durable_with_those_before_it() {
        let mut outbox = Outbox::new(at(0));
        outbox.skip(at(1));
        assert_eq!(outbox.durable(), Some(at(1)));
        let first = push(&mut outbox, 2);
        outbox.skip(at(3));
        push(&mut outbox, 4);
        assert_eq!(outbox.durable(), None);
        outbox.acknowledge(first);
        assert_eq!(outbox.durable(), Some(at(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_counted_and_has_an_age() {
        let mut outbox = Outbox::new(Position::ZERO);
        assert_eq!((outbox.len(), outbox.bytes(), outbox.oldest()), (0, 0, None));
        let begun = Instant::now();
        let first = push(&mut outbox, 5);
        tokio::time::advance(Duration::from_secs(1)).await;
        push(&mut outbox, 7);
        assert_eq!((outbox.len(), outbox.bytes(), outbox.oldest()), (2, 12, Some(begun)));
        outbox.acknowledge(first);
        outbox.acknowledge(first);
        assert_eq!((outbox.len(), outbox.bytes(), outbox.oldest()), (1, 7, Some(begun + Duration::from_secs(1))));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push,
        Skip,
        /// One of those that wait.
        Acknowledge(Index),
        Ask,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Push),
            1 => Just(Step::Skip),
            4 => any::<Index>().prop_map(Step::Acknowledge),
            2 => Just(Step::Ask),
        ];
        vec(step, 0..120)
    }

    proptest! {
        #[test]
        fn a_shard_is_durable_up_to_the_first_record_that_is_missing(steps in steps()) {
            let mut outbox = Outbox::new(at(0));
            // Every record so far, and the id under which it still waits.
            let mut records: Vec<Option<EntryId>> = Vec::new();
            let mut told = 0;
            for step in steps.into_iter().chain([Step::Ask]) {
                match step {
                    Step::Push => {
                        let id = push(&mut outbox, records.len() + 1);
                        records.push(Some(id));
                    }
                    Step::Skip => {
                        outbox.skip(at(records.len() + 1));
                        records.push(None);
                    }
                    Step::Acknowledge(which) => {
                        let mut waiting: Vec<_> = records.iter_mut().filter(|record| record.is_some()).collect();
                        if !waiting.is_empty()
                            && let Some(id) = which.get_mut(&mut waiting).take()
                        {
                            outbox.acknowledge(id);
                        }
                    }
                    Step::Ask => {
                        let prefix = records.iter().take_while(|record| record.is_none()).count();
                        prop_assert_eq!(outbox.durable(), (prefix > told).then(|| at(prefix)));
                        told = prefix;
                    }
                }
                let waiting: Vec<_> = records.iter().enumerate().filter_map(|(n, id)| Some((n + 1, (*id)?))).collect();
                let pending: Vec<_> = outbox.pending().map(|(id, entry)| (entry.key, id)).collect();
                prop_assert_eq!(outbox.len(), waiting.len());
                prop_assert_eq!(outbox.bytes(), waiting.iter().map(|(n, _)| n).sum::<usize>());
                prop_assert_eq!(pending, waiting, "nothing is lost, repeated or reordered");
            }
        }
    }
}
