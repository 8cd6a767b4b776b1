//! The map of open shards that all writers of a route share.

use std::sync::{Arc, Mutex, PoisonError};

use super::service::PutRecords;
use crate::aws::AwsError;
use crate::route::shard_map::ShardMap;

/// What the last listing said.
#[derive(Debug, Default)]
pub(super) struct Shards {
    listed: Mutex<Arc<ShardMap>>,
    /// Held while the shards are being listed, so that writers that find out at the same time list them once.
    listing: tokio::sync::Mutex<()>,
}

impl Shards {
    /// Begins with this map.
    pub(super) fn new(map: ShardMap) -> Self {
        Self { listed: Mutex::new(Arc::new(map)), listing: tokio::sync::Mutex::default() }
    }

    /// The map now.
    pub(super) fn current(&self) -> Arc<ShardMap> {
        // Replaced as a whole, so a panic elsewhere does not spoil it.
        Arc::clone(&self.listed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A newer map than `known`: another writer's, or one that is listed now.
    pub(super) async fn newer(&self, known: &Arc<ShardMap>, api: &dyn PutRecords) -> Result<Arc<ShardMap>, AwsError> {
        let _listing = self.listing.lock().await;
        let current = self.current();
        if !Arc::ptr_eq(&current, known) {
            return Ok(current);
        }
        let listed = Arc::new(api.open_shards().await?);
        if *listed != **known {
            tracing::info!(shards = listed.len(), "the Kinesis stream was resharded");
        }
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&listed);
        Ok(listed)
    }
}
