//! Gaps: what closes them, and what asks for a snapshot.

use std::time::Duration;

use headwater::clock::unix_seconds;
use headwater::config::OnGap;
use headwater::event::ShardId;
use headwater::lease::gap::{Gap, GapKind};
use headwater::lease::snapshot::{Cause, Source, State};

use super::world::{World, keys, request};
use crate::support::wait_until;

const DEADLINE: Duration = Duration::from_secs(30);

async fn gap(world: &World, found_ago: i64) -> Gap {
    let gap = Gap::of_shard(GapKind::Trimmed, &ShardId::new("lost"), None, None, unix_seconds() - found_ago);
    world.leases().record(&gap).await.unwrap();
    gap
}

async fn ledger(world: &World) -> Vec<Gap> {
    world.leases().read().await.unwrap().gaps
}

#[tokio::test]
async fn a_gap_asks_for_a_snapshot_which_closes_it() {
    let mut world = World::new().await;
    world.settings.stream.on_gap = OnGap::Snapshot;
    world.put(0..20, 10).await;
    let gap = gap(&world, 200).await;
    let workers = [world.worker().await, world.worker().await];
    wait_until(DEADLINE, "the gap is closed", async || ledger(&world).await.iter().all(|gap| !gap.is_open())).await;
    for worker in workers {
        worker.drain().await;
    }
    let snapshots = world.leases().read().await.unwrap().snapshots;
    assert_eq!(snapshots.len(), 1, "one for all workers: {snapshots:?}");
    let snapshot = &snapshots[0];
    assert_eq!((snapshot.state, &snapshot.request.cause, snapshot.whole), (State::Completed, &Cause::Gap, true));
    assert!(snapshot.started_at > Some(gap.found_at));
    let closed = Gap { closed_by: Some(snapshot.id.clone()), closed_at: snapshot.ended_at, ..gap };
    assert_eq!(ledger(&world).await, [closed]);
    assert_eq!(world.rows_of(&snapshot.id).into_keys().collect::<Vec<_>>(), keys(0..20));
}

#[tokio::test]
async fn a_snapshot_that_somebody_asked_for_closes_a_gap_too_and_a_part_does_not() {
    let world = World::new().await;
    world.put(0..5, 10).await;
    gap(&world, 200).await;
    let worker = world.worker().await;
    let part = world.start(request(Source::Segment { number: 0, of: 2 })).await;
    assert!(!world.completed(&part).await.whole);
    let idle = Duration::from_secs(2);
    tokio::time::timeout(idle, async {
        while ledger(&world).await[0].is_open() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap_err();
    let whole = world.start(request(Source::Table)).await;
    world.completed(&whole).await;
    wait_until(DEADLINE, "the gap is closed", async || ledger(&world).await[0].closed_by.as_deref() == Some(&*whole)).await;
    worker.drain().await;
}

#[tokio::test]
async fn a_snapshot_waits_while_a_gap_is_so_young_that_it_may_lie_above_its_rows() {
    let world = World::new().await;
    world.put(0..5, 10).await;
    // It can begin in a few seconds.
    let found_at = gap(&world, 70).await.found_at;
    let worker = world.worker().await;
    let id = world.start(request(Source::Table)).await;
    let snapshot = world.completed(&id).await;
    assert!(snapshot.started_at > Some(found_at), "{snapshot:?}");
    worker.drain().await;
}

#[tokio::test]
async fn a_gap_that_is_found_once_more_is_open_again() {
    let world = World::new().await;
    let first = gap(&world, 200).await;
    world.leases().close_gap(&first, "snapshot", 7).await.unwrap();
    assert!(!ledger(&world).await[0].is_open());
    let again = Gap { found_at: first.found_at + 100, ..first.clone() };
    world.leases().record(&again).await.unwrap();
    assert_eq!(ledger(&world).await, std::slice::from_ref(&again));
    world.leases().close_gap(&first, "snapshot", 8).await.unwrap();
    assert_eq!(ledger(&world).await, std::slice::from_ref(&again), "an older snapshot does not close it");
    world.leases().record(&Gap { found_at: again.found_at + 100, ..again.clone() }).await.unwrap();
    assert_eq!(ledger(&world).await, std::slice::from_ref(&again), "what is open stays as it was found first");
    let another = Gap { found_at: again.found_at + 86_400, ..again };
    world.leases().record(&another).await.unwrap();
    assert_eq!(ledger(&world).await, [another], "a day later more was lost at the same place");
}
