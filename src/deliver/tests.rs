use std::time::Duration;

use object_store::memory::InMemory;
use object_store::path::Path;

use super::*;
use crate::event::encode::{Decimals, write_marker, write_ndjson, write_pointer};
use crate::event::{AttributeType, Operation, Side};
use crate::lake::{Format, LakeLocation, LakeSettings, LakeStore};
use crate::route::aggregate::Aggregate;

const SEQUENCE: &str = "49590338271490256608559692538361571095921575989136588898";
/// 2026-11-21T03:00:00Z.
const TIME: i64 = 1_795_230_000;

fn schema() -> Arc<TableSchema> {
    Arc::new(TableSchema::keys_only("orders", vec![("id".to_owned(), AttributeType::S)]))
}

async fn lines() -> Lines {
    let store = LakeStore { store: Arc::new(InMemory::new()), prefix: Path::default(), address: "memory:".to_owned(), ordered: true };
    let settings = LakeSettings {
        location: LakeLocation::Folder("unused".into()),
        format: Format::Parquet,
        max_size: 1 << 20,
        max_age: Duration::from_mins(1),
        decimals: Decimals::Number,
        kms_key: None,
    };
    Lines(Arc::new(Claims { schema: schema(), lake: Arc::new(Lake::on(store, settings, schema()).await.unwrap()) }))
}

