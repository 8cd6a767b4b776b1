//! Snapshots of a part of the table.

use std::collections::BTreeSet;

use headwater::clock::unix_seconds;
use headwater::lease::snapshot::{Request, Source, State};
use headwater::snapshot::{self, SnapshotError};
use headwater::table::Key;

use super::world::{TABLE, World, key, keys, request};

#[tokio::test]
async fn listed_keys_are_read_and_those_without_an_item_are_removed() {
    let world = World::new().await;
    world.put(0..250, 10).await;
    world.delete(&key(7)).await;
    let listed: Vec<Key> = (0..230).chain(5..9).map(|number| Key::of_texts(vec![key(number)])).collect();
    let (leases, store) = (world.leases(), world.store());
    let id = snapshot::start_for_keys(&leases, &store, TABLE, &listed, request(Source::Table), unix_seconds()).await.unwrap();
    let worker = world.worker().await;
    let snapshot = world.completed(&id).await;
    worker.drain().await;
    assert_eq!((&snapshot.request.source, snapshot.whole, snapshot.rows), (&Source::Keys { count: 230 }, false, 230));
    let rows = world.rows_of(&id);
    assert_eq!(rows.keys().cloned().collect::<Vec<_>>(), keys(0..230));
    for (number, row) in &rows {
        let expected = if *number == key(7) { "REMOVE" } else { "SNAPSHOT" };
        assert_eq!((row.operation.as_str(), row.extra.is_some()), (expected, expected == "SNAPSHOT"), "{row:?}");
    }
}

#[tokio::test]
async fn an_empty_list_of_keys_is_refused() {
    let world = World::new().await;
    let refused = snapshot::start_for_keys(&world.leases(), &world.store(), TABLE, &[], request(Source::Table), 7).await;
    assert!(matches!(refused, Err(SnapshotError::Keys(0))), "{refused:?}");
}

#[tokio::test]
async fn the_parts_of_a_table_are_the_table() {
    let world = World::new().await;
    world.put(0..100, 10).await;
    let worker = world.worker().await;
    let mut seen = BTreeSet::new();
    for number in 0..3 {
        let id = world.start(request(Source::Segment { number, of: 3 })).await;
        assert!(!world.completed(&id).await.whole);
        for key in world.rows_of(&id).into_keys() {
            assert!(seen.insert(key.clone()), "{key} is in two parts");
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), keys(0..100));
    let none = world.start(request(Source::Segment { number: 3, of: 3 })).await;
    let failed = world.ended(&none).await;
    assert_eq!(failed.state, State::Failed);
    assert!(failed.problem.as_deref().is_some_and(|problem| problem.contains("0 to 2")), "{:?}", failed.problem);
    worker.drain().await;
}

#[tokio::test]
async fn a_partition_is_read_by_its_key() {
    let world = World::new().await;
    world.put(0..10, 10).await;
    let worker = world.worker().await;
    let id = world.start(request(Source::Partition { partition: key(3), from: None, to: None })).await;
    let snapshot = world.completed(&id).await;
    worker.drain().await;
    assert_eq!((snapshot.rows, snapshot.whole), (1, false));
    assert_eq!(world.rows_of(&id).into_keys().collect::<Vec<_>>(), keys([3]));
}

#[tokio::test]
async fn a_trial_reads_no_more_rows_than_it_may() {
    let world = World::new().await;
    world.put(0..50, 10).await;
    let worker = world.worker().await;
    let id = world.start(Request { limit: Some(6), segments: Some(2), ..request(Source::Table) }).await;
    let snapshot = world.completed(&id).await;
    worker.drain().await;
    assert_eq!((snapshot.rows, snapshot.whole), (12, false), "six of each segment");
    assert_eq!(world.rows_of(&id).len(), 12);
}
