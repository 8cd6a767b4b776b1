//! Redrive: what is in quarantine goes back into the route, in order, decoded by the schema of today.
//!
//! Records that capture put there go through capture's route, those of deliver through deliver's, while the service goes on. They are sent
//! in the order of their positions, which is the order of each item and of each shard. What is no change still stays, with the reason told;
//! under [`LaterRecords::Wait`], later records of its item stay as well. An entry is deleted when its change is durable in the route, and
//! not before.
//!
//! # When a record may be sent back
//!
//! Once the checkpoint of its shard has passed it. Until then whoever reads the shard next reads the record again, which would send its
//! change a second time, or, by a new contract, for the first time; and earlier changes of the item may still be in a writer's buffer.
//!
//! # Landing once
//!
//! A route into the lake has two more rules.
//!
//! - **What has landed is not sent.** A record that was put into quarantine may have been read again before its checkpoint passed it, and
//!   landed by then. So the run that covers its position is looked into for its event id first.
//! - **A plan says what is sent.** The ids and entries of a batch are written down first, under the next number, only if there is no plan
//!   of that number. The changes are written as a shard named after the plan, at positions that are their places in it, so that whoever
//!   carries out the plan writes objects of the same names, and each is created once ([`crate::lake::commit`]). A redrive that finds a plan
//!   whose entries are not all gone carries it out before it makes its own: the one before it was killed, or is still at work, and neither
//!   does harm. What is deleted in the end is what is seen in the plan's objects by its event id. A plan that was made under another schema
//!   or version is not written any more, since its objects might then hold other rows: what has landed of it is deleted, and the rest comes
//!   into a new plan.
//!
//! Plans are kept. Each is a small object, and says what was sent back when.
//!
//! What is short of that: a record that is put into quarantine once more after its change was sent back and another plan was made is sent once
//! more. That takes a worker that was paused in between, a lost lease table, or an entry under the name that an earlier version gave it. And two
//! redrives at one time *under two schemas* may land a change twice. On Kinesis and Firehose a redrive that is killed, or two at one time, send
//! copies, which carry equal event ids.

mod land;
mod plan;
mod selection;
mod send;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use object_store::path::Path;
use serde::Serialize;

use crate::config::LaterRecords;
use crate::consumer::page::{Decode, Kept, Record, Unreadable};
use crate::event::{ChangeEvent, Position, ShardId};
use crate::lake::quarantine::Content;
use crate::lake::{HourPartition, ItemDigest, Kind, Lake, LakeError, Origin, QuarantineEntry};
use crate::lease::{Checkpoint, Lease};
use crate::route::{Route, RouteError};

pub use land::discard;
pub use selection::{InvalidTime, Selection, parse_time};

/// Why a record stays whose item has to wait.
const BEHIND: &str = "an earlier record of its item stays in quarantine";
/// Records of one batch: as many as one plan names.
const BATCH_RECORDS: usize = 500;
/// Bytes of records in one batch. A batch is in memory, as records and, one by one, as changes.
const BATCH_BYTES: usize = 16 << 20;

/// A redrive could not go on. What was sent back is deleted from quarantine, or is found by the next redrive; nothing is lost.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// The lake refused or could not be reached.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The route refused.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// What a record points to cannot be read now.
    #[error("decode {location}: {reason}; run the command again")]
    Unreadable {
        /// The entry.
        location: String,
        /// What happened.
        reason: String,
    },
    /// A plan is not this program's.
    #[error("read the plan of redrive {number}: {reason}; was it altered, or written by a newer version?")]
    Plan {
        /// The plan.
        number: u32,
        /// What is wrong with it.
        reason: String,
    },
    /// A redrive under another configuration was interrupted.
    #[error(
        "redrive {number} was interrupted, and this configuration has no route into the lake for records of {origin}: \
         run `headwater redrive` with the configuration that it ran with"
    )]
    NoRoute {
        /// The plan.
        number: u32,
        /// Whose records it sends.
        origin: Origin,
    },
}

