//! What Kinesis stores.

use serde_json::Value;

use super::*;
use crate::call::Passage;
use crate::item::AttributeValue::N;

const PROMPT: Passage = Passage { held_up: false, heard_after: Some(0) };
const UNHEARD: Passage = Passage { held_up: false, heard_after: None };
const LATE: Passage = Passage { held_up: false, heard_after: Some(5_000) };
const HELD_UP: Passage = Passage { held_up: true, heard_after: Some(0) };

/// Changes of one item, in a shard that `W` has leased.
fn with_changes(changes: &[u32]) -> Story {
    let story = Story::with_kinesis();
    story.lease("W", "a", "TRIM_HORIZON");
    for change in changes {
        story.change("a", *change, "x");
    }
    story
}

/// The rest of a history in which Kinesis has stored changes 1 to `last` in places of the same numbers and beyond.
fn delivered(story: Story, rows: &[u32], last: u32) -> Vec<Invariant> {
    story.lease("W", "a", at(rows.len().try_into().unwrap()).as_str());
    story.deliver_lease("D", "k", "TRIM_HORIZON", 0);
    story.deliver("k", &"0".repeat(40), &rows.iter().map(|row| (*row, "x")).collect::<Vec<_>>());
    story.deliver_lease("D", "k", &story::in_kinesis(last), 0);
    story.broken()
}

#[test]
fn a_history_through_kinesis_breaks_nothing() {
    let story = with_changes(&[1, 2]);
    story.store(1, 1, "x");
    story.store(2, 2, "x");
    assert_eq!(delivered(story, &[1, 2], 2), []);
}

#[test]
fn a_change_that_kinesis_does_not_store_is_seen() {
    assert_eq!(with_changes(&[1]).broken(), [Invariant::KinesisNoLoss]);
}

#[test]
fn a_checkpoint_on_a_record_whose_storing_was_not_heard_of_is_seen() {
    for (passage, seconds, broken) in [(PROMPT, 0, false), (UNHEARD, 60, true), (LATE, 4, true), (LATE, 5, false)] {
        let story = with_changes(&[1]);
        story.store_for("W", 1, 1, "x", passage);
        story.pass(seconds);
        story.lease("W", "a", at(1).as_str());
        let expected: &[Invariant] = if broken { &[Invariant::DurableBeforeCheckpoint] } else { &[] };
        let found: Vec<_> = story.broken().into_iter().filter(|found| *found == Invariant::DurableBeforeCheckpoint).collect();
        assert_eq!(found, expected, "{passage:?}, {seconds} s later");
    }
}

#[test]
fn an_item_s_changes_in_the_wrong_order_are_seen() {
    let story = with_changes(&[1, 2]);
    story.store(1, 2, "x");
    story.store(2, 1, "x");
    let broken = story.broken();
    assert_eq!(broken[0], Invariant::KinesisItemOrder);

    let story = with_changes(&[1]);
    story.change("a", 2, "y");
    story.store(1, 2, "y");
    story.store(2, 1, "x");
    assert!(!story.broken().contains(&Invariant::KinesisItemOrder), "other items may overtake");
}

#[test]
fn a_change_that_is_acknowledged_before_the_news_of_an_earlier_one_is_seen() {
    let story = with_changes(&[1, 2]);
    story.store_for("W", 1, 1, "x", UNHEARD);
    story.store(2, 2, "x");
    story.store(3, 1, "x");
    assert_eq!(delivered(story, &[1, 2, 1], 3), [Invariant::KinesisItemOrder]);

    let story = with_changes(&[1, 2]);
    story.store_for("W", 1, 1, "x", UNHEARD);
    story.store(2, 1, "x");
    story.store(3, 2, "x");
    assert_eq!(delivered(story, &[1, 1, 2], 3), [], "what may have failed is sent again, and first");
}

#[test]
fn what_is_packed_together_is_heard_of_together_though_another_copy_is_heard_of_sooner() {
    let story = with_changes(&[1, 2]);
    story.store_for("W", 1, 1, "x", LATE);
    story.pass(3);
    story.lease("V", "a", "TRIM_HORIZON");
    story.pack_for("V", "k", 2, &[(7, 1, "x"), (7, 2, "x")], LATE);
    story.pass(5);
    story.lease("V", "a", at(2).as_str());
    story.deliver_lease("D", "k", "TRIM_HORIZON", 0);
    story.deliver("k", &"0".repeat(40), &[(1, "x"), (1, "x"), (2, "x")]);
    story.deliver_lease("D", "k", &story::in_kinesis(2), 1);
    assert_eq!(story.broken(), []);
}

