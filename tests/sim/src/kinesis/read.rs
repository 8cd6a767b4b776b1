//! GetShardIterator and GetRecords.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::position::{SequenceNumber, ShardId};
use super::shard::Shard;
use super::stream::DataStream;
use super::{Kinesis, StreamReference, invalid};
use crate::call::{Answer, ApiError, Call, answer};
use crate::encoding::{ACCOUNT, constraint, millis, seal, seconds, to_base64, unseal};
use crate::journal::Event;

/// An iterator may be used for five minutes.
const ITERATOR_LIFE: i64 = 300_000;
const MOST_RECORDS: usize = 10_000;
/// A page holds 10 MiB.
const LARGEST_PAGE: usize = 10 << 20;

/// Where an iterator may begin.
const KINDS: [&str; 5] = ["AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON"];

/// What an iterator holds.
#[derive(Serialize, Deserialize)]
struct Cursor {
    stream: String,
    /// When the stream was created: another of the same name is another stream.
    created: i64,
    shard: u32,
    /// The first position that has not been read.
    position: SequenceNumber,
    issued: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetShardIterator {
    #[serde(flatten)]
    stream: StreamReference,
    shard_id: String,
    shard_iterator_type: String,
    starting_sequence_number: Option<String>,
    timestamp: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetRecords {
    shard_iterator: String,
    limit: Option<usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Page<'a> {
    records: Vec<Record<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_shard_iterator: Option<String>,
    millis_behind_latest: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    child_shards: Vec<Child>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Record<'a> {
    sequence_number: SequenceNumber,
    approximate_arrival_timestamp: f64,
    #[serde(serialize_with = "to_base64")]
    data: &'a Bytes,
    partition_key: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Child {
    shard_id: ShardId,
    parent_shards: Vec<ShardId>,
    hash_key_range: Value,
}

impl Kinesis {
    pub(super) fn get_shard_iterator(&mut self, call: &Call<'_>) -> Answer {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Output {
            shard_iterator: String,
        }
        let GetShardIterator { stream, shard_id, shard_iterator_type: kind, starting_sequence_number, timestamp } = call.input()?;
        let name = stream.name()?;
        let stream = self.usable_stream(&name, call.now)?;
        let shard = ShardId::parse(&shard_id).and_then(|shard| stream.shards.get(&shard)).ok_or_else(|| gone(&shard_id, &name))?;
        let kind = KINDS
            .into_iter()
            .find(|known| *known == kind)
            .ok_or_else(|| constraint("shardIteratorType", &format!("satisfy enum value set: [{}]", KINDS.join(", "))))?;
        let asked = starting_sequence_number.clone().or(timestamp.map(|seconds| seconds.to_string()));
        let position = match (kind, starting_sequence_number, timestamp) {
            ("TRIM_HORIZON", None, None) => shard.first,
            ("LATEST", None, None) => stream.tip(),
            ("AT_SEQUENCE_NUMBER", Some(sequence), None) => position_of(&sequence, shard, stream)?,
            ("AFTER_SEQUENCE_NUMBER", Some(sequence), None) => position_of(&sequence, shard, stream)?.next(),
            ("AT_TIMESTAMP", None, Some(time)) => position_at(millis(time), shard, stream, call.now)?,
            (_, sequence, time) => {
                let with = |given: bool| if given { "a" } else { "no" };
                return Err(invalid(format!(
                    "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or \
                     LATEST and no StartingSequenceNumber or (3) AT_TIMESTAMP and Timestamp. Request specified {kind} and {} \
                     StartingSequenceNumber and {} Timestamp.",
                    with(sequence.is_some()),
                    with(time.is_some()),
                )));
            }
        };
        call.record(Event::Iterator { stream: name.clone(), shard: shard_id, kind, position: asked });
        let cursor = Cursor { stream: name, created: stream.created, shard: shard.id.0, position, issued: call.now };
        answer(&Output { shard_iterator: seal(&cursor) })
    }

    pub(super) fn get_records(&mut self, call: &Call<'_>) -> Answer {
        let GetRecords { shard_iterator, limit } = call.input()?;
        let limit = limit.unwrap_or(MOST_RECORDS);
        if limit == 0 {
            return Err(constraint("limit", "have value greater than or equal to 1"));
        }
        if limit > MOST_RECORDS {
            return Err(constraint("limit", &format!("have value less than or equal to {MOST_RECORDS}")));
        }
        let cursor: Cursor = unseal(&shard_iterator).ok_or_else(|| invalid("Invalid ShardIterator."))?;
        if call.now.saturating_sub(cursor.issued) > ITERATOR_LIFE {
            let (issued, now) = (calendar(cursor.issued), calendar(call.now));
            let message = format!(
                "Iterator expired. The iterator was created at time {issued} while right now it is {now} which is further in the future \
                 than the tolerated delay of {ITERATOR_LIFE} milliseconds."
            );
            return Err(ApiError::new("ExpiredIteratorException", message));
        }
        let stream = self.usable_stream(&cursor.stream, call.now)?;
        let shard = stream.shards.get(&ShardId(cursor.shard)).filter(|_| stream.created == cursor.created);
        let shard = shard.ok_or_else(|| gone(&ShardId(cursor.shard).to_string(), &cursor.stream))?;
        let page = read(stream, shard, cursor, limit, call);
        let sequence = |record: &Record<'_>| record.sequence_number.into();
        call.record(Event::Page {
            stream: stream.name.clone(),
            shard: shard.id.to_string(),
            records: page.records.len(),
            range: page.records.first().zip(page.records.last()).map(|(first, last)| (sequence(first), sequence(last))),
            end: page.next_shard_iterator.is_none(),
        });
        answer(&page)
    }
}

/// Reads a page from an iterator on.
fn read<'a>(stream: &'a DataStream, shard: &'a Shard, cursor: Cursor, limit: usize, call: &Call<'_>) -> Page<'a> {
    let quirks = call.quirks;
    let tampered = if quirks.empty_page { 0 } else { limit.min(quirks.short_page.unwrap_or(limit)) };
    let mut ahead = shard.from(cursor.position).peekable();
    let (mut records, mut size, mut position) = (Vec::new(), 0, cursor.position);
    while records.len() < tampered {
        let Some(record) = ahead.next_if(|record| records.is_empty() || size + record.size() <= LARGEST_PAGE) else { break };
        size += record.size();
        position = record.sequence.next();
        records.push(Record {
            sequence_number: record.sequence,
            approximate_arrival_timestamp: seconds(record.arrived),
            data: &record.data,
            partition_key: &record.partition_key,
        });
    }
    let millis_behind_latest = ahead.peek().map_or(0, |record| (call.now - record.arrived).max(0));
    let honest_end = shard.closed.is_some() && ahead.peek().is_none();
    let is_cut = records.len() == tampered && tampered < limit;
    if is_cut && ahead.peek().is_some_and(|record| records.is_empty() || size + record.size() <= LARGEST_PAGE) {
        quirks.bite(if quirks.empty_page { "empty_page" } else { "short_page" });
    }
    if quirks.empty_page && honest_end {
        quirks.bite("empty_page");
    }
    if quirks.repeat_page && (honest_end || !records.is_empty()) {
        quirks.bite("repeat_page");
    }
    let end = honest_end && !quirks.empty_page && !quirks.repeat_page;
    let next = Cursor { position: if quirks.repeat_page { cursor.position } else { position }, issued: call.now, ..cursor };
    let child = |child: &Shard| Child { shard_id: child.id, parent_shards: child.parents.clone(), hash_key_range: child.range.describe() };
    Page {
        records,
        next_shard_iterator: (!end).then(|| seal(&next)),
        millis_behind_latest,
        child_shards: if end { stream.children(shard.id).map(child).collect() } else { Vec::new() },
    }
}

