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
    taken: AtomicU64,
    stolen: AtomicU64,
    handed_over: AtomicU64,
    lost: AtomicU64,
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
    /// Leases taken that nobody held any more.
    pub taken: u64,
    /// Leases asked for that another worker held.
    pub stolen: u64,
    /// Leases given to a worker that asked for them.
    pub handed_over: u64,
    /// Leases that another worker took while this one worked on them.
    pub lost: u64,
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
            taken: self.taken + other.taken,
            stolen: self.stolen + other.stolen,
            handed_over: self.handed_over + other.handed_over,
            lost: self.lost + other.lost,
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
            taken: self.taken.load(Relaxed),
            stolen: self.stolen.load(Relaxed),
            handed_over: self.handed_over.load(Relaxed),
            lost: self.lost.load(Relaxed),
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

/// Movements of leases.
#[expect(dead_code, reason = "called where leases move between workers")]
impl Counters {
    pub(super) fn taken(&self) {
        self.taken.fetch_add(1, Relaxed);
    }

    pub(super) fn stolen(&self) {
        self.stolen.fetch_add(1, Relaxed);
    }

    pub(super) fn handed_over(&self) {
        self.handed_over.fetch_add(1, Relaxed);
    }

    pub(super) fn lost(&self) {
        self.lost.fetch_add(1, Relaxed);
    }
}
