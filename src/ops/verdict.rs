//! Whether data moves, and if not, why: what `/readyz` says. Pure.

use std::fmt;
use std::time::Duration;

use super::reading::{Phase, ShardReading, StageReading};
use crate::consumer::board::Doing;
use crate::event::ShardId;
use crate::route::counters::Trouble;

/// A shard that has just begun to wait may go on at the next attempt, and a load balancer or an alarm should not flap for that: the first waits last a
/// few seconds. What still waits after this long is worth telling.
pub const WAIT_GRACE: Duration = Duration::from_secs(10);

/// What a running service may take its time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a shard may go without confirmed progress.
    pub progress: Duration,
    /// How long a stage may go without a look at its stream and its leases.
    pub look: Duration,
}

/// Why the service is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The pipeline is not built yet.
    Starting,
    /// The shutdown has begun.
    Stopping,
    /// A stage has never seen its stream.
    NeverLooked {
        /// The stage.
        stage: &'static str,
    },
    /// A stage does not get to see its stream or its leases.
    NoLook {
        /// The stage.
        stage: &'static str,
        /// For how long.
        since: Duration,
        /// What was in the way the last time, if that is known.
        why: Option<String>,
    },
    /// A service does not take what is sent to it.
    Refused {
        /// The service.
        service: &'static str,
        /// How many shards wait for it.
        shards: usize,
        /// For how long the first of them has.
        since: Duration,
        /// Why, as of the last attempt.
        why: String,
    },
    /// A shard waits for something to pass, such as a target that is down.
    Waits {
        /// The stage.
        stage: &'static str,
        /// The shard.
        shard: ShardId,
        /// For how long nothing was confirmed.
        since: Duration,
        /// What it waits for, in words.
        reason: String,
    },
    /// The former holder does not hand a shard over.
    NotHandedOver {
        /// The stage.
        stage: &'static str,
        /// The shard.
        shard: ShardId,
        /// For how long.
        since: Duration,
    },
    /// A shard reads, and nothing comes of it.
    Stalled {
        /// The stage.
        stage: &'static str,
        /// The shard.
        shard: ShardId,
        /// For how long.
        since: Duration,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => write!(f, "starting"),
            Self::Stopping => write!(f, "stopping"),
            Self::NeverLooked { stage } => write!(f, "{stage}: has not looked at its stream yet"),
            Self::NoLook { stage, since, why } => {
                write!(f, "{stage}: has not looked at its stream and its leases for {}", Words(*since))?;
                why.iter().try_for_each(|why| write!(f, ": {why}"))
            }
            Self::Refused { service, shards, since, why } => {
                write!(f, "{service}: takes nothing of {shards} shards, of the first for {}: {why}", Words(*since))
            }
            Self::Waits { stage, shard, since, reason } => {
                write!(f, "{stage}: shard {shard} waits, without progress for {}: {reason}", Words(*since))
            }
            Self::NotHandedOver { stage, shard, since } => {
                write!(f, "{stage}: shard {shard} has not been handed over by its former holder for {}", Words(*since))
            }
            Self::Stalled { stage, shard, since } => write!(f, "{stage}: shard {shard} has confirmed no progress for {}", Words(*since)),
        }
    }
}

/// A time in whole seconds, such as `4m 12s`.
struct Words(Duration);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(Duration::from_secs(self.0.as_secs())).fmt(f)
    }
}

