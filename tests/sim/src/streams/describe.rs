//! ListStreams and DescribeStream.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shard::Shard;
use super::{Streams, ViewType, request};
use crate::call::{Answer, Call, Quirks, answer};
use crate::sequence::Sequence;

/// The most streams or shards of one page.
const LARGEST_PAGE: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListInput {
    table_name: Option<String>,
    limit: Option<i64>,
    exclusive_start_stream_arn: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListOutput<'a> {
    streams: Vec<ListedStream<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_evaluated_stream_arn: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedStream<'a> {
    stream_arn: &'a str,
    stream_label: &'a str,
    table_name: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeInput {
    stream_arn: Option<String>,
    limit: Option<i64>,
    exclusive_start_shard_id: Option<String>,
    shard_filter: Option<ShardFilter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ShardFilter {
    r#type: Option<String>,
    shard_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeOutput<'a> {
    stream_description: Description<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Description<'a> {
    stream_arn: &'a str,
    stream_label: &'a str,
    stream_status: &'static str,
    stream_view_type: ViewType,
    creation_request_date_time: f64,
    table_name: &'a str,
    key_schema: &'a Value,
    shards: Vec<ListedShard<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_evaluated_shard_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedShard<'a> {
    shard_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_shard_id: Option<&'a str>,
    sequence_number_range: SequenceNumberRange<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SequenceNumberRange<'a> {
    starting_sequence_number: &'a Sequence,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending_sequence_number: Option<Sequence>,
}

impl Streams {
    /// Streams in the order of their ARNs. As long as a page is full it names its last stream, even if none follows.
    pub(super) fn list_streams(&self, call: &Call<'_>) -> Answer {
        let input: ListInput = call.input()?;
        let too_many = || request::invalid("Limit cannot be greater than the maximum allowed size: 100");
        let limit = request::limit(input.limit, LARGEST_PAGE, too_many)?;
        let start = match input.exclusive_start_stream_arn.as_deref() {
            Some(arn) => Bound::Excluded(request::stream_arn(Some(arn))?),
            None => Bound::Unbounded,
        };
        let wanted = |table: &str| input.table_name.as_deref().is_none_or(|name| name == table);
        let streams: Vec<_> = self
            .by_arn
            .range::<str, _>((start, Bound::Unbounded))
            .filter(|(_, stream)| wanted(&stream.table))
            .take(limit)
            .map(|(arn, stream)| ListedStream { stream_arn: arn, stream_label: &stream.label, table_name: &stream.table })
            .collect();
        let last = streams.last().filter(|_| streams.len() == limit).map(|stream| stream.stream_arn);
        answer(&ListOutput { streams, last_evaluated_stream_arn: last })
    }

    /// A stream with its shards in the order of their ids. As long as a page is full it names its last shard, even if none follows.
    pub(super) fn describe_stream(&self, call: &Call<'_>) -> Answer {
        let input: DescribeInput = call.input()?;
        let arn = request::stream_arn(input.stream_arn.as_deref())?;
        let limit = request::limit(input.limit, LARGEST_PAGE, || request::invalid("Limit cannot be greater than the maximum: 100"))?;
        let start = match input.exclusive_start_shard_id.as_deref() {
            Some(id) => Bound::Excluded(request::shard_id("exclusiveStartShardId", id)?),
            None => Bound::Unbounded,
        };
        let parent = match &input.shard_filter {
            None => None,
            Some(ShardFilter { r#type: Some(kind), shard_id }) if kind == "CHILD_SHARDS" => {
                Some(request::shard_id("shardFilter.shardId", request::required("shardFilter.shardId", shard_id.as_deref())?)?)
            }
            Some(ShardFilter { r#type, .. }) => {
                let value = r#type.as_ref().map_or_else(|| "null".to_owned(), |kind| format!("'{kind}'"));
                return Err(request::constraint("shardFilter.type", &value, "Member must satisfy enum value set: [CHILD_SHARDS]"));
            }
        };
        let stream = self.stream(arn)?;
        let is_shown = |shard: &Shard| is_shown(shard, call.quirks, call.now);
        let look_open: BTreeSet<&str> = if call.quirks.parents_look_open {
            stream.shards.values().filter(|shard| is_shown(shard)).filter_map(|shard| shard.parent.as_deref()).collect()
        } else {
            BTreeSet::new()
        };
        let wanted = stream.shards.range::<str, _>((start, Bound::Unbounded));
        let wanted = wanted.filter(|(_, shard)| parent.is_none_or(|parent| shard.parent.as_deref() == Some(parent)));
        if wanted.clone().take(limit).any(|(_, shard)| !is_shown(shard)) {
            call.quirks.bite("late_listing");
        }
        let ending = |id: &str, shard: &'_ Shard| {
            if shard.end.is_some() && look_open.contains(id) {
                call.quirks.bite("parents_look_open");
                return None;
            }
            shard.end.as_ref().map(|end| end.sequence.clone())
        };
        let shards: Vec<_> = wanted
            .filter(|(_, shard)| is_shown(shard))
            .take(limit)
            .map(|(id, shard)| ListedShard {
                shard_id: id,
                parent_shard_id: shard.parent.as_deref(),
                sequence_number_range: SequenceNumberRange {
                    starting_sequence_number: &shard.starting,
                    ending_sequence_number: ending(id, shard),
                },
            })
            .collect();
        let last = shards.last().filter(|_| shards.len() == limit).map(|shard| shard.shard_id);
        answer(&DescribeOutput {
            stream_description: Description {
                stream_arn: &stream.arn,
                stream_label: &stream.label,
                stream_status: if stream.disabled.is_some() { "DISABLED" } else { "ENABLED" },
                stream_view_type: stream.view,
                creation_request_date_time: Duration::from_millis(u64::try_from(stream.created).unwrap_or_default()).as_secs_f64(),
                table_name: &stream.table,
                key_schema: &stream.key_schema,
                shards,
                last_evaluated_shard_id: last,
            },
        })
    }
}

/// Whether the listing has got to know of the shard.
fn is_shown(shard: &Shard, quirks: &Quirks, now: i64) -> bool {
    quirks.late_listing.is_none_or(|late| now - shard.opened >= late)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::testing::{DAY, Service, ids};
    use serde_json::json;

    #[test]
    fn a_listing_names_streams_and_pages_through_them() {
        let mut service = Service::new();
        let other = service.enable("other", 1);
        let second = service.enable(Service::TABLE, 1);
        let all = service.call("ListStreams", &json!({})).unwrap();
        let arns: Vec<&str> = all["Streams"].as_array().unwrap().iter().map(|stream| stream["StreamArn"].as_str().unwrap()).collect();
        assert_eq!(arns, [service.stream.as_str(), second.as_str(), other.as_str()]);
        assert_eq!(all.get("LastEvaluatedStreamArn"), None);
        assert_eq!(all["Streams"][2]["TableName"], "other");
        assert!(other.ends_with(all["Streams"][2]["StreamLabel"].as_str().unwrap()));

        let page = service.call("ListStreams", &json!({"TableName": Service::TABLE, "Limit": 1})).unwrap();
        assert_eq!(page["Streams"][0]["StreamArn"], json!(service.stream));
        let last = page["LastEvaluatedStreamArn"].clone();
        let page = service.call("ListStreams", &json!({"TableName": Service::TABLE, "ExclusiveStartStreamArn": last})).unwrap();
        assert_eq!(page["Streams"].as_array().unwrap().len(), 1);
        assert_eq!(page["Streams"][0]["StreamArn"], json!(second));
    }

    #[test]
    fn a_table_without_streams_lists_none() {
        let answer = Service::new().call("ListStreams", &json!({"TableName": "unheard-of"})).unwrap();
        assert_eq!(answer, json!({"Streams": []}));
    }

    #[test]
    fn a_description_tells_about_the_stream() {
        let mut service = Service::new();
        let arn = service.stream.clone();
        let description = service.describe(&json!({}));
        let shard = &service.shards()[0];
        let starting = service.shard(shard).starting.clone();
        assert_eq!(
            description,
            json!({
                "StreamArn": arn, "StreamLabel": "2026-11-21T06:33:35.160", "StreamStatus": "ENABLED",
                "StreamViewType": "NEW_AND_OLD_IMAGES", "CreationRequestDateTime": 1_795_242_815.16, "TableName": Service::TABLE,
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "Shards": [{"ShardId": shard, "SequenceNumberRange": {"StartingSequenceNumber": starting}}],
            })
        );
        assert!(arn.ends_with("/stream/2026-11-21T06:33:35.160"));
    }

    #[test]
    fn a_closed_shard_has_an_end_and_children() {
        let mut service = Service::new();
        let parent = service.shards()[0].clone();
        service.put(1);
        service.wait(1);
        let children = service.reshard(&parent, 2);
        let description = service.describe(&json!({}));
        assert_eq!(ids(&description)[0], parent);
        let ending = description["Shards"][0]["SequenceNumberRange"]["EndingSequenceNumber"].as_str().unwrap();
        assert_eq!(ending, service.shard(&parent).end.as_ref().unwrap().sequence.as_str());
        for shard in &description["Shards"].as_array().unwrap()[1..] {
            assert!(children.iter().any(|child| shard["ShardId"] == json!(child)));
            assert_eq!(shard["ParentShardId"], json!(parent));
            assert_eq!(shard["SequenceNumberRange"].get("EndingSequenceNumber"), None);
            let starting = shard["SequenceNumberRange"]["StartingSequenceNumber"].as_str().unwrap();
            assert!(Sequence::parse(starting).unwrap() > Sequence::parse(ending).unwrap(), "a child's numbers lie above its parent's");
        }
    }

    #[test]
    fn shards_are_paged_and_a_full_page_promises_nothing() {
        let mut service = Service::with_partitions(4);
        let all = ids(&service.describe(&json!({})));
        assert!(all.len() == 4 && all.is_sorted());
        let mut found = Vec::new();
        let mut pages = 0;
        let mut request = json!({"Limit": 2});
        loop {
            let page = service.describe(&request);
            found.extend(ids(&page));
            pages += 1;
            let Some(last) = page.get("LastEvaluatedShardId") else { break };
            request["ExclusiveStartShardId"] = last.clone();
        }
        assert_eq!((found, pages), (all, 3));
    }

    #[test]
    fn the_child_filter_gives_direct_children_only() {
        let mut service = Service::new();
        let root = service.shards()[0].clone();
        service.wait(1);
        let children = service.reshard(&root, 3);
        service.wait(1);
        let grandchild = service.reshard(&children[1], 1);
        let mut children_of = |shard: &str| ids(&service.describe(&json!({"ShardFilter": {"Type": "CHILD_SHARDS", "ShardId": shard}})));
        let mut sorted = children.clone();
        sorted.sort_unstable();
        assert_eq!(children_of(&root), sorted);
        assert_eq!(children_of(&children[1]), grandchild);
        assert!(children_of(&children[0]).is_empty());
    }

    #[test]
    fn a_late_listing_hides_young_shards_from_every_description() {
        let mut service = Service::new();
        let root = service.shards()[0].clone();
        service.wait(60_000);
        let child = service.reshard(&root, 1);
        service.quirks.late_listing = Some(1_000);
        service.wait(999);
        let description = service.describe(&json!({}));
        assert_eq!(ids(&description), [root.as_str()]);
        assert!(service.has_bitten("late_listing"));
        assert!(description["Shards"][0]["SequenceNumberRange"].get("EndingSequenceNumber").is_some(), "the parent shows its end");
        assert!(ids(&service.describe(&json!({"ShardFilter": {"Type": "CHILD_SHARDS", "ShardId": root}}))).is_empty());
        service.wait(1);
        assert_eq!(ids(&service.describe(&json!({})))[1..], child);
        assert!(!service.has_bitten("late_listing"), "nothing is young enough to be hidden");
    }

    #[test]
    fn parents_of_shown_children_may_look_open() {
        let mut service = Service::with_partitions(2);
        let [with_child, other] = [0, 1].map(|n| service.shards()[n].clone());
        service.wait(1);
        service.reshard(&with_child, 1);
        service.quirks.parents_look_open = true;
        let ends = |description: &Value| {
            let shards = description["Shards"].as_array().unwrap();
            shards.iter().filter(|shard| shard["SequenceNumberRange"].get("EndingSequenceNumber").is_some()).count()
        };
        assert_eq!(ends(&service.describe(&json!({}))), 0);
        assert!(service.has_bitten("parents_look_open"));
        service.describe(&json!({"ExclusiveStartShardId": with_child.as_str().max(other.as_str())}));
        assert!(!service.has_bitten("parents_look_open"), "no closed parent is on the page");
        assert_eq!(ends(&service.describe(&json!({"Limit": 1}))), 0, "also when the children are on another page");
        service.quirks.late_listing = Some(DAY);
        service.wait(2);
        service.reshard(&other, 1);
        assert_eq!(ends(&service.describe(&json!({}))), 0, "nothing is old enough to be shown");
        service.quirks.late_listing = Some(2);
        assert_eq!(ends(&service.describe(&json!({}))), 1, "the child of one of them is not shown yet");
    }

    #[test]
    fn wrong_requests_are_refused() {
        let mut service = Service::new();
        let arn = service.stream.clone();
        let shard = service.shards()[0].clone();
        for (operation, request, code) in [
            ("ListStreams", json!({"Limit": 0}), "ValidationException"),
            ("ListStreams", json!({"Limit": 101}), "ValidationException"),
            ("ListStreams", json!({"ExclusiveStartStreamArn": "x"}), "ValidationException"),
            ("DescribeStream", json!({}), "ValidationException"),
            ("DescribeStream", json!({"StreamArn": "x".repeat(50)}), "ValidationException"),
            ("DescribeStream", json!({"StreamArn": arn.replace("06:33", "06:34")}), "ResourceNotFoundException"),
            ("DescribeStream", json!({"StreamArn": arn, "Limit": 0}), "ValidationException"),
            ("DescribeStream", json!({"StreamArn": arn, "Limit": -1}), "ValidationException"),
            ("DescribeStream", json!({"StreamArn": arn, "Limit": 101}), "ValidationException"),
            ("DescribeStream", json!({"StreamArn": arn, "ExclusiveStartShardId": "x"}), "ValidationException"),
            ("DescribeStream", json!({"StreamArn": arn, "ShardFilter": {"ShardId": shard}}), "ValidationException"),
            ("DescribeStream", json!({"StreamArn": arn, "ShardFilter": {"Type": "X", "ShardId": shard}}), "ValidationException"),
            ("DescribeStream", json!({"StreamArn": arn, "ShardFilter": {"Type": "CHILD_SHARDS"}}), "ValidationException"),
            ("DescribeStream", json!({"StreamArn": 7}), "SerializationException"),
            ("SplitShard", json!({}), "UnknownOperationException"),
        ] {
            assert_eq!(service.call(operation, &request).unwrap_err().code, code, "{operation} {request}");
        }
    }

    #[test]
    fn a_page_may_begin_behind_a_shard_that_is_not_there() {
        let mut service = Service::new();
        let shards = |service: &mut Service, start: &str| ids(&service.describe(&json!({"ExclusiveStartShardId": start})));
        assert!(shards(&mut service, &"z".repeat(30)).is_empty());
        assert_eq!(shards(&mut service, &"a".repeat(30)), service.shards());
    }
}
