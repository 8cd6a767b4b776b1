//! What a run exercised, so that a clean result can be weighed.

use std::collections::BTreeMap;
use std::fmt;

use crate::check::Seen;

/// Counts by name; they add up over runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<String, u64>);

impl Coverage {
    /// One run's counts.
    pub(super) fn of(
        seen: Seen,
        faults: &BTreeMap<&'static str, u64>,
        fleet: &BTreeMap<&'static str, u64>,
        history: &BTreeMap<&'static str, u64>,
    ) -> Self {
        let Seen {
            changes,
            ttl_deletes,
            landed,
            lost,
            unstreamed,
            objects,
            reshards,
            splits,
            takeovers,
            gaps,
            trims,
            pages,
            empty_pages,
            lease_writes,
            refused_conditions,
        } = seen;
        let seen: [(&str, u64); 15] = [
            ("changes", changes),
            ("changes by TTL", ttl_deletes),
            ("changes landed", landed),
            ("changes trimmed unread", lost),
            ("changes while no stream was enabled", unstreamed),
            ("objects", objects),
            ("shards closed with children", reshards),
            ("splits", splits),
            ("leases taken over", takeovers),
            ("gaps in the ledger", gaps),
            ("trims", trims),
            ("pages", pages),
            ("empty pages", empty_pages),
            ("lease writes", lease_writes),
            ("refused lease writes", refused_conditions),
        ];
        let faults = faults.iter().map(|(name, count)| (format!("fault: {name}"), *count));
        let others = fleet.iter().chain(history).map(|(name, count)| ((*name).to_owned(), *count));
        let seen = seen.into_iter().map(|(name, count)| (name.to_owned(), count));
        Self(seen.chain(others).chain(faults).collect())
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            *self.0.entry(name.clone()).or_default() += count;
        }
    }

    /// One count.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in self.0.iter().filter(|(_, count)| **count > 0) {
            writeln!(f, "{count:>12}  {name}")?;
        }
        Ok(())
    }
}
