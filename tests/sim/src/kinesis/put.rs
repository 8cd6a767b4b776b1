//! PutRecord and PutRecords.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::position::{SequenceNumber, ShardId};
use super::shard::HashRange;
use super::stream::{DataStream, Distribution, Placement};
use super::{Kinesis, StreamReference, invalid};
use crate::call::{Answer, ApiError, Call, answer};
use crate::encoding::{constraint, from_base64};
use crate::journal::{Event, Put};

const MOST_RECORDS: usize = 500;
/// 10 MiB, partition keys included.
const LARGEST_REQUEST: usize = 10 << 20;
const LONGEST_KEY: usize = 256;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecords {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    records: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecord {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(flatten)]
    record: Entry,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(deserialize_with = "from_base64")]
    data: Bytes,
    partition_key: Option<String>,
    explicit_hash_key: Option<String>,
}

/// A record that may be put.
struct NewRecord {
    partition_key: String,
    explicit_hash: Option<u128>,
    data: Bytes,
}

/// What became of a record, as the answer tells it.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    #[serde(rename_all = "PascalCase")]
    Stored { shard_id: ShardId, sequence_number: SequenceNumber },
    #[serde(rename_all = "PascalCase")]
    Failed { error_code: &'static str, error_message: String },
}

impl Kinesis {
    pub(super) fn put_records(&mut self, call: &Call<'_>) -> Answer {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Output {
            failed_record_count: usize,
            records: Vec<Outcome>,
        }
        let PutRecords { stream_name, stream_arn, records } = call.input()?;
        if records.is_empty() {
            return Err(constraint("records", "have length greater than or equal to 1"));
        }
        if records.len() > MOST_RECORDS {
            return Err(constraint("records", &format!("have length less than or equal to {MOST_RECORDS}")));
        }
        let limited = self.enforce_limits;
        let stream = self.usable_stream(&StreamReference { stream_name, stream_arn }.name()?, call.now)?;
        let check = |(index, entry): (usize, Entry)| entry.check(&format!("records.{}.member.", index + 1), stream);
        let records: Vec<NewRecord> = records.into_iter().enumerate().map(check).collect::<Result<_, _>>()?;
        if records.iter().map(|record| record.data.len() + record.partition_key.len()).sum::<usize>() > LARGEST_REQUEST {
            return Err(invalid("Records size exceeds 10 MB limit"));
        }
        let records = stream.put(records, limited, call);
        let failed_record_count = records.iter().filter(|outcome| matches!(outcome, Outcome::Failed { .. })).count();
        answer(&Output { failed_record_count, records })
    }

    pub(super) fn put_record(&mut self, call: &Call<'_>) -> Answer {
        let PutRecord { stream_name, stream_arn, record } = call.input()?;
        let limited = self.enforce_limits;
        let stream = self.usable_stream(&StreamReference { stream_name, stream_arn }.name()?, call.now)?;
        let record = record.check("", stream)?;
        match stream.put(vec![record], limited, call).pop() {
            Some(Outcome::Failed { error_code, error_message }) => {
                let status = if error_code == "InternalFailure" { 500 } else { 400 };
                Err(ApiError { status, ..ApiError::new(error_code, error_message) })
            }
            stored => answer(&stored),
        }
    }
}

impl Entry {
    /// The record, if the stream could take it. `path`: where in the request it stands.
    fn check(self, path: &str, stream: &DataStream) -> Result<NewRecord, ApiError> {
        let partition_key = match self.partition_key {
            Some(key) => key,
            None if stream.settings.distribution == Some(Distribution::Auto) => String::new(),
            None => return Err(constraint(&format!("{path}partitionKey"), "not be null")),
        };
        let characters = partition_key.chars().count();
        if characters > LONGEST_KEY {
            return Err(constraint(&format!("{path}partitionKey"), &format!("have length less than or equal to {LONGEST_KEY}")));
        }
        if characters == 0 && stream.settings.distribution != Some(Distribution::Auto) {
            return Err(constraint(&format!("{path}partitionKey"), "have length greater than or equal to 1"));
        }
        let largest = stream.settings.max_record << 10;
        if self.data.len() + partition_key.len() > largest {
            let message =
                format!("Record size including the partition key exceeds the maximum of {largest} bytes of stream {}", stream.title());
            return Err(invalid(message));
        }
        let explicit_hash = self.explicit_hash_key.as_deref().map(|key| hash_key(key, &format!("{path}explicitHashKey"))).transpose()?;
        Ok(NewRecord { partition_key, explicit_hash, data: self.data })
    }
}

