//! Single items: what is stored, what comes back, what is written down.

use serde_json::json;

use super::*;

#[test]
fn an_item_comes_back_in_its_one_spelling() {
    let mut account = account();
    account
        .ok("PutItem", json!({ "Item": { "p": { "S": "a" }, "s": { "N": "1.0" }, "n": { "N": "0012.50" }, "ss": { "SS": ["b", "a"] } } }));
    let expected = json!({ "p": { "S": "a" }, "s": { "N": "1" }, "n": { "N": "12.5" }, "ss": { "SS": ["a", "b"] } });
    assert_eq!(account.ok("GetItem", json!({ "Key": key("a", 1) })), json!({ "Item": expected }));
    assert_eq!(account.ok("GetItem", json!({ "Key": key("a", 2) })), json!({}));
    let projected = json!({ "Key": key("a", 1), "ProjectionExpression": "#n, q", "ExpressionAttributeNames": { "#n": "n" } });
    assert_eq!(account.ok("GetItem", projected), json!({ "Item": { "n": { "N": "12.5" } } }));
    let old = account.ok("GetItem", json!({ "Key": key("a", 1), "AttributesToGet": ["ss", "q"] }));
    assert_eq!(old, json!({ "Item": { "ss": { "SS": ["a", "b"] } } }));
}

#[test]
fn return_values_are_what_was_asked_for() {
    let mut account = account();
    let put = json!({ "Item": item("a", 1, "m", json!({ "M": { "x": n(1), "y": n(2) } })), "ReturnValues": "ALL_OLD" });
    assert_eq!(account.ok("PutItem", put.clone()), json!({}));
    assert_eq!(account.ok("PutItem", put.clone())["Attributes"], put["Item"]);
    let mut update = |returns: &str, expression: &str| {
        let request = json!({
            "Key": key("a", 1), "UpdateExpression": expression, "ExpressionAttributeValues": { ":n": n(5) }, "ReturnValues": returns
        });
        account.ok("UpdateItem", request).get("Attributes").cloned()
    };
    // Only the parts that the expression names, as they stood or stand.
    assert_eq!(update("UPDATED_OLD", "SET m.x = :n, q = :n"), Some(json!({ "m": { "M": { "x": n(1) } } })));
    assert_eq!(update("UPDATED_NEW", "SET m.x = m.y + :n, q = :n"), Some(json!({ "m": { "M": { "x": n(7) } }, "q": n(5) })));
    assert_eq!(update("UPDATED_NEW", "ADD q :n REMOVE m.y"), Some(json!({ "q": n(10) })));
    assert_eq!(update("NONE", "SET q = :n"), None);
    let whole = json!({ "p": { "S": "a" }, "s": n(1), "m": { "M": { "x": n(7) } }, "q": n(5) });
    assert_eq!(update("ALL_OLD", "SET q = q + :n"), Some(whole.clone()));
    assert_eq!(update("ALL_NEW", "SET q = :n"), Some(whole.clone()));
    assert_eq!(account.ok("DeleteItem", json!({ "Key": key("a", 1), "ReturnValues": "ALL_OLD" })), json!({ "Attributes": whole }));
    assert_eq!(account.ok("DeleteItem", json!({ "Key": key("a", 1), "ReturnValues": "ALL_OLD" })), json!({}));
    for operation in ["PutItem", "DeleteItem"] {
        let request = json!({ "Item": key("a", 1), "Key": key("a", 1), "ReturnValues": "ALL_NEW" });
        assert_eq!(account.message(operation, request), "Return values set to invalid value");
    }
}

#[test]
fn an_update_creates_the_item_even_if_it_only_removes() {
    let mut account = account();
    account.ok("UpdateItem", json!({ "Key": key("a", 1) }));
    let value = json!({ ":n": n(1) });
    account.ok("UpdateItem", json!({ "Key": key("a", 2), "UpdateExpression": "ADD c :n", "ExpressionAttributeValues": value }));
    let mut remove = json!({ "Key": key("a", 3), "UpdateExpression": "REMOVE q", "ReturnValues": "ALL_NEW" });
    assert_eq!(account.ok("UpdateItem", remove.clone()), json!({ "Attributes": key("a", 3) }));
    remove["Key"] = key("a", 4);
    remove["ReturnValues"] = json!("UPDATED_NEW");
    assert_eq!(account.ok("UpdateItem", remove), json!({}));
    assert_eq!(account.items("orders"), json!([key("a", 1), item("a", 2, "c", n(1)), key("a", 3), key("a", 4)]));
}

#[test]
fn effective_writes_are_written_down_with_both_images() {
    let mut account = account();
    let since = account.events(0).len();
    account.ok("PutItem", json!({ "Item": item("a", 1, "v", n(1)) }));
    account.ok("PutItem", json!({ "Item": { "p": { "S": "a" }, "s": { "N": "1" }, "v": { "N": "1.0" } } }));
    account.ok("PutItem", json!({ "Item": item("a", 1, "v", n(2)) }));
    account.ok("DeleteItem", json!({ "Key": key("a", 1) }));
    account.ok("DeleteItem", json!({ "Key": key("a", 1) }));
    let seen: Vec<_> = account
        .events(since)
        .into_iter()
        .map(|event| match event {
            Event::Item { table, key, old, new } => json!([table, key, old, new]),
            other => panic!("{other}"),
        })
        .collect();
    let (one, two) = (item("a", 1, "v", n(1)), item("a", 1, "v", n(2)));
    let expected = [(json!(null), one.clone()), (one, two.clone()), (two, json!(null))];
    assert_eq!(seen, expected.map(|(old, new)| json!(["orders", key("a", 1), old, new])));
}

