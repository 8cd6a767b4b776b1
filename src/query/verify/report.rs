//! What a verification found.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::Scope;
use crate::contract::TableSchema;
use crate::table::Key;

/// How a key differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// In the table, not in the lake.
    Missing,
    /// In the lake, not in the table.
    Extra,
    /// In both, with different attributes.
    Different,
}

/// A key that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// How it differs.
    pub kind: Kind,
    /// The key's columns and their text in the lake.
    pub key: BTreeMap<String, String>,
    /// The attributes that differ, dotted where a field of a map does. Looked at for the first keys alone
    /// ([`VerifyOptions::examples`](super::VerifyOptions::examples)), and empty unless the kind is [`Kind::Different`]. Names only: values may be
    /// personal data.
    pub columns: Vec<String>,
}

/// How many keys were found how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Keys whose item is the same on both sides.
    pub matched: u64,
    /// Keys in the table that the lake has not.
    pub missing: u64,
    /// Keys in the lake that the table has not.
    pub extra: u64,
    /// Keys whose item differs.
    pub different: u64,
    /// Keys that were looked for and have no item on either side: deleted ones, as the lake should know.
    pub absent: u64,
    /// Keys that were read again because they differed at first. They are counted above as well.
    pub rechecked: u64,
}

impl Counts {
    /// How many keys differ.
    pub const fn differing(&self) -> u64 {
        self.missing + self.extra + self.different
    }

    pub(super) fn differs(&mut self, kind: Kind) {
        match kind {
            Kind::Missing => self.missing += 1,
            Kind::Extra => self.extra += 1,
            Kind::Different => self.different += 1,
        }
    }
}

/// What a sample was made of, and how much it proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Sampled {
    /// Keys that were drawn from the table and looked for in the lake.
    pub of_table: u64,
    /// From how many places of the table they come. A place is a segment of a scan: what lies side by side may be lost together.
    pub places: u64,
    /// Rows that were drawn from the lake's state and looked for in the table.
    pub of_lake: u64,
    /// Whether every key of both sides was drawn.
    pub complete: bool,
    /// If nothing differs: what part of the table's keys may be missing or different in the lake, and what part of the lake's rows may be extra, at
    /// most and at 95 per cent confidence, in keys of a million (the rule of three: 3 / places, or 3 / rows of the lake). None if something differs or nothing was drawn.
    pub at_most_of_a_million: Option<u64>,
}

impl Sampled {
    /// The bound, when nothing was found to differ in the smaller of the two samples.
    pub(super) fn bounded(mut self, differing: u64) -> Self {
        const MILLION: u64 = 1_000_000;
        let drawn = self.places.min(self.of_lake);
        self.at_most_of_a_million = match drawn {
            _ if differing > 0 => None,
            _ if self.complete => Some(0),
            0 => None,
            drawn => Some((3 * MILLION).div_ceil(drawn).min(MILLION)),
        };
        self
    }
}

/// What a verification found. As JSON (`headwater verify --output json`):
///
/// ```json
/// {
///   "table": "orders",
///   "scope": {"since_snapshot": true, "sample": "1%"},
///   "snapshot": "20261121T030000Z-3f9a1c2e",
///   "began": "2026-11-22T03:00:00Z", "ended": "2026-11-22T03:02:11Z",
///   "matched": 48211, "missing": 1, "extra": 0, "different": 1, "absent": 77, "rechecked": 9,
///   "sample": {"of_table": 1022, "places": 240, "of_lake": 998, "complete": false, "at_most_of_a_million": null},
///   "differing": [
///     {"kind": "missing", "key": {"order_id": "o-1"}, "columns": []},
///     {"kind": "different", "key": {"order_id": "o-2"}, "columns": ["address.zip", "price"]}
///   ],
///   "unlisted": 0,
///   "repair": null
/// }
/// ```
///
/// With both members of `scope` false and null everything was compared. Members may be added; none changes its meaning.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// The table.
    pub table: String,
    /// What was compared.
    pub scope: Scope,
    /// The latest complete snapshot of the whole table, since which changes were compared if that was asked for; none if the lake has none.
    pub snapshot: Option<String>,
    /// When the verification began, by this machine's clock.
    #[serde(serialize_with = "rfc3339")]
    pub began: Timestamp,
    /// When it ended.
    #[serde(serialize_with = "rfc3339")]
    pub ended: Timestamp,
    /// How many keys were found how.
    #[serde(flatten)]
    pub counts: Counts,
    /// The sample, if one was asked for.
    pub sample: Option<Sampled>,
    /// The keys that differ, as many as are kept ([`VerifyOptions::listed`](super::VerifyOptions::listed)).
    pub differing: Vec<Difference>,
    /// How many more keys differ than are listed.
    pub unlisted: u64,
    /// How many of the listed keys people are shown.
    #[serde(skip)]
    pub shown: usize,
    /// The id of the snapshot that was asked for to repair what differs.
    pub repair: Option<String>,
}

