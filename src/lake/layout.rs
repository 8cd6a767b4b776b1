//! Where things lie in the lake: names of objects and back. Pure.
//!
//! ```text
//! <prefix>/<table>/schema.json
//! <prefix>/<table>/changes/dt=YYYY-MM-DD/hr=HH/<shard>-<position>.parquet   or .json.gz
//! <prefix>/<table>/snapshots/<snapshot id>.json
//! <prefix>/<table>/quarantine/dt=YYYY-MM-DD/<shard>-<position or hash>.json      with key=<digest>/ before the shard, where the item is known
//! <prefix>/<table>/quarantine/redriven/<number>.json          plans of redrives
//! <prefix>/<table>/quarantine/discarded/dt=…                  what is not to be sent back
//! <prefix>/<table>/claims/dt=YYYY-MM-DD/<shard>-<position or event id>.json
//! <prefix>/<table>/parts/<snapshot id>/...                      what is noted of a snapshot on the way
//! ```
//!
//! A change object's name is the whole identity of the run in it: two processes that read the same shard from the same position
//! arrive at the same name, and only one of them can create it.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use object_store::path::Path;

use super::quarantine::ItemDigest;
use crate::event::{Position, ShardId};

/// What the folder of an item's quarantined records begins with.
const ITEM: &str = "key=";
/// The folder of claims.
const CLAIMS: &str = "claims";
/// No file system takes a longer name in a folder.
const LONGEST_NAME: usize = 255;

/// How rows are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Parquet with zstd.
    Parquet,
    /// Newline-delimited JSON, gzip-compressed.
    Ndjson,
}

impl Format {
    /// The ending of an object's name, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Ndjson => "json.gz",
        }
    }
}

/// One UTC hour of `cdc_time`: the partition that a change lands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HourPartition {
    date: Date,
    hour: i8,
}

/// The time cannot be a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} seconds since 1970 lies outside the years 1970 to 9999")]
pub struct InvalidTime(i64);

impl HourPartition {
    /// The hour that holds this second since the epoch.
    pub fn containing(seconds: i64) -> Result<Self, InvalidTime> {
        let time = Timestamp::from_second(seconds).ok().filter(|time| *time >= Timestamp::UNIX_EPOCH).ok_or(InvalidTime(seconds))?;
        let time = Offset::UTC.to_datetime(time);
        Ok(Self { date: time.date(), hour: time.hour() })
    }

    /// The day's folder, `dt=YYYY-MM-DD`.
    pub(super) fn day(self) -> String {
        format!("dt={:04}-{:02}-{:02}", self.date.year(), self.date.month(), self.date.day())
    }

    fn parse(day: &str, hour: &str) -> Option<Self> {
        let partition = Self {
            date: day.strip_prefix("dt=")?.parse().ok()?,
            hour: hour.strip_prefix("hr=")?.parse().ok().filter(|hour| (0..24).contains(hour))?,
        };
        // Only the spelling that this layout writes: anything else is somebody else's folder.
        (partition.to_string() == format!("{day}/{hour}")).then_some(partition)
    }
}

impl fmt::Display for HourPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/hr={:02}", self.day(), self.hour)
    }
}

/// The identity of one object of changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChangeKey {
    /// The hour of its first row, and of every change in it. Rows of snapshots that started earlier may be among them.
    pub partition: HourPartition,
    /// The shard that the run was read from.
    pub shard: ShardId,
    /// The position that the run starts after.
    pub after: Position,
    /// How the rows are stored.
    pub format: Format,
}

/// Names below one table's folder.
#[derive(Debug, Clone)]
pub struct Layout {
    root: Path,
}

impl Layout {
    /// The folder of `table` below `prefix` (which may be empty).
    pub fn new(prefix: &Path, table: &str) -> Self {
        let table = encode(table, true);
        Self { root: path(if prefix.as_ref().is_empty() { table } else { format!("{prefix}/{table}") }) }
    }

