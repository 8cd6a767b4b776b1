//! Notifications: what needs a person goes out once, and once more when it is over.
//!
//! A [`Notifier`] runs beside the stages. Once a minute it looks at each stage's lease table and at the quarantine: [`condition`] (pure)
//! tells what needs a person, and a [`Notice`] in the lease table, of which [`crate::lease::notice`] says how it works, keeps what is true
//! and who was told. Receivers are the log, a topic of SNS and a webhook ([`sink`]); all get the same [`Message`].
//!
//! Guaranteed: every receiver is told that something needs a person, and that it is over, at least once each while a worker runs, and
//! exactly once unless a worker ends, or an answer is lost, between a message and the note of it. A receiver that does not take a message
//! is tried again, at longer and longer intervals, until it does; that holds up no other receiver and repeats nothing to it.
//!
//! Not guaranteed: anything while no worker runs. That a service is gone, its platform has to tell. What is over before a receiver could be
//! reached for the first time is not told to it.

pub mod condition;
mod memory;
pub mod message;
pub mod sink;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aws::{AwsError, Failure};
use crate::consumer::WatchedStage;
use crate::lake::Lake;
use crate::lease::notice::{Belief, Notice, NoticeKind};
use crate::lease::table::LeaseTable;
use crate::retry::RetryPolicy;

use condition::{Condition, Expected, Findings};
use memory::Memory;
pub use message::Message;
pub use sink::{InvalidWebhook, Sink, SinkError};

/// How often notices are looked after.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    /// The time between two looks; each is drawn from three to five quarters of it, so that workers do not look all at once.
    pub look: Duration,
    /// How long a notice that another worker is telling of may stand still until that worker counts as gone. Longer than sending and noting
    /// take.
    pub claim: Duration,
    /// When a receiver that failed is tried again.
    pub retry: RetryPolicy,
}

impl Rhythm {
    /// What a service keeps to. A minute more or less matters to no person; a receiver that was away for a night is told within the hour.
    pub const SERVICE: Self = Self {
        look: Duration::from_mins(1),
        claim: Duration::from_mins(3),
        retry: RetryPolicy { first: Duration::from_mins(1), longest: Duration::from_mins(40), give_up_after: Duration::MAX },
    };
}

/// Records in quarantine are counted so far: whoever has more has one problem, and a listing costs a call for a thousand.
const COUNTED: u64 = 10_000;
/// How long reading a lease table or listing the quarantine may take; the next look is not far.
const READ_LIMIT: Duration = Duration::from_secs(20);
/// What a shutdown grants the last look.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// What a notifier works with.
pub struct Context {
    /// The stages of this process, each with its own lease table.
    pub stages: Vec<WatchedStage>,
    /// The lake, and with it the quarantine of all stages.
    pub lake: Arc<Lake>,
    /// The stage that looks after the quarantine: the last one before the lake, whether it runs in this process or in another one.
    pub last_stage: &'static str,
    /// How far behind the contract allows the lake to be.
    pub freshness: Option<Duration>,
    /// How long before the stream drops what is not durable a person is told.
    pub trim_warning: Duration,
    /// Who is told.
    pub sinks: Vec<Sink>,
    /// This process's name in the lease table, different at each start.
    pub owner: String,
    /// How often.
    pub rhythm: Rhythm,
}

/// Tells people of what needs them.
pub struct Notifier {
    context: Context,
    /// One for each stage.
    memories: Vec<Memory>,
}

impl Notifier {
    /// A notifier that remembers nothing yet.
    pub fn new(context: Context) -> Self {
        let memories = context.stages.iter().map(|_| Memory::default()).collect();
        Self { context, memories }
    }

    /// Looks again and again until `stop` is cancelled, and then once more: what made a stage stop may need a person.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let pause = self.context.rhythm.look.mul_f64(0.75 + fastrand::f64() / 2.0);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => break,
            }
            tokio::select! {
                () = self.look() => {}
                // What was claimed and not told by then is told again.
                () = stop.cancelled() => break,
            }
        }
        // Not at the quarantine, which may be long and changes nothing about why a stage stopped.
        if tokio::time::timeout(LAST_LOOK, self.look_at(false)).await.is_err() {
            tracing::warn!(
                "what needs a person could not be told in time before the end; the next start, or another worker, goes on with it"
            );
        }
    }

    /// Looks at every stage once, and tells what is to be told. What fails is logged; the next look goes on with it.
    pub async fn look(&mut self) {
        self.look_at(true).await;
    }

    async fn look_at(&mut self, quarantine: bool) {
        let mut away = BTreeSet::new();
        for (stage, memory) in self.context.stages.iter().zip(&mut self.memories) {
            let mut round = Round { context: &self.context, leases: &stage.leases, memory, away: &mut away };
            if let Err(error) = round.look(stage, quarantine).await {
                tracing::warn!(stage = stage.name, %error, "could not look after what needs a person; trying again at the next look");
            }
        }
    }
}

/// One look at one stage.
struct Round<'a> {
    context: &'a Context,
    leases: &'a LeaseTable,
    memory: &'a mut Memory,
    /// Receivers that could not be reached in this look; they are not waited for a second time.
    away: &'a mut BTreeSet<&'static str>,
}

