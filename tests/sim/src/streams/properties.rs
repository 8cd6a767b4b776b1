//! Whatever is done to a stream, a reader that follows the lineage gets every record that is not trimmed, once and in order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

use super::testing::{Service, ids};
use crate::journal::Event;
use crate::sequence::Sequence;

/// Something that happens to the stream, or a step of the reader.
#[derive(Debug, Clone)]
enum Step {
    Put(u64),
    Reshard(Index, usize),
    Trim(Index, usize),
    Wait(i64),
    Discover { late: bool, look_open: bool },
    Read { shard: Index, limit: usize, empty: bool, short: Option<usize> },
}

fn step() -> impl Strategy<Value = Step> {
    let hash = (0_u64..12).prop_map(|n| n * (u64::MAX / 11));
    prop_oneof![
        10 => hash.prop_map(Step::Put),
        2 => (any::<Index>(), 1_usize..4).prop_map(|(shard, into)| Step::Reshard(shard, into)),
        1 => (any::<Index>(), 0_usize..4).prop_map(|(shard, keep)| Step::Trim(shard, keep)),
        2 => prop_oneof![0_i64..5_000, 0_i64..10 * 60_000, 0_i64..30 * 3_600_000].prop_map(Step::Wait),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(late, look_open)| Step::Discover { late, look_open }),
        8 => (any::<Index>(), 1_usize..5, prop::bool::weighted(0.2), prop::option::of(0_usize..3))
            .prop_map(|(shard, limit, empty, short)| Step::Read { shard, limit, empty, short }),
    ]
}

fn pick(index: Index, ids: &[String]) -> &str {
    index.get::<String>(ids)
}

/// Reads parents before their children, each shard from its horizon to its end.
#[derive(Default)]
struct Reader {
    /// The shards that were listed, with their parents.
    found: BTreeMap<String, Option<String>>,
    done: BTreeSet<String>,
    iterators: BTreeMap<String, String>,
    last: BTreeMap<String, Sequence>,
    /// The hash and the position of each record, in the order of reading.
    read: Vec<(String, Sequence)>,
}

impl Reader {
    fn discover(&mut self, service: &mut Service) {
        let mut request = json!({"Limit": 3});
        loop {
            let page = service.describe(&request);
            for shard in page["Shards"].as_array().unwrap() {
                let parent = shard["ParentShardId"].as_str().map(str::to_owned);
                self.found.insert(shard["ShardId"].as_str().unwrap().to_owned(), parent);
            }
            let Some(last) = page.get("LastEvaluatedShardId") else { break };
            assert_eq!(ids(&page).last().map(String::as_str), last.as_str());
            request["ExclusiveStartShardId"] = last.clone();
        }
    }

    fn readable(&self) -> Vec<String> {
        let is_done = |parent: &Option<String>| parent.as_ref().is_none_or(|id| self.done.contains(id) || !self.found.contains_key(id));
        self.found.iter().filter(|(id, parent)| !self.done.contains(*id) && is_done(parent)).map(|(id, _)| id.clone()).collect()
    }

    fn read(&mut self, service: &mut Service, shard: &str, limit: usize) {
        let iterator = match (self.iterators.remove(shard), self.last.get(shard)) {
            (Some(iterator), _) => Ok(iterator),
            (None, Some(last)) => service.after(shard, last),
            (None, None) => service.try_iterator(shard, &json!({"ShardIteratorType": "TRIM_HORIZON"})),
        };
        let page = iterator.and_then(|iterator| service.try_read(&iterator, Some(limit)));
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                match error.code {
                    "ExpiredIteratorException" => {}
                    // On from the horizon: what is between is lost.
                    "TrimmedDataAccessException" => drop(self.last.remove(shard)),
                    "ResourceNotFoundException" => drop(self.done.insert(shard.to_owned())),
                    other => panic!("{other}"),
                }
                return;
            }
        };
        for (record, sequence) in page.records.iter().zip(page.sequences()) {
            self.read.push((record["dynamodb"]["Keys"]["id"]["N"].as_str().unwrap().to_owned(), sequence));
        }
        if let Some(last) = page.sequences().pop() {
            self.last.insert(shard.to_owned(), last);
        }
        match page.next {
            Some(next) => drop(self.iterators.insert(shard.to_owned(), next)),
            None => drop(self.done.insert(shard.to_owned())),
        }
    }
}

