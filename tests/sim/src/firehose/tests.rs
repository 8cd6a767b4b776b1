use std::io::Read;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::call::Quirks;
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::journal::Journal;
use crate::kinesis::ShardId;
use crate::kinesis::aggregate::tests::PACKED;
use crate::kinesis::testing::{Account, START, encoded};

const ROLE: &str = "arn:aws:iam::000000000000:role/firehose";

fn create(account: &mut Account, body: &Value, destination: &Value) -> Result<Value, &'static str> {
    let mut body = body.clone();
    body["DeliveryStreamName"] = json!("lake");
    body["ExtendedS3DestinationConfiguration"] = json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::lake"});
    body["ExtendedS3DestinationConfiguration"].as_object_mut().unwrap().extend(destination.as_object().unwrap().clone());
    account.firehose("CreateDeliveryStream", body).map_err(|error| error.code)
}

/// An account with the delivery stream `lake` into the bucket `lake`.
pub(super) fn direct(destination: &Value) -> Account {
    let mut account = Account::new();
    account.buckets.create("lake");
    create(&mut account, &json!({}), destination).unwrap();
    account
}

/// An account with the delivery stream `lake` that reads the Kinesis stream `orders`, which holds a record already.
fn from_kinesis(destination: &Value) -> Account {
    let mut account = Account::with_stream("orders", 1);
    account.buckets.create("lake");
    account.put("pk1", "before ");
    let source = json!({"KinesisStreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/orders", "RoleARN": ROLE});
    let body = json!({"DeliveryStreamType": "KinesisStreamAsSource", "KinesisStreamSourceConfiguration": source});
    create(&mut account, &body, destination).unwrap();
    account
}

/// The objects of the bucket `lake`, by key.
pub(super) fn objects(account: &Account) -> Vec<(String, Vec<u8>)> {
    account.buckets.objects("lake").unwrap().iter().map(|(key, object)| (key.clone(), object.body.to_vec())).collect()
}

fn put(account: &mut Account, data: impl AsRef<[u8]>) {
    account.firehose("PutRecord", json!({"DeliveryStreamName": "lake", "Record": {"Data": encoded(data)}})).unwrap();
}

fn at_second(account: &mut Account, second: i64) {
    account.now = START + second * 1_000;
    account.tick();
}

