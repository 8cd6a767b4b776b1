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

/// What a service allows a reader of one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The shortest pause between two pages.
    pub shortest: Duration,
    /// How many bytes of pages a second, if that is limited; then pages are asked for in a size that this takes about a second for.
    pub bytes_per_second: Option<u32>,
}

impl Pace {
    /// Pages may follow each other at once, and are as large as the service makes them.
    pub const FREE: Self = Self { shortest: Duration::ZERO, bytes_per_second: None };
}

/// The first page of a shard whose records' size is not known yet.
const FIRST_LIMIT: u32 = 25;
/// The most records that a page of any service holds.
const LARGEST_LIMIT: u32 = 10_000;

/// The polling rhythm of one shard.
#[derive(Debug, Clone)]
pub struct Rhythm {
    longest: Duration,
    pace: Pace,
    empty_pages: u32,
    limit: u32,
}

impl Rhythm {
    /// A shard that was just opened, with the longest pause it may have.
    pub fn new(longest: Duration, pace: Pace) -> Self {
        Self { longest, pace, empty_pages: 0, limit: FIRST_LIMIT }
    }

    /// The pause after a page of that many records and bytes. `more` is whether the shard holds more behind it, where the service tells.
    pub fn after_page(&mut self, records: usize, bytes: usize, more: Option<bool>) -> Duration {
        let full = more.unwrap_or(records >= FULL_PAGE_RECORDS || bytes >= FULL_PAGE_BYTES);
        let pause = if records > 0 || full {
            self.empty_pages = 0;
            if full { Duration::ZERO } else { BEAT }
        } else {
            // Empty pages are counted where they are all there is to go by.
            self.empty_pages = if more.is_some() { self.empty_pages.max(CONFIRMING_PAGES) } else { self.empty_pages }.saturating_add(1);
            let doublings = self.empty_pages.saturating_sub(CONFIRMING_PAGES).min(16);
            BEAT.saturating_mul(1 << doublings)
        };
        pause.min(self.longest).max(self.pace.shortest).max(self.time_of(records, bytes))
    }

    /// How many records to ask for, where the size of pages is to be limited.
    pub fn limit(&self) -> Option<u32> {
        self.pace.bytes_per_second.map(|_| self.limit)
    }

    /// The pause between two pages of which the first was not taken to its end.
    pub fn shortest(&self) -> Duration {
        self.pace.shortest
    }

    /// How long the service allows for so many bytes. Sizes the next page by what records are like.
    fn time_of(&mut self, records: usize, bytes: usize) -> Duration {
        let (Some(rate), Ok(records @ 1..)) = (self.pace.bytes_per_second, u32::try_from(records)) else { return Duration::ZERO };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.limit = (rate / (bytes / records).max(1)).clamp(1, LARGEST_LIMIT);
        Duration::from_secs_f64(f64::from(bytes) / f64::from(rate))
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
        let mut rhythm = Rhythm::new(LONGEST, Pace::FREE);
        assert_eq!(rhythm.after_page(1_000, 300_000, None), Duration::ZERO);
        assert_eq!(rhythm.after_page(3, 900_000, None), Duration::ZERO);
    }

    #[test]
    fn an_idle_shard_slows_down_and_wakes_with_the_first_record() {
        let mut rhythm = Rhythm::new(LONGEST, Pace::FREE);
        let pauses: Vec<_> = (0..8).map(|_| rhythm.after_page(0, 60, None)).collect();
        assert!(pauses.is_sorted());
        assert_eq!(pauses.last(), Some(&LONGEST));
        assert!(rhythm.is_drained());
        assert_eq!(rhythm.after_page(1, 800, None), BEAT);
        assert!(!rhythm.is_drained());
    }

    #[test]
    fn one_empty_page_proves_nothing() {
        let mut rhythm = Rhythm::new(LONGEST, Pace::FREE);
        rhythm.after_page(0, 60, None);
        assert!(!rhythm.is_drained());
    }

    #[test]
    fn what_the_service_says_of_the_rest_counts_more_than_a_page_s_size() {
        let shortest = Duration::from_millis(250);
        let mut rhythm = Rhythm::new(LONGEST, Pace { shortest, bytes_per_second: None });
        assert_eq!(rhythm.after_page(0, 60, Some(true)), shortest, "an empty page with more behind it");
        assert!(!rhythm.is_drained());
        assert!(rhythm.after_page(0, 60, Some(false)) > shortest);
        assert!(rhythm.is_drained(), "one empty page is enough");
    }

    #[test]
    fn no_setting_makes_it_poll_faster_than_the_service_allows() {
        let shortest = Duration::from_millis(250);
        let mut rhythm = Rhythm::new(Duration::from_millis(50), Pace { shortest, bytes_per_second: None });
        for (records, more) in [(5, Some(true)), (5, Some(false)), (0, Some(false)), (5, None), (0, None)] {
            assert!(rhythm.after_page(records, 60, more) >= shortest, "{records} {more:?}");
        }
    }

    #[test]
    fn pages_of_a_limited_service_are_a_second_s_worth_each() {
        let mut rhythm = Rhythm::new(LONGEST, Pace { shortest: Duration::from_millis(250), bytes_per_second: Some(1_500_000) });
        assert_eq!(rhythm.limit(), Some(FIRST_LIMIT));
        assert_eq!(rhythm.after_page(25, 25 * 50_000, Some(true)), Duration::from_secs_f64(1.25 / 1.5));
        assert_eq!(rhythm.limit(), Some(30));
        rhythm.after_page(30, 30 * 100, Some(true));
        assert_eq!(rhythm.limit(), Some(LARGEST_LIMIT), "of small records as many as a page holds");
        rhythm.after_page(1, 9_000_000, Some(true));
        assert_eq!(rhythm.limit(), Some(1));
    }

    proptest! {
        #[test]
        fn no_pause_is_longer_than_allowed(pages in prop::collection::vec((0_usize..2_000, 0_usize..1_000_000), 0..50), longest in 1_u64..5_000) {
            let longest = Duration::from_millis(longest);
            let mut rhythm = Rhythm::new(longest, Pace::FREE);
            for (records, bytes) in pages {
                prop_assert!(rhythm.after_page(records, bytes, None) <= longest);
            }
        }
    }
}
