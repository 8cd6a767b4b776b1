//! The services of one simulated account, behind one lock: every call is atomic, so one journal tells the order of all effects.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::buckets::Buckets;
use crate::call::{Answer, ApiError, Call, Quirks};
use crate::clock::Clock;
use crate::dynamodb::Tables;
use crate::firehose::Firehose;
use crate::journal::Journal;
use crate::kinesis::Kinesis;
use crate::streams::Streams;

/// One simulated account. Clones share it.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// The services' clock.
    pub clock: Clock,
    /// What happened.
    pub journal: Journal,
    state: Arc<Mutex<State>>,
}

/// What the services hold.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "the fields are the services")]
pub struct State {
    pub tables: Tables,
    pub streams: Streams,
    pub kinesis: Kinesis,
    pub firehose: Firehose,
    pub buckets: Buckets,
}

impl Cloud {
    /// An empty account.
    pub fn new(clock: Clock, journal: Journal) -> Self {
        Self { clock, journal, state: Arc::default() }
    }

    /// The services' state, for what a history does to it from within.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the services do what is due by now: Firehose delivers the batches whose time has come.
    pub fn tick(&self) {
        let mut state = self.state();
        let State { kinesis, firehose, buckets, .. } = &mut *state;
        firehose.tick(kinesis, buckets, self.clock.now(), &self.journal);
    }

    /// Answers a call: `target` is the header `X-Amz-Target`.
    pub fn call(&self, target: &str, worker: &str, body: &[u8], quirks: &Quirks) -> Answer {
        let unknown = || ApiError::new("UnknownOperationException", format!("there is no operation '{target}'"));
        let (service, operation) = target.split_once('.').ok_or_else(unknown)?;
        let mut state = self.state();
        let State { tables, streams, kinesis, firehose, buckets } = &mut *state;
        let call = Call { worker, now: self.clock.now(), operation, body, quirks, journal: &self.journal };
        match service {
            "DynamoDB_20120810" => tables.call(streams, &call),
            "DynamoDBStreams_20120810" => streams.call(&call),
            "Kinesis_20131202" => kinesis.call(&call),
            "Firehose_20150804" => firehose.call(buckets, &call),
            _ => Err(unknown()),
        }
    }
}
