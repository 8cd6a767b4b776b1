//! One stage's part of `headwater status`.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::aws::{AwsError, Failure};
use crate::clock::{self, ServiceClock};
use crate::lease::gap::Gap;
use crate::lease::table::{Contents, LeaseTable};
use crate::lease::{Checkpoint, Lease};
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
    gaps: Vec<Gap>,
    /// Why nothing is known of the stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
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
        let Contents { leases, gaps, .. } = match LeaseTable::new(sdk, application, stop).read().await {
            Ok(read) => read,
            // Not started yet: there is nothing to tell but the stream.
            Err(error) if error.failure == Failure::NotFound => Contents::default(),
            Err(error) => return Err(error),
        };
        let now = clock.unix_seconds();
        let oldest = reading(&leases).iter().map(|lease| lease.durable_through).min().flatten();
        Ok(Self {
            name: stage,
            enabled: stream.as_ref().is_some_and(|stream| stream.enabled),
            durable_through: oldest.map(clock::rfc3339),
            lag_seconds: oldest.map(|at| (now - at).max(0)),
            seconds_to_trim: stream.as_ref().and_then(|stream| Some(oldest? + stream.retention - now)),
            stream: stream.map(|stream| stream.arn.to_string()),
            shards: shards(&listed, &leases, now),
            gaps,
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
        for gap in &self.gaps {
            println!("  {}  {}: {}", clock::rfc3339(gap.found_at), gap.origin, gap.kind.describe());
            let from = gap.lost_from.map(|at| format!("from {}", clock::rfc3339(at)));
            let after = gap.after.as_ref().map(|after| format!("behind {after}"));
            let known: Vec<String> = from.into_iter().chain(after).collect();
            if !known.is_empty() {
                println!("      {}", known.join(", "));
            }
        }
    }
}

/// The leases whose shards are being read or could be. A shard that waits for its parent is behind by what the parent is.
fn reading(leases: &[Lease]) -> Vec<&Lease> {
    let unfinished = || leases.iter().filter(|lease| lease.checkpoint != Checkpoint::ShardEnd);
    unfinished().filter(|lease| !unfinished().any(|other| lease.parents.contains(&other.shard))).collect()
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
            owner: lease.owner.clone().filter(|_| !done),
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
