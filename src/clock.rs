//! Time: the wall clock for what people read, tokio's clock for everything that waits.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Whole seconds since the epoch. For display and for lag; never for deciding who owns what.
pub fn unix_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
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
