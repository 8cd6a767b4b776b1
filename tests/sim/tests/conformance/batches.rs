//! Several items in one request: batches, of which each part stands alone, and transactions, which are made whole or not at all.

use serde_json::{Value, json};

use super::step::{Step, done, refusal, refused, success};
use super::tables::create;

const INVALID: &str = "ValidationException";
const CANCELED: &str = "TransactionCanceledException";

const UNFIT: &str = "an update that does not fit its item cancels the transaction, with ValidationError among its reasons; DynamoDB Local \
                     refuses the request";
const TWICE: &str = "an item is in one part of a transaction only, a ConditionCheck included; DynamoDB Local tells the checks apart";
const NO_EXPRESSION: &str = "a transaction's Update requires its UpdateExpression; DynamoDB Local does without";
const NO_WORDS: &str = "every error has a message; DynamoDB Local has none for this one";

pub(super) fn steps() -> Vec<Step> {
    let mut steps = vec![create("left", &[("pk", "S")]), create("right", &[("pk", "N"), ("sk", "S")])];
    steps.extend(batch_writes());
    steps.extend(batch_reads());
    steps.extend(transactions());
    steps.extend(refused_transactions());
    steps.extend(transactional_reads());
    steps
}

fn left(key: &str) -> Value {
    json!({ "pk": { "S": key } })
}

fn right(key: usize) -> Value {
    json!({ "pk": { "N": key.to_string() }, "sk": { "S": "s" } })
}

fn with_value(mut key: Value, value: &str) -> Value {
    key["v"] = json!({ "N": value });
    key
}

fn put(item: &Value) -> Value {
    json!({ "PutRequest": { "Item": item } })
}

fn delete(key: &Value) -> Value {
    json!({ "DeleteRequest": { "Key": key } })
}

fn everything() -> [Step; 2] {
    ["left", "right"].map(|table| done(format!("everything in {table}"), "Scan", json!({ "TableName": table })))
}

fn batch_writes() -> Vec<Step> {
    let write = |left: &[Value]| json!({ "RequestItems": { "left": left } });
    let many = |count: usize| (0..count).map(|index| put(&left(&format!("item {index:02}")))).collect::<Vec<_>>();
    let mut steps = vec![
        done("items are put into two tables", "BatchWriteItem", {
            json!({ "RequestItems": { "left": [put(&with_value(left("a"), "1")), put(&left("b"))], "right": [put(&right(1)), put(&right(2))] } })
        }),
        done("items are put and deleted", "BatchWriteItem", write(&[put(&left("c")), delete(&left("b")), delete(&left("nowhere"))])),
        done("a batch has 25 parts at most", "BatchWriteItem", write(&many(25))),
        refused("and not one more", "BatchWriteItem", write(&many(26)), INVALID),
        refused("an item is put once", "BatchWriteItem", write(&[put(&left("x")), put(&left("x"))]), INVALID),
        refused("or deleted", "BatchWriteItem", write(&[put(&left("x")), delete(&left("x"))]), INVALID),
        refused("an item has a key", "BatchWriteItem", write(&[put(&left("x")), put(&json!({ "v": { "S": "v" } }))]), INVALID),
        refused("a key is nothing but a key", "BatchWriteItem", write(&[delete(&with_value(left("a"), "1"))]), INVALID),
        refused("a key is not empty", "BatchWriteItem", write(&[delete(&left(""))]), INVALID),
        refused("a value is a value", "BatchWriteItem", write(&[put(&with_value(left("x"), "one"))]), INVALID),
        refused("a batch has a part", "BatchWriteItem", write(&[]), INVALID),
        refused("a batch has a table", "BatchWriteItem", json!({ "RequestItems": {} }), INVALID),
        refused(
            "every table is there",
            "BatchWriteItem",
            json!({ "RequestItems": { "no-such-table": [put(&left("x"))] } }),
            "ResourceNotFoundException",
        ),
        refused("a part is a put or a delete", "BatchWriteItem", write(&[json!({})]), INVALID),
        refused(
            "and not both",
            "BatchWriteItem",
            write(&[json!({ "PutRequest": { "Item": left("x") }, "DeleteRequest": { "Key": left("y") } })]),
            INVALID,
        ),
    ];
    steps.extend(everything());
    steps
}