fn run(service: &mut Service, steps: Vec<Step>) -> (Vec<(String, Sequence, String)>, Reader) {
    let mut written = Vec::new();
    let mut reader = Reader::default();
    reader.discover(service);
    for step in steps {
        match step {
            Step::Put(hash) => {
                let place = service.put(hash);
                written.push((hash.to_string(), place.sequence, place.shard));
            }
            Step::Reshard(shard, into) => {
                let open = service.streams.open_shards(&service.stream);
                service.reshard(pick(shard, &open), into);
            }
            Step::Trim(shard, keep) => {
                service.streams.trim(service.now, &service.journal);
                let shards = service.shards();
                service.trim_through(pick(shard, &shards), keep);
            }
            Step::Wait(time) => service.wait(time),
            Step::Discover { late, look_open } => {
                service.quirks.late_listing = late.then_some(60_000);
                service.quirks.parents_look_open = look_open;
                reader.discover(service);
            }
            Step::Read { shard, limit, empty, short } => {
                service.quirks.empty_page = empty;
                service.quirks.short_page = short;
                let readable = reader.readable();
                if !readable.is_empty() {
                    reader.read(service, pick(shard, &readable), limit);
                }
            }
        }
    }
    service.disable();
    service.quirks = crate::call::Quirks::default();
    reader.discover(service);
    while let Some(shard) = reader.readable().first() {
        reader.read(service, shard, 3);
    }
    (written, reader)
}

proptest! {
    #[test]
    fn every_record_that_is_not_trimmed_is_read_once_and_in_order(partitions in 1_usize..4, steps in prop::collection::vec(step(), 0..150)) {
        let mut service = Service::with_partitions(partitions);
        let (written, reader) = run(&mut service, steps);

        let mut trimmed: BTreeMap<String, Sequence> = BTreeMap::new();
        for event in service.events() {
            if let Event::Trimmed { shard, through, .. } = event {
                let before = trimmed.insert(shard, through.clone());
                prop_assert!(before.is_none_or(|before| before < through));
            }
        }
        let read: BTreeSet<&Sequence> = reader.read.iter().map(|(_, sequence)| sequence).collect();
        prop_assert_eq!(read.len(), reader.read.len(), "no record is read twice");
        for (hash, sequence, shard) in &written {
            let is_trimmed = trimmed.get(shard).is_some_and(|through| sequence <= through);
            prop_assert!(is_trimmed || read.contains(sequence), "the change {} of {} in {} is missing", sequence, hash, shard);
        }
        let mut last: BTreeMap<&str, &Sequence> = BTreeMap::new();
        for (hash, sequence) in &reader.read {
            prop_assert!(last.insert(hash, sequence).is_none_or(|before| before < sequence), "{} is out of order", hash);
        }
    }

    #[test]
    fn open_shards_always_partition_the_hashes(partitions in 1_usize..6, splits in prop::collection::vec((any::<Index>(), 1_usize..6), 0..40)) {
        let mut service = Service::with_partitions(partitions);
        for (shard, into) in splits {
            let open = service.streams.open_shards(&service.stream);
            service.reshard(pick(shard, &open), into);
            let mut next = Some(0);
            for id in service.streams.open_shards(&service.stream) {
                let shard = service.shard(&id);
                prop_assert_eq!(Some(*shard.range.start()), next);
                prop_assert!(shard.end.is_none());
                next = shard.range.end().checked_add(1);
            }
            prop_assert_eq!(next, None);
        }
    }
}
