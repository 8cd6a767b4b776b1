//! Committing runs, and finding out what is committed already.
//!
//! An object is created only if it is absent, and its name says which position it starts after. So of several processes that read the
//! same shard from the same position one wins, and the others learn from the winner's object where to go on. No lock is involved.

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tokio::time::{Duration, sleep};

use super::error::{LakeError, Problem};
use super::layout::{ChangeKey, Format, HourPartition};
use super::run::ClosedRun;
use super::{Lake, ndjson, parquet};
use crate::event::{Position, ShardId};
use crate::mutant::{self, Mutant};

/// Bytes read from the end of a Parquet file at first: its footer, unless the table is very wide.
const TAIL_BYTES: u64 = 64 << 10;
/// S3 answers 409 to a conditional write while another one of the same key is in flight (Amazon S3 User Guide, "Conditional writes").
/// The object may then not exist, if the other one fails.
const CONFLICTS: u32 = 5;
/// The pause after a conflict, times the attempt. The other writer's request ends on its own, so there is no herd to spread.
const CONFLICT_PAUSE: Duration = Duration::from_millis(200);

/// Uploads of changes at once. Small objects take a tenth of a second: a thousand shards whose hour ends, or whose lake comes back, are through in
/// seconds, and a lake that hangs is asked so many times at once.
pub const UPLOADS_AT_ONCE: usize = 32;

/// How a commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// The object was created.
    Committed,
    /// The object exists: another process made it, or an earlier attempt of this one whose answer was lost. It ends at `last`.
    Superseded {
        /// The position of the winner's last row.
        last: Position,
    },
}

impl Lake {
    /// Creates the object of a run unless it exists. An error leaves open whether it was created; the same call may be repeated.
    ///
    /// At most [`UPLOADS_AT_ONCE`] of a process are on their way; others wait for their turn, in the order of coming.
    pub async fn commit(&self, run: &ClosedRun) -> Result<Commit, LakeError> {
        let location = self.layout.change(&run.key);
        for attempt in 1..=CONFLICTS {
            let mode = if mutant::armed(Mutant::CommitOverExisting) { PutMode::Overwrite } else { PutMode::Create };
            let options = PutOptions { mode, ..PutOptions::default() };
            let turn = self.uploads.acquire().await;
            let put = self.store.store.put_opts(&location, PutPayload::from_bytes(run.bytes.clone()), options).await;
            drop(turn);
            match put {
                Ok(_) => {
                    self.counters.committed(run.rows, run.bytes.len());
                    return Ok(Commit::Committed);
                }
                Err(object_store::Error::AlreadyExists { .. }) => match self.last_of(&run.key).await {
                    Ok(last) => {
                        self.counters.superseded();
                        return Ok(Commit::Superseded { last });
                    }
                    Err(LakeError { problem: Problem::Missing, .. }) => sleep(CONFLICT_PAUSE * attempt).await,
                    Err(error) => return Err(error),
                },
                Err(error) => return Err(LakeError::from_store(format!("create {}", self.store.describe(&location)), error)),
            }
        }
        let problem = Problem::Other(format!("{CONFLICTS} attempts met another write of the same object that did not succeed"));
        Err(LakeError::new(format!("create {}", self.store.describe(&location)), problem))
    }

    /// Where the committed run ends that covers the record at `sequence`, if there is one. Costs one listing of the hour.
    pub async fn landed_run(&self, shard: &ShardId, partition: HourPartition, sequence: Position) -> Result<Option<Position>, LakeError> {
        let runs = self.runs(shard, partition).await?;
        self.covering(&runs, sequence).await
    }

