//! Marker lines: they tell whoever reads the stream that the rows of a snapshot stand before them.
//!
//! Each open shard gets a record of its own that is not aggregated, by the first of its hash keys. When the shards are listed every row is
//! acknowledged, so that those of a shard's hash keys lie in it, or in one that it continues; whoever reads parents first has all of them behind him at
//! the marker. If the shards were divided anew before the listing told of it, a marker lands on another shard than the one that it names. There it
//! says nothing, and the shards are listed again, until each shard of a whole listing has acknowledged a marker of its own.

use std::collections::HashSet;

use bytes::Bytes;

use super::plan::{Lane, MOST_RECORDS, PlannedRecord};
use super::service::Answer;
use super::verdict::went_elsewhere;
use super::writer::PAYLOAD_UNIT;
use super::{Shared, route_error};
use crate::aws::{AwsError, refused_record};
use crate::event::ShardId;
use crate::event::encode::{SnapshotEnd, write_marker};
use crate::retry::{self, Delays, RetryPolicy, Transient as _};
use crate::route::shard_map::HashRange;
use crate::route::{Announcement, RouteError};

/// The partition key of markers, which the explicit hash key overrules.
const PARTITION_KEY: &str = "cdc_snapshot_id";

/// Puts a marker into each shard that is open now.
pub(super) async fn announce(shared: &Shared, snapshot: &Announcement<'_>) -> Result<(), RouteError> {
    let doing = || format!("put markers of snapshot {} into the Kinesis stream '{}'", snapshot.id, shared.stream);
    let mut delays = Delays::new(RetryPolicy::SERVICE);
    let mut told = HashSet::new();
    loop {
        let failed = match round(shared, snapshot, &mut told).await {
            Ok(None) => return Ok(()),
            Ok(Some(hint)) => RouteError { doing: doing(), hint, may_pass: true, source: None },
            Err(error) if error.is_transient() => {
                retry::count(error.cause());
                route_error(doing(), error)
            }
            Err(error) => return Err(route_error(doing(), error)),
        };
        let Some(delay) = delays.next_delay() else { return Err(failed) };
        tracing::debug!(error = %failed, delay_ms = delay.as_millis(), "markers are sent again");
        tokio::time::sleep(delay).await;
    }
}

/// Lists the shards, and sends a marker to those that have none yet. Returns what is in the way, if anything is left to do.
async fn round(shared: &Shared, snapshot: &Announcement<'_>, told: &mut HashSet<ShardId>) -> Result<Option<String>, AwsError> {
    let shards = shared.api.open_shards().await?;
    if !shards.is_whole() {
        let hint =
            "the open shards that ListShards tells of do not share out the hash keys: wait until the stream is no longer being resharded";
        return Ok(Some(hint.to_owned()));
    }
    let markers = shards.shards().filter(|(id, _)| !told.contains(*id)).map(|(id, range)| marker(shared, snapshot, id, range));
    let markers: Vec<_> = markers.collect();
    let mut hint = None;
    for records in markers.chunks(MOST_RECORDS) {
        shared.counters.call();
        let answers = shared.api.put(records).await?;
        for (record, answer) in records.iter().zip(&answers) {
            let Lane::Shard(meant) = &record.lane else { continue };
            match answer {
                Answer::Taken(landed) => {
                    shared.counters.taken(record.data.len(), PAYLOAD_UNIT);
                    if went_elsewhere(record, answer) {
                        hint = Some(format!("the marker for {meant} went to {landed}: see that ListShards tells of the stream's reshards"));
                    } else {
                        told.insert(meant.clone());
                    }
                }
                Answer::Refused { code, message } => {
                    shared.counters.retried(1);
                    retry::count(refused_record(code));
                    hint =
                        Some(format!("{meant} refuses records ({code}: {message}): add shards to the stream, or use an on-demand stream"));
                }
            }
        }
    }
    Ok(hint)
}

fn marker(shared: &Shared, snapshot: &Announcement<'_>, meant: &ShardId, range: HashRange) -> PlannedRecord {
    let (start, end) = (range.start(), range.end());
    let marker = SnapshotEnd {
        snapshot_id: snapshot.id.to_owned(),
        time: snapshot.started_at,
        shard: meant.as_str().to_owned(),
        hash_range: (start.into(), end.into()),
    };
    let mut line = Vec::new();
    write_marker(&marker, shared.lake.schema(), &mut line);
    PlannedRecord {
        lane: Lane::Shard(meant.clone()),
        entries: Vec::new(),
        hash_keys: (start, start),
        data: Bytes::from(line),
        partition_key: PARTITION_KEY.into(),
        explicit_hash_key: Some(start),
    }
}
