use serde_json::json;

use super::*;
use crate::streams::testing::{BEGINNING, Service};

/// A service with one shard and that many records of different seconds.
fn with_records(count: u64) -> (Service, String, Vec<Sequence>) {
    let mut service = Service::new();
    let shard = service.shards()[0].clone();
    let sequences = (0..count)
        .map(|hash| {
            service.wait(1000);
            service.put(hash).sequence
        })
        .collect();
    (service, shard, sequences)
}

fn code<T: std::fmt::Debug>(result: Result<T, ApiError>) -> &'static str {
    result.unwrap_err().code
}

#[test]
fn iterators_begin_where_they_are_asked_to() {
    let (mut service, shard, sequences) = with_records(3);
    let starting = service.shard(&shard).starting.clone();
    let second = &sequences[1];
    for (request, expected) in [
        (json!({"ShardIteratorType": "TRIM_HORIZON"}), &sequences[..]),
        (json!({"ShardIteratorType": "LATEST"}), &[]),
        (json!({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": second}), &sequences[1..]),
        (json!({"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": second}), &sequences[2..]),
        (json!({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": starting}), &sequences[..]),
    ] {
        let iterator = service.try_iterator(&shard, &request).unwrap();
        assert_eq!(service.read(&iterator).sequences(), expected, "{request}");
    }
}

#[test]
fn latest_gives_what_is_written_after_it_was_asked_for() {
    let (mut service, shard, _) = with_records(2);
    let iterator = service.iterator(&shard, "LATEST");
    let later = service.put_many(2);
    let read = service.read(&iterator);
    assert_eq!(read.sequences(), later);
    let last = service.put(9).sequence;
    assert_eq!(service.read(&read.next.unwrap()).sequences(), [last]);
}

#[test]
fn a_timestamp_finds_the_first_record_that_tells_it_or_a_later_one() {
    let (mut service, shard, sequences) = with_records(3);
    let second = |n: i64| (BEGINNING / 1000 + n) * 1000;
    let mut since = |milliseconds: i64| {
        let seconds = format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000).parse::<f64>().unwrap();
        let iterator = service.try_iterator(&shard, &json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": seconds})).unwrap();
        service.read(&iterator).sequences()
    };
    assert_eq!(since(second(2)), sequences[1..]);
    assert_eq!(since(second(2) + 1), sequences[2..], "the record was made later in that second, but does not tell so");
    assert_eq!(since(second(0)), sequences);
    assert_eq!(since(BEGINNING - 3 * DAY), sequences, "older than the trim horizon");
    assert_eq!(since(second(3) + 100), []);
}

#[test]
fn the_oldest_timestamp_there_is_is_the_trim_horizon_too() {
    let (mut service, shard, sequences) = with_records(2);
    let iterator = service.try_iterator(&shard, &json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": -1e300})).unwrap();
    assert_eq!(service.read(&iterator).sequences(), sequences);
}

#[test]
fn a_timestamp_older_than_the_trim_horizon_is_the_trim_horizon() {
    let (mut service, shard, sequences) = with_records(3);
    let iterator =
        service.try_iterator(&shard, &json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": (BEGINNING - DAY) / 1000})).unwrap();
    service.trim_through(&shard, 1);
    assert_eq!(service.read(&iterator).sequences(), sequences[2..], "whatever is trimmed before it is used");
}

#[test]
fn a_timestamp_in_the_future_is_refused() {
    let (mut service, shard, _) = with_records(1);
    let mut at = |milliseconds: i64| {
        let seconds = format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000).parse::<f64>().unwrap();
        service.try_iterator(&shard, &json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": seconds}))
    };
    assert!(at(BEGINNING + 1000).is_ok());
    assert_eq!(code(at(BEGINNING + 1001)), "ValidationException");
}

#[test]
fn wrong_requests_are_refused() {
    let (mut service, shard, sequences) = with_records(1);
    let arn = service.stream.clone();
    let ask = |changes: serde_json::Value| {
        let mut request =
            json!({"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": sequences[0]});
        for (member, value) in changes.as_object().unwrap() {
            request[member] = value.clone();
        }
        request
    };
    assert!(service.call("GetShardIterator", &ask(json!({}))).is_ok());
    for (changes, code) in [
        (json!({"StreamArn": "x".repeat(40)}), "ValidationException"),
        (json!({"StreamArn": arn.replace("orders", "others")}), "ResourceNotFoundException"),
        (json!({"ShardId": null}), "ValidationException"),
        (json!({"ShardId": "shardId-1"}), "ValidationException"),
        (json!({"ShardId": "shardId-00000000000000000001-00000000"}), "ResourceNotFoundException"),
        (json!({"ShardIteratorType": null}), "ValidationException"),
        (json!({"ShardIteratorType": "EARLIEST"}), "ValidationException"),
        (json!({"ShardIteratorType": "LATEST"}), "ValidationException"),
        (json!({"ShardIteratorType": "AT_TIMESTAMP", "SequenceNumber": null}), "ValidationException"),
        (json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1}), "ValidationException"),
        (json!({"Timestamp": 1}), "ValidationException"),
        (json!({"SequenceNumber": null}), "ValidationException"),
        (json!({"SequenceNumber": "12"}), "ValidationException"),
        (json!({"SequenceNumber": "x".repeat(25)}), "ValidationException"),
        (json!({"SequenceNumber": "9".repeat(40)}), "ValidationException"),
        (json!({"SequenceNumber": "9".repeat(41)}), "ValidationException"),
        (json!({"SequenceNumber": "0".repeat(21)}), "TrimmedDataAccessException"),
    ] {
        assert_eq!(service.call("GetShardIterator", &ask(changes.clone())).unwrap_err().code, code, "{changes}");
    }
    let iterator = service.iterator(&shard, "TRIM_HORIZON");
    for (request, code) in [
        (json!({}), "ValidationException"),
        (json!({"ShardIterator": "garbage"}), "ValidationException"),
        (json!({"ShardIterator": "x".repeat(3000)}), "ValidationException"),
        (json!({"ShardIterator": iterator, "Limit": 0}), "ValidationException"),
        (json!({"ShardIterator": iterator, "Limit": 1001}), "LimitExceededException"),
    ] {
        assert_eq!(service.call("GetRecords", &request).unwrap_err().code, code, "{request}");
    }
}

#[test]
fn pages_follow_each_other_until_the_shard_is_drained() {
    let (mut service, shard, sequences) = with_records(5);
    let mut iterator = service.iterator(&shard, "TRIM_HORIZON");
    for expected in [&sequences[..2], &sequences[2..4], &sequences[4..], &[]] {
        let read = service.try_read(&iterator, Some(2)).unwrap();
        assert_eq!(read.sequences(), expected);
        iterator = read.next.expect("an open shard has no end");
    }
    let later = service.put(1).sequence;
    assert_eq!(service.read(&iterator).sequences(), [later]);
}

#[test]
fn a_page_has_a_thousand_records_at_most() {
    let mut service = Service::new();
    let shard = service.shards()[0].clone();
    let sequences = service.put_many(1_500);
    let iterator = service.iterator(&shard, "TRIM_HORIZON");
    let read = service.read(&iterator);
    assert_eq!(read.sequences(), sequences[..1_000]);
    assert_eq!(service.read(&read.next.unwrap()).sequences(), sequences[1_000..]);
}

#[test]
fn the_last_page_of_a_closed_shard_has_no_next_iterator() {
    let (mut service, shard, sequences) = with_records(2);
    let idle = service.iterator(&shard, "LATEST");
    service.reshard(&shard, 1);
    let iterator = service.iterator(&shard, "TRIM_HORIZON");
    let first = service.try_read(&iterator, Some(1)).unwrap();
    let last = service.read(&first.next.unwrap());
    assert_eq!(last.sequences(), sequences[1..]);
    assert_eq!(last.next, None, "records and the end come together");
    let read = service.read(&idle);
    assert!(read.records.is_empty() && read.next.is_none(), "the end comes alone when the records were read before");
}

#[test]
fn an_iterator_expires_after_15_minutes() {
    let (mut service, shard, _) = with_records(1);
    let iterator = service.iterator(&shard, "TRIM_HORIZON");
    service.wait(15 * 60 * 1000);
    let read = service.read(&iterator);
    service.wait(1);
    assert_eq!(code(service.try_read(&iterator, None)), "ExpiredIteratorException");
    assert!(service.try_read(&read.next.unwrap(), None).is_ok(), "the next iterator has its own 15 minutes");
}

#[test]
fn a_trimmed_position_is_refused() {
    let (mut service, shard, sequences) = with_records(4);
    service.trim_through(&shard, 2);
    let at = |sequence: &Sequence| json!({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": sequence});
    assert_eq!(code(service.try_iterator(&shard, &at(&sequences[1]))), "TrimmedDataAccessException");
    assert_eq!(code(service.after(&shard, &sequences[0])), "TrimmedDataAccessException");
    assert_eq!(code(service.after(&shard, &sequences[1])), "TrimmedDataAccessException", "told by a record that is gone");
    let iterator = service.try_iterator(&shard, &at(&sequences[2])).unwrap();
    assert_eq!(service.read(&iterator).sequences(), sequences[2..]);
}

#[test]
fn an_iterator_whose_next_record_was_trimmed_is_refused() {
    let (mut service, shard, sequences) = with_records(4);
    let horizon = service.iterator(&shard, "TRIM_HORIZON");
    let after_first = service.after(&shard, &sequences[0]).unwrap();
    let after_second = service.after(&shard, &sequences[1]).unwrap();
    service.trim_through(&shard, 2);
    assert_eq!(code(service.try_read(&after_first, None)), "TrimmedDataAccessException");
    assert_eq!(service.read(&after_second).sequences(), sequences[2..], "nothing was lost to it");
    assert_eq!(service.read(&horizon).sequences(), sequences[2..]);
}

#[test]
fn what_is_trimmed_between_two_empty_polls_is_noticed() {
    let (mut service, shard, _) = with_records(0);
    let iterator = service.iterator(&shard, "TRIM_HORIZON");
    let next = service.read(&iterator).next.unwrap();
    service.put(1);
    service.trim_through(&shard, 0);
    assert_eq!(code(service.try_read(&next, None)), "TrimmedDataAccessException");
}

#[test]
fn a_shard_that_is_gone_is_not_found() {
    let (mut service, shard, _) = with_records(1);
    service.reshard(&shard, 1);
    service.wait(DAY - 1000);
    let iterator = service.iterator(&shard, "TRIM_HORIZON");
    service.wait(1001);
    assert_eq!(code(service.try_read(&iterator, None)), "ResourceNotFoundException");
    assert_eq!(code(service.try_iterator(&shard, &json!({"ShardIteratorType": "TRIM_HORIZON"}))), "ResourceNotFoundException");
}

#[test]
fn an_empty_page_leads_on_to_the_records() {
    let (mut service, shard, sequences) = with_records(2);
    service.reshard(&shard, 1);
    let iterator = service.iterator(&shard, "TRIM_HORIZON");
    service.quirks.empty_page = true;
    let empty = service.read(&iterator);
    assert!(empty.records.is_empty() && service.has_bitten("empty_page"));
    let again = service.read(&empty.next.unwrap());
    service.quirks.empty_page = false;
    assert_eq!(service.read(&again.next.unwrap()).sequences(), sequences);
}

#[test]
fn even_a_drained_shard_may_give_an_empty_page_with_a_live_iterator() {
    let (mut service, shard, sequences) = with_records(1);
    service.reshard(&shard, 1);
    let iterator = service.after(&shard, &sequences[0]).unwrap();
    service.quirks.empty_page = true;
    let next = service.read(&iterator).next.unwrap();
    service.quirks.empty_page = false;
    assert_eq!(service.read(&next).next, None);
}

#[test]
fn a_short_page_loses_nothing() {
    let (mut service, shard, sequences) = with_records(3);
    let iterator = service.iterator(&shard, "TRIM_HORIZON");
    service.quirks.short_page = Some(2);
    let short = service.read(&iterator);
    assert_eq!(short.sequences(), sequences[..2]);
    assert!(service.has_bitten("short_page"));
    assert_eq!(service.read(&short.next.unwrap()).sequences(), sequences[2..]);
    assert!(!service.has_bitten("short_page"), "there was no more to give");
    assert_eq!(service.try_read(&iterator, Some(1)).unwrap().sequences(), sequences[..1], "never more than was asked for");
}

#[test]
fn a_repeated_page_comes_again() {
    let (mut service, shard, sequences) = with_records(3);
    service.reshard(&shard, 1);
    let iterator = service.iterator(&shard, "TRIM_HORIZON");
    service.quirks.repeat_page = true;
    let page = service.read(&iterator);
    assert_eq!(page.sequences(), sequences);
    service.quirks.repeat_page = false;
    let again = service.read(&page.next.expect("the end is not reached as long as the page comes again"));
    assert_eq!((again.sequences(), again.next), (sequences, None));
}

#[test]
fn a_page_with_nothing_to_hide_is_not_tampered_with() {
    let (mut service, shard, _) = with_records(0);
    let iterator = service.iterator(&shard, "TRIM_HORIZON");
    (service.quirks.empty_page, service.quirks.repeat_page) = (true, true);
    assert!(service.read(&iterator).next.is_some());
    assert!(!service.has_bitten("empty_page") && !service.has_bitten("repeat_page"));
    service.quirks.empty_page = false;
    service.put(1);
    service.read(&iterator);
    assert!(service.has_bitten("repeat_page"));
}

#[test]
fn reads_are_journaled() {
    let (mut service, shard, sequences) = with_records(2);
    let iterator = service.iterator(&shard, "TRIM_HORIZON");
    service.read(&iterator);
    service.reshard(&shard, 1);
    let iterator = service.after(&shard, &sequences[1]).unwrap();
    service.read(&iterator);
    let entries = service.journal.since(0);
    let reads = entries.iter().filter(|entry| entry.worker == "tester");
    let told: Vec<String> = reads.map(|entry| entry.event.to_string()).collect();
    assert_eq!(
        told,
        [
            format!("asks for TRIM_HORIZON  of {shard}"),
            format!("reads 2 records of {shard} from {} to {}", sequences[0], sequences[1]),
            format!("asks for AFTER_SEQUENCE_NUMBER {} of {shard}", sequences[1]),
            format!("reads 0 records of {shard}, its end"),
        ]
    );
}
