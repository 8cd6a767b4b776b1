//! The whole capture stage.

use std::time::Duration;

use headwater::aws::Failure;
use headwater::config::{OnGap, Start};
use headwater::event::ShardId;
use headwater::lease::gap::GapKind;
use headwater::lease::table::{Update, Write};
use headwater::lease::{Checkpoint, Lease};
use headwater::stream::IteratorStart;

use super::model::{Fault, Model, Shard, TIME, insert, sequence, shard};
use super::world::{TABLE, World, rows, wait_until};

#[tokio::test]
async fn a_split_is_followed_from_parents_to_children() {
    let world = World::new().await;
    let model = Model::new([
        ("a", shard(None, &[1, 2, 3], true)),
        ("b", shard(Some("a"), &[4, 5], true)),
        ("c", shard(Some("a"), &[6], false)),
        ("d", shard(Some("b"), &[7, 8, 9], false)),
    ]);
    world.capture(&model, 9).await;
    assert_eq!(world.landed(), rows(&[("a", &[1, 2, 3]), ("b", &[4, 5]), ("c", &[6]), ("d", &[7, 8, 9])]));
    let first: Vec<String> = model.change(|state| state.iterators.iter().map(|(shard, _)| shard.clone()).collect());
    let at = |shard: &str| first.iter().position(|asked| asked == shard).unwrap();
    assert!(at("a") < at("b") && at("a") < at("c") && at("b") < at("d"), "{first:?}");
    assert!(world.gaps().await.is_empty());
}

#[tokio::test]
async fn a_child_that_is_listed_late_is_not_lost() {
    let world = World::new().await;
    let mut late = shard(Some("a"), &[3], false);
    late.hidden_for = 5;
    let model = Model::new([("a", shard(None, &[1, 2], true)), ("b", late)]);
    world.capture(&model, 3).await;
    assert_eq!(world.landed(), rows(&[("a", &[1, 2]), ("b", &[3])]));
}

#[tokio::test]
async fn children_of_a_shard_read_from_latest_begin_at_their_trim_horizon() {
    let mut world = World::new().await;
    world.settings.start = Start::At(*TIME);
    let mut old = shard(None, &[2, 3], false);
    old.records.insert(1, insert(1, *TIME - 1));
    let model = Model::new([("a", old)]);
    let worker = world.worker("worker", &model).await;
    world.settle(&model, &worker, 2).await;
    // The child's first record was made before the configured start; it is a change of a shard that is being read all the same.
    let mut child = shard(Some("a"), &[5], false);
    child.records.insert(4, insert(4, *TIME - 1));
    model.change(|state| {
        state.shards.insert("b", child);
        state.shards.get_mut("a").unwrap().closed = true;
    });
    world.settle(&model, &worker, 4).await;
    worker.drain().await.unwrap();
    assert_eq!(world.landed(), rows(&[("a", &[2, 3]), ("b", &[4, 5])]));
    let starts = model.change(|state| state.iterators.clone());
    assert!(starts.contains(&("b".to_owned(), IteratorStart::TrimHorizon)), "{starts:?}");
}

#[tokio::test]
async fn a_restart_goes_on_behind_the_checkpoint() {
    let world = World::new().await;
    let model = Model::new([("a", shard(None, &[1, 2, 3], false))]);
    world.capture(&model, 3).await;
    model.change(|state| {
        state.shards.get_mut("a").unwrap().records.insert(4, insert(4, *TIME));
        state.iterators.clear();
    });
    world.capture(&model, 1).await;
    assert_eq!(world.landed(), rows(&[("a", &[1, 2, 3, 4])]));
    assert_eq!(model.change(|state| state.iterators[0].1), IteratorStart::After(sequence(3)));
}

