//! Queries and scans: what they select, in which order, and in which pages.

use serde_json::{Value, json};

use super::step::{Step, done, refused, with_used};
use super::tables::create;

const INVALID: &str = "ValidationException";

const VALUES: &str = r#"{
    ":a": {"S": "a"}, ":b": {"S": "b"}, ":none": {"S": "none"}, ":n1": {"N": "1"}, ":n2": {"N": "2.0"}, ":n9": {"N": "9"}, ":n10": {"N": "10"},
    ":neg": {"N": "-3"}, ":s1": {"S": "1"}, ":even": {"S": "even"}, ":row": {"S": "row#"}, ":row1": {"S": "row#1"}, ":empty": {"S": ""},
    ":bin": {"B": "gA=="}, ":bin2": {"B": "/w=="}, ":zero": {"N": "0"}
}"#;

const NAMES: [(&str, &str); 4] = [("#k", "pk"), ("#r", "sk"), ("#parity", "parity"), ("#name", "name")];

/// Sort keys of the tables, in no order.
const NUMBERS: [&str; 9] = ["10", "9", "-3", "0", "2", "1.5", "1e3", "-12.25", "100"];
const STRINGS: [&str; 8] = ["row#10", "row#9", "row#1", "row", "Row#1", "ä", "z", "row#\u{1F980}"];
const BINARIES: [&str; 5] = ["gA==", "fw==", "AA==", "/w==", "gAA="];

/// Key conditions on numbers.
const ON_NUMBERS: &[&str] = &[
    "pk = :a",
    "pk = :a AND sk = :n2",
    "pk = :a AND sk < :n2",
    "pk = :a AND sk <= :n2",
    "pk = :a AND sk > :n2",
    "pk = :a AND sk >= :n2",
    "pk = :a AND sk BETWEEN :neg AND :n9",
    "pk = :a AND sk BETWEEN :n9 AND :n10",
    "sk = :n2 AND pk = :a",
    "sk > :n2 and pk = :a",
    "(pk = :a) AND (sk > :n2)",
    "(pk = :a AND sk > :n2)",
    "#k = :a AND #r > :zero",
    ":a = pk",
    "pk = :none",
    "pk = :b",
];

const ON_STRINGS: &[&str] = &[
    "pk = :a",
    "pk = :a AND sk = :row1",
    "pk = :a AND begins_with(sk, :row)",
    "pk = :a AND begins_with(sk, :row1)",
    "begins_with(sk, :row) AND pk = :a",
    "pk = :a AND sk > :row1",
    "pk = :a AND sk < :row",
    "pk = :a AND sk BETWEEN :row AND :row1",
];

const ON_BINARIES: &[&str] = &[
    "pk = :a",
    "pk = :a AND sk >= :bin",
    "pk = :a AND sk < :bin",
    "pk = :a AND begins_with(sk, :bin)",
    "pk = :a AND sk BETWEEN :bin AND :bin2",
];

/// What is no key condition of the table with numbers.
const MALFORMED: &[&str] = &[
    "",
    "pk",
    "sk = :n1",
    "pk > :a",
    "pk <> :a",
    "pk IN (:a)",
    "pk BETWEEN :a AND :b",
    "begins_with(pk, :a)",
    "pk = :a OR pk = :b",
    "NOT pk = :a",
    "pk = :a AND NOT sk = :n1",
    "pk = :a AND pk = :b",
    "pk = :a AND sk = :n1 AND sk = :n2",
    "pk = :a AND sk > :n1 AND sk < :n9",
    "pk = :a AND sk <> :n1",
    "pk = :a AND sk IN (:n1)",
    "pk = :a AND contains(sk, :n1)",
    "pk = :a AND attribute_exists(sk)",
    "pk = :a AND begins_with(sk, :n1)",
    "pk = :a AND sk BETWEEN :n9 AND :n1",
    "pk = :a AND parity = :even",
    "parity = :even",
    "pk = :a AND sk = :s1",
    "pk = :n1",
    "pk = :a AND size(sk) = :n1",
    "pk = sk",
    "pk = :empty",
    "pk.x = :a",
    "pk = :a AND sk = :undefined",
    "pk = :a sk = :n1",
];

pub(super) fn steps() -> Vec<Step> {
    let mut steps = filled_tables();
    for (table, conditions) in [("by-number", ON_NUMBERS), ("by-string", ON_STRINGS), ("by-binary", ON_BINARIES)] {
        for condition in conditions {
            steps.push(done(format!("{table}: the query {condition}"), "Query", query(table, condition)));
        }
    }
    for condition in MALFORMED {
        steps.push(refused(format!("no key condition is '{condition}'"), "Query", query("by-number", condition), INVALID));
    }
    steps.extend(pages());
    steps.extend(selections());
    steps.extend(scans());
    steps.extend(large_pages());
    steps
}

