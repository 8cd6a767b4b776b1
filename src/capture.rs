//! The capture stage: a table's stream, as a [`Source`] of the [`consumer`](crate::consumer).
//!
//! A page of GetRecords is parsed in one streaming pass that borrows from the response; each record is flattened by the table's columns.

mod told;

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;

use crate::aws::describe;
use crate::config::StreamSettings;
use crate::consumer::page::{Decode, Kept, Page, Record, Unreadable};
use crate::consumer::{Source, Trimming};
use crate::contract::TableSchema;
use crate::event::decode::{Decoded, parse_page, parse_record};
use crate::event::encode::{Decimals, write_ndjson};
use crate::event::flatten::Flattener;
use crate::event::parse::{Parsed, parse_line};
use crate::event::restore::{Images, restore};
use crate::event::{ChangeEvent, Position, ShardId, StreamRecord};
use crate::lake::Kind;
use crate::lake::quarantine::Content;
use crate::stream::StreamApi;
use crate::stream::poll::Pace;
use crate::table::Key;
use told::Told;

/// Pages in memory at once, over all shards. A page is 1 MB of records, and up to a few MB as JSON.
const PAGES_IN_MEMORY: usize = 8;

/// A table's stream as the source of the capture stage.
pub fn source(api: Arc<dyn StreamApi>, schema: &TableSchema, settings: StreamSettings) -> Source {
    Source {
        stage: "capture",
        api,
        decode: decoder(schema),
        settings,
        pace: Pace::FREE,
        pages_in_memory: PAGES_IN_MEMORY,
        trimming: Trimming::Told,
        ordered_across_shards: true,
    }
}

/// What makes events of the records of a table's stream.
pub fn decoder(schema: &TableSchema) -> Arc<dyn Decode> {
    Arc::new(Flatten { flattener: Flattener::new(schema), schema: schema.clone() })
}

/// Records of a table's stream into flat events.
struct Flatten {
    flattener: Flattener,
    schema: TableSchema,
}

#[async_trait]
impl Decode for Flatten {
    async fn page<'p>(&self, shard: &'p ShardId, body: &'p [u8]) -> Result<Page<'p>, Unreadable> {
        let page = parse_page(body).map_err(|error| Unreadable(describe(&error)))?;
        let records = page.records.into_iter().map(|decoded| self.record(decoded, shard));
        Ok(Page { records: records.collect(), next: page.next_iterator, children: Vec::new(), more: None })
    }

    async fn again<'p>(&self, shard: &'p ShardId, kept: Kept<'p>) -> Result<Record<'p>, Unreadable> {
        Ok(match Content::of(kept.raw) {
            // A change that was too large for the route's stream.
            Content::Line => self.line(&kept),
            Content::StreamRecord | Content::Other => match std::str::from_utf8(kept.raw) {
                Ok(text) => self.record(parse_record(text), shard),
                Err(error) => unreadable(&kept, None, Kind::Undecodable, describe(&error)),
            },
        })
    }

    fn record_of(&self, event: &ChangeEvent<'_>) -> Vec<u8> {
        // As the stream has it, so that it fits whatever contract it is sent back under.
        if let Ok(Images { keys, new, old }) = restore(event, &self.schema) {
            let record = StreamRecord {
                event_id: event.event_id.clone(),
                operation: event.operation,
                sequence: event.sequence,
                created: event.time,
                keys,
                new_image: new,
                old_image: old,
                ttl_delete: event.ttl_delete,
            };
            return record.to_json().into_bytes();
        }
        let mut line = Vec::new();
        write_ndjson(event, &self.schema, Decimals::Number, &mut line);
        line
    }
}

impl Flatten {
    fn record<'p>(&self, decoded: Decoded<'p>, shard: &'p ShardId) -> Record<'p> {
        match decoded {
            Decoded::Record(record) => self.change(&record, shard),
            Decoded::Poison(poison) => {
                let Told { time, key } = Told::by(poison.raw, &self.schema);
                Record::Poison {
                    position: poison.sequence.map(Position::from),
                    time,
                    event_id: poison.event_id,
                    key,
                    raw: Cow::Borrowed(poison.raw.as_bytes()),
                    kind: Kind::Undecodable,
                    reason: poison.reason,
                }
            }
        }
    }

    /// The change in a line of this stage's own.
    fn line<'p>(&self, kept: &Kept<'p>) -> Record<'p> {
        match parse_line(kept.raw, &self.schema) {
            Ok(Parsed::Change(event)) => {
                Record::Change { position: kept.position.unwrap_or(event.sequence.into()), time: event.time, event }
            }
            Ok(Parsed::Pointer(_) | Parsed::Marker(_)) => unreadable(kept, None, Kind::Undecodable, "the line holds no change".to_owned()),
            Err(error) => unreadable(kept, Key::of_line(&self.schema, kept.raw), Kind::DoesNotFit, describe(&error)),
        }
    }

    fn change<'p>(&self, record: &StreamRecord<'p>, shard: &'p ShardId) -> Record<'p> {
        let position = record.sequence.into();
        match self.flattener.flatten(record, shard.as_str()) {
            Ok(event) => Record::Change { position, time: record.created, event },
            Err(error) => Record::Poison {
                position: Some(position),
                time: Some(record.created),
                event_id: Some(record.event_id.clone()),
                key: Key::of_item(&self.schema, &record.keys).ok(),
                kind: Kind::DoesNotFit,
                raw: Cow::Owned(record.to_json().into_bytes()),
                reason: describe(&error),
            },
        }
    }
}

/// What was kept, for the same or another reason.
fn unreadable<'p>(kept: &Kept<'p>, key: Option<Key>, kind: Kind, reason: String) -> Record<'p> {
    Record::Poison { position: kept.position, time: Some(kept.time), event_id: None, key, raw: Cow::Borrowed(kept.raw), kind, reason }
}

#[cfg(test)]
mod tests;
