//! What a table's part of a lake holds, by listing it.

use futures::TryStreamExt;

use object_store::ObjectStore as _;
use object_store::path::Path;
use tokio_util::sync::CancellationToken;

use super::{HourPartition, Lake, LakeError, LakeStore, Layout, Quarantine};
use crate::retry::{RetryPolicy, retry};

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
    found.quarantined = Quarantine::new(store, table).list().await?.len() as u64;
    Ok(found)
}

impl Lake {
    /// Whether there are changes of an hour before this one.
    pub async fn has_hours_before(&self, hour: HourPartition) -> Result<bool, LakeError> {
        let layout = self.layout();
        let (day, hour_of_day) = (hour.day(), layout.partition(hour));
        let first_day = self.first_folder(&layout.changes(), "dt=").await?;
        match first_day.as_deref().map(|first| first.cmp(day.as_str())) {
            None | Some(std::cmp::Ordering::Greater) => Ok(false),
            Some(std::cmp::Ordering::Less) => Ok(true),
            Some(std::cmp::Ordering::Equal) => {
                let first = self.first_folder(&layout.day(hour), "hr=").await?;
                Ok(first.is_some_and(|first| Some(first.as_str()) < hour_of_day.filename()))
            }
        }
    }

    /// The name of the first folder in a folder, of those that begin so.
    async fn first_folder(&self, folder: &Path, beginning: &str) -> Result<Option<String>, LakeError> {
        let store = self.store();
        let list = || async {
            let listed = store.store.list_with_delimiter(Some(folder)).await;
            listed.map_err(|error| LakeError::from_store(format!("list {}", store.describe(folder)), error))
        };
        let folders = retry(RetryPolicy::COMMIT, &CancellationToken::new(), list).await?.common_prefixes;
        Ok(folders.iter().filter_map(|folder| folder.filename()).filter(|name| name.starts_with(beginning)).min().map(str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::contract::TableSchema;
    use crate::event::AttributeType;
    use crate::lake::{Decimals, Format, LakeLocation, LakeSettings};

    #[tokio::test]
    async fn the_first_hour_of_changes_is_found_by_its_folders() {
        let folder = tempfile::tempdir().unwrap();
        let settings = LakeSettings {
            location: LakeLocation::Folder(folder.path().to_owned()),
            format: Format::Parquet,
            max_size: 1,
            max_age: Duration::from_secs(1),
            decimals: Decimals::Number,
            kms_key: None,
        };
        let schema = TableSchema::keys_only("t", vec![("id".to_owned(), AttributeType::S)]);
        let lake = Lake::open(&settings, Arc::new(schema), None).await.unwrap();
        // 2026-11-21 03:00 UTC.
        let hour = |hours: i64| HourPartition::containing(1_795_230_000 + hours * 3600).unwrap();
        assert!(!lake.has_hours_before(hour(0)).await.unwrap(), "there is nothing");
        let object = folder.path().join("t/changes/dt=2026-11-21/hr=03/s-1.parquet");
        std::fs::create_dir_all(object.parent().unwrap()).unwrap();
        std::fs::write(object, "").unwrap();
        let before = [-24, -1, 0, 1, 24].map(hour);
        let mut found = Vec::new();
        for hour in before {
            found.push(lake.has_hours_before(hour).await.unwrap());
        }
        assert_eq!(found, [false, false, false, true, true]);
    }
}
