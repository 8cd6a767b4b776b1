//! Rules: which calls meet which fault, and how often.

use serde::{Deserialize, Serialize};

use super::decision::{Subject, Tally};
use super::draw::Draw;
use super::service::Service;
use super::spelling::{ServerError, Throttle};

/// A rule. A call that matches it meets its fault by chance or by script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// An operation such as `GetRecords` or `PutObject`, or `*` for every operation that can meet the fault.
    pub operation: String,
    /// Only calls of this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// Only calls that name a table, a stream or an object whose name contains this. GetRecords names nothing but its iterator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Only calls of this worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// What goes wrong.
    pub fault: Fault,
    /// Which of the matching calls it strikes.
    pub chance: Chance,
    /// Not before (milliseconds since the epoch, by the simulator's clock).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// Not at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

/// Which of the calls that match a rule it strikes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chance {
    /// Each with this probability.
    Probability(f64),
    /// The n-th ones, counted from 1 over all workers: a script.
    Calls(Vec<u64>),
}

/// What can go wrong with a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The service refuses because it is asked too often.
    Throttle(Throttle),
    /// The service fails.
    ServerError(ServerError),
    /// The connection is reset before the effect.
    Reset,
    /// The effect takes place, then the connection is closed without an answer.
    LoseAnswer,
    /// The effect takes place, the answer comes so much later, or never.
    Hang {
        /// How much later; absent: never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ms: Option<u64>,
    },
    /// The request arrives so much later, though its sender may have given up long before.
    Delay {
        /// How much later.
        ms: u64,
    },
    /// The answer's body comes in small pieces.
    Slow {
        /// In how many.
        pieces: usize,
        /// With so much time before each.
        ms: u64,
    },
    /// The answer's body ends in the middle, though its Content-Length says otherwise, and the connection is closed.
    Truncate,
    /// GetRecords: no records this time, and a live iterator.
    EmptyPage,
    /// GetRecords: at most so many records. Scan, Query: at most so many items, and one at least.
    ShortPage(usize),
    /// GetRecords: the next iterator leads to the same page again.
    RepeatPage,
    /// Scan, Query, GetItem, BatchGetItem, unless the read is consistent: items are found as they were so long ago.
    StaleRead {
        /// How long ago, at most a second.
        ms: i64,
    },
    /// DescribeStream of DynamoDB Streams: shards younger than this are not shown yet.
    LateListing {
        /// How old a shard must be to be shown.
        ms: i64,
    },
    /// DescribeStream of DynamoDB Streams: a closed shard whose children are shown still looks open.
    ParentsLookOpen,
    /// A conditional write is refused as if somebody else had written in between. S3 says 409 ConditionalRequestConflict.
    ConditionFails,
    /// PutRecords, PutRecordBatch: some records fail.
    FailRecords {
        /// Each with this probability.
        probability: f64,
        /// With this code.
        code: RecordError,
    },
    /// PutRecords: the stream splits the shard of the first record before the records are placed.
    SplitBefore,
}

/// The codes of records that failed in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the variants are the protocol's error codes")]
pub enum RecordError {
    ProvisionedThroughputExceededException,
    InternalFailure,
    /// Firehose's way to say "too fast".
    ServiceUnavailableException,
}

impl RecordError {
    /// As the protocol spells it.
    pub fn code(self) -> &'static str {
        match self {
            Self::ProvisionedThroughputExceededException => "ProvisionedThroughputExceededException",
            Self::InternalFailure => "InternalFailure",
            Self::ServiceUnavailableException => "ServiceUnavailableException",
        }
    }
}

impl Fault {
    /// The name under which it is counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Throttle(_) => "throttle",
            Self::ServerError(_) => "server_error",
            Self::Reset => "reset",
            Self::LoseAnswer => "lose_answer",
            Self::Hang { .. } => "hang",
            Self::Delay { .. } => "delay",
            Self::Slow { .. } => "slow",
            Self::Truncate => "truncate",
            Self::EmptyPage => "empty_page",
            Self::ShortPage(_) => "short_page",
            Self::RepeatPage => "repeat_page",
            Self::StaleRead { .. } => "stale_read",
            Self::LateListing { .. } => "late_listing",
            Self::ParentsLookOpen => "parents_look_open",
            Self::ConditionFails => "condition_fails",
            Self::FailRecords { .. } => "fail_records",
            Self::SplitBefore => "split_before",
        }
    }

    /// Whether an operation of a service can meet it.
    pub(super) fn concerns(&self, service: Option<Service>, operation: &str) -> bool {
        // Kinesis has an operation of this name too, and lists its shards as they are.
        let is_described = operation == "DescribeStream" && service == Some(Service::DynamoDbStreams);
        match self {
            Self::EmptyPage | Self::RepeatPage => operation == "GetRecords",
            Self::ShortPage(_) => ["GetRecords", "Scan", "Query"].contains(&operation),
            Self::StaleRead { ms } => ["Scan", "Query", "GetItem", "BatchGetItem"].contains(&operation) && *ms > 0,
            Self::LateListing { ms } => is_described && *ms > 0,
            Self::ParentsLookOpen => is_described,
            Self::ConditionFails => {
                let conditional = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "PutObject", "CompleteMultipartUpload"];
                conditional.contains(&operation)
            }
            Self::FailRecords { .. } => operation == "PutRecords" || operation == "PutRecordBatch",
            Self::SplitBefore => operation == "PutRecords",
            Self::Throttle(_)
            | Self::ServerError(_)
            | Self::Reset
            | Self::LoseAnswer
            | Self::Hang { .. }
            | Self::Delay { .. }
            | Self::Slow { .. }
            | Self::Truncate => true,
        }
    }
}

impl Rule {
    /// A rule for every call of an operation.
    pub fn new(operation: &str, fault: Fault, chance: Chance) -> Self {
        Self { operation: operation.to_owned(), service: None, resource: None, worker: None, fault, chance, from: None, until: None }
    }

    fn matches(&self, subject: &Subject<'_>) -> bool {
        (self.operation == "*" || self.operation == subject.operation)
            && self.service.is_none_or(|service| subject.service == Some(service))
            && self.fault.concerns(subject.service, subject.operation)
            && self.worker.as_deref().is_none_or(|worker| worker == subject.worker)
            && self.from.is_none_or(|from| subject.now >= from)
            && self.until.is_none_or(|until| subject.now < until)
            && self.resource.as_deref().is_none_or(|part| subject.names(part))
    }

    /// Counts a call if it matches, and tells its number among the caller's matching calls of that operation if the rule strikes it.
    pub(super) fn strikes(&self, seed: u64, number: usize, subject: &Subject<'_>, tally: &mut Tally) -> Option<u64> {
        if !self.matches(subject) {
            return None;
        }
        let (of_all, of_worker) = tally.count(subject);
        let struck = match &self.chance {
            Chance::Probability(probability) => {
                Draw::new(seed).number(number as u64).text(subject.operation).text(subject.worker).number(of_worker).hits(*probability)
            }
            Chance::Calls(calls) => calls.contains(&of_all),
        };
        struck.then_some(of_worker)
    }
}
