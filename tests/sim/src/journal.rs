//! What happened, in one order: changes, reads, lease writes, commits and faults of all services. The checks read it, and so does a person
//! who follows a failing history.

use std::collections::VecDeque;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::call::Passage;
use crate::item::Item;
use crate::sequence::Sequence;

/// The journal of one simulated cloud. Clones write to the same journal.
#[derive(Debug, Clone, Default)]
pub struct Journal(Option<Arc<Mutex<Book>>>);

#[derive(Debug)]
struct Book {
    entries: VecDeque<Entry>,
    /// How many entries there is room for.
    room: usize,
    /// How many were dropped to make room.
    dropped: usize,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When, by the services' clock (milliseconds since the epoch).
    pub at: i64,
    /// Who called; empty for what the services or the history did by themselves.
    pub worker: String,
    /// What.
    pub event: Event,
}

/// What can happen.
#[derive(Debug, Clone)]
pub enum Event {
    /// A change was accepted by a table, and by its stream if it has one.
    Change(Change),
    /// A shard was closed and others opened behind it.
    Resharded {
        /// The stream.
        stream: String,
        /// The closed shard; none at the stream's beginning.
        parent: Option<String>,
        /// The shards that were opened.
        children: Vec<String>,
    },
    /// A shard was closed with nothing behind it: its stream was disabled.
    Closed {
        /// The stream.
        stream: String,
        /// The shard.
        shard: String,
    },
    /// Records were trimmed.
    Trimmed {
        /// The stream.
        stream: String,
        /// The shard.
        shard: String,
        /// The last record that is gone.
        through: Sequence,
    },
    /// A shard is no longer listed, and nothing of it can be read.
    Forgotten {
        /// The stream.
        stream: String,
        /// The shard.
        shard: String,
    },
    /// A stream was enabled or disabled.
    Stream {
        /// The stream.
        stream: String,
        /// Whether it takes changes from now on.
        enabled: bool,
    },
    /// An iterator was given out.
    Iterator {
        /// The stream.
        stream: String,
        /// The shard.
        shard: String,
        /// The iterator's type.
        kind: &'static str,
        /// The position or time asked for.
        position: Option<String>,
    },
    /// A page of records was given out.
    Page {
        /// The stream.
        stream: String,
        /// The shard.
        shard: String,
        /// How many records it held.
        records: usize,
        /// The first and the last of them.
        range: Option<(Sequence, Sequence)>,
        /// Whether this was the shard's end.
        end: bool,
    },
    /// A page of a table with a stream was scanned.
    Scanned {
        /// The table.
        table: String,
        /// The segment, and of how many it is one.
        segment: Option<(i64, i64)>,
        /// How many items were read.
        items: usize,
        /// Whether nothing is left to read.
        end: bool,
    },
    /// An item of a table without a stream was written.
    Item {
        /// The table.
        table: String,
        /// The item's key attributes.
        key: Item,
        /// The item before.
        old: Option<Item>,
        /// The item after.
        new: Option<Item>,
    },
    /// A conditional write was refused.
    ConditionFailed {
        /// The table.
        table: String,
        /// The item's key attributes.
        key: Item,
    },
    /// An object was written.
    Object {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// What was written.
        body: Bytes,
        /// What it replaced.
        replaced: Option<Bytes>,
    },
    /// An object was deleted.
    Deleted {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// A record was stored in a Kinesis stream.
    Put(Put),
    /// The shards of a Kinesis stream were told.
    Listed {
        /// The stream.
        stream: String,
        /// Whether only those that take records were asked for, as who writes to it does.
        open_alone: bool,
        /// When the caller hears of it.
        passage: Passage,
    },
    /// A record was taken by a delivery stream of Firehose.
    Taken {
        /// The delivery stream.
        stream: String,
        /// The record's bytes.
        data: Bytes,
        /// When the caller hears of it.
        passage: Passage,
    },
    /// A call was tampered with.
    Fault {
        /// The operation.
        operation: String,
        /// What was done to it.
        what: String,
    },
    /// The clock was moved.
    Jump {
        /// By how much, in milliseconds.
        by: i64,
    },
    /// What the history or the runner did: a crash, a restart, a pause.
    Note(String),
}

/// A record of a Kinesis stream.
#[derive(Debug, Clone)]
pub struct Put {
    /// The stream.
    pub stream: String,
    /// The shard.
    pub shard: String,
    /// The position.
    pub sequence: Sequence,
    /// The partition key.
    pub partition_key: String,
    /// The place among the hash keys: the explicit one, or that of the partition key.
    pub hash_key: u128,
    /// The hash keys that the shard takes.
    pub range: RangeInclusive<u128>,
    /// The record's bytes.
    pub data: Bytes,
    /// When the caller hears of it.
    pub passage: Passage,
}

/// A change of an item.
#[derive(Debug, Clone)]
pub struct Change {
    /// The table.
    pub table: String,
    /// The stream, the shard and the position; none when the table had no stream then.
    pub place: Option<Place>,
    /// `INSERT`, `MODIFY` or `REMOVE`.
    pub operation: &'static str,
    /// The item's key attributes.
    pub key: Item,
    /// The item before.
    pub old: Option<Item>,
    /// The item after.
    pub new: Option<Item>,
    /// Whether time to live deleted it.
    pub by_ttl: bool,
}

/// Where a change stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The stream's ARN.
    pub stream: String,
    /// The shard's id.
    pub shard: String,
    /// The position.
    pub sequence: Sequence,
    /// The record's eventID.
    pub event_id: String,
}

