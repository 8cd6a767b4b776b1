//! A table that is written to while its changes go astray and snapshots of it begin, crash and complete; and the lake that comes of it.
//!
//! Everything happens in steps on one clock. What the lake holds is written by the program's own writer, in both formats.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use headwater::contract::{Column, ColumnType, TableSchema};
use headwater::event::encode::Decimals;
use headwater::event::{AttributeType, Cell, ChangeEvent, Operation, Position, SequenceNumber, ShardId, Side};
use headwater::lake::{ChangeKey, Format, HourPartition, Lake, LakeLocation, LakeSettings, LakeStore, Marker};
use headwater::query::Session;
use jiff::Timestamp;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;

/// Keys that are written.
pub(super) const KEYS: u8 = 10;
/// Keys that may be asked for: the last are never written.
pub(super) const ASKED: u8 = KEYS + 2;
/// 2026-11-21T10:55:00Z: most histories run into the next hour.
const BEGINNING: i64 = 1_795_258_500;
/// The numbers of the stream grow longer on the way.
const FIRST_SEQUENCE: u128 = 99_999_999_999_999_999_980;
/// How far back a snapshot starts: a minute of flooring, and the clocks of DynamoDB's hosts.
const MARGIN: i64 = 75;
/// How far the hosts' clocks are off, either way.
const CLOCKS: i64 = 10;
const TABLE: &str = "items";

/// What happens next.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// An item is written.
    Write(u8),
    /// An item is deleted, by a user or by TTL.
    Delete { key: u8, ttl: bool },
    /// Time passes, in seconds.
    Wait(u8),
    /// Changes that were made one after another are lost, the first of them so many changes ago.
    Lose { ago: u8, count: u8 },
    /// A snapshot begins.
    Begin(Wanted),
    /// A snapshot that has not completed reads some rows as they are now.
    Scan { which: u8, rows: u8 },
    /// What it has read lands, in the hour of its start or in the present one.
    Land { which: u8, late: bool },
    /// What it has read and not landed is lost; reading goes on behind a checkpoint, `back` rows before what has landed.
    Crash { which: u8, back: u8 },
    /// It reads and lands what is left, and completes.
    Finish(u8),
}

/// What a snapshot reads.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    /// The table.
    Whole,
    /// What the table has of these keys, as of a range of them.
    Part(BTreeSet<u8>),
    /// These keys, absent ones too.
    List(BTreeSet<u8>),
}

/// A change, or a row of a snapshot.
#[derive(Debug, Clone)]
struct Row {
    operation: Operation,
    key: u8,
    value: Option<u32>,
    time: i64,
    ttl: bool,
    lost: bool,
}

#[derive(Debug)]
struct Snapshot {
    id: String,
    wanted: Wanted,
    start: i64,
    /// The next key to read, and the one to read on from after a crash.
    cursor: u8,
    checkpoint: u8,
    read: Vec<Row>,
    landed: Vec<(i64, Vec<Row>)>,
    completed: Option<i64>,
}

/// The table, its stream and its snapshots.
#[derive(Debug)]
pub(super) struct World {
    now: i64,
    /// To how many seconds times are floored.
    floor: i64,
    values: u32,
    table: BTreeMap<u8, u32>,
    stream: Vec<Row>,
    snapshots: Vec<Snapshot>,
    /// When a change of the key was lost last.
    losses: BTreeMap<u8, i64>,
}

impl World {
    /// An empty table whose changes carry times floored to so many seconds.
    pub(super) fn flooring_to(floor: i64) -> Self {
        Self {
            now: BEGINNING,
            floor,
            values: 0,
            table: BTreeMap::new(),
            stream: Vec::new(),
            snapshots: Vec::new(),
            losses: BTreeMap::new(),
        }
    }

    /// Makes one step, or none where it makes no sense.
    pub(super) fn step(&mut self, step: &Step) {
        self.now += 1;
        match *step {
            Step::Write(key) => {
                self.values += 1;
                let before = self.table.insert(key, self.values);
                let operation = if before.is_some() { Operation::Modify } else { Operation::Insert };
                self.changed(operation, key, Some(self.values), false);
            }
            Step::Delete { key, ttl } => {
                if self.table.remove(&key).is_some() {
                    self.changed(Operation::Remove, key, None, ttl);
                }
            }
            Step::Wait(seconds) => self.now += i64::from(seconds),
            Step::Lose { ago, count } => {
                let from = self.stream.len().saturating_sub(ago.into());
                for change in self.stream.iter_mut().skip(from).take(count.into()).filter(|change| !change.lost) {
                    change.lost = true;
                    self.losses.insert(change.key, self.now);
                }
            }
            Step::Begin(ref wanted) => self.begin(wanted.clone()),
            Step::Scan { which, rows } => {
                if let Some(at) = self.open(which) {
                    (0..rows).for_each(|_| self.read(at));
                }
            }
            Step::Land { which, late } => {
                if let Some(at) = self.open(which) {
                    self.land(at, late);
                }
            }
            Step::Crash { which, back } => {
                if let Some(at) = self.open(which) {
                    let snapshot = &mut self.snapshots[at];
                    snapshot.read.clear();
                    snapshot.checkpoint = snapshot.checkpoint.saturating_sub(back);
                    snapshot.cursor = snapshot.checkpoint;
                }
            }
            Step::Finish(which) => {
                if let Some(at) = self.open(which) {
                    self.finish(at);
                }
            }
        }
    }