fn filled_tables() -> Vec<Step> {
    let mut steps = vec![
        create("by-number", &[("pk", "S"), ("sk", "N")]),
        create("by-string", &[("pk", "S"), ("sk", "S")]),
        create("by-binary", &[("pk", "S"), ("sk", "B")]),
        create("unsorted", &[("pk", "S")]),
    ];
    let mut put = |table: &str, item: Value| steps.push(done("an item is put", "PutItem", json!({ "TableName": table, "Item": item })));
    for (index, number) in NUMBERS.iter().enumerate() {
        let parity = if index % 2 == 0 { "even" } else { "odd" };
        let inside = json!({ "M": { "ix": { "N": index.to_string() }, "els": { "L": [{ "S": parity }] } } });
        put(
            "by-number",
            json!({ "pk": { "S": "a" }, "sk": { "N": number }, "parity": { "S": parity }, "name": { "S": number }, "m": inside }),
        );
    }
    put("by-number", json!({ "pk": { "S": "b" }, "sk": { "N": "1" }, "parity": { "S": "odd" } }));
    for string in STRINGS {
        put("by-string", json!({ "pk": { "S": "a" }, "sk": { "S": string } }));
    }
    for binary in BINARIES {
        put("by-binary", json!({ "pk": { "S": "a" }, "sk": { "B": binary } }));
    }
    for index in 0..7 {
        put("unsorted", json!({ "pk": { "S": format!("item {index}") }, "n": { "N": index.to_string() } }));
    }
    steps
}

fn placed(mut body: Value, expressions: &[(&str, &str)]) -> Value {
    for (member, expression) in expressions {
        body[*member] = (*expression).into();
    }
    let expressions: Vec<_> = expressions.iter().map(|(_, expression)| *expression).collect();
    with_used(body, &expressions, &serde_json::from_str(VALUES).unwrap(), &NAMES)
}

fn query(table: &str, condition: &str) -> Value {
    placed(json!({ "TableName": table }), &[("KeyConditionExpression", condition)])
}

/// Pages by their limit, forwards and backwards, with filters, to the end and from any key.
fn pages() -> Vec<Step> {
    let all = || query("by-number", "pk = :a");
    let filtered =
        || placed(json!({ "TableName": "by-number" }), &[("KeyConditionExpression", "pk = :a"), ("FilterExpression", "parity = :even")]);
    let from = |key: &str| json!({ "ExclusiveStartKey": { "pk": { "S": "a" }, "sk": { "N": key } } });
    let backwards = json!({ "ScanIndexForward": false });
    let mut steps = vec![
        done("a query backwards", "Query", all()).with(backwards.clone()),
        done("a consistent query", "Query", all()).with(json!({ "ConsistentRead": true })),
        done("a page", "Query", all()).with(json!({ "Limit": 4 })).keep("last", "/LastEvaluatedKey"),
        done("the page after it", "Query", all()).with(json!({ "Limit": 4, "ExclusiveStartKey": "${last}" })),
        done("a page that holds all that is left", "Query", all()).with(json!({ "Limit": 100, "ExclusiveStartKey": "${last}" })),
        done("a page that ends with the last item", "Query", all()).with(json!({ "Limit": 9 })).keep("end", "/LastEvaluatedKey"),
        done("nothing follows it", "Query", all()).with(json!({ "Limit": 9, "ExclusiveStartKey": "${end}" })),
        done("a query from a key that is not there", "Query", all()).with(from("5")),
        done("and backwards from it", "Query", all()).with(from("5")).with(backwards.clone()),
        done("a limit counts items before the filter", "Query", filtered()).with(json!({ "Limit": 3 })),
        done("a page may be empty and not the last", "Query", filtered()).with(json!({ "Limit": 1, "ScanIndexForward": false })),
        refused("a page holds one item at least", "Query", all(), INVALID).with(json!({ "Limit": 0 })),
        refused("a page starts at a whole key", "Query", all(), INVALID).with(json!({ "ExclusiveStartKey": { "pk": { "S": "a" } } })),
        refused("of the types of the table's", "Query", all(), INVALID)
            .with(json!({ "ExclusiveStartKey": { "pk": { "S": "a" }, "sk": { "S": "1" } } })),
        refused("and of the partition that is asked for", "Query", all(), INVALID)
            .with(json!({ "ExclusiveStartKey": { "pk": { "S": "b" }, "sk": { "N": "1" } } })),
        refused("and with nothing else", "Query", all(), INVALID)
            .with(json!({ "ExclusiveStartKey": { "pk": { "S": "a" }, "sk": { "N": "1" }, "x": { "N": "1" } } })),
    ];
    for limit in [1, 2, 3, 4, 9, 10] {
        steps.push(done(format!("all pages of {limit}"), "Query", all()).with(json!({ "Limit": limit })).through_all_pages());
        steps.push(
            done(format!("all pages of {limit} backwards"), "Query", all())
                .with(json!({ "Limit": limit }))
                .with(backwards.clone())
                .through_all_pages(),
        );
        steps.push(done(format!("all filtered pages of {limit}"), "Query", filtered()).with(json!({ "Limit": limit })).through_all_pages());
    }
    steps
}

