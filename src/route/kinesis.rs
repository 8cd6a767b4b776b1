//! The Kinesis route: a shard's events into a Kinesis data stream.
//!
//! An event is one user record: its line of NDJSON with the line feed, under the item's key as partition key. With aggregation, events for one
//! shard of the stream share a record in the format of the Kinesis Producer Library. Events are gathered until a batch is full or its window
//! has passed, and then sent in PutRecords calls, one at a time for each writer.
//!
//! Guaranteed: an event is reported as durable when Kinesis has acknowledged the record that holds it, and so has every event before it
//! (*durable-before-checkpoint*). The first appearances of an item's changes in the stream are in the order of the shard (*item-order*):
//! see `plan` for how. That holds for readers of the shard that a key belongs to. An aggregated record that landed on a foreign shard is passed
//! over by readers that check the keys in it, as the Kinesis Client Library does; to one that does not (`deliver`, Lambda) it may show a copy
//! early, before older changes of the item. A record that is refused holds back its own lane, others go on.
//!
//! Not guaranteed: that a change appears once. A call without an answer may have been carried out and is made again; an aggregated record that
//! landed on the wrong shard is built anew, and readers that look at keys pass over the first one. The event id of a repetition is the same.
//!
//! A change that is too large for a record goes to the lake, with a pointer in the stream, or to quarantine, as configured.
//!
//! Rows of snapshots are events like changes. Behind the last one each open shard gets a marker: a line with the metadata of an event whose `cdc_op` is
//! SNAPSHOT_END, with the snapshot's id and start, with the shard that it was meant for (`cdc_shard`) and its hash keys (`cdc_hash_range`), and
//! without the keys of any item. A reader that is not headwater's must expect it among the events and may pass it over. Markers may be repeated.
//!
//! In reading order: `plan` (pure) says what a call carries, `verdict` (pure) what the answers mean, `backoff` who has to wait; `writer` makes
//! the calls; `announce` sends the markers; `service` is what is needed of Kinesis, `shards` the shared map of its shards.

mod announce;
mod backoff;
mod plan;
mod service;
mod shards;
mod verdict;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_kinesis::types::{RecordDistributionStrategy, StreamDescriptionSummary, StreamStatus};
use tokio_util::sync::CancellationToken;

use self::service::{DataStream, PutRecords};
use self::shards::Shards;
use self::writer::KinesisWriter;
use super::budget::{Calls, MemoryBudget};
use super::counters::RouteCounters;
use super::{Announcement, Arrival, Route, RouteError, ShardWriter};
use crate::aws::{AwsError, Failure};
use crate::config::{BatchSettings, KinesisSettings, LargeRecords};
use crate::event::encode::Decimals;
use crate::event::{Position, ShardId};
use crate::lake::Lake;
use crate::retry::{RetryPolicy, Transient as _, retry};
use crate::route::shard_map::ShardMap;

/// Kinesis' limit on a record with its partition key, unless the stream's was raised.
const RECORD_LIMIT: usize = 1 << 20;
const KIB: usize = 1 << 10;
/// Why a stream that spreads records by itself is not written to.
const NOT_BY_KEY: &str = "its RecordDistributionStrategy is AUTO, with which Kinesis ignores partition keys: the changes of an item would not \
                          stay in order. Set it to USER_PARTITION_KEY (UpdateStreamRecordDistributionStrategy)";

/// Sends changes to a Kinesis data stream.
pub struct KinesisRoute {
    shared: Arc<Shared>,
}

/// What all writers of the route have in common.
struct Shared {
    stream: String,
    api: Arc<dyn PutRecords>,
    shards: Shards,
    batch: BatchSettings,
    /// Bytes of an aggregated record; none when each event is a record of its own.
    aggregate: Option<usize>,
    /// Bytes of a record with its partition key.
    record_limit: usize,
    large_records: LargeRecords,
    lake: Arc<Lake>,
    decimals: Decimals,
    budget: Arc<MemoryBudget>,
    calls: Arc<Calls>,
    counters: Arc<RouteCounters>,
}

impl Shared {
    /// Whether the stream still keeps an item's changes on one shard. While it does not tell, it is taken to be as it was.
    async fn check_distribution(&self, policy: Option<RetryPolicy>) -> Result<(), RouteError> {
        let told = match policy {
            Some(policy) => retry(policy, &CancellationToken::new(), || self.api.goes_by_key()).await,
            None => self.api.goes_by_key().await,
        };
        let doing = || format!("write to the Kinesis stream '{}'", self.stream);
        match told {
            Ok(true) => Ok(()),
            Ok(false) => Err(RouteError { doing: doing(), hint: NOT_BY_KEY.to_owned(), may_pass: false, source: None }),
            Err(error) if error.is_transient() => {
                tracing::warn!(stream = self.stream, %error, "the stream cannot be described now");
                Ok(())
            }
            Err(error) => Err(route_error(doing(), error)),
        }
    }
}

