//! What the lake shows when it is asked for the current state.

use super::*;

#[test]
fn changes_that_do_not_lie_in_their_order_make_the_lake_show_something_else() {
    let shown = |told: bool, snapshot: bool| {
        let story = Story::new();
        story.reshard(None, &["b"]);
        story.change("b", 5, "x");
        story.land("b", &[(5, "x")]);
        story.change("a", 3, "x");
        story.land("a", &[(3, "x")]);
        if told {
            story.gap("order-broken", "a", None);
        }
        if snapshot {
            // It starts a minute and a half later, so that the changes lie below it.
            story.pass(200);
            let start = NOW / 1000 + 125;
            story.stands_as(ID, "running", 1, start, &|_| {});
            story.land_rows("s-0", &[row_since(ID, "03:02:05.000", "x", 3)]);
            story.stands_as(ID, "completing", 2, start, &|_| {});
            story.mark_as(ID, &|marker| marker["started_at"] = json!("2026-11-21T03:02:05Z"));
            story.stands_as(ID, "completed", 3, start, &|_| {});
        }
        story.broken()
    };
    assert_eq!(shown(false, false), [Invariant::CurrentEqualsTable]);
    assert_eq!(shown(true, false), [], "nobody is deceived");
    assert_eq!(shown(true, true), []);
    assert_eq!(shown(false, true), []);
}

/// The row of a later snapshot of a part stands for its own key alone, and rows of snapshots without a marker count for nothing.
#[test]
fn what_was_lost_is_made_up_for_by_a_whole_snapshot_alone() {
    let made_up = |whole: bool, marked: bool| {
        let story = Story::new();
        story.lease("W", "a", "TRIM_HORIZON");
        story.change("a", 1, "x");
        story.land("a", &[(1, "x")]);
        story.lease("W", "a", at(1).as_str());
        story.change("a", 2, "x");
        story.change("a", 3, "y");
        story.trim("a", 3);
        story.gap("trimmed", "a", Some(1));
        story.pass(200);
        let part = |item: &mut Item| {
            item.insert("whole".into(), BOOL(whole));
        };
        let start = NOW / 1000 + 125;
        story.stands_as(ID, "running", 1, start, &part);
        story.land_rows("s-0", &[row_since(ID, "03:02:05.000", "x", 2), row_since(ID, "03:02:05.000", "y", 3)]);
        story.stands_as(ID, "completing", 2, start, &part);
        if marked {
            story.mark_as(ID, &|marker| {
                marker["started_at"] = json!("2026-11-21T03:02:05Z");
                marker["whole"] = whole.into();
            });
        }
        story.stands_as(ID, if marked { "completed" } else { "failed" }, 3, start, &part);
        story
    };
    for (whole, marked, covered) in [(true, true, true), (false, true, false), (true, false, false)] {
        let mut story = made_up(whole, marked);
        story.checker.follow(&story.journal);
        assert_eq!(story.checker.current_difference(), None);
        // A row that is not in the lake any more shows whether the lake is compared at all.
        for rows in story.checker.lake.values_mut() {
            rows.retain(|row| row.snapshot.is_none());
        }
        assert_eq!(story.checker.current_difference().is_some(), covered, "whole: {whole}, marked: {marked}");
        assert_eq!(story.broken().contains(&Invariant::CurrentEqualsTable), covered);
    }
}

#[test]
fn what_somebody_deletes_may_come_again() {
    let story = running();
    story.stands("cancelled", 2);
    story.record("", Event::Deleted { bucket: "lake".into(), key: "cdc/orders/changes/dt=2026-11-21/hr=03/a-0.json.gz".into() });
    story.change("a", 3, "x");
    let third = line("a", 3, "x", "3").replace("03:00:00.000", "03:00:15.000");
    story.land_rows("a-1", &[third]);
    story.land("a", &[(1, "x"), (2, "y")]);
    story.land("a", &[(1, "x")]);
    assert_eq!(story.broken(), [Invariant::LandOnce], "once more, not twice");
}

#[test]
fn a_snapshot_whose_object_was_deleted_is_not_compared() {
    let story = completing();
    story.mark();
    story.stands("completed", 3);
    story.record("", Event::Deleted { bucket: "lake".into(), key: "cdc/orders/changes/dt=2026-11-21/hr=03/s-0.json.gz".into() });
    story.record("", Event::Deleted { bucket: "lake".into(), key: "cdc/orders/changes/dt=2026-11-21/hr=03/a-0.json.gz".into() });
    assert_eq!(story.broken(), []);
}
