//! Leases as items of the lease table: KCL's attribute names, and a few of our own beside them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::snapshot::SegmentProgress;
use super::{Checkpoint, Lease};
use crate::aws::{AwsError, Failure};
use crate::event::{InvalidPosition, Position, ShardId};
use crate::stream::StreamArn;

/// `entityType` of leases.
pub(super) const LEASE: &str = "LEASE";
/// `entityType` of segments of a snapshot.
pub(super) const SEGMENT: &str = "SEGMENT";
/// `entityType` of snapshots.
pub(super) const SNAPSHOT: &str = "SNAPSHOT";
/// `entityType` of entries of the gap ledger.
pub(super) const GAP: &str = "GAP";
/// `entityType` of notices.
pub(super) const NOTICE: &str = "NOTICE";

const TRIM_HORIZON: &str = "TRIM_HORIZON";
const AT_TIMESTAMP: &str = "AT_TIMESTAMP";
const SHARD_END: &str = "SHARD_END";

/// An item of the table, as a raw map.
pub(super) type Item = HashMap<String, AttributeValue>;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LeaseItem {
    lease_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease_owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint_owner: Option<String>,
    lease_counter: u64,
    checkpoint: String,
    #[serde(default)]
    checkpoint_sub_sequence_number: u32,
    #[serde(default)]
    owner_switches_since_checkpoint: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty", serialize_with = "serde_dynamo::string_set::serialize")]
    parent_shard_id: Vec<String>,
    stream_arn: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_timestamp: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_sequence: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    durable_through: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    found_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    done_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snapshot_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segment_cursor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segment_rows: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segment_half_units: Option<u64>,
    entity_type: String,
}

/// The `checkpoint` attribute's text.
pub(super) fn checkpoint_text(checkpoint: Checkpoint) -> String {
    match checkpoint {
        Checkpoint::TrimHorizon => TRIM_HORIZON.to_owned(),
        Checkpoint::AtTimestamp(_) => AT_TIMESTAMP.to_owned(),
        Checkpoint::At(position) => position.sequence().to_owned(),
        Checkpoint::ShardEnd => SHARD_END.to_owned(),
    }
}

/// The `checkpointSubSequenceNumber` attribute: the place within an aggregated record.
pub(super) fn checkpoint_sub(checkpoint: Checkpoint) -> u32 {
    match checkpoint {
        Checkpoint::At(position) => position.sub(),
        Checkpoint::TrimHorizon | Checkpoint::AtTimestamp(_) | Checkpoint::ShardEnd => 0,
    }
}

pub(super) fn to_item(lease: &Lease) -> Result<Item, serde_dynamo::Error> {
    serde_dynamo::to_item(LeaseItem {
        lease_key: lease.shard.to_string(),
        lease_owner: lease.owner.clone(),
        checkpoint_owner: lease.handing_over.clone(),
        lease_counter: lease.counter,
        checkpoint: checkpoint_text(lease.checkpoint),
        checkpoint_sub_sequence_number: checkpoint_sub(lease.checkpoint),
        owner_switches_since_checkpoint: 0,
        parent_shard_id: lease.parents.iter().map(ToString::to_string).collect(),
        stream_arn: lease.stream.to_string(),
        start_timestamp: match lease.checkpoint {
            Checkpoint::AtTimestamp(seconds) => Some(seconds),
            Checkpoint::TrimHorizon | Checkpoint::At(_) | Checkpoint::ShardEnd => None,
        },
        last_sequence: lease.last_sequence.map(|last| last.to_string()),
        durable_through: lease.durable_through,
        found_at: lease.found_at,
        done_at: lease.done_at,
        snapshot_id: lease.segment.as_ref().map(|segment| segment.snapshot.clone()),
        segment_cursor: lease.segment.as_ref().and_then(|segment| segment.cursor.clone()),
        segment_rows: lease.segment.as_ref().map(|segment| segment.rows),
        segment_half_units: lease.segment.as_ref().map(|segment| segment.half_units),
        entity_type: if lease.segment.is_some() { SEGMENT } else { LEASE }.to_owned(),
    })
}

/// A value as an item of that key and type.
pub(super) fn typed(value: &impl Serialize, key: String, entity_type: &str) -> Result<Item, AwsError> {
    let item: Result<Item, _> = serde_dynamo::to_item(value);
    let mut item = item.map_err(|error| AwsError::of("PutItem", Failure::Invalid, error.to_string()))?;
    item.insert("leaseKey".to_owned(), AttributeValue::S(key));
    item.insert("entityType".to_owned(), AttributeValue::S(entity_type.to_owned()));
    Ok(item)
}

