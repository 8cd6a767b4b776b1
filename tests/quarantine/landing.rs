//! Redrives into the lake: each change lands once, whoever dies when.

use headwater::config::LaterRecords;
use headwater::event::ShardId;
use headwater::lake::{Format, Kind};
use headwater::lease::Checkpoint;
use headwater::redrive::{Fate, Report, Selection, discard};
use headwater::route::budget::MemoryBudget;
use headwater::route::lake::LakeRoute;
use headwater::route::{Progress, Route};

use super::bench::{Bench, Manner, SINGLE, WHOLE, at, record, schema, shard};

const FIVE: [(u64, &str, bool); 5] = [(1, "a", true), (2, "b", true), (4, "a", true), (5, "a", true), (7, "c", true)];

fn ids(numbers: &[u64]) -> Vec<String> {
    numbers.iter().map(|number| format!("e{number}")).collect()
}

async fn run(bench: &Bench, manner: Manner) -> Report {
    bench.redrive(manner).await.run(&Selection::default(), None).await.unwrap()
}

#[tokio::test]
async fn a_redrive_that_dies_at_any_write_is_finished_by_the_next_one() {
    let ndjson = Manner { format: Format::Ndjson, single: true };
    for (first, second) in [(SINGLE, SINGLE), (SINGLE, WHOLE), (WHOLE, SINGLE), (SINGLE, ndjson), (ndjson, WHOLE)] {
        for applied in [false, true] {
            let mut deaths = 0;
            loop {
                let bench = Bench::new();
                bench.quarantine(&FIVE).await;
                let redrive = bench.redrive(first).await;
                bench.store.arm(deaths + 1, applied);
                let ended = redrive.run(&Selection::default(), None).await;
                if !bench.store.revive() {
                    ended.unwrap();
                    break;
                }
                assert!(ended.is_err(), "{first:?} {deaths}");
                deaths += 1;
                // The one after it dies as well, early in its work, and a third one comes.
                let redrive = bench.redrive(second).await;
                bench.store.arm(2, applied);
                let _ = redrive.run(&Selection::default(), None).await;
                bench.store.revive();
                let report = run(&bench, second).await;
                assert_eq!(report.stays().count(), 0, "{first:?} {second:?} {deaths} {applied}: {report:?}");
                assert_eq!(bench.landed().await, ids(&[1, 2, 4, 5, 7]), "{first:?} {second:?} {deaths} {applied}");
                assert_eq!(bench.left().await, 0, "{first:?} {second:?} {deaths} {applied}");
            }
            assert!(deaths >= 7, "a plan, an object for each of three hours and five deletions are nine writes or more, not {deaths}");
        }
    }
}

#[tokio::test]
async fn two_redrives_at_one_time_land_each_change_once() {
    for (first, second) in [(SINGLE, SINGLE), (SINGLE, WHOLE), (WHOLE, WHOLE)] {
        for head_start in 0..40 {
            let bench = Bench::new();
            bench.quarantine(&FIVE).await;
            let (one, two) = (bench.redrive(first).await, bench.redrive(second).await);
            let late = async {
                for _ in 0..head_start {
                    tokio::task::yield_now().await;
                }
                two.run(&Selection::default(), None).await.unwrap()
            };
            let (one, two) = tokio::join!(async { one.run(&Selection::default(), None).await.unwrap() }, late);
            assert_eq!((one.stays().count(), two.stays().count()), (0, 0), "{head_start}: {one:?} {two:?}");
            assert_eq!(bench.landed().await, ids(&[1, 2, 4, 5, 7]), "{first:?} {second:?} {head_start}");
            assert_eq!(bench.left().await, 0);
        }
    }
}

/// Lands changes as the shard's own reader does.
async fn land(bench: &Bench, numbers: &[u64]) {
    let lake = bench.lake(WHOLE).await;
    let route = LakeRoute::new(lake, MemoryBudget::new(1 << 30));
    let mut writer = route.open(&shard(), at(0)).await.unwrap();
    let flattener = headwater::event::flatten::Flattener::new(&schema());
    for number in numbers {
        let raw = record(*number, "a", true);
        let headwater::event::decode::Decoded::Record(decoded) = headwater::event::decode::parse_record(&raw) else { panic!("{raw}") };
        writer.append(at(*number), &flattener.flatten(&decoded, "shardId-1").unwrap()).await.unwrap();
    }
    while !writer.is_flushed() {
        assert!(!matches!(writer.flush().await.unwrap(), Progress::Rewind(_)));
    }
}

#[tokio::test]
async fn a_record_that_was_read_again_and_landed_is_not_sent() {
    let bench = Bench::new();
    bench.quarantine(&[(1, "a", true), (2, "b", true), (4, "a", true)]).await;
    // Under the new contract 1 was read again before its checkpoint had passed it; 2 was passed over.
    land(&bench, &[1, 3, 5]).await;
    let report = run(&bench, WHOLE).await;
    let fates: Vec<&Fate> = report.outcomes.iter().map(|outcome| &outcome.fate).collect();
    assert_eq!(fates, [&Fate::LandedBefore, &Fate::Sent, &Fate::Sent]);
    assert_eq!((bench.landed().await, bench.left().await), (ids(&[1, 2, 3, 4, 5]), 0));
}

