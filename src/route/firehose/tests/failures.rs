//! What is sent again, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::Instant;

use super::script::Reply::{Fail, Lose, Refuse, Take};
use super::script::{Bench, Reply, WINDOW, append, at, drain, large, wait_and_poll};
use crate::aws::Failure;
use crate::retry::RetryPolicy;
use crate::route::Progress::{Durable, Unchanged};
use crate::route::{Progress, ShardWriter};

#[tokio::test(start_paused = true)]
async fn refused_records_alone_are_sent_again_before_newer_ones() {
    let bench = Bench::new().await;
    bench.script.reply([Refuse(vec![1, 3]), Take]);
    let mut writer = bench.writer();
    assert_eq!(append(&mut *writer, 1..=4).await, Durable(at(1)), "durable up to the first that is missing");
    assert_eq!(append(&mut *writer, [5]).await, Unchanged);
    assert_eq!(wait_and_poll(&mut *writer).await, Durable(at(4)));
    assert_eq!(wait_and_poll(&mut *writer).await, Durable(at(5)));
    assert_eq!(bench.script.sent(), [vec![vec![1], vec![2], vec![3], vec![4]], vec![vec![2], vec![4]], vec![vec![5]]]);
    assert_eq!(bench.script.delivered_events(), [1, 3, 2, 4, 5], "each once");
    assert_eq!(bench.counters.totals().retried, 2);
    let batches = bench.counters.batches();
    assert_eq!((batches.count(), batches.sum), (3, 5), "what each call had acknowledged: two, two and one");
}

