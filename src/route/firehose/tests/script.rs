//! A delivery stream that answers as it is told to, and a writer to it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use object_store::memory::InMemory;
use object_store::path::Path;
use tokio::time::Instant;

use crate::aws::{AwsError, Failure};
use crate::config::{BatchSettings, LargeRecords};
use crate::contract::TableSchema;
use crate::event::encode::Decimals;
use crate::event::{AttributeType, ChangeEvent, Operation, Position, ShardId, Side};
use crate::lake::{Format, Lake, LakeLocation, LakeSettings, LakeStore};
use crate::route::ShardWriter;
use crate::route::budget::MemoryBudget;
use crate::route::counters::RouteCounters;
use crate::route::firehose::delivery::{Put, PutRecordBatch};
use crate::route::firehose::writer::{FirehoseWriter, Target};

/// What becomes of one call.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// Every record is taken.
    Take,
    /// These records, by their place in the call, are refused; the others are taken.
    Refuse(Vec<usize>),
    /// Every record is taken, and the answer is lost.
    Lose,
    /// The call fails, and nothing is taken.
    Fail(Failure),
}

/// A call that was made: when, and its records as the numbers of the events in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) at: Duration,
    pub(super) records: Vec<Vec<u64>>,
}

/// Answers with its replies in turn, and with the last one for ever; takes everything when it has none.
#[derive(Debug)]
pub(super) struct Script {
    begun: Instant,
    replies: Mutex<VecDeque<Reply>>,
    made: Mutex<Vec<Made>>,
    delivered: Mutex<Vec<u8>>,
    /// What the delivery stream says of its buffering interval.
    pub(super) interval: Mutex<Result<Option<Duration>, Failure>>,
}

impl Script {
    pub(super) fn reply(&self, replies: impl IntoIterator<Item = Reply>) {
        *self.replies.lock().unwrap() = replies.into_iter().collect();
    }

    /// The calls since they were last asked for.
    pub(super) fn calls(&self) -> Vec<Made> {
        std::mem::take(&mut self.made.lock().unwrap())
    }

    /// The records of the calls since they were last asked for.
    pub(super) fn sent(&self) -> Vec<Vec<Vec<u64>>> {
        self.calls().into_iter().map(|call| call.records).collect()
    }

    /// Everything that was delivered, as S3 would have it.
    pub(super) fn delivered(&self) -> String {
        String::from_utf8(self.delivered.lock().unwrap().clone()).unwrap()
    }

    pub(super) fn delivered_events(&self) -> Vec<u64> {
        numbers(self.delivered().as_bytes())
    }
}

fn numbers(lines: &[u8]) -> Vec<u64> {
    let number = |line: &str| {
        let fields: serde_json::Value = serde_json::from_str(line).unwrap();
        fields["cdc_sequence"].as_str().unwrap().parse().unwrap()
    };
    std::str::from_utf8(lines).unwrap().lines().map(number).collect()
}

#[async_trait]
impl PutRecordBatch for Arc<Script> {
    async fn put(&self, records: Vec<Vec<u8>>) -> Result<Vec<Put>, AwsError> {
        let at = self.begun.elapsed();
        self.made.lock().unwrap().push(Made { at, records: records.iter().map(|record| numbers(record)).collect() });
        let reply = {
            let mut replies = self.replies.lock().unwrap();
            let next = if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() };
            next.unwrap_or(Reply::Take)
        };
        let refused = match &reply {
            Reply::Fail(failure) => return Err(AwsError::of("PutRecordBatch", *failure, "scripted")),
            Reply::Refuse(places) => places.as_slice(),
            Reply::Take | Reply::Lose => &[],
        };
        let mut put = Vec::new();
        for (place, record) in records.into_iter().enumerate() {
            if refused.contains(&place) {
                put.push(Put::Refused("ServiceUnavailableException: Slow down.".to_owned()));
            } else {
                assert_eq!(record.last(), Some(&b'\n'), "records are put together as they are");
                self.delivered.lock().unwrap().extend(record);
                put.push(Put::Taken);
            }
        }
        if let Reply::Lose = reply { Err(AwsError::of("PutRecordBatch", Failure::Unavailable, "timeout")) } else { Ok(put) }
    }

    async fn gathers_for(&self) -> Result<Option<Duration>, AwsError> {
        self.interval.lock().unwrap().map_err(|failure| AwsError::of("DescribeDeliveryStream", failure, "scripted"))
    }
}

