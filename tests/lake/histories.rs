//! Land-once under random histories: crashes, hand-overs, zombies and lost lease tables against "every change is in one object". Rows of snapshots,
//! which lie in their snapshot's hour or a later one, come amid the changes.

use headwater::event::{ChangeEvent, Position};
use headwater::lake::{Format, HourPartition, LakeSettings};
use headwater::route::{Progress, ShardWriter};
use proptest::prelude::*;

use super::bench::{Bench, HOUR, Row, THREE_O_CLOCK, insert_at, position, snapshot_row};

/// One record of the shard.
#[derive(Debug, Clone)]
struct Record {
    number: u64,
    time: i64,
    /// It goes to quarantine and has no row.
    poison: bool,
    /// It is a row of a snapshot that started at its time.
    of_snapshot: bool,
}

impl Record {
    fn event(&self) -> ChangeEvent<'static> {
        if self.of_snapshot { snapshot_row(self.number, self.time) } else { insert_at(self.number, self.time) }
    }
}

/// What happens next to one of the processes.
#[derive(Debug, Clone)]
enum Step {
    /// It reads on.
    Read { process: usize, records: usize },
    /// It commits what it has.
    Flush { process: usize },
    /// It commits what it has and dies before the checkpoint.
    FlushAndDie { process: usize },
    /// It takes the lease over and starts from the checkpoint. Whoever had the lease goes on as a zombie.
    TakeOver { process: usize },
    /// The lease table is gone: it starts from the beginning.
    LoseLeases { process: usize },
}

const PROCESSES: usize = 3;

struct Process {
    writer: Box<dyn ShardWriter>,
    next: usize,
}

struct World {
    bench: Bench,
    settings: LakeSettings,
    records: Vec<Record>,
    processes: [Option<Process>; PROCESSES],
    owner: usize,
    checkpoint: u64,
}

impl World {
    fn new(records: Vec<Record>, format: Format) -> Self {
        let bench = Bench::memory(format);
        let settings = LakeSettings { max_size: 1200, ..bench.settings() };
        Self { bench, settings, records, processes: [const { None }; PROCESSES], owner: 0, checkpoint: 0 }
    }

    async fn start(&mut self, process: usize, after: u64) {
        let writer = self.bench.writer_with(self.settings.clone(), after).await;
        self.processes[process] = Some(Process { writer, next: self.index_after(&position(after)) });
    }

    fn index_after(&self, reached: &Position) -> usize {
        self.records.partition_point(|record| position(record.number) <= *reached)
    }

    fn progressed(&mut self, process: usize, progress: Progress) {
        let position = match progress {
            Progress::Unchanged => return,
            Progress::Durable(position) => position,
            Progress::Rewind(position) => {
                let next = self.index_after(&position);
                if let Some(process) = &mut self.processes[process] {
                    process.next = next;
                }
                position
            }
        };
        // A checkpoint is a conditional write on the lease: a zombie's fails.
        if self.owner == process {
            self.checkpoint = self.checkpoint.max(position.sequence().parse().unwrap());
        }
    }

    async fn read(&mut self, process: usize, count: usize) {
        for _ in 0..count {
            let Some(state) = &mut self.processes[process] else { return };
            let Some(record) = self.records.get(state.next) else { return };
            state.next += 1;
            if record.poison {
                state.writer.skip(position(record.number));
            } else {
                let progress = state.writer.append(position(record.number), &record.event()).await.unwrap();
                self.progressed(process, progress);
            }
        }
    }

    async fn flush(&mut self, process: usize) {
        if let Some(state) = &mut self.processes[process] {
            let progress = state.writer.flush().await.unwrap();
            self.progressed(process, progress);
        }
    }

    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Read { process, records } => self.read(process, records).await,
            Step::Flush { process } => self.flush(process).await,
            Step::FlushAndDie { process } => {
                if let Some(mut state) = self.processes[process].take() {
                    state.writer.flush().await.unwrap();
                }
            }
            Step::TakeOver { process } => {
                self.owner = process;
                self.start(process, self.checkpoint).await;
            }
            Step::LoseLeases { process } => {
                self.owner = process;
                self.checkpoint = 0;
                self.start(process, 0).await;
            }
        }
    }

    /// Every process that is left reads to the end, and the last owner too.
    async fn finish(&mut self) {
        self.step(&Step::TakeOver { process: self.owner }).await;
        for process in 0..PROCESSES {
            // Each turn either comes to the end or hops over an object that another process has committed.
            for _ in 0..=self.records.len() {
                self.read(process, usize::MAX).await;
                self.flush(process).await;
                if self.processes[process].as_ref().is_none_or(|state| state.next == self.records.len()) {
                    break;
                }
            }
        }
    }

    async fn every_change_is_in_one_object(&self) -> Result<(), TestCaseError> {
        let mut landed = self.bench.rows().await;
        landed.sort_by_key(Row::number);
        let numbers: Vec<_> = landed.iter().map(Row::number).collect();
        let with_rows: Vec<_> = self.records.iter().filter(|record| !record.poison).collect();
        prop_assert_eq!(numbers, with_rows.iter().map(|record| record.number).collect::<Vec<_>>(), "{:#?}", landed);
        for (row, record) in landed.iter().zip(with_rows) {
            let own = HourPartition::containing(record.time).unwrap().to_string();
            prop_assert!(row.hour() == own || record.of_snapshot && row.hour() > own.as_str(), "{:?} of {}", row, own);
        }
        Ok(())
    }
}

