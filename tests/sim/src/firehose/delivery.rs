//! A delivery stream: records are gathered into a buffer, a buffer becomes an object.

use std::collections::VecDeque;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::value::RawValue;

use super::destination::Destination;
use super::name::unique;
use super::prefix::at;
use crate::buckets::Buckets;
use crate::journal::Journal;
use crate::kinesis::{Kinesis, SequenceNumber, aggregate};

/// For how long (milliseconds) an object is kept for a bucket that does not take it.
const PATIENCE: i64 = 24 * 3_600_000;

#[derive(Debug)]
pub(super) struct DeliveryStream {
    pub(super) name: String,
    pub(super) created: i64,
    pub(super) source: Source,
    pub(super) destination: Destination,
    buffer: Option<Buffer>,
    /// Objects on their way, the oldest first.
    objects: VecDeque<Object>,
    /// How many objects were made.
    count: u64,
    /// How many records were taken from callers.
    pub(super) taken: u64,
}

/// Where the records come from.
#[derive(Debug)]
pub(super) enum Source {
    /// From PutRecord and PutRecordBatch.
    DirectPut,
    /// From a Kinesis stream.
    Kinesis {
        arn: String,
        role: String,
        stream: String,
        /// The first position that has not been read.
        position: SequenceNumber,
    },
}

#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    /// When the first record came in.
    opened: i64,
    /// When its oldest record arrived, here or at its source.
    oldest: i64,
}

#[derive(Debug)]
struct Object {
    key: String,
    body: Bytes,
    sealed: i64,
}

impl DeliveryStream {
    pub(super) fn new(name: String, source: Source, destination: Destination, now: i64) -> Self {
        Self { name, created: now, source, destination, buffer: None, objects: VecDeque::new(), count: 0, taken: 0 }
    }

    /// Does what is due: closes a buffer that has waited long enough, reads the source, writes objects.
    pub(super) fn advance(&mut self, kinesis: &Kinesis, buckets: &mut Buckets, now: i64, journal: &Journal) {
        // What arrived before the interval ended has been read already, so the buffer is closed before more is added.
        self.seal_when_due(now);
        self.pull(kinesis, now);
        self.finish(buckets, now, journal);
    }

    /// Closes the buffer if it is due, and writes the objects that there are.
    pub(super) fn finish(&mut self, buckets: &mut Buckets, now: i64, journal: &Journal) {
        self.seal_when_due(now);
        while let Some(object) = self.objects.front() {
            let written = buckets.put(&self.destination.bucket, &object.key, object.body.clone(), now, "", journal);
            if !written && now - object.sealed <= PATIENCE {
                break;
            }
            self.objects.pop_front();
        }
    }

    /// Reads what has come into the Kinesis stream, without the packing of producer libraries.
    fn pull(&mut self, kinesis: &Kinesis, now: i64) {
        let Source::Kinesis { stream, position, .. } = &mut self.source else { return };
        let records = kinesis.arrivals(stream, *position);
        if let Some(last) = records.last() {
            *position = last.sequence.next();
        }
        for record in records {
            match aggregate::unpack(&record.data) {
                Some(packed) => packed.iter().for_each(|packed| self.add(packed.data, record.arrived, now)),
                None => self.add(&record.data, record.arrived, now),
            }
        }
    }

    /// Adds a record. `arrived`: at its source.
    pub(super) fn add(&mut self, record: &[u8], arrived: i64, now: i64) {
        let values = if self.destination.steps.split_json { json_values(record) } else { vec![record] };
        for value in values {
            let buffer = self.buffer.get_or_insert_with(|| Buffer { bytes: Vec::new(), opened: now, oldest: arrived });
            buffer.oldest = buffer.oldest.min(arrived);
            buffer.bytes.extend_from_slice(value);
            buffer.bytes.extend_from_slice(&self.destination.steps.delimiter);
            if buffer.bytes.len() >= self.destination.size {
                self.seal(now);
            }
        }
    }

    fn seal_when_due(&mut self, now: i64) {
        if self.buffer.as_ref().is_some_and(|buffer| now - buffer.opened >= self.destination.interval) {
            self.seal(now);
        }
    }

    /// Makes an object of the buffer.
    pub(super) fn seal(&mut self, now: i64) {
        let Some(Buffer { bytes, oldest, .. }) = self.buffer.take() else { return };
        let Destination { prefix, extension, gzip, .. } = &self.destination;
        self.count += 1;
        let seed = format!("{}/{}/{}", self.name, self.created, self.count);
        // The version stays 1: a destination cannot be changed here.
        let name = format!("{}-1-{}-{}{extension}", self.name, at(oldest, "%Y-%m-%d-%H-%M-%S"), unique(&seed));
        let body = if *gzip { compressed(&bytes) } else { bytes };
        self.objects.push_back(Object { key: prefix.evaluate(oldest, &seed) + &name, body: body.into(), sealed: now });
    }
}

#[expect(clippy::expect_used, reason = "memory takes whatever is written")]
fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a vector can be written to")
}

/// The JSON values that stand in a record one after the other; the record itself when there is anything else in it.
fn json_values(record: &[u8]) -> Vec<&[u8]> {
    let values = serde_json::Deserializer::from_slice(record).into_iter::<&RawValue>();
    let values: Result<Vec<&[u8]>, _> = values.map(|value| value.map(|value| value.get().as_bytes())).collect();
    values.ok().filter(|values| !values.is_empty()).unwrap_or_else(|| vec![record])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_apart_unless_the_record_is_no_json() {
        assert_eq!(json_values(br#"{"a":1}{"b": 2} [3]"#), [&br#"{"a":1}"#[..], br#"{"b": 2}"#, b"[3]"]);
        for record in [&b"plain text"[..], b"", br#"{"a":1}{"b""#, b"\xff"] {
            assert_eq!(json_values(record), [record]);
        }
    }
}