#[tokio::test]
async fn a_lost_lease_table_lands_nothing_twice() {
    let world = World::new().await;
    let model = Model::new([("a", shard(None, &[1, 2, 3], false))]);
    world.capture(&model, 3).await;
    // Meanwhile the stream forgot its first records, so that the first one that is seen again lies inside an object.
    model.change(|state| {
        let shard = state.shards.get_mut("a").unwrap();
        shard.trimmed_below = 2;
        shard.records.insert(4, insert(4, *TIME));
    });
    let client = aws_sdk_dynamodb::Client::new(&world.dynamo.sdk_config());
    client.delete_table().table_name("leases").send().await.unwrap();
    world.capture(&model, 1).await;
    assert_eq!(world.landed(), rows(&[("a", &[1, 2, 3, 4])]));
}

#[tokio::test]
async fn a_trimmed_position_is_recorded_and_reading_goes_on() {
    let world = World::new().await;
    let model = Model::new([("a", shard(None, &[1, 2], false))]);
    world.capture(&model, 2).await;
    model.change(|state| {
        let shard = state.shards.get_mut("a").unwrap();
        shard.trimmed_below = 5;
        shard.records = [(5, insert(5, *TIME)), (6, insert(6, *TIME))].into();
    });
    world.capture(&model, 2).await;
    assert_eq!(world.landed(), rows(&[("a", &[1, 2, 5, 6])]));
    let gaps = world.gaps().await;
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].kind, gaps[0].after.as_deref()), (GapKind::Trimmed, Some("2")));
}

#[tokio::test]
async fn a_trimmed_position_stops_the_service_when_so_configured() {
    let mut world = World::new().await;
    let model = Model::new([("a", shard(None, &[1, 2], false))]);
    world.capture(&model, 2).await;
    model.change(|state| state.shards.get_mut("a").unwrap().trimmed_below = 5);
    world.settings.on_gap = OnGap::Stop;
    let worker = world.worker("worker", &model).await;
    let error = worker.running.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("on_gap"), "{error}");
    assert_eq!(world.gaps().await.len(), 1);
}

#[tokio::test]
async fn a_vanished_shard_is_recorded_and_its_children_are_read() {
    let world = World::new().await;
    let model = Model::new([("a", shard(None, &[1, 2], false))]);
    world.capture(&model, 2).await;
    model.change(|state| {
        state.vanished.push("a");
        state.shards.insert("b", shard(Some("a"), &[9], false));
    });
    world.capture(&model, 1).await;
    assert_eq!(world.landed(), rows(&[("a", &[1, 2]), ("b", &[9])]));
    let kinds: Vec<GapKind> = world.gaps().await.iter().map(|gap| gap.kind).collect();
    assert_eq!(kinds, [GapKind::Vanished]);
}

#[tokio::test]
async fn a_replaced_stream_is_read_after_the_old_one_and_the_gap_is_recorded() {
    let world = World::new().await;
    let model = Model::new([("a", shard(None, &[1], false))]);
    world.capture(&model, 1).await;
    model.change(|state| {
        state.stream = "arn:stream/2";
        let old = state.shards.get_mut("a").unwrap();
        old.records.insert(2, insert(2, *TIME));
        old.closed = true;
        state.shards.insert("b", Shard { stream: Some("arn:stream/2"), ..shard(None, &[3], false) });
        state.iterators.clear();
    });
    world.capture(&model, 2).await;
    assert_eq!(world.landed(), rows(&[("a", &[1, 2]), ("b", &[3])]));
    let order = model.change(|state| state.iterators.clone());
    assert_eq!(order[0].0, "a", "{order:?}");
    let kinds: Vec<GapKind> = world.gaps().await.iter().map(|gap| gap.kind).collect();
    assert_eq!(kinds, [GapKind::StreamReplaced]);
}