impl Report {
    /// Whether nothing differs of what was compared.
    pub const fn equal(&self) -> bool {
        self.counts.differing() == 0
    }

    /// The listed keys that differ.
    pub fn keys(&self, schema: &TableSchema) -> Vec<Key> {
        let text = |difference: &Difference, column: &str| difference.key.get(column).cloned().unwrap_or_default();
        let key = |difference| Key::of_texts(schema.keys.iter().map(|key| text(difference, &key.column)).collect());
        self.differing.iter().map(key).collect()
    }
}

fn rfc3339<S: Serializer>(instant: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(instant)
}

/// A report in the making, within the bounds of what is kept.
pub(super) struct Tally {
    pub(super) counts: Counts,
    pub(super) differing: Vec<Difference>,
    /// Keys that differ so far and will be read again.
    pub(super) doubtful: Vec<Key>,
    recheck_limit: usize,
    listed: usize,
}

impl Tally {
    pub(super) fn new(recheck_limit: usize, listed: usize) -> Self {
        Self { counts: Counts::default(), differing: Vec::new(), doubtful: Vec::new(), recheck_limit, listed }
    }

    /// Takes the outcome of the first comparison of a key: what the sides have, of which none is nothing.
    pub(super) fn compared<T: PartialEq>(&mut self, schema: &TableSchema, key: &Key, in_table: Option<&T>, in_lake: Option<&T>) {
        match (in_table, in_lake) {
            (None, None) => self.counts.absent += 1,
            (Some(in_table), Some(in_lake)) if in_table == in_lake => self.counts.matched += 1,
            (Some(_), Some(_)) => self.doubts(schema, Kind::Different, key.clone()),
            (Some(_), None) => self.doubts(schema, Kind::Missing, key.clone()),
            (None, Some(_)) => self.doubts(schema, Kind::Extra, key.clone()),
        }
    }

    /// Takes a key that differed at first: it is read again if there is room, and counts as differing at once otherwise.
    pub(super) fn doubts(&mut self, schema: &TableSchema, kind: Kind, key: Key) {
        if self.doubtful.len() < self.recheck_limit {
            self.doubtful.push(key);
        } else {
            self.concludes(schema, kind, &key, Vec::new());
        }
    }

    /// Takes a key that differs for good.
    pub(super) fn concludes(&mut self, schema: &TableSchema, kind: Kind, key: &Key, columns: Vec<String>) {
        self.counts.differs(kind);
        if self.differing.len() < self.listed {
            self.differing.push(Difference { kind, key: key.named(schema), columns });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::AttributeType;

    #[test]
    fn a_sample_in_which_nothing_differs_bounds_what_may() {
        let sampled = |places, of_lake, complete| Sampled { of_table: 5 * places, places, of_lake, complete, at_most_of_a_million: None };
        assert_eq!(sampled(1000, 3000, false).bounded(0).at_most_of_a_million, Some(3000), "the smaller sample proves less");
        assert_eq!(sampled(7, 7, false).bounded(0).at_most_of_a_million, Some(428_572), "rounded up");
        assert_eq!(sampled(2, 2, false).bounded(0).at_most_of_a_million, Some(1_000_000));
        assert_eq!(sampled(2, 2, true).bounded(0).at_most_of_a_million, Some(0), "all was compared");
        assert_eq!(sampled(0, 9, false).bounded(0).at_most_of_a_million, None);
        assert_eq!(sampled(1000, 1000, false).bounded(1).at_most_of_a_million, None, "what differs is no bound");
    }

    #[test]
    fn keys_beyond_the_bounds_are_counted() {
        let schema = TableSchema::keys_only("t", vec![("a".into(), AttributeType::S), ("b".into(), AttributeType::N)]);
        let key = |b: u8| Key::of_texts(vec!["x".into(), b.to_string()]);
        let mut tally = Tally::new(1, 1);
        tally.compared(&schema, &key(0), Some(&1), Some(&1));
        tally.compared(&schema, &key(1), Some(&1), Some(&2));
        tally.compared(&schema, &key(2), Some(&1), None);
        tally.compared(&schema, &key(3), None, Some(&2));
        tally.compared::<u8>(&schema, &key(4), None, None);

        assert_eq!(tally.doubtful, [key(1)]);
        assert_eq!(tally.counts, Counts { matched: 1, missing: 1, extra: 1, absent: 1, ..Counts::default() });
        let report = Report { differing: tally.differing, ..Report::default() };
        assert_eq!(report.keys(&schema), [key(2)], "as they are spelled in the lake, in the order of the key's columns");
    }
}