#[test]
fn news_of_a_change_that_was_trimmed_meanwhile_is_owed_by_nobody() {
    for (trims, expected) in
        [(false, vec![Invariant::DurableBeforeCheckpoint, Invariant::KinesisItemOrder, Invariant::DurableBeforeCheckpoint]), (true, vec![])]
    {
        let story = with_changes(&[1, 2]);
        story.store_for("W", 1, 1, "x", LATE);
        if trims {
            story.trim("a", 1);
        }
        // The next worker goes on behind what it finds trimmed, and does not wait for the first one's answer.
        story.lease("W", "a", at(1).as_str());
        story.store(2, 2, "x");
        assert_eq!(delivered(story, &[1, 2], 2), expected, "trimmed: {trims}");
    }
}

#[test]
fn an_item_whose_changes_have_two_hash_keys_is_seen() {
    let story = with_changes(&[1, 2]);
    story.pack("W", "k", 1, &[(3, 1, "x")]);
    story.pack("W", "k", 2, &[(4, 2, "x")]);
    assert_eq!(delivered(story, &[1, 2], 2), [Invariant::KinesisItemOrder]);
}

#[test]
fn a_second_copy_is_seen_unless_its_sender_could_not_know_of_the_first() {
    let second = |first: Passage, between: &dyn Fn(&Story), worker: &str, passage: Passage| {
        let story = with_changes(&[1]);
        story.store_for("W", 1, 1, "x", first);
        between(&story);
        story.store_for(worker, 2, 1, "x", passage);
        delivered(story, &[1, 1], 2)
    };
    let nothing = |_: &Story| {};
    assert_eq!(second(PROMPT, &nothing, "W", PROMPT), [Invariant::Duplicates]);
    assert_eq!(second(UNHEARD, &nothing, "W", PROMPT), [], "the answer was lost");
    assert_eq!(second(LATE, &nothing, "W", PROMPT), [], "the answer came late");
    assert_eq!(second(PROMPT, &nothing, "W", HELD_UP), [], "it was sent long before");
    let lost = |story: &Story| {
        for worker in ["V", "W"] {
            story.pass(2);
            story.lease(worker, "a", "TRIM_HORIZON");
        }
    };
    assert_eq!(second(PROMPT, &lost, "V", PROMPT), [], "a worker that had lost its lease");
    let retaken = |story: &Story| {
        story.pass(2);
        story.lease("W", "a", "TRIM_HORIZON");
    };
    assert_eq!(second(PROMPT, &retaken, "W", PROMPT), [], "the lease had run out");
    assert_eq!(second(PROMPT, &|story| story.refuse("W", "a"), "W", PROMPT), [], "the lease looked lost");
    let renewed = |story: &Story| story.lease("W", "a", "TRIM_HORIZON");
    assert_eq!(second(PROMPT, &renewed, "W", PROMPT), [Invariant::Duplicates]);
    let begun_anew = |story: &Story| {
        story.record("W", Event::Iterator { stream: STREAM.into(), shard: "a".into(), kind: "TRIM_HORIZON", position: None });
    };
    assert_eq!(second(PROMPT, &begun_anew, "W", PROMPT), [], "the shard was read again from its checkpoint on");
    let checkpointed = |story: &Story| {
        story.lease("W", "a", at(1).as_str());
        story.refuse("W", "a");
    };
    assert_eq!(second(PROMPT, &checkpointed, "W", PROMPT), [Invariant::Duplicates], "the checkpoint tells of it");
}

#[test]
fn a_copy_in_other_bytes_is_seen() {
    let story = with_changes(&[1]);
    story.store_for("W", 1, 1, "x", UNHEARD);
    story.put("W", "k", 2, line("a", 1, "x", "1").replace(",\"cdc_ttl_delete\"", ", \"cdc_ttl_delete\""), PROMPT);
    assert_eq!(delivered(story, &[1, 1], 2), [Invariant::Duplicates]);
}

