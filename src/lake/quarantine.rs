//! Records that cannot become changes, kept whole with the reason, for redrive.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStore, PutMode, PutOptions, PutPayload};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::Lake;
use super::error::{LakeError, Problem};
use super::layout::HourPartition;
use crate::digest::sha256_hex;
use crate::event::{Position, ShardId};
use crate::retry::{RetryPolicy, retry};

/// A record that could not be turned into a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoisonRecord<'a> {
    /// The shard that it was read from.
    pub shard: &'a ShardId,
    /// Its position, where that could be read.
    pub position: Option<Position>,
    /// The stream's `eventID`, where that could be read.
    pub event_id: Option<&'a str>,
    /// The record as it came: JSON text, or whatever stood in its place.
    pub raw: &'a [u8],
    /// What is wrong with it.
    pub reason: &'a str,
    /// Its creation time in seconds since the epoch, or the time of finding where it has none. A record that is found again goes to
    /// the same object only if it is given the same day.
    pub time: i64,
}

#[derive(Serialize)]
struct Entry<'a> {
    shard: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    reason: &'a str,
    time: String,
    /// The record, byte for byte, when it is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a RawValue>,
    /// The record as text when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    /// The record's bytes when they are no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl Lake {
    /// Stores a record in quarantine; durable when this returns, which may take retries. A record that is there already is left as it is.
    pub async fn quarantine(&self, record: &PoisonRecord<'_>) -> Result<(), LakeError> {
        let doing = || format!("quarantine a record of shard {}", record.shard);
        let day = HourPartition::containing(record.time)
            .map_err(|error| LakeError::new(doing(), Problem::Event(format!("its time is impossible: {error}"))))?;
        let identity = record.position.map_or_else(|| sha256_hex(record.raw), |position| position.padded());
        let location = self.layout.quarantined(day, record.shard, &identity);
        let body = entry(record).map_err(|error| LakeError::new(doing(), Problem::Other(error.to_string())))?;
        let body = PutPayload::from(body);
        retry(RetryPolicy::COMMIT, &CancellationToken::new(), || self.create_entry(&location, body.clone())).await
    }

    async fn create_entry(&self, location: &Path, body: PutPayload) -> Result<(), LakeError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.store.put_opts(location, body, options).await {
            Ok(_) => {
                self.counters.quarantined();
                Ok(())
            }
            Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(LakeError::from_store(format!("create {}", self.store.describe(location)), error)),
        }
    }

    /// How many records are in quarantine. Lists them all.
    pub async fn quarantine_count(&self) -> Result<u64, LakeError> {
        let folder = self.layout.quarantine();
        let listing = self.store.store.list(Some(&folder));
        listing
            .try_fold(0, async |count, _| Ok(count + 1))
            .await
            .map_err(|error| LakeError::from_store(format!("list {}", self.store.describe(&folder)), error))
    }
}

fn entry(record: &PoisonRecord<'_>) -> serde_json::Result<Vec<u8>> {
    let text = std::str::from_utf8(record.raw).ok();
    let json: Option<&RawValue> = text.and_then(|text| serde_json::from_str(text).ok());
    serde_json::to_vec(&Entry {
        shard: record.shard.as_str(),
        position: record.position.map(|position| position.to_string()),
        event_id: record.event_id,
        reason: record.reason,
        time: Timestamp::from_second(record.time).map(|time| time.to_string()).unwrap_or_default(),
        record: json,
        text: text.filter(|_| json.is_none()),
        base64: text.is_none().then(|| STANDARD.encode(record.raw)),
    })
}
