//! The checks can fail: wrong decisions of the service are caught. One is too rare in drawn histories to be asked for here, `rewind-to-checkpoint`: a
//! worker must die between an object of a segment and its checkpoint. The service's own tests make that happen.

use std::process::Command;

use headwater::mutant::Mutant;

/// Plays up to 300 seeds with a wrong decision, in a process of its own, and expects one of these invariants not to hold.
fn is_caught(mutant: Mutant, expected: &[&str]) {
    is_caught_on("lake", 0, mutant, expected);
}

fn is_caught_in_kinesis(mutant: Mutant, expected: &[&str]) {
    is_caught_on("kinesis", 0, mutant, expected);
}

fn is_caught_on(route: &str, first_seed: u32, mutant: Mutant, expected: &[&str]) {
    let soak = Command::new(env!("CARGO_BIN_EXE_headwater-sim"))
        .args(["soak", "--seeds", "300", "--threads", "1", "--route", route, "--mutant", mutant.name()])
        .args(["--first", &first_seed.to_string()])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&soak.stdout);
    let caught = told.lines().any(|line| expected.iter().any(|invariant| line.trim_start().starts_with(&format!("{invariant}: "))));
    assert!(caught && soak.status.code() == Some(1), "{told}\n{}", String::from_utf8_lossy(&soak.stderr));
    let replay = format!("--mutant {}", mutant.name());
    assert!(told.contains("replay: ") && told.contains(&replay), "how to replay it is not told:\n{told}");
}

#[test]
fn a_checkpoint_on_what_was_only_read_is_caught() {
    is_caught(Mutant::CheckpointOnRead, &["durable-before-checkpoint"]);
}

#[test]
fn a_child_shard_read_before_its_parent_is_caught() {
    is_caught(Mutant::ChildBeforeParent, &["parent-first"]);
}

#[test]
fn resuming_at_the_checkpoint_s_record_is_caught() {
    is_caught(Mutant::ResumeAt, &["resume-after"]);
}

#[test]
fn beginning_a_child_shard_with_what_comes_next_is_caught() {
    is_caught(Mutant::LatestForChildren, &["liveness", "item-order", "durable-before-checkpoint"]);
}

#[test]
fn ignoring_a_lost_lease_is_caught() {
    is_caught(Mutant::IgnoreLostLease, &["one-writer"]);
}

#[test]
fn taking_a_lease_from_one_who_lives_without_waiting_is_caught() {
    is_caught(Mutant::StealWithoutAsking, &["one-writer"]);
}

#[test]
fn sending_on_when_the_lease_could_not_be_renewed_is_caught() {
    // A worker that is cut off from the leases alone is rare: the first seeds have none.
    is_caught_on("kinesis", 40, Mutant::IgnoreFence, &["one-writer"]);
}

#[test]
fn committing_over_an_existing_object_is_caught() {
    is_caught(Mutant::CommitOverExisting, &["land-once"]);
}

#[test]
fn sending_failed_records_behind_later_ones_of_their_key_is_caught() {
    is_caught_in_kinesis(Mutant::ResendBehind, &["kinesis-item-order"]);
}

#[test]
fn taking_a_batch_that_failed_in_part_for_stored_is_caught() {
    is_caught_in_kinesis(Mutant::AcknowledgeFailed, &["durable-before-checkpoint", "kinesis-item-order"]);
}

#[test]
fn taking_what_came_into_another_shard_for_delivered_is_caught() {
    is_caught_in_kinesis(Mutant::TrustStaleMap, &["durable-before-checkpoint", "kinesis-no-loss", "kinesis-item-order"]);
}

#[test]
fn a_marker_before_the_rows_are_in_the_lake_is_caught() {
    is_caught_in_kinesis(Mutant::MarkerBeforeRows, &["snapshot-complete"]);
}

#[test]
fn a_snapshot_that_starts_later_than_it_is_read_is_caught() {
    is_caught(Mutant::StartTooLate, &["snapshot-exact", "current-equals-table"]);
}

#[test]
fn passing_over_a_page_of_a_segment_is_caught() {
    is_caught(Mutant::SegmentSkipsPage, &["snapshot-complete", "durable-before-checkpoint"]);
}

#[test]
fn resuming_behind_a_record_that_is_done_in_part_is_caught() {
    // A worker must die between two objects that share an aggregated record; no history before the hundredth has that.
    is_caught_on("kinesis", 100, Mutant::ForgetSubsequence, &["kinesis-no-loss", "durable-before-checkpoint"]);
}
