//! Kinesis Data Streams: shards by hash range, splits and merges.

use crate::call::{Answer, ApiError, Call};

/// The Kinesis streams of one account.
#[derive(Debug, Default)]
pub struct Kinesis {}

impl Kinesis {
    /// Answers a call of the Kinesis API.
    pub fn call(&mut self, call: &Call<'_>) -> Answer {
        Err(ApiError::new("UnknownOperationException", call.operation))
    }
}
