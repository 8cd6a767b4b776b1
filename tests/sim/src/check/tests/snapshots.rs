//! Snapshots straight into the lake: their items, rows, markers, segments, and the gaps that they close.

mod coordination;
mod current;
mod kinesis;

use serde_json::json;

use super::story::{NOW, STREAM, Story, at, lease_key, line};
use super::*;
use crate::item::AttributeValue::{BOOL, M, N};

const ID: &str = "20261121T030000Z-00000001";
/// A snapshot that begins ten seconds after the story does starts this long after it, in seconds: before the story.
const START: i64 = NOW / 1000 - 65;

/// A row: the item `key` with that number, as the snapshot found it.
fn row(id: &str, key: &str, number: u32) -> String {
    row_since(id, "02:58:55.000", key, number)
}

fn row_since(id: &str, time: &str, key: &str, number: u32) -> String {
    let event = format!("{:0<32x}", key.bytes().fold(0_u128, |event, byte| event << 8 | u128::from(byte)));
    let row = json!({
        "cdc_event_id": event, "cdc_op": "SNAPSHOT", "cdc_sequence": "0".repeat(40), "cdc_time": format!("2026-11-21 {time}"),
        "cdc_table": "orders", "cdc_shard": format!("snapshot-{id}-00000"), "cdc_snapshot_id": id, "cdc_ttl_delete": false, "cdc_changed": [],
        "id": key, "cdc_extra": json!({"n": {"N": number.to_string()}}).to_string(),
    });
    format!("{row}\n")
}

/// The same row, saying that there is no such item.
fn absent(row: &str) -> String {
    let mut row: serde_json::Value = serde_json::from_str(row).unwrap();
    row.as_object_mut().unwrap().remove("cdc_extra");
    row["cdc_op"] = "REMOVE".into();
    format!("{row}\n")
}

impl Story {
    /// Somebody writes the item of a snapshot of the whole table.
    fn stands(&self, state: &str, version: u32) {
        self.stands_as(ID, state, version, START, &|_| {});
    }

    fn stands_as(&self, id: &str, state: &str, version: u32, start: i64, change: &dyn Fn(&mut Item)) {
        let request = M(Item::from([("consistent".into(), BOOL(true)), ("cause".into(), S("request".into()))]));
        let mut new = lease_key(&format!("snapshot-{id}"));
        for (name, value) in [("entityType", "SNAPSHOT"), ("id", id), ("state", state)] {
            new.insert(name.into(), S(value.into()));
        }
        new.insert("version".into(), N(version.to_string()));
        new.insert("request".into(), request);
        if state != "requested" {
            new.insert("startedAt".into(), N(start.to_string()));
            new.insert("whole".into(), BOOL(true));
            new.insert("segments".into(), N("1".into()));
        }
        change(&mut new);
        self.record("W", Event::Item { table: "leases".into(), key: lease_key(&format!("snapshot-{id}")), old: None, new: Some(new) });
    }

    /// A lease on the snapshot's one segment.
    fn segment(&self, worker: &str, checkpoint: &str, rows: u32) {
        let new = segment_item(worker, checkpoint, rows);
        let key = lease_key(&format!("snapshot-{ID}-00000"));
        self.record(worker, Event::Item { table: "leases".into(), key, old: None, new: Some(new) });
    }

    fn delete_segment(&self, worker: &str) {
        let key = lease_key(&format!("snapshot-{ID}-00000"));
        self.record(worker, Event::Item { table: "leases".into(), key, old: Some(segment_item("W", "3", 1)), new: None });
    }

    /// An object of snapshot rows, and nothing else.
    fn land_rows(&self, name: &str, rows: &[String]) {
        self.object_named("W", name, rows.iter().cloned(), None);
    }

    fn mark(&self) {
        self.mark_as(ID, &|_| {});
    }

