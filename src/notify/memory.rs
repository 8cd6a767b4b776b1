//! What a worker remembers of a stage's notices from look to look. It is forgotten when the worker ends; then others, or its next start,
//! begin anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::condition::Findings;
use crate::lease::notice::{Notice, NoticeKind};
use crate::retry::{Delays, RetryPolicy};

/// What a value has swung to once, it may leave again: it is over when two looks in a row say so.
const CALM_LOOKS: u32 = 2;

/// The memory of one stage.
#[derive(Debug, Default)]
pub(super) struct Memory {
    notices: BTreeMap<String, Remembered>,
}

#[derive(Debug)]
struct Remembered {
    version: u64,
    /// When the version was seen first, by this worker's monotonic clock.
    since: Instant,
    /// Looks in a row that found nothing of it.
    calm: u32,
    /// Receivers that failed to take the message, and when to try them again.
    failing: BTreeMap<&'static str, Failing>,
}

#[derive(Debug)]
struct Failing {
    delays: Delays,
    until: Instant,
}

impl Memory {
    /// Takes note of the notices as they are, and of what a look has found.
    pub(super) fn note(&mut self, notices: &[Notice], findings: &Findings, now: Instant) {
        let lasting: BTreeSet<String> = findings.conditions.iter().map(super::condition::Condition::key).collect();
        let mut before = std::mem::take(&mut self.notices);
        for notice in notices {
            let key = notice.key();
            let mut remembered = before.remove(&key).unwrap_or_else(|| Remembered {
                version: notice.version,
                since: now,
                calm: 0,
                failing: BTreeMap::new(),
            });
            if remembered.version != notice.version {
                (remembered.version, remembered.since) = (notice.version, now);
            }
            let is_calm = !lasting.contains(&key) && !findings.unknown.contains(&notice.kind);
            remembered.calm = if is_calm { remembered.calm + 1 } else { 0 };
            self.notices.insert(key, remembered);
        }
    }

    /// Whether what a notice tells is over.
    pub(super) fn is_over(&self, notice: &Notice) -> bool {
        let looks = match notice.kind {
            // The ledger says that it is closed; that is no measurement.
            NoticeKind::Gap | NoticeKind::StreamReplaced => 1,
            NoticeKind::Quarantine | NoticeKind::TimeToTrim | NoticeKind::Freshness => CALM_LOOKS,
        };
        self.notices.get(&notice.key()).is_some_and(|remembered| remembered.calm >= looks)
    }

    /// Whether the worker `owner` may write a notice: nobody is telling of it, it is itself, or whoever is has not been heard of for
    /// `claim`.
    pub(super) fn may_write(&self, notice: &Notice, owner: &str, claim: Duration, now: Instant) -> bool {
        let stands_still = || self.notices.get(&notice.key()).is_some_and(|remembered| now.duration_since(remembered.since) >= claim);
        notice.teller.as_deref().is_none_or(|teller| teller == owner) || stands_still()
    }

    /// Whether it is time to send a message about a notice to a receiver.
    pub(super) fn is_due(&self, key: &str, receiver: &str, now: Instant) -> bool {
        let failing = self.notices.get(key).and_then(|remembered| remembered.failing.get(receiver));
        failing.is_none_or(|failing| failing.until <= now)
    }

    /// A receiver took the message.
    pub(super) fn taken(&mut self, key: &str, receiver: &str) {
        if let Some(remembered) = self.notices.get_mut(key) {
            remembered.failing.remove(receiver);
        }
    }

