//! Firehose: delivery streams that gather records into objects.

use crate::buckets::Buckets;
use crate::call::{Answer, ApiError, Call};

/// The delivery streams of one account.
#[derive(Debug, Default)]
pub struct Firehose {}

impl Firehose {
    /// Answers a call of the Firehose API.
    pub fn call(&mut self, _buckets: &mut Buckets, call: &Call<'_>) -> Answer {
        Err(ApiError::new("UnknownOperationException", call.operation))
    }

    /// Delivers the batches whose time has come.
    pub fn tick(&mut self, _kinesis: &mut crate::kinesis::Kinesis, _buckets: &mut Buckets, _now: i64, _journal: &crate::journal::Journal) {}
}
