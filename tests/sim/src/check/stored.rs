//! What Kinesis stored tells: kinesis-no-loss, kinesis-item-order, duplicates, exact-values.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::consumer::{Consumer, Fate, Record};
use super::position::Position;
use super::rows::{self, Row};
use super::{Checker, Invariant, item_name};
use crate::call::Passage;
use crate::journal::{Entry, Put};
use crate::kinesis::aggregate::{self, Packed};
use crate::sequence::Sequence;

/// What a worker has heard of a stream's shards counts this much later (milliseconds): what it has packed by what it knew before is on its way.
const LISTING_COUNTS_AFTER: i64 = 1_000;

/// The Kinesis stream in the path.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) stream: String,
    /// What deliver reads. Its records are the user records: what was packed together counts one by one.
    pub(super) consumer: Consumer,
    /// What is known of each user record.
    pub(super) users: Vec<User>,
    /// When workers heard of the stream's shards, by worker.
    listings: BTreeMap<String, Vec<i64>>,
    /// When a worker was first told that a record of its came into a shard, by worker and shard.
    met: BTreeMap<(String, String), i64>,
    /// The hash key that an item's changes have.
    hash_keys: BTreeMap<String, u128>,
}

/// What is in a user record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// The change of that number.
    Change(usize),
    /// The row of a snapshot of that number.
    Row(usize),
    /// That all rows of this snapshot were sent. It says nothing in another shard than the one that it names.
    Announcement { snapshot: String, shard: Option<String> },
}

/// What is known of a user record.
#[derive(Debug)]
pub(super) struct User {
    /// What is in it; none for what cannot be told.
    pub(super) content: Option<Content>,
    pub(super) hash_key: u128,
    /// Packed into a record that came into a shard which does not take the hash keys of all that is in it. Readers such as KCL drop it, so its
    /// change must come again; deliver lands it.
    pub(super) is_stray: bool,
}

/// A change as Kinesis stored it, once.
#[derive(Debug)]
pub(super) struct Copy {
    /// The index of the user record.
    pub(super) record: usize,
    worker: String,
    /// The tenure of the change's shard then.
    tenure: u64,
    data: Bytes,
    /// Whether its sender knew for sure that it is stored where readers take it.
    is_known: bool,
}

/// A user record: what stands alone, or a part of what was packed together.
struct UserRecord {
    position: Position,
    hash_key: u128,
    data: Bytes,
    is_packed: bool,
    /// Whether its shard does not take its hash key, or that of another which it was packed with.
    is_stray: bool,
}

impl Stored {
    pub(super) fn new(stream: String, leases: Option<String>, failover: i64) -> Self {
        let consumer = Consumer { has_packed_records: true, ..Consumer::new(leases, failover) };
        Self { stream, consumer, users: Vec::new(), listings: BTreeMap::new(), met: BTreeMap::new(), hash_keys: BTreeMap::new() }
    }

    /// Whether a user record leaves something in the lake: an announcement does not, and no checkpoint needs to pass it.
    pub(super) fn leaves(&self, record: usize) -> bool {
        !matches!(self.users.get(record).map(|user| &user.content), Some(Some(Content::Announcement { .. })))
    }

    /// A worker asked for the stream's open shards: the part of it that writes.
    pub(super) fn listed(&mut self, entry: &Entry, passage: Passage) {
        if passage.is_prompt() {
            self.listings.entry(entry.worker.clone()).or_default().push(entry.at);
        }
    }

    /// Whether a worker packs with a shard in mind. Sure is that only of one that a record of its came into before the worker last heard of the
    /// stream's open shards.
    fn is_known_to(&self, entry: &Entry, shard: &str) -> bool {
        let met = self.met.get(&(entry.worker.clone(), shard.to_owned()));
        let heard = self.listings.get(&entry.worker).into_iter().flatten().find(|heard| met.is_some_and(|met| *heard >= met));
        heard.is_some_and(|heard| heard + LISTING_COUNTS_AFTER <= entry.at)
    }

    /// A record came into a shard.
    fn meet(&mut self, entry: &Entry, put: &Put) {
        if put.passage.is_prompt() {
            self.met.entry((entry.worker.clone(), put.shard.clone())).or_insert(entry.at);
        }
    }
}

impl Checker {
    pub(super) fn put(&mut self, entry: &Entry, put: &Put) {
        let users = user_records(put);
        self.findings.count("records in Kinesis");
        if users.first().is_some_and(|user| user.is_packed) {
            self.findings.count("aggregated records in Kinesis");
        }
        for user in users {
            self.user_record(entry, put, user);
        }
        if let Some(stored) = &mut self.kinesis {
            stored.meet(entry, put);
        }
    }