impl Journal {
    /// A journal that remembers everything.
    pub fn keeping() -> Self {
        Self::of_the_last(usize::MAX)
    }

    /// A journal that remembers the newest entries, that many, for a server that runs for long.
    pub fn of_the_last(room: usize) -> Self {
        Self(Some(Arc::new(Mutex::new(Book { entries: VecDeque::new(), room, dropped: 0 }))))
    }

    /// A journal that forgets at once.
    pub fn forgetting() -> Self {
        Self(None)
    }

    /// Adds an entry.
    pub fn record(&self, at: i64, worker: &str, event: Event) {
        if let Some(book) = &self.0 {
            let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
            book.entries.push_back(Entry { at, worker: worker.to_owned(), event });
            if book.entries.len() > book.room {
                book.entries.pop_front();
                book.dropped += 1;
            }
        }
    }

    /// The entries from the given one on, which are counted from 0 over all that was ever written. What was dropped is left out.
    pub fn since(&self, first: usize) -> Vec<Entry> {
        self.numbered_since(first).1
    }

    /// [`since`](Self::since), and the number of the first of these entries.
    pub fn numbered_since(&self, first: usize) -> (usize, Vec<Entry>) {
        let Some(book) = &self.0 else { return (first, Vec::new()) };
        let book = book.lock().unwrap_or_else(PoisonError::into_inner);
        let first = first.max(book.dropped);
        (first, book.entries.iter().skip(first - book.dropped).cloned().collect())
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = jiff::Timestamp::from_millisecond(self.at)
            .map_or_else(|_| self.at.to_string(), |at| at.strftime("%d %H:%M:%S%.3f").to_string());
        write!(f, "{at} {:<12} {}", self.worker, self.event)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change(change) => {
                write!(f, "{} {}", change.operation, brief(&change.key))?;
                match &change.place {
                    Some(place) => write!(f, " at {} of {}", place.sequence, place.shard)?,
                    None => write!(f, " in no stream")?,
                }
                if change.by_ttl { f.write_str(" by TTL") } else { Ok(()) }
            }
            Self::Resharded { parent: Some(parent), children, .. } => write!(f, "shard {parent} continues in {}", children.join(", ")),
            Self::Resharded { parent: None, children, .. } => write!(f, "shards {} begin", children.join(", ")),
            Self::Closed { shard, .. } => write!(f, "shard {shard} is closed"),
            Self::Trimmed { shard, through, .. } => write!(f, "shard {shard} is trimmed through {through}"),
            Self::Forgotten { shard, .. } => write!(f, "shard {shard} is gone"),
            Self::Stream { stream, enabled } => write!(f, "stream {stream} is {}", if *enabled { "enabled" } else { "disabled" }),
            Self::Iterator { shard, kind, position, .. } => {
                write!(f, "asks for {kind} {} of {shard}", position.as_deref().unwrap_or_default())
            }
            Self::Page { shard, records, range, end, .. } => {
                write!(f, "reads {records} records of {shard}")?;
                if let Some((first, last)) = range {
                    write!(f, " from {first} to {last}")?;
                }
                if *end { f.write_str(", its end") } else { Ok(()) }
            }
            Self::Scanned { table, segment, items, end } => {
                write!(f, "scans {items} items of {table}")?;
                if let Some((segment, of)) = segment {
                    write!(f, ", segment {segment} of {of}")?;
                }
                if *end { f.write_str(", its end") } else { Ok(()) }
            }
            Self::Item { table, key, old, new } => {
                write!(f, "{table} {}: ", brief(key))?;
                match (old, new) {
                    (Some(old), Some(new)) => {
                        let mut changed: Vec<String> = Vec::new();
                        for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
                            if old.get(name) != new.get(name) {
                                let text = |item: &Item| item.get(name).map_or_else(|| "nothing".to_owned(), text);
                                changed.push(format!("{name} {} → {}", text(old), text(new)));
                            }
                        }
                        f.write_str(&changed.join(", "))
                    }
                    (None, Some(new)) => write!(f, "created as {}", brief(new)),
                    _ => f.write_str("deleted"),
                }
            }
            Self::ConditionFailed { table, key } => write!(f, "{table} {}: condition refused", brief(key)),
            Self::Object { key, body, replaced, .. } => {
                write!(f, "{} {key} ({} bytes)", if replaced.is_some() { "REPLACES" } else { "creates" }, body.len())
            }
            Self::Deleted { key, .. } => write!(f, "deletes {key}"),
            Self::Put(Put { stream, shard, sequence, partition_key, data, passage, .. }) => {
                write!(f, "puts {} bytes for {partition_key} into {stream} {shard} at {sequence}{passage}", data.len())
            }
            Self::Listed { stream, open_alone, passage } => {
                write!(f, "lists the {}shards of {stream}{passage}", if *open_alone { "open " } else { "" })
            }
            Self::Taken { stream, data, passage } => write!(f, "puts {} bytes into {stream}{passage}", data.len()),
            Self::Fault { operation, what } => write!(f, "! {operation}: {what}"),
            Self::Jump { by } => write!(f, "the clock jumps by {} s", by / 1000),
            Self::Note(text) => write!(f, "* {text}"),
        }
    }
}

fn brief(item: &Item) -> String {
    item.iter().map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(" ")
}

fn text(value: &crate::item::AttributeValue) -> String {
    use crate::item::AttributeValue::{N, S};
    match value {
        S(text) | N(text) => text.clone(),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_of_the_last_entries_drops_the_oldest_and_counts_on() {
        let journal = Journal::of_the_last(2);
        for number in 0..5 {
            journal.record(number, "", Event::Jump { by: 0 });
        }
        let since = |first: usize| {
            let (first, entries) = journal.numbered_since(first);
            (first, entries.iter().map(|entry| entry.at).collect::<Vec<_>>())
        };
        assert_eq!(since(0), (3, vec![3, 4]));
        assert_eq!(since(4), (4, vec![4]));
        assert_eq!(since(5), (5, vec![]));
        assert_eq!(since(9), (9, vec![]));
    }
}
