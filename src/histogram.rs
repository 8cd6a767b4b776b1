//! How large batches are: counts in fixed buckets, cheap enough for every call.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The greatest batch of each bucket but the last, which has no end. From one record to an object of a busy hour, two or three for each power of ten.
pub const BOUNDS: [u64; 12] = [1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000];

/// Batches by size since the start.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum: AtomicU64,
}

/// The batches at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Distribution {
    /// How many batches fell into each bucket of [`BOUNDS`], and into none of them.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// The sizes of all batches together.
    pub sum: u64,
}

impl Histogram {
    /// Counts a batch.
    pub fn observe(&self, size: u64) {
        let bucket = BOUNDS.partition_point(|bound| *bound < size);
        if let Some(count) = self.buckets.get(bucket) {
            count.fetch_add(1, Relaxed);
        }
        self.sum.fetch_add(size, Relaxed);
    }

    /// The batches so far.
    pub fn read(&self) -> Distribution {
        Distribution { buckets: std::array::from_fn(|bucket| self.buckets[bucket].load(Relaxed)), sum: self.sum.load(Relaxed) }
    }
}

impl Distribution {
    /// How many batches there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_falls_into_the_first_bucket_that_is_large_enough() {
        let sizes = Histogram::default();
        for size in [0, 1, 2, 5, 500_000, 500_001] {
            sizes.observe(size);
        }
        let read = sizes.read();
        assert_eq!((read.buckets[0], read.buckets[1], read.buckets[11], read.buckets[12]), (2, 2, 1, 1));
        assert_eq!((read.count(), read.sum), (6, 1_000_009));
    }
}
