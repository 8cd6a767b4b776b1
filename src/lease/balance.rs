//! Which leases a worker should take (pure).
//!
//! Every worker sees the same leases and decides for itself, by what the Kinesis Client Library's workers do that have no leader: take what nobody
//! holds, up to an equal share; where nothing is free and another worker has at least two more, ask the one that has most for one of its own. One in a
//! round, since others may do the same at the same moment: the shares meet in the middle after a few rounds, and the last lease of a difference never
//! wanders to and fro.
//!
//! A worker counts as long as it holds a lease and none of its leases has expired. One that holds nothing is seen by nobody, and sees the others: it
//! takes its share from them.

use std::collections::{BTreeMap, BTreeSet};

use super::Lease;

/// A lease on a shard that can be read now.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'l> {
    /// The lease.
    pub lease: &'l Lease,
    /// What is known of its holder.
    pub hold: Holding,
}

/// What is known of a lease's holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// It lives.
    Alive,
    /// It lives, and this worker's own task of before is not at its end yet: not to be asked for.
    Leaving,
    /// There is none, or it is this worker, which has no task for it.
    Free,
    /// It has not renewed the lease for the fail-over time.
    Expired,
    /// There was none, or only a silent one, in an earlier round already, and nobody took it.
    Neglected,
}

impl Holding {
    /// Whether nobody works on the shard.
    pub const fn is_free(self) -> bool {
        match self {
            Self::Free | Self::Expired | Self::Neglected => true,
            Self::Alive | Self::Leaving => false,
        }
    }
}

/// What a worker should do.
#[derive(Debug, Default)]
pub struct Plan<'l> {
    /// Leases to take.
    pub take: Vec<&'l Lease>,
    /// A lease to ask for.
    pub ask: Option<&'l Lease>,
    /// Whether free leases were left to others.
    pub leaves: bool,
}

