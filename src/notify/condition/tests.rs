use super::*;
use crate::event::ShardId;
use crate::lease::{Checkpoint, Lease};
use crate::stream::StreamArn;

const NOW: i64 = 1_795_230_000;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn expected() -> Expected<'static> {
    Expected {
        table: "orders",
        stage: "capture",
        now: NOW,
        retention: Some(DAY),
        trim_warning: Duration::from_hours(6),
        freshness: Some(Duration::from_mins(5)),
    }
}

fn lease(durable_through: Option<i64>) -> Lease {
    Lease { durable_through, ..Lease::new(ShardId::new("shard"), StreamArn::new("stream"), Checkpoint::TrimHorizon) }
}

fn behind(seconds: i64) -> Contents {
    Contents { leases: vec![lease(Some(NOW - seconds))], ..Contents::default() }
}

/// Kinds, and whether they are raised.
fn kinds(findings: &Findings) -> Vec<(NoticeKind, bool)> {
    findings.conditions.iter().map(|condition| (condition.kind, condition.raises)).collect()
}

#[test]
fn nothing_needs_a_person_while_all_is_well() {
    assert_eq!(expected().look(&behind(60)), Findings::default());
    assert_eq!(expected().look(&Contents::default()), Findings::default(), "there is nothing to be read");
    let done = Lease { checkpoint: Checkpoint::ShardEnd, ..lease(Some(NOW - 9 * DAY)) };
    assert_eq!(expected().look(&Contents { leases: vec![done], ..Contents::default() }), Findings::default());
}

#[test]
fn the_freshness_that_the_contract_promises_is_kept_watch_over() {
    let of = |seconds| kinds(&expected().look(&behind(seconds)));
    assert_eq!(of(225), []);
    assert_eq!(of(226), [(NoticeKind::Freshness, false)], "near enough to keep a notice, not to raise one");
    assert_eq!(of(300), [(NoticeKind::Freshness, false)]);
    assert_eq!(of(301), [(NoticeKind::Freshness, true)]);
    let promised_nothing = Expected { freshness: None, ..expected() };
    assert_eq!(kinds(&promised_nothing.look(&behind(10 * HOUR))), []);
}

#[test]
fn a_warning_comes_before_the_stream_drops_what_is_not_durable() {
    let of = |seconds| kinds(&Expected { freshness: None, ..expected() }.look(&behind(seconds)));
    assert_eq!(of(16 * HOUR), []);
    assert_eq!(of(17 * HOUR), [(NoticeKind::TimeToTrim, false)]);
    assert_eq!(of(18 * HOUR), [(NoticeKind::TimeToTrim, false)]);
    assert_eq!(of(18 * HOUR + 1), [(NoticeKind::TimeToTrim, true)]);
}

#[test]
fn a_warning_of_nearly_a_day_can_still_be_over() {
    let long = Expected { freshness: None, trim_warning: Duration::from_hours(23), ..expected() };
    assert_eq!(kinds(&long.look(&behind(HOUR + 1))), [(NoticeKind::TimeToTrim, true)]);
    assert_eq!(kinds(&long.look(&behind(HOUR / 2))), []);
}

#[test]
fn what_is_not_known_is_neither_raised_nor_called_over() {
    let without_a_look = Expected { retention: None, ..expected() };
    assert_eq!(without_a_look.look(&behind(60)).unknown, [NoticeKind::TimeToTrim].into());
    let nothing_known = Contents { leases: vec![lease(None)], ..Contents::default() };
    assert_eq!(expected().look(&nothing_known).unknown, [NoticeKind::TimeToTrim, NoticeKind::Freshness].into());
}

#[test]
fn a_shard_that_nobody_gets_anything_out_of_is_late_since_it_was_found() {
    let stuck = Lease { found_at: Some(NOW - 20 * HOUR), ..lease(None) };
    let findings = expected().look(&Contents { leases: vec![stuck], ..Contents::default() });
    assert_eq!(kinds(&findings), [(NoticeKind::Freshness, true), (NoticeKind::TimeToTrim, true)]);
}

