//! Items: what is written is what is read, and what cannot be written.

use serde_json::{Value, json};

use super::step::{Step, done, refused};
use super::tables::create;

const INVALID: &str = "ValidationException";
/// The largest item, in bytes: names and values.
const LARGEST: usize = 400 * 1024;

/// Numbers that can be written, of all lengths and spellings.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "0.0",
    "000",
    "0e10",
    "1",
    "-1",
    "+1",
    "01",
    "1.0",
    "1.50",
    "0.5",
    ".5",
    "5.",
    "-.5",
    "100",
    "1e2",
    "1E2",
    "1e+2",
    "1e-2",
    "1.5e3",
    "150e-1",
    "0.001",
    "0.00000000000000000001",
    "100000000000000000000",
    "1e37",
    "1e38",
    "123e120",
    "12345678901234567890123456789012345678",
    "-12345678901234567890123456789012345678",
    "1.2345678901234567890123456789012345678",
    "0.00000012345678901234567890123456789012345678",
    "12345678901234567890123456789012345678000",
    "12345678901234567890123456789012345678.000",
    "000012345678901234567890123456789012345678",
    "99999999999999999999999999999999999999",
    "9.9999999999999999999999999999999999999e125",
    "-9.9999999999999999999999999999999999999e125",
    "1e125",
    "1e-130",
    "-1e-130",
    "1.1e-129",
];

/// Text that is no number, or a number that is too long, too large or too small.
const NO_NUMBERS: &[&str] = &[
    "",
    " ",
    "1 ",
    " 1",
    "one",
    "0x10",
    "1,5",
    "1e",
    "e5",
    ".",
    "-",
    "--1",
    "1.2.3",
    "NaN",
    "Infinity",
    "-Infinity",
    "1_000",
    "1e126",
    "-1e126",
    "1e-131",
    "123456789012345678901234567890123456789",
    "1.23456789012345678901234567890123456789",
    "100000000000000000000000000000000000001",
];

/// Values that can be written.
fn good_values() -> Vec<(&'static str, Value)> {
    vec![
        ("an empty string", json!({ "S": "" })),
        ("any character", json!({ "S": "ä\u{1F980}\u{0}\n\"\\/" })),
        ("no bytes", json!({ "B": "" })),
        ("all sorts of bytes", json!({ "B": "AP8Q/+4=" })),
        ("true", json!({ "BOOL": true })),
        ("false", json!({ "BOOL": false })),
        ("null", json!({ "NULL": true })),
        ("a set of strings", json!({ "SS": ["b", "a"] })),
        ("a set with an empty string", json!({ "SS": ["", "a"] })),
        ("a set of numbers", json!({ "NS": ["2", "1.0", "-3e5"] })),
        ("a set of binaries", json!({ "BS": ["AQ==", "Ag=="] })),
        ("a set with no bytes", json!({ "BS": ["", "Ag=="] })),
        ("an empty list", json!({ "L": [] })),
        ("an empty map", json!({ "M": {} })),
        (
            "a list of all types",
            json!({ "L": [{ "S": "s" }, { "N": "1" }, { "B": "AQ==" }, { "NULL": true }, { "L": [{ "M": {} }] }, { "NS": ["7"] }] }),
        ),
        ("a map of maps", json!({ "M": { "x": { "S": "" }, "a b.c[0]": { "M": { "#": { "N": "0.1" } } } } })),
    ]
}

/// Values that cannot be written.
fn bad_values() -> Vec<(&'static str, Value)> {
    vec![
        ("an empty set of strings", json!({ "SS": [] })),
        ("an empty set of numbers", json!({ "NS": [] })),
        ("an empty set of binaries", json!({ "BS": [] })),
        ("a set with a string twice", json!({ "SS": ["a", "b", "a"] })),
        ("a set with a number twice", json!({ "NS": ["1", "1"] })),
        ("a set with a number in two spellings", json!({ "NS": ["1", "1.0"] })),
        ("a set with the same bytes twice", json!({ "BS": ["AQ==", "AQ=="] })),
        ("a set with no number", json!({ "NS": ["1", "x"] })),
        ("no type", json!({})),
        ("two types", json!({ "S": "1", "N": "1" })),
        ("an attribute without a name", json!({ "M": { "": { "S": "" } } })),
        ("an empty set below", json!({ "L": [{ "M": { "x": { "SS": [] } } }] })),
        ("no number below", json!({ "M": { "x": { "L": [{ "N": "x" }] } } })),
        ("null that is none", json!({ "NULL": false })),
    ]
}

