//! What this process has done for snapshots since it started.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters that every segment adds to.
#[derive(Debug, Default)]
pub struct Counters {
    rows: AtomicU64,
    half_units: AtomicU64,
    quarantined: AtomicU64,
    misfits: AtomicU64,
    segments: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Rows given to the route.
    pub rows: u64,
    /// Half read capacity units that were consumed.
    pub half_units: u64,
    /// Rows stored in quarantine.
    pub quarantined: u64,
    /// Attribute values that did not fit the contract's column and were kept in `cdc_extra`.
    pub misfits: u64,
    /// Segments read to their end.
    pub segments: u64,
}

impl Counters {
    /// The counters now.
    pub fn totals(&self) -> Totals {
        Totals {
            rows: self.rows.load(Relaxed),
            half_units: self.half_units.load(Relaxed),
            quarantined: self.quarantined.load(Relaxed),
            misfits: self.misfits.load(Relaxed),
            segments: self.segments.load(Relaxed),
        }
    }

    pub(super) fn page(&self, half_units: u64) {
        self.half_units.fetch_add(half_units, Relaxed);
    }

    pub(super) fn row(&self, misfits: u32) {
        self.rows.fetch_add(1, Relaxed);
        self.misfits.fetch_add(u64::from(misfits), Relaxed);
    }

    pub(super) fn quarantined(&self) {
        self.quarantined.fetch_add(1, Relaxed);
    }

    pub(super) fn segment(&self) {
        self.segments.fetch_add(1, Relaxed);
    }
}
