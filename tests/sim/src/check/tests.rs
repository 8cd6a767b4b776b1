//! Journals written by hand: each invariant holds in one and is broken in another.

mod delivered;
mod holders;
mod snapshots;
mod stored;
mod story;

use bytes::Bytes;

use super::*;
use crate::item::AttributeValue::S;
use story::{NOW, STREAM, Story, at, lease_key, line};

#[test]
fn a_history_that_lands_breaks_nothing() {
    let story = Story::new();
    story.change("a", 1, "x");
    story.lease("W", "a", "TRIM_HORIZON");
    story.page("W", "a");
    story.land("a", &[(1, "x")]);
    story.lease("W", "a", at(1).as_str());
    story.reshard(Some("a"), &["b"]);
    story.lease("W", "a", "SHARD_END");
    story.change("b", 2, "x");
    story.page("W", "b");
    story.land("b", &[(2, "x")]);
    story.lease("W", "b", at(2).as_str());
    assert_eq!(story.broken(), []);
}

#[test]
fn a_checkpoint_ahead_of_the_lake_is_seen() {
    for checkpoint in [at(2).as_str(), "SHARD_END"] {
        let story = Story::new();
        story.change("a", 1, "x");
        story.change("a", 2, "y");
        story.land("a", &[(1, "x")]);
        story.lease("W", "a", checkpoint);
        story.land("a", &[(2, "y")]);
        assert_eq!(story.broken(), [Invariant::DurableBeforeCheckpoint]);
    }
}

#[test]
fn a_child_read_too_early_is_seen_unless_its_parent_is_gone() {
    let story = Story::new();
    story.reshard(Some("a"), &["b"]);
    story.page("W", "b");
    assert_eq!(story.broken(), [Invariant::ParentFirst]);

    let story = Story::new();
    story.reshard(Some("a"), &["b"]);
    story.record("", Event::Forgotten { stream: STREAM.into(), shard: "a".into() });
    story.page("W", "b");
    assert_eq!(story.broken(), []);
}

#[test]
fn a_change_that_lands_twice_is_seen() {
    let story = Story::new();
    story.change("a", 1, "x");
    story.land("a", &[(1, "x")]);
    story.land("a", &[(1, "x")]);
    assert_eq!(story.broken(), [Invariant::LandOnce]);
}

#[test]
fn a_replaced_and_a_deleted_object_are_seen() {
    let story = Story::new();
    story.change("a", 1, "x");
    story.object("W", "a", [line("a", 1, "x", "1")], Some(Bytes::from_static(b"before")));
    story.record("W", Event::Deleted { bucket: "lake".into(), key: "cdc/orders/changes/x".into() });
    assert_eq!(story.broken(), [Invariant::LandOnce, Invariant::LandOnce]);
}

#[test]
fn an_item_s_changes_in_the_wrong_order_are_seen() {
    let story = Story::new();
    story.change("a", 1, "x");
    story.reshard(Some("a"), &["b"]);
    story.change("b", 2, "x");
    story.land("b", &[(2, "x")]);
    story.land("a", &[(1, "x")]);
    assert_eq!(story.broken(), [Invariant::ItemOrder]);
}

#[test]
fn changes_of_other_items_may_overtake() {
    let story = Story::new();
    story.reshard(None, &["c"]);
    story.change("a", 1, "x");
    story.change("c", 2, "y");
    story.land("c", &[(2, "y")]);
    story.land("a", &[(1, "x")]);
    assert_eq!(story.broken(), []);
}

#[test]
fn a_change_that_never_lands_is_seen() {
    let story = Story::new();
    story.change("a", 1, "x");
    assert_eq!(story.broken(), [Invariant::Liveness]);
}

#[test]
fn a_trimmed_change_needs_a_gap_that_covers_it() {
    let trimmed = |gap: Option<(&str, &str, Option<u32>)>| {
        let story = Story::new();
        story.lease("W", "a", "TRIM_HORIZON");
        story.change("a", 1, "x");
        story.land("a", &[(1, "x")]);
        story.lease("W", "a", at(1).as_str());
        story.change("a", 2, "x");
        story.trim("a", 2);
        if let Some((kind, origin, after)) = gap {
            story.gap(kind, origin, after);
        }
        story.broken()
    };
    assert_eq!(trimmed(None), [Invariant::NoSilentLoss]);
    assert_eq!(trimmed(Some(("trimmed", "a", Some(2)))), [Invariant::NoSilentLoss], "it tells of later changes only");
    assert_eq!(trimmed(Some(("trimmed", "b", Some(1)))), [Invariant::NoSilentLoss], "it tells of another shard");
    assert_eq!(trimmed(Some(("order-broken", "a", Some(1)))), [Invariant::NoSilentLoss], "it tells of something else");
    assert_eq!(trimmed(Some(("trimmed", "a", Some(1)))), []);
    assert_eq!(trimmed(Some(("vanished", "a", None))), []);
    assert_eq!(trimmed(Some(("stream-replaced", STREAM, None))), [Invariant::NoSilentLoss], "the shard had a lease");
}

