//! What a client sends, and what is answered and entered.

use base64_simd::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::load::ledger::Received;
use crate::load::plan::Change;

const RECORDS: usize = 1_200;

fn receiver(shards: usize) -> Receiver {
    Receiver::new(Arc::new(Plan::new(1, 1, RECORDS).unwrap()), Shards::new(shards, 0))
}

/// An event for every change of the load.
fn lines(receiver: &Receiver) -> Vec<String> {
    let mark = |item: usize, version: usize| format!("hw~{item:010}~{version:06}~");
    let steps = receiver.plan.steps()[..RECORDS].iter();
    let lines = steps.map(|step| match receiver.plan.pattern(step.item).change(step.index) {
        Change::Insert { new } => json!({ "trail": mark(step.item, new) }),
        Change::Modify { old, new } => json!({ "trail": mark(step.item, new), "old_trail": mark(step.item, old) }),
        Change::Remove { old } => json!({ "old_trail": mark(step.item, old) }),
    });
    lines.map(|line| line.to_string()).collect()
}

fn put(receiver: &Receiver, lines: &[String]) -> Result<Value, ApiError> {
    put_encoded(receiver, &encoded(lines))
}

fn put_batch(receiver: &Receiver, lines: &[String]) -> Result<Value, ApiError> {
    put_batch_encoded(receiver, &encoded(lines))
}

fn encoded(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| STANDARD.encode_to_string(line)).collect()
}

fn put_encoded(receiver: &Receiver, data: &[String]) -> Result<Value, ApiError> {
    let records = data.iter().map(|data| json!({ "Data": data, "PartitionKey": "k" }));
    let body = json!({ "StreamName": "any", "Records": records.collect::<Vec<_>>() }).to_string();
    receiver.put_records(body.as_bytes()).map(|json| serde_json::from_slice(&json).unwrap())
}

fn put_batch_encoded(receiver: &Receiver, data: &[String]) -> Result<Value, ApiError> {
    let records = data.iter().map(|data| json!({ "Data": data })).collect::<Vec<_>>();
    // Another client's spelling: white space, and a slash that is escaped.
    let body = serde_json::to_string_pretty(&json!({ "DeliveryStreamName": "any", "Records": records })).unwrap().replace('/', "\\/");
    receiver.put_record_batch(body.as_bytes()).map(|json| serde_json::from_slice(&json).unwrap())
}

fn books(receiver: &Receiver) -> Received {
    receiver.with_ledger(|ledger| ledger.received())
}

#[test]
fn put_records_answers_every_record_and_counts_it() {
    let receiver = receiver(1);
    let lines = lines(&receiver);
    let mut numbers = std::collections::BTreeSet::new();
    for call in lines.chunks(500) {
        let answer = put(&receiver, call).unwrap();
        assert_eq!(answer["FailedRecordCount"], 0);
        let records = answer["Records"].as_array().unwrap();
        assert_eq!(records.len(), call.len());
        assert!(records.iter().all(|record| record["ShardId"] == "shardId-000000000000"));
        numbers.extend(records.iter().map(|record| record["SequenceNumber"].as_str().unwrap().to_owned()));
    }
    assert_eq!(numbers.len(), RECORDS);
    assert!(numbers.iter().all(|number| number.len() == 56));
    let bytes = lines.iter().map(String::len).sum::<usize>() as u64;
    assert_eq!(books(&receiver), Received { calls: 3, records: 1_200, bytes, changes: 1_200, ..Received::default() });
    assert!(receiver.with_ledger(|ledger| ledger.checksum() == ledger.expected()));
}

#[test]
fn put_record_batch_takes_several_events_in_a_record() {
    let receiver = receiver(1);
    let data: Vec<String> = lines(&receiver).chunks(7).map(|lines| lines.join("\n") + "\n").collect();
    let answer = put_batch(&receiver, &data).unwrap();
    assert_eq!(answer["FailedPutCount"], 0);
    assert_eq!(answer["RequestResponses"].as_array().unwrap().len(), data.len());
    assert!(answer["RequestResponses"][0]["RecordId"].is_string());
    let books = books(&receiver);
    assert_eq!((books.records, books.changes, books.missing), (172, 1_200, 0));
    assert!(books.is_exact());
}

