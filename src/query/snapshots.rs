//! The markers of completed snapshots.

use std::sync::Arc;

use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Deserializer};

use super::QueryError;

/// `snapshots/<id>.json`: written last, so a snapshot without its marker is not complete and its rows do not count.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Snapshot {
    /// The snapshot's id, as in `cdc_snapshot_id`.
    #[serde(rename = "snapshot_id")]
    pub(super) id: String,
    /// The table.
    pub(super) table: String,
    /// When it started, by DynamoDB's clock less a margin. Stream changes from then on lie above its rows.
    #[serde(deserialize_with = "instant")]
    pub(super) started_at: Timestamp,
    /// When its last row was durable.
    #[serde(deserialize_with = "instant")]
    pub(super) completed_at: Timestamp,
    /// How many rows it has.
    pub(super) rows: i64,
}

/// An RFC 3339 instant.
fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// All completed snapshots of a table, the latest last.
pub(super) async fn read(table: &Arc<dyn ObjectStore>) -> Result<Vec<Snapshot>, QueryError> {
    let directory = Path::from("snapshots");
    let listed: Vec<_> = table
        .list(Some(&directory))
        .try_collect()
        .await
        .map_err(|source| QueryError::Read { doing: "list the snapshots of the lake".to_owned(), source })?;
    let mut snapshots: Vec<Snapshot> = Vec::new();
    for path in listed.into_iter().map(|object| object.location).filter(|path| path.extension() == Some("json")) {
        let read = |source| QueryError::Read { doing: format!("read {path} of the lake"), source };
        let body = table.get(&path).await.map_err(read)?.bytes().await.map_err(read)?;
        let snapshot = serde_json::from_slice(&body).map_err(|source| QueryError::Malformed { path: path.to_string(), source })?;
        snapshots.push(snapshot);
    }
    snapshots.sort_by(|a, b| (a.started_at, a.completed_at, &a.id).cmp(&(b.started_at, b.completed_at, &b.id)));
    Ok(snapshots)
}
