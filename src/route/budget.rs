//! The memory budget that all writers of a route share.
//!
//! Each writer states what it holds. When the sum passes the limit the largest writer is asked to close its run; meanwhile an append
//! waits. No writer waits for longer than [`PATIENCE`] before it closes its own run instead, and then it goes on whatever the others do:
//! so a single writer, or one whose neighbours are all stuck, never waits for ever, and the budget is passed by about one change a writer.
//!
//! A writer that says that it is blocked cannot give what it holds. It takes no more beyond an equal share of the limit, and what it held beyond
//! that before it was blocked is not counted against the others: they go on at once. Until it can give, the budget may be passed by that much.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How long an append waits for others to free memory.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// A limit in bytes on what all writers of a route hold together.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: usize,
    holders: Mutex<Holders>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Holders {
    next: u64,
    total: usize,
    shares: BTreeMap<u64, Holder>,
}

#[derive(Debug)]
struct Holder {
    bytes: usize,
    /// It cannot give now.
    blocked: bool,
    signal: Arc<Signal>,
}

#[derive(Debug, Default)]
struct Signal {
    asked: AtomicBool,
    changed: Notify,
}

/// One writer's part of a budget; gives it back when dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<MemoryBudget>,
    id: u64,
    signal: Arc<Signal>,
}

/// What an append has to do first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Nothing: there is room, or this writer has nothing left to give.
    Proceed,
    /// Close the own run.
    CloseOwn,
}

impl MemoryBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, holders: Mutex::default(), freed: Notify::new() })
    }

    /// Adds a writer that holds nothing yet.
    pub fn share(self: &Arc<Self>) -> Share {
        let signal = Arc::new(Signal::default());
        let mut holders = self.holders();
        let id = holders.next;
        holders.next += 1;
        holders.shares.insert(id, Holder { bytes: 0, blocked: false, signal: Arc::clone(&signal) });
        drop(holders);
        Share { budget: Arc::clone(self), id, signal }
    }

    /// The limit in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// What all writers hold, in bytes.
    pub fn held(&self) -> usize {
        self.holders().total
    }

    fn share_of_each(&self, holders: &Holders) -> usize {
        self.limit / holders.shares.len().max(1)
    }

    fn holders(&self) -> MutexGuard<'_, Holders> {
        // The numbers are consistent after every statement, so a panic elsewhere does not spoil them.
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holders {
    /// The writer that holds most of those that can give; of equals the newest, so that there is exactly one.
    fn largest(&self) -> Option<(u64, &Holder)> {
        let givers = self.shares.iter().filter(|(_, holder)| !holder.blocked);
        givers.max_by_key(|(id, holder)| (holder.bytes, **id)).map(|(id, holder)| (*id, holder))
    }

    /// What is held, less what blocked writers hold beyond `share`.
    fn counted(&self, share: usize) -> usize {
        let beyond = self.shares.values().filter(|holder| holder.blocked).map(|holder| holder.bytes.saturating_sub(share));
        self.total - beyond.sum::<usize>()
    }

    fn set(&mut self, id: u64, bytes: usize) -> usize {
        let Some(holder) = self.shares.get_mut(&id) else { return 0 };
        let before = std::mem::replace(&mut holder.bytes, bytes);
        self.total = self.total - before + bytes;
        before
    }
}

impl Share {
    /// States what this writer holds. Past the limit, the largest writer is asked to close.
    pub fn hold(&self, bytes: usize) {
        let mut holders = self.budget.holders();
        let before = holders.set(self.id, bytes);
        if bytes == 0 {
            self.signal.asked.store(false, Ordering::Release);
        }
        if holders.counted(self.budget.share_of_each(&holders)) > self.budget.limit
            && let Some((_, largest)) = holders.largest()
            && !largest.signal.asked.swap(true, Ordering::AcqRel)
        {
            largest.signal.changed.notify_one();
        }
        drop(holders);
        if bytes < before {
            self.budget.freed.notify_waiters();
        }
    }

    /// States whether what this writer holds cannot be given now.
    pub fn set_blocked(&self, blocked: bool) {
        let mut holders = self.budget.holders();
        let Some(own) = holders.shares.get_mut(&self.id) else { return };
        let changed = std::mem::replace(&mut own.blocked, blocked) != blocked;
        drop(holders);
        if changed {
            // Who waits for room looks again.
            self.budget.freed.notify_waiters();
        }
    }

    /// This writer has given what it can. It is asked anew when it holds more, and memory is still short.
    pub fn answer(&self) {
        self.signal.asked.store(false, Ordering::Release);
    }

    /// Whether this writer is asked to close its run. Holding nothing answers the request.
    pub fn is_asked(&self) -> bool {
        self.signal.asked.load(Ordering::Acquire)
    }

