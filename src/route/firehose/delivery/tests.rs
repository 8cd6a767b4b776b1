use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use super::*;

/// A delivery stream whose service gives these answers in turn.
fn answering(answers: impl IntoIterator<Item = (u16, Value)>) -> (DeliveryStream, StaticReplayClient) {
    let events = answers.into_iter().map(|(status, body)| {
        let response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body.to_string()));
        ReplayEvent::new(HttpRequest::new(SdkBody::empty()), response)
    });
    let client = StaticReplayClient::new(events.collect());
    let sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .http_client(client.clone())
        .build();
    (DeliveryStream::new(&sdk, "orders"), client)
}

fn described(kind: &str, status: &str, destinations: &Value) -> Value {
    json!({"DeliveryStreamDescription": {
        "DeliveryStreamName": "orders", "DeliveryStreamARN": "arn:aws:firehose:eu-west-1:123456789012:deliverystream/orders",
        "DeliveryStreamStatus": status, "DeliveryStreamType": kind, "VersionId": "1", "HasMoreDestinations": false,
        "Destinations": destinations,
    }})
}

/// A stream into S3 with these settings besides the required ones.
fn into_s3(settings: Value) -> Value {
    let mut s3 = json!({
        "RoleARN": "arn:aws:iam::123456789012:role/firehose", "BucketARN": "arn:aws:s3:::lake", "CompressionFormat": "UNCOMPRESSED",
        "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 60}, "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
    });
    let Value::Object(settings) = settings else { panic!("not an object") };
    s3.as_object_mut().unwrap().extend(settings);
    described("DirectPut", "ACTIVE", &json!([{"DestinationId": "d-1", "ExtendedS3DestinationDescription": s3}]))
}

#[tokio::test]
async fn events_may_share_a_record_where_nobody_looks_into_it() {
    let lambda = |enabled| json!({"ProcessingConfiguration": {"Enabled": enabled, "Processors": [{"Type": "Lambda", "Parameters": []}]}});
    let delimiter = json!({"Enabled": true, "Processors": [{"Type": "AppendDelimiterToRecord", "Parameters": []}]});
    let http = json!([{"DestinationId": "d-1", "HttpEndpointDestinationDescription": {}}]);
    for (stream, apart) in [
        (into_s3(json!({})), false),
        (into_s3(json!({"DataFormatConversionConfiguration": {"Enabled": true}})), true),
        (into_s3(json!({"DataFormatConversionConfiguration": {}})), true),
        (into_s3(json!({"DataFormatConversionConfiguration": {"Enabled": false}})), false),
        (into_s3(json!({"DynamicPartitioningConfiguration": {"Enabled": true}})), true),
        (into_s3(json!({"DynamicPartitioningConfiguration": {"Enabled": false}})), false),
        (into_s3(lambda(true)), true),
        (into_s3(lambda(false)), false),
        (into_s3(json!({"ProcessingConfiguration": delimiter})), false),
        (described("DirectPut", "ACTIVE", &http), true),
        (described("DirectPut", "ACTIVE", &json!([])), true),
    ] {
        let (delivery, _) = answering([(200, stream.clone())]);
        assert_eq!(delivery.check().await.unwrap(), apart, "{stream}");
    }
}

#[tokio::test]
async fn a_stream_says_how_long_it_gathers_records() {
    let secs = |seconds| Some(Duration::from_secs(seconds));
    let hints = |seconds: u64| json!({"BufferingHints": {"SizeInMBs": 128, "IntervalInSeconds": seconds}});
    let with = |mut settings: Value, more: Value| {
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        into_s3(settings)
    };
    let lambda = json!({"ProcessingConfiguration": {"Enabled": true, "Processors": [{"Type": "Lambda", "Parameters": []}]}});
    let http = json!([{"DestinationId": "d-1", "HttpEndpointDestinationDescription": {}}]);
    for (stream, expected) in [
        (into_s3(hints(300)), secs(300)),
        (into_s3(hints(0)), secs(0)),
        (with(hints(900), json!({"DynamicPartitioningConfiguration": {"Enabled": true}})), secs(1350)),
        (with(hints(60), json!({"DataFormatConversionConfiguration": {"Enabled": true}})), secs(60)),
        (with(hints(60), lambda), None),
        (described("DirectPut", "ACTIVE", &http), None),
        (described("DirectPut", "ACTIVE", &json!([])), None),
    ] {
        let (delivery, _) = answering([(200, stream.clone())]);
        assert_eq!(delivery.gathers_for().await.unwrap(), expected, "{stream}");
    }
}

