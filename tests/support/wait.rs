//! Waiting for a condition: no test sleeps for a fixed time.

use std::time::Duration;

/// Waits until `condition` holds, and panics with `what` when it does not hold within `deadline`, even if it does not answer.
pub(crate) async fn wait_until(deadline: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(deadline, waiting).await;
    assert!(waited.is_ok(), "waited {deadline:?} in vain until {what}");
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

    #[tokio::test]
    #[should_panic(expected = "in vain until an answer")]
    async fn waiting_ends_at_the_deadline_without_any_answer() {
        wait_until(Duration::from_millis(60), "an answer", async || std::future::pending().await).await;
    }
}
