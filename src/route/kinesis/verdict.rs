//! What Kinesis' answers to records mean.

use super::plan::{Lane, PlannedRecord};
use super::service::Answer;
use crate::mutant::{self, Mutant};
use crate::route::shard_map::ShardMap;
use crate::route::wait::GaveUp;

/// The code of a record that its shard has no room for now.
const THROTTLED: &str = "ProvisionedThroughputExceededException";

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Delivered,
    /// It is not in the stream.
    Refused,
    /// It is in the stream, on a shard to which not all of its keys belong. Readers that look at the keys, as the Kinesis Client Library does,
    /// pass over the whole of it.
    Misplaced,
}

/// What an answer means. `shards` is a newer map than the record was planned by, if its place was a surprise.
pub(super) fn judge(record: &PlannedRecord, answer: &Answer, shards: &ShardMap) -> Verdict {
    match answer {
        Answer::Refused { .. } if mutant::armed(Mutant::AcknowledgeFailed) => Verdict::Delivered,
        Answer::Refused { .. } => Verdict::Refused,
        Answer::Taken(_) if !record.is_aggregated() || !went_elsewhere(record, answer) => Verdict::Delivered,
        Answer::Taken(_) if mutant::armed(Mutant::TrustStaleMap) => Verdict::Delivered,
        Answer::Taken(landed) => {
            let (least, greatest) = record.hash_keys;
            let belongs = shards.range(landed).is_some_and(|range| range.contains(least) && range.contains(greatest));
            if belongs { Verdict::Delivered } else { Verdict::Misplaced }
        }
    }
}

/// Whether the record is on another shard than the map foretold.
pub(super) fn went_elsewhere(record: &PlannedRecord, answer: &Answer) -> bool {
    matches!((&record.lane, answer), (Lane::Shard(foretold), Answer::Taken(landed)) if foretold != landed)
}

/// Why the events of a record are sent again.
pub(super) fn complaint(answer: &Answer) -> String {
    match answer {
        Answer::Taken(landed) => format!("an aggregated record landed on {landed}, which does not take all of its keys"),
        Answer::Refused { code, message } => format!("Kinesis refuses records ({code}: {message})"),
    }
}

/// What to do about a lane whose records keep failing with this answer.
pub(super) fn advice(lane: &Lane, answer: &Answer, GaveUp { after }: GaveUp) -> String {
    let place = match lane {
        Lane::Shard(shard) => format!("shard {shard} of the stream"),
        Lane::Key(key) => format!("the shard with the hash key {key}"),
    };
    let seconds = after.as_secs();
    match answer {
        Answer::Taken(landed) => format!(
            "for {seconds} s aggregated records for {place} have landed on {landed}, which does not take all of their keys: see that the \
             stream's RecordDistributionStrategy is USER_PARTITION_KEY, and that ListShards tells of its reshards"
        ),
        Answer::Refused { code, message } if code == THROTTLED => format!(
            "{place} has refused records for {seconds} s ({code}: {message}): add shards to the stream, or use an on-demand stream; if one \
             item alone changes that often, no shard can take it"
        ),
        Answer::Refused { code, message } => {
            format!("{place} has refused records for {seconds} s ({code}: {message}): see the AWS Health Dashboard for Kinesis")
        }
    }
}
