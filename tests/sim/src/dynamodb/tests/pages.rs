//! Query, Scan and the batches.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

/// Items `a` 0 to 40 and `b` 0 to 40 by tens, each with its number in `v`.
fn filled() -> Account {
    let mut account = account();
    for p in ["a", "b"] {
        for v in 0..5 {
            account.ok("PutItem", json!({ "Item": item(p, v * 10, "v", n(v)) }));
        }
    }
    account
}

fn query(condition: &str) -> Value {
    let mut values = json!({});
    for (name, value) in [(":p", json!({ "S": "a" })), (":n", n(10)), (":m", n(30))] {
        if condition.contains(name) {
            values[name] = value;
        }
    }
    json!({ "KeyConditionExpression": condition, "ExpressionAttributeValues": values })
}

/// The sort keys of an answer's items.
fn sort_keys(answer: &Value) -> Vec<i64> {
    answer["Items"].as_array().unwrap().iter().map(|item| item["s"]["N"].as_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_query_reads_a_part_of_one_partition_in_order() {
    let mut account = filled();
    for (condition, found) in [
        ("p = :p", &[0, 10, 20, 30, 40][..]),
        ("p = :p AND s = :n", &[10]),
        ("p = :p AND s < :n", &[0]),
        ("p = :p AND s <= :n", &[0, 10]),
        ("p = :p AND s > :n", &[20, 30, 40]),
        ("p = :p AND s >= :n", &[10, 20, 30, 40]),
        ("p = :p AND s BETWEEN :n AND :m", &[10, 20, 30]),
    ] {
        let mut request = query(condition);
        assert_eq!(sort_keys(&account.ok("Query", request.clone())), found, "{condition}");
        request["ScanIndexForward"] = json!(false);
        let reversed: Vec<i64> = found.iter().rev().copied().collect();
        assert_eq!(sort_keys(&account.ok("Query", request)), reversed, "{condition}");
    }
    let old = json!({ "KeyConditions": {
        "p": { "ComparisonOperator": "EQ", "AttributeValueList": [{ "S": "a" }] },
        "s": { "ComparisonOperator": "GT", "AttributeValueList": [n(20)] },
    } });
    assert_eq!(sort_keys(&account.ok("Query", old)), [30, 40]);
}

#[test]
fn prefixes_are_found_in_both_directions() {
    let mut account = account();
    let mut create = creation("texts");
    create["AttributeDefinitions"][1]["AttributeType"] = json!("S");
    account.ok("CreateTable", create);
    for text in ["a", "ab", "abc", "abd", "ac", "b"] {
        account.ok("PutItem", json!({ "TableName": "texts", "Item": { "p": { "S": "p" }, "s": { "S": text } } }));
    }
    for (forward, found) in [(true, ["ab", "abc", "abd"]), (false, ["abd", "abc", "ab"])] {
        let answer = account.ok(
            "Query",
            json!({
                "TableName": "texts", "KeyConditionExpression": "p = :p AND begins_with(s, :b)", "ScanIndexForward": forward,
                "ExpressionAttributeValues": { ":p": { "S": "p" }, ":b": { "S": "ab" } },
            }),
        );
        assert_eq!(answer["Items"].as_array().unwrap().iter().map(|item| item["s"]["S"].as_str().unwrap()).collect::<Vec<_>>(), found);
        assert_eq!(answer["ScannedCount"], json!(3));
    }
}

#[test]
fn pages_go_on_where_the_last_one_ended() {
    let mut account = filled();
    for forward in [true, false] {
        let mut request = query("p = :p AND s >= :n");
        request["Limit"] = json!(2);
        request["ScanIndexForward"] = json!(forward);
        let mut found = Vec::new();
        let mut pages = 0;
        loop {
            let answer = account.ok("Query", request.clone());
            found.extend(sort_keys(&answer));
            pages += 1;
            let Some(last) = answer.get("LastEvaluatedKey") else { break };
            request["ExclusiveStartKey"] = last.clone();
        }
        // The second page stops at its limit and does not know that it was the last.
        assert_eq!((found, pages), (if forward { vec![10, 20, 30, 40] } else { vec![40, 30, 20, 10] }, 3));
    }
    let start = |condition: &str, start: Value| {
        let mut request = query(condition);
        request["ExclusiveStartKey"] = start;
        request
    };
    let message = account.message("Query", start("p = :p", key("b", 10)));
    assert_eq!(message, "The provided starting key is outside query boundaries based on provided conditions");
    let message = account.message("Query", start("p = :p AND s > :n", key("a", 0)));
    assert_eq!(message, "The provided starting key does not match the range key predicate");
    assert!(account.message("Query", start("p = :p", json!({ "p": { "S": "a" } }))).starts_with("The provided starting key is invalid"));
}

#[test]
fn a_filter_takes_from_what_was_read() {
    let mut account = filled();
    let mut request = query("p = :p");
    request["FilterExpression"] = json!("v >= :v");
    request["ExpressionAttributeValues"][":v"] = n(2);
    request["Limit"] = json!(3);
    let answer = account.ok("Query", request.clone());
    assert_eq!((sort_keys(&answer), &answer["Count"], &answer["ScannedCount"]), (vec![20], &json!(1), &json!(3)));
    assert_eq!(answer["LastEvaluatedKey"], key("a", 20));
    request["Select"] = json!("COUNT");
    let counted = account.ok("Query", request.clone());
    assert_eq!(counted, json!({ "Count": 1, "ScannedCount": 3, "LastEvaluatedKey": key("a", 20) }));
    request["FilterExpression"] = json!("s >= :v");
    assert!(account.message("Query", request).contains("can only contain non-primary key attributes: Primary key attribute: s"));
    let of_keys = json!({ "FilterExpression": "s >= :v", "ExpressionAttributeValues": { ":v": n(40) }, "ProjectionExpression": "p" });
    assert_eq!(account.ok("Scan", of_keys)["Items"].as_array().unwrap().len(), 2);
    let old = json!({ "ScanFilter": { "v": { "ComparisonOperator": "EQ", "AttributeValueList": [n(4)] } } });
    assert_eq!(sort_keys(&account.ok("Scan", old)), [40, 40]);
}

#[test]
fn a_page_reads_a_megabyte() {
    let mut account = account();
    // 100 KiB each: ten of them are 1,000 KiB, the eleventh goes beyond 1 MiB.
    for s in 0..12 {
        account.ok("PutItem", json!({ "Item": item("a", 10 + s, "v", json!({ "S": "x".repeat(102_400 - 6) })) }));
    }
    let page = account.ok("Scan", json!({ "ReturnConsumedCapacity": "TOTAL", "ConsistentRead": true }));
    assert_eq!((&page["Count"], &page["LastEvaluatedKey"]), (&json!(11), &key("a", 20)));
    assert_eq!(page["ConsumedCapacity"]["CapacityUnits"], json!(275.0));
    account.ok("DeleteItem", json!({ "Key": key("a", 21) }));
    let whole = account.ok("Scan", json!({ "Select": "COUNT" }));
    assert_eq!(whole, json!({ "Count": 11, "ScannedCount": 11 }));
}

#[test]
fn segments_share_a_table_without_overlap() {
    let mut account = account();
    for p in 0..100 {
        account.ok("PutItem", json!({ "Item": key(&format!("p{p}"), p) }));
    }
    for total in [1, 2, 3, 7, 1_000_000] {
        let mut seen = BTreeSet::new();
        let mut sizes = Vec::new();
        // Of very many segments those that hold the items' hashes are found by asking for a few; all are too many to ask for.
        for segment in 0..total.min(7) {
            let (mut start, mut size) = (None::<Value>, 0);
            loop {
                let mut request = json!({ "Segment": segment, "TotalSegments": total, "Limit": 3 });
                if let Some(start) = start {
                    request["ExclusiveStartKey"] = start;
                }
                let answer = account.ok("Scan", request);
                for item in answer["Items"].as_array().unwrap() {
                    assert!(seen.insert(item["p"]["S"].as_str().unwrap().to_owned()), "{item} of {segment} was in another segment");
                    size += 1;
                }
                start = answer.get("LastEvaluatedKey").cloned();
                if start.is_none() {
                    break;
                }
            }
            sizes.push(size);
        }
        if total <= 7 {
            assert_eq!(seen.len(), 100);
            assert!(sizes.iter().all(|size| *size > 0), "{sizes:?}");
        }
    }
    let first = account.ok("Scan", json!({ "Segment": 0, "TotalSegments": 2, "Limit": 1 }))["LastEvaluatedKey"].clone();
    let elsewhere = json!({ "Segment": 1, "TotalSegments": 2, "ExclusiveStartKey": first });
    let message = account.message("Scan", elsewhere);
    assert!(message.contains("Please use ExclusiveStartKey with correct Segment. TotalSegments: 2 Segment: 1"), "{message}");
    for (request, part) in [
        (json!({ "Segment": 2, "TotalSegments": 2 }), "Segment: 2 is not less than TotalSegments: 2"),
        (json!({ "Segment": 0, "TotalSegments": 0 }), "Value '0' at 'totalSegments'"),
        (json!({ "Segment": 0, "TotalSegments": 1_000_001 }), "Value '1000001' at 'totalSegments'"),
        (json!({ "Segment": -1, "TotalSegments": 2 }), "Value '-1' at 'segment'"),
        (json!({ "Segment": 0 }), "The TotalSegments parameter is required"),
        (json!({ "TotalSegments": 2 }), "The Segment parameter is required"),
        (json!({ "Limit": 0 }), "Value '0' at 'limit'"),
        (json!({ "IndexName": "i" }), "The table does not have the specified index: i"),
        (json!({ "Select": "SPECIFIC_ATTRIBUTES" }), "Must specify the AttributesToGet or ProjectionExpression"),
        (json!({ "Select": "COUNT", "ProjectionExpression": "v" }), "Cannot specify the ProjectionExpression"),
    ] {
        let message = account.message("Scan", request);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_segment_is_read_on_behind_any_key_that_lies_in_it() {
    let mut account = account();
    for p in 0..20 {
        account.ok("PutItem", json!({ "Item": key(&format!("p{p}"), 5) }));
    }
    let scan = |account: &mut Account, start: Option<&Value>| {
        let mut request = json!({ "Segment": 1, "TotalSegments": 3 });
        request["ExclusiveStartKey"] = start.cloned().unwrap_or_default();
        if request["ExclusiveStartKey"].is_null() {
            request.as_object_mut().unwrap().remove("ExclusiveStartKey");
        }
        account.ok("Scan", request)["Items"].as_array().unwrap().clone()
    };
    let all = scan(&mut account, None);
    assert!(all.len() > 2);
    for (at, item) in all.iter().enumerate() {
        assert_eq!(scan(&mut account, Some(item)), all[at + 1..], "behind an item");
        let p = item["p"]["S"].as_str().unwrap();
        assert_eq!(scan(&mut account, Some(&key(p, 4))), all[at..], "behind a key that no item has");
        account.ok("DeleteItem", json!({ "Key": item }));
        assert_eq!(scan(&mut account, Some(item)), all[at + 1..], "behind an item that was deleted");
    }
}

#[test]
fn a_page_at_its_limit_goes_on_though_nothing_is_left() {
    let mut account = filled();
    let page = account.ok("Scan", json!({ "Limit": 10, "ReturnConsumedCapacity": "TOTAL" }));
    assert_eq!((&page["Count"], &page["ConsumedCapacity"]["CapacityUnits"]), (&json!(10), &json!(0.5)));
    let last = account.ok("Scan", json!({ "Limit": 10, "ExclusiveStartKey": page["LastEvaluatedKey"], "ReturnConsumedCapacity": "TOTAL" }));
    assert_eq!((&last["Count"], &last["ConsumedCapacity"]["CapacityUnits"]), (&json!(0), &json!(0.5)));
    assert_eq!(last.get("LastEvaluatedKey"), None);
}

#[test]
fn a_page_may_end_before_it_has_to() {
    let mut account = filled();
    account.quirks.short_page = Some(3);
    let page = account.ok("Scan", json!({}));
    assert_eq!((&page["Count"], page.get("LastEvaluatedKey").is_some()), (&json!(3), true));
    assert!(account.quirks.have_bitten("short_page"));
    assert_eq!(account.ok("Scan", json!({ "Limit": 2 }))["Count"], 2);
    account.quirks.short_page = Some(0);
    assert_eq!(account.ok("Query", query("p = :p"))["Count"], 1, "there has to be a last key");
    account.quirks = Quirks { short_page: Some(10), ..Quirks::default() };
    assert_eq!(account.ok("Scan", json!({})).get("LastEvaluatedKey"), None);
    assert!(!account.quirks.have_bitten("short_page"), "there was no more to give");
}

#[test]
fn a_read_that_need_not_be_consistent_may_find_items_as_they_were() {
    let mut account = filled();
    account.now += 5_000;
    account.ok("PutItem", json!({ "Item": item("a", 0, "v", n(7)) }));
    account.now += 400;
    account.ok("PutItem", json!({ "Item": item("a", 0, "v", n(8)) }));
    account.ok("DeleteItem", json!({ "Key": key("a", 10) }));
    account.ok("PutItem", json!({ "Item": item("a", 15, "v", n(9)) }));
    account.now += 100;
    let mut found = |late: i64, consistent: bool| {
        account.quirks = Quirks { stale_read: Some(late), ..Quirks::default() };
        let mut request = query("p = :p");
        request["ConsistentRead"] = json!(consistent);
        let queried = account.ok("Query", request)["Items"].as_array().unwrap().clone();
        let scanned = account.ok("Scan", json!({ "ConsistentRead": consistent }))["Items"].as_array().unwrap().clone();
        let of_a: Vec<Value> = scanned.into_iter().filter(|item| item["p"]["S"] == "a").collect();
        assert_eq!(of_a, queried);
        let got = account.ok("GetItem", json!({ "Key": key("a", 0), "ConsistentRead": consistent }))["Item"].clone();
        assert_eq!(got, queried[0]);
        let values: Vec<i64> = queried.iter().map(|item| item["v"]["N"].as_str().unwrap().parse().unwrap()).collect();
        (values, account.quirks.have_bitten("stale_read"))
    };
    assert_eq!(found(100, false), (vec![8, 9, 2, 3, 4], false));
    assert_eq!(found(101, false), (vec![7, 1, 2, 3, 4], true));
    assert_eq!(found(501, false), (vec![0, 1, 2, 3, 4], true));
    assert_eq!(found(501, true), (vec![8, 9, 2, 3, 4], false));
    account.now += 1_000;
    assert_eq!(account.ok("GetItem", json!({ "Key": key("a", 0) }))["Item"]["v"], n(8), "no copy is later than a second");
}

#[test]
fn a_scan_of_a_table_with_a_stream_is_written_down() {
    let mut account = filled();
    account.ok("Scan", json!({}));
    assert_eq!(account.events(0).iter().filter(|event| matches!(event, Event::Scanned { .. })).count(), 0);
    let streamed = json!({ "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" });
    account.ok("UpdateTable", json!({ "StreamSpecification": streamed }));
    account.ok("Scan", json!({ "Segment": 0, "TotalSegments": 1, "Limit": 4 }));
    let Some(Event::Scanned { segment, items, end, .. }) = account.events(0).pop() else { panic!("no scan is written down") };
    assert_eq!((segment, items, end), (Some((0, 1)), 4, false));
}

#[test]
fn a_batch_reads_what_there_is() {
    let mut account = filled();
    let request = |keys: Value| json!({ "RequestItems": { "orders": { "Keys": keys, "ProjectionExpression": "v" } } });
    let mut both = request(json!([key("a", 10), key("x", 1), key("b", 0)]));
    both["ReturnConsumedCapacity"] = json!("TOTAL");
    let answer = account.ok("BatchGetItem", both);
    assert_eq!(answer["Responses"], json!({ "orders": [{ "v": n(1) }, { "v": n(0) }] }));
    assert_eq!((&answer["UnprocessedKeys"], &answer["ConsumedCapacity"][0]["CapacityUnits"]), (&json!({}), &json!(1.5)));
    let twice = json!([key("a", 10), { "p": { "S": "a" }, "s": { "N": "10.0" } }]);
    assert_eq!(account.message("BatchGetItem", request(twice)), "Provided list of item keys contains duplicates");
    let many: Vec<Value> = (0..101).map(|s| key("a", s)).collect();
    assert!(account.message("BatchGetItem", request(json!(many))).starts_with("Too many items"));
    assert!(account.message("BatchGetItem", request(json!([]))).contains("orders has empty list"));
    assert!(account.message("BatchGetItem", json!({ "RequestItems": {} })).contains("must have some requests"));
}

#[test]
fn a_batch_writes_all_or_is_wrong_as_a_whole() {
    let mut account = filled();
    let request = |writes: Value| json!({ "RequestItems": { "orders": writes } });
    let put = |p: &str, s: i64| json!({ "PutRequest": { "Item": key(p, s) } });
    let delete = |p: &str, s: i64| json!({ "DeleteRequest": { "Key": key(p, s) } });
    let before = account.items("orders");
    assert_eq!(
        account.message("BatchWriteItem", request(json!([put("n", 1), delete("n", 1)]))),
        "Provided list of item keys contains duplicates"
    );
    assert!(account.message("BatchWriteItem", request(json!([put("n", 1), { "PutRequest": { "Item": {} } }]))).contains("Missing the key"));
    assert!(account.message("BatchWriteItem", request(json!([put("n", 1), {}]))).contains("exactly one"));
    let many: Vec<Value> = (0..26).map(|s| put("n", s)).collect();
    assert!(account.message("BatchWriteItem", request(json!(many))).starts_with("Too many items"));
    assert!(account.message("BatchWriteItem", request(json!([]))).contains("cannot be null or empty: orders"));
    assert_eq!(account.items("orders"), before);
    let mut both = request(json!([put("n", 1), delete("a", 0), delete("a", 1)]));
    both["ReturnConsumedCapacity"] = json!("TOTAL");
    let answer = account.ok("BatchWriteItem", both);
    let consumed = json!([{ "TableName": "orders", "CapacityUnits": 3.0 }]);
    assert_eq!(answer, json!({ "UnprocessedItems": {}, "ConsumedCapacity": consumed }));
    assert_eq!(account.items("orders").as_array().unwrap().len(), 10);
}
