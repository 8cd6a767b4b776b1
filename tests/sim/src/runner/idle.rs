//! How long shards lay idle while they went from worker to worker, told from the journal alone.
//!
//! A shard is idle from the last sign of the worker that had it, which is a page that it was given or its write to the lease, to the first page that
//! another worker is given. A shard that nobody has read yet is idle from when it can be read: it has a lease, and its parents are done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::check::ledger::{Checkpoint, Lease};
use crate::item::AttributeValue;
use crate::journal::{Entry, Event, Journal};

/// How a shard came to the worker that reads it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Came {
    /// Nobody had it before.
    First,
    /// The one who had it handed it over or released it.
    Given,
    /// It was taken from one who was silent.
    Taken,
}

/// A shard's way to another worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// The shard.
    pub shard: String,
    /// How it came there.
    pub came: Came,
    /// When it was read again (milliseconds since the epoch).
    pub until: i64,
    /// How long it was idle.
    pub lasted: Duration,
    /// How many workers had its lease in between and read nothing: each was killed before.
    pub passed_by: u32,
}

/// What is known of a shard.
#[derive(Debug, Default)]
struct Shard {
    parents: Vec<String>,
    lease: Option<Lease>,
    /// Who had the last page.
    reader: Option<String>,
    /// The last sign of who had it, and of nobody: when it became readable.
    sign: Option<i64>,
    came: Option<Came>,
    /// Who had the lease since and read nothing.
    waiting: BTreeSet<String>,
}

/// Every time that a shard went to another worker, in the order of the journal. `leases`: the lease table of the stream's readers.
pub fn between_workers(journal: &Journal, leases: &str) -> Vec<Idle> {
    let mut shards: BTreeMap<String, Shard> = BTreeMap::new();
    let mut found = Vec::new();
    for entry in journal.since(0) {
        match &entry.event {
            Event::Resharded { parent, children, .. } => {
                for child in children {
                    shards.entry(child.clone()).or_default().parents.extend(parent.clone());
                }
            }
            Event::Item { table, key, new: Some(new), .. } if table == leases => {
                let (Some(AttributeValue::S(name)), Some(lease)) = (key.get("leaseKey"), Lease::read(new)) else { continue };
                let is_done = lease.checkpoint == Checkpoint::End;
                shards.entry(name.clone()).or_default().leased(&entry, lease);
                if is_done || shards[name].sign.is_none() {
                    become_readable(&mut shards, entry.at);
                }
            }
            Event::Page { shard, .. } => found.extend(shards.entry(shard.clone()).or_default().page(&entry, shard)),
            _ => {}
        }
    }
    found
}

/// Notes which shards can be read from now on.
fn become_readable(shards: &mut BTreeMap<String, Shard>, now: i64) {
    let is_done = |shard: &Shard| shard.lease.as_ref().is_some_and(|lease| lease.checkpoint == Checkpoint::End);
    let done: BTreeSet<String> = shards.iter().filter(|(_, shard)| is_done(shard)).map(|(name, _)| name.clone()).collect();
    for shard in shards.values_mut().filter(|shard| shard.lease.is_some() && shard.sign.is_none()) {
        if shard.parents.iter().all(|parent| done.contains(parent)) {
            shard.sign = Some(now);
        }
    }
}

impl Shard {
    fn leased(&mut self, entry: &Entry, lease: Lease) {
        let before = self.lease.replace(lease);
        let (Some(before), Some(after)) = (&before, &self.lease) else { return };
        if before.holder() != after.holder() {
            let is_given = before.is_held_by(&entry.worker) || before.holder().is_none();
            self.came = Some(if is_given { Came::Given } else { Came::Taken });
            self.waiting.extend(after.holder().map(str::to_owned));
        }
        // To take a lease is no sign of the one who had it.
        if before.is_held_by(&entry.worker) && self.reader.as_ref() == Some(&entry.worker) {
            self.sign = Some(entry.at);
        }
    }

    fn page(&mut self, entry: &Entry, name: &str) -> Option<Idle> {
        let is_new = self.reader.as_ref() != Some(&entry.worker);
        let idle = self.sign.filter(|_| is_new).map(|sign| Idle {
            shard: name.to_owned(),
            came: if self.reader.is_none() { Came::First } else { self.came.unwrap_or(Came::Taken) },
            until: entry.at,
            lasted: Duration::from_millis(u64::try_from(entry.at - sign).unwrap_or_default()),
            passed_by: u32::try_from(self.waiting.len().saturating_sub(1)).unwrap_or(u32::MAX),
        });
        self.reader = Some(entry.worker.clone());
        self.sign = Some(entry.at);
        self.waiting.clear();
        idle
    }
}

