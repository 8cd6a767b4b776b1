//! Under `later_records = "wait"`, each item's changes arrive in the order of the stream, whatever is poison, restarted, killed and sent
//! back when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use headwater::capture;
use headwater::clock::{ServiceClock, WallClock};
use headwater::config::{LaterRecords, OnGap, Start, StreamSettings};
use headwater::consumer::page::{Decode, Kept, Page, Record, Unreadable};
use headwater::consumer::{Consumer, Context, Source};
use headwater::embedded::{Embedded, Options};
use headwater::event::{ChangeEvent, Position, ShardId};
use headwater::lake::{Kind, Lake};
use headwater::lease::table::LeaseTable;
use headwater::redrive::{Redrive, Report, Selection, StageRoute};
use headwater::table::Key;
use tokio_util::sync::CancellationToken;

use super::bench::{Bench, WHOLE, schema};
use super::sending::Stream;
use crate::capture::model::{Model, Shard, TIME};
use crate::support::wait_until;

const DEADLINE: Duration = Duration::from_secs(30);
const ITEMS: u64 = 3;

/// What makes changes of all records but these, which a later version understands.
struct Learning {
    inner: Arc<dyn Decode>,
    not_understood: Arc<Mutex<BTreeSet<u64>>>,
}

impl Learning {
    fn understood<'p>(&self, record: Record<'p>) -> Record<'p> {
        match record {
            Record::Change { position, time, event } if self.not_understood.lock().unwrap().contains(&number(position)) => {
                let raw = self.inner.record_of(&event);
                Record::Poison {
                    position: Some(position),
                    time: Some(time),
                    event_id: Some(event.event_id.clone()),
                    key: Some(Key::of_texts(event.keys.iter().map(ToString::to_string).collect())),
                    raw: raw.into(),
                    kind: Kind::Undecodable,
                    reason: "not understood yet".to_owned(),
                }
            }
            record => record,
        }
    }
}

#[async_trait]
impl Decode for Learning {
    async fn page<'p>(&self, shard: &'p ShardId, body: &'p [u8]) -> Result<Page<'p>, Unreadable> {
        let page = self.inner.page(shard, body).await?;
        Ok(Page { records: page.records.into_iter().map(|record| self.understood(record)).collect(), ..page })
    }

    async fn again<'p>(&self, shard: &'p ShardId, kept: Kept<'p>) -> Result<Record<'p>, Unreadable> {
        Ok(self.understood(self.inner.again(shard, kept).await?))
    }

    fn record_of(&self, event: &ChangeEvent<'_>) -> Vec<u8> {
        self.inner.record_of(event)
    }
}

fn number(position: Position) -> u64 {
    position.sequence().parse().unwrap()
}

