//! What happens in a history, step by step.

use std::fmt;
use std::time::Duration;

use super::SnapshotStep;
use crate::faults::{Fault, ServerError};

/// Something that happens to the table, its stream or the workers. Picks are taken modulo what there is.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Changes of items, and writes that change nothing.
    Write {
        /// How many writes.
        changes: usize,
    },
    /// Time to live deletes what has expired.
    Expire,
    /// An open shard is closed and continues in others.
    Reshard {
        /// Which.
        pick: usize,
        /// In how many: one is a rotation.
        into: usize,
    },
    /// The stream trims a shard before its records are a day old.
    TrimEarly {
        /// Which.
        pick: usize,
        /// How many of its records stay.
        keep: usize,
    },
    /// An item that does not fit into a record of Kinesis is written.
    WriteLarge,
    /// An open shard of the Kinesis stream is split in two.
    SplitKinesis {
        /// Which.
        pick: usize,
    },
    /// An open shard of the Kinesis stream is merged with the next one.
    MergeKinesis {
        /// Which.
        pick: usize,
    },
    /// An open shard of the Kinesis stream takes nothing for a while.
    ThrottleKinesis {
        /// Which.
        pick: usize,
        /// For how long.
        length: Duration,
    },
    /// A snapshot is asked for.
    Snapshot(SnapshotStep),
    /// A snapshot is called off that is asked for or at work.
    CancelSnapshot {
        /// Which.
        pick: usize,
    },
    /// Somebody deletes an object of changes from the lake.
    DeleteObject {
        /// Which.
        pick: usize,
    },
    /// The stream is disabled.
    Disable,
    /// A new stream is enabled.
    Enable,
    /// The services' clock moves on.
    Jump {
        /// By how much.
        by: Duration,
    },
    /// All workers are killed, the lease table is emptied, and they start again.
    LoseLeases,
    /// A worker is killed.
    Crash {
        /// Which.
        worker: usize,
    },
    /// A worker is asked to stop.
    Stop {
        /// Which.
        worker: usize,
    },
    /// A worker is started, unless it runs.
    Start {
        /// Which.
        worker: usize,
    },
    /// Nothing that a worker sends takes effect for a while; then all of it does.
    Pause {
        /// Which.
        worker: usize,
        /// For how long.
        length: Duration,
    },
    /// A worker's wall clock goes wrong.
    WrongClock {
        /// Which.
        worker: usize,
        /// By how much, in seconds.
        by_seconds: i64,
    },
    /// All workers are killed, and started again after hours.
    Outage {
        /// How many hours.
        hours: u64,
        /// Writes just after they died.
        before: usize,
        /// Writes just before they start again.
        during: usize,
    },
    /// A lease table cannot be used: by all workers, or by one alone, which reaches everything else.
    LeaseTableOutage {
        /// Which worker; all when it is none.
        worker: Option<usize>,
        /// For how long.
        length: Duration,
        /// How calls fail.
        how: Failing,
    },
    /// What changes are sent to takes nothing: the lake's bucket, and the Kinesis stream if there is one.
    TargetOutage {
        /// Which of the two is meant, where both are there.
        is_lake: bool,
        /// For how long.
        length: Duration,
        /// How calls fail.
        how: Failing,
    },
}

/// How the calls of a service fail that is out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failing {
    /// It says that it is unavailable.
    Refused,
    /// The connection breaks before the effect.
    Broken,
    /// They take effect, and no answer comes.
    Unanswered,
}

impl Failing {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Refused, Self::Broken, Self::Unanswered];

    /// What the simulator does to each call.
    pub(in super::super) fn fault(self) -> Fault {
        match self {
            Self::Refused => Fault::ServerError(ServerError::Unavailable),
            Self::Broken => Fault::Reset,
            Self::Unanswered => Fault::Hang { ms: None },
        }
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "is unavailable",
            Self::Broken => "breaks connections",
            Self::Unanswered => "answers nothing",
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { changes } => write!(f, "{changes} writes"),
            Self::Expire => f.write_str("time to live deletes what has expired"),
            Self::Reshard { into: 1, .. } => f.write_str("a shard rotates"),
            Self::Reshard { into, .. } => write!(f, "a shard splits into {into}"),
            Self::TrimEarly { keep, .. } => write!(f, "a shard is trimmed early, down to {keep} records"),
            Self::WriteLarge => f.write_str("an item that does not fit into a record of Kinesis"),
            Self::SplitKinesis { .. } => f.write_str("a shard of Kinesis splits"),
            Self::MergeKinesis { .. } => f.write_str("two shards of Kinesis merge"),
            Self::ThrottleKinesis { length, .. } => write!(f, "a shard of Kinesis takes nothing for {length:?}"),
            Self::Snapshot(asked) => write!(f, "{asked}"),
            Self::CancelSnapshot { .. } => f.write_str("a snapshot is called off"),
            Self::DeleteObject { .. } => f.write_str("an object is deleted from the lake"),
            Self::Disable => f.write_str("the stream is disabled"),
            Self::Enable => f.write_str("a new stream is enabled"),
            Self::Jump { by } => write!(f, "{} minutes pass", by.as_secs() / 60),
            Self::LoseLeases => f.write_str("all workers are killed, the lease table is emptied, all workers start"),
            Self::Crash { worker } => write!(f, "worker {worker} is killed"),
            Self::Stop { worker } => write!(f, "worker {worker} is asked to stop"),
            Self::Start { worker } => write!(f, "worker {worker} is started"),
            Self::Pause { worker, length } => write!(f, "worker {worker} is paused for {length:?}"),
            Self::WrongClock { worker, by_seconds } => write!(f, "the clock of worker {worker} goes wrong by {by_seconds} s"),
            Self::LeaseTableOutage { worker: None, length, how } => write!(f, "the lease table {how} for {length:?}"),
            Self::LeaseTableOutage { worker: Some(worker), length, how } => {
                write!(f, "the lease table {how} for {length:?} to worker {worker} alone")
            }
            Self::TargetOutage { is_lake: true, length, how } => write!(f, "the lake's bucket {how} for {length:?}"),
            Self::TargetOutage { length, how, .. } => write!(f, "what capture sends to {how} for {length:?}"),
            Self::Outage { hours, before, during } => {
                write!(f, "all workers are killed, {before} writes, {hours} h pass, {during} writes, all workers start")
            }
        }
    }
}
