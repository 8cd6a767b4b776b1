//! Shard iterators.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// How long DynamoDB Streams honours an iterator, in milliseconds.
const LIFE: i64 = 15 * 60 * 1000;

/// Where a shard iterator stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) arn: String,
    pub(super) shard: String,
    /// The next record is the first one behind this stored sequence number.
    pub(super) after: i64,
    /// When the iterator was given out, milliseconds since the epoch.
    pub(super) issued: i64,
}

impl Position {
    /// The text that clients pass around.
    pub(super) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads [`Position::encode`]'s text; `None` for any other.
    pub(super) fn decode(text: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }

    /// Whether it is too old at `clock` (milliseconds since the epoch).
    pub(super) fn is_expired(&self, clock: i64) -> bool {
        clock - self.issued > LIFE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_iterator_survives_its_text_and_expires_after_15_minutes() {
        let position = Position { arn: "arn:x".into(), shard: "shardId-1".into(), after: 7, issued: 1_000 };
        assert_eq!(Position::decode(&position.encode()), Some(position.clone()));
        assert!(!position.is_expired(1_000 + 15 * 60 * 1000));
        assert!(position.is_expired(1_001 + 15 * 60 * 1000));
    }

    #[test]
    fn other_text_is_no_iterator() {
        for text in ["", "x", "e30"] {
            assert_eq!(Position::decode(text), None, "{text}");
        }
    }
}
