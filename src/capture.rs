//! The capture stage: a table's stream, as a [`Source`] of the [`consumer`](crate::consumer).
//!
//! A page of GetRecords is parsed in one streaming pass that borrows from the response; each record is flattened by the table's columns.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;

use crate::aws::describe;
use crate::config::StreamSettings;
use crate::consumer::page::{Decode, Page, Record, Unreadable};
use crate::consumer::{Source, Trimming};
use crate::contract::TableSchema;
use crate::event::decode::{Decoded, parse_page};
use crate::event::flatten::Flattener;
use crate::event::{Position, ShardId, StreamRecord};
use crate::stream::StreamApi;
use crate::stream::poll::Pace;

/// Pages in memory at once, over all shards. A page is 1 MB of records, and up to a few MB as JSON.
const PAGES_IN_MEMORY: usize = 8;

/// A table's stream as the source of the capture stage.
pub fn source(api: Arc<dyn StreamApi>, schema: &TableSchema, settings: StreamSettings) -> Source {
    Source {
        stage: "capture",
        api,
        decode: Arc::new(Flatten(Flattener::new(schema))),
        settings,
        pace: Pace::FREE,
        pages_in_memory: PAGES_IN_MEMORY,
        trimming: Trimming::Told,
        ordered_across_shards: true,
    }
}

/// Records of a table's stream into flat events.
struct Flatten(Flattener);

#[async_trait]
impl Decode for Flatten {
    async fn page<'p>(&self, shard: &'p ShardId, body: &'p [u8]) -> Result<Page<'p>, Unreadable> {
        let page = parse_page(body).map_err(|error| Unreadable(describe(&error)))?;
        let records = page.records.into_iter().map(|decoded| match decoded {
            Decoded::Record(record) => self.change(&record, shard),
            Decoded::Poison(poison) => Record::Poison {
                position: poison.sequence.map(Position::from),
                time: None,
                event_id: poison.event_id,
                raw: Cow::Borrowed(poison.raw.as_bytes()),
                reason: poison.reason,
            },
        });
        Ok(Page { records: records.collect(), next: page.next_iterator, children: Vec::new(), more: None })
    }
}

impl Flatten {
    fn change<'p>(&self, record: &StreamRecord<'p>, shard: &'p ShardId) -> Record<'p> {
        let position = record.sequence.into();
        match self.0.flatten(record, shard.as_str()) {
            Ok(event) => Record::Change { position, time: record.created, event },
            Err(error) => Record::Poison {
                position: Some(position),
                time: Some(record.created),
                event_id: Some(record.event_id.clone()),
                raw: Cow::Owned(record.to_json().into_bytes()),
                reason: describe(&error),
            },
        }
    }
}
