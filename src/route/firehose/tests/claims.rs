//! Events that no record can hold.

use super::script::{Bench, append, at, drain, large, wait_and_poll};
use crate::config::LargeRecords;
use crate::event::ChangeEvent;
use crate::route::Progress::{Durable, Unchanged};
use crate::route::firehose::plan::LARGEST_RECORD;

const TOO_LARGE: usize = LARGEST_RECORD;

#[tokio::test(start_paused = true)]
async fn an_event_too_large_for_a_record_leaves_a_pointer_to_the_whole_of_it() {
    let bench = Bench::new().await;
    let mut writer = bench.writer();
    append(&mut *writer, [1]).await;
    writer.append(at(2), &large(2, TOO_LARGE)).await.unwrap();
    append(&mut *writer, [3]).await;
    assert_eq!(drain(&mut *writer).await.unwrap(), Durable(at(3)));
    let delivered = bench.script.delivered();
    let pointer: serde_json::Value = serde_json::from_str(delivered.lines().nth(1).unwrap()).unwrap();
    assert_eq!((&pointer["cdc_event_id"], &pointer["order_id"]), (&"event-2".into(), &"order-2".into()));
    assert!(pointer.get("cdc_extra").is_none());
    let whole = bench.lake.read_claim(pointer["cdc_claim_check"].as_str().unwrap()).await.unwrap();
    let whole: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!(whole["cdc_extra"].as_str().unwrap().len(), TOO_LARGE);
    assert_eq!(bench.lake.counters().read().claims, 1);
}

#[tokio::test(start_paused = true)]
async fn the_largest_event_that_fits_is_sent_as_it_is() {
    let bench = Bench::new().await;
    let mut writer = bench.writer();
    writer.append(at(1), &large(1, 1)).await.unwrap();
    drain(&mut *writer).await.unwrap();
    let rest = bench.script.delivered().len() - 1;
    writer.append(at(2), &large(2, LARGEST_RECORD - rest)).await.unwrap();
    writer.append(at(3), &large(3, LARGEST_RECORD - rest + 1)).await.unwrap();
    drain(&mut *writer).await.unwrap();
    let lengths: Vec<usize> = bench.script.delivered().lines().map(|line| line.len() + 1).collect();
    assert_eq!(lengths[1], LARGEST_RECORD);
    assert!(lengths[2] < 1_000, "a byte more is a claim");
}

#[tokio::test(start_paused = true)]
async fn quarantine_keeps_it_whole_and_nobody_waits_for_it() {
    let mut bench = Bench::new().await;
    bench.large_records = LargeRecords::Quarantine;
    let mut writer = bench.writer();
    assert_eq!(writer.append(at(1), &large(1, TOO_LARGE)).await.unwrap(), Durable(at(1)));
    assert_eq!(bench.lake.quarantined().count(u64::MAX).await.unwrap(), 1);
    append(&mut *writer, [2]).await;
    assert_eq!(writer.append(at(3), &large(3, TOO_LARGE)).await.unwrap(), Unchanged, "the one before it is not durable");
    assert_eq!(wait_and_poll(&mut *writer).await, Durable(at(3)));
    assert_eq!(bench.script.delivered_events(), [2]);
    assert_eq!(bench.lake.counters().read().quarantined, 2);
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_pointer_does_not_fit_either_goes_to_quarantine() {
    let bench = Bench::new().await;
    let mut writer = bench.writer();
    let changed = vec!["x".repeat(LARGEST_RECORD).into()];
    let progress = writer.append(at(1), &ChangeEvent { changed, ..large(1, 1) }).await.unwrap();
    assert_eq!(progress, Durable(at(1)));
    assert_eq!(bench.lake.quarantined().count(u64::MAX).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lake_that_refuses_keeps_the_event_from_being_passed_over() {
    let bench = Bench::new().await;
    let mut writer = bench.writer();
    let error = writer.append(at(1), &ChangeEvent { time: -1, ..large(1, TOO_LARGE) }).await.unwrap_err();
    assert!(error.doing.contains("claim"), "{error}");
    assert_eq!(drain(&mut *writer).await.unwrap(), Unchanged);
    assert_eq!(writer.append(at(1), &large(1, TOO_LARGE)).await.unwrap(), Unchanged);
    assert_eq!(drain(&mut *writer).await.unwrap(), Durable(at(1)));
}
