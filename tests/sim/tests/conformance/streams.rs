//! Streams: which writes they carry, what their records hold, and how they are read.

use serde_json::{Value, json};

use super::step::{Step, crash, done, refusal, refused, success};
use super::tables::{create, no_stream, stream, update};

const INVALID: &str = "ValidationException";
const FULL_PAGE: &str = "a full page may tell where to go on though nothing follows; DynamoDB Local never does";
const MISSING: &str = "ResourceNotFoundException";

pub(super) fn steps() -> Vec<Step> {
    let mut steps = Vec::new();
    for (table, view) in
        [("keys-only", "KEYS_ONLY"), ("new-image", "NEW_IMAGE"), ("old-image", "OLD_IMAGE"), ("both-images", "NEW_AND_OLD_IMAGES")]
    {
        steps.extend(changes(table, view));
    }
    steps.extend(iterators());
    steps.extend(disabled_and_enabled_again());
    steps
}

fn opened(table: &'static str, view: &str) -> Vec<Step> {
    vec![
        create(table, &[("pk", "S"), ("sk", "N")]).with(stream(view)).keep("arn", "/TableDescription/LatestStreamArn"),
        done("a stream begins with a shard", "DescribeStream", json!({ "StreamArn": "${arn}" }))
            .keep("shard", "/StreamDescription/Shards/0/ShardId"),
    ]
}

fn iterator(name: &str, kind: &str, sequence: Option<&str>) -> Step {
    let mut body = json!({ "StreamArn": "${arn}", "ShardId": "${shard}", "ShardIteratorType": kind });
    if let Some(sequence) = sequence {
        body["SequenceNumber"] = sequence.into();
    }
    done(name, "GetShardIterator", body).keep("iterator", "/ShardIterator")
}

fn page(name: &str) -> Step {
    done(name, "GetRecords", json!({ "ShardIterator": "${iterator}" }))
}

/// Every sort of write, and what the stream tells of it.
fn changes(table: &'static str, view: &str) -> Vec<Step> {
    let key = || json!({ "pk": { "S": "a" }, "sk": { "N": "1" } });
    let at = || json!({ "TableName": table, "Key": key() });
    let item = |value: Value| json!({ "TableName": table, "Item": { "pk": { "S": "a" }, "sk": { "N": "1.0" }, "v": value } });
    let rich = json!({ "M": {
        "n": { "N": "12345678901234567890123456789012345678" }, "b": { "B": "AQID" }, "ss": { "SS": ["x", "y"] }, "none": { "NULL": true },
        "l": { "L": [{ "BOOL": false }, { "S": "" }] }
    } });
    let one = json!({ ":one": { "N": "1" } });
    let change = |name: &str, update: &str, values: &Value| {
        let step = done(name, "UpdateItem", at()).with(json!({ "UpdateExpression": update }));
        if values.is_null() { step } else { step.with(json!({ "ExpressionAttributeValues": values })) }
    };
    let transaction = json!({ "TransactItems": [
        { "Put": { "TableName": table, "Item": { "pk": { "S": "t" }, "sk": { "N": "1" } } } },
        { "Update": { "TableName": table, "Key": key(), "UpdateExpression": "SET n = :one", "ExpressionAttributeValues": one } },
        { "Delete": { "TableName": table, "Key": { "pk": { "S": "nowhere" }, "sk": { "N": "1" } } } },
    ] });
    let batch = json!({ "RequestItems": { table: [
        { "PutRequest": { "Item": { "pk": { "S": "t" }, "sk": { "N": "1" } } } }, { "DeleteRequest": { "Key": key() } }
    ] } });
    let mut steps = opened(table, view);
    steps.extend([
        done("a new item", "PutItem", item(json!({ "S": "first" }))),
        done("the same item again", "PutItem", item(json!({ "S": "first" }))),
        done("another item in its place", "PutItem", item(rich.clone())),
        done("that item again", "PutItem", item(rich)),
        done("a number", "PutItem", item(json!({ "N": "10" }))),
        done("the same number in another spelling", "PutItem", item(json!({ "N": "1e1" }))),
        change("an attribute is set", "SET n = :one", &one),
        change("to what it was", "SET n = :one", &one),
        change("an attribute is counted up", "ADD n :one", &one),
        change("an attribute is removed", "REMOVE v", &Value::Null),
        change("what is not there is removed", "REMOVE v", &Value::Null),
        done("an update of nothing", "UpdateItem", at()),
        refused("an update that is refused", "UpdateItem", at(), "ConditionalCheckFailedException")
            .with(json!({ "UpdateExpression": "REMOVE n", "ConditionExpression": "attribute_not_exists(n)" })),
        done("an item is deleted", "DeleteItem", at()),
        done("what is not there is deleted", "DeleteItem", at()),
        done("an update of nothing creates an item", "UpdateItem", at()),
        done("a transaction", "TransactWriteItems", transaction),
        done("a batch", "BatchWriteItem", batch),
        iterator("the stream is read from its beginning", "TRIM_HORIZON", None),
        page("the stream tells of all that changed something"),
    ]);
    steps
}

