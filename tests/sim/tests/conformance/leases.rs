//! The lease table: the requests that headwater itself makes to it, one worker against another.

use serde_json::{Value, json};

use super::step::{Step, done, refused};
use super::tables::create;

const FAILED: &str = "ConditionalCheckFailedException";
const SHARD: &str = "shardId-00000001795230000000-a1b2c3d4";
const CHILD: &str = "shardId-00000001795244400000-b2c3d4e5";

pub(super) fn steps() -> Vec<Step> {
    let mut steps = vec![
        refused("the lease table is not there at first", "DescribeTable", json!({ "TableName": "leases" }), "ResourceNotFoundException"),
        create("leases", &[("leaseKey", "S")]),
        done("it is there then", "DescribeTable", json!({ "TableName": "leases" })),
        done("an empty lease table is read", "Scan", json!({ "TableName": "leases", "ConsistentRead": true })),
        create_lease("a lease is created", SHARD, &[]),
        refused("and not created again", "PutItem", lease(SHARD, &[]), FAILED),
        take("a lease that nobody holds is taken", SHARD, 0, "alpha", true),
        take("by one worker only", SHARD, 0, "beta", false),
        renew("its holder renews it", 1, "alpha", true),
        renew("but not with a counter that is past", 1, "alpha", false),
        renew("and nobody else does", 2, "beta", false),
        checkpoint("its holder checkpoints", 2, "alpha", "300000000000000000001"),
        take("an expired lease is taken over", SHARD, 3, "beta", true),
        renew("its former holder has lost it", 3, "alpha", false),
        renew("even with the right counter", 4, "alpha", false),
        create_lease("a child's lease is created", CHILD, &[SHARD]),
        end("the shard is done", 4, "beta"),
        read(SHARD),
        release("a lease is given up", 5, "beta"),
        take("and taken by another", SHARD, 6, "gamma", true),
        done("all leases and gaps are read", "Scan", json!({ "TableName": "leases", "ConsistentRead": true })),
        done("in pages", "Scan", json!({ "TableName": "leases", "ConsistentRead": true, "Limit": 1 })).through_all_pages(),
        forget("a lease that changed is not forgotten", 6, false),
        forget("one that did not is", 7, true),
        forget("but only once", 7, false),
        take("what is forgotten is not taken", SHARD, 7, "alpha", false),
        gap("a gap is recorded", true),
        gap("and recorded once", false),
        done("what remains", "Scan", json!({ "TableName": "leases", "ConsistentRead": true })),
    ];
    steps.extend(contended());
    steps
}

fn key(shard: &str) -> Value {
    json!({ "TableName": "leases", "Key": { "leaseKey": { "S": shard } } })
}

/// A write of an item that must not be there.
fn lease(shard: &str, parents: &[&str]) -> Value {
    let mut item = json!({
        "leaseKey": { "S": shard },
        "leaseCounter": { "N": "0" },
        "checkpoint": { "S": "TRIM_HORIZON" },
        "checkpointSubSequenceNumber": { "N": "0" },
        "ownerSwitchesSinceCheckpoint": { "N": "0" },
        "streamArn": { "S": "arn:aws:dynamodb:eu-central-1:123456789012:table/orders/stream/2026-11-21T06:28:43.764" },
        "entityType": { "S": "LEASE" },
    });
    if !parents.is_empty() {
        item["parentShardId"] = json!({ "SS": parents });
    }
    json!({ "TableName": "leases", "Item": item, "ConditionExpression": "attribute_not_exists(leaseKey)" })
}

fn create_lease(name: &str, shard: &str, parents: &[&str]) -> Step {
    done(name, "PutItem", lease(shard, parents))
}

fn conditional(name: &str, operation: &'static str, body: Value, holds: bool) -> Step {
    if holds { done(name, operation, body) } else { refused(name, operation, body, FAILED) }
}

