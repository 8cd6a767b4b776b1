//! Answers made comparable. What has to differ between two services (ids, times, positions, regions) is checked for its shape and its order
//! and replaced by a word; what nobody promises (the order of a set's members, of a scan's items) is brought into one order; what the
//! simulator does not model (capacity) is left out. All else stays.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::wire::Reply;

/// Members of answers that are not modelled.
const LEFT_OUT: [&str; 13] = [
    "BillingModeSummary",
    "ConsumedCapacity",
    "DeletionProtectionEnabled",
    "ItemCollectionMetrics",
    "OnDemandThroughput",
    "ProvisionedThroughput",
    "Replicas",
    "SSEDescription",
    "TableClassSummary",
    "TableId",
    // Both are documented to be brought up to date every six hours only.
    "ItemCount",
    "TableSizeBytes",
    "WarmThroughput",
];

/// How far an answer's times may lie in the past. DynamoDB Local cuts the time of a change down to the minute.
const RECENT: f64 = 180.0;

/// An answer in its comparable form, or what is wrong with it.
pub(super) fn normalised(operation: &str, reply: Reply) -> Result<Value, String> {
    let mut body = reply.body;
    let members = body.as_object_mut().ok_or("the body is not an object")?;
    let mut answer = json!({ "status": reply.status });
    if reply.status != 200 {
        let kind = members.remove("__type").and_then(|kind| kind.as_str().map(str::to_owned)).ok_or("an error without __type")?;
        answer["error"] = kind.rsplit('#').next().into();
        let message = members.remove("message").or_else(|| members.remove("Message"));
        if message.is_some_and(|message| message.as_str().is_some_and(|text| !text.is_empty())) {
            answer["message"] = "<text>".into();
        }
    }
    if let Some(Value::Array(reasons)) = members.get_mut("CancellationReasons") {
        for reason in reasons.iter_mut().filter_map(Value::as_object_mut) {
            let reason_has_words = reason.remove("Message").is_some_and(|message| message.is_string());
            if reason_has_words != (reason.get("Code") != Some(&"None".into())) {
                return Err("a reason of the cancellation has no message, or one that is none has".to_owned());
            }
        }
    }
    if let Some(Value::Array(records)) = members.get("Records") {
        in_order(records)?;
    }
    match (operation, members) {
        ("Scan", members) => members.get_mut("Items").into_iter().for_each(sort),
        ("BatchGetItem", members) => {
            members.get_mut("Responses").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut).for_each(sort);
        }
        _ => {}
    }
    walk(&mut body)?;
    answer["body"] = body;
    Ok(answer)
}

/// A page's records stand in the order of their positions, and no two of them have the same id.
fn in_order(records: &[Value]) -> Result<(), String> {
    let mut ids = BTreeSet::new();
    let mut last = String::new();
    for record in records {
        let sequence = format!("{:0>40}", record["dynamodb"]["SequenceNumber"].as_str().unwrap_or_default());
        if sequence <= last {
            return Err(format!("{sequence} stands after {last}"));
        }
        last = sequence;
        if !ids.insert(record["eventID"].as_str().unwrap_or_default()) {
            return Err(format!("two records have the id {}", record["eventID"]));
        }
    }
    Ok(())
}

/// A value's text with the members of each object by name: whether `serde_json` keeps them in order depends on what else is built with it.
fn in_one_order(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<&String, String> = members.iter().map(|(name, member)| (name, in_one_order(member))).collect();
            format!("{members:?}")
        }
        Value::Array(values) => format!("{:?}", values.iter().map(in_one_order).collect::<Vec<_>>()),
        other => other.to_string(),
    }
}

fn sort(array: &mut Value) {
    if let Value::Array(values) = array {
        values.sort_by_cached_key(in_one_order);
    }
}

