//! The writer of one shard: gathers events, makes the calls, judges the answers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::backoff::Backoffs;
use super::plan::{Destination, LARGEST_REQUEST, Lane, Limits, PlannedRecord, plan};
use super::service::Answer;
use super::verdict::{Verdict, advice, complaint, judge, went_elsewhere};
use super::{Shared, route_error};
use crate::aws::{AwsError, refused_record};
use crate::config::LargeRecords;
use crate::event::encode::{write_ndjson, write_pointer};
use crate::event::{ChangeEvent, Position, ShardId};
use crate::lake::{Kind, PoisonRecord};
use crate::retry::{self, Cause, RetryPolicy, Transient};
use crate::route::budget::{Admission, Share, Turn};
use crate::route::outbox::{EntryId, Outbox};
use crate::route::shard_map::ShardMap;
use crate::route::{Progress, RouteError, ShardWriter};
use crate::table::Key;

/// What Kinesis bills: PUT payload units of 25 KiB.
pub(super) const PAYLOAD_UNIT: usize = 25 << 10;
/// About what an entry holds besides its data and its partition key.
const ENTRY_OVERHEAD: usize = 200;
/// Room for a line that a writer keeps while it takes nothing.
const LINE_KEPT: usize = 4 << 10;
/// A call carries what it sends this often: packed into records, as the SDK's copy, and as base64 in a body that may have doubled when it last grew.
const COPIES_IN_CALL: usize = 5;
/// How long a writer sends before it says what became durable: progress is checkpointed, and a wish to stop is seen, about so often.
const TURN: Duration = Duration::from_secs(1);
/// So many batches may wait that could be sent at once. Beyond that a writer takes turns at sending before it takes events.
const BACKLOG: usize = 4;

pub(super) struct KinesisWriter {
    shared: Arc<Shared>,
    shard: ShardId,
    outbox: Outbox<Destination>,
    /// Entries before this one belong to a batch that was full or had waited for its time. They are sent as soon as they may.
    released: EntryId,
    gathering: Gathering,
    backoffs: Backoffs,
    /// The map did not foretell where a record went, or had no place for one.
    map_is_stale: bool,
    distrust: Distrust,
    /// The last turn ended before everything was sent that could be.
    ready: bool,
    /// The line of the event that is being taken.
    line: Vec<u8>,
    /// Whether the last event went to quarantine.
    set_aside: bool,
    /// Memory of the entries besides their data.
    overhead: usize,
    /// The largest line since the outbox was empty.
    largest_line: usize,
    share: Share,
}

/// The batch that is not released yet.
#[derive(Debug, Default)]
struct Gathering {
    events: usize,
    bytes: usize,
    since: Option<Instant>,
}

/// Shards whose records went elsewhere although the map is not known to be old: a listing lags behind a reshard.
#[derive(Debug)]
struct Distrust {
    map: Arc<ShardMap>,
    shards: HashSet<ShardId>,
}

impl Distrust {
    /// Another map deserves to be trusted.
    fn look_at(&mut self, map: &Arc<ShardMap>) {
        if !Arc::ptr_eq(&self.map, map) {
            if self.map != *map {
                self.shards.clear();
            }
            self.map = Arc::clone(map);
        }
    }
}

/// Every entry before `first` belongs to a lane that waits until `until` at least, by what was known when it was planned.
struct Passed {
    first: EntryId,
    until: Option<Instant>,
    map: Arc<ShardMap>,
    distrusted: usize,
}

#[async_trait]
impl ShardWriter for KinesisWriter {
    async fn append(&mut self, position: Position, event: &ChangeEvent<'_>) -> Result<Progress, RouteError> {
        if position <= self.outbox.taken() {
            return Ok(Progress::Unchanged);
        }
        self.line.clear();
        self.set_aside = false;
        write_ndjson(event, self.shared.lake.schema(), self.shared.decimals, &mut self.line);
        let destination = Destination::of(&event.keys);
        if !self.fits(&destination) && !self.replace_line(position, event, &destination).await? {
            self.outbox.skip(position);
            return Ok(self.progress());
        }
        if self.ready && self.outbox.len() >= self.shared.batch.records.saturating_mul(BACKLOG) {
            self.send_released().await?;
        }
        self.make_room(self.line.len() + overhead(&destination)).await?;
        self.take(position, destination);
        if self.gathering.events >= self.shared.batch.records || self.gathering.bytes >= self.shared.batch.bytes {
            self.release();
            self.send_released().await?;
        }
        Ok(self.progress())
    }

    fn skip(&mut self, position: Position) {
        self.outbox.skip(position);
    }