/// A stage, as far as sending its records back goes.
pub struct StageRoute {
    /// Whose records go through it. Those of snapshots go through capture's.
    pub origin: Origin,
    /// What makes changes of its records.
    pub decode: Arc<dyn Decode>,
    /// Where they go.
    pub route: Arc<dyn Route>,
    /// Whether that is the lake itself, where each change is to land once.
    pub lands: bool,
    /// How far its shards are checkpointed.
    pub checkpoints: Checkpoints,
    /// What becomes of the later records of an item of which one stays.
    pub later_records: LaterRecords,
}

/// How far the shards of a stage are checkpointed; nothing is known of it where there is no lease table.
#[derive(Debug, Clone, Default)]
pub struct Checkpoints(Option<BTreeMap<ShardId, Checkpoint>>);

impl Checkpoints {
    /// As the leases say.
    pub fn of(leases: &[Lease]) -> Self {
        Self(Some(leases.iter().map(|lease| (lease.shard.clone(), lease.checkpoint)).collect()))
    }

    /// Whether nobody reads the record at this position again. A shard without a lease was read to its end and forgotten.
    pub fn have_passed(&self, shard: &ShardId, position: Position) -> bool {
        // Whoever makes a new lease table reads everything again.
        let Some(checkpoints) = &self.0 else { return false };
        match checkpoints.get(shard) {
            Some(Checkpoint::At(reached)) => *reached >= position,
            Some(Checkpoint::TrimHorizon | Checkpoint::AtTimestamp(_)) => false,
            Some(Checkpoint::ShardEnd) | None => true,
        }
    }
}

/// Sends records back from quarantine.
pub struct Redrive {
    lake: Arc<Lake>,
    stages: Vec<StageRoute>,
}

/// What became of a record, or would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The entry's object.
    #[serde(serialize_with = "selection::as_text")]
    pub entry: Path,
    /// What read the record.
    pub origin: Origin,
    /// Its shard.
    pub shard: ShardId,
    /// Its position.
    #[serde(serialize_with = "selection::as_text_if_any")]
    pub position: Option<Position>,
    /// Why it was in quarantine.
    pub kind: Kind,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What became of a record, or would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fate", content = "reason", rename_all = "kebab-case")]
pub enum Fate {
    /// It was sent, and is durable in the route.
    Sent,
    /// Its change had landed already.
    LandedBefore,
    /// It was set aside.
    Discarded,
    /// It stays in quarantine, for this reason.
    Stays(String),
}

/// What a redrive did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Records that an interrupted redrive had begun to send, and that were sent to the end.
    pub finished: u64,
    /// What became of each record of the selection, in the order of sending.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// How many records left the quarantine for the route.
    pub fn sent(&self) -> u64 {
        self.outcomes.iter().filter(|outcome| matches!(outcome.fate, Fate::Sent | Fate::LandedBefore)).count() as u64
    }

    /// Those that stay.
    pub fn stays(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| matches!(outcome.fate, Fate::Stays(_)))
    }

    fn in_order(mut self) -> Self {
        self.outcomes.sort_by(|a, b| (a.position, &a.entry).cmp(&(b.position, &b.entry)));
        self
    }

    fn note(&mut self, entry: &QuarantineEntry, fate: Fate) {
        self.outcomes.push(Outcome {
            entry: entry.location.clone(),
            origin: entry.origin,
            shard: entry.shard.clone(),
            position: entry.position,
            kind: entry.kind,
            fate,
        });
    }
}

/// A record whose turn may come.
struct Candidate {
    /// Without the record itself.
    entry: QuarantineEntry,
    /// Whether it is to be sent. If not, it is here for the order's sake.
    selected: bool,
}

/// The records of a stage that are still to be looked at, in order, and the items that have to wait.
#[derive(Default)]
struct Queue {
    candidates: VecDeque<Candidate>,
    held: BTreeSet<ItemDigest>,
}