/// The median and the longest of these times; none when there are none.
pub fn median_and_longest(times: impl IntoIterator<Item = Duration>) -> Option<(Duration, Duration)> {
    let mut times: Vec<Duration> = times.into_iter().collect();
    times.sort_unstable();
    Some((*times.get(times.len() / 2)?, *times.last()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::Item;

    /// A journal written by hand.
    struct Story(Journal);

    impl Story {
        fn begin() -> Self {
            let story = Self(Journal::keeping());
            story.reshard(None, "a");
            story.lease(0, "", "a", None, None, "TRIM_HORIZON");
            story
        }

        fn reshard(&self, parent: Option<&str>, child: &str) {
            let (parent, children) = (parent.map(str::to_owned), vec![child.to_owned()]);
            self.0.record(0, "", Event::Resharded { stream: "s".into(), parent, children });
        }

        fn lease(&self, at: i64, worker: &str, shard: &str, owner: Option<&str>, former: Option<&str>, checkpoint: &str) {
            let text = |name: &str, text: &str| (name.to_owned(), AttributeValue::S(text.to_owned()));
            let key = Item::from([text("leaseKey", shard)]);
            let mut new = key.clone();
            new.extend([text("entityType", "LEASE"), text("streamArn", "s"), text("checkpoint", checkpoint)]);
            new.extend(owner.map(|owner| text("leaseOwner", owner)));
            new.extend(former.map(|former| text("checkpointOwner", former)));
            self.0.record(at, worker, Event::Item { table: "leases".into(), key, old: None, new: Some(new) });
        }

        fn take(&self, at: i64, worker: &str, shard: &str) {
            self.lease(at, worker, shard, Some(worker), None, "TRIM_HORIZON");
        }

        fn page(&self, at: i64, worker: &str, shard: &str) {
            self.0.record(at, worker, Event::Page { stream: "s".into(), shard: shard.into(), records: 0, range: None, end: false });
        }

        fn found(&self) -> Vec<(Came, u64, u32)> {
            let found = between_workers(&self.0, "leases");
            found.iter().map(|idle| (idle.came, u64::try_from(idle.lasted.as_millis()).unwrap(), idle.passed_by)).collect()
        }
    }

    #[test]
    fn a_shard_is_idle_from_the_last_sign_of_who_had_it() {
        let story = Story::begin();
        story.take(5, "V", "a");
        story.page(7, "V", "a");
        story.page(20, "V", "a");
        story.take(25, "V", "a");
        story.take(60, "W", "a");
        story.page(61, "W", "a");
        assert_eq!(story.found(), [(Came::First, 7, 0), (Came::Taken, 36, 0)], "taking it was no sign of its holder");
    }

    #[test]
    fn a_shard_that_is_handed_over_is_told_from_one_that_is_taken() {
        let story = Story::begin();
        story.take(5, "V", "a");
        story.page(7, "V", "a");
        story.lease(8, "W", "a", Some("W"), Some("V"), "TRIM_HORIZON");
        story.lease(9, "V", "a", Some("W"), None, "TRIM_HORIZON");
        story.take(10, "W", "a");
        story.page(12, "W", "a");
        assert_eq!(story.found()[1..], [(Came::Given, 3, 0)]);
    }

    #[test]
    fn a_child_is_idle_from_its_parent_s_end() {
        let story = Story::begin();
        story.reshard(Some("a"), "b");
        story.take(5, "V", "a");
        story.page(7, "V", "a");
        story.lease(8, "V", "b", None, None, "TRIM_HORIZON");
        story.lease(30, "V", "a", Some("V"), None, "SHARD_END");
        story.take(31, "V", "b");
        story.page(34, "V", "b");
        assert_eq!(story.found()[1..], [(Came::First, 4, 0)]);
    }

    #[test]
    fn who_took_a_shard_and_died_before_reading_it_is_counted() {
        let story = Story::begin();
        story.take(5, "V", "a");
        story.page(7, "V", "a");
        story.take(40, "W", "a");
        story.take(70, "X", "a");
        story.page(71, "X", "a");
        assert_eq!(story.found()[1..], [(Came::Taken, 64, 1)]);
    }

    #[test]
    fn half_of_the_times_are_no_longer_than_the_median() {
        let times = [3, 1, 2, 9, 4].map(Duration::from_secs);
        assert_eq!(median_and_longest(times), Some((Duration::from_secs(3), Duration::from_secs(9))));
        assert_eq!(median_and_longest([]), None);
    }
}