    fn mark_as(&self, id: &str, change: &dyn Fn(&mut serde_json::Value)) {
        let mut marker = json!({
            "snapshot_id": id, "table": "orders", "started_at": "2026-11-21T02:58:55Z", "completed_at": "2026-11-21T03:00:20Z", "rows": 0, "whole": true,
        });
        change(&mut marker);
        self.file(&format!("snapshots/{id}.json"), marker.to_string());
    }

    fn file(&self, name: &str, body: String) {
        let (bucket, key) = ("lake".to_owned(), format!("cdc/orders/{name}"));
        self.record("W", Event::Object { bucket, key, body: body.into(), replaced: None });
    }

    /// The item `key` goes.
    fn remove(&self, shard: &str, sequence: u32, key: &str) {
        let key = Item::from([("id".to_owned(), S(key.to_owned()))]);
        let place = Some(Place { stream: STREAM.into(), shard: shard.into(), sequence: at(sequence), event_id: format!("e{sequence}") });
        let change = Change { table: "orders".into(), place, operation: "REMOVE", old: Some(key.clone()), key, new: None, by_ttl: false };
        self.record("", Event::Change(change));
    }

    fn found_gap(&self, found_at: i64, closed_by: Option<&str>) {
        let mut new = lease_key("gap/1");
        for (name, value) in [("entityType", "GAP"), ("kind", "vanished"), ("origin", "a")] {
            new.insert(name.into(), S(value.into()));
        }
        new.insert("foundAt".into(), N(found_at.to_string()));
        new.extend(closed_by.map(|id| ("closedBy".to_owned(), S(id.into()))));
        self.record("W", Event::Item { table: "leases".into(), key: lease_key("gap/1"), old: None, new: Some(new) });
    }
}

fn segment_item(worker: &str, checkpoint: &str, rows: u32) -> Item {
    let mut item = lease_key(&format!("snapshot-{ID}-00000"));
    let texts = [("entityType", "SEGMENT"), ("leaseOwner", worker), ("checkpoint", checkpoint), ("streamArn", STREAM), ("snapshotId", ID)];
    item.extend(texts.map(|(name, value)| (name.to_owned(), S(value.to_owned()))));
    item.insert("segmentRows".into(), N(rows.to_string()));
    item
}

/// Two items, both in the lake, and a snapshot that has been running for five seconds.
fn running() -> Story {
    let story = Story::new();
    story.change("a", 1, "x");
    story.change("a", 2, "y");
    story.land("a", &[(1, "x"), (2, "y")]);
    story.stands("requested", 0);
    story.pass(10);
    story.stands("running", 1);
    story.pass(5);
    story
}

/// The same, with both rows landed and the snapshot completing.
fn completing() -> Story {
    let story = running();
    story.land_rows("s-0", &[row(ID, "x", 1), row(ID, "y", 2)]);
    story.stands("completing", 2);
    story
}

#[test]
fn a_snapshot_that_completes_breaks_nothing() {
    let story = completing();
    story.mark();
    story.mark();
    story.stands("completed", 3);
    let counts = story.counts();
    assert_eq!((counts["snapshots completed"], counts["snapshot rows landed"], counts["markers written again"]), (1, 2, 1));
    assert_eq!(story.broken(), []);
}

#[test]
fn a_row_shows_what_the_item_was_since_the_start() {
    let shown = |number: u32, changed_before: bool| {
        let story = Story::new();
        story.change("a", 1, "x");
        story.pass(if changed_before { -100 } else { 0 });
        story.change("a", 2, "x");
        story.pass(if changed_before { 110 } else { 10 });
        story.stands("running", 1);
        story.land_rows("s-0", &[row(ID, "x", number)]);
        story.stands("cancelled", 2);
        story.broken().contains(&Invariant::SnapshotExact)
    };
    assert!(!shown(2, true) && shown(1, true), "it had changed before the start");
    assert!(!shown(2, false) && !shown(1, false));
    assert!(shown(3, false), "it never was that");
}