/// A number that looks random and follows from the one before it (Knuth's constants).
fn draw(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

struct World {
    dynamo: Embedded,
    bench: Bench,
    model: Model,
    stream: Stream,
    not_understood: Arc<Mutex<BTreeSet<u64>>>,
    made: u64,
}

impl World {
    async fn new() -> Self {
        Self {
            dynamo: Embedded::start(Options::default()).await.unwrap(),
            bench: Bench { later_records: LaterRecords::Wait, ..Bench::new() },
            model: Model::new([("a", Shard::default())]),
            stream: Stream::default(),
            not_understood: Arc::default(),
            made: 0,
        }
    }

    fn decoder(&self) -> Arc<dyn Decode> {
        Arc::new(Learning { inner: capture::decoder(&schema()), not_understood: Arc::clone(&self.not_understood) })
    }

    fn leases(&self) -> LeaseTable {
        LeaseTable::new(&self.dynamo.sdk_config(), "leases", CancellationToken::new())
    }

    /// Changes are made, of which some are poison.
    fn make(&mut self, state: &mut u64, count: u64, shard: &'static str) {
        for _ in 0..count {
            self.made += 1;
            let (made, item) = (self.made, draw(state, ITEMS));
            if draw(state, 5) == 0 {
                self.not_understood.lock().unwrap().insert(made);
            }
            let record = format!(
                r#"{{"eventID":"e{made}","eventName":"INSERT","dynamodb":{{"ApproximateCreationDateTime":{},"Keys":{{"id":{{"S":"k{item}"}}}},"NewImage":{{"id":{{"S":"k{item}"}}}},"SequenceNumber":"{made}"}}}}"#,
                *TIME
            );
            self.model.change(|state| state.shards.get_mut(shard).unwrap().records.insert(made, record));
        }
    }

    /// A worker reads until everything that was made is in the stream or in quarantine, and ends in good order, or is killed.
    async fn work(&self, killed: bool) {
        let leases = Arc::new(self.leases());
        leases.ensure(true).await.unwrap();
        let settings = StreamSettings { start: Start::TrimHorizon, on_gap: OnGap::Stop, idle_poll: Duration::from_millis(20) };
        let source = Source { decode: self.decoder(), ..capture::source(Arc::new(self.model.clone()), &schema(), settings) };
        let lake: Arc<Lake> = self.bench.lake(WHOLE).await;
        let clock = ServiceClock::new(WallClock::system());
        let failover = Duration::from_millis(300);
        let owner = format!("worker-{}", uuid::Uuid::now_v7());
        let mut context = Context::new(source, leases, Arc::new(self.stream.clone()), Arc::clone(&lake), failover, owner, clock);
        context.later_records = LaterRecords::Wait;
        let stop = CancellationToken::new();
        let running = tokio::spawn(Consumer::new(context).run(stop.clone()));
        wait_until(DEADLINE, "everything is in the stream or in quarantine", async || {
            let mut dealt_with: BTreeSet<u64> = self.stream.ids().iter().map(|id| id[1..].parse().unwrap()).collect();
            lake.quarantined().read_all(|entry| _ = dealt_with.insert(number(entry.position.unwrap()))).await.unwrap();
            dealt_with.len() as u64 == self.made && (killed || self.is_checkpointed().await)
        })
        .await;
        if killed {
            running.abort();
            assert!(running.await.is_err());
        } else {
            stop.cancel();
            running.await.unwrap().unwrap();
        }
    }

    /// Whether nothing is read again.
    async fn is_checkpointed(&self) -> bool {
        let checkpoints = headwater::redrive::Checkpoints::of(&self.leases().read().await.unwrap().leases);
        let last = self.model.change(|state| {
            let last = state.shards.iter().filter_map(|(id, shard)| Some((ShardId::new(*id), *shard.records.keys().next_back()?)));
            last.collect::<Vec<_>>()
        });
        last.iter().all(|(shard, last)| checkpoints.have_passed(shard, super::bench::at(*last)))
    }

    async fn redrive(&self) -> Report {
        let checkpoints = headwater::redrive::Checkpoints::of(&self.leases().read().await.unwrap().leases);
        let route = Arc::new(self.stream.clone());
        let origin = headwater::lake::Origin::Capture;
        let stage = StageRoute { origin, decode: self.decoder(), route, lands: false, checkpoints, later_records: LaterRecords::Wait };
        let redrive = Redrive::new(self.bench.lake(WHOLE).await, vec![stage]);
        redrive.run(&Selection::default(), None).await.unwrap()
    }

    /// Each item's changes came in order. A worker that was killed has left copies: the first appearance counts.
    fn check(&self, seed: u64) {
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        let mut met = BTreeSet::new();
        for (item, id) in self.stream.arrived.lock().unwrap().iter() {
            let made: u64 = id[1..].parse().unwrap();
            if met.insert(made) {
                let before = last.insert(item.clone(), made);
                assert!(before < Some(made), "seed {seed}: change {made} of {item} came after {before:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_item_s_changes_arrive_in_order_through_poison_restarts_and_redrives() {
    for seed in 0..6 {
        let (mut world, mut state) = (World::new().await, seed);
        let mut shard = "a";
        for phase in 0..5 {
            let count = 4 + draw(&mut state, 8);
            world.make(&mut state, count, shard);
            world.work(draw(&mut state, 3) == 0).await;
            world.check(seed);
            if phase == 2 {
                // The shard ends and another one continues it.
                world.model.change(|state| {
                    state.shards.get_mut("a").unwrap().closed = true;
                    state.shards.insert("b", Shard { parent: Some("a"), ..Shard::default() });
                });
                shard = "b";
            }
            if draw(&mut state, 2) == 0 {
                // A version that understands more.
                world.not_understood.lock().unwrap().pop_first();
            }
            if draw(&mut state, 3) > 0 {
                world.redrive().await;
                world.check(seed);
            }
        }
        world.not_understood.lock().unwrap().clear();
        world.work(false).await;
        let report = world.redrive().await;
        assert_eq!(report.stays().count(), 0, "seed {seed}: {report:?}");
        world.work(false).await;
        world.check(seed);
        let arrived: BTreeSet<String> = world.stream.ids().into_iter().collect();
        assert_eq!(arrived.len() as u64, world.made, "seed {seed}: nothing is lost");
    }
}
