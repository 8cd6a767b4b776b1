//! A journal written by hand, with its checker.

use std::cell::Cell;
use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::call::Passage;
use crate::check::*;
use crate::item::AttributeValue::{self, N, S};
use crate::journal::Put;
use crate::kinesis::aggregate::tests::sealed;

pub(super) const STREAM: &str = "arn:stream/1";
/// 2026-11-21 03:00:00 UTC.
pub(super) const NOW: i64 = 1_795_230_000_000;

/// A lease on its way to another owner, as it is written.
pub(super) struct HandOver<'a> {
    pub(super) owner: &'a str,
    pub(super) former: Option<&'a str>,
    pub(super) counter: u32,
    pub(super) checkpoint: &'a str,
}

impl Default for HandOver<'_> {
    /// As `W` asks `V` for it.
    fn default() -> Self {
        Self { owner: "W", former: Some("V"), counter: 1, checkpoint: "TRIM_HORIZON" }
    }
}

/// A journal with its checker.
pub(super) struct Story {
    pub(super) journal: Journal,
    pub(super) checker: Checker,
    now: Cell<i64>,
}

impl Story {
    /// A table whose stream begins with shard `a`.
    pub(super) fn new() -> Self {
        Self::with(None)
    }

    /// The same with the Kinesis stream `orders` in the path, which begins with shard `k`, and deliver behind it.
    pub(super) fn with_kinesis() -> Self {
        let kinesis = KinesisSubject { stream: "orders".into(), leases: Some("deliver".into()), quarantined_from: Some(1_000) };
        let story = Self::with(Some(kinesis));
        story.reshard_kinesis(None, &["k"]);
        story
    }

    fn with(kinesis: Option<KinesisSubject>) -> Self {
        let subject = Subject {
            table: "orders".into(),
            leases: "leases".into(),
            bucket: "lake".into(),
            folder: "cdc/orders".into(),
            failover: 2_000,
            kinesis,
            closes_gaps: false,
        };
        let story = Self { journal: Journal::keeping(), checker: Checker::new(subject), now: Cell::new(NOW) };
        story.reshard(None, &["a"]);
        story
    }

    pub(super) fn record(&self, worker: &str, event: Event) {
        self.journal.record(self.now.get(), worker, event);
    }

    /// Time passes.
    pub(super) fn pass(&self, seconds: i64) {
        self.pass_millis(seconds * 1_000);
    }

    pub(super) fn pass_millis(&self, millis: i64) {
        self.now.set(self.now.get() + millis);
    }

    pub(super) fn reshard_kinesis(&self, parent: Option<&str>, children: &[&str]) {
        let children = children.iter().map(|child| (*child).to_owned()).collect();
        self.record("", Event::Resharded { stream: "orders".into(), parent: parent.map(str::to_owned), children });
    }

    pub(super) fn reshard(&self, parent: Option<&str>, children: &[&str]) {
        let children = children.iter().map(|child| (*child).to_owned()).collect();
        self.record("", Event::Resharded { stream: STREAM.into(), parent: parent.map(str::to_owned), children });
    }

    /// The item `key` changes in `shard`.
    pub(super) fn change(&self, shard: &str, sequence: u32, key: &str) {
        let key = Item::from([("id".to_owned(), S(key.to_owned()))]);
        let new = key.clone().into_iter().chain([("n".to_owned(), N(sequence.to_string()))]).collect();
        let place = Place { stream: STREAM.into(), shard: shard.into(), sequence: at(sequence), event_id: format!("e{sequence}") };
        self.record(
            "",
            Event::Change(Change {
                table: "orders".into(),
                place: Some(place),
                operation: "INSERT",
                key,
                old: None,
                new: Some(new),
                by_ttl: false,
            }),
        );
    }

    /// An object with those changes, each the insertion of an item.
    pub(super) fn land(&self, shard: &str, rows: &[(u32, &str)]) {
        let lines = rows.iter().map(|(sequence, key)| line(shard, *sequence, key, &sequence.to_string()));
        self.object("W", shard, lines, None);
    }

    pub(super) fn object(&self, worker: &str, shard: &str, lines: impl IntoIterator<Item = String>, replaced: Option<Bytes>) {
        self.object_named(worker, &format!("{shard}-0"), lines, replaced);
    }

    /// An object of deliver's: what follows a position in a shard of Kinesis.
    pub(super) fn deliver(&self, shard: &str, after: &str, rows: &[(u32, &str)]) {
        let lines = rows.iter().map(|(sequence, key)| line("a", *sequence, key, &sequence.to_string()));
        self.object_named("D", &format!("000000000000.orders.1795046400.{shard}-{after}"), lines, None);
    }

    pub(super) fn object_named(&self, worker: &str, name: &str, lines: impl IntoIterator<Item = String>, replaced: Option<Bytes>) {
        self.object_in("03", worker, name, lines, replaced);
    }

