//! Markers of completed snapshots, and what is noted on the way to one.
//!
//! `snapshots/<id>.json` is written last: a snapshot without its marker is not complete, and its rows count for nothing. Where rows travel through a
//! Kinesis stream, whoever delivers them notes under `parts/<id>/` up to which hash keys everything before the announcement is in the lake.

use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio_util::sync::CancellationToken;

use super::Lake;
use super::error::{LakeError, Problem};
use crate::retry::{RetryPolicy, retry};

/// What tells that a snapshot is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The snapshot's id, as in `cdc_snapshot_id`.
    pub snapshot_id: String,
    /// The table.
    pub table: String,
    /// When it started, by DynamoDB's clock less a margin. Stream changes from then on lie above its rows.
    #[serde(with = "rfc3339")]
    pub started_at: Timestamp,
    /// When its last row was durable.
    #[serde(with = "rfc3339")]
    pub completed_at: Timestamp,
    /// How many rows it has.
    pub rows: u64,
    /// Whether its rows are the whole table: then what is not among them was not there. Otherwise they stand for their own keys alone.
    #[serde(default = "whole")]
    pub whole: bool,
}

/// A range of hash keys of the Kinesis stream, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// The first.
    pub start: u128,
    /// The last.
    pub end: u128,
}

const fn whole() -> bool {
    true
}

mod rfc3339 {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};

    pub(super) fn serialize<S: Serializer>(instant: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(instant)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Lake {
    /// Writes the marker of a snapshot whose rows are all in the lake. May be repeated.
    pub async fn complete_snapshot(&self, marker: &Marker) -> Result<(), LakeError> {
        let location = self.layout.snapshot(&marker.snapshot_id);
        let address = self.store.describe(&location);
        // In one line, as the JSON tables of Hive, Athena and Trino want it.
        let mut json =
            serde_json::to_vec(marker).map_err(|error| LakeError::new(format!("write {address}"), Problem::Other(error.to_string())))?;
        json.push(b'\n');
        self.put(&location, json).await
    }

    /// Notes that everything which the stream took before a snapshot was announced, in a range of hash keys, is in the lake. May be repeated.
    pub async fn note_part(&self, snapshot: &str, part: Part) -> Result<(), LakeError> {
        self.put(&self.layout.part(snapshot, &format!("{:032x}-{:032x}", part.start, part.end)), Vec::new()).await
    }

    /// What is noted of a snapshot.
    pub async fn parts(&self, snapshot: &str) -> Result<Vec<Part>, LakeError> {
        let folder = self.layout.parts(snapshot);
        let listed = || async {
            let listed: Result<Vec<_>, _> = self.store.store.list(Some(&folder)).try_collect().await;
            listed.map_err(|error| LakeError::from_store(format!("list {}", self.store.describe(&folder)), error))
        };
        let listed = retry(RetryPolicy::COMMIT, &CancellationToken::new(), listed).await?;
        let part = |name: &str| {
            let (start, end) = name.split_once('-')?;
            Some(Part { start: u128::from_str_radix(start, 16).ok()?, end: u128::from_str_radix(end, 16).ok()? })
        };
        Ok(listed.iter().filter_map(|object| part(object.location.filename()?)).collect())
    }

    async fn put(&self, location: &object_store::path::Path, bytes: Vec<u8>) -> Result<(), LakeError> {
        let payload = PutPayload::from(bytes);
        let put = || async {
            let put = self.store.store.put(location, payload.clone()).await;
            put.map_err(|error| LakeError::from_store(format!("write {}", self.store.describe(location)), error))
        };
        retry(RetryPolicy::COMMIT, &CancellationToken::new(), put).await.map(|_| ())
    }
}

/// Whether parts together are the whole range of hash keys.
pub fn cover_everything(parts: &[Part]) -> bool {
    let mut sorted = parts.to_vec();
    sorted.sort_unstable();
    let mut next = Some(0_u128);
    for part in sorted {
        match next {
            Some(from) if part.start <= from => next = if part.end < from { Some(from) } else { part.end.checked_add(1) },
            Some(_) => return false,
            None => return true,
        }
    }
    next.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_everything_when_no_hash_key_is_left_out() {
        let parts = |parts: &[(u128, u128)]| parts.iter().map(|&(start, end)| Part { start, end }).collect::<Vec<_>>();
        assert!(cover_everything(&parts(&[(0, u128::MAX)])));
        assert!(cover_everything(&parts(&[(100, u128::MAX), (0, 99)])));
        assert!(cover_everything(&parts(&[(50, 60), (0, 99), (100, u128::MAX)])), "they may overlap");
        assert!(!cover_everything(&parts(&[(0, 98), (100, u128::MAX)])));
        assert!(!cover_everything(&parts(&[(1, u128::MAX)])));
        assert!(!cover_everything(&parts(&[(0, 99)])));
        assert!(!cover_everything(&[]));
    }

    #[test]
    fn a_marker_without_a_word_about_it_is_of_the_whole_table() {
        let json = r#"{"snapshot_id":"s","table":"t","started_at":"2026-11-21T03:00:00Z","completed_at":"2026-11-21T04:00:00Z","rows":3}"#;
        let marker: Marker = serde_json::from_str(json).unwrap();
        assert!(marker.whole);
        assert_eq!(serde_json::from_str::<Marker>(&serde_json::to_string(&marker).unwrap()).unwrap(), marker);
    }
}
