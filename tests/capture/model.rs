//! A stream that does what no stand-in does: shards split, positions are trimmed, calls fail by script.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use headwater::aws::{AwsError, Failure};
use headwater::event::{Position, ShardId};
use headwater::stream::dynamodb::RETENTION;
use headwater::stream::{DescribePage, IteratorStart, ShardInfo, StreamApi, StreamArn, StreamInfo};

/// Two records a page, so that every test with three records pages.
const PAGE: usize = 2;

/// What a scripted call answers instead of working.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    Fails(Failure),
    Body(&'static str),
    Repeats,
    Empty,
    /// None: the call works. For scripts whose fault comes later.
    Page,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Shard {
    /// Its stream; `arn:stream/1` when absent.
    pub(crate) stream: Option<&'static str>,
    pub(crate) parent: Option<&'static str>,
    /// Records as JSON, by sequence number.
    pub(crate) records: BTreeMap<u64, String>,
    pub(crate) closed: bool,
    /// Records below this are gone.
    pub(crate) trimmed_below: u64,
    /// Listed only after that many descriptions.
    pub(crate) hidden_for: u32,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) stream: &'static str,
    pub(crate) enabled: bool,
    pub(crate) shards: BTreeMap<&'static str, Shard>,
    /// Shards that answer with ResourceNotFound.
    pub(crate) vanished: Vec<&'static str>,
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) knows_timestamps: bool,
    /// As in Kinesis: an iterator begins at the record that it is to go on behind, and a trimmed position is passed over without a word.
    pub(crate) is_silent: bool,
    /// Each GetShardIterator, as it was asked.
    pub(crate) iterators: Vec<(String, IteratorStart)>,
    pub(crate) reads: u32,
}

/// The model, shared by a test and the service.
#[derive(Debug, Clone)]
pub(crate) struct Model(pub(crate) Arc<Mutex<State>>);

impl Model {
    pub(crate) fn new(shards: impl IntoIterator<Item = (&'static str, Shard)>) -> Self {
        Self(Arc::new(Mutex::new(State {
            stream: "arn:stream/1",
            enabled: true,
            shards: shards.into_iter().collect(),
            vanished: Vec::new(),
            faults: VecDeque::new(),
            knows_timestamps: true,
            is_silent: false,
            iterators: Vec::new(),
            reads: 0,
        })))
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }
}

/// A shard with inserts at these positions.
pub(crate) fn shard(parent: Option<&'static str>, sequences: &[u64], closed: bool) -> Shard {
    let records = sequences.iter().map(|sequence| (*sequence, insert(*sequence, *TIME))).collect();
    Shard { parent, records, closed, ..Shard::default() }
}

/// When the records were made: lately, so that the stream may still have them.
pub(crate) static TIME: std::sync::LazyLock<i64> = std::sync::LazyLock::new(|| headwater::clock::unix_seconds() - 600);

pub(crate) fn insert(sequence: u64, time: i64) -> String {
    format!(
        r#"{{"eventID":"e{sequence}","eventName":"INSERT","dynamodb":{{"ApproximateCreationDateTime":{time},"Keys":{{"id":{{"S":"k{sequence}"}}}},"NewImage":{{"id":{{"S":"k{sequence}"}},"n":{{"N":"{sequence}"}}}},"SequenceNumber":"{sequence}","SizeBytes":9,"StreamViewType":"NEW_AND_OLD_IMAGES"}}}}"#
    )
}

fn fail<T>(operation: &'static str, failure: Failure) -> Result<T, AwsError> {
    Err(AwsError::of(operation, failure, "scripted"))
}

#[async_trait]
impl StreamApi for Model {
    async fn current(&self) -> Result<StreamInfo, AwsError> {
        self.change(|state| Ok(StreamInfo { arn: StreamArn::new(state.stream), enabled: state.enabled, retention: RETENTION }))
    }

    async fn describe(&self, stream: &StreamArn, after: Option<&ShardId>) -> Result<DescribePage, AwsError> {
        self.change(|state| {
            let mut listed: Vec<ShardInfo> = Vec::new();
            for (id, shard) in &mut state.shards {
                if shard.stream.unwrap_or("arn:stream/1") != stream.as_str() {
                    continue;
                }
                if shard.hidden_for > 0 {
                    shard.hidden_for -= 1;
                } else if after.is_none_or(|after| *id > after.as_str()) {
                    listed.push(ShardInfo { id: ShardId::new(*id), parents: shard.parent.into_iter().map(ShardId::new).collect() });
                }
            }
            let more = listed.len() > PAGE;
            listed.truncate(PAGE);
            let next = more.then(|| listed[PAGE - 1].id.clone());
            Ok(DescribePage { enabled: state.enabled, shards: listed, next })
        })
    }

    async fn iterator(&self, _: &StreamArn, shard: &ShardId, start: IteratorStart) -> Result<String, AwsError> {
        self.change(|state| {
            state.iterators.push((shard.to_string(), start));
            if state.vanished.contains(&shard.as_str()) {
                return fail("GetShardIterator", Failure::NotFound);
            }
            let Some(found) = state.shards.get(shard.as_str()) else { return fail("GetShardIterator", Failure::NotFound) };
            let from = match start {
                IteratorStart::At(_) if !state.knows_timestamps => return fail("GetShardIterator", Failure::Invalid),
                IteratorStart::TrimHorizon | IteratorStart::At(_) => found.trimmed_below,
                IteratorStart::After(sequence) => {
                    let after: u64 = sequence.sequence().parse().unwrap();
                    if state.is_silent {
                        return Ok(format!("{shard}|{after}"));
                    }
                    if after < found.trimmed_below {
                        return fail("GetShardIterator", Failure::Trimmed);
                    }
                    after + 1
                }
            };
            Ok(format!("{shard}|{from}"))
        })
    }

    async fn records(&self, iterator: &str, _: Option<u32>) -> Result<Bytes, AwsError> {
        self.change(|state| {
            state.reads += 1;
            let (id, from) = iterator.split_once('|').unwrap();
            let from: u64 = from.parse().unwrap();
            let shard = &state.shards[id];
            match state.faults.pop_front() {
                Some(Fault::Fails(failure)) => return fail("GetRecords", failure),
                Some(Fault::Body(body)) => return Ok(Bytes::from_static(body.as_bytes())),
                Some(Fault::Empty) => return Ok(page(&[], Some(iterator))),
                Some(Fault::Repeats) => {
                    let all: Vec<&String> = shard.records.values().collect();
                    return Ok(page(&all, Some(iterator)));
                }
                Some(Fault::Page) | None => {}
            }
            let records: Vec<(&u64, &String)> = shard.records.range(from.max(shard.trimmed_below)..).take(PAGE).collect();
            let behind = records.last().map_or(from, |(sequence, _)| *sequence + 1);
            let drained = shard.records.range(behind..).next().is_none();
            let next = format!("{id}|{behind}");
            let next = (!(shard.closed && drained)).then_some(next.as_str());
            Ok(page(&records.into_iter().map(|(_, record)| record).collect::<Vec<_>>(), next))
        })
    }
}

fn page(records: &[&String], next: Option<&str>) -> Bytes {
    let records: Vec<&str> = records.iter().map(|record| record.as_str()).collect();
    let next = next.map_or_else(|| "null".to_owned(), |next| format!("\"{next}\""));
    Bytes::from(format!(r#"{{"Records":[{}],"NextShardIterator":{next}}}"#, records.join(",")))
}

pub(crate) fn sequence(n: u64) -> Position {
    n.to_string().parse().unwrap()
}
