//! The stream as a reader sees it.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::load::order::Profile;

const END: usize = 1_800_000_000_000;

fn stream(shards: usize, records: usize, profile: Profile) -> Stream {
    let plan = Arc::new(Plan::new(1, shards, records).unwrap());
    let template = Template::render(&plan, profile, 1);
    Stream::new("load", plan, template, END)
}

fn call(stream: &Stream, operation: &str, mut request: Value) -> Result<Value, ApiError> {
    request["StreamArn"] = json!(stream.arn);
    stream.call(operation, request.to_string().as_bytes()).unwrap().map(|json| serde_json::from_slice(&json).unwrap())
}

fn iterator(stream: &Stream, mut request: Value, shard: &str) -> Value {
    request["ShardId"] = json!(shard);
    call(stream, "GetShardIterator", request).unwrap()["ShardIterator"].clone()
}

fn shard_ids(stream: &Stream) -> Vec<String> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let request = after.take().map_or_else(|| json!({}), |after: Value| json!({ "ExclusiveStartShardId": after }));
        let described = call(stream, "DescribeStream", request).unwrap()["StreamDescription"].clone();
        let shards = described["Shards"].as_array().unwrap().iter();
        ids.extend(shards.map(|shard| shard["ShardId"].as_str().unwrap().to_owned()));
        match described.get("LastEvaluatedShardId") {
            Some(last) => after = Some(last.clone()),
            None => return ids,
        }
    }
}

fn read(stream: &Stream, iterator: &Value, limit: Option<usize>) -> Value {
    let mut request = json!({ "ShardIterator": iterator });
    if let Some(limit) = limit {
        request["Limit"] = json!(limit);
    }
    let page = stream.records(request.to_string().as_bytes()).unwrap().unwrap();
    assert!(page.json.len() <= 1_000_200, "{} bytes", page.json.len());
    let json: Value = serde_json::from_slice(&page.json).unwrap();
    assert_eq!(json["Records"].as_array().unwrap().len(), page.records);
    json
}

/// Pages from an iterator to the shard's end.
fn pages(stream: &Stream, mut iterator: Value, limit: Option<usize>) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    loop {
        let page = read(stream, &iterator, limit);
        pages.push(page["Records"].as_array().unwrap().clone());
        match page.get("NextShardIterator") {
            Some(next) => iterator = next.clone(),
            None => return pages,
        }
    }
}

fn from_horizon(stream: &Stream, shard: &str, limit: Option<usize>) -> Vec<Vec<Value>> {
    pages(stream, iterator(stream, json!({ "ShardIteratorType": "TRIM_HORIZON" }), shard), limit)
}

fn sequence(record: &Value) -> &str {
    record["dynamodb"]["SequenceNumber"].as_str().unwrap()
}

#[test]
fn each_record_is_read_once_and_items_stay_in_one_shard_in_order() {
    for (profile, records_in_all) in [(Profile::Lean, 10_300), (Profile::Rich, 301)] {
        let stream = stream(2, records_in_all, profile);
        let (mut sequences, mut trails) = (BTreeSet::new(), BTreeMap::<String, (usize, Option<String>)>::new());
        for (shard, id) in shard_ids(&stream).iter().enumerate() {
            let records = from_horizon(&stream, id, None).concat();
            assert!(records.is_sorted_by(|a, b| sequence(a) < sequence(b)));
            assert!(records.is_sorted_by_key(|record| record["dynamodb"]["ApproximateCreationDateTime"].as_u64()));
            for record in &records {
                assert!(sequences.insert(sequence(record).to_owned()));
                let change = &record["dynamodb"];
                let trail = |image: &str| change[image]["trail"]["S"].as_str().map(str::to_owned);
                let item = change["Keys"]["order_id"]["S"].as_str().unwrap().to_owned();
                let (home, before) = trails.insert(item, (shard, trail("NewImage"))).unwrap_or((shard, None));
                assert_eq!(home, shard, "an item's changes lie in one shard");
                assert_eq!(before, trail("OldImage"), "the old image is the new one of the change before");
            }
        }
        assert_eq!(sequences.len(), records_in_all);
    }
}

