//! What deliver's objects tell: each record of Kinesis is in exactly one of them, and none is passed over.

use std::collections::BTreeSet;

use super::consumer::Fate;
use super::position::Position;
use super::rows::{Object, Row};
use super::stored::{Content, Stored};
use super::{Checker, Invariant};
use crate::journal::Entry;

/// Where a run of a shard begins, as the name of its object tells.
struct Start<'a> {
    shard: &'a str,
    after: Position,
    /// The position as it is spelled.
    digits: &'a str,
}

impl<'a> Start<'a> {
    /// Reads `<partition>/<lease key with dots for colons>-<digits>.<format>`.
    fn of(name: &'a str) -> Option<Self> {
        let file = name.rsplit('/').next()?;
        let stem = [".parquet", ".json.gz"].into_iter().find_map(|ending| file.strip_suffix(ending))?;
        let (key, digits) = stem.rsplit_once('-')?;
        let shard = key.rsplit('.').next()?;
        let after = Position::parse(digits).filter(|_| matches!(digits.len(), 40 | 64))?;
        Some(Self { shard, after, digits })
    }
}

impl Checker {
    /// Judges an object of deliver's, and gives the numbers of the rows that went astray.
    pub(super) fn delivered(&mut self, entry: &Entry, name: &str, object: &Object) -> BTreeSet<usize> {
        let mut strays = BTreeSet::new();
        let Some(stored) = &mut self.kinesis else { return strays };
        let Some(start) = Start::of(name) else {
            self.findings.violate(Invariant::LandOnce, entry.at, format!("{name} does not tell where its run begins"));
            return strays;
        };
        let content_of = |row: &Row| match &row.snapshot {
            Some(id) => self.snapshots.find(id, &row.keys).map(Content::Row),
            None => self.places.get(&(row.shard.clone(), row.sequence.clone())).copied().map(Content::Change),
        };
        let contents: Vec<Option<Content>> = object.rows.iter().map(content_of).collect();
        let records = stored.consumer.shards.get(start.shard).map(|shard| shard.records.clone()).unwrap_or_default();
        let mut next = records.partition_point(|record| stored.consumer.records[*record].position <= start.after);
        let mut last = start.after.clone();
        let places = stored.places(&contents, &records, next);
        for (number, (row, (content, found))) in object.rows.iter().zip(contents.iter().zip(places)).enumerate() {
            if content.is_none() {
                continue;
            }
            let Some(found) = found else {
                let is_earlier = records[..next].iter().any(|record| stored.users[*record].content == *content);
                let what = format!("{name} holds {} {:?}, which does not follow {last} in {}", row.sequence, row.keys, start.shard);
                let invariant = if is_earlier { Invariant::LandOnce } else { Invariant::ExactValues };
                self.findings.violate(invariant, entry.at, what);
                continue;
            };
            if let Some(passed) = stored.first_wanted(start.shard, &records[next..found]) {
                let what = format!("{name} passes over {passed} of {}", start.shard);
                self.findings.violate(Invariant::KinesisNoLoss, entry.at, what);
            }
            next = found + 1;
            last = stored.consumer.records[records[found]].position.clone();
            if stored.users[records[found]].is_stray {
                strays.insert(number);
            }
            if stored.consumer.settle(records[found], entry.at) {
                self.findings.violate(Invariant::LandOnce, entry.at, format!("{last} of {} landed again, in {name}", start.shard));
            }
        }
        if let Some(after) = object.after.as_ref().filter(|after| **after != start.digits) {
            let what = format!("{name} tells that it begins after {after}");
            self.findings.violate(Invariant::LandOnce, entry.at, what);
        }
        let Some(through) = &object.last else { return strays };
        let end = Position::parse(through);
        let is_within = |record: &usize| end.as_ref().is_some_and(|end| stored.consumer.records[*record].position <= *end);
        let rest: Vec<usize> = records[next..].iter().copied().take_while(is_within).collect();
        if end.as_ref().is_none_or(|end| *end < last) || stored.first_wanted(start.shard, &rest).is_some() {
            let what = format!("{name} tells that it goes through {through}, and its last record is {last}");
            self.findings.violate(Invariant::LandOnce, entry.at, what);
        }
        strays
    }
}

impl Stored {
    /// Which of a shard's records, from `next` on, the rows of a run were read from: one behind the other. Of several copies the first that was not lost
    /// is meant, unless that leaves rows without a record: what was lost may have been read just before.
    fn places(&self, contents: &[Option<Content>], records: &[usize], next: usize) -> Vec<Option<usize>> {
        let follow = |is_meant: &dyn Fn(usize) -> bool| {
            let mut next = next;
            let mut place = |content: &Option<Content>| {
                let found = (next..records.len())
                    .find(|at| content.is_some() && self.users[records[*at]].content == *content && is_meant(records[*at]))?;
                next = found + 1;
                Some(found)
            };
            contents.iter().map(&mut place).collect::<Vec<_>>()
        };
        let is_readable = |record: usize| !matches!(self.consumer.records[record].fate, Fate::Lost | Fate::BeforeTheStart);
        let places = follow(&is_readable);
        let is_whole = places.iter().zip(contents).all(|(place, content)| place.is_some() || content.is_none());
        if is_whole { places } else { follow(&|_| true) }
    }

    /// The first of these records of a shard that a run has to hold. One that has landed already is passed over once the stream has trimmed it: who
    /// goes on from an older checkpoint never meets it.
    fn first_wanted(&self, shard: &str, records: &[usize]) -> Option<&Position> {
        let trimmed = self.consumer.shards.get(shard).and_then(|shard| shard.trimmed.as_ref());
        let wanted = |record: &&usize| {
            // An announcement has no row.
            if matches!(self.users[**record].content, Some(Content::Announcement { .. })) {
                return false;
            }
            let record = &self.consumer.records[**record];
            match record.fate {
                Fate::Pending => true,
                Fate::Durable { .. } => trimmed.is_none_or(|through| record.position.sequence > *through),
                Fate::Lost | Fate::BeforeTheStart => false,
            }
        };
        records.iter().find(wanted).map(|record| &self.consumer.records[*record].position)
    }
}
