//! Whether the invariants held, judged from the journal alone.
//!
//! [`Checker`] follows the journal entry by entry. It knows every change that the table took, sees every record that Kinesis stored, every object
//! that was committed, every lease that was written and every page that was read, and so can tell at each moment what was durable and what was
//! not. It shares no code with the service: objects and lines are read by [`rows`], lease items by their attributes' names.

pub mod ledger;
pub mod position;
pub mod rows;

mod consumer;
mod current;
mod delivered;
mod difference;
mod findings;
mod holders;
mod landing;
mod leases;
mod missing;
mod snapshots;
mod stored;
#[cfg(test)]
mod tests;
mod timeline;

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::item::Item;
use crate::journal::{Change, Entry, Event, Journal, Place};
use crate::sequence::Sequence;
use consumer::{Consumer, Fate, Record};
use findings::Findings;
pub use findings::{Counts, Invariant, Violation};
use rows::Row;
use snapshots::Snapshots;
pub use snapshots::{Snapshot, State};
use stored::{Copy, Stored};
use timeline::Timeline;

/// What the checker has to know about the history.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The replicated table.
    pub table: String,
    /// The lease table of those who read its stream.
    pub leases: String,
    /// The lake's bucket.
    pub bucket: String,
    /// The lake's prefix with the table's folder, without a slash at the end.
    pub folder: String,
    /// How long a holder may be silent before its lease may be taken, in milliseconds.
    pub failover: i64,
    /// The Kinesis stream in the path, if there is one.
    pub kinesis: Option<KinesisSubject>,
    /// Whether a snapshot has to close every gap.
    pub closes_gaps: bool,
}

/// What the checker has to know about Kinesis in the path.
#[derive(Debug, Clone)]
pub struct KinesisSubject {
    /// The stream.
    pub stream: String,
    /// The lease table of those who deliver from it into the lake; none when nobody does.
    pub leases: Option<String>,
    /// Changes whose images have at least so many bytes of JSON may be in quarantine instead.
    pub quarantined_from: Option<usize>,
}

/// A change and what became of it. What became of it in the table's stream stands with the stream's record of the same index.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Tracked {
    at: i64,
    change: Change,
    place: Place,
    /// Whether it is in a committed object.
    has_landed: bool,
    /// Whether it is in Kinesis, where readers take it.
    is_stored: bool,
    is_quarantined: bool,
    /// Its object was deleted by somebody, so it may land once more.
    is_deleted: bool,
    /// Its copies in Kinesis, in order.
    copies: Vec<Copy>,
    /// Since when a sender can know that it is there (milliseconds since the epoch).
    acknowledged: Option<i64>,
}

impl Tracked {
    /// The time of the change, as its stream tells it.
    fn seconds(&self) -> i64 {
        self.at.div_euclid(1000)
    }

    /// How many bytes of JSON its images have.
    fn size(&self) -> usize {
        let size = |image: &Item| serde_json::to_string(image).map_or(0, |json| json.len());
        self.change.old.iter().chain(&self.change.new).map(size).sum()
    }
}

/// Follows a journal and judges it.
#[derive(Debug)]
pub struct Checker {
    subject: Subject,
    read: usize,
    /// The table's stream. Its records are the changes, in the same order.
    capture: Consumer,
    changes: Vec<Tracked>,
    places: BTreeMap<(String, Sequence), usize>,
    items: BTreeMap<String, Vec<usize>>,
    /// The Kinesis stream in the path.
    kinesis: Option<Stored>,
    /// What snapshots there were.
    snapshots: Snapshots,
    /// What the table's items were.
    timeline: Timeline,
    /// The rows of each object.
    lake: BTreeMap<String, Vec<Row>>,
    /// Whole events beside the lake's changes, by name below the table's folder.
    claims: BTreeMap<String, Bytes>,
    /// When changes were made while the table had no stream (milliseconds since the epoch).
    without_stream: Vec<i64>,
    /// Those that were made though leases told that the table was being replicated.
    unstreamed: Vec<(i64, String)>,
    findings: Findings,
}

