//! Conditional writes: refused or carried out, exactly as the item stands.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn refused(account: &mut Account, operation: &str, request: Value) -> ApiError {
    let error = account.error(operation, request);
    assert_eq!((error.code, &*error.message), ("ConditionalCheckFailedException", "The conditional request failed"));
    error
}

#[test]
fn a_refused_write_leaves_the_item_and_is_written_down() {
    let mut account = account();
    account.ok("PutItem", json!({ "Item": item("a", 1, "v", n(1)) }));
    let since = account.events(0).len();
    let values = json!({ ":n": n(2) });
    refused(&mut account, "PutItem", json!({ "Item": key("a", 1), "ConditionExpression": "attribute_not_exists(p)" }));
    refused(
        &mut account,
        "DeleteItem",
        json!({ "Key": key("a", 1), "ConditionExpression": "v = :n", "ExpressionAttributeValues": values }),
    );
    let update = json!({
        "Key": key("a", 1), "UpdateExpression": "SET v = :n", "ConditionExpression": "v > :n", "ExpressionAttributeValues": values
    });
    refused(&mut account, "UpdateItem", update);
    refused(&mut account, "UpdateItem", json!({ "Key": key("a", 1), "Expected": { "v": { "Value": n(2) } } }));
    assert_eq!(account.items("orders"), json!([item("a", 1, "v", n(1))]));
    let events = account.events(since);
    assert_eq!(events.len(), 4);
    for event in events {
        let Event::ConditionFailed { table, key: of_item } = event else { panic!("{event}") };
        assert_eq!((table, json!(of_item)), ("orders".to_owned(), key("a", 1)));
    }
}

#[test]
fn a_refusal_shows_the_item_when_asked_to() {
    let mut account = account();
    let mut request = json!({ "Key": key("a", 1), "ConditionExpression": "attribute_exists(q)" });
    request["ReturnValuesOnConditionCheckFailure"] = json!("ALL_OLD");
    assert!(refused(&mut account, "DeleteItem", request.clone()).details.is_empty());
    account.ok("PutItem", json!({ "Item": item("a", 1, "v", n(1)) }));
    assert_eq!(refused(&mut account, "DeleteItem", request.clone()).details["Item"], item("a", 1, "v", n(1)));
    request["ReturnValuesOnConditionCheckFailure"] = json!("NONE");
    assert!(refused(&mut account, "DeleteItem", request.clone()).details.is_empty());
    for other in ["ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"] {
        request["ReturnValuesOnConditionCheckFailure"] = json!(other);
        assert!(account.message("DeleteItem", request.clone()).contains(other));
    }
}

#[test]
fn conditions_see_the_item_before_the_update_and_nothing_where_there_is_none() {
    let mut account = account();
    let create = json!({
        "Key": key("a", 1), "UpdateExpression": "SET v = :n", "ConditionExpression": "attribute_not_exists(p) AND attribute_not_exists(v)",
        "ExpressionAttributeValues": { ":n": n(1) }
    });
    account.ok("UpdateItem", create.clone());
    refused(&mut account, "UpdateItem", create);
}

#[test]
fn interference_refuses_conditional_writes_and_no_others() {
    let mut account = account();
    account.quirks.condition_fails = true;
    account.ok("PutItem", json!({ "Item": key("a", 1) }));
    refused(&mut account, "PutItem", json!({ "Item": item("a", 1, "v", n(1)), "ConditionExpression": "attribute_exists(p)" }));
    assert_eq!(account.items("orders"), json!([key("a", 1)]));
}

#[test]
fn a_lease_is_taken_by_one() {
    let mut account = account();
    account.ok("PutItem", json!({ "Item": item("shard", 1, "leaseCounter", n(7)) }));
    let take = |owner: &str| {
        json!({
            "Key": key("shard", 1),
            "UpdateExpression": "SET leaseOwner = :owner, leaseCounter = :next REMOVE checkpointOwner ADD ownerSwitches :one",
            "ConditionExpression": "leaseCounter = :seen",
            "ExpressionAttributeValues": { ":owner": { "S": owner }, ":next": n(8), ":seen": n(7), ":one": n(1) },
        })
    };
    account.ok("UpdateItem", take("w1"));
    refused(&mut account, "UpdateItem", take("w2"));
    let lease = account.ok("GetItem", json!({ "Key": key("shard", 1) }));
    assert_eq!(lease["Item"]["leaseOwner"], json!({ "S": "w1" }));
    assert_eq!(lease["Item"]["ownerSwitches"], n(1));
}

/// What one of several writers does next.
#[derive(Debug, Clone)]
enum Step {
    Read(usize),
    /// Writes one more than it read, if nobody wrote since.
    Write(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![(0_usize..4).prop_map(Step::Read), (0_usize..4).prop_map(Step::Write)];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    /// Optimistic counters: whoever read the present value writes the next, nobody else does, and no increment is lost.
    #[test]
    fn conditional_writes_are_exact(steps in steps(), interfered in proptest::collection::vec(proptest::bool::weighted(0.1), 80)) {
        let mut account = account();
        let (mut seen, mut count) = (BTreeMap::new(), 0_i64);
        for (step, interfered) in steps.into_iter().zip(interfered) {
            match step {
                Step::Read(writer) => {
                    let found = account.ok("GetItem", json!({ "Key": key("c", 0), "ConsistentRead": true }));
                    let value = found["Item"]["count"]["N"].as_str().map(|text| text.parse::<i64>().unwrap());
                    prop_assert_eq!(value.unwrap_or(0), count);
                    seen.insert(writer, value);
                }
                Step::Write(writer) => {
                    let Some(value) = seen.get(&writer).copied() else { continue };
                    account.quirks.condition_fails = interfered;
                    let (condition, mut values) = match value {
                        Some(value) => ("#c = :seen", json!({ ":seen": n(value) })),
                        None => ("attribute_not_exists(#c)", json!({})),
                    };
                    values[":one"] = n(1);
                    let request = json!({
                        "TableName": "orders", "Key": key("c", 0), "UpdateExpression": "ADD #c :one", "ConditionExpression": condition,
                        "ExpressionAttributeNames": { "#c": "count" }, "ExpressionAttributeValues": values, "ReturnValues": "UPDATED_NEW",
                    });
                    let result = account.call("UpdateItem", request.to_string().as_bytes());
                    let is_current = value.unwrap_or(0) == count && value.is_some() == (count > 0);
                    prop_assert_eq!(result.is_ok(), is_current && !interfered);
                    if let Ok(answer) = result {
                        count += 1;
                        prop_assert_eq!(answer, json!({ "Attributes": { "count": n(count) } }));
                    }
                }
            }
        }
        let changes = account.events(0).into_iter().filter(|event| matches!(event, Event::Item { .. })).count();
        prop_assert_eq!(i64::try_from(changes).unwrap(), count);
    }
}
