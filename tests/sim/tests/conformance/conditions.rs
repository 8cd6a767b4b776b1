//! Conditions: every operator and function, on every type, what is refused before anything is judged, and what a refusal tells.

use serde_json::{Value, json};

use super::step::{Step, done, refused, with_used};
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
    steps.extend(failures());
    steps
}