    fn user_record(&mut self, entry: &Entry, put: &Put, user: UserRecord) {
        self.findings.count("changes in Kinesis, copies included");
        let described = format!("{} of {}", user.position, put.shard);
        let content = self.content_of(entry, &described, &user.data);
        let Some(stored) = &mut self.kinesis else { return };
        if user.is_stray {
            self.findings.count("changes packed for another shard");
        }
        let (stream, shard) = (put.stream.clone(), put.shard.clone());
        let record = stored.consumer.take(Record { stream, shard, position: user.position.clone(), at: entry.at, fate: Fate::Pending });
        stored.users.push(User { content: content.clone(), hash_key: user.hash_key, is_stray: user.is_stray });
        let change = match content {
            Some(Content::Change(change)) => change,
            Some(Content::Row(row)) => {
                self.findings.count("snapshot rows in Kinesis, copies included");
                if let Some(after) = put.passage.heard_after.filter(|_| !user.is_stray) {
                    let known = &mut self.snapshots.rows[row].acknowledged;
                    *known = Some(known.map_or(entry.at + after, |known| known.min(entry.at + after)));
                }
                return;
            }
            Some(Content::Announcement { snapshot, shard }) => {
                let is_meant = shard.is_none_or(|shard| shard == put.shard);
                return self.announced(entry, &described, &snapshot, record, is_meant);
            }
            None => return,
        };
        if !put.passage.held_up {
            self.capture.check_sender(entry, &self.changes[change].place.shard, &mut self.findings);
        }
        // A record that came into a shard that its sender did not have in mind looks as if it had gone astray.
        let is_surprise = user.is_packed && !stored.is_known_to(entry, &put.shard);
        let hash_key = *stored.hash_keys.entry(item_name(&self.changes[change].change.key)).or_insert(user.hash_key);
        if hash_key != user.hash_key {
            let what = format!("the change in {described} has the hash key {}, the item's earlier ones {hash_key}", user.hash_key);
            self.findings.violate(Invariant::KinesisItemOrder, entry.at, what);
        }
        let copy = Copy {
            record,
            worker: entry.worker.clone(),
            tenure: self.capture.shards.get(&self.changes[change].place.shard).map_or(0, |shard| shard.tenure),
            data: user.data,
            is_known: !user.is_stray && put.passage.is_prompt() && !is_surprise,
        };
        self.check_copy(entry, &described, change, &copy, put.passage);
        if !user.is_stray {
            self.check_stored_order(entry, &described, change);
            if let Some(after) = put.passage.heard_after {
                self.acknowledge(entry, &described, change, entry.at + after, &put.sequence);
            }
        }
        let change = &mut self.changes[change];
        change.is_stored |= !user.is_stray;
        change.copies.push(copy);
    }

    /// Reads a user record.
    fn content_of(&mut self, entry: &Entry, described: &str, data: &Bytes) -> Option<Content> {
        if let Some((snapshot, shard)) = rows::announced(data) {
            return Some(Content::Announcement { snapshot, shard });
        }
        let row = self.whole_row(entry, described, data)?;
        if row.snapshot.is_some() {
            return self.snapshot_row(entry, described, &row).map(Content::Row);
        }
        let change = self.places.get(&(row.shard.clone(), row.sequence.clone())).copied();
        let difference = match change {
            None => Some(format!("no table wrote {} of {}", row.sequence, row.shard)),
            Some(change) => row.difference(&self.subject.table, &self.changes[change]),
        };
        if let Some(difference) = difference {
            self.findings.violate(Invariant::ExactValues, entry.at, format!("{described}: {difference}"));
        }
        change.map(Content::Change)
    }

    /// The row of a user record, which holds it or points to the object that does.
    fn whole_row(&mut self, entry: &Entry, described: &str, data: &Bytes) -> Option<Row> {
        let row = match rows::line(data) {
            Ok(row) => row,
            Err(error) => {
                self.findings.violate(Invariant::ExactValues, entry.at, format!("{described} cannot be read: {error:#}"));
                return None;
            }
        };
        Some(match &row.claim {
            None => row,
            Some(location) => {
                self.findings.count("pointers to objects");
                let whole = self.claims.get(location).map(rows::line);
                let Some(Ok(whole)) = whole else {
                    let what = format!("{described} points to {location}, which holds no event: {whole:?}");
                    self.findings.violate(Invariant::KinesisNoLoss, entry.at, what);
                    return None;
                };
                let pointer = Row { new: row.new.clone(), old: row.old.clone(), claim: row.claim.clone(), ..whole.clone() };
                if pointer != row || !row.new.is_empty() || !row.old.is_empty() {
                    let what = format!("{described} is no pointer to the event in {location}: {row:?}");
                    self.findings.violate(Invariant::ExactValues, entry.at, what);
                }
                whole
            }
        })
    }

