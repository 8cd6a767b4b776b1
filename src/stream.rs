//! Streams of shards: finding a stream, its shards and their lineage, and reading one shard.
//!
//! [`StreamApi`] is a service as this program needs it; [`dynamodb`] and [`kinesis`] are the two that call AWS. [`lineage`] and [`poll`] are pure: which
//! shards may be read when, and how often. [`reader`] reads one shard and deals with expired iterators, throttling, trimmed positions
//! and vanished shards. Nothing here knows of leases or routes.

pub(crate) mod body;
pub mod dynamodb;
pub mod kinesis;
pub mod lineage;
pub mod poll;
pub mod reader;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::aws::AwsError;
use crate::event::{AttributeType, Position, ShardId};

/// The name of a stream. A table whose stream is disabled and enabled again gets a new one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamArn(String);

impl StreamArn {
    /// Takes the service's ARN as it is.
    pub fn new(arn: impl Into<String>) -> Self {
        Self(arn.into())
    }

    /// The ARN's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When the stream was made, in seconds since the epoch, if the ARN ends in that time, as those of DynamoDB's streams do. Nothing in the stream
    /// is older.
    pub fn created(&self) -> Option<i64> {
        let (_, label) = self.0.rsplit_once('/')?;
        let time: jiff::civil::DateTime = label.parse().ok()?;
        Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
    }

    /// What it names apart from when it was made: of two streams with one name, the later has the greater ARN.
    pub fn without_creation(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(name, _)| name)
    }
}

impl fmt::Display for StreamArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What DescribeTable says that matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// Partition key, then sort key, with their types.
    pub keys: Vec<(String, AttributeType)>,
    /// The newest stream, whether enabled or not.
    pub stream: Option<StreamInfo>,
    /// Which images the stream carries.
    pub view: View,
}

/// The stream to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its name.
    pub arn: StreamArn,
    /// False once it was disabled; what it holds stays readable until it is trimmed.
    pub enabled: bool,
    /// For how many seconds it keeps a record.
    pub retention: i64,
}

/// `StreamViewType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Both images: what replication wants.
    NewAndOldImages,
    /// New images only: no `old_` columns, and a REMOVE carries the key alone.
    NewImage,
    /// Old images only.
    OldImage,
    /// Keys only.
    KeysOnly,
    /// The table has no stream specification any more, so the API does not tell.
    Unknown,
}

/// A shard as the service lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardInfo {
    /// Its id.
    pub id: ShardId,
    /// The shards that it continues: one where another one was split or rolled over, two where two were merged.
    pub parents: Vec<ShardId>,
}

/// One page of a listing of shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribePage {
    /// True while the stream takes new changes.
    pub enabled: bool,
    /// Shards in no order that means anything.
    pub shards: Vec<ShardInfo>,
    /// Where the next page begins, if there is one.
    pub next: Option<ShardId>,
}

/// Where an iterator starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IteratorStart {
    /// The oldest record of the shard.
    TrimHorizon,
    /// Behind this record.
    After(Position),
    /// The first record made at or after this time (seconds since the epoch).
    At(i64),
}

/// One service's streams, of which one at a time is to be read. Each method is one call, without retries; errors are classified.
#[async_trait]
pub trait StreamApi: Send + Sync {
    /// The stream to read now. It may be another one than before: then it has replaced that one, and its ARN is the greater.
    async fn current(&self) -> Result<StreamInfo, AwsError>;

    /// One page of the stream's shards.
    async fn describe(&self, stream: &StreamArn, after: Option<&ShardId>) -> Result<DescribePage, AwsError>;

    /// GetShardIterator.
    async fn iterator(&self, stream: &StreamArn, shard: &ShardId, start: IteratorStart) -> Result<String, AwsError>;

    /// GetRecords, of at most `limit` records where one is given: the body as it came.
    async fn records(&self, iterator: &str, limit: Option<u32>) -> Result<Bytes, AwsError>;
}

/// Every shard of a stream, over all pages.
pub async fn describe_all(api: &dyn StreamApi, stream: &StreamArn) -> Result<(bool, Vec<ShardInfo>), AwsError> {
    let mut shards = Vec::new();
    let mut after = None;
    loop {
        let page = api.describe(stream, after.as_ref()).await?;
        shards.extend(page.shards);
        match page.next {
            Some(next) if after.as_ref() != Some(&next) => after = Some(next),
            _ => return Ok((page.enabled, shards)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_tells_when_its_stream_was_made() {
        let created = |arn| StreamArn::new(arn).created();
        assert_eq!(created("arn:aws:dynamodb:eu-west-1:1:table/orders/stream/2026-11-21T03:00:00.123"), Some(1_795_230_000));
        assert_eq!(created("arn:aws:dynamodb:eu-west-1:1:table/orders/stream/latest"), None);
        assert_eq!(created("arn:stream"), None);
    }
}
