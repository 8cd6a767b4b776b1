//! A stream: its shards and what is put into them.

use std::collections::BTreeMap;

use bytes::Bytes;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use super::position::{SequenceNumber, ShardId};
use super::shard::{Closing, Credit, HashRange, Shard, StoredRecord};
use crate::call::ApiError;
use crate::encoding::{ACCOUNT, arn};
use crate::journal::{Event, Journal};

const HOUR: i64 = 3_600_000;

/// Who decides how many shards a stream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum StreamMode {
    Provisioned,
    OnDemand,
}

/// What decides about a record's shard: the service at will, or the record's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Distribution {
    Auto,
    UserPartitionKey,
}

/// What a stream is created with.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) mode: StreamMode,
    pub(super) distribution: Option<Distribution>,
    pub(super) retention_hours: i64,
    /// The largest record, in KiB.
    pub(super) max_record: usize,
    pub(super) tags: BTreeMap<String, String>,
}

/// A change of the stream that is not complete yet.
#[derive(Debug, Clone, Copy)]
struct Settling {
    status: &'static str,
    until: i64,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Placement {
    Stored(SequenceNumber),
    /// The shard takes no more this second.
    Throttled(ShardId),
}

#[derive(Debug)]
pub(super) struct DataStream {
    pub(super) name: String,
    pub(super) created: i64,
    pub(super) settings: Settings,
    /// The shards of which something may still be read, in the order of their opening.
    pub(super) shards: BTreeMap<ShardId, Shard>,
    settling: Option<Settling>,
    next_shard: u32,
    count: u64,
    last_arrival: i64,
}

impl DataStream {
    pub(super) fn new(name: String, shards: u32, settings: Settings, now: i64) -> Self {
        let (shards, ranges) = (BTreeMap::new(), HashRange::even(shards));
        let mut stream = Self { name, created: now, settings, shards, settling: None, next_shard: 0, count: 0, last_arrival: now };
        for range in ranges {
            stream.open(range, Vec::new(), now);
        }
        stream
    }

    pub(super) fn arn(&self) -> String {
        arn("kinesis", &format!("stream/{}", self.name))
    }

    /// The stream in messages.
    pub(super) fn title(&self) -> String {
        format!("{} under account {ACCOUNT}", self.name)
    }

    pub(super) fn status(&self, now: i64) -> &'static str {
        self.settling.filter(|settling| now < settling.until).map_or("ACTIVE", |settling| settling.status)
    }

    /// Shows another status than ACTIVE for a time.
    pub(super) fn settle(&mut self, status: &'static str, until: i64) {
        self.settling = Some(Settling { status, until });
    }

