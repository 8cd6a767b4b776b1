//! The items of a shard whose changes wait in quarantine behind an earlier record of theirs.
//!
//! Under [`LaterRecords::Wait`] a record of an item goes on only when nothing of the item is in quarantine. What a shard knows of that is a set of
//! items: those that had entries when the shard was opened, by one listing, and those of which it has put a record there since. A record of such an
//! item is put there too. The set is compared with the quarantine again when a record of a parked item comes and the last look is
//! [`LOOK_AGAIN`] ago; an item is free when a listing that was begun after this shard last parked it shows no entry of it.
//!
//! **Why order holds.** Take an item, and the records of it in the order of the stream. Of a shard and those that continue it, one task at a time
//! reads (*one-writer*, *parent-first*).
//!
//! - No record overtakes one that is in quarantine. A task that opens the shard, or a shard that continues it, reads behind a checkpoint; what the
//!   tasks before it put into quarantine up to there was stored before the checkpoint was written, so the first listing shows it unless it was sent
//!   back. What the task itself puts there it knows. So it lets a record of the item pass only after a listing without any entry of it, and a redrive
//!   deletes an entry only after its change is durable in the route: every earlier record of the item is in the route by then.
//! - Nothing is sent back before its time. A redrive sends the entries of an item in the order of their positions, and one only when the shard's
//!   checkpoint has passed it: then everything before it is durable (*durable-before-checkpoint*), what stood before it in a writer's buffer as well.
//!   A task that opens the shard later begins behind it and reads it no more.
//! - What comes between a redrive and the next look is parked and waits for the next redrive. It is late, not out of order.
//!
//! What is short of that: records whose item cannot be told hold nobody back. Nor do entries whose name does not tell their item, which versions
//! before this one wrote. A worker that lost its lease without knowing may put a copy of a record there which its successor has sent.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::LaterRecords;
use crate::event::ShardId;
use crate::lake::{ItemDigest, Lake, LakeError, Origin};
use crate::table::Key;

/// A listing costs as much as storing a record; twice a minute is little beside what is parked meanwhile, and a redrive is seen soon enough.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Which items of a shard have to wait.
#[derive(Debug)]
pub(super) struct ParkedItems {
    origin: Origin,
    /// None under [`LaterRecords::Pass`].
    parked: Option<BTreeSet<ItemDigest>>,
    /// When the last listing was begun.
    looked: Instant,
}

impl ParkedItems {
    /// What has to wait when the shard is opened. Lists the quarantine, unless later records pass.
    pub(super) async fn open(lake: &Lake, shard: &ShardId, later_records: LaterRecords) -> Result<Self, LakeError> {
        let looked = Instant::now();
        let parked = match later_records {
            LaterRecords::Pass => None,
            LaterRecords::Wait => Some(lake.quarantined().items().await?),
        };
        Ok(Self { origin: Origin::of(shard), parked, looked })
    }

    /// Whether anything may have to wait at all.
    pub(super) fn is_on(&self) -> bool {
        self.parked.is_some()
    }

    /// Whether a record of this item has to wait. May look into the quarantine again.
    pub(super) async fn holds(&mut self, lake: &Lake, key: &Key) -> Result<bool, LakeError> {
        let Some(parked) = self.parked.as_mut().filter(|parked| !parked.is_empty()) else { return Ok(false) };
        let item = ItemDigest::of(self.origin, key);
        if !parked.contains(&item) {
            return Ok(false);
        }
        if self.looked.elapsed() >= LOOK_AGAIN {
            let begun = Instant::now();
            let found = lake.quarantined().items().await?;
            // The one task that parks items of this shard waits here: all of them were parked before the listing was begun.
            parked.retain(|item| found.contains(item));
            self.looked = begun;
        }
        Ok(parked.contains(&item))
    }

    /// A record of this item was put into quarantine.
    pub(super) fn park(&mut self, key: &Key) {
        if let Some(parked) = &mut self.parked {
            parked.insert(ItemDigest::of(self.origin, key));
        }
    }
}