#[test]
fn an_object_is_written_when_its_oldest_record_has_waited_for_the_interval() {
    let mut account = direct(&json!({"Prefix": "changes/", "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 60}}));
    account.now = START + 5_000;
    put(&mut account, "a\n");
    at_second(&mut account, 64);
    put(&mut account, "b\n");
    assert_eq!(objects(&account), []);
    at_second(&mut account, 65);
    put(&mut account, "c\n");
    let written = objects(&account);
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].1, b"a\nb\n");
    let name = written[0].0.strip_prefix("changes/2026/11/19/00/lake-1-2026-11-19-00-00-05-").unwrap();
    assert_eq!(name.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    at_second(&mut account, 125);
    assert_eq!(objects(&account)[1].1, b"c\n");
    assert_eq!(account.events().iter().filter(|event| event.starts_with("creates changes/")).count(), 2);
}

#[test]
fn an_object_is_written_when_the_buffer_is_full() {
    let mut account = direct(&json!({"BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 900}}));
    let records: Vec<Value> = ["a", "b", "c"].iter().map(|data| json!({"Data": encoded(data.repeat(600_000))})).collect();
    account.firehose("PutRecordBatch", json!({"DeliveryStreamName": "lake", "Records": records})).unwrap();
    let written = objects(&account);
    assert_eq!(written.iter().map(|(_, body)| body.len()).collect::<Vec<_>>(), [1_200_000]);
    at_second(&mut account, 900);
    assert_eq!(objects(&account).len(), 2);
}

#[test]
fn without_an_interval_nothing_waits() {
    let mut account = direct(&json!({"BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0}}));
    put(&mut account, "a");
    assert_eq!(objects(&account)[0].1, b"a");
}

#[test]
fn a_clock_that_jumps_past_the_interval_does_not_mix_what_came_before_and_after() {
    let mut account = from_kinesis(&json!({}));
    account.put("pk1", "a");
    at_second(&mut account, 1);
    account.now = START + 7_200_000;
    account.put("pk1", "b");
    at_second(&mut account, 7_200);
    at_second(&mut account, 7_500);
    let written = objects(&account);
    assert_eq!(written.iter().map(|(_, body)| body.as_slice()).collect::<Vec<_>>(), [b"a", b"b"]);
    assert!(written[0].0.starts_with("2026/11/19/00/") && written[1].0.starts_with("2026/11/19/02/"));
}

#[test]
fn objects_are_compressed_when_asked_for() {
    for (extension, expected) in [(json!({}), ".gz"), (json!({"FileExtension": ".json.gz"}), ".json.gz")] {
        let mut destination = extension;
        destination["CompressionFormat"] = json!("GZIP");
        let mut account = direct(&destination);
        put(&mut account, "a\nb\n");
        at_second(&mut account, 300);
        let (key, body) = objects(&account).remove(0);
        assert!(key.ends_with(expected), "{key}");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\nb\n");
    }
}

#[test]
fn the_prefix_tells_the_arrival_of_the_oldest_record() {
    let destination = json!({
        "Prefix": "dt=!{timestamp:yyyy-MM-dd}/hr=!{timestamp:HH}/", "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/",
        "FileExtension": ".ndjson", "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 900},
    });
    let mut account = from_kinesis(&destination);
    account.now = START + 3_599_000;
    account.put("pk1", "a");
    account.now = START + 3_601_000;
    account.put("pk1", "b");
    account.tick();
    at_second(&mut account, 3_601 + 900);
    let written = objects(&account);
    assert_eq!((written.len(), written[0].1.as_slice()), (1, &b"ab"[..]));
    let name = written[0].0.strip_suffix(".ndjson").unwrap();
    assert!(name.starts_with("dt=2026-11-19/hr=00/lake-1-2026-11-19-00-59-59-"), "{name}");
}

#[test]
fn records_are_split_and_delimited_when_asked_for() {
    let processors = json!([
        {"Type": "RecordDeAggregation", "Parameters": [{"ParameterName": "SubRecordType", "ParameterValue": "JSON"}]},
        {"Type": "AppendDelimiterToRecord", "Parameters": [{"ParameterName": "Delimiter", "ParameterValue": "\\n"}]},
    ]);
    for (enabled, expected) in [(true, "{\"a\":1}\n{\"b\":2}\n3\n"), (false, "{\"a\":1}{\"b\":2}3")] {
        let mut account = direct(&json!({"ProcessingConfiguration": {"Enabled": enabled, "Processors": processors}}));
        put(&mut account, r#"{"a":1}{"b":2}"#);
        put(&mut account, "3");
        at_second(&mut account, 300);
        assert_eq!(objects(&account)[0].1, expected.as_bytes());
    }
}

#[test]
fn a_kinesis_stream_is_read_from_now_on_through_splits_and_merges() {
    let mut account = from_kinesis(&json!({}));
    account.put("pk1", "1");
    account.tick();
    account.put("pk1", "2");
    account.kinesis.split("orders", ShardId(0), account.now, &account.journal).unwrap();
    for data in ["3", "4"] {
        account.put("pk1", data);
    }
    account.put("pk2", "5");
    account.kinesis.merge("orders", ShardId(1), ShardId(2), account.now, &account.journal).unwrap();
    account.put("pk1", "6");
    at_second(&mut account, 10);
    at_second(&mut account, 11);
    at_second(&mut account, 300);
    assert_eq!(objects(&account)[0].1, b"123456");
    let body = json!({"DeliveryStreamName": "lake", "Record": {"Data": ""}});
    let refused = account.firehose("PutRecord", body).unwrap_err();
    assert_eq!(refused.message, "This operation is not permitted on KinesisStreamAsSource delivery stream type.");
    assert_eq!(refused.code, "InvalidArgumentException");
}

#[test]
fn packed_records_are_unpacked_and_damaged_ones_pass_as_they_are() {
    let mut account = from_kinesis(&json!({}));
    let mut put = |data: &[u8]| {
        account.kinesis("PutRecord", json!({"StreamName": "orders", "PartitionKey": "a", "Data": encoded(data)})).unwrap();
    };
    put(PACKED);
    put(&PACKED[..PACKED.len() - 1]);
    account.tick();
    at_second(&mut account, 300);
    assert_eq!(objects(&account)[0].1, [b"AB", &PACKED[..PACKED.len() - 1]].concat());
}

#[test]
fn objects_wait_for_their_bucket_for_a_day() {
    let mut account = Account::new();
    create(&mut account, &json!({}), &json!({})).unwrap();
    put(&mut account, "a");
    at_second(&mut account, 300);
    put(&mut account, "b");
    at_second(&mut account, 600);
    at_second(&mut account, 300 + 24 * 3_600);
    at_second(&mut account, 301 + 24 * 3_600);
    account.buckets.create("lake");
    account.tick();
    assert_eq!(objects(&account).into_iter().map(|(_, body)| body).collect::<Vec<_>>(), [b"b"]);
}

#[test]
fn what_is_in_the_buffer_is_written_before_a_delivery_stream_is_deleted() {
    let mut account = direct(&json!({}));
    put(&mut account, "a");
    account.firehose("DeleteDeliveryStream", json!({"DeliveryStreamName": "lake"})).unwrap();
    assert_eq!(objects(&account)[0].1, b"a");
    let error = account.firehose("DescribeDeliveryStream", json!({"DeliveryStreamName": "lake"})).unwrap_err();
    assert_eq!(error.code, "ResourceNotFoundException");
}

#[test]
fn a_delivery_stream_is_described_with_its_defaults() {
    let mut account = from_kinesis(&json!({"Prefix": "changes/"}));
    let answer = account.firehose("DescribeDeliveryStream", json!({"DeliveryStreamName": "lake"})).unwrap();
    let description = &answer["DeliveryStreamDescription"];
    assert_eq!(description["DeliveryStreamARN"], "arn:aws:firehose:us-east-1:000000000000:deliverystream/lake");
    assert_eq!(description["DeliveryStreamType"], "KinesisStreamAsSource");
    let source = &description["Source"]["KinesisStreamSourceDescription"];
    assert_eq!(source["KinesisStreamARN"], "arn:aws:kinesis:us-east-1:000000000000:stream/orders");
    let destination = &description["Destinations"][0]["ExtendedS3DestinationDescription"];
    assert_eq!(destination["BufferingHints"], json!({"SizeInMBs": 5, "IntervalInSeconds": 300}));
    assert_eq!((&destination["CompressionFormat"], &destination["Prefix"]), (&json!("UNCOMPRESSED"), &json!("changes/")));
}

#[test]
fn delivery_streams_are_listed_by_name_and_type() {
    let mut account = from_kinesis(&json!({}));
    for name in ["river", "brook"] {
        let destination = json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::lake"});
        account.firehose("CreateDeliveryStream", json!({"DeliveryStreamName": name, "S3DestinationConfiguration": destination})).unwrap();
    }
    for (body, names, more) in [
        (json!({}), json!(["brook", "lake", "river"]), false),
        (json!({"Limit": 2}), json!(["brook", "lake"]), true),
        (json!({"ExclusiveStartDeliveryStreamName": "lake"}), json!(["river"]), false),
        (json!({"DeliveryStreamType": "DirectPut"}), json!(["brook", "river"]), false),
    ] {
        let answer = account.firehose("ListDeliveryStreams", body).unwrap();
        assert_eq!((&answer["DeliveryStreamNames"], &answer["HasMoreDeliveryStreams"]), (&names, &json!(more)));
    }
}

#[test]
fn what_cannot_be_created_is_refused() {
    let mut account = direct(&json!({}));
    assert_eq!(create(&mut account, &json!({}), &json!({})), Err("ResourceInUseException"));
    account.firehose("DeleteDeliveryStream", json!({"DeliveryStreamName": "lake"})).unwrap();
    for (destination, code) in [
        (json!({"BucketARN": "lake"}), "ValidationException"),
        (json!({"Prefix": "!{timestamp:HH}/"}), "InvalidArgumentException"),
        (json!({"BufferingHints": {"SizeInMBs": 0, "IntervalInSeconds": 60}}), "ValidationException"),
        (json!({"BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 901}}), "ValidationException"),
        (json!({"BufferingHints": {"SizeInMBs": 1}}), "SerializationException"),
        (json!({"CompressionFormat": "ZIP"}), "InvalidArgumentException"),
        (json!({"FileExtension": "json"}), "ValidationException"),
        (json!({"CustomTimeZone": "Asia/Tokyo"}), "InvalidArgumentException"),
        (json!({"DynamicPartitioningConfiguration": {"Enabled": true}}), "InvalidArgumentException"),
        (json!({"ProcessingConfiguration": {"Enabled": true, "Processors": [{"Type": "Lambda"}]}}), "InvalidArgumentException"),
    ] {
        assert_eq!(create(&mut account, &json!({}), &destination), Err(code), "{destination}");
    }
    let source = json!({"KinesisStreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/orders", "RoleARN": ROLE});
    for body in [
        json!({"DeliveryStreamType": "KinesisStreamAsSource"}),
        json!({"KinesisStreamSourceConfiguration": source}),
        json!({"DeliveryStreamType": "KinesisStreamAsSource", "KinesisStreamSourceConfiguration": source}),
        json!({"DeliveryStreamType": "MSKAsSource"}),
    ] {
        assert_eq!(create(&mut account, &body, &json!({})), Err("InvalidArgumentException"), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_that_passes_between_two_calls_does_not_take_records_from_firehose() {
    let cloud = Cloud::new(Clock::starting_at(START), Journal::keeping());
    cloud.state().buckets.create("lake");
    let call = |target: &str, body: Value| cloud.call(target, "tester", body.to_string().as_bytes(), &Quirks::default()).unwrap();
    call("Kinesis_20131202.CreateStream", json!({"StreamName": "orders", "ShardCount": 1}));
    let source = json!({"KinesisStreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/orders", "RoleARN": ROLE});
    let destination = json!({"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::lake"});
    let delivery = json!({
        "DeliveryStreamName": "lake", "DeliveryStreamType": "KinesisStreamAsSource", "KinesisStreamSourceConfiguration": source,
        "S3DestinationConfiguration": destination,
    });
    call("Firehose_20150804.CreateDeliveryStream", delivery);
    call("Kinesis_20131202.PutRecord", json!({"StreamName": "orders", "PartitionKey": "a", "Data": encoded("a")}));
    cloud.clock.jump(Duration::from_hours(25));
    call("Kinesis_20131202.DescribeStreamSummary", json!({"StreamName": "orders"}));
    assert_eq!(cloud.state().kinesis.records("orders").map(|(_, records)| records.len()).sum::<usize>(), 0);
    cloud.clock.jump(Duration::from_mins(5));
    call("Firehose_20150804.ListDeliveryStreams", json!({}));
    let bodies: Vec<Bytes> = cloud.state().buckets.objects("lake").unwrap().values().map(|object| object.body.clone()).collect();
    assert_eq!(bodies, [Bytes::from_static(b"a")]);
}
