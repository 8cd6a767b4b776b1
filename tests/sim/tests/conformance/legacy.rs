//! The parameters from before there were expressions, which KCL's lease tables still meet.

use serde_json::{Value, json};

use super::step::{Step, done, refused};
use super::tables::create;

const FAILED: &str = "ConditionalCheckFailedException";
const INVALID: &str = "ValidationException";

/// The item that is expected to be this or that.
const ITEM: &str = r#"{
    "pk": {"S": "item"}, "sk": {"N": "1"}, "n": {"N": "7"}, "s": {"S": "seven"}, "ss": {"SS": ["a", "b"]}, "l": {"L": [{"N": "1"}]}, "nil": {"NULL": true}
}"#;

/// An operator, its operands, and whether it holds for the attribute.
const COMPARISONS: &[(&str, &str, &str, bool)] = &[
    ("n", "EQ", r#"[{"N": "7.0"}]"#, true),
    ("n", "EQ", r#"[{"S": "7"}]"#, false),
    ("n", "NE", r#"[{"N": "7"}]"#, false),
    ("n", "NE", r#"[{"N": "8"}]"#, true),
    ("n", "LE", r#"[{"N": "7"}]"#, true),
    ("n", "LT", r#"[{"N": "7"}]"#, false),
    ("n", "GE", r#"[{"N": "10"}]"#, false),
    ("n", "GT", r#"[{"N": "6"}]"#, true),
    ("n", "BETWEEN", r#"[{"N": "6"}, {"N": "10"}]"#, true),
    ("n", "BETWEEN", r#"[{"N": "8"}, {"N": "10"}]"#, false),
    ("n", "IN", r#"[{"N": "8"}, {"N": "7"}]"#, true),
    ("n", "IN", r#"[{"N": "8"}]"#, false),
    ("n", "NOT_NULL", "[]", true),
    ("n", "NULL", "[]", false),
    ("nil", "NOT_NULL", "[]", true),
    ("gone", "NULL", "[]", true),
    ("gone", "NOT_NULL", "[]", false),
    ("gone", "EQ", r#"[{"N": "7"}]"#, false),
    ("gone", "NE", r#"[{"N": "7"}]"#, true),
    ("s", "BEGINS_WITH", r#"[{"S": "sev"}]"#, true),
    ("s", "BEGINS_WITH", r#"[{"S": "ven"}]"#, false),
    ("s", "CONTAINS", r#"[{"S": "eve"}]"#, true),
    ("s", "NOT_CONTAINS", r#"[{"S": "eve"}]"#, false),
    ("ss", "CONTAINS", r#"[{"S": "a"}]"#, true),
    ("ss", "NOT_CONTAINS", r#"[{"S": "z"}]"#, true),
    ("ss", "EQ", r#"[{"SS": ["b", "a"]}]"#, true),
    ("l", "CONTAINS", r#"[{"N": "1"}]"#, true),
];

/// Operators with operands that do not fit them.
const UNFIT: &[(&str, &str)] = &[
    ("EQ", "[]"),
    ("EQ", r#"[{"N": "1"}, {"N": "2"}]"#),
    ("NULL", r#"[{"N": "1"}]"#),
    ("BETWEEN", r#"[{"N": "1"}]"#),
    ("BETWEEN", r#"[{"N": "2"}, {"N": "1"}]"#),
    ("BETWEEN", r#"[{"N": "1"}, {"S": "2"}]"#),
    ("IN", "[]"),
    ("BEGINS_WITH", r#"[{"N": "1"}]"#),
    ("LT", r#"[{"SS": ["a"]}]"#),
    ("ABOUT", r#"[{"N": "1"}]"#),
];

/// Updates of attributes, by their names.
const UPDATES: &[&str] = &[
    r#"{"n": {"Action": "PUT", "Value": {"N": "8"}}}"#,
    r#"{"n": {"Action": "PUT", "Value": {"S": "eight"}}, "fresh": {"Action": "PUT", "Value": {"L": []}}}"#,
    r#"{"n": {"Action": "ADD", "Value": {"N": "-0.5"}}}"#,
    r#"{"fresh": {"Action": "ADD", "Value": {"N": "3"}}}"#,
    r#"{"ss": {"Action": "ADD", "Value": {"SS": ["b", "c"]}}}"#,
    r#"{"ss": {"Action": "DELETE", "Value": {"SS": ["b", "c"]}}}"#,
    r#"{"ss": {"Action": "DELETE", "Value": {"SS": ["a", "b"]}}}"#,
    r#"{"s": {"Action": "DELETE"}, "gone": {"Action": "DELETE"}}"#,
    "{}",
];

const BAD_UPDATES: &[&str] = &[
    r#"{"n": {"Action": "PUT"}}"#,
    r#"{"n": {"Action": "ADD", "Value": {"S": "1"}}}"#,
    r#"{"s": {"Action": "ADD", "Value": {"N": "1"}}}"#,
    r#"{"n": {"Action": "DELETE", "Value": {"N": "1"}}}"#,
    r#"{"ss": {"Action": "DELETE", "Value": {"NS": ["1"]}}}"#,
    r#"{"pk": {"Action": "PUT", "Value": {"S": "x"}}}"#,
];

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn item() -> Value {
    json!({ "TableName": "legacy", "Item": parsed(ITEM) })
}

fn key() -> Value {
    json!({ "TableName": "legacy", "Key": { "pk": { "S": "item" }, "sk": { "N": "1" } } })
}

pub(super) fn steps() -> Vec<Step> {
    let mut steps = vec![create("legacy", &[("pk", "S"), ("sk", "N")]), done("the item stands there", "PutItem", item())];
    steps.extend(expectations());
    for update in UPDATES {
        let body = json!({ "AttributeUpdates": parsed(update), "ReturnValues": "ALL_NEW" });
        steps.push(done("the item stands there", "PutItem", item()));
        steps.push(done(format!("the update {update}"), "UpdateItem", key()).with(body));
    }
    steps.push(
        done("an attribute is put if nothing else is said", "UpdateItem", key())
            .with(json!({ "AttributeUpdates": { "n": { "Value": { "S": "eight" } } }, "ReturnValues": "ALL_NEW" }))
            .differs_at(
                "/body/Attributes/n",
                json!({ "N": "7" }),
                json!({ "S": "eight" }),
                "an update's Action is PUT by default; DynamoDB Local does nothing without one",
            ),
    );
    steps.push(done("the item stands there", "PutItem", item()));
    for update in BAD_UPDATES {
        let body = json!({ "AttributeUpdates": parsed(update) });
        steps.push(refused(format!("no update is {update}"), "UpdateItem", key(), INVALID).with(body));
    }
    steps.extend(filters());
    steps
}

fn expectations() -> Vec<Step> {
    let mut steps = Vec::new();
    let mut expect = |name: String, holds: bool, expected: Value| {
        let step = if holds { done(name, "PutItem", item()) } else { refused(name, "PutItem", item(), FAILED) };
        steps.push(step.with(expected));
    };
    for (attribute, operator, operands, holds) in COMPARISONS {
        let name = format!("{} that {attribute} {operator} {operands}", if *holds { "it holds" } else { "it does not hold" });
        let mut comparison = json!({ "ComparisonOperator": operator });
        if *operands != "[]" {
            comparison["AttributeValueList"] = parsed(operands);
        }
        expect(name, *holds, json!({ "Expected": { *attribute: comparison } }));
    }
    let (seven, eight) = (json!({ "Value": { "N": "7" } }), json!({ "Value": { "N": "8" } }));
    expect("a value is as expected".to_owned(), true, json!({ "Expected": { "n": seven } }));
    expect("a value is not as expected".to_owned(), false, json!({ "Expected": { "n": eight } }));
    expect(
        "an attribute exists with its value".to_owned(),
        true,
        json!({ "Expected": { "n": { "Exists": true, "Value": { "N": "7" } } } }),
    );
    expect("an attribute exists against expectation".to_owned(), false, json!({ "Expected": { "n": { "Exists": false } } }));
    expect("an attribute does not exist".to_owned(), true, json!({ "Expected": { "gone": { "Exists": false } } }));
    let both = json!({ "n": eight, "s": { "Value": { "S": "seven" } } });
    expect("all of several have to hold".to_owned(), false, json!({ "Expected": both }));
    expect("one of several has to hold".to_owned(), true, json!({ "Expected": both, "ConditionalOperator": "OR" }));
    for (operator, operands) in UNFIT {
        let expected = json!({ "Expected": { "n": { "ComparisonOperator": operator, "AttributeValueList": parsed(operands) } } });
        steps.push(refused(format!("no expectation is {operator} {operands}"), "PutItem", item(), INVALID).with(expected));
    }
    for (name, expected) in [
        ("existence has a value", json!({ "n": { "Exists": true } })),
        ("absence has none", json!({ "n": { "Exists": false, "Value": { "N": "7" } } })),
        ("an expectation says something", json!({ "n": {} })),
        (
            "a value or a list of them",
            json!({ "n": { "Value": { "N": "7" }, "ComparisonOperator": "EQ", "AttributeValueList": [{ "N": "7" }] } }),
        ),
    ] {
        steps.push(refused(name, "PutItem", item(), INVALID).with(json!({ "Expected": expected })));
    }
    steps
}

fn filters() -> Vec<Step> {
    let equal = |value: Value| json!({ "ComparisonOperator": "EQ", "AttributeValueList": [value] });
    let at_least = |value: Value| json!({ "ComparisonOperator": "GE", "AttributeValueList": [value] });
    let item_key = || equal(json!({ "S": "item" }));
    let query = |conditions: Value| json!({ "TableName": "legacy", "KeyConditions": conditions });
    let scan = |filter: Value| json!({ "TableName": "legacy", "ScanFilter": filter });
    let more = json!({ "TableName": "legacy", "Item": { "pk": { "S": "item" }, "sk": { "N": "2" }, "n": { "N": "9" } } });
    vec![
        done("another item", "PutItem", more),
        done("a query by key", "Query", query(json!({ "pk": item_key() }))),
        done("a query by both keys", "Query", query(json!({ "pk": item_key(), "sk": at_least(json!({ "N": "2" })) }))),
        done("a filtered query", "Query", query(json!({ "pk": item_key() })))
            .with(json!({ "QueryFilter": { "n": at_least(json!({ "N": "8" })) } })),
        done("attributes to get", "Query", query(json!({ "pk": item_key() }))).with(json!({ "AttributesToGet": ["sk", "gone"] })),
        refused("the partition key is equal to something", "Query", query(json!({ "pk": at_least(json!({ "S": "item" })) })), INVALID),
        refused("the partition key is given", "Query", query(json!({ "sk": equal(json!({ "N": "2" })) })), INVALID),
        refused("no other attribute is", "Query", query(json!({ "pk": item_key(), "n": equal(json!({ "N": "9" })) })), INVALID),
        refused("conditions are of one kind", "Query", query(json!({ "pk": item_key() })), INVALID)
            .with(json!({ "KeyConditionExpression": "pk = :a", "ExpressionAttributeValues": { ":a": { "S": "item" } } })),
        done("a filtered scan", "Scan", scan(json!({ "n": equal(json!({ "N": "9" })) }))),
        done("one of two filters", "Scan", scan(json!({ "n": equal(json!({ "N": "9" })), "s": equal(json!({ "S": "seven" })) })))
            .with(json!({ "ConditionalOperator": "OR" })),
        refused("filters are of one kind", "Scan", scan(json!({ "n": equal(json!({ "N": "9" })) })), INVALID)
            .with(json!({ "FilterExpression": "attribute_exists(n)" })),
        refused("projections are of one kind", "Scan", json!({ "TableName": "legacy" }), INVALID)
            .with(json!({ "AttributesToGet": ["n"], "ProjectionExpression": "n" })),
        refused("updates are of one kind", "UpdateItem", key(), INVALID)
            .with(json!({ "AttributeUpdates": parsed(UPDATES[0]), "UpdateExpression": "REMOVE n" })),
    ]
}
