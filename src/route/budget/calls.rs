//! How many calls are on their way at once.
//!
//! A call carries its changes once more: packed into records, copied by the SDK, as base64 in the body. So calls take turns: those on their way
//! together stay within what was set aside for them. That also keeps all writers from calling at the same moment when a service comes back after
//! an outage. Turns are given in the order of asking. A turn lasts for one call and not for the wait before its repetition, so a writer that is
//! refused takes no place from others.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::MemoryBudget;

/// Calls of one route at once, however small. At 30 ms each they make a thousand a second.
pub(super) const MOST_CALLS: u32 = 32;
/// Turns are counted in KiB.
const UNIT: usize = 1 << 10;

/// The turns of one route's calls.
#[derive(Debug)]
pub struct Calls {
    budget: Arc<MemoryBudget>,
    aside: usize,
    units: Semaphore,
    all: u32,
}

/// A call that may be made. Over when dropped.
#[derive(Debug)]
pub struct Turn<'c> {
    calls: &'c Calls,
    bytes: usize,
    _units: Option<SemaphorePermit<'c>>,
}

impl Calls {
    pub(super) fn new(budget: Arc<MemoryBudget>, aside: usize) -> Self {
        // A semaphore's largest request is a u32; 4 TiB are enough for anybody.
        let all = u32::try_from((aside / UNIT).max(1)).unwrap_or(u32::MAX);
        Self { budget, aside, units: Semaphore::new(all as usize), all }
    }

    /// What the bodies of all calls on their way may occupy, in bytes. A larger one has its turn alone.
    pub fn room(&self) -> usize {
        self.aside
    }

    /// Waits until a call may be made whose body occupies `bytes` at most. Cancel-safe.
    pub async fn turn(&self, bytes: usize) -> Turn<'_> {
        let least = self.all.div_ceil(MOST_CALLS);
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(least, self.all);
        // Nobody closes it.
        let permit = self.units.acquire_many(units).await.ok();
        self.budget.called.fetch_add(bytes, Ordering::Relaxed);
        Turn { calls: self, bytes, _units: permit }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.calls.budget.called.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tokio::time::{Instant, sleep};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn small_calls_go_so_many_at_once() {
        let budget = MemoryBudget::new(64 << 20);
        let calls = budget.calls();
        let begun = Instant::now();
        join_all((0..=2 * MOST_CALLS).map(|_| async {
            let _turn = calls.turn(100).await;
            sleep(SECOND).await;
        }))
        .await;
        assert_eq!(begun.elapsed(), 3 * SECOND);
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_larger_than_all_of_them_has_its_turn_alone() {
        let budget = MemoryBudget::new(4 << 20);
        let calls = budget.calls();
        let begun = Instant::now();
        join_all([1, 2 << 20, 1].map(|bytes| {
            let calls = &calls;
            async move {
                let _turn = calls.turn(bytes).await;
                sleep(SECOND).await;
            }
        }))
        .await;
        assert_eq!(begun.elapsed(), 3 * SECOND, "in the order of asking");
    }

    #[tokio::test(start_paused = true)]
    async fn what_calls_carry_counts_as_held_and_takes_nothing_from_writers() {
        let budget = MemoryBudget::new(100 << 10);
        let calls = budget.calls();
        let share = budget.share();
        assert_eq!(share.admit(75 << 10).await, super::super::Admission::Proceed);
        let turn = calls.turn(25 << 10).await;
        assert_eq!(budget.held(), budget.limit());
        drop((turn, share));
        assert_eq!(budget.held(), 0);
    }

    proptest! {
        #[test]
        fn calls_on_their_way_stay_within_their_room(sizes in vec((1..=256_usize, 1..50_u64), 1..80)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let budget = MemoryBudget::new(4 << 20);
                let calls = budget.calls();
                join_all(sizes.into_iter().map(|(size, takes)| {
                    let (calls, budget) = (&calls, &budget);
                    async move {
                        let _turn = calls.turn(size << 12).await;
                        assert!(budget.held() <= calls.room());
                        sleep(Duration::from_millis(takes)).await;
                    }
                }))
                .await;
            });
        }
    }
}
