//! How snapshots go from state to state, how their segments are shared out, and which gaps they close.

use super::*;

#[test]
fn a_snapshot_that_goes_the_wrong_way_is_seen() {
    let goes = |state: &str, version: u32| {
        let story = running();
        story.stands(state, version);
        story.stands("failed", 9);
        story.broken()
    };
    assert_eq!(goes("running", 2), []);
    assert_eq!(goes("requested", 2), [Invariant::OneWriter, Invariant::OneWriter], "and what it is has changed");
    assert_eq!(goes("running", 1), [Invariant::OneWriter], "its version stays");
    let moved = running();
    moved.stands_as(ID, "completing", 2, START + 1, &|_| {});
    moved.stands_as(ID, "failed", 3, START + 1, &|_| {});
    assert_eq!(moved.broken(), [Invariant::OneWriter], "its start moves");
}

#[test]
fn a_snapshot_that_never_ends_is_seen_unless_its_table_was_lost() {
    let lost = |worker: &str| {
        let story = running();
        let mut old = lease_key(&format!("snapshot-{ID}"));
        story.stands_as(ID, "running", 2, START, &|_| {});
        for (name, value) in [("entityType", "SNAPSHOT"), ("id", ID), ("state", "running")] {
            old.insert(name.into(), S(value.into()));
        }
        old.insert("version".into(), N("2".into()));
        old.insert("request".into(), M(Item::new()));
        let key = lease_key(&format!("snapshot-{ID}"));
        story.record(worker, Event::Item { table: "leases".into(), key, old: Some(old), new: None });
        story.broken()
    };
    assert_eq!(running().broken(), [Invariant::Liveness]);
    assert_eq!(lost(""), []);
    assert_eq!(lost("W"), [Invariant::NoSilentLoss]);
}

#[test]
fn a_segment_s_checkpoint_ahead_of_its_rows_is_seen() {
    let checkpointed = |rows: u32| {
        let story = running();
        story.segment("W", "TRIM_HORIZON", 0);
        story.land_rows("s-0", &[row(ID, "x", 1)]);
        story.segment("W", "1", rows);
        story.land_rows("s-1", &[row(ID, "y", 2)]);
        story.segment("W", "SHARD_END", 2);
        story.stands("cancelled", 2);
        story.delete_segment("W");
        story.broken()
    };
    assert_eq!((checkpointed(1), checkpointed(2)), (vec![], vec![Invariant::DurableBeforeCheckpoint]));
}

#[test]
fn a_segment_has_one_writer() {
    let second = |worker: &str, checkpoint: &str, seconds: i64| {
        let story = running();
        story.segment("V", "3", 0);
        story.pass(seconds);
        story.segment(worker, checkpoint, 0);
        story.stands("cancelled", 2);
        story.broken()
    };
    assert_eq!(second("V", "4", 0), []);
    assert_eq!(second("W", "3", 5), []);
    assert_eq!(second("W", "3", 1), [Invariant::OneWriter], "too soon");
    assert_eq!(second("W", "4", 5), [Invariant::OneWriter], "not the holder");
    assert_eq!(second("V", "2", 0), [Invariant::ResumeAfter]);
}

#[test]
fn a_segment_stays_until_its_snapshot_has_come_to_an_end() {
    let story = running();
    story.segment("W", "3", 0);
    story.delete_segment("W");
    story.stands("cancelled", 2);
    assert_eq!(story.broken(), [Invariant::NoSilentLoss]);
}

#[test]
fn a_gap_is_closed_by_a_whole_snapshot_that_shows_the_table_after_it() {
    let closed = |found_at: i64, whole: bool, by: Option<&str>| {
        let part = |item: &mut Item| {
            item.insert("whole".into(), BOOL(whole));
        };
        let mut story = Story::new();
        story.checker.subject.closes_gaps = true;
        story.found_gap(found_at, None);
        for (version, state) in ["running", "completing"].into_iter().enumerate() {
            story.stands_as(ID, state, u32::try_from(version).unwrap(), START, &part);
        }
        story.mark_as(ID, &|marker| marker["whole"] = whole.into());
        story.stands_as(ID, "completed", 3, START, &part);
        story.found_gap(found_at, by);
        story.broken()
    };
    assert_eq!(closed(START - 1, true, Some(ID)), []);
    assert_eq!(closed(START - 1, true, None), [Invariant::GapCloses], "it stays open");
    assert_eq!(closed(START, true, Some(ID)), [Invariant::GapCloses], "changes may be lost that the rows do not show");
    assert_eq!(closed(START - 1, false, Some(ID)), [Invariant::GapCloses], "a part of the table says nothing of the rest");
    assert_eq!(closed(START - 1, true, Some("another")), [Invariant::GapCloses], "there is no such snapshot");
}