#[test]
fn a_call_that_is_sent_again_after_its_answer_was_lost_is_repeated() {
    let receiver = receiver(1);
    let lines = lines(&receiver);
    put(&receiver, &lines[..500]).unwrap();
    put(&receiver, &lines[..500]).unwrap();
    let books = books(&receiver);
    assert_eq!((books.repeated, books.out_of_order, books.missing), (500, 0, 700));
}

#[test]
fn a_call_that_overtakes_another_is_out_of_order() {
    let receiver = receiver(1);
    let lines = lines(&receiver);
    for call in [&lines[500..1_000], &lines[..500], &lines[1_000..]] {
        put(&receiver, call).unwrap();
    }
    let books = books(&receiver);
    assert!(books.out_of_order > 0 && !books.is_exact());
    assert_eq!((books.repeated, books.missing), (0, 0));
}

#[test]
fn records_go_to_the_shards_of_their_keys() {
    let receiver = receiver(2);
    let records = json!([
        { "Data": "eA==", "PartitionKey": "pk1" },
        { "Data": "eA==", "PartitionKey": "a" },
        { "Data": "eA==", "PartitionKey": "a", "ExplicitHashKey": u128::MAX.to_string() },
    ]);
    let answer = receiver.put_records(json!({ "Records": records }).to_string().as_bytes()).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let shards = answer["Records"].as_array().unwrap().iter().map(|record| record["ShardId"].as_str().unwrap().to_owned());
    assert_eq!(shards.collect::<Vec<_>>(), ["shardId-000000000001", "shardId-000000000000", "shardId-000000000001"]);
}

#[test]
fn large_records_are_taken_and_too_large_ones_refused_whole() {
    let receiver = receiver(1);
    let line = lines(&receiver).remove(0);
    let padded = |size: usize| STANDARD.encode_to_string(format!("{line}{}", " ".repeat(size - line.len())));
    let large = padded(400 * KIB);
    assert!(put_encoded(&receiver, &vec![large.clone(); 25]).is_ok());
    assert_eq!(books(&receiver).repeated, 24);
    let before = books(&receiver);
    assert_eq!(put_encoded(&receiver, &[large.clone(), padded(KINESIS_RECORD)]).unwrap_err().code, "InvalidArgumentException");
    assert_eq!(put_encoded(&receiver, &vec![large.clone(); 26]).unwrap_err().code, "InvalidArgumentException");
    assert_eq!(put_batch_encoded(&receiver, &[padded(FIREHOSE_RECORD + 1)]).unwrap_err().code, "ValidationException");
    assert_eq!(put_batch_encoded(&receiver, &vec![large; 11]).unwrap_err().code, "InvalidArgumentException");
    assert_eq!(books(&receiver), before, "nothing of a refused call is entered");
    assert!(put_batch_encoded(&receiver, &[padded(FIREHOSE_RECORD)]).is_ok());
}

#[test]
fn what_is_no_request_is_refused() {
    let receiver = receiver(2);
    for (body, code) in [
        (r#"{"Records":[{"Data":"eA==","PartitionKey":"k","ExplicitHashKey":"-1"}]}"#.to_owned(), "ValidationException"),
        (
            format!(r#"{{"Records":[{{"Data":"eA==","PartitionKey":"k","ExplicitHashKey":"{}"}}]}}"#, "9".repeat(39)),
            "InvalidArgumentException",
        ),
        (r#"{"Records":[]}"#.to_owned(), "ValidationException"),
        (json!({ "Records": vec![json!({ "Data": "", "PartitionKey": "k" }); 501] }).to_string(), "ValidationException"),
        (r#"{"Records":[{"Data":"%%","PartitionKey":"k"}]}"#.to_owned(), "SerializationException"),
        (r#"{"Records":[{"Data":"eA=="}]}"#.to_owned(), "ValidationException"),
        (r#"{"Records":[{"Data":"eA==","PartitionKey":""}]}"#.to_owned(), "ValidationException"),
        (format!(r#"{{"Records":[{{"Data":"eA==","PartitionKey":"{}"}}]}}"#, "ä".repeat(257)), "ValidationException"),
        ("{".to_owned(), "SerializationException"),
    ] {
        assert_eq!(receiver.put_records(body.as_bytes()).unwrap_err().code, code, "{body:.80}");
    }
    assert_eq!(put_batch(&receiver, &[]).unwrap_err().code, "ValidationException");
    assert_eq!(books(&receiver), Received { missing: 1_200, ..Received::default() });
}