/// Where iterators begin and how pages follow each other.
fn iterators() -> Vec<Step> {
    let put = |number: usize| {
        done("a write", "PutItem", json!({ "TableName": "iterated", "Item": { "pk": { "S": "a" }, "sk": { "N": number.to_string() } } }))
    };
    let mut steps = opened("iterated", "KEYS_ONLY");
    steps.push(iterator("an iterator for what comes next", "LATEST", None).keep("latest", "/ShardIterator"));
    steps.push(iterator("an iterator from the beginning", "TRIM_HORIZON", None));
    steps.push(page("an open shard without records gives another iterator"));
    steps.extend((0..5).map(put));
    steps.extend([
        page("an iterator may be used again"),
        page("a page of two")
            .with(json!({ "Limit": 2 }))
            .keep("second", "/Records/1/dynamodb/SequenceNumber")
            .keep("next", "/NextShardIterator"),
        done("the page after it", "GetRecords", json!({ "ShardIterator": "${next}", "Limit": 2 })).keep("next", "/NextShardIterator"),
        done("the last page", "GetRecords", json!({ "ShardIterator": "${next}", "Limit": 2 })).keep("next", "/NextShardIterator"),
        done("an open shard has no last page", "GetRecords", json!({ "ShardIterator": "${next}", "Limit": 1000 }))
            .keep("next", "/NextShardIterator"),
        done("what came after the iterator for it", "GetRecords", json!({ "ShardIterator": "${latest}" }))
            .keep("last", "/Records/4/dynamodb/SequenceNumber"),
        iterator("an iterator at a record", "AT_SEQUENCE_NUMBER", Some("${second}")),
        page("begins with it"),
        iterator("an iterator after a record", "AFTER_SEQUENCE_NUMBER", Some("${second}")),
        page("begins with the next one"),
        iterator("an iterator after the last record", "AFTER_SEQUENCE_NUMBER", Some("${last}")),
        page("waits for another one"),
        iterator("an iterator for what comes next", "LATEST", None),
        page("has nothing yet"),
        put(5),
        page("and then has it"),
        done("as has the end of the pages", "GetRecords", json!({ "ShardIterator": "${next}" })),
    ]);
    steps.extend(refused_reads());
    steps
}