fn walk(value: &mut Value) -> Result<(), String> {
    match value {
        Value::Array(values) => values.iter_mut().try_for_each(walk),
        Value::Object(members) => {
            for name in LEFT_OUT {
                members.remove(name);
            }
            if let [(kind, members)] = &mut *members.iter_mut().collect::<Vec<_>>()
                && ["SS", "NS", "BS"].contains(&kind.as_str())
            {
                sort(members);
                return Ok(());
            }
            if let (Some(start), Some(end)) = (members.get("StartingSequenceNumber"), members.get("EndingSequenceNumber")) {
                let number = |value: &Value| format!("{:0>40}", value.as_str().unwrap_or_default());
                if number(start) > number(end) {
                    return Err(format!("a shard begins at {start} and ends at {end}"));
                }
            }
            for (name, member) in members {
                match word(name, member) {
                    Some(Ok(word)) => *member = word.into(),
                    Some(Err(wrong)) => return Err(format!("{name} is {member}: {wrong}")),
                    None => walk(member)?,
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What stands for a member that has to differ, or what is wrong with its shape. `None` for all other members, and for attributes of items
/// that have such a name.
fn word(name: &str, member: &Value) -> Option<Result<String, &'static str>> {
    let check = |holds: bool, word: &str, wrong| Some(if holds { Ok(word.to_owned()) } else { Err(wrong) });
    let text = member.as_str();
    match name {
        "TableArn" | "StreamArn" | "LatestStreamArn" | "LastEvaluatedStreamArn" => Some(arn(text?)),
        "LatestStreamLabel" | "StreamLabel" => check(is_label(text?), "<label>", "not a time"),
        "CreationDateTime" | "CreationRequestDateTime" => check(is_recent(member.as_f64()?), "<time>", "not now"),
        "ApproximateCreationDateTime" => {
            let seconds = member.as_f64()?;
            check(is_recent(seconds) && seconds.fract() == 0.0, "<time>", "not now, in whole seconds")
        }
        "ShardId" | "ParentShardId" | "LastEvaluatedShardId" => {
            check(is_shard(text?), "<shard>", "not a time and a number in hexadecimal digits")
        }
        "SequenceNumber" | "StartingSequenceNumber" | "EndingSequenceNumber" => {
            let digits = text?;
            check(
                (21..=40).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit()),
                "<sequence>",
                "not 21 to 40 digits",
            )
        }
        "ShardIterator" | "NextShardIterator" => check((1..=2048).contains(&text?.len()), "<iterator>", "too long"),
        "eventID" => {
            check(text?.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') && text?.len() >= 32, "<id>", "not 32 digits")
        }
        "awsRegion" => check(!text?.is_empty(), "<region>", "empty"),
        _ => None,
    }
}

fn arn(text: &str) -> Result<String, &'static str> {
    let rest = text.strip_prefix("arn:aws:dynamodb:").ok_or("not an ARN of DynamoDB")?;
    let [region, account, resource] = rest.splitn(3, ':').collect::<Vec<_>>()[..] else { return Err("not an ARN") };
    if region.is_empty() || account.len() != 12 || account.bytes().any(|digit| !digit.is_ascii_digit()) {
        return Err("an ARN without a region or an account");
    }
    match resource.split_once("/stream/") {
        None => Ok(format!("arn:{resource}")),
        Some((table, label)) if is_label(label) => Ok(format!("arn:{table}/stream/<label>")),
        Some(_) => Err("a stream's ARN without its label"),
    }
}

/// Such as `2026-11-21T06:28:43.764`.
fn is_label(text: &str) -> bool {
    text.len() == 23
        && text
            .bytes()
            .zip("dddd-dd-ddTdd:dd:dd.ddd".bytes())
            .all(|(byte, form)| if form == b'd' { byte.is_ascii_digit() } else { byte == form })
}

fn is_shard(text: &str) -> bool {
    text.strip_prefix("shardId-").and_then(|rest| rest.split_once('-')).is_some_and(|(time, suffix)| {
        time.len() == 20
            && time.bytes().all(|digit| digit.is_ascii_digit())
            && (1..=36).contains(&suffix.len())
            && suffix.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

fn is_recent(seconds: f64) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    (now - RECENT..now + 5.0).contains(&seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(operation: &str, body: Value) -> Result<Value, String> {
        normalised(operation, Reply { status: 200, body })
    }

    #[test]
    fn regions_and_accounts_are_no_difference() {
        let at = |region: &str| json!({ "TableArn": format!("arn:aws:dynamodb:{region}:123456789012:table/orders") });
        assert_eq!(of("DescribeTable", at("ddblocal")), of("DescribeTable", at("eu-central-1")));
        assert_eq!(of("DescribeTable", at("x")).unwrap()["body"]["TableArn"], "arn:table/orders");
        assert!(of("DescribeTable", json!({ "TableArn": "arn:aws:s3:::bucket" })).is_err());
    }

    #[test]
    fn the_order_of_sets_is_no_difference_and_that_of_lists_is() {
        let item = |kind: &str, members: [&str; 2]| json!({ "Item": { "a": { kind: members } } });
        assert_eq!(of("GetItem", item("SS", ["x", "y"])), of("GetItem", item("SS", ["y", "x"])));
        assert_ne!(of("GetItem", item("L", ["x", "y"])), of("GetItem", item("L", ["y", "x"])));
    }

    #[test]
    fn records_out_of_order_are_wrong() {
        let record = |id: &str, sequence: &str| json!({ "eventID": id.repeat(32), "dynamodb": { "SequenceNumber": sequence } });
        let (nine, ten) = ("9".repeat(21), format!("1{}", "0".repeat(21)));
        let page = |first: &str, second: &str| of("GetRecords", json!({ "Records": [record("a", first), record("b", second)] }));
        assert!(page(&nine, &ten).is_ok());
        assert!(page(&ten, &nine).is_err());
        assert!(page(&nine, &nine).is_err());
    }

    #[test]
    fn errors_keep_their_code_and_lose_their_words() {
        let body = json!({ "__type": "com.amazonaws.dynamodb.v20120810#ResourceInUseException", "Message": "no" });
        let answer = normalised("CreateTable", Reply { status: 400, body }).unwrap();
        assert_eq!(answer, super::super::step::refusal("ResourceInUseException"));
    }
}
