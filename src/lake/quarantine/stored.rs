//! A table's quarantine, as it lies in the lake.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tokio_util::sync::CancellationToken;

use super::{ItemDigest, QuarantineEntry};
use crate::lake::error::{LakeError, Problem};
use crate::lake::layout::Layout;
use crate::lake::store::LakeStore;
use crate::retry::{RetryPolicy, retry};

/// Entries that are read at once.
const READS: usize = 16;

/// Reads, moves and deletes what is in quarantine.
#[derive(Debug, Clone)]
pub struct Quarantine {
    store: LakeStore,
    layout: Layout,
}

/// An entry, as far as its name tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The object.
    pub location: Path,
    /// Its size in bytes.
    pub size: u64,
    /// Stands for its item, where that was known and noted.
    pub item: Option<ItemDigest>,
}

impl Quarantine {
    /// The quarantine of a table.
    pub fn new(store: &LakeStore, table: &str) -> Self {
        Self { layout: Layout::new(&store.prefix, table), store: store.clone() }
    }

    /// An object of it, for messages.
    pub fn describe(&self, location: &Path) -> String {
        self.store.describe(location)
    }

    /// Every entry, in the order of names. What was set aside and the plans of redrives are none. One request for each thousand.
    pub async fn list(&self) -> Result<Vec<Listed>, LakeError> {
        let list = || async {
            let mut found: Vec<Listed> = self.listing().try_collect().await?;
            found.sort_by(|a, b| a.location.cmp(&b.location));
            Ok::<_, LakeError>(found)
        };
        retry(RetryPolicy::COMMIT, &CancellationToken::new(), list).await
    }

    /// How many entries there are, as far as `most`. Keeps none of them in memory.
    pub async fn count(&self, most: u64) -> Result<u64, LakeError> {
        let listing = self.listing().take(usize::try_from(most).unwrap_or(usize::MAX));
        listing.try_fold(0, async |found, _| Ok(found + 1)).await
    }

    fn listing(&self) -> impl Stream<Item = Result<Listed, LakeError>> {
        let folder = self.layout.quarantine();
        let listing = self.store.store.list_with_offset(Some(&folder), &self.layout.quarantine_days());
        listing.map_err(move |error| self.failed("list", &folder, error)).try_filter_map(async |object| {
            let listed = |item| Listed { location: object.location.clone(), size: object.size, item };
            Ok(self.layout.parse_quarantined(&object.location).map(listed))
        })
    }

    /// The items that have entries, where the names tell. One listing, without reading any of them.
    pub async fn items(&self) -> Result<BTreeSet<ItemDigest>, LakeError> {
        Ok(self.list().await?.into_iter().filter_map(|listed| listed.item).collect())
    }

    /// Reads an entry; none if it is gone.
    pub async fn read(&self, location: &Path) -> Result<Option<QuarantineEntry>, LakeError> {
        let Some(body) = self.get(location).await? else { return Ok(None) };
        let foreign = |reason| LakeError::new(format!("read {}", self.describe(location)), Problem::Foreign(reason));
        QuarantineEntry::parse(location.clone(), &body).map(Some).map_err(foreign)
    }

    /// Reads every entry and hands it to `each`, in the order of names.
    pub async fn read_all(&self, mut each: impl FnMut(QuarantineEntry)) -> Result<(), LakeError> {
        let listed = self.list().await?;
        let mut entries = futures::stream::iter(&listed).map(|listed| self.read(&listed.location)).buffered(READS);
        while let Some(entry) = entries.try_next().await? {
            entry.into_iter().for_each(&mut each);
        }
        Ok(())
    }

    /// Deletes an entry whose change is where it belongs. One that is gone already is no error.
    pub async fn remove(&self, location: &Path) -> Result<(), LakeError> {
        let delete = || async {
            match self.store.store.delete(location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(self.failed("delete", location, error)),
            }
        };
        retry(RetryPolicy::COMMIT, &CancellationToken::new(), delete).await
    }

    /// Sets an entry aside: it counts no more and is not sent back, and its record is kept below `quarantine/discarded/`.
    pub async fn discard(&self, location: &Path) -> Result<(), LakeError> {
        let Some(body) = self.get(location).await? else { return Ok(()) };
        let aside = self.layout.discarded(location);
        let keep = || async {
            let kept = self.store.store.put(&aside, PutPayload::from_bytes(body.clone())).await;
            kept.map_err(|error| self.failed("write", &aside, error))
        };
        retry(RetryPolicy::COMMIT, &CancellationToken::new(), keep).await?;
        self.remove(location).await
    }

    /// The plan of a redrive with the highest number, and that number.
    pub async fn latest_plan(&self) -> Result<Option<(u32, Bytes)>, LakeError> {
        let folder = self.layout.redrives();
        let list = || async {
            let listed: Result<Vec<_>, _> = self.store.store.list(Some(&folder)).try_collect().await;
            listed.map_err(|error| self.failed("list", &folder, error))
        };
        let listed = retry(RetryPolicy::COMMIT, &CancellationToken::new(), list).await?;
        let Some(number) = listed.iter().filter_map(|object| self.layout.parse_redrive(&object.location)).max() else { return Ok(None) };
        let location = self.layout.redrive(number);
        let body = self.get(&location).await?;
        let body = body.ok_or_else(|| LakeError::new(format!("read {}", self.describe(&location)), Problem::Missing))?;
        Ok(Some((number, body)))
    }

    /// Writes a plan unless there is one of that number; true if this one is there now.
    pub async fn create_plan(&self, number: u32, body: &[u8]) -> Result<bool, LakeError> {
        let location = self.layout.redrive(number);
        let create = || async {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            match self.store.store.put_opts(&location, PutPayload::from(body.to_vec()), options).await {
                Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
                Err(error) => Err(self.failed("create", &location, error)),
            }
        };
        retry(RetryPolicy::COMMIT, &CancellationToken::new(), create).await?;
        // What is there tells, also when the answer of an earlier attempt was lost.
        Ok(self.get(&location).await?.is_some_and(|found| found == body))
    }

    async fn get(&self, location: &Path) -> Result<Option<Bytes>, LakeError> {
        let get = || async {
            match async { self.store.store.get(location).await?.bytes().await }.await {
                Ok(body) => Ok(Some(body)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(self.failed("read", location, error)),
            }
        };
        retry(RetryPolicy::COMMIT, &CancellationToken::new(), get).await
    }

    fn failed(&self, doing: &str, location: &Path, error: object_store::Error) -> LakeError {
        LakeError::from_store(format!("{doing} {}", self.describe(location)), error)
    }
}
