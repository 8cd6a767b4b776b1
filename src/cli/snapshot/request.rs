//! What `headwater snapshot start` is asked for: the flags, and the request that they make. Pure.

use std::cmp::Ordering;
use std::path::PathBuf;

use clap::ArgGroup;
use clap::builder::NonEmptyStringValueParser;

use super::keys;
use crate::config::{self, SnapshotSettings};
use crate::contract::{KeyColumn, TableSchema};
use crate::event::AttributeType;
use crate::event::number::Number;
use crate::lease::snapshot::{Cause, ReadBudget, Request, Source};

/// DynamoDB's limit on the parts of a table.
const MOST_PARTS: u32 = 1_000_000;

/// Flags of `headwater snapshot start`.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("part").args(["partition_key", "keys", "segment", "from_export", "export"]))]
pub(super) struct StartArgs {
    /// Into how many segments the table is divided, which are read at the same time by all workers. By default it follows from the table's size.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(config::MOST_SEGMENTS)), conflicts_with = "part")]
    pub(super) segments: Option<u32>,
    /// Read eventually consistent, at half the price. Changes of the second before a page was read may come from the stream alone.
    #[arg(long, conflicts_with_all = ["from_export", "export"])]
    pub(super) eventually_consistent: bool,
    /// Read at most this many read capacity units a second, over all workers.
    #[arg(
        long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..),
        conflicts_with_all = ["read_share", "from_export", "export"]
    )]
    pub(super) read_units: Option<u32>,
    /// Read at most this share of the read capacity that the table is provisioned with, such as 25%.
    #[arg(long, value_name = "P%", value_parser = share, conflicts_with_all = ["from_export", "export"])]
    pub(super) read_share: Option<u8>,
    /// Only the items with this partition key: text, a number, or base64.
    #[arg(long, value_name = "VALUE", value_parser = NonEmptyStringValueParser::new())]
    pub(super) partition_key: Option<String>,
    /// Of those, the items from this sort key on.
    #[arg(long, value_name = "VALUE", requires = "partition_key", value_parser = NonEmptyStringValueParser::new())]
    pub(super) sort_key_from: Option<String>,
    /// Of those, the items up to this sort key, included.
    #[arg(long, value_name = "VALUE", requires = "partition_key", value_parser = NonEmptyStringValueParser::new())]
    pub(super) sort_key_to: Option<String>,
    /// Only the items with these keys: a file (or - for standard input) with one JSON object a line, such as {"order_id":"o-1"} or
    /// {"order_id":{"S":"o-1"}}. Keys without an item are removed from the lake's current state.
    #[arg(long, value_name = "FILE")]
    pub(super) keys: Option<PathBuf>,
    /// Only one of N parts into which DynamoDB divides the table, counted from 0: 0/4 is the first of four.
    #[arg(long, value_name = "I/N", value_parser = segment)]
    pub(super) segment: Option<(u32, u32)>,
    /// At most this many rows of each segment, for trials.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) limit: Option<u64>,
    /// Read an export of DynamoDB to S3 instead of the table, full or incremental: its ARN, or the folder (s3://… or local) that holds its
    /// manifest-summary.json. A local folder must be there for every worker.
    #[arg(long, value_name = "EXPORT", value_parser = NonEmptyStringValueParser::new())]
    pub(super) from_export: Option<String>,
    /// Export the table to S3 now, wait until that is done, and read the export. Uses no read capacity; needs point-in-time recovery.
    #[arg(long, requires = "export_bucket")]
    pub(super) export: bool,
    /// The bucket of the export.
    #[arg(long, value_name = "BUCKET", requires = "export", value_parser = NonEmptyStringValueParser::new())]
    pub(super) export_bucket: Option<String>,
    /// What the names of the export's objects begin with.
    #[arg(long, value_name = "PREFIX", requires = "export")]
    pub(super) export_prefix: Option<String>,
    /// Wait until the snapshot has come to its end, and show how far it is. Ctrl-c stops the waiting, not the snapshot.
    #[arg(long)]
    pub(super) wait: bool,
}

