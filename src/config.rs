//! Configuration: `headwater.toml` as it is written (`raw`), and the validated settings that the rest of the program uses.

mod operations;
mod raw;
mod snapshot;
mod source;
mod streams;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

pub use raw::parse;
pub(crate) use snapshot::{MOST_SEGMENTS, share as read_share};
pub use source::{Source, VARIABLE};

use crate::lake::LakeSettings;
use crate::lease::snapshot::ReadBudget;

/// What `headwater.toml` says, validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The table to replicate.
    pub table: TableSettings,
    /// How its stream is read.
    pub stream: StreamSettings,
    /// How work is shared and remembered.
    pub lease: LeaseSettings,
    /// The stages that this process runs.
    pub stages: Stages,
    /// Where capture's changes go.
    pub route: RouteKind,
    /// The Kinesis stream that capture writes and deliver reads.
    pub kinesis: Option<KinesisSettings>,
    /// The delivery stream that takes changes.
    pub firehose: Option<FirehoseSettings>,
    /// The deliver stage, where there is one.
    pub deliver: Option<DeliverSettings>,
    /// The lake: where changes land, and what is too large or no change at all.
    pub lake: LakeSettings,
    /// How snapshots are taken.
    pub snapshot: SnapshotSettings,
    /// What becomes of what cannot be taken.
    pub later_records: LaterRecords,
    /// How the service tells how it is.
    pub health: HealthSettings,
    /// Who is told of what needs a person.
    pub notify: NotifySettings,
    /// Bytes that may be buffered for the route, over all shards.
    pub memory_budget: usize,
    /// How long a shutdown may take.
    pub shutdown_deadline: Duration,
}

/// The table to replicate.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSettings {
    /// The DynamoDB table's name.
    pub name: String,
    /// The contract's file, resolved against the folder of the configuration file.
    pub contract: Option<PathBuf>,
}

/// How the stream is read.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSettings {
    /// Where reading starts when there are no leases yet.
    pub start: Start,
    /// What happens when changes were trimmed before they were read.
    pub on_gap: OnGap,
    /// The longest pause between two polls of an idle shard.
    pub idle_poll: Duration,
}

/// Where reading starts when there are no leases yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The oldest change that the stream still has.
    TrimHorizon,
    /// Now, less a minute. The time is fixed at the first start, so a crash before the first checkpoint loses nothing.
    Latest,
    /// The first change made at or after this time (seconds since the epoch).
    At(i64),
}

/// What happens when changes were lost before they were read. The gap is recorded and shown in `status` either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnGap {
    /// Read on with what the stream still has.
    Continue,
    /// Stop the process with an error, at this start and at every later one, until it is set to something else.
    Stop,
    /// Read on, and take a snapshot of the whole table, which closes the gap.
    Snapshot,
}

/// How snapshots are taken, unless their request says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotSettings {
    /// Into how many segments a scan is divided; none to find out by the size of the table.
    pub segments: Option<u32>,
    /// How many segments this process reads at once.
    pub at_once: usize,
    /// Whether items are read consistently, at twice the price.
    pub consistent: bool,
    /// How fast a snapshot may read.
    pub budget: Option<ReadBudget>,
}

/// Leases and checkpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct LeaseSettings {
    /// The name of the lease table.
    pub application: String,
    /// Whether the lease table is created when it is missing.
    pub create_table: bool,
    /// How long a lease may go without renewal before another worker takes it.
    pub failover: Duration,
    /// This worker's name in `status`; by default the host's name.
    pub worker: Option<String>,
}

/// The stages that a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stages {
    /// The table's stream into the route.
    pub capture: bool,
    /// The Kinesis stream into the lake or Firehose.
    pub deliver: bool,
}

/// Where capture's changes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteKind {
    /// Straight into the lake.
    #[default]
    Lake,
    /// Into a Kinesis data stream.
    Kinesis,
    /// Into a Firehose delivery stream.
    Firehose,
}

/// When a batch is sent: at whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSettings {
    /// This many events.
    pub records: usize,
    /// This many bytes of events.
    pub bytes: usize,
    /// This long after the first of them was taken.
    pub window: Duration,
}

/// What becomes of a change that is too large for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LargeRecords {
    /// It is stored in the lake, and a pointer to it goes into the stream.
    ClaimCheck,
    /// It goes to quarantine.
    Quarantine,
    /// The stream's own, raised, maximum record size counts; what exceeds that too goes to quarantine.
    Raise,
}

/// The Kinesis stream that capture writes and deliver reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KinesisSettings {
    /// Its name.
    pub stream: String,
    /// The largest aggregated record in bytes; none when each event is a record of its own.
    pub aggregation: Option<usize>,
    /// When events are sent.
    pub batch: BatchSettings,
    /// What becomes of a change that is too large.
    pub large_records: LargeRecords,
    /// How many shards `init` gives it; none for an on-demand stream.
    pub shards: Option<u32>,
}

/// Whether several events share a Firehose record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// Unless the delivery stream converts, partitions or transforms record by record.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// The delivery stream that takes changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirehoseSettings {
    /// Its name.
    pub delivery_stream: String,
    /// When events are sent.
    pub batch: BatchSettings,
    /// Whether several events share a record.
    pub packing: Packing,
    /// What becomes of a change that is too large.
    pub large_records: LargeRecords,
    /// The role that `init` gives it.
    pub role_arn: Option<String>,
    /// The bytes that it gathers before it writes an object, for `init`.
    pub buffer_size: u64,
    /// How long it gathers, for `init`.
    pub buffer_interval: Duration,
}

/// Where the deliver stage takes changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliverTarget {
    /// Into the lake.
    Lake,
    /// Into the delivery stream.
    Firehose,
}

/// The deliver stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverSettings {
    /// Where changes go.
    pub target: DeliverTarget,
    /// The name of its lease table.
    pub application: String,
    /// Where reading starts when there are no leases yet.
    pub start: Start,
}

/// What becomes of the later changes of an item of which one is in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LaterRecords {
    /// They go on. The lake orders changes by their sequence numbers, so a redriven one takes its place among them; whoever reads the changes of
    /// an item in the order of their arrival sees it late.
    #[default]
    Pass,
    /// They wait behind it, in quarantine as well, until `headwater redrive` has sent it. Only on their way to Kinesis or Firehose: a stage that writes
    /// the lake itself lets them pass.
    Wait,
}

/// How the service tells how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSettings {
    /// Where it answers.
    pub listen: Listen,
    /// A shard that confirms no progress for so long makes the service not ready.
    pub stalled_after: Duration,
    /// The CloudWatch namespace of metrics in the log (embedded metric format); none to write no such lines.
    pub emf_namespace: Option<String>,
}

/// Where the health listener answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    Off,
    /// There, or nowhere when somebody else does: several workers may share a host.
    IfFree(SocketAddr),
    /// There; the service does not start when it cannot.
    At(SocketAddr),
}

/// Who is told of what needs a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifySettings {
    /// A topic of SNS.
    pub sns_topic_arn: Option<String>,
    /// An address that takes JSON by POST.
    pub webhook: Option<Url>,
    /// How long before the stream drops what is not durable a person is told.
    pub trim_warning: Duration,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ConfigError {
    /// The file, or the variable. (A field named `source` would be taken for the error's cause.)
    place: String,
    problem: String,
}
