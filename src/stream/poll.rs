//! How often a shard is polled (pure).
//!
//! A shard that delivers full pages is drained without a pause. One that delivers a little is polled at a steady beat below the
//! service's rate. An idle one is polled ever more rarely, up to a limit that bounds both cost and lag.

use std::time::Duration;

/// A page of this many bytes was cut off by a limit of the service (1 MB or 1,000 records): there is more behind it.
const FULL_PAGE_BYTES: usize = 700_000;
const FULL_PAGE_RECORDS: usize = 1_000;
/// About five GetRecords calls a second and shard are what the service is known to take.
const BEAT: Duration = Duration::from_millis(200);
/// An empty page does not prove that a shard is drained: its records may lie a few pages further on.
const CONFIRMING_PAGES: u32 = 3;

/// The polling rhythm of one shard.
#[derive(Debug, Clone)]
pub struct Rhythm {
    longest: Duration,
    empty_pages: u32,
}

impl Rhythm {
    /// A shard that was just opened, with the longest pause it may have.
    pub fn new(longest: Duration) -> Self {
        Self { longest, empty_pages: 0 }
    }

    /// The pause after a page of that many records and bytes.
    pub fn after_page(&mut self, records: usize, bytes: usize) -> Duration {
        if records > 0 {
            self.empty_pages = 0;
            let full = records >= FULL_PAGE_RECORDS || bytes >= FULL_PAGE_BYTES;
            return if full { Duration::ZERO } else { BEAT.min(self.longest) };
        }
        self.empty_pages = self.empty_pages.saturating_add(1);
        let doublings = self.empty_pages.saturating_sub(CONFIRMING_PAGES).min(16);
        BEAT.saturating_mul(1 << doublings).min(self.longest)
    }

    /// The position changed: what earlier pages showed counts no more.
    pub fn restart(&mut self) {
        self.empty_pages = 0;
    }

    /// Whether the last pages, all empty, show that nothing is left to read for now.
    pub fn is_drained(&self) -> bool {
        self.empty_pages >= CONFIRMING_PAGES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LONGEST: Duration = Duration::from_secs(1);

    #[test]
    fn a_busy_shard_is_drained_without_a_pause() {
        let mut rhythm = Rhythm::new(LONGEST);
        assert_eq!(rhythm.after_page(1_000, 300_000), Duration::ZERO);
        assert_eq!(rhythm.after_page(3, 900_000), Duration::ZERO);
    }

    #[test]
    fn an_idle_shard_slows_down_and_wakes_with_the_first_record() {
        let mut rhythm = Rhythm::new(LONGEST);
        let pauses: Vec<_> = (0..8).map(|_| rhythm.after_page(0, 60)).collect();
        assert!(pauses.is_sorted());
        assert_eq!(pauses.last(), Some(&LONGEST));
        assert!(rhythm.is_drained());
        assert_eq!(rhythm.after_page(1, 800), BEAT);
        assert!(!rhythm.is_drained());
    }

    #[test]
    fn one_empty_page_proves_nothing() {
        let mut rhythm = Rhythm::new(LONGEST);
        rhythm.after_page(0, 60);
        assert!(!rhythm.is_drained());
    }

    proptest! {
        #[test]
        fn no_pause_is_longer_than_allowed(pages in prop::collection::vec((0_usize..2_000, 0_usize..1_000_000), 0..50), longest in 1_u64..5_000) {
            let longest = Duration::from_millis(longest);
            let mut rhythm = Rhythm::new(longest);
            for (records, bytes) in pages {
                prop_assert!(rhythm.after_page(records, bytes) <= longest);
            }
        }
    }
}