    /// A second copy has the bytes of the first, and its sender could not know of that.
    fn check_copy(&mut self, entry: &Entry, described: &str, change: usize, copy: &Copy, passage: Passage) {
        let tracked = &self.changes[change];
        let Some(first) = tracked.copies.first() else { return };
        self.findings.count("changes stored again");
        let event = &tracked.place.event_id;
        if first.data != copy.data {
            let what = format!("{described} is the event {event}, but not in the bytes of its first copy");
            self.findings.violate(Invariant::Duplicates, entry.at, what);
        }
        // It may have been sent before what is known now.
        if passage.held_up {
            return;
        }
        let is_same_work = |earlier: &&Copy| earlier.is_known && earlier.worker == copy.worker && earlier.tenure == copy.tenure;
        if tracked.copies.iter().any(|earlier| is_same_work(&earlier)) {
            let what = format!("{} stored the event {event} again in {described}, and knew that it was stored", copy.worker);
            self.findings.violate(Invariant::Duplicates, entry.at, what);
        }
        let held = self.capture.leases.get(&tracked.place.shard).filter(|held| held.lease.is_held_by(&copy.worker));
        if held.is_some_and(|held| held.lease.has_passed(&tracked.place.sequence)) {
            let what = format!("{} stored the event {event} again in {described}, behind the checkpoint of its shard", copy.worker);
            self.findings.violate(Invariant::Duplicates, entry.at, what);
        }
    }

    /// Every earlier change of the item is stored already, or lost.
    fn check_stored_order(&mut self, entry: &Entry, described: &str, change: usize) {
        if self.changes[change].is_stored {
            return;
        }
        let is_missing = |earlier: &usize| !self.changes[*earlier].is_stored && self.is_pending(*earlier);
        let overtaken = self.earlier(change).find(is_missing);
        if let Some(overtaken) = overtaken {
            let what = format!("{described} is stored before the same item's change at {}", self.changes[overtaken].place.sequence);
            self.findings.violate(Invariant::KinesisItemOrder, entry.at, what);
        }
    }

    /// The sender of a change hears that it is stored. It had heard so of every earlier change of the item, unless those are in the same record.
    /// `since`: when its sender can know; `within`: the record of Kinesis.
    fn acknowledge(&mut self, entry: &Entry, described: &str, change: usize, since: i64, within: &Sequence) {
        let is_within =
            |copy: &Copy| self.kinesis.as_ref().is_some_and(|stored| stored.consumer.records[copy.record].position.sequence == *within);
        let unheard = |earlier: &usize| {
            let earlier = &self.changes[*earlier];
            earlier.is_stored && earlier.acknowledged.is_none_or(|since| since > entry.at) && !earlier.copies.iter().any(is_within)
        };
        // What the table's stream no longer has cannot be sent once more by a worker that has heard nothing of it.
        let is_owed = |earlier: &usize| self.is_pending(*earlier) && !self.capture.is_gone(&self.capture.records[*earlier]);
        let is_new = self.changes[change].acknowledged.is_none();
        let overtaken = self.earlier(change).find(|earlier| is_new && unheard(earlier) && is_owed(earlier));
        if let Some(overtaken) = overtaken {
            let place = &self.changes[overtaken].place.sequence;
            let what = format!("{described} is acknowledged while nobody has heard of the same item's change at {place}");
            self.findings.violate(Invariant::KinesisItemOrder, entry.at, what);
        }
        self.capture.settle(change, since);
        let known = &mut self.changes[change].acknowledged;
        *known = Some(known.map_or(since, |known| known.min(since)));
    }

    /// The earlier changes of a change's item.
    fn earlier(&self, change: usize) -> impl Iterator<Item = usize> {
        let history = self.items.get(&item_name(&self.changes[change].change.key)).into_iter().flatten();
        history.copied().take_while(move |other| *other < change)
    }

    /// Whether a change is neither lost nor in quarantine.
    fn is_pending(&self, change: usize) -> bool {
        !matches!(self.capture.records[change].fate, Fate::Lost | Fate::BeforeTheStart) && !self.changes[change].is_quarantined
    }
}

/// What readers make of a record.
fn user_records(put: &Put) -> Vec<UserRecord> {
    let position = |sub| Position { sequence: put.sequence.clone(), sub };
    match aggregate::unpack(&put.data) {
        None => {
            vec![UserRecord { position: position(0), hash_key: put.hash_key, data: put.data.clone(), is_packed: false, is_stray: false }]
        }
        Some(packed) => {
            // One that is astray takes the others with it.
            let is_stray = !packed.iter().all(|packed| put.range.contains(&packed.hash_key()));
            let user = |(sub, packed): (u64, Packed<'_>)| UserRecord {
                position: position(sub),
                hash_key: packed.hash_key(),
                data: put.data.slice_ref(packed.data),
                is_packed: true,
                is_stray,
            };
            (0..).zip(packed).map(user).collect()
        }
    }
}
