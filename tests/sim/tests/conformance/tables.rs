//! Tables and the streams that they have.

use serde_json::{Value, json};

use super::step::{Step, done, refusal, refused, success};

const TRANSIENT: &str = "CreateTable, UpdateTable and DeleteTable are asynchronous and answer with CREATING, UPDATING or DELETING; DynamoDB \
                         Local tells the table to be ACTIVE";

/// The definition of a table billed on demand, its key given as names and types: the partition key, then the sort key.
pub(super) fn definition(table: &str, key: &[(&str, &str)]) -> Value {
    let attributes: Vec<_> = key.iter().map(|(name, kind)| json!({ "AttributeName": name, "AttributeType": kind })).collect();
    let schema: Vec<_> =
        key.iter().zip(["HASH", "RANGE"]).map(|((name, _), role)| json!({ "AttributeName": name, "KeyType": role })).collect();
    json!({ "TableName": table, "AttributeDefinitions": attributes, "KeySchema": schema, "BillingMode": "PAY_PER_REQUEST" })
}

/// Creates a table.
pub(super) fn create(table: &str, key: &[(&str, &str)]) -> Step {
    created(format!("the table {table} is created"), definition(table, key))
}

fn created(name: impl Into<String>, body: Value) -> Step {
    done(name, "CreateTable", body).differs_at("/body/TableDescription/TableStatus", json!("ACTIVE"), json!("CREATING"), TRANSIENT)
}

/// A change of a table.
pub(super) fn update(name: &str, table: &str, changes: Value) -> Step {
    done(name, "UpdateTable", json!({ "TableName": table })).with(changes).differs_at(
        "/body/TableDescription/TableStatus",
        json!("ACTIVE"),
        json!("UPDATING"),
        TRANSIENT,
    )
}

/// The specification of a stream.
pub(super) fn stream(view: &str) -> Value {
    json!({ "StreamSpecification": { "StreamEnabled": true, "StreamViewType": view } })
}

/// The specification of no stream.
pub(super) fn no_stream() -> Value {
    json!({ "StreamSpecification": { "StreamEnabled": false } })
}

pub(super) fn steps() -> Vec<Step> {
    let mut steps = creating();
    steps.extend(refused_creations());
    steps.extend(streams());
    steps.extend(time_to_live());
    steps.extend(deleting());
    steps
}

fn creating() -> Vec<Step> {
    let table = json!({ "TableName": "plain" });
    vec![
        refused("a table that is not there cannot be described", "DescribeTable", table.clone(), "ResourceNotFoundException"),
        create("plain", &[("pk", "S")]),
        done("a table without a stream is described", "DescribeTable", table),
        refused("a table that is there is not created again", "CreateTable", definition("plain", &[("pk", "S")]), "ResourceInUseException"),
        refused("nor under another key", "CreateTable", definition("plain", &[("other", "N")]), "ResourceInUseException"),
        create("with-range", &[("pk", "B"), ("sk", "N")]),
        done("a table with a sort key is described", "DescribeTable", json!({ "TableName": "with-range" })),
        created("capacity may be provisioned", definition("provisioned", &[("pk", "S")])).with(json!({
            "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": { "ReadCapacityUnits": 5, "WriteCapacityUnits": 5 },
        })),
        done("tables are listed by name", "ListTables", json!({})),
        done("a page of tables", "ListTables", json!({ "Limit": 1 })).keep("table", "/LastEvaluatedTableName"),
        done("the next page of tables", "ListTables", json!({ "Limit": 1, "ExclusiveStartTableName": "${table}" })),
        done("the rest of the tables", "ListTables", json!({ "ExclusiveStartTableName": "${table}" })),
    ]
}

