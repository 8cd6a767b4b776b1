//! Items of the lease table as the checker reads them.

use super::holders::worker_of;
use super::position::Position;
use crate::item::{AttributeValue, Item};
use crate::sequence::Sequence;

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its shard's stream: the ARN, or what stands for it in the keys of Kinesis leases.
    pub stream: String,
    /// Whose it is, or will be once it is handed over.
    pub owner: Option<String>,
    /// Who has it until it hands it over to the owner; none when nobody has asked for it.
    pub checkpoint_owner: Option<String>,
    /// How often it was written, as its holders count.
    pub counter: Option<u64>,
    /// How far its shard is done.
    pub checkpoint: Checkpoint,
}

/// How far a shard is done, in this order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checkpoint {
    /// Nothing is.
    None,
    /// Everything up to here.
    At(Position),
    /// Everything.
    End,
}

impl Lease {
    /// Reads a lease on a shard; `None` for items of other kinds.
    pub fn read(item: &Item) -> Option<Self> {
        if text(item, "entityType").is_some_and(|kind| kind != "LEASE") {
            return None;
        }
        Self::of_any_kind(item)
    }

    /// Reads a lease, be it on a shard or on something else that is shared out in the same way.
    pub(super) fn of_any_kind(item: &Item) -> Option<Self> {
        let text = |name| text(item, name);
        let checkpoint = match text("checkpoint")? {
            "SHARD_END" => Checkpoint::End,
            digits => Position::parse(digits).map_or(Checkpoint::None, |position| {
                let within: Option<u64> = text("checkpointSubSequenceNumber").and_then(|sub| sub.parse().ok());
                Checkpoint::At(Position { sub: within.unwrap_or_default().max(position.sub), ..position })
            }),
        };
        let stream = text("streamArn").or_else(|| Some(text("leaseKey")?.rsplit_once(':')?.0))?;
        Some(Self {
            stream: stream.to_owned(),
            owner: text("leaseOwner").map(str::to_owned),
            checkpoint_owner: text("checkpointOwner").map(str::to_owned),
            counter: text("leaseCounter").and_then(|counter| counter.parse().ok()),
            checkpoint,
        })
    }

    /// Whether the checkpoint is at or behind a record.
    pub(super) fn has_passed(&self, record: &Sequence) -> bool {
        match &self.checkpoint {
            Checkpoint::None => false,
            Checkpoint::At(position) => *record <= position.sequence,
            Checkpoint::End => true,
        }
    }

    /// Who holds it, and so may move its checkpoint.
    pub fn holder(&self) -> Option<&str> {
        self.checkpoint_owner.as_deref().or(self.owner.as_deref())
    }

    /// Whether the process that signs with this access key holds the lease. An owner's name is the worker's and something unique.
    pub fn is_held_by(&self, worker: &str) -> bool {
        self.holder().map(worker_of) == Some(worker)
    }

    /// Whether it is that process's lease, or will be once it is handed over.
    pub(super) fn is_owned_by(&self, worker: &str) -> bool {
        self.owner.as_deref().map(worker_of) == Some(worker)
    }
}

/// An entry of the gap ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    kind: String,
    origin: String,
    after: Option<Position>,
    /// Seconds since the epoch.
    lost_from: Option<i64>,
}

impl Gap {
    /// Reads a gap; `None` for items of other kinds.
    pub fn read(item: &Item) -> Option<Self> {
        if text(item, "entityType") != Some("GAP") {
            return None;
        }
        Some(Self {
            kind: text(item, "kind")?.to_owned(),
            origin: shard_of(text(item, "origin")?).to_owned(),
            after: text(item, "after").and_then(Position::parse),
            lost_from: text(item, "lostFrom").and_then(|seconds| seconds.parse().ok()),
        })
    }

    /// Whether the gap tells of a change that `shard` took at `position` (when `own`), or that a shard behind it took: what vanishes takes with it
    /// whatever continues it. `at` is the time of the change in milliseconds. A position counts before a time: where reading stood is known exactly, up
    /// to when nothing was missing is told by pages that happened to be empty.
    pub fn covers(&self, shard: &str, own: bool, position: &Position, at: i64) -> bool {
        let told = match self.kind.as_str() {
            "trimmed" => own,
            "vanished" => true,
            _ => false,
        };
        let concerned = match &self.after {
            Some(after) => !own || position > after,
            None => self.is_late_enough(at),
        };
        told && self.origin == shard && concerned
    }

    /// Whether the gap tells that this stream was replaced by another, and that changes made then are concerned.
    pub fn covers_replacement(&self, stream: &str, at: i64) -> bool {
        self.kind == "stream-replaced" && self.origin == stream && self.is_late_enough(at)
    }

    /// Whether it tells that the order of sequence numbers is not that of changes.
    pub(super) fn is_of_order(&self) -> bool {
        self.kind == "order-broken"
    }

    /// The shard or stream that it is about.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    fn is_late_enough(&self, at: i64) -> bool {
        self.lost_from.is_none_or(|from| at.div_euclid(1000) >= from)
    }
}

/// What an entry of the gap ledger tells of its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Closing {
    /// When the gap was found, in seconds since the epoch.
    pub(super) found_at: i64,
    /// The snapshot that made up for it.
    pub(super) closed_by: Option<String>,
}

impl Closing {
    /// Reads it from a gap; `None` for items of other kinds.
    pub(super) fn read(item: &Item) -> Option<Self> {
        Gap::read(item)?;
        Some(Self { found_at: text(item, "foundAt")?.parse().ok()?, closed_by: text(item, "closedBy").map(str::to_owned) })
    }
}

/// The shard that a lease key names: the key itself, or for a Kinesis stream what follows the stream in it.
pub(super) fn shard_of(key: &str) -> &str {
    if key.starts_with("arn:") { key } else { key.rsplit_once(':').map_or(key, |(_, shard)| shard) }
}

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    match item.get(name)? {
        AttributeValue::S(text) | AttributeValue::N(text) => Some(text),
        _ => None,
    }
}
