//! A Kinesis stream that splits, merges, refuses and loses answers on request, and remembers what it took.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use object_store::memory::InMemory;
use object_store::path::Path;

use crate::aws::{AwsError, Failure};
use crate::config::{BatchSettings, LargeRecords};
use crate::contract::TableSchema;
use crate::event::encode::SnapshotEnd;
use crate::event::parse::{Parsed, parse_line};
use crate::event::{AttributeType, ChangeEvent, Operation, ShardId};
use crate::lake::{Decimals, Format, Lake, LakeLocation, LakeSettings, LakeStore};
use crate::route::aggregate::{Unpacked, unpack};
use crate::route::budget::MemoryBudget;
use crate::route::kinesis::plan::PlannedRecord;
use crate::route::kinesis::service::{Answer, PutRecords};
use crate::route::kinesis::shards::Shards;
use crate::route::kinesis::{RECORD_LIMIT, Shared};
use crate::route::shard_map::{HashKey, HashRange, ShardMap};

/// The number of a change, and its item.
pub(super) type Change = (u64, String);
type Matches = Box<dyn Fn(&PlannedRecord) -> bool + Send>;

/// What happens to a call.
pub(super) enum Fate {
    /// It is carried out and answered.
    Answered,
    /// Records that match are refused with this code.
    Refuses(&'static str, Matches),
    /// It is carried out, and the answer is lost.
    AnswerLost,
    /// It never arrives, and fails like this.
    Fails(Failure),
}

impl Fate {
    pub(super) fn throttles(what: impl Fn(&PlannedRecord) -> bool + Send + 'static) -> Self {
        Self::Refuses("ProvisionedThroughputExceededException", Box::new(what))
    }
}

#[derive(Default)]
pub(super) struct FakeStream(Mutex<State>);

#[derive(Default)]
pub(super) struct State {
    open: Vec<(ShardId, u128, u128)>,
    /// Every shard that ever was.
    shards: u32,
    listed: ShardMap,
    /// Listings still to come that show the shards as they were.
    pub(super) late_listings: usize,
    pub(super) listings: usize,
    /// What happens to the calls to come; answered when there is none.
    pub(super) fates: VecDeque<Fate>,
    /// What happens to calls beyond them.
    pub(super) later: Option<Box<dyn FnMut() -> Fate + Send>>,
    /// The changes of each record of each call that arrived or not.
    pub(super) calls: Vec<Vec<Vec<Change>>>,
    /// The changes that readers see, record by record. An aggregated record with a key of another shard is passed over.
    pub(super) seen: Vec<Change>,
    /// Records that readers pass over.
    pub(super) passed_over: usize,
    /// Markers that arrived, with the shard that each is on.
    pub(super) markers: Vec<(ShardId, SnapshotEnd)>,
    /// Records no longer go by their keys.
    pub(super) auto: bool,
    /// How long a call takes.
    pub(super) takes: std::time::Duration,
    under_way: usize,
    /// How many calls were under way at once, at most.
    pub(super) most_at_once: usize,
}

impl FakeStream {
    /// A stream of two shards, each with half of the hash keys.
    pub(super) fn new() -> Arc<Self> {
        let stream = Self::default();
        {
            let mut state = stream.state();
            state.open_shard(0, u128::MAX >> 1);
            state.open_shard((u128::MAX >> 1) + 1, u128::MAX);
            state.listed = state.map();
        }
        Arc::new(stream)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// How many calls and listings there were.
    pub(super) fn calls_and_listings(&self) -> (usize, usize) {
        let state = self.state();
        (state.calls.len(), state.listings)
    }

    /// The first of a row of items whose changes belong to that open shard.
    pub(super) fn item_of(&self, shard: usize) -> String {
        let (_, start, end) = self.state().open[shard].clone();
        let range = range(start, end);
        (0..1000).map(|n| format!("item-{n}")).find(|item| range.contains(HashKey::of(item))).unwrap()
    }
}

impl State {
    fn open_shard(&mut self, start: u128, end: u128) {
        self.open.push((ShardId::new(format!("shardId-{:012}", self.shards)), start, end));
        self.shards += 1;
        self.open.sort_by_key(|(_, start, _)| *start);
    }

    pub(super) fn split(&mut self, shard: usize) {
        let (_, start, end) = self.open.remove(shard);
        let middle = start + (end - start) / 2;
        self.open_shard(start, middle);
        self.open_shard(middle + 1, end);
    }

    /// Merges an open shard with the next one.
    pub(super) fn merge(&mut self, shard: usize) {
        let (_, _, end) = self.open.remove(shard + 1);
        let (_, start, _) = self.open.remove(shard);
        self.open_shard(start, end);
    }

    pub(super) fn open_shards(&self) -> usize {
        self.open.len()
    }

    fn map(&self) -> ShardMap {
        ShardMap::new(self.open.iter().map(|(shard, start, end)| (shard.clone(), range(*start, *end))))
    }