#[test]
fn what_was_packed_for_another_shard_is_not_stored() {
    let story = with_changes(&[1]);
    story.change("a", 2, "y");
    story.pack("W", "k", 1, &[(3, 1, "x"), (100, 2, "y")]);
    story.lease("W", "a", at(2).as_str());
    let expected = [Invariant::DurableBeforeCheckpoint, Invariant::KinesisNoLoss, Invariant::KinesisNoLoss];
    assert_eq!(story.broken()[..3], expected, "nor is what it was packed with");
}

#[test]
fn what_came_into_a_shard_that_its_sender_did_not_have_in_mind_may_come_again() {
    let again = |met: bool, listed: Option<bool>| {
        let story = with_changes(&[1]);
        story.change("a", 2, "y");
        story.reshard_kinesis(Some("k"), &["l", "m"]);
        if met {
            story.pack("W", "l", 1, &[(104, 2, "y")]);
        }
        if let Some(open_alone) = listed {
            story.list_shards("W", open_alone);
            story.pass(1);
        }
        story.pack("W", "l", 2, &[(103, 1, "x")]);
        story.pack("W", "l", 3, &[(103, 1, "x")]);
        story.broken().contains(&Invariant::Duplicates)
    };
    assert!(!again(false, None));
    assert!(!again(true, None), "the news has not led to another look at the shards");
    assert!(!again(false, Some(true)), "the shards were looked at before the worker knew of this one");
    assert!(!again(true, Some(false)), "the shards were looked at by the part of the worker that reads");
    assert!(again(true, Some(true)));
}

#[test]
fn a_record_that_is_no_line_of_a_change_is_seen() {
    let correct = line("a", 1, "x", "1");
    for data in [correct.trim_end().to_owned(), correct.repeat(2), "{}\n".to_owned(), correct.replace("e1", "e2"), line("b", 1, "x", "1")] {
        let story = with_changes(&[1]);
        story.put("W", "k", 1, data.clone(), PROMPT);
        assert_eq!(story.broken()[0], Invariant::ExactValues, "{data}");
    }
}

#[test]
fn a_pointer_needs_the_object_that_it_points_to() {
    let pointed = |object: &str, pointer: &dyn Fn(&mut Value)| {
        let story = with_changes(&[1]);
        let (bucket, body) = ("lake".to_owned(), Bytes::from(line("a", 1, "x", "1")));
        story.record("W", Event::Object { bucket, key: format!("cdc/orders/claims/dt=2026-11-21/{object}"), body, replaced: None });
        let mut row: Value = serde_json::from_str(&line("a", 1, "x", "1")).unwrap();
        row.as_object_mut().unwrap().remove("cdc_extra");
        row["cdc_claim_check"] = "claims/dt=2026-11-21/a-1.json".into();
        pointer(&mut row);
        story.put("W", "k", 1, format!("{row}\n"), PROMPT);
        delivered(story, &[1], 1)
    };
    assert_eq!(pointed("a-1.json", &|_| {}), []);
    assert_eq!(pointed("a-2.json", &|_| {})[0], Invariant::KinesisNoLoss);
    for (column, value) in [("cdc_op", "MODIFY"), ("cdc_extra", "{\"n\":{\"N\":\"1\"}}"), ("id", "y")] {
        assert_eq!(pointed("a-1.json", &|row| row[column] = value.into()), [Invariant::ExactValues], "{column}");
    }
}

#[test]
fn what_does_not_fit_may_be_in_quarantine() {
    let quarantined = |digits: usize| {
        let story = with_changes(&[]);
        let key = Item::from([("id".to_owned(), S("x".to_owned()))]);
        let new = key.clone().into_iter().chain([("n".to_owned(), N("1".repeat(digits)))]).collect();
        let place = Place { stream: STREAM.into(), shard: "a".into(), sequence: at(1), event_id: "e1".into() };
        let change =
            Change { table: "orders".into(), place: Some(place), operation: "INSERT", key, old: None, new: Some(new), by_ttl: false };
        story.record("", Event::Change(change));
        let key = format!("cdc/orders/quarantine/dt=2026-11-21/a-{:0>40}.json", at(1).as_str());
        story.record("W", Event::Object { bucket: "lake".into(), key, body: Bytes::from_static(b"{}"), replaced: None });
        story.lease("W", "a", at(1).as_str());
        story.broken()
    };
    assert_eq!(quarantined(1_000), []);
    assert_eq!(quarantined(10)[0], Invariant::NoSilentLoss);
}