#[test]
fn a_page_has_a_thousand_records_or_a_megabyte() {
    let lean = stream(1, 5_300, Profile::Lean);
    let sizes: Vec<usize> = from_horizon(&lean, &shard_ids(&lean)[0], None).iter().map(Vec::len).collect();
    assert_eq!(sizes, [1_000, 1_000, 1_000, 1_000, 1_000, 300]);
    let rich = stream(1, 700, Profile::Rich);
    let pages = from_horizon(&rich, &shard_ids(&rich)[0], None);
    let (last, full) = pages.split_last().unwrap();
    assert!(!last.is_empty() && full.iter().all(|page| (150..500).contains(&page.len())), "{:?}", pages.iter().map(Vec::len));
    let bytes = full.iter().map(|page| serde_json::to_string(page).unwrap().len());
    assert!(bytes.min() > Some(980_000), "a page is filled before it ends");
}

#[test]
fn a_request_is_understood_however_its_text_is_escaped() {
    let stream = stream(1, 100, Profile::Lean);
    let escaped = |request: Value| request.to_string().replace('/', "\\/");
    let described = stream.call("DescribeStream", escaped(json!({ "StreamArn": stream.arn })).as_bytes());
    assert!(described.unwrap().is_ok());
    let page = stream.records(escaped(json!({ "ShardIterator": stream.iterator_at(0, 0) })).as_bytes());
    assert_eq!(page.unwrap().unwrap().records, 100);
}

#[test]
fn a_limit_that_fits_no_lot_reads_the_same_records() {
    let stream = stream(1, 5_700, Profile::Lean);
    let id = &shard_ids(&stream)[0];
    let pages = from_horizon(&stream, id, Some(777));
    assert_eq!(pages[0].len(), 777);
    assert_eq!(pages.concat(), from_horizon(&stream, id, None).concat());
}

