//! The deliver stage: a Kinesis stream of change events, as a [`Source`] of the [`consumer`](crate::consumer).
//!
//! Records are taken apart where they are aggregated. Each user record is one change as a line of JSON, as capture wrote it; what is none goes to
//! quarantine whole. A pointer to a change that was too large for the stream is followed into the lake.
//!
//! Rows of snapshots travel among the changes and are landed like them. Behind the last row each shard has a marker ([`SnapshotEnd`]): when
//! everything before it is durable, this stage notes in the lake that the shard's part of the snapshot has arrived ([`Lake::note_part`]), so that
//! the snapshot is completed once all parts have. A marker counts only on the shard that it names: a reshard may have led it to another one, of
//! which it says nothing, and then there is another marker. Where this stage feeds Firehose, durable means acknowledged by Firehose: the rows come
//! into its bucket within its buffering interval after the note.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use serde::Deserialize;

use crate::aws::describe;
use crate::config::StreamSettings;
use crate::consumer::page::{Decode, Kept, Page, Record, Unreadable};
use crate::consumer::{Source, Trimming};
use crate::contract::TableSchema;
use crate::event::encode::{Decimals, SnapshotEnd, write_ndjson};
use crate::event::parse::{ParseError, Parsed, Pointer, parse_line};
use crate::event::{ChangeEvent, Operation, Position, ShardId};
use crate::lake::{HourPartition, Kind, Lake, LakeError, Part, Problem};
use crate::route::aggregate::{Unpacked, unpack};
use crate::stream::poll::Pace;
use crate::stream::{ShardInfo, StreamApi, kinesis};
use crate::table::Key;

/// Pages in memory at once, over all shards. A page is about 1.5 MB of records unless single ones are large, and several times that as events.
const PAGES_IN_MEMORY: usize = 3;
/// A shard takes five reads and 2 MB a second, over all its consumers. One read a second is left to Firehose, and a quarter of the bytes.
const PACE: Pace = Pace { shortest: Duration::from_millis(250), bytes_per_second: Some(READ_BYTES * 4 / 3) };
/// As records; a page holds them as base64.
const READ_BYTES: u32 = 1_500_000;
/// The shortest retention that a Kinesis stream can have, in seconds.
const KEPT_AT_LEAST: i64 = 24 * 3600;

/// A Kinesis stream as the source of the deliver stage. `lake` holds what its pointers lead to.
pub fn source(api: Arc<dyn StreamApi>, schema: Arc<TableSchema>, lake: Arc<Lake>, settings: StreamSettings) -> Source {
    Source {
        stage: "deliver",
        api,
        decode: decoder(schema, lake),
        settings,
        pace: PACE,
        pages_in_memory: PAGES_IN_MEMORY,
        trimming: Trimming::Silent { kept_at_least: KEPT_AT_LEAST },
        ordered_across_shards: false,
    }
}

/// What makes events of the records of a Kinesis stream. `lake` holds what its pointers lead to.
pub fn decoder(schema: Arc<TableSchema>, lake: Arc<Lake>) -> Arc<dyn Decode> {
    Arc::new(Lines(Arc::new(Claims { schema, lake })))
}

/// A response of GetRecords.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WirePage<'p> {
    #[serde(borrow)]
    records: Vec<WireRecord<'p>>,
    next_shard_iterator: Option<String>,
    millis_behind_latest: Option<u64>,
    child_shards: Option<Vec<WireChild>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireRecord<'p> {
    #[serde(borrow)]
    data: Cow<'p, str>,
    #[serde(borrow)]
    sequence_number: Cow<'p, str>,
    approximate_arrival_timestamp: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireChild {
    shard_id: String,
    #[serde(default)]
    parent_shards: Vec<String>,
}

/// Lines of change events into events.
struct Lines(Arc<Claims>);

/// Where changes lie that were too large for the stream.
struct Claims {
    schema: Arc<TableSchema>,
    lake: Arc<Lake>,
}

#[async_trait]
impl Decode for Lines {
    async fn page<'p>(&self, shard: &'p ShardId, body: &'p [u8]) -> Result<Page<'p>, Unreadable> {
        let page: WirePage<'p> = serde_json::from_slice(body).map_err(|error| {
            Unreadable(format!("the GetRecords response is not a JSON object with Records; read the page again: {error}"))
        })?;
        let mut records = Vec::with_capacity(page.records.len());
        for record in &page.records {
            self.unpack(shard, record, &mut records);
        }
        let children = page.child_shards.unwrap_or_default().into_iter().map(|child| ShardInfo {
            id: kinesis::sibling(shard, &child.shard_id),
            parents: child.parent_shards.iter().map(|parent| kinesis::sibling(shard, parent)).collect(),
        });
        Ok(Page {
            records,
            next: page.next_shard_iterator.map(Cow::Owned),
            children: children.collect(),
            more: page.millis_behind_latest.map(|behind| behind > 0),
        })
    }

    async fn again<'p>(&self, shard: &'p ShardId, kept: Kept<'p>) -> Result<Record<'p>, Unreadable> {
        // Without a position it is of no shard's order any more; the caller knows where it puts it.
        match self.record(shard, kept.position.unwrap_or(Position::ZERO), Some(kept.time), kept.raw) {
            Record::Elsewhere { fetch, .. } => fetch.await,
            here => Ok(here),
        }
    }

    fn record_of(&self, event: &ChangeEvent<'_>) -> Vec<u8> {
        let mut line = Vec::new();
        write_ndjson(event, &self.0.schema, Decimals::Number, &mut line);
        line
    }
}

