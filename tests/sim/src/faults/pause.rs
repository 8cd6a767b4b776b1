//! Pauses: a worker's requests wait, and take effect in the order in which they came.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use crate::clock::Clock;

/// A pause of one worker.
#[derive(Debug)]
pub(super) struct Pause {
    until: watch::Sender<i64>,
    /// Tokio's mutex serves who waits for it in the order of their coming.
    queue: Arc<Mutex<()>>,
}

impl Pause {
    pub(super) fn until(until: i64) -> Self {
        Self { until: watch::Sender::new(until), queue: Arc::default() }
    }

    pub(super) fn set(&self, until: i64) {
        self.until.send_replace(until);
    }

    /// Whether its time has passed and nobody waits any more: until then, who comes last has to queue behind the others.
    pub(super) fn is_over(&self, now: i64) -> bool {
        now >= *self.until.borrow() && Arc::strong_count(&self.queue) == 1
    }

    pub(super) fn turn(&self) -> Turn {
        Turn { until: self.until.subscribe(), queue: self.queue.clone() }
    }
}

/// A place in the queue of a paused worker's requests.
#[derive(Debug)]
pub(crate) struct Turn {
    until: watch::Receiver<i64>,
    queue: Arc<Mutex<()>>,
}

/// While it lives, the requests behind wait.
#[derive(Debug)]
pub(crate) struct Held(#[expect(dead_code, reason = "it is held, not read")] OwnedMutexGuard<()>);

impl Turn {
    /// Waits for the requests before and for the pause's end.
    pub(crate) async fn come(mut self, clock: &Clock) -> Held {
        let held = self.queue.lock_owned().await;
        loop {
            let until = *self.until.borrow_and_update();
            if clock.now() >= until {
                return Held(held);
            }
            tokio::select! {
                () = clock.until(until) => {}
                Ok(()) = self.until.changed() => {}
            }
        }
    }
}