/// What keeps the service from being ready, stage by stage, what has lasted longest first.
pub fn verdict(phase: Phase, stages: &[StageReading], troubles: &[(&'static str, Vec<Trouble>)], limits: Limits) -> Vec<Reason> {
    match phase {
        Phase::Starting => vec![Reason::Starting],
        Phase::Stopping => vec![Reason::Stopping],
        Phase::Running => {
            let refused = troubles.iter().filter_map(|(service, troubles)| refused(service, troubles));
            refused.chain(stages.iter().flat_map(|stage| of_stage(stage, limits))).collect()
        }
    }
}

fn refused(service: &'static str, troubles: &[Trouble]) -> Option<Reason> {
    let lasting: Vec<&Trouble> = troubles.iter().filter(|trouble| trouble.since >= WAIT_GRACE).collect();
    let first = lasting.first()?;
    Some(Reason::Refused { service, shards: lasting.len(), since: first.since, why: first.why.clone() })
}

/// Whether a shard has confirmed nothing for too long, whatever it does.
pub(super) fn is_stalled(shard: &ShardReading, limit: Duration) -> bool {
    shard.since_progress > limit
}

fn of_stage(stage: &StageReading, limits: Limits) -> Vec<Reason> {
    let look = match &stage.looked {
        None => Some(Reason::NeverLooked { stage: stage.name }),
        Some(look) if look.ago > limits.look => Some(Reason::NoLook { stage: stage.name, since: look.ago, why: stage.trouble.clone() }),
        Some(_) => None,
    };
    let mut shards: Vec<_> = stage.shards.iter().collect();
    shards.sort_by_key(|shard| std::cmp::Reverse(shard.since_progress));
    look.into_iter().chain(shards.into_iter().filter_map(|shard| of_shard(stage.name, shard, limits.progress))).collect()
}

fn of_shard(stage: &'static str, held: &ShardReading, limit: Duration) -> Option<Reason> {
    let (shard, since) = (held.shard.clone(), held.since_progress);
    match &held.doing {
        // A shard may go without progress for long by design; what counts is how long something has been in its way.
        Doing::Waiting(reason) => (held.since >= WAIT_GRACE).then(|| Reason::Waits { stage, shard, since, reason: reason.clone() }),
        Doing::TakingOver => is_stalled(held, limit).then_some(Reason::NotHandedOver { stage, shard, since }),
        Doing::Reading => is_stalled(held, limit).then_some(Reason::Stalled { stage, shard, since }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::reading::tests::{shard, stage};
    use super::*;

    const LIMITS: Limits = Limits { progress: Duration::from_mins(3), look: Duration::from_mins(2) };

    fn said(stages: &[StageReading]) -> Vec<String> {
        verdict(Phase::Running, stages, &[], LIMITS).iter().map(ToString::to_string).collect()
    }

    fn held(name: &str, doing: Doing, since_progress: Duration) -> ShardReading {
        ShardReading { doing, since_progress, ..shard(name, Some(1)) }
    }

    #[test]
    fn a_service_whose_shards_move_is_ready() {
        let quiet = held("b", Doing::Reading, LIMITS.progress);
        assert!(said(&[stage("capture", vec![shard("a", None), quiet]), stage("deliver", Vec::new())]).is_empty());
    }

    #[test]
    fn a_service_is_not_ready_before_and_after_it_runs_however_well_its_shards_do() {
        let stages = [stage("capture", vec![shard("a", Some(1))])];
        assert_eq!(verdict(Phase::Starting, &stages, &[], LIMITS), [Reason::Starting]);
        assert_eq!(verdict(Phase::Stopping, &stages, &[], LIMITS), [Reason::Stopping]);
    }

    #[test]
    fn a_stage_that_has_not_seen_its_stream_is_not_ready_though_it_holds_nothing() {
        let mut never = stage("capture", Vec::new());
        never.looked = None;
        let mut long_ago = stage("deliver", Vec::new());
        long_ago.looked.as_mut().unwrap().ago = LIMITS.look + Duration::from_millis(1_900);
        let expected = ["capture: has not looked at its stream yet", "deliver: has not looked at its stream and its leases for 2m 1s"];
        assert_eq!(said(&[never, long_ago]), expected);
    }

    #[test]
    fn a_shard_that_waits_says_for_what() {
        let reason = "create s3://lake/orders/1.parquet: the store does not answer";
        let waiting = held("a", Doing::Waiting(reason.to_owned()), Duration::from_mins(4));
        let expected = "capture: shard a waits, without progress for 4m: create s3://lake/orders/1.parquet: the store does not answer";
        assert_eq!(said(&[stage("capture", vec![waiting])]), [expected]);
    }

    #[test]
    fn a_wait_is_told_of_after_a_grace_and_not_before() {
        let waiting = |since| {
            let held = held("a", Doing::Waiting("it is down".to_owned()), Duration::from_mins(1));
            stage("capture", vec![ShardReading { since, ..held }])
        };
        assert!(said(&[waiting(WAIT_GRACE.checked_sub(Duration::from_millis(1)).unwrap())]).is_empty());
        assert_eq!(said(&[waiting(WAIT_GRACE)]).len(), 1);
    }

    #[test]
    fn a_shard_that_reads_or_is_taken_over_without_an_end_is_stalled() {
        let long = LIMITS.progress + Duration::from_mins(2);
        let stages = [stage(
            "deliver",
            vec![held("a", Doing::TakingOver, LIMITS.progress + Duration::from_secs(1)), held("b", Doing::Reading, long)],
        )];
        let expected = [
            "deliver: shard b has confirmed no progress for 5m",
            "deliver: shard a has not been handed over by its former holder for 3m 1s",
        ];
        assert_eq!(said(&stages), expected, "what has lasted longest comes first");
    }

    #[test]
    fn a_service_that_takes_nothing_is_named_with_its_reason_after_a_moment() {
        let trouble = |shard: &str, since| Trouble { shard: ShardId::new(shard), since, why: "it is throttled".to_owned() };
        let troubles = [("kinesis", vec![trouble("b", Duration::from_secs(70)), trouble("a", WAIT_GRACE), trouble("c", WAIT_GRACE / 2)])];
        let reasons = verdict(Phase::Running, &[stage("capture", Vec::new())], &troubles, LIMITS);
        let said: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["kinesis: takes nothing of 2 shards, of the first for 1m 10s: it is throttled"]);
    }
}