impl Checker {
    /// A checker that has seen nothing yet.
    pub fn new(subject: Subject) -> Self {
        let kinesis = |kinesis: KinesisSubject| Stored::new(kinesis.stream, kinesis.leases, subject.failover);
        Self {
            read: 0,
            capture: Consumer::new(Some(subject.leases.clone()), subject.failover),
            changes: Vec::new(),
            places: BTreeMap::new(),
            items: BTreeMap::new(),
            kinesis: subject.kinesis.clone().map(kinesis),
            snapshots: Snapshots::default(),
            timeline: Timeline::default(),
            lake: BTreeMap::new(),
            claims: BTreeMap::new(),
            without_stream: Vec::new(),
            unstreamed: Vec::new(),
            findings: Findings::default(),
            subject,
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
        &self.findings.violations
    }

    /// What was exercised so far, by name.
    pub fn seen(&self) -> Counts {
        let count = |is_meant: &dyn Fn(Fate) -> bool, consumer: &Consumer| {
            u64::try_from(consumer.records.iter().filter(|record| is_meant(record.fate)).count()).unwrap_or(u64::MAX)
        };
        let mut counts = self.findings.counts.clone();
        counts.insert("changes trimmed unread", count(&|fate| fate == Fate::Lost, &self.capture));
        if let Some(stored) = &self.kinesis {
            counts.insert("records of Kinesis trimmed unread", count(&|fate| fate == Fate::Lost, &stored.consumer));
            counts.insert("records of Kinesis landed", count(&|fate| matches!(fate, Fate::Durable { .. }), &stored.consumer));
        }
        counts.insert("changes landed", self.changes.iter().map(|change| u64::from(change.has_landed)).sum());
        counts
    }

    /// Whether everything has arrived that still can, every checkpoint has followed, and what was lost is in the ledger.
    pub fn is_settled(&self) -> bool {
        self.missing().next().is_none()
    }

    /// Why leases are not shared out evenly over the workers that live, some of which capture and some of which deliver. None when they are.
    pub fn imbalance(&self, capturing: &[String], delivering: &[String]) -> Option<String> {
        let deliver = self.kinesis.as_ref().and_then(|stored| stored.consumer.imbalance(delivering));
        self.capture.imbalance(capturing).or(deliver)
    }

    /// The workers live, nothing is in the way, and leases have had time to spread over them: they are not going to.
    pub fn uneven(&mut self, now: i64, what: String) {
        self.findings.violate(Invariant::Balanced, now, what);
    }

    /// The history is over and had time to settle: whatever is missing now is missing for good.
    pub fn finish(&mut self, now: i64) {
        let missing: Vec<_> = self.missing().map(|(invariant, what)| Violation { invariant, at: now, what }).collect();
        self.findings.violations.extend(missing);
    }

    fn take(&mut self, entry: &Entry) {
        let findings = &mut self.findings;
        match &entry.event {
            Event::Change(change) if change.table == self.subject.table => self.change(entry.at, change),
            Event::Resharded { stream, parent, children } => self.resharded(stream, parent.as_deref(), children),
            Event::Trimmed { stream, shard, through } => {
                findings.count(if self.kinesis.as_ref().is_some_and(|stored| stored.stream == *stream) {
                    "trims of Kinesis"
                } else {
                    "trims"
                });
                self.consumer_of(stream).trim(shard, through, entry.at);
            }
            Event::Forgotten { stream, shard } => self.consumer_of(stream).forget(shard, entry.at),
            Event::Iterator { stream, shard, kind, position } => {
                consumer_of(&mut self.capture, &mut self.kinesis, stream).iterator(entry, shard, kind, position.as_deref(), findings);
            }
            Event::Page { stream, shard, range, .. } => {
                let last = range.as_ref().map(|(_, last)| last);
                consumer_of(&mut self.capture, &mut self.kinesis, stream).page(entry, shard, last, findings);
            }
            Event::Item { table, key, old, new } => {
                if let Some(consumer) = leased_in(&mut self.capture, &mut self.kinesis, table) {
                    consumer.lease_write(entry, key, new.as_ref(), findings);
                    self.item_of_snapshots(entry, table, key, old.as_ref(), new.as_ref());
                }
            }
            Event::ConditionFailed { table, key } => {
                if let Some(consumer) = leased_in(&mut self.capture, &mut self.kinesis, table) {
                    consumer.refused(entry, key, findings);
                }
            }
            Event::Object { bucket, key, body, replaced } if *bucket == self.subject.bucket => {
                self.object(entry, key, body, replaced.as_ref());
            }
            Event::Deleted { bucket, key } if *bucket == self.subject.bucket => self.deleted(entry, key),
            Event::Put(put) if self.kinesis.as_ref().is_some_and(|stored| stored.stream == put.stream) => self.put(entry, put),
            Event::Listed { stream, open_alone: true, passage } => {
                if let Some(stored) = self.kinesis.as_mut().filter(|stored| stored.stream == *stream) {
                    stored.listed(entry, *passage);
                }
            }
            _ => {}
        }
    }

    /// Everything stays, unless somebody deletes it who is none of the service's workers.
    fn deleted(&mut self, entry: &Entry, key: &str) {
        if entry.worker.is_empty() {
            self.findings.count("objects deleted by hand");
            self.forget_object(key);
        } else {
            self.findings.violate(Invariant::LandOnce, entry.at, format!("{} deleted {key}", entry.worker));
        }
    }

    fn consumer_of(&mut self, stream: &str) -> &mut Consumer {
        consumer_of(&mut self.capture, &mut self.kinesis, stream)
    }

    fn resharded(&mut self, stream: &str, parent: Option<&str>, children: &[String]) {
        let is_kinesis = self.kinesis.as_ref().is_some_and(|stored| stored.stream == stream);
        if parent.is_some() {
            self.findings.count(if is_kinesis { "shards of Kinesis closed with children" } else { "shards closed with children" });
            if children.len() > 1 {
                self.findings.count(if is_kinesis { "splits of Kinesis" } else { "splits" });
            }
        }
        self.consumer_of(stream).open(parent, children);
    }

    fn change(&mut self, at: i64, change: &Change) {
        self.findings.count("changes");
        if change.by_ttl {
            self.findings.count("changes by TTL");
        }
        self.timeline.note(at, change);
        let Some(place) = change.place.clone() else {
            self.findings.count("changes while no stream was enabled");
            self.without_stream.push(at);
            // The stream that leases tell of is the one that was disabled; before the first lease nothing was replicated.
            let newest = self.capture.leases.values().map(|held| held.lease.stream.as_str()).max();
            if let Some(stream) = newest.map(str::to_owned) {
                self.unstreamed.push((at, stream));
            }
            return;
        };
        let (stream, shard, position) = (place.stream.clone(), place.shard.clone(), place.sequence.clone().into());
        let index = self.capture.take(Record { stream, shard, position, at, fate: Fate::Pending });
        self.places.insert((place.shard.clone(), place.sequence.clone()), index);
        self.items.entry(item_name(&change.key)).or_default().push(index);
        let (has_landed, is_stored, is_quarantined, is_deleted) = (false, false, false, false);
        let (change, copies, acknowledged) = (change.clone(), Vec::new(), None);
        self.changes.push(Tracked { at, change, place, has_landed, is_stored, is_quarantined, is_deleted, copies, acknowledged });
    }
}

/// Who reads a stream. Whatever is not the Kinesis stream in the path is the table's.
fn consumer_of<'a>(capture: &'a mut Consumer, kinesis: &'a mut Option<Stored>, stream: &str) -> &'a mut Consumer {
    match kinesis {
        Some(stored) if stored.stream == stream => &mut stored.consumer,
        _ => capture,
    }
}

/// Whose leases are in a table.
fn leased_in<'a>(capture: &'a mut Consumer, kinesis: &'a mut Option<Stored>, table: &str) -> Option<&'a mut Consumer> {
    let deliver = kinesis.as_mut().map(|stored| &mut stored.consumer);
    std::iter::once(capture).chain(deliver).find(|consumer| consumer.is_table(table))
}

/// One text for one key.
fn item_name(key: &Item) -> String {
    serde_json::to_string(key).unwrap_or_default()
}
