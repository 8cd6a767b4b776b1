//! Any changes, through a stream that splits, merges, throttles and fails, and a writer that is stopped and started again.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::stream::{FakeStream, Fate, event, shared};
use super::{at, writer_of};
use crate::aws::Failure;
use crate::config::BatchSettings;
use crate::event::{Position, ShardId};
use crate::route::kinesis::writer::KinesisWriter;
use crate::route::{Progress, ShardWriter};

#[derive(Debug, Clone)]
enum Step {
    /// Changes of these items.
    Take(Vec<u8>),
    /// Waits until something is due, and does it.
    Poll,
    Flush,
    /// The process dies, and another one goes on behind what it had checkpointed.
    Restart,
    Split(usize),
    Merge(usize),
    /// So many listings show the shards as they were.
    Lag(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => vec(0_u8..6, 1..12).prop_map(Step::Take),
        4 => Just(Step::Poll),
        1 => Just(Step::Flush),
        1 => Just(Step::Restart),
        2 => (0_usize..8).prop_map(Step::Split),
        2 => (0_usize..8).prop_map(Step::Merge),
        1 => (0_usize..4).prop_map(Step::Lag),
    ]
}

/// What happens to a call, by some bytes of chance.
fn fate(chance: u8, which: u8) -> Fate {
    let some = move |record: &crate::route::kinesis::plan::PlannedRecord| {
        let sum = record.data.iter().fold(which, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte));
        sum.is_multiple_of(2)
    };
    match chance % 12 {
        0..=2 => Fate::throttles(some),
        3 => Fate::Refuses("InternalFailure", Box::new(some)),
        4 => Fate::AnswerLost,
        5 => Fate::Fails(Failure::Unavailable),
        6 => Fate::Fails(Failure::Throttled),
        _ => Fate::Answered,
    }
}

/// What a shard holds, and how far it was checkpointed.
struct Source {
    items: Vec<String>,
    durable: usize,
}

impl Source {
    async fn append(&mut self, writer: &mut KinesisWriter, n: usize) {
        let written = writer.append(at(n as u64), &event(n as u64, &self.items[n - 1], n % 7)).await.unwrap();
        self.note(written);
    }

    fn note(&mut self, written: Progress) {
        match written {
            Progress::Unchanged => {}
            Progress::Durable(position) => {
                let durable = position.sequence().parse().unwrap();
                assert!(durable > self.durable || durable == 0, "progress goes back");
                self.durable = durable;
            }
            Progress::Rewind(_) => panic!("a stream knows of no other writer"),
        }
    }
}

/// The numbers of each item's changes, in the order in which readers see them first.
fn first_seen(seen: &[(u64, String)]) -> HashMap<&str, Vec<u64>> {
    let mut by_item: HashMap<&str, Vec<u64>> = HashMap::new();
    for (n, item) in seen {
        let numbers = by_item.entry(item).or_default();
        if !numbers.contains(n) {
            numbers.push(*n);
        }
    }
    by_item
}

async fn run(steps: Vec<Step>, chances: Vec<(u8, u8)>, aggregate: bool) -> Result<(), TestCaseError> {
    let stream = FakeStream::new();
    let mut chances = chances.into_iter().cycle();
    stream.state().later = Some(Box::new(move || chances.next().map_or(Fate::Answered, |(chance, which)| fate(chance, which))));
    let batch = BatchSettings { records: 10, bytes: 1500, window: std::time::Duration::from_secs(1) };
    let mut writer = writer_of(shared(&stream, aggregate, batch).await);
    let mut source = Source { items: Vec::new(), durable: 0 };
    for step in steps.into_iter().chain([Step::Flush]) {
        match step {
            Step::Take(items) => {
                for item in items {
                    source.items.push(format!("item-{item}"));
                    source.append(&mut writer, source.items.len()).await;
                }
            }
            Step::Poll => {
                if tokio::time::timeout(std::time::Duration::from_mins(1), writer.due()).await.is_ok() {
                    source.note(writer.poll().await.unwrap());
                }
            }
            Step::Flush => {
                loop {
                    source.note(writer.flush().await.unwrap());
                    if writer.is_flushed() {
                        break;
                    }
                }
                prop_assert_eq!(source.durable, source.items.len(), "a flush leaves nothing behind");
            }
            Step::Restart => {
                let after = Position::new(&source.durable.to_string(), 0).unwrap();
                writer = KinesisWriter::new(writer.shared.clone(), ShardId::new("shard-of-the-table"), after);
                for n in source.durable + 1..=source.items.len() {
                    source.append(&mut writer, n).await;
                }
            }
            Step::Split(shard) => {
                let mut state = stream.state();
                if state.open_shards() < 8 {
                    let shard = shard % state.open_shards();
                    state.split(shard);
                }
            }
            Step::Merge(shard) => {
                let mut state = stream.state();
                if state.open_shards() > 1 {
                    let shard = shard % (state.open_shards() - 1);
                    state.merge(shard);
                }
            }
            Step::Lag(listings) => stream.state().late_listings = listings,
        }
        let state = stream.state();
        let seen = first_seen(&state.seen);
        for numbers in seen.values() {
            prop_assert!(numbers.is_sorted(), "the changes of an item are out of order: {:?}", numbers);
        }
        for n in 1..=source.durable {
            let there = seen.get(source.items[n - 1].as_str()).is_some_and(|numbers| numbers.contains(&(n as u64)));
            prop_assert!(there, "change {} was checkpointed, and readers do not see it", n);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn each_item_s_changes_arrive_in_order_and_all_of_them_before_they_are_checkpointed(
        steps in vec(step(), 1..40), chances in vec((any::<u8>(), any::<u8>()), 1..40).prop_map(|mut chances| {
            // A service that fails for good is another test's matter.
            chances.push((7, 0));
            chances
        }),
        aggregate in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(steps, chances, aggregate))?;
    }
}