    /// The shard's committed runs of one hour, in order of where they start.
    pub(crate) async fn runs(&self, shard: &ShardId, partition: HourPartition) -> Result<Vec<ChangeKey>, LakeError> {
        let folder = self.layout.partition(partition);
        let prefix = self.layout.shard_prefix(partition, shard);
        let failed = |error| LakeError::from_store(format!("list {}", self.store.describe(&folder)), error);
        let offset = Path::parse(&prefix).map_err(|error| failed(error.into()))?;
        let mut listing = self.store.store.list_with_offset(Some(&folder), &offset);
        let mut runs = Vec::new();
        while let Some(object) = listing.try_next().await.map_err(failed)? {
            if object.location.as_ref().starts_with(&prefix) {
                // A shard whose id begins with this one's and a dash has the same prefix.
                runs.extend(self.layout.parse_change(&object.location).filter(|key| key.shard == *shard));
            } else if self.store.ordered {
                break;
            }
        }
        runs.sort_by_key(|key| key.after);
        Ok(runs)
    }

    /// Where the one of `runs` ends that covers the record at `sequence`, if one does: it must be the last that starts before it.
    pub(crate) async fn covering(&self, runs: &[ChangeKey], sequence: Position) -> Result<Option<Position>, LakeError> {
        for key in nearest(runs, sequence) {
            let last = self.last_of(key).await?;
            if last >= sequence {
                return Ok(Some(last));
            }
        }
        Ok(None)
    }

    /// Reads a committed run whole and takes from it what `take` takes; `doing` says what for, such as `read the last row of`.
    pub(super) async fn read_run<T>(
        &self,
        key: &ChangeKey,
        doing: &str,
        take: impl FnOnce(Bytes) -> Result<T, String>,
    ) -> Result<T, LakeError> {
        let location = self.layout.change(key);
        let doing = || format!("{doing} {}", self.store.describe(&location));
        let object = async { self.store.store.get(&location).await?.bytes().await };
        let object = object.await.map_err(|error| LakeError::from_store(doing(), error))?;
        take(object).map_err(|reason| LakeError::new(doing(), Problem::Foreign(reason)))
    }

    /// The position of a committed run's last row.
    pub(super) async fn last_of(&self, key: &ChangeKey) -> Result<Position, LakeError> {
        let location = self.layout.change(key);
        let doing = || format!("read the end of {}", self.store.describe(&location));
        let foreign = |reason| LakeError::new(doing(), Problem::Foreign(reason));
        match key.format {
            Format::Parquet => {
                let mut bytes = TAIL_BYTES;
                loop {
                    let (tail, size) = self.tail(&location, bytes).await.map_err(|error| LakeError::from_store(doing(), error))?;
                    match parquet::read_tail(&tail, size) {
                        parquet::Tail::Last(last) => return Ok(last),
                        parquet::Tail::NeedBytes(needed) if needed as u64 > bytes => bytes = needed as u64,
                        parquet::Tail::NeedBytes(_) => return Err(foreign("its footer cannot be read".to_owned())),
                        parquet::Tail::Foreign(reason) => return Err(foreign(reason)),
                    }
                }
            }
            Format::Ndjson => {
                let beginning = self.store.store.get_range(&location, 0..ndjson::BEGINNING_BYTES).await;
                let beginning = beginning.map_err(|error| LakeError::from_store(doing(), error))?;
                ndjson::read_last(&beginning).map_err(foreign)
            }
        }
    }

    /// The last bytes of an object, and its size. Asks for the size first: not every S3 answers a suffix range that is longer than the
    /// object.
    async fn tail(&self, location: &Path, bytes: u64) -> object_store::Result<(Bytes, u64)> {
        let size = self.store.store.head(location).await?.size;
        let tail = self.store.store.get_range(location, size.saturating_sub(bytes)..size).await?;
        Ok((tail, size))
    }
}

/// The runs that may cover the record at `sequence`: those that start last before it. After a change of format, one position may have an object of each.
pub(super) fn nearest(runs: &[ChangeKey], sequence: Position) -> impl Iterator<Item = &ChangeKey> {
    let before = &runs[..runs.partition_point(|key| key.after < sequence)];
    before.iter().rev().take_while(|key| Some(key.after) == before.last().map(|nearest| nearest.after))
}
