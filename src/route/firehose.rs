//! The Firehose route: a shard's events into a delivery stream, as newline-delimited JSON.
//!
//! Guaranteed: an event is reported as durable when Firehose has acknowledged the record that it is in, or the lake holds it whole
//! (*durable-before-checkpoint*). A record that Firehose refuses is sent again, before anything newer.
//!
//! Not guaranteed:
//! - **Order.** Firehose delivers at least once and promises no order, so neither can this route, although it sends in the order of the shard:
//!   a refused record arrives behind those that were in the same call. A reader sorts by `cdc_sequence` within an item.
//! - **Once.** When a call fails as a whole nobody knows what of it was taken; it is sent again, and what is read again after a crash is too. Copies
//!   of an event have the same `cdc_event_id`.
//!
//! - **When.** Rows of snapshots are events like changes, but no line tells that the last one has arrived: Firehose tells nobody what it has delivered.
//!   A snapshot counts as arrived when the buffering interval of the delivery stream has passed since its last row was acknowledged, and a minute
//!   more. That is what the service gives as a hint and not as a promise: where it cannot deliver, and tries again for up to a day, rows may come
//!   behind the snapshot's marker.
//!
//! Several events share a Firehose record where that makes the bill smaller and the delivery stream does not look into records
//! (`plan`). An event that is too large for a record leaves a pointer to a claim in the lake, or goes to quarantine. Whoever reads what
//! Firehose has delivered follows the pointers: `cdc_claim_check` is the claim's place below the table's folder of the lake.

mod delivery;
mod plan;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use tokio_util::sync::CancellationToken;

use super::budget::MemoryBudget;
use super::counters::RouteCounters;
use super::{Announcement, Arrival, Route, RouteError, ShardWriter};
use crate::config::{FirehoseSettings, Packing};
use crate::event::{Position, ShardId};
use crate::lake::Lake;
use crate::retry::{RetryPolicy, retry};
use delivery::DeliveryStream;
use writer::{FirehoseWriter, Target};

/// The longest buffering interval that S3 as a destination can have (Amazon Data Firehose Quota), half of it more where dynamic partitioning
/// sorts records first, and that of a Lambda function before it.
const LONGEST_INTERVAL: Duration = Duration::from_secs((15 * 60) * 5 / 2);
/// For the delivery itself: converting, compressing, writing.
const DELIVERY: Duration = Duration::from_mins(1);
/// What a delivery stream of which nothing is known has taken is where it belongs within this time, as far as the service tells.
pub const LONGEST_DELIVERY: Duration = LONGEST_INTERVAL.saturating_add(DELIVERY);

/// Sends changes to a Firehose delivery stream.
pub struct FirehoseRoute {
    target: Arc<Target>,
    budget: Arc<MemoryBudget>,
}

impl FirehoseRoute {
    /// A route to the delivery stream of `settings`, once that has been found to be active and open to direct puts. Events that are too large
    /// for a record go into `lake`; its writers and their calls together hold no more than `budget`.
    pub async fn connect(
        sdk: &SdkConfig,
        settings: &FirehoseSettings,
        lake: Arc<Lake>,
        budget: Arc<MemoryBudget>,
    ) -> Result<Self, RouteError> {
        let stream = DeliveryStream::new(sdk, &settings.delivery_stream);
        let takes_records_apart = stream.check().await?;
        let packing = match settings.packing {
            Packing::Auto => !takes_records_apart,
            Packing::On => true,
            Packing::Off => false,
        };
        tracing::info!(delivery_stream = settings.delivery_stream, packing, "delivery stream is ready");
        let target = Target {
            stream: Box::new(stream),
            name: settings.delivery_stream.clone(),
            batch: settings.batch,
            packing,
            large_records: settings.large_records,
            lake,
            counters: Arc::new(RouteCounters::default()),
            calls: budget.calls(),
        };
        Ok(Self { target: Arc::new(target), budget })
    }

    /// What this process has sent.
    pub fn counters(&self) -> &Arc<RouteCounters> {
        &self.target.counters
    }
}

#[async_trait]
impl Route for FirehoseRoute {
    async fn open(&self, shard: &ShardId, after: Position) -> Result<Box<dyn ShardWriter>, RouteError> {
        Ok(Box::new(FirehoseWriter::new(Arc::clone(&self.target), shard.clone(), after, &self.budget)))
    }

    async fn announce(&self, snapshot: &Announcement<'_>) -> Result<Arrival, RouteError> {
        let told = retry(RetryPolicy::START_UP, &CancellationToken::new(), || self.target.stream.gathers_for()).await;
        let gathers_for = told.unwrap_or_else(|error| {
            tracing::warn!(snapshot = snapshot.id, %error, "the delivery stream cannot be described; the longest interval is taken for its own");
            None
        });
        Ok(Arrival::Within(gathers_for.map_or(LONGEST_DELIVERY, |interval| interval + DELIVERY)))
    }
}
