//! Snapshots whose rows a deliver stage brings into the lake.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use headwater::clock::unix_seconds;
use headwater::event::{ChangeEvent, Position, ShardId};
use headwater::lake::Part;
use headwater::lease::gap::{Gap, GapKind};
use headwater::lease::snapshot::{Snapshot, Source, State};
use headwater::lease::table::LeaseTable;
use headwater::route::{Announcement, Arrival, Progress, Route, RouteError, ShardWriter};
use headwater::snapshot;
use headwater::stream::StreamArn;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::world::{World, keys, lease_on, request};
use crate::support::wait_until;

const DEADLINE: Duration = Duration::from_secs(30);
/// Long enough for several rounds of a runner.
const ROUNDS: Duration = Duration::from_secs(2);

/// A route behind which rows come into the lake only when somebody has noted it.
struct Noted(Arc<dyn Route>);

#[async_trait]
impl Route for Noted {
    async fn open(&self, shard: &ShardId, after: Position) -> Result<Box<dyn ShardWriter>, RouteError> {
        self.0.open(shard, after).await
    }

    async fn announce(&self, _: &Announcement<'_>) -> Result<Arrival, RouteError> {
        Ok(Arrival::Noted)
    }
}

/// A route that panics once, at the first row.
struct Panicking {
    inner: Arc<dyn Route>,
    has_panicked: Arc<AtomicBool>,
}

struct PanickingWriter {
    inner: Box<dyn ShardWriter>,
    has_panicked: Arc<AtomicBool>,
}

#[async_trait]
impl Route for Panicking {
    async fn open(&self, shard: &ShardId, after: Position) -> Result<Box<dyn ShardWriter>, RouteError> {
        let has_panicked = Arc::clone(&self.has_panicked);
        Ok(Box::new(PanickingWriter { inner: self.inner.open(shard, after).await?, has_panicked }))
    }

    async fn announce(&self, snapshot: &Announcement<'_>) -> Result<Arrival, RouteError> {
        self.inner.announce(snapshot).await
    }
}

#[async_trait]
impl ShardWriter for PanickingWriter {
    async fn append(&mut self, position: Position, event: &ChangeEvent<'_>) -> Result<Progress, RouteError> {
        assert!(self.has_panicked.swap(true, Ordering::SeqCst), "a panic of this test's own making");
        self.inner.append(position, event).await
    }

    fn skip(&mut self, position: Position) {
        self.inner.skip(position);
    }

    async fn due(&mut self) {
        self.inner.due().await;
    }

    async fn poll(&mut self) -> Result<Progress, RouteError> {
        self.inner.poll().await
    }

    async fn flush(&mut self) -> Result<Progress, RouteError> {
        self.inner.flush().await
    }

    fn is_flushed(&self) -> bool {
        self.inner.is_flushed()
    }

    fn settled(&mut self) -> Progress {
        self.inner.settled()
    }
}

/// A world with a deliver stage that has a position, and a worker in it.
async fn world() -> (World, LeaseTable, CancellationToken, JoinHandle<()>) {
    let world = World::new().await;
    world.put(0..20, 10).await;
    let delivered = world.delivered().await;
    let runner = world.runner_before(Some(world.delivered().await), "worker", |route| Arc::new(Noted(route))).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(runner.run(stop.clone()));
    (world, delivered, stop, running)
}

async fn state(world: &World, id: &str) -> Snapshot {
    world.look(id).await.snapshot
}

async fn is_completing(world: &World, id: &str) {
    wait_until(DEADLINE, "every row is read", async || state(world, id).await.state == State::Completing).await;
}

#[tokio::test]
async fn a_snapshot_begins_when_both_stages_have_a_position_and_ends_when_every_part_is_noted() {
    let (world, delivered, stop, running) = world().await;
    let id = world.start(request(Source::Table)).await;
    tokio::time::sleep(ROUNDS).await;
    assert_eq!(state(&world, &id).await.state, State::Requested, "rows could escape the deliver stage");
    delivered.create(&lease_on(StreamArn::new("kinesis"))).await.unwrap();
    is_completing(&world, &id).await;

    let lake = world.lake().await;
    lake.note_part(&id, Part { start: 0, end: 99 }).await.unwrap();
    tokio::time::sleep(ROUNDS).await;
    assert_eq!((state(&world, &id).await.state, world.has_marker(&id)), (State::Completing, false), "a part is missing");
    lake.note_part(&id, Part { start: 100, end: u128::MAX }).await.unwrap();
    world.completed(&id).await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(world.rows_of(&id).into_keys().collect::<Vec<_>>(), keys(0..20));
}

#[tokio::test]
async fn a_snapshot_fails_when_the_deliver_stage_has_lost_what_may_be_its_rows() {
    let (world, delivered, stop, running) = world().await;
    delivered.create(&lease_on(StreamArn::new("kinesis"))).await.unwrap();
    let id = world.start(request(Source::Table)).await;
    is_completing(&world, &id).await;

    let gap = Gap::of_shard(GapKind::Trimmed, &ShardId::new("kinesis"), None, None, unix_seconds());
    delivered.record(&gap).await.unwrap();
    // Noted all the same, by a reader that went on behind the gap.
    world.lake().await.note_part(&id, Part { start: 0, end: u128::MAX }).await.unwrap();
    let failed = world.ended(&id).await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!((failed.state, world.has_marker(&id)), (State::Failed, false));
    let problem = failed.problem.unwrap();
    assert!(problem.contains("lost between Kinesis and the lake"), "{problem}");
}

#[tokio::test]
async fn a_snapshot_that_waits_for_the_deliver_stage_can_be_cancelled() {
    let (world, delivered, stop, running) = world().await;
    delivered.create(&lease_on(StreamArn::new("kinesis"))).await.unwrap();
    let id = world.start(request(Source::Table)).await;
    is_completing(&world, &id).await;
    snapshot::cancel(&world.leases(), &id, 7).await.unwrap();
    assert_eq!(world.ended(&id).await.state, State::Cancelled);
    stop.cancel();
    running.await.unwrap();
    assert!(!world.has_marker(&id));
}

#[tokio::test]
async fn a_segment_whose_task_ended_unexpectedly_is_read_again() {
    let world = World::new().await;
    world.put(0..20, 10).await;
    let has_panicked = Arc::new(AtomicBool::new(false));
    let around = |inner| Arc::new(Panicking { inner, has_panicked: Arc::clone(&has_panicked) }) as Arc<dyn Route>;
    let runner = world.runner("worker", around).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(runner.run(stop.clone()));
    let id = world.start(request(Source::Table)).await;
    world.completed(&id).await;
    stop.cancel();
    running.await.unwrap();
    assert!(has_panicked.load(Ordering::SeqCst));
    assert_eq!(world.rows_of(&id).into_keys().collect::<Vec<_>>(), keys(0..20));
}
