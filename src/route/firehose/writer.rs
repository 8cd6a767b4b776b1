//! The writer of one shard.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::delivery::{Put, PutRecordBatch, hint};
use super::plan::{BILLING_STEP, LARGEST_CALL, LARGEST_RECORD, plan};
use crate::aws::{AwsError, refused_record};
use crate::config::{BatchSettings, LargeRecords};
use crate::event::encode::{write_ndjson, write_pointer};
use crate::event::{ChangeEvent, Position, ShardId};
use crate::lake::{Kind, Lake, PoisonRecord};
use crate::mutant::{self, Mutant};
use crate::retry::{self, RetryPolicy, Transient as _};
use crate::route::budget::{Admission, Calls, MemoryBudget, Share};
use crate::route::counters::RouteCounters;
use crate::route::outbox::{EntryId, Outbox};
use crate::route::wait::{GaveUp, Wait};
use crate::route::{Progress, RouteError, ShardWriter};
use crate::table::Key;

/// About what an event holds besides its data.
const ENTRY_OVERHEAD: usize = 160;
/// Room for a line that a writer keeps while it takes nothing.
const LINE_KEPT: usize = 4 << 10;
/// A call carries what it sends this often: as records, and as base64 in a body that may have doubled when it last grew.
const COPIES_IN_CALL: usize = 4;
/// How long after an error was reported the records are due again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What all writers of a route share.
pub(super) struct Target {
    pub(super) stream: Box<dyn PutRecordBatch>,
    pub(super) name: String,
    pub(super) batch: BatchSettings,
    pub(super) packing: bool,
    pub(super) large_records: LargeRecords,
    pub(super) lake: Arc<Lake>,
    pub(super) counters: Arc<RouteCounters>,
    pub(super) calls: Calls,
}

pub(super) struct FirehoseWriter {
    target: Arc<Target>,
    shard: ShardId,
    outbox: Outbox<()>,
    share: Share,
    /// Set while something that was sent has to be sent again.
    retry: Option<Retry>,
    /// Whether a skipped record made the shard durable further than was told.
    skipped: bool,
    /// Where lines are written, to be copied at their exact size.
    line: Vec<u8>,
    /// Whether the last event went to quarantine.
    set_aside: bool,
}

/// Attempts to send what Firehose did not acknowledge. Nothing newer goes before it.
struct Retry {
    /// The last entry of it: every entry up to this one that still waits belongs to it.
    last: EntryId,
    wait: Wait,
}

/// A record of a call.
struct Sent {
    events: Vec<EntryId>,
    bytes: usize,
}

#[async_trait]
impl ShardWriter for FirehoseWriter {
    async fn append(&mut self, position: Position, event: &ChangeEvent<'_>) -> Result<Progress, RouteError> {
        if position <= self.outbox.taken() {
            return Ok(Progress::Unchanged);
        }
        self.take(position, event).await?;
        if self.is_full() {
            self.send().await?;
        }
        Ok(self.progress())
    }

    fn skip(&mut self, position: Position) {
        self.outbox.skip(position);
        self.skipped |= self.outbox.is_empty();
    }

    fn is_stuck(&self) -> bool {
        // Whoever may send is not blocked: the budget's lock need not be asked for each change.
        self.retry.is_some() && self.share.is_stuck()
    }

    fn set_aside(&self) -> bool {
        self.set_aside
    }

    async fn due(&mut self) {
        if self.skipped {
            return;
        }
        if let Some(retry) = &self.retry {
            return sleep_until(retry.wait.until).await;
        }
        let Some(oldest) = self.outbox.oldest() else { return std::future::pending().await };
        tokio::select! {
            () = sleep_until(oldest + self.target.batch.window) => {}
            () = self.share.asked() => {}
        }
    }

    async fn poll(&mut self) -> Result<Progress, RouteError> {
        if self.retry.as_ref().is_some_and(|retry| retry.wait.until <= Instant::now()) {
            self.call().await?;
        }
        let aged = || self.outbox.oldest().is_some_and(|oldest| oldest.elapsed() >= self.target.batch.window);
        if self.retry.is_none() && (aged() || self.is_full() || self.share.is_asked()) {
            self.send().await?;
        }
        Ok(self.progress())
    }

    async fn flush(&mut self) -> Result<Progress, RouteError> {
        while !self.outbox.is_empty() && !self.outbox.has_news() {
            self.wait().await;
            self.call().await?;
        }
        Ok(self.progress())
    }

    fn is_flushed(&self) -> bool {
        self.outbox.is_empty()
    }

    fn settled(&mut self) -> Progress {
        self.progress()
    }
}