    /// Completes a whole snapshot that began after the last loss, unless there is one.
    pub(super) fn heal(&mut self) {
        let lost = self.losses.values().copied().max();
        let heals = |snapshot: &Snapshot| matches!(snapshot.wanted, Wanted::Whole) && healed(lost, snapshot.start);
        if self.snapshots.iter().any(|snapshot| snapshot.completed.is_some() && heals(snapshot)) {
            return;
        }
        let open = self.snapshots.iter().position(heals).unwrap_or_else(|| {
            self.now += MARGIN + CLOCKS + 1;
            self.begin(Wanted::Whole);
            self.snapshots.len() - 1
        });
        self.finish(open);
    }

    /// What the state must say: of each key that a completed snapshot heals, or that nothing was lost of, the item if there is one.
    pub(super) fn truth(&self) -> BTreeMap<String, Option<u32>> {
        let covered = |key: u8| {
            let completed = self.snapshots.iter().filter(|snapshot| snapshot.completed.is_some());
            completed.filter(move |snapshot| match &snapshot.wanted {
                Wanted::Whole => true,
                Wanted::List(keys) => keys.contains(&key),
                Wanted::Part(_) => snapshot.landed.iter().any(|(_, rows)| rows.iter().any(|row| row.key == key)),
            })
        };
        let known = (0..ASKED).filter(|key| match self.losses.get(key) {
            None => true,
            lost => covered(*key).any(|snapshot| healed(lost.copied(), snapshot.start)),
        });
        known.map(|key| (name(key), self.table.get(&key).copied())).collect()
    }

    /// The state by the lake's own account.
    pub(super) async fn current(&self) -> BTreeMap<String, u32> {
        self.query(|_| true).await
    }

    /// The same as if unfinished snapshots had never landed a row.
    pub(super) async fn current_without_the_unfinished(&self) -> BTreeMap<String, u32> {
        self.query(|snapshot| snapshot.completed.is_some()).await
    }

    fn changed(&mut self, operation: Operation, key: u8, value: Option<u32>, ttl: bool) {
        // Each partition's host has its own clock.
        let time = self.now + (i64::from(key) * 7) % (2 * CLOCKS + 1) - CLOCKS;
        self.stream.push(Row { operation, key, value, time: time - time.rem_euclid(self.floor), ttl, lost: false });
    }

    fn begin(&mut self, wanted: Wanted) {
        self.snapshots.push(Snapshot {
            id: format!("s{}", self.snapshots.len()),
            wanted,
            start: self.now - MARGIN,
            cursor: 0,
            checkpoint: 0,
            read: Vec::new(),
            landed: Vec::new(),
            completed: None,
        });
    }

    /// The place of an unfinished snapshot.
    fn open(&self, which: u8) -> Option<usize> {
        let open: Vec<usize> = (0..self.snapshots.len()).filter(|at| self.snapshots[*at].completed.is_none()).collect();
        open.get(usize::from(which).checked_rem(open.len())?).copied()
    }

    /// Reads the next key, each snapshot in its own order.
    fn read(&mut self, at: usize) {
        let snapshot = &mut self.snapshots[at];
        if snapshot.cursor == ASKED {
            return;
        }
        let turn = u8::try_from(at % usize::from(ASKED)).unwrap();
        let key = (snapshot.cursor + turn) % ASKED;
        snapshot.cursor += 1;
        let value = self.table.get(&key).copied();
        let listed = match &snapshot.wanted {
            Wanted::Whole => value.is_some(),
            Wanted::Part(keys) => keys.contains(&key) && value.is_some(),
            Wanted::List(keys) => keys.contains(&key),
        };
        if listed {
            let operation = if value.is_some() { Operation::Snapshot } else { Operation::Remove };
            snapshot.read.push(Row { operation, key, value, time: snapshot.start, ttl: false, lost: false });
        }
    }

    fn land(&mut self, at: usize, late: bool) {
        let snapshot = &mut self.snapshots[at];
        snapshot.checkpoint = snapshot.cursor;
        if !snapshot.read.is_empty() {
            let hour = if late { self.now } else { snapshot.start };
            snapshot.landed.push((hour, std::mem::take(&mut snapshot.read)));
        }
    }

    fn finish(&mut self, at: usize) {
        while self.snapshots[at].cursor < ASKED {
            self.read(at);
        }
        self.land(at, at % 2 == 1);
        self.snapshots[at].completed = Some(self.now);
    }

