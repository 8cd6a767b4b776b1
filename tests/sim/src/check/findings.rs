//! What a checker has found: what did not hold, and what was exercised.

use std::collections::BTreeMap;
use std::fmt;

/// An invariant of the service, by the name that its documentation uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// A checkpoint never passes a record that is not durable.
    DurableBeforeCheckpoint,
    /// The changes of one item land in the order of the stream.
    ItemOrder,
    /// Kinesis stores the changes of one item in their order, and tells of none before the one ahead of it.
    KinesisItemOrder,
    /// A child shard is read only after each of its parents is done.
    ParentFirst,
    /// A shard is processed by the holder of its lease.
    OneWriter,
    /// Once nothing moves, no worker holds two leases more than another.
    Balanced,
    /// A change is in exactly one committed object; a record of Kinesis is, where Kinesis is in the path.
    LandOnce,
    /// What is lost is in the gap ledger, and nothing else is lost.
    NoSilentLoss,
    /// Every change that is not in the gap ledger is in Kinesis, and every record of Kinesis in the lake.
    KinesisNoLoss,
    /// Kinesis holds a change twice only where its sender could not know that it was stored.
    Duplicates,
    /// No value changes on the way.
    ExactValues,
    /// Reading goes on behind the checkpoint, not at or before it.
    ResumeAfter,
    /// Once nothing is in the way, everything lands and every checkpoint follows.
    Liveness,
    /// A row of a snapshot shows what the item was at some moment from the snapshot's start to the row's commit.
    SnapshotExact,
    /// The marker of a snapshot of the whole table comes when every item that was there all the time has its row in the lake, and behind all rows.
    SnapshotComplete,
    /// A snapshot has one row of a key in the lake; through Kinesis it may be there again, as the same event.
    SnapshotLandOnce,
    /// Where nothing is missing that no snapshot makes up for, the lake's current state is the table.
    CurrentEqualsTable,
    /// A gap is closed by a complete snapshot of the whole table that began after the gap was found; where gaps are to be closed, each is.
    GapCloses,
    /// The service ends by itself only when a service stays away for long or a person is needed, and never by a panic.
    CleanExit,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DurableBeforeCheckpoint => "durable-before-checkpoint",
            Self::ItemOrder => "item-order",
            Self::KinesisItemOrder => "kinesis-item-order",
            Self::ParentFirst => "parent-first",
            Self::OneWriter => "one-writer",
            Self::Balanced => "balanced",
            Self::LandOnce => "land-once",
            Self::NoSilentLoss => "no-silent-loss",
            Self::KinesisNoLoss => "kinesis-no-loss",
            Self::Duplicates => "duplicates",
            Self::ExactValues => "exact-values",
            Self::ResumeAfter => "resume-after",
            Self::Liveness => "liveness",
            Self::SnapshotExact => "snapshot-exact",
            Self::SnapshotComplete => "snapshot-complete",
            Self::SnapshotLandOnce => "snapshot-land-once",
            Self::CurrentEqualsTable => "current-equals-table",
            Self::GapCloses => "gap-closes",
            Self::CleanExit => "clean-exit",
        })
    }
}

/// An invariant that did not hold.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When it showed, by the services' clock (milliseconds since the epoch).
    pub at: i64,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// Counts by name of what a history exercised.
pub type Counts = BTreeMap<&'static str, u64>;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) violations: Vec<Violation>,
    pub(super) counts: Counts,
}

impl Findings {
    pub(super) fn violate(&mut self, invariant: Invariant, at: i64, what: String) {
        self.violations.push(Violation { invariant, at, what });
    }

    pub(super) fn count(&mut self, name: &'static str) {
        *self.counts.entry(name).or_default() += 1;
    }
}