fn refused_creations() -> Vec<Step> {
    let refuse =
        |name: &str, changes: Value| refused(name, "CreateTable", definition("never", &[("pk", "S")]), "ValidationException").with(changes);
    vec![
        refuse("a table's name has three characters at least", json!({ "TableName": "ab" })),
        refuse("a table's name has no spaces", json!({ "TableName": "a table" })),
        refuse("every key attribute is defined", json!({ "AttributeDefinitions": [] })),
        refuse(
            "no other attribute is defined",
            json!({ "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }, { "AttributeName": "x", "AttributeType": "S" }] }),
        ),
        refuse(
            "a key is a string, a number or binary",
            json!({ "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "BOOL" }] }),
        ),
        refuse("there is a partition key", json!({ "KeySchema": [] })),
        refuse("the partition key comes first", json!({ "KeySchema": [{ "AttributeName": "pk", "KeyType": "RANGE" }] })),
        refuse("provisioned capacity is given", json!({ "BillingMode": "PROVISIONED" })),
        refuse("a stream has a view type", json!({ "StreamSpecification": { "StreamEnabled": true } })),
        refuse("no stream has no view type", json!({ "StreamSpecification": { "StreamEnabled": false, "StreamViewType": "KEYS_ONLY" } })),
    ]
}

fn streams() -> Vec<Step> {
    let table = json!({ "TableName": "streamed" });
    let refuse = |name: &str, changes: Value| refused(name, "UpdateTable", table.clone(), "ValidationException").with(changes);
    let disabled = json!({ "StreamEnabled": false });
    vec![
        created("a table is created with a stream", definition("streamed", &[("pk", "S"), ("sk", "S")])).with(stream("KEYS_ONLY")),
        done("a table with a stream is described", "DescribeTable", table.clone()).keep("arn", "/Table/LatestStreamArn"),
        done("its stream is described", "DescribeStream", json!({ "StreamArn": "${arn}" })),
        done("its stream is listed", "ListStreams", table.clone()),
        refuse("a stream that is enabled is not enabled again", stream("NEW_IMAGE")),
        refuse("nor with the view that it has", stream("KEYS_ONLY")),
        update("a stream is disabled", "streamed", no_stream()),
        done("a table whose stream is disabled still tells of it", "DescribeTable", table.clone()),
        done("a disabled stream is described", "DescribeStream", json!({ "StreamArn": "${arn}" })),
        refuse("a stream that is disabled is not disabled again", no_stream()),
        refuse("a stream needs a view type", json!({ "StreamSpecification": { "StreamEnabled": true } })),
        refuse("an update updates something", json!({})),
        update("a stream is enabled again, with another view", "streamed", stream("NEW_AND_OLD_IMAGES")),
        done("the table tells of the new stream", "DescribeTable", table.clone()),
        done("both streams are listed, the newer one first", "ListStreams", table.clone()),
        done("tables without a stream have none listed", "ListStreams", json!({ "TableName": "plain" })),
        refused(
            "a table that is not there has no stream to change",
            "UpdateTable",
            json!({ "TableName": "never" }),
            "ResourceNotFoundException",
        )
        .with(no_stream()),
        refused("a table without a stream has none to disable", "UpdateTable", json!({ "TableName": "plain" }), "ValidationException")
            .with(no_stream()),
        created("a stream may be declined at creation", definition("declined", &[("pk", "S")]))
            .with(json!({ "StreamSpecification": disabled })),
    ]
}

fn time_to_live() -> Vec<Step> {
    let of = |enabled: bool, attribute: &str| json!({ "TableName": "plain", "TimeToLiveSpecification": { "Enabled": enabled, "AttributeName": attribute } });
    vec![
        done("time to live is off at first", "DescribeTimeToLive", json!({ "TableName": "plain" })),
        refused("what is off is not turned off", "UpdateTimeToLive", of(false, "ttl"), "ValidationException"),
        done("time to live is turned on", "UpdateTimeToLive", of(true, "ttl")),
        done("time to live is described", "DescribeTimeToLive", json!({ "TableName": "plain" })),
        refused("what is on is not turned on", "UpdateTimeToLive", of(true, "ttl"), "ValidationException"),
        refused("no other attribute while one is", "UpdateTimeToLive", of(true, "other"), "ValidationException"),
        refused("a table that is not there has none", "DescribeTimeToLive", json!({ "TableName": "never" }), "ResourceNotFoundException"),
    ]
}

fn deleting() -> Vec<Step> {
    let table = json!({ "TableName": "with-range" });
    vec![
        done("a table is deleted", "DeleteTable", table.clone()).differs_at(
            "/body/TableDescription/TableStatus",
            json!("ACTIVE"),
            json!("DELETING"),
            TRANSIENT,
        ),
        refused("what is deleted is not there", "DescribeTable", table.clone(), "ResourceNotFoundException"),
        refused("what is deleted is not deleted again", "DeleteTable", table, "ResourceNotFoundException"),
        done("backups are described", "DescribeContinuousBackups", json!({ "TableName": "plain" })).differs(
            refusal("UnknownOperationException"),
            success(&json!({ "ContinuousBackupsDescription": {
                "ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": { "PointInTimeRecoveryStatus": "DISABLED" }
            } })),
            "DescribeContinuousBackups is documented; DynamoDB Local does not know it",
        ),
        refused("an operation is known", "ReadMinds", json!({}), "UnknownOperationException"),
        refused("a request names its table", "DescribeTable", json!({}), "ValidationException"),
        refused("a table's name is text", "DescribeTable", json!({ "TableName": 5 }), "SerializationException").differs(
            refusal("ValidationException"),
            refusal("SerializationException"),
            "a member of another type than the model's is a SerializationException; DynamoDB Local reads any value as text",
        ),
        done("members that no model knows are ignored", "DescribeTable", json!({ "TableName": "plain", "Unknown": 1 })),
    ]
}
