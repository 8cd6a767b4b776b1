//! An entry as it is read back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use object_store::path::Path;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{ItemDigest, Kind, Origin};
use crate::event::decode::{Decoded, parse_record};
use crate::event::{Position, ShardId};
use crate::table::Key;

/// A record in quarantine, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineEntry {
    /// The object.
    pub location: Path,
    /// What read it.
    pub origin: Origin,
    /// The shard that it was read from.
    pub shard: ShardId,
    /// Its position, where that could be read.
    pub position: Option<Position>,
    /// The stream's or the event's id, where that could be read.
    pub event_id: Option<String>,
    /// The item that it is about, where that could be told.
    pub key: Option<Key>,
    /// Why it is here.
    pub kind: Kind,
    /// What was wrong with it.
    pub reason: String,
    /// Its creation time in seconds since the epoch, or the time of finding where it has none.
    pub time: i64,
    /// When it was put here, where that is noted.
    pub found_at: Option<i64>,
    /// The version of headwater that put it here, where that is noted.
    pub version: Option<String>,
    /// The record as it came.
    pub raw: Vec<u8>,
}

/// What a record is, told by its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A record of a table's stream.
    StreamRecord,
    /// A change as a line of JSON, or a pointer to one.
    Line,
    /// Something else.
    Other,
}

impl Content {
    /// Looks at a record.
    pub fn of(raw: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Members {
            dynamodb: Option<IgnoredAny>,
            cdc_op: Option<IgnoredAny>,
        }
        match serde_json::from_slice(raw) {
            // An item may have an attribute of that name, a record of the stream no member of this.
            Ok(Members { cdc_op: Some(_), .. }) => Self::Line,
            Ok(Members { dynamodb: Some(_), .. }) => Self::StreamRecord,
            Ok(_) | Err(_) => Self::Other,
        }
    }
}

/// The members of an entry. Those with a default came with later versions.
#[derive(Deserialize)]
struct Wire<'e> {
    #[serde(default)]
    origin: Option<Origin>,
    shard: ShardId,
    #[serde(default)]
    position: Option<String>,
    #[serde(default)]
    event_id: Option<String>,
    #[serde(default)]
    key: Option<Vec<String>>,
    #[serde(default)]
    kind: Option<Kind>,
    reason: String,
    time: String,
    #[serde(default)]
    found_at: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(borrow, default, deserialize_with = "given")]
    record: Option<&'e RawValue>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    base64: Option<String>,
}

/// A member that is there, whatever it is: a record may be `null`.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl QuarantineEntry {
    /// Reads an entry; the error says why the object is none.
    pub(super) fn parse(location: Path, body: &[u8]) -> Result<Self, String> {
        let wire: Wire<'_> = serde_json::from_slice(body).map_err(|error| format!("it is no entry of a quarantine: {error}"))?;
        let raw = match (wire.record, wire.text, wire.base64) {
            (Some(json), ..) => json.get().as_bytes().to_vec(),
            (None, Some(text), _) => text.into_bytes(),
            (None, None, Some(bytes)) => STANDARD.decode(bytes).map_err(|error| format!("its record is not base64: {error}"))?,
            (None, None, None) => return Err("it has no record".to_owned()),
        };
        let origin = wire.origin.unwrap_or_else(|| Origin::of(&wire.shard));
        Ok(Self {
            origin,
            position: wire.position.as_deref().and_then(|text| text.parse().ok()),
            event_id: wire.event_id,
            key: wire.key.map(Key::of_texts),
            kind: wire.kind.unwrap_or_else(|| inferred_kind(origin, &wire.reason, &raw)),
            reason: wire.reason,
            time: wire.time.parse::<Timestamp>().map_or(0, Timestamp::as_second),
            found_at: wire.found_at.and_then(|text| text.parse::<Timestamp>().ok()).map(Timestamp::as_second),
            version: wire.version,
            shard: wire.shard,
            location,
            raw,
        })
    }

    /// What stands for its item in names, where the item is known.
    pub fn item(&self) -> Option<ItemDigest> {
        self.key.as_ref().map(|key| ItemDigest::of(self.origin, key))
    }
}

