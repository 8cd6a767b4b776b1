//! What a stage has done since it started.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Counters that every task adds to.
#[derive(Debug, Default)]
pub struct Counters {
    records: AtomicU64,
    bytes: AtomicU64,
    quarantined: AtomicU64,
    misfits: AtomicU64,
    gaps: AtomicU64,
    newest: AtomicI64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Records taken into the route.
    pub records: u64,
    /// Bytes of GetRecords responses.
    pub bytes: u64,
    /// Records stored in quarantine.
    pub quarantined: u64,
    /// Attribute values that did not fit the contract's column and were kept in `cdc_extra`.
    pub misfits: u64,
    /// Gaps found.
    pub gaps: u64,
    /// Creation time of the newest record taken, in seconds since the epoch; 0 before the first.
    pub newest: i64,
}

impl Totals {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            bytes: self.bytes + other.bytes,
            quarantined: self.quarantined + other.quarantined,
            misfits: self.misfits + other.misfits,
            gaps: self.gaps + other.gaps,
            newest: self.newest.max(other.newest),
        }
    }
}

impl Counters {
    /// The counters now.
    pub fn totals(&self) -> Totals {
        Totals {
            records: self.records.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            quarantined: self.quarantined.load(Relaxed),
            misfits: self.misfits.load(Relaxed),
            gaps: self.gaps.load(Relaxed),
            newest: self.newest.load(Relaxed),
        }
    }

    pub(super) fn page(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn record(&self, time: i64, misfits: u32) {
        self.records.fetch_add(1, Relaxed);
        self.misfits.fetch_add(u64::from(misfits), Relaxed);
        self.newest.fetch_max(time, Relaxed);
    }

    pub(super) fn quarantined(&self) {
        self.quarantined.fetch_add(1, Relaxed);
    }

    pub(super) fn gap(&self) {
        self.gaps.fetch_add(1, Relaxed);
    }
}
