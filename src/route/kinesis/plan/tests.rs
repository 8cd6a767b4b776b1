use std::collections::{HashMap, HashSet};

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::event::Position;
use crate::route::aggregate::{Unpacked, UserRecord, unpack};
use crate::route::outbox::Outbox;
use crate::route::shard_map::HashRange;

const ROOMY: Limits = Limits { events: 10_000, bytes: LARGEST_REQUEST, aggregate: Some(50 << 10) };

fn outbox<K: AsRef<str>>(events: impl IntoIterator<Item = (K, usize)>) -> Outbox<Destination> {
    let mut outbox = Outbox::new(Position::ZERO);
    for (n, (key, size)) in events.into_iter().enumerate() {
        let position = Position::new(&(n + 1).to_string(), 0).unwrap();
        let data = Bytes::from(vec![u8::try_from(n % 251).unwrap(); size]);
        outbox.push(position, Destination::of(&[key.as_ref().into()]), data, Instant::now());
    }
    outbox
}

/// A stream whose shards start at these hash keys, besides the first that starts at 0.
fn shards(mut cuts: Vec<u128>) -> ShardMap {
    cuts.retain(|cut| *cut > 0);
    cuts.sort_unstable();
    cuts.dedup();
    let ends: Vec<u128> = cuts.iter().map(|cut| cut - 1).chain([u128::MAX]).collect();
    let starts = std::iter::once(0).chain(cuts);
    ShardMap::new(
        starts
            .zip(ends)
            .enumerate()
            .map(|(n, (start, end))| (ShardId::new(format!("shard-{n}")), HashRange::parse(&start.to_string(), &end.to_string()).unwrap())),
    )
}

fn ids(outbox: &Outbox<Destination>) -> Vec<EntryId> {
    outbox.pending().map(|(id, _)| id).collect()
}

fn size(record: &PlannedRecord) -> usize {
    record.data.len() + record.partition_key.len()
}

#[test]
fn events_of_one_shard_share_a_record_and_those_of_another_have_their_own() {
    let outbox = outbox((0..40).map(|n| (format!("order/{n}"), 100)));
    let plan = plan(outbox.pending(), &shards(vec![1 << 127]), &HashSet::new(), |_| None, &ROOMY);
    assert_eq!(plan.records.len(), 2);
    assert!(plan.records.iter().all(|record| &*record.partition_key == "a" && record.explicit_hash_key.is_some()));
    let mut entries: Vec<_> = plan.records.iter().flat_map(|record| record.entries.clone()).collect();
    entries.sort_unstable();
    assert_eq!(entries, ids(&outbox));
}

#[test]
fn an_event_alone_is_a_record_of_its_own() {
    let outbox = outbox([("order/7", 100)]);
    let plan = plan(outbox.pending(), &shards(vec![]), &HashSet::new(), |_| None, &ROOMY);
    let [record] = &plan.records[..] else { panic!("{plan:?}") };
    assert_eq!((&*record.partition_key, record.explicit_hash_key, record.data.len()), ("order/7", None, 100));
}

#[test]
fn without_aggregation_a_call_has_one_event_of_each_key() {
    let outbox = outbox([("a", 1), ("b", 1), ("a", 1), ("c", 1), ("b", 1)]);
    let plan = plan(outbox.pending(), &ShardMap::default(), &HashSet::new(), |_| None, &Limits { aggregate: None, ..ROOMY });
    let keys: Vec<&str> = plan.records.iter().map(|record| &*record.partition_key).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    assert!(!plan.unmapped);
}

#[test]
fn a_large_event_goes_alone_and_those_of_other_shards_go_along() {
    let keys: Vec<String> = (0..20).map(|n| format!("order/{n}")).collect();
    let halves = shards(vec![1 << 127]);
    let of = |shard: &str| {
        let hash = |key: &&String| halves.shard_of(HashKey::of(key)).is_some_and(|found| found.as_str() == shard);
        keys.iter().filter(hash).take(2).map(String::as_str).collect::<Vec<_>>()
    };
    let (left, right) = (of("shard-0"), of("shard-1"));
    let outbox = outbox([(left[0], 900 << 10), (left[1], 10), (right[0], 10), (right[1], 10)]);
    let plan = plan(outbox.pending(), &halves, &HashSet::new(), |_| None, &Limits { bytes: 1 << 20, ..ROOMY });
    let all = ids(&outbox);
    let entries: Vec<_> = plan.records.iter().map(|record| record.entries.clone()).collect();
    assert_eq!(entries, [vec![all[0]], vec![all[2], all[3]]]);
}

#[test]
fn an_event_larger_than_a_call_goes_in_a_call_of_its_own() {
    let outbox = outbox([("a", 2000), ("b", 10)]);
    let plan =
        plan(outbox.pending(), &ShardMap::default(), &HashSet::new(), |_| None, &Limits { events: 10, bytes: 1000, aggregate: None });
    assert_eq!(plan.records.len(), 1);
    assert_eq!(plan.records[0].entries, ids(&outbox)[..1]);
}

#[test]
fn an_event_without_a_shard_on_the_map_goes_alone_and_asks_for_another_map() {
    let outbox = outbox([("a", 1), ("b", 1), ("a", 1)]);
    let plan = plan(outbox.pending(), &ShardMap::default(), &HashSet::new(), |_| None, &ROOMY);
    assert!(plan.unmapped);
    let keys: Vec<&str> = plan.records.iter().map(|record| &*record.partition_key).collect();
    assert_eq!(keys, ["a", "b"]);
}

