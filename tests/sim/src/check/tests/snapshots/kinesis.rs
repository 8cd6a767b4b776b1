//! Snapshots through Kinesis.

use super::super::story::in_kinesis;
use super::*;
use crate::call::Passage;

const PROMPT: Passage = Passage { held_up: false, heard_after: Some(0) };

/// What an announcement is. Its columns beside these are the service's own business.
fn announcement() -> String {
    format!("{}\n", json!({ "cdc_op": "SNAPSHOT_END", "cdc_snapshot_id": ID, "cdc_time": "2026-11-21 02:58:55.000", "range": "all" }))
}

/// An item whose change has come through Kinesis, and a snapshot that is running.
fn begun() -> Story {
    let story = Story::with_kinesis();
    story.lease("W", "a", "TRIM_HORIZON");
    story.deliver_lease("D", "k", "TRIM_HORIZON", 0);
    story.change("a", 1, "x");
    story.store(1, 1, "x");
    story.lease("W", "a", at(1).as_str());
    story.deliver("k", &"0".repeat(40), &[(1, "x")]);
    story.deliver_lease("D", "k", &in_kinesis(1), 0);
    story.stands("requested", 0);
    story.pass(10);
    story.stands("running", 1);
    story.segment("W", "TRIM_HORIZON", 0);
    story
}

fn deliver_row(story: &Story, after: u32, rows: &[String]) {
    let name = format!("000000000000.orders.1795046400.k-{}00000000", in_kinesis(after));
    story.object_named("D", &name, rows.iter().cloned(), None);
}

/// The same with its row stored, announced and on the way to the lake.
fn announced() -> Story {
    let story = begun();
    story.put("W", "k", 2, row(ID, "x", 1), PROMPT);
    story.segment("W", "SHARD_END", 1);
    story.stands("completing", 2);
    story.put("W", "k", 3, announcement(), PROMPT);
    story
}

fn note(story: &Story, name: &str) {
    story.file(&format!("parts/{ID}/{name}"), String::new());
}

/// From the row in the lake to the end.
fn completed(story: Story) -> Vec<Invariant> {
    note(&story, &format!("{:032x}-{:032x}", 0, u128::MAX));
    story.deliver_lease("D", "k", &in_kinesis(3), 0);
    story.mark();
    story.stands("completed", 3);
    story.delete_segment("W");
    story.broken()
}

#[test]
fn a_snapshot_that_comes_through_kinesis_breaks_nothing() {
    let story = announced();
    deliver_row(&story, 1, &[row(ID, "x", 1)]);
    let counts = story.counts();
    assert_eq!((counts["announcements of snapshots"], counts["snapshot rows in Kinesis, copies included"]), (1, 1));
    assert_eq!(completed(story), []);
}

#[test]
fn a_note_before_the_rows_is_seen() {
    let story = announced();
    note(&story, &format!("{:032x}-{:032x}", 0, 99));
    deliver_row(&story, 1, &[row(ID, "x", 1)]);
    assert_eq!(completed(story), [Invariant::SnapshotComplete]);
}

#[test]
fn a_marker_before_the_rows_are_in_the_lake_is_seen() {
    let story = announced();
    story.mark();
    deliver_row(&story, 1, &[row(ID, "x", 1)]);
    assert_eq!(completed(story), [Invariant::SnapshotComplete], "though the row comes behind it");
}

#[test]
fn a_note_on_other_hash_keys_says_nothing_of_a_row() {
    let story = announced();
    note(&story, &format!("{:032x}-{:032x}", 100, u128::MAX));
    deliver_row(&story, 1, &[row(ID, "x", 1)]);
    assert_eq!(completed(story), []);
}

#[test]
fn a_note_of_what_nobody_announced_is_seen() {
    let story = begun();
    note(&story, &format!("{:032x}-{:032x}", 0, u128::MAX));
    story.stands("cancelled", 2);
    assert_eq!(story.broken(), [Invariant::SnapshotComplete]);
}

