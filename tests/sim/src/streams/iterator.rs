//! Shard iterators: opaque text that holds all there is to know, so that it survives whatever happens to the stream.

use base64_simd::STANDARD;
use md5::{Digest, Md5};

use crate::sequence::Sequence;

/// How long an iterator can be used, in milliseconds.
const LIFE: i64 = 15 * 60 * 1000;

/// The longest text that can be an iterator.
const LONGEST: usize = 2048;

/// Where reading goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Position {
    /// At the oldest record there is.
    Horizon,
    /// At the first record with this number or a higher one.
    At(Sequence),
    /// At the first record with a higher number.
    After(Sequence),
}

/// A place in a shard, as it was given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShardIterator {
    pub(super) stream: String,
    pub(super) shard: String,
    pub(super) position: Position,
    /// When it was given out, in milliseconds since the epoch.
    pub(super) issued: i64,
}

impl ShardIterator {
    /// The text that clients pass around.
    pub(super) fn encode(&self) -> String {
        let (kind, number) = match &self.position {
            Position::Horizon => ('h', ""),
            Position::At(sequence) => ('t', sequence.as_str()),
            Position::After(sequence) => ('f', sequence.as_str()),
        };
        let place = format!("{}|{kind}{number}|{}", self.shard, self.issued);
        let seal = seal(&self.stream, &place);
        format!("{}|1|{}", self.stream, STANDARD.encode_to_string(format!("{place}|{seal}")))
    }

    /// Reads [`encode`](Self::encode)'s text; `None` for any other.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let (stream, rest) = text.split_once('|').filter(|_| text.len() <= LONGEST)?;
        let inner = String::from_utf8(STANDARD.decode_to_vec(rest.strip_prefix("1|")?).ok()?).ok()?;
        let (place, seal_given) = inner.rsplit_once('|')?;
        if seal(stream, place) != seal_given {
            return None;
        }
        let mut parts = place.split('|');
        let shard = parts.next()?.to_owned();
        let position = parts.next()?;
        let position = match position.split_at_checked(1)? {
            ("h", "") => Position::Horizon,
            ("t", number) => Position::At(Sequence::parse(number)?),
            ("f", number) => Position::After(Sequence::parse(number)?),
            _ => return None,
        };
        Some(Self { stream: stream.to_owned(), shard, position, issued: parts.next()?.parse().ok()? })
    }

    /// Whether it can no longer be used at `now` (milliseconds since the epoch).
    pub(super) fn is_expired(&self, now: i64) -> bool {
        now.saturating_sub(self.issued) > LIFE
    }
}

/// Tells iterators that were given out from text that only looks like one.
fn seal(stream: &str, place: &str) -> String {
    let mut state = Md5::new();
    state.update(stream);
    state.update(place);
    let digest = state.finalize();
    STANDARD.encode_to_string(&digest[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iterators() -> Vec<ShardIterator> {
        let sequence = Sequence::parse(&"9".repeat(40)).unwrap();
        let stream = format!("arn:aws:dynamodb:us-east-1:000000000000:table/{}/stream/2026-01-01T00:00:00.000", "t".repeat(255));
        let shard = "shardId-00000001795242815231-be544a33".to_owned();
        [Position::Horizon, Position::At(sequence.clone()), Position::After(sequence)]
            .map(|position| ShardIterator { stream: stream.clone(), shard: shard.clone(), position, issued: 1_795_242_815_231 })
            .into()
    }

    #[test]
    fn an_iterator_survives_its_text() {
        for iterator in iterators() {
            let text = iterator.encode();
            assert!(text.len() <= LONGEST);
            assert_eq!(ShardIterator::decode(&text), Some(iterator));
        }
    }

    #[test]
    fn other_text_is_no_iterator() {
        for text in ["", "x", "a|1|", "a|1|####", "a|1|aGVsbG8="] {
            assert_eq!(ShardIterator::decode(text), None, "{text:?}");
        }
        for text in iterators().iter().map(ShardIterator::encode) {
            assert_eq!(ShardIterator::decode(&text.replacen("000000000000", "000000000001", 1)), None, "another account's");
            assert_eq!(ShardIterator::decode(&text[..text.len() - 8]), None, "cut off");
            assert_eq!(ShardIterator::decode(&format!("{text}{}", " ".repeat(LONGEST))), None, "too long");
        }
    }

    #[test]
    fn an_iterator_lives_for_15_minutes() {
        let iterator = &iterators()[0];
        assert!(!iterator.is_expired(iterator.issued + 15 * 60 * 1000));
        assert!(iterator.is_expired(iterator.issued + 15 * 60 * 1000 + 1));
        let forged = ShardIterator { issued: i64::MIN, ..iterator.clone() };
        assert!(forged.is_expired(iterator.issued));
    }
}