    fn is_stuck(&self) -> bool {
        // Whoever may send is not blocked: the budget's lock need not be asked for each change.
        !self.ready && self.share.is_stuck()
    }

    fn set_aside(&self) -> bool {
        self.set_aside
    }

    async fn due(&mut self) {
        if self.ready || self.outbox.has_news() {
            return;
        }
        let window = self.gathering.since.map(|since| since + self.shared.batch.window);
        let at = match (window, self.backoffs.next_attempt()) {
            _ if self.outbox.is_empty() => None,
            (Some(window), Some(attempt)) => Some(window.min(attempt)),
            (window, attempt) => window.or(attempt),
        };
        let timer = async {
            match at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        // Only what is not released yet can be given for memory's sake. The rest is sent as soon as it may be anyhow.
        if self.gathering.events == 0 {
            return timer.await;
        }
        tokio::select! {
            () = timer => {}
            () = self.share.asked() => {}
        }
    }

    async fn poll(&mut self) -> Result<Progress, RouteError> {
        if self.gathering.since.is_some_and(|since| since.elapsed() >= self.shared.batch.window) || self.share.is_asked() {
            self.release();
        }
        self.send_released().await?;
        Ok(self.progress())
    }

    async fn flush(&mut self) -> Result<Progress, RouteError> {
        self.release();
        self.send_until(|writer| writer.outbox.has_news() || writer.is_empty()).await?;
        Ok(self.progress())
    }

    fn is_flushed(&self) -> bool {
        self.is_empty()
    }

    fn settled(&mut self) -> Progress {
        self.progress()
    }
}

impl KinesisWriter {
    pub(super) fn new(shared: Arc<Shared>, source: ShardId, after: Position) -> Self {
        let outbox = Outbox::new(after);
        Self {
            shard: source,
            released: outbox.next_id(),
            outbox,
            gathering: Gathering::default(),
            backoffs: Backoffs::new(RetryPolicy::SERVICE),
            map_is_stale: false,
            distrust: Distrust { map: shared.shards.current(), shards: HashSet::new() },
            ready: false,
            line: Vec::new(),
            set_aside: false,
            overhead: 0,
            largest_line: 0,
            share: shared.budget.share(),
            shared,
        }
    }

    fn progress(&mut self) -> Progress {
        self.outbox.durable().map_or(Progress::Unchanged, Progress::Durable)
    }

    /// Whether the line fits a record of its own.
    fn fits(&self, destination: &Destination) -> bool {
        self.line.len() + destination.partition_key.len() <= self.shared.record_limit
    }

    /// Puts a change that is too large where the settings say, durably. True when the line is now a pointer to it.
    async fn replace_line(&mut self, position: Position, event: &ChangeEvent<'_>, destination: &Destination) -> Result<bool, RouteError> {
        let lake = Arc::clone(&self.shared.lake);
        let whole = std::mem::take(&mut self.line);
        if self.shared.large_records == LargeRecords::ClaimCheck {
            let location = lake.store_claim(event, &whole).await?;
            write_pointer(event, &location, lake.schema(), &mut self.line);
            if self.fits(destination) {
                return Ok(true);
            }
        }
        let reason = format!("the change has {} bytes as a record, and the stream takes {}", whole.len(), self.shared.record_limit);
        let key = Key::of_texts(event.keys.iter().map(|text| text.clone().into_owned()).collect());
        let record = PoisonRecord {
            shard: &self.shard,
            // A row of a snapshot may have another position when its segment is read again.
            position: event.snapshot_id.is_none().then_some(position),
            event_id: Some(&event.event_id),
            key: Some(&key),
            raw: &whole,
            kind: Kind::TooLarge,
            reason: &reason,
            time: event.time,
        };
        lake.quarantine(&record).await.map_err(RouteError::waiting)?;
        tracing::error!(shard = %self.shard, %position, reason, "change put into quarantine");
        self.set_aside = true;
        Ok(false)
    }

    /// Waits until the budget has room for `need` bytes, after sending what there is if this writer shall give some.
    async fn make_room(&mut self, need: usize) -> Result<(), RouteError> {
        while self.share.admit(need).await == Admission::CloseOwn {
            self.release();
            let before = self.outbox.len();
            self.send_until(|writer| writer.outbox.len() < before || writer.is_empty()).await?;
        }
        Ok(())
    }

    fn take(&mut self, position: Position, destination: Destination) {
        let data = Bytes::copy_from_slice(&self.line);
        // One large change should not cost its size in each writer for good.
        self.line.clear();
        self.line.shrink_to(LINE_KEPT);
        self.largest_line = if self.is_empty() { data.len() } else { self.largest_line.max(data.len()) };
        self.gathering.events += 1;
        self.gathering.bytes += data.len();
        let now = Instant::now();
        self.gathering.since.get_or_insert(now);
        self.overhead += overhead(&destination);
        self.outbox.push(position, destination, data, now);
        self.hold();
    }

