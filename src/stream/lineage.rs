//! Which shards get a lease, where each starts, and which may be read now (pure).
//!
//! The rules are *parent-first* and its consequences: a shard is read only after its parent is done; a shard found after the first
//! start begins at its trim horizon, whatever the configured start, since nothing of it can have been read; a parent that is neither
//! listed nor leased has expired and counts as done. When a table's stream was disabled and enabled again, the old stream takes the
//! place of a parent: the new one is read when every shard of the old one is done. A stream's ARN ends in the time of its making, so of two
//! streams of a table the older one has the lesser ARN.

use std::collections::{BTreeMap, BTreeSet};

use super::{ShardInfo, StreamArn};
use crate::event::ShardId;
use crate::mutant::{self, Mutant};

/// What is known of a shard from its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// The stream that it belongs to.
    pub stream: StreamArn,
    /// The shards that it continues.
    pub parents: Vec<ShardId>,
    /// Whether everything of it is durable and it takes no more.
    pub done: bool,
    /// When it was done, in seconds since the epoch.
    pub done_at: Option<i64>,
}

/// Where a new lease begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// The oldest record there is.
    TrimHorizon,
    /// The first record made at or after this time (seconds since the epoch).
    At(i64),
}

/// A lease that is to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLease {
    /// The shard.
    pub shard: ShardId,
    /// The shards that it continues.
    pub parents: Vec<ShardId>,
    /// Where reading begins.
    pub begin: Begin,
}

/// A shard's listing and lease are kept this long after its end, lest a listing that still shows it bring it back to life.
/// Twice the retention of a table's stream; a Kinesis stream lists its shards for as long as it keeps their records.
const REMEMBER_SECONDS: i64 = 48 * 3600;

/// Leases for the shards that have none yet. `start` counts for the shards of a first start (no leases at all) only.
pub fn missing_leases(listed: &[ShardInfo], leases: &BTreeMap<ShardId, Leased>, start: Begin) -> Vec<NewLease> {
    let begin = if leases.is_empty() { start } else { Begin::TrimHorizon };
    listed
        .iter()
        .filter(|shard| !leases.contains_key(&shard.id))
        .map(|shard| NewLease { shard: shard.id.clone(), parents: shard.parents.clone(), begin })
        .collect()
}

/// A replaced stream is listed for so long after the last of its shards was done: a listing may show a shard late.
const LINGER_SECONDS: i64 = 600;

/// The older streams whose shards must be listed beside those of `current`, the table's newest: every one that has unfinished leases or had them a
/// moment ago, and all that are known before `current` has its first lease. A shard of theirs that got no lease would be passed over for good.
pub fn replaced(leases: &BTreeMap<ShardId, Leased>, current: &StreamArn, now: i64) -> BTreeSet<StreamArn> {
    let first_look = leases.values().all(|lease| lease.stream != *current);
    let lingers = |lease: &Leased| lease.done_at.is_none_or(|done| now - done < LINGER_SECONDS);
    let older = leases.values().filter(|lease| lease.stream < *current && (first_look || !lease.done || lingers(lease)));
    older.map(|lease| lease.stream.clone()).collect()
}

/// The shards that may be read now: not done, every parent done, and no older stream unfinished. `listed` are the shards of every stream that
/// can still be read.
pub fn readable(listed: &[ShardInfo], leases: &BTreeMap<ShardId, Leased>) -> Vec<ShardId> {
    let listed_ids: BTreeSet<&ShardId> = listed.iter().map(|shard| &shard.id).collect();
    let listed_parents: BTreeMap<&ShardId, &[ShardId]> = listed.iter().map(|shard| (&shard.id, shard.parents.as_slice())).collect();
    let oldest_unfinished = leases.values().filter(|lease| !lease.done).map(|lease| &lease.stream).min();
    let parent_is_done = |parent: &ShardId| match leases.get(parent) {
        Some(lease) => lease.done || mutant::armed(Mutant::ChildBeforeParent),
        None => !listed_ids.contains(parent),
    };
    leases
        .iter()
        .filter(|(_, lease)| !lease.done && Some(&lease.stream) == oldest_unfinished)
        .filter(|(shard, lease)| lease.parents.iter().chain(listed_parents.get(shard).copied().unwrap_or_default()).all(parent_is_done))
        .map(|(shard, _)| shard.clone())
        .collect()
}