#[test]
fn an_iterator_starts_at_or_after_a_record_or_at_a_time() {
    let stream = stream(2, 10_400, Profile::Lean);
    let id = &shard_ids(&stream)[1];
    let records = from_horizon(&stream, id, None).concat();
    let first = |request: Value| {
        let page = read(&stream, &iterator(&stream, request, id), Some(1));
        page["Records"].get(0).map(|record| sequence(record).to_owned())
    };
    for place in [0, 4_999, 5_000, 5_198] {
        let of = |kind: &str| first(json!({ "ShardIteratorType": kind, "SequenceNumber": sequence(&records[place]) }));
        assert_eq!(of("AT_SEQUENCE_NUMBER").as_deref(), Some(sequence(&records[place])));
        assert_eq!(of("AFTER_SEQUENCE_NUMBER").as_deref(), Some(sequence(&records[place + 1])));
    }
    let created = |record: &Value| record["dynamodb"]["ApproximateCreationDateTime"].as_u64();
    let later = records.iter().position(|record| created(record) > created(&records[0])).unwrap();
    assert_eq!(
        first(json!({ "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": created(&records[later]) })).as_deref(),
        Some(sequence(&records[later]))
    );
    assert_eq!(first(json!({ "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 0 })).as_deref(), Some(sequence(&records[0])));
    assert_eq!(first(json!({ "ShardIteratorType": "LATEST" })), None);
    let last = json!({ "ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": sequence(&records[5_199]) });
    let page = read(&stream, &iterator(&stream, last, id), None);
    assert_eq!(page, json!({ "Records": [] }), "behind the last record the shard is closed");
}

#[test]
fn a_record_of_another_shard_is_no_position() {
    let stream = stream(2, 200, Profile::Lean);
    let ids = shard_ids(&stream);
    let other = from_horizon(&stream, &ids[0], Some(1))[0][0].clone();
    let request = json!({ "ShardId": ids[1], "ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": sequence(&other) });
    assert_eq!(call(&stream, "GetShardIterator", request).unwrap_err().code, "ValidationException");
    let request = json!({ "ShardId": "shardId-00000001732150000000-00000000", "ShardIteratorType": "LATEST" });
    assert_eq!(call(&stream, "GetShardIterator", request).unwrap_err().code, "ResourceNotFoundException");
}

#[test]
fn a_million_records_span_four_minutes_and_end_at_the_start() {
    let stream = stream(4, 1_000_000, Profile::Lean);
    assert_eq!(stream.seconds(0, 249_999), END / 1_000);
    assert_eq!(stream.seconds(3, 0), END / 1_000 - 240);
}

#[test]
fn more_than_a_hundred_shards_are_described_on_several_pages_and_have_no_children() {
    let stream = stream(230, 1_000, Profile::Lean);
    let ids = shard_ids(&stream);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 230);
    assert!(ids.iter().all(|id| (28..=65).contains(&id.len())));
    let children = json!({ "ShardFilter": { "Type": "CHILD_SHARDS", "ShardId": ids[0] } });
    assert_eq!(call(&stream, "DescribeStream", children).unwrap()["StreamDescription"]["Shards"], json!([]));
    let described = call(&stream, "DescribeStream", json!({ "Limit": 1 })).unwrap()["StreamDescription"].clone();
    let records = from_horizon(&stream, &ids[0], None).concat();
    let range = json!({ "StartingSequenceNumber": sequence(&records[0]), "EndingSequenceNumber": sequence(records.last().unwrap()) });
    assert_eq!(described["Shards"], json!([{ "ShardId": ids[0], "SequenceNumberRange": range }]));
}

#[test]
fn the_table_leads_to_the_stream() {
    let stream = stream(1, 100, Profile::Lean);
    let table = |name: &str| stream.call("DescribeTable", json!({ "TableName": name }).to_string().as_bytes());
    let described: Value = serde_json::from_slice(&table("load").unwrap().unwrap()).unwrap();
    assert_eq!(described["Table"]["LatestStreamArn"], stream.arn);
    assert_eq!(described["Table"]["StreamSpecification"]["StreamViewType"], "NEW_AND_OLD_IMAGES");
    let listed = stream.call("ListStreams", br#"{"TableName":"load"}"#).unwrap().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&listed).unwrap()["Streams"][0]["StreamArn"], stream.arn);
    assert!(table("leases").is_none(), "other tables are the models'");
    assert!(stream.call("ListStreams", b"{}").is_none());
}

#[test]
fn other_streams_and_wrong_iterators_are_told_apart() {
    let stream = stream(1, 100, Profile::Lean);
    let records = |iterator: &str| stream.records(json!({ "ShardIterator": iterator }).to_string().as_bytes());
    assert!(records("another|0|0").is_none());
    for wrong in ["1|0", "0|101", "0|x"] {
        assert_eq!(records(&format!("{}|{wrong}", stream.arn)).unwrap().unwrap_err().code, "ValidationException");
    }
    let limit = json!({ "ShardIterator": stream.iterator_at(0, 0), "Limit": 1_001 }).to_string();
    assert_eq!(stream.records(limit.as_bytes()).unwrap().unwrap_err().code, "LimitExceededException");
    for limit in [0, -1] {
        let limit = json!({ "ShardIterator": stream.iterator_at(0, 0), "Limit": limit }).to_string();
        assert_eq!(stream.records(limit.as_bytes()).unwrap().unwrap_err().code, "ValidationException");
    }
    for limit in [0, 101] {
        assert_eq!(call(&stream, "DescribeStream", json!({ "Limit": limit })).unwrap_err().code, "ValidationException");
    }
    assert!(stream.call("DescribeStream", br#"{"StreamArn":"arn:aws:dynamodb:other"}"#).is_none());
}
