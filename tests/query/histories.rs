//! Whatever was lost and however snapshots overlap: what a completed snapshot heals, the lake knows as the table does.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::{Builder, Runtime};

use super::model::{ASKED, KEYS, Step, Wanted, World};

/// Lists of keys most of all: what they say of their keys must hold although whole snapshots, which would cover it up, are rare.
fn wanted() -> impl Strategy<Value = Wanted> {
    let keys = || proptest::collection::btree_set(0..ASKED, 4..10);
    prop_oneof![2 => Just(Wanted::Whole), 2 => keys().prop_map(Wanted::Part), 6 => keys().prop_map(Wanted::List)]
}

fn loss() -> impl Strategy<Value = Step> {
    (4..16_u8, 4..16_u8).prop_map(|(ago, count)| Step::Lose { ago, count })
}

/// A step; `busy` ones are mostly writes.
fn step(busy: bool) -> impl Strategy<Value = Step> {
    let key = 0..KEYS;
    let which = 0..4_u8;
    let (writes, losses) = if busy { (60, 1) } else { (20, 3) };
    proptest::strategy::Union::new_weighted(vec![
        (writes, key.clone().prop_map(Step::Write).boxed()),
        (writes, (key, any::<bool>()).prop_map(|(key, ttl)| Step::Delete { key, ttl }).boxed()),
        (50, (0..200_u8).prop_map(Step::Wait).boxed()),
        (losses, loss().boxed()),
        (40, wanted().prop_map(Step::Begin).boxed()),
        (30, (which.clone(), 1..8_u8).prop_map(|(which, rows)| Step::Scan { which, rows }).boxed()),
        (10, (which.clone(), any::<bool>()).prop_map(|(which, late)| Step::Land { which, late }).boxed()),
        (10, (which.clone(), 0..4_u8).prop_map(|(which, back)| Step::Crash { which, back }).boxed()),
        (40, which.prop_map(Step::Finish).boxed()),
    ])
}

/// A history, and to how many seconds its times are floored: DynamoDB floors to one, DynamoDB Local to 60. Some of its latest changes are lost on the
/// way, and more of them perhaps later.
fn history() -> impl Strategy<Value = (i64, Vec<Step>)> {
    let steps = |busy, number| proptest::collection::vec(step(busy), number);
    (prop_oneof![Just(1_i64), Just(60)], steps(true, 10..60), loss(), steps(false, 5..50))
        .prop_map(|(floor, before, loss, after)| (floor, before.into_iter().chain([loss]).chain(after).collect()))
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() })
}

/// Of each key that the truth tells of, whether the state agrees.
fn agrees(state: &BTreeMap<String, u32>, truth: &BTreeMap<String, Option<u32>>) -> Result<(), TestCaseError> {
    let told: BTreeMap<_, _> = truth.keys().map(|key| (key.clone(), state.get(key).copied())).collect();
    prop_assert_eq!(&told, truth);
    Ok(())
}

#[test]
fn the_state_equals_the_table_wherever_a_completed_snapshot_began_after_the_last_loss() {
    let runtime = runtime();
    let outcome = runner(50).run(&history(), |(floor, steps)| {
        let mut world = World::flooring_to(floor);
        for step in &steps {
            world.step(step);
        }
        agrees(&runtime.block_on(world.current()), &world.truth())?;

        // Losses are over; what is written from now on is written while the snapshot that heals them reads.
        world.heal();
        let truth = world.truth();
        prop_assert_eq!(truth.len(), usize::from(ASKED), "all is healed");
        agrees(&runtime.block_on(world.current()), &truth)
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn what_a_snapshot_has_landed_changes_nothing_until_it_completes() {
    let runtime = runtime();
    let outcome = runner(20).run(&history(), |(floor, steps)| {
        let mut world = World::flooring_to(floor);
        for step in &steps {
            world.step(step);
        }
        prop_assert_eq!(runtime.block_on(world.current()), runtime.block_on(world.current_without_the_unfinished()));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn other_engines_are_given_a_view_that_says_the_same() {
    let runtime = runtime();
    let outcome = runner(40).run(&history(), |(floor, steps)| {
        let mut world = World::flooring_to(floor);
        for step in &steps {
            world.step(step);
        }
        let [own, shared] = runtime.block_on(world.both_currents());
        prop_assert_eq!(shared, own);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
