//! What needs a person, told from plain values (pure).

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::clock::rfc3339;
use crate::lease::gap::{Gap, GapKind};
use crate::lease::lag::{confirmed_through, readable, seconds_to_trim};
use crate::lease::notice::{Notice, NoticeKind};
use crate::lease::table::Contents;

/// Something that needs a person, or is too near to it to be called over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What it is.
    pub kind: NoticeKind,
    /// Which one of that kind. Stays the same while it lasts.
    pub subject: String,
    /// Since when it lasts, as far as is known, in seconds since the epoch.
    pub since: i64,
    /// False in the band next to a threshold, where nothing is raised, and nothing that was raised is cleared: a value that swings around
    /// the threshold does not call a person at each swing.
    pub raises: bool,
    /// What is the matter, in a sentence.
    pub summary: String,
    /// What to do, in a sentence.
    pub action: String,
    /// What is known beside that.
    pub details: Map<String, Value>,
}

/// What one look at a stage has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What needs a person, or nearly does.
    pub conditions: Vec<Condition>,
    /// Kinds of which this look could not tell: nothing of them is raised or cleared.
    pub unknown: BTreeSet<NoticeKind>,
}

/// A stage, and what is expected of it.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The table.
    pub table: &'a str,
    /// The stage.
    pub stage: &'a str,
    /// The time by the clock of its stream, in seconds since the epoch.
    pub now: i64,
    /// For how many seconds its stream keeps a record, once that is known.
    pub retention: Option<i64>,
    /// How long before the stream drops what is not durable a person is told.
    pub trim_warning: Duration,
    /// How far behind the contract allows the lake to be.
    pub freshness: Option<Duration>,
}

