//! When runs close: by size, by age, for memory.

use std::sync::Arc;
use std::time::Duration;

use headwater::event::{Position, ShardId};
use headwater::lake::{Format, LakeSettings};
use headwater::route::Progress::{Durable, Unchanged};
use headwater::route::budget::MemoryBudget;
use headwater::route::lake::LakeRoute;
use headwater::route::{Route, ShardWriter};
use tokio::time::{Instant, timeout};

use super::bench::{Bench, append, insert, position};

const AGE: Duration = Duration::from_mins(1);

async fn is_due(writer: &mut dyn ShardWriter) -> bool {
    timeout(Duration::ZERO, writer.due()).await.is_ok()
}

#[tokio::test]
async fn a_run_closes_when_it_is_large_enough() {
    for format in [Format::Parquet, Format::Ndjson] {
        let bench = Bench::memory(format);
        let mut writer = bench.writer_with(LakeSettings { max_size: 600, ..bench.settings() }, 0).await;
        let mut durable = Vec::new();
        for number in 1..=20 {
            if let Durable(last) = writer.append(position(number), &insert(number)).await.unwrap() {
                assert_eq!(last, position(number), "a full run closes with the change that filled it");
                durable.push(number);
            }
        }
        assert!((3..=10).contains(&durable.len()), "{format:?}: {durable:?}");
        assert_eq!(bench.objects().await.len(), durable.len());
    }
}

#[tokio::test]
async fn large_runs_keep_every_row_through_batches_and_compression() {
    for format in [Format::Parquet, Format::Ndjson] {
        let bench = Bench::memory(format);
        let mut writer = bench.writer(0).await;
        append(&mut *writer, 1..=10_000).await;
        assert_eq!(writer.flush().await.unwrap(), Durable(position(10_000)));
        assert_eq!(bench.objects().await.len(), 1);
        assert_eq!(bench.landed().await, (1..=10_000).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_closes_when_it_is_old_enough() {
    let bench = Bench::memory(Format::Parquet);
    let mut writer = bench.writer_with(LakeSettings { max_age: AGE, ..bench.settings() }, 0).await;
    assert!(!is_due(&mut *writer).await, "nothing taken, nothing due");
    let start = Instant::now();
    append(&mut *writer, [1]).await;
    tokio::time::advance(AGE / 2).await;
    append(&mut *writer, [2]).await;
    assert_eq!(writer.poll().await.unwrap(), Unchanged, "not of age");
    writer.due().await;
    // Timers of tokio are rounded up to the millisecond.
    assert!((AGE..AGE + Duration::from_millis(2)).contains(&start.elapsed()), "age counts from the first change");
    assert_eq!(writer.poll().await.unwrap(), Durable(position(2)));
    tokio::time::advance(AGE * 2).await;
    assert!(!is_due(&mut *writer).await);
}

#[tokio::test(start_paused = true)]
async fn when_memory_is_short_the_largest_run_closes_first() {
    let bench = Bench::memory(Format::Parquet);
    let budget = MemoryBudget::new(200_000);
    let route = LakeRoute::new(bench.lake(bench.settings()).await, Arc::clone(&budget));
    let mut small = route.open(&ShardId::new("small"), Position::ZERO).await.unwrap();
    let mut large = route.open(&ShardId::new("large"), Position::ZERO).await.unwrap();
    let mut number = 0;
    while budget.held() < 120_000 {
        number += 1;
        append(&mut *large, [number]).await;
    }
    let taken = number;
    while !is_due(&mut *large).await {
        number += 1;
        append(&mut *small, [number]).await;
        assert!(budget.held() <= budget.limit());
    }
    assert!(!is_due(&mut *small).await);
    assert_eq!(large.poll().await.unwrap(), Durable(position(taken)));
    assert!(budget.held() < 100_000);
    append(&mut *small, [number + 1]).await;
    assert!(bench.landed().await.iter().all(|landed| *landed <= taken), "the small run is still open");
}

#[tokio::test(start_paused = true)]
async fn a_single_shard_lands_everything_under_a_tiny_budget() {
    for format in [Format::Parquet, Format::Ndjson] {
        let bench = Bench::memory(format);
        let budget = MemoryBudget::new(1);
        let route = LakeRoute::new(bench.lake(bench.settings()).await, Arc::clone(&budget));
        let mut writer = route.open(&ShardId::new("s"), Position::ZERO).await.unwrap();
        let start = Instant::now();
        for number in 1..=20 {
            writer.append(position(number), &insert(number)).await.unwrap();
        }
        writer.flush().await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO, "it has nobody to wait for");
        assert_eq!(bench.landed().await, (1..=20).collect::<Vec<_>>());
        drop(writer);
        assert_eq!(budget.held(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn many_writers_on_a_tiny_budget_all_finish() {
    let bench = Bench::memory(Format::Parquet);
    let route = LakeRoute::new(bench.lake(bench.settings()).await, MemoryBudget::new(1000));
    let writers = (0..8).map(|shard| {
        let route = &route;
        async move {
            let mut writer = route.open(&ShardId::new(format!("s{shard}")), Position::ZERO).await.unwrap();
            for number in 1..=30 {
                writer.append(position(number), &insert(number)).await.unwrap();
                tokio::task::yield_now().await;
            }
            writer.flush().await.unwrap();
        }
    });
    timeout(Duration::from_mins(10), futures::future::join_all(writers)).await.expect("no deadlock");
    assert_eq!(bench.landed().await.len(), 8 * 30);
}