fn batch_reads() -> Vec<Step> {
    let read = |keys: &[Value]| json!({ "RequestItems": { "left": { "Keys": keys } } });
    let many = |count: usize| (0..count).map(|index| left(&format!("item {index:02}"))).collect::<Vec<_>>();
    let projected = |projection: &str| {
        json!({ "RequestItems": { "left": {
            "Keys": [left("a"), left("c")], "ProjectionExpression": projection, "ExpressionAttributeNames": { "#v": "v" }, "ConsistentRead": true
        } } })
    };
    vec![
        done("items of two tables are read", "BatchGetItem", {
            json!({ "RequestItems": { "left": { "Keys": [left("a"), left("nowhere")] }, "right": { "Keys": [right(2), right(9)] } } })
        }),
        done("of items that are not there nothing is told", "BatchGetItem", read(&[left("nowhere")])),
        done("items are read in part", "BatchGetItem", projected("#v")),
        refused("every name is used", "BatchGetItem", projected("pk"), INVALID),
        done("a hundred items at most", "BatchGetItem", read(&many(100))),
        refused("and not one more", "BatchGetItem", read(&many(101)), INVALID),
        refused("an item is read once", "BatchGetItem", read(&[left("a"), left("a")]), INVALID),
        refused("an item is read by its key", "BatchGetItem", read(&[json!({})]), INVALID),
        refused("of the right type", "BatchGetItem", read(&[json!({ "pk": { "N": "1" } })]), INVALID),
        refused("a read has a key", "BatchGetItem", read(&[]), INVALID),
        refused("a read has a table", "BatchGetItem", json!({ "RequestItems": {} }), INVALID),
        refused(
            "a table is there",
            "BatchGetItem",
            json!({ "RequestItems": { "no-such-table": { "Keys": [left("a")] } } }),
            "ResourceNotFoundException",
        ),
    ]
}

/// Writes of a transaction.
fn part(action: &str, table: &str, key: &Value, members: Value) -> Value {
    let subject = if action == "Put" { "Item" } else { "Key" };
    let mut inner = json!({ "TableName": table, subject: key });
    let (Value::Object(object), Value::Object(members)) = (&mut inner, members) else { panic!("requests are objects") };
    object.extend(members);
    json!({ action: inner })
}

fn write(parts: &[Value]) -> Value {
    json!({ "TransactItems": parts })
}

fn changed(update: &str, value: &str) -> Value {
    json!({ "UpdateExpression": update, "ExpressionAttributeValues": { ":v": { "N": value } } })
}

fn set(value: &str) -> Value {
    changed("SET v = :v", value)
}

fn if_is(value: &str) -> Value {
    json!({ "ConditionExpression": "v = :v", "ExpressionAttributeValues": { ":v": { "N": value } } })
}

fn if_absent() -> Value {
    json!({ "ConditionExpression": "attribute_not_exists(pk)" })
}

/// A refusal of a transaction, with the code for each part.
fn canceled(codes: &[&str]) -> Value {
    let mut answer = refusal(CANCELED);
    answer["body"]["CancellationReasons"] = codes.iter().map(|code| json!({ "Code": code })).collect();
    answer
}