    fn hold(&self) {
        self.share.hold(self.outbox.bytes() + self.overhead);
    }

    /// The batch is complete: it may be sent.
    fn release(&mut self) {
        self.released = self.outbox.next_id();
        self.gathering = Gathering::default();
    }

    fn is_empty(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Sends, and waits out back-offs, until `done`.
    async fn send_until(&mut self, done: impl Fn(&Self) -> bool) -> Result<(), RouteError> {
        loop {
            self.send_released().await?;
            if done(self) {
                return Ok(());
            }
            if !self.ready {
                // What could not be sent waits for something.
                sleep_until(self.backoffs.next_attempt().unwrap_or_else(Instant::now)).await;
            }
        }
    }

    /// Sends what is released and need not wait, until there is no more of it or the [`TURN`] is over.
    async fn send_released(&mut self) -> Result<(), RouteError> {
        let begun = Instant::now();
        let batch = self.shared.batch;
        let bytes = batch.bytes.min(LARGEST_REQUEST).min(self.shared.calls.room() / COPIES_IN_CALL);
        let limits = Limits { events: batch.records, bytes, aggregate: self.shared.aggregate };
        let (mut listed, mut passed) = (false, None);
        self.ready = true;
        while self.ready {
            let now = Instant::now();
            if self.backoffs.is_paused(now) {
                self.ready = false;
                break;
            }
            if self.outbox.first_id().is_none_or(|first| first >= self.released) {
                self.backoffs.nothing_to_send(now);
                self.ready = false;
                break;
            }
            // Before the records are made: whoever waits for its turn holds nothing for it.
            let calls = Arc::clone(&self.shared.calls);
            let turn = calls.turn(self.largest_call(&limits) * COPIES_IN_CALL).await;
            let shards = self.shared.shards.current();
            self.distrust.look_at(&shards);
            let first = passed.take().and_then(|passed| self.still_passed(&passed, &shards, now)).or_else(|| self.outbox.first_id());
            let released = first.into_iter().flat_map(|first| self.outbox.pending_from(first)).take_while(|(id, _)| *id < self.released);
            let plan = plan(released, &shards, &self.distrust.shards, |lane| self.backoffs.held(lane, now), &limits);
            if plan.records.is_empty() {
                self.backoffs.nothing_to_send(now);
                self.ready = false;
                break;
            }
            passed = plan.first.map(|first| Passed {
                first,
                until: self.backoffs.next_attempt(),
                map: Arc::clone(&shards),
                distrusted: self.distrust.shards.len(),
            });
            if (plan.unmapped || self.map_is_stale) && !std::mem::replace(&mut listed, true) {
                drop((plan, turn));
                self.list_shards(&shards).await?;
            } else {
                self.call(plan.records, &shards, turn).await?;
            }
            if begun.elapsed() >= TURN {
                break;
            }
        }
        if self.backoffs.next_attempt().is_none() {
            self.shared.counters.well(&self.shard);
        }
        // What is released and not ready to be sent cannot be given for memory's sake.
        self.share.set_blocked(!self.ready && self.outbox.first_id().is_some_and(|first| first < self.released));
        self.share.answer();
        Ok(())
    }

    /// The bytes of the next call at most.
    fn largest_call(&self, limits: &Limits) -> usize {
        // A record alone in its call may be larger than that should be.
        limits.bytes.max(self.largest_line).min(self.outbox.bytes() + self.overhead)
    }

    /// Where the next plan begins, if nothing before it can have become free: a long row of events that wait is not read for each call.
    fn still_passed(&self, passed: &Passed, map: &Arc<ShardMap>, now: Instant) -> Option<EntryId> {
        let lanes_are_the_same = Arc::ptr_eq(&passed.map, map) && passed.distrusted == self.distrust.shards.len();
        (lanes_are_the_same && passed.until.is_none_or(|until| now < until)).then_some(passed.first)
    }

    /// Looks for a newer map. Without one records go where they went, and each answer tells whether that was right.
    async fn list_shards(&mut self, known: &Arc<ShardMap>) -> Result<(), RouteError> {
        match self.shared.shards.newer(known, self.shared.api.as_ref()).await {
            Ok(newer) => self.map_is_stale = newer == *known,
            Err(error) if error.is_transient() => {
                tracing::warn!(stream = self.shared.stream, %error, "the shards cannot be listed now");
                self.map_is_stale = true;
            }
            Err(error) => return Err(route_error(format!("list the shards of the Kinesis stream '{}'", self.shared.stream), error)),
        }
        // Records that go elsewhere than foretold may be a sign of this too.
        self.shared.check_distribution(None).await
    }

    async fn call(&mut self, records: Vec<PlannedRecord>, shards: &Arc<ShardMap>, turn: Turn<'_>) -> Result<(), RouteError> {
        self.shared.counters.call();
        let answered = self.shared.api.put(&records).await;
        drop(turn);
        let answers = match answered {
            Ok(answers) => answers,
            Err(error) => return self.call_failed(error, records.len()),
        };
        self.backoffs.call_succeeded();
        let elsewhere = |aggregated: bool| {
            let mut answered = records.iter().zip(&answers);
            answered.any(|(record, answer)| record.is_aggregated() == aggregated && went_elsewhere(record, answer))
        };
        self.map_is_stale |= elsewhere(false);
        // A record of one event is right wherever it is; whether an aggregated one is, only a newer map can tell.
        let mut outcome = if elsewhere(true) { self.list_shards(shards).await } else { Ok(()) };
        let shards = self.shared.shards.current();
        let mut delivered = 0;
        for (record, answer) in records.iter().zip(&answers) {
            // Every answer counts, whatever else fails.
            let verdict = judge(record, answer, &shards);
            if let (Verdict::Misplaced, Lane::Shard(foretold)) = (verdict, &record.lane)
                && shards.range(foretold).is_some_and(|range| range.contains(record.hash_keys.0) && range.contains(record.hash_keys.1))
            {
                // The map still says what turned out to be wrong. Events alone are right wherever they land.
                self.distrust.look_at(&shards);
                self.distrust.shards.insert(foretold.clone());
            }
            outcome = outcome.and(self.apply(record, answer, verdict));
            delivered += if verdict == Verdict::Delivered { record.entries.len() } else { 0 };
        }
        self.shared.counters.answered(delivered);
        self.hold();
        outcome
    }

    fn apply(&mut self, record: &PlannedRecord, answer: &Answer, verdict: Verdict) -> Result<(), RouteError> {
        let counters = &self.shared.counters;
        if let Answer::Taken(_) = answer {
            counters.taken(record.data.len(), PAYLOAD_UNIT);
        }
        if verdict == Verdict::Delivered {
            counters.acknowledged(record.entries.len());
            self.backoffs.lane_succeeded(&record.lane);
            self.acknowledge(record);
            return Ok(());
        }
        counters.retried(1);
        if verdict == Verdict::Misplaced {
            counters.misplaced();
        }
        retry::count(match answer {
            Answer::Taken(_) => Cause::Misplaced,
            Answer::Refused { code, .. } => refused_record(code),
        });
        let Some(through) = record.entries.last() else { return Ok(()) };
        tracing::debug!(shard = %self.shard, lane = ?record.lane, ?answer, "a record is sent again");
        counters.troubled(&self.shard, complaint(answer));
        self.backoffs.lane_failed(record.lane.clone(), *through).map_err(|gave_up| RouteError {
            doing: self.doing(),
            hint: advice(&record.lane, answer, gave_up),
            may_pass: true,
            source: None,
        })
    }

    fn acknowledge(&mut self, record: &PlannedRecord) {
        for id in &record.entries {
            self.overhead -= self.outbox.get(*id).map_or(0, |entry| overhead(&entry.key));
            self.outbox.acknowledge(*id);
        }
    }

    /// Nothing is known of what became of the records: all of them are sent again.
    fn call_failed(&mut self, error: AwsError, records: usize) -> Result<(), RouteError> {
        if !error.is_transient() {
            return Err(route_error(self.doing(), error));
        }
        self.shared.counters.retried(records);
        retry::count(error.cause());
        tracing::debug!(shard = %self.shard, %error, "a call is made again");
        self.shared.counters.troubled(&self.shard, error.to_string());
        self.backoffs.call_failed().map_err(|gave_up| {
            let mut failed = route_error(self.doing(), error);
            failed.hint = format!("no call succeeded for {} s: {}", gave_up.after.as_secs(), failed.hint);
            failed
        })
    }

    fn doing(&self) -> String {
        format!("put changes of shard {} into the Kinesis stream '{}'", self.shard, self.shared.stream)
    }
}

impl Drop for KinesisWriter {
    fn drop(&mut self) {
        self.shared.counters.well(&self.shard);
    }
}

fn overhead(destination: &Destination) -> usize {
    ENTRY_OVERHEAD + destination.partition_key.len()
}

#[cfg(test)]
mod tests;
