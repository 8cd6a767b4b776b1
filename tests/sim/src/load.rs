//! Load: a stream of any length, served as fast as a client can read it, and what the client makes of it received and checked.
//!
//! [`Load`] answers, in the models' stead, for one DynamoDB table with its stream, and for every Kinesis and Firehose stream as a producer
//! uses them. The records are sales orders, the same for the same seed, in N closed shards (`plan`). They are rendered once and
//! only their numbers and times are written anew for each page (`template`, `stream`). Each image is marked with its item and
//! version; the receiver finds the marks in whatever it is sent (`payload`), counts what is missing, repeated or out of order, and keeps a
//! checksum of every item's history (`ledger`). So a benchmark proves that its client lost nothing while it was fast.
//!
//! [`Rows`] is a table of such orders for scans, beside a stream that the models keep.
//!
//! All other calls are left to the models, a lease table's among them.

pub mod ceiling;

mod digits;
mod ledger;
mod order;
mod payload;
mod plan;
mod producer;
mod receiver;
mod rows;
mod stream;
mod template;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

pub use self::ledger::Received;
pub use self::order::Profile;
use self::plan::Plan;
use self::producer::Shards;
use self::receiver::Receiver;
pub use self::rows::{InvalidRows, Rows, Scanned};
use self::stream::Stream;
use self::template::Template;
use crate::call::{Answer, Intercept};

/// What to load a client with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The table's name.
    pub table: String,
    /// Shards of the table's stream.
    pub shards: usize,
    /// Records in all shards.
    pub records: usize,
    /// How large the items are.
    pub profile: Profile,
    /// Decides everything that is random.
    pub seed: u64,
    /// Shards of every Kinesis stream.
    pub kinesis_shards: usize,
    /// When the last record was made, in milliseconds since the epoch.
    pub end: i64,
}

impl Settings {
    /// A table `load`, seed 1 and one Kinesis shard; `end` is the time of the last record, in milliseconds since the epoch.
    pub fn new(shards: usize, records: usize, profile: Profile, end: i64) -> Self {
        Self { table: "load".to_owned(), shards, records, profile, seed: 1, kinesis_shards: 1, end }
    }
}

/// No load can be made of the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// Too few, or too many.
    #[error(
        "{records} records in {shards} shards: 1 to {} shards with at least one record each, and at most {} records, are possible",
        plan::MOST_SHARDS,
        plan::MOST_RECORDS
    )]
    Extent {
        /// The shards asked for.
        shards: usize,
        /// The records asked for.
        records: usize,
    },
    /// The numbers of the Kinesis shards have four digits.
    #[error("{0} Kinesis shards: 1 to {most} are possible", most = producer::MOST_SHARDS)]
    KinesisShards(usize),
}

/// A load, and what came of it so far.
#[derive(Debug)]
pub struct Load {
    settings: Settings,
    stream: Stream,
    shards: Shards,
    receiver: Receiver,
    figures: Mutex<Figures>,
}

/// What was served, and when the load was at work.
#[derive(Debug, Default)]
struct Figures {
    pages: u64,
    records: u64,
    bytes: u64,
    first_page: Option<Instant>,
    last_page: Option<Instant>,
    last_put: Option<Instant>,
}

impl Load {
    /// Plans and renders a load.
    pub fn new(settings: Settings) -> Result<Self, InvalidSettings> {
        let Settings { shards, records, profile, seed, kinesis_shards, .. } = settings;
        if !(1..=producer::MOST_SHARDS).contains(&kinesis_shards) {
            return Err(InvalidSettings::KinesisShards(kinesis_shards));
        }
        let plan = Arc::new(Plan::new(seed, shards, records).ok_or(InvalidSettings::Extent { shards, records })?);
        let template = Template::render(&plan, profile, seed);
        let end = usize::try_from(settings.end).unwrap_or_default();
        let shards = Shards::new(kinesis_shards, end / 1_000);
        Ok(Self {
            stream: Stream::new(&settings.table, Arc::clone(&plan), template, end),
            shards,
            receiver: Receiver::new(plan, shards),
            figures: Mutex::default(),
            settings,
        })
    }