/// Per cent, such as `25%`.
fn share(text: &str) -> Result<u8, String> {
    config::read_share("the share", text)
}

/// One of so many parts, such as `0/4`.
fn segment(text: &str) -> Result<(u32, u32), String> {
    let parts = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
    match parts {
        Some((number, of)) if number < of && of <= MOST_PARTS => Ok((number, of)),
        Some((number, of)) if number >= of => Err(format!("of {of} parts, the first is 0/{of}, and there is no {number}/{of}")),
        _ => Err(format!("a part is I/N, such as 0/4, with at most {MOST_PARTS} parts")),
    }
}

impl StartArgs {
    /// What is read, where the flags alone say it: not the lists of keys and the exports, which must be looked up.
    pub(super) fn source(&self, schema: &TableSchema) -> Result<Source, String> {
        if let Some((number, of)) = self.segment {
            return Ok(Source::Segment { number, of });
        }
        let Some(partition) = &self.partition_key else { return Ok(Source::Table) };
        let of = |column: Option<&KeyColumn>, flag: &str, given: &str| match column {
            Some(column) => keys::bound(column, given).map_err(|problem| format!("{flag} {given}: {problem}")),
            None => Err(format!("{flag} {given}: the table '{}' has no sort key", schema.table)),
        };
        let sort_key = schema.keys.get(1);
        let from = self.sort_key_from.as_deref().map(|given| of(sort_key, "--sort-key-from", given)).transpose()?;
        let to = self.sort_key_to.as_deref().map(|given| of(sort_key, "--sort-key-to", given)).transpose()?;
        if let (Some(from), Some(to), Some(column)) = (&from, &to, sort_key)
            && order(column, from, to) == Ordering::Greater
        {
            return Err(format!("--sort-key-from {from} lies behind --sort-key-to {to}: nothing would be read"));
        }
        Ok(Source::Partition { partition: of(schema.keys.first(), "--partition-key", partition)?, from, to })
    }

    /// The whole request. What no flag says is left to the settings of the workers.
    pub(super) fn request(&self, source: Source, settings: &SnapshotSettings) -> Request {
        let budget = self.read_units.map(ReadBudget::Units).or(self.read_share.map(ReadBudget::Share));
        Request {
            cause: Cause::Request,
            consistent: settings.consistent && !self.eventually_consistent,
            segments: self.segments.or(settings.segments),
            // Exports cost no read units.
            budget: budget.or(settings.budget).filter(|_| !matches!(source, Source::Export { .. })),
            limit: self.limit,
            source,
        }
    }
}

