//! The items of a shard whose changes wait in quarantine behind an earlier record of theirs.
//!
//! Under [`LaterRecords::Wait`] a record of an item goes on only when nothing of the item is in quarantine. What a shard knows of that is a
//! set of items: those that had entries when the shard was opened, by one listing, and those of which it has put a record there since. A
//! record of such an item is put there too. The set is compared with the quarantine again when a record of a parked item comes and the last
//! look is [`LOOK_AGAIN`] ago; an item is free when a listing that was begun after this shard last parked it shows no entry of it.
//!
//! **Why order holds.** Take an item, and the records of it in the order of the stream. Of a shard and those that continue it, one task at
//! a time reads (*one-writer*, *parent-first*).
//!
//! - No record overtakes one that is in quarantine. A task that opens the shard, or a shard that continues it, reads behind a checkpoint;
//!   what the tasks before it put into quarantine up to there was stored before the checkpoint was written, so the first listing shows it
//!   unless it was sent back. What the task itself puts there it knows. So it lets a record of the item pass only after a listing without
//!   any entry of it, and a redrive deletes an entry only after its change is durable in the route: every earlier record of the item is in
//!   the route by then.
//! - Nothing is sent back before its time. A redrive sends the entries of an item in the order of their positions, and one only when the
//!   shard's checkpoint has passed it: then everything before it is durable (*durable-before-checkpoint*), what stood before it in a
//!   writer's buffer as well. A task that opens the shard later begins behind it and reads it no more.
//! - What comes between a redrive and the next look is parked and waits for the next redrive. It is late, not out of order.
//!
//! What is short of that: records whose item cannot be told hold nobody back. Nor do entries whose name does not tell their item, which
//! versions before this one wrote. A worker that lost its lease without knowing may put a copy of a record there which its successor has
//! sent.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::LaterRecords;
use crate::event::ShardId;
use crate::lake::{ItemDigest, Lake, LakeError, Origin};
use crate::table::Key;

/// A listing costs as much as storing a record; twice a minute is little beside what is parked meanwhile, and a redrive is seen soon
/// enough.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use object_store::path::Path;

    use super::*;
    use crate::contract::TableSchema;
    use crate::event::AttributeType;
    use crate::lake::{Decimals, Format, Kind, LakeLocation, LakeSettings, LakeStore, PoisonRecord};

    async fn lake() -> Lake {
        let store = LakeStore { store: Arc::new(InMemory::new()), prefix: Path::default(), address: "memory:/".to_owned(), ordered: true };
        let settings = LakeSettings {
            location: LakeLocation::Folder("unused".into()),
            format: Format::Parquet,
            max_size: 1,
            max_age: Duration::from_secs(1),
            decimals: Decimals::Number,
            kms_key: None,
        };
        Lake::on(store, settings, Arc::new(TableSchema::keys_only("t", vec![("id".to_owned(), AttributeType::S)]))).await.unwrap()
    }

    fn key(text: &str) -> Key {
        Key::of_texts(vec![text.to_owned()])
    }

    async fn store(lake: &Lake, shard: &str, item: &str, n: u64) {
        let record = PoisonRecord {
            shard: &ShardId::new(shard),
            position: n.to_string().parse().ok(),
            event_id: None,
            key: Some(&key(item)),
            raw: b"{}",
            kind: Kind::Behind,
            reason: "",
            time: 7,
        };
        lake.quarantine(&record).await.unwrap();
    }

    async fn send_back(lake: &Lake, n: usize) {
        for listed in lake.quarantined().list().await.unwrap().into_iter().take(n) {
            lake.quarantined().remove(&listed.location).await.unwrap();
        }
    }

    async fn open(lake: &Lake, later_records: LaterRecords) -> ParkedItems {
        ParkedItems::open(lake, &ShardId::new("s"), later_records).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_item_is_free_when_a_look_shows_nothing_of_it_any_more() {
        let lake = lake().await;
        let mut parked = open(&lake, LaterRecords::Wait).await;
        assert!(!parked.holds(&lake, &key("a")).await.unwrap());
        for n in [1, 2] {
            store(&lake, "s", "a", n).await;
            parked.park(&key("a"));
        }
        assert!(parked.holds(&lake, &key("a")).await.unwrap());
        assert!(!parked.holds(&lake, &key("b")).await.unwrap(), "other items go on");
        send_back(&lake, 1).await;
        tokio::time::advance(LOOK_AGAIN).await;
        assert!(parked.holds(&lake, &key("a")).await.unwrap(), "one of its records is still there");
        send_back(&lake, 1).await;
        assert!(parked.holds(&lake, &key("a")).await.unwrap(), "it is not looked all the time");
        tokio::time::advance(LOOK_AGAIN).await;
        assert!(!parked.holds(&lake, &key("a")).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_opens_a_shard_knows_what_others_have_parked() {
        let lake = lake().await;
        store(&lake, "parent", "a", 1).await;
        store(&lake, "1:stream:2:shardId-0", "b", 1).await;
        let mut parked = open(&lake, LaterRecords::Wait).await;
        assert!(parked.holds(&lake, &key("a")).await.unwrap());
        assert!(!parked.holds(&lake, &key("b")).await.unwrap(), "that is another stage's");
        let mut passing = open(&lake, LaterRecords::Pass).await;
        passing.park(&key("a"));
        assert!(!passing.is_on() && !passing.holds(&lake, &key("a")).await.unwrap());
    }
}
