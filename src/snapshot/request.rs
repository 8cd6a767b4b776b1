//! Asking for snapshots, stopping them and looking at them: what commands do, in any process.

use super::{keys, plan};
use crate::aws::AwsError;
use crate::lake::{LakeError, LakeStore};
use crate::lease::Checkpoint;
use crate::lease::snapshot::{Request, Snapshot, Source, State};
use crate::lease::table::{Contents, LeaseTable, Move};
use crate::table::Key;

/// A list of more keys than this is no list any more: a snapshot of the whole table reads them for less.
const MOST_KEYS: usize = 1_000_000;

/// A snapshot could not be asked for, or not be stopped.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The lease table refused, or did not come back.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The list of keys could not be written.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// There is no such snapshot.
    #[error("there is no snapshot '{0}': `headwater snapshot list` shows those that there are")]
    Unknown(String),
    /// It is over.
    #[error("snapshot '{id}' cannot be cancelled any more: it is {}", describe(*.state))]
    TooLate {
        /// The snapshot.
        id: String,
        /// Where it stands.
        state: State,
    },
    /// The list of keys is empty, or too long.
    #[error("a list of {0} keys: from one to {MOST_KEYS} are possible; take a snapshot of the whole table instead of a longer one")]
    Keys(usize),
}

/// A snapshot, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotProgress {
    /// The snapshot, with the rows that are durable and the half units that were consumed by now.
    pub snapshot: Snapshot,
    /// How many segments are done.
    pub segments_done: u32,
}

impl SnapshotProgress {
    /// How far a snapshot is, as the lease table tells.
    pub fn of(snapshot: &Snapshot, contents: &Contents) -> Self {
        let mut progress = Self { snapshot: snapshot.clone(), segments_done: 0 };
        let (mut rows, mut half_units) = (0, 0);
        for lease in &contents.segments {
            let Some(segment) = lease.segment.as_ref().filter(|segment| segment.snapshot == snapshot.id) else { continue };
            progress.segments_done += u32::from(lease.checkpoint == Checkpoint::ShardEnd);
            rows += segment.rows;
            half_units += segment.half_units;
        }
        match snapshot.state {
            State::Running => (progress.snapshot.rows, progress.snapshot.half_units) = (rows, half_units),
            // The leases of its segments may be deleted by now.
            State::Completing | State::Completed => progress.segments_done = snapshot.segments,
            State::Requested | State::Cancelled | State::Failed => {}
        }
        progress
    }
}

/// Asks for a snapshot, and gives its id. A worker of the capture stage takes it from here. For a list of keys, see [`start_for_keys`].
pub async fn start(leases: &LeaseTable, request: Request, now: i64) -> Result<String, SnapshotError> {
    let snapshot = plan::requested(new_id(now), request, now);
    leases.request(&snapshot).await?;
    Ok(snapshot.id)
}

/// Asks for a snapshot of single items of `table`, whose keys are put into the lake beside it; the request's source follows from them. Each key counts
/// once.
pub async fn start_for_keys(
    leases: &LeaseTable,
    lake: &LakeStore,
    table: &str,
    keys: &[Key],
    request: Request,
    now: i64,
) -> Result<String, SnapshotError> {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() || keys.len() > MOST_KEYS {
        return Err(SnapshotError::Keys(keys.len()));
    }
    let request = Request { source: Source::Keys { count: keys.len() as u64 }, ..request };
    let snapshot = plan::requested(new_id(now), request, now);
    // The list first: whoever sees the request needs it.
    keys::write(lake, table, &snapshot.id, &keys).await?;
    leases.request(&snapshot).await?;
    Ok(snapshot.id)
}

/// Stops a snapshot that is not complete yet: its rows count for nothing, unless its marker is being written at this moment, when every row is there. May
/// be repeated.
pub async fn cancel(leases: &LeaseTable, id: &str, now: i64) -> Result<Snapshot, SnapshotError> {
    loop {
        let seen = leases.snapshot(id).await?.ok_or_else(|| SnapshotError::Unknown(id.to_owned()))?;
        match seen.state {
            State::Cancelled => return Ok(seen),
            State::Requested | State::Running | State::Completing => {}
            state @ (State::Completed | State::Failed) => {
                return Err(SnapshotError::TooLate { id: id.to_owned(), state });
            }
        }
        let cancelled = leases.advance(&seen, |snapshot| {
            snapshot.state = State::Cancelled;
            snapshot.ended_at = Some(now);
        });
        // Moved on meanwhile: look again where it stands.
        if let Move::Done(snapshot) = cancelled.await? {
            return Ok(*snapshot);
        }
    }
}

/// The last digits of a UUID of version 7 are random.
fn new_id(now: i64) -> String {
    let random = uuid::Uuid::now_v7().simple().to_string();
    plan::id(now, random.get(24..).unwrap_or(&random))
}

const fn describe(state: State) -> &'static str {
    match state {
        State::Requested => "requested",
        State::Running => "running",
        State::Completing => "waiting for its rows to arrive in the lake",
        State::Completed => "complete",
        State::Cancelled => "cancelled",
        State::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_when_the_snapshot_was_asked_for_and_is_its_own() {
        let (one, other) = (new_id(1_795_230_000), new_id(1_795_230_000));
        assert!(one.starts_with("20261121T030000Z-") && one.len() == 25, "{one}");
        assert_ne!(one, other);
    }
}
