//! What a shard has in the lake already, as far as its writer has to know.

use std::collections::VecDeque;

use crate::event::{Position, ShardId};
use crate::lake::{ChangeKey, HourPartition, Lake, LakeError};

/// Hours whose listing is kept, the one that was used last first: those of changes and of the starts of many snapshots and exports at once.
const MOST: usize = 64;

/// The hours that a record may lie in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hours {
    /// A change lies in its own.
    Only(HourPartition),
    /// A row of a snapshot lies in that of the snapshot's start or in a later one.
    From(HourPartition),
}

impl Hours {
    /// The record's own hour: that of a run which begins with it.
    pub(super) fn own(self) -> HourPartition {
        match self {
            Self::Only(hour) | Self::From(hour) => hour,
        }
    }

    pub(super) fn contain(self, hour: HourPartition) -> bool {
        match self {
            Self::Only(own) => hour == own,
            Self::From(own) => hour >= own,
        }
    }
}

/// The hours that were listed last.
#[derive(Debug, Default)]
pub(super) struct Listings(VecDeque<Listing>);

/// Objects of one hour that start at or after the position of the first record looked up in it.
#[derive(Debug)]
struct Listing {
    hour: HourPartition,
    ahead: VecDeque<ChangeKey>,
}

impl Listings {
    /// Lists an hour of the shard, unless that was done.
    pub(super) async fn list(&mut self, lake: &Lake, shard: &ShardId, hour: HourPartition) -> Result<(), LakeError> {
        let listing = match self.0.iter().position(|listing| listing.hour == hour).and_then(|at| self.0.remove(at)) {
            Some(known) => known,
            None => Listing { hour, ahead: lake.runs(shard, hour).await?.into() },
        };
        self.0.push_front(listing);
        self.0.truncate(MOST);
        Ok(())
    }

    /// Whether a listed object begins before the record, so that it may hold it.
    pub(super) fn meet(&self, hours: Hours, position: Position) -> bool {
        self.0.iter().any(|listing| hours.contain(listing.hour) && listing.ahead.front().is_some_and(|key| key.after < position))
    }

    /// Where the listed object ends that holds the record already, if one does.
    pub(super) async fn covering(&mut self, lake: &Lake, hours: Hours, position: Position) -> Result<Option<Position>, LakeError> {
        for listing in self.0.iter_mut().filter(|listing| hours.contain(listing.hour)) {
            let passed = listing.ahead.partition_point(|key| key.after < position);
            if passed == 0 {
                continue;
            }
            let landed = lake.covering(&listing.ahead.make_contiguous()[..passed], position).await?;
            // Only now: had the reading failed, these would have to be looked at again.
            listing.ahead.drain(..passed);
            if landed.is_some() {
                return Ok(landed);
            }
        }
        Ok(None)
    }

    /// What was listed says nothing of what comes next.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
