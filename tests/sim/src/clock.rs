//! The simulator's clock: tokio's, on which a test can pause and move time, from a given start and with jumps.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio::time::Instant;

/// Wall-clock time as the services see it. With tokio's time paused it stands still until everything waits, so hours pass in moments.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    begun: Instant,
    start: i64,
    jumped: AtomicI64,
    /// Wakes who waits for a time, after a jump.
    jumps: Notify,
}

impl Clock {
    /// A clock that shows `start` (milliseconds since the epoch) now.
    pub fn starting_at(start: i64) -> Self {
        Self(Arc::new(Inner { begun: Instant::now(), start, jumped: AtomicI64::new(0), jumps: Notify::new() }))
    }

    /// A clock that shows this machine's time.
    pub fn of_this_machine() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Milliseconds since the epoch.
    pub fn now(&self) -> i64 {
        let elapsed = i64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.0.start + self.0.jumped.load(Ordering::Relaxed) + elapsed
    }

    /// Moves the clock forward without anything waiting for it: a day passes between two requests.
    pub fn jump(&self, by: Duration) {
        self.0.jumped.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
        self.0.jumps.notify_waiters();
    }

    /// Waits until the clock shows a time (milliseconds since the epoch), be it by waiting or by a jump.
    pub async fn until(&self, at: i64) {
        loop {
            // Listening begins before the clock is read, so that no jump falls in between.
            let jump = self.0.jumps.notified();
            let Some(left) = u64::try_from(at.saturating_sub(self.now())).ok().filter(|left| *left > 0) else { return };
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(left)) => {}
                () = jump => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_passes_by_waiting_and_by_jumping() {
        let clock = Clock::starting_at(1_000);
        tokio::time::sleep(Duration::from_secs(2)).await;
        clock.jump(Duration::from_hours(24));
        assert_eq!(clock.now(), 3_000 + 24 * 3_600_000);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_time_is_woken_by_a_jump() {
        let clock = Clock::starting_at(0);
        let begun = Instant::now();
        let jumper = clock.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            jumper.jump(Duration::from_mins(30));
        });
        clock.until(1_802_000).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(2), "a second before the jump, a second after it");
    }
}