/// Reads a hash key: decimal digits without leading zeros. `member`: where in the request it stands.
pub(crate) fn hash_key(text: &str, member: &str) -> Result<u128, ApiError> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) || text.is_empty() || text.len() > 39 || (text.len() > 1 && text.starts_with('0')) {
        return Err(constraint(member, "satisfy regular expression pattern: 0|([1-9]\\d{0,38})"));
    }
    text.parse().map_err(|_| {
        let name = member.rsplit('.').next().unwrap_or(member);
        invalid(format!("Invalid {name}. {name} must be in the range: [0, 2^128-1]. Specified value was {text}"))
    })
}

impl DataStream {
    /// Places records in their order, and writes down what is stored.
    fn put(&mut self, records: Vec<NewRecord>, limited: bool, call: &Call<'_>) -> Vec<Outcome> {
        if let (true, Some(first)) = (call.quirks.split_before, records.first()) {
            let owner = self.owner(self.hash(&first.partition_key, first.explicit_hash));
            // A range too narrow for two is left whole.
            if self.split_in_the_middle(owner, call.now, call.journal).is_ok() {
                call.quirks.bite("split_before");
            }
        }
        let outcome = |(index, record): (usize, NewRecord)| {
            let hash = self.hash(&record.partition_key, record.explicit_hash);
            if let Some((_, code)) = call.quirks.failed_records.iter().find(|(failed, _)| *failed == index) {
                call.quirks.bite("fail_records");
                return self.failure(code, self.owner(hash));
            }
            let NewRecord { partition_key, data, .. } = record;
            match self.place(hash, partition_key.clone(), data.clone(), limited, call.now) {
                Placement::Throttled(shard) => self.failure("ProvisionedThroughputExceededException", shard),
                Placement::Stored(sequence) => {
                    let shard = sequence.shard();
                    let range = self.shards.get(&shard).map_or(HashRange::ALL, |shard| shard.range);
                    call.record(Event::Put(Put {
                        stream: self.name.clone(),
                        shard: shard.to_string(),
                        sequence: sequence.into(),
                        partition_key,
                        hash_key: hash,
                        range: range.start..=range.end,
                        data,
                        passage: call.quirks.passage,
                    }));
                    Outcome::Stored { shard_id: shard, sequence_number: sequence }
                }
            }
        };
        records.into_iter().enumerate().map(outcome).collect()
    }

    fn failure(&self, error_code: &'static str, shard: ShardId) -> Outcome {
        let error_message = match error_code {
            "ProvisionedThroughputExceededException" => format!("Rate exceeded for shard {shard} in stream {}.", self.title()),
            _ => "Internal service failure.".to_owned(),
        };
        Outcome::Failed { error_code, error_message }
    }
}

#[cfg(test)]
mod tests {
    use crate::call::Passage;
    use crate::journal::{Event, Put};
    use crate::kinesis::ShardId;
    use crate::kinesis::testing::{Account, encoded, text};
    use serde_json::{Value, json};

    fn records(keys: &[&str]) -> Value {
        let records: Vec<Value> = keys.iter().map(|key| json!({"PartitionKey": key, "Data": encoded(key)})).collect();
        json!({"StreamName": "orders", "Records": records})
    }

    fn codes(answer: &Value) -> Vec<Option<&str>> {
        answer["Records"].as_array().unwrap().iter().map(|record| record["ErrorCode"].as_str()).collect()
    }

