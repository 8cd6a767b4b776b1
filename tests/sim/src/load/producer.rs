//! The Kinesis stream as a producer sees it: whatever its name, it has the same shards, which never change.

use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::{Value, json};

use super::template::REGION;
use crate::call::{Answer, ApiError, answer};
use crate::kinesis::hash_key;

/// Shards that the answers of PutRecords have digits for.
pub(super) const MOST_SHARDS: usize = 10_000;
/// Shards on a page of ListShards.
const PAGE: usize = 1_000;

/// The shards of every Kinesis stream: even parts of the hash range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shards {
    count: usize,
    /// When the stream was made, in seconds since the epoch.
    created: usize,
}

/// What a request about a stream may hold.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    exclusive_start_shard_id: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

impl Shards {
    /// That many shards: at least one and at most [`MOST_SHARDS`].
    pub(super) fn new(count: usize, created: usize) -> Self {
        Self { count: count.clamp(1, MOST_SHARDS), created }
    }

    /// The shard that a record goes to.
    pub(super) fn of(self, partition_key: &str, explicit_hash_key: Option<&str>) -> Result<usize, ApiError> {
        let hash = match explicit_hash_key {
            Some(digits) => hash_key(digits, "explicitHashKey")?,
            // The only shard takes whatever its hash.
            None if self.count == 1 => return Ok(0),
            None => u128::from_be_bytes(Md5::digest(partition_key).into()),
        };
        // The upper half of the hash decides, scaled to the number of shards.
        Ok(usize::try_from(((hash >> 64) * self.count as u128) >> 64).unwrap_or_default())
    }

    /// DescribeStreamSummary.
    pub(super) fn summary(self, body: &[u8]) -> Option<Answer> {
        let request: Request = serde_json::from_slice(body).ok()?;
        let name = request.name()?;
        Some(answer(&json!({ "StreamDescriptionSummary": {
            "StreamName": name,
            "StreamARN": format!("arn:aws:kinesis:{REGION}:000000000000:stream/{name}"),
            "StreamStatus": "ACTIVE",
            "StreamModeDetails": { "StreamMode": "PROVISIONED" },
            "RetentionPeriodHours": 24,
            "StreamCreationTimestamp": self.created,
            "EnhancedMonitoring": [{ "ShardLevelMetrics": [] }],
            "EncryptionType": "NONE",
            "OpenShardCount": self.count,
            "ConsumerCount": 0,
        } })))
    }

    /// ListShards. A page's token is the last shard on it.
    pub(super) fn list(self, body: &[u8]) -> Option<Answer> {
        let request: Request = serde_json::from_slice(body).ok()?;
        let after = request.next_token.as_ref().or(request.exclusive_start_shard_id.as_ref());
        if request.next_token.is_none() {
            request.name()?;
        }
        let first = after.map_or(Some(0), |id| Some(1 + super::digits::number(id.strip_prefix("shardId-")?.as_bytes())?));
        let Some(first) = first else { return Some(Err(ApiError::new("InvalidArgumentException", "NextToken is invalid"))) };
        let last = self.count.min(first.saturating_add(request.max_results.unwrap_or(PAGE).clamp(1, PAGE)));
        let mut output = json!({ "Shards": (first..last).map(|shard| self.shard(shard)).collect::<Vec<_>>() });
        if last < self.count {
            output["NextToken"] = json!(id(last - 1));
        }
        Some(answer(&output))
    }

    fn shard(self, shard: usize) -> Value {
        let end = if shard + 1 == self.count { u128::MAX } else { self.begin(shard + 1) - 1 };
        json!({
            "ShardId": id(shard),
            "HashKeyRange": { "StartingHashKey": self.begin(shard).to_string(), "EndingHashKey": end.to_string() },
            "SequenceNumberRange": { "StartingSequenceNumber": format!("496{:053}", 0) },
        })
    }

    /// The lowest hash that goes to the shard.
    fn begin(self, shard: usize) -> u128 {
        ((shard as u128) << 64).div_ceil(self.count as u128) << 64
    }
}

impl Request {
    fn name(&self) -> Option<&str> {
        self.stream_name.as_deref().or_else(|| self.stream_arn.as_deref()?.rsplit('/').next())
    }
}

fn id(shard: usize) -> String {
    format!("shardId-{shard:012}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(shards: Shards, request: &Value) -> Value {
        serde_json::from_slice(&shards.list(request.to_string().as_bytes()).unwrap().unwrap()).unwrap()
    }

    #[test]
    fn a_record_goes_to_the_shard_whose_range_holds_its_hash() {
        for count in [1, 2, 3, 7, 8] {
            let shards = Shards::new(count, 0);
            let output = listed(shards, &json!({ "StreamName": "any" }));
            let mut next = 0;
            for (n, shard) in output["Shards"].as_array().unwrap().iter().enumerate() {
                let bound = |name: &str| shard["HashKeyRange"][name].as_str().unwrap().to_owned();
                assert_eq!(bound("StartingHashKey"), next.to_string(), "ranges follow each other");
                for bound in ["StartingHashKey", "EndingHashKey"].map(bound) {
                    assert_eq!(shards.of("", Some(&bound)).unwrap(), n);
                }
                next = bound("EndingHashKey").parse::<u128>().unwrap().wrapping_add(1);
            }
            assert_eq!(next, 0, "the last range ends with the last hash");
        }
        // MD5 of "pk1" is 329398341438914906102347661116985167824, in the upper half, and that of "a" is in the lower half.
        assert_eq!([("pk1", 1), ("a", 0)].map(|(key, _)| Shards::new(2, 0).of(key, None).unwrap()), [1, 0]);
        assert_eq!(Shards::new(2, 0).of("", Some("x")).unwrap_err().code, "ValidationException");
    }

    #[test]
    fn shards_are_listed_page_by_page() {
        let shards = Shards::new(5, 0);
        let first = listed(shards, &json!({ "StreamName": "any", "MaxResults": 3 }));
        assert_eq!(first["Shards"].as_array().unwrap().len(), 3);
        let rest = listed(shards, &json!({ "NextToken": first["NextToken"] }));
        let ids: Vec<&str> = rest["Shards"].as_array().unwrap().iter().filter_map(|shard| shard["ShardId"].as_str()).collect();
        assert_eq!(ids, ["shardId-000000000003", "shardId-000000000004"]);
        assert_eq!(rest.get("NextToken"), None);
        assert!(shards.list(br#"{"NextToken":"?"}"#).unwrap().is_err());
        assert!(shards.list(b"{}").is_none(), "a request without a stream is the model's to refuse");
    }

    #[test]
    fn any_stream_exists_and_says_how_many_shards_it_has() {
        let summary = Shards::new(4, 7).summary(br#"{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/orders"}"#);
        let summary: Value = serde_json::from_slice(&summary.unwrap().unwrap()).unwrap();
        assert_eq!(summary["StreamDescriptionSummary"]["StreamName"], "orders");
        assert_eq!(summary["StreamDescriptionSummary"]["OpenShardCount"], 4);
    }
}
