//! Keeping to a read budget.
//!
//! What a page cost is known only when it is there, so reading goes into debt and waits until the debt is paid: each half read capacity unit takes its
//! share of a second. Time that passes unused counts as paid in advance for no longer than [`CREDIT`], so that late timers do not add up
//! and a pause does not become a burst. All readers of a snapshot in this process share one debt.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How much unused time may be made up for.
const CREDIT: Duration = Duration::from_secs(1);
/// A page is to cost what may be read within this time.
const PAGE: Duration = Duration::from_secs(1);
/// Before the first page: what a row costs, in half units. Far more than usual, an item of 40 KB read consistently, so that the readers do not begin
/// with a page each that takes long to pay; the pages grow as soon as the rows are known.
const FIRST_GUESS: f64 = 20.0;
/// How much the last page counts in what a row is thought to cost.
const WEIGHT: f64 = 0.5;
/// More than a page of Scan holds.
const MOST_ROWS: f64 = 1_000_000.0;

/// The debt of this process's readers of one snapshot.
#[derive(Debug)]
pub(super) struct Budget {
    /// Half units a second, over all workers; none where reading is free.
    total: Option<f64>,
    state: Mutex<Debt>,
}

/// What was read and is not paid yet. Pure.
#[derive(Debug, Clone, Copy)]
struct Debt {
    /// Half units that this process may read in a second.
    per_second: f64,
    /// Readers that share them.
    readers: u32,
    /// When everything that was read is paid.
    paid_at: Option<Instant>,
    row_cost: f64,
}

impl Budget {
    /// A budget of so many half units a second over all workers.
    pub(super) fn new(total: Option<f64>) -> Self {
        let debt = Debt { per_second: total.unwrap_or_default(), readers: 1, paid_at: None, row_cost: FIRST_GUESS };
        Self { total, state: Mutex::new(debt) }
    }

    /// This process reads so many of the segments that anybody reads.
    pub(super) fn share(&self, ours: usize, all: usize) {
        let Some(total) = self.total else { return };
        let (ours, all) = (u32::try_from(ours.max(1)).unwrap_or(u32::MAX), u32::try_from(all.max(ours).max(1)).unwrap_or(u32::MAX));
        let mut debt = self.lock();
        debt.per_second = total * f64::from(ours) / f64::from(all);
        debt.readers = ours;
    }

    /// When the next page may be read; none when at once.
    pub(super) fn paid_at(&self) -> Option<Instant> {
        self.total.and(self.lock().paid_at)
    }

    /// A page that was asked for at `begun` cost so much.
    pub(super) fn charge(&self, begun: Instant, half_units: u64, rows: usize) {
        if self.total.is_some() {
            self.lock().charge(begun, half_units, rows);
        }
    }

    /// How many rows the next page is to have at most.
    pub(super) fn most(&self) -> Option<u32> {
        self.total.map(|_| self.lock().most())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Debt> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debt {
    #[expect(clippy::cast_precision_loss, reason = "a page costs less than 2^52 half units and has fewer rows")]
    fn charge(&mut self, begun: Instant, half_units: u64, rows: usize) {
        let cost = half_units as f64;
        let earliest = begun.checked_sub(CREDIT).unwrap_or(begun);
        // A first page is not late.
        let from = self.paid_at.map_or(begun, |paid_at| paid_at.max(earliest));
        let seconds = Duration::try_from_secs_f64(cost / self.per_second).unwrap_or(Duration::MAX);
        self.paid_at = Some(from.checked_add(seconds).unwrap_or(from + Duration::from_hours(24)));
        if rows > 0 {
            self.row_cost += WEIGHT * (cost / rows as f64 - self.row_cost);
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the number lies between one and a million")]
    fn most(&self) -> u32 {
        let affordable = self.per_second * PAGE.as_secs_f64() / f64::from(self.readers);
        (affordable / self.row_cost.max(f64::MIN_POSITIVE)).clamp(1.0, MOST_ROWS) as u32
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    /// A table whose rows cost these half units; each page's cost is rounded up.
    struct Table {
        row: f64,
        page_rows: u32,
        latency: Duration,
    }

    /// Reads for `time`, by so many readers of one process, and returns the half units read a second.
    async fn rate(budget: Arc<Budget>, readers: usize, table: Arc<Table>, time: Duration) -> f64 {
        budget.share(readers, readers);
        let begun = Instant::now();
        let reader = || {
            let (budget, table) = (Arc::clone(&budget), Arc::clone(&table));
            tokio::spawn(async move {
                let mut read = 0;
                while begun.elapsed() < time {
                    let asked = Instant::now();
                    let rows = budget.most().unwrap().min(table.page_rows);
                    tokio::time::sleep(table.latency).await;
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
                    let cost = (f64::from(rows) * table.row).ceil() as u64;
                    budget.charge(asked, cost, rows as usize);
                    read += cost;
                    tokio::time::sleep_until(budget.paid_at().unwrap()).await;
                }
                read
            })
        };
        let tasks: Vec<_> = (0..readers).map(|_| reader()).collect();
        let mut read = 0;
        for task in tasks {
            read += task.await.unwrap();
        }
        f64::from(u32::try_from(read).unwrap()) / begun.elapsed().as_secs_f64()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_average_keeps_to_the_budget(
            per_second in 2_u32..2000,
            row in 0.05_f64..20.0,
            readers in 1_usize..5,
            latency in 1_u64..100,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let rate = runtime.block_on(async {
                let table = Table { row, page_rows: 4000, latency: Duration::from_millis(latency) };
                rate(Arc::new(Budget::new(Some(per_second.into()))), readers, Arc::new(table), Duration::from_mins(10)).await
            });
            let wanted = f64::from(per_second);
            prop_assert!((0.95 * wanted..=1.05 * wanted).contains(&rate), "{rate} instead of {wanted}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_does_not_become_a_burst() {
        let budget = Budget::new(Some(10.0));
        budget.charge(Instant::now(), 10, 10);
        tokio::time::sleep(Duration::from_hours(1)).await;
        let begun = Instant::now();
        for _ in 0..10 {
            budget.charge(begun, 10, 10);
        }
        let owed = budget.paid_at().unwrap().duration_since(begun);
        assert_eq!(owed, Duration::from_secs(9), "ten seconds' worth, of which one was paid in advance");
    }

    #[test]
    fn a_worker_has_its_readers_part_of_the_budget() {
        let budget = Budget::new(Some(100.0));
        for _ in 0..20 {
            budget.charge(Instant::now(), 25, 25);
        }
        for readers in [1, 2, 4] {
            budget.share(readers, 4);
            assert_eq!(budget.most(), Some(24), "a quarter for each reader, at a half unit a row and a little");
        }
    }

    #[test]
    fn a_page_is_about_a_second_of_the_budget() {
        let budget = Budget::new(Some(100.0));
        for _ in 0..20 {
            budget.charge(Instant::now(), 400, 100);
        }
        assert!((24..=26).contains(&budget.most().unwrap()), "{:?}", budget.most());
        budget.charge(Instant::now(), 100_000, 1);
        assert_eq!(budget.most(), Some(1), "no less than a row");
    }

    #[test]
    fn without_a_budget_nothing_waits() {
        let budget = Budget::new(None);
        budget.charge(Instant::now(), 1_000_000, 1);
        assert_eq!((budget.paid_at(), budget.most()), (None, None));
    }
}
