//! Transactions: all or nothing, once.

use serde_json::json;

use super::*;

fn transaction(actions: &Value) -> Value {
    json!({ "TransactItems": actions })
}

fn put(p: &str, s: i64) -> Value {
    json!({ "Put": { "TableName": "orders", "Item": key(p, s) } })
}

fn check(p: &str, s: i64, condition: &str) -> Value {
    json!({ "ConditionCheck": { "TableName": "orders", "Key": key(p, s), "ConditionExpression": condition } })
}

fn increment(p: &str, s: i64) -> Value {
    let values = json!({ ":one": n(1) });
    json!({ "Update": {
        "TableName": "orders", "Key": key(p, s), "UpdateExpression": "SET v = v + :one", "ExpressionAttributeValues": values
    } })
}

#[test]
fn a_transaction_takes_effect_as_a_whole() {
    let mut account = account();
    account.ok("PutItem", json!({ "Item": item("a", 1, "v", n(1)) }));
    account.ok("PutItem", json!({ "Item": item("a", 2, "v", n(2)) }));
    let delete = json!({ "Delete": { "TableName": "orders", "Key": key("a", 2) } });
    let mut request = transaction(&json!([put("a", 0), increment("a", 1), delete, check("a", 3, "attribute_not_exists(p)")]));
    request["ReturnConsumedCapacity"] = json!("TOTAL");
    let answer = account.ok("TransactWriteItems", request);
    assert_eq!(answer, json!({ "ConsumedCapacity": [{ "TableName": "orders", "CapacityUnits": 8.0 }] }));
    assert_eq!(account.items("orders"), json!([key("a", 0), item("a", 1, "v", n(2))]));
}

#[test]
fn a_cancelled_transaction_tells_why_and_leaves_everything() {
    let mut account = account();
    account.ok("PutItem", json!({ "Item": item("a", 1, "v", n(1)) }));
    let since = account.events(0).len();
    let mut shown = check("a", 1, "attribute_not_exists(p)");
    shown["ConditionCheck"]["ReturnValuesOnConditionCheckFailure"] = json!("ALL_OLD");
    let error = account.error("TransactWriteItems", transaction(&json!([put("a", 0), shown, increment("a", 2)])));
    assert_eq!(error.code, "TransactionCanceledException");
    let reasons = "[None, ConditionalCheckFailed, ValidationError]";
    assert_eq!(error.message, format!("Transaction cancelled, please refer cancellation reasons for specific reasons {reasons}"));
    let missing = "The provided expression refers to an attribute that does not exist in the item";
    let expected = json!([
        { "Code": "None" },
        { "Code": "ConditionalCheckFailed", "Message": "The conditional request failed", "Item": item("a", 1, "v", n(1)) },
        { "Code": "ValidationError", "Message": missing },
    ]);
    assert_eq!(error.details["CancellationReasons"], expected);
    assert_eq!(account.items("orders"), json!([item("a", 1, "v", n(1))]));
    assert!(matches!(&account.events(since)[..], [Event::ConditionFailed { .. }]));
}

#[test]
fn a_transaction_with_a_token_takes_effect_once_within_ten_minutes() {
    let mut account = account();
    account.ok("PutItem", json!({ "Item": item("a", 1, "v", n(0)) }));
    let mut request = transaction(&json!([increment("a", 1)]));
    request["ClientRequestToken"] = json!("t");
    account.ok("TransactWriteItems", request.clone());
    account.quirks.condition_fails = true;
    account.now += 599_999;
    account.ok("TransactWriteItems", request.clone());
    assert_eq!(account.items("orders"), json!([item("a", 1, "v", n(1))]));
    let mut other = transaction(&json!([increment("a", 2)]));
    other["ClientRequestToken"] = json!("t");
    assert_eq!(account.error("TransactWriteItems", other).code, "IdempotentParameterMismatchException");
    account.now += 1;
    account.ok("TransactWriteItems", request);
    assert_eq!(account.items("orders"), json!([item("a", 1, "v", n(2))]));
}

#[test]
fn a_transaction_has_one_action_for_each_of_its_items() {
    let mut account = account();
    let repeated = "Transaction request cannot include multiple operations on one item";
    let twice = transaction(&json!([put("a", 1), check("a", 1, "attribute_exists(p)")]));
    assert_eq!(account.message("TransactWriteItems", twice), repeated);
    let get = |s: &str| json!({ "Get": { "TableName": "orders", "Key": { "p": { "S": "a" }, "s": { "N": s } } } });
    assert_eq!(account.message("TransactGetItems", transaction(&json!([get("1"), get("2"), get("1.0")]))), repeated);
    let mut two = put("a", 1);
    two["Delete"] = json!({ "TableName": "orders", "Key": key("a", 1) });
    assert!(account.message("TransactWriteItems", transaction(&json!([two]))).contains("can only contain one of"));
    assert!(account.message("TransactWriteItems", transaction(&json!([{}]))).contains("should contain"));
    assert!(account.message("TransactWriteItems", transaction(&json!([]))).contains("greater than or equal to 1"));
    let many: Vec<Value> = (0..101).map(|s| put("a", s)).collect();
    assert!(account.message("TransactWriteItems", transaction(&json!(many))).contains("less than or equal to 100"));
    let without = json!({ "ConditionCheck": { "TableName": "orders", "Key": key("a", 1) } });
    assert!(account.message("TransactWriteItems", transaction(&json!([without]))).contains("'conditionExpression'"));
    let without = json!({ "Update": { "TableName": "orders", "Key": key("a", 1) } });
    assert!(account.message("TransactWriteItems", transaction(&json!([without]))).contains("'updateExpression'"));
    assert_eq!(account.items("orders"), json!([]));
}

#[test]
fn a_transaction_reads_in_the_order_of_its_request() {
    let mut account = account();
    account.ok("PutItem", json!({ "Item": item("a", 1, "v", n(1)) }));
    let get = |s: i64| json!({ "Get": { "TableName": "orders", "Key": key("a", s), "ProjectionExpression": "v" } });
    let mut request = transaction(&json!([get(2), get(1)]));
    request["ReturnConsumedCapacity"] = json!("TOTAL");
    let answer = account.ok("TransactGetItems", request);
    assert_eq!(answer["Responses"], json!([{}, { "Item": { "v": n(1) } }]));
    assert_eq!(answer["ConsumedCapacity"][0]["CapacityUnits"], json!(4.0));
}
