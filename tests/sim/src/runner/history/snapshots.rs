//! Snapshots that are asked for and called off, and objects that somebody deletes from the lake.

use headwater::lease::snapshot::{ReadBudget, Request, Source};

use super::super::scenario::SnapshotStep;
use super::super::snapshots::{cancel_snapshot, request_snapshot, whole_table};
use super::super::{BUCKET, LEASES, PREFIX, TABLE};
use super::{History, leases};
use crate::check::ledger::Checkpoint;
use crate::check::position::Position;

impl History {
    /// Asks for a snapshot. There is nobody to ask before the first worker has made the lease table.
    pub(in super::super) fn snapshot(&mut self, step: &SnapshotStep) -> anyhow::Result<()> {
        if self.cloud.state().tables.items(LEASES).is_none() {
            return Ok(());
        }
        let SnapshotStep { part, segments, consistent, budget } = *step;
        let source = part.map_or(Source::Table, |(number, of)| Source::Segment { number, of });
        let request = Request { source, consistent, segments, budget: budget.map(ReadBudget::Units), ..whole_table() };
        request_snapshot(&self.cloud, LEASES, request, self.rng.u32(..))?;
        Ok(())
    }

    /// Calls off a snapshot.
    pub(in super::super) fn cancel_snapshot(&mut self, pick: usize) -> anyhow::Result<()> {
        cancel_snapshot(&self.cloud, LEASES, pick).map(drop)
    }

    /// Deletes an object of changes from the lake: one that is behind its shard's checkpoint, because what is read again lands in objects of other
    /// extents, and those that are left could not tell.
    pub(in super::super) fn delete_object(&mut self, pick: usize) {
        let now = self.cloud.clock.now();
        let state = &mut *self.cloud.state();
        let folder = format!("{PREFIX}/{TABLE}/changes/");
        let mut objects: Vec<(String, Position, String)> = Vec::new();
        for key in state.buckets.objects(BUCKET).into_iter().flatten().map(|(key, _)| key) {
            let Some(name) = key.strip_prefix(&folder).and_then(|name| name.rsplit('/').next()) else { continue };
            let place = name.split_once('.').and_then(|(stem, _)| stem.rsplit_once('-'));
            let Some((shard, after)) = place.and_then(|(shard, digits)| Some((shard, Position::parse(digits)?))) else { continue };
            objects.push((shard.to_owned(), after, key.clone()));
        }
        let done: Vec<(String, Checkpoint)> = leases(&state.tables).map(|(shard, lease)| (shard, lease.checkpoint)).collect();
        let is_behind = |shard: &str, after: &Position| {
            let next = objects.iter().filter(|(of, begin, _)| of == shard && begin > after).map(|(_, begin, _)| begin).min();
            done.iter().any(|(of, checkpoint)| {
                let is_passed = next.is_some_and(|next| *checkpoint >= Checkpoint::At(next.clone()));
                of == shard && (is_passed || *checkpoint == Checkpoint::End)
            })
        };
        let behind: Vec<&String> = objects.iter().filter(|(shard, after, _)| is_behind(shard, after)).map(|(_, _, key)| key).collect();
        if let Some(key) = behind.get(pick % behind.len().max(1)) {
            state.buckets.delete(BUCKET, key, now, "", &self.cloud.journal);
        }
    }
}
