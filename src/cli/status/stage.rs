//! One stage's part of `headwater status`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use aws_config::SdkConfig;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::aws::{AwsError, Failure};
use crate::cli::snapshot::view::View;
use crate::clock::{self, ServiceClock};
use crate::lease::gap::Gap;
use crate::lease::notice::Notice;
use crate::lease::table::{Contents, LeaseTable};
use crate::lease::{Checkpoint, Lease, lag};
use crate::retry::{RetryPolicy, retry};
use crate::stream::{ShardInfo, StreamApi, StreamInfo, describe_all};

/// Where a stage stands.
#[derive(Debug, Serialize)]
pub(super) struct Stage {
    #[serde(rename = "stage")]
    name: &'static str,
    stream: Option<String>,
    enabled: bool,
    /// Everything that the stream took before this time is durable, over all shards.
    durable_through: Option<String>,
    lag_seconds: Option<i64>,
    /// How long until the stream starts to drop what is not durable.
    seconds_to_trim: Option<i64>,
    shards: Vec<Shard>,
    gaps: Vec<LedgerEntry>,
    /// What a person was or is being told of, and is not over.
    notices: Vec<Raised>,
    /// Those that are under way, or the one that was asked for last.
    snapshots: Vec<View>,
    /// Why nothing is known of the stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// An entry of the gap ledger.
#[derive(Debug, Serialize)]
struct LedgerEntry {
    #[serde(flatten)]
    gap: Gap,
    /// Whether a snapshot has brought back what was lost.
    state: &'static str,
}

/// What needs a person.
#[derive(Debug, Serialize)]
struct Raised {
    kind: &'static str,
    subject: String,
    since: String,
    summary: String,
    action: String,
}

#[derive(Debug, Serialize)]
struct Shard {
    id: String,
    parents: Vec<String>,
    state: &'static str,
    owner: Option<String>,
    checkpoint: String,
    lag_seconds: Option<i64>,
}

impl Stage {
    /// Looks at a stage: its stream, if there is one, and its leases.
    pub(super) async fn look(
        stage: &'static str,
        api: &dyn StreamApi,
        stream: Option<StreamInfo>,
        clock: &ServiceClock,
        sdk: &SdkConfig,
        application: &str,
    ) -> Result<Self, AwsError> {
        let stop = CancellationToken::new();
        let listed = match &stream {
            Some(stream) => match retry(RetryPolicy::START_UP, &stop, || describe_all(api, &stream.arn)).await {
                Ok((_, shards)) => shards,
                Err(error) if error.failure == Failure::NotFound => Vec::new(),
                Err(error) => return Err(error),
            },
            None => Vec::new(),
        };
        let contents = match LeaseTable::new(sdk, application, stop).read().await {
            Ok(read) => read,
            // Not started yet: there is nothing to tell but the stream.
            Err(error) if error.failure == Failure::NotFound => Contents::default(),
            Err(error) => return Err(error),
        };
        let now = clock.unix_seconds();
        let oldest = lag::durable_through(&contents.leases);
        Ok(Self {
            name: stage,
            enabled: stream.as_ref().is_some_and(|stream| stream.enabled),
            durable_through: oldest.map(clock::rfc3339),
            lag_seconds: oldest.map(|at| (now - at).max(0)),
            seconds_to_trim: stream.as_ref().and_then(|stream| Some(lag::seconds_to_trim(oldest?, stream.retention, now))),
            stream: stream.map(|stream| stream.arn.to_string()),
            shards: shards(&listed, &contents.leases, now),
            snapshots: View::in_flight_or_last(&contents),
            gaps: ledger(contents.gaps),
            notices: raised(contents.notices),
            error: None,
        })
    }

    /// A stage that cannot be looked at. Its neighbours can.
    pub(super) fn unknown(stage: &'static str, error: &AwsError) -> Self {
        Self {
            name: stage,
            stream: None,
            enabled: false,
            durable_through: None,
            lag_seconds: None,
            seconds_to_trim: None,
            shards: Vec::new(),
            gaps: Vec::new(),
            notices: Vec::new(),
            snapshots: Vec::new(),
            error: Some(error.to_string()),
        }
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.error.is_some()
    }

