//! Updates of one item, checked as JSON.

use super::super::Placeholders;
use super::*;

const ITEM: &str = r#"{"p":{"S":"a"},"n":{"N":"5"},"str":{"S":"x"},"l":{"L":[{"N":"1"},{"S":"z"}]},"ss":{"SS":["a","b"]},"ns":{"NS":["1","2.5"]},
    "m":{"M":{"x":{"N":"1"},"l":{"L":[{"S":"a"},{"S":"b"},{"S":"c"}]}}}}"#;
const VALUES: &str = r#"{":n":{"N":"5"},":s":{"S":"s"},":t":{"BOOL":true},":l":{"L":[{"N":"9"}]},":ss":{"SS":["a"]},":all":{"SS":["a","b"]},
    ":ns":{"NS":["2.50","7"]},":big":{"N":"1e125"}}"#;

/// What the update makes of the item: one attribute of it, as JSON.
fn updated(text: &str, attribute: &str) -> String {
    let item = update(text, Some(ITEM)).unwrap_or_else(|error| panic!("{text}: {error}"));
    item.get(attribute).map_or_else(|| "nothing".to_owned(), |value| serde_json::to_string(value).unwrap())
}

fn refused(text: &str) -> String {
    update(text, Some(ITEM)).expect_err(text)
}

fn update(text: &str, item: Option<&str>) -> Result<Item, String> {
    let item: Option<Item> = item.map(|item| serde_json::from_str(item).unwrap());
    let key = Item::from([("p".to_owned(), AttributeValue::S("a".into()))]);
    let mut placeholders = Placeholders::new(None, Some(serde_json::from_str(VALUES).unwrap()), true).unwrap();
    placeholders.update(text).and_then(|update| update.apply(item.as_ref(), &key)).map_err(|error| error.message)
}