/// Leases that nothing needs any more: done for longer than a stream remembers, not listed, with no unfinished child.
pub fn forgettable(listed: &[ShardInfo], leases: &BTreeMap<ShardId, Leased>, now: i64) -> Vec<ShardId> {
    let listed_ids: BTreeSet<&ShardId> = listed.iter().map(|shard| &shard.id).collect();
    let needed: BTreeSet<&ShardId> = leases.values().filter(|lease| !lease.done).flat_map(|lease| &lease.parents).collect();
    leases
        .iter()
        .filter(|(shard, lease)| {
            lease.done
                && lease.done_at.is_some_and(|done| now - done > REMEMBER_SECONDS)
                && !listed_ids.contains(shard)
                && !needed.contains(shard)
        })
        .map(|(shard, _)| shard.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(name: &str) -> ShardId {
        ShardId::new(name)
    }

    fn stream() -> StreamArn {
        StreamArn::new("stream/1")
    }

    fn shard(name: &str, parent: Option<&str>) -> ShardInfo {
        ShardInfo { id: id(name), parents: parent.map(id).into_iter().collect() }
    }

    fn lease(parents: &[&str], done: bool) -> Leased {
        Leased { stream: stream(), parents: parents.iter().map(|p| id(p)).collect(), done, done_at: done.then_some(0) }
    }

    #[test]
    fn a_child_shard_waits_for_its_parent() {
        let listed = [shard("parent", None), shard("child", Some("parent"))];
        let mut leases = BTreeMap::from([(id("parent"), lease(&[], false)), (id("child"), lease(&["parent"], false))]);
        assert_eq!(readable(&listed, &leases), [id("parent")]);
        leases.insert(id("parent"), lease(&[], true));
        assert_eq!(readable(&listed, &leases), [id("child")]);
    }

    #[test]
    fn a_listed_parent_without_a_lease_holds_its_child_back() {
        let listed = [shard("parent", None), shard("child", Some("parent"))];
        let leases = BTreeMap::from([(id("child"), lease(&["parent"], false))]);
        assert!(readable(&listed, &leases).is_empty());
    }

    #[test]
    fn a_parent_that_is_gone_counts_as_done() {
        let leases = BTreeMap::from([(id("child"), lease(&["parent"], false))]);
        assert_eq!(readable(&[shard("child", Some("parent"))], &leases), [id("child")]);
    }

    #[test]
    fn the_configured_start_counts_only_when_there_are_no_leases_yet() {
        let listed = [shard("a", None), shard("b", Some("a"))];
        let first = missing_leases(&listed, &BTreeMap::new(), Begin::At(7));
        assert!(first.iter().all(|new| new.begin == Begin::At(7)));
        let later = missing_leases(&listed, &BTreeMap::from([(id("a"), lease(&[], false))]), Begin::At(7));
        assert_eq!(later, [NewLease { shard: id("b"), parents: vec![id("a")], begin: Begin::TrimHorizon }]);
    }

    #[test]
    fn a_new_stream_waits_for_the_old_one() {
        let new = StreamArn::new("stream/2");
        let of_new = Leased { stream: new.clone(), ..lease(&[], false) };
        let mut leases = BTreeMap::from([(id("old"), lease(&[], false)), (id("new"), of_new)]);
        assert_eq!(readable(&[shard("new", None)], &leases), [id("old")]);
        leases.insert(id("old"), lease(&[], true));
        assert_eq!(readable(&[shard("new", None)], &leases), [id("new")]);
    }

    #[test]
    fn of_several_replaced_streams_the_oldest_is_read_first() {
        let of = |number: u32, done| Leased { stream: StreamArn::new(format!("stream/{number}")), ..lease(&[], done) };
        let mut leases = BTreeMap::from([(id("a"), of(1, true)), (id("b"), of(2, false)), (id("c"), of(3, false))]);
        assert_eq!(readable(&[], &leases), [id("b")]);
        leases.insert(id("b"), of(2, true));
        assert_eq!(readable(&[], &leases), [id("c")]);
    }

    #[test]
    fn a_replaced_stream_is_listed_while_anything_of_it_may_be_unread() {
        let (old, new) = (StreamArn::new("stream/1"), StreamArn::new("stream/2"));
        // Done at the epoch's beginning.
        let mut leases = BTreeMap::from([(id("a"), lease(&[], true))]);
        let later = LINGER_SECONDS;
        assert_eq!(replaced(&leases, &new, later), BTreeSet::from([old.clone()]), "the new stream has no lease yet");
        leases.insert(id("b"), Leased { stream: new.clone(), ..lease(&[], false) });
        assert_eq!(replaced(&leases, &new, later), BTreeSet::new());
        assert_eq!(replaced(&leases, &new, later - 1), BTreeSet::from([old.clone()]), "a listing may be late");
        leases.insert(id("c"), lease(&[], false));
        assert_eq!(replaced(&leases, &new, later), BTreeSet::from([old.clone()]));
        assert_eq!(replaced(&leases, &old, later), BTreeSet::new(), "the newer stream is replaced by nothing");
    }

    #[test]
    fn a_finished_lease_is_kept_while_it_is_listed_or_young_or_its_child_unfinished() {
        let leases = BTreeMap::from([(id("a"), lease(&[], true)), (id("b"), lease(&["a"], false))]);
        let late = REMEMBER_SECONDS + 1;
        assert!(forgettable(&[], &leases, late).is_empty(), "b is unfinished");
        let leases = BTreeMap::from([(id("a"), lease(&[], true)), (id("b"), lease(&["a"], true))]);
        assert!(forgettable(&[], &leases, REMEMBER_SECONDS).is_empty(), "too young");
        assert_eq!(forgettable(&[shard("b", None)], &leases, late), [id("a")]);
    }

    /// A random lineage: shard n continues up to two earlier shards; some shards are no longer listed.
    fn forest() -> impl Strategy<Value = (Vec<ShardInfo>, Vec<bool>)> {
        prop::collection::vec(
            (any::<[prop::sample::Index; 2]>(), prop_oneof![1 => Just(0), 3 => Just(1), 1 => Just(2)], prop::bool::weighted(0.8)),
            1..40,
        )
        .prop_map(|draws| {
            let mut shards = Vec::new();
            let mut listed = Vec::new();
            for (n, (parents, count, is_listed)) in draws.into_iter().enumerate() {
                let parents =
                    parents.iter().take(if n > 0 { count } else { 0 }).map(|parent| id(&format!("s{}", parent.index(n)))).collect();
                shards.push(ShardInfo { id: id(&format!("s{n}")), parents });
                listed.push(is_listed);
            }
            (shards, listed)
        })
    }

    proptest! {
        /// Reading whatever is readable, in any order, ends with every listed shard read, each after its listed parent.
        #[test]
        fn every_listed_shard_is_read_once_and_after_its_parent((shards, keep) in forest(), picks in prop::collection::vec(any::<prop::sample::Index>(), 64)) {
            let listed: Vec<ShardInfo> = shards.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(shard, _)| shard).collect();
            let mut leases = BTreeMap::new();
            for new in missing_leases(&listed, &leases, Begin::TrimHorizon) {
                leases.insert(new.shard, Leased { stream: stream(), parents: new.parents, done: false, done_at: None });
            }
            let mut read: Vec<ShardId> = Vec::new();
            let mut picks = picks.into_iter().cycle();
            loop {
                let ready = readable(&listed, &leases);
                let Some(pick) = picks.next().filter(|_| !ready.is_empty()) else { break };
                let shard = ready[pick.index(ready.len())].clone();
                prop_assert!(!read.contains(&shard));
                let parents = &listed.iter().find(|s| s.id == shard).unwrap().parents;
                for parent in parents.iter().filter(|parent| listed.iter().any(|s| s.id == **parent)) {
                    prop_assert!(read.contains(parent), "{shard} was readable before {parent}");
                }
                leases.get_mut(&shard).unwrap().done = true;
                read.push(shard);
            }
            prop_assert_eq!(read.len(), listed.len());
        }

        /// However the listing is cut into discoveries, no lease is created twice and later ones begin at the trim horizon.
        #[test]
        fn late_shards_begin_at_the_trim_horizon((shards, keep) in forest()) {
            let first: Vec<ShardInfo> = shards.iter().zip(&keep).filter(|(_, keep)| **keep).map(|(shard, _)| shard.clone()).collect();
            let mut leases = BTreeMap::new();
            for new in missing_leases(&first, &leases, Begin::At(9)) {
                leases.insert(new.shard, lease(&[], false));
            }
            let was_first_start = leases.is_empty();
            for new in missing_leases(&shards, &leases, Begin::At(9)) {
                prop_assert_eq!(new.begin, if was_first_start { Begin::At(9) } else { Begin::TrimHorizon });
                prop_assert!(leases.insert(new.shard, lease(&[], false)).is_none());
            }
            prop_assert_eq!(leases.len(), shards.len());
        }
    }
}