    pub(super) fn object_in(&self, hour: &str, worker: &str, name: &str, lines: impl IntoIterator<Item = String>, replaced: Option<Bytes>) {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        for line in lines {
            gzip.write_all(line.as_bytes()).unwrap();
        }
        let key = format!("cdc/orders/changes/dt=2026-11-21/hr={hour}/{name}.json.gz");
        self.record(worker, Event::Object { bucket: "lake".into(), key, body: gzip.finish().unwrap().into(), replaced });
    }

    pub(super) fn lease(&self, worker: &str, shard: &str, checkpoint: &str) {
        let stream = ("streamArn".to_owned(), S(STREAM.into()));
        self.write_lease("leases", worker, shard, checkpoint, [stream]);
    }

    /// A lease of deliver's on a shard of Kinesis, with its checkpoint at a place within a record.
    pub(super) fn deliver_lease(&self, worker: &str, shard: &str, checkpoint: &str, within: u32) {
        let within = ("checkpointSubSequenceNumber".to_owned(), N(within.to_string()));
        self.write_lease("deliver", worker, &format!("000000000000:orders:1795046400:{shard}"), checkpoint, [within]);
    }

    fn write_lease<const N: usize>(&self, table: &str, worker: &str, key: &str, checkpoint: &str, more: [(String, AttributeValue); N]) {
        let (key, mut new) = (lease_key(key), lease_key(key));
        new.insert("entityType".into(), S("LEASE".into()));
        new.insert("leaseOwner".into(), S(format!("{worker}/1")));
        new.insert("checkpoint".into(), S(checkpoint.into()));
        new.extend(more);
        self.record(worker, Event::Item { table: table.into(), key, old: None, new: Some(new) });
    }

    /// A lease on its way to another owner is written by a worker.
    pub(super) fn hand_over(&self, worker: &str, shard: &str, hand_over: &HandOver<'_>) {
        let HandOver { owner, former, counter, checkpoint } = hand_over;
        let former = former.map(|former| ("checkpointOwner", format!("{former}/1")));
        let mut new = lease_key(shard);
        new.insert("leaseCounter".into(), N(counter.to_string()));
        let owner = ("leaseOwner", format!("{owner}/1"));
        let texts = [("entityType", "LEASE".to_owned()), ("streamArn", STREAM.to_owned()), ("checkpoint", (*checkpoint).to_owned()), owner];
        new.extend(texts.into_iter().chain(former).map(|(name, text)| (name.to_owned(), S(text))));
        self.record(worker, Event::Item { table: "leases".into(), key: lease_key(shard), old: None, new: Some(new) });
    }

    /// A worker takes the owner off a lease of which nothing is done.
    pub(super) fn release(&self, worker: &str, shard: &str) {
        let mut new = lease_key(shard);
        let texts = [("entityType", "LEASE"), ("streamArn", STREAM), ("checkpoint", "TRIM_HORIZON")];
        new.extend(texts.map(|(name, text)| (name.to_owned(), S(text.to_owned()))));
        self.record(worker, Event::Item { table: "leases".into(), key: lease_key(shard), old: None, new: Some(new) });
    }

    /// `thief` asks `holder` for the lease of a segment.
    pub(super) fn segment_handed_over(&self, holder: &str, thief: &str) {
        let key = lease_key("segment");
        let texts = [("entityType", "SEGMENT"), ("snapshotId", "s"), ("streamArn", "s"), ("checkpoint", "TRIM_HORIZON")];
        for (worker, former) in [(holder, None), (thief, Some(holder))] {
            let mut new = key.clone();
            new.extend(texts.map(|(name, text)| (name.to_owned(), S(text.to_owned()))));
            new.insert("leaseOwner".into(), S(format!("{worker}/1")));
            new.extend(former.map(|former| ("checkpointOwner".to_owned(), S(format!("{former}/1")))));
            self.record(worker, Event::Item { table: "leases".into(), key: key.clone(), old: None, new: Some(new) });
        }
    }

    pub(super) fn gap(&self, kind: &str, origin: &str, after: Option<u32>) {
        self.gap_since(kind, origin, after, None);
    }

    pub(super) fn gap_since(&self, kind: &str, origin: &str, after: Option<u32>, lost_from: Option<i64>) {
        let mut new =
            Item::from([("entityType".into(), S("GAP".into())), ("kind".into(), S(kind.into())), ("origin".into(), S(origin.into()))]);
        new.extend(after.map(|after| ("after".to_owned(), S(at(after).to_string()))));
        new.extend(lost_from.map(|seconds| ("lostFrom".to_owned(), N(seconds.to_string()))));
        self.record("W", Event::Item { table: "leases".into(), key: lease_key("gap"), old: None, new: Some(new) });
    }

    pub(super) fn page(&self, worker: &str, shard: &str) {
        self.record(worker, Event::Page { stream: STREAM.into(), shard: shard.into(), records: 0, range: None, end: false });
    }