#[tokio::test]
async fn a_stream_that_takes_no_direct_puts_is_refused_with_the_way_out() {
    let none = json!([]);
    for (stream, hint) in [
        (described("KinesisStreamAsSource", "ACTIVE", &none), "route.kind = \"kinesis\""),
        (described("MSKAsSource", "ACTIVE", &none), "of type MSKAsSource"),
        (described("DirectPut", "CREATING", &none), "start again when it is ACTIVE"),
        (described("DirectPut", "CREATING_FAILED", &none), "delete it"),
        (described("DirectPut", "DELETING", &none), "headwater init"),
    ] {
        let (delivery, _) = answering([(200, stream.clone())]);
        let error = delivery.check().await.unwrap_err();
        assert!(error.hint.contains(hint), "{stream} gave {error}");
        assert_eq!(error.doing, "check delivery stream 'orders'");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_there_is_told_from_a_service_that_falters() {
    let missing = json!({"__type": "ResourceNotFoundException", "message": "no orders"});
    let falters = json!({"__type": "ServiceUnavailableException", "message": "later"});
    let (delivery, _) = answering([(503, falters), (400, missing)]);
    let error = delivery.check().await.unwrap_err();
    assert!(error.hint.contains("create it or run `headwater init`"), "{error}");
    let (delivery, _) = answering([(400, json!({"__type": "AccessDeniedException", "message": "no"}))]);
    assert!(delivery.check().await.unwrap_err().hint.contains("firehose:DescribeDeliveryStream"));
}

#[tokio::test]
async fn each_record_s_own_outcome_is_told() {
    let answer = json!({"FailedPutCount": 2, "RequestResponses": [
        {"RecordId": "r-1"},
        {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."},
        {},
    ]});
    let (delivery, client) = answering([(200, answer)]);
    let put = delivery.put(vec![b"a\n".to_vec(), b"b\n".to_vec(), b"c\n".to_vec()]).await.unwrap();
    assert_eq!(put[0], Put::Taken);
    assert_eq!(put[1], Put::Refused("ServiceUnavailableException: Slow down.".to_owned()));
    assert!(matches!(put[2], Put::Refused(_)), "what is not said to be taken is not");
    let request: Value = serde_json::from_slice(client.actual_requests().next().unwrap().body().bytes().unwrap()).unwrap();
    assert_eq!(request, json!({"DeliveryStreamName": "orders", "Records": [{"Data": "YQo="}, {"Data": "Ygo="}, {"Data": "Ywo="}]}));
}

#[tokio::test]
async fn a_call_that_failed_is_judged_and_not_repeated_here() {
    for (status, code, transient) in [
        (503, "ServiceUnavailableException", true),
        (500, "InternalFailure", true),
        (400, "ThrottlingException", true),
        (400, "InvalidArgumentException", false),
        (400, "InvalidKMSResourceException", false),
        (400, "ResourceNotFoundException", false),
    ] {
        let (delivery, client) = answering([(status, json!({"__type": code, "message": "no"}))]);
        let error = delivery.put(vec![b"a\n".to_vec()]).await.unwrap_err();
        assert_eq!(error.is_transient(), transient, "{error}");
        assert_eq!(client.actual_requests().count(), 1);
    }
    let (delivery, _) = answering([(200, json!({"FailedPutCount": 0, "RequestResponses": [{"RecordId": "r-1"}]}))]);
    let short = delivery.put(vec![b"a\n".to_vec(), b"b\n".to_vec()]).await.unwrap_err();
    assert!(short.is_transient(), "an answer that does not tell of all is none: {short}");
}
