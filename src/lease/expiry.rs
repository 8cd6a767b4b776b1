//! Telling abandoned leases (pure).
//!
//! A lease is abandoned when its counter has not moved for the fail-over time, as seen by the observer's own monotonic clock. No worker's
//! wall clock counts, so a wrong clock takes nothing from anybody.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Lease;
use crate::event::ShardId;

/// What one observer has seen of the leases.
#[derive(Debug, Default)]
pub struct Observed(BTreeMap<ShardId, (u64, Instant)>);

impl Observed {
    /// Takes note of the leases as they stand at `now`, and forgets those that are gone.
    pub fn update(&mut self, leases: &[Lease], now: Instant) {
        let before = std::mem::take(&mut self.0);
        self.0 = leases
            .iter()
            .map(|lease| {
                let since = match before.get(&lease.shard) {
                    Some((counter, since)) if *counter == lease.counter => *since,
                    _ => now,
                };
                (lease.shard.clone(), (lease.counter, since))
            })
            .collect();
    }

    /// Whether nobody holds the lease: no owner, or an owner that has not renewed it for `failover`.
    pub fn is_free(&self, lease: &Lease, failover: Duration, now: Instant) -> bool {
        lease.holder().is_none() || self.has_expired(lease, failover, now)
    }

    /// Whether its holder has not renewed it for `failover`.
    pub fn has_expired(&self, lease: &Lease, failover: Duration, now: Instant) -> bool {
        lease.holder().is_some()
            && self.0.get(&lease.shard).is_some_and(|(counter, since)| *counter == lease.counter && now.duration_since(*since) >= failover)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::Checkpoint;
    use crate::stream::StreamArn;

    const FAILOVER: Duration = Duration::from_secs(10);

    fn lease(owner: Option<&str>, counter: u64) -> Lease {
        let lease = Lease::new(ShardId::new("shard"), StreamArn::new("stream"), Checkpoint::TrimHorizon);
        Lease { owner: owner.map(str::to_owned), counter, ..lease }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_free_only_after_its_counter_stood_still_for_the_failover_time() {
        let mut observed = Observed::default();
        let begun = Instant::now();
        observed.update(&[lease(Some("other"), 1)], begun);
        assert!(!observed.is_free(&lease(Some("other"), 1), FAILOVER, begun + FAILOVER / 2));
        observed.update(&[lease(Some("other"), 1)], begun + FAILOVER / 2);
        assert!(observed.is_free(&lease(Some("other"), 1), FAILOVER, begun + FAILOVER), "seen twice, unchanged");
        observed.update(&[lease(Some("other"), 2)], begun + FAILOVER);
        assert!(!observed.is_free(&lease(Some("other"), 2), FAILOVER, begun + FAILOVER), "it was renewed");
    }

    #[tokio::test(start_paused = true)]
    async fn an_unowned_lease_is_free_and_an_unseen_one_is_not() {
        let observed = Observed::default();
        assert!(observed.is_free(&lease(None, 1), FAILOVER, Instant::now()));
        assert!(!observed.is_free(&lease(Some("other"), 1), FAILOVER, Instant::now()));
    }
}