/// A delivery stream, a lake, and what a writer is set to.
pub(super) struct Bench {
    pub(super) script: Arc<Script>,
    pub(super) lake: Arc<Lake>,
    pub(super) counters: Arc<RouteCounters>,
    pub(super) budget: Arc<MemoryBudget>,
    pub(super) batch: BatchSettings,
    pub(super) packing: bool,
    pub(super) large_records: LargeRecords,
}

pub(super) const WINDOW: Duration = Duration::from_secs(1);

impl Bench {
    /// Each event a record; a batch of four.
    pub(super) async fn new() -> Self {
        let store = LakeStore { store: Arc::new(InMemory::new()), prefix: Path::default(), address: "memory:/".to_owned(), ordered: true };
        let settings = LakeSettings {
            location: LakeLocation::Folder("unused".into()),
            format: Format::Ndjson,
            max_size: u64::MAX,
            max_age: Duration::from_mins(1),
            decimals: Decimals::Number,
            kms_key: None,
        };
        let schema = TableSchema::keys_only("orders", vec![("orderId".into(), AttributeType::S)]);
        Self {
            script: Arc::new(Script {
                begun: Instant::now(),
                replies: Mutex::default(),
                made: Mutex::default(),
                delivered: Mutex::default(),
                interval: Mutex::new(Ok(None)),
            }),
            lake: Arc::new(Lake::on(store, settings, Arc::new(schema)).await.unwrap()),
            counters: Arc::default(),
            budget: MemoryBudget::new(usize::MAX),
            batch: BatchSettings { records: 4, bytes: 1 << 30, window: WINDOW },
            packing: false,
            large_records: LargeRecords::ClaimCheck,
        }
    }

    pub(super) fn writer(&self) -> Box<dyn ShardWriter> {
        Box::new(FirehoseWriter::new(self.target(), ShardId::new("shard-1"), Position::ZERO, &self.budget))
    }

    pub(super) fn target(&self) -> Arc<Target> {
        Arc::new(Target {
            stream: Box::new(Arc::clone(&self.script)),
            name: "lake".to_owned(),
            batch: self.batch,
            packing: self.packing,
            large_records: self.large_records,
            lake: Arc::clone(&self.lake),
            counters: Arc::clone(&self.counters),
            calls: MemoryBudget::new(1 << 30).calls(),
        })
    }
}

pub(super) fn at(number: u64) -> Position {
    Position::new(&number.to_string(), 0).unwrap()
}

/// An insert whose line has at least so many bytes.
pub(super) fn large(number: u64, bytes: usize) -> ChangeEvent<'static> {
    ChangeEvent {
        event_id: format!("event-{number}").into(),
        operation: Operation::Insert,
        sequence: number.to_string().parse().unwrap(),
        time: 1_795_230_000,
        shard: "shard-1".into(),
        snapshot_id: None,
        ttl_delete: false,
        changed: Vec::new(),
        keys: vec![format!("order-{number}").into()],
        new: Some(Side { cells: Vec::new(), extra: Some("x".repeat(bytes)), misfits: 0 }),
        old: None,
    }
}

/// Appends small events and returns what the last one brought.
pub(super) async fn append(writer: &mut dyn ShardWriter, numbers: impl IntoIterator<Item = u64>) -> crate::route::Progress {
    let mut progress = crate::route::Progress::Unchanged;
    for number in numbers {
        progress = writer.append(at(number), &large(number, 1)).await.unwrap();
    }
    progress
}

/// Flushes step by step to the end; what the last step told.
pub(super) async fn drain(writer: &mut dyn ShardWriter) -> Result<crate::route::Progress, crate::route::RouteError> {
    let mut told = crate::route::Progress::Unchanged;
    loop {
        match writer.flush().await? {
            crate::route::Progress::Unchanged => {}
            further => told = further,
        }
        if writer.is_flushed() {
            return Ok(told);
        }
    }
}

/// Waits until something is due, and does it.
pub(super) async fn wait_and_poll(writer: &mut dyn ShardWriter) -> crate::route::Progress {
    writer.due().await;
    writer.poll().await.unwrap()
}
