//! One call of a service, as the models see it: who calls, when, and what goes wrong with it inside the service.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde::Serialize;

use crate::journal::{Event, Journal};

/// A call that has reached its service.
#[derive(Debug)]
pub struct Call<'a> {
    /// Who calls: the access key of the request's signature.
    pub worker: &'a str,
    /// The service's time, in milliseconds since the epoch.
    pub now: i64,
    /// The operation, as the protocol names it.
    pub operation: &'a str,
    /// The request's JSON.
    pub body: &'a [u8],
    /// What goes wrong with this call inside the service.
    pub quirks: &'a Quirks,
    /// Where everything is written down.
    pub journal: &'a Journal,
}

impl Call<'_> {
    /// Writes down what this call did.
    pub fn record(&self, event: Event) {
        self.journal.record(self.now, self.worker, event);
    }

    /// The request, read into its type.
    pub fn input<T: serde::de::DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(self.body).map_err(|error| ApiError::new("SerializationException", error.to_string()))
    }
}

/// What may go wrong inside a service without the call failing. Each is something that AWS is documented or known to do.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each quirk comes or stays away by itself")]
pub struct Quirks {
    /// GetRecords: no records this time, though there are some, and a live iterator.
    pub empty_page: bool,
    /// GetRecords: at most this many records. Scan, Query: at most this many items, and one at least.
    pub short_page: Option<usize>,
    /// GetRecords: the next iterator leads to the same page again.
    pub repeat_page: bool,
    /// Reads that need not be consistent: items are found as they were so long ago (milliseconds), at most a second.
    pub stale_read: Option<i64>,
    /// DescribeStream: shards that were opened less than this long ago (milliseconds) are not shown yet.
    pub late_listing: Option<i64>,
    /// DescribeStream: a closed shard whose children are shown still looks open.
    pub parents_look_open: bool,
    /// A conditional write is refused as if somebody else had written in between.
    pub condition_fails: bool,
    /// PutRecords, PutRecordBatch: the records that fail, and with which error code.
    pub failed_records: Vec<(usize, &'static str)>,
    /// PutRecords: the stream splits the shard of the first record before the records are placed.
    pub split_before: bool,
    /// What becomes of the request and the answer on their way. It is no doing of the service, but what the caller knows depends on it.
    pub passage: Passage,
    /// Those that made a difference, by the names under which faults are counted.
    pub bitten: Bitten,
}

/// The way of a call to the service and back, as far as it is known when the call takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// The request was held up: its caller may have given up meanwhile, or asked again.
    pub held_up: bool,
    /// How long after the effect (milliseconds) the whole answer is with the caller; never when it gets lost.
    pub heard_after: Option<i64>,
}

impl Default for Passage {
    /// Nothing is in the way.
    fn default() -> Self {
        Self { held_up: false, heard_after: Some(0) }
    }
}

impl Passage {
    /// Whether the caller hears of the effect at once, and so knows of it for sure.
    pub fn is_prompt(self) -> bool {
        self == Self::default()
    }
}

impl fmt::Display for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.held_up {
            f.write_str(", late")?;
        }
        match self.heard_after {
            Some(0) => Ok(()),
            Some(after) => write!(f, ", heard of {after} ms later"),
            None => f.write_str(", never heard of"),
        }
    }
}

/// Which quirks made a difference to a call. It says nothing about what is to go wrong, so any two are equal.
#[derive(Debug, Clone, Default)]
pub struct Bitten(Arc<Mutex<BTreeSet<&'static str>>>);

impl PartialEq for Bitten {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Quirks {
    /// Notes that a quirk made a difference: without it the answer or the effect would have been another.
    pub fn bite(&self, kind: &'static str) {
        self.bitten.0.lock().unwrap_or_else(PoisonError::into_inner).insert(kind);
    }

    /// Whether a quirk made a difference.
    pub fn have_bitten(&self, kind: &str) -> bool {
        self.bitten.0.lock().unwrap_or_else(PoisonError::into_inner).contains(kind)
    }
}

/// An error of a service.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// The error's name in the protocol.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Further members of the error's JSON, such as the item of a failed condition.
    pub details: serde_json::Map<String, serde_json::Value>,
}

impl ApiError {
    /// An error of the caller's making (status 400).
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, code, message: message.into(), details: serde_json::Map::new() }
    }

    /// The request is wrong in itself.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new("ResourceNotFoundException", message)
    }
}

/// A call's answer: the JSON body, or an error.
pub type Answer = Result<Bytes, ApiError>;

/// The answer's JSON.
pub fn answer(output: &impl Serialize) -> Answer {
    match serde_json::to_vec(output) {
        Ok(json) => Ok(json.into()),
        Err(error) => Err(ApiError { status: 500, ..ApiError::new("InternalServerError", error.to_string()) }),
    }
}

/// Answers some calls in the models' stead, faster. Used by the load mode.
pub trait Intercept: Send + Sync + std::fmt::Debug {
    /// The answer, or `None` to leave the call to the models. `target` is the header `X-Amz-Target`.
    fn intercept(&self, target: &str, worker: &str, body: &Bytes) -> Option<Answer>;

    /// The answer to a request of the simulator's own, `/_sim/` with the command behind it, or `None` when it is not for this one.
    fn control(&self, _method: &str, _command: &str) -> Option<serde_json::Value> {
        None
    }
}