/// DynamoDB's order of two sort keys in the lake's spelling.
fn order(column: &KeyColumn, a: &str, b: &str) -> Ordering {
    use base64::Engine as _;
    let bytes = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
    match column.attribute_type {
        AttributeType::N => Number::parse(a).ok().cmp(&Number::parse(b).ok()),
        AttributeType::B => bytes(a).cmp(&bytes(b)),
        _ => a.as_bytes().cmp(b.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: StartArgs,
    }

    fn parsed(line: &str) -> Result<StartArgs, String> {
        let words = std::iter::once("start").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.args).map_err(|error| error.to_string())
    }

    fn schema(sort_key: Option<AttributeType>) -> TableSchema {
        let partition = ("customer".to_owned(), AttributeType::S);
        TableSchema::keys_only("orders", std::iter::once(partition).chain(sort_key.map(|kind| ("at".to_owned(), kind))).collect())
    }

    fn source(line: &str, sort_key: Option<AttributeType>) -> Result<Source, String> {
        parsed(line).unwrap().source(&schema(sort_key))
    }

    const SETTINGS: SnapshotSettings =
        SnapshotSettings { segments: Some(8), at_once: 4, consistent: true, budget: Some(ReadBudget::Share(10)) };

    #[test]
    fn without_flags_it_is_the_whole_table_as_the_configuration_says() {
        assert_eq!(source("", None), Ok(Source::Table));
        let request = parsed("").unwrap().request(Source::Table, &SETTINGS);
        let expected = Request {
            source: Source::Table,
            cause: Cause::Request,
            consistent: true,
            segments: Some(8),
            budget: Some(ReadBudget::Share(10)),
            limit: None,
        };
        assert_eq!(request, expected);
    }

    #[test]
    fn a_flag_counts_more_than_the_configuration() {
        let request = |line| parsed(line).unwrap().request(Source::Table, &SETTINGS);
        assert!(!request("--eventually-consistent").consistent);
        assert_eq!(request("--read-units 50").budget, Some(ReadBudget::Units(50)));
        assert_eq!(request("--read-share 25%").budget, Some(ReadBudget::Share(25)));
        assert_eq!((request("--segments 3").segments, request("--limit 9").limit), (Some(3), Some(9)));
    }

    #[test]
    fn a_partition_s_bounds_are_spelled_as_in_the_lake() {
        let found = source("--partition-key c-1 --sort-key-from 1.50 --sort-key-to 2E1", Some(AttributeType::N));
        assert_eq!(found, Ok(Source::Partition { partition: "c-1".into(), from: Some("1.5".into()), to: Some("20".into()) }));
        assert_eq!(source("--segment 3/4", None), Ok(Source::Segment { number: 3, of: 4 }));
    }

    #[test]
    fn bounds_that_the_table_cannot_have_are_refused() {
        for (line, sort_key, expected) in [
            ("--partition-key c --sort-key-from a", None, "the table 'orders' has no sort key"),
            ("--partition-key c --sort-key-from a", Some(AttributeType::N), "--sort-key-from a: 'at': 'a' is not a decimal number"),
            ("--partition-key c --sort-key-from 10 --sort-key-to 9", Some(AttributeType::N), "10 lies behind --sort-key-to 9"),
            ("--partition-key c --sort-key-from b --sort-key-to a", Some(AttributeType::S), "nothing would be read"),
        ] {
            let error = source(line, sort_key).unwrap_err();
            assert!(error.contains(expected), "{line} gave {error}");
        }
        assert!(source("--partition-key c --sort-key-from 10 --sort-key-to 9", Some(AttributeType::S)).is_ok(), "text is no number");
    }

    #[test]
    fn flags_that_exclude_each_other_are_refused_by_name() {
        let parts = ["--partition-key a", "--keys f", "--segment 0/2", "--from-export e", "--export --export-bucket b"];
        let pairs = parts.iter().enumerate().flat_map(|(i, a)| parts[i + 1..].iter().map(move |b| format!("{a} {b}")));
        let others = parts.iter().map(|part| format!("--segments 2 {part}"));
        let read = ["--from-export e", "--export --export-bucket b"];
        let paid = ["--read-units 1", "--read-share 1%", "--eventually-consistent"];
        let budgets = read.iter().flat_map(|read| paid.iter().map(move |paid| format!("{read} {paid}")));
        for line in pairs.chain(others).chain(budgets).chain(["--read-units 1 --read-share 1%".to_owned()]) {
            let error = parsed(&line).unwrap_err();
            assert!(error.contains("cannot be used with"), "{line} gave {error}");
        }
    }

    #[test]
    fn flags_that_need_another_say_which() {
        for (line, other) in [
            ("--sort-key-from a", "--partition-key"),
            ("--sort-key-to a", "--partition-key"),
            ("--export", "--export-bucket"),
            ("--export-bucket b", "--export"),
            ("--export-prefix p", "--export"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains("required arguments were not provided") && error.contains(other), "{line} gave {error}");
        }
    }

    #[test]
    fn values_that_mean_nothing_are_refused() {
        for (line, expected) in [
            ("--segment 4/4", "of 4 parts, the first is 0/4, and there is no 4/4"),
            ("--segment 1", "a part is I/N, such as 0/4"),
            ("--read-share 0%", "is not a share such as \"25%\""),
            ("--read-share 20", "is not a share such as \"25%\""),
            ("--read-units 0", "--read-units"),
            ("--segments 0", "--segments"),
            ("--limit 0", "--limit"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(expected), "{line} gave {error}");
        }
    }
}