pub(super) fn steps() -> Vec<Step> {
    let mut steps = vec![create("items", &[("pk", "S")]), create("ranges", &[("pk", "N"), ("sk", "B")])];
    steps.extend(returned());
    for number in NUMBERS {
        steps.extend(written_and_read(&format!("the number {number}"), &json!({ "N": number })));
    }
    for (name, value) in good_values() {
        steps.extend(written_and_read(name, &value));
    }
    let [written, read] = written_and_read("a number in a list", &json!({ "L": [{ "N": "01.0" }] }));
    let trimmed = "numbers lose their leading and trailing zeros wherever they stand; DynamoDB Local leaves them inside of lists and maps";
    steps.extend([written, read.differs_at("/body/Item/v/L/0/N", json!("01.0"), json!("1"), trimmed)]);
    for text in NO_NUMBERS {
        steps.push(refused(format!("'{text}' is no number"), "PutItem", put(json!({ "v": { "N": text } })), INVALID));
    }
    for (name, value) in bad_values() {
        steps.push(refused(format!("{name} cannot be written"), "PutItem", put(json!({ "v": value })), INVALID));
    }
    steps.extend(keys());
    steps.extend(reading());
    steps.extend(sizes());
    steps
}

/// An item of the table `items`.
fn item(attributes: Value) -> Value {
    let mut item = json!({ "pk": { "S": "a" } });
    let (Value::Object(members), Value::Object(attributes)) = (&mut item, attributes) else { panic!("items are objects") };
    members.extend(attributes);
    item
}

fn put(attributes: Value) -> Value {
    json!({ "TableName": "items", "Item": item(attributes) })
}

fn key() -> Value {
    json!({ "TableName": "items", "Key": { "pk": { "S": "a" } } })
}

fn written_and_read(name: &str, value: &Value) -> [Step; 2] {
    [done(format!("{name} is written"), "PutItem", put(json!({ "v": value }))), done(format!("{name} is read"), "GetItem", key())]
}

/// What every write can return.
fn returned() -> Vec<Step> {
    let mut steps = Vec::new();
    for returned in ["NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW", "EVERYTHING"] {
        let asked = json!({ "ReturnValues": returned });
        let judged = |name: String, operation: &'static str, body: Value, fine: bool| {
            if fine { done(name, operation, body) } else { refused(name, operation, body, INVALID) }.with(asked.clone())
        };
        let plain = ["NONE", "ALL_OLD"].contains(&returned);
        let known = returned != "EVERYTHING";
        let change = json!({ "UpdateExpression": "SET n = n + :one, m.x = :one REMOVE l[0], gone, s", "ExpressionAttributeValues": { ":one": { "N": "1" } } });
        let add = json!({ "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": { ":one": { "N": "1" } } });
        let full = json!({
            "n": { "N": "1" }, "s": { "S": "s" }, "m": { "M": { "x": { "N": "0" }, "y": { "N": "0" } } }, "l": { "L": [{ "N": "1" }, { "N": "2" }] }
        });
        steps.extend([
            judged(format!("deleting returns {returned}"), "DeleteItem", key(), plain),
            judged(format!("putting a new item returns {returned}"), "PutItem", put(full.clone()), plain),
            judged(format!("putting over an item returns {returned}"), "PutItem", put(full.clone()), plain),
            done("an item stands there", "PutItem", put(full)),
            several_paths(
                judged(format!("an update of several paths returns {returned}"), "UpdateItem", key(), known).with(change),
                returned,
            ),
            judged(format!("an update without an expression returns {returned}"), "UpdateItem", key(), known),
            done("the item is deleted", "DeleteItem", key()),
            judged(format!("an update of a new item returns {returned}"), "UpdateItem", key(), known).with(add),
            done("the item is deleted", "DeleteItem", key()),
            judged(format!("an empty update of a new item returns {returned}"), "UpdateItem", key(), known),
            done("it is there", "GetItem", key()),
        ]);
    }
    steps
}

