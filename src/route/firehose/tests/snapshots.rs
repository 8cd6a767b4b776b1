//! Rows of snapshots.

use std::sync::Arc;
use std::time::Duration;

use super::script::{Bench, at, drain, large};
use crate::aws::Failure;
use crate::config::LargeRecords;
use crate::event::{ChangeEvent, Operation, SequenceNumber};
use crate::route::Progress::Durable;
use crate::route::firehose::plan::LARGEST_RECORD;
use crate::route::firehose::{FirehoseRoute, LONGEST_DELIVERY};
use crate::route::{Announcement, Arrival, Route as _};

fn row(number: u64, bytes: usize) -> ChangeEvent<'static> {
    ChangeEvent { operation: Operation::Snapshot, sequence: SequenceNumber::ZERO, snapshot_id: Some("s-1".into()), ..large(number, bytes) }
}

#[tokio::test(start_paused = true)]
async fn rows_are_delivered_like_changes_and_large_ones_are_claimed_each_for_itself() {
    let bench = Bench::new().await;
    let mut writer = bench.writer();
    for (number, bytes) in [(1, 1), (2, LARGEST_RECORD), (3, LARGEST_RECORD)] {
        writer.append(at(number), &row(number, bytes)).await.unwrap();
    }
    let absent = ChangeEvent { operation: Operation::Remove, new: None, ..row(4, 1) };
    writer.append(at(4), &absent).await.unwrap();
    drain(&mut *writer).await.unwrap();
    let delivered = bench.script.delivered();
    let lines: Vec<serde_json::Value> = delivered.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().all(|line| line["cdc_snapshot_id"] == "s-1"), "{delivered}");
    for (line, id) in lines[1..3].iter().zip(["event-2", "event-3"]) {
        let whole = bench.lake.read_claim(line["cdc_claim_check"].as_str().unwrap()).await.unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&whole).unwrap()["cdc_event_id"], id);
    }
}

#[tokio::test(start_paused = true)]
async fn rows_that_are_too_large_are_all_quarantined_whatever_their_positions() {
    let bench = Bench { large_records: LargeRecords::Quarantine, ..Bench::new().await };
    // The segment is read twice, and the second time another row is at the position.
    for number in [1, 2, 2] {
        assert_eq!(bench.writer().append(at(1), &row(number, LARGEST_RECORD)).await.unwrap(), Durable(at(1)));
    }
    assert_eq!(bench.lake.quarantined().count(u64::MAX).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_has_arrived_when_the_delivery_stream_s_interval_has_passed() {
    let bench = Bench::new().await;
    let route = FirehoseRoute { target: bench.target(), budget: Arc::clone(&bench.budget) };
    let minutes = Duration::from_mins;
    for (told, arrives) in [(Ok(Some(minutes(5))), minutes(6)), (Ok(None), LONGEST_DELIVERY), (Err(Failure::Unavailable), LONGEST_DELIVERY)]
    {
        *bench.script.interval.lock().unwrap() = told;
        let announced = route.announce(&Announcement { id: "s-1", started_at: 1_795_230_000 }).await.unwrap();
        assert_eq!(announced, Arrival::Within(arrives), "{told:?}");
    }
}
