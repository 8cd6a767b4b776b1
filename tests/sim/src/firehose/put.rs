//! PutRecord and PutRecordBatch.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Firehose;
use super::delivery::{DeliveryStream, Source};
use super::name::digest;
use crate::buckets::Buckets;
use crate::call::{Answer, ApiError, Call, answer};
use crate::encoding::{constraint, from_base64};
use crate::journal::Event;

const MOST_RECORDS: usize = 500;
/// 4 MiB.
const LARGEST_REQUEST: usize = 4 << 20;
/// 1,000 KiB.
const LARGEST_RECORD: usize = 1_000 << 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecordBatch {
    delivery_stream_name: String,
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecord {
    delivery_stream_name: String,
    record: Record,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    #[serde(deserialize_with = "from_base64")]
    data: Bytes,
}

/// What became of a record, as the answer tells it.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    #[serde(rename_all = "PascalCase")]
    Taken { record_id: String },
    #[serde(rename_all = "PascalCase")]
    Failed { error_code: &'static str, error_message: &'static str },
}

impl Firehose {
    pub(super) fn put_record_batch(&mut self, buckets: &mut Buckets, call: &Call<'_>) -> Answer {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Output {
            failed_put_count: usize,
            encrypted: bool,
            request_responses: Vec<Outcome>,
        }
        let PutRecordBatch { delivery_stream_name, records } = call.input()?;
        if records.is_empty() {
            return Err(constraint("records", "have length greater than or equal to 1"));
        }
        if records.len() > MOST_RECORDS {
            return Err(constraint("records", &format!("have length less than or equal to {MOST_RECORDS}")));
        }
        for (index, record) in records.iter().enumerate() {
            record.check(&format!("records.{}.member.data", index + 1))?;
        }
        if records.iter().map(|record| record.data.len()).sum::<usize>() > LARGEST_REQUEST {
            return Err(ApiError::new("InvalidArgumentException", "Records size exceeds 4 MB limit"));
        }
        let stream = self.direct_stream(&delivery_stream_name)?;
        let request_responses = stream.take_batch(records, call);
        stream.finish(buckets, call.now, call.journal);
        let failed_put_count = request_responses.iter().filter(|outcome| matches!(outcome, Outcome::Failed { .. })).count();
        answer(&Output { failed_put_count, encrypted: false, request_responses })
    }

    pub(super) fn put_record(&mut self, buckets: &mut Buckets, call: &Call<'_>) -> Answer {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Output {
            record_id: String,
            encrypted: bool,
        }
        let PutRecord { delivery_stream_name, record } = call.input()?;
        record.check("record.data")?;
        let stream = self.direct_stream(&delivery_stream_name)?;
        let record_id = stream.take(record, call);
        stream.finish(buckets, call.now, call.journal);
        answer(&Output { record_id, encrypted: false })
    }

    /// A delivery stream that takes records from its callers.
    fn direct_stream(&mut self, name: &str) -> Result<&mut DeliveryStream, ApiError> {
        let stream = self.stream(name)?;
        match stream.source {
            Source::DirectPut => Ok(stream),
            Source::Kinesis { .. } => {
                let message = "This operation is not permitted on KinesisStreamAsSource delivery stream type.";
                Err(ApiError::new("InvalidArgumentException", message))
            }
        }
    }
}

impl Record {
    /// `path`: where in the request it stands.
    fn check(&self, path: &str) -> Result<(), ApiError> {
        if self.data.len() > LARGEST_RECORD {
            return Err(constraint(path, &format!("have length less than or equal to {LARGEST_RECORD}")));
        }
        Ok(())
    }
}

impl DeliveryStream {
    /// Adds records in their order but those that are to fail.
    fn take_batch(&mut self, records: Vec<Record>, call: &Call<'_>) -> Vec<Outcome> {
        let outcome = |(index, record): (usize, Record)| {
            if let Some((_, error_code)) = call.quirks.failed_records.iter().find(|(failed, _)| *failed == index) {
                call.quirks.bite("fail_records");
                let error_message = if *error_code == "ServiceUnavailableException" { "Slow down." } else { "Internal service failure." };
                return Outcome::Failed { error_code, error_message };
            }
            Outcome::Taken { record_id: self.take(record, call) }
        };
        records.into_iter().enumerate().map(outcome).collect()
    }

    /// Adds a record, writes it down and gives its id.
    fn take(&mut self, Record { data }: Record, call: &Call<'_>) -> String {
        self.add(&data, call.now, call.now);
        call.record(Event::Taken { stream: self.name.clone(), data, passage: call.quirks.passage });
        self.taken += 1;
        digest(&format!("{}/{}/{}", self.name, self.created, self.taken))
    }
}

#[cfg(test)]
mod tests {
    use crate::firehose::tests::{direct, objects};
    use crate::kinesis::testing::{Account, encoded};
    use serde_json::{Value, json};

    fn put(account: &mut Account, records: &[Vec<u8>]) -> Result<Value, &'static str> {
        let records: Vec<Value> = records.iter().map(|data| json!({"Data": encoded(data)})).collect();
        account.firehose("PutRecordBatch", json!({"DeliveryStreamName": "lake", "Records": records})).map_err(|error| error.code)
    }

    #[test]
    fn the_chosen_records_fail_and_only_those() {
        let mut account = direct(&json!({}));
        account.quirks.failed_records = vec![(1, "ServiceUnavailableException"), (2, "InternalFailure")];
        let answer = put(&mut account, &[b"a".to_vec(), b"b".to_vec(), b"c".to_vec(), b"d".to_vec()]).unwrap();
        assert_eq!(answer["FailedPutCount"], 2);
        assert!(account.have_bitten("fail_records"));
        let responses = answer["RequestResponses"].as_array().unwrap();
        assert_eq!(responses[1], json!({"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."}));
        assert_eq!(responses[2]["ErrorCode"], "InternalFailure");
        assert_ne!(responses[0]["RecordId"], responses[3]["RecordId"]);
        assert_eq!(account.journalled_puts(), ["a", "d"]);
        account.now += 300_000;
        account.tick();
        assert_eq!(objects(&account)[0].1, b"ad");
    }

    #[test]
    fn a_single_record_is_taken_by_a_call_of_its_own() {
        let mut account = direct(&json!({}));
        let body = json!({"DeliveryStreamName": "lake", "Record": {"Data": encoded("a")}});
        assert!(account.firehose("PutRecord", body).unwrap()["RecordId"].is_string());
        assert_eq!(account.journalled_puts(), ["a"]);
    }

    #[test]
    fn requests_outside_the_limits_are_refused_whole() {
        let mut account = direct(&json!({}));
        let largest = vec![0; 1_024_000];
        for (records, code) in [
            (vec![], "ValidationException"),
            (vec![b"a".to_vec(); 501], "ValidationException"),
            (vec![vec![0; 1_024_001]], "ValidationException"),
            (vec![largest.clone(); 5], "InvalidArgumentException"),
        ] {
            assert_eq!(put(&mut account, &records), Err(code));
        }
        assert_eq!(account.journalled_puts().len(), 0);
        put(&mut account, &vec![largest; 4]).unwrap();
        put(&mut account, &vec![b"a".to_vec(); 500]).unwrap();
        let missing = json!({"DeliveryStreamName": "river", "Record": {"Data": ""}});
        assert_eq!(account.firehose("PutRecord", missing).unwrap_err().code, "ResourceNotFoundException");
    }
}
