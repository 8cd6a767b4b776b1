//! What the models, the histories and the checks may know of streams without going over the wire.

use std::ops::{Bound, RangeInclusive};

use super::record::Record;
use super::shard::Shard;
use super::stream::Stream;
use super::{Streams, ViewType, arn_prefix};
use crate::sequence::Sequence;

/// A stream as it is.
#[derive(Debug, Clone)]
pub struct StreamView<'a> {
    /// Its name.
    pub arn: &'a str,
    /// The table.
    pub table: &'a str,
    /// The end of the ARN.
    pub label: &'a str,
    /// What its records carry.
    pub view: ViewType,
    /// When it was enabled, in milliseconds since the epoch.
    pub created: i64,
    /// When it was disabled; none while it takes changes.
    pub disabled: Option<i64>,
}

/// A shard as it is, whatever a listing says.
#[derive(Debug, Clone)]
pub struct ShardView<'a> {
    /// Its id.
    pub id: &'a str,
    /// The shard that it continues, which may be gone.
    pub parent: Option<&'a str>,
    /// The hashes whose changes it takes.
    pub range: RangeInclusive<u64>,
    /// When it was opened, in milliseconds since the epoch.
    pub opened: i64,
    /// When it was closed; none while it takes changes.
    pub closed: Option<i64>,
    /// Below every record's number.
    pub starting: &'a Sequence,
    /// Above every record's number, once it is closed.
    pub ending: Option<&'a Sequence>,
    /// The last record that was trimmed.
    pub trimmed: Option<&'a Sequence>,
    /// How many records it holds.
    pub records: usize,
}

impl Streams {
    /// The ARN of the table's newest stream, enabled or not, until a day after it was disabled.
    pub fn latest(&self, table: &str) -> Option<&str> {
        let prefix = arn_prefix(table);
        // Nothing in a label sorts above this.
        let past = format!("{prefix}~");
        let bounds = (Bound::Excluded(prefix.as_str()), Bound::Excluded(past.as_str()));
        self.by_arn.range::<str, _>(bounds).next_back().map(|(arn, _)| arn.as_str())
    }

    /// A stream; `None` when it never was or is no more.
    pub fn view(&self, stream: &str) -> Option<StreamView<'_>> {
        self.by_arn.get(stream).map(|stream| StreamView {
            arn: &stream.arn,
            table: &stream.table,
            label: &stream.label,
            view: stream.view,
            created: stream.created,
            disabled: stream.disabled,
        })
    }

    /// Every stream there is, in the order of their ARNs.
    pub fn arns(&self) -> impl Iterator<Item = &str> {
        self.by_arn.keys().map(String::as_str)
    }

    /// A shard; `None` when it never was or is no more.
    pub fn shard(&self, stream: &str, shard: &str) -> Option<ShardView<'_>> {
        self.by_arn.get(stream)?.shards.get_key_value(shard).map(view)
    }

    /// The shards of a stream in the order of their ids; none of an unknown stream.
    pub fn shards(&self, stream: &str) -> impl Iterator<Item = ShardView<'_>> {
        shards(self.by_arn.get(stream)).map(view)
    }

    /// The records of a shard that are not trimmed, in order; none of an unknown shard.
    pub fn records_of(&self, stream: &str, shard: &str) -> impl Iterator<Item = &Record> {
        self.by_arn.get(stream).and_then(|stream| stream.shards.get(shard)).into_iter().flat_map(Shard::records)
    }
}

fn shards(stream: Option<&Stream>) -> impl Iterator<Item = (&String, &Shard)> {
    stream.into_iter().flat_map(|stream| &stream.shards)
}

fn view<'a>((id, shard): (&'a String, &'a Shard)) -> ShardView<'a> {
    ShardView {
        id,
        parent: shard.parent.as_deref(),
        range: shard.range.clone(),
        opened: shard.opened,
        closed: shard.end.as_ref().map(|end| end.at),
        starting: &shard.starting,
        ending: shard.end.as_ref().map(|end| &end.sequence),
        trimmed: shard.trimmed.as_ref(),
        records: shard.records().len(),
    }
}
