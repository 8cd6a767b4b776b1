//! Streams as a whole: creation, deletion, description and settings.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::stream::{DataStream, Distribution, Settings, StreamMode};
use super::{Kinesis, StreamReference, invalid};
use crate::call::{Answer, ApiError, Call, answer};
use crate::encoding::{ACCOUNT, constraint, seconds};
use crate::journal::Event;

const LONGEST_NAME: usize = 128;
/// How many shards an account may have open, AWS's default quota in its largest regions.
const MOST_SHARDS: usize = 20_000;
/// How many shards a stream in on-demand mode begins with.
const ON_DEMAND_SHARDS: u32 = 4;
/// The retention period in hours: the usual and the longest.
const USUAL_RETENTION: i64 = 24;
const LONGEST_RETENTION: i64 = 8_760;
/// The largest record in KiB: the usual, which is the least, and the most.
const USUAL_RECORD: usize = 1_024;
const LARGEST_RECORD: usize = 10_240;
const USUAL_LIST: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateStream {
    stream_name: String,
    shard_count: Option<u32>,
    stream_mode_details: Option<StreamModeDetails>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size: Option<usize>,
    record_distribution_strategy: Option<Distribution>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StreamModeDetails {
    stream_mode: StreamMode,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListStreams {
    limit: Option<usize>,
    exclusive_start_stream_name: Option<String>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
struct UpdateMaxRecordSize {
    #[serde(flatten)]
    stream: StreamReference,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateStreamRecordDistributionStrategy {
    #[serde(flatten)]
    stream: StreamReference,
    record_distribution_strategy: Distribution,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IncreaseStreamRetentionPeriod {
    #[serde(flatten)]
    stream: StreamReference,
    retention_period_hours: i64,
}

impl Kinesis {
    pub(super) fn create_stream(&mut self, call: &Call<'_>) -> Answer {
        let input: CreateStream = call.input()?;
        let name = input.stream_name;
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        {
            return Err(constraint("streamName", "satisfy regular expression pattern: [a-zA-Z0-9_.-]{1,128}"));
        }
        let mode = input.stream_mode_details.map_or(StreamMode::Provisioned, |details| details.stream_mode);
        let shards = match (mode, input.shard_count) {
            (_, Some(0)) => return Err(constraint("shardCount", "have value greater than or equal to 1")),
            (StreamMode::Provisioned, None) => {
                return Err(ApiError::validation("ShardCount is required for a stream in PROVISIONED mode."));
            }
            (StreamMode::OnDemand, Some(_)) => {
                return Err(ApiError::validation("ShardCount cannot be given for a stream in ON_DEMAND mode."));
            }
            (StreamMode::Provisioned, Some(count)) => count,
            (StreamMode::OnDemand, None) => ON_DEMAND_SHARDS,
        };
        let distribution = input.record_distribution_strategy;
        check_distribution(mode, distribution)?;
        let max_record = record_size(input.max_record_size.unwrap_or(USUAL_RECORD))?;
        if let Some(stream) = self.streams.get(&name) {
            return Err(ApiError::new("ResourceInUseException", format!("Stream {} already exists.", stream.title())));
        }
        let present: usize = self.streams.values().map(|stream| stream.open_shards().count()).sum();
        if present.saturating_add(usize::try_from(shards).unwrap_or(usize::MAX)) > MOST_SHARDS {
            return Err(ApiError::new(
                "LimitExceededException",
                format!(
                    "This request would exceed the shard limit for the account {ACCOUNT} in us-east-1. Current shard count for the account: \
                     {present}. Limit: {MOST_SHARDS}. Number of additional shards that would have resulted from this request: {shards}."
                ),
            ));
        }
        let settings = Settings { mode, distribution, retention_hours: USUAL_RETENTION, max_record, tags: input.tags };
        let mut stream = DataStream::new(name.clone(), shards, settings, call.now);
        stream.settle("CREATING", call.now + self.settle_after);
        let children = stream.shards.keys().map(ToString::to_string).collect();
        call.record(Event::Resharded { stream: name.clone(), parent: None, children });
        self.streams.insert(name, stream);
        Ok(Bytes::new())
    }

    /// Deletes a stream with its records, at once.
    pub(super) fn delete_stream(&mut self, call: &Call<'_>) -> Answer {
        let name = call.input::<StreamReference>()?.name()?;
        self.stream(&name)?;
        self.streams.remove(&name);
        Ok(Bytes::new())
    }

    pub(super) fn list_streams(&mut self, call: &Call<'_>) -> Answer {
        let ListStreams { limit, exclusive_start_stream_name, next_token } = call.input()?;
        let limit = limit.unwrap_or(USUAL_LIST);
        if limit == 0 {
            return Err(constraint("limit", "have value greater than or equal to 1"));
        }
        let after = exclusive_start_stream_name.max(next_token);
        let mut streams = self.streams.values().filter(|stream| after.as_ref().is_none_or(|after| stream.name > *after));
        let page: Vec<&DataStream> = streams.by_ref().take(limit).collect();
        let more = streams.next().is_some();
        let summary = |stream: &&DataStream| {
            json!({
                "StreamName": stream.name,
                "StreamARN": stream.arn(),
                "StreamStatus": stream.status(call.now),
                "StreamModeDetails": {"StreamMode": stream.settings.mode},
                "StreamCreationTimestamp": seconds(stream.created),
            })
        };
        let names: Vec<&String> = page.iter().map(|stream| &stream.name).collect();
        let summaries: Vec<Value> = page.iter().map(summary).collect();
        let mut output = json!({"StreamNames": names, "StreamSummaries": summaries, "HasMoreStreams": more});
        if let (true, Some(last)) = (more, page.last()) {
            // The name of the last stream serves for the token.
            output["NextToken"] = json!(last.name);
        }
        answer(&output)
    }

    pub(super) fn describe_stream_summary(&mut self, call: &Call<'_>) -> Answer {
        let stream = self.stream(&call.input::<StreamReference>()?.name()?)?;
        let mut summary = json!({
            "StreamName": stream.name,
            "StreamARN": stream.arn(),
            "StreamStatus": stream.status(call.now),
            "StreamModeDetails": {"StreamMode": stream.settings.mode},
            "RetentionPeriodHours": stream.settings.retention_hours,
            "StreamCreationTimestamp": seconds(stream.created),
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "EncryptionType": "NONE",
            "OpenShardCount": stream.open_shards().count(),
            "ConsumerCount": 0,
            "MaxRecordSizeInKiB": stream.settings.max_record,
        });
        if let Some(distribution) = stream.settings.distribution {
            summary["RecordDistributionStrategy"] = json!(distribution);
        }
        answer(&json!({"StreamDescriptionSummary": summary}))
    }

    pub(super) fn update_max_record_size(&mut self, call: &Call<'_>) -> Answer {
        let UpdateMaxRecordSize { stream, max_record_size } = call.input()?;
        let settled = call.now + self.settle_after;
        let stream = self.active_stream(&stream.name()?, call.now)?;
        stream.settings.max_record = record_size(max_record_size)?;
        stream.settle("UPDATING", settled);
        Ok(Bytes::new())
    }

    pub(super) fn update_stream_record_distribution_strategy(&mut self, call: &Call<'_>) -> Answer {
        let UpdateStreamRecordDistributionStrategy { stream, record_distribution_strategy: distribution } = call.input()?;
        let settled = call.now + self.settle_after;
        let stream = self.active_stream(&stream.name()?, call.now)?;
        check_distribution(stream.settings.mode, Some(distribution))?;
        stream.settings.distribution = Some(distribution);
        stream.settle("UPDATING", settled);
        Ok(Bytes::new())
    }

    pub(super) fn increase_stream_retention_period(&mut self, call: &Call<'_>) -> Answer {
        let IncreaseStreamRetentionPeriod { stream, retention_period_hours: asked } = call.input()?;
        let settled = call.now + self.settle_after;
        let stream = self.active_stream(&stream.name()?, call.now)?;
        let present = stream.settings.retention_hours;
        if asked > LONGEST_RETENTION {
            return Err(invalid(format!(
                "Maximum allowed retention period is {LONGEST_RETENTION} hours. Requested retention period ({asked} hours) is too long."
            )));
        }
        if asked < present {
            return Err(invalid(format!(
                "Requested retention period ({asked} hours) for stream {} can not be shorter than existing retention period ({present} \
                 hours). Use DecreaseRetentionPeriod API.",
                stream.name
            )));
        }
        stream.settings.retention_hours = asked;
        stream.settle("UPDATING", settled);
        Ok(Bytes::new())
    }

    pub(super) fn list_tags_for_stream(&mut self, call: &Call<'_>) -> Answer {
        let stream = self.stream(&call.input::<StreamReference>()?.name()?)?;
        let tags: Vec<Value> = stream.settings.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        answer(&json!({"Tags": tags, "HasMoreTags": false}))
    }
}

/// Only on-demand streams may place records at will.
fn check_distribution(mode: StreamMode, distribution: Option<Distribution>) -> Result<(), ApiError> {
    if (mode, distribution) == (StreamMode::Provisioned, Some(Distribution::Auto)) {
        return Err(ApiError::validation("RecordDistributionStrategy AUTO is supported for streams in ON_DEMAND mode only."));
    }
    Ok(())
}

/// A limit for records, in KiB.
fn record_size(kibibytes: usize) -> Result<usize, ApiError> {
    match kibibytes {
        USUAL_RECORD..=LARGEST_RECORD => Ok(kibibytes),
        0..USUAL_RECORD => Err(constraint("maxRecordSizeInKiB", &format!("have value greater than or equal to {USUAL_RECORD}"))),
        _ => Err(constraint("maxRecordSizeInKiB", &format!("have value less than or equal to {LARGEST_RECORD}"))),
    }
}

#[cfg(test)]
mod tests {
    use crate::kinesis::testing::{Account, encoded};
    use serde_json::{Value, json};

    fn summary(account: &mut Account, name: &str) -> Value {
        account.kinesis("DescribeStreamSummary", json!({"StreamName": name})).unwrap()["StreamDescriptionSummary"].clone()
    }

    #[test]
    fn a_stream_is_described_as_it_was_created() {
        let mut account = Account::with_stream("orders", 3);
        let expected = json!({
            "StreamName": "orders", "StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/orders", "StreamStatus": "ACTIVE",
            "StreamModeDetails": {"StreamMode": "PROVISIONED"}, "RetentionPeriodHours": 24, "StreamCreationTimestamp": 1_795_046_400.0,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}], "EncryptionType": "NONE", "OpenShardCount": 3, "ConsumerCount": 0,
            "MaxRecordSizeInKiB": 1_024,
        });
        assert_eq!(summary(&mut account, "orders"), expected);
        assert_eq!(account.events(), ["shards shardId-000000000000, shardId-000000000001, shardId-000000000002 begin"]);
        let automatic = json!({
            "StreamName": "events", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}, "RecordDistributionStrategy": "AUTO",
            "MaxRecordSizeInKiB": 2_048, "Tags": {"team": "data"},
        });
        account.kinesis("CreateStream", automatic).unwrap();
        let description = summary(&mut account, "events");
        assert_eq!((&description["OpenShardCount"], &description["RecordDistributionStrategy"]), (&json!(4), &json!("AUTO")));
        assert_eq!(description["MaxRecordSizeInKiB"], 2_048);
        account.kinesis("PutRecord", json!({"StreamName": "events", "Data": ""})).unwrap();
        let tags = account.kinesis("ListTagsForStream", json!({"StreamName": "events"})).unwrap();
        assert_eq!(tags["Tags"], json!([{"Key": "team", "Value": "data"}]));
    }

    #[test]
    fn what_cannot_be_created_is_refused() {
        let mut account = Account::with_stream("orders", 1);
        for (body, code) in [
            (json!({"StreamName": "orders", "ShardCount": 1}), "ResourceInUseException"),
            (json!({"StreamName": "a b", "ShardCount": 1}), "ValidationException"),
            (json!({"StreamName": "events"}), "ValidationException"),
            (json!({"StreamName": "events", "ShardCount": 0}), "ValidationException"),
            (json!({"StreamName": "events", "ShardCount": 20_000}), "LimitExceededException"),
            (json!({"StreamName": "events", "ShardCount": 4_294_967_295_u32}), "LimitExceededException"),
            (json!({"StreamName": "events", "ShardCount": 1, "MaxRecordSizeInKiB": 512}), "ValidationException"),
            (json!({"StreamName": "events", "ShardCount": 1, "RecordDistributionStrategy": "AUTO"}), "ValidationException"),
        ] {
            assert_eq!(account.kinesis("CreateStream", body.clone()).unwrap_err().code, code, "{body}");
        }
    }

    #[test]
    fn a_stream_can_be_told_to_take_its_time() {
        let mut account = Account::new();
        account.kinesis.settle_after = 5_000;
        account.kinesis("CreateStream", json!({"StreamName": "orders", "ShardCount": 1})).unwrap();
        assert_eq!(summary(&mut account, "orders")["StreamStatus"], "CREATING");
        let put = json!({"StreamName": "orders", "PartitionKey": "a", "Data": ""});
        assert_eq!(account.kinesis("PutRecord", put.clone()).unwrap_err().code, "ResourceNotFoundException");
        assert_eq!(account.kinesis("ListShards", json!({"StreamName": "orders"})).unwrap_err().code, "ResourceInUseException");
        let description = account.kinesis("DescribeStream", json!({"StreamName": "orders"})).unwrap();
        assert_eq!(description["StreamDescription"]["Shards"], json!([]));
        account.now += 5_000;
        assert_eq!(summary(&mut account, "orders")["StreamStatus"], "ACTIVE");
        account.kinesis("PutRecord", put).unwrap();
    }

    #[test]
    fn streams_are_listed_by_name_page_by_page() {
        let mut account = Account::with_stream("b", 1);
        for name in ["c", "a"] {
            account.kinesis("CreateStream", json!({"StreamName": name, "ShardCount": 1})).unwrap();
        }
        let first = account.kinesis("ListStreams", json!({"Limit": 2})).unwrap();
        assert_eq!((&first["StreamNames"], &first["HasMoreStreams"]), (&json!(["a", "b"]), &json!(true)));
        let last = account.kinesis("ListStreams", json!({"NextToken": first["NextToken"]})).unwrap();
        assert_eq!((&last["StreamNames"], &last["HasMoreStreams"]), (&json!(["c"]), &json!(false)));
        account.kinesis("DeleteStream", json!({"StreamName": "c"})).unwrap();
        let rest = account.kinesis("ListStreams", json!({"ExclusiveStartStreamName": "a"})).unwrap();
        assert_eq!(rest["StreamSummaries"][0]["StreamName"], "b");
        assert_eq!(rest["StreamNames"], json!(["b"]));
    }

    #[test]
    fn a_stream_may_be_opened_for_larger_records() {
        let mut account = Account::with_stream("orders", 1);
        let large = json!({"StreamName": "orders", "PartitionKey": "a", "Data": encoded(vec![0; 3 << 20])});
        assert_eq!(account.kinesis("PutRecord", large.clone()).unwrap_err().code, "InvalidArgumentException");
        let resize = |size: usize| json!({"StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/orders", "MaxRecordSizeInKiB": size});
        assert_eq!(account.kinesis("UpdateMaxRecordSize", resize(10_241)).unwrap_err().code, "ValidationException");
        account.kinesis("UpdateMaxRecordSize", resize(4_096)).unwrap();
        account.kinesis("PutRecord", large).unwrap();
    }

    #[test]
    fn an_on_demand_stream_may_be_told_to_place_records_at_will() {
        let mut account = Account::with_stream("orders", 1);
        account.kinesis("CreateStream", json!({"StreamName": "events", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}})).unwrap();
        assert_eq!(summary(&mut account, "events").get("RecordDistributionStrategy"), None);
        let update = |stream: &str, strategy: &str| json!({"StreamName": stream, "RecordDistributionStrategy": strategy});
        for strategy in ["AUTO", "USER_PARTITION_KEY"] {
            account.kinesis("UpdateStreamRecordDistributionStrategy", update("events", strategy)).unwrap();
            assert_eq!(summary(&mut account, "events")["RecordDistributionStrategy"], strategy);
        }
        let error = account.kinesis("UpdateStreamRecordDistributionStrategy", update("orders", "AUTO")).unwrap_err();
        assert_eq!(error.code, "ValidationException");
    }

    #[test]
    fn a_longer_retention_period_keeps_records_longer() {
        let mut account = Account::with_stream("orders", 1);
        account.put("key", "a");
        let keep = |hours: i64| json!({"StreamName": "orders", "RetentionPeriodHours": hours});
        for hours in [23, 8_761] {
            assert_eq!(account.kinesis("IncreaseStreamRetentionPeriod", keep(hours)).unwrap_err().code, "InvalidArgumentException");
        }
        account.kinesis("IncreaseStreamRetentionPeriod", keep(48)).unwrap();
        for (hours, held) in [(48, 1), (1, 0)] {
            account.now += hours * 3_600_000;
            summary(&mut account, "orders");
            assert_eq!(account.kinesis.records("orders").map(|(_, records)| records.len()).sum::<usize>(), held);
        }
    }
}
