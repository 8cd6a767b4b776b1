//! What stands in an expression for names and values: placeholders that are wrong, missing or left over, and words that need one.

use serde_json::{Value, json};

use super::step::{Step, done, refusal, refused, success};
use super::tables::create;

fn item() -> Value {
    json!({ "pk": { "S": "item" } })
}

pub(super) fn steps() -> Vec<Step> {
    let mut steps = vec![create("placeholders", &[("pk", "S")])];
    steps.extend(names_and_values());
    steps.extend(words());
    steps
}

/// Words of which each is reserved: as an attribute's name it needs a placeholder.
const RESERVED: &[&str] = &[
    "abort",
    "add",
    "at",
    "attribute",
    "bucket",
    "copy",
    "count",
    "counter",
    "data",
    "date",
    "delete",
    "empty",
    "group",
    "hash",
    "index",
    "items",
    "key",
    "list",
    "map",
    "missing",
    "name",
    "Name",
    "NAMES",
    "number",
    "order",
    "owner",
    "partition",
    "primary",
    "range",
    "region",
    "remove",
    "role",
    "segment",
    "set",
    "state",
    "status",
    "STATUS",
    "table",
    "time",
    "timestamp",
    "total",
    "ttl",
    "type",
    "update",
    "user",
    "value",
    "values",
    "view",
    "year",
    "zone",
];

/// Words that look as if they were.
const NOT_RESERVED: &[&str] = &[
    "id",
    "pk",
    "sk",
    "sequence_number",
    "lost",
    "version",
    "event",
    "checkpoint",
    "lease",
    "worker",
    "price",
    "amount",
    "customer",
    "email",
    "created",
    "kind",
    "payload",
    "currency",
    "quantity",
    "names_of",
];

fn words() -> Vec<Step> {
    let about = |word: &str| {
        let condition = format!("attribute_not_exists({word}) OR attribute_exists({word})");
        json!({ "TableName": "placeholders", "Key": item(), "ConditionExpression": condition })
    };
    let reserved = RESERVED.iter().map(|word| refused(format!("'{word}' is reserved"), "UpdateItem", about(word), "ValidationException"));
    let free = NOT_RESERVED.iter().map(|word| done(format!("'{word}' is not reserved"), "UpdateItem", about(word)));
    let size = refused("'size' is reserved", "UpdateItem", about("size"), "ValidationException").differs(
        success(&json!({})),
        refusal("ValidationException"),
        "SIZE stands on the documented list of reserved words; DynamoDB Local takes it for an attribute where it is no function",
    );
    reserved.chain(free).chain([size]).collect()
}

/// Names and values that are wrong, missing or left over.
fn names_and_values() -> Vec<Step> {
    let put = |name: &str, members: Value| {
        let body = json!({ "TableName": "placeholders", "Item": item() });
        refused(name, "PutItem", body, "ValidationException").with(members)
    };
    vec![
        put(
            "every value is used",
            json!({ "ConditionExpression": "n = :a", "ExpressionAttributeValues": { ":a": { "N": "7" }, ":b": { "N": "7" } } }),
        ),
        put(
            "every name is used",
            json!({ "ConditionExpression": "attribute_exists(#a)", "ExpressionAttributeNames": { "#a": "n", "#b": "n" } }),
        ),
        put("values come with an expression", json!({ "ExpressionAttributeValues": { ":a": { "N": "7" } } })),
        put("names come with an expression", json!({ "ExpressionAttributeNames": { "#a": "n" } })),
        put("values are not empty", json!({ "ConditionExpression": "attribute_exists(n)", "ExpressionAttributeValues": {} })),
        put("names are not empty", json!({ "ConditionExpression": "attribute_exists(n)", "ExpressionAttributeNames": {} })),
        put(
            "a value's name begins with a colon",
            json!({ "ConditionExpression": "n = :a", "ExpressionAttributeValues": { "a": { "N": "7" } } }),
        ),
        put(
            "a name's name begins with a number sign",
            json!({ "ConditionExpression": "attribute_exists(#a)", "ExpressionAttributeNames": { "a": "n" } }),
        ),
        put("a value is a value", json!({ "ConditionExpression": "n = :a", "ExpressionAttributeValues": { ":a": {} } })),
        put(
            "a value has one type",
            json!({ "ConditionExpression": "n = :a", "ExpressionAttributeValues": { ":a": { "N": "7", "S": "7" } } }),
        ),
        put(
            "a value's number is a number",
            json!({ "ConditionExpression": "n = :a", "ExpressionAttributeValues": { ":a": { "N": "seven" } } }),
        ),
        put("a value's set is not empty", json!({ "ConditionExpression": "n = :a", "ExpressionAttributeValues": { ":a": { "SS": [] } } })),
        put(
            "an expression is no legacy condition",
            json!({ "ConditionExpression": "attribute_exists(n)", "Expected": { "n": { "Exists": false } } }),
        ),
    ]
}