/// A record that can be sent.
struct Ready {
    entry: QuarantineEntry,
    event_id: String,
    time: i64,
}

/// What comes next.
#[derive(Default)]
struct Batch {
    ready: Vec<Ready>,
    /// Entries whose changes have landed already.
    landed: Vec<Path>,
}

impl Redrive {
    /// Sends through these routes. `lake` holds the quarantine.
    pub fn new(lake: Arc<Lake>, stages: Vec<StageRoute>) -> Self {
        Self { lake, stages }
    }

    /// Sends the selection back: the first `limit` records of it.
    pub async fn run(&self, selection: &Selection, limit: Option<u64>) -> Result<Report, RedriveError> {
        let mut report = Report::default();
        let mut done = 0;
        report.finished = self.finish(&mut done).await?;
        for (stage, mut queue) in self.queues(selection, limit, &mut report).await? {
            loop {
                let Batch { ready: batch, landed } = self.batch(stage, &mut queue, &mut report).await?;
                for location in &landed {
                    self.lake.quarantined().remove(location).await?;
                }
                if batch.is_empty() {
                    break;
                }
                if stage.lands {
                    self.land(stage, batch, &mut done, &mut report).await?;
                } else {
                    self.send(stage, batch, &mut queue.held, &mut report).await?;
                }
                tracing::info!(origin = %stage.origin, sent = report.sent(), left = queue.candidates.len(), "records sent back");
            }
        }
        Ok(report.in_order())
    }

    /// What [`run`](Self::run) would do. Nothing is changed, and an interrupted redrive stays so.
    pub async fn rehearse(&self, selection: &Selection, limit: Option<u64>) -> Result<Report, RedriveError> {
        let mut report = Report::default();
        for (stage, mut queue) in self.queues(selection, limit, &mut report).await? {
            loop {
                let Batch { ready: batch, .. } = self.batch(stage, &mut queue, &mut report).await?;
                if batch.is_empty() {
                    break;
                }
                for ready in batch {
                    report.note(&ready.entry, Fate::Sent);
                }
            }
        }
        Ok(report.in_order())
    }

    /// Lists the quarantine, and puts what belongs to each stage into order.
    async fn queues(
        &self,
        selection: &Selection,
        limit: Option<u64>,
        report: &mut Report,
    ) -> Result<Vec<(&StageRoute, Queue)>, RedriveError> {
        let mut entries = Vec::new();
        self.lake
            .quarantined()
            .read_all(|mut entry| {
                entry.raw = Vec::new();
                entries.push(entry);
            })
            .await?;
        in_order(&mut entries);
        let mut queues: Vec<_> = self.stages.iter().map(|stage| (stage, Queue::default())).collect();
        let mut left = limit.unwrap_or(u64::MAX);
        for entry in entries {
            let selected = left > 0 && selection.matches(&entry);
            match queues.iter_mut().find(|(stage, _)| stage.takes(entry.origin)) {
                Some((_, queue)) => queue.candidates.push_back(Candidate { entry, selected }),
                None if selected => {
                    let reason = format!("the configuration has no route for records of {}", entry.origin);
                    report.note(&entry, Fate::Stays(reason));
                }
                None => {}
            }
            left -= u64::from(selected);
        }
        Ok(queues)
    }

    /// The next records that can be sent. What stays is reported.
    async fn batch(&self, stage: &StageRoute, queue: &mut Queue, report: &mut Report) -> Result<Batch, RedriveError> {
        let (mut batch, mut bytes) = (Batch::default(), 0);
        while batch.ready.len() < BATCH_RECORDS && bytes < BATCH_BYTES {
            let Some(Candidate { entry, selected }) = queue.candidates.pop_front() else { break };
            let item = stage.item_that_waits(&entry);
            let looked = if !selected {
                None
            } else if item.as_ref().is_some_and(|item| queue.held.contains(item)) {
                Some(Fate::Stays(BEHIND.to_owned()))
            } else {
                let Some(entry) = self.lake.quarantined().read(&entry.location).await? else { continue };
                match self.look(stage, &entry).await? {
                    Ok(None) => Some(Fate::LandedBefore),
                    Ok(Some((event_id, time))) => {
                        bytes += entry.raw.len();
                        batch.ready.push(Ready { entry, event_id, time });
                        continue;
                    }
                    Err(reason) => Some(Fate::Stays(reason)),
                }
            };
            match looked {
                Some(Fate::LandedBefore) => {
                    report.note(&entry, Fate::LandedBefore);
                    batch.landed.push(entry.location);
                    continue;
                }
                Some(fate) => report.note(&entry, fate),
                None => {}
            }
            queue.held.extend(item);
        }
        Ok(batch)
    }