/// States what DynamoDB Local returns of updates inside of maps and lists.
fn several_paths(step: Step, returned: &str) -> Step {
    let beside = "only the updated attributes are returned, so of a map or list only the updated parts; DynamoDB Local returns all of it";
    let list = json!([{ "N": "1" }, { "N": "2" }]);
    match returned {
        "UPDATED_OLD" => step.differs_at("/body/Attributes/m/M/y", json!({ "N": "0" }), Value::Null, beside).differs_at(
            "/body/Attributes/l/L",
            list,
            json!([{ "N": "1" }]),
            beside,
        ),
        "UPDATED_NEW" => step.differs_at("/body/Attributes/m/M/y", json!({ "N": "0" }), Value::Null, beside),
        _ => step,
    }
}

/// Keys: every attribute, no other, of the right type, not empty, not too long, and numbers by their value.
fn keys() -> Vec<Step> {
    let ranged = |key: Value| json!({ "TableName": "ranges", "Key": key });
    let whole = || json!({ "pk": { "N": "1" }, "sk": { "B": "AQ==" } });
    let mut steps = Vec::new();
    for (name, key) in [
        ("without its sort key", json!({ "pk": { "N": "1" } })),
        ("without its partition key", json!({ "sk": { "B": "AQ==" } })),
        ("with another attribute", json!({ "pk": { "N": "1" }, "sk": { "B": "AQ==" }, "x": { "S": "x" } })),
        ("with a partition key of another type", json!({ "pk": { "S": "1" }, "sk": { "B": "AQ==" } })),
        ("with a sort key of another type", json!({ "pk": { "N": "1" }, "sk": { "S": "AQ==" } })),
        ("with empty bytes", json!({ "pk": { "N": "1" }, "sk": { "B": "" } })),
        ("with no number", json!({ "pk": { "N": "one" }, "sk": { "B": "AQ==" } })),
        ("with a null", json!({ "pk": { "NULL": true }, "sk": { "B": "AQ==" } })),
        ("with nothing", json!({})),
    ] {
        for operation in ["GetItem", "UpdateItem", "DeleteItem"] {
            steps.push(refused(format!("{operation} takes no key {name}"), operation, ranged(key.clone()), INVALID));
        }
        if !name.contains("another attribute") {
            steps.push(refused(format!("no item is put {name}"), "PutItem", json!({ "TableName": "ranges", "Item": key }), INVALID));
        }
    }
    let string_key = |length: usize| json!({ "TableName": "items", "Item": { "pk": { "S": "k".repeat(length) } } });
    let sort_key = |zeros: usize| {
        let bytes = format!("{}AAA=", "AAAA".repeat(zeros / 3 - 1));
        json!({ "TableName": "ranges", "Item": { "pk": { "N": "2" }, "sk": { "B": bytes } } })
    };
    steps.extend([
        refused("a key is not an empty string", "PutItem", string_key(0), INVALID),
        done("a partition key has 2048 bytes at most", "PutItem", string_key(2048)),
        refused("and not one more", "PutItem", string_key(2049), INVALID),
        done("a sort key has 1024 bytes at most", "PutItem", sort_key(1025 - 1)),
        refused("and not one more", "PutItem", sort_key(1027), INVALID),
        done("a number is a key by its value", "PutItem", json!({ "TableName": "ranges", "Item": whole() })),
        done("whatever its spelling", "GetItem", ranged(json!({ "pk": { "N": "01.0" }, "sk": { "B": "AQ==" } }))),
        refused("a key attribute is not updated", "UpdateItem", ranged(whole()), INVALID)
            .with(json!({ "UpdateExpression": "SET sk = :b", "ExpressionAttributeValues": { ":b": { "B": "Ag==" } } })),
        refused("nor removed", "UpdateItem", ranged(whole()), INVALID).with(json!({ "UpdateExpression": "REMOVE pk" })),
        refused("nor counted up", "UpdateItem", ranged(whole()), INVALID)
            .with(json!({ "UpdateExpression": "ADD pk :n", "ExpressionAttributeValues": { ":n": { "N": "1" } } })),
    ]);
    for operation in ["PutItem", "GetItem", "UpdateItem", "DeleteItem"] {
        let body = json!({ "TableName": "no-such-table", "Key": { "pk": { "S": "a" } }, "Item": { "pk": { "S": "a" } } });
        steps.push(refused(format!("{operation} needs its table"), operation, body, "ResourceNotFoundException"));
    }
    for (operation, missing) in [("PutItem", "Item"), ("GetItem", "Key"), ("UpdateItem", "Key"), ("DeleteItem", "Key")] {
        steps.push(refused(format!("{operation} needs {missing}"), operation, json!({ "TableName": "items" }), INVALID));
    }
    steps
}

