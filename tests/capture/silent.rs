//! Streams that pass over a trimmed position without a word, and positions that are gone while their shard is not.

use headwater::aws::Failure;
use headwater::clock::unix_seconds;
use headwater::consumer::Trimming;
use headwater::event::ShardId;
use headwater::lease::gap::GapKind;
use headwater::lease::{Checkpoint, Lease};
use headwater::stream::StreamArn;

use super::model::{Fault, Model, insert, sequence, shard};
use super::world::{World, rows, wait_until};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A stage on such a stream whose worker has checkpointed record 2, and has last looked so many seconds ago.
async fn world(looked_ago: i64) -> World {
    let mut world = World::new().await;
    world.trimming = Trimming::Silent { kept_at_least: DAY };
    let now = unix_seconds();
    let lease = Lease {
        last_sequence: Some(sequence(2)),
        durable_through: Some(now - looked_ago),
        found_at: Some(now - 2 * DAY),
        ..Lease::new(ShardId::new("a"), StreamArn::new("arn:stream/1"), Checkpoint::At(sequence(2)))
    };
    world.leases().ensure(true).await.unwrap();
    world.leases().create(&lease).await.unwrap();
    world
}

fn model(sequences: &[u64]) -> Model {
    let model = Model::new([("a", shard(None, sequences, true))]);
    model.change(|state| state.is_silent = true);
    model
}

async fn gaps(world: &World) -> Vec<GapKind> {
    world.gaps().await.iter().map(|gap| gap.kind).collect()
}

#[tokio::test]
async fn where_the_last_record_is_still_there_nothing_was_trimmed_however_long_nobody_looked() {
    let world = world(25 * HOUR).await;
    world.capture(&model(&[1, 2, 3, 4, 5]), 3).await;
    assert_eq!(world.landed(), rows(&[("a", &[3, 4, 5])]));
    assert_eq!(gaps(&world).await, []);
}

#[tokio::test]
async fn where_the_last_record_is_gone_and_nobody_looked_for_a_day_there_is_a_gap() {
    let world = world(25 * HOUR).await;
    world.capture(&model(&[4, 5]), 2).await;
    assert_eq!(world.landed(), rows(&[("a", &[4, 5])]));
    let found = world.gaps().await;
    assert_eq!((found.len(), found[0].kind, found[0].after.as_deref()), (1, GapKind::Trimmed, Some("2")));
}

/// Found by simulation: all that had not been read was trimmed, and nothing new came.
#[tokio::test]
async fn where_nothing_at_all_is_left_and_nobody_looked_for_a_day_there_is_a_gap() {
    for closed in [true, false] {
        let world = world(25 * HOUR).await;
        let model = model(&[]);
        model.change(|state| state.shards.get_mut("a").unwrap().closed = closed);
        let worker = world.worker("worker", &model).await;
        wait_until("the gap is told", async || gaps(&world).await == [GapKind::Trimmed]).await;
        worker.drain().await.unwrap();
    }
}

#[tokio::test]
async fn where_the_last_record_is_gone_because_it_was_the_last_for_long_there_is_none() {
    let world = world(HOUR).await;
    world.capture(&model(&[4, 5]), 2).await;
    assert_eq!(world.landed(), rows(&[("a", &[4, 5])]));
    assert_eq!(gaps(&world).await, []);
}

#[tokio::test]
async fn records_that_are_read_just_before_they_are_trimmed_are_no_gap() {
    let mut world = World::new().await;
    world.trimming = Trimming::Silent { kept_at_least: DAY };
    let model = model(&[]);
    model.change(|state| {
        let records = &mut state.shards.get_mut("a").unwrap().records;
        records.extend((1..=6).map(|n| (n, insert(n, unix_seconds() - DAY + 3))));
    });
    world.capture(&model, 6).await;
    assert_eq!(world.landed(), rows(&[("a", &[1, 2, 3, 4, 5, 6])]));
    assert_eq!(gaps(&world).await, []);
}

#[tokio::test]
async fn a_shard_that_is_still_listed_is_read_on_when_its_position_is_gone() {
    let world = World::new().await;
    let model = Model::new([("a", shard(None, &[1, 2, 3, 4], true))]);
    model.change(|state| state.faults.extend([Fault::Page, Fault::Fails(Failure::NotFound)]));
    world.capture(&model, 4).await;
    assert_eq!(world.landed(), rows(&[("a", &[1, 2, 3, 4])]));
    assert_eq!(gaps(&world).await, [GapKind::Vanished]);
}
