//! The decision about one call.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::draw::Draw;
use super::rule::Fault;
use super::service::Service;
use super::spelling::{ServerError, Throttle};
use crate::call::Quirks;

/// A call about which is decided.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The service; none when there is no such one.
    pub service: Option<Service>,
    /// The operation.
    pub operation: &'a str,
    /// Who calls.
    pub worker: &'a str,
    /// The simulator's time (milliseconds since the epoch).
    pub now: i64,
    /// S3: the request's path. Empty for the other services.
    pub path: &'a str,
    /// The request's body.
    pub body: &'a Bytes,
}

/// What a call meets. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Before it arrives, so much time passes.
    pub delay: Duration,
    /// What takes place instead of the effect.
    pub instead: Option<Instead>,
    /// What goes wrong inside the service.
    pub quirks: Quirks,
    /// What becomes of the answer.
    pub ending: Option<Ending>,
    /// What struck, in the order of the rules.
    strikes: Vec<Strike>,
}

/// A fault that struck.
#[derive(Debug, Clone, PartialEq)]
struct Strike {
    kind: &'static str,
    stage: Stage,
    /// What it does, for the journal.
    words: String,
}

/// Where a fault takes hold of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// On the way.
    Before,
    /// In the effect's stead.
    Instead,
    /// Inside the service, which tells whether there was anything to go wrong.
    Inside,
    /// On the way back.
    After,
}

/// What takes place instead of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "told at the faults of these names")]
pub enum Instead {
    Throttle(Throttle),
    ServerError(ServerError),
    Reset,
}

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "told at the faults of these names")]
pub enum Ending {
    Lost,
    /// It comes so much later, or never.
    Late(Option<Duration>),
    /// It comes in so many pieces, with so much time before each.
    Slow(usize, Duration),
    Truncated,
}

impl Plan {
    /// Adds a fault that strikes. Of several that would take the place of the effect, or of the answer, the first one stands.
    /// `draw` is the seed, the rule's number and the call's.
    pub(super) fn add(&mut self, fault: &Fault, subject: &Subject<'_>, draw: (u64, usize, u64)) {
        let quirks = &mut self.quirks;
        let mut words = None;
        let struck = match fault {
            Fault::Throttle(throttle) => fill(&mut self.instead, Instead::Throttle(*throttle)),
            Fault::ServerError(error) => fill(&mut self.instead, Instead::ServerError(*error)),
            Fault::Reset => fill(&mut self.instead, Instead::Reset),
            Fault::LoseAnswer => fill(&mut self.ending, Ending::Lost),
            Fault::Hang { ms } => fill(&mut self.ending, Ending::Late(ms.map(Duration::from_millis))),
            Fault::Slow { pieces, ms } => fill(&mut self.ending, Ending::Slow(*pieces, Duration::from_millis(*ms))),
            Fault::Truncate => fill(&mut self.ending, Ending::Truncated),
            Fault::Delay { ms } => {
                self.delay += Duration::from_millis(*ms);
                true
            }
            Fault::EmptyPage => set(&mut quirks.empty_page),
            Fault::ShortPage(records) => fill(&mut quirks.short_page, *records),
            Fault::RepeatPage => set(&mut quirks.repeat_page),
            Fault::StaleRead { ms } => fill(&mut quirks.stale_read, *ms),
            Fault::LateListing { ms } => fill(&mut quirks.late_listing, *ms),
            Fault::ParentsLookOpen => set(&mut quirks.parents_look_open),
            Fault::ConditionFails => set(&mut quirks.condition_fails),
            Fault::SplitBefore => set(&mut quirks.split_before),
            Fault::FailRecords { probability, code } => {
                let (seed, rule, call) = draw;
                let record = Draw::new(seed).number(rule as u64).text("record").text(subject.operation).text(subject.worker).number(call);
                let fails = |at: &usize| record.number(*at as u64).hits(*probability);
                let failed: Vec<usize> = (0..subject.records()).filter(fails).collect();
                words = Some(format!("fails records {failed:?} with {}", code.code()));
                let struck = !failed.is_empty() && quirks.failed_records.is_empty();
                if struck {
                    quirks.failed_records = failed.into_iter().map(|at| (at, code.code())).collect();
                }
                struck
            }
        };
        if struck {
            let words = words.unwrap_or_else(|| describe(fault));
            self.strikes.push(Strike { kind: fault.kind(), stage: stage(fault), words });
        }
    }

    /// To be called when all rules were asked. A call that is answered in its effect's stead meets nothing inside the service, and what a
    /// rule has in store for the answer of the effect is dropped with the effect.
    pub(super) fn settle(&mut self) {
        if self.instead.is_some() {
            (self.quirks, self.ending) = (Quirks::default(), None);
            self.strikes.retain(|strike| matches!(strike.stage, Stage::Before | Stage::Instead));
        }
    }

