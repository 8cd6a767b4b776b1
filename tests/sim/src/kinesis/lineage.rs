//! The model against a reader that follows the lineage: whatever is split and merged meanwhile, it reads each record once, and the records
//! of a key in the order in which they were put.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::testing::{Account, decoded, encoded, text};

#[derive(Debug, Clone)]
enum Step {
    /// Puts a batch of records, by the numbers of their keys. The shard of the first may split just before, and some may fail.
    Put { keys: Vec<u8>, split_before: bool, failed: Vec<usize> },
    /// Splits one of the open shards.
    Split(prop::sample::Index),
    /// Merges one of the open shards with its neighbour above.
    Merge(prop::sample::Index),
    /// Reads a page of one of the shards that the reader has open.
    Read { shard: prop::sample::Index, limit: usize, empty: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (prop::collection::vec(0..12_u8, 1..8), prop::bool::weighted(0.1), prop::collection::vec(0..8_usize, 0..3))
            .prop_map(|(keys, split_before, failed)| Step::Put { keys, split_before, failed }),
        1 => index().prop_map(Step::Split),
        1 => index().prop_map(Step::Merge),
        4 => (index(), 1..6_usize, any::<bool>()).prop_map(|(shard, limit, empty)| Step::Read { shard, limit, empty }),
    ]
}

/// Reads shards as a consumer does: a child when all of its parents are read to their ends.
#[derive(Default)]
struct Reader {
    iterators: BTreeMap<String, String>,
    ended: BTreeSet<String>,
    waiting: BTreeMap<String, Vec<String>>,
    read: Vec<(String, String)>,
}

impl Reader {
    fn begin(&mut self, account: &mut Account, shard: String) {
        let iterator = account.iterator(&shard, "TRIM_HORIZON", json!({})).unwrap();
        assert_eq!(self.iterators.insert(shard, iterator), None, "a shard is begun once");
    }

    fn read(&mut self, account: &mut Account, shard: &str, limit: usize) {
        let answer = account.kinesis("GetRecords", json!({"ShardIterator": self.iterators[shard], "Limit": limit})).unwrap();
        let record = |record: &Value| (text(&record["PartitionKey"]), decoded(&record["Data"]));
        self.read.extend(answer["Records"].as_array().unwrap().iter().map(record));
        if let Some(next) = answer["NextShardIterator"].as_str() {
            assert_eq!(answer.get("ChildShards"), None);
            self.iterators.insert(shard.to_owned(), next.to_owned());
            return;
        }
        self.iterators.remove(shard);
        self.ended.insert(shard.to_owned());
        for child in answer["ChildShards"].as_array().unwrap() {
            self.waiting.insert(text(&child["ShardId"]), child["ParentShards"].as_array().unwrap().iter().map(text).collect());
        }
        let ready = |parents: &Vec<String>| parents.iter().all(|parent| self.ended.contains(parent));
        let children: Vec<String> = self.waiting.iter().filter(|(_, parents)| ready(parents)).map(|(child, _)| child.clone()).collect();
        for child in children {
            self.waiting.remove(&child);
            self.begin(account, child);
        }
    }
}

fn put(account: &mut Account, keys: &[u8], count: &mut usize, stored: &mut Vec<(String, String)>) {
    let first = *count;
    *count += keys.len();
    let records: Vec<(String, String)> = keys.iter().zip(first..).map(|(key, number)| (format!("key-{key}"), number.to_string())).collect();
    let entries: Vec<Value> = records.iter().map(|(key, data)| json!({"PartitionKey": key, "Data": encoded(data)})).collect();
    let answer = account.kinesis("PutRecords", json!({"StreamName": "orders", "Records": entries})).unwrap();
    let outcomes = answer["Records"].as_array().unwrap();
    stored.extend(records.into_iter().zip(outcomes).filter(|(_, outcome)| outcome.get("ErrorCode").is_none()).map(|(record, _)| record));
}

fn merge(account: &mut Account, index: prop::sample::Index) {
    let Account { kinesis, journal, now, .. } = account;
    let low = *index.get(&kinesis.open_shards("orders"));
    // Above the topmost shard there is none.
    let Some(high) = kinesis.neighbour("orders", low) else { return };
    kinesis.merge("orders", low, high, *now, journal).unwrap();
}

fn by_key(records: &[(String, String)]) -> BTreeMap<&str, Vec<&str>> {
    let mut keys: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, data) in records {
        keys.entry(key).or_default().push(data);
    }
    keys
}

proptest! {
    #[test]
    fn a_reader_that_follows_the_lineage_reads_every_record_once_and_keys_in_order(steps in prop::collection::vec(step(), 1..60)) {
        let mut account = Account::with_stream("orders", 2);
        let mut reader = Reader::default();
        for shard in account.kinesis.open_shards("orders") {
            reader.begin(&mut account, shard.to_string());
        }
        let (mut count, mut stored) = (0, Vec::new());
        for step in steps {
            account.now += 1_000;
            match step {
                Step::Put { keys, split_before, failed } => {
                    account.quirks.split_before = split_before;
                    account.quirks.failed_records = failed.into_iter().map(|index| (index, "InternalFailure")).collect();
                    put(&mut account, &keys, &mut count, &mut stored);
                }
                Step::Split(index) => {
                    let Account { kinesis, journal, now, .. } = &mut account;
                    let shard = *index.get(&kinesis.open_shards("orders"));
                    kinesis.split("orders", shard, *now, journal).unwrap();
                }
                Step::Merge(index) => merge(&mut account, index),
                Step::Read { shard, limit, empty } => {
                    account.quirks.empty_page = empty;
                    let shards: Vec<String> = reader.iterators.keys().cloned().collect();
                    reader.read(&mut account, shard.get(&shards).as_str(), limit);
                }
            }
        }
        let open: BTreeSet<String> = account.kinesis.open_shards("orders").iter().map(ToString::to_string).collect();
        while reader.iterators.keys().any(|shard| !open.contains(shard)) {
            for shard in reader.iterators.keys().cloned().collect::<Vec<_>>() {
                reader.read(&mut account, &shard, 10_000);
            }
        }
        for shard in &open {
            reader.read(&mut account, shard, 10_000);
        }
        prop_assert_eq!(reader.iterators.into_keys().collect::<BTreeSet<_>>(), open);
        prop_assert!(reader.waiting.is_empty());
        prop_assert_eq!(by_key(&reader.read), by_key(&stored));
        let arrived: Vec<String> = stored.into_iter().map(|(_, data)| data).collect();
        prop_assert_eq!(account.journalled_puts(), arrived);
    }
}
