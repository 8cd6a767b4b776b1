//! The writer against a stream that does what it is told, on paused time.

mod model;
mod pressure;
mod snapshots;
mod stream;
mod turns;

use std::collections::HashSet;
use std::time::Duration;

use self::stream::{Change, FakeStream, Fate, event, shared};
use super::*;
use crate::aws::Failure;
use crate::config::BatchSettings;
use crate::route::budget::MemoryBudget;
use crate::route::kinesis::plan::PlannedRecord;

const BATCH: BatchSettings = BatchSettings { records: 1000, bytes: 1 << 20, window: Duration::from_secs(1) };

fn at(n: u64) -> Position {
    Position::new(&n.to_string(), 0).unwrap()
}

fn writer_of(shared: Shared) -> KinesisWriter {
    KinesisWriter::new(Arc::new(shared), ShardId::new("shard-of-the-table"), Position::ZERO)
}

async fn writer(stream: &Arc<FakeStream>, aggregate: bool) -> KinesisWriter {
    writer_of(shared(stream, aggregate, BATCH).await)
}

/// Takes changes numbered from 1 on, of these items.
async fn take(writer: &mut KinesisWriter, items: &[&str]) {
    for (n, item) in (1..).zip(items) {
        assert_eq!(writer.append(at(n), &event(n, item, 10)).await.unwrap(), Progress::Unchanged);
    }
}

fn changes(of: &[(u64, &str)]) -> Vec<Change> {
    of.iter().map(|(n, item)| (*n, (*item).to_owned())).collect()
}

fn holds(item: &str) -> impl Fn(&PlannedRecord) -> bool + Send + 'static {
    let item = item.to_owned();
    move |record| *record.partition_key == *item
}

async fn poll_when_due(writer: &mut KinesisWriter) -> Progress {
    writer.due().await;
    writer.poll().await.unwrap()
}

/// Flushes step by step to the end; what the last step told.
async fn drain(writer: &mut KinesisWriter) -> Result<Progress, RouteError> {
    let mut told = Progress::Unchanged;
    loop {
        match writer.flush().await? {
            Progress::Unchanged => {}
            further => told = further,
        }
        if writer.is_flushed() {
            return Ok(told);
        }
    }
}

/// Whether nothing is due for an hour.
async fn is_idle(writer: &mut KinesisWriter) -> bool {
    tokio::time::timeout(Duration::from_hours(1), writer.due()).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_sent_when_its_window_has_passed() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, true).await;
    let begun = Instant::now();
    take(&mut writer, &["a", "b", "a"]).await;
    tokio::time::advance(BATCH.window / 2).await;
    assert_eq!(writer.poll().await.unwrap(), Progress::Unchanged);
    assert!(stream.state().calls.is_empty());
    assert_eq!(poll_when_due(&mut writer).await, Progress::Durable(at(3)));
    assert!((BATCH.window..BATCH.window + Duration::from_millis(5)).contains(&begun.elapsed()));
    assert_eq!(stream.state().calls.len(), 1);
    assert!(is_idle(&mut writer).await);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_sent_when_it_has_its_events_or_its_bytes() {
    let stream = FakeStream::new();
    let mut writer = writer_of(shared(&stream, true, BatchSettings { records: 3, ..BATCH }).await);
    take(&mut writer, &["a", "b"]).await;
    assert_eq!(writer.append(at(3), &event(3, "a", 1)).await.unwrap(), Progress::Durable(at(3)));
    let mut writer = writer_of(shared(&stream, true, BatchSettings { bytes: 1000, ..BATCH }).await);
    take(&mut writer, &["a"]).await;
    assert_eq!(writer.append(at(2), &event(2, "a", 800)).await.unwrap(), Progress::Durable(at(2)));
}

