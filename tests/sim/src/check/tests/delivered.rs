//! What deliver makes of Kinesis.

use std::io::Write as _;

use flate2::{Compression, GzBuilder};

use super::story::in_kinesis;
use super::*;
use crate::call::Passage;
use crate::check::rows::Object;

/// Three changes of different items in two records of Kinesis, the first two packed into one, and a lease on the shard.
fn packed() -> Story {
    let story = Story::with_kinesis();
    story.lease("W", "a", "TRIM_HORIZON");
    for (change, key) in [(1, "x"), (2, "y"), (3, "z")] {
        story.change("a", change, key);
    }
    story.pack("W", "k", 1, &[(3, 1, "x"), (4, 2, "y")]);
    story.store(2, 3, "z");
    story.lease("W", "a", at(3).as_str());
    story.deliver_lease("D", "k", "TRIM_HORIZON", 0);
    story
}

/// A position as the names of objects spell it.
fn spelled(place: u32, within: u32) -> String {
    format!("{}{within:08}", in_kinesis(place))
}

fn horizon() -> String {
    "0".repeat(40)
}

#[test]
fn runs_that_follow_each_other_break_nothing() {
    let story = packed();
    story.deliver("k", &horizon(), &[(1, "x")]);
    story.deliver_lease("D", "k", &in_kinesis(1), 0);
    story.deliver("k", &spelled(1, 0), &[(2, "y"), (3, "z")]);
    story.deliver_lease("D", "k", &in_kinesis(2), 0);
    assert_eq!(story.broken(), []);
}

#[test]
fn a_checkpoint_ahead_of_the_lake_within_a_record_is_seen() {
    let story = packed();
    story.deliver("k", &horizon(), &[(1, "x")]);
    story.deliver_lease("D", "k", &in_kinesis(1), 1);
    story.deliver("k", &spelled(1, 0), &[(2, "y"), (3, "z")]);
    story.deliver_lease("D", "k", &in_kinesis(2), 0);
    assert_eq!(story.broken(), [Invariant::DurableBeforeCheckpoint]);
}

#[test]
fn a_record_that_never_lands_is_seen() {
    let story = packed();
    story.deliver("k", &horizon(), &[(1, "x"), (2, "y")]);
    story.deliver_lease("D", "k", &in_kinesis(1), 1);
    assert_eq!(story.broken(), [Invariant::KinesisNoLoss]);
}

#[test]
fn a_record_that_is_passed_over_is_seen() {
    let story = packed();
    story.deliver("k", &horizon(), &[(1, "x")]);
    story.deliver_lease("D", "k", &in_kinesis(1), 0);
    story.deliver("k", &spelled(1, 0), &[(3, "z")]);
    assert_eq!(story.broken()[0], Invariant::KinesisNoLoss);
}

/// Found by simulation: a request that was held up for more than a day stored what had been stored and trimmed before.
#[test]
fn of_two_copies_the_one_that_was_not_lost_has_landed() {
    let story = packed();
    story.record("", Event::Trimmed { stream: "orders".into(), shard: "k".into(), through: Sequence::parse(&in_kinesis(2)).unwrap() });
    story.pack_for("W", "k", 3, &[(3, 1, "x")], Passage { held_up: true, heard_after: Some(0) });
    story.deliver("k", &horizon(), &[(1, "x")]);
    story.deliver_lease("D", "k", &in_kinesis(3), 0);
    assert_eq!(story.broken(), [Invariant::NoSilentLoss; 3], "what was lost is in no ledger, and nothing else is wrong");
}

/// Found by simulation: the worker died between an object and its checkpoint, and the rest of the day passed.
#[test]
fn what_has_landed_and_is_trimmed_may_be_passed_over_by_who_goes_on_from_an_older_checkpoint() {
    let goes_on = |is_trimmed: bool| {
        let story = packed();
        story.deliver("k", &horizon(), &[(1, "x"), (2, "y")]);
        if is_trimmed {
            let through = Sequence::parse(&in_kinesis(2)).unwrap();
            story.record("", Event::Trimmed { stream: "orders".into(), shard: "k".into(), through });
        }
        story.deliver("k", &horizon(), &[(3, "z")]);
        story.broken().contains(&Invariant::KinesisNoLoss)
    };
    assert!(!goes_on(true));
    assert!(goes_on(false), "what the stream still has is met");
}

