//! The demo's second half: the lake loses objects, and a snapshot that is taken under traffic brings back what they held.
//!
//! It is the older half of the objects that is deleted, as a careless lifecycle rule would do: the changes that are left are then all that were made
//! from some moment on, so they are right above any snapshot. Had an object from among the latest been deleted, older changes of the same items
//! would lie above the snapshot's rows for as long as they are not older than its start, which lies more than a minute back.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Scene, TABLE, VERIFY_DEADLINE, drained};
use crate::cli::snapshot::view::View;
use crate::cli::snapshot::wait::{Shown, Waited, wait};
use crate::clock;
use crate::embedded::generate::{GenerateOptions, generate};
use crate::lake::LakeLocation;
use crate::lease::snapshot::{Cause, Request, Source};
use crate::lease::table::LeaseTable;
use crate::query::verify::Report;
use crate::snapshot;

/// Orders a second while the snapshot is taken.
const RATE: u32 = 200;

/// What the demo has shown of healing.
#[derive(Debug, Serialize)]
pub(super) struct Healed {
    /// The objects that were deleted.
    deleted: Vec<String>,
    /// The comparison before the snapshot.
    before: Report,
    /// The snapshot.
    snapshot: View,
    /// The comparison after the snapshot.
    after: Report,
}

impl Healed {
    /// Whether the snapshot brought back what was lost.
    pub(super) fn proven(&self) -> bool {
        self.after.equal()
    }
}

/// Deletes objects, takes a snapshot under traffic, and compares before and after. Nothing where the lake has no objects.
pub(super) async fn heal(scene: &Scene, traffic: GenerateOptions) -> anyhow::Result<Option<Healed>> {
    let LakeLocation::Folder(folder) = &scene.settings.lake.location else { return Ok(None) };
    // Without the `.` that the configuration has.
    let folder: PathBuf = folder.components().collect();
    let objects = objects(&folder.join(TABLE).join("changes")).context("list the lake's objects")?;
    let lost = &objects[..objects.len().div_ceil(2)];
    if lost.is_empty() {
        return Ok(None);
    }
    scene.say(&format!("\nDeleting the older half of the lake's objects, {} of {}, by hand:", lost.len(), objects.len()));
    let mut deleted = Vec::new();
    for path in lost {
        std::fs::remove_file(path).with_context(|| format!("delete {}", path.display()))?;
        scene.say(&format!("  {}", path.display()));
        deleted.push(path.display().to_string());
    }
    // Nothing is under way, so that no key will settle by itself.
    let before = scene.verify(Duration::ZERO, 2).await?;

    scene.say("\nTaking a snapshot of the table, while new orders are written.");
    let leases = LeaseTable::new(&scene.sdk, &scene.settings.lease.application, CancellationToken::new());
    let request = Request { source: Source::Table, cause: Cause::Request, consistent: true, segments: None, budget: None, limit: None };
    let begun = tokio::time::Instant::now();
    let id = snapshot::start(&leases, request, clock::unix_seconds()).await?;
    let enough = CancellationToken::new();
    // Another seed, so that they are other orders.
    let more = GenerateOptions { rate: Some(RATE), count: None, seed: traffic.seed.wrapping_add(1), ..traffic };
    let shown = if std::io::stderr().is_terminal() { Shown::Bar } else { Shown::Lines };
    let waited = async {
        let waited = wait(&leases, &id, None, shown, &CancellationToken::new()).await;
        enough.cancel();
        waited
    };
    let (written, waited) = tokio::join!(generate(&scene.client, more, |_| {}, enough.clone()), waited);
    let written = written?;
    let (Waited::Ended(view) | Waited::Stopped(view)) = waited?;
    scene.say(&format!(
        "{}\nin {:.1} s, during which {} writes went on",
        view.line(),
        begun.elapsed().as_secs_f64(),
        written.counts.operations()
    ));
    drained(&scene.watch, view.rows, || {}).await;

    scene.say("\nComparing again.");
    let after = scene.verify(VERIFY_DEADLINE, 10).await?;
    Ok(Some(Healed { deleted, before, snapshot: view, after }))
}

/// The objects in a folder and below it, the oldest first: the names of partitions and positions are in the order of time, and the demo's stream
/// has one shard.
fn objects(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_objects_come_first_whatever_their_hour() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["dt=2026-11-22/hr=00/s-0003.parquet", "dt=2026-11-21/hr=23/s-0002.parquet", "dt=2026-11-21/hr=23/s-0001.parquet"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::fs::write(folder.path().join("dt=2026-11-21/hr=23/other.tmp"), "").unwrap();
        let names = objects(folder.path()).unwrap();
        let names: Vec<_> = names.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["s-0001", "s-0002", "s-0003"]);
    }
}
