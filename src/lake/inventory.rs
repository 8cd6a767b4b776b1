//! What a table's part of a lake holds, by listing it.

use futures::TryStreamExt;

use super::{LakeError, LakeStore, Layout};

/// Objects of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inventory {
    /// Objects of changes.
    pub objects: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Records in quarantine.
    pub quarantined: u64,
}

/// Lists the table's objects: one request for each thousand.
pub async fn inventory(store: &LakeStore, table: &str) -> Result<Inventory, LakeError> {
    let layout = Layout::new(&store.prefix, table);
    let mut found = Inventory::default();
    let mut changes = store.store.list(Some(&layout.changes()));
    let failed = |error| LakeError::from_store(format!("list {}", store.describe(layout.root())), error);
    while let Some(object) = changes.try_next().await.map_err(failed)? {
        if layout.parse_change(&object.location).is_some() {
            found.objects += 1;
            found.bytes += object.size;
        }
    }
    let mut quarantined = store.store.list(Some(&layout.quarantine()));
    while quarantined.try_next().await.map_err(failed)?.is_some() {
        found.quarantined += 1;
    }
    Ok(found)
}