#[test]
fn a_record_that_lands_twice_is_seen() {
    for after in [horizon(), spelled(1, 0)] {
        let story = packed();
        story.deliver("k", &horizon(), &[(1, "x"), (2, "y"), (3, "z")]);
        story.deliver_lease("D", "k", &in_kinesis(2), 0);
        story.deliver("k", &after, &[(2, "y")]);
        assert!(story.broken().contains(&Invariant::LandOnce), "after {after}");
    }
    let story = packed();
    story.deliver("k", &horizon(), &[(1, "x"), (2, "y"), (3, "z")]);
    story.deliver_lease("D", "k", &in_kinesis(2), 0);
    story.deliver("k", &spelled(2, 0), &[(2, "y")]);
    assert_eq!(story.broken(), [Invariant::LandOnce], "it does not follow what its object says");
}

#[test]
fn a_change_that_is_twice_in_kinesis_lands_twice() {
    let story = packed();
    story.store_for("V", 3, 3, "z", crate::call::Passage { held_up: true, heard_after: Some(0) });
    story.deliver("k", &horizon(), &[(1, "x"), (2, "y"), (3, "z"), (3, "z")]);
    story.deliver_lease("D", "k", &in_kinesis(3), 0);
    assert_eq!(story.broken(), []);
}

#[test]
fn an_object_that_does_not_tell_its_beginning_is_seen() {
    let story = packed();
    story.deliver("k", "7", &[(1, "x"), (2, "y"), (3, "z")]);
    assert_eq!(story.broken()[0], Invariant::LandOnce);
}

#[test]
fn what_was_packed_for_another_shard_lands_in_any_order() {
    let landed = |rows: &[(u32, &str)]| {
        let story = Story::with_kinesis();
        story.lease("W", "a", "TRIM_HORIZON");
        for (change, key) in [(1, "y"), (2, "y"), (3, "x")] {
            story.change("a", change, key);
        }
        story.reshard_kinesis(None, &["l"]);
        story.pack("W", "l", 1, &[(100, 1, "y")]);
        story.pack("W", "k", 2, &[(100, 2, "y"), (3, 3, "x")]);
        story.pack("W", "k", 3, &[(3, 3, "x")]);
        story.pack("W", "l", 4, &[(100, 2, "y")]);
        story.lease("W", "a", at(3).as_str());
        for (shard, rows, place) in [("k", rows, 3), ("l", &[(1, "y"), (2, "y")], 4)] {
            story.deliver_lease("D", shard, "TRIM_HORIZON", 0);
            story.deliver(shard, &horizon(), rows);
            story.deliver_lease("D", shard, &in_kinesis(place), 0);
        }
        story.broken()
    };
    assert_eq!(landed(&[(2, "y"), (3, "x"), (3, "x")]), []);
    assert_eq!(landed(&[(3, "x"), (3, "x")])[0], Invariant::KinesisNoLoss, "but it lands");
}

#[test]
fn a_footer_that_tells_of_another_run_is_seen() {
    let told = |after: String, last: String| {
        let mut story = packed();
        story.checker.follow(&story.journal);
        let name = format!("dt=2026-11-21/hr=03/000000000000.orders.1795046400.k-{}.parquet", horizon());
        let rows = vec![rows::line(&line("a", 1, "x", "1").into()).unwrap()];
        let entry = Entry { at: NOW, worker: "D".into(), event: Event::Note(String::new()) };
        story.checker.delivered(&entry, &name, &Object { rows, after: Some(after), last: Some(last) });
        story.checker.violations().iter().map(|violation| violation.invariant).collect::<Vec<_>>()
    };
    assert_eq!(told(horizon(), spelled(1, 0)), []);
    assert_eq!(told(spelled(1, 0), spelled(1, 0)), [Invariant::LandOnce], "it begins elsewhere");
    assert_eq!(told(horizon(), spelled(1, 1)), [Invariant::LandOnce], "it holds no more than the first record");
    assert_eq!(told(horizon(), horizon()), [Invariant::LandOnce], "it holds more than nothing");
}

