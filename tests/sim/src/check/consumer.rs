//! A stream that workers read by leases: its shards with what they took, the leases, and the ledger of what was lost. The table's stream is
//! one, the Kinesis stream in the path another.

use std::collections::{BTreeMap, BTreeSet};

use super::holders::{Held, Left};
use super::leases::Refusals;
use super::ledger::Gap;
use super::position::Position;
use crate::sequence::Sequence;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Not durable yet.
    Pending,
    /// Durable behind the stream.
    Durable {
        /// Since when its worker can know (milliseconds since the epoch).
        since: i64,
    },
    /// The stream trimmed it before it was durable.
    Lost,
    /// The stream trimmed it before the first lease was written: nothing was replicated yet.
    BeforeTheStart,
}

/// A record of the stream.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) stream: String,
    pub(super) shard: String,
    pub(super) position: Position,
    /// When the stream took it (milliseconds since the epoch).
    pub(super) at: i64,
    pub(super) fate: Fate,
}

/// A shard and the records that it took.
#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) parents: Vec<String>,
    /// Indices of records, in order.
    pub(super) records: Vec<usize>,
    /// Every record before this index of `records` is durable or lost.
    settled: usize,
    pub(super) forgotten: bool,
    /// The last record that its stream no longer has.
    pub(super) trimmed: Option<Sequence>,
    /// Whether it ever had a lease.
    pub(super) leased: bool,
    /// The last record that was given to a reader.
    pub(super) read_to: Option<Sequence>,
    /// How often work on it has begun anew: what a worker knew of the records behind the checkpoint was forgotten then.
    pub(super) tenure: u64,
}

/// A stream and its readers.
#[derive(Debug, Default)]
pub(super) struct Consumer {
    /// The lease table; none when nobody reads.
    pub(super) table: Option<String>,
    /// How long a holder may be silent before its lease may be taken, in milliseconds.
    pub(super) failover: i64,
    /// Whether a record of the stream may hold several of ours.
    pub(super) has_packed_records: bool,
    pub(super) records: Vec<Record>,
    pub(super) shards: BTreeMap<String, Shard>,
    pub(super) leases: BTreeMap<String, Held>,
    /// Whether there ever was a lease.
    pub(super) begun: bool,
    /// The shards that were ever done: they stay done when the lease table is lost.
    pub(super) done: BTreeSet<String>,
    pub(super) gaps: Vec<Gap>,
    pub(super) refusals: BTreeMap<(String, String), Refusals>,
    /// Who no longer holds a shard's lease, by worker and shard.
    pub(super) left: BTreeMap<(String, String), Left>,
}

impl Consumer {
    pub(super) fn new(table: Option<String>, failover: i64) -> Self {
        Self { table, failover, ..Self::default() }
    }

    pub(super) fn is_table(&self, table: &str) -> bool {
        self.table.as_deref() == Some(table)
    }

    /// Shards are opened. A merge tells of its child once for each of the parents.
    pub(super) fn open(&mut self, parent: Option<&str>, children: &[String]) {
        for child in children {
            let shard = self.shards.entry(child.clone()).or_default();
            shard.parents.extend(parent.map(str::to_owned));
        }
    }

    /// Adds a record to its shard, and gives its index.
    pub(super) fn take(&mut self, record: Record) -> usize {
        let index = self.records.len();
        self.shards.entry(record.shard.clone()).or_default().records.push(index);
        self.records.push(record);
        index
    }

    /// A record is durable, and known to be from a time on. Gives whether it was before.
    pub(super) fn settle(&mut self, index: usize, since: i64) -> bool {
        let fate = &mut self.records[index].fate;
        let before = if let Fate::Durable { since } = *fate { Some(since) } else { None };
        *fate = Fate::Durable { since: before.map_or(since, |before| before.min(since)) };
        before.is_some()
    }

