//! `headwater.toml` as it is written, and its validation.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::operations::{RawHealth, RawNotify, RawQuarantine};
use super::snapshot::RawSnapshot;
use super::streams::{RawDeliver, RawFirehose, RawKinesis, check_stages};
use super::{LeaseSettings, OnGap, RouteKind, Settings, Stages, Start, StreamSettings, TableSettings};
use crate::lake::{Decimals, Format, LakeLocation, LakeSettings};

/// KCL's fail-over time.
const FAILOVER: Duration = Duration::from_secs(10);
/// Below this, one slow request looks like a dead worker.
const SHORTEST_FAILOVER: Duration = Duration::from_secs(1);
/// One call a second and shard stays within the free tier of a month (2.5 million calls) for one shard.
const IDLE_POLL: Duration = Duration::from_secs(1);
/// Large enough to compress well, small enough to upload within a shutdown's deadline.
const MAX_SIZE: u64 = 64 << 20;
/// A minute of lag, and at most 60 objects an hour and shard.
const MAX_AGE: Duration = Duration::from_mins(1);
/// Leaves a 512 MiB task its head-room.
const MEMORY_BUDGET: u64 = 64 << 20;
/// Below this no page of the stream (1 MB of records, somewhat more as JSON) fits.
const SMALLEST_BUDGET: usize = 8 << 20;
/// ECS kills a task 30 s after SIGTERM by default.
const DEADLINE: Duration = Duration::from_secs(25);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    table: RawTable,
    #[serde(default)]
    stream: RawStream,
    #[serde(default)]
    lease: RawLease,
    #[serde(default)]
    route: RawRoute,
    #[serde(default)]
    lake: RawLake,
    kinesis: Option<RawKinesis>,
    firehose: Option<RawFirehose>,
    deliver: Option<RawDeliver>,
    #[serde(default)]
    snapshot: RawSnapshot,
    #[serde(default)]
    quarantine: RawQuarantine,
    #[serde(default)]
    health: RawHealth,
    #[serde(default)]
    notify: RawNotify,
    #[serde(default)]
    memory: RawMemory,
    #[serde(default)]
    shutdown: RawShutdown,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTable {
    name: String,
    contract: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStream {
    start: Option<String>,
    on_gap: Option<OnGap>,
    idle_poll: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLease {
    application: Option<String>,
    create_table: Option<bool>,
    failover: Option<String>,
    worker: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoute {
    #[serde(default)]
    kind: RouteKind,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLake {
    url: Option<String>,
    format: Option<RawFormat>,
    max_size: Option<String>,
    max_age: Option<String>,
    decimals: Option<RawDecimals>,
    kms_key: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawFormat {
    Parquet,
    Ndjson,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawDecimals {
    Number,
    String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMemory {
    budget: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawShutdown {
    deadline: Option<String>,
}

/// Nothing here is worth waiting for longer, and every time can be reckoned with it.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// Validates the text of a configuration; relative paths are resolved against `folder`. The error says what is wrong and where.
pub fn parse(text: &str, folder: &Path) -> Result<Settings, String> {
    let raw: Raw = toml::from_str(text).map_err(|error| error.to_string())?;
    let name = raw.table.name;
    if !(3..=255).contains(&name.len()) || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) {
        return Err(format!("table.name '{name}' is not a table's name: 3 to 255 of a-z, A-Z, 0-9, '_', '-' and '.' are expected"));
    }
    let failover = duration("lease.failover", raw.lease.failover, FAILOVER)?;
    if failover < SHORTEST_FAILOVER {
        return Err("lease.failover is below 1s: one slow request would look like a dead worker".to_owned());
    }
    let memory_budget = usize::try_from(size("memory.budget", raw.memory.budget, MEMORY_BUDGET)?).unwrap_or(usize::MAX);
    if memory_budget < SMALLEST_BUDGET {
        return Err("memory.budget is below 8MiB: no page of the stream would fit".to_owned());
    }
    let url = raw.lake.url.unwrap_or_else(|| "./lake".to_owned());
    let application = raw.lease.application.unwrap_or_else(|| format!("headwater-{name}"));
    let kinesis = raw.kinesis.map(RawKinesis::validate).transpose()?;
    let firehose = raw.firehose.map(RawFirehose::validate).transpose()?;
    let deliver = raw.deliver.map(|deliver| deliver.validate(&application)).transpose()?;
    let max_age = duration("lake.max_age", raw.lake.max_age, MAX_AGE)?;
    check_stages(raw.route.kind, kinesis.as_ref(), firehose.as_ref(), deliver.as_ref(), &application)?;
    Ok(Settings {
        stages: Stages { capture: true, deliver: deliver.is_some() },
        route: raw.route.kind,
        kinesis,
        firehose,
        deliver,
        lease: LeaseSettings { application, create_table: raw.lease.create_table.unwrap_or(true), failover, worker: raw.lease.worker },
        table: TableSettings { name, contract: raw.table.contract.map(|path| folder.join(path)) },
        stream: StreamSettings {
            start: start("stream.start", raw.stream.start.as_deref().unwrap_or("trim-horizon"))?,
            on_gap: raw.stream.on_gap.unwrap_or(OnGap::Continue),
            idle_poll: duration("stream.idle_poll", raw.stream.idle_poll, IDLE_POLL)?,
        },
        lake: LakeSettings {
            location: location(&url, folder)?,
            format: match raw.lake.format {
                None | Some(RawFormat::Parquet) => Format::Parquet,
                Some(RawFormat::Ndjson) => Format::Ndjson,
            },
            max_size: size("lake.max_size", raw.lake.max_size, MAX_SIZE)?,
            max_age,
            decimals: match raw.lake.decimals {
                None | Some(RawDecimals::Number) => Decimals::Number,
                Some(RawDecimals::String) => Decimals::String,
            },
            kms_key: raw.lake.kms_key,
        },
        snapshot: raw.snapshot.validate()?,
        later_records: raw.quarantine.later_records,
        health: raw.health.validate(max_age)?,
        notify: raw.notify.validate()?,
        memory_budget,
        shutdown_deadline: duration("shutdown.deadline", raw.shutdown.deadline, DEADLINE)?,
    })
}

/// A folder is relative to the configuration file.
fn location(url: &str, folder: &Path) -> Result<LakeLocation, String> {
    let url = if url.contains("://") { url.to_owned() } else { folder.join(url).display().to_string() };
    url.parse().map_err(|error| format!("lake.url: {error}"))
}

pub(super) fn start(key: &str, text: &str) -> Result<Start, String> {
    match text {
        "trim-horizon" => Ok(Start::TrimHorizon),
        "latest" => Ok(Start::Latest),
        time => time
            .parse::<jiff::Timestamp>()
            .map(|at| Start::At(at.as_second()))
            .map_err(|_| format!("{key} '{time}' is neither \"trim-horizon\", \"latest\" nor a time such as \"2026-11-21T03:00:00Z\"")),
    }
}

pub(super) fn duration(key: &str, text: Option<String>, default: Duration) -> Result<Duration, String> {
    let Some(text) = text else { return Ok(default) };
    match humantime::parse_duration(&text) {
        Ok(duration) if duration > LONGEST => Err(format!("{key} '{text}' is longer than a year")),
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) => Err(format!("{key} is zero")),
        Err(error) => Err(format!("{key} '{text}' is not a duration such as \"90s\" or \"5m\": {error}")),
    }
}

/// Bytes: a number with `KiB`, `MiB`, `GiB`, or `KB`, `MB`, `GB`, or nothing behind it.
pub(super) fn size(key: &str, text: Option<String>, default: u64) -> Result<u64, String> {
    let Some(text) = text else { return Ok(default) };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let factor: Option<u64> = match text[digits.len()..].trim() {
        "" | "B" => Some(1),
        "KB" => Some(1000),
        "KiB" => Some(1 << 10),
        "MB" => Some(1_000_000),
        "MiB" => Some(1 << 20),
        "GB" => Some(1_000_000_000),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let bytes = factor.and_then(|factor| digits.parse::<u64>().ok()?.checked_mul(factor)).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| format!("{key} '{text}' is not a size such as \"64MiB\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_here(text: &str) -> Result<Settings, String> {
        parse(text, Path::new("/etc/headwater"))
    }

    #[test]
    fn a_table_s_name_is_enough() {
        let settings = parse_here("[table]\nname = \"orders\"").unwrap();
        assert_eq!(settings.lease.application, "headwater-orders");
        assert_eq!(settings.lake.location, LakeLocation::Folder("/etc/headwater/./lake".into()));
        assert_eq!(settings.stream.start, Start::TrimHorizon);
    }

    #[test]
    fn paths_are_relative_to_the_file_and_urls_are_left_alone() {
        let settings =
            parse_here("[table]\nname = \"orders\"\ncontract = \"c.yaml\"\n[lake]\nurl = \"s3://bucket/cdc\"\nmax_size = \"1GiB\"")
                .unwrap();
        assert_eq!(settings.table.contract.unwrap(), Path::new("/etc/headwater/c.yaml"));
        assert_eq!(settings.lake.location, LakeLocation::S3 { bucket: "bucket".to_owned(), prefix: "cdc".to_owned() });
        assert_eq!(settings.lake.max_size, 1 << 30);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("", "table"),
            ("[table]\nname = \"orders\"\n[lakes]\n", "lakes"),
            ("[table]\nname = \"o\"", "table.name"),
            ("[table]\nname = \"orders\"\n[stream]\nstart = \"yesterday\"", "stream.start"),
            ("[table]\nname = \"orders\"\n[lake]\nmax_size = \"64 apples\"", "lake.max_size"),
            ("[table]\nname = \"orders\"\n[lake]\nmax_age = \"0s\"", "lake.max_age"),
            ("[table]\nname = \"orders\"\n[lake]\nmax_age = \"400d\"", "longer than a year"),
            ("[table]\nname = \"orders\"\n[lake]\nmax_age = \"500000000000years\"", "lake.max_age"),
            ("[table]\nname = \"orders\"\n[lease]\nfailover = \"10ms\"", "lease.failover"),
            ("[table]\nname = \"orders\"\n[memory]\nbudget = \"1MiB\"", "memory.budget"),
            ("[table]\nname = \"orders\"\n[route]\nkind = \"pigeon\"", "pigeon"),
        ] {
            let error = parse_here(text).unwrap_err();
            assert!(error.contains(expected), "{text:?} gave {error:?}");
        }
    }

    #[test]
    fn a_start_time_is_taken_to_the_second() {
        let settings = parse_here("[table]\nname = \"orders\"\n[stream]\nstart = \"2026-11-21T03:00:00Z\"").unwrap();
        assert_eq!(settings.stream.start, Start::At(1_795_230_000));
    }
}
