//! Configuration: `headwater.toml` as it is written (`raw`), and the validated settings that the rest of the program uses.

mod raw;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

pub use raw::parse;

use crate::lake::LakeSettings;

/// What `headwater.toml` says, validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The table to replicate.
    pub table: TableSettings,
    /// How its stream is read.
    pub stream: StreamSettings,
    /// How work is shared and remembered.
    pub lease: LeaseSettings,
    /// Where changes go.
    pub lake: LakeSettings,
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
    /// Stop the process with an error, at this start and at every later one, until it is set to `continue`.
    Stop,
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

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct ConfigError {
    file: String,
    problem: String,
}

/// Reads and validates the configuration file.
pub fn load(path: &Path) -> Result<Settings, ConfigError> {
    let fail = |problem: String| ConfigError { file: path.display().to_string(), problem };
    let text = std::fs::read_to_string(path)
        .map_err(|error| fail(format!("cannot be read: {error}. Name the file with --config, or see `headwater config example`")))?;
    parse(&text, path.parent().unwrap_or(Path::new("."))).map_err(fail)
}