/// Found by simulation: the first worker had died between the leases of two shards, then the stream was replaced.
#[tokio::test]
async fn a_replaced_stream_s_shard_without_a_lease_is_read_before_the_new_stream() {
    let world = World::new().await;
    let model = Model::new([("a", shard(None, &[1], false))]);
    world.capture(&model, 1).await;
    model.change(|state| {
        state.stream = "arn:stream/2";
        state.shards.get_mut("a").unwrap().closed = true;
        state.shards.insert("b", shard(None, &[2], true));
        state.shards.insert("c", Shard { stream: Some("arn:stream/2"), ..shard(None, &[3], false) });
        state.iterators.clear();
    });
    world.capture(&model, 2).await;
    assert_eq!(world.landed(), rows(&[("a", &[1]), ("b", &[2]), ("c", &[3])]));
    let order: Vec<String> = model.change(|state| state.iterators.iter().map(|(shard, _)| shard.clone()).collect());
    assert!(order.ends_with(&["c".to_owned()]) && order.contains(&"b".to_owned()), "{order:?}");
}

#[tokio::test]
async fn numbers_that_fall_behind_the_parent_s_are_an_incident() {
    let world = World::new().await;
    let model = Model::new([("a", shard(None, &[7, 8], true)), ("b", shard(Some("a"), &[3], false))]);
    world.capture(&model, 3).await;
    assert_eq!(world.landed(), rows(&[("a", &[7, 8]), ("b", &[3])]));
    let kinds: Vec<GapKind> = world.gaps().await.iter().map(|gap| gap.kind).collect();
    assert_eq!(kinds, [GapKind::OrderBroken]);
}

#[tokio::test]
async fn repeated_pages_empty_pages_and_outages_change_nothing() {
    let world = World::new().await;
    let model = Model::new([("a", shard(None, &[1, 2, 3, 4, 5], true))]);
    model.change(|state| {
        state.faults.extend([
            Fault::Empty,
            Fault::Fails(Failure::Throttled),
            Fault::Repeats,
            Fault::Repeats,
            Fault::Body("<html>"),
            Fault::Fails(Failure::ExpiredIterator),
            Fault::Empty,
        ]);
    });
    world.capture(&model, 5).await;
    assert_eq!(world.landed(), rows(&[("a", &[1, 2, 3, 4, 5])]));
}

#[tokio::test]
async fn a_poison_record_is_quarantined_and_its_neighbours_land() {
    let world = World::new().await;
    let mut shard = shard(None, &[1, 3], true);
    shard.records.insert(2, insert(2, *TIME).replace("{\"N\":", "{\"Q\":"));
    let model = Model::new([("a", shard)]);
    world.capture(&model, 2).await;
    assert_eq!(world.landed(), rows(&[("a", &[1, 3])]));
    let mut stored = Vec::new();
    for day in std::fs::read_dir(world.folder.path().join(TABLE).join("quarantine")).unwrap() {
        for item in std::fs::read_dir(day.unwrap().path()).unwrap() {
            for file in std::fs::read_dir(item.unwrap().path()).unwrap() {
                stored.push(std::fs::read_to_string(file.unwrap().path()).unwrap());
            }
        }
    }
    assert_eq!(stored.len(), 1);
    assert!(stored[0].contains(r#"\"Q\""#) || stored[0].contains(r#""Q""#), "{}", stored[0]);
}

#[tokio::test]
async fn a_worker_whose_lease_was_taken_is_fenced() {
    let world = World::new().await;
    let model = Model::new([("a", shard(None, &[1, 2], false))]);
    let worker = world.worker("first", &model).await;
    world.settle(&model, &worker, 2).await;
    let id = ShardId::new("a");
    wait_until("the first checkpoint is written", async || matches!(world.lease_map().await[&id].checkpoint, Checkpoint::At(_))).await;
    // Somebody else takes the lease by force, as after a pause of the holder that was longer than the fail-over time.
    let leases = world.leases();
    let taken = loop {
        if let Write::Done(lease) = leases.take(&world.lease_map().await[&id], "second").await.unwrap() {
            break lease;
        }
    };
    model.change(|state| state.shards.get_mut("a").unwrap().records.insert(3, insert(3, *TIME)));
    let mut mine = taken;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(25)).await;
        let Write::Done(renewed) = leases.update(&mine, Update::Renew).await.unwrap() else { panic!("the first worker took it back") };
        mine = renewed;
    }
    worker.drain().await.unwrap();
    let now = &world.lease_map().await[&id];
    assert_eq!(now.owner.as_deref(), Some("second"));
    assert_eq!(now.checkpoint, Checkpoint::At(sequence(2)), "the fenced worker moved the checkpoint");
}