    /// What was received so far.
    pub fn received(&self) -> Received {
        self.receiver.with_ledger(|ledger| ledger.received())
    }

    /// Whether every history arrived complete, in order and once, and nothing else: by the counts and by the checksum.
    pub fn is_exact(&self) -> bool {
        self.receiver.with_ledger(|ledger| ledger.received().is_exact() && ledger.checksum() == ledger.expected())
    }

    /// Forgets what was served and received, for the next client.
    pub fn clear(&self) {
        *self.figures() = Figures::default();
        self.receiver.with_ledger(ledger::Ledger::clear);
    }

    /// How long it took from the first page served to the last call received, if there was any.
    pub fn took(&self) -> Option<Duration> {
        let figures = self.figures();
        Some(figures.last_put?.saturating_duration_since(figures.first_page?))
    }

    /// What the load is, what was served and what was received of it. Seconds run from the first page to the last page served and to the last
    /// call received.
    pub fn report(&self) -> Value {
        let (received, checksum, expected) = self.receiver.with_ledger(|ledger| (ledger.received(), ledger.checksum(), ledger.expected()));
        let took = self.took();
        let figures = self.figures();
        let served = figures.last_page.zip(figures.first_page).map(|(last, first)| last.saturating_duration_since(first));
        let Settings { table, shards, records, profile, seed, .. } = &self.settings;
        json!({
            "load": { "table": table, "shards": shards, "records": records, "profile": profile.as_str(), "seed": seed },
            "served": {
                "pages": figures.pages,
                "records": figures.records,
                "bytes": figures.bytes,
                "seconds": served.map(|served| served.as_secs_f64()),
            },
            "received": received,
            "received_seconds": took.map(|took| took.as_secs_f64()),
            "checksum": { "received": format!("{checksum:016x}"), "expected": format!("{expected:016x}") },
            "exact": received.is_exact() && checksum == expected,
        })
    }

    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn records(&self, body: &[u8]) -> Option<Answer> {
        let page = match self.stream.records(body)? {
            Ok(page) => page,
            Err(error) => return Some(Err(error)),
        };
        let now = Instant::now();
        let mut figures = self.figures();
        figures.pages += 1;
        figures.records += page.records as u64;
        figures.bytes += page.json.len() as u64;
        figures.first_page.get_or_insert(now);
        figures.last_page = Some(now);
        Some(Ok(page.json))
    }

    fn put(&self, answer: Answer) -> Answer {
        if answer.is_ok() {
            self.figures().last_put = Some(Instant::now());
        }
        answer
    }
}

impl Intercept for Load {
    fn intercept(&self, target: &str, _: &str, body: &Bytes) -> Option<Answer> {
        match target.split_once('.')? {
            ("DynamoDBStreams_20120810", "GetRecords") => self.records(body),
            ("DynamoDB_20120810", operation @ "DescribeTable") | ("DynamoDBStreams_20120810", operation) => {
                self.stream.call(operation, body)
            }
            ("Kinesis_20131202", "PutRecords") => Some(self.put(self.receiver.put_records(body))),
            ("Kinesis_20131202", "DescribeStreamSummary") => self.shards.summary(body),
            ("Kinesis_20131202", "ListShards") => self.shards.list(body),
            ("Firehose_20150804", "PutRecordBatch") => Some(self.put(self.receiver.put_record_batch(body))),
            _ => None,
        }
    }

