//! Leases and checkpoints: who reads a shard, and from where.
//!
//! One DynamoDB table per application holds an item for each shard, with the attributes and sentinels that the Kinesis Client Library uses,
//! so that its users can read it. Every write to a lease is conditional on the counter that the writer last saw (*one-writer*): whoever
//! lost a lease learns it by its next write and cannot move the checkpoint. [`table`] is the store, [`held`] a lease that this
//! process holds, [`expiry`] (pure) tells abandoned leases by the observer's own clock, [`balance`] (pure) says which leases a worker should take,
//! [`handover`] takes one from a worker that lives.

pub mod balance;
pub mod expiry;
pub mod gap;
pub mod handover;
pub mod held;
mod item;
pub mod snapshot;
pub mod table;

use crate::event::{Position, ShardId};
use crate::stream::StreamArn;
use crate::stream::lineage::{Begin, Leased};

/// How far a shard is done, as the `checkpoint` attribute says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoint {
    /// `TRIM_HORIZON`: nothing yet, begin with the oldest record.
    TrimHorizon,
    /// `AT_TIMESTAMP`: nothing yet, begin with the first record made at or after this time (attribute `startTimestamp`).
    AtTimestamp(i64),
    /// Everything up to and including this record is durable.
    At(Position),
    /// `SHARD_END`: everything is durable, and the shard takes no more.
    ShardEnd,
}

impl From<Begin> for Checkpoint {
    fn from(begin: Begin) -> Self {
        match begin {
            Begin::TrimHorizon => Self::TrimHorizon,
            Begin::At(seconds) => Self::AtTimestamp(seconds),
        }
    }
}

/// The lease of one shard, as last seen in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The shard.
    pub shard: ShardId,
    /// Its stream.
    pub stream: StreamArn,
    /// The shards that it continues.
    pub parents: Vec<ShardId>,
    /// Who holds it; nobody when absent. While it is handed over, the one who is to have it.
    pub owner: Option<String>,
    /// While it is handed over: who still works on the shard, and alone may write to the lease (attribute `checkpointOwner`).
    pub handing_over: Option<String>,
    /// Grows with every write: what conditions are made of.
    pub counter: u64,
    /// How far the shard is done.
    pub checkpoint: Checkpoint,
    /// The last durable record, kept beyond `SHARD_END` to check that a child's numbers go on above it.
    pub last_sequence: Option<Position>,
    /// Every change made before this time (seconds since the epoch) is durable, as far as this shard goes.
    pub durable_through: Option<i64>,
    /// When the shard was found, in seconds since the epoch. It may have held changes of the day before.
    pub found_at: Option<i64>,
    /// When the shard was done, in seconds since the epoch.
    pub done_at: Option<i64>,
    /// How far a segment of a snapshot is; none on the lease of a shard.
    pub segment: Option<snapshot::SegmentProgress>,
}

impl Lease {
    /// A lease that nobody holds and of which nothing is known but where reading begins.
    pub fn new(shard: ShardId, stream: StreamArn, checkpoint: Checkpoint) -> Self {
        Self {
            shard,
            stream,
            parents: Vec::new(),
            owner: None,
            handing_over: None,
            counter: 0,
            checkpoint,
            last_sequence: None,
            durable_through: None,
            found_at: None,
            done_at: None,
            segment: None,
        }
    }

    /// Who works on the shard and may write to the lease.
    pub fn holder(&self) -> Option<&str> {
        self.handing_over.as_deref().or(self.owner.as_deref())
    }

    /// What [`crate::stream::lineage`] needs of it.
    pub fn lineage(&self) -> Leased {
        Leased {
            stream: self.stream.clone(),
            parents: self.parents.clone(),
            done: self.checkpoint == Checkpoint::ShardEnd,
            done_at: self.done_at,
        }
    }
}
