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
    shortest: Duration,
    empty_pages: u32,
}

impl Rhythm {
    /// A shard that was just opened, with the longest and the shortest pause it may have.
    pub fn new(longest: Duration, shortest: Duration) -> Self {
        Self { longest, shortest, empty_pages: 0 }
    }

    /// The pause after a page of that many records and bytes. `more` is whether the shard holds more behind it, where the service tells.
    pub fn after_page(&mut self, records: usize, bytes: usize, more: Option<bool>) -> Duration {
        let full = more.unwrap_or(records >= FULL_PAGE_RECORDS || bytes >= FULL_PAGE_BYTES);
        if records > 0 || full {
            self.empty_pages = 0;
            return if full { self.shortest } else { BEAT.max(self.shortest) }.min(self.longest);
        }
        // Empty pages are counted where they are all there is to go by.
        self.empty_pages = if more.is_some() { self.empty_pages.max(CONFIRMING_PAGES) } else { self.empty_pages }.saturating_add(1);
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
        let mut rhythm = Rhythm::new(LONGEST, Duration::ZERO);
        assert_eq!(rhythm.after_page(1_000, 300_000, None), Duration::ZERO);
        assert_eq!(rhythm.after_page(3, 900_000, None), Duration::ZERO);
    }

    #[test]
    fn an_idle_shard_slows_down_and_wakes_with_the_first_record() {
        let mut rhythm = Rhythm::new(LONGEST, Duration::ZERO);
        let pauses: Vec<_> = (0..8).map(|_| rhythm.after_page(0, 60, None)).collect();
        assert!(pauses.is_sorted());
        assert_eq!(pauses.last(), Some(&LONGEST));
        assert!(rhythm.is_drained());
        assert_eq!(rhythm.after_page(1, 800, None), BEAT);
        assert!(!rhythm.is_drained());
    }

    #[test]
    fn one_empty_page_proves_nothing() {
        let mut rhythm = Rhythm::new(LONGEST, Duration::ZERO);
        rhythm.after_page(0, 60, None);
        assert!(!rhythm.is_drained());
    }

    #[test]
    fn what_the_service_says_of_the_rest_counts_more_than_a_page_s_size() {
        let shortest = Duration::from_millis(250);
        let mut rhythm = Rhythm::new(LONGEST, shortest);
        assert_eq!(rhythm.after_page(0, 60, Some(true)), shortest, "an empty page with more behind it");
        assert!(!rhythm.is_drained());
        assert!(rhythm.after_page(0, 60, Some(false)) > shortest);
        assert!(rhythm.is_drained(), "one empty page is enough");
    }

    proptest! {
        #[test]
        fn no_pause_is_longer_than_allowed(pages in prop::collection::vec((0_usize..2_000, 0_usize..1_000_000), 0..50), longest in 1_u64..5_000) {
            let longest = Duration::from_millis(longest);
            let mut rhythm = Rhythm::new(longest, Duration::ZERO);
            for (records, bytes) in pages {
                prop_assert!(rhythm.after_page(records, bytes, None) <= longest);
            }
        }
    }
}