    fn control(&self, method: &str, command: &str) -> Option<Value> {
        match (method, command) {
            ("GET", "load") => {}
            ("POST", "load/clear") => self.clear(),
            _ => return None,
        }
        Some(self.report())
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn load(shards: usize, records: usize) -> Load {
        Load::new(Settings::new(shards, records, Profile::Lean, 1_800_000_000_000)).unwrap()
    }

    fn call(load: &Load, target: &str, request: &Value) -> Value {
        let answer = load.intercept(target, "worker", &Bytes::from(request.to_string()));
        serde_json::from_slice(&answer.unwrap().unwrap()).unwrap()
    }

    /// A client that sends every record on as it came, a page a call, the shards by turns.
    fn replicate(load: &Load) {
        let table = call(load, "DynamoDB_20120810.DescribeTable", &json!({ "TableName": "load" }));
        let stream = &table["Table"]["LatestStreamArn"];
        let described = call(load, "DynamoDBStreams_20120810.DescribeStream", &json!({ "StreamArn": stream }));
        let mut iterators: Vec<Value> = Vec::new();
        for shard in described["StreamDescription"]["Shards"].as_array().unwrap() {
            let request = json!({ "StreamArn": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON" });
            iterators.push(call(load, "DynamoDBStreams_20120810.GetShardIterator", &request)["ShardIterator"].take());
        }
        while !iterators.is_empty() {
            iterators.retain_mut(|iterator| {
                let page = call(load, "DynamoDBStreams_20120810.GetRecords", &json!({ "ShardIterator": iterator, "Limit": 500 }));
                let data = page["Records"].as_array().unwrap().iter().map(|record| {
                    let data = base64_simd::STANDARD.encode_to_string(record.to_string());
                    json!({ "Data": data, "PartitionKey": record["dynamodb"]["Keys"]["order_id"]["S"] })
                });
                let request = json!({ "StreamName": "orders", "Records": data.collect::<Vec<_>>() });
                assert_eq!(call(load, "Kinesis_20131202.PutRecords", &request)["FailedRecordCount"], 0);
                *iterator = page["NextShardIterator"].clone();
                !iterator.is_null()
            });
        }
    }

    #[test]
    fn a_client_that_loses_nothing_is_shown_to_be_exact() {
        let load = load(3, 4_321);
        assert!(!load.is_exact());
        replicate(&load);
        assert!(load.is_exact());
        let report = load.report();
        assert_eq!(report["served"]["records"], 4_321);
        assert_eq!(report["received"]["changes"], 4_321);
        assert_eq!(report["checksum"]["received"], report["checksum"]["expected"]);
        assert!(report["received_seconds"].as_f64().unwrap() >= report["served"]["seconds"].as_f64().unwrap());
    }

    #[test]
    fn a_client_that_sends_everything_twice_is_not() {
        let load = load(2, 2_000);
        replicate(&load);
        replicate(&load);
        assert!(!load.is_exact());
        assert_eq!(load.received().repeated, 2_000);
        let cleared = load.control("POST", "load/clear").unwrap();
        assert_eq!((&cleared["served"]["pages"], &cleared["received"]["missing"]), (&json!(0), &json!(2_000)));
        replicate(&load);
        assert_eq!(load.control("GET", "load").unwrap()["exact"], true);
        assert_eq!(load.control("GET", "journal"), None);
        assert!(load.is_exact());
    }

    #[test]
    fn other_calls_are_left_to_the_models() {
        let load = load(1, 10);
        for (target, body) in [
            ("DynamoDB_20120810.DescribeTable", r#"{"TableName":"leases"}"#),
            ("DynamoDB_20120810.UpdateItem", r#"{"TableName":"load"}"#),
            ("DynamoDBStreams_20120810.GetRecords", r#"{"ShardIterator":"another"}"#),
            ("DynamoDBStreams_20120810.ListStreams", "{}"),
            ("Kinesis_20131202.GetRecords", "{}"),
            ("Firehose_20150804.CreateDeliveryStream", "{}"),
            ("nonsense", "{}"),
        ] {
            assert!(load.intercept(target, "worker", &Bytes::from(body)).is_none(), "{target}");
        }
    }

    #[test]
    fn settings_that_make_no_load_are_refused() {
        let of = |shards, records| Load::new(Settings::new(shards, records, Profile::Lean, 0)).map(drop);
        assert_eq!(of(11, 10), Err(InvalidSettings::Extent { shards: 11, records: 10 }));
        assert!(of(11, 10).unwrap_err().to_string().contains("10 records in 11 shards"));
        let many = Settings { kinesis_shards: 10_001, ..Settings::new(1, 10, Profile::Lean, 0) };
        assert_eq!(Load::new(many).map(drop), Err(InvalidSettings::KinesisShards(10_001)));
    }
}
