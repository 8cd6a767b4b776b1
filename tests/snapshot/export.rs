//! Snapshots of exports, from the request to the lake.

use headwater::clock::{rfc3339, unix_seconds};
use headwater::lease::snapshot::{Request, Snapshot, Source, State};
use serde_json::json;

use super::world::{TABLE, World, keys, request};
use crate::support::exports::HandMade;

const DAY: i64 = 24 * 3600;

/// A full export of as many items as there are keys, as of so many seconds ago.
fn export(ago: i64, numbers: std::ops::Range<u32>) -> HandMade {
    let mut export = HandMade::full(TABLE);
    export.summary["exportTime"] = rfc3339(unix_seconds() - ago).into();
    // Whichever table it is of.
    export.summary["tableId"] = json!(null);
    let lines: Vec<String> = keys(numbers).iter().map(|key| json!({"Item": {"id": {"S": key}}}).to_string()).collect();
    export.data(&lines[..lines.len() / 2]).data(&lines[lines.len() / 2..]);
    export
}

/// Takes a snapshot of an export to its end.
async fn take(world: &World, export: &HandMade, limit: Option<u64>) -> Snapshot {
    let bucket = tempfile::tempdir().unwrap();
    let location = export.write(bucket.path()).display().to_string();
    let worker = world.worker().await;
    let id = world.start(Request { limit, ..request(Source::Export { location }) }).await;
    let ended = world.ended(&id).await;
    worker.drain().await;
    ended
}

/// A world whose stream was followed for days.
async fn followed() -> World {
    let world = World::new().await;
    let hour = world.folder().join(TABLE).join("changes/dt=2026-01-01/hr=00");
    std::fs::create_dir_all(hour).unwrap();
    std::fs::write(world.folder().join(TABLE).join("changes/dt=2026-01-01/hr=00/notes.txt"), "").unwrap();
    world
}

#[tokio::test]
async fn a_full_export_is_the_whole_table_as_of_its_own_time() {
    let world = followed().await;
    let snapshot = take(&world, &export(DAY, 0..30), None).await;
    assert_eq!((snapshot.state, snapshot.whole, snapshot.rows, snapshot.segments), (State::Completed, true, 30, 2), "{snapshot:?}");
    assert!(snapshot.started_at.unwrap() < unix_seconds() - DAY);
    assert_eq!(snapshot.half_units, 0);
    assert_eq!(world.rows_of(&snapshot.id).into_keys().collect::<Vec<_>>(), keys(0..30));
}

#[tokio::test]
async fn a_trial_with_some_rows_of_an_export_is_a_part_of_the_table() {
    let world = followed().await;
    let snapshot = take(&world, &export(DAY, 0..30), Some(3)).await;
    assert_eq!((snapshot.state, snapshot.whole, snapshot.rows), (State::Completed, false, 6), "{snapshot:?}");
}

#[tokio::test]
async fn an_export_from_before_the_stream_was_followed_is_refused() {
    let world = World::new().await;
    let snapshot = take(&world, &export(DAY, 0..4), None).await;
    assert_eq!((snapshot.state, world.has_marker(&snapshot.id)), (State::Failed, false));
    let problem = snapshot.problem.unwrap();
    assert!(problem.contains("the stream was not followed then"), "{problem}");
}

#[tokio::test]
async fn an_export_that_is_older_than_a_whole_snapshot_is_refused() {
    let world = followed().await;
    world.put(0..4, 10).await;
    let worker = world.worker().await;
    let later = world.start(request(Source::Table)).await;
    world.completed(&later).await;
    worker.drain().await;
    let problem = take(&world, &export(DAY, 0..4), None).await.problem.unwrap();
    assert!(problem.contains(&later) && problem.contains("would change nothing"), "{problem}");
}

#[tokio::test]
async fn an_export_of_another_table_of_the_same_name_is_refused() {
    let world = followed().await;
    let own = world.client.describe_table().table_name(TABLE).send().await.unwrap().table.unwrap().table_id;
    assert!(own.is_some(), "without an id there is nothing to compare");
    let mut export = export(DAY, 0..4);
    export.summary["tableId"] = "12345a12-abcd-123a-ab12-1234abc12345".into();
    let problem = take(&world, &export, None).await.problem.unwrap();
    assert!(problem.contains("it is of another table of this name"), "{problem}");
}
