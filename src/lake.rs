//! The lake: objects of changes, each created once.
//!
//! Guaranteed (*land-once*): a change is in exactly one committed object, whatever crashes, as long as every writer starts at a position
//! that another one reported, or at the beginning. See [`commit`] for how. A change is durable when its object was created: on
//! S3 acknowledged, on a local folder synced to the disk.
//!
//! Not guaranteed: anything about objects that others put under the same prefix or delete from it; and two writers of one shard in two
//! formats at the same time are not kept apart.
//!
//! In reading order: [`layout`] names objects, [`columns`] their columns; runs of changes become bytes in `parquet` and `ndjson` and
//! objects in [`commit`], whose last row `last_key` reads back; [`marker`] says which snapshots are whole; [`quarantine`] keeps what cannot become a change, [`claims`] what no record of a stream can hold; [`store`] and `s3` are
//! the storage, [`bucket`] makes a new one, [`error`] has its failures in plain words. The route that drives all this is [`crate::route::lake`].

pub mod bucket;
pub mod claims;
pub mod columns;
pub mod commit;
mod counters;
pub mod error;
pub mod inventory;
mod last_key;
pub mod layout;
pub mod marker;
mod ndjson;
mod parquet;
pub mod quarantine;
mod rows;
mod run;
mod s3;
pub mod store;

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use aws_config::SdkConfig;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use tokio::sync::Semaphore;

use crate::contract::TableSchema;
pub use crate::event::encode::Decimals;
pub use bucket::LakeBucket;
pub use columns::arrow_schema;
pub use commit::{Commit, UPLOADS_AT_ONCE};
pub use counters::{LakeCounters, LakeCounts};
pub use error::{LakeError, Problem};
pub use layout::{ChangeKey, Format, HourPartition, Layout};
pub use marker::{Marker, Part};
pub use quarantine::PoisonRecord;
pub use run::{ClosedRun, OpenRun};
pub use store::{InvalidLocation, LakeLocation, LakeStore};

/// What an object says of the position of its last row: the name of the entry in its footer or header.
const LAST: &str = "headwater.last";

/// Where the lake lies and what its objects are like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeSettings {
    /// Folder or bucket.
    pub location: LakeLocation,
    /// How rows are stored.
    pub format: Format,
    /// Objects close at about this many bytes.
    pub max_size: u64,
    /// Objects close this long after their first change was taken.
    pub max_age: Duration,
    /// How NDJSON spells decimals.
    pub decimals: Decimals,
    /// The KMS key that encrypts objects on S3; without one the bucket's default applies.
    pub kms_key: Option<String>,
}

/// One table's part of a lake, open for writing.
#[derive(Debug)]
pub struct Lake {
    store: LakeStore,
    layout: Layout,
    settings: LakeSettings,
    schema: Arc<TableSchema>,
    arrow: SchemaRef,
    counters: LakeCounters,
    /// Turns of uploading changes.
    uploads: Semaphore,
}

impl Lake {
    /// Opens the lake for one table. `aws` is needed for S3 alone.
    ///
    /// Writes `schema.json`, lists and reads it back: land-once needs all three permissions, and a lake that cannot be used should fail at
    /// the start and not at the first change.
    pub async fn open(settings: &LakeSettings, schema: Arc<TableSchema>, aws: Option<&SdkConfig>) -> Result<Self, LakeError> {
        if matches!((&settings.location, &settings.kms_key), (LakeLocation::Folder(_), Some(_))) {
            let problem = Problem::Settings("kms_key encrypts objects on S3 only: remove it, or give an s3:// url".to_owned());
            return Err(LakeError::new(format!("open {}", settings.location), problem));
        }
        let store = LakeStore::connect(&settings.location, settings.kms_key.as_deref(), aws)?;
        Self::on(store, settings.clone(), schema).await
    }

    /// Opens the lake on a store that is open already.
    pub async fn on(store: LakeStore, settings: LakeSettings, schema: Arc<TableSchema>) -> Result<Self, LakeError> {
        let layout = Layout::new(&store.prefix, &schema.table);
        let lake = Self {
            arrow: arrow_schema(&schema),
            counters: LakeCounters::default(),
            uploads: Semaphore::new(UPLOADS_AT_ONCE),
            store,
            layout,
            settings,
            schema,
        };
        lake.describe_itself().await?;
        Ok(lake)
    }

    /// The table's columns.
    pub fn schema(&self) -> &Arc<TableSchema> {
        &self.schema
    }

    /// Where and how it is written.
    pub fn settings(&self) -> &LakeSettings {
        &self.settings
    }

    /// Names of its objects.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The store that it lies in.
    pub fn store(&self) -> &LakeStore {
        &self.store
    }

    /// What this process has put into it.
    pub fn counters(&self) -> &LakeCounters {
        &self.counters
    }

    /// Begins a run that is to become the object `key`.
    pub fn begin(&self, key: ChangeKey) -> Result<OpenRun, LakeError> {
        OpenRun::new(self, key)
    }

    async fn describe_itself(&self) -> Result<(), LakeError> {
        let location = self.layout.schema();
        let address = self.store.describe(&location);
        let json = serde_json::to_vec_pretty(self.schema.as_ref())
            .map_err(|error| LakeError::new(format!("write {address}"), Problem::Other(error.to_string())))?;
        // Written even when it is there and equal: that is the proof that this process may write.
        let failed = |doing: &str| {
            let doing = format!("{doing} {address}");
            move |error| match LakeError::from_store(doing, error) {
                // A bucket that is missing answers like an object that is missing.
                LakeError { doing, problem: Problem::Missing, source } => LakeError { doing, problem: Problem::NoBucket, source },
                error => error,
            }
        };
        self.store.store.put(&location, PutPayload::from(json)).await.map_err(failed("write"))?;
        let mut listing = self.store.store.list(Some(self.layout.root()));
        listing.try_next().await.map_err(failed("list"))?;
        self.store.store.head(&location).await.map_err(failed("read"))?;
        Ok(())
    }
}

/// Reads the columns of a table in a lake, as the last process that opened it for writing left them.
pub async fn read_schema(store: &LakeStore, table: &str) -> Result<TableSchema, LakeError> {
    let location = Layout::new(&store.prefix, table).schema();
    let doing = || format!("read {}", store.describe(&location));
    let json = async { store.store.get(&location).await?.bytes().await };
    let json = json.await.map_err(|error| LakeError::from_store(doing(), error))?;
    serde_json::from_slice(&json).map_err(|error| LakeError::new(doing(), Problem::Foreign(error.to_string())))
}