impl Expected<'_> {
    /// What the stage's lease table tells.
    pub fn look(&self, contents: &Contents) -> Findings {
        let mut findings = Findings::default();
        findings.conditions.extend(contents.gaps.iter().filter(|gap| gap.is_open()).map(|gap| self.gap(gap)));
        match (confirmed_through(&contents.leases), readable(&contents.leases).is_empty()) {
            (Some(through), _) => {
                findings.conditions.extend(self.freshness(through));
                match self.retention {
                    Some(retention) => findings.conditions.extend(self.time_to_trim(through, retention)),
                    None => _ = findings.unknown.insert(NoticeKind::TimeToTrim),
                }
            }
            // Nothing is left to be read: nothing is late, and nothing can be trimmed.
            (None, true) => {}
            (None, false) => findings.unknown.extend([NoticeKind::TimeToTrim, NoticeKind::Freshness]),
        }
        findings
    }

    fn gap(&self, gap: &Gap) -> Condition {
        let (table, stage) = (self.table, self.stage);
        let from = gap.lost_from.map_or_else(String::new, |at| format!(" (those made since {})", rfc3339(at)));
        let details = json!({
            "gap": gap.kind,
            "origin": gap.origin,
            "after": gap.after,
            "lostFrom": gap.lost_from.map(rfc3339),
            "foundAt": rfc3339(gap.found_at),
        });
        let subject = gap.key.strip_prefix("gap/").unwrap_or(&gap.key);
        let (kind, subject, action) = match gap.kind {
            GapKind::StreamReplaced => (
                NoticeKind::StreamReplaced,
                subject.strip_prefix("stream-replaced/").unwrap_or(subject),
                "find out who replaced the stream, and take a snapshot (`headwater snapshot start`), which brings back what is missing",
            ),
            GapKind::Trimmed | GapKind::Vanished => (
                NoticeKind::Gap,
                subject,
                "take a snapshot (`headwater snapshot start`, or stream.on_gap = \"snapshot\"), which brings back what was lost and \
                 closes the gap; then see in the log and in `headwater status` why reading fell behind",
            ),
            GapKind::OrderBroken => (
                NoticeKind::Gap,
                subject,
                "compare the lake with the table (`headwater verify`); a snapshot (`headwater snapshot start`) brings the current state in \
                 order",
            ),
        };
        Condition {
            kind,
            subject: subject.to_owned(),
            since: gap.found_at,
            raises: true,
            summary: format!("{stage} of table {table}, {}: {}{from}", gap.origin, gap.kind.describe()),
            action: action.to_owned(),
            details: fields(details),
        }
    }

    /// Over when there is a quarter more time than the warning asks for, or half of what the stream can give beyond it.
    fn time_to_trim(&self, through: i64, retention: i64) -> Option<Condition> {
        let left = seconds_to_trim(through, retention, self.now);
        let warning = seconds(self.trim_warning);
        let over = (warning + warning / 4).min(i64::midpoint(warning, retention));
        let (table, stage) = (self.table, self.stage);
        let when = if left > 0 {
            format!("in {} the stream begins to drop changes that are not durable", span(left))
        } else {
            format!("for {} the stream has been dropping changes that are not durable", span(left))
        };
        (left < over).then(|| Condition {
            kind: NoticeKind::TimeToTrim,
            subject: format!("{table}/{stage}"),
            since: self.now,
            raises: left < warning,
            summary: format!("{stage} of table {table}: {when}"),
            action: "see in `headwater status` and in the log what holds the stage up (a target that takes nothing, too few workers, a \
                     shard that nobody reads): what is trimmed unread is lost until a snapshot"
                .to_owned(),
            details: fields(json!({
                "secondsToTrim": left, "warningSeconds": warning, "retentionSeconds": retention, "durableThrough": rfc3339(through),
            })),
        })
    }

    /// Over when the lag is at most three quarters of what is allowed.
    fn freshness(&self, through: i64) -> Option<Condition> {
        let allowed = seconds(self.freshness?);
        let behind = self.now - through;
        let (table, stage) = (self.table, self.stage);
        (behind > allowed - allowed / 4).then(|| Condition {
            kind: NoticeKind::Freshness,
            subject: format!("{table}/{stage}"),
            since: self.now,
            raises: behind > allowed,
            summary: format!("{stage} of table {table} is {} behind, and the contract promises {} at most", span(behind), span(allowed)),
            action: "see in `headwater status` and in the log what holds the stage up, and tell those who read the lake".to_owned(),
            details: fields(json!({ "secondsBehind": behind, "allowedSeconds": allowed, "durableThrough": rfc3339(through) })),
        })
    }

    /// What is in quarantine; `place` is where.
    pub fn quarantine(&self, records: u64, all: bool, place: &str) -> Option<Condition> {
        (records > 0).then(|| Condition {
            kind: NoticeKind::Quarantine,
            subject: self.table.to_owned(),
            since: self.now,
            raises: true,
            summary: match records {
                1 => format!("1 record of table {} is in quarantine", self.table),
                _ if all => format!("{records} records of table {} are in quarantine", self.table),
                _ => format!("at least {records} records of table {} are in quarantine", self.table),
            },
            action: format!(
                "read the reasons in the objects under {place}, mend the cause, and send the records back with `headwater redrive`"
            ),
            details: fields(json!({ "records": records, "place": place })),
        })
    }
}

impl Condition {
    /// The key of its notice.
    pub fn key(&self) -> String {
        self.kind.key(&self.subject)
    }

    /// The notice to be: a new one, or `seen` opened again. What receivers believe stays known.
    pub fn notice(&self, stage: &str, seen: Option<&Notice>) -> Notice {
        Notice {
            version: seen.map_or(0, |seen| seen.version),
            kind: self.kind,
            subject: self.subject.clone(),
            stage: stage.to_owned(),
            since: self.since,
            open: true,
            beliefs: seen.map(|seen| seen.beliefs.clone()).unwrap_or_default(),
            teller: None,
            summary: self.summary.clone(),
            action: self.action.clone(),
            details: self.details.clone(),
        }
    }
}

fn fields(value: Value) -> Map<String, Value> {
    if let Value::Object(fields) = value { fields.into_iter().filter(|(_, value)| !value.is_null()).collect() } else { Map::new() }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 2)
}

/// A length of time, whichever its sign.
fn span(seconds: i64) -> String {
    humantime::format_duration(Duration::from_secs(seconds.unsigned_abs())).to_string()
}

#[cfg(test)]
mod tests;