    /// The table's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The table's columns, as JSON.
    pub fn schema(&self) -> Path {
        self.below("schema.json")
    }

    /// The folder of all changes.
    pub fn changes(&self) -> Path {
        self.below("changes")
    }

    /// The folder of one day's changes.
    pub(super) fn day(&self, partition: HourPartition) -> Path {
        self.below(&format!("changes/{}", partition.day()))
    }

    /// The folder of one hour's changes.
    pub fn partition(&self, partition: HourPartition) -> Path {
        self.below(&format!("changes/{partition}"))
    }

    /// An object of changes.
    pub fn change(&self, key: &ChangeKey) -> Path {
        let shard = encode(key.shard.as_str(), false);
        self.below(&format!("changes/{}/{shard}-{}.{}", key.partition, key.after.padded(), key.format.extension()))
    }

    /// What the names of one shard's objects within a partition begin with.
    pub fn shard_prefix(&self, partition: HourPartition, shard: &ShardId) -> String {
        format!("{}/{}-", self.partition(partition), encode(shard.as_str(), false))
    }

    /// The identity of an object of changes, if `location` is the name of one.
    pub fn parse_change(&self, location: &Path) -> Option<ChangeKey> {
        let name = location.as_ref().strip_prefix(self.root.as_ref())?.strip_prefix("/changes/")?;
        let [day, hour, file] = *name.split('/').collect::<Vec<_>>() else { return None };
        let (stem, format) = [Format::Parquet, Format::Ndjson]
            .into_iter()
            .find_map(|format| Some((file.strip_suffix(format.extension())?.strip_suffix('.')?, format)))?;
        let (shard, after) = stem.rsplit_once('-')?;
        let after: Position = after.parse().ok().filter(|parsed: &Position| parsed.padded() == after)?;
        Some(ChangeKey { partition: HourPartition::parse(day, hour)?, shard: ShardId::new(decode(shard)?), after, format })
    }

    /// The marker of a complete snapshot.
    pub fn snapshot(&self, id: &str) -> Path {
        self.below(&format!("snapshots/{}.json", encode(id, false)))
    }

    /// What is noted of a snapshot on the way to its marker.
    pub fn parts(&self, snapshot: &str) -> Path {
        self.below(&format!("parts/{}", encode(snapshot, false)))
    }

    /// A note on a snapshot.
    pub fn part(&self, snapshot: &str, name: &str) -> Path {
        self.below(&format!("parts/{}/{}", encode(snapshot, false), encode(name, false)))
    }

    /// The keys that a snapshot of single items reads.
    pub fn wanted_keys(&self, snapshot: &str) -> Path {
        self.below(&format!("parts/{}/keys.jsonl", encode(snapshot, false)))
    }

    /// The folder of quarantined records, and of what became of some.
    pub fn quarantine(&self) -> Path {
        self.below("quarantine")
    }

    /// What comes before every quarantined record, in the order of names.
    pub(super) fn quarantine_days(&self) -> Path {
        self.below("quarantine/dt")
    }

    /// A quarantined record: by its position, or by a hash of its text where no position could be read. `item` is in the name where it is known.
    pub fn quarantined(&self, day_of: HourPartition, shard: &ShardId, identity: &str, item: Option<&ItemDigest>) -> Path {
        let item = item.map_or_else(String::new, |item| format!("{ITEM}{}/", item.as_str()));
        self.below(&format!("quarantine/{}/{item}{}-{}.json", day_of.day(), encode(shard.as_str(), false), encode(identity, false)))
    }

    /// What stands for the item of a quarantined record, if it is known, if `location` is the name of one.
    pub fn parse_quarantined(&self, location: &Path) -> Option<Option<ItemDigest>> {
        let name = location.as_ref().strip_prefix(self.root.as_ref())?.strip_prefix("/quarantine/")?;
        let (day, item, file) = match *name.split('/').collect::<Vec<_>>() {
            [day, file] => (day, None, file),
            [day, item, file] => (day, Some(ItemDigest::parse(item.strip_prefix(ITEM)?)?), file),
            _ => return None,
        };
        (day.starts_with("dt=") && file.strip_suffix(".json").is_some()).then_some(item)
    }

