//! Whatever was lost and however snapshots overlap: what a completed snapshot heals, the lake knows as the table does.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::{Builder, Runtime};

use super::model::{ASKED, KEYS, Step, Wanted, World};

fn wanted() -> impl Strategy<Value = Wanted> {
    let keys = || proptest::collection::btree_set(0..ASKED, 1..5);
    prop_oneof![2 => Just(Wanted::Whole), 1 => keys().prop_map(Wanted::Part), 2 => keys().prop_map(Wanted::List)]
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS;
    let which = 0..4_u8;
    prop_oneof![
        6 => key.clone().prop_map(Step::Write),
        4 => (key, any::<bool>()).prop_map(|(key, ttl)| Step::Delete { key, ttl }),
        4 => (0..120_u8).prop_map(Step::Wait),
        1 => (any::<u8>(), 1..4_u8).prop_map(|(from, count)| Step::Lose { from, count }),
        2 => wanted().prop_map(Step::Begin),
        4 => (which.clone(), 1..4_u8).prop_map(|(which, rows)| Step::Scan { which, rows }),
        2 => (which.clone(), any::<bool>()).prop_map(|(which, late)| Step::Land { which, late }),
        1 => (which.clone(), 0..4_u8).prop_map(|(which, back)| Step::Crash { which, back }),
        2 => which.prop_map(Step::Finish),
    ]
}

/// A history, and to how many seconds its times are floored: DynamoDB floors to one, DynamoDB Local to 60.
fn history() -> impl Strategy<Value = (i64, Vec<Step>)> {
    (prop_oneof![Just(1_i64), Just(60)], proptest::collection::vec(step(), 10..70))
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
    let outcome = runner(100).run(&history(), |(floor, steps)| {
        let mut world = World::flooring_to(floor);
        steps.iter().for_each(|step| world.step(step));
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
    let outcome = runner(40).run(&history(), |(floor, steps)| {
        let mut world = World::flooring_to(floor);
        steps.iter().for_each(|step| world.step(step));
        prop_assert_eq!(runtime.block_on(world.current()), runtime.block_on(world.current_without_the_unfinished()));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
