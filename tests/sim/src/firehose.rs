//! Firehose: delivery streams that gather records into objects.
//!
//! As on AWS, an object is written when the buffer has reached its size or its oldest record has waited for the interval; a buffer of a
//! stream that reads from Kinesis holds the records that came in after the delivery stream was created, without the packing of producer
//! libraries. Names, bytes and times of the objects follow from the calls alone.
//!
//! Not modelled: destinations other than S3, transformation by functions, conversion of formats, dynamic partitioning, backup. A request
//! for one of them is refused. Records arrive once and in order, where AWS promises neither.

mod admin;
mod delivery;
mod destination;
mod name;
mod prefix;
mod put;

use std::collections::BTreeMap;

use self::delivery::DeliveryStream;
use crate::buckets::Buckets;
use crate::call::{Answer, ApiError, Call};
use crate::journal::Journal;
use crate::kinesis::Kinesis;

/// The delivery streams of one account.
#[derive(Debug, Default)]
pub struct Firehose {
    streams: BTreeMap<String, DeliveryStream>,
}

impl Firehose {
    /// Answers a call of the Firehose API.
    pub fn call(&mut self, kinesis: &Kinesis, buckets: &mut Buckets, call: &Call<'_>) -> Answer {
        self.tick(kinesis, buckets, call.now, call.journal);
        match call.operation {
            "PutRecordBatch" => self.put_record_batch(buckets, call),
            "PutRecord" => self.put_record(buckets, call),
            "CreateDeliveryStream" => self.create_delivery_stream(kinesis, call),
            "DeleteDeliveryStream" => self.delete_delivery_stream(buckets, call),
            "DescribeDeliveryStream" => self.describe_delivery_stream(call),
            "ListDeliveryStreams" => self.list_delivery_streams(call),
            unknown => Err(ApiError::new("UnknownOperationException", format!("there is no operation '{unknown}'"))),
        }
    }

    /// Does what is due by now: reads the Kinesis streams that are sources, and writes objects. To be called about every second.
    pub fn tick(&mut self, kinesis: &Kinesis, buckets: &mut Buckets, now: i64, journal: &Journal) {
        for stream in self.streams.values_mut() {
            stream.advance(kinesis, buckets, now, journal);
        }
    }
}

#[cfg(test)]
mod tests;