    /// Where a quarantined record goes that is not to be sent back.
    pub(super) fn discarded(&self, entry: &Path) -> Path {
        let folder = self.quarantine();
        let name = entry.as_ref().strip_prefix(folder.as_ref()).unwrap_or(entry.as_ref());
        path(format!("{folder}/discarded/{}", name.trim_start_matches('/')))
    }

    /// The folder of the plans of redrives.
    pub(super) fn redrives(&self) -> Path {
        self.below("quarantine/redriven")
    }

    /// The plan of a redrive.
    pub(super) fn redrive(&self, number: u32) -> Path {
        self.below(&format!("quarantine/redriven/{number:010}.json"))
    }

    /// The number of the plan, if `location` is the name of one.
    pub(super) fn parse_redrive(&self, location: &Path) -> Option<u32> {
        let number = location.filename()?.strip_suffix(".json")?.parse().ok()?;
        (self.redrive(number) == *location).then_some(number)
    }

    /// The folder of changes that are too large for the stream.
    pub fn claims(&self) -> Path {
        self.below(CLAIMS)
    }

    /// A change that is too large for the stream, whole: by its position in the table's stream, or by its event id where it has none.
    pub fn claim(&self, day_of: HourPartition, shard: &ShardId, identity: &str) -> Path {
        self.below(&format!("{CLAIMS}/{}/{}-{}.json", day_of.day(), encode(shard.as_str(), false), encode(identity, false)))
    }

    /// The claim at a location below the table's folder, if the location is spelled as [`claim`](Self::claim) writes it. Anything else may lead out of
    /// the folder, or be a name that a store takes offence at whenever it is asked for.
    pub(super) fn parse_claim(&self, location: &str) -> Option<Path> {
        let [folder, day, file] = *location.split('/').collect::<Vec<_>>() else { return None };
        let stem = file.strip_suffix(".json").filter(|stem| !stem.is_empty() && file.len() <= LONGEST_NAME)?;
        let is_encoded = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.%".contains(&byte);
        let is_claim = folder == CLAIMS && HourPartition::parse(day, "hr=00").is_some() && stem.bytes().all(is_encoded);
        is_claim.then(|| self.below(location))
    }

    fn below(&self, name: &str) -> Path {
        path(format!("{}/{name}", self.root))
    }
}

/// Takes a name that is already encoded. [`Path::from`] would encode its percent signs again.
#[expect(clippy::expect_used, reason = "every segment was encoded to plain characters, is not empty and is neither '.' nor '..'")]
fn path(text: String) -> Path {
    Path::parse(text).expect("encoded segments make a valid path")
}

/// Percent-encodes everything but `[A-Za-z0-9_-]`. With `dots`, dots stay too unless they lead; without, a colon is written as a dot unless
/// it leads: it joins the parts of a Kinesis shard's name, and percent signs in S3 keys trip too many readers. No name is made of dots alone.
fn encode(text: &str, dots: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, byte) in text.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || (byte == b'.' && dots && index > 0) {
            out.push(char::from(byte));
        } else if byte == b':' && !dots && index > 0 {
            out.push('.');
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    if out.is_empty() { "%".to_owned() } else { out }
}

/// The inverse of [`encode`] without `dots`; `None` for a text that it does not write: each name has one spelling.
fn decode(text: &str) -> Option<String> {
    unescape(text).filter(|name| encode(name, false) == text)
}

