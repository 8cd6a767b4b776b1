//! The server as its clients see it, over real connections.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::{Options, Server, Shared, s3};
use crate::call::{Answer, Intercept};
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::faults::Faults;
use crate::journal::Journal;

mod faulty;
mod objects;

/// A simulated account with a bucket, and a client of it.
struct Account {
    cloud: Cloud,
    faults: Faults,
    server: Server,
}

/// An answer that came whole.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Account {
    async fn new() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let cloud = Cloud::new(Clock::starting_at(1_767_225_600_000), Journal::keeping());
        cloud.state().buckets.create("lake");
        let faults = Faults::new(1);
        let server = Server::start(cloud.clone(), faults.clone(), options).await.unwrap();
        Self { cloud, faults, server }
    }

    /// What a connection of a server of this account has.
    fn shared(&self) -> Arc<Shared> {
        let (cloud, faults) = (self.cloud.clone(), self.faults.clone());
        let s3 = s3::Service::new(cloud.clone());
        Arc::new(Shared { cloud, faults, intercept: None, s3, open: self.server.open.subscribe(), requests: AtomicU64::new(0) })
    }

    /// Every call of the operation meets the fault.
    fn always(&self, operation: &str, fault: &Value) {
        let rule = json!({"operation": operation, "fault": fault, "chance": {"probability": 1.0}});
        self.faults.add(serde_json::from_value(rule).unwrap());
    }

    /// Sends a request on a connection of its own, signed by a worker.
    async fn send(&self, worker: &str, request: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> hyper::Result<Reply> {
        let (method, uri) = request.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(uri).header("host", self.server.address().to_string());
        let signature =
            format!("AWS4-HMAC-SHA256 Credential={worker}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00");
        request = request.header("authorization", signature);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let stream = TcpStream::connect(self.server.address()).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let (head, body) = sender.send_request(request.body(Full::new(body.into())).unwrap()).await?.into_parts();
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body: body.collect().await?.to_bytes() })
    }

    async fn put(&self, worker: &str, key: &str, body: &'static str) -> hyper::Result<Reply> {
        self.send(worker, &format!("PUT /lake/{key}"), &[], body).await
    }

    fn object(&self, key: &str) -> Option<Bytes> {
        self.cloud.state().buckets.object("lake", key).ok().map(|object| object.body.clone())
    }

    /// Who created or replaced objects, in order.
    fn writers(&self) -> Vec<String> {
        let entries = self.cloud.journal.since(0).into_iter();
        entries.filter(|entry| !entry.event.to_string().starts_with('!')).map(|entry| format!("{} {}", entry.worker, entry.event)).collect()
    }
}