#[tokio::test(start_paused = true)]
async fn a_flush_drains_and_a_dropped_writer_abandons() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, true).await;
    take(&mut writer, &["a", "b"]).await;
    stream.state().fates.extend([Fate::throttles(|_| true), Fate::Fails(Failure::Throttled), Fate::AnswerLost]);
    assert_eq!(drain(&mut writer).await.unwrap(), Progress::Durable(at(2)));
    writer.append(at(3), &event(3, "a", 1)).await.unwrap();
    drop(writer);
    let unique: HashSet<Change> = stream.state().seen.iter().cloned().collect();
    assert_eq!(unique, changes(&[(1, "a"), (2, "b")]).into_iter().collect());
}

#[tokio::test(start_paused = true)]
async fn a_failed_record_goes_before_later_ones_of_its_key_and_other_keys_go_on() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, false).await;
    take(&mut writer, &["a", "b", "a", "b"]).await;
    stream.state().fates.push_back(Fate::throttles(holds("a")));
    let before = writer.shared.counters.totals();
    let throttled = || retry::counts()[Cause::Throttled as usize].1;
    let throttled_before = throttled();
    assert_eq!(poll_when_due(&mut writer).await, Progress::Unchanged);
    assert_eq!(stream.state().seen, changes(&[(2, "b"), (4, "b")]));
    // Later changes of both are taken while `a` waits, and only `b` goes on.
    writer.append(at(5), &event(5, "a", 1)).await.unwrap();
    writer.append(at(6), &event(6, "b", 1)).await.unwrap();
    writer.release();
    assert_eq!(writer.poll().await.unwrap(), Progress::Unchanged);
    assert_eq!(stream.state().seen, changes(&[(2, "b"), (4, "b"), (6, "b")]));
    assert_eq!(poll_when_due(&mut writer).await, Progress::Durable(at(6)));
    assert_eq!(stream.state().seen[3..], changes(&[(1, "a"), (3, "a"), (5, "a")]));
    let totals = writer.shared.counters.totals();
    assert_eq!((before.records, totals.records, totals.events, totals.retried), (0, 6, 6, 1));
    assert_eq!(writer.shared.counters.batches().sum, 6);
    // Other tests of this process count here too.
    assert!(throttled() > throttled_before);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_shard_holds_back_its_own_items_only() {
    let stream = FakeStream::new();
    let (left, right) = (stream.item_of(0), stream.item_of(1));
    let mut writer = writer(&stream, true).await;
    take(&mut writer, &[&left, &left, &right, &right]).await;
    let first = stream.item_of(0);
    stream.state().fates.push_back(Fate::throttles(move |record| record.hash_keys.0 == crate::route::shard_map::HashKey::of(&first)));
    assert_eq!(poll_when_due(&mut writer).await, Progress::Unchanged);
    assert_eq!(stream.state().seen, changes(&[(3, &right), (4, &right)]));
    assert_eq!(poll_when_due(&mut writer).await, Progress::Durable(at(4)));
    assert_eq!(stream.state().seen[2..], changes(&[(1, &left), (2, &left)]));
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_is_made_again_with_everything_in_it() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, true).await;
    let (left, right) = (stream.item_of(0), stream.item_of(1));
    take(&mut writer, &[&left, &right, &left]).await;
    stream.state().fates.push_back(Fate::AnswerLost);
    assert_eq!(poll_when_due(&mut writer).await, Progress::Unchanged, "nobody knows whether it is durable");
    assert_eq!(poll_when_due(&mut writer).await, Progress::Durable(at(3)));
    let state = stream.state();
    assert_eq!(state.calls[0], state.calls[1]);
    assert_eq!(state.seen.len(), 6, "a repetition, of the same events");
    assert_eq!(writer.shared.counters.totals().retried, 2);
}