    pub(super) fn print(&self) {
        if let Some(error) = &self.error {
            println!("{:8} cannot be looked at: {error}", self.name);
            return;
        }
        match &self.stream {
            Some(stream) => println!("{:8} {stream} ({})", self.name, if self.enabled { "enabled" } else { "DISABLED" }),
            None => println!("{:8} no stream: enable one with the view type NEW_AND_OLD_IMAGES", self.name),
        }
        match (&self.durable_through, self.lag_seconds, self.seconds_to_trim) {
            (Some(through), Some(lag), Some(trim)) => {
                println!("durable  through {through}, {} behind; {}", duration(lag), to_trim(trim));
            }
            _ => println!("durable  nothing known yet"),
        }
        if !self.notices.is_empty() {
            println!("\nneeds a person");
        }
        for notice in &self.notices {
            print!("{}", notice.text());
        }
        println!();
        let width = self.shards.iter().map(|shard| shard.id.len()).max().unwrap_or(5).max(5);
        println!("{:width$}  {:8}  {:>8}  {:41}  owner", "shard", "state", "lag", "checkpoint");
        for shard in &self.shards {
            let lag = shard.lag_seconds.map_or_else(|| "-".to_owned(), duration);
            let owner = shard.owner.as_deref().unwrap_or("-");
            println!("{:width$}  {:8}  {lag:>8}  {:41}  {owner}", shard.id, shard.state, shard.checkpoint);
            if !shard.parents.is_empty() {
                println!("{:width$}  after {}", "", shard.parents.join(" and "));
            }
        }
        if !self.gaps.is_empty() {
            println!("\ngaps");
        }
        for entry in &self.gaps {
            print!("{}", entry.text());
        }
        if !self.snapshots.is_empty() {
            println!("\nsnapshots");
        }
        for snapshot in &self.snapshots {
            println!("  {}", snapshot.line());
        }
    }
}

impl LedgerEntry {
    fn text(&self) -> String {
        let gap = &self.gap;
        let mut text = format!("  {:6}  {}  {}: {}\n", self.state, clock::rfc3339(gap.found_at), gap.origin, gap.kind.describe());
        let from = gap.lost_from.map(|at| format!("from {}", clock::rfc3339(at)));
        let after = gap.after.as_ref().map(|after| format!("behind {after}"));
        let closed_by = gap.closed_by.as_ref().map(|snapshot| format!("closed by snapshot {snapshot}"));
        let closed_at = gap.closed_at.map(|at| format!("at {}", clock::rfc3339(at)));
        let closed: Vec<String> = closed_by.into_iter().chain(closed_at).collect();
        let known: Vec<String> = from.into_iter().chain(after).chain((!closed.is_empty()).then(|| closed.join(" "))).collect();
        if !known.is_empty() {
            let _ = writeln!(text, "          {}", known.join(", "));
        }
        text
    }
}

impl Raised {
    fn text(&self) -> String {
        format!("  {}  {}: {}\n                        {}\n", self.since, self.kind, self.summary, self.action)
    }
}

/// What is not over, the oldest first.
fn raised(mut notices: Vec<Notice>) -> Vec<Raised> {
    notices.retain(|notice| notice.open);
    notices.sort_by(|a, b| a.since.cmp(&b.since).then_with(|| a.key().cmp(&b.key())));
    let raised = notices.into_iter().map(|notice| Raised {
        kind: notice.kind.as_str(),
        subject: notice.subject,
        since: clock::rfc3339(notice.since),
        summary: notice.summary,
        action: notice.action,
    });
    raised.collect()
}

/// The ledger: what is still missing first, then the latest first.
fn ledger(mut gaps: Vec<Gap>) -> Vec<LedgerEntry> {
    gaps.sort_by(|a, b| b.is_open().cmp(&a.is_open()).then(b.found_at.cmp(&a.found_at)).then(a.key.cmp(&b.key)));
    gaps.into_iter().map(|gap| LedgerEntry { state: if gap.is_open() { "open" } else { "closed" }, gap }).collect()
}

fn shards(listed: &[ShardInfo], leases: &[Lease], now: i64) -> Vec<Shard> {
    let mut shards: BTreeMap<String, Shard> = listed
        .iter()
        .map(|shard| {
            let row = Shard {
                id: shard.id.to_string(),
                parents: shard.parents.iter().map(ToString::to_string).collect(),
                state: "no lease",
                owner: None,
                checkpoint: "-".to_owned(),
                lag_seconds: None,
            };
            (row.id.clone(), row)
        })
        .collect();
    for lease in leases {
        let done = lease.checkpoint == Checkpoint::ShardEnd;
        let row = Shard {
            id: lease.shard.to_string(),
            parents: lease.parents.iter().map(ToString::to_string).collect(),
            state: match (done, &lease.owner) {
                (true, _) => "done",
                (false, Some(_)) => "reading",
                (false, None) => "waiting",
            },
            // While it is handed over, the one who still reads.
            owner: lease.holder().map(str::to_owned).filter(|_| !done),
            checkpoint: match lease.checkpoint {
                Checkpoint::TrimHorizon => "TRIM_HORIZON".to_owned(),
                Checkpoint::AtTimestamp(seconds) => clock::rfc3339(seconds),
                Checkpoint::At(position) => position.to_string(),
                Checkpoint::ShardEnd => "SHARD_END".to_owned(),
            },
            lag_seconds: lease.durable_through.filter(|_| !done).map(|at| (now - at).max(0)),
        };
        shards.insert(row.id.clone(), row);
    }
    shards.into_values().collect()
}

fn duration(seconds: i64) -> String {
    humantime::format_duration(Duration::from_secs(seconds.unsigned_abs())).to_string()
}

fn to_trim(seconds: i64) -> String {
    if seconds >= 0 {
        format!("the stream keeps what is missing for {} more", duration(seconds))
    } else {
        format!("THE STREAM HAS DROPPED CHANGES since {}", duration(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ShardId;
    use crate::lease::gap::GapKind;
    use crate::lease::notice::NoticeKind;

    fn gap(shard: &str, found_at: i64) -> Gap {
        Gap::of_shard(GapKind::Trimmed, &ShardId::new(shard), Some("123".parse().unwrap()), Some(found_at - 90_000), found_at)
    }

    fn closed(gap: Gap) -> Gap {
        Gap { closed_by: Some("20261121T030000Z-3f9a1c2e".into()), closed_at: Some(gap.found_at + 100), ..gap }
    }

    #[test]
    fn a_gap_tells_what_is_known_of_it_and_which_snapshot_closed_it() {
        let texts: String = ledger(vec![closed(gap("a", 1_795_230_000)), gap("b", 1_795_220_000)]).iter().map(LedgerEntry::text).collect();
        insta::assert_snapshot!(texts, @r"
        open    2026-11-21T00:13:20Z  b: changes were trimmed from the stream before they were read
                from 2026-11-19T23:13:20Z, behind 123
        closed  2026-11-21T03:00:00Z  a: changes were trimmed from the stream before they were read
                from 2026-11-20T02:00:00Z, behind 123, closed by snapshot 20261121T030000Z-3f9a1c2e at 2026-11-21T03:01:40Z
        ");
    }

    #[test]
    fn what_is_still_missing_stands_first() {
        let gaps = ledger(vec![closed(gap("a", 9)), gap("b", 1), gap("c", 5), closed(gap("d", 7))]);
        assert_eq!(
            gaps.iter().map(|entry| (entry.gap.origin.as_str(), entry.state)).collect::<Vec<_>>(),
            [("c", "open"), ("b", "open"), ("a", "closed"), ("d", "closed"),]
        );
    }

    #[test]
    fn a_machine_reads_of_a_gap_whether_it_is_open() {
        let json = |gap| serde_json::to_value(&ledger(vec![gap])[0]).unwrap();
        let open = json(gap("a", 1_795_230_000));
        assert_eq!((open["state"].as_str(), open.get("closedBy")), (Some("open"), None));
        let closed = json(closed(gap("a", 1_795_230_000)));
        assert_eq!((closed["state"].as_str(), closed["closedBy"].as_str()), (Some("closed"), Some("20261121T030000Z-3f9a1c2e")));
        assert_eq!((closed["foundAt"].as_i64(), closed["closedAt"].as_i64()), (Some(1_795_230_000), Some(1_795_230_100)));
    }

    #[test]
    fn what_needs_a_person_and_is_not_over_is_shown() {
        let notice = |subject: &str, since, open| Notice {
            version: 1,
            kind: NoticeKind::Quarantine,
            subject: subject.into(),
            stage: "capture".into(),
            since,
            open,
            beliefs: BTreeMap::new(),
            teller: None,
            summary: format!("3 records of table {subject} are in quarantine"),
            action: "mend the cause".into(),
            details: serde_json::Map::new(),
        };
        let notices = vec![notice("later", 1_795_230_000, true), notice("over", 1, false), notice("orders", 1_795_220_000, true)];
        let texts: String = raised(notices).iter().map(Raised::text).collect();
        insta::assert_snapshot!(texts, @r"
          2026-11-21T00:13:20Z  quarantine: 3 records of table orders are in quarantine
                                mend the cause
          2026-11-21T03:00:00Z  quarantine: 3 records of table later are in quarantine
                                mend the cause
        ");
    }
}