impl Lines {
    /// The user records of a record.
    fn unpack<'p>(&self, shard: &ShardId, record: &WireRecord<'p>, into: &mut Vec<Record<'p>>) {
        #[expect(clippy::cast_possible_truncation, reason = "a time to the second, which saturates")]
        let time = record.approximate_arrival_timestamp.map(|seconds| seconds.floor() as i64);
        let whole = |reason: String| Record::Poison {
            position: Position::new(&record.sequence_number, 0).ok(),
            time,
            event_id: None,
            key: None,
            raw: Cow::Owned(record.data.as_bytes().to_vec()),
            kind: Kind::Undecodable,
            reason,
        };
        let data = match STANDARD.decode(record.data.as_bytes()) {
            Ok(data) => data,
            Err(error) => {
                into.push(whole(format!("the record's data is not base64: {error}")));
                return;
            }
        };
        let parts = match unpack(&data) {
            Unpacked::Plain => vec![data.as_slice()],
            Unpacked::Aggregated(users) => users.into_iter().map(|user| user.data).collect(),
        };
        for (sub, line) in (0..).zip(parts) {
            match Position::new(&record.sequence_number, sub) {
                Ok(position) => into.push(self.record(shard, position, time, line)),
                Err(error) => {
                    into.push(whole(error.to_string()));
                    break;
                }
            }
        }
    }

    /// A user record: a change, a pointer to one, a marker, or none of them.
    fn record<'p>(&self, shard: &ShardId, position: Position, time: Option<i64>, line: &[u8]) -> Record<'p> {
        let event = match parse_line(line, &self.0.schema) {
            Ok(Parsed::Change(event)) => landable(event),
            Ok(Parsed::Pointer(pointer)) => {
                let (claims, line) = (Arc::clone(&self.0), line.to_vec());
                let fetch = async move { Ok(claims.record(position, time, &line, claims.follow(&pointer).await?)) };
                return Record::Elsewhere { position, fetch: fetch.boxed() };
            }
            Ok(Parsed::Marker(end)) => return marker(shard, position, end),
            Err(error) => Err(NoChange::of_line(&error)),
        };
        self.0.record(position, time, line, event)
    }
}

/// Why a line gives no change.
struct NoChange {
    kind: Kind,
    reason: String,
}

impl NoChange {
    fn of_line(error: &ParseError) -> Self {
        let kind = match error {
            ParseError::Unknown { .. } | ParseError::Column { .. } | ParseError::OtherTable { .. } => Kind::DoesNotFit,
            ParseError::Encoding(_)
            | ParseError::NoObject { .. }
            | ParseError::Malformed(_)
            | ParseError::Duplicate { .. }
            | ParseError::Missing { .. }
            | ParseError::Metadata { .. }
            | ParseError::Image { .. } => Kind::Undecodable,
        };
        Self { kind, reason: describe(error) }
    }
}

/// The marker in a line, if it was meant for this shard.
fn marker<'p>(shard: &ShardId, position: Position, end: SnapshotEnd) -> Record<'p> {
    if kinesis::sibling(shard, &end.shard) != *shard {
        return Record::Void { position };
    }
    let part = Part { start: end.hash_range.0, end: end.hash_range.1 };
    Record::Marker { position, snapshot: end.snapshot_id, part }
}

/// A change that a lake takes. A line may be written by anybody, and one that no target takes must not stop what is behind it.
fn landable(event: ChangeEvent<'static>) -> Result<ChangeEvent<'static>, NoChange> {
    let unfit = |reason: String| NoChange { kind: Kind::DoesNotFit, reason };
    if event.operation == Operation::Snapshot && event.snapshot_id.is_none() {
        return Err(unfit("it is a row of a snapshot and does not say of which: cdc_snapshot_id is missing".to_owned()));
    }
    HourPartition::containing(event.time).map_err(|error| unfit(format!("its time is impossible: {error}")))?;
    Ok(event)
}

impl Claims {
    /// The change in a line, or poison when there is none.
    fn record<'p>(&self, position: Position, time: Option<i64>, line: &[u8], event: Result<ChangeEvent<'static>, NoChange>) -> Record<'p> {
        match event {
            Ok(event) => Record::Change { position, time: time.unwrap_or(event.time), event },
            Err(NoChange { kind, reason }) => {
                let (key, raw) = (Key::of_line(&self.schema, line), Cow::Owned(line.to_vec()));
                Record::Poison { position: Some(position), time, event_id: None, key, raw, kind, reason }
            }
        }
    }

    /// The change that a pointer leads to, or why there is none.
    async fn follow(&self, pointer: &Pointer) -> Result<Result<ChangeEvent<'static>, NoChange>, Unreadable> {
        let nothing = |reason: String| Err(NoChange { kind: Kind::Undecodable, reason });
        let line = match self.lake.read_claim(&pointer.location).await {
            Ok(line) => line,
            Err(error @ LakeError { problem: Problem::Missing | Problem::NotAClaim(_), .. }) => return Ok(nothing(describe(&error))),
            Err(error) => return Err(Unreadable(describe(&error))),
        };
        Ok(match parse_line(&line, &self.schema) {
            Ok(Parsed::Change(event)) if pointer.stands_for(&event) => landable(event),
            Ok(_) => nothing(format!("{} does not hold the change {}", pointer.location, pointer.event_id)),
            Err(error) => {
                let NoChange { kind, reason } = NoChange::of_line(&error);
                Err(NoChange { kind, reason: format!("{}: {reason}", pointer.location) })
            }
        })
    }
}

#[cfg(test)]
mod tests;
