//! What brings a snapshot from one state to the next.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tokio::time::Instant;

use super::delivered::Delivered;
use super::{Next, Runner, of};
use crate::lake::marker::cover_everything;
use crate::lake::{HourPartition, Marker};
use crate::lease::snapshot::{SegmentProgress, Snapshot, Source, State};
use crate::lease::table::{Contents, Move};
use crate::lease::{Checkpoint, Lease};
use crate::mutant::{self, Mutant};
use crate::retry::{RetryPolicy, retry};
use crate::route::firehose::LONGEST_DELIVERY;
use crate::route::{Announcement, Arrival};
use crate::snapshot::plan;
use crate::snapshot::segment::SegmentError;
use crate::snapshot::source::SourceError;
use crate::stream::StreamArn;

/// A worker announces what another one has brought to its last row only after so many fail-over times: that one is likely to do it.
const ANNOUNCE_AFTER: u32 = 2;

impl Runner {
    pub(super) async fn step(&mut self, snapshot: &Snapshot, contents: &Contents, delivered: &Delivered) -> Result<Next, SegmentError> {
        match snapshot.state {
            State::Requested => self.begin(snapshot, contents, delivered).await,
            State::Running => self.oversee(snapshot, &contents.segments).await,
            State::Completing => self.complete(snapshot).await,
            State::Completed | State::Cancelled | State::Failed => Ok(Next::Later),
        }
    }

    /// Begins a snapshot once the stream's position is secured, the deliver stage's too, and nothing that was lost can lie above its rows.
    async fn begin(&mut self, snapshot: &Snapshot, contents: &Contents, delivered: &Delivered) -> Result<Next, SegmentError> {
        if !delivered.is_secured() {
            if !std::mem::replace(&mut self.wait(snapshot).is_told, true) {
                tracing::warn!(snapshot = snapshot.id, "the snapshot waits for the deliver stage, which has no position on its stream yet");
            }
            return Ok(Next::Soon);
        }
        let (clock, gaps) = (&self.context.clock, contents.gaps.iter().chain(delivered.gaps()));
        // An export's rows are as old as it is: waiting does not bring them above a gap.
        let is_export = matches!(snapshot.request.source, Source::Export { .. });
        if !is_export && plan::start(clock.unix_seconds(), gaps.clone()).is_none() {
            return Ok(Next::Soon);
        }
        let stream = retry(RetryPolicy::SERVICE, &self.shared.draining, || self.context.stream.current()).await?;
        // Shards that are found later begin at their trim horizon once there is one lease.
        if contents.leases.iter().all(|lease| lease.stream != stream.arn) {
            return Ok(Next::Soon);
        }
        let extent = retry(RetryPolicy::SERVICE, &self.shared.draining, || self.sources.extent(snapshot)).await?;
        if let Some(exported) = extent.started_at {
            self.check_export(exported, contents).await?;
        }
        let Some(started_at) = extent.started_at.or_else(|| plan::start(clock.unix_seconds(), gaps)) else { return Ok(Next::Soon) };
        let begun = self.context.leases.advance(snapshot, |snapshot| {
            snapshot.state = State::Running;
            snapshot.started_at = Some(started_at);
            snapshot.whole = extent.whole;
            snapshot.segments = extent.segments;
        });
        if let Move::Done(snapshot) = begun.await? {
            tracing::info!(snapshot = snapshot.id, segments = snapshot.segments, whole = snapshot.whole, "the snapshot begins");
            self.create_missing(&snapshot, &[]).await?;
        }
        Ok(Next::AtOnce)
    }

    /// Whether the stream was followed since an export was made: what changed in between is in the lake then, or the ledger tells that it is not.
    /// Either leases are as old, or the lake has something that is older.
    async fn check_export(&self, start: i64, contents: &Contents) -> Result<(), SegmentError> {
        let refuse = |problem: &str| {
            let doing = format!("take an export that shows the table as of {}", crate::clock::rfc3339(start));
            Err(SourceError::Broken { doing, problem: problem.to_owned() }.into())
        };
        let is_later = |other: &&Snapshot| other.state == State::Completed && other.whole && other.started_at.is_some_and(|at| at > start);
        if let Some(later) = contents.snapshots.iter().find(is_later) {
            return refuse(&format!("snapshot {} shows the whole table as of a later time, so the export would change nothing", later.id));
        }
        if contents.leases.iter().filter_map(|lease| lease.found_at).any(|found_at| found_at <= start) {
            return Ok(());
        }
        let hour = HourPartition::containing(start)
            .map_err(|error| SourceError::Broken { doing: "take an export".to_owned(), problem: error.to_string() })?;
        if self.context.lake.has_hours_before(hour).await? {
            return Ok(());
        }
        refuse("the stream was not followed then, so changes made since would be missing: export the table now (--export)")
    }

    /// Sees to it that every segment has a lease, and notices when all are done.
    async fn oversee(&mut self, snapshot: &Snapshot, segments: &[Lease]) -> Result<Next, SegmentError> {
        let segments: Vec<&Lease> = segments.iter().filter(|lease| of(lease) == snapshot.id).collect();
        if self.create_missing(snapshot, &segments).await? {
            // Read the table anew before one of them is taken: the snapshot may be over by now.
            return Ok(Next::AtOnce);
        }
        if segments.iter().any(|lease| lease.checkpoint != Checkpoint::ShardEnd) {
            return Ok(Next::Soon);
        }
        let total = |of: fn(&SegmentProgress) -> u64| segments.iter().filter_map(|lease| lease.segment.as_ref()).map(of).sum();
        let (rows, half_units): (u64, u64) = (total(|segment| segment.rows), total(|segment| segment.half_units));
        let now = self.context.clock.unix_seconds();
        let moved = self.context.leases.advance(snapshot, |snapshot| {
            snapshot.state = State::Completing;
            snapshot.rows = rows;
            snapshot.half_units = half_units;
            snapshot.completed_at = Some(now);
        });
        match moved.await? {
            Move::Done(snapshot) => {
                tracing::info!(snapshot = snapshot.id, rows, half_units, "every row of the snapshot is given to the route");
                self.announce(&snapshot).await?;
            }
            Move::Lost => {}
        }
        Ok(Next::AtOnce)
    }

