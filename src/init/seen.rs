//! What was found on the endpoints: what a plan is made from.

use crate::stream::View;

/// What is there of all that the configuration needs. What it does not need was not looked for, and stays absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// The stream of the table; none when there is no such table.
    pub table: Option<SeenTable>,
    /// Capture's lease table.
    pub leases: Option<SeenLeases>,
    /// Deliver's lease table.
    pub deliver_leases: Option<SeenLeases>,
    /// The Kinesis stream.
    pub kinesis: Option<SeenKinesis>,
    /// Whether the lake's bucket is there.
    pub bucket: bool,
    /// The delivery stream.
    pub delivery: Option<SeenDelivery>,
}

/// The stream of a table that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenTable {
    /// It never had one.
    NoStream,
    /// It had one, which is disabled.
    Disabled,
    /// It has one.
    Stream {
        /// What its records carry.
        view: View,
        /// Whether it is enabled, or only being enabled.
        ready: bool,
    },
}

/// A table in the place of a lease table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenLeases {
    /// The names of its key attributes.
    pub keys: Vec<String>,
    /// Whether it can be used.
    pub ready: bool,
}

/// A Kinesis stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenKinesis {
    /// What it is doing.
    pub status: KinesisStatus,
    /// Whether it scales by itself.
    pub on_demand: bool,
    /// Shards that take records.
    pub open_shards: u32,
    /// The largest record that it takes, in KiB.
    pub record_kib: u32,
    /// Whether it ignores partition keys (`RecordDistributionStrategy` AUTO).
    pub ignores_keys: bool,
}

/// What a Kinesis stream is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KinesisStatus {
    /// It serves.
    Active,
    /// It is being made or changed.
    Changing,
    /// It is being deleted.
    Deleting,
}

/// A delivery stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenDelivery {
    /// What it is doing.
    pub status: DeliveryStatus,
    /// Where its records come from.
    pub source: SeenSource,
}

/// What a delivery stream is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// It serves.
    Active,
    /// It is being made.
    Creating,
    /// It could not be made or deleted, for this reason.
    Failed(String),
    /// It is being deleted.
    Deleting,
}

/// Where the records of a delivery stream come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeenSource {
    /// From whoever puts them.
    DirectPut,
    /// From the Kinesis stream of this name.
    Kinesis(String),
    /// From something else, as the API spells it.
    Other(String),
}