/// Reading an item, whole and in parts.
fn reading() -> Vec<Step> {
    let full = json!({
        "n": { "N": "1" }, "name": { "S": "s" }, "m": { "M": { "x": { "N": "0" }, "y": { "M": { "z": { "N": "2" } } } } },
        "l": { "L": [{ "N": "1" }, { "M": { "a": { "S": "x" }, "b": { "S": "y" } } }, { "N": "3" }] }
    });
    let mut steps = vec![
        done("an item to read", "PutItem", put(full)),
        done("a consistent read", "GetItem", key()).with(json!({ "ConsistentRead": true })),
        done("an item that is not there", "GetItem", json!({ "TableName": "items", "Key": { "pk": { "S": "nowhere" } } })),
        done("names in a projection", "GetItem", key())
            .with(json!({ "ProjectionExpression": "#a, m.#b", "ExpressionAttributeNames": { "#a": "name", "#b": "x" } })),
        done("a list of attributes", "GetItem", key()).with(json!({ "AttributesToGet": ["n", "name", "nothing"] })),
        refused("a projection's names are used", "GetItem", key(), INVALID)
            .with(json!({ "ProjectionExpression": "n", "ExpressionAttributeNames": { "#b": "x" } })),
    ];
    for projection in [
        "n",
        "pk",
        "n, pk",
        "m",
        "m.x",
        "m.y.z",
        "m.x, m.y",
        "l[1]",
        "l[2], l[0]",
        "l[1].b",
        "l[9]",
        "nothing",
        "n.x",
        "m[0]",
        "m.x, l[1].a, n",
    ] {
        steps.push(done(format!("the projection {projection}"), "GetItem", key()).with(json!({ "ProjectionExpression": projection })));
    }
    for projection in ["", "n,", ", n", "n n", "n, n", "m, m.x", "m.x, m.x", "l[0], l", "m.x, m[0]", "name", "l[a]", "n + m", ":n", "#a"] {
        steps.push(
            refused(format!("no projection is '{projection}'"), "GetItem", key(), INVALID)
                .with(json!({ "ProjectionExpression": projection })),
        );
    }
    steps
}

/// Items of 400 KiB, and values nested 32 levels deep, and not more.
fn sizes() -> Vec<Step> {
    // Two names of two bytes or one, and the key's one byte.
    let sized = |bytes: usize| put(json!({ "v": { "S": "x".repeat(bytes - 4) } }));
    let nested = |levels: usize| (0..levels).fold(json!({ "S": "x" }), |inside, _| json!({ "L": [inside] }));
    let append = json!({ "UpdateExpression": "SET w = :w", "ExpressionAttributeValues": { ":w": { "S": "" } } });
    vec![
        done("the largest item", "PutItem", sized(LARGEST)),
        refused("an item of one byte more", "PutItem", sized(LARGEST + 1), INVALID),
        refused("an update does not make an item larger than that", "UpdateItem", key(), INVALID).with(append),
        done("the item is as it was", "GetItem", key()).with(json!({ "ProjectionExpression": "w" })),
        done("a value nested 31 levels deep", "PutItem", put(json!({ "v": nested(31) }))),
        refused("a value nested 33 levels deep", "PutItem", put(json!({ "v": nested(33) })), INVALID),
        done("a small item at the end", "PutItem", put(json!({}))),
    ]
}
