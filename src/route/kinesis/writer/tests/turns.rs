//! What a writer tells, and when, while some of it cannot be sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::stream::{FakeStream, Fate, event, shared};
use super::{BATCH, at, drain, holds, poll_when_due, take, writer, writer_of};
use crate::aws::Failure;
use crate::event::{Position, ShardId};
use crate::route::budget::MemoryBudget;
use crate::route::kinesis::writer::TURN;
use crate::route::kinesis::{KinesisRoute, Shared};
use crate::route::{Progress, Route, ShardWriter};

#[tokio::test(start_paused = true)]
async fn a_flush_tells_what_became_durable_before_it_waits() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, false).await;
    take(&mut writer, &["a", "b"]).await;
    stream.state().fates.push_back(Fate::throttles(holds("b")));
    let begun = Instant::now();
    assert_eq!(writer.flush().await.unwrap(), Progress::Durable(at(1)));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(!writer.is_flushed());
    assert_eq!(writer.flush().await.unwrap(), Progress::Durable(at(2)));
    assert!(writer.is_flushed());
}

#[tokio::test(start_paused = true)]
async fn what_became_durable_before_a_failure_can_be_told() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, false).await;
    take(&mut writer, &["a", "b", "a"]).await;
    stream.state().fates.extend([Fate::Answered, Fate::Fails(Failure::Denied)]);
    writer.flush().await.unwrap_err();
    assert_eq!(writer.settled(), Progress::Durable(at(2)));
    assert_eq!(writer.settled(), Progress::Unchanged);
}

#[tokio::test(start_paused = true)]
async fn a_long_backlog_is_sent_in_turns_and_each_tells_how_far_it_came() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, false).await;
    take(&mut writer, &["a"; 50]).await;
    stream.state().takes = TURN / 10;
    assert_eq!(poll_when_due(&mut writer).await, Progress::Durable(at(10)));
    let begun = Instant::now();
    writer.due().await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "there is more to send");
    assert_eq!(writer.poll().await.unwrap(), Progress::Durable(at(20)));
    assert_eq!(drain(&mut writer).await.unwrap(), Progress::Durable(at(50)));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_item_is_tried_again_amid_the_turn() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, false).await;
    let items: Vec<&str> = std::iter::once("a").chain(std::iter::repeat_n("b", 8)).collect();
    take(&mut writer, &items).await;
    stream.state().takes = TURN / 10;
    stream.state().fates.push_back(Fate::throttles(holds("a")));
    poll_when_due(&mut writer).await;
    let place = stream.state().seen.iter().position(|(_, item)| item == "a");
    assert!(place.is_some_and(|place| place < 4), "{place:?}");
}

#[tokio::test(start_paused = true)]
async fn appends_send_first_when_several_batches_are_left() {
    let stream = FakeStream::new();
    let batch = crate::config::BatchSettings { records: 10, ..BATCH };
    let mut writer = writer_of(shared(&stream, false, batch).await);
    stream.state().takes = TURN;
    for n in 1..=200 {
        writer.append(at(n), &event(n, "a", 1)).await.unwrap();
        assert!(writer.outbox.len() <= 41, "{}", writer.outbox.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_writer_does_not_starve_its_neighbours_of_memory() {
    let (busy, stream) = (FakeStream::new(), FakeStream::new());
    let budget = MemoryBudget::new(20_000);
    let with_budget = |shared: Shared| writer_of(Shared { budget: Arc::clone(&budget), ..shared });
    let mut blocked = with_budget(shared(&busy, true, BATCH).await);
    let mut other = with_budget(shared(&stream, true, BATCH).await);
    busy.state().later = Some(Box::new(|| Fate::throttles(|_| true)));
    for n in 1..=12 {
        blocked.append(at(n), &event(n, "a", 500)).await.unwrap();
    }
    poll_when_due(&mut blocked).await;
    let begun = Instant::now();
    for n in 1..=20 {
        other.append(at(n), &event(n, "b", 2000)).await.unwrap();
        assert!(budget.held() <= budget.limit(), "{}", budget.held());
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // The blocked one waits for its own shard.
    let appended = tokio::time::timeout(Duration::from_mins(1), blocked.append(at(20), &event(20, "a", 500))).await;
    assert!(appended.is_err());
    assert!(budget.held() <= budget.limit(), "{}", budget.held());
}

#[tokio::test(start_paused = true)]
async fn memory_is_given_back_after_each_call() {
    let stream = FakeStream::new();
    let shared = shared(&stream, false, BATCH).await;
    let budget = Arc::clone(&shared.budget);
    let mut writer = writer_of(shared);
    take(&mut writer, &["a"; 10]).await;
    let before = budget.held();
    stream.state().takes = TURN / 20;
    let (_, ()) = tokio::join!(writer.flush(), async {
        tokio::time::sleep(TURN / 5 * 2).await;
        assert!((1..before / 5 * 3).contains(&budget.held()), "{} of {before}", budget.held());
    });
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_set_to_spread_records_by_itself_is_refused() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, true).await;
    stream.state().split(0);
    // Both were on the first shard before the split.
    let (left, right) = (stream.item_of(0), stream.item_of(1));
    stream.state().auto = true;
    take(&mut writer, &[&left, &right]).await;
    let error = writer.flush().await.unwrap_err().to_string();
    assert!(error.contains("USER_PARTITION_KEY"), "{error}");
    let route = KinesisRoute { shared: Arc::clone(&writer.shared) };
    let shard = ShardId::new("shard-of-the-table");
    let refused = route.open(&shard, Position::ZERO).await.err().map(|error| error.to_string());
    assert!(refused.is_some_and(|text| text.contains("USER_PARTITION_KEY")));
    stream.state().auto = false;
    route.open(&shard, Position::ZERO).await.map(drop).unwrap();
}