/// What of the items is given, and which of them.
fn selections() -> Vec<Step> {
    let with = |expressions: &[(&str, &str)]| {
        let all: Vec<_> = [("KeyConditionExpression", "pk = :a")].iter().chain(expressions).copied().collect();
        placed(json!({ "TableName": "by-number" }), &all)
    };
    let mut steps = vec![
        done("a count", "Query", with(&[])).with(json!({ "Select": "COUNT" })),
        done("a filtered count", "Query", with(&[("FilterExpression", "parity = :even")])).with(json!({ "Select": "COUNT" })),
        done("all attributes", "Query", with(&[])).with(json!({ "Select": "ALL_ATTRIBUTES" })),
        done("a projection", "Query", with(&[("ProjectionExpression", "#r, m.ix, #name")])),
        done("specific attributes", "Query", with(&[("ProjectionExpression", "m.els[0]")]))
            .with(json!({ "Select": "SPECIFIC_ATTRIBUTES" })),
        done("a projection of what was filtered by another attribute", "Query", {
            with(&[("FilterExpression", "#parity = :even"), ("ProjectionExpression", "sk")])
        }),
        refused("a count projects nothing", "Query", with(&[("ProjectionExpression", "sk")]), INVALID).with(json!({ "Select": "COUNT" })),
        refused("all attributes are no projection", "Query", with(&[("ProjectionExpression", "sk")]), INVALID)
            .with(json!({ "Select": "ALL_ATTRIBUTES" })),
        refused("specific attributes are named", "Query", with(&[]), INVALID).with(json!({ "Select": "SPECIFIC_ATTRIBUTES" })),
        refused("a table has no index to project", "Query", with(&[]), INVALID).with(json!({ "Select": "ALL_PROJECTED_ATTRIBUTES" })),
        refused("a selection is one of four", "Query", with(&[]), INVALID).with(json!({ "Select": "MOST" })),
        refused("a table has no such index", "Query", with(&[]), INVALID).with(json!({ "IndexName": "by-mood" })),
        refused("a filter has no key in it", "Query", with(&[("FilterExpression", "sk > :n1")]), INVALID),
        refused("a filter is a condition", "Query", with(&[("FilterExpression", "parity")]), INVALID),
        refused("every value is used", "Query", with(&[]), INVALID)
            .with(json!({ "ExpressionAttributeValues": { ":a": { "S": "a" }, ":more": { "N": "1" } } })),
        refused("a query has a key condition", "Query", json!({ "TableName": "by-number" }), INVALID),
        refused("a query has a table", "Query", query("no-such-table", "pk = :a"), "ResourceNotFoundException"),
        refused("a table without a sort key has no order", "Query", query("unsorted", "pk = :a AND sk = :n1"), INVALID),
        done("but its items can be queried", "Query", json!({ "TableName": "unsorted", "KeyConditionExpression": "pk = :i" }))
            .with(json!({ "ExpressionAttributeValues": { ":i": { "S": "item 3" } } })),
    ];
    for filter in [
        "m.ix > :n2",
        "contains(m.els, :even) AND NOT m.ix = :zero",
        "attribute_not_exists(nothing)",
        "attribute_exists(nothing)",
        "size(#name) > :n2",
        "begins_with(#name, :s1) OR m.ix IN (:n9, :n2)",
    ] {
        steps.push(done(format!("the filter {filter}"), "Query", with(&[("FilterExpression", filter)])));
    }
    steps
}