#[test]
fn capacity_is_counted_by_size() {
    let mut account = account();
    let consumed = |answer: &Value| answer["ConsumedCapacity"]["CapacityUnits"].to_string();
    // 1 + 1 for p, 1 + 2 for s, 1 for the name of v.
    let large = item("a", 1, "v", json!({ "S": "x".repeat(4096 - 6) }));
    let put = account.ok("PutItem", json!({ "Item": large, "ReturnConsumedCapacity": "TOTAL" }));
    assert_eq!(consumed(&put), "4.0");
    let get = |consistent| json!({ "Key": key("a", 1), "ConsistentRead": consistent, "ReturnConsumedCapacity": "TOTAL" });
    assert_eq!([false, true].map(|consistent| consumed(&account.ok("GetItem", get(consistent)))), ["0.5", "1.0"]);
    let larger = item("a", 1, "v", json!({ "S": "x".repeat(4096 - 5) }));
    assert_eq!(consumed(&account.ok("PutItem", json!({ "Item": larger, "ReturnConsumedCapacity": "TOTAL" }))), "5.0");
    assert_eq!([false, true].map(|consistent| consumed(&account.ok("GetItem", get(consistent)))), ["1.0", "2.0"]);
    // The larger of the two images counts.
    let shrunk = account.ok("PutItem", json!({ "Item": key("a", 1), "ReturnConsumedCapacity": "INDEXES" }));
    assert_eq!(shrunk["ConsumedCapacity"], json!({ "TableName": "orders", "CapacityUnits": 5.0, "Table": { "CapacityUnits": 5.0 } }));
}

#[test]
fn items_and_keys_keep_their_limits() {
    let mut account = account();
    let of_size = |size: usize| json!({ "Item": item("a", 1, "v", json!({ "S": "x".repeat(size - 6) })) });
    account.ok("PutItem", of_size(400 * 1024));
    assert_eq!(account.message("PutItem", of_size(400 * 1024 + 1)), "Item size has exceeded the maximum allowed size");
    let grow = json!({ "Key": key("a", 1), "UpdateExpression": "SET w = :n", "ExpressionAttributeValues": { ":n": n(1) } });
    assert_eq!(account.message("UpdateItem", grow), "Item size to update has exceeded the maximum allowed size");
    assert!(account.message("PutItem", json!({ "Item": {} })).contains("Missing the key p"));
    assert_eq!(
        account.message("PutItem", json!({})),
        "1 validation error detected: Value null at 'item' failed to satisfy constraint: Member must not be null"
    );
    assert_eq!(account.message("GetItem", json!({ "Key": { "p": { "S": "a" } } })), "The number of conditions on the keys is invalid");
    assert!(account.message("PutItem", json!({ "Item": item("a", 1, "v", json!({ "NS": ["1", "1.0"] })) })).contains("duplicates"));
    let on_key = json!({ "Key": key("a", 1), "UpdateExpression": "REMOVE s" });
    assert!(account.message("UpdateItem", on_key).contains("Cannot update attribute s. This attribute is part of the key"));
}

#[test]
fn requests_that_make_no_sense_are_told_apart() {
    let mut account = account();
    let codes = |account: &mut Account, body: &str| account.call("PutItem", body.as_bytes()).unwrap_err().code;
    assert_eq!(codes(&mut account, "{nope"), "SerializationException");
    assert_eq!(codes(&mut account, r#"{"TableName":5}"#), "SerializationException");
    assert_eq!(codes(&mut account, "{}"), "ValidationException");
    assert_eq!(codes(&mut account, r#"{"TableName":"orders","Item":{"p":{}}}"#), "ValidationException");
    assert_eq!(codes(&mut account, r#"{"TableName":"orders","Item":{},"ReturnValues":"SOME"}"#), "ValidationException");
    assert_eq!(codes(&mut account, r#"{"TableName":"others","Item":{}}"#), "ResourceNotFoundException");
    assert_eq!(account.error("MakeCoffee", json!({})).code, "UnknownOperationException");
    let both = json!({ "Item": key("a", 1), "ConditionExpression": "attribute_exists(p)", "Expected": { "p": { "Exists": false } } });
    assert!(
        account.message("PutItem", both).contains("Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}")
    );
}

#[test]
fn a_history_writes_without_json() {
    let mut account = account();
    let Account { tables, streams, journal, now, .. } = &mut account;
    let whole: Item = serde_json::from_value(item("a", 1, "v", json!({ "N": "01" }))).unwrap();
    tables.put(streams, "orders", whole.clone(), *now, journal).unwrap();
    assert!(tables.put(streams, "orders", Item::new(), *now, journal).is_err());
    assert_eq!(tables.put(streams, "others", whole, *now, journal).unwrap_err().code, "ResourceNotFoundException");
    assert_eq!(account.items("orders"), json!([item("a", 1, "v", n(1))]));
    let Account { tables, streams, journal, now, .. } = &mut account;
    let of_item: Item = serde_json::from_value(key("a", 1)).unwrap();
    tables.delete(streams, "orders", &of_item, *now, journal).unwrap();
    assert_eq!(account.items("orders"), json!([]));
    assert!(account.tables.items("others").is_none());
}