/// The position that a sequence number of this shard names.
fn position_of(text: &str, shard: &Shard, stream: &DataStream) -> Result<SequenceNumber, ApiError> {
    let refused = |why: &str| {
        let place = format!("shard {} in stream {}", shard.id, stream.title());
        invalid(format!("StartingSequenceNumber {text} used in GetShardIterator on {place} is invalid{why}."))
    };
    let sequence = SequenceNumber::parse(text).ok_or_else(|| refused(""))?;
    if !sequence.of_the_stream_of(shard.first) {
        return Err(refused(" because it did not come from this stream"));
    }
    if sequence.shard() != shard.id {
        let message = format!(
            "Invalid StartingSequenceNumber. It encodes {}, while it was used in a call to a shard with {}",
            sequence.shard(),
            shard.id
        );
        return Err(invalid(message));
    }
    Ok(sequence)
}

/// The position of the first record that arrived at a time or later.
fn position_at(time: i64, shard: &Shard, stream: &DataStream, now: i64) -> Result<SequenceNumber, ApiError> {
    if time > now {
        let message = format!(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: {time}, \
             currentTimestampInMillis: {now}"
        );
        return Err(invalid(message));
    }
    let first = shard.records.get(shard.records.partition_point(|record| record.arrived < time));
    Ok(first.map_or_else(|| stream.tip(), |record| record.sequence))
}