#[test]
fn every_open_gap_is_a_matter_of_its_own() {
    let gap = |kind, shard: &str| Gap::of_shard(kind, &ShardId::new(shard), None, Some(NOW - DAY), NOW - HOUR);
    let closed = Gap { closed_by: Some("s".to_owned()), closed_at: Some(NOW), ..gap(GapKind::Trimmed, "c") };
    let replaced = Gap::of_stream("arn:old", "arn:new", None, NOW - 60);
    let gaps = vec![gap(GapKind::Trimmed, "a"), gap(GapKind::Vanished, "a"), closed, replaced];
    let findings = expected().look(&Contents { gaps, ..behind(0) });
    let subjects: Vec<(NoticeKind, &str, i64)> = findings.conditions.iter().map(|c| (c.kind, c.subject.as_str(), c.since)).collect();
    let zeros = crate::event::Position::ZERO;
    assert_eq!(
        subjects,
        [
            (NoticeKind::Gap, format!("trimmed/a/{zeros}").as_str(), NOW - HOUR),
            (NoticeKind::Gap, format!("vanished/a/{zeros}").as_str(), NOW - HOUR),
            (NoticeKind::StreamReplaced, "arn:old/arn:new", NOW - 60),
        ]
    );
}

#[test]
fn a_person_reads_what_is_the_matter_and_what_to_do() {
    let gap = Gap::of_shard(GapKind::Trimmed, &ShardId::new("shard-1"), None, Some(NOW - DAY), NOW);
    let contents = Contents { gaps: vec![gap], ..behind(19 * HOUR) };
    let mut findings = expected().look(&contents);
    findings.conditions.extend(expected().quarantine(3, true, "s3://lake/orders/quarantine"));
    let texts: Vec<String> = findings.conditions.iter().map(|c| format!("{}: {}\n  {}\n", c.kind, c.summary, c.action)).collect();
    insta::assert_snapshot!(texts.concat(), @r#"
    gap: capture of table orders, shard-1: changes were trimmed from the stream before they were read (those made since 2026-11-20T03:00:00Z)
      take a snapshot (`headwater snapshot start`, or stream.on_gap = "snapshot"), which brings back what was lost and closes the gap; then see in the log and in `headwater status` why reading fell behind
    freshness: capture of table orders is 19h behind, and the contract promises 5m at most
      see in `headwater status` and in the log what holds the stage up, and tell those who read the lake
    time-to-trim: capture of table orders: in 5h the stream begins to drop changes that are not durable
      see in `headwater status` and in the log what holds the stage up (a target that takes nothing, too few workers, a shard that nobody reads): what is trimmed unread is lost until a snapshot
    quarantine: 3 records of table orders are in quarantine
      read the reasons in the objects under s3://lake/orders/quarantine, mend the cause, and send the records back with `headwater redrive`
    "#);
}

#[test]
fn an_empty_quarantine_needs_nobody() {
    assert_eq!(expected().quarantine(0, true, "place"), None);
    assert_eq!(expected().quarantine(1, true, "place").unwrap().summary, "1 record of table orders is in quarantine");
}

#[test]
fn a_notice_that_is_opened_again_keeps_what_receivers_believe() {
    assert_eq!(expected().quarantine(9, false, "place").unwrap().summary, "at least 9 records of table orders are in quarantine");
    let condition = expected().quarantine(2, true, "place").unwrap();
    let mut seen = condition.notice("capture", None);
    seen.beliefs.insert("sns".to_owned(), crate::lease::notice::Belief::Unsure);
    (seen.open, seen.version, seen.since) = (false, 4, 1);
    let again = condition.notice("capture", Some(&seen));
    assert_eq!((again.open, again.version, again.since), (true, 4, NOW));
    assert_eq!(again.beliefs, seen.beliefs);
    assert_eq!(again.key(), condition.key());
}
