//! The listener's answers, for a service whose shards do what the test says.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headwater::clock::{ServiceClock, WallClock};
use headwater::config::{self, Listen};
use headwater::consumer::WatchedStage;
use headwater::consumer::board::{Board, Doing};
use headwater::contract::TableSchema;
use headwater::event::{AttributeType, ShardId};
use headwater::lake::Lake;
use headwater::lease::table::LeaseTable;
use headwater::ops::{Health, listener};
use headwater::pipeline::Watch;
use headwater::route::budget::MemoryBudget;
use headwater::stream::{StreamArn, StreamInfo};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Series, ask, parse, value};
use crate::support::aws;

/// Seconds since the epoch, by the clock of the stream.
const NOW: i64 = 1_795_270_000;
const SHARD: &str = "shardId-00000001795269000000-0a1b2c3d";
/// `health.stalled_after` of these services.
const STALLED_AFTER: Duration = Duration::from_mins(3);

/// A service with one stage that holds what the test puts on its board. Nothing of it reads or sends.
struct Service {
    health: Arc<Health>,
    board: Arc<Board>,
    address: SocketAddr,
    lake: TempDir,
}

impl Service {
    async fn starting() -> Self {
        let lake = tempfile::tempdir().unwrap();
        let health = Health::starting(&settings(lake.path()));
        let listener = listener::bind(Listen::At("127.0.0.1:0".parse().unwrap())).await.unwrap().unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(listener::serve(listener, Arc::clone(&health)));
        Self { health, board: Arc::default(), address, lake }
    }

    /// A service that runs, and whose stage has looked at its stream.
    async fn running() -> Self {
        let service = Self::starting().await;
        service.run().await;
        service.board.note_look(stream());
        service
    }

    async fn run(&self) {
        let settings = settings(self.lake.path());
        let schema = TableSchema::keys_only("orders", vec![("id".to_owned(), AttributeType::S)]);
        let stage = WatchedStage {
            name: "capture",
            counters: Arc::default(),
            board: Arc::clone(&self.board),
            // It is never asked: what is told is told from memory.
            leases: Arc::new(LeaseTable::new(&aws::sdk_config("http://127.0.0.1:1"), "orders", CancellationToken::new())),
            clock: ServiceClock::new(WallClock::reading(|| NOW)),
        };
        self.health.running(Watch {
            stages: vec![stage],
            snapshots: None,
            sent: vec![("kinesis", Arc::default())],
            lake: Arc::new(Lake::open(&settings.lake, Arc::new(schema), None).await.unwrap()),
            budget: MemoryBudget::new(64 << 20),
        });
    }

    async fn says(&self, path: &str) -> (StatusCode, String) {
        let (status, _, body) = ask(self.address, path).await.unwrap();
        (status, body)
    }

    async fn status(&self) -> Value {
        let (status, media_type, body) = ask(self.address, "/status").await.unwrap();
        assert_eq!((status, media_type.as_str()), (StatusCode::OK, "application/json"));
        serde_json::from_str(&body).unwrap()
    }
}

fn settings(folder: &Path) -> config::Settings {
    let text = "[table]\nname = \"orders\"\n[lake]\nurl = \"./lake\"\n[health]\nstalled_after = \"3m\"\n";
    config::parse(text, folder).unwrap()
}

fn stream() -> StreamInfo {
    StreamInfo { arn: StreamArn::new("arn:aws:dynamodb:us-east-1:1:table/orders/stream/1"), enabled: true, retention: 86_400 }
}

/// Time passes, and the sockets stay as they are.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

fn ready() -> (StatusCode, String) {
    (StatusCode::OK, "ready\n".to_owned())
}

fn not_ready(because: &str) -> (StatusCode, String) {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{because}\n"))
}

#[tokio::test]
async fn it_answers_from_the_start_to_the_end() {
    let service = Service::starting().await;
    let alive = (StatusCode::OK, "alive\n".to_owned());
    assert_eq!(service.says("/livez").await, alive);
    assert_eq!(service.says("/readyz").await, not_ready("starting"));
    assert_eq!(service.status().await["state"], "starting");

    service.run().await;
    assert_eq!(service.says("/readyz").await, not_ready("capture: has not looked at its stream yet"));
    service.board.note_look(stream());
    assert_eq!(service.says("/readyz").await, ready());
    assert_eq!(service.status().await["state"], "running");

    service.health.stopping();
    assert_eq!(service.says("/livez").await, alive);
    assert_eq!(service.says("/readyz").await, not_ready("stopping"));
    let status = service.status().await;
    assert_eq!((&status["state"], &status["stages"][0]["stage"]), (&json!("stopping"), &json!("capture")), "it is still watched");
}