#[tokio::test]
async fn a_record_that_may_be_read_again_stays() {
    let mut bench = Bench::new();
    bench.quarantine(&[(1, "a", true), (4, "b", true)]).await;
    bench.checkpoint = Checkpoint::At(at(3));
    let report = run(&bench, WHOLE).await;
    let Fate::Stays(reason) = &report.outcomes[1].fate else { panic!("{report:?}") };
    assert!(reason.contains("checkpoint of shard shardId-1 has not passed it"), "{reason}");
    assert_eq!((bench.landed().await, bench.left().await), (ids(&[1]), 1));
    bench.checkpoint = Checkpoint::At(at(4));
    run(&bench, WHOLE).await;
    assert_eq!((bench.landed().await, bench.left().await), (ids(&[1, 4]), 0));
}

#[tokio::test]
async fn what_is_no_change_still_stays_and_holds_back_its_item_only_if_it_shall() {
    for (later_records, sent, held) in [(LaterRecords::Pass, vec![1, 3, 4, 5], 1), (LaterRecords::Wait, vec![1, 3, 5], 2)] {
        let bench = Bench { later_records, ..Bench::new() };
        bench.quarantine(&[(1, "a", true), (2, "a", false), (3, "b", true), (4, "a", true), (5, "c", true)]).await;
        let rehearsed = bench.redrive(WHOLE).await.rehearse(&Selection::default(), None).await.unwrap();
        assert_eq!((bench.landed().await.len(), bench.left().await), (0, 5), "a rehearsal changes nothing");
        let report = run(&bench, WHOLE).await;
        assert_eq!(report.stays().collect::<Vec<_>>(), rehearsed.stays().collect::<Vec<_>>());
        assert_eq!((report.stays().count(), report.sent()), (held, sent.len() as u64));
        assert_eq!(report.outcomes.iter().filter(|outcome| outcome.fate == Fate::Sent).count(), sent.len());
        assert_eq!((bench.landed().await, bench.left().await), (ids(&sent), held as u64));
    }
}

#[tokio::test]
async fn what_waits_is_not_sent_before_what_it_waits_for_because_of_a_selection() {
    let bench = Bench { later_records: LaterRecords::Wait, ..Bench::new() };
    bench.quarantine(&[(1, "a", true), (2, "b", true), (3, "a", true), (4, "c", true)]).await;
    let selection = Selection { since: Some(super::bench::time(3)), kind: Some(Kind::Behind), ..Selection::default() };
    let report = bench.redrive(WHOLE).await.run(&selection, None).await.unwrap();
    assert_eq!((report.sent(), report.stays().count()), (1, 1), "{report:?}");
    assert_eq!(bench.landed().await, ids(&[4]));
    let report = bench.redrive(WHOLE).await.run(&Selection::default(), Some(2)).await.unwrap();
    assert_eq!((report.sent(), bench.landed().await), (2, ids(&[1, 2, 4])), "the first ones");
}

#[tokio::test]
async fn more_than_one_plan_holds_goes_in_several() {
    let bench = Bench::new();
    let items: Vec<String> = (1..=1200).map(|number| format!("k{number}")).collect();
    let records: Vec<(u64, &str, bool)> = (1..).zip(&items).map(|(number, item)| (number, item.as_str(), true)).collect();
    bench.quarantine(&records).await;
    let report = run(&bench, WHOLE).await;
    assert_eq!((report.sent(), bench.landed().await.len(), bench.left().await), (1200, 1200, 0));
}

#[tokio::test]
async fn what_is_set_aside_counts_no_more_and_is_kept() {
    let bench = Bench::new();
    bench.quarantine(&[(1, "a", true), (2, "b", false)]).await;
    let quarantine = bench.lake(WHOLE).await.quarantined();
    let mut entries = Vec::new();
    quarantine.read_all(|entry| entries.push(entry)).await.unwrap();
    let poison: Vec<_> = entries.iter().filter(|entry| entry.kind == Kind::Undecodable).cloned().collect();
    let report = discard(&quarantine, &poison).await.unwrap();
    assert_eq!(report.outcomes[0].fate, Fate::Discarded);
    assert_eq!(bench.left().await, 1);
    let kept: Vec<_> = bench.names().await.into_iter().filter(|name| name.contains("/quarantine/discarded/dt=2026-11-21/")).collect();
    assert_eq!(kept.len(), 1, "{:?}", bench.names().await);

    // What a redrive has begun with may have landed.
    let redrive = bench.redrive(WHOLE).await;
    bench.store.arm(2, true);
    redrive.run(&Selection::default(), None).await.unwrap_err();
    assert!(bench.store.revive());
    let report = discard(&quarantine, &entries).await.unwrap();
    assert_eq!((report.stays().count(), bench.left().await), (1, 1));
    run(&bench, WHOLE).await;
    assert_eq!((bench.landed().await, bench.left().await), (ids(&[1]), 0));
}

#[tokio::test]
async fn records_of_a_stage_that_is_not_configured_stay() {
    let bench = Bench::new();
    let lake = bench.lake(WHOLE).await;
    let record = headwater::lake::PoisonRecord {
        shard: &ShardId::new("1:stream:2:shardId-0"),
        position: Some(at(1)),
        event_id: None,
        key: None,
        raw: b"{}",
        kind: Kind::Undecodable,
        reason: "",
        time: super::bench::THREE_O_CLOCK,
    };
    lake.quarantine(&record).await.unwrap();
    let report = run(&bench, WHOLE).await;
    let Fate::Stays(reason) = &report.outcomes[0].fate else { panic!("{report:?}") };
    assert!(reason.contains("no route for records of deliver"), "{reason}");
}
