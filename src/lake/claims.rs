//! Changes that are too large for a record of the stream, kept whole until their pointer is followed.
//!
//! An object is named after the change in it: the day of its `cdc_time`, its shard and its sequence number. So storing it again, after a
//! restart or a lost answer, writes the same bytes to the same name, and nothing has to be looked up first.
//!
//! A row of a snapshot has no sequence number; its event id stands for its key in its snapshot. A segment that is read again after a crash may find
//! the item changed: then the later version takes the place of the earlier one, and both of their pointers lead to it. It is as good a row of the
//! snapshot, since it is no older.

use std::borrow::Cow;

use bytes::Bytes;
use object_store::{ObjectStoreExt, PutPayload};
use tokio_util::sync::CancellationToken;

use super::Lake;
use super::error::{LakeError, Problem};
use super::layout::HourPartition;
use crate::digest::sha256_hex;
use crate::event::fault::shown;
use crate::event::{ChangeEvent, Position, ShardId};
use crate::retry::{RetryPolicy, retry};

impl Lake {
    /// Stores `line`, which is the whole of `event`; durable when this returns. Returns where it is, below the table's folder:
    /// `claims/dt=2026-11-21/<shard>-<40 digits>.json`, or with the event id for a row of a snapshot.
    pub async fn store_claim(&self, event: &ChangeEvent<'_>, line: &[u8]) -> Result<String, LakeError> {
        let refused = |reason: String| LakeError::new(format!("store a claim of shard {}", event.shard), Problem::Event(reason));
        let day = HourPartition::containing(event.time).map_err(|error| refused(format!("its time is impossible: {error}")))?;
        let identity: Cow<'_, str> = match event.snapshot_id {
            Some(_) => Cow::Borrowed(&event.event_id),
            None => Cow::Owned(Position::from(event.sequence).padded()),
        };
        let location = self.layout.claim(day, &ShardId::new(bounded(&event.shard)), &bounded(&identity));
        let payload = PutPayload::from(Bytes::copy_from_slice(line));
        let store = || async {
            let stored = self.store.store.put(&location, payload.clone()).await;
            stored.map_err(|error| LakeError::from_store(format!("write {}", self.store.describe(&location)), error))
        };
        retry(RetryPolicy::COMMIT, &CancellationToken::new(), store).await?;
        self.counters.claimed();
        let below = location.as_ref().strip_prefix(self.layout.root().as_ref()).unwrap_or(location.as_ref());
        Ok(below.trim_start_matches('/').to_owned())
    }

    /// Reads what [`store_claim`](Lake::store_claim) stored. `location` comes out of a record that anybody may have put into the stream:
    /// nothing outside of the table's claims is read.
    ///
    /// A claim that is gone is [`Problem::Missing`]; a store that does not answer is [`Problem::Unreachable`], after retries.
    pub async fn read_claim(&self, location: &str) -> Result<Bytes, LakeError> {
        let Some(location) = self.layout.parse_claim(location) else {
            return Err(LakeError::new("follow a claim check", Problem::NotAClaim(shown(location))));
        };
        let read = || async {
            let bytes = async { self.store.store.get(&location).await?.bytes().await };
            bytes.await.map_err(|error| LakeError::from_store(format!("read {}", self.store.describe(&location)), error))
        };
        retry(RetryPolicy::COMMIT, &CancellationToken::new(), read).await
    }
}

/// A name that every store takes. The deliver stage knows shards and event ids from lines that anybody may have written.
fn bounded(name: &str) -> Cow<'_, str> {
    // Escapes make three characters of one, and two names have to fit into 255.
    const LONGEST: usize = 40;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-:".contains(&byte);
    let fits = name.len() <= LONGEST || (name.len() <= 3 * LONGEST && name.bytes().all(is_plain));
    if fits { Cow::Borrowed(name) } else { Cow::Owned(sha256_hex(name)) }
}

#[cfg(test)]
mod tests;
