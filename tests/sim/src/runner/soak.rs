//! Many seeds, on every core.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Context as _;

use super::coverage::Coverage;
use super::scenario::{Route, Scenario};
use super::{Report, play};
use crate::check::Violation;

/// What became of many seeds.
#[derive(Debug, Default)]
pub struct Soak {
    /// Seeds that were played to their end.
    pub played: u64,
    /// The seeds with violations, and those.
    pub failed: Vec<(u64, Vec<Violation>)>,
    /// What was exercised.
    pub coverage: Coverage,
}

/// Plays seeds on `threads` threads, each on its own runtime, on one route or on those that they draw. With `stop_at_first`, no new seed is begun after a violation. `progress` is
/// called after each seed.
pub fn soak(
    seeds: Range<u64>,
    route: Option<Route>,
    threads: usize,
    stop_at_first: bool,
    progress: &(dyn Fn(&Soak) + Sync),
) -> anyhow::Result<Soak> {
    let next = AtomicU64::new(seeds.start);
    let stop = AtomicBool::new(false);
    let total = Mutex::new(Soak::default());
    let work = || -> anyhow::Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let scenario = Scenario::draw(seed, route.unwrap_or_else(|| Route::drawn(seed)));
            let Report { violations, coverage, .. } = play(&scenario, None).with_context(|| format!("play seed {seed}"))?;
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            total.played += 1;
            total.coverage.add(&coverage);
            if !violations.is_empty() {
                total.failed.push((seed, violations));
                stop.fetch_or(stop_at_first, Ordering::Relaxed);
            }
            progress(&total);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a seed's thread panicked"))))
    })?;
    let mut total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    total.failed.sort_by_key(|(seed, _)| *seed);
    Ok(total)
}