#[tokio::test(start_paused = true)]
async fn waits_grow_and_a_shard_that_refuses_for_too_long_is_given_up_by_name() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, true).await;
    let left = stream.item_of(0);
    take(&mut writer, &[&left]).await;
    stream.state().later = Some(Box::new(|| Fate::throttles(|_| true)));
    let begun = Instant::now();
    let error = drain(&mut writer).await.unwrap_err();
    let (policy, calls) = (RetryPolicy::SERVICE, stream.state().calls.len());
    assert!(begun.elapsed() <= policy.give_up_after && begun.elapsed() > policy.give_up_after / 2, "{:?}", begun.elapsed());
    assert!((20..200).contains(&calls), "{calls} calls");
    let text = error.to_string();
    for part in ["shard-of-the-table", "'changes'", "shardId-000000000000", "ProvisionedThroughputExceededException", "add shards"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_answer_is_given_up() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, true).await;
    take(&mut writer, &["a"]).await;
    stream.state().later = Some(Box::new(|| Fate::Fails(Failure::Unavailable)));
    let error = drain(&mut writer).await.unwrap_err().to_string();
    assert!(error.contains("no call succeeded for") && error.contains("AWS_ENDPOINT_URL_KINESIS"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_does_not_pass_is_told_at_once() {
    for (failure, expected) in [(Failure::NotFound, "headwater init"), (Failure::Denied, "kinesis:PutRecords")] {
        let stream = FakeStream::new();
        let mut writer = writer(&stream, true).await;
        take(&mut writer, &["a"]).await;
        stream.state().fates.push_back(Fate::Fails(failure));
        let error = drain(&mut writer).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(stream.state().calls.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_aggregated_record_on_a_shard_that_does_not_take_all_of_its_keys_is_built_anew() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, true).await;
    stream.state().split(0);
    // Both were on the first shard before the split.
    let (left, right) = (stream.item_of(0), stream.item_of(1));
    take(&mut writer, &[&left, &right, &left, &right]).await;
    assert_eq!(poll_when_due(&mut writer).await, Progress::Durable(at(4)), "at once, since the new map is known");
    let state = stream.state();
    assert_eq!((state.passed_over, state.listings), (1, 1));
    assert_eq!(state.calls[0], [changes(&[(1, &left), (2, &right), (3, &left), (4, &right)])]);
    assert_eq!(state.calls[1], [changes(&[(1, &left), (3, &left)]), changes(&[(2, &right), (4, &right)])]);
    assert_eq!(writer.shared.counters.totals().misplaced, 1);
}

#[tokio::test(start_paused = true)]
async fn an_aggregated_record_on_another_shard_that_takes_all_of_its_keys_is_delivered() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, true).await;
    stream.state().merge(0);
    take(&mut writer, &["a", "b", "a"]).await;
    assert_eq!(poll_when_due(&mut writer).await, Progress::Durable(at(3)));
    assert_eq!(stream.calls_and_listings(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_lags_behind_a_reshard_is_asked_again() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, true).await;
    stream.state().split(0);
    stream.state().late_listings = 2;
    let (left, right) = (stream.item_of(0), stream.item_of(1));
    take(&mut writer, &[&left, &right]).await;
    assert_eq!(poll_when_due(&mut writer).await, Progress::Durable(at(2)));
    let state = stream.state();
    assert_eq!((state.passed_over, state.listings), (1, 2));
    assert_eq!(state.seen, changes(&[(1, &left), (2, &right)]), "one by one, since no map tells where they belong");
}

#[tokio::test(start_paused = true)]
async fn an_event_alone_is_delivered_wherever_it_lands() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, true).await;
    stream.state().split(0);
    let left = stream.item_of(0);
    take(&mut writer, &[&left]).await;
    assert_eq!(poll_when_due(&mut writer).await, Progress::Durable(at(1)));
    assert_eq!(stream.calls_and_listings(), (1, 0));
    writer.append(at(2), &event(2, &left, 1)).await.unwrap();
    drain(&mut writer).await.unwrap();
    assert_eq!(stream.state().listings, 1, "its shard was not the foretold one: the map is old");
}