    /// How long after the effect (milliseconds) the whole answer is with the caller; nothing when it never is.
    pub fn heard_after(&self) -> Option<i64> {
        let time = match self.ending {
            None => Duration::ZERO,
            Some(Ending::Late(by)) => by?,
            Some(Ending::Slow(pieces, gap)) => gap.saturating_mul(u32::try_from(pieces).unwrap_or(u32::MAX)),
            Some(Ending::Lost | Ending::Truncated) => return None,
        };
        Some(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
    }

    /// The faults that strike whatever the service does: their kinds and words.
    pub fn certain(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.strikes.iter().filter(|strike| strike.stage != Stage::Inside).map(|strike| (strike.kind, strike.words.as_str()))
    }

    /// The faults inside the service that made a difference, once the call has had its effect: their kinds and words.
    pub fn shown(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let shown = |strike: &&Strike| strike.stage == Stage::Inside && self.quirks.have_bitten(strike.kind);
        self.strikes.iter().filter(shown).map(|strike| (strike.kind, strike.words.as_str()))
    }
}

fn stage(fault: &Fault) -> Stage {
    match fault {
        Fault::Delay { .. } => Stage::Before,
        Fault::Throttle(_) | Fault::ServerError(_) | Fault::Reset => Stage::Instead,
        Fault::LoseAnswer | Fault::Hang { .. } | Fault::Slow { .. } | Fault::Truncate => Stage::After,
        Fault::EmptyPage
        | Fault::ShortPage(_)
        | Fault::RepeatPage
        | Fault::StaleRead { .. }
        | Fault::LateListing { .. }
        | Fault::ParentsLookOpen
        | Fault::ConditionFails
        | Fault::FailRecords { .. }
        | Fault::SplitBefore => Stage::Inside,
    }
}

fn fill<T>(place: &mut Option<T>, value: T) -> bool {
    let free = place.is_none();
    place.get_or_insert(value);
    free
}

fn set(place: &mut bool) -> bool {
    !std::mem::replace(place, true)
}

fn describe(fault: &Fault) -> String {
    match fault {
        Fault::Throttle(throttle) => format!("throttled with {}", throttle.error().code),
        Fault::ServerError(ServerError::Internal) => "fails with 500".to_owned(),
        Fault::ServerError(ServerError::Unavailable) => "fails with 503".to_owned(),
        Fault::Reset => "reset before the effect".to_owned(),
        Fault::LoseAnswer => "takes effect, the answer is lost".to_owned(),
        Fault::Hang { ms: Some(ms) } => format!("takes effect, the answer is {ms} ms late"),
        Fault::Hang { ms: None } => "takes effect, the answer never comes".to_owned(),
        Fault::Delay { ms } => format!("arrives {ms} ms late"),
        Fault::Slow { pieces, ms } => format!("the answer comes in {pieces} pieces, {ms} ms before each"),
        Fault::Truncate => "takes effect, the answer ends in the middle".to_owned(),
        Fault::EmptyPage => "an empty page".to_owned(),
        Fault::ShortPage(most) => format!("a page of at most {most}"),
        Fault::RepeatPage => "the page will come again".to_owned(),
        Fault::StaleRead { ms } => format!("items are found as they were {ms} ms ago"),
        Fault::LateListing { ms } => format!("shards younger than {ms} ms are not shown"),
        Fault::ParentsLookOpen => "closed parents look open".to_owned(),
        Fault::ConditionFails => "the condition fails".to_owned(),
        Fault::FailRecords { .. } => "some records fail".to_owned(),
        Fault::SplitBefore => "the shard splits first".to_owned(),
    }
}

/// How many matching calls a rule has seen.
#[derive(Debug, Default)]
pub(super) struct Tally {
    all: u64,
    /// By the hash of operation and worker.
    by_caller: BTreeMap<u64, u64>,
}

impl Tally {
    /// Counts a call: its number among all, and among this operation's by this worker.
    pub(super) fn count(&mut self, subject: &Subject<'_>) -> (u64, u64) {
        self.all += 1;
        let calls = self.by_caller.entry(Draw::new(0).text(subject.operation).text(subject.worker).hash()).or_default();
        *calls += 1;
        (self.all, *calls)
    }
}

/// The members by which the services' requests name what they are about.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    table_name: Option<String>,
    stream_name: Option<String>,
    delivery_stream_name: Option<String>,
    stream_arn: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn_of_kinesis: Option<String>,
}

#[derive(Deserialize)]
struct Batch {
    #[serde(rename = "Records")]
    records: Vec<IgnoredAny>,
}

impl Subject<'_> {
    /// Whether the call is about something whose name contains this.
    pub(super) fn names(&self, part: &str) -> bool {
        if !self.path.is_empty() {
            return self.path.contains(part);
        }
        serde_json::from_slice::<Named>(self.body).is_ok_and(|named| {
            let Named { table_name, stream_name, delivery_stream_name, stream_arn, stream_arn_of_kinesis } = named;
            [table_name, stream_name, delivery_stream_name, stream_arn, stream_arn_of_kinesis]
                .iter()
                .flatten()
                .any(|name| name.contains(part))
        })
    }

    /// How many records a batch holds.
    fn records(&self) -> usize {
        serde_json::from_slice::<Batch>(self.body).map_or(0, |batch| batch.records.len())
    }
}