/// What the worker `me` should do about these leases. `pick` draws a number below the one it is given: workers that see the same at the same time
/// should not all reach for the same lease.
pub fn plan<'l>(candidates: &[Candidate<'l>], me: &str, mut pick: impl FnMut(usize) -> usize) -> Plan<'l> {
    let (mut free, held): (Vec<&Candidate<'l>>, Vec<&Candidate<'l>>) = candidates.iter().partition(|candidate| candidate.hold.is_free());
    let mut loads: BTreeMap<&str, usize> = BTreeMap::from([(me, 0)]);
    for owner in held.iter().filter_map(|candidate| candidate.lease.owner.as_deref()) {
        *loads.entry(owner).or_default() += 1;
    }
    let own = loads.get(me).copied().unwrap_or_default();
    // Who let a lease expire is gone, although another one of its leases may not have expired yet.
    let unrenewed = free.iter().filter(|candidate| candidate.hold != Holding::Free);
    let silent: BTreeSet<&str> = unrenewed.filter_map(|candidate| candidate.lease.holder()).filter(|owner| *owner != me).collect();
    let workers = loads.keys().filter(|owner| !silent.contains(*owner)).count();
    let share = candidates.len().div_ceil(workers.max(1));
    let mut plan = Plan::default();
    while !free.is_empty() {
        let candidate = free.swap_remove(pick(free.len()));
        if own + plan.take.len() < share || candidate.hold == Holding::Neglected {
            plan.take.push(candidate.lease);
        } else {
            plan.leaves = true;
        }
    }
    if plan.take.is_empty() && !plan.leaves {
        let of_others =
            |candidate: &&&Candidate<'l>| candidate.lease.owner.as_deref().is_some_and(|owner| owner != me && !silent.contains(owner));
        let to_spare = |candidate: &&Candidate<'l>| candidate.hold == Holding::Alive && candidate.lease.handing_over.is_none();
        let load =
            |candidate: &&Candidate<'l>| candidate.lease.owner.as_deref().and_then(|owner| loads.get(owner)).copied().unwrap_or_default();
        let askable: Vec<&Candidate<'l>> = held.iter().filter(of_others).copied().filter(to_spare).collect();
        let most = askable.iter().map(load).max().filter(|most| *most >= own + 2);
        let of_busiest: Vec<_> = askable.into_iter().filter(|candidate| Some(load(candidate)) == most).collect();
        plan.ask = (!of_busiest.is_empty()).then(|| of_busiest[pick(of_busiest.len())].lease);
    }
    plan
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::ShardId;
    use crate::lease::Checkpoint;
    use crate::stream::StreamArn;

    fn lease(number: usize, owner: Option<&str>) -> Lease {
        let lease = Lease::new(ShardId::new(format!("shard-{number}")), StreamArn::new("stream"), Checkpoint::TrimHorizon);
        Lease { owner: owner.map(str::to_owned), ..lease }
    }

    fn leases(owners: &[Option<&str>]) -> Vec<Lease> {
        owners.iter().enumerate().map(|(number, owner)| lease(number, *owner)).collect()
    }

    fn candidates<'l>(leases: &'l [Lease], expired: &[&str]) -> Vec<Candidate<'l>> {
        let hold = |lease: &Lease| match lease.owner.as_deref() {
            None => Holding::Free,
            Some(owner) if expired.contains(&owner) => Holding::Expired,
            Some(_) => Holding::Alive,
        };
        leases.iter().map(|lease| Candidate { lease, hold: hold(lease) }).collect()
    }

    #[test]
    fn a_single_worker_takes_everything() {
        let leases = leases(&[None, None, None]);
        assert_eq!(plan(&candidates(&leases, &[]), "me", |_| 0).take.len(), 3);
    }

    #[test]
    fn what_a_dead_worker_leaves_is_shared_out() {
        let owners = [Some("dead"), Some("dead"), Some("dead"), Some("dead"), Some("me"), Some("other")];
        let leases = leases(&owners);
        let plan = plan(&candidates(&leases, &["dead"]), "me", |_| 0);
        assert_eq!((plan.take.len(), plan.leaves), (2, true), "the other one takes two as well");
    }

    #[test]
    fn a_worker_whose_first_lease_has_expired_is_dead_whatever_the_others_look_like() {
        let leases = leases(&[Some("dead"), Some("dead"), Some("me"), Some("me")]);
        let mut candidates = candidates(&leases, &[]);
        candidates[0].hold = Holding::Expired;
        assert_eq!(plan(&candidates, "me", |_| 0).take.len(), 1, "four leases are one worker's to read");
    }

    #[test]
    fn what_nobody_took_is_taken_whatever_the_share() {
        let leases = leases(&[None, Some("me"), Some("other")]);
        let mut candidates = candidates(&leases, &[]);
        candidates.push(Candidate { lease: &leases[1], ..candidates[1] });
        let left = plan(&candidates, "me", |_| 0);
        assert!(left.take.is_empty() && left.leaves);
        candidates[0].hold = Holding::Neglected;
        assert_eq!(plan(&candidates, "me", |_| 0).take.len(), 1);
    }

    #[test]
    fn a_surplus_of_one_stays_where_it_is() {
        let leases = leases(&[Some("a"), Some("a"), Some("me")]);
        assert!(plan(&candidates(&leases, &[]), "me", |_| 0).ask.is_none());
    }

    #[test]
    fn a_lease_is_not_asked_for_while_a_task_of_before_is_not_at_its_end() {
        let leases = leases(&[Some("a"), Some("a")]);
        let mut candidates = candidates(&leases, &[]);
        candidates[0].hold = Holding::Leaving;
        assert_eq!(plan(&candidates, "me", |_| 0).ask, Some(&leases[1]));
        candidates[1].hold = Holding::Leaving;
        assert_eq!(plan(&candidates, "me", |_| 0).ask, None);
    }

    #[test]
    fn where_the_busiest_has_nothing_to_spare_the_next_one_is_asked() {
        let mut leases = leases(&[Some("a"), Some("a"), Some("a"), Some("b"), Some("b")]);
        for lease in &mut leases[..3] {
            lease.handing_over = Some("c".to_owned());
        }
        assert_eq!(plan(&candidates(&leases, &[]), "me", |_| 0).ask.and_then(|lease| lease.owner.as_deref()), Some("b"));
    }

    #[test]
    fn a_lease_that_is_being_handed_over_is_not_asked_for_again() {
        let mut leases = leases(&[Some("a"), Some("a"), Some("a")]);
        for lease in &mut leases {
            lease.handing_over = Some("b".to_owned());
        }
        assert!(plan(&candidates(&leases, &[]), "me", |_| 0).ask.is_none());
    }

    proptest! {
        /// Workers that come and go, each doing what its plan says, in any order: at the end every lease is held, by shares that differ by one at most.
        #[test]
        fn shares_meet_in_the_middle(
            owners in prop::collection::vec(prop::option::of(0_usize..6), 0..40),
            workers in 1_usize..6,
            picks in prop::collection::vec(any::<prop::sample::Index>(), 64),
        ) {
            let names: Vec<String> = (0..6).map(|number| format!("w{number}")).collect();
            let mut leases: Vec<Lease> = owners.iter().enumerate().map(|(n, owner)| lease(n, owner.map(|owner| names[owner].as_str()))).collect();
            let dead: Vec<&str> = names[workers..].iter().map(String::as_str).collect();
            let mut picks = picks.into_iter().cycle();
            let mut pick = |n: usize| picks.next().unwrap().index(n);
            for _ in 0..=leases.len() {
                for me in &names[..workers] {
                    let seen = leases.clone();
                    let Plan { take, ask, leaves } = plan(&candidates(&seen, &dead), me, &mut pick);
                    prop_assert!(ask.is_none() || take.is_empty() && !leaves);
                    for lease in take.into_iter().chain(ask) {
                        let taken = leases.iter_mut().find(|other| other.shard == lease.shard).unwrap();
                        taken.owner = Some(me.clone());
                    }
                }
            }
            let load = |name: &String| leases.iter().filter(|lease| lease.owner.as_ref() == Some(name)).count();
            let loads: Vec<usize> = names[..workers].iter().map(load).collect();
            prop_assert_eq!(loads.iter().sum::<usize>(), leases.len(), "nothing is left over");
            prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1, "{:?}", loads);
        }
    }
}
