//! Whether the invariants held, judged from the journal alone.
//!
//! [`Checker`] follows the journal entry by entry. It knows every change that the table took, sees every object that was committed, every
//! lease that was written and every page that was read, and so can tell at each moment what was durable and what was not. It shares no
//! code with the service: objects are read by [`rows`], lease items by their attributes' names.

pub mod ledger;
pub mod rows;

mod landing;
mod leases;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::item::Item;
use crate::journal::{Change, Entry, Event, Journal, Place};
use crate::sequence::Sequence;
use ledger::Gap;

/// An invariant of the service, by the name that its documentation uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// A checkpoint never passes a record that is not durable.
    DurableBeforeCheckpoint,
    /// The changes of one item land in the order of the stream.
    ItemOrder,
    /// A child shard is read only after each of its parents is done.
    ParentFirst,
    /// A shard is processed by the holder of its lease.
    OneWriter,
    /// A change is in exactly one committed object.
    LandOnce,
    /// What is lost is in the gap ledger, and nothing else is lost.
    NoSilentLoss,
    /// No value changes on the way.
    ExactValues,
    /// Reading goes on behind the checkpoint, not at or before it.
    ResumeAfter,
    /// Once nothing is in the way, everything lands and every checkpoint follows.
    Liveness,
    /// The service ends by itself only when a service stays away for long or a person is needed, and never by a panic.
    CleanExit,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DurableBeforeCheckpoint => "durable-before-checkpoint",
            Self::ItemOrder => "item-order",
            Self::ParentFirst => "parent-first",
            Self::OneWriter => "one-writer",
            Self::LandOnce => "land-once",
            Self::NoSilentLoss => "no-silent-loss",
            Self::ExactValues => "exact-values",
            Self::ResumeAfter => "resume-after",
            Self::Liveness => "liveness",
            Self::CleanExit => "clean-exit",
        })
    }
}

/// An invariant that did not hold.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When it showed, by the services' clock (milliseconds since the epoch).
    pub at: i64,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// What the checker has to know about the history.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The replicated table.
    pub table: String,
    /// The lease table.
    pub leases: String,
    /// The lake's bucket.
    pub bucket: String,
    /// The lake's prefix with the table's folder, without a slash at the end.
    pub folder: String,
    /// How long a holder may be silent before its lease may be taken, in milliseconds.
    pub failover: i64,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Not durable yet.
    Pending,
    /// In a committed object.
    Landed,
    /// The stream trimmed it before it was durable.
    Lost,
    /// The stream trimmed it before the first lease was written: nothing was replicated yet.
    BeforeTheStart,
}

/// A change and what became of it.
#[derive(Debug)]
struct Tracked {
    at: i64,
    change: Change,
    place: Place,
    fate: Fate,
}

/// A shard and the changes that it took.
#[derive(Debug, Default)]
struct Shard {
    parent: Option<String>,
    /// Indices of changes, in order.
    changes: Vec<usize>,
    /// Every change before this index of `changes` is durable or lost.
    settled: usize,
    forgotten: bool,
    /// The last record that its stream no longer has.
    trimmed: Option<Sequence>,
    /// Whether it ever had a lease.
    leased: bool,
}

/// Follows a journal and judges it.
#[derive(Debug)]
pub struct Checker {
    subject: Subject,
    read: usize,
    changes: Vec<Tracked>,
    places: BTreeMap<(String, Sequence), usize>,
    items: BTreeMap<String, Vec<usize>>,
    shards: BTreeMap<String, Shard>,
    leases: BTreeMap<String, leases::Seen>,
    /// Whether there ever was a lease.
    begun: bool,
    /// The shards that were ever done: they stay done when the lease table is lost.
    done: BTreeSet<String>,
    gaps: Vec<Gap>,
    /// Changes made while the table had no stream, though leases told that it was being replicated.
    unstreamed: Vec<(i64, String)>,
    refusals: BTreeMap<(String, String), leases::Refusals>,
    violations: Vec<Violation>,
    seen: Seen,
}