    async fn create_missing(&self, snapshot: &Snapshot, segments: &[&Lease]) -> Result<bool, SegmentError> {
        let mut created = false;
        let known: BTreeSet<&str> = segments.iter().map(|lease| lease.shard.as_str()).collect();
        if known.len() == snapshot.segments as usize {
            return Ok(false);
        }
        for number in 0..snapshot.segments {
            let shard = snapshot.segment(number);
            if known.contains(shard.as_str()) {
                continue;
            }
            let segment = SegmentProgress { snapshot: snapshot.id.clone(), cursor: None, rows: 0, half_units: 0 };
            let stream = StreamArn::new(Snapshot::key(&snapshot.id));
            let found_at = Some(self.context.clock.unix_seconds());
            let lease = Lease { found_at, segment: Some(segment), ..Lease::new(shard, stream, Checkpoint::TrimHorizon) };
            self.context.leases.create(&lease).await?;
            created = true;
        }
        Ok(created)
    }

    /// Announces the snapshot to whoever reads behind the route.
    async fn announce(&mut self, snapshot: &Snapshot) -> Result<Arrival, SegmentError> {
        let announcement = Announcement { id: &snapshot.id, started_at: started_at(snapshot)? };
        let arrival = match self.context.route.announce(&announcement).await? {
            // Without a deliver stage, it is Firehose that reads the stream, and it tells nobody how far it is.
            Arrival::Noted if self.context.delivered.is_none() => Arrival::Within(LONGEST_DELIVERY),
            arrival => arrival,
        };
        self.wait(snapshot).arrival = Some(arrival);
        Ok(arrival)
    }

    /// Writes the marker once every row is in the lake.
    async fn complete(&mut self, snapshot: &Snapshot) -> Result<Next, SegmentError> {
        let completed_at = snapshot.completed_at.unwrap_or_default();
        let patience = self.context.failover * ANNOUNCE_AFTER;
        let wait = self.wait(snapshot);
        let arrival = match wait.arrival {
            Some(arrival) => arrival,
            None if wait.unannounced.get_or_insert_with(Instant::now).elapsed() < patience => return Ok(Next::Soon),
            None => self.announce(snapshot).await?,
        };
        let is_there = match arrival {
            _ if mutant::armed(Mutant::MarkerBeforeRows) => true,
            Arrival::Landed => true,
            Arrival::Noted => self.is_delivered(snapshot).await?,
            Arrival::Within(time) => self.context.clock.unix_seconds() - completed_at > i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        };
        // Read behind the parts: one that is noted may stand behind a gap that was found meanwhile.
        let delivered = Delivered::read(self.context.delivered.as_ref()).await;
        if let Some(gap) = plan::swallowed(snapshot, delivered.gaps()) {
            let problem = format!(
                "rows of it may be among what was lost between Kinesis and the lake ({}, {}): start another one",
                gap.kind.describe(),
                gap.origin
            );
            self.give_up(snapshot, problem).await?;
            return Ok(Next::AtOnce);
        }
        if !is_there || matches!(delivered, Delivered::Unknown) {
            return Ok(Next::Soon);
        }
        let marker = Marker {
            snapshot_id: snapshot.id.clone(),
            table: self.context.lake.schema().table.clone(),
            started_at: timestamp(snapshot, started_at(snapshot)?)?,
            completed_at: timestamp(snapshot, completed_at)?,
            rows: snapshot.rows,
            whole: snapshot.whole,
        };
        self.context.lake.complete_snapshot(&marker).await?;
        let now = self.context.clock.unix_seconds();
        let completed = self.context.leases.advance(snapshot, |snapshot| {
            snapshot.state = State::Completed;
            snapshot.ended_at = Some(now);
        });
        if let Move::Done(snapshot) = completed.await? {
            tracing::info!(snapshot = snapshot.id, rows = snapshot.rows, "the snapshot is complete");
        }
        Ok(Next::AtOnce)
    }

    /// Whether the deliver stage has noted every part, and the rows had the time that they are on their way from there.
    async fn is_delivered(&mut self, snapshot: &Snapshot) -> Result<bool, SegmentError> {
        if !cover_everything(&self.context.lake.parts(&snapshot.id).await?) {
            return Ok(false);
        }
        let since = *self.wait(snapshot).noted.get_or_insert_with(Instant::now);
        Ok(since.elapsed() >= self.context.after_delivery)
    }
}

fn started_at(snapshot: &Snapshot) -> Result<i64, SourceError> {
    snapshot.started_at.ok_or_else(|| damaged(snapshot, "it has no start"))
}

fn timestamp(snapshot: &Snapshot, seconds: i64) -> Result<Timestamp, SourceError> {
    Timestamp::from_second(seconds).map_err(|error| damaged(snapshot, &error.to_string()))
}

fn damaged(snapshot: &Snapshot, problem: &str) -> SourceError {
    SourceError::Broken {
        doing: format!("complete snapshot {}", snapshot.id),
        problem: format!("its item in the lease table is damaged ({problem}): start another one"),
    }
}
