//! Updates: SET, REMOVE, ADD and DELETE, on attributes and inside of them.

use serde_json::{Value, json};

use super::step::{Step, done, refused, with_used};
use super::tables::create;

/// The item that every update starts from.
const ITEM: &str = r#"{
    "pk": {"S": "item"},
    "n": {"N": "7"},
    "s": {"S": "text"},
    "b": {"B": "AQ=="},
    "yes": {"BOOL": true},
    "l": {"L": [{"N": "1"}, {"S": "two"}, {"N": "3"}]},
    "m": {"M": {"x": {"N": "1"}, "deep": {"M": {"z": {"S": "z"}}}, "els": {"L": [{"N": "1"}, {"N": "2"}]}}},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2"]},
    "bs": {"BS": ["AQ==", "Ag=="]}
}"#;

const VALUES: &str = r#"{
    ":one": {"N": "1"}, ":two": {"N": "2"}, ":half": {"N": "0.5"}, ":neg": {"N": "-7"}, ":zero": {"N": "0"},
    ":long": {"N": "0.0000000000000000000000000000000000001"}, ":large": {"N": "9e125"}, ":small": {"N": "1e-130"},
    ":nines": {"N": "99999999999999999999999999999999999999"},
    ":s": {"S": "new"}, ":b": {"B": "/w=="}, ":nil": {"NULL": true}, ":no": {"BOOL": false},
    ":l": {"L": [{"S": "x"}, {"S": "y"}]}, ":le": {"L": []}, ":m": {"M": {"k": {"S": "v"}}},
    ":ssb": {"SS": ["b", "c"]}, ":ssab": {"SS": ["a", "b"]}, ":ssz": {"SS": ["z"]}, ":nsb": {"NS": ["2.0", "3"]}, ":bsb": {"BS": ["Ag==", "Aw=="]}
}"#;

const NAMES: [(&str, &str); 4] = [("#n", "n"), ("#m", "m"), ("#new", "a name.with[0] all"), ("#x", "x")];

/// Updates that are made.
const UPDATES: &[&str] = &[
    "SET n = :two",
    "SET #n = :two, s = :s, extra = :nil",
    "SET #new = :two",
    "SET #m.#new = :two",
    "SET n = :s",
    "SET n = s, s = n",
    "SET dup = m",
    "SET dup = m.deep.z",
    // Arithmetic is exact, to 38 digits.
    "SET n = n + :one",
    "SET n = n - :two",
    "SET n = :one + :two",
    "SET n = :one - n",
    "SET n = n + n",
    "SET n = n + :neg",
    "SET n = n - :half",
    "SET n = n + :long",
    "SET n = :nines + :zero",
    "SET n = :nines - :one",
    "SET n = m.x + l[2]",
    "SET m.x = m.x + :one",
    "SET l[0] = l[0] + :one",
    // Functions.
    "SET n = if_not_exists(n, :one)",
    "SET extra = if_not_exists(extra, :one)",
    "SET extra = if_not_exists(extra, n)",
    "SET extra = if_not_exists(extra, :zero) + :one",
    "SET extra = if_not_exists(m.nothing, if_not_exists(gone, :s))",
    "SET extra = if_not_exists(m.x, :s)",
    "SET l = list_append(l, :l)",
    "SET l = list_append(:l, l)",
    "SET l = list_append(l, l)",
    "SET l = list_append(l, :le)",
    "SET extra = list_append(:l, :l)",
    "SET extra = list_append(if_not_exists(extra, :le), :l)",
    "SET m.els = list_append(m.els, :l)",
    // Inside of maps and lists.
    "SET m.x = :s",
    "SET m.fresh = :s",
    "SET m.deep.fresh = :m",
    "SET m.deep = :s",
    "SET l[0] = :s",
    "SET l[0] = :s, l[2] = :s",
    "SET l[3] = :s",
    "SET l[9] = :s",
    "SET l[8] = :s, l[9] = :two",
    "SET l[9] = :s, l[8] = :two",
    "SET m.els[1] = :s",
    "SET m.els[7] = :m",
    "REMOVE n",
    "REMOVE n, s, extra",
    "REMOVE m.x",
    "REMOVE m.deep.z",
    "REMOVE m.nothing",
    "REMOVE l[0]",
    "REMOVE l[0], l[1]",
    "REMOVE l[1], l[0]",
    "REMOVE l[2], l[0]",
    "REMOVE l[9]",
    "REMOVE m.els[0]",
    "REMOVE l[0] SET l[1] = :s",
    "REMOVE l[0] SET l[2] = :s, l[9] = :two",
    // Numbers and sets.
    "ADD n :one",
    "ADD n :neg",
    "ADD n :half",
    "ADD extra :one",
    "ADD ss :ssb",
    "ADD ns :nsb",
    "ADD bs :bsb",
    "ADD extra :ssb",
    "ADD m.x :one",
    "ADD m.fresh :one",
    "ADD l[0] :one",
    "ADD n :one, ss :ssz",
    "DELETE ss :ssb",
    "DELETE ss :ssz",
    "DELETE ss :ssab",
    "DELETE ns :nsb",
    "DELETE bs :bsb",
    "DELETE extra :ssb",
    "DELETE ss :ssab, ns :nsb",
    // All four at once, which read the item as it was before.
    "SET extra = n REMOVE s ADD n :one DELETE ss :ssb",
    "DELETE ss :ssb ADD n :one REMOVE s SET extra = n",
    "SET extra = s REMOVE s",
    "set n=:one remove s",
    "SET n = (n + :one)",
    "SET n = (n) + (:one)",
];

