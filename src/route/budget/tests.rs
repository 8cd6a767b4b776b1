//! Waiting, on paused time.

use tokio::time::timeout;

use super::*;

fn is_ready(future: impl Future<Output = ()>) -> bool {
    let mut future = pin!(future);
    future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
}

/// Takes what is admitted at once.
async fn take(share: &Share, bytes: usize) {
    assert_eq!(timeout(Duration::ZERO, share.admit(bytes)).await, Ok(Admission::Proceed));
}

/// Whether nothing comes of asking for so much within an hour.
async fn waits(share: &Share, need: usize) -> bool {
    timeout(Duration::from_hours(1), share.admit(need)).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn the_largest_writer_is_asked_before_anybody_has_to_wait() {
    let budget = MemoryBudget::new(1000);
    let (small, large) = (budget.share(), budget.share());
    take(&large, 600).await;
    take(&small, 330).await;
    small.hold(330);
    assert!(!large.is_asked() && !small.is_asked());
    take(&small, 20).await;
    small.hold(350);
    assert!(large.is_asked() && !small.is_asked());
    assert!(is_ready(large.asked()));
    assert!(!is_ready(small.asked()));
    large.hold(0);
    assert!(!large.is_asked(), "holding nothing answers the request");
    assert_eq!(budget.held(), 350);
}

#[tokio::test(start_paused = true)]
async fn a_single_writer_closes_its_own_run_at_once() {
    let budget = MemoryBudget::new(10);
    let only = budget.share();
    take(&only, 11).await;
    let before = Instant::now();
    assert_eq!(only.admit(1).await, Admission::CloseOwn);
    only.hold(0);
    assert_eq!(only.admit(1).await, Admission::Proceed);
    assert_eq!(before, Instant::now());
}

#[tokio::test(start_paused = true)]
async fn an_append_waits_until_the_largest_has_closed() {
    let budget = MemoryBudget::new(100);
    let (small, large) = (budget.share(), budget.share());
    take(&large, 75).await;
    take(&small, 20).await;
    let (admission, ()) = tokio::join!(small.admit(10), async {
        large.asked().await;
        tokio::time::sleep(PATIENCE / 2).await;
        large.hold(0);
    });
    assert_eq!((admission, budget.held()), (Admission::Proceed, 30));
}

#[tokio::test(start_paused = true)]
async fn who_holds_something_gives_it_when_its_patience_is_over() {
    let budget = MemoryBudget::new(100);
    let (small, stuck) = (budget.share(), budget.share());
    take(&stuck, 75).await;
    take(&small, 20).await;
    let before = Instant::now();
    assert_eq!(small.admit(10).await, Admission::CloseOwn);
    assert_eq!(before + PATIENCE, Instant::now());
    small.hold(0);
    assert_eq!(small.admit(10).await, Admission::Proceed, "that is within its part");
}

#[tokio::test(start_paused = true)]
async fn who_holds_nothing_waits_for_as_long_as_it_takes_and_the_limit_holds() {
    let budget = MemoryBudget::new(100);
    let (other, stuck) = (budget.share(), budget.share());
    take(&stuck, 75).await;
    assert!(waits(&other, 30).await);
    let (admission, ()) = tokio::join!(other.admit(30), async {
        tokio::time::sleep(Duration::from_hours(1)).await;
        stuck.hold(70);
    });
    assert_eq!((admission, budget.held()), (Admission::Proceed, 100));
}

#[tokio::test(start_paused = true)]
async fn another_one_is_asked_when_the_first_does_not_come() {
    let budget = MemoryBudget::new(200);
    let shares = [budget.share(), budget.share(), budget.share(), budget.share()];
    take(&shares[0], 75).await;
    take(&shares[1], 65).await;
    let before = Instant::now();
    let (admission, ()) = tokio::join!(shares[2].admit(60), async {
        shares[1].asked().await;
        assert_eq!(before + PATIENCE, Instant::now());
        assert!(shares[0].is_asked());
        shares[1].hold(0);
    });
    assert_eq!(admission, Admission::Proceed);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_writer_stops_at_its_part_and_takes_nobody_elses() {
    let budget = MemoryBudget::new(100);
    let (healthy, blocked) = (budget.share(), budget.share());
    take(&blocked, 75).await;
    blocked.set_blocked(true);
    let before = Instant::now();
    take(&healthy, 25).await;
    assert_eq!(healthy.admit(5).await, Admission::CloseOwn, "the pool will not come back soon: it does with its part");
    assert_eq!(blocked.admit(1).await, Admission::CloseOwn);
    healthy.hold(0);
    blocked.hold(24);
    assert_eq!(blocked.admit(2).await, Admission::CloseOwn, "its part is a quarter, and the pool is for those that can give it back");
    assert_eq!(blocked.admit(1).await, Admission::Proceed);
    assert_eq!(before, Instant::now());
}

#[tokio::test(start_paused = true)]
async fn who_waits_asks_another_one_when_the_largest_is_found_to_be_blocked() {
    let budget = MemoryBudget::new(200);
    let shares = [budget.share(), budget.share(), budget.share(), budget.share()];
    take(&shares[0], 75).await;
    take(&shares[1], 65).await;
    let before = Instant::now();
    let (admission, ()) = tokio::join!(shares[2].admit(60), async {
        shares[0].asked().await;
        shares[0].set_blocked(true);
        shares[1].asked().await;
        shares[1].hold(0);
    });
    assert_eq!((admission, before), (Admission::Proceed, Instant::now()));
    assert!(!shares[0].is_asked());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_writer_gives_its_share_back_and_a_dropped_wait_its_place() {
    let budget = MemoryBudget::new(100);
    let (one, two, three) = (budget.share(), budget.share(), budget.share());
    take(&one, 60).await;
    // Twenty more would fit the pool, but somebody was first.
    let mut first = Box::pin(two.admit(60));
    assert!(!is_ready(async {
        _ = (&mut first).await;
    }));
    let mut second = Box::pin(three.admit(20));
    assert!(!is_ready(async {
        _ = (&mut second).await;
    }));
    drop(first);
    assert_eq!(timeout(Duration::ZERO, second).await, Ok(Admission::Proceed));
    let (admission, ()) = tokio::join!(two.admit(60), async { drop(one) });
    assert_eq!(admission, Admission::Proceed);
    drop((two, three));
    assert_eq!(budget.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn changes_larger_than_the_limit_pass_one_after_the_other() {
    let budget = MemoryBudget::new(100);
    let most = std::cell::Cell::new(0);
    let writers = (0..10).map(|_| budget.share()).map(|share| {
        let (budget, most) = (&budget, &most);
        async move {
            for _ in 0..5 {
                while share.admit(300).await == Admission::CloseOwn {
                    share.hold(0);
                }
                most.set(budget.held().max(most.get()));
                tokio::task::yield_now().await;
            }
        }
    });
    timeout(Duration::from_mins(1), futures::future::join_all(writers)).await.expect("no deadlock");
    assert_eq!(most.get(), 300);
}
