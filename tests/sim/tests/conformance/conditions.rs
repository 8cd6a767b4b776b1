//! Conditions: every operator and function, on every type, and what is refused before anything is judged.

use serde_json::{Value, json};

use super::step::{Step, done, refusal, refused, success, with_used};
use super::tables::create;

/// The item that all conditions are judged on.
fn item() -> Value {
    json!({
        "pk": { "S": "item" },
        "n": { "N": "7" },
        "s": { "S": "seven" },
        "blank": { "S": "" },
        "b": { "B": "AQID" },
        "yes": { "BOOL": true },
        "nil": { "NULL": true },
        "ss": { "SS": ["a", "b", "c"] },
        "ns": { "NS": ["1", "2", "3"] },
        "bs": { "BS": ["AQ==", "Ag=="] },
        "l": { "L": [{ "N": "1" }, { "S": "two" }, { "M": { "deep": { "N": "3" } } }] },
        "m": { "M": { "a": { "M": { "b": { "N": "5" } } }, "els": { "L": [{ "S": "x" }] }, "dotted.name": { "S": "d" } } },
        "size": { "S": "reserved" },
    })
}

/// Values that conditions name, as JSON.
const VALUES: &str = r#"{
    ":n1": {"N": "1"}, ":n3": {"N": "3"}, ":n5": {"N": "5"}, ":n7": {"N": "7"}, ":n7zeros": {"N": "007.000"},
    ":n9": {"N": "9"}, ":n10": {"N": "10"}, ":nhuge": {"N": "1e20"}, ":nneg": {"N": "-3"},
    ":s": {"S": "seven"}, ":sev": {"S": "sev"}, ":ven": {"S": "ven"}, ":s7": {"S": "7"}, ":sz": {"S": "z"}, ":sa": {"S": "a"},
    ":sx": {"S": "x"}, ":sd": {"S": "d"}, ":sempty": {"S": ""}, ":stwo": {"S": "two"}, ":sres": {"S": "reserved"},
    ":b": {"B": "AQID"}, ":bpre": {"B": "AQ=="}, ":bbig": {"B": "/w=="}, ":b2": {"B": "Ag=="},
    ":yes": {"BOOL": true}, ":no": {"BOOL": false}, ":nil": {"NULL": true},
    ":ss": {"SS": ["c", "b", "a"]}, ":ssub": {"SS": ["a"]}, ":ns": {"NS": ["3.0", "2", "1"]},
    ":l": {"L": [{"N": "1"}, {"S": "two"}, {"M": {"deep": {"N": "3"}}}]}, ":lshort": {"L": [{"N": "1"}]},
    ":mab": {"M": {"b": {"N": "5.0"}}},
    ":tS": {"S": "S"}, ":tN": {"S": "N"}, ":tB": {"S": "B"}, ":tSS": {"S": "SS"}, ":tNS": {"S": "NS"}, ":tBS": {"S": "BS"},
    ":tL": {"S": "L"}, ":tM": {"S": "M"}, ":tBOOL": {"S": "BOOL"}, ":tNULL": {"S": "NULL"}, ":tX": {"S": "X"}
}"#;

const NAMES: [(&str, &str); 8] =
    [("#n", "n"), ("#size", "size"), ("#m", "m"), ("#a", "a"), ("#b", "b"), ("#dotted", "dotted.name"), ("#none", "none"), ("#l", "l")];