fn scans() -> Vec<Step> {
    let table = || json!({ "TableName": "by-number" });
    let filtered = |filter: &str| placed(table(), &[("FilterExpression", filter)]);
    let mut steps = vec![
        done("a scan", "Scan", table()),
        done("a consistent scan", "Scan", table()).with(json!({ "ConsistentRead": true })),
        done("a scan of a table without a sort key", "Scan", json!({ "TableName": "unsorted" })),
        done("a filtered scan", "Scan", filtered("parity = :even")),
        done("a scan may be filtered by the key", "Scan", filtered("pk = :b OR sk > :n10")),
        done("a scan counts", "Scan", filtered("parity = :even")).with(json!({ "Select": "COUNT" })),
        done("a scan projects", "Scan", placed(table(), &[("ProjectionExpression", "#k, #name, m.els")])),
        done("one segment holds everything", "Scan", table()).with(json!({ "Segment": 0, "TotalSegments": 1 })),
        refused("a segment is one of several", "Scan", table(), INVALID).with(json!({ "Segment": 0 })),
        refused("several segments have a number", "Scan", table(), INVALID).with(json!({ "TotalSegments": 2 })),
        refused("a segment's number is below their count", "Scan", table(), INVALID).with(json!({ "Segment": 2, "TotalSegments": 2 })),
        refused("and not below zero", "Scan", table(), INVALID).with(json!({ "Segment": -1, "TotalSegments": 2 })),
        refused("there is one segment at least", "Scan", table(), INVALID).with(json!({ "Segment": 0, "TotalSegments": 0 })),
        refused("and a million at most", "Scan", table(), INVALID).with(json!({ "Segment": 0, "TotalSegments": 1_000_001 })),
        refused("a scan has a table", "Scan", json!({ "TableName": "no-such-table" }), "ResourceNotFoundException"),
        refused("a page of a scan holds one item at least", "Scan", table(), INVALID).with(json!({ "Limit": 0 })),
        refused("a page of a scan starts at a whole key", "Scan", table(), INVALID)
            .with(json!({ "ExclusiveStartKey": { "pk": { "S": "a" } } })),
        refused("a scan's filter is a condition", "Scan", filtered("parity ="), INVALID),
        refused("a scan counts or projects", "Scan", placed(table(), &[("ProjectionExpression", "sk")]), INVALID)
            .with(json!({ "Select": "COUNT" })),
    ];
    // One partition has an order, whatever the service's.
    let alone = |more: Value| done("a page of a scan goes on behind a key", "Scan", json!({ "TableName": "alone" })).with(more);
    steps.push(create("alone", &[("pk", "S"), ("sk", "N")]));
    for number in 0..6 {
        let item = json!({ "pk": { "S": "a" }, "sk": { "N": (number * 10).to_string() }, "text": { "S": "x".repeat(2_000) } });
        steps.push(done("an item of 2 KB", "PutItem", json!({ "TableName": "alone", "Item": item })));
    }
    for (after, limit) in [(10, 2), (15, 2), (40, 1), (50, 1), (60, 3)] {
        let start = json!({ "pk": { "S": "a" }, "sk": { "N": after.to_string() } });
        steps.push(alone(json!({ "ExclusiveStartKey": start, "Limit": limit, "ReturnConsumedCapacity": "TOTAL" })));
    }
    for consistent in [false, true] {
        let paid = json!({ "ReturnConsumedCapacity": "TOTAL", "ConsistentRead": consistent });
        steps.push(alone(paid.clone()));
        steps.push(alone(paid.clone()).with(json!({ "Limit": 6 })));
        steps.push(alone(paid).with(json!({ "Limit": 3, "Select": "COUNT" })));
    }
    for limit in [1, 3, 7, 8] {
        let unsorted = json!({ "TableName": "unsorted", "Limit": limit });
        steps.push(done(format!("a scan in pages of {limit}"), "Scan", unsorted).through_all_pages());
        let some = filtered("parity = :even");
        steps.push(done(format!("a filtered scan in pages of {limit}"), "Scan", some).with(json!({ "Limit": limit })).through_all_pages());
    }
    for segments in [2, 3, 10] {
        steps.push(done(format!("{segments} segments hold every item once"), "Scan", table()).in_segments(segments));
        let pages = json!({ "TableName": "unsorted", "Limit": 2 });
        steps.push(done(format!("and so they do in pages: {segments}"), "Scan", pages).in_segments(segments));
    }
    steps
}

/// A page ends at one megabyte, of what was read rather than of what is given.
fn large_pages() -> Vec<Step> {
    let mut steps = vec![create("large", &[("pk", "S"), ("sk", "N")])];
    for number in 0..25 {
        let item = json!({ "pk": { "S": "a" }, "sk": { "N": number.to_string() }, "text": { "S": "x".repeat(100_000) } });
        steps.push(done("a large item", "PutItem", json!({ "TableName": "large", "Item": item })));
    }
    let parts = placed(json!({ "TableName": "large" }), &[("ProjectionExpression", "sk"), ("FilterExpression", "attribute_exists(pk)")]);
    let some = placed(json!({ "TableName": "large" }), &[("KeyConditionExpression", "pk = :a"), ("ProjectionExpression", "sk")]);
    steps.extend([
        done("a query in pages of a megabyte", "Query", some).through_all_pages(),
        done("a scan in pages of a megabyte", "Scan", parts.clone()).through_all_pages(),
        done("a limit may end a page before", "Scan", parts).with(json!({ "Limit": 7 })).through_all_pages(),
    ]);
    steps
}