fn gone(shard: &str, stream: &str) -> ApiError {
    ApiError::not_found(format!("Shard {shard} in stream {stream} under account {ACCOUNT} does not exist"))
}

/// A time as the error of an expired iterator words it.
fn calendar(time: i64) -> String {
    jiff::Timestamp::from_millisecond(time).map_or_else(|_| time.to_string(), |time| time.strftime("%a %b %d %H:%M:%S UTC %Y").to_string())
}

#[cfg(test)]
mod tests {
    use crate::kinesis::testing::{Account, START, encoded, text};
    use serde_json::{Value, json};

    const SHARD: &str = "shardId-000000000000";

    fn split(account: &mut Account) {
        let body = json!({"StreamName": "orders", "ShardToSplit": SHARD, "NewStartingHashKey": "1000"});
        account.kinesis("SplitShard", body).unwrap();
    }

    #[test]
    fn each_iterator_begins_where_its_type_says() {
        let mut account = Account::with_stream("orders", 1);
        let sequences = ["a", "b", "c"].map(|data| {
            account.now += 1_000;
            account.put("key", data).1
        });
        let second = json!({"StartingSequenceNumber": sequences[1]});
        let cases = [
            ("TRIM_HORIZON", json!({}), vec!["a", "b", "c", "d"]),
            ("LATEST", json!({}), vec!["d"]),
            ("AT_SEQUENCE_NUMBER", second.clone(), vec!["b", "c", "d"]),
            ("AFTER_SEQUENCE_NUMBER", second, vec!["c", "d"]),
            ("AT_TIMESTAMP", json!({"Timestamp": 1_795_046_402.0}), vec!["b", "c", "d"]),
            ("AT_TIMESTAMP", json!({"Timestamp": 1_795_046_402.001}), vec!["c", "d"]),
            ("AT_TIMESTAMP", json!({"Timestamp": 1.5}), vec!["a", "b", "c", "d"]),
        ];
        let iterators = cases.clone().map(|(kind, with, _)| account.iterator(SHARD, kind, with).unwrap());
        account.put("key", "d");
        for (iterator, (kind, with, expected)) in iterators.iter().zip(cases) {
            assert_eq!(account.page(iterator).0, expected, "{kind} {with}");
        }
    }

    #[test]
    fn reads_and_trims_are_in_the_journal() {
        let mut account = Account::with_stream("orders", 1);
        let (_, first) = account.put("key", "a");
        account.now += 1_000;
        let (_, second) = account.put("key", "b");
        let iterator = account.iterator(SHARD, "AT_SEQUENCE_NUMBER", json!({"StartingSequenceNumber": first})).unwrap();
        account.page(&iterator);
        account.now += 24 * 3_600_000 - 500;
        let iterator = account.iterator(SHARD, "TRIM_HORIZON", json!({})).unwrap();
        split(&mut account);
        account.page(&iterator);
        account.now += 24 * 3_600_000 + 1;
        account.kinesis("ListStreams", json!({})).unwrap();
        let expected = [
            format!("asks for AT_SEQUENCE_NUMBER {first} of {SHARD}"),
            format!("reads 2 records of {SHARD} from {first} to {second}"),
            format!("shard {SHARD} is trimmed through {first}"),
            format!("asks for TRIM_HORIZON  of {SHARD}"),
            format!("shard {SHARD} continues in shardId-000000000001, shardId-000000000002"),
            format!("reads 1 records of {SHARD} from {second} to {second}, its end"),
            format!("shard {SHARD} is trimmed through {second}"),
            format!("shard {SHARD} is gone"),
        ];
        assert_eq!(account.events()[3..], expected);
    }