    fn take(&mut self, record: &PlannedRecord) -> Answer {
        let map = self.map();
        let place = record.explicit_hash_key.unwrap_or_else(|| HashKey::of(&record.partition_key));
        let shard = map.shard_of(place).unwrap().clone();
        let keys = range_of(&map, &shard);
        if let Some(marker) = marker(&record.data) {
            self.markers.push((shard.clone(), marker));
            return Answer::Taken(shard);
        }
        let foreign = match unpack(&record.data) {
            Unpacked::Aggregated(users) => users.iter().any(|user| !keys.contains(HashKey::of(user.partition_key))),
            Unpacked::Plain => false,
        };
        if foreign {
            self.passed_over += 1;
        } else {
            self.seen.extend(changes(record));
        }
        Answer::Taken(shard)
    }
}

fn range(start: u128, end: u128) -> HashRange {
    HashRange::parse(&start.to_string(), &end.to_string()).unwrap()
}

fn range_of(map: &ShardMap, shard: &ShardId) -> HashRange {
    map.range(shard).unwrap()
}

fn marker(data: &[u8]) -> Option<SnapshotEnd> {
    match parse_line(data, &schema()) {
        Ok(Parsed::Marker(marker)) => Some(marker),
        _ => None,
    }
}

fn schema() -> TableSchema {
    TableSchema::keys_only("orders", vec![("id".to_owned(), AttributeType::S)])
}

fn changes(record: &PlannedRecord) -> Vec<Change> {
    match unpack(&record.data) {
        Unpacked::Aggregated(users) => users.iter().map(|user| change(user.data)).collect(),
        Unpacked::Plain => vec![change(&record.data)],
    }
}

fn change(line: &[u8]) -> Change {
    let line: HashMap<String, serde_json::Value> = serde_json::from_slice(line).unwrap();
    (line["cdc_sequence"].as_str().unwrap().parse().unwrap(), line["id"].as_str().unwrap().to_owned())
}

#[async_trait]
impl PutRecords for FakeStream {
    async fn put(&self, records: &[PlannedRecord]) -> Result<Vec<Answer>, AwsError> {
        let takes = {
            let mut state = self.state();
            state.under_way += 1;
            state.most_at_once = state.most_at_once.max(state.under_way);
            state.takes
        };
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        let mut state = self.state();
        state.under_way -= 1;
        state.calls.push(records.iter().filter(|record| marker(&record.data).is_none()).map(changes).collect());
        let later = |state: &mut State| state.later.as_mut().map_or(Fate::Answered, |later| later());
        let fate = match state.fates.pop_front() {
            Some(fate) => fate,
            None => later(&mut state),
        };
        let mut take = |record: &PlannedRecord| state.take(record);
        match fate {
            Fate::Answered => Ok(records.iter().map(take).collect()),
            Fate::Refuses(code, matches) => {
                let refused = || Answer::Refused { code: code.to_owned(), message: "too fast".to_owned() };
                Ok(records.iter().map(|record| if matches(record) { refused() } else { take(record) }).collect())
            }
            Fate::AnswerLost => {
                for record in records {
                    take(record);
                }
                Err(AwsError::of("PutRecords", Failure::Unavailable, "timed out"))
            }
            Fate::Fails(failure) => Err(AwsError::of("PutRecords", failure, "it failed")),
        }
    }

    async fn open_shards(&self) -> Result<ShardMap, AwsError> {
        let mut state = self.state();
        state.listings += 1;
        if state.late_listings > 0 {
            state.late_listings -= 1;
        } else {
            state.listed = state.map();
        }
        Ok(state.listed.clone())
    }

    async fn goes_by_key(&self) -> Result<bool, AwsError> {
        Ok(!self.state().auto)
    }
}

/// What a writer has in common with others, for a route into the stream.
pub(super) async fn shared(stream: &Arc<FakeStream>, aggregate: bool, batch: BatchSettings) -> Shared {
    let store = LakeStore { store: Arc::new(InMemory::new()), prefix: Path::default(), address: "memory".to_owned(), ordered: true };
    let settings = LakeSettings {
        location: LakeLocation::Folder("unused".into()),
        format: Format::Parquet,
        max_size: 1 << 20,
        max_age: std::time::Duration::from_mins(1),
        decimals: Decimals::Number,
        kms_key: None,
    };
    let map = if aggregate { stream.state().map() } else { ShardMap::default() };
    Shared {
        stream: "changes".to_owned(),
        api: Arc::clone(stream) as Arc<dyn PutRecords>,
        shards: Shards::new(map),
        batch,
        aggregate: aggregate.then_some(50 << 10),
        record_limit: RECORD_LIMIT,
        large_records: LargeRecords::ClaimCheck,
        lake: Arc::new(Lake::on(store, settings, Arc::new(schema())).await.unwrap()),
        decimals: Decimals::Number,
        calls: Arc::new(MemoryBudget::new(1 << 30).calls()),
        budget: MemoryBudget::new(1 << 30),
        counters: Arc::default(),
    }
}

/// The change number `n`, of that item; `size` bytes larger than it need be.
pub(super) fn event(n: u64, item: &str, size: usize) -> ChangeEvent<'static> {
    ChangeEvent {
        event_id: format!("event-{n}").into(),
        operation: Operation::Insert,
        sequence: n.to_string().parse().unwrap(),
        time: 1_795_230_000,
        shard: "shard-of-the-table".into(),
        snapshot_id: None,
        ttl_delete: false,
        changed: Vec::new(),
        keys: vec![item.to_owned().into()],
        new: Some(crate::event::Side { cells: Vec::new(), extra: Some("x".repeat(size)), misfits: 0 }),
        old: None,
    }
}
