//! The declarations.

use super::Kind::{Counter, Gauge, Histogram};
use super::Unit::{Bytes, Count, Seconds};
use super::{Metric, Sample, one, per_service, per_stage};
use crate::ops::reading::{Reading, StageReading};

/// Every metric, in the order in which they are told.
pub const METRICS: &[Metric] = &[
    // The process.
    Metric::new(Gauge, "headwater_build_info", Count, &["version"], build).means("Always 1; the label says which version runs."),
    Metric::new(Gauge, "headwater_ready", Count, &[], |now| one(Some(now.is_ready())))
        .means("1 while data moves, as `/readyz` says it, else 0.")
        .in_cloudwatch(),
    Metric::new(Gauge, "headwater_uptime_seconds", Seconds, &[], |now| one(Some(now.uptime.as_secs_f64())))
        .means("How long the process has been there."),
    Metric::new(Gauge, "process_resident_memory_bytes", Bytes, &[], |now| one(now.resident))
        .means("Memory that the process occupies; on Linux only.")
        .in_cloudwatch(),
    Metric::new(Gauge, "headwater_memory_held_bytes", Bytes, &[], |now| one(now.memory.map(|memory| memory.held)))
        .means("What is buffered for the route, over all shards.")
        .in_cloudwatch(),
    Metric::new(Gauge, "headwater_memory_budget_bytes", Bytes, &[], |now| one(now.memory.map(|memory| memory.budget)))
        .means("What may be buffered: `memory.budget`."),
    Metric::new(Counter, "headwater_retries_total", Count, &["class"], retries)
        .means("Attempts that were made again: calls, and single records that Kinesis or Firehose had refused. Retries inside the object store are not in it.")
        .in_cloudwatch(),
    // Each stage.
    Metric::new(Counter, "headwater_changes_total", Count, &["stage"], |now| per_stage(now, |stage| Some(stage.totals.records)))
        .means("Changes taken from the stream into the route.")
        .in_cloudwatch(),
    Metric::new(Counter, "headwater_read_bytes_total", Bytes, &["stage"], |now| per_stage(now, |stage| Some(stage.totals.bytes)))
        .means("Bytes of GetRecords responses."),
    Metric::new(Gauge, "headwater_newest_change_timestamp_seconds", Seconds, &["stage"], newest)
        .means("When the newest change that was taken had been made, since the epoch; absent before the first."),
    Metric::new(Gauge, "headwater_lag_seconds", Seconds, &["stage"], |now| per_stage(now, StageReading::lag))
        .means("How far behind the oldest change is that may not be durable, over the shards that this process holds. Stays near zero while the stream is quiet; absent while it is not known of each of them.")
        .in_cloudwatch(),
    Metric::new(Gauge, "headwater_time_to_trim_seconds", Seconds, &["stage"], |now| per_stage(now, StageReading::seconds_until_trim))
        .means("How long until the stream begins to drop what is not durable; below zero when it may have begun.")
        .in_cloudwatch(),
    Metric::new(Gauge, "headwater_last_look_age_seconds", Seconds, &["stage"], last_look)
        .means("How long ago the stage last saw its stream and its leases; absent before the first time."),
    Metric::new(Gauge, "headwater_shards_held", Count, &["stage"], |now| per_stage(now, |stage| Some(stage.shards.len())))
        .means("Shards that this process holds.")
        .in_cloudwatch(),
    Metric::new(Gauge, "headwater_shards_waiting", Count, &["stage"], |now| per_stage(now, |stage| Some(stage.waiting())))
        .means("Held shards that wait for something to pass, such as a target that is down.")
        .in_cloudwatch(),
    Metric::new(Gauge, "headwater_shards_stalled", Count, &["stage"], |now| per_stage(now, |stage| Some(stage.stalled)))
        .means("Held shards that have confirmed no progress for `health.stalled_after`.")
        .in_cloudwatch(),
    Metric::new(Counter, "headwater_gaps_total", Count, &["stage"], |now| per_stage(now, |stage| Some(stage.totals.gaps)))
        .means("Gaps that this process has found and recorded: changes that the stream no longer had.")
        .in_cloudwatch(),
    Metric::new(Counter, "headwater_quarantined_total", Count, &["stage"], |now| per_stage(now, |stage| Some(stage.totals.quarantined)))
        .means("Records of the stream that could not be taken and are in quarantine."),
    Metric::new(Counter, "headwater_misfits_total", Count, &["stage"], |now| per_stage(now, |stage| Some(stage.totals.misfits)))
        .means("Attribute values that did not fit the column of the contract and are in `cdc_extra`."),
    Metric::new(Counter, "headwater_lease_moves_total", Count, &["stage", "kind"], lease_moves)
        .means("Leases that were `taken` because nobody held them any more, `stolen` (asked for, to share the work), `handed_over` to who asked, `lost` to another worker.")
        .in_cloudwatch(),
    // Each service that is sent to.
    Metric::new(Counter, "headwater_sent_events_total", Count, &["service"], |now| per_service(now, |sent| sent.totals.events))
        .means("Events that the service has acknowledged."),
    Metric::new(Counter, "headwater_sent_records_total", Count, &["service"], |now| per_service(now, |sent| sent.totals.records))
        .means("Records that the service has taken, of one event or of several."),
    Metric::new(Counter, "headwater_sent_bytes_total", Bytes, &["service"], |now| per_service(now, |sent| sent.totals.bytes))
        .means("Bytes of the records that the service has taken."),
    Metric::new(Counter, "headwater_sent_billed_units_total", Count, &["service"], |now| per_service(now, |sent| sent.totals.units))
        .means("What is billed for them: each record in whole units of the service."),
    Metric::new(Counter, "headwater_sent_calls_total", Count, &["service"], |now| per_service(now, |sent| sent.totals.calls))
        .means("Calls made, answered or not."),
    Metric::new(Counter, "headwater_sent_again_records_total", Count, &["service"], |now| per_service(now, |sent| sent.totals.retried))
        .means("Records that were refused, or of which nobody knows whether they were taken, and that were sent again.")
        .in_cloudwatch(),
    Metric::new(Counter, "headwater_sent_misplaced_records_total", Count, &["service"], |now| per_service(now, |sent| sent.totals.misplaced))
        .means("Aggregated records that landed on a shard to which not all of their keys belong; part of those that were sent again."),
    Metric::new(Histogram, "headwater_sent_batch_events", Count, &["service"], |now| per_service(now, |sent| sent.batches))
        .means("Events that each answered call has acknowledged.")
        .experimental(),
    // The lake.
    Metric::new(Counter, "headwater_lake_rows_total", Count, &[], |now| one(now.lake.map(|lake| lake.counts.rows)))
        .means("Changes in objects that this process has committed to the lake.")
        .in_cloudwatch(),
    Metric::new(Counter, "headwater_lake_objects_total", Count, &[], |now| one(now.lake.map(|lake| lake.counts.objects)))
        .means("Objects of changes that this process has committed."),
    Metric::new(Counter, "headwater_lake_bytes_total", Bytes, &[], |now| one(now.lake.map(|lake| lake.counts.bytes)))
        .means("Bytes of these objects."),
    Metric::new(Counter, "headwater_lake_superseded_total", Count, &[], |now| one(now.lake.map(|lake| lake.counts.superseded)))
        .means("Runs that were given up because another process had committed them, or an attempt of this one whose answer was lost."),
    Metric::new(Counter, "headwater_lake_quarantined_total", Count, &[], |now| one(now.lake.map(|lake| lake.counts.quarantined)))
        .means("Records stored in quarantine, for whatever reason: those of every stage, of snapshots, and what no route could take.")
        .in_cloudwatch(),
    Metric::new(Counter, "headwater_lake_claims_total", Count, &[], |now| one(now.lake.map(|lake| lake.counts.claims)))
        .means("Changes stored whole beside the stream because no record of it could hold them."),
    Metric::new(Histogram, "headwater_lake_object_rows", Count, &[], |now| one(now.lake.map(|lake| lake.runs)))
        .means("Changes in each object that was committed.")
        .experimental(),
    // Snapshots.
    Metric::new(Counter, "headwater_snapshot_rows_total", Count, &[], |now| one(now.snapshots.map(|snapshots| snapshots.rows)))
        .means("Rows of snapshots given to the route."),
    Metric::new(Counter, "headwater_snapshot_segments_total", Count, &[], |now| one(now.snapshots.map(|snapshots| snapshots.segments)))
        .means("Segments of snapshots read to their end."),
    Metric::new(Counter, "headwater_snapshot_read_units_total", Count, &[], read_units)
        .means("Read capacity units that snapshots have consumed."),
    Metric::new(Counter, "headwater_snapshot_quarantined_total", Count, &[], |now| one(now.snapshots.map(|snapshots| snapshots.quarantined)))
        .means("Rows of snapshots that could not be taken and are in quarantine."),
    Metric::new(Counter, "headwater_snapshot_misfits_total", Count, &[], |now| one(now.snapshots.map(|snapshots| snapshots.misfits)))
        .means("Attribute values of snapshots' rows that did not fit the column of the contract and are in `cdc_extra`."),
];

