//! Several workers of one stage: who reads what, how a shard changes hands, and what a worker does that is cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use headwater::event::{ChangeEvent, Position, ShardId};
use headwater::lease::Lease;
use headwater::lease::table::{Update, Write};
use headwater::route::{Announcement, Arrival, Progress, Route, RouteError, ShardWriter};

use super::model::{Model, TIME, insert, shard};
use super::world::{Worker, World, rows, stream, wait_until};

const SHARDS: [&str; 4] = ["a", "b", "c", "d"];

fn four_shards() -> Model {
    Model::new(SHARDS.map(|id| (id, shard(None, &[1, 2], false))))
}

fn owners(leases: &BTreeMap<ShardId, Lease>) -> BTreeMap<String, usize> {
    let mut owners = BTreeMap::new();
    for lease in leases.values().filter(|lease| lease.handing_over.is_none()) {
        *owners.entry(lease.owner.clone().unwrap_or_default()).or_default() += 1;
    }
    owners
}

async fn shared(world: &World, expected: &[(&str, usize)]) {
    let expected: BTreeMap<String, usize> = expected.iter().map(|(owner, count)| ((*owner).to_owned(), *count)).collect();
    wait_until("the shards are shared out", async || owners(&world.lease_map().await) == expected).await;
}

#[tokio::test]
async fn a_second_worker_is_handed_its_share_and_no_change_is_read_twice() {
    let mut world = World::new().await;
    // So long that no worker is silent for it on a busy machine.
    world.failover = Duration::from_secs(3);
    let model = four_shards();
    let first = world.worker("first", &model).await;
    shared(&world, &[("first", 4)]).await;
    let second = world.worker("second", &model).await;
    // Changes go on all the while.
    for sequence in 3..=30 {
        model.change(|state| state.shards.values_mut().for_each(|shard| drop(shard.records.insert(sequence, insert(sequence, *TIME)))));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shared(&world, &[("first", 2), ("second", 2)]).await;
    wait_until("everything is read", async || first.counters.totals().records + second.counters.totals().records >= 4 * 30).await;
    // A worker notes what it gave away when it has taken leave of the task.
    wait_until("both know what they did", async || (first.counters.totals().handed_over, second.counters.totals().stolen) == (2, 2)).await;
    let (given, got) = (first.counters.totals(), second.counters.totals());
    assert_eq!(given.taken, 4);
    assert_eq!((given.lost, got.taken, got.lost), (0, 0, 0), "asked for and passed on, not torn away");
    first.drain().await.unwrap();
    second.drain().await.unwrap();
    let whole: Vec<u64> = (1..=30).collect();
    assert_eq!(world.landed(), rows(&SHARDS.map(|id| (id, whole.as_slice()))));
    assert_eq!(given.records + got.records, 4 * 30, "each change was read by one of them");
}

#[tokio::test]
async fn what_a_stopping_worker_gives_up_is_shared_out() {
    let world = World::new().await;
    let model = four_shards();
    let workers: Vec<Worker> =
        [world.worker("first", &model).await, world.worker("second", &model).await, world.worker("third", &model).await].into();
    wait_until("all three have some", async || owners(&world.lease_map().await).len() == 3).await;
    let mut workers = workers.into_iter();
    workers.next().unwrap().drain().await.unwrap();
    shared(&world, &[("second", 2), ("third", 2)]).await;
    for worker in workers {
        worker.drain().await.unwrap();
    }
    assert_eq!(world.landed(), rows(&SHARDS.map(|id| (id, &[1, 2][..]))));
}

#[tokio::test]
async fn a_shard_whose_holder_is_silent_is_taken_although_it_was_asked_for_nicely() {
    let world = World::new().await;
    let model = four_shards();
    let leases = world.leases();
    leases.ensure(true).await.unwrap();
    // A holder that lives, as far as its lease tells, and never listens.
    let lease = Lease { found_at: Some(*TIME), ..Lease::new(ShardId::new("a"), stream(), headwater::lease::Checkpoint::TrimHorizon) };
    leases.create(&lease).await.unwrap();
    let Write::Done(held) = leases.take(&lease, "deaf").await.unwrap() else { panic!("nobody else is there") };
    let Write::Done(asked) = leases.ask(&held, "thief").await.unwrap() else { panic!("nobody else is there") };
    assert_eq!((asked.holder(), asked.owner.as_deref()), (Some("deaf"), Some("thief")));
    let received = headwater::lease::handover::receive(&leases, &asked, "thief", Duration::from_millis(300)).await.unwrap();
    let headwater::lease::handover::HandOver::Forced(taken, _) = received else { panic!("{received:?}") };
    assert_eq!((taken.holder(), taken.handing_over.as_deref()), (Some("thief"), None));
    assert_eq!(leases.update(&held, Update::Renew).await.unwrap(), Write::Lost, "the former holder is fenced");
    drop(model);
}

#[tokio::test]
async fn a_holder_that_is_asked_writes_on_until_it_passes_the_lease_and_nobody_else_can() {
    let world = World::new().await;
    let leases = world.leases();
    leases.ensure(true).await.unwrap();
    let lease = Lease::new(ShardId::new("a"), stream(), headwater::lease::Checkpoint::TrimHorizon);
    leases.create(&lease).await.unwrap();
    let Write::Done(held) = leases.take(&lease, "holder").await.unwrap() else { panic!("nobody else is there") };
    let Write::Done(asked) = leases.ask(&held, "thief").await.unwrap() else { panic!("nobody else is there") };
    assert_eq!(leases.ask(&held, "third").await.unwrap(), Write::Asked(asked.clone()), "one at a time");
    let Write::Asked(told) = leases.update(&held, Update::Renew).await.unwrap() else { panic!("the holder learns it by its next write") };
    let Write::Done(renewed) = leases.update(&told, Update::Renew).await.unwrap() else { panic!("it is still the holder") };
    let Write::Done(passed) = leases.update(&renewed, Update::Release).await.unwrap() else { panic!("it is still the holder") };
    assert_eq!((passed.owner.as_deref(), passed.handing_over.as_deref()), (Some("thief"), None));
    assert_eq!(leases.update(&passed, Update::Renew).await.map(|write| matches!(write, Write::Done(_))).ok(), Some(true));
    assert_eq!(leases.update(&renewed, Update::Renew).await.unwrap(), Write::Lost);
}

/// A target that is away for its first so many calls.
struct Flaky {
    route: Arc<dyn Route>,
    failures: Arc<AtomicU32>,
}

struct FlakyWriter {
    writer: Box<dyn ShardWriter>,
    failures: Arc<AtomicU32>,
}

fn away(failures: &AtomicU32) -> Result<(), RouteError> {
    let left = failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    left.map_or(Ok(()), |_| {
        Err(RouteError { doing: "create an object".to_owned(), hint: "the store does not answer".to_owned(), may_pass: true, source: None })
    })
}

#[async_trait]
impl Route for Flaky {
    async fn open(&self, shard: &ShardId, after: Position) -> Result<Box<dyn ShardWriter>, RouteError> {
        Ok(Box::new(FlakyWriter { writer: self.route.open(shard, after).await?, failures: Arc::clone(&self.failures) }))
    }

    async fn announce(&self, snapshot: &Announcement<'_>) -> Result<Arrival, RouteError> {
        self.route.announce(snapshot).await
    }
}

#[async_trait]
impl ShardWriter for FlakyWriter {
    async fn append(&mut self, position: Position, event: &ChangeEvent<'_>) -> Result<Progress, RouteError> {
        self.writer.append(position, event).await
    }

    fn skip(&mut self, position: Position) {
        self.writer.skip(position);
    }

    async fn due(&mut self) {
        self.writer.due().await;
    }

    async fn poll(&mut self) -> Result<Progress, RouteError> {
        away(&self.failures)?;
        self.writer.poll().await
    }

    async fn flush(&mut self) -> Result<Progress, RouteError> {
        away(&self.failures)?;
        self.writer.flush().await
    }

    fn is_flushed(&self) -> bool {
        self.writer.is_flushed()
    }

    fn settled(&mut self) -> Progress {
        self.writer.settled()
    }
}

#[tokio::test]
async fn a_shard_waits_for_a_target_that_is_away_says_so_and_goes_on() {
    let world = World::new().await;
    let model = Model::new([("a", shard(None, &[1, 2, 3], false))]);
    let failures = Arc::new(AtomicU32::new(2));
    let worker = world.worker_through("worker", &model, |route| Arc::new(Flaky { route, failures: Arc::clone(&failures) })).await;
    let shard = ShardId::new("a");
    wait_until("the shard says what it waits for", async || {
        let standings = worker.board.standings();
        matches!(standings.get(&shard).map(|at| &at.doing), Some(headwater::consumer::board::Doing::Waiting(why)) if why.contains("does not answer"))
    })
    .await;
    wait_until("everything lands", async || world.landed() == rows(&[("a", &[1, 2, 3])])).await;
    wait_until("it waits no more", async || {
        worker.board.standings().get(&shard).is_some_and(|at| at.doing == headwater::consumer::board::Doing::Reading)
    })
    .await;
    let held: BTreeSet<Option<String>> = world.lease_map().await.into_values().map(|lease| lease.owner).collect();
    assert_eq!(held, BTreeSet::from([Some("worker".to_owned())]), "the lease is kept meanwhile");
    worker.drain().await.unwrap();
    assert_eq!(failures.load(Ordering::Relaxed), 0);
}
