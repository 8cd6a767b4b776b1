//! Rows of snapshots, and the markers behind them.

use super::stream::{FakeStream, Fate, event, shared};
use super::*;
use crate::event::encode::SnapshotEnd;
use crate::event::{Operation, SequenceNumber};
use crate::lake::marker::{Part, cover_everything};
use crate::route::kinesis::KinesisRoute;
use crate::route::{Announcement, Arrival, Route as _};

const SNAPSHOT: Announcement<'static> = Announcement { id: "20261121T030000Z-3f9a1c2e", started_at: 1_795_230_000 };

/// A row of a snapshot. The number is in its event id alone.
fn row(n: u64, item: &str, size: usize) -> ChangeEvent<'static> {
    ChangeEvent {
        operation: Operation::Snapshot,
        sequence: SequenceNumber::ZERO,
        shard: "snapshot-s-00000".into(),
        snapshot_id: Some(SNAPSHOT.id.into()),
        ..event(n, item, size)
    }
}

async fn route(stream: &Arc<FakeStream>) -> KinesisRoute {
    KinesisRoute { shared: Arc::new(shared(stream, true, BATCH).await) }
}

async fn announce(stream: &Arc<FakeStream>) {
    assert_eq!(route(stream).await.announce(&SNAPSHOT).await.unwrap(), Arrival::Noted);
}

/// The parts that a reader notes: of markers on the shard that they name.
fn noted(stream: &FakeStream) -> Vec<Part> {
    let right = |(shard, end): &(ShardId, SnapshotEnd)| {
        assert_eq!((end.snapshot_id.as_str(), end.time), (SNAPSHOT.id, SNAPSHOT.started_at));
        (shard.as_str() == end.shard).then_some(Part { start: end.hash_range.0, end: end.hash_range.1 })
    };
    stream.state().markers.iter().filter_map(right).collect()
}

#[tokio::test(start_paused = true)]
async fn rows_are_sent_like_changes() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, true).await;
    for (n, item) in (1..).zip(["a", "b", "c"]) {
        assert_eq!(writer.append(at(n), &row(n, item, 10)).await.unwrap(), Progress::Unchanged);
    }
    let absent = ChangeEvent { operation: Operation::Remove, new: None, ..row(4, "d", 0) };
    writer.append(at(4), &absent).await.unwrap();
    assert_eq!(writer.append(at(4), &absent).await.unwrap(), Progress::Unchanged, "a position is taken once");
    assert_eq!(drain(&mut writer).await.unwrap(), Progress::Durable(at(4)));
    let mut seen = stream.state().seen.clone();
    seen.sort();
    assert_eq!(seen, changes(&[(0, "a"), (0, "b"), (0, "c"), (0, "d")]));
}

#[tokio::test(start_paused = true)]
async fn rows_that_are_too_large_are_claimed_each_for_itself() {
    let stream = FakeStream::new();
    let mut writer = writer(&stream, true).await;
    for n in 1..=2 {
        writer.append(at(n), &row(n, "a", 2 << 20)).await.unwrap();
    }
    drain(&mut writer).await.unwrap();
    for n in 1..=2 {
        let claim = format!("claims/dt=2026-11-21/snapshot-s-00000-event-{n}.json");
        let whole: serde_json::Value = serde_json::from_slice(&writer.shared.lake.read_claim(&claim).await.unwrap()).unwrap();
        assert_eq!(whole["cdc_event_id"], format!("event-{n}"));
    }
}

#[tokio::test(start_paused = true)]
async fn rows_that_are_too_large_are_all_quarantined_whatever_their_positions() {
    let stream = FakeStream::new();
    let shared = Arc::new(Shared { large_records: LargeRecords::Quarantine, ..shared(&stream, true, BATCH).await });
    // The segment is read twice, and the second time another row is at the position.
    for n in [1, 2, 2] {
        let mut writer = KinesisWriter::new(Arc::clone(&shared), ShardId::new("snapshot-s-00000"), Position::ZERO);
        assert_eq!(writer.append(at(1), &row(n, "a", 2 << 20)).await.unwrap(), Progress::Durable(at(1)));
    }
    assert_eq!(shared.lake.quarantined().count(u64::MAX).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn each_open_shard_gets_a_marker_and_together_they_cover_every_hash_key() {
    let stream = FakeStream::new();
    stream.state().split(1);
    // The route's own map is older.
    announce(&stream).await;
    let parts = noted(&stream);
    assert_eq!(parts.len(), 3);
    assert!(cover_everything(&parts), "{parts:?}");
    announce(&stream).await;
    assert_eq!(noted(&stream)[3..], parts, "again, in the same words");
}

#[tokio::test(start_paused = true)]
async fn a_marker_that_is_refused_is_sent_again_and_no_other_is() {
    let stream = FakeStream::new();
    let first = |record: &PlannedRecord| u128::from(record.hash_keys.0) == 0;
    stream.state().fates.extend([Fate::throttles(first), Fate::throttles(first), Fate::Answered]);
    announce(&stream).await;
    assert!(cover_everything(&noted(&stream)));
    let state = stream.state();
    assert_eq!((state.markers.len(), state.calls.len()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_answer_is_lost_is_made_again() {
    let stream = FakeStream::new();
    stream.state().fates.extend([Fate::AnswerLost, Fate::Fails(Failure::Throttled)]);
    announce(&stream).await;
    assert!(cover_everything(&noted(&stream)));
    assert_eq!(stream.state().markers.len(), 4, "all of them twice");
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_lags_behind_a_reshard_is_not_trusted() {
    for reshard in [|stream: &FakeStream| stream.state().split(0), |stream: &FakeStream| stream.state().merge(0)] {
        let stream = FakeStream::new();
        let route = route(&stream).await;
        reshard(&stream);
        stream.state().late_listings = 3;
        assert_eq!(route.announce(&SNAPSHOT).await.unwrap(), Arrival::Noted);
        let parts = noted(&stream);
        assert!(cover_everything(&parts), "{parts:?}");
        let state = stream.state();
        let stray = state.markers.iter().filter(|(shard, end)| shard.as_str() != end.shard).count();
        assert!(stray > 0, "markers went to shards that they do not name");
        assert_eq!(state.listings, 4);
    }
}

#[tokio::test(start_paused = true)]
async fn an_announcement_that_a_shard_refuses_for_too_long_is_an_error() {
    let stream = FakeStream::new();
    stream.state().later = Some(Box::new(|| Fate::throttles(|_| true)));
    let begun = Instant::now();
    let error = route(&stream).await.announce(&SNAPSHOT).await.unwrap_err().to_string();
    assert!(begun.elapsed() > RetryPolicy::SERVICE.give_up_after / 2);
    assert!(error.contains(SNAPSHOT.id) && error.contains("add shards"), "{error}");
    stream.state().auto = true;
    let error = route(&stream).await.announce(&SNAPSHOT).await.unwrap_err().to_string();
    assert!(error.contains("USER_PARTITION_KEY"), "{error}");
}