fn event(key: &str) -> ChangeEvent<'static> {
    ChangeEvent {
        event_id: format!("event of {key}").into(),
        operation: Operation::Insert,
        sequence: "7".parse().unwrap(),
        time: TIME,
        shard: "shardId-1".into(),
        snapshot_id: None,
        ttl_delete: false,
        changed: Vec::new(),
        keys: vec![key.to_owned().into()],
        new: Some(Side { cells: Vec::new(), extra: Some(r#"{"n":{"N":"1"}}"#.to_owned()), misfits: 0 }),
        old: None,
    }
}

fn line(event: &ChangeEvent<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    write_ndjson(event, &schema(), Decimals::Number, &mut line);
    line
}

fn pointer(event: &ChangeEvent<'_>, location: &str) -> Vec<u8> {
    let mut line = Vec::new();
    write_pointer(event, location, &schema(), &mut line);
    line
}

fn shard() -> ShardId {
    ShardId::new("123456789012:orders:1795230000:shardId-000000000000")
}

fn body(records: &[&[u8]], rest: &str) -> String {
    let record = |data: &&[u8]| {
        let data = STANDARD.encode(data);
        format!(r#"{{"SequenceNumber":"{SEQUENCE}","ApproximateArrivalTimestamp":1795230001.9,"Data":"{data}","PartitionKey":"k"}}"#)
    };
    let records: Vec<String> = records.iter().map(record).collect();
    format!(r#"{{"Records":[{}]{rest}}}"#, records.join(","))
}

fn change(record: &Record<'_>) -> (Position, i64, ChangeEvent<'static>) {
    let Record::Change { position, time, event } = record else { panic!("a change was expected at {:?}", record.position()) };
    let event = ChangeEvent { event_id: event.event_id.to_string().into(), ..self::event(&event.keys[0]) };
    (*position, *time, event)
}

fn poison<'r>(record: &'r Record<'_>) -> (Option<Position>, &'r [u8], &'r str) {
    let Record::Poison { position, raw, reason, .. } = record else { panic!("poison was expected at {:?}", record.position()) };
    (*position, raw, reason)
}

/// The one record of a page, fetched if it lies elsewhere.
async fn fetched(mut page: Page<'_>) -> Record<'_> {
    match page.records.pop().unwrap() {
        Record::Elsewhere { fetch, .. } => fetch.await.unwrap(),
        here => here,
    }
}

fn position(sub: u32) -> Position {
    Position::new(SEQUENCE, sub).unwrap()
}

#[tokio::test]
async fn an_aggregated_record_is_taken_apart_and_a_plain_one_is_taken_as_it_is() {
    let mut aggregate = Aggregate::default();
    for key in ["a", "b"] {
        aggregate.push(key, &line(&event(key)));
    }
    let body = body(&[&aggregate.finish(), &line(&event("c"))], r#","NextShardIterator":"next","MillisBehindLatest":7"#);
    let (lines, shard) = (lines().await, shard());
    let page = lines.page(&shard, body.as_bytes()).await.unwrap();
    let taken: Vec<_> = page.records.iter().map(change).collect();
    assert_eq!(taken, [(position(0), TIME + 1, event("a")), (position(1), TIME + 1, event("b")), (position(0), TIME + 1, event("c"))]);
    assert_eq!((page.next.as_deref(), page.more), (Some("next"), Some(true)));
}

#[tokio::test]
async fn what_is_no_change_is_poison_and_its_neighbours_do_not_suffer() {
    let mut aggregate = Aggregate::default();
    aggregate.push("a", &line(&event("a")));
    aggregate.push("b", b"no change");
    aggregate.push("c", &line(&event("c")));
    let aggregate = aggregate.finish();
    let mut damaged = aggregate.to_vec();
    damaged[20] ^= 1;
    let body = body(&[&aggregate, &damaged], "");
    let (lines, shard) = (lines().await, shard());
    let page = lines.page(&shard, body.as_bytes()).await.unwrap();
    let [a, b, c, whole] = page.records.as_slice() else { panic!("{} records", page.records.len()) };
    assert_eq!((change(a).0, change(c).0), (position(0), position(2)));
    assert_eq!((poison(b).0, poison(b).1), (Some(position(1)), b"no change".as_slice()));
    assert_eq!((poison(whole).0, poison(whole).1), (Some(position(0)), damaged.as_slice()), "every byte is kept");
}

#[tokio::test]
async fn data_that_is_not_base64_and_numbers_that_are_no_position_are_poison() {
    let body =
        r#"{"Records":[{"SequenceNumber":"12","Data":"*","PartitionKey":"k"},{"SequenceNumber":"x","Data":"YQ==","PartitionKey":"k"}]}"#;
    let (lines, shard) = (lines().await, shard());
    let page = lines.page(&shard, body.as_bytes()).await.unwrap();
    let found: Vec<_> = page.records.iter().map(poison).collect();
    assert_eq!((found[0].0, found[0].1), (Some(Position::new("12", 0).unwrap()), b"*".as_slice()));
    assert_eq!((found[1].0, found[1].1), (None, b"YQ==".as_slice()));
}

#[tokio::test]
async fn a_pointer_is_followed_to_the_whole_change() {
    let (lines, shard) = (lines().await, shard());
    let location = lines.0.lake.store_claim(&event("a"), &line(&event("a"))).await.unwrap();
    let body = body(&[&pointer(&event("a"), &location)], "");
    let page = lines.page(&shard, body.as_bytes()).await.unwrap();
    let Record::Change { event: found, .. } = fetched(page).await else { panic!("a change was expected") };
    assert_eq!(found, event("a"));
}

#[tokio::test]
async fn a_pointer_that_leads_nowhere_or_elsewhere_is_poison() {
    let (lines, shard) = (lines().await, shard());
    let others = lines.0.lake.store_claim(&event("b"), &line(&event("b"))).await.unwrap();
    for location in [others.as_str(), "claims/dt=2026-11-21/gone-0.json", "../secrets", "schema.json"] {
        let pointer = pointer(&event("a"), location);
        let body = body(&[&pointer], "");
        let page = lines.page(&shard, body.as_bytes()).await.unwrap();
        let found = fetched(page).await;
        let (at, raw, reason) = poison(&found);
        assert_eq!((at, raw), (Some(position(0)), pointer.as_slice()), "{location}: {reason}");
    }
}

#[tokio::test]
async fn a_change_that_no_lake_takes_is_poison_and_does_not_stop_what_is_behind_it() {
    let (lines, shard) = (lines().await, shard());
    let nameless = ChangeEvent { operation: Operation::Snapshot, ..event("a") };
    let ancient = ChangeEvent { time: -86_400, ..event("a") };
    let body = body(&[&line(&nameless), &line(&ancient), &line(&event("b"))], "");
    let page = lines.page(&shard, body.as_bytes()).await.unwrap();
    assert!(poison(&page.records[0]).2.contains("snapshot"));
    assert!(poison(&page.records[1]).2.contains("time"));
    assert_eq!(change(&page.records[2]).2, event("b"));
}

#[tokio::test]
async fn rows_of_snapshots_are_taken_like_changes_and_from_claims_too() {
    let (lines, shard) = (lines().await, shard());
    let snapshot = ChangeEvent {
        operation: Operation::Snapshot,
        sequence: crate::event::SequenceNumber::ZERO,
        snapshot_id: Some("s-1".into()),
        ..event("a")
    };
    let absent = ChangeEvent { operation: Operation::Remove, new: None, ..snapshot.clone() };
    let location = lines.0.lake.store_claim(&snapshot, &line(&snapshot)).await.unwrap();
    for (record, expected) in [(line(&snapshot), &snapshot), (line(&absent), &absent), (pointer(&snapshot, &location), &snapshot)] {
        let body = body(&[&record], "");
        let page = lines.page(&shard, body.as_bytes()).await.unwrap();
        let Record::Change { event: found, .. } = fetched(page).await else { panic!("a row was expected") };
        assert_eq!(&found, expected);
    }
}

#[tokio::test]
async fn a_marker_counts_on_the_shard_that_it_names() {
    let (lines, shard) = (lines().await, shard());
    let end = SnapshotEnd { snapshot_id: "s-1".to_owned(), time: TIME, shard: "shardId-000000000000".to_owned(), hash_range: (5, 9) };
    let stray = SnapshotEnd { shard: "shardId-000000000001".to_owned(), ..end.clone() };
    let marker = |end: &SnapshotEnd| {
        let mut line = Vec::new();
        write_marker(end, &schema(), &mut line);
        line
    };
    let body = body(&[&marker(&end), &marker(&stray)], "");
    let page = lines.page(&shard, body.as_bytes()).await.unwrap();
    let [Record::Marker { position: at, snapshot, part }, Record::Void { position: stray }] = page.records.as_slice() else {
        panic!("a marker and one that says nothing were expected")
    };
    assert_eq!((*at, *stray), (position(0), position(0)));
    assert_eq!((snapshot.as_str(), *part), ("s-1", Part { start: 5, end: 9 }));
}

#[tokio::test]
async fn the_last_page_names_the_shards_that_go_on() {
    let children = r#","MillisBehindLatest":0,"ChildShards":[{"ShardId":"shardId-000000000002","ParentShards":["shardId-000000000000","shardId-000000000001"],"HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"9"}}]"#;
    let body = body(&[], children);
    let (lines, shard) = (lines().await, shard());
    let page = lines.page(&shard, body.as_bytes()).await.unwrap();
    let of = |id| kinesis::sibling(&shard, id);
    let parents = vec![of("shardId-000000000000"), of("shardId-000000000001")];
    assert_eq!(page.children, [ShardInfo { id: of("shardId-000000000002"), parents }]);
    assert_eq!((page.next, page.more), (None, Some(false)));
}

#[tokio::test]
async fn a_response_that_is_no_page_is_asked_for_again() {
    let (lines, shard) = (lines().await, shard());
    for body in ["", "{", r#"{"Records":[{}]}"#] {
        assert!(lines.page(&shard, body.as_bytes()).await.is_err(), "{body}");
    }
}
