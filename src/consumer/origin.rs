//! What a shard continues, and since when it may hold changes that nobody has read (pure).

use crate::event::Position;
use crate::lease::Lease;

/// What the stream trims this soon after a shard was found was at its horizon then: nobody can begin to read at the very moment of finding.
const HORIZON_GRACE: i64 = 600;

/// Where a shard comes from, as the leases tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    /// The last positions of the shards that it continues.
    pub(super) ends: Vec<Position>,
    /// Changes made before this time (seconds since the epoch) are durable or not wanted; nothing is known when absent.
    pub(super) dealt_with_through: Option<i64>,
    /// Since when the shard may hold changes that were never read: if that is longer than a stream remembers, some may be gone.
    pub(super) unread_since: Option<i64>,
}

impl Origin {
    /// The origin of a lease's shard, whose stream keeps a record for `retention` seconds. `leases` holds those of its parents, as far as there are any.
    pub(super) fn of(lease: &Lease, leases: &[Lease], retention: i64) -> Self {
        let before = leases.iter().filter(|other| lease.parents.contains(&other.shard) || other.stream < lease.stream);
        let parents = lease.parents.iter().map(|parent| leases.iter().find(|other| other.shard == *parent)?.durable_through);
        // A shard's changes come after its parents', so what is durable there bounds what can be missing here.
        let through_parents = parents.min().flatten();
        let dealt_with_through = lease.durable_through.max(through_parents);
        Self {
            ends: before.filter_map(|other| other.last_sequence).collect(),
            dealt_with_through,
            unread_since: dealt_with_through.or_else(|| unread_since(lease, leases, retention)),
        }
    }
}

/// Since when a shard may be unread of which neither its own lease nor its parents' tell.
fn unread_since(lease: &Lease, leases: &[Lease], retention: i64) -> Option<i64> {
    let created = lease.stream.created();
    let replaces = leases.iter().any(|other| other.stream < lease.stream);
    if replaces && created.is_some() {
        // The stream before this one was followed, so everything in this one is wanted.
        return created;
    }
    // A shard that is found later than its stream, and whose parents are unknown, may continue what was never found.
    let of_stream = leases.iter().filter(|other| other.stream == lease.stream).filter_map(|other| other.found_at);
    let stream_found_at = of_stream.chain(lease.found_at).min()?;
    let oldest_when_found = stream_found_at - retention + HORIZON_GRACE;
    Some(oldest_when_found.max(created.unwrap_or(i64::MIN)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ShardId;
    use crate::lease::Checkpoint;
    use crate::stream::StreamArn;

    const RETENTION: i64 = 24 * 3600;
    /// A minute past 2026-11-21 03:00 UTC.
    const FOUND: i64 = 1_795_230_060;

    fn lease(shard: &str, parents: &[&str], durable_through: Option<i64>) -> Lease {
        Lease {
            parents: parents.iter().map(|parent| ShardId::new(*parent)).collect(),
            durable_through,
            found_at: Some(FOUND),
            ..Lease::new(ShardId::new(shard), StreamArn::new("stream"), Checkpoint::TrimHorizon)
        }
    }

    #[test]
    fn a_shard_is_unread_since_its_parents_were_durable() {
        let child = lease("child", &["a", "b"], Some(10));
        let parents = [lease("a", &[], Some(30)), lease("b", &[], Some(20))];
        let origin = Origin::of(&child, &parents, RETENTION);
        assert_eq!((origin.dealt_with_through, origin.unread_since), (Some(20), Some(20)));
    }

    #[test]
    fn a_parent_of_which_nothing_is_known_bounds_nothing() {
        let child = lease("child", &["a", "gone"], Some(10));
        assert_eq!(Origin::of(&child, &[lease("a", &[], Some(30))], RETENTION).dealt_with_through, Some(10));
    }

    #[test]
    fn a_shard_of_which_nothing_else_is_known_may_hold_what_was_a_day_old_when_it_was_found() {
        let origin = Origin::of(&lease("a", &[], None), &[], RETENTION);
        assert_eq!((origin.dealt_with_through, origin.unread_since), (None, Some(FOUND - RETENTION + HORIZON_GRACE)));
    }

    #[test]
    fn a_shard_of_unknown_parents_may_hold_what_the_stream_has_since_it_was_found() {
        let first = Lease { found_at: Some(FOUND - 3600), ..lease("a", &[], Some(FOUND)) };
        let origin = Origin::of(&lease("c", &["gone"], None), &[first], RETENTION);
        assert_eq!(origin.unread_since, Some(FOUND - 3600 - RETENTION + HORIZON_GRACE));
    }

    #[test]
    fn a_stream_that_replaced_another_is_unread_since_it_was_made() {
        let older = Lease { stream: StreamArn::new("arn:table/t/stream/2026-11-19T00:00:00.000"), ..lease("a", &[], None) };
        let stream = StreamArn::new("arn:table/t/stream/2026-11-20T00:00:00.000");
        let origin = Origin::of(&Lease { stream, ..lease("b", &[], None) }, &[older], RETENTION);
        assert_eq!(origin.unread_since, Some(FOUND - 60 - 27 * 3600));
    }

    #[test]
    fn nothing_in_a_shard_is_older_than_its_stream() {
        let stream = StreamArn::new("arn:table/t/stream/2026-11-21T03:00:00.000");
        let origin = Origin::of(&Lease { stream, ..lease("a", &[], None) }, &[], RETENTION);
        assert_eq!(origin.unread_since, Some(FOUND - 60));
    }
}
