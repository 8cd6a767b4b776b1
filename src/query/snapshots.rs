//! The markers of completed snapshots, and which of them the table's state stands on.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::QueryError;
use crate::lake::Marker;

/// Markers that are read at the same time: each is a request.
const READ_AT_ONCE: usize = 16;

/// The snapshots that `current` stands on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'m> {
    /// The latest complete snapshot of the whole table, if there is one: what is not among its rows was not there.
    pub(super) whole: Option<&'m Marker>,
    /// Complete snapshots of a part of the table that started later, the earliest first: each overrides its own keys.
    pub(super) parts: &'m [Marker],
}

impl<'m> Ground<'m> {
    /// What counts of the markers, which are in order.
    pub(super) fn of(markers: &'m [Marker]) -> Self {
        match markers.iter().rposition(|marker| marker.whole).and_then(|at| markers.get(at..)).and_then(<[Marker]>::split_first) {
            Some((whole, parts)) => Self { whole: Some(whole), parts },
            None => Self { whole: None, parts: markers },
        }
    }
}

/// The instant from which on stream changes lie above a snapshot's rows: its start, in the whole seconds of `cdc_time`.
pub(super) fn start(marker: &Marker) -> Timestamp {
    Timestamp::from_second(marker.started_at.as_second()).unwrap_or(marker.started_at)
}

/// All completed snapshots of a table, in the order of their starts.
pub(super) async fn read(table: &Arc<dyn ObjectStore>) -> Result<Vec<Marker>, QueryError> {
    let directory = Path::from("snapshots");
    let listed: Vec<_> = table
        .list(Some(&directory))
        .try_collect()
        .await
        .map_err(|source| QueryError::Read { doing: "list the snapshots of the lake".to_owned(), source })?;
    let paths = listed.into_iter().map(|object| object.location).filter(|path| path.extension() == Some("json"));
    let markers = futures::stream::iter(paths.map(|path| read_one(table, path))).buffer_unordered(READ_AT_ONCE);
    let mut markers: Vec<Marker> = markers.try_collect().await?;
    markers.sort_by(|a, b| (a.started_at, a.completed_at, &a.snapshot_id).cmp(&(b.started_at, b.completed_at, &b.snapshot_id)));
    Ok(markers)
}

async fn read_one(table: &Arc<dyn ObjectStore>, path: Path) -> Result<Marker, QueryError> {
    let read = |source| QueryError::Read { doing: format!("read {path} of the lake"), source };
    let body = table.get(&path).await.map_err(read)?.bytes().await.map_err(read)?;
    serde_json::from_slice(&body).map_err(|source| QueryError::Malformed { path: path.to_string(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(id: &str, started: i64, whole: bool) -> Marker {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        Marker { snapshot_id: id.into(), table: "t".into(), started_at: at(started), completed_at: at(started + 9), rows: 1, whole }
    }

    fn ids(ground: Ground<'_>) -> (Option<&str>, Vec<&str>) {
        let parts = ground.parts.iter().map(|part| part.snapshot_id.as_str()).collect();
        (ground.whole.map(|whole| whole.snapshot_id.as_str()), parts)
    }

    #[test]
    fn the_state_stands_on_the_latest_whole_snapshot_and_the_partial_ones_behind_it() {
        let markers: Vec<_> = [("s1", false), ("s2", true), ("s3", true), ("s4", false), ("s5", false)]
            .into_iter()
            .zip(1..)
            .map(|((id, whole), at)| marker(id, at, whole))
            .collect();
        assert_eq!(ids(Ground::of(&[])), (None, vec![]));
        assert_eq!(ids(Ground::of(&markers[..1])), (None, vec!["s1"]));
        assert_eq!(ids(Ground::of(&markers[..2])), (Some("s2"), vec![]));
        assert_eq!(ids(Ground::of(&markers)), (Some("s3"), vec!["s4", "s5"]));
    }

    #[tokio::test]
    async fn markers_are_put_in_the_order_of_their_starts() {
        let store: Arc<dyn ObjectStore> = Arc::new(object_store::memory::InMemory::new());
        for (name, started) in [("a", 3), ("b", 1), ("c", 2)] {
            let json = serde_json::to_vec(&marker(name, started, true)).unwrap();
            store.put(&Path::from(format!("snapshots/{name}.json")), json.into()).await.unwrap();
        }
        store.put(&Path::from("snapshots/readme.txt"), "no marker".into()).await.unwrap();
        let read: Vec<_> = read(&store).await.unwrap().into_iter().map(|marker| marker.snapshot_id).collect();
        assert_eq!(read, ["b", "c", "a"]);
    }
}