/// Updates that are refused, whatever the item.
const MALFORMED: &[&str] = &[
    "",
    "n = :one",
    "SET",
    "SET n",
    "SET n =",
    "SET n = :one,",
    "SET n = :one s = :s",
    "SET n = :one SET s = :s",
    "SET :one = n",
    "SET n = n + :one + :two",
    "SET n = n * :two",
    "SET n = :one + s.",
    "SET n = 5",
    "SET n = :s + :one",
    "SET n = :one - :m",
    "SET n = list_append(l)",
    "SET n = list_append(l, :s)",
    "SET n = list_append(:one, l)",
    "SET n = if_not_exists(n)",
    "SET n = if_not_exists(:one, n)",
    "SET n = size(l)",
    "SET n = attribute_exists(n)",
    "SET n = unheard_of(n)",
    "SET n = :one, n = :two",
    "SET n = :one REMOVE n",
    "SET m = :m, m.x = :one",
    "SET m.x = :one REMOVE m",
    "SET m.x = :one, m[0] = :one",
    "SET l[0] = :one, l.x = :one",
    "SET l = :l REMOVE l[0]",
    "ADD n :one SET n = :one",
    "REMOVE n, n",
    "REMOVE",
    "REMOVE n s",
    "REMOVE :one",
    "ADD n",
    "ADD n n",
    "ADD n :s",
    "ADD n :m",
    "ADD n :l",
    "ADD n = :one",
    "DELETE ss",
    "DELETE n :one",
    "DELETE ss :s",
    "DELETE ss :l",
    "SET pk = :s",
    "REMOVE pk",
    "SET pk.x = :s",
    "SET n = :undefined",
    "SET #undefined = :one",
    "SET status = :s",
    "UPDATE n = :one",
    "SET ((n)) = :one",
    "SET n = ((n + :one))",
];

/// Updates that are refused because of the item that they meet.
const UNFIT: &[&str] = &[
    "SET extra = gone",
    "SET extra = m.nothing",
    "SET extra = l[9]",
    "SET extra = gone + :one",
    "SET n = s + :one",
    "SET n = :one + l",
    "SET n = l + n",
    "SET l = list_append(n, :l)",
    "SET l = list_append(gone, :l)",
    "SET gone.x = :one",
    "SET m.gone.x = :one",
    "SET s.x = :one",
    "SET n[0] = :one",
    "SET m[0] = :one",
    "SET l.x = :one",
    "SET gone[0] = :one",
    "REMOVE gone.x",
    "REMOVE m.gone.x",
    "REMOVE gone[0]",
    "REMOVE s.x",
    "REMOVE l.x",
    "ADD s :one",
    "ADD n :ssb",
    "ADD ss :one",
    "ADD ss :nsb",
    "ADD m.deep.z :one",
    "ADD m.gone.x :one",
    "DELETE ns :ssb",
    "DELETE s :ssb",
    "DELETE m :ssb",
    // Results that are no numbers of 38 digits and at most 126 places.
    "SET n = :nines + :half",
    "SET n = :large + :large",
    "ADD n :small",
];

