//! How far behind a stage is, as its leases tell (pure).

use std::collections::{BTreeMap, BTreeSet};

use super::{Checkpoint, Lease};
use crate::event::ShardId;

/// The leases whose shards are being read or could be. A shard that waits for its parent is behind by what the parent is.
pub fn readable(leases: &[Lease]) -> Vec<&Lease> {
    let unfinished = || leases.iter().filter(|lease| lease.checkpoint != Checkpoint::ShardEnd);
    let waited_for: BTreeSet<&ShardId> = unfinished().map(|lease| &lease.shard).collect();
    unfinished().filter(|lease| !lease.parents.iter().any(|parent| waited_for.contains(parent))).collect()
}

/// Everything that the stream took before this time (seconds since the epoch) is durable, over all shards. None when a shard has confirmed
/// nothing yet, or when there is nothing to be read.
pub fn durable_through(leases: &[Lease]) -> Option<i64> {
    readable(leases).iter().map(|lease| lease.durable_through).min().flatten()
}

/// As [`durable_through`], where a shard that has confirmed nothing yet counts from its parents' end, or from when it was found: nothing is
/// known of what it took before, and nothing that it took since is durable. A shard that nobody gets anything out of is behind like any
/// other one.
pub fn confirmed_through(leases: &[Lease]) -> Option<i64> {
    let known: BTreeMap<&ShardId, &Lease> = leases.iter().map(|lease| (&lease.shard, lease)).collect();
    let confirmed = |lease: &Lease| {
        let of_parents = || lease.parents.iter().map(|parent| known.get(parent)?.durable_through).min().flatten();
        lease.durable_through.or_else(|| of_parents().max(lease.found_at))
    };
    readable(leases).into_iter().filter_map(confirmed).min()
}

/// How long until a stream that keeps a record for `retention` seconds starts to drop what is not durable; below zero when it has started.
pub const fn seconds_to_trim(durable_through: i64, retention: i64, now: i64) -> i64 {
    durable_through + retention - now
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::StreamArn;

    fn lease(shard: &str, parents: &[&str], checkpoint: Checkpoint, durable_through: Option<i64>) -> Lease {
        Lease {
            parents: parents.iter().map(|parent| ShardId::new(*parent)).collect(),
            durable_through,
            found_at: Some(50),
            ..Lease::new(ShardId::new(shard), StreamArn::new("stream"), checkpoint)
        }
    }

    #[test]
    fn a_shard_that_is_done_and_one_that_waits_do_not_count() {
        let done = lease("done", &[], Checkpoint::ShardEnd, Some(10));
        let parent = lease("parent", &["done"], Checkpoint::TrimHorizon, Some(30));
        let child = lease("child", &["parent"], Checkpoint::TrimHorizon, None);
        let leases = [done, parent, child, lease("other", &[], Checkpoint::TrimHorizon, Some(40))];
        assert_eq!((durable_through(&leases), confirmed_through(&leases)), (Some(30), Some(30)));
        assert_eq!(durable_through(&leases[..1]), None, "nothing is to be read");
    }

    #[test]
    fn a_shard_that_never_confirmed_anything_is_behind_since_it_was_found() {
        let leases = [lease("a", &["gone"], Checkpoint::TrimHorizon, None), lease("b", &[], Checkpoint::TrimHorizon, Some(90))];
        assert_eq!((durable_through(&leases), confirmed_through(&leases)), (None, Some(50)));
    }

    #[test]
    fn a_child_that_has_just_become_readable_is_as_far_as_its_parent_was() {
        let parent = lease("parent", &[], Checkpoint::ShardEnd, Some(80));
        let child = lease("child", &["parent"], Checkpoint::TrimHorizon, None);
        assert_eq!(confirmed_through(&[parent, child]), Some(80));
    }

    #[test]
    fn what_is_missing_is_trimmed_when_the_retention_has_passed() {
        assert_eq!((seconds_to_trim(100, 60, 130), seconds_to_trim(100, 60, 170)), (30, -10));
    }
}
