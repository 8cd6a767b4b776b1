//! Waits between attempts, for writers that go on with other work meanwhile.

use std::time::Duration;

use tokio::time::Instant;

use crate::retry::{Delays, RetryPolicy};

/// A series is not given up before this many attempts: the time of the policy may have passed while other work kept the writer from trying.
const LEAST_ATTEMPTS: u32 = 5;

/// The wait before the next attempt of a series, which begins with the first failure after a success.
#[derive(Debug)]
pub(super) struct Wait {
    since: Instant,
    /// When the next attempt may be made.
    pub(super) until: Instant,
    failures: u32,
    delays: Delays,
}

/// The policy allows no further attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GaveUp {
    /// For how long it was tried.
    pub(super) after: Duration,
}

impl Wait {
    /// The next wait of the series after a failure, or the first of a new one.
    pub(super) fn next(earlier: Option<Self>, policy: RetryPolicy) -> Result<Self, GaveUp> {
        let now = Instant::now();
        let (since, failures, mut delays) =
            earlier.map_or_else(|| (now, 0, Delays::new(policy)), |wait| (wait.since, wait.failures, wait.delays));
        let failures = failures + 1;
        let delay = delays.next_delay().or((failures < LEAST_ATTEMPTS).then_some(policy.longest));
        Ok(Self { since, until: now + delay.ok_or(GaveUp { after: now - since })?, failures, delays })
    }

    /// A pause before a new series.
    pub(super) fn pause(length: Duration, policy: RetryPolicy) -> Self {
        let until = Instant::now() + length;
        Self { since: until, until, failures: 0, delays: Delays::new(policy) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nothing_was_tried_is_no_reason_to_give_up() {
        let policy = RetryPolicy::SERVICE;
        let mut wait = Wait::next(None, policy).unwrap();
        for _ in 1..LEAST_ATTEMPTS - 1 {
            tokio::time::advance(policy.give_up_after * 2).await;
            wait = Wait::next(Some(wait), policy).unwrap();
        }
        tokio::time::advance(policy.give_up_after * 2).await;
        assert_eq!(Wait::next(Some(wait), policy).unwrap_err(), GaveUp { after: policy.give_up_after * 2 * (LEAST_ATTEMPTS - 1) });
    }
}
