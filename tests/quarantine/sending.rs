//! Redrives into a stream, and what a route tells of records that it cannot take.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use headwater::config::LaterRecords;
use headwater::event::{ChangeEvent, Position, ShardId};
use headwater::redrive::{Fate, Selection};
use headwater::route::{Announcement, Arrival, Progress, Route, RouteError, ShardWriter};

use super::bench::{Bench, WHOLE, at};

/// What reached the stream: item and event id, in the order of arrival.
pub(super) type Arrived = Arc<Mutex<Vec<(String, String)>>>;

/// A stream that acknowledges what it is sent when it is flushed, or two at a time.
#[derive(Clone, Default)]
pub(super) struct Stream {
    pub(super) arrived: Arrived,
    /// Event ids of changes that no record can hold.
    pub(super) too_large: Arc<Mutex<Vec<String>>>,
}

struct Writer {
    stream: Stream,
    /// What waits to be acknowledged.
    waiting: Vec<(String, String)>,
    taken: Position,
    told: Position,
    set_aside: bool,
}

impl Stream {
    pub(super) fn ids(&self) -> Vec<String> {
        self.arrived.lock().unwrap().iter().map(|(_, id)| id.clone()).collect()
    }
}

#[async_trait]
impl Route for Stream {
    async fn open(&self, _: &ShardId, after: Position) -> Result<Box<dyn ShardWriter>, RouteError> {
        Ok(Box::new(Writer { stream: self.clone(), waiting: Vec::new(), taken: after, told: after, set_aside: false }))
    }

    async fn announce(&self, _: &Announcement<'_>) -> Result<Arrival, RouteError> {
        Ok(Arrival::Landed)
    }
}

impl Writer {
    fn acknowledge(&mut self) -> Progress {
        self.stream.arrived.lock().unwrap().append(&mut self.waiting);
        if self.told == self.taken {
            return Progress::Unchanged;
        }
        self.told = self.taken;
        Progress::Durable(self.taken)
    }
}

#[async_trait]
impl ShardWriter for Writer {
    async fn append(&mut self, position: Position, event: &ChangeEvent<'_>) -> Result<Progress, RouteError> {
        if position <= self.taken {
            return Ok(Progress::Unchanged);
        }
        self.taken = position;
        self.set_aside = self.stream.too_large.lock().unwrap().iter().any(|id| *id == event.event_id);
        if !self.set_aside {
            self.waiting.push((event.keys.join("/"), event.event_id.clone().into_owned()));
        }
        Ok(if self.waiting.len() >= 2 { self.acknowledge() } else { Progress::Unchanged })
    }

    fn skip(&mut self, position: Position) {
        self.taken = self.taken.max(position);
    }

    fn set_aside(&self) -> bool {
        self.set_aside
    }

    async fn due(&mut self) {
        if self.told == self.taken {
            std::future::pending::<()>().await;
        }
    }

    async fn poll(&mut self) -> Result<Progress, RouteError> {
        Ok(self.acknowledge())
    }

    async fn flush(&mut self) -> Result<Progress, RouteError> {
        Ok(self.acknowledge())
    }

    fn is_flushed(&self) -> bool {
        self.waiting.is_empty()
    }

    fn settled(&mut self) -> Progress {
        Progress::Unchanged
    }
}

#[tokio::test]
async fn records_arrive_in_order_and_leave_the_quarantine() {
    let (bench, stream) = (Bench::new(), Stream::default());
    bench.quarantine(&[(3, "a", true), (1, "a", true), (12, "a", true), (2, "b", true), (4, "c", false)]).await;
    let redrive = bench.redrive_to(bench.lake(WHOLE).await, Arc::new(stream.clone()), false);
    let report = redrive.run(&Selection::default(), None).await.unwrap();
    assert_eq!((stream.ids(), report.stays().count(), bench.left().await), (["e1", "e2", "e3", "e12"].map(str::to_owned).into(), 1, 1));
}

#[tokio::test]
async fn a_change_that_is_too_large_still_stays_with_those_that_wait_for_it() {
    for (later_records, expected) in [(LaterRecords::Pass, vec!["e1", "e3", "e4"]), (LaterRecords::Wait, vec!["e1", "e4"])] {
        let (bench, stream) = (Bench { later_records, ..Bench::new() }, Stream::default());
        bench.quarantine(&[(1, "a", true), (2, "a", true), (3, "a", true), (4, "b", true)]).await;
        stream.too_large.lock().unwrap().push("e2".to_owned());
        let redrive = bench.redrive_to(bench.lake(WHOLE).await, Arc::new(stream.clone()), false);
        let report = redrive.run(&Selection::default(), None).await.unwrap();
        assert_eq!(stream.ids(), expected);
        let large = report.outcomes.iter().find(|outcome| outcome.position == Some(at(2))).unwrap();
        let Fate::Stays(reason) = &large.fate else { panic!("{large:?}") };
        assert!(reason.contains("still too large"), "{reason}");
        assert_eq!(bench.left().await, 4 - expected.len() as u64);
    }
}

#[tokio::test]
async fn a_redrive_that_dies_sends_copies_in_order_and_loses_nothing() {
    for applied in [false, true] {
        for death in 1..=3 {
            let (bench, stream) = (Bench::new(), Stream::default());
            bench.quarantine(&[(1, "a", true), (2, "a", true), (3, "a", true)]).await;
            let redrive = bench.redrive_to(bench.lake(WHOLE).await, Arc::new(stream.clone()), false);
            bench.store.arm(death, applied);
            redrive.run(&Selection::default(), None).await.unwrap_err();
            assert!(bench.store.revive());
            let redrive = bench.redrive_to(bench.lake(WHOLE).await, Arc::new(stream.clone()), false);
            redrive.run(&Selection::default(), None).await.unwrap();
            let ids = stream.ids();
            assert_eq!(ids[..3], ["e1", "e2", "e3"], "{death} {applied}");
            assert!(ids[3..].is_sorted() && ids[3..].iter().all(|id| ids[..3].contains(id)), "copies: {ids:?}");
            assert_eq!(bench.left().await, 0);
        }
    }
}