    /// The event id and the time of the change that a record holds and that can be sent; none if it has landed already; else why it stays.
    async fn look(&self, stage: &StageRoute, entry: &QuarantineEntry) -> Result<Result<Option<(String, i64)>, String>, RedriveError> {
        let event = match stage.change(&self.lake, entry).await? {
            Ok(event) => event,
            Err(reason) => return Ok(Err(reason)),
        };
        let position = entry.position.or_else(|| (entry.origin == Origin::Capture).then(|| event.sequence.into()));
        if let Some(position) = position.filter(|_| entry.origin != Origin::Snapshot) {
            if !stage.checkpoints.have_passed(&entry.shard, position) {
                let shard = &entry.shard;
                return Ok(Err(format!(
                    "the checkpoint of shard {shard} has not passed it yet: it does when a later change of the shard is durable, or \
                     the shard ends"
                )));
            }
            // A row of a snapshot may share an object with changes of a later hour; copies of it change nothing.
            if stage.lands && event.snapshot_id.is_none() {
                let hour = match HourPartition::containing(event.time) {
                    Ok(hour) => hour,
                    Err(error) => return Ok(Err(format!("its time is impossible: {error}"))),
                };
                if self.lake.has_landed(&entry.shard, hour, position, &event.event_id).await? {
                    return Ok(Ok(None));
                }
            }
        }
        Ok(Ok(Some((event.event_id.clone().into_owned(), event.time))))
    }
}

/// Puts records into the order in which they are sent: that of their positions, which is the order of each shard, and of each item across
/// its shards.
pub fn in_order(entries: &mut [QuarantineEntry]) {
    entries.sort_by(|a, b| (a.position, &a.location).cmp(&(b.position, &b.location)));
}

impl StageRoute {
    /// The item of a record, where its later records wait when it stays.
    fn item_that_waits(&self, entry: &QuarantineEntry) -> Option<ItemDigest> {
        entry.item().filter(|_| self.later_records == LaterRecords::Wait)
    }

    fn takes(&self, origin: Origin) -> bool {
        self.origin == origin || (origin == Origin::Snapshot && self.origin == Origin::Capture)
    }

    /// The change that a record holds, or why it holds none.
    async fn change<'e>(&self, lake: &Lake, entry: &'e QuarantineEntry) -> Result<Result<ChangeEvent<'e>, String>, RedriveError> {
        if entry.origin == Origin::Snapshot && Content::of(&entry.raw) == Content::Other {
            let reason = "it is an item as a snapshot found it: take a snapshot of it by its key (`headwater snapshot start \
                          --keys`), then discard this";
            return Ok(Err(reason.to_owned()));
        }
        let kept = Kept { position: entry.position, time: entry.time, raw: &entry.raw };
        let record = self.decode.again(&entry.shard, kept).await;
        let record = record
            .map_err(|Unreadable(reason)| RedriveError::Unreadable { location: lake.quarantined().describe(&entry.location), reason })?;
        Ok(match record {
            Record::Change { event, .. } => Ok(event),
            Record::Poison { reason, .. } => Err(reason),
            Record::Marker { .. } | Record::Void { .. } => Err("it is the marker of a snapshot and holds no change: discard it".to_owned()),
            Record::Elsewhere { .. } => Err("its claim leads to another claim".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests;
