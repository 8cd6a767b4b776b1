//! Each thing that needs a person is told once, by however many workers, and its end is told once.

use super::receiver::Receiver;
use super::world::{Log, TABLE, World};

/// Looks enough for everything to settle.
const LOOKS: usize = 4;

fn told(state: &str, kind: &str, subject: &str) -> (String, String, String) {
    (state.to_owned(), kind.to_owned(), subject.to_owned())
}

#[tokio::test]
async fn two_workers_tell_of_a_gap_once_and_of_its_end_once() {
    let (world, receiver, log) = (World::new().await, Receiver::start().await, Log::listen());
    let (mut one, mut other) = (world.worker("one", &receiver.url("/")), world.worker("other", &receiver.url("/")));
    let gap = world.lose("shard-1").await;
    for _ in 0..LOOKS {
        tokio::join!(one.look(), other.look());
    }
    let subject = gap.key.strip_prefix("gap/").unwrap();
    assert_eq!(receiver.told(), [told("raised", "gap", subject)]);
    world.bring_back(&gap).await;
    for _ in 0..LOOKS {
        tokio::join!(one.look(), other.look());
    }
    assert_eq!(receiver.told(), [told("raised", "gap", subject), told("cleared", "gap", subject)]);
    assert!(world.notices().await.is_empty(), "nothing is left of it");

    let lines = log.notifications();
    let states: Vec<&str> = lines.iter().map(|line| line["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["raised", "cleared"]);
    let fields = ["level", "kind", "subject", "table", "stage"].map(|field| lines[0][field].as_str().unwrap_or_default());
    assert_eq!(fields, ["WARN", "gap", subject, TABLE, "capture"]);
    assert!(lines[0]["since"].as_str().unwrap().ends_with('Z') && lines[1]["level"] == "INFO");
}

#[tokio::test]
async fn each_gap_is_told_by_itself_and_a_worker_that_starts_later_repeats_none() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let (first, second) = (world.lose("shard-1").await, world.lose("shard-2").await);
    world.worker("one", &receiver.url("/")).look().await;
    let mut restarted = world.worker("one again", &receiver.url("/"));
    restarted.look().await;
    assert_eq!(receiver.states(), ["raised", "raised"]);
    world.bring_back(&second).await;
    restarted.look().await;
    let last = receiver.told().pop().unwrap();
    assert_eq!(last, told("cleared", "gap", second.key.strip_prefix("gap/").unwrap()));
    assert_eq!(
        world.notices().await.iter().map(|notice| notice.subject.clone()).collect::<Vec<_>>(),
        [first.key.strip_prefix("gap/").unwrap()]
    );
}

#[tokio::test]
async fn a_gap_that_opens_again_is_told_again() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let mut worker = world.worker("one", &receiver.url("/"));
    let gap = world.lose("shard-1").await;
    worker.look().await;
    world.bring_back(&gap).await;
    worker.look().await;
    world.lose("shard-1").await;
    worker.look().await;
    assert_eq!(receiver.states(), ["raised", "cleared", "raised"]);
}

#[tokio::test]
async fn a_lag_that_swings_around_what_is_allowed_is_told_once() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let mut worker = world.worker("one", &receiver.url("/"));
    for seconds in [10, 400, 10, 400, 250, 10, 250, 400, 10] {
        world.behind(seconds).await;
        worker.look().await;
    }
    let subject = format!("{TABLE}/capture");
    assert_eq!(receiver.told(), [told("raised", "freshness", &subject)]);
    worker.look().await;
    assert_eq!(receiver.states(), ["raised", "cleared"], "it was good twice in a row");
}

#[tokio::test]
async fn a_stage_that_falls_behind_tells_before_the_stream_drops_anything() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let mut worker = world.worker("one", &receiver.url("/"));
    world.behind(20 * 3600).await;
    worker.look().await;
    let subject = format!("{TABLE}/capture");
    assert_eq!(receiver.told(), [told("raised", "freshness", &subject), told("raised", "time-to-trim", &subject)]);
    let left = receiver.posts()[1].body["details"]["secondsToTrim"].as_i64().unwrap();
    assert!((4 * 3600 - 60..=4 * 3600).contains(&left), "{left}");
}

#[tokio::test]
async fn what_is_in_quarantine_is_told_until_it_is_empty() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let mut worker = world.worker("one", &receiver.url("/"));
    world.quarantine().await;
    worker.look().await;
    world.empty_quarantine();
    worker.look().await;
    assert_eq!(receiver.told(), [told("raised", "quarantine", TABLE)], "once is no proof");
    worker.look().await;
    assert_eq!(receiver.states(), ["raised", "cleared"]);
    assert!(receiver.posts()[0].body["action"].as_str().unwrap().contains("headwater redrive"));
}