#[test]
fn the_header_of_an_object_tells_its_last_record() {
    let told = |last: String| {
        let text = format!("headwater.last={last}");
        let length = u16::try_from(text.len()).unwrap().to_le_bytes();
        let extra = [b"hw", &length[..], text.as_bytes()].concat();
        let mut gzip = GzBuilder::new().extra(extra).write(Vec::new(), Compression::fast());
        gzip.write_all(line("a", 1, "x", "1").as_bytes()).unwrap();
        let (story, body) = (packed(), gzip.finish().unwrap().into());
        let key = format!("cdc/orders/changes/dt=2026-11-21/hr=03/000000000000.orders.1795046400.k-{}.json.gz", horizon());
        story.record("D", Event::Object { bucket: "lake".into(), key, body, replaced: None });
        story.broken().contains(&Invariant::LandOnce)
    };
    assert!(!told(spelled(1, 0)));
    assert!(told(spelled(2, 0)));
}

#[test]
fn the_child_of_a_merge_waits_for_both_parents() {
    let read = |done: &[&str]| {
        let story = Story::with_kinesis();
        story.reshard_kinesis(Some("k"), &["l", "m"]);
        story.reshard_kinesis(Some("l"), &["n"]);
        story.reshard_kinesis(Some("m"), &["n"]);
        for shard in done {
            story.deliver_lease("D", shard, "SHARD_END", 0);
        }
        story.record("D", Event::Page { stream: "orders".into(), shard: "n".into(), records: 0, range: None, end: false });
        story.broken()
    };
    assert_eq!(read(&["k", "l", "m"]), []);
    assert_eq!(read(&["k", "l"]), [Invariant::ParentFirst]);
    assert_eq!(read(&["k", "m"]), [Invariant::ParentFirst]);
}

#[test]
fn reading_goes_on_at_the_record_that_the_checkpoint_stands_in() {
    for (kind, place, again) in [
        ("AT_SEQUENCE_NUMBER", 5, false),
        ("AFTER_SEQUENCE_NUMBER", 5, false),
        ("AT_SEQUENCE_NUMBER", 4, true),
        ("AFTER_SEQUENCE_NUMBER", 4, true),
    ] {
        let story = Story::with_kinesis();
        story.deliver_lease("D", "k", &in_kinesis(5), 1);
        let position = Some(in_kinesis(place));
        story.record("D", Event::Iterator { stream: "orders".into(), shard: "k".into(), kind, position });
        let expected: &[Invariant] = if again { &[Invariant::ResumeAfter] } else { &[] };
        assert_eq!(story.broken(), expected, "{kind} {place}");
    }
}

#[test]
fn a_step_back_within_a_record_and_a_hasty_take_are_seen() {
    let story = Story::with_kinesis();
    story.deliver_lease("D", "k", &in_kinesis(5), 1);
    story.deliver_lease("D", "k", &in_kinesis(5), 0);
    assert_eq!(story.broken(), [Invariant::ResumeAfter]);

    let story = Story::with_kinesis();
    story.deliver_lease("D", "k", &in_kinesis(5), 0);
    story.deliver_lease("E", "k", &in_kinesis(5), 0);
    assert_eq!(story.broken(), [Invariant::OneWriter]);
}

#[test]
fn a_record_of_kinesis_that_was_trimmed_needs_a_gap_of_its_own() {
    let trimmed = |table: Option<&str>| {
        let story = packed();
        story.deliver("k", &horizon(), &[(1, "x")]);
        story.deliver_lease("D", "k", &in_kinesis(1), 0);
        let through = Sequence::parse(&in_kinesis(2)).unwrap();
        story.record("", Event::Trimmed { stream: "orders".into(), shard: "k".into(), through });
        if let Some(table) = table {
            let mut new = lease_key("gap");
            for (name, value) in [("entityType", "GAP"), ("kind", "trimmed"), ("origin", "000000000000:orders:1795046400:k")] {
                new.insert(name.into(), S(value.into()));
            }
            new.insert("after".into(), S(spelled(1, 0)));
            story.record("D", Event::Item { table: table.into(), key: lease_key("gap"), old: None, new: Some(new) });
        }
        story.broken()
    };
    assert_eq!(trimmed(None), [Invariant::NoSilentLoss, Invariant::NoSilentLoss]);
    assert_eq!(trimmed(Some("leases")), [Invariant::NoSilentLoss, Invariant::NoSilentLoss], "the other stage's ledger");
    assert_eq!(trimmed(Some("deliver")), []);
}