fn build(_: &Reading) -> Vec<Sample> {
    vec![Sample { labels: vec![env!("CARGO_PKG_VERSION")], value: 1_u64.into() }]
}

fn retries(now: &Reading) -> Vec<Sample> {
    now.retries.iter().map(|(cause, count)| Sample { labels: vec![cause.name()], value: (*count).into() }).collect()
}

fn newest(now: &Reading) -> Vec<Sample> {
    per_stage(now, |stage| Some(stage.totals.newest).filter(|newest| *newest > 0))
}

fn last_look(now: &Reading) -> Vec<Sample> {
    per_stage(now, |stage| stage.looked.as_ref().map(|look| look.ago.as_secs_f64()))
}

fn lease_moves(now: &Reading) -> Vec<Sample> {
    let stages = now.stages.iter().flat_map(|stage| {
        let totals = stage.totals;
        let moves = [("taken", totals.taken), ("stolen", totals.stolen), ("handed_over", totals.handed_over), ("lost", totals.lost)];
        moves.map(|(kind, count)| Sample { labels: vec![stage.name, kind], value: count.into() })
    });
    stages.collect()
}

/// Scans are billed in halves.
fn read_units(now: &Reading) -> Vec<Sample> {
    #[expect(clippy::cast_precision_loss, reason = "a half is lost beyond nine quadrillion of them")]
    one(now.snapshots.map(|snapshots| snapshots.half_units as f64 / 2.0))
}