#[test]
fn numbers_are_computed_exactly() {
    assert_eq!(updated("SET n = n + :n", "n"), r#"{"N":"10"}"#);
    assert_eq!(updated("SET n = :n - n", "n"), r#"{"N":"0"}"#);
    assert_eq!(updated("SET q = l[0] + m.x", "q"), r#"{"N":"2"}"#);
    assert_eq!(updated("SET q = if_not_exists(q, :n) + :n", "q"), r#"{"N":"10"}"#);
    assert_eq!(updated("SET q = (if_not_exists(n, :s) - n)", "q"), r#"{"N":"0"}"#);
    assert_eq!(updated("ADD n :n, q :n", "n"), r#"{"N":"10"}"#);
    assert_eq!(updated("ADD m.y :n", "m"), r#"{"M":{"l":{"L":[{"S":"a"},{"S":"b"},{"S":"c"}]},"x":{"N":"1"},"y":{"N":"5"}}}"#);
    assert_eq!(refused("SET n = n + :big"), "Attempting to store more than 38 significant digits in a Number");
    assert_eq!(refused("SET n = n + str"), "An operand in the update expression has an incorrect data type");
}

#[test]
fn everything_is_computed_from_the_item_as_it_was() {
    assert_eq!(updated("SET l[1] = l[0], l[0] = l[1]", "l"), r#"{"L":[{"S":"z"},{"N":"1"}]}"#);
    assert_eq!(updated("REMOVE n SET q = n", "q"), r#"{"N":"5"}"#);
    for text in ["SET q = n, r = q", "SET q = if_not_exists(n, r)", "SET q = list_append(q, :l)"] {
        assert_eq!(refused(text), "The provided expression refers to an attribute that does not exist in the item", "{text}");
    }
}

#[test]
fn lists_grow_at_their_end_and_close_up() {
    assert_eq!(updated("SET l[9] = :n, l[7] = :s, l[20] = :t", "l"), r#"{"L":[{"N":"1"},{"S":"z"},{"S":"s"},{"N":"5"},{"BOOL":true}]}"#);
    assert_eq!(updated("REMOVE l[1], l[0] SET l[5] = :n", "l"), r#"{"L":[{"N":"5"}]}"#);
    assert_eq!(updated("REMOVE l[2] SET l[9] = :n", "l"), r#"{"L":[{"N":"1"},{"S":"z"},{"N":"5"}]}"#);
    assert_eq!(updated("SET l = list_append(:l, l)", "l"), r#"{"L":[{"N":"9"},{"N":"1"},{"S":"z"}]}"#);
    assert_eq!(updated("SET q = list_append(if_not_exists(q, :l), :l)", "q"), r#"{"L":[{"N":"9"},{"N":"9"}]}"#);
    assert_eq!(updated("REMOVE m.l[0], m.x", "m"), r#"{"M":{"l":{"L":[{"S":"b"},{"S":"c"}]}}}"#);
    assert_eq!(updated("REMOVE l[7], q", "l"), r#"{"L":[{"N":"1"},{"S":"z"}]}"#);
}

#[test]
fn sets_gain_and_lose_members_and_never_stay_empty() {
    assert_eq!(updated("ADD ns :ns", "ns"), r#"{"NS":["1","2.5","7"]}"#);
    assert_eq!(updated("ADD q :ss", "q"), r#"{"SS":["a"]}"#);
    assert_eq!(updated("DELETE ns :ns", "ns"), r#"{"NS":["1"]}"#);
    assert_eq!(updated("DELETE ss :all", "ss"), "nothing");
    assert_eq!(updated("DELETE q :ss", "q"), "nothing");
    for text in ["ADD str :n", "ADD n :ss", "DELETE n :ss", "DELETE ss :ns", "DELETE l[0] :ss"] {
        assert_eq!(refused(text), "An operand in the update expression has an incorrect data type", "{text}");
    }
}

#[test]
fn a_path_leads_into_what_is_there() {
    for text in ["SET q.y = :n", "SET n.y = :n", "SET l.y = :n", "SET m[0] = :n", "SET m.l[0].x = :n", "REMOVE q.x", "ADD q.x :n"] {
        assert_eq!(refused(text), "The document path provided in the update expression is invalid for update", "{text}");
    }
}

#[test]
fn an_update_of_nothing_creates_an_item_even_if_it_only_removes() {
    let key = Item::from([("p".to_owned(), AttributeValue::S("a".into()))]);
    for text in ["REMOVE n", "DELETE ss :ss", "REMOVE n DELETE ss :ss"] {
        assert_eq!(update(text, None), Ok(key.clone()), "{text}");
    }
    assert_eq!(Update::default().apply(None, &key).unwrap(), key);
    assert_eq!(update("REMOVE q ADD n :n", None).unwrap().len(), 2);
}

#[test]
fn the_language_is_checked() {
    let operands = "Incorrect operand type for operator or function; operator or function";
    let overlap = "Two document paths overlap with each other; must remove or rewrite one of these paths";
    for (text, message) in [
        ("SET n = :s + :n", format!("{operands}: +, operand type: S")),
        ("SET l = list_append(l, :n)", format!("{operands}: list_append, operand type: N")),
        (
            "ADD n :s",
            "Incorrect operand type for operator or function; operator: ADD, operand type: STRING, typeSet: ALLOWED_FOR_ADD_OPERAND"
                .to_owned(),
        ),
        (
            "DELETE n :n",
            "Incorrect operand type for operator or function; operator: DELETE, operand type: NUMBER, typeSet: ALLOWED_FOR_DELETE_OPERAND"
                .to_owned(),
        ),
        ("SET q = if_not_exists(:n, :n)", "Operator or function requires a document path; operator or function: if_not_exists".to_owned()),
        (
            "SET q = if_not_exists(n, :n, :n)",
            "Incorrect number of operands for operator or function; operator or function: if_not_exists, number of operands: 3".to_owned(),
        ),
        ("SET n = size(l)", "The function is not allowed in an update expression; function: size".to_owned()),
        ("SET n = foo(l)", "Invalid function name; function: foo".to_owned()),
        (
            "SET q = list_append(l, :l) + :n",
            "The function is not allowed to be used this way in an expression; function: list_append".to_owned(),
        ),
        (
            "SET q = if_not_exists(n, n)",
            "The first operand must be distinct from the remaining operands for this operator or function; operator: if_not_exists, first operand: [n]".to_owned(),
        ),
        ("SET n = :n SET q = :n", "The \"SET\" section can only be used once in an update expression;".to_owned()),
        ("SET m = :n REMOVE m.x", format!("{overlap}; path one: [m], path two: [m, x]")),
        ("ADD ss :ss DELETE ss :ss", format!("{overlap}; path one: [ss], path two: [ss]")),
        ("SET n = n + :n - :n", r#"Syntax error; token: "-", near: ":n - :n""#.to_owned()),
        ("SET q = if_not_exists(q, :n + :n)", r#"Syntax error; token: "+", near: ":n + :n""#.to_owned()),
        ("SET n = :n,", r#"Syntax error; token: "<EOF>", near: ",""#.to_owned()),
        ("SET", r#"Syntax error; token: "<EOF>", near: "SET""#.to_owned()),
        ("SET n := :n", r#"Syntax error; token: ":", near: "n :=""#.to_owned()),
        ("FOO n", r#"Syntax error; token: "FOO", near: "FOO n""#.to_owned()),
        ("ADD n n", r#"Syntax error; token: "n", near: "n n""#.to_owned()),
        ("SET q = - :n", r#"Syntax error; token: "-", near: "= - :n""#.to_owned()),
        ("SET q = ((:n))", "The expression has redundant parentheses;".to_owned()),
    ] {
        assert_eq!(refused(text), format!("Invalid UpdateExpression: {message}"), "{text}");
    }
}