#[tokio::test]
async fn draining_lands_everything_and_releases_the_lease() {
    let world = World::new().await;
    let model = Model::new([("a", shard(None, &[1, 2, 3], false))]);
    world.capture(&model, 3).await;
    let lease = &world.lease_map().await[&ShardId::new("a")];
    assert_eq!((lease.owner.as_deref(), lease.checkpoint), (None, Checkpoint::At(sequence(3))));
    assert!(lease.durable_through >= Some(*TIME));
}

#[tokio::test]
async fn a_child_left_alone_for_longer_than_the_stream_remembers_is_a_gap() {
    let world = World::new().await;
    let model = Model::new([("a", shard(None, &[1], false))]);
    world.capture(&model, 1).await;
    // The child's lease was made when its parent ended, more than a day ago; nothing of it was read since, and the parent's is forgotten.
    let lost_from = headwater::clock::unix_seconds() - 25 * 3600;
    let child = Lease { durable_through: Some(lost_from), ..unread_child(&world.lease_map().await[&ShardId::new("a")]) };
    world.leases().create(&child).await.unwrap();
    model.change(|state| {
        state.shards.get_mut("a").unwrap().closed = true;
        state.shards.insert("b", shard(Some("a"), &[5], false));
    });
    world.capture(&model, 1).await;
    let gaps = world.gaps().await;
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!((gaps[0].kind, gaps[0].lost_from), (GapKind::Trimmed, Some(lost_from)));
}

fn unread_child(parent: &Lease) -> Lease {
    Lease {
        shard: ShardId::new("b"),
        parents: Vec::new(),
        owner: None,
        counter: 0,
        checkpoint: Checkpoint::TrimHorizon,
        last_sequence: None,
        ..parent.clone()
    }
}

/// Found by simulation: the worker died before the first checkpoint, and the service was down for a day.
#[tokio::test]
async fn a_shard_that_was_found_a_day_ago_and_has_no_checkpoint_is_a_gap() {
    let world = World::new().await;
    let model = Model::new([("a", shard(None, &[1], false))]);
    world.capture(&model, 1).await;
    let found_at = Some(headwater::clock::unix_seconds() - 25 * 3600);
    let found = Lease { durable_through: None, found_at, ..unread_child(&world.lease_map().await[&ShardId::new("a")]) };
    world.leases().create(&found).await.unwrap();
    model.change(|state| state.shards.insert("b", shard(None, &[5], false)));
    world.capture(&model, 1).await;
    let gaps = world.gaps().await;
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!((gaps[0].kind, gaps[0].origin.as_str(), gaps[0].lost_from), (GapKind::Trimmed, "b", None));
}

#[tokio::test]
async fn a_vanished_shard_lands_what_was_read_before_the_service_stops_for_the_gap() {
    let mut world = World::new().await;
    world.settings.on_gap = OnGap::Stop;
    let model = Model::new([("a", shard(None, &[1, 2], false))]);
    // The first page holds both records; every later call finds the shard gone, before the object comes of age.
    model.change(|state| state.faults.extend([Fault::Page, Fault::Fails(Failure::NotFound)]));
    let worker = world.worker("worker", &model).await;
    let error = worker.running.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("on_gap"), "{error}");
    assert_eq!(world.landed(), rows(&[("a", &[1, 2])]));
    assert_eq!(world.gaps().await[0].after.as_deref(), Some("2"));
}
