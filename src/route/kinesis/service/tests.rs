//! The SDK's requests and answers, without a network.

use std::borrow::Cow;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_kinesis::types::RecordDistributionStrategy;
use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use tokio::time::Instant;

use super::*;
use crate::event::Position;
use crate::route::kinesis::plan::{Destination, Limits, plan};
use crate::route::outbox::Outbox;
use crate::route::shard_map::HashKey;

/// A stream whose service gives these answers in turn.
fn answering(answers: &[(u16, &str)]) -> (DataStream, StaticReplayClient) {
    let events = answers.iter().map(|(status, body)| {
        let response = HttpResponse::new((*status).try_into().unwrap(), SdkBody::from(*body));
        ReplayEvent::new(HttpRequest::new(SdkBody::empty()), response)
    });
    let client = StaticReplayClient::new(events.collect());
    let sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .http_client(client.clone())
        .build();
    (DataStream::new(&sdk, "changes"), client)
}

/// Two events in one aggregated record, and one alone.
fn records() -> Vec<PlannedRecord> {
    let mut outbox = Outbox::new(Position::ZERO);
    let keys: [&[Cow<'_, str>]; 3] = [&["a".into()], &["a".into()], &["b".into()]];
    for (n, key) in (1_u8..).zip(keys) {
        let position = Position::new(&n.to_string(), 0).unwrap();
        outbox.push(position, Destination::of(key), bytes::Bytes::from_static(b"{}\n"), Instant::now());
    }
    let (a, b) = (HashKey::of("a"), HashKey::of("b"));
    let range = |key: HashKey| HashRange::parse(&key.to_string(), &key.to_string()).unwrap();
    let map = ShardMap::new([(ShardId::new("of a"), range(a)), (ShardId::new("of b"), range(b))]);
    plan(outbox.pending(), &map, &std::collections::HashSet::new(), |_| None, &Limits { events: 10, bytes: 1000, aggregate: Some(500) })
        .records
}

#[tokio::test]
async fn each_record_has_its_answer() {
    let (stream, client) = answering(&[(
        200,
        r#"{"FailedRecordCount":1,"Records":[{"SequenceNumber":"49590338271490256608559692538361571095921575989136588898",
            "ShardId":"shardId-000000000002"},{"ErrorCode":"ProvisionedThroughputExceededException","ErrorMessage":"Rate exceeded"}]}"#,
    )]);
    let answers = stream.put(&records()).await.unwrap();
    let refused = Answer::Refused { code: "ProvisionedThroughputExceededException".into(), message: "Rate exceeded".into() };
    assert_eq!(answers, [Answer::Taken(ShardId::new("shardId-000000000002")), refused]);
    let sent = client.actual_requests().next().unwrap();
    assert_eq!(sent.headers().get("x-amz-target"), Some("Kinesis_20131202.PutRecords"));
    let body: serde_json::Value = serde_json::from_slice(sent.body().bytes().unwrap()).unwrap();
    assert_eq!(body["StreamName"], "changes");
    assert_eq!(body["Records"][0]["PartitionKey"], "a");
    assert_eq!(body["Records"][0]["ExplicitHashKey"], HashKey::of("a").to_string());
    assert_eq!(body["Records"][1]["PartitionKey"], "b");
    assert_eq!(body["Records"][1].get("ExplicitHashKey"), None);
}

#[tokio::test]
async fn an_answer_that_does_not_tell_of_each_record_leaves_all_of_them_in_doubt() {
    let (stream, _) = answering(&[(200, r#"{"Records":[{"SequenceNumber":"1","ShardId":"shardId-0"}]}"#)]);
    let error = stream.put(&records()).await.unwrap_err();
    assert_eq!(error.failure, Failure::Unavailable);
    let (stream, _) = answering(&[(200, r#"{"Records":[{"SequenceNumber":"1"},{"SequenceNumber":"2","ShardId":"shardId-0"}]}"#)]);
    let answers = stream.put(&records()).await.unwrap();
    assert!(matches!(&answers[0], Answer::Refused { message, .. } if message.contains("no shard")));
}

#[tokio::test]
async fn a_call_that_fails_says_how() {
    for (status, code, failure) in [
        (400, "ProvisionedThroughputExceededException", Failure::Throttled),
        (400, "KMSThrottlingException", Failure::Throttled),
        (400, "KMSDisabledException", Failure::Denied),
        (400, "ResourceNotFoundException", Failure::NotFound),
        (500, "InternalFailure", Failure::Unavailable),
    ] {
        let body = format!(r#"{{"__type":"{code}","message":"told"}}"#);
        let (stream, client) = answering(&[(status, &body)]);
        let error = stream.put(&records()).await.unwrap_err();
        assert_eq!((error.failure, &*error.code), (failure, code));
        assert_eq!(client.actual_requests().count(), 1, "the SDK does not retry by itself");
    }
}

#[tokio::test]
async fn only_open_shards_are_on_the_map_over_all_pages() {
    let shard = |id: &str, start: &str, end: &str, ended: &str| {
        format!(
            r#"{{"ShardId":"{id}","HashKeyRange":{{"StartingHashKey":"{start}","EndingHashKey":"{end}"}},
                "SequenceNumberRange":{{"StartingSequenceNumber":"1"{ended}}}}}"#
        )
    };
    let closed = shard("closed", "0", "99", r#","EndingSequenceNumber":"7""#);
    let first = format!(r#"{{"NextToken":"more","Shards":[{closed},{}]}}"#, shard("left", "0", "49", ""));
    let second = format!(r#"{{"Shards":[{}]}}"#, shard("right", "50", "99", ""));
    let (stream, client) = answering(&[(200, &first), (200, &second)]);
    let map = stream.open_shards().await.unwrap();
    assert_eq!(map.len(), 2);
    assert_eq!(map.shard_of("50".parse().unwrap()), Some(&ShardId::new("right")));
    let bodies: Vec<serde_json::Value> =
        client.actual_requests().map(|request| serde_json::from_slice(request.body().bytes().unwrap()).unwrap()).collect();
    assert_eq!(bodies[0], serde_json::json!({"StreamName": "changes", "ShardFilter": {"Type": "AT_LATEST"}}));
    assert_eq!(bodies[1], serde_json::json!({"NextToken": "more"}));
}

#[tokio::test]
async fn what_matters_of_the_stream_is_described() {
    let described = r#"{"StreamDescriptionSummary":{"StreamName":"changes","StreamStatus":"ACTIVE","RetentionPeriodHours":24,
        "StreamARN":"arn:aws:kinesis:eu-central-1:123456789012:stream/changes","StreamCreationTimestamp":1795230000.5,
        "EnhancedMonitoring":[{"ShardLevelMetrics":[]}],"OpenShardCount":4,"MaxRecordSizeInKiB":2048,
        "RecordDistributionStrategy":"AUTO"}}"#;
    let (stream, _) = answering(&[(200, described)]);
    let summary = stream.describe().await.unwrap();
    assert_eq!(summary.record_distribution_strategy, Some(RecordDistributionStrategy::Auto));
    assert_eq!(summary.max_record_size_in_kib, Some(2048));
}
