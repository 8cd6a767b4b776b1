//! The gap ledger: changes that were lost before they could be read (*no-silent-loss*).

use serde::{Deserialize, Serialize};

use crate::event::{Position, ShardId};

/// One entry of the ledger. Recording the same gap twice leaves one entry; recording one that was closed opens it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// Key in the lease table: `gap/<kind>/<shard or stream>/<position>`.
    #[serde(rename = "leaseKey")]
    pub key: String,
    /// What happened.
    pub kind: GapKind,
    /// The shard, or the stream, that it happened to.
    pub origin: String,
    /// The last record that is durable, if any is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Changes made before this time (seconds since the epoch) are not concerned, as far as is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_from: Option<i64>,
    /// When the gap was found, in seconds since the epoch.
    pub found_at: i64,
    /// The snapshot that brought back what was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<String>,
    /// When it was complete, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<i64>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapKind {
    /// The stream no longer has what follows the checkpoint: it was not read in time.
    Trimmed,
    /// The shard disappeared before it was read to its end.
    Vanished,
    /// The stream was replaced by another one: a table's was disabled and enabled again, a Kinesis stream was deleted and made anew. Changes made in
    /// between are in no stream.
    StreamReplaced,
    /// A child shard's numbers do not go on above its parent's: the order of `cdc_sequence` is not the order of changes there.
    OrderBroken,
}

impl GapKind {
    /// The kind in a sentence.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Trimmed => "changes were trimmed from the stream before they were read",
            Self::Vanished => "the shard disappeared before it was read to its end",
            Self::StreamReplaced => "the stream was replaced by a new one; changes in between are in no stream",
            Self::OrderBroken => "a shard's sequence numbers do not continue above its parent's",
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Vanished => "vanished",
            Self::StreamReplaced => "stream-replaced",
            Self::OrderBroken => "order-broken",
        }
    }
}

impl Gap {
    /// Whether what was lost is still missing.
    pub const fn is_open(&self) -> bool {
        self.closed_at.is_none()
    }

    /// A gap of a shard behind a position.
    pub fn of_shard(kind: GapKind, shard: &ShardId, after: Option<Position>, lost_from: Option<i64>, found_at: i64) -> Self {
        let position = after.unwrap_or(Position::ZERO);
        Self {
            key: format!("gap/{}/{shard}/{position}", kind.as_str()),
            kind,
            origin: shard.to_string(),
            after: after.map(|after| after.to_string()),
            lost_from,
            found_at,
            closed_by: None,
            closed_at: None,
        }
    }

    /// The gap between a stream and the one that replaced it.
    pub fn of_stream(old: &str, new: &str, lost_from: Option<i64>, found_at: i64) -> Self {
        Self {
            key: format!("gap/{}/{old}/{new}", GapKind::StreamReplaced.as_str()),
            kind: GapKind::StreamReplaced,
            origin: old.to_owned(),
            after: None,
            lost_from,
            found_at,
            closed_by: None,
            closed_at: None,
        }
    }
}
