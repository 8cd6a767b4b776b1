//! What becomes of the Kinesis stream in the path.

use std::time::Duration;

use anyhow::anyhow;
use serde_json::json;

use super::super::scenario::KinesisMakeUp;
use super::super::{KINESIS, marks};
use super::History;
use crate::item::AttributeValue;

/// No split makes more open shards than this.
const MOST_SHARDS: usize = 8;
/// So many control characters fit into an item, and as many escapes of JSON do not fit into a record.
const LARGE: usize = 200_000;

impl History {
    pub(super) fn create_stream(&self, make_up: &KinesisMakeUp) -> anyhow::Result<()> {
        let input = match make_up.shards {
            Some(shards) => json!({"StreamName": KINESIS, "ShardCount": shards}),
            None => json!({"StreamName": KINESIS, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}),
        };
        self.call("Kinesis_20131202.CreateStream", &input)
    }

    /// Splits an open shard.
    pub(in super::super) fn split_kinesis(&mut self, pick: usize) -> anyhow::Result<()> {
        let now = self.cloud.clock.now();
        let state = &mut *self.cloud.state();
        let open = state.kinesis.open_shards(KINESIS);
        if open.len() < MOST_SHARDS {
            let split = state.kinesis.split(KINESIS, open[pick % open.len()], now, &self.cloud.journal);
            split.map_err(|error| anyhow!("split a shard of Kinesis: {error}"))?;
        }
        Ok(())
    }

    /// Merges an open shard with the next one.
    pub(in super::super) fn merge_kinesis(&mut self, pick: usize) -> anyhow::Result<()> {
        let now = self.cloud.clock.now();
        let state = &mut *self.cloud.state();
        let open = state.kinesis.open_shards(KINESIS);
        let shard = open[pick % open.len()];
        if let Some(next) = state.kinesis.neighbour(KINESIS, shard) {
            let merged = state.kinesis.merge(KINESIS, shard, next, now, &self.cloud.journal);
            merged.map_err(|error| anyhow!("merge shards of Kinesis: {error}"))?;
            *self.counts.entry("merges of Kinesis").or_default() += 1;
        }
        Ok(())
    }

    /// An open shard takes nothing for a while.
    pub(in super::super) fn throttle_kinesis(&mut self, pick: usize, length: Duration) -> anyhow::Result<()> {
        let until = self.cloud.clock.now() + i64::try_from(length.as_millis())?;
        let state = &mut *self.cloud.state();
        let open = state.kinesis.open_shards(KINESIS);
        let throttled = state.kinesis.throttle(KINESIS, open[pick % open.len()], until);
        *self.counts.entry("throttled shards of Kinesis").or_default() += 1;
        throttled.map_err(|error| anyhow!("throttle a shard of Kinesis: {error}"))
    }

    /// Writes an item whose change does not fit into a record.
    pub(in super::super) fn write_large(&mut self) -> anyhow::Result<()> {
        let mut item = self.key();
        item.insert("large".to_owned(), AttributeValue::S(format!("{}{}", marks::TEXT, "\u{1}".repeat(LARGE))));
        let now = self.cloud.clock.now();
        let state = &mut *self.cloud.state();
        state
            .tables
            .put(&mut state.streams, super::TABLE, item, now, &self.cloud.journal)
            .map_err(|error| anyhow!("write to the table: {error}"))?;
        *self.counts.entry("large items").or_default() += 1;
        Ok(())
    }
}