    pub(super) fn iterator(&self, worker: &str, shard: &str, kind: &'static str, position: u32) {
        let position = Some(at(position).to_string());
        self.record(worker, Event::Iterator { stream: STREAM.into(), shard: shard.into(), kind, position });
    }

    pub(super) fn refuse(&self, worker: &str, shard: &str) {
        self.record(worker, Event::ConditionFailed { table: "leases".into(), key: lease_key(shard) });
    }

    pub(super) fn trim(&self, shard: &str, through: u32) {
        self.record("", Event::Trimmed { stream: STREAM.into(), shard: shard.into(), through: at(through) });
    }

    /// Kinesis stores a change of shard `a` in shard `k`, as a record of its own, and the worker `W` hears of it at once.
    pub(super) fn store(&self, place: u32, change: u32, key: &str) {
        self.store_for("W", place, change, key, Passage::default());
    }

    pub(super) fn store_for(&self, worker: &str, place: u32, change: u32, key: &str, passage: Passage) {
        self.put(worker, "k", place, line("a", change, key, &change.to_string()), passage);
    }

    /// Kinesis stores a record. Shard `k` takes the hash keys below 100, every other those from there on.
    pub(super) fn put(&self, worker: &str, shard: &str, place: u32, data: impl Into<Bytes>, passage: Passage) {
        let sequence = Sequence::parse(&in_kinesis(place)).unwrap();
        let range = if shard == "k" { 0..=99 } else { 100..=u128::MAX };
        let (stream, shard, partition_key, data) = ("orders".into(), shard.into(), "key".into(), data.into());
        let put = Put { stream, shard, sequence, partition_key, hash_key: 7, range, data, passage };
        self.record(worker, Event::Put(put));
    }

    /// Kinesis stores changes of shard `a` in one record: for each its explicit hash key, its number and its item.
    pub(super) fn pack(&self, worker: &str, shard: &str, place: u32, changes: &[(u32, u32, &str)]) {
        self.pack_for(worker, shard, place, changes, Passage::default());
    }

    pub(super) fn pack_for(&self, worker: &str, shard: &str, place: u32, changes: &[(u32, u32, &str)], passage: Passage) {
        let mut message = Vec::new();
        field(&mut message, 1, b"key");
        for (number, (hash_key, change, key)) in (0..).zip(changes) {
            field(&mut message, 2, hash_key.to_string().as_bytes());
            let mut record = vec![0x08, 0x00, 0x10, number];
            field(&mut record, 3, line("a", *change, key, &change.to_string()).as_bytes());
            field(&mut message, 3, &record);
        }
        self.put(worker, shard, place, sealed(&message), passage);
    }

    /// The writing part of a worker asks for the shards, or the reading one.
    pub(super) fn list_shards(&self, worker: &str, open_alone: bool) {
        self.record(worker, Event::Listed { stream: "orders".into(), open_alone, passage: Passage::default() });
    }

    /// What the story exercised.
    pub(super) fn counts(&self) -> Counts {
        let mut checker = Checker::new(self.checker.subject.clone());
        checker.follow(&self.journal);
        checker.seen()
    }

    /// The invariants that did not hold.
    pub(super) fn broken(mut self) -> Vec<Invariant> {
        self.checker.follow(&self.journal);
        self.checker.finish(self.now.get());
        let violations = self.checker.violations();
        // Shown when the test fails.
        for violation in violations {
            println!("{violation}");
        }
        violations.iter().map(|violation| violation.invariant).collect()
    }
}

pub(super) fn lease_key(shard: &str) -> Item {
    Item::from([("leaseKey".to_owned(), S(shard.to_owned()))])
}

/// A field of bytes, shorter than 16 KiB.
fn field(message: &mut Vec<u8>, number: u8, content: &[u8]) {
    let length = u16::try_from(content.len()).unwrap();
    message.extend([number << 3 | 2, u8::try_from(length & 0x7F).unwrap() | 0x80, u8::try_from(length >> 7).unwrap()]);
    message.extend_from_slice(content);
}

/// The sequence number of a place in Kinesis.
pub(super) fn in_kinesis(place: u32) -> String {
    format!("49{place:054}")
}

pub(super) fn at(sequence: u32) -> Sequence {
    Sequence::parse(&format!("1{sequence:020}")).unwrap()
}

pub(super) fn line(shard: &str, sequence: u32, key: &str, n: &str) -> String {
    let row = json!({
        "cdc_event_id": format!("e{sequence}"), "cdc_op": "INSERT", "cdc_sequence": format!("{:0>40}", at(sequence).as_str()),
        "cdc_time": "2026-11-21 03:00:00.000", "cdc_table": "orders", "cdc_shard": shard, "cdc_ttl_delete": false, "cdc_changed": [],
        "id": key, "cdc_extra": json!({"n": {"N": n}}).to_string(),
    });
    format!("{row}\n")
}
