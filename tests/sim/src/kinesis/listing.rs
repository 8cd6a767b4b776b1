//! ListShards and DescribeStream.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::position::ShardId;
use super::shard::Shard;
use super::stream::DataStream;
use super::{Kinesis, StreamReference, invalid};
use crate::call::{Answer, ApiError, Call, answer};
use crate::encoding::{constraint, millis, seal, seconds, unseal};
use crate::journal::Event;

/// A token may be used for this long (milliseconds).
const TOKEN_LIFE: i64 = 300_000;
/// A page of ListShards holds this many shards, whatever is asked for.
const LARGEST_PAGE: usize = 1_000;
/// A page of DescribeStream unless the caller wants another size.
const USUAL_DESCRIPTION: usize = 100;
const MOST_RESULTS: usize = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListShards {
    #[serde(flatten)]
    stream: StreamReference,
    next_token: Option<String>,
    exclusive_start_shard_id: Option<String>,
    max_results: Option<usize>,
    stream_creation_timestamp: Option<f64>,
    shard_filter: Option<ShardFilter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ShardFilter {
    r#type: String,
    shard_id: Option<String>,
    timestamp: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeStream {
    #[serde(flatten)]
    stream: StreamReference,
    limit: Option<usize>,
    exclusive_start_shard_id: Option<String>,
}

/// Which shards a listing shows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Selection {
    All,
    Open,
    OpenAt(i64),
    OpenSince(i64),
}

/// Where a listing goes on.
#[derive(Serialize, Deserialize)]
struct Continuation {
    stream: String,
    created: i64,
    selection: Selection,
    after: Option<u32>,
    issued: i64,
}

impl Kinesis {
    pub(super) fn list_shards(&mut self, call: &Call<'_>) -> Answer {
        let input: ListShards = call.input()?;
        let limit = results(input.max_results, "maxResults", LARGEST_PAGE)?.min(LARGEST_PAGE);
        let (stream, listing) = if let Some(token) = &input.next_token {
            let listing = input.continuation(token, call.now)?;
            (self.listed_stream(&listing.stream, Some(listing.created), call.now)?, listing)
        } else {
            let name = input.stream.name()?;
            let stream = self.listed_stream(&name, input.stream_creation_timestamp.map(millis), call.now)?;
            let after = input.exclusive_start_shard_id.as_deref().map(shard_id).transpose()?;
            let (selection, after) = match input.shard_filter {
                Some(filter) => filter.read(after, stream.horizon(call.now))?,
                None => (Selection::All, after),
            };
            let after = after.map(|shard| shard.0);
            (stream, Continuation { stream: name, created: stream.created, selection, after, issued: call.now })
        };
        let open_alone = listing.selection == Selection::Open;
        call.record(Event::Listed { stream: stream.name.clone(), open_alone, passage: call.quirks.passage });
        let (shards, more) = stream.list(listing.selection, listing.after.map(ShardId), limit);
        let mut output = json!({"Shards": shards.iter().map(|shard| shard.describe()).collect::<Vec<Value>>()});
        if let (true, Some(last)) = (more, shards.last()) {
            output["NextToken"] = json!(seal(&Continuation { after: Some(last.id.0), issued: call.now, ..listing }));
        }
        answer(&output)
    }

    /// The older way to list shards.
    pub(super) fn describe_stream(&mut self, call: &Call<'_>) -> Answer {
        let DescribeStream { stream, limit, exclusive_start_shard_id } = call.input()?;
        let limit = results(limit, "limit", USUAL_DESCRIPTION)?;
        let after = exclusive_start_shard_id.as_deref().map(shard_id).transpose()?;
        let stream = self.stream(&stream.name()?)?;
        // Nothing is shown of a stream that is still being created.
        let (shards, more) = match stream.status(call.now) {
            "CREATING" => (Vec::new(), false),
            _ => stream.list(Selection::All, after, limit),
        };
        answer(&json!({"StreamDescription": {
            "StreamName": stream.name,
            "StreamARN": stream.arn(),
            "StreamStatus": stream.status(call.now),
            "StreamModeDetails": {"StreamMode": stream.settings.mode},
            "Shards": shards.iter().map(|shard| shard.describe()).collect::<Vec<Value>>(),
            "HasMoreShards": more,
            "RetentionPeriodHours": stream.settings.retention_hours,
            "StreamCreationTimestamp": seconds(stream.created),
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "EncryptionType": "NONE",
        }}))
    }

    /// A stream whose shards can be listed: of the name, created then, and no longer being created.
    fn listed_stream(&mut self, name: &str, created: Option<i64>, now: i64) -> Result<&DataStream, ApiError> {
        let stream = self.stream(name)?;
        if created.is_some_and(|created| created != stream.created) {
            return Err(ApiError::not_found(format!("Stream {} with this creation time not found.", stream.title())));
        }
        if stream.status(now) == "CREATING" {
            let message = format!("Stream {} not ACTIVE, instead in state CREATING", stream.title());
            return Err(ApiError::new("ResourceInUseException", message));
        }
        Ok(stream)
    }
}

impl ListShards {
    /// Where the listing goes on that a token belongs to. A token says all of it, so that nothing else may be said.
    fn continuation(&self, token: &str, now: i64) -> Result<Continuation, ApiError> {
        if self.stream.stream_name.is_some() || self.stream.stream_arn.is_some() {
            return Err(invalid("NextToken and StreamName cannot be provided together."));
        }
        if self.exclusive_start_shard_id.is_some() || self.stream_creation_timestamp.is_some() || self.shard_filter.is_some() {
            let message = "NextToken cannot be provided together with ExclusiveStartShardId, StreamCreationTimestamp or ShardFilter.";
            return Err(invalid(message));
        }
        let listing: Continuation = unseal(token).ok_or_else(|| invalid("Invalid NextToken."))?;
        if now.saturating_sub(listing.issued) > TOKEN_LIFE {
            let message = format!("NextToken has expired: it was issued more than {} seconds ago.", TOKEN_LIFE / 1_000);
            return Err(ApiError::new("ExpiredNextTokenException", message));
        }
        Ok(listing)
    }
}

impl ShardFilter {
    /// What to show, and behind which shard to begin. `after`: the shard named outside the filter.
    fn read(&self, after: Option<ShardId>, horizon: i64) -> Result<(Selection, Option<ShardId>), ApiError> {
        let needs = |what| invalid(format!("{what} must be provided for ShardFilter type {}", self.r#type));
        let timestamp = || self.timestamp.map(millis).ok_or_else(|| needs("Timestamp"));
        let selection = match self.r#type.as_str() {
            "AFTER_SHARD_ID" => {
                let start = shard_id(self.shard_id.as_deref().ok_or_else(|| needs("ShardId"))?)?;
                return Ok((Selection::All, after.max(Some(start))));
            }
            "FROM_TRIM_HORIZON" => Selection::All,
            "AT_TRIM_HORIZON" => Selection::OpenAt(horizon),
            "AT_LATEST" => Selection::Open,
            "AT_TIMESTAMP" => Selection::OpenAt(timestamp()?),
            "FROM_TIMESTAMP" => Selection::OpenSince(timestamp()?.max(horizon)),
            _ => {
                let known = "[AFTER_SHARD_ID, AT_TRIM_HORIZON, FROM_TRIM_HORIZON, AT_LATEST, AT_TIMESTAMP, FROM_TIMESTAMP]";
                return Err(constraint("shardFilter.type", &format!("satisfy enum value set: {known}")));
            }
        };
        Ok((selection, after))
    }
}

impl DataStream {
    /// The shards behind one, up to a limit, and whether there are more.
    fn list(&self, selection: Selection, after: Option<ShardId>, limit: usize) -> (Vec<&Shard>, bool) {
        let shown = |shard: &&Shard| match selection {
            Selection::All => true,
            Selection::Open => shard.closed.is_none(),
            Selection::OpenAt(time) => shard.open_at(time),
            Selection::OpenSince(time) => shard.open_since(time),
        };
        let mut shards = self.shards.values().filter(|shard| after.is_none_or(|after| shard.id > after)).filter(shown);
        (shards.by_ref().take(limit).collect(), shards.next().is_some())
    }
}

fn results(asked: Option<usize>, member: &str, usual: usize) -> Result<usize, ApiError> {
    match asked {
        Some(0) => Err(constraint(member, "have value greater than or equal to 1")),
        Some(asked) if asked > MOST_RESULTS => Err(constraint(member, &format!("have value less than or equal to {MOST_RESULTS}"))),
        asked => Ok(asked.unwrap_or(usual)),
    }
}

/// A shard to begin behind, which need not exist any more.
fn shard_id(text: &str) -> Result<ShardId, ApiError> {
    ShardId::parse(text).ok_or_else(|| invalid(format!("ShardId {text} is not the id of a shard")))
}

#[cfg(test)]
mod tests {
    use crate::kinesis::ShardId;
    use crate::kinesis::testing::{Account, START, encoded};
    use serde_json::{Value, json};

    fn ids(answer: &Value) -> Vec<u32> {
        let id = |shard: &Value| ShardId::parse(shard["ShardId"].as_str().unwrap()).unwrap().0;
        answer["Shards"].as_array().unwrap().iter().map(id).collect()
    }

    fn list(account: &mut Account, with: Value) -> Result<Value, &'static str> {
        let mut body = with;
        body["StreamName"] = json!("orders");
        account.kinesis("ListShards", body).map_err(|error| error.code)
    }

    /// Shards 0 and 1 at the start; after 10 s, 0 becomes 2 and 3; after 20 s, 3 and 1 become 4.
    fn resharded() -> Account {
        let mut account = Account::with_stream("orders", 2);
        account.now = START + 10_000;
        account.kinesis.split("orders", ShardId(0), account.now, &account.journal).unwrap();
        account.now = START + 20_000;
        account.kinesis.merge("orders", ShardId(3), ShardId(1), account.now, &account.journal).unwrap();
        account.now = START + 30_000;
        account
    }

    #[test]
    fn each_filter_shows_its_shards() {
        let mut account = resharded();
        let time = |second: i64| json!({"Timestamp": (START / 1_000 + second)});
        for (kind, with, expected) in [
            ("FROM_TRIM_HORIZON", json!({}), vec![0, 1, 2, 3, 4]),
            ("AT_TRIM_HORIZON", json!({}), vec![0, 1]),
            ("AT_LATEST", json!({}), vec![2, 4]),
            ("AFTER_SHARD_ID", json!({"ShardId": "shardId-000000000002"}), vec![3, 4]),
            ("AT_TIMESTAMP", time(15), vec![1, 2, 3]),
            ("FROM_TIMESTAMP", time(15), vec![1, 2, 3, 4]),
            ("FROM_TIMESTAMP", time(-15), vec![0, 1, 2, 3, 4]),
        ] {
            let mut filter = with;
            filter["Type"] = json!(kind);
            assert_eq!(ids(&list(&mut account, json!({"ShardFilter": filter})).unwrap()), expected, "{kind}");
        }
        assert_eq!(ids(&list(&mut account, json!({"ExclusiveStartShardId": "shardId-000000000003"})).unwrap()), [4]);
        for (filter, code) in [
            (json!({"Type": "AFTER_SHARD_ID"}), "InvalidArgumentException"),
            (json!({"Type": "AT_TIMESTAMP"}), "InvalidArgumentException"),
            (json!({"Type": "AT_NIGHT"}), "ValidationException"),
        ] {
            assert_eq!(list(&mut account, json!({"ShardFilter": filter})), Err(code));
        }
    }

    #[test]
    fn at_the_trim_horizon_there_are_the_shards_of_the_oldest_records() {
        let mut account = resharded();
        account.now = START + 24 * 3_600_000 + 15_000;
        let filter = json!({"ShardFilter": {"Type": "AT_TRIM_HORIZON"}});
        assert_eq!(ids(&list(&mut account, filter).unwrap()), [1, 2, 3]);
        assert_eq!(ids(&list(&mut account, json!({})).unwrap()), [1, 2, 3, 4]);
    }

    #[test]
    fn pages_follow_each_other_by_tokens_that_live_for_300_seconds() {
        let mut account = resharded();
        let first =
            list(&mut account, json!({"MaxResults": 2, "ShardFilter": {"Type": "FROM_TIMESTAMP", "Timestamp": START / 1_000 + 15}}))
                .unwrap();
        assert_eq!(ids(&first), [1, 2]);
        let token = json!({"NextToken": first["NextToken"], "MaxResults": 2});
        account.now += 300_000;
        let second = account.kinesis("ListShards", token.clone()).unwrap();
        assert_eq!((ids(&second), second.get("NextToken")), (vec![3, 4], None));
        account.now += 1;
        assert_eq!(account.kinesis("ListShards", token.clone()).unwrap_err().code, "ExpiredNextTokenException");
        assert_eq!(list(&mut account, token), Err("InvalidArgumentException"));
        assert_eq!(account.kinesis("ListShards", json!({"NextToken": "AAAA"})).unwrap_err().code, "InvalidArgumentException");
        assert_eq!(list(&mut account, json!({"MaxResults": 0})), Err("ValidationException"));
        let forged = json!({"stream": "orders", "created": START, "selection": "All", "after": null, "issued": i64::MIN});
        let forged = json!({"NextToken": encoded(forged.to_string())});
        assert_eq!(account.kinesis("ListShards", forged).unwrap_err().code, "ExpiredNextTokenException");
    }

    #[test]
    fn a_page_has_at_most_a_thousand_shards() {
        let mut account = Account::with_stream("orders", 1_001);
        let first = list(&mut account, json!({"MaxResults": 5_000})).unwrap();
        assert_eq!(ids(&first).len(), 1_000);
        assert_eq!(ids(&account.kinesis("ListShards", json!({"NextToken": first["NextToken"]})).unwrap()), [1_000]);
    }

    #[test]
    fn the_creation_time_tells_streams_of_one_name_apart() {
        let mut account = Account::with_stream("orders", 1);
        assert_eq!(ids(&list(&mut account, json!({"StreamCreationTimestamp": START / 1_000})).unwrap()), [0]);
        assert_eq!(list(&mut account, json!({"StreamCreationTimestamp": START / 1_000 - 1})), Err("ResourceNotFoundException"));
    }

    #[test]
    fn older_clients_describe_the_shards_page_by_page() {
        let mut account = resharded();
        let mut describe = |with: Value| {
            let mut body = with;
            body["StreamName"] = json!("orders");
            account.kinesis("DescribeStream", body).unwrap()["StreamDescription"].clone()
        };
        let first = describe(json!({"Limit": 3}));
        assert_eq!((ids(&first), &first["HasMoreShards"]), (vec![0, 1, 2], &json!(true)));
        let second = describe(json!({"ExclusiveStartShardId": "shardId-000000000002"}));
        assert_eq!((ids(&second), &second["HasMoreShards"]), (vec![3, 4], &json!(false)));
        assert_eq!(second["StreamStatus"], "ACTIVE");
    }
}