fn take(name: &str, shard: &str, seen: u64, owner: &str, holds: bool) -> Step {
    let request = json!({
        "UpdateExpression": "SET leaseOwner = :owner, leaseCounter = :next REMOVE checkpointOwner ADD ownerSwitchesSinceCheckpoint :one",
        "ConditionExpression": "leaseCounter = :seen",
        "ExpressionAttributeValues": {
            ":owner": { "S": owner }, ":seen": { "N": seen.to_string() }, ":next": { "N": (seen + 1).to_string() }, ":one": { "N": "1" }
        },
    });
    conditional(name, "UpdateItem", key(shard), holds).with(request)
}

/// A write of the lease's holder: what else it sets and removes, and the values of that.
fn held(name: &str, seen: u64, owner: &str, update: &str, values: &Value, holds: bool) -> Step {
    let mut request = json!({
        "UpdateExpression": format!("SET leaseCounter = :next{update}"),
        "ConditionExpression": "leaseCounter = :seen AND leaseOwner = :owner AND attribute_not_exists(checkpointOwner)",
        "ExpressionAttributeValues": values,
    });
    for (name, value) in [(":owner", json!({ "S": owner })), (":seen", number(seen)), (":next", number(seen + 1))] {
        request["ExpressionAttributeValues"][name] = value;
    }
    conditional(name, "UpdateItem", key(SHARD), holds).with(request)
}

fn number(value: u64) -> Value {
    json!({ "N": value.to_string() })
}

fn renew(name: &str, seen: u64, owner: &str, holds: bool) -> Step {
    held(name, seen, owner, ", durableThrough = :through", &json!({ ":through": { "N": "1795230000" } }), holds)
}

fn checkpoint(name: &str, seen: u64, owner: &str, sequence: &str) -> Step {
    let values = json!({ ":checkpoint": { "S": sequence }, ":zero": { "N": "0" }, ":last": { "S": sequence } });
    held(name, seen, owner, ", checkpoint = :checkpoint, ownerSwitchesSinceCheckpoint = :zero, lastSequence = :last", &values, true)
}

fn end(name: &str, seen: u64, owner: &str) -> Step {
    let values = json!({ ":checkpoint": { "S": "SHARD_END" }, ":zero": { "N": "0" }, ":done": { "N": "1795244400" } });
    held(name, seen, owner, ", doneAt = :done, checkpoint = :checkpoint, ownerSwitchesSinceCheckpoint = :zero", &values, true)
}

fn release(name: &str, seen: u64, owner: &str) -> Step {
    held(name, seen, owner, " REMOVE leaseOwner", &json!({}), true)
}

fn read(shard: &str) -> Step {
    done("a lease is read", "GetItem", key(shard)).with(json!({ "ConsistentRead": true }))
}

fn forget(name: &str, seen: u64, holds: bool) -> Step {
    let condition = json!({ "ConditionExpression": "leaseCounter = :seen", "ExpressionAttributeValues": { ":seen": number(seen) } });
    conditional(name, "DeleteItem", key(SHARD), holds).with(condition)
}

fn gap(name: &str, holds: bool) -> Step {
    let item =
        json!({ "leaseKey": { "S": format!("GAP:{SHARD}") }, "entityType": { "S": "GAP" }, "after": { "S": "300000000000000000001" } });
    let body = json!({ "TableName": "leases", "Item": item, "ConditionExpression": "attribute_not_exists(leaseKey)" });
    conditional(name, "PutItem", body, holds)
}

/// Two workers take one lease after the other many times: of two that saw the same counter one wins.
fn contended() -> Vec<Step> {
    let mut steps = Vec::new();
    for seen in 0..10 {
        let [first, second] = if seen % 2 == 0 { ["alpha", "beta"] } else { ["beta", "alpha"] };
        steps.push(take("one of two workers takes it", CHILD, seen, first, true));
        steps.push(take("the other one does not", CHILD, seen, second, false));
    }
    steps.push(read(CHILD));
    steps
}
