//! Time: the wall clock for what people read, tokio's clock for everything that waits.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Whole seconds since the epoch, by this machine's clock. For display and for lag; never for deciding who owns what.
pub fn unix_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// A worker's wall clock: the machine's, or another one where days pass in moments.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl WallClock {
    /// This machine's clock.
    pub fn system() -> Self {
        Self(Arc::new(unix_seconds))
    }

    /// A clock that shows what `seconds` returns: seconds since the epoch.
    pub fn reading(seconds: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(seconds))
    }

    /// Whole seconds since the epoch.
    pub fn unix_seconds(&self) -> i64 {
        (self.0)()
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WallClock").field(&self.unix_seconds()).finish()
    }
}

/// Seconds since the epoch as `2026-11-21T03:00:00Z`.
pub fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |at| at.to_string())
}

/// The clock of the service that keeps the records, as its answers tell it: what the last one said, and the time that has passed since. It never
/// runs ahead of the service, however wrong this machine's clock is. Before the first answer it shows the machine's.
#[derive(Debug, Clone)]
pub struct ServiceClock(Arc<LastAnswer>);

#[derive(Debug)]
struct LastAnswer {
    fallback: WallClock,
    told: Mutex<Option<(tokio::time::Instant, i64)>>,
}

impl ServiceClock {
    /// A clock that no answer has set yet.
    pub fn new(fallback: WallClock) -> Self {
        Self(Arc::new(LastAnswer { fallback, told: Mutex::new(None) }))
    }

    /// An answer that was just received carries this time: seconds since the epoch.
    pub fn told(&self, seconds: i64) {
        *self.0.told.lock().unwrap_or_else(PoisonError::into_inner) = Some((tokio::time::Instant::now(), seconds));
    }

    /// Whole seconds since the epoch.
    pub fn unix_seconds(&self) -> i64 {
        match *self.0.told.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((at, seconds)) => seconds.saturating_add(i64::try_from(at.elapsed().as_secs()).unwrap_or(i64::MAX)),
            None => self.0.fallback.unix_seconds(),
        }
    }
}

/// The `backoff` crate's clock over tokio's, so that tests with paused time also pause retries.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioClock;

impl backoff::Clock for TokioClock {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_service_s_time_counts_however_wrong_the_machine_s_is() {
        let clock = ServiceClock::new(WallClock::reading(|| 99_999));
        assert_eq!(clock.unix_seconds(), 99_999, "nothing better is known yet");
        clock.told(1_000);
        tokio::time::advance(Duration::from_millis(2_900)).await;
        assert_eq!(clock.unix_seconds(), 1_002);
        clock.told(1_001);
        assert_eq!(clock.unix_seconds(), 1_001, "the last answer counts, though it was slow");
    }
}