#[tokio::test]
async fn anything_else_is_not_there() {
    let service = Service::running().await;
    for path in ["/", "/healthz", "/metrics/", "/status/orders"] {
        assert_eq!(service.says(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_target_that_is_down_is_told_of_until_data_moves_again() {
    let service = Service::running().await;
    let place = service.board.place(ShardId::new(SHARD), Doing::Reading, Some(NOW - 20));
    assert_eq!(service.says("/readyz").await, ready());

    let reason = "create s3://lake/orders/changes/1.parquet: the store does not answer: check the network and AWS_ENDPOINT_URL_S3";
    place.now(Doing::Waiting(reason.to_owned()));
    // Less than what a stage may take between two looks.
    pass(Duration::from_secs(50)).await;
    let (status, body) = service.says("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    // The machine may have taken some seconds of its own.
    let (waits, why) = body.split_once(": create").unwrap();
    assert!(waits.starts_with(&format!("capture: shard {SHARD} waits, without progress for 5")), "{body}");
    assert_eq!(format!("create{why}"), format!("{reason}\n"));

    place.now(Doing::Reading);
    place.progressed(Some(NOW - 1));
    assert_eq!(service.says("/readyz").await, ready());
}

#[tokio::test]
async fn a_shard_without_progress_and_a_stage_that_does_not_look_are_told_of() {
    let service = Service::running().await;
    let _place = service.board.place(ShardId::new(SHARD), Doing::Reading, None);
    pass(STALLED_AFTER + Duration::from_mins(2)).await;
    let expected = [
        "capture: has not looked at its stream and its leases for 5m".to_owned(),
        format!("capture: shard {SHARD} has confirmed no progress for 5m"),
    ];
    let (status, body) = service.says("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body.lines().count(), expected.len(), "{body}");
    for (line, expected) in body.lines().zip(expected) {
        assert!(line.starts_with(&expected), "{body}");
    }
}

#[tokio::test]
async fn a_body_lists_some_of_many_reasons() {
    let service = Service::running().await;
    let places: Vec<_> = (0..100)
        .map(|n| service.board.place(ShardId::new(format!("shard-{n:03}")), Doing::Waiting("it is\ndown".to_owned()), None))
        .collect();
    pass(Duration::from_secs(50)).await;
    let (status, body) = service.says("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let lines: Vec<&str> = body.lines().collect();
    assert_eq!((lines.len(), lines[20]), (21, "and 80 more: see /status"), "{body}");
    assert!(lines[0].starts_with("capture: shard shard-000 waits, without progress for 5"), "{body}");
    assert!(lines[0].ends_with(": it is down"), "{body}");
    assert_eq!(service.status().await["reasons"].as_array().unwrap().len(), places.len());
}

#[tokio::test]
async fn metrics_are_told_as_a_scraper_reads_them_and_name_no_shard() {
    let service = Service::running().await;
    let place = service.board.place(ShardId::new(SHARD), Doing::Reading, Some(NOW - 20));
    let waiting = service.board.place(ShardId::new("shardId-2"), Doing::Waiting("it is down".to_owned()), Some(NOW - 3_600));
    let (status, media_type, text) = ask(service.address, "/metrics").await.unwrap();
    assert_eq!((status, media_type.as_str()), (StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let series = parse(&text);
    assert_eq!(value(&series, "headwater_lag_seconds", "capture"), Some(3_600.0));
    assert_eq!(value(&series, "headwater_time_to_trim_seconds", "capture"), Some(82_800.0));
    assert_eq!(value(&series, "headwater_shards_held", "capture"), Some(2.0));
    assert_eq!(value(&series, "headwater_shards_waiting", "capture"), Some(1.0));
    assert_eq!(value(&series, "headwater_sent_calls_total", "kinesis"), Some(0.0));
    assert_eq!(value(&series, "headwater_memory_budget_bytes", "orders"), Some(67_108_864.0));
    assert_eq!(value(&series, "headwater_build_info", env!("CARGO_PKG_VERSION")), Some(1.0));
    for Series { name, labels, .. } in &series {
        assert_eq!(labels.iter().filter(|(label, value)| label == "table" && value == "orders").count(), 1, "{name}");
        assert!(labels.iter().all(|(_, value)| !value.contains("shard")), "{name} names a shard: {labels:?}");
    }

    drop((place, waiting));
    let series = parse(&service.says("/metrics").await.1);
    assert_eq!(value(&series, "headwater_lag_seconds", "capture"), None, "nothing is held, so nothing is known");
    assert_eq!(value(&series, "headwater_shards_held", "capture"), Some(0.0));
}

#[tokio::test]
async fn the_status_lists_the_shards() {
    let service = Service::running().await;
    let _place = service.board.place(ShardId::new(SHARD), Doing::TakingOver, Some(NOW - 20));
    pass(Duration::from_secs(7)).await;
    let mut status = service.status().await;
    for since in ["since_seconds", "since_progress_seconds"] {
        let seconds = status["stages"][0]["shards"][0][since].take().as_u64().unwrap();
        assert!((7..60).contains(&seconds), "{since}: {seconds}");
    }
    let expected = json!([{
        "shard": SHARD,
        "doing": "taking_over",
        "reason": null,
        "since_seconds": null,
        "since_progress_seconds": null,
        "durable_through": "2026-11-21T14:06:20Z",
        "lag_seconds": 20,
    }]);
    assert_eq!(status["stages"][0]["shards"], expected);
    assert_eq!((&status["ready"], &status["table"], &status["memory"]["budget_bytes"]), (&json!(true), &json!("orders"), &json!(64 << 20)));
}
