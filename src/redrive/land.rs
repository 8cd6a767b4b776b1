//! Sending into the lake, where each change lands once. See [`super`] for why.

use std::collections::{BTreeSet, HashSet};

use super::plan::{Plan, at, behind, conditions};
use super::{Fate, Ready, Redrive, RedriveError, Report, StageRoute};
use crate::event::Position;
use crate::lake::{HourPartition, LakeError, Problem, Quarantine, QuarantineEntry};
use crate::route::{Progress, ShardWriter};

/// What has come of a plan.
struct CarriedOut {
    /// The event ids in its objects.
    landed: HashSet<String>,
    /// How many entries this process has deleted.
    removed: u64,
}

impl Redrive {
    /// Carries out the plan with the highest number, if any of its entries is left. Returns how many records of it were sent to the end.
    /// `done` is the number up to which this process knows of nothing more to do, then and afterwards.
    pub(super) async fn finish(&self, done: &mut u32) -> Result<u64, RedriveError> {
        let Some((number, body)) = self.lake.quarantined().latest_plan().await?.filter(|(number, _)| number > done) else { return Ok(0) };
        let plan = Plan::parse(number, &body)?;
        let mut finished = 0;
        if self.entries(&plan).await?.iter().any(Option::is_some) {
            let Some(stage) = self.stages.iter().find(|stage| stage.origin == plan.origin && stage.lands) else {
                return Err(RedriveError::NoRoute { number, origin: plan.origin });
            };
            tracing::warn!(number, "a redrive was interrupted, or another one is at work: carrying out its plan first");
            finished = self.carry_out(stage, &plan).await?.removed;
        }
        *done = number;
        Ok(finished)
    }

    /// Lands a batch.
    pub(super) async fn land(
        &self,
        stage: &StageRoute,
        mut batch: Vec<Ready>,
        done: &mut u32,
        report: &mut Report,
    ) -> Result<(), RedriveError> {
        let quarantine = self.lake.quarantined();
        let landed = loop {
            let plan = Plan::of(stage.origin, conditions(&self.lake), &batch);
            let number = *done + 1;
            let body = serde_json::to_vec(&plan).map_err(|error| RedriveError::Plan { number, reason: error.to_string() })?;
            if quarantine.create_plan(number, &body).await? {
                let CarriedOut { landed, .. } = self.carry_out(stage, &plan).await?;
                *done = number;
                break landed;
            }
            // Another redrive was faster. What it sends is not sent again.
            report.finished += self.finish(done).await?;
            let mut left = Vec::new();
            for ready in batch {
                if quarantine.read(&ready.entry.location).await?.is_some() {
                    left.push(ready);
                }
            }
            batch = left;
            if batch.is_empty() {
                return Ok(());
            }
        };
        for ready in &batch {
            let fate = if landed.contains(&ready.event_id) {
                Fate::Sent
            } else {
                Fate::Stays("it was changed while it was being sent: run the command again".to_owned())
            };
            report.note(&ready.entry, fate);
        }
        Ok(())
    }

    /// Writes what the plan says, if this process would write the same as the one that made it, and deletes the entries whose changes are
    /// in the plan's objects. May be repeated, by anybody, at any time.
    async fn carry_out(&self, stage: &StageRoute, plan: &Plan) -> Result<CarriedOut, RedriveError> {
        let entries = self.entries(plan).await?;
        if plan.conditions == conditions(&self.lake)
            && let Some(entries) = entries.iter().map(Option::as_ref).collect::<Option<Vec<_>>>()
            && self.all_hold(stage, plan, &entries).await?
        {
            self.write(stage, plan, &entries).await?;
        }
        let (mut landed, mut hours) = (HashSet::new(), BTreeSet::new());
        for planned in &plan.records {
            let hour = hour_of(planned.time)?;
            if hours.insert(hour.to_string()) {
                landed.extend(self.lake.landed_events(&plan.shard(), hour).await?);
            }
        }
        let mut removed = 0;
        for (planned, entry) in plan.records.iter().zip(&entries) {
            if landed.contains(&planned.event_id)
                && let Some(entry) = entry
            {
                self.lake.quarantined().remove(&entry.location).await?;
                removed += 1;
            }
        }
        Ok(CarriedOut { landed, removed })
    }

