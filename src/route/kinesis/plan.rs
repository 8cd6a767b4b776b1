//! What one PutRecords call carries.
//!
//! The records of a call are independent: each may fail alone, and a failed one is sent again after the others have landed. So a call carries
//! at most one record of each [`Lane`], made from the oldest events of the lane. Until that record is acknowledged its events are pending and
//! come first in the next plan; nothing of their keys can pass them (*item-order*). That needs no memory of earlier plans: after a reshard the
//! lanes are others, but every key still finds all of its events in one lane, in order.

use std::collections::hash_map::Entry as Place;
use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use crate::event::ShardId;
use crate::mutant::{self, Mutant};
use crate::route::aggregate::Aggregate;
use crate::route::outbox::{Entry, EntryId};
use crate::route::shard_map::{HashKey, ShardMap, partition_key};

/// PutRecords takes this many records.
pub(super) const MOST_RECORDS: usize = 500;
/// PutRecords takes requests of 10 MiB, partition keys included.
pub(super) const LARGEST_REQUEST: usize = 10 << 20;
/// The partition key of aggregated records: their readers use those inside, and the explicit hash key says where they go.
const AGGREGATE_KEY: &str = "a";
/// How many events a plan looks at, from the first that may go, for others that may go along. Those of lanes that must wait do not count.
const LOOK_AHEAD: usize = 10_000;

/// Where an event belongs in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) partition_key: Box<str>,
    pub(super) hash_key: HashKey,
}

impl Destination {
    /// The place of an item's changes, from the texts of its key.
    pub(super) fn of(key: &[std::borrow::Cow<'_, str>]) -> Self {
        let partition_key: Box<str> = partition_key(key).into();
        Self { hash_key: HashKey::of(&partition_key), partition_key }
    }
}

/// What keeps its order: of each lane one record at a time is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    /// Everything that goes to one shard: with aggregation.
    Shard(ShardId),
    /// The events of one partition key, or of two with the same hash key: without aggregation, and where the map of shards has a gap.
    Key(HashKey),
}

/// What a call may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Events.
    pub(super) events: usize,
    /// Bytes of all records with their partition keys. The first record of a call may be larger.
    pub(super) bytes: usize,
    /// Bytes of an aggregated record; none when each event is a record of its own.
    pub(super) aggregate: Option<usize>,
}

/// One record of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlannedRecord {
    pub(super) lane: Lane,
    /// The events in it, oldest first.
    pub(super) entries: Vec<EntryId>,
    /// The least and the greatest hash key of the events.
    pub(super) hash_keys: (HashKey, HashKey),
    pub(super) data: Bytes,
    pub(super) partition_key: Box<str>,
    /// Given for aggregated records, whose partition key says nothing.
    pub(super) explicit_hash_key: Option<HashKey>,
}

impl PlannedRecord {
    /// Whether several events share it.
    pub(super) fn is_aggregated(&self) -> bool {
        self.explicit_hash_key.is_some()
    }
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Plan {
    pub(super) records: Vec<PlannedRecord>,
    /// The map of shards has no shard for one of the events: the shards should be listed again.
    pub(super) unmapped: bool,
    /// Every event before this one is of a lane that must wait.
    pub(super) first: Option<EntryId>,
}

/// Plans the next call from what is pending, in the order of the shard. `held` tells of a lane that must wait the last entry of its record that
/// failed. Events for `distrusted` shards go one by one: the map is known to be wrong there.
pub(super) fn plan<'p>(
    pending: impl Iterator<Item = (EntryId, &'p Entry<Destination>)>,
    shards: &ShardMap,
    distrusted: &HashSet<ShardId>,
    held: impl Fn(&Lane) -> Option<EntryId>,
    limits: &Limits,
) -> Plan {
    let mut lanes: HashMap<LaneRef<'_>, State> = HashMap::new();
    let mut parcels: Vec<Parcel<'_, '_>> = Vec::new();
    let mut unmapped = false;
    // The events and bytes in the plan, and how many lanes of shards take no more.
    let (mut events, mut bytes, mut full) = (0, 0, 0);
    // How many events were looked at that did not have to wait, and the first of them.
    let (mut looked, mut first) = (0, None);
    for (id, entry) in pending {
        let rest_is_full = match limits.aggregate {
            Some(_) => full == shards.len() && !unmapped && distrusted.is_empty(),
            None => parcels.len() == MOST_RECORDS,
        };
        if events == limits.events || !parcels.is_empty() && (rest_is_full || bytes >= limits.bytes || looked >= LOOK_AHEAD) {
            break;
        }
        let lane = match limits.aggregate.map(|_| shards.shard_of(entry.key.hash_key)) {
            Some(Some(shard)) if distrusted.contains(shard) => LaneRef::Key(entry.key.hash_key),
            Some(Some(shard)) => LaneRef::Shard(shard),
            Some(None) => {
                unmapped = true;
                LaneRef::Key(entry.key.hash_key)
            }
            None => LaneRef::Key(entry.key.hash_key),
        };
        let state = match lanes.entry(lane) {
            Place::Occupied(place) => place.into_mut(),
            Place::Vacant(place) => {
                let held = held(&lane.into());
                full += usize::from(held.is_some() && matches!(lane, LaneRef::Shard(_)));
                place.insert(State { held, parcel: Slot::Empty })
            }
        };
        if let Some(through) = state.held
            && !(mutant::armed(Mutant::ResendBehind) && id > through)
        {
            continue;
        }
        looked += 1;
        first.get_or_insert(id);
        let taken = match state.parcel {
            Slot::Closed => continue,
            Slot::Empty => {
                let parcel = Parcel::new(lane, id, entry);
                let fits = parcels.is_empty() || parcels.len() < MOST_RECORDS && bytes + parcel.size() <= limits.bytes;
                fits.then(|| {
                    let size = parcel.size();
                    state.parcel = Slot::Open(parcels.len());
                    parcels.push(parcel);
                    size
                })
            }
            Slot::Open(at) => match (lane, limits.aggregate) {
                // A record outside of the map is not packed: it could be put on another shard than the rest.
                (LaneRef::Key(_), _) | (_, None) => None,
                (LaneRef::Shard(_), Some(largest)) => parcels[at].add(id, entry, largest, limits.bytes.saturating_sub(bytes)),
            },
        };
        if let Some(size) = taken {
            events += 1;
            bytes += size;
        } else {
            // What comes later in the lane must not go before this.
            state.parcel = Slot::Closed;
            full += usize::from(matches!(lane, LaneRef::Shard(_)));
        }
    }
    Plan { records: parcels.into_iter().map(Parcel::seal).collect(), unmapped, first }
}

/// A [`Lane`] that borrows.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum LaneRef<'m> {
    Shard(&'m ShardId),
    Key(HashKey),
}

impl From<LaneRef<'_>> for Lane {
    fn from(lane: LaneRef<'_>) -> Self {
        match lane {
            LaneRef::Shard(shard) => Self::Shard(shard.clone()),
            LaneRef::Key(key) => Self::Key(key),
        }
    }
}