    #[test]
    fn wrong_positions_are_refused() {
        let mut account = Account::with_stream("orders", 2);
        let sequence = account.put("pk1", "a").1;
        let mut code = |shard: &str, kind: &str, with: Value| account.iterator(shard, kind, with).unwrap_err();
        let wrong_shard = code(SHARD, "AFTER_SEQUENCE_NUMBER", json!({"StartingSequenceNumber": sequence}));
        let message = "Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it was used in a call to a shard with \
                       shardId-000000000000";
        assert_eq!((wrong_shard.code, wrong_shard.message.as_str()), ("InvalidArgumentException", message));
        let stranger = format!("{}8{}", &sequence[..20], &sequence[21..]);
        assert!(
            code(SHARD, "AT_SEQUENCE_NUMBER", json!({"StartingSequenceNumber": stranger})).message.contains("not come from this stream")
        );
        for (shard, kind, with, expected) in [
            (SHARD, "AT_SEQUENCE_NUMBER", json!({"StartingSequenceNumber": "1"}), "InvalidArgumentException"),
            (SHARD, "AT_SEQUENCE_NUMBER", json!({}), "InvalidArgumentException"),
            (SHARD, "LATEST", json!({"StartingSequenceNumber": sequence}), "InvalidArgumentException"),
            (SHARD, "AT_TIMESTAMP", json!({}), "InvalidArgumentException"),
            (SHARD, "AT_TIMESTAMP", json!({"Timestamp": 1_795_046_400.5}), "InvalidArgumentException"),
            (SHARD, "SOMEWHERE", json!({}), "ValidationException"),
            ("shardId-000000000007", "LATEST", json!({}), "ResourceNotFoundException"),
        ] {
            assert_eq!(code(shard, kind, with.clone()).code, expected, "{kind} {with}");
        }
    }

    #[test]
    fn a_forged_iterator_is_as_old_as_it_says() {
        let mut account = Account::with_stream("orders", 1);
        let sequence = account.put("key", "a").1;
        let mut forged = |issued: i64| {
            let cursor = json!({"stream": "orders", "created": START, "shard": 0, "position": sequence, "issued": issued});
            account.kinesis("GetRecords", json!({"ShardIterator": encoded(cursor.to_string())})).map_err(|error| error.code)
        };
        assert_eq!(forged(i64::MIN), Err("ExpiredIteratorException"));
        assert!(forged(i64::MAX).is_ok());
    }

    #[test]
    fn a_page_ends_at_its_limit_and_the_next_goes_on_behind_it() {
        let mut account = Account::with_stream("orders", 1);
        for data in ["a", "b", "c"] {
            account.put("key", data);
        }
        account.now += 5_000;
        let mut iterator = account.iterator(SHARD, "TRIM_HORIZON", json!({})).unwrap();
        let mut read = Vec::new();
        for (limit, behind) in [(2, 5_000), (2, 0), (2, 0)] {
            let answer = account.kinesis("GetRecords", json!({"ShardIterator": iterator, "Limit": limit})).unwrap();
            assert_eq!((&answer["MillisBehindLatest"], answer.get("ChildShards")), (&json!(behind), None));
            read.push(answer["Records"].as_array().unwrap().len());
            iterator = text(&answer["NextShardIterator"]);
        }
        assert_eq!(read, [2, 1, 0]);
        account.put("key", "d");
        assert_eq!(account.page(&iterator).0, ["d"]);
        for limit in [0, 10_001] {
            let error = account.kinesis("GetRecords", json!({"ShardIterator": iterator, "Limit": limit})).unwrap_err();
            assert_eq!(error.code, "ValidationException");
        }
    }

    #[test]
    fn a_record_comes_back_as_it_was_put() {
        let mut account = Account::with_stream("orders", 1);
        account.now += 123;
        let (_, sequence) = account.put("key", "\u{0}ÿ");
        let iterator = account.iterator(SHARD, "TRIM_HORIZON", json!({})).unwrap();
        let (_, answer) = account.page(&iterator);
        let arrived = 1_795_046_400.123;
        let expected = json!({
            "SequenceNumber": sequence, "PartitionKey": "key", "Data": encoded("\u{0}ÿ"), "ApproximateArrivalTimestamp": arrived,
        });
        assert_eq!(answer["Records"], json!([expected]));
    }

    #[test]
    fn a_page_holds_ten_mebibytes() {
        let mut account = Account::with_stream("orders", 1);
        for _ in 0..11 {
            account.put("key", &"x".repeat(1_048_573));
        }
        let iterator = account.iterator(SHARD, "TRIM_HORIZON", json!({})).unwrap();
        let (first, answer) = account.page(&iterator);
        assert_eq!((first.len(), account.page(answer["NextShardIterator"].as_str().unwrap()).0.len()), (10, 1));
    }

