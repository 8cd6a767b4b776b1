//! What a page of a stream holds, as events.

use std::borrow::Cow;

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::event::{ChangeEvent, Position, ShardId};
use crate::lake::{Kind, Part};
use crate::stream::ShardInfo;
use crate::table::Key;

/// Makes events of the pages of one kind of stream.
#[async_trait]
pub trait Decode: Send + Sync {
    /// Decodes a page of `shard`, whole: what is no event is among its records too.
    async fn page<'p>(&self, shard: &'p ShardId, body: &'p [u8]) -> Result<Page<'p>, Unreadable>;

    /// Decodes one record of `shard` that was in quarantine, as it was kept there. What lies elsewhere is fetched.
    async fn again<'p>(&self, shard: &'p ShardId, kept: Kept<'p>) -> Result<Record<'p>, Unreadable>;

    /// A record that [`again`](Self::again) makes this change of: what is kept of a change that has to wait.
    fn record_of(&self, event: &ChangeEvent<'_>) -> Vec<u8>;
}

/// A record as quarantine keeps it.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'p> {
    /// Where it stands in its shard, where that could be told.
    pub position: Option<Position>,
    /// Its time in seconds since the epoch.
    pub time: i64,
    /// The record.
    pub raw: &'p [u8],
}

/// A page of a shard.
pub struct Page<'p> {
    /// Its records, in the order of the shard.
    pub records: Vec<Record<'p>>,
    /// The iterator that goes on behind it; none when the shard ends here.
    pub next: Option<Cow<'p, str>>,
    /// The shards that continue this one, where its last page names them.
    pub children: Vec<ShardInfo>,
    /// Whether the service has more behind this page, where it says so.
    pub more: Option<bool>,
}

/// A record of a page.
pub enum Record<'p> {
    /// A change.
    Change {
        /// Where it stands in the shard.
        position: Position,
        /// When the stream took it, in seconds since the epoch.
        time: i64,
        /// The change.
        event: ChangeEvent<'p>,
    },
    /// A change that lies elsewhere. It is fetched when its turn has come, so that one at a time is in memory.
    Elsewhere {
        /// Where it stands in the shard.
        position: Position,
        /// Fetches it: a change, or poison.
        fetch: BoxFuture<'p, Result<Record<'p>, Unreadable>>,
    },
    /// Word that every row of a snapshot which belongs to a part of the stream stands before this.
    Marker {
        /// Where it stands in the shard.
        position: Position,
        /// The snapshot.
        snapshot: String,
        /// The part: the shard's own.
        part: Part,
    },
    /// What has no row and tells nothing here.
    Void {
        /// Where it stands in the shard.
        position: Position,
    },
    /// What is no change, to be kept whole in quarantine.
    Poison {
        /// Where it stands, where that can be told.
        position: Option<Position>,
        /// When the stream took it, where that can be told.
        time: Option<i64>,
        /// The stream's or the event's own id, where there is one.
        event_id: Option<Cow<'p, str>>,
        /// The item that it is about, where that can be told.
        key: Option<Key>,
        /// The record.
        raw: Cow<'p, [u8]>,
        /// Why it is no change.
        kind: Kind,
        /// What is wrong with it, in words. May show parts of the record.
        reason: String,
    },
}

impl Record<'_> {
    /// Where it stands in the shard, where that can be told.
    pub fn position(&self) -> Option<Position> {
        match self {
            Self::Change { position, .. } | Self::Elsewhere { position, .. } | Self::Marker { position, .. } | Self::Void { position } => {
                Some(*position)
            }
            Self::Poison { position, .. } => *position,
        }
    }
}

/// A page, or a record of it, of which no sense can be made now; it is asked for again, until the policy gives up.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);