impl FirehoseWriter {
    pub(super) fn new(target: Arc<Target>, shard: ShardId, after: Position, budget: &Arc<MemoryBudget>) -> Self {
        Self {
            target,
            shard,
            outbox: Outbox::new(after),
            share: budget.share(),
            retry: None,
            skipped: false,
            line: Vec::new(),
            set_aside: false,
        }
    }

    fn progress(&mut self) -> Progress {
        self.skipped = false;
        self.outbox.durable().map_or(Progress::Unchanged, Progress::Durable)
    }

    fn hold(&self) {
        self.share.hold(self.outbox.bytes() + self.outbox.len() * ENTRY_OVERHEAD);
    }

    fn is_full(&self) -> bool {
        self.outbox.len() >= self.target.batch.records || self.outbox.bytes() >= self.target.batch.bytes
    }

    /// Encodes the event and puts it, or what stands in its place, behind those that wait, once the budget has room for it.
    async fn take(&mut self, position: Position, event: &ChangeEvent<'_>) -> Result<(), RouteError> {
        let lake = &self.target.lake;
        self.line.clear();
        self.set_aside = false;
        write_ndjson(event, lake.schema(), lake.settings().decimals, &mut self.line);
        if self.line.len() > LARGEST_RECORD {
            let whole = std::mem::take(&mut self.line);
            match self.target.large_records {
                LargeRecords::ClaimCheck => self.leave_pointer(event, &whole).await?,
                LargeRecords::Quarantine | LargeRecords::Raise => {}
            }
            if self.line.is_empty() || self.line.len() > LARGEST_RECORD {
                self.quarantine(position, event, &whole).await?;
                self.set_aside = true;
                self.skip(position);
                return Ok(());
            }
        }
        while self.share.admit(self.line.len() + ENTRY_OVERHEAD).await == Admission::CloseOwn {
            self.send().await?;
        }
        self.outbox.push(position, (), Bytes::copy_from_slice(&self.line), Instant::now());
        // One large event should not cost its size in each writer for good.
        self.line.clear();
        self.line.shrink_to(LINE_KEPT);
        self.hold();
        Ok(())
    }

    /// Stores the event in the lake; the line is then a pointer to it.
    async fn leave_pointer(&mut self, event: &ChangeEvent<'_>, whole: &[u8]) -> Result<(), RouteError> {
        let location = self.target.lake.store_claim(event, whole).await?;
        write_pointer(event, &location, self.target.lake.schema(), &mut self.line);
        Ok(())
    }

    async fn quarantine(&self, position: Position, event: &ChangeEvent<'_>, whole: &[u8]) -> Result<(), RouteError> {
        let reason = format!("the event has {} bytes, and a Firehose record at most {LARGEST_RECORD}", whole.len());
        let key = Key::of_texts(event.keys.iter().map(|text| text.clone().into_owned()).collect());
        let record = PoisonRecord {
            shard: &self.shard,
            // A row of a snapshot may have another position when its segment is read again.
            position: event.snapshot_id.is_none().then_some(position),
            event_id: Some(&event.event_id),
            key: Some(&key),
            raw: whole,
            kind: Kind::TooLarge,
            reason: &reason,
            time: event.time,
        };
        self.target.lake.quarantine(&record).await.map_err(RouteError::waiting)?;
        tracing::error!(shard = %self.shard, %position, reason, "event put into quarantine");
        Ok(())
    }

