//! PutRecords and PutRecordBatch: every record is accepted, decoded and entered into the ledger.
//!
//! A call is checked whole before anything of it is entered, and entered as one.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Deserialize;

use super::digits::digits;
use super::ledger::{Call, Ledger};
use super::payload::Reader;
use super::plan::Plan;
use super::producer::Shards;
use crate::call::{Answer, ApiError};
use crate::encoding::constraint;

/// Records of a call, of both services.
const MOST_RECORDS: usize = 500;
const KIB: usize = 1_024;
/// Kinesis: bytes of a record with its partition key, and of all of them.
const KINESIS_RECORD: usize = 1_024 * KIB;
const KINESIS_CALL: usize = 10 * 1_024 * KIB;
/// Firehose: bytes of a record, and of all of them.
const FIREHOSE_RECORD: usize = 1_000 * KIB;
const FIREHOSE_CALL: usize = 4 * 1_024 * KIB;

/// Kinesis: characters of a partition key.
const LONGEST_KEY: usize = 256;

/// Digits of a sequence number or a record id that count up.
const COUNTED: usize = 18;
/// Digits that tell a Kinesis shard.
const SHARD: usize = 4;
/// About how many bytes of the answer belong to a record.
const ANSWERED: usize = 128;

/// Takes records in.
#[derive(Debug)]
pub(super) struct Receiver {
    plan: Arc<Plan>,
    shards: Shards,
    reader: Reader,
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    ledger: Ledger,
    /// Records that were given a number.
    numbered: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecords<'a> {
    #[serde(borrow)]
    records: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(borrow, default)]
    partition_key: Cow<'a, str>,
    explicit_hash_key: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecordBatch<'a> {
    #[serde(borrow)]
    records: Vec<Datum<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Datum<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
}

/// What differs between the services.
struct Limits {
    record: usize,
    call: usize,
    /// What a record is rounded up to before it is billed, in KiB.
    billed_kib: usize,
    /// Bytes of a PUT payload unit, where there are any.
    payload_unit: Option<usize>,
    /// The code of the error for a record that is too large.
    large_record: &'static str,
}

const KINESIS: Limits = Limits {
    record: KINESIS_RECORD,
    call: KINESIS_CALL,
    billed_kib: 1,
    payload_unit: Some(25 * KIB),
    large_record: "InvalidArgumentException",
};
const FIREHOSE: Limits =
    Limits { record: FIREHOSE_RECORD, call: FIREHOSE_CALL, billed_kib: 5, payload_unit: None, large_record: "ValidationException" };

impl Receiver {
    pub(super) fn new(plan: Arc<Plan>, shards: Shards) -> Self {
        let ledger = Ledger::new(Arc::clone(&plan));
        Self { plan, shards, reader: Reader::new(), books: Mutex::new(Books { ledger, numbered: 0 }) }
    }

    /// Looks at what arrived, or clears it.
    pub(super) fn with_ledger<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> T {
        look(&mut self.books().ledger)
    }

    /// PutRecords.
    pub(super) fn put_records(&self, body: &[u8]) -> Answer {
        let request: PutRecords<'_> = parse(body)?;
        // Before anything is entered, since a wrong hash key refuses the call.
        let shards = request.records.iter().map(|entry| {
            check_key(&entry.partition_key)?;
            self.shards.of(&entry.partition_key, entry.explicit_hash_key.as_deref())
        });
        let shards: Vec<usize> = shards.collect::<Result<_, _>>()?;
        let first = self.take(&KINESIS, request.records.iter().map(|entry| (entry.data.as_ref(), entry.partition_key.len())))?;
        let mut json = Vec::with_capacity(ANSWERED * (1 + request.records.len()));
        json.extend_from_slice(br#"{"FailedRecordCount":0,"Records":["#);
        for (n, shard) in shards.into_iter().enumerate() {
            json.extend_from_slice(br#"{"SequenceNumber":"49600000000000000000000000000000000000"#);
            json.extend_from_slice(&digits::<COUNTED>(first + n));
            json.extend_from_slice(br#"","ShardId":"shardId-00000000"#);
            json.extend_from_slice(&digits::<SHARD>(shard));
            json.extend_from_slice(br#""},"#);
        }
        Ok(closed(json))
    }

    /// PutRecordBatch.
    pub(super) fn put_record_batch(&self, body: &[u8]) -> Answer {
        let request: PutRecordBatch<'_> = parse(body)?;
        let first = self.take(&FIREHOSE, request.records.iter().map(|datum| (datum.data.as_ref(), 0)))?;
        let mut json = Vec::with_capacity(ANSWERED * (1 + request.records.len()));
        json.extend_from_slice(br#"{"Encrypted":false,"FailedPutCount":0,"RequestResponses":["#);
        for n in 0..request.records.len() {
            json.extend_from_slice(br#"{"RecordId":"1x9Jd0rTPq2cVbN7sW4yLh6mKf3gZa8E"#);
            json.extend_from_slice(&digits::<COUNTED>(first + n));
            json.extend_from_slice(br#""},"#);
        }
        Ok(closed(json))
    }

    /// Decodes and enters a call's records, each with the length of its partition key, and gives the first one's number.
    fn take<'a>(&self, limits: &Limits, records: impl ExactSizeIterator<Item = (&'a str, usize)>) -> Result<usize, ApiError> {
        let count = records.len();
        if !(1..=MOST_RECORDS).contains(&count) {
            return Err(constraint("records", &format!("have length between 1 and {MOST_RECORDS}, not {count}")));
        }
        let mut found = Vec::with_capacity(count);
        let (mut data, mut call, mut size) = (Vec::new(), Call { records: count, ..Call::default() }, 0);
        for (text, key) in records {
            data.clear();
            if base64_simd::STANDARD.decode_append(text, &mut data).is_err() {
                return Err(ApiError::new("SerializationException", "Data is not base64"));
            }
            let record = data.len() + key;
            if record > limits.record {
                let message = format!("a record has {record} bytes; at most {} are allowed", limits.record);
                return Err(ApiError::new(limits.large_record, message));
            }
            size += record;
            call.bytes += data.len();
            call.billed_kib += limits.billed_kib * record.div_ceil(limits.billed_kib * KIB);
            call.payload_units += limits.payload_unit.map_or(0, |unit| record.div_ceil(unit));
            self.reader.events(&self.plan, &data, &mut |event| found.push(event));
        }
        if size > limits.call {
            let message = format!("the records have {size} bytes; at most {} are allowed in one call", limits.call);
            return Err(ApiError::new("InvalidArgumentException", message));
        }
        let mut books = self.books();
        books.ledger.enter(call, &found);
        let first = books.numbered;
        books.numbered += count;
        Ok(first)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A partition key has 1 to 256 characters.
fn check_key(key: &str) -> Result<(), ApiError> {
    if key.is_empty() || (key.len() > LONGEST_KEY && key.chars().count() > LONGEST_KEY) {
        return Err(constraint("partitionKey", &format!("have length between 1 and {LONGEST_KEY}")));
    }
    Ok(())
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::new("SerializationException", error.to_string()))
}

/// Ends the list of at least one piece, and the answer.
fn closed(mut json: Vec<u8>) -> Bytes {
    json.pop();
    json.extend_from_slice(b"]}");
    json.into()
}

#[cfg(test)]
mod tests;
