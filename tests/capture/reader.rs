//! One shard's reader against scripted responses, on paused time.

use std::sync::Arc;
use std::time::Duration;

use headwater::aws::{AwsError, Failure};
use headwater::clock::{ServiceClock, WallClock};
use headwater::event::ShardId;
use headwater::event::decode::{Decoded, parse_page};
use headwater::stream::poll::{Pace, Rhythm};
use headwater::stream::reader::{Read, ShardReader};
use headwater::stream::{IteratorStart, StreamArn};
use tokio::sync::Semaphore;

use super::model::{Fault, Model, sequence, shard};

fn reader(model: &Model, start: IteratorStart) -> ShardReader {
    let rhythm = Rhythm::new(Duration::from_secs(1), Pace::FREE);
    let (api, stream, pages) = (Arc::new(model.clone()), StreamArn::new("arn:stream/1"), Arc::new(Semaphore::new(1)));
    ShardReader::new(api, stream, ShardId::new("a"), start, rhythm, pages, ServiceClock::new(WallClock::system()))
}

/// Reads pages until there are `wanted` records or the shard ends.
async fn read(reader: &mut ShardReader, wanted: usize) -> Result<Vec<u64>, AwsError> {
    let mut seen = Vec::new();
    while seen.len() < wanted {
        let Read::Page(page) = reader.next().await? else { panic!("a page was expected") };
        let parsed = match parse_page(&page.body) {
            Ok(parsed) => parsed,
            Err(error) => {
                reader.refuse_page(error.to_string())?;
                continue;
            }
        };
        let numbers = parsed.records.iter().map(|record| match record {
            Decoded::Record(record) => record.sequence.digits().parse().unwrap(),
            Decoded::Poison(poison) => panic!("{poison:?}"),
        });
        let numbers: Vec<u64> = numbers.collect();
        let last = numbers.last().map(|last| sequence(*last));
        seen.extend(&numbers);
        match parsed.next_iterator {
            Some(next) => reader.accept(last, next.into_owned(), numbers.len(), page.body.len(), None),
            None => break,
        }
    }
    Ok(seen)
}

fn model() -> Model {
    Model::new([("a", shard(None, &[1, 2, 3, 4], true))])
}

#[tokio::test(start_paused = true)]
async fn throttling_outages_and_broken_bodies_are_waited_out() {
    let model = model();
    model.change(|state| {
        state.faults.extend([
            Fault::Fails(Failure::Throttled),
            Fault::Fails(Failure::Unavailable),
            Fault::Body(r#"{"Records":[{"eventID":"#),
            Fault::Empty,
        ]);
    });
    assert_eq!(read(&mut reader(&model, IteratorStart::TrimHorizon), 9).await.unwrap(), [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn an_expired_iterator_is_renewed_after_the_last_record() {
    let model = model();
    let mut reader = reader(&model, IteratorStart::TrimHorizon);
    assert_eq!(read(&mut reader, 2).await.unwrap(), [1, 2]);
    model.change(|state| state.faults.push_back(Fault::Fails(Failure::ExpiredIterator)));
    assert_eq!(read(&mut reader, 2).await.unwrap(), [3, 4]);
    let asked = model.change(|state| state.iterators.last().cloned()).unwrap();
    assert_eq!(asked.1, IteratorStart::After(sequence(2)));
}

#[tokio::test(start_paused = true)]
async fn a_trimmed_position_and_a_vanished_shard_are_told_apart() {
    let model = model();
    model.change(|state| state.shards.get_mut("a").unwrap().trimmed_below = 3);
    let mut behind = reader(&model, IteratorStart::After(sequence(1)));
    assert!(matches!(behind.next().await.unwrap(), Read::Trimmed));
    behind.rewind(IteratorStart::TrimHorizon);
    assert_eq!(read(&mut behind, 2).await.unwrap(), [3, 4]);
    model.change(|state| state.vanished.push("a"));
    assert!(matches!(reader(&model, IteratorStart::TrimHorizon).next().await.unwrap(), Read::Vanished));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_without_at_timestamp_is_read_from_the_horizon() {
    let model = model();
    model.change(|state| state.knows_timestamps = false);
    assert_eq!(read(&mut reader(&model, IteratorStart::At(5)), 4).await.unwrap(), [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_final_at_once_and_an_outage_in_the_end() {
    let model = model();
    model.change(|state| state.faults.push_back(Fault::Fails(Failure::Denied)));
    assert_eq!(reader(&model, IteratorStart::TrimHorizon).next().await.unwrap_err().failure, Failure::Denied);
    assert_eq!(model.change(|state| state.reads), 1);

    model.change(|state| state.faults.extend(std::iter::repeat_n(Fault::Fails(Failure::Unavailable), 1_000)));
    let begun = tokio::time::Instant::now();
    assert_eq!(reader(&model, IteratorStart::TrimHorizon).next().await.unwrap_err().failure, Failure::Unavailable);
    assert!(begun.elapsed() > Duration::from_mins(5), "an outage of minutes is outlasted");
    assert!(begun.elapsed() < Duration::from_mins(15));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_read_half_way_loses_nothing() {
    let model = model();
    let mut reader = reader(&model, IteratorStart::TrimHorizon);
    model.change(|state| state.faults.push_back(Fault::Fails(Failure::Throttled)));
    assert!(tokio::time::timeout(Duration::from_millis(1), reader.next()).await.is_err());
    assert_eq!(read(&mut reader, 4).await.unwrap(), [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_shard_is_polled_at_most_once_a_second() {
    let model = Model::new([("a", shard(None, &[], false))]);
    let mut reader = reader(&model, IteratorStart::TrimHorizon);
    let reading = async {
        loop {
            read(&mut reader, 1).await.unwrap();
        }
    };
    let _: Result<std::convert::Infallible, _> = tokio::time::timeout(Duration::from_mins(1), reading).await;
    let reads = model.change(|state| state.reads);
    assert!((55..=70).contains(&reads), "{reads} calls in a minute");
}