fn unescape(text: &str) -> Option<String> {
    if text == "%" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let [high, low, tail @ ..] = tail else { return None };
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            bytes.push((digit(*high)? << 4) | digit(*low)?);
            rest = tail;
        } else {
            bytes.push(if *first == b'.' { b':' } else { *first });
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lake::quarantine::Origin;
    use crate::table::Key;

    /// Near the end of what a timestamp can be.
    const LAST_SECOND: i64 = 253_402_207_199;

    fn layout() -> Layout {
        Layout::new(&Path::from("data/raw"), "sales.orders")
    }

    #[test]
    fn a_run_is_named_by_its_hour_its_shard_and_the_position_it_starts_after() {
        let key = ChangeKey {
            partition: HourPartition::containing(1_795_233_599).unwrap(),
            shard: ShardId::new("shardId-00000001795230000000-abc"),
            after: "700000000000888747038".parse().unwrap(),
            format: Format::Parquet,
        };
        assert_eq!(
            layout().change(&key).as_ref(),
            "data/raw/sales.orders/changes/dt=2026-11-21/hr=03/\
             shardId-00000001795230000000-abc-0000000000000000000700000000000888747038.parquet"
        );
    }

    #[test]
    fn a_kinesis_shard_s_run_is_named_without_percent_signs() {
        let key = ChangeKey {
            partition: HourPartition::containing(0).unwrap(),
            shard: ShardId::new("123456789012:sales.orders:1795230000:shardId-000000000001"),
            after: Position::new("49590338271490256608559692538361571095921575989136588898", 7).unwrap(),
            format: Format::Ndjson,
        };
        assert_eq!(
            layout().change(&key).as_ref(),
            "data/raw/sales.orders/changes/dt=1970-01-01/hr=00/123456789012.sales%2Eorders.1795230000.shardId-000000000001-\
             4959033827149025660855969253836157109592157598913658889800000007.json.gz"
        );
    }

    #[test]
    fn other_objects_have_their_own_folders() {
        let day = HourPartition::containing(0).unwrap();
        assert_eq!(layout().schema().as_ref(), "data/raw/sales.orders/schema.json");
        assert_eq!(layout().snapshot("2026/1").as_ref(), "data/raw/sales.orders/snapshots/2026%2F1.json");
        let entry = layout().quarantined(day, &ShardId::new("s"), "7", None);
        assert_eq!(entry.as_ref(), "data/raw/sales.orders/quarantine/dt=1970-01-01/s-7.json");
        assert_eq!(layout().discarded(&entry).as_ref(), "data/raw/sales.orders/quarantine/discarded/dt=1970-01-01/s-7.json");
        assert_eq!(layout().redrive(7).as_ref(), "data/raw/sales.orders/quarantine/redriven/0000000007.json");
        assert_eq!(layout().claim(day, &ShardId::new("s"), "ab12").as_ref(), "data/raw/sales.orders/claims/dt=1970-01-01/s-ab12.json");
        assert_eq!(layout().part("../1", "0-f").as_ref(), "data/raw/sales.orders/parts/%2E%2E%2F1/0-f");
        assert_eq!(layout().wanted_keys("s-1").as_ref(), "data/raw/sales.orders/parts/s-1/keys.jsonl");
    }

    #[test]
    fn a_quarantined_record_is_told_from_what_lies_beside_it() {
        let (day, shard) = (HourPartition::containing(0).unwrap(), ShardId::new("1:s:2:shardId-0"));
        let item = ItemDigest::of(Origin::Capture, &Key::of_texts(vec!["../a".into()]));
        let named = layout().quarantined(day, &shard, "7", Some(&item));
        assert_eq!(layout().parse_quarantined(&named), Some(Some(item)));
        assert_eq!(layout().parse_quarantined(&layout().quarantined(day, &shard, "7", None)), Some(None));
        for other in [layout().discarded(&named), layout().redrive(1), layout().claim(day, &shard, "7"), layout().quarantine_days()] {
            assert_eq!(layout().parse_quarantined(&other), None, "{other}");
        }
        assert_eq!(layout().parse_redrive(&layout().redrive(u32::MAX)), Some(u32::MAX));
        assert_eq!(layout().parse_redrive(&named), None);
        assert!(layout().quarantine_days() < named && layout().discarded(&named) < layout().quarantine_days());
    }

    #[test]
    fn names_that_the_layout_does_not_write_are_not_changes() {
        let position = "0".repeat(40);
        for name in [
            format!("data/raw/sales.orders/changes/dt=2026-11-21/hr=24/s-{position}.parquet"),
            format!("data/raw/sales.orders/changes/dt=2026-11-21/hr=3/s-{position}.parquet"),
            format!("data/raw/sales.orders/changes/dt=2026-02-30/hr=03/s-{position}.parquet"),
            format!("data/raw/sales.orders/changes/dt=2026-11-21/hr=03/s-{position}.orc"),
            format!("data/raw/sales.orders/changes/dt=2026-11-21/hr=03/{position}.parquet"),
            "data/raw/sales.orders/changes/dt=2026-11-21/hr=03/s-17.parquet".to_owned(),
            format!("data/raw/sales.orders/changes/dt=2026-11-21/hr=03/%73-{position}.parquet"),
            format!("data/raw/sales.orders/changes/dt=2026-11-21/hr=03/a b-{position}.parquet"),
            format!("data/raw/sales.orders.old/changes/dt=2026-11-21/hr=03/s-{position}.parquet"),
            format!("data/raw/sales.orders/quarantine/dt=2026-11-21/hr=03/s-{position}.parquet"),
        ] {
            assert_eq!(layout().parse_change(&Path::parse(&name).unwrap()), None, "{name}");
        }
    }

    #[test]
    fn a_time_without_a_four_digit_year_is_refused() {
        assert!(HourPartition::containing(-1).is_err());
        assert!(HourPartition::containing(i64::MAX).is_err());
        assert_eq!(HourPartition::containing(0).unwrap().to_string(), "dt=1970-01-01/hr=00");
        assert_eq!(HourPartition::containing(LAST_SECOND).unwrap().to_string(), "dt=9999-12-30/hr=21");
    }

    #[test]
    fn a_name_made_of_colons_stays_a_name() {
        assert_eq!(layout().parts("::").as_ref(), "data/raw/sales.orders/parts/%3A.");
        assert_eq!(layout().part("s", ":").as_ref(), "data/raw/sales.orders/parts/s/%3A");
    }

    #[test]
    fn a_table_name_made_of_dots_stays_a_name() {
        for table in ["..", ".", "...", "a.b", ""] {
            let layout = Layout::new(&Path::default(), table);
            assert_eq!(layout.root().parts_count(), 1, "{table}");
        }
    }

    proptest! {
        #[test]
        fn every_key_is_read_back_from_its_name(
            seconds in 0..=LAST_SECOND,
            shard in prop_oneof![Just("shardId-00000001795230000000-abc".to_owned()), ".{0,40}"],
            after in "[0-9]{1,40}",
            parquet in any::<bool>(),
            prefix in prop_oneof![Just(Path::default()), Just(Path::from("a/b"))],
            table in "[A-Za-z0-9_.-]{3,40}",
        ) {
            let key = ChangeKey {
                partition: HourPartition::containing(seconds).unwrap(),
                shard: ShardId::new(shard),
                after: after.parse().unwrap(),
                format: if parquet { Format::Parquet } else { Format::Ndjson },
            };
            let layout = Layout::new(&prefix, &table);
            let location = layout.change(&key);
            prop_assert!(location.as_ref().starts_with(&layout.shard_prefix(key.partition, &key.shard)));
            prop_assert_eq!(layout.parse_change(&location), Some(key));
        }

        #[test]
        fn names_order_as_positions_do(a in "[0-9]{1,40}", b in "[0-9]{1,40}") {
            let name = |after: &str| layout().change(&ChangeKey {
                partition: HourPartition::containing(0).unwrap(),
                shard: ShardId::new("s"),
                after: after.parse().unwrap(),
                format: Format::Parquet,
            });
            let (x, y): (Position, Position) = (a.parse().unwrap(), b.parse().unwrap());
            prop_assert_eq!(x.cmp(&y), name(&a).cmp(&name(&b)));
        }
    }
}
