//! The parts of `headwater.toml` that concern Kinesis and Firehose, as they are written, and their validation.

use std::time::Duration;

use serde::Deserialize;

use super::raw::{duration, size, start};
use super::{BatchSettings, DeliverSettings, DeliverTarget, FirehoseSettings, KinesisSettings, LargeRecords, Packing, RouteKind, Start};

/// The Kinesis Producer Library's own size of aggregated records; it fills two PUT payload units of 25 KiB.
const AGGREGATION_MAX_SIZE: u64 = 50 << 10;
/// One PutRecords or PutRecordBatch call takes 500 records; events share records.
const BATCH_SIZE: usize = 1000;
/// EventBridge Pipes' largest batch.
const LARGEST_BATCH: usize = 10_000;
/// A shard takes 1 MB a second.
const BATCH_BYTES: u64 = 1 << 20;
/// Small enough that nobody waits for it, large enough for records to fill up.
const WINDOW: Duration = Duration::from_secs(1);
/// EventBridge Pipes' longest window.
const LONGEST_WINDOW: Duration = Duration::from_mins(5);
/// Firehose's smallest and largest buffer before S3, and its default.
const BUFFER_SIZES: std::ops::RangeInclusive<u64> = 1 << 20..=128 << 20;
const BUFFER_SIZE: u64 = 5 << 20;
/// Firehose's longest wait before S3.
const LONGEST_BUFFER_INTERVAL: Duration = Duration::from_mins(15);
const BUFFER_INTERVAL: Duration = Duration::from_mins(1);
/// Kinesis' largest record, 10 MiB with its partition key.
const LARGEST_AGGREGATE: u64 = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKinesis {
    stream: String,
    aggregation: Option<bool>,
    aggregation_max_size: Option<String>,
    batch_size: Option<usize>,
    batch_bytes: Option<String>,
    maximum_batching_window: Option<String>,
    large_records: Option<LargeRecords>,
    shards: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFirehose {
    delivery_stream: String,
    batch_size: Option<usize>,
    batch_bytes: Option<String>,
    maximum_batching_window: Option<String>,
    packing: Option<Packing>,
    large_records: Option<LargeRecords>,
    role_arn: Option<String>,
    buffer_size: Option<String>,
    buffer_interval: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDeliver {
    target: DeliverTarget,
    application: Option<String>,
    start: Option<String>,
}

impl RawKinesis {
    pub(super) fn validate(self) -> Result<KinesisSettings, String> {
        stream_name("kinesis.stream", &self.stream)?;
        let largest = size("kinesis.aggregation_max_size", self.aggregation_max_size, AGGREGATION_MAX_SIZE)?;
        if largest > LARGEST_AGGREGATE {
            return Err("kinesis.aggregation_max_size is above 1MiB, the size of a Kinesis record".to_owned());
        }
        if self.shards == Some(0) {
            return Err("kinesis.shards is zero: leave it out for an on-demand stream".to_owned());
        }
        Ok(KinesisSettings {
            stream: self.stream,
            aggregation: self.aggregation.unwrap_or(true).then(|| usize::try_from(largest).unwrap_or(usize::MAX)),
            batch: batch("kinesis", self.batch_size, self.batch_bytes, self.maximum_batching_window)?,
            large_records: self.large_records.unwrap_or(LargeRecords::ClaimCheck),
            shards: self.shards,
        })
    }
}

impl RawFirehose {
    pub(super) fn validate(self) -> Result<FirehoseSettings, String> {
        stream_name("firehose.delivery_stream", &self.delivery_stream)?;
        if self.large_records == Some(LargeRecords::Raise) {
            return Err(
                "firehose.large_records is \"raise\", but a Firehose record has at most 1000 KiB: choose \"claim-check\" or \"quarantine\""
                    .to_owned(),
            );
        }
        let buffer_size = size("firehose.buffer_size", self.buffer_size, BUFFER_SIZE)?;
        if !BUFFER_SIZES.contains(&buffer_size) {
            return Err("firehose.buffer_size is not between 1MiB and 128MiB".to_owned());
        }
        let buffer_interval = duration("firehose.buffer_interval", self.buffer_interval, BUFFER_INTERVAL)?;
        if buffer_interval > LONGEST_BUFFER_INTERVAL {
            return Err("firehose.buffer_interval is above 15m".to_owned());
        }
        Ok(FirehoseSettings {
            delivery_stream: self.delivery_stream,
            batch: batch("firehose", self.batch_size, self.batch_bytes, self.maximum_batching_window)?,
            packing: self.packing.unwrap_or(Packing::Auto),
            large_records: self.large_records.unwrap_or(LargeRecords::ClaimCheck),
            role_arn: self.role_arn,
            buffer_size,
            buffer_interval,
        })
    }
}

impl RawDeliver {
    pub(super) fn validate(self, application: &str) -> Result<DeliverSettings, String> {
        let application = self.application.unwrap_or_else(|| format!("{application}-deliver"));
        let start = self.start.map_or(Ok(Start::TrimHorizon), |text| start("deliver.start", &text))?;
        Ok(DeliverSettings { target: self.target, application, start })
    }
}

/// What the stages need of each other.
pub(super) fn check_stages(
    route: RouteKind,
    kinesis: Option<&KinesisSettings>,
    firehose: Option<&FirehoseSettings>,
    deliver: Option<&DeliverSettings>,
    lease: &str,
) -> Result<(), String> {
    let missing = |what: &str, part: &str, key: &str| Err(format!("{what}, but there is no [{part}] with its {key}"));
    match route {
        RouteKind::Kinesis if kinesis.is_none() => return missing("route.kind is \"kinesis\"", "kinesis", "stream"),
        RouteKind::Firehose if firehose.is_none() => return missing("route.kind is \"firehose\"", "firehose", "delivery_stream"),
        RouteKind::Kinesis | RouteKind::Firehose | RouteKind::Lake => {}
    }
    let Some(deliver) = deliver else { return Ok(()) };
    if kinesis.is_none() {
        return missing("there is a [deliver]", "kinesis", "stream");
    }
    if deliver.target == DeliverTarget::Firehose && firehose.is_none() {
        return missing("deliver.target is \"firehose\"", "firehose", "delivery_stream");
    }
    let both = match (route, deliver.target) {
        (RouteKind::Lake, DeliverTarget::Lake) => Some("lake"),
        (RouteKind::Firehose, DeliverTarget::Firehose) => Some("firehose"),
        (RouteKind::Kinesis, _) | (RouteKind::Lake, DeliverTarget::Firehose) | (RouteKind::Firehose, DeliverTarget::Lake) => None,
    };
    if let Some(both) = both {
        return Err(format!(
            "route.kind and deliver.target are both \"{both}\": each change would land twice; set route.kind to \"kinesis\""
        ));
    }
    if deliver.application == lease {
        return Err("deliver.application is lease.application: each stage needs a lease table of its own".to_owned());
    }
    Ok(())
}

fn batch(part: &str, records: Option<usize>, bytes: Option<String>, window: Option<String>) -> Result<BatchSettings, String> {
    let records = records.unwrap_or(BATCH_SIZE);
    if !(1..=LARGEST_BATCH).contains(&records) {
        return Err(format!("{part}.batch_size is not between 1 and {LARGEST_BATCH}"));
    }
    let bytes = size(&format!("{part}.batch_bytes"), bytes, BATCH_BYTES)?;
    let window = duration(&format!("{part}.maximum_batching_window"), window, WINDOW)?;
    if window > LONGEST_WINDOW {
        return Err(format!("{part}.maximum_batching_window is above 5m"));
    }
    Ok(BatchSettings { records, bytes: usize::try_from(bytes).unwrap_or(usize::MAX), window })
}

/// Names of both services' streams.
fn stream_name(key: &str, name: &str) -> Result<(), String> {
    if (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) {
        return Ok(());
    }
    Err(format!("{key} '{name}' is not a stream's name: 1 to 128 of a-z, A-Z, 0-9, '_', '-' and '.' are expected"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse;
    use super::*;

    fn settings(rest: &str) -> Result<super::super::Settings, String> {
        parse(&format!("[table]\nname = \"orders\"\n{rest}"), Path::new("."))
    }

    #[test]
    fn a_stream_s_name_is_enough_for_each_route() {
        let kinesis = settings("[route]\nkind = \"kinesis\"\n[kinesis]\nstream = \"changes\"\n[deliver]\ntarget = \"lake\"").unwrap();
        assert_eq!(kinesis.route, RouteKind::Kinesis);
        assert_eq!(kinesis.kinesis.unwrap().aggregation, Some(51_200));
        assert_eq!(kinesis.deliver.unwrap().application, "headwater-orders-deliver");
        let firehose = settings("[route]\nkind = \"firehose\"\n[firehose]\ndelivery_stream = \"changes\"").unwrap();
        assert_eq!(firehose.firehose.unwrap().packing, Packing::Auto);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let kinesis = |rest: &str| format!("[kinesis]\nstream = \"s\"\n{rest}");
        let firehose = |rest: &str| format!("[firehose]\ndelivery_stream = \"s\"\n{rest}");
        for (text, expected) in [
            ("[route]\nkind = \"kinesis\"".to_owned(), "[kinesis]"),
            ("[route]\nkind = \"firehose\"".to_owned(), "[firehose]"),
            ("[deliver]\ntarget = \"lake\"".to_owned(), "[kinesis]"),
            (kinesis("[deliver]\ntarget = \"lake\""), "land twice"),
            (kinesis("[deliver]\ntarget = \"firehose\""), "[firehose]"),
            (
                "[route]\nkind = \"kinesis\"\n".to_owned() + &kinesis("[deliver]\ntarget = \"lake\"\napplication = \"headwater-orders\""),
                "lease table",
            ),
            (kinesis("[deliver]\ntarget = \"pigeon\""), "pigeon"),
            (kinesis("[deliver]\ntarget = \"lake\"\nstart = \"noon\""), "deliver.start"),
            (kinesis("batch_size = 0"), "kinesis.batch_size"),
            (kinesis("batch_bytes = \"some\""), "kinesis.batch_bytes"),
            (kinesis("maximum_batching_window = \"6m\""), "kinesis.maximum_batching_window"),
            (kinesis("aggregation_max_size = \"2MiB\""), "kinesis.aggregation_max_size"),
            (kinesis("shards = 0"), "kinesis.shards"),
            (firehose("large_records = \"raise\""), "1000 KiB"),
            (firehose("buffer_size = \"1KiB\""), "firehose.buffer_size"),
            (firehose("buffer_interval = \"20m\""), "firehose.buffer_interval"),
            ("[kinesis]\nstream = \"a b\"".to_owned(), "kinesis.stream"),
        ] {
            let error = settings(&text).unwrap_err();
            assert!(error.contains(expected), "{text:?} gave {error:?}");
        }
    }
}