/// Conditions, and whether they hold.
const CONDITIONS: &[(&str, bool)] = &[
    // Comparisons of numbers are numeric.
    ("n = :n7", true),
    ("n = :n7zeros", true),
    ("n <> :n7", false),
    ("n <> :n9", true),
    ("n < :n10", true),
    ("n < :n7", false),
    ("n <= :n7", true),
    ("n > :n3", true),
    ("n > :nneg", true),
    ("n >= :n9", false),
    ("n < :nhuge", true),
    ("n BETWEEN :n7 AND :n10", true),
    ("n BETWEEN :n9 AND :n10", false),
    ("n IN (:n9, :n7)", true),
    ("n IN (:n9)", false),
    ("n IN (:s7, :s)", false),
    // Comparisons of strings and binaries are by bytes.
    ("s = :s", true),
    ("s < :sz", true),
    ("s > :sa", true),
    ("s BETWEEN :sa AND :sz", true),
    ("blank = :sempty", true),
    ("blank < :sa", true),
    ("b = :b", true),
    ("b > :bpre", true),
    ("b < :bbig", true),
    // Values of different types are not equal and have no order.
    ("n = :s7", false),
    ("n <> :s7", true),
    ("n < :sz", false),
    ("n > :sz", false),
    ("s > :n1", false),
    ("yes = :yes", true),
    ("yes <> :no", true),
    ("yes = :n1", false),
    ("nil = :nil", true),
    // Sets are equal whatever their order, numbers in them whatever their spelling.
    ("ss = :ss", true),
    ("ss = :ssub", false),
    ("ns = :ns", true),
    ("l = :l", true),
    ("l = :lshort", false),
    ("m.a = :mab", true),
    // What is not there fails every comparison but that it differs.
    ("gone = :n7", false),
    ("gone <> :n7", true),
    ("gone < :n7", false),
    ("gone BETWEEN :n1 AND :n9", false),
    ("gone IN (:n7)", false),
    ("n = gone", false),
    ("n <> gone", true),
    ("gone = lost", false),
    ("NOT gone = :n7", true),
    // Two attributes.
    ("n = s", false),
    ("n > m.a.b", true),
    (":n3 < n", true),
    (":n7 IN (n, s)", true),
    (":n5 BETWEEN m.a.b AND n", true),
    // Functions.
    ("attribute_exists(n)", true),
    ("attribute_exists(nil)", true),
    ("attribute_exists(gone)", false),
    ("attribute_exists(m.a.b)", true),
    ("attribute_exists(m.a.c)", false),
    ("attribute_exists(n.a)", false),
    ("attribute_not_exists(gone)", true),
    ("attribute_not_exists(n)", false),
    ("attribute_not_exists(m.x.y)", true),
    ("attribute_exists(l[2])", true),
    ("attribute_exists(l[3])", false),
    ("attribute_exists(ss[0])", false),
    ("attribute_type(n, :tN)", true),
    ("attribute_type(n, :tS)", false),
    ("attribute_type(s, :tS)", true),
    ("attribute_type(b, :tB)", true),
    ("attribute_type(ss, :tSS)", true),
    ("attribute_type(ns, :tNS)", true),
    ("attribute_type(bs, :tBS)", true),
    ("attribute_type(l, :tL)", true),
    ("attribute_type(m, :tM)", true),
    ("attribute_type(yes, :tBOOL)", true),
    ("attribute_type(nil, :tNULL)", true),
    ("attribute_type(gone, :tNULL)", false),
    ("begins_with(s, :sev)", true),
    ("begins_with(s, :ven)", false),
    ("begins_with(s, :sempty)", true),
    ("begins_with(b, :bpre)", true),
    ("begins_with(n, :s7)", false),
    ("begins_with(gone, :s7)", false),
    ("contains(s, :ven)", true),
    ("contains(s, :sx)", false),
    ("contains(s, :n7)", false),
    ("contains(b, :b2)", true),
    ("contains(ss, :sa)", true),
    ("contains(ss, :sx)", false),
    ("contains(ns, :n3)", true),
    ("contains(ns, :s7)", false),
    ("contains(bs, :b2)", true),
    ("contains(l, :n1)", true),
    ("contains(l, :stwo)", true),
    ("contains(l, :n9)", false),
    ("contains(m, :sa)", false),
    ("contains(gone, :sa)", false),
    ("size(s) = :n5", true),
    ("size(blank) < :n1", true),
    ("size(b) = :n3", true),
    ("size(ss) = :n3", true),
    ("size(ns) = :n3", true),
    ("size(l) = :n3", true),
    ("size(m) = :n3", true),
    ("size(bs) BETWEEN :n1 AND :n3", true),
    ("size(n) = :n1", false),
    ("size(gone) = :n1", false),
    ("size(s) > size(l)", true),
    ("size(l[1]) = :n3", true),
    // Paths into maps and lists, names in place of words.
    ("m.a.b = :n5", true),
    ("#m.#a.#b = :n5", true),
    ("#m.a.#b = :n5", true),
    ("m.#dotted = :sd", true),
    ("m.els[0] = :sx", true),
    ("l[0] = :n1", true),
    ("#l[2].deep = :n3", true),
    ("#size = :sres", true),
    ("#none = :n1", false),
    // Precedence: NOT before AND before OR, and parentheses before all.
    ("n = :n7 AND s = :s", true),
    ("n = :n9 AND s = :s", false),
    ("n = :n9 OR s = :s", true),
    ("NOT n = :n9", true),
    ("NOT (n = :n7)", false),
    ("n = :n7 OR n = :n9 AND s = :sx", true),
    ("(n = :n7 OR n = :n9) AND s = :sx", false),
    ("NOT n = :n9 AND s = :sx", false),
    ("NOT (n = :n9 AND s = :sx)", true),
    ("NOT NOT n = :n7", true),
    ("n=:n7 and not s=:sx or contains ( s , :ven )", true),
    ("n between :n1 and :n9 and s in (:s, :sx)", true),
];

/// Conditions that are refused before any item is looked at.
const MALFORMED: &[&str] = &[
    "",
    "n",
    ":n7",
    "n =",
    "n == :n7",
    "n = :n7 AND",
    "AND n = :n7",
    "(n = :n7",
    "n = :n7)",
    "n BETWEEN :n1",
    "n BETWEEN :n9 AND :n1",
    "n BETWEEN :n1 AND :sz",
    "n IN ()",
    "n IN :n7",
    "n = 7",
    "n = 'seven'",
    "n = n",
    "((n = :n7))",
    "attribute_exists(n, s)",
    "attribute_exists()",
    "attribute_exists(:n7)",
    "attribute_type(n, :n7)",
    "attribute_type(n, :tX)",
    "attribute_type(n, s)",
    "begins_with(s, :n7)",
    "begins_with(s)",
    "contains(s)",
    "size(s)",
    "size(:n7) = :n7",
    "exists(n)",
    "attribute_exists(n) = :yes",
    "n < :yes",
    "n > :nil",
    "n < :ss",
    "n < :l",
    "n + :n1 = :n9",
    "if_not_exists(n, :n1) = :n7",
    "l[x] = :n1",
    "l[-1] = :n1",
    "l[ = :n1",
    "m..a = :n1",
    ".m = :n1",
    "m. = :n1",
    "a-b = :n1",
    "n = :undefined",
    "#undefined = :n7",
    "2n = :n7",
    "NOT",
    "n = :n7 OR OR s = :s",
    "n <> <> :n7",
    "(n) = :n7 (",
];