    pub(super) fn open_shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.values().filter(|shard| shard.closed.is_none())
    }

    /// The shards that a shard continues in.
    pub(super) fn children(&self, parent: ShardId) -> impl Iterator<Item = &Shard> {
        self.shards.values().filter(move |shard| shard.parents.contains(&parent))
    }

    /// The arrival before which records are gone.
    pub(super) fn horizon(&self, now: i64) -> i64 {
        (now - self.settings.retention_hours * HOUR).max(self.created)
    }

    /// Forgets the records that are older than the retention period, and the shards that were closed before.
    pub(super) fn trim(&mut self, now: i64, journal: &Journal) {
        let horizon = self.horizon(now);
        for shard in self.shards.values_mut() {
            let outlived = shard.records.partition_point(|record| record.arrived < horizon);
            shard.drop_oldest(outlived, &self.name, now, journal);
        }
        self.shards.retain(|id, shard| {
            let stays = shard.open_since(horizon);
            if !stays {
                journal.record(now, "", Event::Forgotten { stream: self.name.clone(), shard: id.to_string() });
            }
            stays
        });
    }

    /// The least position behind everything that happened so far.
    pub(super) fn tip(&self) -> SequenceNumber {
        SequenceNumber::new(self.created, self.count + 1, ShardId(0))
    }

    /// The place of a record among the hash keys.
    pub(super) fn hash(&self, partition_key: &str, explicit: Option<u128>) -> u128 {
        let digest = match (self.settings.distribution, explicit) {
            (Some(Distribution::Auto), _) => Md5::digest(self.count.to_be_bytes()),
            (_, Some(hash)) => return hash,
            (_, None) => Md5::digest(partition_key),
        };
        u128::from_be_bytes(digest.into())
    }

    /// The open shard that a hash key belongs to.
    #[expect(clippy::expect_used, reason = "a shard is closed only when others open on its range")]
    pub(super) fn owner(&self, hash: u128) -> ShardId {
        self.shards.values().find(|shard| shard.takes(hash)).expect("the open shards cover every hash key").id
    }

    /// Puts a record into the open shard of its hash key. `limited`: unless the shard has taken enough already.
    #[expect(clippy::expect_used, reason = "a shard is closed only when others open on its range")]
    pub(super) fn place(&mut self, hash: u128, partition_key: String, data: Bytes, limited: bool, now: i64) -> Placement {
        let shard = self.shards.values_mut().find(|shard| shard.takes(hash)).expect("the open shards cover every hash key");
        if now < shard.throttled_until || limited && !shard.credit.take(data.len() + partition_key.len(), now) {
            return Placement::Throttled(shard.id);
        }
        self.count = after(self.count);
        // Readers look records up by time, so arrivals never go back.
        self.last_arrival = self.last_arrival.max(now);
        let sequence = SequenceNumber::new(self.created, self.count, shard.id);
        shard.records.push_back(StoredRecord { sequence, arrived: self.last_arrival, partition_key, data });
        Placement::Stored(sequence)
    }

    /// A shard takes nothing until then.
    pub(super) fn throttle(&mut self, id: ShardId, until: i64) -> Result<(), ApiError> {
        let no_shard = self.no_shard(&id.to_string());
        self.shards.get_mut(&id).ok_or(no_shard)?.throttled_until = until;
        Ok(())
    }

    /// The open shard that takes the hash keys behind those of another; none behind the last.
    pub(super) fn neighbour(&self, id: ShardId) -> Option<ShardId> {
        let above = self.shards.get(&id)?.range.end.checked_add(1)?;
        Some(self.owner(above))
    }

    /// Cuts a shard in two at a hash key, which becomes the first of the second child.
    pub(super) fn split(&mut self, id: ShardId, at: u128, now: i64) -> Result<[ShardId; 2], ApiError> {
        let HashRange { start, end } = self.eligible(id)?.range;
        if at <= start.saturating_add(1) || at >= end {
            return Err(ApiError::new(
                "InvalidArgumentException",
                format!(
                    "NewStartingHashKey {at} used in SplitShard() on shard {id} in stream {} is not both greater than one plus the shard's \
                     StartingHashKey {start} and less than the shard's EndingHashKey {end}.",
                    self.title()
                ),
            ));
        }
        self.close(id, now);
        let ranges = [HashRange { start, end: at - 1 }, HashRange { start: at, end }];
        Ok(ranges.map(|range| self.open(range, vec![id], now)))
    }

    /// Joins two shards that lie side by side.
    pub(super) fn merge(&mut self, id: ShardId, adjacent: ShardId, now: i64) -> Result<ShardId, ApiError> {
        let joined = self.eligible(id)?.range.joined(self.eligible(adjacent)?.range).ok_or_else(|| {
            let message =
                format!("Shards {id} and {adjacent} in stream {} are not an adjacent pair of shards eligible for merging", self.title());
            ApiError::new("InvalidArgumentException", message)
        })?;
        self.close(id, now);
        self.close(adjacent, now);
        Ok(self.open(joined, vec![id, adjacent], now))
    }

    /// The open shard of a request to split or merge.
    fn eligible(&self, id: ShardId) -> Result<&Shard, ApiError> {
        let shard = self.shards.get(&id).ok_or_else(|| self.no_shard(&id.to_string()))?;
        if shard.closed.is_some() {
            let message = format!(
                "Shard {id} in stream {} has already been merged or split, and thus is not eligible for merging or splitting.",
                self.title()
            );
            return Err(ApiError::new("ResourceInUseException", message));
        }
        Ok(shard)
    }

    /// The error for a shard that is not there.
    pub(super) fn no_shard(&self, shard: &str) -> ApiError {
        ApiError::not_found(format!("Could not find shard {shard} in stream {}.", self.title()))
    }

    fn open(&mut self, range: HashRange, parents: Vec<ShardId>, now: i64) -> ShardId {
        let id = ShardId(self.next_shard);
        self.next_shard += 1;
        let first = self.number(id);
        let credit = Credit::full(now);
        self.shards.insert(
            id,
            Shard { id, parents, range, opened: now, first, closed: None, records: [].into(), credit, throttled_until: i64::MIN },
        );
        id
    }

    fn close(&mut self, id: ShardId, now: i64) {
        let sequence = self.number(id);
        if let Some(shard) = self.shards.get_mut(&id) {
            shard.closed = Some(Closing { at: now, sequence });
        }
    }

    /// Gives out a sequence number.
    fn number(&mut self, shard: ShardId) -> SequenceNumber {
        self.count = after(self.count);
        SequenceNumber::new(self.created, self.count, shard)
    }
}

