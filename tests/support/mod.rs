//! What the tests stand on: the built command as a child process, an independent reader of lakes and of streams, and services
//! that are fetched when a test first asks for them.

pub(crate) mod aws;
pub(crate) mod duckdb;
pub(crate) mod dynamodb_local;
pub(crate) mod lake;
pub(crate) mod process;
pub(crate) mod site;
pub(crate) mod stream;
pub(crate) mod table;
mod tools;

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