    #[test]
    fn records_go_to_the_shard_of_their_key_and_into_the_journal_in_order() {
        let mut account = Account::with_stream("orders", 2);
        let answer = account.kinesis("PutRecords", records(&["pk1", "pk2", "pk1"])).unwrap();
        assert_eq!(answer["FailedRecordCount"], 0);
        let shards: Vec<String> = answer["Records"].as_array().unwrap().iter().map(|record| text(&record["ShardId"])).collect();
        assert_eq!(shards, ["shardId-000000000001", "shardId-000000000000", "shardId-000000000001"]);
        assert_eq!(text(&answer["Records"][0]["SequenceNumber"]).len(), 56);
        let sequences: Vec<String> = answer["Records"].as_array().unwrap().iter().map(|record| text(&record["SequenceNumber"])).collect();
        assert!(sequences.is_sorted());
        let expected = |place: usize, key: &str| format!("puts 3 bytes for {key} into orders {} at {}", shards[place], sequences[place]);
        assert_eq!(account.events()[1..], [expected(0, "pk1"), expected(1, "pk2"), expected(2, "pk1")]);
    }

    #[test]
    fn the_journal_tells_where_a_record_went_and_when_its_sender_hears_of_it() {
        let mut account = Account::with_stream("orders", 1);
        account.quirks.passage = Passage { held_up: true, heard_after: None };
        let body = json!({"StreamName": "orders", "PartitionKey": "pk1", "Data": encoded("a")});
        account.kinesis("PutRecord", body.clone()).unwrap();
        account.kinesis("PutRecord", body).unwrap();
        let puts: Vec<Put> = account
            .journal
            .since(0)
            .into_iter()
            .filter_map(|entry| match entry.event {
                Event::Put(put) => Some(put),
                _ => None,
            })
            .collect();
        assert_eq!(puts[0].range, 0..=u128::MAX);
        assert_eq!(puts[0].hash_key, 329_398_341_438_914_906_102_347_661_116_985_167_824);
        assert_eq!(puts.iter().map(|put| put.passage.is_prompt()).collect::<Vec<_>>(), [false, true]);
        assert!(account.events()[1].ends_with(", late, never heard of"));
    }

    #[test]
    fn an_explicit_hash_key_overrides_the_partition_key() {
        let mut account = Account::with_stream("orders", 2);
        for (hash, shard) in [("0", 0), ("170141183460469231731687303715884105728", 1), ("340282366920938463463374607431768211455", 1)] {
            let body = json!({"StreamName": "orders", "PartitionKey": "a", "ExplicitHashKey": hash, "Data": ""});
            assert_eq!(account.kinesis("PutRecord", body).unwrap()["ShardId"], format!("shardId-00000000000{shard}"), "{hash}");
        }
        let beyond =
            json!({"StreamName": "orders", "PartitionKey": "a", "ExplicitHashKey": "340282366920938463463374607431768211456", "Data": ""});
        assert_eq!(account.kinesis("PutRecord", beyond).unwrap_err().code, "InvalidArgumentException");
        let padded = json!({"StreamName": "orders", "PartitionKey": "a", "ExplicitHashKey": "007", "Data": ""});
        assert_eq!(account.kinesis("PutRecord", padded).unwrap_err().code, "ValidationException");
    }

    #[test]
    fn the_chosen_records_fail_and_only_those() {
        let mut account = Account::with_stream("orders", 1);
        account.quirks.failed_records = vec![(1, "ProvisionedThroughputExceededException"), (3, "InternalFailure"), (9, "InternalFailure")];
        let answer = account.kinesis("PutRecords", records(&["a", "b", "c", "d"])).unwrap();
        assert_eq!(answer["FailedRecordCount"], 2);
        assert_eq!(codes(&answer), [None, Some("ProvisionedThroughputExceededException"), None, Some("InternalFailure")]);
        let message = "Rate exceeded for shard shardId-000000000000 in stream orders under account 000000000000.";
        assert_eq!(answer["Records"][1]["ErrorMessage"], message);
        assert_eq!(answer["Records"][1].get("SequenceNumber"), None);
        assert_eq!(account.journalled_puts(), ["a", "c"]);
        assert!(account.have_bitten("fail_records"));
        account.quirks.failed_records = vec![(7, "InternalFailure")];
        account.kinesis("PutRecords", records(&["e"])).unwrap();
        assert!(!account.have_bitten("fail_records"), "there is no eighth record");
        account.quirks.failed_records = vec![(0, "InternalFailure")];
        let error = account.kinesis("PutRecord", json!({"StreamName": "orders", "PartitionKey": "a", "Data": ""})).unwrap_err();
        assert_eq!((error.status, error.code), (500, "InternalFailure"));
    }