/// The count that follows another, with a gap of up to 255 that is the same each time.
fn after(count: u64) -> u64 {
    count + 1 + (count.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(shards: u32, mode: StreamMode, distribution: Option<Distribution>) -> DataStream {
        let settings = Settings { mode, distribution, retention_hours: 24, max_record: 1_024, tags: BTreeMap::new() };
        DataStream::new("orders".to_owned(), shards, settings, 1_795_046_400_000)
    }

    fn put(stream: &mut DataStream, key: &str) -> SequenceNumber {
        let hash = stream.hash(key, None);
        match stream.place(hash, key.to_owned(), Bytes::from_static(b"x"), false, 1_795_046_400_000) {
            Placement::Stored(sequence) => sequence,
            Placement::Throttled(shard) => panic!("{shard} is limited"),
        }
    }

    #[test]
    fn a_key_hashes_to_its_md5_as_a_big_endian_number() {
        let stream = stream(1, StreamMode::Provisioned, None);
        assert_eq!(stream.hash("pk1", None), 329_398_341_438_914_906_102_347_661_116_985_167_824);
        assert_eq!(stream.hash("a", None), 16_955_237_001_963_240_173_058_271_559_858_726_497);
        assert_eq!(stream.hash("pk1", Some(7)), 7);
    }

    #[test]
    fn sequence_numbers_grow_with_gaps_and_through_resharding() {
        let mut stream = stream(2, StreamMode::Provisioned, None);
        let mut given = vec![put(&mut stream, "pk1"), put(&mut stream, "pk2"), put(&mut stream, "pk1")];
        stream.split(given[0].shard(), stream.shards[&given[0].shard()].range.middle().unwrap(), 1_795_046_400_000).unwrap();
        given.push(put(&mut stream, "pk1"));
        assert!(given.is_sorted());
        assert_eq!(given.iter().map(|sequence| sequence.shard().0).collect::<Vec<_>>(), [1, 0, 1, 3]);
        assert!(stream.shards[&ShardId(1)].closed.unwrap().sequence < stream.shards[&ShardId(2)].first);
        assert!(stream.tip() > given[3]);
    }

    #[test]
    fn automatic_distribution_scatters_the_records_of_one_key() {
        let mut stream = stream(4, StreamMode::OnDemand, Some(Distribution::Auto));
        let shards: std::collections::BTreeSet<ShardId> = (0..64).map(|_| put(&mut stream, "pk1").shard()).collect();
        assert_eq!(shards.len(), 4);
    }

    #[test]
    fn children_take_over_their_parents_range() {
        let mut stream = stream(1, StreamMode::Provisioned, None);
        let [low, high] = stream.split(ShardId(0), 1 << 127, 0).unwrap();
        assert_eq!((stream.owner((1 << 127) - 1), stream.owner(1 << 127)), (low, high));
        let both = stream.merge(high, low, 0).unwrap();
        assert_eq!((stream.owner(0), stream.owner(u128::MAX)), (both, both));
        assert_eq!(stream.shards[&both].parents, [high, low]);
    }
}
