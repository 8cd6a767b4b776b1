//! Many shards, more than fits, and a stream that is away for a while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Barrier;
use tokio::time::{Instant, timeout};

use super::stream::{FakeStream, Fate, event, shared};
use super::{BATCH, at, drain};
use crate::aws::Failure;
use crate::event::{Position, ShardId};
use crate::route::ShardWriter;
use crate::route::budget::MemoryBudget;
use crate::route::kinesis::Shared;
use crate::route::kinesis::writer::KinesisWriter;

/// For each shard; its changes are five times as much.
const LIMIT: usize = 8 << 10;
const SIZES: [usize; 4] = [10, 20_000, 10, 20_000];

/// Sends the changes of every shard at once, and returns how long that took.
async fn send_all(stream: &Arc<FakeStream>, shards: usize) -> Duration {
    let budget = MemoryBudget::new(shards * LIMIT);
    let shared = Shared { calls: Arc::new(budget.calls()), budget: Arc::clone(&budget), ..shared(stream, false, BATCH).await };
    let shared = Arc::new(shared);
    let begun = Instant::now();
    let taken = Barrier::new(shards);
    let within = || assert!(budget.held() <= budget.limit(), "{} held", budget.held());
    let writers = (0..shards).map(|shard| {
        let (shared, taken, within) = (Arc::clone(&shared), &taken, &within);
        async move {
            let mut writer = KinesisWriter::new(shared, ShardId::new(format!("shard-{shard}")), Position::ZERO);
            let item = format!("item-{shard}");
            for (n, size) in (1..).zip(SIZES) {
                writer.append(at(n), &event(n, &item, size)).await.unwrap();
                within();
            }
            // It answers while others still wait for room.
            let mut all_taken = std::pin::pin!(taken.wait());
            loop {
                tokio::select! {
                    _ = &mut all_taken => break,
                    () = writer.due() => {
                        writer.poll().await.unwrap();
                        within();
                    }
                }
            }
            drain(&mut writer).await.unwrap();
            within();
        }
    });
    timeout(Duration::from_hours(1), join_all(writers)).await.expect("no deadlock");
    assert_eq!(budget.held(), 0);
    begun.elapsed()
}

fn seen_by_item(stream: &FakeStream) -> HashMap<String, Vec<u64>> {
    let mut seen: HashMap<String, Vec<u64>> = HashMap::new();
    for (number, item) in &stream.state().seen {
        seen.entry(item.clone()).or_default().push(*number);
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn a_thousand_shards_stay_within_the_budget_and_call_by_turns() {
    let stream = FakeStream::new();
    stream.state().takes = Duration::from_millis(30);
    send_all(&stream, 1000).await;
    let seen = seen_by_item(&stream);
    assert_eq!(seen.len(), 1000);
    assert!(seen.values().all(|numbers| *numbers == [1, 2, 3, 4]), "each change once and in order");
    let most = stream.state().most_at_once;
    assert!((2..=32).contains(&most), "{most} calls at once");
}

#[tokio::test(start_paused = true)]
async fn many_shards_wait_out_an_outage_within_the_budget() {
    let stream = FakeStream::new();
    let back = Instant::now() + Duration::from_mins(1);
    stream.state().takes = Duration::from_millis(30);
    stream.state().later = Some(Box::new(move || if Instant::now() < back { Fate::Fails(Failure::Unavailable) } else { Fate::Answered }));
    let took = send_all(&stream, 150).await;
    let seen = seen_by_item(&stream);
    assert_eq!(seen.len(), 150);
    assert!(seen.values().all(|numbers| *numbers == [1, 2, 3, 4]), "each change once and in order");
    assert!(stream.state().most_at_once <= 32);
    assert!(took < Duration::from_mins(3), "{took:?}");
}