fn refused_reads() -> Vec<Step> {
    let ask = |name: &str, changes: Value, code: &'static str| {
        let body = json!({ "StreamArn": "${arn}", "ShardId": "${shard}", "ShardIteratorType": "TRIM_HORIZON" });
        refused(name, "GetShardIterator", body, code).with(changes)
    };
    let read = |name: &str, body: Value| refused(name, "GetRecords", body, INVALID);
    let describe = |name: &str, changes: Value, code: &'static str| {
        refused(name, "DescribeStream", json!({ "StreamArn": "${arn}" }), code).with(changes)
    };
    let no_stream = "arn:aws:dynamodb:eu-central-1:123456789012:table/iterated/stream/2020-01-01T00:00:00.000";
    let no_shard = "shardId-00000001577836800000-00000000";
    vec![
        ask("an iterator is for a stream", json!({ "StreamArn": no_stream }), MISSING),
        ask("that has such a shard", json!({ "ShardId": no_shard }), MISSING),
        ask(
            "an iterator for what comes next has no position",
            json!({ "ShardIteratorType": "LATEST", "SequenceNumber": "${second}" }),
            INVALID,
        ),
        ask("nor has one from the beginning", json!({ "SequenceNumber": "${second}" }), INVALID),
        ask("an iterator at a record has one", json!({ "ShardIteratorType": "AT_SEQUENCE_NUMBER" }), INVALID),
        ask("so has one after a record", json!({ "ShardIteratorType": "AFTER_SEQUENCE_NUMBER" }), INVALID),
        ask("a position has 21 digits at least", json!({ "ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": "1" }), INVALID),
        ask("a type of iterators is one of five", json!({ "ShardIteratorType": "YESTERDAY" }), INVALID).differs(
            crash(),
            refusal(INVALID),
            "a word that is none of an enumeration's is a ValidationException; DynamoDB Local fails on it",
        ),
        done("an iterator may begin at a time", "GetShardIterator", {
            json!({ "StreamArn": "${arn}", "ShardId": "${shard}", "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1_577_836_800 })
        })
        .differs(
            crash(),
            success(&json!({ "ShardIterator": "<iterator>" })),
            "AT_TIMESTAMP is documented; DynamoDB Local fails on it",
        ),
        read("an iterator is one", json!({ "ShardIterator": "somewhere" })),
        read("a page has a record at least", json!({ "ShardIterator": "${next}", "Limit": 0 })),
        refused("and a thousand at most", "GetRecords", json!({ "ShardIterator": "${next}", "Limit": 1001 }), "LimitExceededException")
            .differs(
                refusal(INVALID),
                refusal("LimitExceededException"),
                "asking for more than 1000 records is a LimitExceededException; DynamoDB Local has a ValidationException",
            ),
        read("a page has an iterator", json!({})),
        describe("a stream is described if it is there", json!({ "StreamArn": no_stream }), MISSING),
        describe("in pages of one shard at least", json!({ "Limit": 0 }), INVALID),
        describe("and of a hundred at most", json!({ "Limit": 101 }), INVALID),
        done("a page of shards", "DescribeStream", json!({ "StreamArn": "${arn}", "Limit": 1 })).differs_at(
            "/body/StreamDescription/LastEvaluatedShardId",
            Value::Null,
            json!("<shard>"),
            FULL_PAGE,
        ),
        done("after the last shard there is none", "DescribeStream", json!({ "StreamArn": "${arn}", "ExclusiveStartShardId": "${shard}" })),
        done("a shard that is open has no children", "DescribeStream", {
            json!({ "StreamArn": "${arn}", "ShardFilter": { "Type": "CHILD_SHARDS", "ShardId": "${shard}" } })
        }),
        done("a table's streams are listed", "ListStreams", json!({ "TableName": "iterated" })),
        done("a table that is not there has none", "ListStreams", json!({ "TableName": "no-such-table" })),
        refused("a page of streams has one at least", "ListStreams", json!({ "Limit": 0 }), INVALID),
        refused("and a hundred at most", "ListStreams", json!({ "Limit": 101 }), INVALID),
    ]
}

/// A stream that is disabled ends; its records stay. Enabling it again begins another one.
fn disabled_and_enabled_again() -> Vec<Step> {
    let table = || json!({ "TableName": "renewed" });
    let put = |key: &str| done("a write", "PutItem", json!({ "TableName": "renewed", "Item": { "pk": { "S": key }, "sk": { "N": "1" } } }));
    let mut steps = opened("renewed", "NEW_IMAGE");
    steps.extend([
        put("a"),
        put("b"),
        iterator("an iterator from the beginning", "TRIM_HORIZON", None),
        page("two records").keep("last", "/Records/1/dynamodb/SequenceNumber").keep("open", "/NextShardIterator"),
        update("the stream is disabled", "renewed", no_stream()),
        put("unseen"),
        done("its shard is closed", "DescribeStream", json!({ "StreamArn": "${arn}" })),
        page("its records are still there, and the end"),
        page("before the end there is another page").with(json!({ "Limit": 1 })).keep("next", "/NextShardIterator"),
        done("which is the last one", "GetRecords", json!({ "ShardIterator": "${next}", "Limit": 1 })),
        done("an iterator from before the end finds the end", "GetRecords", json!({ "ShardIterator": "${open}" })),
        iterator("an iterator after the last record", "AFTER_SEQUENCE_NUMBER", Some("${last}")),
        page("finds the end"),
        iterator("an iterator for what comes next", "LATEST", None),
        page("finds it too"),
        update("another stream is enabled", "renewed", stream("KEYS_ONLY")).keep("fresh", "/TableDescription/LatestStreamArn"),
        put("c"),
        done("the first stream is as it was", "DescribeStream", json!({ "StreamArn": "${arn}" })),
        iterator("its records can be read", "TRIM_HORIZON", None),
        page("they are those from before"),
        done("the second one has a shard of its own", "DescribeStream", json!({ "StreamArn": "${fresh}" }))
            .keep("fresh shard", "/StreamDescription/Shards/0/ShardId"),
        refused(
            "the one's shard is not the other's",
            "GetShardIterator",
            json!({ "StreamArn": "${arn}", "ShardId": "${fresh shard}", "ShardIteratorType": "LATEST" }),
            MISSING,
        ),
        done("an iterator of the second one", "GetShardIterator", {
            json!({ "StreamArn": "${fresh}", "ShardId": "${fresh shard}", "ShardIteratorType": "TRIM_HORIZON" })
        })
        .keep("iterator", "/ShardIterator"),
        page("it has what came since"),
        done("both are listed", "ListStreams", table()),
        done("one of them", "ListStreams", table()).with(json!({ "Limit": 1 })).keep("first", "/LastEvaluatedStreamArn"),
        done("and the other", "ListStreams", table()).with(json!({ "Limit": 1, "ExclusiveStartStreamArn": "${first}" })).differs_at(
            "/body/LastEvaluatedStreamArn",
            Value::Null,
            json!("arn:table/renewed/stream/<label>"),
            FULL_PAGE,
        ),
    ]);
    steps
}