/// Expressions with placeholders, and why each is refused: names and values that are wrong, missing or left over.
fn placeholders() -> Vec<Step> {
    let put = |name: &str, members: Value| {
        let body = json!({ "TableName": "conditions", "Item": item() });
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

/// What a refused condition tells, and what it leaves alone.
fn failures() -> Vec<Step> {
    let fails = "ConditionalCheckFailedException";
    let put = json!({ "Item": { "pk": { "S": "item" } } });
    let update = json!({ "Key": key(), "UpdateExpression": "REMOVE s" });
    let delete = json!({ "Key": key() });
    let old = json!({ "ReturnValuesOnConditionCheckFailure": "ALL_OLD" });
    let mut steps = Vec::new();
    for (operation, rest) in [("PutItem", put), ("UpdateItem", update), ("DeleteItem", delete)] {
        let body = request("n = :n9");
        steps.push(refused(format!("{operation} tells nothing of the item"), operation, body.clone(), fails).with(rest.clone()));
        steps.push(refused(format!("{operation} tells the item if asked to"), operation, body, fails).with(rest).with(old.clone()));
    }
    let absent = json!({ "Key": { "pk": { "S": "absent" } } });
    steps.extend([
        refused("a condition on an item that is not there fails", "UpdateItem", request("n = :n7"), fails).with(absent.clone()),
        refused("and has no item to tell", "DeleteItem", request("n = :n7"), fails).with(absent.clone()).with(old),
        refused("a word of the four is asked for", "DeleteItem", request("n = :n7"), "ValidationException")
            .with(absent.clone())
            .with(json!({ "ReturnValuesOnConditionCheckFailure": "ALL_NEW" })),
        done("what is not there may be deleted if it is not there", "DeleteItem", request("attribute_not_exists(pk)")).with(absent.clone()),
        done("an update may create what is not there", "UpdateItem", request("attribute_not_exists(pk)")).with(absent.clone()),
        refused("but only once", "UpdateItem", request("attribute_not_exists(pk)"), fails).with(absent),
        done("nothing was written by what was refused", "GetItem", json!({ "TableName": "conditions", "Key": key() })),
    ]);
    steps
}

fn key() -> Value {
    json!({ "pk": { "S": "item" } })
}

/// A request with a condition and the placeholders that it mentions.
fn request(condition: &str) -> Value {
    with_used(
        json!({ "TableName": "conditions", "ConditionExpression": condition }),
        &[condition],
        &serde_json::from_str(VALUES).unwrap(),
        &NAMES,
    )
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
    let about = |word: &str| request(&format!("attribute_not_exists({word}) OR attribute_exists({word})"));
    let reserved = RESERVED.iter().map(|word| refused(format!("'{word}' is reserved"), "UpdateItem", about(word), "ValidationException"));
    let free = NOT_RESERVED.iter().map(|word| done(format!("'{word}' is not reserved"), "UpdateItem", about(word)));
    let size = refused("'size' is reserved", "UpdateItem", about("size"), "ValidationException").differs(
        success(&json!({})),
        refusal("ValidationException"),
        "SIZE stands on the documented list of reserved words; DynamoDB Local takes it for an attribute where it is no function",
    );
    reserved.chain(free).chain([size]).map(|step| step.with(json!({ "Key": key() }))).collect()
}

pub(super) fn steps() -> Vec<Step> {
    let mut steps = vec![
        create("conditions", &[("pk", "S")]),
        done("the item of all conditions", "PutItem", json!({ "TableName": "conditions", "Item": item() })),
    ];
    for (index, (condition, holds)) in CONDITIONS.iter().enumerate() {
        // Writes that change nothing, whether or not the condition holds.
        let (operation, rest) =
            if index % 2 == 0 { ("PutItem", json!({ "Item": item() })) } else { ("UpdateItem", json!({ "Key": key() })) };
        let step = if *holds {
            done(format!("it holds that {condition}"), operation, request(condition))
        } else {
            refused(format!("it does not hold that {condition}"), operation, request(condition), "ConditionalCheckFailedException")
        };
        steps.push(step.with(rest));
    }
    for condition in MALFORMED {
        let step = refused(format!("no condition is '{condition}'"), "PutItem", request(condition), "ValidationException");
        steps.push(step.with(json!({ "Item": item() })));
    }
    steps.extend(words());
    steps.extend(placeholders());
    steps.extend(failures());
    steps
}