/// The kind of an entry that does not say. Such entries are of three sorts: records of a table's stream, as they came or as they decode;
/// lines that deliver could not read; and lines that were too large for a record, of which the reason says so.
fn inferred_kind(origin: Origin, reason: &str, raw: &[u8]) -> Kind {
    match Content::of(raw) {
        Content::StreamRecord => match std::str::from_utf8(raw).map(parse_record) {
            Ok(Decoded::Record(_)) => Kind::DoesNotFit,
            Ok(Decoded::Poison(_)) | Err(_) => Kind::Undecodable,
        },
        Content::Line if origin != Origin::Deliver || reason.starts_with("the event has ") => Kind::TooLarge,
        // An item of a table that is no row of it.
        Content::Other if origin == Origin::Snapshot => Kind::DoesNotFit,
        Content::Line | Content::Other => Kind::Undecodable,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PoisonRecord, entry};
    use super::*;

    const RECORD: &str = r#"{"eventID":"e","eventName":"INSERT","dynamodb":{"ApproximateCreationDateTime":7,"SequenceNumber":"17","Keys":{"id":{"S":"a"}},"NewImage":{"id":{"S":"a"},"n":{"N":"1.10"}}}}"#;

    fn read(body: &[u8]) -> QuarantineEntry {
        QuarantineEntry::parse(Path::from("q"), body).unwrap()
    }

    #[test]
    fn an_entry_comes_back_with_all_that_is_known() {
        let (shard, key) = (ShardId::new("1:s:2:shardId-0"), Key::of_texts(vec!["a".into(), "1.5".into()]));
        let position = "17".parse().unwrap();
        for raw in [RECORD.as_bytes(), b"{not json", b"\xf3\x89", b"null"] {
            let record = PoisonRecord {
                shard: &shard,
                position: Some(position),
                event_id: Some("e"),
                key: Some(&key),
                raw,
                kind: Kind::DoesNotFit,
                reason: "no \"keys\"",
                time: 1_795_230_000,
            };
            let found = read(&entry(&record, 1_795_230_009).unwrap());
            let expected = QuarantineEntry {
                location: Path::from("q"),
                origin: Origin::Deliver,
                shard: shard.clone(),
                position: Some(position),
                event_id: Some("e".to_owned()),
                key: Some(key.clone()),
                kind: Kind::DoesNotFit,
                reason: "no \"keys\"".to_owned(),
                time: 1_795_230_000,
                found_at: Some(1_795_230_009),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
                raw: raw.to_vec(),
            };
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn an_entry_of_a_version_that_noted_less_is_read() {
        let old = |shard: &str, reason: &str, record: &str| {
            read(format!(r#"{{"shard":"{shard}","reason":"{reason}","time":"2026-11-21T03:00:00Z","record":{record}}}"#).as_bytes())
        };
        let entry = old("shardId-1", "x", RECORD);
        assert_eq!((entry.origin, entry.kind, entry.time), (Origin::Capture, Kind::DoesNotFit, 1_795_230_000));
        assert_eq!((entry.key, entry.found_at, entry.version), (None, None, None));
        for (shard, reason, record, kind) in [
            ("shardId-1", "missing field", r#"{"dynamodb":{}}"#, Kind::Undecodable),
            ("shardId-1", "the change has 9 bytes", r#"{"cdc_op":"INSERT"}"#, Kind::TooLarge),
            ("1:s:2:shardId-0", "the event has 9 bytes", r#"{"cdc_op":"INSERT"}"#, Kind::TooLarge),
            ("1:s:2:shardId-0", "the member 'x' is not", r#"{"cdc_op":"INSERT"}"#, Kind::Undecodable),
            ("snapshot-s-00000", "the record's keys lack", r#"{"id":{"N":"1"}}"#, Kind::DoesNotFit),
            ("shardId-1", "?", "7", Kind::Undecodable),
        ] {
            assert_eq!(old(shard, reason, record).kind, kind, "{shard} {record}");
        }
    }

    #[test]
    fn an_object_of_something_else_is_told() {
        assert!(QuarantineEntry::parse(Path::from("q"), b"{}").unwrap_err().contains("shard"));
        let error = QuarantineEntry::parse(Path::from("q"), br#"{"shard":"s","reason":"","time":""}"#).unwrap_err();
        assert_eq!(error, "it has no record");
    }

    #[test]
    fn an_item_has_one_digest_in_each_stage() {
        let key = Key::of_texts(vec!["a".into()]);
        let digest = ItemDigest::of(Origin::Capture, &key);
        assert_eq!(ItemDigest::parse(digest.as_str()), Some(digest.clone()));
        assert_ne!(digest, ItemDigest::of(Origin::Deliver, &key));
        assert_eq!(ItemDigest::parse("0123456789abcdeg"), None);
    }
}
