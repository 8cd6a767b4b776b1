//! Snapshots of a whole service.

use std::collections::BTreeSet;
use std::time::Duration;

use headwater::lease::snapshot::{ReadBudget, Request, Source, State};
use headwater::snapshot::{self, SnapshotError};

use super::world::{World, key, keys, request};
use crate::support::wait_until;

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_snapshot_while_writes_go_on_has_every_key_once() {
    let world = World::new().await;
    world.put(0..300, 100).await;
    let worker = world.worker().await;
    let id = world.start(Request { segments: Some(4), ..request(Source::Table) }).await;
    let mut written = 300;
    let writes = async {
        loop {
            world.put_value(&key(written % 7), &format!("later {written}")).await;
            world.put([written], 100).await;
            written += 1;
        }
    };
    let snapshot = tokio::select! {
        snapshot = world.completed(&id) => snapshot,
        () = writes => unreachable!("writing goes on for ever"),
    };
    // What was written meanwhile is in the stream as well. The last write may not have been made.
    wait_until(DEADLINE, "every change lands", async || {
        let changes: BTreeSet<String> = world.rows().into_iter().filter(|row| row.snapshot.is_none()).map(|row| row.key).collect();
        (0..written - 1).all(|number| changes.contains(&key(number)))
    })
    .await;
    worker.drain().await;

    let rows = world.rows_of(&id);
    assert!((0..300).all(|number| rows.contains_key(&key(number))), "every item that was there before");
    assert!(rows.values().all(|row| row.operation == "SNAPSHOT"));
    assert_eq!((snapshot.segments, snapshot.whole, snapshot.rows), (4, true, rows.len() as u64));
    assert!(snapshot.half_units > 0);
    let ids: BTreeSet<&str> = rows.values().map(|row| row.event_id.as_str()).collect();
    assert_eq!(ids.len(), rows.len());
}

#[tokio::test]
async fn two_snapshots_at_once_do_not_disturb_each_other() {
    let world = World::new().await;
    world.put(0..100, 100).await;
    let (one, other) =
        (world.start(request(Source::Table)).await, world.start(Request { segments: Some(3), ..request(Source::Table) }).await);
    let workers = [world.worker().await, world.worker().await];
    for id in [&one, &other] {
        world.completed(id).await;
        assert_eq!(world.rows_of(id).into_keys().collect::<Vec<_>>(), keys(0..100));
    }
    for worker in workers {
        worker.drain().await;
    }
}

#[tokio::test]
async fn a_cancelled_snapshot_leaves_no_marker_and_no_lease() {
    let world = World::new().await;
    world.put(0..200, 2000).await;
    let worker = world.worker().await;
    // Four hundred KB at four KB a second: it is not done when it is cancelled.
    let id = world.start(Request { budget: Some(ReadBudget::Units(1)), ..request(Source::Table) }).await;
    wait_until(DEADLINE, "a segment is read", async || world.held(&id).await == 1).await;
    let cancelled = snapshot::cancel(&world.leases(), &id, 7).await.unwrap();
    assert_eq!((cancelled.state, cancelled.ended_at), (State::Cancelled, Some(7)));
    assert_eq!(world.ended(&id).await, cancelled);
    assert_eq!(snapshot::cancel(&world.leases(), &id, 8).await.unwrap(), cancelled, "once is enough");
    worker.drain().await;
    assert!(!world.has_marker(&id));
}

#[tokio::test]
async fn a_complete_snapshot_cannot_be_cancelled_and_an_unknown_one_neither() {
    let world = World::new().await;
    let worker = world.worker().await;
    let id = world.start(request(Source::Table)).await;
    let empty = world.completed(&id).await;
    assert_eq!((empty.rows, empty.whole), (0, true), "an empty table is a snapshot too");
    let refused = snapshot::cancel(&world.leases(), &id, 7).await.unwrap_err();
    assert!(matches!(refused, SnapshotError::TooLate { state: State::Completed, .. }), "{refused}");
    let unknown = snapshot::cancel(&world.leases(), "nothing", 7).await.unwrap_err();
    assert!(matches!(unknown, SnapshotError::Unknown(_)), "{unknown}");
    worker.drain().await;
}

#[tokio::test]
async fn what_cannot_be_done_fails_with_the_reason_and_the_service_goes_on() {
    let world = World::new().await;
    world.put(0..3, 10).await;
    let worker = world.worker().await;
    let share = world.start(Request { budget: Some(ReadBudget::Share(50)), ..request(Source::Table) }).await;
    let failed = world.ended(&share).await;
    assert_eq!(failed.state, State::Failed);
    assert!(failed.problem.as_deref().is_some_and(|problem| problem.contains("billed on demand")), "{:?}", failed.problem);
    assert!(!world.has_marker(&share));
    let id = world.start(request(Source::Table)).await;
    assert_eq!(world.completed(&id).await.rows, 3);
    worker.drain().await;
}

#[tokio::test]
async fn a_read_budget_is_kept() {
    const UNITS: u32 = 60;
    let world = World::new().await;
    world.put(0..240, 4000).await;
    let budget = Some(ReadBudget::Units(UNITS));
    let id = world.start(Request { budget, segments: Some(3), ..request(Source::Table) }).await;
    let runner = world.runner("only", |route| route).await;
    let counters = runner.counters();
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(runner.run(stop.clone()));
    wait_until(DEADLINE, "the first page is read", async || counters.totals().half_units > 0).await;
    let begun = tokio::time::Instant::now();
    wait_until(DEADLINE, "every segment is done", async || counters.totals().segments == 3).await;
    let elapsed = begun.elapsed();
    world.completed(&id).await;
    stop.cancel();
    running.await.unwrap();
    let units = f64::from(u32::try_from(counters.totals().half_units).unwrap()) / 2.0;
    assert!(units >= 235.0, "{units} units were read");
    // Nobody waits for the last page of each reader to be paid: together they are about a second's worth.
    let most = f64::from(UNITS) * (elapsed.as_secs_f64() + 1.2);
    assert!(units < most, "{units} units in {elapsed:?}");
}

#[tokio::test]
async fn a_drained_worker_leaves_its_segments_to_the_next_one() {
    let world = World::new().await;
    world.put(0..120, 4000).await;
    let id = world.start(Request { budget: Some(ReadBudget::Units(20)), ..request(Source::Table) }).await;
    for _ in 0..3 {
        let worker = world.worker().await;
        let before = world.look(&id).await.snapshot.rows;
        wait_until(DEADLINE, "some rows are durable", async || world.look(&id).await.snapshot.rows > before).await;
        worker.drain().await;
        assert_eq!((world.held(&id).await, world.look(&id).await.segments_done), (0, 0), "the lease is released");
    }
    let worker = world.worker().await;
    world.completed(&id).await;
    worker.drain().await;
    assert_eq!(world.rows_of(&id).into_keys().collect::<Vec<_>>(), keys(0..120));
}