impl Reply {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_of_a_json_service_is_told_by_its_target() {
    let account = Account::new().await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    let reply = account.send("w", "POST /", &[("x-amz-target", "DynamoDB_20120810.Frobnicate")], "{}").await.unwrap();
    assert_eq!(reply.status, 400);
    let error: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(error["__type"], "com.amazon.coral.service#UnknownOperationException");
    assert_eq!(reply.header("date"), "Thu, 01 Jan 2026 01:00:00 GMT", "the date is the simulator's");
    assert_eq!(reply.header("x-amz-crc32"), crc32fast::hash(&reply.body).to_string());
}

#[tokio::test]
async fn calls_follow_each_other_on_one_connection() {
    let account = Account::new().await;
    let stream = TcpStream::connect(account.server.address()).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for number in 1..=3 {
        let request = Request::post("/").header("x-amz-target", "Kinesis_20131202.Frobnicate").body(Full::<Bytes>::default()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.headers()["x-amzn-requestid"], format!("00000000-0000-4000-8000-{number:012x}"));
        response.into_body().collect().await.unwrap();
        sender.ready().await.unwrap();
    }
}

#[derive(Debug)]
struct Fast;

impl Intercept for Fast {
    fn intercept(&self, target: &str, worker: &str, body: &Bytes) -> Option<Answer> {
        target.ends_with("GetRecords").then(|| Ok(format!("{worker} {}", body.len()).into()))
    }
}

#[tokio::test]
async fn an_interceptor_is_asked_before_faults_and_models() {
    let account = Account::with(Options { intercept: Some(Arc::new(Fast)), ..Options::default() }).await;
    account.always("*", &json!("reset"));
    let target = |target| [("x-amz-target", target)];
    let reply = account.send("w", "POST /", &target("DynamoDBStreams_20120810.GetRecords"), "12345").await.unwrap();
    assert_eq!((reply.status, reply.text()), (200, "w 5"));
    assert!(account.send("w", "POST /", &target("DynamoDBStreams_20120810.ListStreams"), "{}").await.is_err());
}

#[tokio::test]
async fn load_mode_refuses_faults_and_pauses() {
    let account = Account::with(Options { intercept: Some(Arc::new(Fast)), ..Options::default() }).await;
    for (request, body) in [("PUT /_sim/faults", r#"{"rules": []}"#), ("POST /_sim/pause", r#"{"worker": "w", "seconds": 1}"#)] {
        let reply = account.send("", request, &[], body).await.unwrap();
        assert_eq!(reply.status, 409, "{request}");
        assert!(reply.text().contains("load mode has neither faults nor pauses"), "{}", reply.text());
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_jump_of_the_clock_makes_due_is_done_at_once() {
    let account = Account::new().await;
    let call = async |operation: &str, body: Value| {
        let target = format!("Firehose_20150804.{operation}");
        account.send("w", "POST /", &[("x-amz-target", &target)], body.to_string()).await.unwrap().status
    };
    let destination = json!({"BucketARN": "arn:aws:s3:::lake", "RoleARN": "arn:aws:iam::000000000000:role/r"});
    let stream = json!({"DeliveryStreamName": "events", "S3DestinationConfiguration": destination});
    assert_eq!(call("CreateDeliveryStream", stream).await, 200);
    assert_eq!(call("PutRecord", json!({"DeliveryStreamName": "events", "Record": {"Data": "eA=="}})).await, 200);
    account.send("", "POST /_sim/clock", &[], r#"{"advance_seconds": 3600}"#).await.unwrap();
    assert_eq!(account.cloud.state().buckets.objects("lake").unwrap().len(), 1);
    let reply = account.send("", "POST /_sim/clock", &[], r#"{"advance_seconds": 1e15}"#).await.unwrap();
    assert_eq!(reply.status, 400, "the clock has an end");
}

#[tokio::test]
async fn an_entry_of_the_journal_is_one_line() {
    let account = Account::new().await;
    account.put("w", "a%0Ab", "x").await.unwrap();
    account.put("w", "c", "x").await.unwrap();
    let reply = account.send("", "GET /_sim/journal?since=0", &[], "").await.unwrap();
    let lines: Vec<_> = reply.text().lines().map(|line| line.split_once(" creates ").unwrap().1).collect();
    assert_eq!(lines, [r"a\nb (1 bytes)", "c (1 bytes)"]);
    assert_eq!(reply.header("x-sim-first"), "0");
}

#[tokio::test]
async fn a_stopped_server_is_gone_with_its_connections() {
    let account = Account::new().await;
    let address = account.server.address();
    let stream = TcpStream::connect(address).await.unwrap();
    account.faults.pause("w", i64::MAX);
    let waiting = account.put("w", "a", "held");
    tokio::select! {
        _ = waiting => panic!("a paused worker's request was answered"),
        () = tokio::time::sleep(Duration::from_millis(20)) => {}
    }
    account.server.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
    let mut byte = [0];
    stream.readable().await.unwrap();
    assert_eq!(stream.try_read(&mut byte).unwrap(), 0, "the connection has ended");
    assert!(account.cloud.state().buckets.object("lake", "a").is_err());
}

#[tokio::test(start_paused = true)]
async fn rules_clock_and_journal_can_be_reached_over_the_port() {
    let account = Account::new().await;
    let rules = json!({"seed": 3, "rules": [{"operation": "PutObject", "fault": {"server_error": "500"}, "chance": {"calls": [1]}}]});
    let reply = account.send("", "PUT /_sim/faults", &[], rules.to_string()).await.unwrap();
    assert_eq!(reply.text(), r#"{"rules":1}"#);
    assert_eq!(account.put("w1", "a", "one").await.unwrap().status, 500);
    assert_eq!(account.put("w1", "a", "one").await.unwrap().status, 200);
    let reply = account.send("", "POST /_sim/clock", &[], r#"{"advance_seconds": 86400}"#).await.unwrap();
    assert_eq!(reply.status, 200);
    let reply = account.send("", "GET /_sim/journal?since=0", &[], "").await.unwrap();
    let lines: Vec<_> = reply.text().lines().map(|line| line.split_once(' ').unwrap().1.split_once(' ').unwrap().1.trim()).collect();
    assert_eq!(lines, ["w1           ! PutObject: fails with 500", "w1           creates a (3 bytes)", "the clock jumps by 86400 s"]);
    let reply = account.send("", "GET /_sim/faults", &[], "").await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&reply.body).unwrap()["injected"], json!({"server_error": 1}));
    for wrong in ["POST /_sim/frobnicate", "POST /_sim/clock", "PUT /_sim/faults"] {
        assert!(
            StatusCode::from_u16(account.send("", wrong, &[], "{\"x\": 1}").await.unwrap().status).unwrap().is_client_error(),
            "{wrong}"
        );
    }
}

/// What makes histories on paused time repeatable: while bytes are on their way, the clock does not go on to the next timer.
#[tokio::test(start_paused = true)]
async fn a_request_takes_no_virtual_time_though_others_wait_for_their_timers() {
    let account = Arc::new(Account::new().await);
    let clients = (0..3).map(|worker| {
        let account = account.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_secs(7 + worker)).await;
                let begun = Instant::now();
                timeout(Duration::from_secs(1), account.put("w", "a", "x")).await.expect("an answer").unwrap();
                assert_eq!(begun.elapsed(), Duration::ZERO);
            }
        })
    });
    futures::future::join_all(clients).await.into_iter().collect::<Result<(), _>>().unwrap();
}
