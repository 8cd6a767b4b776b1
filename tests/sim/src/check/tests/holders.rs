//! How leases change hands: asked for and handed over, or taken from who is silent; and who may send meanwhile.

use super::story::HandOver;
use super::*;
use crate::call::Passage;

/// `V` holds the lease of shard `a`, and `W` asks for it.
fn asked() -> Story {
    let story = Story::new();
    story.hand_over("V", "a", &HandOver { owner: "V", former: None, ..HandOver::default() });
    story.hand_over("W", "a", &HandOver::default());
    story
}

#[test]
fn a_lease_that_is_asked_for_is_the_former_holder_s_until_it_is_handed_over() {
    let story = asked();
    story.change("a", 1, "x");
    story.land("a", &[(1, "x")]);
    story.hand_over("V", "a", &HandOver { counter: 2, checkpoint: at(1).as_str(), ..HandOver::default() });
    story.hand_over("V", "a", &HandOver { former: None, counter: 3, checkpoint: at(1).as_str(), ..HandOver::default() });
    story.iterator("W", "a", "AFTER_SEQUENCE_NUMBER", 1);
    story.page("W", "a");
    let counts = story.counts();
    let count = |name: &str| counts.get(name).copied().unwrap_or_default();
    assert_eq!((count("hand-overs asked"), count("leases handed over"), count("leases taken over")), (1, 1, 0));
    assert_eq!(story.broken(), []);
}

#[test]
fn who_waits_for_a_lease_moves_no_checkpoint_and_reads_nothing() {
    let story = asked();
    story.hand_over("W", "a", &HandOver { counter: 2, checkpoint: at(1).as_str(), ..HandOver::default() });
    assert_eq!(story.broken(), [Invariant::OneWriter]);

    let reads = |calls: &[&str]| {
        let story = asked();
        for call in calls {
            match *call {
                "begin" => story.iterator("W", "a", "AFTER_SEQUENCE_NUMBER", 1),
                _ => story.page("W", "a"),
            }
        }
        story.broken()
    };
    assert_eq!(reads(&["begin", "page"]), [Invariant::OneWriter]);
    assert_eq!((reads(&["page"]), reads(&["page", "begin"])), (vec![], vec![]), "a call of an earlier tenure may arrive late");
}

#[test]
fn only_an_untouched_lease_is_asked_for() {
    let asks = |worker: &str, hand_over: &HandOver<'_>| {
        let story = Story::new();
        story.hand_over("V", "a", &HandOver { owner: "V", former: None, ..HandOver::default() });
        story.hand_over(worker, "a", hand_over);
        story.broken()
    };
    assert_eq!(asks("W", &HandOver::default()), []);
    assert_eq!(asks("X", &HandOver::default()), [Invariant::OneWriter], "for another one");
    assert_eq!(asks("W", &HandOver { former: Some("X"), ..HandOver::default() }), [Invariant::OneWriter], "of one that does not hold it");
    assert_eq!(
        asks("W", &HandOver { counter: 2, ..HandOver::default() }),
        [Invariant::OneWriter],
        "the holder's next write shall fail once"
    );
    let moved = asks("W", &HandOver { checkpoint: at(1).as_str(), ..HandOver::default() });
    assert_eq!(moved, [Invariant::OneWriter, Invariant::OneWriter], "with a checkpoint of its own");
    let story = asked();
    story.hand_over("X", "a", &HandOver { owner: "X", ..HandOver::default() });
    assert_eq!(story.broken(), [Invariant::OneWriter], "it is asked for already");
}

#[test]
fn a_lease_that_is_not_handed_over_is_taken_from_a_silent_holder_or_after_half_a_minute() {
    let taken = |owner: &str, seconds: i64, renews: bool| {
        let story = asked();
        for _ in 0..seconds {
            story.pass(1);
            if renews {
                story.hand_over("V", "a", &HandOver { counter: 2, ..HandOver::default() });
            }
        }
        story.hand_over(owner, "a", &HandOver { owner, former: None, counter: 3, ..HandOver::default() });
        assert_eq!(story.counts().get("hand-overs that timed out"), Some(&1));
        story.broken()
    };
    for owner in ["W", "X"] {
        assert_eq!(taken(owner, 1, false), [Invariant::OneWriter], "too soon");
        assert_eq!(taken(owner, 2, false), []);
        assert_eq!(taken(owner, 29, true), [Invariant::OneWriter], "the holder lives, and there is time left");
        assert_eq!(taken(owner, 30, true), []);
    }
}

#[test]
fn to_ask_for_a_lease_is_no_sign_of_life_of_its_holder() {
    let story = Story::new();
    story.hand_over("V", "a", &HandOver { owner: "V", former: None, ..HandOver::default() });
    story.pass(1);
    story.hand_over("W", "a", &HandOver::default());
    story.pass(1);
    story.hand_over("W", "a", &HandOver { former: None, counter: 2, ..HandOver::default() });
    assert_eq!(story.broken(), []);
}

