//! DynamoDB: tables, items, conditional writes.

use crate::call::{Answer, ApiError, Call};
use crate::streams::Streams;

/// The tables of one account.
#[derive(Debug, Default)]
pub struct Tables {}

impl Tables {
    /// Answers a call of the DynamoDB API.
    pub fn call(&mut self, _streams: &mut Streams, call: &Call<'_>) -> Answer {
        Err(ApiError::new("UnknownOperationException", call.operation))
    }

    /// Deletes the items whose time to live has passed, and tells how many.
    pub fn expire_items(&mut self, _streams: &mut Streams, _now: i64, _journal: &crate::journal::Journal) -> usize {
        0
    }
}
