//! When records are sent, and what they hold.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::script::{Bench, WINDOW, append, at, drain, large, wait_and_poll};
use crate::route::Progress::{Durable, Unchanged};
use crate::route::budget::MemoryBudget;

#[tokio::test(start_paused = true)]
async fn a_full_batch_is_sent_at_once() {
    let bench = Bench::new().await;
    let mut writer = bench.writer();
    assert_eq!(append(&mut *writer, 1..=3).await, Unchanged);
    assert!(bench.script.calls().is_empty());
    assert_eq!(append(&mut *writer, [4]).await, Durable(at(4)));
    assert_eq!(bench.script.sent(), [[[1], [2], [3], [4]]]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_full_by_its_bytes_too() {
    let mut bench = Bench::new().await;
    bench.batch.bytes = 2_000;
    let mut writer = bench.writer();
    assert_eq!(writer.append(at(1), &large(1, 1_000)).await.unwrap(), Unchanged);
    assert_eq!(writer.append(at(2), &large(2, 1_000)).await.unwrap(), Durable(at(2)));
}

#[tokio::test(start_paused = true)]
async fn the_first_event_waits_no_longer_than_the_window() {
    let bench = Bench::new().await;
    let mut writer = bench.writer();
    let begun = Instant::now();
    append(&mut *writer, [1]).await;
    tokio::time::sleep(WINDOW / 2).await;
    append(&mut *writer, [2]).await;
    assert_eq!(writer.poll().await.unwrap(), Unchanged, "not before its time");
    assert_eq!(wait_and_poll(&mut *writer).await, Durable(at(2)));
    assert_eq!(begun.elapsed(), WINDOW);
    assert_eq!(bench.script.sent(), [[[1], [2]]]);
    assert!(timeout(10 * WINDOW, writer.due()).await.is_err(), "nothing waits, so nothing is due");
}

#[tokio::test(start_paused = true)]
async fn packed_events_share_a_record_up_to_a_billing_step() {
    let mut bench = Bench::new().await;
    bench.packing = true;
    bench.batch.records = 10;
    let mut writer = bench.writer();
    for number in 1..=10 {
        writer.append(at(number), &large(number, 1_000)).await.unwrap();
    }
    assert_eq!(bench.script.sent(), [[vec![1, 2, 3, 4], vec![5, 6, 7, 8], vec![9, 10]]]);
    assert_eq!(bench.script.delivered().lines().count(), 10);
    let totals = bench.counters.totals();
    assert_eq!((totals.calls, totals.records, totals.events, totals.units, totals.retried), (1, 3, 10, 3, 0));
    assert_eq!(totals.bytes, bench.script.delivered().len() as u64);
}

#[tokio::test(start_paused = true)]
async fn a_batch_larger_than_a_call_goes_in_several() {
    let mut bench = Bench::new().await;
    bench.batch.records = 1_200;
    let mut writer = bench.writer();
    assert_eq!(append(&mut *writer, 1..=1_200).await, Durable(at(1_200)));
    assert_eq!(bench.script.sent().iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 200]);
}

#[tokio::test(start_paused = true)]
async fn flush_sends_everything_and_an_empty_writer_makes_no_call() {
    let bench = Bench::new().await;
    let mut writer = bench.writer();
    assert_eq!(drain(&mut *writer).await.unwrap(), Unchanged);
    append(&mut *writer, 1..=3).await;
    assert_eq!(drain(&mut *writer).await.unwrap(), Durable(at(3)));
    assert_eq!(drain(&mut *writer).await.unwrap(), Unchanged);
    assert_eq!(bench.script.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_before_is_not_taken_again() {
    let bench = Bench::new().await;
    let mut writer = bench.writer();
    append(&mut *writer, [5, 5, 4, 6]).await;
    drain(&mut *writer).await.unwrap();
    assert_eq!(bench.script.delivered_events(), [5, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_skipped_record_is_durable_behind_those_that_were_sent() {
    let bench = Bench::new().await;
    let mut writer = bench.writer();
    writer.skip(at(1));
    assert_eq!(wait_and_poll(&mut *writer).await, Durable(at(1)), "there is nothing to wait for");
    append(&mut *writer, [2]).await;
    writer.skip(at(3));
    assert_eq!(writer.poll().await.unwrap(), Unchanged);
    assert_eq!(wait_and_poll(&mut *writer).await, Durable(at(3)));
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_holds_too_much_sends_it() {
    let mut bench = Bench::new().await;
    bench.batch.records = 1_000;
    bench.budget = MemoryBudget::new(10_000);
    let (mut one, mut other) = (bench.writer(), bench.writer());
    one.append(at(1), &large(1, 6_000)).await.unwrap();
    let begun = Instant::now();
    let no_room = large(1, 5_000);
    let (taken, given) = tokio::join!(other.append(at(1), &no_room), wait_and_poll(&mut *one));
    assert_eq!((taken.unwrap(), given), (Unchanged, Durable(at(1))), "the largest is asked, and only then is there room");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(other.poll().await.unwrap(), Unchanged);
    other.append(at(2), &large(2, 6_000)).await.unwrap();
    assert_eq!(other.append(at(3), &large(3, 6_000)).await.unwrap(), Durable(at(2)), "an append sends first what is too much");
    assert!(bench.budget.held() < 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_writer_abandons_what_it_holds() {
    let bench = Bench::new().await;
    let mut writer = bench.writer();
    append(&mut *writer, 1..=3).await;
    assert!(bench.budget.held() > 0);
    drop(writer);
    tokio::time::sleep(10 * WINDOW).await;
    assert_eq!(bench.budget.held(), 0);
    assert!(bench.script.calls().is_empty());
}