#[test]
fn what_is_trimmed_before_the_first_lease_concerns_nobody() {
    let story = Story::new();
    story.change("a", 1, "x");
    story.trim("a", 1);
    story.lease("W", "a", "TRIM_HORIZON");
    assert_eq!(story.broken(), []);
}

#[test]
fn a_change_without_a_stream_needs_the_gap_of_its_stream_once_there_are_leases() {
    let unstreamed = |leased: bool, gap: bool| {
        let story = Story::new();
        if leased {
            story.lease("W", "a", "TRIM_HORIZON");
        }
        let key = Item::from([("id".to_owned(), S("x".to_owned()))]);
        let change =
            Change { table: "orders".into(), place: None, operation: "INSERT", new: Some(key.clone()), key, old: None, by_ttl: false };
        story.record("", Event::Change(change));
        if gap {
            story.gap("stream-replaced", STREAM, None);
        }
        story.broken()
    };
    assert_eq!(unstreamed(false, false), []);
    assert_eq!(unstreamed(true, false), [Invariant::NoSilentLoss]);
    assert_eq!(unstreamed(true, true), []);
}

#[test]
fn a_gap_that_tells_of_later_changes_only_covers_no_earlier_one() {
    let lost = |lost_from: i64| {
        let story = Story::new();
        story.lease("W", "a", "TRIM_HORIZON");
        story.change("a", 1, "x");
        story.trim("a", 1);
        story.gap_since("trimmed", "a", None, Some(lost_from));
        story.broken()
    };
    assert_eq!(lost(NOW / 1000), []);
    assert_eq!(lost(NOW / 1000 + 1), [Invariant::NoSilentLoss]);
}

#[test]
fn what_vanished_takes_its_descendants_with_it_and_what_was_trimmed_does_not() {
    let lost = |kind: &str| {
        let story = Story::new();
        story.lease("W", "a", "TRIM_HORIZON");
        story.reshard(Some("a"), &["b"]);
        story.change("b", 1, "x");
        story.trim("b", 1);
        story.gap(kind, "a", None);
        story.broken()
    };
    assert_eq!(lost("vanished"), []);
    assert_eq!(lost("trimmed"), [Invariant::NoSilentLoss]);
}

#[test]
fn a_shard_that_never_had_a_lease_is_told_of_with_its_stream_or_its_descendants() {
    let lost = |kind: &str, origin: &str| {
        let story = Story::new();
        story.reshard(Some("a"), &["b"]);
        story.lease("W", "b", "TRIM_HORIZON");
        story.change("a", 1, "x");
        story.trim("a", 1);
        story.gap(kind, origin, None);
        story.broken()
    };
    assert_eq!(lost("stream-replaced", STREAM), []);
    assert_eq!(lost("trimmed", "b"), []);
    assert_eq!(lost("trimmed", "c"), [Invariant::NoSilentLoss]);
}

#[test]
fn a_checkpoint_of_somebody_else_a_step_back_and_a_hasty_take_are_seen() {
    let second = |worker: &str, checkpoint: &str| {
        let story = Story::new();
        story.lease("V", "a", at(5).as_str());
        story.lease(worker, "a", checkpoint);
        story.broken()
    };
    assert_eq!(second("V", at(6).as_str()), []);
    assert_eq!(second("W", at(6).as_str()), [Invariant::OneWriter, Invariant::OneWriter], "not the holder, and too soon to be one");
    assert_eq!(second("W", at(5).as_str()), [Invariant::OneWriter], "too soon");
    assert_eq!(second("V", at(4).as_str()), [Invariant::ResumeAfter]);
}

#[test]
fn a_checkpoint_that_stays_behind_what_has_landed_is_seen() {
    let story = Story::new();
    story.lease("W", "a", "TRIM_HORIZON");
    story.change("a", 1, "x");
    story.land("a", &[(1, "x")]);
    assert_eq!(story.broken(), [Invariant::Liveness]);
}

