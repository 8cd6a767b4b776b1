//! How each shard that this process holds is doing: what readiness, lag and the status page are told from.
//!
//! Progress means that something was confirmed: a record became durable, or the shard was seen to hold nothing more. That a page came is none, and a
//! shard that waits for its target says so (*honest-lag*).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::event::ShardId;
use crate::stream::StreamInfo;

/// What a task does with its shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    /// It waits for the former holder to hand the shard over.
    TakingOver,
    /// It reads and sends.
    Reading,
    /// It waits for this to pass, and then goes on from its checkpoint.
    Waiting(String),
}

/// Where a shard stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What its task does.
    pub doing: Doing,
    /// Since when it does that.
    pub since: Instant,
    /// When progress was confirmed last, or when the shard was taken.
    pub progressed: Instant,
    /// Every change made before this time (seconds since the epoch) is durable, as far as this shard goes.
    pub durable_through: Option<i64>,
}

/// The shards that a stage of this process holds.
#[derive(Debug, Default)]
pub struct Board {
    /// With the number of the place, since a shard that comes back may have an earlier place that is not given up yet.
    places: Mutex<BTreeMap<ShardId, (u64, Standing)>>,
    looked: Mutex<Option<Look>>,
    /// Why the last look failed, if it did.
    trouble: Mutex<Option<String>>,
    places_taken: AtomicU64,
}

/// What a stage saw when it last looked at its stream and its leases with success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// When that was.
    pub at: Instant,
    /// The stream.
    pub stream: StreamInfo,
}

impl Board {
    /// Every shard that is held, and where it stands.
    pub fn standings(&self) -> BTreeMap<ShardId, Standing> {
        self.places().iter().map(|(shard, (_, standing))| (shard.clone(), standing.clone())).collect()
    }

    /// The last successful look at the stream and the leases; none before the first one.
    pub fn looked(&self) -> Option<Look> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The stage has looked at the stream and the leases, and taken what it may.
    pub fn note_look(&self, stream: StreamInfo) {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Look { at: Instant::now(), stream });
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The stage could not look.
    pub fn note_trouble(&self, why: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// Why the stage could not look the last time; none when it could.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds a shard that was just taken. It is on the board until the place is dropped.
    pub fn place(self: &Arc<Self>, shard: ShardId, doing: Doing, durable_through: Option<i64>) -> Place {
        let now = Instant::now();
        let number = self.places_taken.fetch_add(1, Relaxed);
        self.places().insert(shard.clone(), (number, Standing { doing, since: now, progressed: now, durable_through }));
        Place { board: Arc::clone(self), shard, number }
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<ShardId, (u64, Standing)>> {
        // Each statement leaves the map whole, so a panic elsewhere does not spoil it.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A shard's place on the board.
#[derive(Debug)]
pub struct Place {
    board: Arc<Board>,
    shard: ShardId,
    number: u64,
}

impl Place {
    /// The task does something else now. Who waits for one thing and then for another has waited since the first.
    pub fn now(&self, doing: Doing) {
        self.change(|standing| {
            if std::mem::discriminant(&standing.doing) != std::mem::discriminant(&doing) {
                standing.since = Instant::now();
            }
            standing.doing = doing;
        });
    }

    /// Progress was confirmed, which ends all waiting; everything before `durable_through` is durable, where that is known.
    pub fn progressed(&self, durable_through: Option<i64>) {
        self.change(|standing| {
            standing.progressed = Instant::now();
            if standing.doing != Doing::Reading {
                (standing.doing, standing.since) = (Doing::Reading, standing.progressed);
            }
            standing.durable_through = standing.durable_through.max(durable_through);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Standing)) {
        if let Some((number, standing)) = self.board.places().get_mut(&self.shard)
            && *number == self.number
        {
            change(standing);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.board.places();
        if places.get(&self.shard).is_some_and(|(number, _)| *number == self.number) {
            places.remove(&self.shard);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_shard_stands_on_the_board_while_it_is_held() {
        let board = Arc::new(Board::default());
        let place = board.place(ShardId::new("a"), Doing::Reading, Some(5));
        let begun = Instant::now();
        tokio::time::advance(Duration::from_secs(7)).await;
        place.now(Doing::Reading);
        place.progressed(Some(3));
        let standing = board.standings()[&ShardId::new("a")].clone();
        assert_eq!((standing.since, standing.progressed), (begun, Instant::now()), "to go on with the same is nothing new");
        assert_eq!(standing.durable_through, Some(5), "what is durable stays so");
        place.now(Doing::Waiting("the store does not answer".to_owned()));
        assert_eq!(board.standings()[&ShardId::new("a")].since, Instant::now());
        place.progressed(None);
        assert_eq!(board.standings()[&ShardId::new("a")].doing, Doing::Reading, "what makes progress waits for nothing");
        drop(place);
        assert!(board.standings().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_one_thing_and_then_for_another_has_waited_since_the_first() {
        let board = Arc::new(Board::default());
        let place = board.place(ShardId::new("a"), Doing::Reading, None);
        place.now(Doing::Waiting("request 1".to_owned()));
        let begun = Instant::now();
        tokio::time::advance(Duration::from_secs(7)).await;
        place.now(Doing::Waiting("request 2".to_owned()));
        assert_eq!(board.standings()[&ShardId::new("a")].since, begun);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_given_up_late_does_not_take_the_shard_s_new_one_with_it() {
        let board = Arc::new(Board::default());
        let early = board.place(ShardId::new("a"), Doing::Reading, None);
        let late = board.place(ShardId::new("a"), Doing::TakingOver, None);
        early.progressed(Some(1));
        drop(early);
        assert_eq!(board.standings()[&ShardId::new("a")].doing, Doing::TakingOver);
        drop(late);
        assert!(board.standings().is_empty());
    }
}