#[tokio::test(start_paused = true)]
async fn newer_events_wait_for_the_back_off_even_when_their_batch_is_full() {
    let bench = Bench::new().await;
    bench.script.reply([Refuse(vec![0]), Take]);
    let mut writer = bench.writer();
    append(&mut *writer, 1..=4).await;
    assert_eq!(append(&mut *writer, 5..=7).await, Durable(at(7)), "four wait again");
    assert_eq!(bench.script.sent()[1..], [vec![vec![1]], vec![vec![5], vec![6], vec![7]]]);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_is_made_again_though_it_may_double() {
    let bench = Bench::new().await;
    bench.script.reply([Lose, Take]);
    let mut writer = bench.writer();
    assert_eq!(append(&mut *writer, 1..=4).await, Unchanged, "nobody knows whether it was taken");
    assert_eq!(wait_and_poll(&mut *writer).await, Durable(at(4)));
    assert_eq!(bench.script.delivered_events(), [1, 2, 3, 4, 1, 2, 3, 4]);
    let ids: Vec<String> = bench.script.delivered().lines().map(|line| line.split('"').nth(3).unwrap().to_owned()).collect();
    assert_eq!(ids[..4], ids[4..], "copies have the same id");
}

#[tokio::test(start_paused = true)]
async fn waits_grow_and_are_spread() {
    let bench = Bench::new().await;
    bench.script.reply([Fail(Failure::Throttled)]);
    let mut writer = bench.writer();
    append(&mut *writer, 1..=4).await;
    for _ in 0..6 {
        assert_eq!(wait_and_poll(&mut *writer).await, Unchanged);
    }
    let calls = bench.script.calls();
    for (attempt, pair) in calls.windows(2).enumerate() {
        let nominal = RetryPolicy::SERVICE.first * 2_u32.pow(u32::try_from(attempt).unwrap());
        let waited = pair[1].at.saturating_sub(pair[0].at);
        assert!(waited >= nominal / 2 && waited <= nominal * 3 / 2 + Duration::from_millis(1), "{attempt}: {waited:?}");
    }
    bench.script.reply([Take]);
    assert_eq!(wait_and_poll(&mut *writer).await, Durable(at(4)));
    bench.script.reply([Fail(Failure::Throttled), Take]);
    append(&mut *writer, 5..=8).await;
    let begun = Instant::now();
    assert_eq!(wait_and_poll(&mut *writer).await, Durable(at(8)));
    assert!(begun.elapsed() <= RetryPolicy::SERVICE.first * 2, "a success ends the series");
}

#[tokio::test(start_paused = true)]
async fn after_a_time_the_error_is_reported_and_nothing_is_lost() {
    for (reply, hint) in [(Refuse(vec![2]), "Slow down"), (Fail(Failure::Unavailable), "AWS_ENDPOINT_URL_FIREHOSE")] {
        let bench = Bench::new().await;
        bench.script.reply([reply.clone(), if let Refuse(_) = reply { Refuse(vec![0]) } else { reply }]);
        let mut writer = bench.writer();
        append(&mut *writer, 1..=4).await;
        let begun = Instant::now();
        let error = drain(&mut *writer).await.unwrap_err();
        let policy = RetryPolicy::SERVICE;
        assert!(begun.elapsed() + policy.longest * 2 >= policy.give_up_after, "{:?}", begun.elapsed());
        assert!(begun.elapsed() <= policy.give_up_after + policy.longest * 2, "{:?}", begun.elapsed());
        assert!(error.hint.contains(hint), "{error}");
        assert!(error.hint.contains(&format!("for {} s", begun.elapsed().as_secs())), "{error}");
        assert!(error.doing.contains("'lake'"), "{error}");
        bench.script.reply([Take]);
        assert_eq!(drain(&mut *writer).await.unwrap(), Durable(at(4)));
        let mut delivered = bench.script.delivered_events();
        delivered.sort_unstable();
        assert_eq!(delivered, [1, 2, 3, 4]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_retry_mends_is_reported_at_once() {
    for (failure, hint) in
        [(Failure::Denied, "firehose:PutRecordBatch"), (Failure::NotFound, "headwater init"), (Failure::Invalid, "direct puts")]
    {
        let bench = Bench::new().await;
        bench.script.reply([Fail(failure)]);
        let mut writer = bench.writer();
        append(&mut *writer, 1..=3).await;
        let begun = Instant::now();
        let error = drain(&mut *writer).await.unwrap_err();
        assert!(error.hint.contains(hint), "{error}");
        assert!(begun.elapsed() < WINDOW);
        assert_eq!(bench.script.sent().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_tells_what_became_durable_before_it_waits_and_so_does_a_failure() {
    let bench = Bench::new().await;
    bench.script.reply([Refuse(vec![1]), Take]);
    let mut writer = bench.writer();
    append(&mut *writer, 1..=2).await;
    let begun = Instant::now();
    assert_eq!(writer.flush().await.unwrap(), Durable(at(1)));
    assert_eq!((begun.elapsed(), writer.is_flushed()), (Duration::ZERO, false));
    assert_eq!(writer.flush().await.unwrap(), Durable(at(2)));
    assert!(writer.is_flushed());

    let bench = Bench { batch: crate::config::BatchSettings { records: 600, ..bench.batch }, ..bench };
    bench.script.reply([Take, Fail(Failure::Denied)]);
    let mut writer = bench.writer();
    append(&mut *writer, 1..=599).await;
    writer.append(at(600), &large(600, 1)).await.unwrap_err();
    assert_eq!(writer.settled(), Durable(at(500)));
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        4 => Just(Take),
        3 => vec(0..6_usize, 1..4).prop_map(Refuse),
        1 => Just(Lose),
        1 => Just(Fail(Failure::Throttled)),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Append,
    Skip,
    Poll,
    Wait,
    Flush,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => Just(Step::Append),
        1 => Just(Step::Skip),
        2 => Just(Step::Poll),
        2 => Just(Step::Wait),
        1 => Just(Step::Flush),
    ];
    vec(step, 1..60)
}

/// Takes the steps; checks after each that nothing is reported as durable that was not delivered.
async fn run(bench: &Bench, writer: &mut dyn ShardWriter, steps: Vec<Step>) -> Vec<u64> {
    let mut taken = Vec::new();
    let mut durable = 0;
    for (step, position) in steps.into_iter().chain([Step::Flush]).zip(1..) {
        let progress = match step {
            Step::Append => {
                taken.push(position);
                append(writer, [position]).await
            }
            Step::Skip => {
                writer.skip(at(position));
                Progress::Unchanged
            }
            Step::Poll => writer.poll().await.unwrap(),
            Step::Wait => match tokio::time::timeout(WINDOW * 60, writer.due()).await {
                Ok(()) => writer.poll().await.unwrap(),
                Err(_) => Progress::Unchanged,
            },
            Step::Flush => drain(writer).await.unwrap(),
        };
        if let Durable(position) = progress {
            let position: u64 = position.sequence().parse().unwrap();
            assert!(position > durable, "it moves on");
            durable = position;
        }
        let delivered = bench.script.delivered_events();
        assert!(taken.iter().filter(|number| **number <= durable).all(|number| delivered.contains(number)));
    }
    assert!(taken.last().is_none_or(|last| *last <= durable), "a flush leaves nothing");
    taken
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn every_event_is_delivered_and_twice_only_when_an_answer_was_lost(
        steps in steps(),
        replies in vec(reply(), 0..12),
        packing in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let bench = Bench { packing, ..Bench::new().await };
            let lost = replies.iter().filter(|reply| matches!(reply, Lose)).count();
            bench.script.reply(replies.into_iter().chain([Take]));
            let taken = run(&bench, &mut *bench.writer(), steps).await;
            let mut copies = BTreeMap::new();
            for event in bench.script.delivered_events() {
                *copies.entry(event).or_insert(0) += 1;
            }
            assert_eq!(copies.keys().copied().collect::<Vec<_>>(), taken, "all of them, and nothing else");
            assert!(copies.values().all(|copies| *copies <= 1 + lost));
            let totals = bench.counters.totals();
            assert_eq!(totals.events, taken.len() as u64, "each is acknowledged once");
            assert_eq!(bench.budget.held(), 0);
        });
    }
}