#[test]
fn a_row_without_an_item_says_that_there_was_none() {
    let landed = |since: i64, row: String| {
        let story = Story::new();
        story.change("a", 1, "x");
        story.pass(since);
        story.stands_as(ID, "running", 1, START, &|_| {});
        story.land_rows("s-0", &[row]);
        story.stands("cancelled", 2);
        story.broken().first().copied()
    };
    assert_eq!(landed(10, absent(&row(ID, "z", 1))), Some(Invariant::Liveness), "only the change is missing");
    assert_eq!(
        landed(10, absent(&row(ID, "x", 1))),
        Some(Invariant::Liveness),
        "it came after the start, so there was a moment without it"
    );
    assert_eq!(landed(10, row(ID, "z", 1)), Some(Invariant::SnapshotExact), "there never was such an item");
    let with_image = row(ID, "z", 1).replace("\"SNAPSHOT\"", "\"REMOVE\"");
    assert_eq!(landed(10, with_image), Some(Invariant::ExactValues), "what is not there has no image");
    let story = Story::new();
    story.change("a", 1, "x");
    story.pass(100);
    story.stands_as(ID, "running", 1, NOW / 1000 + 25, &|_| {});
    story.land_rows("s-0", &[absent(&row_since(ID, "03:00:25.000", "x", 1))]);
    assert_eq!(story.broken()[0], Invariant::SnapshotExact, "it was there all the time");
}

#[test]
fn a_row_of_a_snapshot_that_never_began_is_seen() {
    let story = Story::new();
    story.stands("requested", 0);
    story.land_rows("s-0", &[row(ID, "x", 1)]);
    story.stands("cancelled", 1);
    assert_eq!(story.broken(), [Invariant::SnapshotExact]);
}

#[test]
fn every_difference_between_a_row_and_its_snapshot_is_seen() {
    let event = format!("{:0<32}", "78");
    for (right, wrong) in [
        ("\"cdc_op\":\"SNAPSHOT\"", "\"cdc_op\":\"INSERT\""),
        (event.as_str(), "e1"),
        ("02:58:55.000", "02:58:56.000"),
        ("\"cdc_table\":\"orders\"", "\"cdc_table\":\"order\""),
        (&"0".repeat(40), &format!("{}1", "0".repeat(39))),
        ("snapshot-2026", "snapshot-2025"),
        ("\"cdc_ttl_delete\":false", "\"cdc_ttl_delete\":true"),
        ("\"cdc_changed\":[]", "\"cdc_changed\":[\"n\"]"),
        ("\"id\":", "\"old_cdc_extra\":\"{\\\"n\\\":{\\\"N\\\":\\\"1\\\"}}\",\"id\":"),
        ("\"id\":", "\"cdc_claim_check\":\"claims/x\",\"id\":"),
    ] {
        let correct = row(ID, "x", 1);
        assert!(correct.contains(right), "{right} is not in {correct}");
        let story = running();
        story.land_rows("s-0", &[correct.replace(right, wrong)]);
        story.stands("cancelled", 2);
        assert_eq!(story.broken(), [Invariant::ExactValues], "{wrong}");
    }
}

#[test]
fn a_row_lies_in_the_hour_of_its_start_or_a_later_one() {
    let landed = |hour: &str| {
        let story = running();
        story.stands("cancelled", 2);
        story.object_in(hour, "W", "s-0", [row(ID, "x", 1)], None);
        story.broken()
    };
    assert_eq!((landed("02"), landed("03"), landed("01")), (vec![], vec![], vec![Invariant::ExactValues]));
}

#[test]
fn a_row_that_lands_twice_is_seen() {
    let story = completing();
    story.land_rows("s-1", &[row(ID, "x", 1)]);
    story.stands("failed", 3);
    assert_eq!(story.broken(), [Invariant::SnapshotLandOnce]);
}

