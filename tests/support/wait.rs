//! Waiting for a condition: no test sleeps for a fixed time.

use std::time::{Duration, Instant};

/// Waits until `condition` holds, and panics with `what` when it does not hold within `deadline`.
pub(crate) async fn wait_until(deadline: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < deadline, "waited {deadline:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_ends_when_the_condition_holds() {
        let mut calls = 0;
        wait_until(Duration::from_secs(5), "the third call", async || {
            calls += 1;
            calls == 3
        })
        .await;
        assert_eq!(calls, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "in vain until the impossible happens")]
    async fn waiting_ends_at_the_deadline() {
        wait_until(Duration::from_millis(60), "the impossible happens", async || false).await;
    }
}
