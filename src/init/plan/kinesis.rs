//! What is to be done about the Kinesis stream.

use std::fmt;

use super::super::seen::{KinesisStatus, SeenKinesis};
use super::{State, Step};
use crate::config::{KinesisSettings, LargeRecords};

/// The largest record that a stream can be set to take (Kinesis API Reference, UpdateMaxRecordSize).
const LARGEST_RECORD_KIB: u32 = 10_240;

/// A Kinesis stream as it is to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KinesisSpec {
    /// How many shards; none for a stream that scales by itself.
    pub shards: Option<u32>,
    /// The largest record in KiB, where it is not the service's default.
    pub record_kib: Option<u32>,
}

impl fmt::Display for KinesisSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shards {
            None => f.write_str("with on-demand capacity")?,
            Some(1) => f.write_str("with 1 shard")?,
            Some(shards) => write!(f, "with {shards} shards")?,
        }
        self.record_kib.map_or(Ok(()), |kib| write!(f, ", records up to {kib} KiB"))
    }
}

/// One state, or one for each finding.
pub(super) fn states(wanted: &KinesisSettings, seen: Option<&SeenKinesis>) -> Vec<State> {
    let record_kib = match wanted.large_records {
        LargeRecords::Raise => Some(LARGEST_RECORD_KIB),
        LargeRecords::ClaimCheck | LargeRecords::Quarantine => None,
    };
    let Some(seen) = seen else {
        return vec![Step::CreateKinesis(KinesisSpec { shards: wanted.shards, record_kib }).into()];
    };
    let mut states = Vec::new();
    match seen.status {
        KinesisStatus::Active => states.extend(other_capacity(wanted, seen)),
        // Its shards are not settled.
        KinesisStatus::Changing => states.push(State::Unready),
        KinesisStatus::Deleting => {
            let advice = "wait until it is gone, then run this again, or choose another kinesis.stream".to_owned();
            return vec![State::Blocked { what: "is being deleted".to_owned(), advice }];
        }
    }
    if seen.ignores_keys {
        states.push(State::Differs {
            what:
                "distributes records without regard to their keys (RecordDistributionStrategy AUTO): changes of an item would lose their \
                   order"
                    .to_owned(),
            advice: "set its record distribution strategy to USER_PARTITION_KEY (UpdateStreamRecordDistributionStrategy)".to_owned(),
        });
    }
    if let Some(kib) = record_kib.filter(|kib| seen.record_kib < *kib) {
        states.push(State::Outdated { what: format!("takes records up to {} KiB", seen.record_kib), step: Step::RaiseRecordSize(kib) });
    }
    if states.is_empty() {
        states.push(State::Exists);
    }
    states
}

/// The stream's capacity is its owner's to change: it costs money, and splitting shards cannot be taken back.
fn other_capacity(wanted: &KinesisSettings, seen: &SeenKinesis) -> Option<State> {
    let shards = wanted.shards?;
    if seen.on_demand {
        return Some(State::Differs {
            what: format!("is on-demand, and kinesis.shards is {shards}"),
            advice: "leave kinesis.shards out, or change the stream's mode (UpdateStreamMode)".to_owned(),
        });
    }
    (seen.open_shards != shards).then(|| State::Differs {
        what: format!("has {} open shards, and kinesis.shards is {shards}", seen.open_shards),
        advice: "correct kinesis.shards, or change the stream (UpdateShardCount)".to_owned(),
    })
}
