//! The answer of `/status`: every shard that the process holds, and what it has done. The names of the fields stay.

use std::collections::BTreeMap;

use serde::Serialize;

use super::reading::{LakeReading, MemoryReading, Reading, SentReading, ShardReading, StageReading};
use crate::clock;
use crate::consumer::board::Doing;
use crate::snapshot;

#[derive(Debug, Serialize)]
pub(super) struct Status {
    version: &'static str,
    table: String,
    /// `starting`, `running` or `stopping`.
    state: &'static str,
    ready: bool,
    /// Why it is not ready, as `/readyz` says it.
    reasons: Vec<String>,
    uptime_seconds: u64,
    stages: Vec<Stage>,
    /// What was sent, by service.
    sent: BTreeMap<&'static str, Sent>,
    lake: Option<Lake>,
    snapshots: Option<Snapshots>,
    memory: Memory,
    /// What was tried again, by its class.
    retries: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the answer")]
struct Stage {
    stage: &'static str,
    stream: Option<String>,
    stream_enabled: Option<bool>,
    looked_seconds_ago: Option<u64>,
    lag_seconds: Option<i64>,
    seconds_to_trim: Option<i64>,
    changes: u64,
    bytes_read: u64,
    newest_change: Option<String>,
    gaps: u64,
    quarantined: u64,
    misfits: u64,
    leases: LeaseMoves,
    shards: Vec<Shard>,
}

#[derive(Debug, Serialize)]
struct LeaseMoves {
    taken: u64,
    stolen: u64,
    handed_over: u64,
    lost: u64,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the answer")]
struct Shard {
    shard: String,
    /// `taking_over`, `reading` or `waiting`.
    doing: &'static str,
    /// What it waits for.
    reason: Option<String>,
    since_seconds: u64,
    since_progress_seconds: u64,
    durable_through: Option<String>,
    lag_seconds: Option<i64>,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the answer")]
struct Sent {
    calls: u64,
    events: u64,
    records: u64,
    bytes: u64,
    billed_units: u64,
    sent_again: u64,
    misplaced: u64,
}

#[derive(Debug, Serialize)]
struct Lake {
    rows: u64,
    objects: u64,
    bytes: u64,
    superseded: u64,
    quarantined: u64,
    claims: u64,
}

#[derive(Debug, Serialize)]
struct Snapshots {
    rows: u64,
    segments: u64,
    half_read_units: u64,
    quarantined: u64,
    misfits: u64,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the answer")]
struct Memory {
    held_bytes: Option<usize>,
    budget_bytes: Option<usize>,
    resident_bytes: Option<u64>,
}

impl From<&Reading> for Status {
    fn from(now: &Reading) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            table: now.table.clone(),
            state: now.phase.name(),
            ready: now.is_ready(),
            reasons: now.reasons.iter().map(ToString::to_string).collect(),
            uptime_seconds: now.uptime.as_secs(),
            stages: now.stages.iter().map(Stage::from).collect(),
            sent: now.sent.iter().map(|sent| (sent.service, sent.into())).collect(),
            lake: now.lake.map(Lake::from),
            snapshots: now.snapshots.map(Snapshots::from),
            memory: Memory {
                held_bytes: now.memory.map(|MemoryReading { held, .. }| held),
                budget_bytes: now.memory.map(|MemoryReading { budget, .. }| budget),
                resident_bytes: now.resident,
            },
            retries: now.retries.iter().map(|(cause, count)| (cause.name(), *count)).collect(),
        }
    }
}

impl From<&StageReading> for Stage {
    fn from(stage: &StageReading) -> Self {
        let (totals, looked) = (stage.totals, stage.looked.as_ref());
        Self {
            stage: stage.name,
            stream: looked.map(|look| look.stream.arn.to_string()),
            stream_enabled: looked.map(|look| look.stream.enabled),
            looked_seconds_ago: looked.map(|look| look.ago.as_secs()),
            lag_seconds: stage.lag(),
            seconds_to_trim: stage.seconds_until_trim(),
            changes: totals.records,
            bytes_read: totals.bytes,
            newest_change: (totals.newest > 0).then(|| clock::rfc3339(totals.newest)),
            gaps: totals.gaps,
            quarantined: totals.quarantined,
            misfits: totals.misfits,
            leases: LeaseMoves { taken: totals.taken, stolen: totals.stolen, handed_over: totals.handed_over, lost: totals.lost },
            shards: stage.shards.iter().map(|shard| Shard::new(shard, stage.now)).collect(),
        }
    }
}

impl Shard {
    fn new(held: &ShardReading, now: i64) -> Self {
        let (doing, reason) = match &held.doing {
            Doing::TakingOver => ("taking_over", None),
            Doing::Reading => ("reading", None),
            Doing::Waiting(reason) => ("waiting", Some(reason.clone())),
        };
        Self {
            shard: held.shard.to_string(),
            doing,
            reason,
            since_seconds: held.since.as_secs(),
            since_progress_seconds: held.since_progress.as_secs(),
            durable_through: held.durable_through.map(clock::rfc3339),
            lag_seconds: held.durable_through.map(|through| (now - through).max(0)),
        }
    }
}

impl From<&SentReading> for Sent {
    fn from(SentReading { totals, .. }: &SentReading) -> Self {
        Self {
            calls: totals.calls,
            events: totals.events,
            records: totals.records,
            bytes: totals.bytes,
            billed_units: totals.units,
            sent_again: totals.retried,
            misplaced: totals.misplaced,
        }
    }
}

impl From<LakeReading> for Lake {
    fn from(LakeReading { counts, .. }: LakeReading) -> Self {
        Self {
            rows: counts.rows,
            objects: counts.objects,
            bytes: counts.bytes,
            superseded: counts.superseded,
            quarantined: counts.quarantined,
            claims: counts.claims,
        }
    }
}

impl From<snapshot::Totals> for Snapshots {
    fn from(totals: snapshot::Totals) -> Self {
        Self {
            rows: totals.rows,
            segments: totals.segments,
            half_read_units: totals.half_units,
            quarantined: totals.quarantined,
            misfits: totals.misfits,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::super::reading::tests::reading;
    use super::*;

    #[test]
    fn each_shard_tells_where_it_stands() {
        let mut now = reading();
        let held = &mut now.stages[0].shards[1];
        (held.doing, held.since) = (Doing::Waiting("the store does not answer".to_owned()), Duration::from_secs(17));
        let status = serde_json::to_value(Status::from(&now)).unwrap();
        let expected = json!({
            "shard": "shardId-2",
            "doing": "waiting",
            "reason": "the store does not answer",
            "since_seconds": 17,
            "since_progress_seconds": 1,
            "durable_through": "2026-11-21T14:06:37Z",
            "lag_seconds": 3,
        });
        assert_eq!(status["stages"][0]["shards"][1], expected);
        assert_eq!(status["stages"][0]["lag_seconds"], 12);
        assert_eq!(status["stages"][1]["lag_seconds"], Value::Null);
    }

    /// Scripts read them: a name that changes breaks somebody.
    #[test]
    fn the_names_of_the_fields_stay() {
        let status = serde_json::to_value(Status::from(&reading())).unwrap();
        let names = |value: &Value| {
            value.as_object().unwrap().keys().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&status), "lake memory ready reasons retries sent snapshots stages state table uptime_seconds version");
        assert_eq!(
            names(&status["stages"][0]),
            "bytes_read changes gaps lag_seconds leases looked_seconds_ago misfits newest_change quarantined seconds_to_trim shards stage \
             stream stream_enabled"
        );
        assert_eq!(names(&status["stages"][0]["leases"]), "handed_over lost stolen taken");
        assert_eq!(names(&status["sent"]["kinesis"]), "billed_units bytes calls events misplaced records sent_again");
        assert_eq!(names(&status["lake"]), "bytes claims objects quarantined rows superseded");
        assert_eq!(names(&status["snapshots"]), "half_read_units misfits quarantined rows segments");
        assert_eq!(names(&status["memory"]), "budget_bytes held_bytes resident_bytes");
    }
}