    /// Sends what waits, until all of it was sent or a part of it has to be sent again. What has to be, already, is waited for and goes first.
    async fn send(&mut self) -> Result<(), RouteError> {
        self.wait().await;
        while !self.outbox.is_empty() {
            self.call().await?;
            if self.retry.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Waits until what has to be sent again may be.
    async fn wait(&self) {
        if let Some(retry) = &self.retry {
            sleep_until(retry.wait.until).await;
        }
    }

    /// Makes one call, with the oldest of what waits, and with nothing but what is sent again as long as there is such.
    async fn call(&mut self) -> Result<(), RouteError> {
        let again = self.retry.as_ref().map(|retry| retry.last);
        let waiting = self.outbox.pending().take_while(|(id, _)| again.is_none_or(|last| *id <= last));
        let largest = LARGEST_CALL.min(self.target.calls.room() / COPIES_IN_CALL);
        let planned = plan(waiting.map(|(id, entry)| ((id, &entry.data), entry.data.len())), self.target.packing, largest);
        let bytes: usize = planned.iter().map(|record| record.bytes).sum();
        let turn = self.target.calls.turn(bytes * COPIES_IN_CALL).await;
        let data = planned.iter().map(|record| record.events.iter().flat_map(|(_, data)| data.iter().copied()).collect()).collect();
        let sent =
            planned.into_iter().map(|record| Sent { events: record.events.iter().map(|(id, _)| *id).collect(), bytes: record.bytes });
        let sent: Vec<Sent> = sent.collect();
        self.target.counters.call();
        let put = self.target.stream.put(data).await;
        drop(turn);
        let outcome = self.settle(&sent, put);
        self.hold();
        // Nothing newer goes before what is sent again.
        self.share.set_blocked(self.retry.is_some());
        outcome
    }

    /// Notes what became of a call.
    fn settle(&mut self, sent: &[Sent], put: Result<Vec<Put>, AwsError>) -> Result<(), RouteError> {
        let error = match put {
            Ok(put) => {
                let refused = self.acknowledge(sent, put);
                match refused {
                    None => {
                        self.retry = None;
                        self.target.counters.well(&self.shard);
                        return Ok(());
                    }
                    Some((last, reason)) => {
                        self.target.counters.troubled(&self.shard, format!("Firehose refuses records: {reason}"));
                        return self.postpone(last, |name, gave_up| refusal(name, gave_up, &reason));
                    }
                }
            }
            Err(error) => error,
        };
        let Some(last) = sent.last().and_then(|record| record.events.last()).copied() else { return Ok(()) };
        if error.is_transient() {
            // Perhaps Firehose has some of it. It is sent again whole: twice is better than never.
            self.target.counters.retried(sent.len());
            retry::count(error.cause());
            tracing::debug!(shard = %self.shard, %error, "the outcome of a call is unknown");
            self.target.counters.troubled(&self.shard, error.to_string());
            return self.postpone(last, |name, gave_up| {
                let mut failed = failure(name, error);
                failed.hint = format!("no call succeeded for {} s: {}", gave_up.after.as_secs(), failed.hint);
                failed
            });
        }
        self.retry = Some(Retry { last, wait: Wait::pause(RETRY_PAUSE, RetryPolicy::SERVICE) });
        Err(failure(&self.target.name, error))
    }

    /// Strikes off what was taken. Returns the last entry that was not, and why it was not.
    fn acknowledge(&mut self, sent: &[Sent], put: Vec<Put>) -> Option<(EntryId, String)> {
        let (mut refused, mut delivered) = (None, 0);
        for (record, put) in sent.iter().zip(put) {
            match put {
                Put::Refused(reason) if !mutant::armed(Mutant::AcknowledgeFailed) => {
                    self.target.counters.retried(1);
                    retry::count(refused_record(reason.split(':').next().unwrap_or_default()));
                    refused = record.events.last().map(|last| (*last, reason));
                }
                Put::Taken | Put::Refused(_) => {
                    for id in &record.events {
                        self.outbox.acknowledge(*id);
                    }
                    self.target.counters.taken(record.bytes, BILLING_STEP);
                    self.target.counters.acknowledged(record.events.len());
                    delivered += record.events.len();
                }
            }
        }
        self.target.counters.answered(delivered);
        refused
    }

    /// Puts off what waits up to `last`, or reports the error when that has been done for long enough.
    fn postpone(&mut self, last: EntryId, error: impl FnOnce(&str, GaveUp) -> RouteError) -> Result<(), RouteError> {
        let (wait, outcome) = match Wait::next(self.retry.take().map(|retry| retry.wait), RetryPolicy::SERVICE) {
            Ok(wait) => (wait, Ok(())),
            Err(gave_up) => (Wait::pause(RETRY_PAUSE, RetryPolicy::SERVICE), Err(error(&self.target.name, gave_up))),
        };
        self.retry = Some(Retry { last, wait });
        outcome
    }
}

impl Drop for FirehoseWriter {
    fn drop(&mut self) {
        self.target.counters.well(&self.shard);
    }
}

fn doing(name: &str) -> String {
    format!("put records into delivery stream '{name}'")
}

fn failure(name: &str, error: AwsError) -> RouteError {
    RouteError {
        doing: doing(name),
        hint: hint(&error, "firehose:PutRecordBatch"),
        may_pass: error.is_transient(),
        source: Some(Box::new(error)),
    }
}

fn refusal(name: &str, GaveUp { after }: GaveUp, reason: &str) -> RouteError {
    let advice = if reason.contains("KMS") {
        "see that the delivery stream's KMS key is enabled, and allow kms:GenerateDataKey on it"
    } else {
        "raise the delivery stream's quota if it asks for fewer calls, or see whether it is healthy"
    };
    let hint = format!("Firehose has refused a record for {} s ({reason}): {advice}", after.as_secs());
    RouteError { doing: doing(name), hint, may_pass: true, source: None }
}
