//! `headwater status`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Exit, Globals, Output};
use crate::aws::{self, Failure};
use crate::clock::{ServiceClock, WallClock};
use crate::lake::LakeStore;
use crate::lake::inventory::inventory;
use crate::lease::gap::Gap;
use crate::lease::table::LeaseTable;
use crate::lease::{Checkpoint, Lease};
use crate::retry::{RetryPolicy, retry};
use crate::stream::dynamodb::{RETENTION, TableStreams};
use crate::stream::{ShardInfo, describe_all};
use crate::{clock, config};

/// Arguments of `headwater status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration.
    #[arg(long, default_value = "headwater.toml")]
    config: PathBuf,
}

#[derive(Debug, Serialize)]
struct Report {
    table: String,
    stream: Option<String>,
    enabled: bool,
    /// Every change made before this time is durable, over all shards.
    durable_through: Option<String>,
    lag_seconds: Option<i64>,
    /// How long until the stream starts to drop changes that are not durable.
    seconds_to_trim: Option<i64>,
    shards: Vec<Shard>,
    gaps: Vec<Gap>,
    objects: u64,
    object_bytes: u64,
    quarantined: u64,
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

/// Shows where replication stands.
pub async fn run(args: Args, globals: &Globals) -> anyhow::Result<Exit> {
    let settings = match config::load(&args.config) {
        Ok(settings) => settings,
        Err(error) => return super::usage(&error),
    };
    let stop = CancellationToken::new();
    let sdk = aws::sdk_config().await;
    let service = ServiceClock::new(WallClock::system());
    let api = TableStreams::new(&sdk, settings.table.name.as_str(), service.clone());
    let info = retry(RetryPolicy::START_UP, &stop, || api.table()).await?;
    let listed = match &info.stream {
        Some(stream) => match retry(RetryPolicy::START_UP, &stop, || describe_all(&api, &stream.arn)).await {
            Ok((_, shards)) => shards,
            Err(error) if error.failure == Failure::NotFound => Vec::new(),
            Err(error) => return Err(error.into()),
        },
        None => Vec::new(),
    };
    let (leases, gaps) = match LeaseTable::new(&sdk, &settings.lease.application, stop).read().await {
        Ok(read) => read,
        // Not started yet: there is nothing to tell but the stream.
        Err(error) if error.failure == Failure::NotFound => (Vec::new(), Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let store = LakeStore::connect(&settings.lake.location, None, Some(&sdk))?;
    let stored = inventory(&store, &settings.table.name).await?;
    let now = service.unix_seconds();
    let oldest = reading(&leases).iter().map(|lease| lease.durable_through).min().flatten();
    let report = Report {
        table: settings.table.name.clone(),
        enabled: info.stream.as_ref().is_some_and(|stream| stream.enabled),
        stream: info.stream.map(|stream| stream.arn.to_string()),
        durable_through: oldest.map(clock::rfc3339),
        lag_seconds: oldest.map(|at| (now - at).max(0)),
        seconds_to_trim: oldest.map(|at| at + RETENTION - now),
        shards: shards(&listed, &leases, now),
        gaps,
        objects: stored.objects,
        object_bytes: stored.bytes,
        quarantined: stored.quarantined,
    };
    if globals.output == Output::Json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(Exit::Success)
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

fn print(report: &Report) {
    println!("table    {}", report.table);
    match &report.stream {
        Some(stream) => println!("stream   {stream} ({})", if report.enabled { "enabled" } else { "DISABLED" }),
        None => println!("stream   none: enable one with the view type NEW_AND_OLD_IMAGES"),
    }
    match (&report.durable_through, report.lag_seconds, report.seconds_to_trim) {
        (Some(through), Some(lag), Some(trim)) => {
            println!("durable  through {through}, {} behind; {}", duration(lag), to_trim(trim));
        }
        _ => println!("durable  nothing known yet"),
    }
    println!("lake     {} objects, {} bytes; {} records in quarantine", report.objects, report.object_bytes, report.quarantined);
    println!();
    let width = report.shards.iter().map(|shard| shard.id.len()).max().unwrap_or(5).max(5);
    println!("{:width$}  {:8}  {:>8}  {:41}  owner", "shard", "state", "lag", "checkpoint");
    for shard in &report.shards {
        let lag = shard.lag_seconds.map_or_else(|| "-".to_owned(), duration);
        let owner = shard.owner.as_deref().unwrap_or("-");
        println!("{:width$}  {:8}  {lag:>8}  {:41}  {owner}", shard.id, shard.state, shard.checkpoint);
        if !shard.parents.is_empty() {
            println!("{:width$}  after {}", "", shard.parents.join(" and "));
        }
    }
    if !report.gaps.is_empty() {
        println!("\ngaps");
        for gap in &report.gaps {
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