    /// Writes the lake as it is now and asks it for the state.
    async fn query(&self, counts: impl Fn(&Snapshot) -> bool) -> BTreeMap<String, u32> {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        self.write(&store, counts).await;
        let session = Session::over(store, &Path::default(), TABLE).await.unwrap();
        let all = "SELECT id, value, cdc_extra, cdc_sequence, cdc_time, cdc_op FROM current ORDER BY id";
        let shared = super::handmade::rows_by_shared_view(&session, all).await;
        assert_eq!(shared, super::handmade::rows(&session, all).await.unwrap(), "the current of other engines differs");
        let lines = super::handmade::rows(&session, "SELECT id, value FROM current").await.unwrap();
        let state: Vec<_> = lines.iter().map(|line| line.split_once(',').unwrap()).collect();
        let by_key: BTreeMap<_, _> = state.iter().map(|(key, value)| ((*key).to_owned(), value.parse().unwrap())).collect();
        assert_eq!(by_key.len(), state.len(), "a key is in the state once: {state:?}");
        by_key
    }

    async fn write(&self, store: &Arc<dyn ObjectStore>, counts: impl Fn(&Snapshot) -> bool) {
        let store = LakeStore { store: Arc::clone(store), prefix: Path::default(), address: "memory".into(), ordered: true };
        let settings = LakeSettings {
            location: LakeLocation::Folder("memory".into()),
            format: Format::Parquet,
            max_size: u64::MAX,
            max_age: Duration::MAX,
            decimals: Decimals::Number,
            kms_key: None,
        };
        let lake = Lake::on(store, settings, Arc::new(schema())).await.unwrap();
        let landed: Vec<(u128, &Row)> = (FIRST_SEQUENCE..).zip(&self.stream).filter(|(_, change)| !change.lost).collect();
        let mut objects = 0;
        for hour in landed.chunk_by(|(_, a), (_, b)| a.time / 3600 == b.time / 3600) {
            for rows in hour.chunks(16) {
                objects += 1;
                write_object(&lake, "shard", rows[0].1.time, None, objects, rows).await;
            }
        }
        for snapshot in self.snapshots.iter().filter(|snapshot| counts(snapshot)) {
            for (number, (hour, rows)) in snapshot.landed.iter().enumerate() {
                objects += 1;
                let rows: Vec<_> = rows.iter().map(|row| (0, row)).collect();
                write_object(&lake, &format!("{}-{number}", snapshot.id), *hour, Some(&snapshot.id), objects, &rows).await;
            }
            if let Some(completed) = snapshot.completed {
                let rows = snapshot.landed.iter().map(|(_, rows)| rows.len() as u64).sum();
                let whole = matches!(snapshot.wanted, Wanted::Whole);
                let [started_at, completed_at] = [snapshot.start, completed].map(|seconds| Timestamp::from_second(seconds).unwrap());
                let marker = Marker { snapshot_id: snapshot.id.clone(), table: TABLE.into(), started_at, completed_at, rows, whole };
                lake.complete_snapshot(&marker).await.unwrap();
            }
        }
    }
}

/// Whether a snapshot began after a loss, by clocks that may be off.
fn healed(lost: Option<i64>, start: i64) -> bool {
    lost.is_none_or(|lost| start > lost + CLOCKS)
}

async fn write_object(lake: &Lake, shard: &str, hour: i64, snapshot: Option<&str>, number: u32, rows: &[(u128, &Row)]) {
    let format = if number.is_multiple_of(3) { Format::Ndjson } else { Format::Parquet };
    let after: Position = u128::from(number).to_string().parse().unwrap();
    let key = ChangeKey { partition: HourPartition::containing(hour).unwrap(), shard: ShardId::new(shard.to_owned()), after, format };
    let mut run = lake.begin(key).unwrap();
    for (sequence, row) in rows {
        let sequence: SequenceNumber = sequence.to_string().parse().unwrap();
        let side = |value: u32| Side { cells: vec![Cell::Int(value.into())], extra: None, misfits: 0 };
        let event = ChangeEvent {
            event_id: format!("{shard}-{sequence}-{}", row.key).into(),
            operation: row.operation,
            sequence,
            time: row.time,
            shard: shard.into(),
            snapshot_id: snapshot.map(Into::into),
            ttl_delete: row.ttl,
            changed: Vec::new(),
            keys: vec![name(row.key).into()],
            new: row.value.map(side),
            old: None,
        };
        run.append(after, &event).unwrap();
    }
    lake.commit(&run.close().unwrap()).await.unwrap();
}

fn name(key: u8) -> String {
    format!("k{key}")
}

fn schema() -> TableSchema {
    let value = Column {
        name: "value".into(),
        path: vec!["value".into()],
        source: AttributeType::N,
        kind: ColumnType::BigInt,
        classification: None,
    };
    TableSchema { columns: vec![value], ..TableSchema::keys_only(TABLE, vec![("id".into(), AttributeType::S)]) }
}
