//! Which records a redrive is about.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serializer;

use crate::event::Position;
use crate::lake::{Kind, QuarantineEntry};

/// What is asked for; what is not given excludes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Records of this shard.
    pub shard: Option<String>,
    /// Records that are there for this reason.
    pub kind: Option<Kind>,
    /// Records of this item: the texts of its key columns, with a slash between them.
    pub key: Option<String>,
    /// Changes made at this time (seconds since the epoch) or later.
    pub since: Option<i64>,
    /// Changes made before this time (seconds since the epoch).
    pub until: Option<i64>,
}

impl Selection {
    /// Whether it is everything.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether this record is meant.
    pub fn matches(&self, entry: &QuarantineEntry) -> bool {
        self.shard.as_deref().is_none_or(|shard| shard == entry.shard.as_str())
            && self.kind.is_none_or(|kind| kind == entry.kind)
            && self.key.as_deref().is_none_or(|key| entry.key.as_ref().is_some_and(|found| found.to_string() == key))
            && self.since.is_none_or(|since| entry.time >= since)
            && self.until.is_none_or(|until| entry.time < until)
    }
}

/// The text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no time: give a day such as 2026-11-21, or an instant such as 2026-11-21T03:00:00Z")]
pub struct InvalidTime(String);

/// A time in seconds since the epoch: an instant, or the beginning of a day in UTC.
pub fn parse_time(text: &str) -> Result<i64, InvalidTime> {
    let day = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp());
    text.parse::<Timestamp>().ok().or_else(day).map(Timestamp::as_second).ok_or_else(|| InvalidTime(text.to_owned()))
}

pub(super) fn as_text<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[expect(clippy::ref_option, reason = "serde hands it over like this")]
pub(super) fn as_text_if_any<S: Serializer>(value: &Option<Position>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;

    use super::*;
    use crate::event::ShardId;
    use crate::lake::Origin;
    use crate::table::Key;

    fn entry() -> QuarantineEntry {
        QuarantineEntry {
            location: Path::from("q"),
            origin: Origin::Capture,
            shard: ShardId::new("s"),
            position: None,
            event_id: None,
            key: Some(Key::of_texts(vec!["a".into(), "1".into()])),
            kind: Kind::TooLarge,
            reason: String::new(),
            time: 100,
            found_at: None,
            version: None,
            raw: Vec::new(),
        }
    }

    #[test]
    fn a_record_is_meant_when_nothing_that_was_given_excludes_it() {
        let none = Selection::default();
        assert!(none.is_everything() && none.matches(&entry()));
        for (selection, meant) in [
            (Selection { shard: Some("s".into()), ..none.clone() }, true),
            (Selection { shard: Some("t".into()), ..none.clone() }, false),
            (Selection { kind: Some(Kind::TooLarge), ..none.clone() }, true),
            (Selection { kind: Some(Kind::Behind), ..none.clone() }, false),
            (Selection { key: Some("a/1".into()), ..none.clone() }, true),
            (Selection { key: Some("a".into()), ..none.clone() }, false),
            (Selection { since: Some(100), until: Some(101), ..none.clone() }, true),
            (Selection { since: Some(101), ..none.clone() }, false),
            (Selection { until: Some(100), ..none.clone() }, false),
            (Selection { kind: Some(Kind::TooLarge), shard: Some("t".into()), ..none.clone() }, false),
        ] {
            assert_eq!(selection.matches(&entry()), meant, "{selection:?}");
            assert!(!selection.is_everything());
        }
        let keyless = QuarantineEntry { key: None, ..entry() };
        assert!(!Selection { key: Some(String::new()), ..none }.matches(&keyless), "its item cannot be told");
    }

    #[test]
    fn a_time_is_a_day_or_an_instant() {
        assert_eq!(parse_time("2026-11-21"), Ok(1_795_219_200));
        assert_eq!(parse_time("2026-11-21T03:00:00Z"), Ok(1_795_230_000));
        assert!(parse_time("yesterday").unwrap_err().to_string().contains("'yesterday' is no time"));
    }
}
