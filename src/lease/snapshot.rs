//! Snapshots and their segments, as the lease table remembers them.
//!
//! A snapshot is an item of its own (`entityType` SNAPSHOT), which moves from state to state by conditional writes. Its segments are leases like
//! those of shards (`entityType` SEGMENT): whoever holds one scans it, and its checkpoint says how far the rows are durable.

use serde::{Deserialize, Serialize};

use crate::event::ShardId;

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Its name, which begins with the time of the request, or of the gap that gave rise to it: `20261121T030000Z-3f9a1c2e`.
    pub id: String,
    /// Grows with every write: what conditions are made of.
    pub version: u64,
    /// What was asked for.
    pub request: Request,
    /// Where it stands.
    pub state: State,
    /// When it was asked for, in seconds since the epoch.
    pub requested_at: i64,
    /// Its rows show the table at or after this time (seconds since the epoch, by DynamoDB's clock, less a margin): stream changes from then on lie
    /// above them. Known once it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<i64>,
    /// Whether its rows are the whole table, so that what is not among them was not there. Known once it runs.
    #[serde(default)]
    pub whole: bool,
    /// Into how many segments the work is divided. Known once it runs.
    #[serde(default)]
    pub segments: u32,
    /// How many rows it has, without those in quarantine (which count where a worker took over the rows of another). Of a snapshot that runs, its
    /// segments tell.
    #[serde(default)]
    pub rows: u64,
    /// Half read capacity units that it consumed. Of a snapshot that runs, its segments tell.
    #[serde(default)]
    pub half_units: u64,
    /// When its last row was durable, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<i64>,
    /// When it came to its end, whichever, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Snapshot {
    /// What the keys of its items in the lease table begin with; also the key of the snapshot's own item.
    pub fn key(id: &str) -> String {
        format!("snapshot-{id}")
    }

    /// The name of one of its segments: the key of its lease, the origin of its rows (`cdc_shard`) and part of its objects' names.
    pub fn segment(&self, number: u32) -> ShardId {
        ShardId::new(format!("{}-{number:05}", Self::key(&self.id)))
    }
}

/// Where a snapshot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// No worker has begun it.
    Requested,
    /// Its segments are being read.
    Running,
    /// Every row is durable in the route; the marker follows when they are in the lake.
    Completing,
    /// The lake has its marker.
    Completed,
    /// Somebody stopped it. Its rows count for nothing.
    Cancelled,
    /// It cannot be done. Its rows count for nothing.
    Failed,
}

impl State {
    /// Whether there is nothing left to do.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Failed)
    }
}

/// What a snapshot is asked to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// What is read.
    pub source: Source,
    /// Why.
    pub cause: Cause,
    /// Whether items are read consistently, at twice the price.
    pub consistent: bool,
    /// Into how many segments a scan is divided, if that shall not be found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<u32>,
    /// How fast it may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<ReadBudget>,
    /// At most this many rows of each segment, for trials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// What a snapshot reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "kind")]
pub enum Source {
    /// The whole table.
    Table,
    /// One of so many parts into which DynamoDB divides the table.
    Segment {
        /// Which, from zero.
        number: u32,
        /// Of how many.
        of: u32,
    },
    /// The items of one partition key, in a range of sort keys if one is given. Keys are spelled as in the lake.
    Partition {
        /// The partition key.
        partition: String,
        /// The first sort key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// The last sort key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// Items by their keys, which are listed in an object of the lake. A key without an item leaves a REMOVE row, so ghosts of deleted items go.
    Keys {
        /// How many.
        count: u64,
    },
    /// An export of DynamoDB to S3, full or incremental.
    Export {
        /// The folder of the export: what holds `manifest-summary.json`, as `s3://bucket/prefix/AWSDynamoDB/<export id>` or a local folder.
        location: String,
    },
}

/// Why there is a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Somebody asked for it.
    Request,
    /// Changes were lost, and `on_gap` is `snapshot`.
    Gap,
    /// A verification found keys that differ.
    Repair,
}

/// How fast a snapshot may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadBudget {
    /// Read capacity units a second, over all workers.
    Units(u32),
    /// Per cent of the read capacity that the table is provisioned with.
    Share(u8),
}

/// How far a segment is, beside its checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentProgress {
    /// The snapshot.
    pub snapshot: String,
    /// Where to read on behind the checkpoint, in the words of what is read; none at the beginning.
    pub cursor: Option<String>,
    /// Rows that are durable.
    pub rows: u64,
    /// Half read capacity units that were consumed.
    pub half_units: u64,
}
