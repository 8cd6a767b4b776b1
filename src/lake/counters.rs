//! What this process has put into the lake.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::histogram::{Distribution, Histogram};

/// Counts since this process opened the lake.
#[derive(Debug, Default)]
pub struct LakeCounters {
    objects: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
    superseded: AtomicU64,
    quarantined: AtomicU64,
    claims: AtomicU64,
    runs: Histogram,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LakeCounts {
    /// Objects of changes committed.
    pub objects: u64,
    /// Changes in them.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Runs that were given up because they were committed already.
    pub superseded: u64,
    /// Records stored in quarantine.
    pub quarantined: u64,
    /// Changes stored whole beside the stream because no record of it could hold them.
    pub claims: u64,
}

impl LakeCounters {
    /// The counts now.
    pub fn read(&self) -> LakeCounts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LakeCounts {
            objects: load(&self.objects),
            rows: load(&self.rows),
            bytes: load(&self.bytes),
            superseded: load(&self.superseded),
            quarantined: load(&self.quarantined),
            claims: load(&self.claims),
        }
    }

    /// How many changes each committed object holds.
    pub fn runs(&self) -> Distribution {
        self.runs.read()
    }

    pub(super) fn committed(&self, rows: u64, bytes: usize) {
        self.runs.observe(rows);
        self.objects.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn superseded(&self) {
        self.superseded.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn quarantined(&self) {
        self.quarantined.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn claimed(&self) {
        self.claims.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_object_counts_with_its_changes() {
        let counters = LakeCounters::default();
        counters.committed(3, 100);
        counters.committed(40, 900);
        let (counts, runs) = (counters.read(), counters.runs());
        assert_eq!((counts.objects, counts.rows, counts.bytes), (2, 43, 1_000));
        assert_eq!((runs.count(), runs.sum), (2, 43));
    }
}
