//! SplitShard and MergeShards, and the same for a history from within.

use bytes::Bytes;
use serde::Deserialize;

use super::position::ShardId;
use super::put::hash_key;
use super::stream::{DataStream, StreamMode};
use super::{Kinesis, StreamReference};
use crate::call::{Answer, ApiError, Call};
use crate::journal::{Event, Journal};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SplitShard {
    #[serde(flatten)]
    stream: StreamReference,
    shard_to_split: String,
    new_starting_hash_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MergeShards {
    #[serde(flatten)]
    stream: StreamReference,
    shard_to_merge: String,
    adjacent_shard_to_merge: String,
}

impl Kinesis {
    /// Splits an open shard in the middle of its hash keys, as a stream in on-demand mode does by itself.
    pub fn split(&mut self, stream: &str, shard: ShardId, now: i64, journal: &Journal) -> Result<[ShardId; 2], ApiError> {
        self.stream(stream)?.split_in_the_middle(shard, now, journal)
    }

    /// Merges two open shards that lie side by side.
    pub fn merge(&mut self, stream: &str, shard: ShardId, adjacent: ShardId, now: i64, journal: &Journal) -> Result<ShardId, ApiError> {
        self.stream(stream)?.join(shard, adjacent, now, "", journal)
    }

    pub(super) fn split_shard(&mut self, call: &Call<'_>) -> Answer {
        let SplitShard { stream, shard_to_split, new_starting_hash_key } = call.input()?;
        let settled = call.now + self.settle_after;
        let stream = self.provisioned_stream(stream, call.now)?;
        let shard = stream.shard_id(&shard_to_split)?;
        stream.cut(shard, hash_key(&new_starting_hash_key, "newStartingHashKey")?, call.now, call.worker, call.journal)?;
        stream.settle("UPDATING", settled);
        Ok(Bytes::new())
    }

    pub(super) fn merge_shards(&mut self, call: &Call<'_>) -> Answer {
        let MergeShards { stream, shard_to_merge, adjacent_shard_to_merge } = call.input()?;
        let settled = call.now + self.settle_after;
        let stream = self.provisioned_stream(stream, call.now)?;
        let (shard, adjacent) = (stream.shard_id(&shard_to_merge)?, stream.shard_id(&adjacent_shard_to_merge)?);
        stream.join(shard, adjacent, call.now, call.worker, call.journal)?;
        stream.settle("UPDATING", settled);
        Ok(Bytes::new())
    }

    /// A stream whose shards the caller may change.
    fn provisioned_stream(&mut self, reference: StreamReference, now: i64) -> Result<&mut DataStream, ApiError> {
        let stream = self.active_stream(&reference.name()?, now)?;
        if stream.settings.mode == StreamMode::OnDemand {
            let message = format!("Request is invalid. Stream {} is in On-Demand mode.", stream.title());
            return Err(ApiError::validation(message));
        }
        Ok(stream)
    }
}

impl DataStream {
    pub(super) fn split_in_the_middle(&mut self, shard: ShardId, now: i64, journal: &Journal) -> Result<[ShardId; 2], ApiError> {
        let range = self.shards.get(&shard).ok_or_else(|| self.no_shard(&shard.to_string()))?.range;
        // A range that is too narrow has no middle, and the error of a cut at its start.
        self.cut(shard, range.middle().unwrap_or(range.start), now, "", journal)
    }

    fn cut(&mut self, shard: ShardId, at: u128, now: i64, worker: &str, journal: &Journal) -> Result<[ShardId; 2], ApiError> {
        let children = self.split(shard, at, now)?;
        journal.record(now, worker, self.resharded(shard, &children));
        Ok(children)
    }

    fn join(&mut self, shard: ShardId, adjacent: ShardId, now: i64, worker: &str, journal: &Journal) -> Result<ShardId, ApiError> {
        let child = self.merge(shard, adjacent, now)?;
        for parent in [shard, adjacent] {
            journal.record(now, worker, self.resharded(parent, &[child]));
        }
        Ok(child)
    }

    /// The shard that a request names.
    fn shard_id(&self, text: &str) -> Result<ShardId, ApiError> {
        ShardId::parse(text).filter(|shard| self.shards.contains_key(shard)).ok_or_else(|| self.no_shard(text))
    }

    fn resharded(&self, parent: ShardId, children: &[ShardId]) -> Event {
        let children = children.iter().map(ShardId::to_string).collect();
        Event::Resharded { stream: self.name.clone(), parent: Some(parent.to_string()), children }
    }
}

#[cfg(test)]
mod tests {
    use crate::kinesis::ShardId;
    use crate::kinesis::testing::Account;
    use serde_json::json;

    fn shard(number: u32) -> String {
        ShardId(number).to_string()
    }

    #[test]
    fn a_split_closes_the_parent_and_opens_two_children() {
        let mut account = Account::with_stream("orders", 1);
        let body = json!({"StreamName": "orders", "ShardToSplit": shard(0), "NewStartingHashKey": "1000"});
        account.kinesis("SplitShard", body.clone()).unwrap();
        assert_eq!(account.events()[1..], ["shard shardId-000000000000 continues in shardId-000000000001, shardId-000000000002"]);
        let shards = account.kinesis("ListShards", json!({"StreamName": "orders"})).unwrap()["Shards"].clone();
        assert!(shards[0]["SequenceNumberRange"]["EndingSequenceNumber"].is_string());
        assert_eq!(shards[1].get("AdjacentParentShardId"), None);
        assert_eq!((&shards[1]["ParentShardId"], &shards[2]["ParentShardId"]), (&json!(shard(0)), &json!(shard(0))));
        assert_eq!(shards[1]["HashKeyRange"], json!({"StartingHashKey": "0", "EndingHashKey": "999"}));
        assert_eq!(shards[2]["HashKeyRange"]["StartingHashKey"], "1000");
        let again = account.kinesis("SplitShard", body).unwrap_err();
        assert_eq!(again.code, "ResourceInUseException");
        assert!(again.message.contains("has already been merged or split"));
    }

    #[test]
    fn a_split_needs_two_hash_keys_below_and_one_above() {
        let mut account = Account::with_stream("orders", 1);
        for key in ["0", "1", "340282366920938463463374607431768211455"] {
            let body = json!({"StreamName": "orders", "ShardToSplit": shard(0), "NewStartingHashKey": key});
            assert_eq!(account.kinesis("SplitShard", body).unwrap_err().code, "InvalidArgumentException", "{key}");
        }
        let missing = json!({"StreamName": "orders", "ShardToSplit": shard(9), "NewStartingHashKey": "10"});
        assert_eq!(account.kinesis("SplitShard", missing).unwrap_err().code, "ResourceNotFoundException");
    }

    #[test]
    fn a_merge_tells_both_parents() {
        let mut account = Account::with_stream("orders", 3);
        let merge = |one, other| json!({"StreamName": "orders", "ShardToMerge": shard(one), "AdjacentShardToMerge": shard(other)});
        for pair in [(0, 2), (1, 1)] {
            assert_eq!(account.kinesis("MergeShards", merge(pair.0, pair.1)).unwrap_err().code, "InvalidArgumentException");
        }
        account.kinesis("MergeShards", merge(0, 1)).unwrap();
        assert_eq!(
            account.events()[1..],
            [
                "shard shardId-000000000000 continues in shardId-000000000003",
                "shard shardId-000000000001 continues in shardId-000000000003"
            ]
        );
        let shards = account.kinesis("ListShards", json!({"StreamName": "orders"})).unwrap()["Shards"].clone();
        assert_eq!((&shards[3]["ParentShardId"], &shards[3]["AdjacentParentShardId"]), (&json!(shard(0)), &json!(shard(1))));
        assert_eq!(shards[3]["HashKeyRange"]["EndingHashKey"], shards[1]["HashKeyRange"]["EndingHashKey"]);
        assert_eq!(account.kinesis("MergeShards", merge(0, 1)).unwrap_err().code, "ResourceInUseException");
    }

    #[test]
    fn a_stream_that_changes_refuses_another_change_but_takes_records() {
        let mut account = Account::with_stream("orders", 2);
        account.kinesis.settle_after = 10_000;
        let split = |number| json!({"StreamName": "orders", "ShardToSplit": shard(number), "NewStartingHashKey": "1000"});
        account.kinesis("SplitShard", split(0)).unwrap();
        let status = |account: &mut Account| {
            account.kinesis("DescribeStreamSummary", json!({"StreamName": "orders"})).unwrap()["StreamDescriptionSummary"]["StreamStatus"]
                .clone()
        };
        assert_eq!(status(&mut account), "UPDATING");
        let error = account.kinesis("SplitShard", split(2)).unwrap_err();
        assert_eq!((error.code, error.message.ends_with("not ACTIVE, instead in state UPDATING")), ("ResourceInUseException", true));
        account.put("key", "a");
        account.now += 10_000;
        assert_eq!(status(&mut account), "ACTIVE");
    }

    #[test]
    fn an_on_demand_stream_splits_by_itself_only() {
        let mut account = Account::new();
        let mode = json!({"StreamMode": "ON_DEMAND"});
        account.kinesis("CreateStream", json!({"StreamName": "orders", "StreamModeDetails": mode})).unwrap();
        let body = json!({"StreamName": "orders", "ShardToSplit": shard(0), "NewStartingHashKey": "1000"});
        assert_eq!(account.kinesis("SplitShard", body).unwrap_err().code, "ValidationException");
        let Account { kinesis, journal, now, .. } = &mut account;
        assert_eq!(kinesis.split("orders", ShardId(0), *now, journal).unwrap(), [ShardId(4), ShardId(5)]);
        assert_eq!(kinesis.merge("orders", ShardId(4), ShardId(5), *now, journal).unwrap(), ShardId(6));
        assert_eq!(kinesis.open_shards("orders"), [1, 2, 3, 6].map(ShardId));
        assert!(kinesis.split("orders", ShardId(0), *now, journal).is_err());
        assert_eq!(account.events().len(), 4);
    }
}