    /// The entries of the plan, in its order; none where one is gone.
    async fn entries(&self, plan: &Plan) -> Result<Vec<Option<QuarantineEntry>>, RedriveError> {
        let mut entries = Vec::with_capacity(plan.records.len());
        for planned in &plan.records {
            entries.push(match planned.location() {
                Some(location) => self.lake.quarantined().read(&location).await?,
                None => None,
            });
        }
        Ok(entries)
    }

    /// Whether each record holds the change that the plan says.
    async fn all_hold(&self, stage: &StageRoute, plan: &Plan, entries: &[&QuarantineEntry]) -> Result<bool, RedriveError> {
        for (planned, entry) in plan.records.iter().zip(entries) {
            match stage.change(&self.lake, entry).await? {
                Ok(event) if event.event_id == planned.event_id && event.time == planned.time => {}
                Ok(_) | Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Writes every change of the plan that nobody has written yet.
    async fn write(&self, stage: &StageRoute, plan: &Plan, entries: &[&QuarantineEntry]) -> Result<(), RedriveError> {
        let mut writer = stage.route.open(&plan.shard(), Position::ZERO).await?;
        let mut next = 0;
        loop {
            while let Some((planned, entry)) = plan.records.get(next).zip(entries.get(next)) {
                let is_twin = plan.records.iter().take(next).any(|before| before.event_id == planned.event_id);
                let written = if is_twin {
                    // One record has two entries when versions differ about its name.
                    writer.skip(at(next));
                    Progress::Unchanged
                } else {
                    self.append(stage, writer.as_mut(), at(next), entry).await?
                };
                next = if let Progress::Rewind(position) = written { behind(position) } else { next + 1 };
            }
            // Another process may be ahead: then the rest is written behind what it has written.
            match writer.flush().await? {
                Progress::Rewind(position) => next = behind(position),
                Progress::Durable(_) | Progress::Unchanged if writer.is_flushed() => return Ok(()),
                Progress::Durable(_) | Progress::Unchanged => {}
            }
        }
    }

    async fn append(
        &self,
        stage: &StageRoute,
        writer: &mut dyn ShardWriter,
        position: Position,
        entry: &QuarantineEntry,
    ) -> Result<Progress, RedriveError> {
        match stage.change(&self.lake, entry).await? {
            Ok(event) => Ok(writer.append(position, &event).await?),
            Err(reason) => Err(RedriveError::Unreadable { location: self.lake.quarantined().describe(&entry.location), reason }),
        }
    }
}

fn hour_of(time: i64) -> Result<HourPartition, RedriveError> {
    let impossible = |error| LakeError::new("look for the changes of a redrive", Problem::Event(format!("a time is impossible: {error}")));
    Ok(HourPartition::containing(time).map_err(impossible)?)
}

/// Sets these records aside, except those that a redrive has begun to send: whether they have landed is not known before it is at its end.
pub async fn discard(quarantine: &Quarantine, entries: &[QuarantineEntry]) -> Result<Report, RedriveError> {
    let mut report = Report::default();
    let planned: BTreeSet<String> = match quarantine.latest_plan().await? {
        Some((number, body)) => {
            let plan = Plan::parse(number, &body)?;
            plan.records.into_iter().map(|planned| planned.entry).collect()
        }
        None => BTreeSet::new(),
    };
    for entry in entries {
        if planned.contains(entry.location.as_ref()) {
            let reason = "a redrive was interrupted while it was sending it: run `headwater redrive` first".to_owned();
            report.note(entry, Fate::Stays(reason));
        } else {
            quarantine.discard(&entry.location).await?;
            report.note(entry, Fate::Discarded);
        }
    }
    Ok(report)
}