#[test]
fn a_lease_is_given_up_by_its_holder() {
    let released = |worker: &str| {
        let story = Story::new();
        story.lease("V", "a", "TRIM_HORIZON");
        story.release(worker, "a");
        story.broken()
    };
    assert_eq!((released("V"), released("W")), (vec![], vec![Invariant::OneWriter]));
}

#[test]
fn segments_of_snapshots_are_not_asked_for() {
    let story = Story::new();
    story.segment_handed_over("V", "W");
    assert!(story.broken().contains(&Invariant::OneWriter));
}

/// What `V` sends to Kinesis, so long after it lost the lease of its shard: to one that took it, or by its own doing.
fn sent(seconds: i64, by_itself: bool, passage: Passage) -> Vec<Invariant> {
    let story = Story::with_kinesis();
    story.change("a", 1, "x");
    if by_itself {
        story.hand_over("V", "a", &HandOver { owner: "V", former: None, ..HandOver::default() });
        story.hand_over("W", "a", &HandOver::default());
        story.hand_over("V", "a", &HandOver { former: None, counter: 2, ..HandOver::default() });
    } else {
        story.lease("V", "a", "TRIM_HORIZON");
        story.pass(2);
        story.lease("W", "a", "TRIM_HORIZON");
    }
    story.pass(seconds);
    story.store_for("V", 1, 1, "x", passage);
    story.deliver("k", &"0".repeat(40), &[(1, "x")]);
    story.lease("W", "a", at(1).as_str());
    story.deliver_lease("D", "k", &super::story::in_kinesis(1), 0);
    story.broken()
}

#[test]
fn who_lost_a_lease_sends_for_a_fail_over_time_at_most() {
    assert_eq!(sent(3, false, Passage::default()), []);
    assert_eq!(sent(4, false, Passage::default()), [Invariant::OneWriter]);
    assert_eq!(sent(60, false, Passage { held_up: true, heard_after: Some(0) }), [], "it was sent before");
}

#[test]
fn who_handed_a_lease_over_has_sent_everything_before() {
    assert_eq!(sent(1, true, Passage::default()), []);
    assert_eq!(sent(2, true, Passage::default()), [Invariant::OneWriter]);
}

#[test]
fn who_never_held_a_lease_sends_nothing() {
    let story = Story::with_kinesis();
    story.change("a", 1, "x");
    story.lease("V", "a", "TRIM_HORIZON");
    story.store_for("X", 1, 1, "x", Passage::default());
    story.deliver("k", &"0".repeat(40), &[(1, "x")]);
    story.lease("V", "a", at(1).as_str());
    story.deliver_lease("D", "k", &super::story::in_kinesis(1), 0);
    assert_eq!(story.broken(), [Invariant::OneWriter]);
}

#[test]
fn leases_are_shared_out_over_all_workers_that_live() {
    let shared = |holders: &[(&str, &str)], workers: &[&str]| {
        let mut story = Story::new();
        story.reshard(None, &["b", "c", "d"]);
        for (shard, holder) in holders {
            story.lease(holder, shard, "TRIM_HORIZON");
        }
        let workers: Vec<String> = workers.iter().map(|worker| (*worker).to_owned()).collect();
        story.checker.follow(&story.journal);
        story.checker.imbalance(&workers, &[]).is_none()
    };
    let even = [("a", "V"), ("b", "W"), ("c", "V"), ("d", "W")];
    assert!(shared(&even, &["V", "W"]));
    assert!(!shared(&even, &["V", "W", "X"]), "one has nothing, two have two");
    assert!(shared(&even[..3], &["V", "W"]), "two and one");
    assert!(!shared(&even, &["V"]), "one of them does not live");
    assert!(!shared(&[("a", "V"), ("b", "V"), ("c", "V"), ("d", "W")], &["V", "W"]));
}

#[test]
fn leases_that_wait_for_a_parent_or_are_done_count_for_nobody() {
    let mut story = Story::new();
    story.reshard(Some("a"), &["b", "c", "d"]);
    for shard in ["a", "b", "c", "d"] {
        story.lease("V", shard, "TRIM_HORIZON");
    }
    let workers = ["V".to_owned(), "W".to_owned()];
    story.checker.follow(&story.journal);
    assert_eq!(story.checker.imbalance(&workers, &[]), None);
    story.lease("V", "a", "SHARD_END");
    story.checker.follow(&story.journal);
    assert!(story.checker.imbalance(&workers, &[]).unwrap().contains("\"V\": 3"));
    assert_eq!(story.checker.imbalance(&[], &[]), None, "nobody is to work");
}