    #[test]
    fn the_children_are_told_only_at_the_end() {
        let mut account = Account::with_stream("orders", 1);
        account.put("key", "a");
        account.put("key", "b");
        let iterator = account.iterator(SHARD, "TRIM_HORIZON", json!({})).unwrap();
        split(&mut account);
        let first = account.kinesis("GetRecords", json!({"ShardIterator": iterator, "Limit": 1})).unwrap();
        assert_eq!(first.get("ChildShards"), None);
        let (data, last) = account.page(first["NextShardIterator"].as_str().unwrap());
        assert_eq!((data, last.get("NextShardIterator"), &last["MillisBehindLatest"]), (vec!["b".to_owned()], None, &json!(0)));
        let child = |number: u32, start: &str, end: &str| {
            let range = json!({"StartingHashKey": start, "EndingHashKey": end});
            json!({"ShardId": format!("shardId-{number:012}"), "ParentShards": [SHARD], "HashKeyRange": range})
        };
        assert_eq!(last["ChildShards"], json!([child(1, "0", "999"), child(2, "1000", &u128::MAX.to_string())]));
        let at_the_end = account.iterator(SHARD, "LATEST", json!({})).unwrap();
        assert_eq!(account.page(&at_the_end).1["ChildShards"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn an_iterator_lives_for_five_minutes() {
        let mut account = Account::with_stream("orders", 1);
        let iterator = account.iterator(SHARD, "TRIM_HORIZON", json!({})).unwrap();
        account.now = START + 300_000;
        account.page(&iterator);
        account.now += 1;
        let error = account.kinesis("GetRecords", json!({"ShardIterator": iterator})).unwrap_err();
        assert_eq!(error.code, "ExpiredIteratorException");
        assert!(error.message.contains("created at time Thu Nov 19 00:00:00 UTC 2026 while right now it is Thu Nov 19 00:05:00 UTC 2026"));
        let nonsense = account.kinesis("GetRecords", json!({"ShardIterator": "AAAA"})).unwrap_err();
        assert_eq!(nonsense.to_string(), "InvalidArgumentException: Invalid ShardIterator.");
    }

    #[test]
    fn empty_short_and_repeated_pages_lose_nothing() {
        let mut account = Account::with_stream("orders", 1);
        account.put("key", "a");
        account.put("key", "b");
        split(&mut account);
        let mut iterator = account.iterator(SHARD, "TRIM_HORIZON", json!({})).unwrap();
        let mut pages = Vec::new();
        for step in 0..4 {
            match step {
                0 => account.quirks.empty_page = true,
                1 => account.quirks.short_page = Some(1),
                2 => account.quirks.repeat_page = true,
                _ => {}
            }
            let (data, answer) = account.page(&iterator);
            assert_eq!(answer.get("NextShardIterator").is_none(), step == 3);
            iterator = answer["NextShardIterator"].as_str().unwrap_or_default().to_owned();
            pages.push(data.concat());
        }
        assert_eq!(pages, ["", "a", "b", "b"]);
    }

    #[test]
    fn records_live_for_the_retention_period_and_closed_shards_go_with_them() {
        let mut account = Account::with_stream("orders", 1);
        let (_, first) = account.put("key", "a");
        account.now += 1_000;
        account.put("key", "b");
        split(&mut account);
        account.now = START + 24 * 3_600_000;
        let iterator = account.iterator(SHARD, "TRIM_HORIZON", json!({})).unwrap();
        assert_eq!(account.page(&iterator).0, ["a", "b"]);
        account.now += 1;
        let iterator = account.iterator(SHARD, "AT_SEQUENCE_NUMBER", json!({"StartingSequenceNumber": first})).unwrap();
        assert_eq!(account.page(&iterator).0, ["b"]);
        account.now += 1_000;
        let error = account.kinesis("GetRecords", json!({"ShardIterator": iterator})).unwrap_err();
        assert_eq!(error.message, "Shard shardId-000000000000 in stream orders under account 000000000000 does not exist");
    }

    #[test]
    fn an_iterator_does_not_outlive_its_stream() {
        let mut account = Account::with_stream("orders", 1);
        let iterator = account.iterator(SHARD, "TRIM_HORIZON", json!({})).unwrap();
        account.kinesis("DeleteStream", json!({"StreamName": "orders"})).unwrap();
        assert_eq!(account.kinesis("GetRecords", json!({"ShardIterator": iterator})).unwrap_err().code, "ResourceNotFoundException");
        account.now += 1_000;
        account.kinesis("CreateStream", json!({"StreamName": "orders", "ShardCount": 1})).unwrap();
        assert_eq!(account.kinesis("GetRecords", json!({"ShardIterator": iterator})).unwrap_err().code, "ResourceNotFoundException");
    }
}