/// What the history exercised, as the journal shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are counts of what their names say")]
pub struct Seen {
    pub changes: u64,
    pub ttl_deletes: u64,
    pub landed: u64,
    pub lost: u64,
    pub unstreamed: u64,
    pub objects: u64,
    pub reshards: u64,
    pub splits: u64,
    pub takeovers: u64,
    pub gaps: u64,
    pub trims: u64,
    pub pages: u64,
    pub empty_pages: u64,
    pub lease_writes: u64,
    pub refused_conditions: u64,
}

impl Checker {
    /// A checker that has seen nothing yet.
    pub fn new(subject: Subject) -> Self {
        Self {
            subject,
            read: 0,
            changes: Vec::new(),
            places: BTreeMap::new(),
            items: BTreeMap::new(),
            shards: BTreeMap::new(),
            leases: BTreeMap::new(),
            begun: false,
            done: BTreeSet::new(),
            gaps: Vec::new(),
            unstreamed: Vec::new(),
            refusals: BTreeMap::new(),
            violations: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// Takes note of what happened since the last time.
    pub fn follow(&mut self, journal: &Journal) {
        let entries = journal.since(self.read);
        self.read += entries.len();
        for entry in &entries {
            self.take(entry);
        }
    }

    /// What did not hold so far.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// What was exercised so far.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// Whether everything has landed that still can, every checkpoint has followed, and what was lost is in the ledger.
    pub fn is_settled(&self) -> bool {
        let settled = |change: &Tracked| match change.fate {
            Fate::Pending => false,
            Fate::Lost => self.is_in_ledger(change),
            Fate::Landed | Fate::BeforeTheStart => true,
        };
        self.changes.iter().all(settled)
            && self.unstreamed.iter().all(|(at, stream)| self.gaps.iter().any(|gap| gap.covers_replacement(stream, *at)))
            && self.stuck_checkpoints().next().is_none()
    }

    /// The history is over and had time to settle: whatever is missing now is missing for good.
    pub fn finish(&mut self, now: i64) {
        let mut missing = Vec::new();
        for change in &self.changes {
            let described = format!("{} at {} of {}", change.change.operation, change.place.sequence, change.place.shard);
            match change.fate {
                Fate::Pending => missing.push((Invariant::Liveness, format!("{described} never landed"))),
                Fate::Lost if !self.is_in_ledger(change) => {
                    missing.push((Invariant::NoSilentLoss, format!("{described} was trimmed unread, and no gap tells of it")));
                }
                Fate::Landed | Fate::Lost | Fate::BeforeTheStart => {}
            }
        }
        missing.extend(self.stuck_checkpoints().map(|what| (Invariant::Liveness, what)));
        for (at, stream) in &self.unstreamed {
            if !self.gaps.iter().any(|gap| gap.covers_replacement(stream, *at)) {
                let after = (now - at) / 1000;
                missing.push((
                    Invariant::NoSilentLoss,
                    format!("a change {after} s ago came into no stream after {stream}, and no gap tells of it"),
                ));
            }
        }
        for (invariant, what) in missing {
            self.violate(invariant, now, what);
        }
    }

    fn violate(&mut self, invariant: Invariant, at: i64, what: String) {
        self.violations.push(Violation { invariant, at, what });
    }

    fn take(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Change(change) if change.table == self.subject.table => self.change(entry.at, change),
            Event::Resharded { parent, children, .. } => {
                if parent.is_some() {
                    self.seen.reshards += 1;
                    self.seen.splits += u64::from(children.len() > 1);
                }
                for child in children {
                    self.shards.insert(child.clone(), Shard { parent: parent.clone(), ..Shard::default() });
                }
            }
            Event::Trimmed { shard, through, .. } => {
                self.seen.trims += 1;
                self.lose(shard, Some(through));
                if let Some(shard) = self.shards.get_mut(shard) {
                    shard.trimmed = Some(through.clone());
                }
            }
            Event::Forgotten { shard, .. } => {
                self.lose(shard, None);
                if let Some(shard) = self.shards.get_mut(shard) {
                    shard.forgotten = true;
                }
            }
            Event::Iterator { shard, kind, position, .. } => self.iterator(entry, shard, kind, position.as_deref()),
            Event::Page { shard, records, .. } => self.page(entry, shard, *records),
            Event::Item { table, key, new, .. } if *table == self.subject.leases => self.lease_write(entry, key, new.as_ref()),
            Event::ConditionFailed { table, key } if *table == self.subject.leases => self.refused(entry, key),
            Event::Object { bucket, key, body, replaced } if *bucket == self.subject.bucket => {
                self.object(entry, key, body, replaced.is_some());
            }
            Event::Deleted { bucket, key } if *bucket == self.subject.bucket => {
                self.violate(Invariant::LandOnce, entry.at, format!("{} deleted {key}", entry.worker));
            }
            _ => {}
        }
    }

    fn change(&mut self, at: i64, change: &Change) {
        self.seen.changes += 1;
        self.seen.ttl_deletes += u64::from(change.by_ttl);
        let Some(place) = &change.place else {
            self.seen.unstreamed += 1;
            // The stream that leases tell of is the one that was disabled; before the first lease nothing was replicated.
            let newest = self.leases.values().map(|seen| seen.lease.stream.as_str()).max();
            if let Some(stream) = newest.map(str::to_owned) {
                self.unstreamed.push((at, stream));
            }
            return;
        };
        let index = self.changes.len();
        self.places.insert((place.shard.clone(), place.sequence.clone()), index);
        self.items.entry(item_name(&change.key)).or_default().push(index);
        self.shards.entry(place.shard.clone()).or_default().changes.push(index);
        self.changes.push(Tracked { at, change: change.clone(), place: place.clone(), fate: Fate::Pending });
    }

    /// The stream no longer has the shard's changes up to a position, or any of them.
    fn lose(&mut self, shard: &str, through: Option<&Sequence>) {
        let Some(shard) = self.shards.get(shard) else { return };
        for index in shard.changes.iter().skip(shard.settled) {
            let change = &mut self.changes[*index];
            if through.is_some_and(|through| change.place.sequence > *through) {
                break;
            }
            if change.fate == Fate::Pending {
                change.fate = if self.begun { Fate::Lost } else { Fate::BeforeTheStart };
                self.seen.lost += u64::from(self.begun);
            }
        }
    }

    /// The first change of a shard up to a position (or of all) that is neither durable nor lost.
    fn first_pending(&mut self, shard: &str, through: Option<&Sequence>) -> Option<&Tracked> {
        let shard = self.shards.get_mut(shard)?;
        while shard.changes.get(shard.settled).is_some_and(|index| self.changes[*index].fate != Fate::Pending) {
            shard.settled += 1;
        }
        let first = &self.changes[*shard.changes.get(shard.settled)?];
        through.is_none_or(|through| first.place.sequence <= *through).then_some(first)
    }

    /// Whether the ledger tells of a lost change: of its shard, or of one that it continues and that vanished with all behind it.
    fn is_in_ledger(&self, lost: &Tracked) -> bool {
        let own = lost.place.shard.as_str();
        let told_of = |shard: &str| self.gaps.iter().any(|gap| gap.covers(shard, shard == own, &lost.place.sequence, lost.at));
        if std::iter::once(own).chain(self.ancestors(own)).any(told_of) {
            return true;
        }
        // A shard that never had a lease can be told of only with its stream, or with a shard that continues it.
        let leased = self.shards.get(&lost.place.shard).is_some_and(|shard| shard.leased);
        let continues = |gap: &Gap| self.ancestors(gap.origin()).any(|shard| shard == lost.place.shard);
        !leased && self.gaps.iter().any(|gap| gap.covers_replacement(&lost.place.stream, lost.at) || continues(gap))
    }

    /// The shards that a shard continues.
    fn ancestors<'a>(&'a self, shard: &str) -> impl Iterator<Item = &'a str> {
        let parent = |name: &str| self.shards.get(name).and_then(|shard| shard.parent.as_deref());
        std::iter::successors(parent(shard), move |shard| parent(shard))
    }
}

/// One text for one key.
fn item_name(key: &Item) -> String {
    serde_json::to_string(key).unwrap_or_default()
}
