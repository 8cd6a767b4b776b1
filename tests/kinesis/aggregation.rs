//! Aggregated records between headwater and Amazon's Python library, in both directions.

use headwater::route::aggregate::{Aggregate, Unpacked, unpack};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::support::kinesis_agg::{self, UserRecord};

/// How many aggregated records go each way, beside those that were thought of.
const GENERATED: usize = 300;

fn record(partition_key: &str, data: impl Into<Vec<u8>>) -> UserRecord {
    UserRecord { partition_key: partition_key.to_owned(), explicit_hash_key: None, data: data.into() }
}

/// Lists of user records that were thought of: where lengths and indices take another byte, and where there is nothing.
fn thought_of() -> Vec<Vec<UserRecord>> {
    vec![
        vec![record("pk1", "A"), record("pk2", "B")],
        vec![record("one", "{\"n\":1}\n")],
        vec![record("no data", "")],
        vec![record("", "no key")],
        vec![record("same", "1"), record("same", "2"), record("other", "3"), record("same", "1")],
        vec![record("Straße/Zürich", "ä"), record("注文/七", "日本"), record("🚚\u{0}\n\"", [0, 0xFF, 0x0A])],
        (120..140).map(|length| record(&"k".repeat(length), vec![1; length])).collect(),
        (16_370..16_390).map(|length| record("k", vec![2; length])).collect(),
        (0..20_000).map(|n| record(&n.to_string(), "x")).collect(),
    ]
}

/// Lists of user records at random, the same in every run.
fn generated() -> Vec<Vec<UserRecord>> {
    let key = prop_oneof!["order/[0-9]", "\\PC{1,256}", "[a-z]{1,20}"];
    let data = prop_oneof![4 => vec(any::<u8>(), 0..300), 1 => vec(any::<u8>(), 0..5000)];
    let records = vec((key, data).prop_map(|(key, data)| record(&key, data)), 1..60);
    let mut runner = TestRunner::deterministic();
    (0..GENERATED).map(|_| records.new_tree(&mut runner).unwrap().current()).collect()
}

fn packed_by_headwater(records: &[UserRecord]) -> Vec<u8> {
    let mut aggregate = Aggregate::default();
    for record in records {
        aggregate.push(&record.partition_key, &record.data);
    }
    aggregate.finish().into()
}

fn unpacked_by_headwater(data: &[u8]) -> Vec<UserRecord> {
    let Unpacked::Aggregated(records) = unpack(data) else { panic!("taken for a plain record: {data:x?}") };
    records
        .into_iter()
        .map(|record| UserRecord {
            partition_key: record.partition_key.to_owned(),
            explicit_hash_key: record.explicit_hash_key.map(str::to_owned),
            data: record.data.to_owned(),
        })
        .collect()
}

#[tokio::test]
async fn amazons_library_reads_our_records() {
    let lists: Vec<_> = thought_of().into_iter().chain(generated()).collect();
    let packed: Vec<_> = lists.iter().map(|list| packed_by_headwater(list)).collect();
    let unpacked = kinesis_agg::unpack(&packed).await;
    assert_eq!(unpacked.len(), lists.len());
    for (n, (unpacked, list)) in unpacked.iter().zip(&lists).enumerate() {
        assert!(unpacked == list, "record {n} is read as {unpacked:?} instead of {list:?}");
    }
}

#[tokio::test]
async fn our_records_are_those_of_amazons_library_byte_by_byte() {
    let lists: Vec<_> = thought_of().into_iter().chain(generated()).collect();
    let packed = kinesis_agg::pack(&lists).await;
    assert_eq!(packed.len(), lists.len());
    for (n, (packed, list)) in packed.iter().zip(&lists).enumerate() {
        assert!(*packed == packed_by_headwater(list), "record {n} differs: {list:?}");
    }
}

#[tokio::test]
async fn we_read_the_records_of_amazons_library_with_their_explicit_hash_keys() {
    let mut lists: Vec<_> = thought_of().into_iter().chain(generated()).collect();
    for (n, record) in lists.iter_mut().flatten().enumerate() {
        record.explicit_hash_key = (n % 3 != 0).then(|| (u128::MAX >> (n % 7)).to_string());
    }
    let packed = kinesis_agg::pack(&lists).await;
    assert_eq!(packed.len(), lists.len());
    for (n, (packed, list)) in packed.iter().zip(&lists).enumerate() {
        let unpacked = unpacked_by_headwater(packed);
        assert!(unpacked == *list, "record {n} is read as {unpacked:?} instead of {list:?}");
    }
}