fn transactions() -> Vec<Step> {
    let all_old = |mut members: Value| {
        members["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD".into();
        members
    };
    let once = json!({ "ClientRequestToken": "once" });
    let count_up = || write(&[part("Update", "left", &left("a"), changed("ADD v :v", "1"))]);
    let four_sorts = [
        part("Put", "left", &left("t"), if_absent()),
        part("Update", "left", &left("a"), set("2")),
        part("Delete", "right", &right(1), json!({ "ConditionExpression": "attribute_exists(pk)" })),
        part("ConditionCheck", "right", &right(2), json!({ "ConditionExpression": "attribute_exists(sk)" })),
    ];
    let one_fails = [part("Put", "left", &left("u"), json!({})), part("ConditionCheck", "left", &left("a"), if_is("1"))];
    let three_fail = [
        part("ConditionCheck", "left", &left("a"), all_old(if_is("1"))),
        part("Update", "right", &right(7), set("1")),
        part("Put", "left", &left("t"), all_old(if_absent())),
        part("Delete", "left", &left("nowhere"), all_old(if_is("1"))),
    ];
    let unfit = [
        part("Put", "left", &left("u"), json!({})),
        part("Update", "left", &left("a"), changed("SET v = v + :v", "1")),
        part("Update", "left", &left("c"), changed("SET v = v + :v", "1")),
    ];
    let mut steps = vec![
        done("four sorts of parts in two tables", "TransactWriteItems", write(&four_sorts)),
        refused("one condition that fails cancels all of it", "TransactWriteItems", write(&one_fails), CANCELED),
        refused("every condition that fails is told", "TransactWriteItems", write(&three_fail), CANCELED),
        refused("an update that does not fit cancels it", "TransactWriteItems", write(&unfit), CANCELED).differs(
            refusal(INVALID),
            canceled(&["None", "None", "ValidationError"]),
            UNFIT,
        ),
        done("a transaction with a token", "TransactWriteItems", count_up()).with(once.clone()),
        done("is made once", "TransactWriteItems", count_up()).with(once.clone()),
        refused("and its token is for it alone", "TransactWriteItems", write(&one_fails), "IdempotentParameterMismatchException")
            .with(once)
            .differs_at("/message", Value::Null, json!("<text>"), NO_WORDS),
    ];
    steps.extend(everything());
    steps
}

fn refused_transactions() -> Vec<Step> {
    let plain = |key: &str| part("Put", "left", &left(key), json!({}));
    let many =
        |count: usize| (0..count).map(|index| part("Delete", "left", &left(&format!("item {index:03}")), json!({}))).collect::<Vec<_>>();
    let refuse = |name: &str, parts: &[Value]| refused(name, "TransactWriteItems", write(parts), INVALID);
    let mut steps = vec![
        done("a transaction has a hundred parts at most", "TransactWriteItems", write(&many(100))),
        refuse("and not one more", &many(101)),
        refuse("a transaction has a part", &[]),
        refuse("an item is in one part", &[plain("x"), part("Update", "left", &left("x"), set("1"))]),
        refuse("and not checked in another", &[plain("x"), part("ConditionCheck", "left", &left("x"), if_absent())]).differs(
            canceled(&["None", "ConditionalCheckFailed"]),
            refusal(INVALID),
            TWICE,
        ),
        refuse("a part is of one sort", &[json!({})]),
        refuse(
            "and not of two",
            &[json!({ "Put": { "TableName": "left", "Item": left("x") }, "Delete": { "TableName": "left", "Key": left("y") } })],
        ),
        refuse("a check has a condition", &[part("ConditionCheck", "left", &left("x"), json!({}))]),
        refuse("an update has an expression", &[part("Update", "left", &left("a"), json!({}))]).differs(
            success(&json!({})),
            refusal(INVALID),
            NO_EXPRESSION,
        ),
        refuse("an expression is one", &[part("Update", "left", &left("x"), json!({ "UpdateExpression": "SET" }))]),
        refuse("a condition is one", &[part("Put", "left", &left("x"), json!({ "ConditionExpression": "pk" }))]),
        refused(
            "every table is there",
            "TransactWriteItems",
            write(&[plain("x"), part("Put", "no-such-table", &left("x"), json!({}))]),
            "ResourceNotFoundException",
        ),
        refused(
            "every key fits its table",
            "TransactWriteItems",
            write(&[plain("x"), part("Delete", "right", &left("x"), json!({}))]),
            INVALID,
        ),
        refused(
            "every value is one",
            "TransactWriteItems",
            write(&[plain("x"), part("Put", "left", &with_value(left("y"), "one"), json!({}))]),
            INVALID,
        ),
    ];
    steps.extend(everything());
    steps
}

fn transactional_reads() -> Vec<Step> {
    let get = |table: &str, key: &Value| json!({ "Get": { "TableName": table, "Key": key } });
    let read = |parts: &[Value]| json!({ "TransactItems": parts });
    let projected = json!({ "Get": { "TableName": "left", "Key": left("t"), "ProjectionExpression": "#v", "ExpressionAttributeNames": { "#v": "v" } } });
    vec![
        done("items of two tables, in the order of the request", "TransactGetItems", {
            read(&[get("right", &right(2)), get("left", &left("nowhere")), get("left", &left("a")), projected])
        }),
        refused(
            "an item is read once in a transaction",
            "TransactGetItems",
            read(&[get("left", &left("a")), get("left", &left("a"))]),
            INVALID,
        ),
        refused("a transaction reads something", "TransactGetItems", read(&[]), INVALID),
        refused("from a table that is there", "TransactGetItems", read(&[get("no-such-table", &left("a"))]), "ResourceNotFoundException"),
    ]
}
