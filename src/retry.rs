//! Retries: exponential, jittered, bounded in time, cancellable.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use backoff::backoff::Backoff as _;
use backoff::exponential::ExponentialBackoff;
use tokio_util::sync::CancellationToken;

use crate::clock::TokioClock;

/// How long and how often to try again.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// The first delay; each one is drawn from half to one and a half of its nominal length.
    pub first: Duration,
    /// Delays double up to this length.
    pub longest: Duration,
    /// No attempt begins after this much time.
    pub give_up_after: Duration,
}

impl RetryPolicy {
    /// For calls at start-up: a wrong endpoint shall be reported while somebody is looking.
    pub const START_UP: Self =
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(2), give_up_after: Duration::from_secs(12) };
    /// For creating a lake object: a repeated attempt meets the object of the first one, so even a lost answer may be tried again.
    pub const COMMIT: Self =
        Self { first: Duration::from_millis(200), longest: Duration::from_secs(5), give_up_after: Duration::from_mins(2) };
    /// For calls of a round, which comes again soon.
    pub const ROUND: Self =
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(5), give_up_after: Duration::from_secs(20) };
    /// For calls of a running service: outlasts a fail-over of the service, not a day.
    pub const SERVICE: Self =
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(20), give_up_after: Duration::from_mins(10) };
}

/// The delays of one series of attempts.
#[derive(Debug)]
pub struct Delays(ExponentialBackoff<TokioClock>);

impl Delays {
    /// A fresh series.
    pub fn new(policy: RetryPolicy) -> Self {
        let mut delays = ExponentialBackoff {
            initial_interval: policy.first,
            max_interval: policy.longest,
            multiplier: 2.0,
            max_elapsed_time: Some(policy.give_up_after),
            ..ExponentialBackoff::<TokioClock>::default()
        };
        delays.reset();
        Self(delays)
    }

    /// How long to wait before the next attempt; `None` when it is time to give up.
    pub fn next_delay(&mut self) -> Option<Duration> {
        self.0.next_backoff()
    }

    /// After a success: the next failure starts a new series.
    pub fn reset(&mut self) {
        self.0.reset();
    }
}

/// Whether an error may pass by itself.
pub trait Transient {
    /// True for throttling, time-outs, broken connections and errors of the service's own.
    fn is_transient(&self) -> bool;

    /// What an attempt that is made again counts as.
    fn cause(&self) -> Cause {
        Cause::Unavailable
    }
}

/// Why something is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The service asks for fewer calls.
    Throttled,
    /// It did not answer, or failed, or answered nonsense.
    Unavailable,
    /// A shard iterator was too old.
    Expired,
    /// A record of several events landed where not all of them belong.
    Misplaced,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 4] = [Self::Throttled, Self::Unavailable, Self::Expired, Self::Misplaced];

    /// One word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Expired => "expired",
            Self::Misplaced => "misplaced",
        }
    }
}

/// What this process has tried again, by its cause. One table for the whole process: what retries is spread over every layer, and a counter that is
/// handed through all of them would tell no more.
static AGAIN: [AtomicU64; Cause::ALL.len()] = [const { AtomicU64::new(0) }; Cause::ALL.len()];

/// Counts an attempt that is about to be made again: a call, or a single record that was refused. [`retry`] does it by itself.
pub fn count(cause: Cause) {
    AGAIN[cause as usize].fetch_add(1, Relaxed);
}

/// What this process has tried again since it started, by its cause.
pub fn counts() -> [(Cause, u64); Cause::ALL.len()] {
    Cause::ALL.map(|cause| (cause, AGAIN[cause as usize].load(Relaxed)))
}

/// Calls `attempt` until it succeeds, fails for good, the policy gives up or `stop` is cancelled; then the last error is returned.
pub async fn retry<T, E, F>(policy: RetryPolicy, stop: &CancellationToken, mut attempt: impl FnMut() -> F) -> Result<T, E>
where
    E: Transient + std::fmt::Display,
    F: Future<Output = Result<T, E>>,
{
    let mut delays = Delays::new(policy);
    loop {
        let error = match attempt().await {
            Err(error) if error.is_transient() && !stop.is_cancelled() => error,
            done => return done,
        };
        let Some(delay) = delays.next_delay() else { return Err(error) };
        count(error.cause());
        tracing::debug!(%error, delay_ms = delay.as_millis(), "trying again");
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = stop.cancelled() => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[derive(Debug, thiserror::Error)]
    #[error("failed")]
    struct Failure(bool);

    impl Transient for Failure {
        fn is_transient(&self) -> bool {
            self.0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn transient_errors_are_retried_until_the_policy_gives_up() {
        let calls = Cell::new(0_u64);
        let before = counts()[Cause::Unavailable as usize].1;
        let begun = tokio::time::Instant::now();
        let result: Result<(), _> = retry(RetryPolicy::START_UP, &CancellationToken::new(), || {
            calls.set(calls.get() + 1);
            async { Err(Failure(true)) }
        })
        .await;
        assert!(result.is_err());
        // Other tests of this process count here too.
        assert!(counts()[Cause::Unavailable as usize].1 >= before + calls.get() - 1);
        assert!(calls.get() > 5, "{} calls", calls.get());
        assert!(begun.elapsed() <= RetryPolicy::START_UP.give_up_after);
    }

    #[tokio::test(start_paused = true)]
    async fn permanent_errors_are_not_retried() {
        let calls = Cell::new(0);
        let result: Result<(), _> = retry(RetryPolicy::SERVICE, &CancellationToken::new(), || {
            calls.set(calls.get() + 1);
            async { Err(Failure(false)) }
        })
        .await;
        assert!(result.is_err());
        assert_eq!(calls.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn cancelling_ends_the_wait_at_once() {
        let stop = CancellationToken::new();
        let begun = tokio::time::Instant::now();
        let attempt = retry(RetryPolicy::SERVICE, &stop, || async { Err::<(), _>(Failure(true)) });
        let cancel = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            stop.cancel();
        };
        let (result, ()) = tokio::join!(attempt, cancel);
        assert!(result.is_err());
        assert!(begun.elapsed() < Duration::from_millis(200));
    }
}