    #[test]
    fn a_shard_that_splits_under_a_producer_sends_its_records_to_the_children() {
        let mut account = Account::with_stream("orders", 2);
        account.quirks.split_before = true;
        let answer = account.kinesis("PutRecords", records(&["pk1", "pk2"])).unwrap();
        let shards: Vec<String> = answer["Records"].as_array().unwrap().iter().map(|record| text(&record["ShardId"])).collect();
        assert_eq!(shards, ["shardId-000000000003", "shardId-000000000000"]);
        assert!(account.have_bitten("split_before"));
        assert_eq!(account.events()[1], "shard shardId-000000000001 continues in shardId-000000000002, shardId-000000000003");
    }

    #[test]
    fn a_full_shard_fails_the_excess_until_time_passes() {
        let mut account = Account::with_stream("orders", 1);
        account.kinesis.enforce_limits = true;
        let keys = vec!["a"; 500];
        let failures = |answer: &Value| answer["FailedRecordCount"].as_u64().unwrap();
        let counts: Vec<u64> = (0..3).map(|_| failures(&account.kinesis("PutRecords", records(&keys)).unwrap())).collect();
        assert_eq!(counts, [0, 0, 500]);
        account.now += 100;
        let answer = account.kinesis("PutRecords", records(&keys)).unwrap();
        assert_eq!(failures(&answer), 400);
        assert_eq!(codes(&answer)[99..101], [None, Some("ProvisionedThroughputExceededException")]);
        let large = json!({"StreamName": "orders", "PartitionKey": "a", "Data": encoded(vec![0; 1_048_575])});
        assert_eq!(account.kinesis("PutRecord", large.clone()).unwrap_err().code, "ProvisionedThroughputExceededException");
        account.now += 1_000;
        account.kinesis("PutRecord", large).unwrap();
    }

    #[test]
    fn a_throttled_shard_fails_its_records_and_others_take_theirs() {
        let mut account = Account::with_stream("orders", 2);
        account.kinesis.throttle("orders", ShardId(1), account.now + 1_000).unwrap();
        let answer = account.kinesis("PutRecords", records(&["pk1", "pk2"])).unwrap();
        assert_eq!(codes(&answer), [Some("ProvisionedThroughputExceededException"), None]);
        account.now += 1_000;
        assert_eq!(codes(&account.kinesis("PutRecords", records(&["pk1"])).unwrap()), [None]);
    }

    #[test]
    fn requests_outside_the_limits_are_refused_whole() {
        let mut account = Account::with_stream("orders", 1);
        let put = |account: &mut Account, entries: Vec<Value>| {
            account.kinesis("PutRecords", json!({"StreamName": "orders", "Records": entries})).map_err(|error| error.code)
        };
        let entry = |key: &str, size: usize| json!({"PartitionKey": key, "Data": encoded(vec![0; size])});
        for (entries, code) in [
            (vec![], "ValidationException"),
            (vec![entry("a", 1); 501], "ValidationException"),
            (vec![entry("a", 1), entry("", 1)], "ValidationException"),
            (vec![entry(&"ä".repeat(257), 1)], "ValidationException"),
            (vec![json!({"Data": ""})], "ValidationException"),
            (vec![json!({"PartitionKey": "a", "Data": "?"})], "SerializationException"),
            (vec![entry("a", 1_048_576)], "InvalidArgumentException"),
            (vec![entry("a", 1_048_575); 11], "InvalidArgumentException"),
        ] {
            assert_eq!(put(&mut account, entries), Err(code));
        }
        assert_eq!(account.journalled_puts().len(), 0);
        put(&mut account, vec![entry(&"ä".repeat(256), 1); 500]).unwrap();
        put(&mut account, vec![entry("a", 1_048_575); 10]).unwrap();
    }
}