/// The problem is told in words: the caller knows which table it is.
pub(super) fn from_item(item: Item) -> Result<Lease, String> {
    let key = item.get("leaseKey").and_then(|key| key.as_s().ok()).cloned().unwrap_or_default();
    let read: LeaseItem = serde_dynamo::from_item(item).map_err(|error| format!("lease '{key}' cannot be read: {error}"))?;
    let named = |error: InvalidPosition| format!("lease '{key}': {error}");
    let checkpoint = match (read.checkpoint.as_str(), read.start_timestamp) {
        (TRIM_HORIZON, _) => Checkpoint::TrimHorizon,
        (SHARD_END, _) => Checkpoint::ShardEnd,
        (AT_TIMESTAMP, Some(seconds)) => Checkpoint::AtTimestamp(seconds),
        (AT_TIMESTAMP, None) => return Err(format!("lease '{key}' is AT_TIMESTAMP but has no startTimestamp")),
        (digits, _) => Checkpoint::At(Position::new(digits, read.checkpoint_sub_sequence_number).map_err(named)?),
    };
    Ok(Lease {
        shard: ShardId::new(read.lease_key),
        stream: StreamArn::new(read.stream_arn),
        parents: read.parent_shard_id.into_iter().map(ShardId::new).collect(),
        owner: read.lease_owner,
        handing_over: read.checkpoint_owner,
        counter: read.lease_counter,
        checkpoint,
        last_sequence: read.last_sequence.map(|text| text.parse().map_err(named)).transpose()?,
        durable_through: read.durable_through,
        found_at: read.found_at,
        done_at: read.done_at,
        segment: read.snapshot_id.map(|snapshot| SegmentProgress {
            snapshot,
            cursor: read.segment_cursor,
            rows: read.segment_rows.unwrap_or_default(),
            half_units: read.segment_half_units.unwrap_or_default(),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(checkpoint: Checkpoint) -> Lease {
        let stream = StreamArn::new("arn:aws:dynamodb:eu-central-1:1:table/orders/stream/x");
        Lease {
            parents: vec![ShardId::new("p")],
            owner: Some("worker".to_owned()),
            handing_over: Some("predecessor".to_owned()),
            counter: 7,
            durable_through: Some(3),
            found_at: Some(2),
            ..Lease::new(ShardId::new("shardId-00000001795230000000-abc"), stream, checkpoint)
        }
    }

    #[test]
    fn every_checkpoint_survives_the_table() {
        let sequence = "9".repeat(40).parse().unwrap();
        let aggregated = Position::new(&"7".repeat(56), 31).unwrap();
        let positions = [Checkpoint::At(sequence), Checkpoint::At(aggregated)];
        for checkpoint in [Checkpoint::TrimHorizon, Checkpoint::AtTimestamp(5), Checkpoint::ShardEnd].into_iter().chain(positions) {
            let segment = SegmentProgress { snapshot: "s".to_owned(), cursor: Some("c".to_owned()), rows: 3, half_units: 5 };
            let lease = Lease { last_sequence: Some(aggregated), segment: Some(segment), ..lease(checkpoint) };
            assert_eq!(from_item(to_item(&lease).unwrap()).unwrap(), lease);
        }
    }

    #[test]
    fn attributes_are_spelled_as_in_kcl() {
        let item = to_item(&lease(Checkpoint::TrimHorizon)).unwrap();
        assert_eq!(item["leaseKey"].as_s().unwrap(), "shardId-00000001795230000000-abc");
        assert_eq!(item["leaseOwner"].as_s().unwrap(), "worker");
        assert_eq!(item["checkpointOwner"].as_s().unwrap(), "predecessor");
        assert_eq!(item["leaseCounter"].as_n().unwrap(), "7");
        assert_eq!(item["checkpoint"].as_s().unwrap(), "TRIM_HORIZON");
        assert_eq!(item["parentShardId"].as_ss().unwrap(), &["p"]);
        assert_eq!(item["entityType"].as_s().unwrap(), "LEASE");
    }

    #[test]
    fn a_lease_that_makes_no_sense_is_named() {
        let mut item = to_item(&lease(Checkpoint::TrimHorizon)).unwrap();
        item.insert("checkpoint".to_owned(), AttributeValue::S("LATER".to_owned()));
        assert!(from_item(item).unwrap_err().contains("shardId-00000001795230000000-abc"));
    }
}