    /// A receiver did not take the message. Returns how long it is left alone with it.
    pub(super) fn failed(&mut self, key: &str, receiver: &'static str, policy: RetryPolicy, now: Instant) -> Duration {
        let fresh = || Remembered { version: 0, since: now, calm: 0, failing: BTreeMap::new() };
        let remembered = self.notices.entry(key.to_owned()).or_insert_with(fresh);
        let failing = remembered.failing.entry(receiver).or_insert_with(|| Failing { delays: Delays::new(policy), until: now });
        let delay = failing.delays.next_delay().unwrap_or(policy.longest);
        failing.until = now + delay;
        delay
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::super::condition::Condition;
    use super::*;

    const CLAIM: Duration = Duration::from_secs(30);

    fn notice(kind: NoticeKind, version: u64, teller: Option<&str>) -> Notice {
        Notice {
            version,
            kind,
            subject: "s".to_owned(),
            stage: "capture".to_owned(),
            since: 0,
            open: true,
            beliefs: BTreeMap::new(),
            teller: teller.map(str::to_owned),
            summary: String::new(),
            action: String::new(),
            details: Map::new(),
        }
    }

    fn found(kind: NoticeKind, raises: bool) -> Findings {
        let (subject, summary, action) = ("s".to_owned(), String::new(), String::new());
        Findings {
            conditions: vec![Condition { kind, subject, since: 0, raises, summary, action, details: Map::new() }],
            unknown: BTreeSet::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_measured_is_over_when_two_looks_in_a_row_say_so() {
        let (mut memory, kind) = (Memory::default(), NoticeKind::Freshness);
        let late = [notice(kind, 1, None)];
        let unknown = Findings { unknown: [kind].into(), ..Findings::default() };
        let looks = [
            (Findings::default(), false),
            (found(kind, false), false),
            (Findings::default(), false),
            (unknown, false),
            (Findings::default(), false),
            (Findings::default(), true),
            (found(kind, true), false),
        ];
        for (number, (findings, over)) in looks.into_iter().enumerate() {
            memory.note(&late, &findings, Instant::now());
            assert_eq!(memory.is_over(&late[0]), over, "look {number}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_is_over_when_the_ledger_says_so() {
        let (mut memory, gap) = (Memory::default(), notice(NoticeKind::Gap, 1, None));
        memory.note(std::slice::from_ref(&gap), &Findings::default(), Instant::now());
        assert!(memory.is_over(&gap));
    }

    #[tokio::test(start_paused = true)]
    async fn another_worker_is_left_to_tell_until_it_stands_still() {
        let mut memory = Memory::default();
        let theirs = |version| notice(NoticeKind::Gap, version, Some("other"));
        memory.note(&[theirs(1)], &Findings::default(), Instant::now());
        assert!(memory.may_write(&notice(NoticeKind::Gap, 1, None), "me", CLAIM, Instant::now()));
        assert!(memory.may_write(&notice(NoticeKind::Gap, 1, Some("me")), "me", CLAIM, Instant::now()));
        tokio::time::advance(CLAIM / 2).await;
        memory.note(&[theirs(2)], &Findings::default(), Instant::now());
        tokio::time::advance(CLAIM / 2).await;
        memory.note(&[theirs(2)], &Findings::default(), Instant::now());
        assert!(!memory.may_write(&theirs(2), "me", CLAIM, Instant::now()), "it was written half the time ago");
        tokio::time::advance(CLAIM / 2).await;
        assert!(memory.may_write(&theirs(2), "me", CLAIM, Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_fails_is_left_alone_for_longer_and_longer() {
        let policy = RetryPolicy { first: Duration::from_mins(1), longest: Duration::from_hours(1), give_up_after: Duration::MAX };
        let mut memory = Memory::default();
        let first = memory.failed("key", "webhook", policy, Instant::now());
        assert!(!memory.is_due("key", "webhook", Instant::now()));
        assert!(memory.is_due("key", "sns", Instant::now()), "another one is not held up");
        tokio::time::advance(first).await;
        assert!(memory.is_due("key", "webhook", Instant::now()));
        let delays: Vec<Duration> = (0..40).map(|_| memory.failed("key", "webhook", policy, Instant::now())).collect();
        assert!(delays[39] > policy.first * 10 && delays.iter().all(|delay| *delay <= policy.longest * 3 / 2), "{delays:?}");
        memory.taken("key", "webhook");
        assert!(memory.is_due("key", "webhook", Instant::now()));
    }
}