    /// Resolves when this writer is asked to close its run. Cancel-safe.
    pub async fn asked(&self) {
        while !self.is_asked() {
            self.signal.changed.notified().await;
        }
    }

    /// Waits for room in the budget, at most [`PATIENCE`].
    pub async fn admit(&self) -> Admission {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut freed = pin!(self.budget.freed.notified());
            // Registered before looking, so that nothing freed in between is missed.
            freed.as_mut().enable();
            let own = {
                let holders = self.budget.holders();
                let share = self.budget.share_of_each(&holders);
                let (own, blocked) = holders.shares.get(&self.id).map_or((0, false), |holder| (holder.bytes, holder.blocked));
                if blocked && own > share {
                    return Admission::CloseOwn;
                }
                if holders.counted(share) <= self.budget.limit {
                    return Admission::Proceed;
                }
                if own > 0 && holders.largest().is_some_and(|(id, _)| id == self.id) {
                    return Admission::CloseOwn;
                }
                own
            };
            if timeout_at(deadline, freed).await.is_err() {
                return if own > 0 { Admission::CloseOwn } else { Admission::Proceed };
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut holders = self.budget.holders();
        holders.set(self.id, 0);
        holders.shares.remove(&self.id);
        drop(holders);
        self.budget.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_ready(future: impl Future<Output = ()>) -> bool {
        let mut future = pin!(future);
        future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn the_largest_writer_is_asked_and_no_other() {
        let budget = MemoryBudget::new(100);
        let (small, large) = (budget.share(), budget.share());
        large.hold(60);
        small.hold(40);
        assert!(!large.is_asked() && !small.is_asked(), "the limit itself is allowed");
        small.hold(41);
        assert!(large.is_asked() && !small.is_asked());
        assert!(is_ready(large.asked()));
        assert!(!is_ready(small.asked()));
        large.hold(0);
        assert!(!large.is_asked(), "holding nothing answers the request");
        assert_eq!(budget.held(), 41);
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_writer_over_the_limit_closes_its_own_run_at_once() {
        let budget = MemoryBudget::new(10);
        let only = budget.share();
        only.hold(11);
        let before = Instant::now();
        assert_eq!(only.admit().await, Admission::CloseOwn);
        assert_eq!(before, Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn an_append_waits_until_the_largest_has_closed() {
        let budget = MemoryBudget::new(100);
        let (small, large) = (budget.share(), budget.share());
        large.hold(90);
        small.hold(20);
        let (admission, ()) = tokio::join!(small.admit(), async {
            tokio::time::sleep(PATIENCE / 2).await;
            large.hold(0);
        });
        assert_eq!(admission, Admission::Proceed);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_for_a_stuck_neighbour() {
        let budget = MemoryBudget::new(100);
        let (small, stuck) = (budget.share(), budget.share());
        stuck.hold(90);
        small.hold(20);
        let before = Instant::now();
        assert_eq!(small.admit().await, Admission::CloseOwn);
        assert_eq!(before + PATIENCE, Instant::now());
        small.hold(0);
        stuck.hold(101);
        assert_eq!(small.admit().await, Admission::Proceed, "who holds nothing goes on after waiting");
    }

    #[tokio::test(start_paused = true)]
    async fn a_blocked_writer_stops_at_its_share_and_nobody_waits_for_it() {
        let budget = MemoryBudget::new(100);
        let (small, blocked) = (budget.share(), budget.share());
        blocked.hold(110);
        small.hold(20);
        blocked.set_blocked(true);
        let before = Instant::now();
        assert_eq!(small.admit().await, Admission::Proceed);
        assert_eq!(blocked.admit().await, Admission::CloseOwn);
        blocked.hold(51);
        assert_eq!(blocked.admit().await, Admission::CloseOwn, "its share is a half");
        blocked.hold(50);
        assert_eq!(blocked.admit().await, Admission::Proceed);
        assert_eq!(before, Instant::now());
        small.hold(51);
        assert!(small.is_asked(), "it is the largest that can give");
        small.answer();
        assert!(!small.is_asked());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_goes_on_when_the_largest_is_found_to_be_blocked() {
        let budget = MemoryBudget::new(100);
        let (small, large) = (budget.share(), budget.share());
        large.hold(90);
        small.hold(20);
        let before = Instant::now();
        let (admission, ()) = tokio::join!(small.admit(), async { large.set_blocked(true) });
        assert_eq!((admission, before), (Admission::Proceed, Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_writer_gives_its_share_back() {
        let budget = MemoryBudget::new(100);
        let (one, two) = (budget.share(), budget.share());
        one.hold(200);
        let (admission, ()) = tokio::join!(two.admit(), async { drop(one) });
        assert_eq!(admission, Admission::Proceed);
        assert_eq!(budget.held(), 0);
    }
}