impl KinesisRoute {
    /// Opens the route into a stream that is there, and checks that it keeps what the route promises. `lake` takes what is too large for a
    /// record; the writers and their calls together hold no more than `budget`.
    pub async fn connect(
        sdk: &SdkConfig,
        settings: &KinesisSettings,
        lake: Arc<Lake>,
        decimals: Decimals,
        budget: Arc<MemoryBudget>,
    ) -> Result<Self, RouteError> {
        let stop = CancellationToken::new();
        let stream = DataStream::new(sdk, &settings.stream);
        let doing = || format!("open the Kinesis stream '{}'", settings.stream);
        let failed = |error: AwsError| route_error(doing(), error);
        let summary = retry(RetryPolicy::START_UP, &stop, || stream.describe()).await.map_err(failed)?;
        let record_limit =
            check(&summary, settings.large_records).map_err(|hint| RouteError { doing: doing(), hint, may_pass: false, source: None })?;
        let map = match settings.aggregation {
            Some(_) => retry(RetryPolicy::START_UP, &stop, || stream.open_shards()).await.map_err(failed)?,
            // Where each event is a record of its own, Kinesis places it.
            None => ShardMap::default(),
        };
        let shared = Shared {
            stream: settings.stream.clone(),
            api: Arc::new(stream),
            shards: Shards::new(map),
            batch: settings.batch,
            aggregate: settings.aggregation.map(|largest| largest.min(record_limit)),
            record_limit,
            large_records: settings.large_records,
            lake,
            decimals,
            calls: Arc::new(budget.calls()),
            budget,
            counters: Arc::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What was sent so far.
    pub fn counters(&self) -> Arc<RouteCounters> {
        Arc::clone(&self.shared.counters)
    }
}

#[async_trait]
impl Route for KinesisRoute {
    async fn open(&self, shard: &ShardId, after: Position) -> Result<Box<dyn ShardWriter>, RouteError> {
        // It may have been set since the route was opened.
        self.shared.check_distribution(Some(RetryPolicy::START_UP)).await?;
        Ok(Box::new(KinesisWriter::new(Arc::clone(&self.shared), shard.clone(), after)))
    }

    async fn announce(&self, snapshot: &Announcement<'_>) -> Result<Arrival, RouteError> {
        // Where Kinesis spreads records by itself, it does not put a marker where it belongs either.
        self.shared.check_distribution(Some(RetryPolicy::START_UP)).await?;
        announce::announce(&self.shared, snapshot).await?;
        Ok(Arrival::Noted)
    }
}

/// Whether the stream can be written to, and its items' changes stay in order in it. Returns how large a record may be.
fn check(summary: &StreamDescriptionSummary, large_records: LargeRecords) -> Result<usize, String> {
    match &summary.stream_status {
        StreamStatus::Active | StreamStatus::Updating => {}
        StreamStatus::Creating => return Err("it is still being created: start again when it is active".to_owned()),
        StreamStatus::Deleting => return Err("it is being deleted: create another one, or run `headwater init` when it is gone".to_owned()),
        other => return Err(format!("its status is {other}, and only a stream that is active takes records")),
    }
    if summary.record_distribution_strategy == Some(RecordDistributionStrategy::Auto) {
        return Err(NOT_BY_KEY.to_owned());
    }
    if large_records != LargeRecords::Raise {
        return Ok(RECORD_LIMIT);
    }
    let raised = summary.max_record_size_in_kib.and_then(|size| usize::try_from(size).ok()).map_or(0, |size| size * KIB);
    if raised <= RECORD_LIMIT {
        return Err("kinesis.large_records is \"raise\", but the stream's records have at most 1 MiB: raise its MaxRecordSizeInKiB up to \
                    10240 (UpdateMaxRecordSize), or choose \"claim-check\" or \"quarantine\""
            .to_owned());
    }
    Ok(raised.min(plan::LARGEST_REQUEST))
}

/// An error of Kinesis in words that say what to do.
fn route_error(doing: String, error: AwsError) -> RouteError {
    let hint = match error.failure {
        Failure::NotFound => {
            "the stream does not exist: create it or run `headwater init`, or correct kinesis.stream, AWS_REGION or \
                              AWS_ENDPOINT_URL_KINESIS"
        }
        Failure::Denied if error.code.starts_with("KMS") => {
            "the stream is encrypted, and its KMS key cannot be used: allow kms:GenerateDataKey on it, and see that it is enabled"
        }
        Failure::Denied => {
            "permission denied: allow kinesis:DescribeStreamSummary, kinesis:ListShards and kinesis:PutRecords on the stream, and check the \
             credentials"
        }
        Failure::Throttled => "Kinesis asks for fewer calls: add shards to the stream, or use an on-demand stream",
        Failure::Unavailable => "Kinesis does not answer: check the network and AWS_ENDPOINT_URL_KINESIS",
        Failure::ConditionFailed | Failure::Trimmed | Failure::ExpiredIterator | Failure::Invalid => {
            "Kinesis does not take the request: check that what answers is Kinesis"
        }
    };
    RouteError { doing, hint: hint.to_owned(), may_pass: error.is_transient(), source: Some(Box::new(error)) }
}

#[cfg(test)]
mod tests;