#[test]
fn an_announcement_before_everything_is_stored_is_seen() {
    let story = begun();
    story.put("W", "k", 2, announcement(), PROMPT);
    note(&story, &format!("{:032x}-{:032x}", 0, u128::MAX));
    story.deliver_lease("D", "k", &in_kinesis(2), 0);
    story.stands("cancelled", 2);
    assert_eq!(story.broken(), [Invariant::SnapshotComplete]);
}

#[test]
fn a_checkpoint_behind_an_announcement_needs_its_note() {
    let story = announced();
    deliver_row(&story, 1, &[row(ID, "x", 1)]);
    story.deliver_lease("D", "k", &in_kinesis(3), 0);
    assert_eq!(completed(story), [Invariant::DurableBeforeCheckpoint]);
}

#[test]
fn an_announcement_that_nobody_notes_is_seen() {
    let story = announced();
    deliver_row(&story, 1, &[row(ID, "x", 1)]);
    story.deliver_lease("D", "k", &in_kinesis(2), 0);
    story.stands("failed", 3);
    assert_eq!(story.broken(), [Invariant::KinesisNoLoss]);
}

#[test]
fn an_announcement_that_is_repeated_needs_no_second_note() {
    let story = announced();
    deliver_row(&story, 1, &[row(ID, "x", 1)]);
    note(&story, &format!("{:032x}-{:032x}", 0, u128::MAX));
    story.put("W", "k", 4, announcement(), PROMPT);
    story.deliver_lease("D", "k", &in_kinesis(4), 0);
    story.mark();
    story.stands("completed", 3);
    assert_eq!(story.broken(), []);
}

#[test]
fn an_announcement_in_another_shard_than_it_was_meant_for_needs_no_note() {
    let meant_for = |shard: &str| {
        let story = announced();
        let named = announcement().replace("\"range\"", &format!("\"cdc_shard\":\"{shard}\",\"range\""));
        story.put("W", "k", 4, named, PROMPT);
        deliver_row(&story, 1, &[row(ID, "x", 1)]);
        story.deliver_lease("D", "k", &in_kinesis(2), 0);
        note(&story, &format!("{:032x}-{:032x}", 50, u128::MAX));
        story.stands("failed", 3);
        story.broken()
    };
    // The one that was sent first is never noted.
    assert_eq!(meant_for("k"), [Invariant::KinesisNoLoss, Invariant::KinesisNoLoss]);
    assert_eq!(meant_for("l"), [Invariant::KinesisNoLoss]);
}

#[test]
fn a_row_may_come_again_as_the_same_event_alone() {
    let again = |event: &str| {
        let story = announced();
        story.put("W", "k", 4, row(ID, "x", 1).replace("78000", event), PROMPT);
        deliver_row(&story, 1, &[row(ID, "x", 1)]);
        note(&story, &format!("{:032x}-{:032x}", 0, u128::MAX));
        story.mark();
        story.stands("completed", 3);
        deliver_row(&story, 3, &[row(ID, "x", 1).replace("78000", event)]);
        story.deliver_lease("D", "k", &in_kinesis(4), 0);
        story.broken()
    };
    assert_eq!(again("78000"), []);
    assert_eq!(again("79000")[0], Invariant::SnapshotLandOnce);
}

#[test]
fn a_segment_s_checkpoint_ahead_of_what_is_acknowledged_is_seen() {
    let story = begun();
    story.put("W", "k", 2, row(ID, "x", 1), Passage { held_up: false, heard_after: Some(4_000) });
    story.segment("W", "1", 1);
    assert_eq!(story.broken()[0], Invariant::DurableBeforeCheckpoint);
}

#[test]
fn a_row_that_was_never_in_kinesis_is_seen() {
    let story = begun();
    deliver_row(&story, 1, &[row(ID, "x", 1)]);
    story.stands("cancelled", 2);
    assert_eq!(story.broken(), [Invariant::ExactValues]);
}