impl Round<'_> {
    async fn look(&mut self, stage: &WatchedStage, quarantine: bool) -> Result<(), AwsError> {
        let contents = tokio::time::timeout(READ_LIMIT, self.leases.read()).await;
        let contents = contents.map_err(|_| AwsError::of("Scan", Failure::Unavailable, "the lease table could not be read in time"))??;
        let expected = Expected {
            table: &self.context.lake.schema().table,
            stage: stage.name,
            now: stage.clock.unix_seconds(),
            retention: stage.board.looked().map(|look| look.stream.retention),
            trim_warning: self.context.trim_warning,
            freshness: self.context.freshness,
        };
        let mut findings = expected.look(&contents);
        if quarantine && stage.name == self.context.last_stage {
            self.quarantine(&expected, &mut findings).await;
        } else {
            // Not looked at, or another stage's notice, should it have been this one's before.
            findings.unknown.insert(NoticeKind::Quarantine);
        }
        self.memory.note(&contents.notices, &findings, Instant::now());

        let mut found: BTreeMap<String, Condition> =
            findings.conditions.into_iter().map(|condition| (condition.key(), condition)).collect();
        for seen in contents.notices {
            let wanted = match found.remove(&seen.key()) {
                Some(condition) if condition.raises && !seen.open => condition.notice(stage.name, Some(&seen)),
                _ if seen.open && self.memory.is_over(&seen) => Notice { open: false, ..seen.clone() },
                _ => seen.clone(),
            };
            self.settle(Some(seen), wanted).await?;
        }
        for condition in found.into_values().filter(|condition| condition.raises) {
            self.settle(None, condition.notice(stage.name, None)).await?;
        }
        Ok(())
    }

    async fn quarantine(&self, expected: &Expected<'_>, findings: &mut Findings) {
        let lake = &self.context.lake;
        let error = match tokio::time::timeout(READ_LIMIT, lake.quarantined().count(COUNTED)).await {
            Ok(Ok(records)) => {
                let place = lake.store().describe(&lake.layout().quarantine());
                findings.conditions.extend(expected.quarantine(records, records < COUNTED, &place));
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "listing it takes too long".to_owned(),
        };
        tracing::warn!(error, "could not look into the quarantine; trying again at the next look");
        findings.unknown.insert(NoticeKind::Quarantine);
    }

    /// Brings a notice from how it was `seen` to what is `wanted`, and tells those who are owed a message.
    ///
    /// Everything is decided by conditional writes: one claims the notice and says whom a message may reach from now on, then the messages
    /// go out, and another write says who has taken them.
    async fn settle(&mut self, seen: Option<Notice>, wanted: Notice) -> Result<(), AwsError> {
        let (owner, now, key) = (&self.context.owner, Instant::now(), wanted.key());
        if seen.as_ref().is_some_and(|seen| !self.memory.may_write(seen, owner, self.context.rhythm.claim, now)) {
            return Ok(());
        }
        let owed = |notice: &Notice| self.context.sinks.iter().any(|sink| notice.is_owed(sink.name()));
        let is_due = |name| wanted.is_owed(name) && self.memory.is_due(&key, name, now) && !self.away.contains(name);
        let due: Vec<&Sink> = self.context.sinks.iter().filter(|sink| is_due(sink.name())).collect();
        let changed = seen.as_ref().is_none_or(|seen| seen.open != wanted.open);
        if due.is_empty() {
            return match seen {
                Some(seen) if !wanted.open && !owed(&wanted) => self.leases.delete_notice(&seen).await,
                seen if changed => self.leases.write_notice(seen.as_ref(), wanted).await.map(drop),
                _ => Ok(()),
            };
        }

        let mut claimed = Notice { teller: Some(owner.clone()), ..wanted.clone() };
        claimed.beliefs.extend(due.iter().map(|sink| (sink.name().to_owned(), Belief::Unsure)));
        let Some(claimed) = self.leases.write_notice(seen.as_ref(), claimed).await? else { return Ok(()) };
        let message = Message::new(&claimed, &self.context.lake.schema().table);
        let sent = join_all(due.iter().map(|sink| sink.send(&message))).await;

        let mut told = claimed.clone();
        for (sink, sent) in due.iter().zip(sent) {
            self.note(sink.name(), &key, sent, wanted.beliefs.get(sink.name()).copied(), &mut told);
        }
        let still_owed = self.context.sinks.iter().any(|sink| told.is_owed(sink.name()));
        if !still_owed {
            told.teller = None;
        }
        if !told.open && !still_owed {
            return self.leases.delete_notice(&claimed).await;
        }
        self.leases.write_notice(Some(&claimed), told).await.map(drop)
    }

    /// Takes note of how sending ended, to a receiver that believed `before`.
    fn note(&mut self, name: &'static str, key: &str, sent: Result<(), SinkError>, before: Option<Belief>, told: &mut Notice) {
        let belief = match &sent {
            Ok(()) => told.open.then_some(Belief::Raised),
            Err(SinkError::Refused(_) | SinkError::Closed(_)) => before,
            Err(SinkError::Unknown(_)) => Some(Belief::Unsure),
        };
        match belief {
            Some(belief) => told.beliefs.insert(name.to_owned(), belief),
            None => told.beliefs.remove(name),
        };
        let Err(error) = sent else { return self.memory.taken(key, name) };
        if !matches!(error, SinkError::Refused(_)) {
            self.away.insert(name);
        }
        let pause = self.memory.failed(key, name, self.context.rhythm.retry, Instant::now());
        let (kind, subject) = (told.kind.as_str(), &told.subject);
        tracing::warn!(receiver = name, kind, subject, %error, again_in = ?pause, "a receiver did not take a notification");
    }
}