/// Two snapshots: one of an hour ago, one of the hour to come.
const STARTS: [i64; 2] = [THREE_O_CLOCK - HOUR, THREE_O_CLOCK + HOUR];

fn records() -> impl Strategy<Value = Vec<Record>> {
    // Mostly a slow clock, now and then an hour on, seldom an hour back.
    let pace = prop_oneof![8 => Just(1), 2 => Just(HOUR), 1 => Just(-HOUR)];
    // A third of them rows, mostly of the first snapshot.
    let start = prop_oneof![6 => Just(None), 2 => Just(Some(STARTS[0])), 1 => Just(Some(STARTS[1]))];
    prop::collection::vec((1..3_u64, pace, prop::bool::weighted(0.15), start), 1..60).prop_map(|gaps| {
        let (mut number, mut time) = (0, THREE_O_CLOCK);
        gaps.into_iter()
            .map(|(gap, pace, poison, start)| {
                number += gap;
                if start.is_none() {
                    time += pace;
                }
                Record { number, time: start.unwrap_or(time), poison, of_snapshot: start.is_some() }
            })
            .collect()
    })
}

fn step() -> impl Strategy<Value = Step> {
    let process = 0..PROCESSES;
    prop_oneof![
        6 => (process.clone(), 1..12_usize).prop_map(|(process, records)| Step::Read { process, records }),
        3 => process.clone().prop_map(|process| Step::Flush { process }),
        1 => process.clone().prop_map(|process| Step::FlushAndDie { process }),
        2 => process.clone().prop_map(|process| Step::TakeOver { process }),
        1 => process.prop_map(|process| Step::LoseLeases { process }),
    ]
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Parquet), Just(Format::Ndjson)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_change_lands_once_whatever_crashes(
        records in records(),
        steps in prop::collection::vec(step(), 0..60),
        format in format(),
    ) {
        block_on(async {
            let mut world = World::new(records, format);
            for step in &steps {
                world.step(step).await;
            }
            world.finish().await;
            world.every_change_is_in_one_object().await
        })?;
    }

    #[test]
    fn an_earlier_start_in_the_middle_changes_nothing(
        records in records(),
        start in any::<prop::sample::Index>(),
        read in 0..40_usize,
        steps in prop::collection::vec(step(), 0..60),
        format in format(),
    ) {
        block_on(async {
            let mut world = World::new(records, format);
            // A process that began at the latest record of its day has landed some changes, and is gone.
            let middle = start.get(&world.records).number;
            world.start(0, middle).await;
            world.read(0, read).await;
            world.step(&Step::FlushAndDie { process: 0 }).await;
            world.step(&Step::LoseLeases { process: 1 }).await;
            for step in &steps {
                world.step(step).await;
            }
            world.finish().await;
            world.every_change_is_in_one_object().await
        })?;
    }

    #[test]
    fn rows_that_alternate_with_changes_take_few_objects(
        kinds in prop::collection::vec(any::<bool>(), 1..120),
        flushes in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        format in format(),
    ) {
        block_on(async {
            let mut flushes: Vec<_> = flushes.iter().map(|at| at.index(kinds.len())).collect();
            flushes.sort_unstable();
            flushes.dedup();
            let records = (1..).zip(&kinds).map(|(number, of_snapshot)| {
                let time = if *of_snapshot { THREE_O_CLOCK - HOUR } else { THREE_O_CLOCK };
                Record { number, time, poison: false, of_snapshot: *of_snapshot }
            });
            let mut world = World::new(records.collect(), format);
            world.settings.max_size = u64::MAX;
            world.start(0, 0).await;
            for at in &flushes {
                let next = world.processes[0].as_ref().map_or(0, |process| process.next);
                world.read(0, at - next).await;
                world.flush(0).await;
            }
            world.read(0, usize::MAX).await;
            world.flush(0).await;
            // A run ends when it is flushed, and once where it began with a row.
            let objects = world.bench.objects().await.len();
            prop_assert!(objects <= 2 * (flushes.len() + 1), "{} objects with {} flushes", objects, flushes.len());
            world.every_change_is_in_one_object().await
        })?;
    }
}