    /// The stream no longer has the shard's records up to one.
    pub(super) fn trim(&mut self, shard: &str, through: &Sequence, now: i64) {
        self.lose(shard, Some(through), now);
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.trimmed = Some(through.clone());
        }
    }

    /// The stream no longer has the shard.
    pub(super) fn forget(&mut self, shard: &str, now: i64) {
        self.lose(shard, None, now);
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.forgotten = true;
        }
    }

    /// What is not durable is lost. What is durable while the news of it is on its way counts as known from now on: nobody can read it again, and
    /// who comes after a crash goes on behind it.
    fn lose(&mut self, shard: &str, through: Option<&Sequence>, now: i64) {
        let Some(shard) = self.shards.get(shard) else { return };
        for index in shard.records.iter().skip(shard.settled) {
            let record = &mut self.records[*index];
            if through.is_some_and(|through| record.position.sequence > *through) {
                break;
            }
            match &mut record.fate {
                Fate::Pending => record.fate = if self.begun { Fate::Lost } else { Fate::BeforeTheStart },
                Fate::Durable { since } => *since = now.min(*since),
                Fate::Lost | Fate::BeforeTheStart => {}
            }
        }
    }

    /// The first record of a shard up to a position (or of all) that is neither known to be durable nor lost.
    pub(super) fn first_pending(&mut self, shard: &str, through: Option<&Position>, now: i64) -> Option<&Record> {
        let shard = self.shards.get_mut(shard)?;
        let is_pending = |record: &Record| match record.fate {
            Fate::Pending => true,
            Fate::Durable { since } => since > now,
            Fate::Lost | Fate::BeforeTheStart => false,
        };
        while shard.records.get(shard.settled).is_some_and(|index| !is_pending(&self.records[*index])) {
            shard.settled += 1;
        }
        let first = &self.records[*shard.records.get(shard.settled)?];
        through.is_none_or(|through| first.position <= *through).then_some(first)
    }

    /// Whether the stream no longer has a record.
    pub(super) fn is_gone(&self, record: &Record) -> bool {
        let shard = self.shards.get(&record.shard);
        shard.is_some_and(|shard| shard.forgotten || shard.trimmed.as_ref().is_some_and(|trimmed| record.position.sequence <= *trimmed))
    }

    /// Whether the ledger tells of a lost record: of its shard, or of one that it continues and that vanished with all behind it.
    pub(super) fn is_in_ledger(&self, lost: &Record) -> bool {
        let told_of = |shard: &str| self.gaps.iter().any(|gap| gap.covers(shard, shard == lost.shard, &lost.position, lost.at));
        if told_of(&lost.shard) || self.ancestors(&lost.shard).into_iter().any(told_of) {
            return true;
        }
        // A shard that never had a lease can be told of only with its stream, or with a shard that continues it.
        let leased = self.shards.get(&lost.shard).is_some_and(|shard| shard.leased);
        let continues = |gap: &Gap| self.ancestors(gap.origin()).contains(lost.shard.as_str());
        !leased && (self.is_replacement_in_ledger(&lost.stream, lost.at) || self.gaps.iter().any(continues))
    }

    /// Whether the ledger tells that this stream was replaced by another, and that records of this time are concerned.
    pub(super) fn is_replacement_in_ledger(&self, stream: &str, at: i64) -> bool {
        self.gaps.iter().any(|gap| gap.covers_replacement(stream, at))
    }

    /// The shards that a shard continues.
    fn ancestors<'a>(&'a self, shard: &str) -> BTreeSet<&'a str> {
        let parents = |name: &str| self.shards.get(name).into_iter().flat_map(|shard| &shard.parents).map(String::as_str);
        let mut found: BTreeSet<&str> = BTreeSet::new();
        let mut ahead: Vec<&str> = parents(shard).collect();
        while let Some(shard) = ahead.pop() {
            if found.insert(shard) {
                ahead.extend(parents(shard));
            }
        }
        found
    }
}