struct State {
    held: Option<EntryId>,
    parcel: Slot,
}

enum Slot {
    /// Nothing of the lane is in the plan yet.
    Empty,
    /// Its record takes more.
    Open(usize),
    /// Nothing more of the lane goes with this call.
    Closed,
}

/// A record in the making.
struct Parcel<'m, 'p> {
    lane: LaneRef<'m>,
    entries: Vec<EntryId>,
    hash_keys: (HashKey, HashKey),
    first: &'p Entry<Destination>,
    /// From the second event on.
    aggregate: Option<Aggregate>,
}

impl<'m, 'p> Parcel<'m, 'p> {
    fn new(lane: LaneRef<'m>, id: EntryId, first: &'p Entry<Destination>) -> Self {
        Self { lane, entries: vec![id], hash_keys: (first.key.hash_key, first.key.hash_key), first, aggregate: None }
    }

    fn size(&self) -> usize {
        match &self.aggregate {
            None => self.first.data.len() + self.first.key.partition_key.len(),
            Some(aggregate) => aggregate.size() + AGGREGATE_KEY.len(),
        }
    }

    /// Adds one more event, if the record then has at most `largest` bytes and grows by at most `room`. Returns by how much it grows.
    fn add(&mut self, id: EntryId, entry: &Entry<Destination>, largest: usize, room: usize) -> Option<usize> {
        let before = self.size();
        if before > largest {
            return None;
        }
        let (key, data) = (&entry.key.partition_key, &entry.data);
        let mut aggregate = self.aggregate.take().unwrap_or_else(|| {
            let mut aggregate = Aggregate::default();
            aggregate.push(&self.first.key.partition_key, &self.first.data);
            aggregate
        });
        let size = aggregate.size_with(key, data) + AGGREGATE_KEY.len();
        let growth = size.saturating_sub(before);
        let fits = size <= largest && growth <= room;
        if fits {
            aggregate.push(key, data);
            self.entries.push(id);
            let hash_key = entry.key.hash_key;
            self.hash_keys = (self.hash_keys.0.min(hash_key), self.hash_keys.1.max(hash_key));
        }
        // Of one event alone there is nothing to pack.
        self.aggregate = Some(aggregate).filter(|aggregate| aggregate.len() > 1);
        fits.then_some(growth)
    }

    fn seal(self) -> PlannedRecord {
        let (data, partition_key, explicit_hash_key) = match self.aggregate {
            None => (self.first.data.clone(), self.first.key.partition_key.clone(), None),
            Some(aggregate) => (aggregate.finish(), AGGREGATE_KEY.into(), Some(self.first.key.hash_key)),
        };
        PlannedRecord { lane: self.lane.into(), entries: self.entries, hash_keys: self.hash_keys, data, partition_key, explicit_hash_key }
    }
}

#[cfg(test)]
mod tests;
