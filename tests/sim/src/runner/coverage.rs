//! What a run exercised, so that a clean result can be weighed.

use std::collections::BTreeMap;
use std::fmt;

use crate::check::Counts;

/// Counts by name; they add up over runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<String, u64>);

impl Coverage {
    /// One run's counts: of what the checker saw and what was done, and of faults.
    pub(super) fn of(seen: impl IntoIterator<Item = Counts>, faults: &Counts) -> Self {
        let seen = seen.into_iter().flatten().map(|(name, count)| (name.to_owned(), count));
        Self(seen.chain(faults.iter().map(|(name, count)| (format!("fault: {name}"), *count))).collect())
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