pub(super) fn steps() -> Vec<Step> {
    let mut steps = vec![create("updates", &[("pk", "S")])];
    for update in UPDATES {
        steps.push(item());
        steps.push(done(format!("the update '{update}'"), "UpdateItem", request(update)).with(json!({ "ReturnValues": "ALL_NEW" })));
    }
    steps.push(item());
    for update in MALFORMED {
        steps.push(refused(format!("no update is '{update}'"), "UpdateItem", request(update), "ValidationException"));
    }
    for update in UNFIT {
        steps.push(refused(format!("the item does not fit '{update}'"), "UpdateItem", request(update), "ValidationException"));
    }
    steps.push(done("nothing of what was refused is written", "GetItem", key()));
    steps.extend(of_new_items());
    steps.extend(by_attributes());
    steps
}

fn item() -> Step {
    let item: Value = serde_json::from_str(ITEM).unwrap();
    done("the item stands there", "PutItem", json!({ "TableName": "updates", "Item": item }))
}

fn key() -> Value {
    json!({ "TableName": "updates", "Key": { "pk": { "S": "item" } } })
}

fn request(update: &str) -> Value {
    let mut body = key();
    body["UpdateExpression"] = update.into();
    with_used(body, &[update], &serde_json::from_str(VALUES).unwrap(), &NAMES)
}

/// An update creates the item, unless it has nothing to work on.
fn of_new_items() -> Vec<Step> {
    let fresh = |key: &str| json!({ "Key": { "pk": { "S": key } }, "ReturnValues": "ALL_NEW" });
    vec![
        done("an update creates what it sets", "UpdateItem", request("SET n = :one")).with(fresh("set")),
        done("an update creates what it adds", "UpdateItem", request("ADD n :one, ss :ssb")).with(fresh("add")),
        done("removing creates a bare item", "UpdateItem", request("REMOVE n")).with(fresh("remove")),
        done("deleting creates a bare item", "UpdateItem", request("DELETE ss :ssb")).with(fresh("delete")),
        refused("there is nothing to add one to", "UpdateItem", request("SET n = n + :one"), "ValidationException").with(fresh("none")),
        refused("there is no map to set in", "UpdateItem", request("SET m.x = :one"), "ValidationException").with(fresh("none")),
        refused("a value is used", "UpdateItem", request("SET n = :one"), "ValidationException")
            .with(json!({ "ExpressionAttributeValues": { ":one": { "N": "1" }, ":more": { "N": "2" } } })),
        done("nothing was created by what was refused", "GetItem", json!({ "TableName": "updates", "Key": { "pk": { "S": "none" } } })),
    ]
}

/// An update and its condition share their placeholders.
fn by_attributes() -> Vec<Step> {
    let both = |condition: &str, update: &str| {
        let body = json!({ "ConditionExpression": condition, "UpdateExpression": update, "ReturnValues": "UPDATED_NEW" });
        let (Value::Object(mut members), Value::Object(key)) = (body, key()) else { panic!("requests are objects") };
        members.extend(key);
        with_used(members.into(), &[condition, update], &serde_json::from_str(VALUES).unwrap(), &NAMES)
    };
    vec![
        item(),
        done("a condition and an update", "UpdateItem", both("n = :neg OR #x <> :one", "SET #x = :one, n = n + :one")),
        refused(
            "the condition is judged before the update",
            "UpdateItem",
            both("n = :one", "SET n = s + :one"),
            "ConditionalCheckFailedException",
        ),
        refused("but after the update is read", "UpdateItem", both("n = :one", "SET n = n ++ :one"), "ValidationException"),
        done("the update was made once", "GetItem", key()),
    ]
}