#[tokio::test(start_paused = true)]
async fn when_memory_is_short_what_is_gathered_is_sent_and_a_throttled_shard_makes_the_reader_wait() {
    let stream = FakeStream::new();
    let mut shared = shared(&stream, true, BATCH).await;
    shared.budget = MemoryBudget::new(8000);
    let budget = Arc::clone(&shared.budget);
    let mut writer = writer_of(shared);
    let left = stream.item_of(0);
    stream.state().fates.extend((0..3).map(|_| Fate::throttles(|_| true)));
    let begun = Instant::now();
    for n in 1..=20 {
        writer.append(at(n), &event(n, &left, 1000)).await.unwrap();
        assert!(budget.held() <= 8000, "{} held", budget.held());
    }
    assert!(begun.elapsed() > Duration::from_millis(100), "back-offs were waited out");
    assert!(!stream.state().seen.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_is_asked_for_memory_sends_before_its_window_has_passed() {
    let stream = FakeStream::new();
    let shared = shared(&stream, true, BATCH).await;
    let mut writer = writer_of(Shared { budget: MemoryBudget::new(100), ..shared });
    let begun = Instant::now();
    take(&mut writer, &["a"]).await;
    stream.state().fates.push_back(Fate::throttles(|_| true));
    assert_eq!(poll_when_due(&mut writer).await, Progress::Unchanged);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // Nothing more can be done for memory's sake while the shard refuses.
    assert_eq!(poll_when_due(&mut writer).await, Progress::Durable(at(1)));
    assert!(begun.elapsed() >= RetryPolicy::SERVICE.first / 2);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_too_large_is_claimed_from_the_lake_and_its_neighbours_go_on() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, true).await;
    for (n, size) in [(1, 10), (2, 2 << 20), (3, 10)] {
        writer.append(at(n), &event(n, "a", size)).await.unwrap();
    }
    let progress = drain(&mut writer).await.unwrap();
    assert_eq!(progress, Progress::Durable(at(3)));
    assert_eq!(stream.state().seen, changes(&[(1, "a"), (2, "a"), (3, "a")]));
    assert_eq!(writer.shared.lake.counters().read().claims, 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_too_large_goes_to_quarantine_if_it_shall() {
    for large_records in [LargeRecords::Quarantine, LargeRecords::Raise] {
        let stream = FakeStream::new();
        let mut writer = writer_of(Shared { large_records, ..shared(&stream, true, BATCH).await });
        take(&mut writer, &["a"]).await;
        assert_eq!(writer.append(at(2), &event(2, "a", 2 << 20)).await.unwrap(), Progress::Unchanged);
        assert_eq!(drain(&mut writer).await.unwrap(), Progress::Durable(at(2)));
        assert_eq!(stream.state().seen, changes(&[(1, "a")]));
        assert_eq!(writer.shared.lake.quarantined().count(u64::MAX).await.unwrap(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_just_small_enough_is_not_replaced() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, true).await;
    let mut line = Vec::new();
    write_ndjson(&event(1, "a", 0), writer.shared.lake.schema(), writer.shared.decimals, &mut line);
    let room = writer.shared.record_limit - line.len() - "a".len();
    writer.append(at(1), &event(1, "a", room)).await.unwrap();
    assert_eq!(writer.shared.lake.counters().read().claims, 0);
    assert_eq!(drain(&mut writer).await.unwrap(), Progress::Durable(at(1)));
    writer.append(at(2), &event(2, "a", room + 1)).await.unwrap();
    assert_eq!(writer.shared.lake.counters().read().claims, 1);
    assert_eq!(drain(&mut writer).await.unwrap(), Progress::Durable(at(2)));
}

#[tokio::test(start_paused = true)]
async fn a_skipped_record_is_told_and_a_repeated_one_is_not_taken_again() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, true).await;
    writer.skip(at(1));
    assert_eq!(poll_when_due(&mut writer).await, Progress::Durable(at(1)));
    assert_eq!(writer.append(at(1), &event(1, "a", 1)).await.unwrap(), Progress::Unchanged);
    assert_eq!(drain(&mut writer).await.unwrap(), Progress::Unchanged);
    assert!(stream.state().calls.is_empty());
}