#[test]
fn a_call_has_500_records_at_most() {
    let outbox = outbox((0..700).map(|n| (format!("order/{n}"), 1)));
    let plan = plan(outbox.pending(), &ShardMap::default(), &HashSet::new(), |_| None, &Limits { aggregate: None, ..ROOMY });
    assert_eq!(plan.records.len(), MOST_RECORDS);
}

#[test]
fn events_that_must_wait_keep_nobody_from_going_along() {
    let held = HashKey::of("held");
    let outbox = outbox((0..2 * LOOK_AHEAD).map(|_| ("held".to_owned(), 1)).chain((0..100).map(|n| (format!("order/{n}"), 1))));
    let wait = |lane: &Lane| (*lane == Lane::Key(held)).then(|| ids(&outbox)[0]);
    let plan = plan(outbox.pending(), &ShardMap::default(), &HashSet::new(), wait, &Limits { aggregate: None, ..ROOMY });
    assert_eq!(plan.records.len(), 100);
    assert_eq!(plan.first, Some(ids(&outbox)[2 * LOOK_AHEAD]));
}

#[test]
fn events_for_a_distrusted_shard_go_one_by_one() {
    let outbox = outbox([("a", 1), ("b", 1), ("a", 1)]);
    let plan = plan(outbox.pending(), &shards(vec![]), &HashSet::from([ShardId::new("shard-0")]), |_| None, &ROOMY);
    assert!(!plan.unmapped && plan.records.iter().all(|record| !record.is_aggregated()));
    assert_eq!(plan.records.len(), 2);
}

fn limits() -> impl Strategy<Value = Limits> {
    (1_usize..60, 200_usize..20_000, proptest::option::of(100_usize..3000)).prop_map(|(events, bytes, aggregate)| Limits {
        events,
        bytes,
        aggregate,
    })
}

fn events() -> impl Strategy<Value = Vec<(String, usize)>> {
    let size = prop_oneof![6 => 1_usize..200, 1 => 1000_usize..6000];
    vec(("[a-h]{1,2}", size), 0..120)
}

proptest! {
    #[test]
    fn each_lane_has_its_oldest_events_in_one_record_within_the_limits(
        events in events(), cuts in vec(any::<u128>(), 0..5), limits in limits(), held in any::<u64>(),
    ) {
        let outbox = outbox(events);
        let map = shards(cuts);
        let lane_of = |entry: &Entry<Destination>| match limits.aggregate.and_then(|_| map.shard_of(entry.key.hash_key)) {
            Some(shard) => Lane::Shard(shard.clone()),
            None => Lane::Key(entry.key.hash_key),
        };
        let is_held = |lane: &Lane| held & 1 << (format!("{lane:?}").bytes().map(u64::from).sum::<u64>() % 64) != 0;
        let last = ids(&outbox).last().copied();
        let plan = plan(outbox.pending(), &map, &HashSet::new(), |lane| last.filter(|_| is_held(lane)), &limits);

        prop_assert!(plan.records.len() <= MOST_RECORDS);
        prop_assert!(plan.records.iter().map(|record| record.entries.len()).sum::<usize>() <= limits.events);
        prop_assert!(plan.records.len() == 1 || plan.records.iter().map(size).sum::<usize>() <= limits.bytes);
        let lanes: HashSet<&Lane> = plan.records.iter().map(|record| &record.lane).collect();
        prop_assert_eq!(lanes.len(), plan.records.len(), "one record a lane");

        let mut by_lane: HashMap<Lane, Vec<(EntryId, &Entry<Destination>)>> = HashMap::new();
        for (id, entry) in outbox.pending() {
            by_lane.entry(lane_of(entry)).or_default().push((id, entry));
        }
        for record in &plan.records {
            prop_assert!(!is_held(&record.lane));
            let lane = &by_lane[&record.lane];
            let heads: Vec<EntryId> = lane.iter().map(|(id, _)| *id).take(record.entries.len()).collect();
            prop_assert_eq!(&record.entries, &heads, "nothing passes an older event of its lane");
            let inside: Vec<_> = lane[..heads.len()].iter().map(|(_, entry)| *entry).collect();
            if let [only] = inside[..] {
                prop_assert_eq!((&record.data, &record.partition_key), (&only.data, &only.key.partition_key));
                prop_assert_eq!(record.explicit_hash_key, None);
            } else {
                prop_assert!(limits.aggregate.is_some_and(|largest| size(record) <= largest));
                prop_assert_eq!(record.explicit_hash_key, Some(inside[0].key.hash_key));
                let Unpacked::Aggregated(users) = unpack(&record.data) else { panic!("not aggregated") };
                let are = |(user, entry): (&UserRecord<'_>, &&Entry<Destination>)| {
                    user.partition_key == &*entry.key.partition_key && user.data == &entry.data[..]
                };
                prop_assert!(users.iter().zip(&inside).all(are));
                prop_assert_eq!(users.len(), inside.len());
            }
            let keys = || inside.iter().map(|entry| entry.key.hash_key);
            prop_assert_eq!(Some(record.hash_keys), keys().min().zip(keys().max()));
        }
        let first = outbox.pending().find(|(_, entry)| !is_held(&lane_of(entry)));
        prop_assert_eq!(plan.records.first().map(|record| record.entries[0]), first.map(|(id, _)| id), "the oldest that may go goes");
    }
}
