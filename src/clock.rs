//! Time: the wall clock for what people read, tokio's clock for everything that waits.

use std::fmt;
use std::sync::Arc;
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

/// The `backoff` crate's clock over tokio's, so that tests with paused time also pause retries.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioClock;

impl backoff::Clock for TokioClock {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}
