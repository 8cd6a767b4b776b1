//! Sizes that no service sends: nesting without end, numbers without end, members without end.

use headwater::event::decode::{Decoded, parse_page};

use super::targets;

/// More than any stack has frames for.
const DEEP: usize = 200_000;

fn record(id: &str, image: &str) -> String {
    format!(
        r#"{{"eventID":"{id}","eventName":"INSERT","dynamodb":{{"ApproximateCreationDateTime":1795230000,"SequenceNumber":"17","Keys":{{"id":{{"S":"{id}"}}}},"NewImage":{{"id":{{"S":"{id}"}}{image}}}}}}}"#
    )
}

fn page(records: &[String]) -> String {
    format!(r#"{{"Records":[{}],"NextShardIterator":"next"}}"#, records.join(","))
}

/// Whether each record of a page is a change; those that are not have told why, shortly.
fn decoded(body: &[u8]) -> Vec<bool> {
    targets::get_records(body);
    parse_page(body).unwrap().records.iter().map(|record| matches!(record, Decoded::Record(_))).collect()
}

#[test]
fn a_record_that_nests_without_end_is_poison_and_its_neighbours_do_not_suffer() {
    for (open, close) in [(r#"{"L":["#, "]}"), (r#"{"M":{"a":"#, "}}"), ("[", "]"), (r#"{"a":"#, "}")] {
        let nested = format!(r#","deep":{}{{"S":""}}{}"#, open.repeat(DEEP), close.repeat(DEEP));
        let body = page(&[record("a", ""), record("b", &nested), record("c", "")]);
        assert_eq!(decoded(body.as_bytes()), [true, false, true], "{open}");
    }
}

#[test]
fn as_deep_as_dynamodb_nests_is_read_and_comes_back() {
    for (open, close) in [(r#"{"L":["#, "]}"), (r#"{"M":{"a":"#, "}}")] {
        for name in ["deep", "lines", "details"] {
            let nested = format!(r#","{name}":{}{{"S":""}}{}"#, open.repeat(32), close.repeat(32));
            assert_eq!(decoded(page(&[record("a", &nested)]).as_bytes()), [true]);
        }
    }
}

#[test]
fn json_in_a_column_that_nests_without_end_ends_nobody() {
    for (open, close) in [("[", "]"), (r#"{\"a\":"#, "}")] {
        for column in ["lines", "details", "cdc_extra"] {
            let line = format!(
                r#"{{"cdc_event_id":"e","cdc_op":"INSERT","cdc_sequence":"{:040}","cdc_time":"2026-11-21 03:00:00.000","cdc_table":"orders","cdc_shard":"s","cdc_ttl_delete":false,"cdc_changed":[],"id":"a","{column}":"{}{}"}}"#,
                17,
                open.repeat(DEEP),
                close.repeat(DEEP),
            );
            targets::line(line.as_bytes());
        }
    }
}

#[test]
fn numbers_without_end_are_kept_as_they_are() {
    let digits = "9".repeat(100_000);
    for number in
        [digits.as_str(), "1E1000000", "1E-1000000", "1e99999999999999999999", &format!("0.{digits}"), &format!("-{digits}E{digits}")]
    {
        for name in ["quantity", "expires", "sizes", "other"] {
            let value = if name == "sizes" { format!(r#"{{"NS":["{number}"]}}"#) } else { format!(r#"{{"N":"{number}"}}"#) };
            assert_eq!(decoded(page(&[record("a", &format!(r#","{name}":{value}"#))]).as_bytes()), [true]);
        }
    }
}

#[test]
fn numbers_without_end_in_the_place_of_a_time_are_poison() {
    for time in ["1e1000000", "-1e1000000", "1E400", &"9".repeat(100_000), "-1", "253402300800"] {
        let body = page(&[record("a", "").replace("1795230000", time), record("b", "")]);
        assert_eq!(decoded(body.as_bytes()), [false, true], "{}", &time[..time.len().min(20)]);
    }
    for sequence in ["9".repeat(41), "9".repeat(1_000_000), "-1".to_owned(), "1e3".to_owned(), String::new()] {
        let body = page(&[record("a", "").replace("\"17\"", &format!("\"{sequence}\"")), record("b", "")]);
        assert_eq!(decoded(body.as_bytes()), [false, true], "{}", &sequence[..sequence.len().min(20)]);
    }
}

#[test]
fn what_is_given_twice_is_poison() {
    let twice = [
        record("a", r#","n":{"S":"1"},"n":{"S":"2"}"#),
        record("a", r#","m":{"M":{"n":{"S":"1"},"n":{"S":"2"}}}"#),
        record("a", "").replacen(r#""eventID":"a","#, r#""eventID":"a","eventID":"b","#, 1),
        record("a", "").replacen(r#""Keys":"#, r#""Keys":{"id":{"S":"b"}},"Keys":"#, 1),
        record("a", "").replacen(r#""NewImage":"#, r#""NewImage":{"id":{"S":"a"}},"NewImage":"#, 1),
        record("a", "").replacen(r#""SequenceNumber":"17""#, r#""SequenceNumber":"16","SequenceNumber":"17""#, 1),
    ];
    for record in twice {
        assert_eq!(decoded(page(std::slice::from_ref(&record)).as_bytes()), [false], "{record}");
    }
    let body = format!(r#"{{"Records":[{}],"Records":[]}}"#, record("a", ""));
    assert!(parse_page(body.as_bytes()).is_err(), "half a page is no page");
}

#[test]
fn an_item_of_very_many_attributes_is_read_in_no_time() {
    let attributes = |name: fn(usize) -> usize| {
        let all: Vec<String> = (0..100_000).map(|n| format!(r#","n{}":{{"NULL":true}}"#, name(n))).collect();
        all.concat()
    };
    let (distinct, twice) = (attributes(|n| n), attributes(|n| n % 99_999));
    let body = page(&[record("a", &distinct), record("b", &twice)]);
    let begun = std::time::Instant::now();
    assert!(matches!(parse_page(body.as_bytes()).unwrap().records[..], [Decoded::Record(_), Decoded::Poison(_)]));
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}

#[test]
fn text_that_is_no_unicode_is_poison_or_no_page() {
    for surrogate in [r"\ud800", r"\udfff", r"\ud800\ud800", r"\udc00\ud800", r"\ud800x"] {
        let body = page(&[record("a", &format!(r#","t":{{"S":"{surrogate}"}}"#)), record("b", "")]);
        assert_eq!(decoded(body.as_bytes()), [false, true], "{surrogate}");
    }
    for bytes in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
        let mut body = page(&[record("a", r#","t":{"S":"HERE"}"#)]).into_bytes();
        let at = body.windows(4).position(|window| window == b"HERE").unwrap();
        body.splice(at..at + 4, bytes.iter().copied());
        assert!(parse_page(&body).is_err());
        targets::line(&body);
        targets::kinesis_page(&body);
    }
}