#[test]
fn rows_of_two_snapshots_are_no_repetition() {
    let story = completing();
    let other = "20261121T030000Z-00000002";
    story.stands_as(other, "running", 1, START, &|_| {});
    story.land_rows("t-0", &[row(other, "x", 1), row(other, "y", 2)]);
    story.stands_as(other, "completing", 2, START, &|_| {});
    story.mark_as(other, &|_| {});
    story.stands_as(other, "completed", 3, START, &|_| {});
    story.mark();
    story.stands("completed", 3);
    assert_eq!(story.broken(), []);
}

#[test]
fn a_marker_before_a_row_of_what_was_there_all_the_time_is_seen() {
    let story = running();
    story.land_rows("s-0", &[row(ID, "x", 1)]);
    story.stands("completing", 2);
    story.mark();
    story.stands("completed", 3);
    story.land_rows("s-1", &[row(ID, "y", 2)]);
    assert_eq!(story.broken(), [Invariant::SnapshotComplete], "it lacks an item, though a row comes behind it");
}

#[test]
fn what_comes_or_goes_meanwhile_need_have_no_row() {
    let story = running();
    story.land_rows("s-0", &[row(ID, "x", 1)]);
    story.change("a", 3, "z");
    story.remove("a", 4, "y");
    let late = |row: String| row.replace("03:00:00.000", "03:00:15.000");
    story.land_rows("a-1", &[late(line("a", 3, "z", "3")), late(absent(&line("a", 4, "y", "4")))]);
    story.stands("completing", 2);
    story.mark();
    story.stands("completed", 3);
    assert_eq!(story.broken(), []);
}

#[test]
fn a_read_that_is_not_consistent_may_miss_what_has_just_come() {
    let missed = |consistent: bool| {
        let request = |item: &mut Item| {
            item.insert("request".into(), M(Item::from([("consistent".into(), BOOL(consistent))])));
        };
        let story = Story::new();
        story.pass(9);
        story.pass_millis(500);
        story.change("a", 1, "x");
        story.land_rows("a-0", &[line("a", 1, "x", "1").replace("03:00:00.000", "03:00:09.000")]);
        story.pass_millis(500);
        for (version, state) in ["running", "completing"].into_iter().enumerate() {
            story.stands_as(ID, state, u32::try_from(version).unwrap(), START, &request);
        }
        story.mark();
        story.stands_as(ID, "completed", 3, START, &request);
        story.broken()
    };
    assert_eq!((missed(true), missed(false)), (vec![Invariant::SnapshotComplete], vec![]));
}

#[test]
fn a_marker_that_is_not_the_snapshot_s_is_seen() {
    for (member, value) in
        [("snapshot_id", json!("other")), ("started_at", json!("2026-11-21T02:58:56Z")), ("whole", json!(false)), ("rows", json!("two"))]
    {
        let story = completing();
        story.mark_as(ID, &|marker| marker[member] = value.clone());
        story.stands("failed", 3);
        assert_eq!(story.broken(), [Invariant::SnapshotComplete], "{member}");
    }
    for (rows, expected) in [(2, vec![]), (3, vec![Invariant::SnapshotComplete])] {
        let story = completing();
        story.mark_as(ID, &|marker| marker["rows"] = rows.into());
        story.stands("completed", 3);
        assert_eq!(story.broken(), expected, "two rows have landed, it says {rows}");
    }
    let story = completing();
    story.mark();
    story.mark_as(ID, &|marker| marker["rows"] = 3.into());
    story.stands("completed", 3);
    assert_eq!(story.broken(), [Invariant::SnapshotComplete], "it says something else the second time");
}

#[test]
fn a_marker_at_the_wrong_time_is_seen() {
    let early = running();
    early.land_rows("s-0", &[row(ID, "x", 1), row(ID, "y", 2)]);
    early.mark();
    early.stands("cancelled", 2);
    assert_eq!(early.broken(), [Invariant::SnapshotComplete], "rows are still being read");

    let never = completing();
    never.stands("completed", 3);
    assert_eq!(never.broken(), [Invariant::SnapshotComplete], "there is none");
}