#[test]
fn what_was_trimmed_before_its_checkpoint_holds_no_checkpoint_back() {
    let story = Story::new();
    story.lease("W", "a", "TRIM_HORIZON");
    story.change("a", 1, "x");
    story.land("a", &[(1, "x")]);
    story.trim("a", 1);
    assert_eq!(story.broken(), []);
}

#[test]
fn starting_over_in_spite_of_a_checkpoint_is_seen_unless_the_ledger_tells_why() {
    let over = |gap: bool| {
        let story = Story::new();
        story.lease("W", "a", at(5).as_str());
        if gap {
            story.gap("trimmed", "a", Some(5));
        }
        story.record("W", Event::Iterator { stream: STREAM.into(), shard: "a".into(), kind: "TRIM_HORIZON", position: None });
        story.broken()
    };
    assert_eq!(over(false), [Invariant::ResumeAfter]);
    assert_eq!(over(true), []);
}

#[test]
fn a_good_record_in_quarantine_is_seen() {
    let story = Story::new();
    let (bucket, key) = ("lake".to_owned(), "cdc/orders/quarantine/dt=2026-11-21/a-1.json".to_owned());
    story.record("W", Event::Object { bucket, key, body: Bytes::from_static(b"{}"), replaced: None });
    assert_eq!(story.broken(), [Invariant::NoSilentLoss]);
}

#[test]
fn reading_at_or_before_the_checkpoint_again_is_seen() {
    for (kind, position, again) in [
        ("AFTER_SEQUENCE_NUMBER", 5, false),
        ("AFTER_SEQUENCE_NUMBER", 4, true),
        ("AT_SEQUENCE_NUMBER", 5, true),
        ("AT_SEQUENCE_NUMBER", 6, false),
    ] {
        let story = Story::new();
        story.lease("W", "a", at(5).as_str());
        story.iterator("W", "a", kind, position);
        let expected: &[Invariant] = if again { &[Invariant::ResumeAfter] } else { &[] };
        assert_eq!(story.broken(), expected, "{kind} {position}");
    }
}

#[test]
fn a_worker_that_does_not_hear_that_its_lease_is_gone_is_seen() {
    let refused = |worker: &str, times: u32| {
        let story = Story::new();
        story.lease("V", "a", "TRIM_HORIZON");
        for _ in 0..times {
            story.page(worker, "a");
            story.refuse(worker, "a");
        }
        story.page(worker, "a");
        story.broken()
    };
    assert_eq!(refused("W", 5), [Invariant::OneWriter]);
    assert_eq!(refused("W", 2), [], "answers get lost");
    assert_eq!(refused("V", 5), [], "the holder may be refused by its own earlier attempt");
}

#[test]
fn every_difference_between_a_row_and_its_change_is_seen() {
    let correct = line("a", 1, "x", "1");
    let wrong = [
        ("\"cdc_op\":\"INSERT\"", "\"cdc_op\":\"MODIFY\""),
        ("\"cdc_event_id\":\"e1\"", "\"cdc_event_id\":\"e2\""),
        ("03:00:00.000", "03:00:00.001"),
        ("\"cdc_table\":\"orders\"", "\"cdc_table\":\"order\""),
        ("\"cdc_ttl_delete\":false", "\"cdc_ttl_delete\":true"),
        ("\"cdc_changed\":[]", "\"cdc_changed\":[\"n\"]"),
        ("\"id\":\"x\"", "\"id\":\"x\",\"more\":\"y\""),
        ("\"id\":\"x\"", "\"id\":\"y\""),
        ("{\\\"N\\\":\\\"1\\\"}", "{\\\"N\\\":\\\"1.0\\\"}"),
        ("{\\\"N\\\":\\\"1\\\"}", "{\\\"S\\\":\\\"1\\\"}"),
    ];
    for (right, wrong) in wrong {
        assert!(correct.contains(right), "{right} is not in {correct}");
        let story = Story::new();
        story.change("a", 1, "x");
        story.object("W", "a", [correct.replace(right, wrong)], None);
        assert_eq!(story.broken(), [Invariant::ExactValues], "{wrong}");
    }
}

#[test]
fn an_object_that_is_no_object_is_seen() {
    let story = Story::new();
    let (bucket, key) = ("lake".to_owned(), "cdc/orders/changes/dt=2026-11-21/hr=03/a-0.parquet".to_owned());
    story.record("W", Event::Object { bucket, key, body: Bytes::from_static(b"PAR1"), replaced: None });
    assert_eq!(story.broken(), [Invariant::ExactValues]);
}
