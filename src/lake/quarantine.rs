//! Records that cannot become changes, kept whole with the reason and what is known of them, for redrive.
//!
//! An entry is one object, created once and never altered: to store a record again changes nothing, so whoever is not sure that it is
//! stored stores it again. Its name tells the day, the item where the record tells one (by a digest, so that one listing says which items
//! have entries and no value is in a name), the shard and the position.
//!
//! Nothing but [`Quarantine`] reads entries: `headwater redrive`, which sends them back or sets them aside, and the counts of `status`.

mod entry;
mod stored;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::Lake;
use super::error::{LakeError, Problem};
use super::layout::HourPartition;
use crate::clock;
use crate::digest::sha256_hex;
use crate::event::{Position, ShardId};
use crate::retry::{RetryPolicy, retry};
use crate::table::Key;

pub use entry::{Content, QuarantineEntry};
pub use stored::{Listed, Quarantine};

/// Characters of an item's digest: 64 bits, so that two items of one quarantine never meet in practice. If they did, one would wait for the
/// other.
const DIGEST_CHARACTERS: usize = 16;

/// Why a record is in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It cannot be read.
    Undecodable,
    /// It can be read, and is no change of the table as its schema or contract says.
    DoesNotFit,
    /// It is a change that no record of the route's stream can hold.
    TooLarge,
    /// It is a change of an item of which an earlier record is in quarantine, and waits for that one.
    Behind,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Undecodable, Self::DoesNotFit, Self::TooLarge, Self::Behind];

    /// The name in entries and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::DoesNotFit => "does-not-fit",
            Self::TooLarge => "too-large",
            Self::Behind => "behind",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What read a record that went to quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The capture stage, from the table's stream.
    Capture,
    /// The deliver stage, from a Kinesis stream.
    Deliver,
    /// A snapshot, from the table itself.
    Snapshot,
}

impl Origin {
    /// What reads this shard. The names tell: a shard of a Kinesis stream has the stream before it, and a snapshot's segment its snapshot.
    pub fn of(shard: &ShardId) -> Self {
        match shard.as_str() {
            shard if shard.contains(':') => Self::Deliver,
            shard if shard.starts_with("snapshot-") => Self::Snapshot,
            _ => Self::Capture,
        }
    }

    /// The name in entries and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Deliver => "deliver",
            Self::Snapshot => "snapshot",
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Stands for an item in the names of its entries. Items of two [`Origin`]s are two: what waits in one stage does not hold back the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemDigest(String);

impl ItemDigest {
    /// The digest of an item.
    pub fn of(origin: Origin, key: &Key) -> Self {
        let mut digest = sha256_hex([origin.as_str().as_bytes(), &[0], &key.to_bytes()].concat());
        digest.truncate(DIGEST_CHARACTERS);
        Self(digest)
    }

    /// Takes the text of a name apart again; `None` if it is no digest.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_one = text.len() == DIGEST_CHARACTERS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_one.then(|| Self(text.to_owned()))
    }

    /// The text in names.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A record that is to be kept in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoisonRecord<'a> {
    /// The shard that it was read from.
    pub shard: &'a ShardId,
    /// Its position, where that could be read.
    pub position: Option<Position>,
    /// The stream's `eventID`, where that could be read.
    pub event_id: Option<&'a str>,
    /// The item that it is about, where that can be told.
    pub key: Option<&'a Key>,
    /// The record as it came: JSON text, or whatever stood in its place.
    pub raw: &'a [u8],
    /// Why it is here.
    pub kind: Kind,
    /// What is wrong with it, in words. May show parts of the record: it belongs into the entry and not into a log.
    pub reason: &'a str,
    /// Its creation time in seconds since the epoch, or the time of finding where it has none. A record that is found again goes to
    /// the same object only if it is given the same day.
    pub time: i64,
}

#[derive(Serialize)]
struct Entry<'a> {
    origin: Origin,
    shard: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a [String]>,
    kind: Kind,
    reason: &'a str,
    time: String,
    found_at: String,
    version: &'static str,
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
    /// Stores a record in quarantine; durable when this returns, which may take retries. A record that is there already is left as it is,
    /// so after an error the same call may be repeated.
    pub async fn quarantine(&self, record: &PoisonRecord<'_>) -> Result<(), LakeError> {
        let doing = || format!("quarantine a record of shard {}", record.shard);
        let found_at = clock::unix_seconds();
        // A record whose time is nonsense is filed under the day it was found: it must not hold up its shard.
        let day = HourPartition::containing(record.time)
            .or_else(|_| HourPartition::containing(found_at))
            .map_err(|error| LakeError::new(doing(), Problem::Event(format!("its time is impossible: {error}"))))?;
        let identity = record.position.map_or_else(|| sha256_hex(record.raw), |position| position.padded());
        let item = record.key.map(|key| ItemDigest::of(Origin::of(record.shard), key));
        let location = self.layout.quarantined(day, record.shard, &identity, item.as_ref());
        let body = entry(record, found_at).map_err(|error| LakeError::new(doing(), Problem::Other(error.to_string())))?;
        let body = PutPayload::from(body);
        retry(RetryPolicy::COMMIT, &CancellationToken::new(), || self.create_entry(&location, body.clone())).await
    }

    async fn create_entry(&self, location: &Path, body: PutPayload) -> Result<(), LakeError> {
        let failed = |error| LakeError::from_store(format!("create {}", self.store.describe(location)), error);
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.store.put_opts(location, body, options).await {
            Ok(_) => {
                self.counters.quarantined();
                Ok(())
            }
            // S3 answers like this as well while another write of the object is in flight, which may fail.
            Err(object_store::Error::AlreadyExists { .. }) => match self.store.store.head(location).await {
                Ok(_) => Ok(()),
                Err(object_store::Error::NotFound { .. }) => {
                    Err(LakeError::new(format!("create {}", self.store.describe(location)), Problem::Unreachable))
                }
                Err(error) => Err(failed(error)),
            },
            Err(error) => Err(failed(error)),
        }
    }

    /// The table's quarantine, for whoever reads it.
    pub fn quarantined(&self) -> Quarantine {
        Quarantine::new(&self.store, &self.schema.table)
    }
}

fn entry(record: &PoisonRecord<'_>, found_at: i64) -> serde_json::Result<Vec<u8>> {
    let text = std::str::from_utf8(record.raw).ok();
    let json: Option<&RawValue> = text.and_then(|text| serde_json::from_str(text).ok());
    serde_json::to_vec(&Entry {
        origin: Origin::of(record.shard),
        shard: record.shard.as_str(),
        position: record.position.map(|position| position.to_string()),
        event_id: record.event_id,
        key: record.key.map(Key::texts),
        kind: record.kind,
        reason: record.reason,
        time: Timestamp::from_second(record.time).map(|time| time.to_string()).unwrap_or_default(),
        found_at: clock::rfc3339(found_at),
        version: env!("CARGO_PKG_VERSION"),
        record: json,
        text: text.filter(|_| json.is_none()),
        base64: text.is_none().then(|| STANDARD.encode(record.raw)),
    })
}
