//! Tables themselves: their life, their streams, their time to live.

use serde_json::json;

use super::*;
use crate::journal::Change;

fn stream(view: &str) -> Value {
    json!({ "StreamSpecification": { "StreamEnabled": true, "StreamViewType": view } })
}

fn changes(account: &Account) -> Vec<Change> {
    let change = |event| match event {
        Event::Change(change) => Some(change),
        _ => None,
    };
    account.events(0).into_iter().filter_map(change).collect()
}

#[test]
fn a_table_describes_itself() {
    let mut account = account();
    account.ok("PutItem", json!({ "Item": key("a", 1) }));
    let described = account.ok("DescribeTable", json!({}))["Table"].clone();
    let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/orders";
    for (member, value) in [
        ("TableName", json!("orders")),
        ("TableArn", json!(arn)),
        ("TableStatus", json!("ACTIVE")),
        ("ItemCount", json!(1)),
        ("TableSizeBytes", json!(5)),
        ("CreationDateTime", json!(1_800_000_000.0)),
        ("KeySchema", creation("orders")["KeySchema"].clone()),
        ("AttributeDefinitions", creation("orders")["AttributeDefinitions"].clone()),
    ] {
        assert_eq!(described[member], value, "{member}");
    }
    assert_eq!(described["BillingModeSummary"]["BillingMode"], json!("PAY_PER_REQUEST"));
    assert_eq!(described.get("LatestStreamArn"), None);
    assert_eq!(account.ok("DescribeTable", json!({ "TableName": arn }))["Table"], described);
    let error = account.error("DescribeTable", json!({ "TableName": "none" }));
    assert_eq!((error.code, &*error.message), ("ResourceNotFoundException", "Requested resource not found: Table: none not found"));
}

#[test]
fn tables_are_listed_in_pages() {
    let mut account = account();
    for name in ["alpha", "zulu"] {
        account.ok("CreateTable", creation(name));
    }
    assert_eq!(account.ok("ListTables", json!({})), json!({ "TableNames": ["alpha", "orders", "zulu"] }));
    let first = account.ok("ListTables", json!({ "Limit": 2 }));
    assert_eq!(first, json!({ "TableNames": ["alpha", "orders"], "LastEvaluatedTableName": "orders" }));
    let rest = account.ok("ListTables", json!({ "Limit": 2, "ExclusiveStartTableName": "orders" }));
    assert_eq!(rest, json!({ "TableNames": ["zulu"] }));
    assert!(account.message("ListTables", json!({ "Limit": 101 })).contains("between 1 and 100"));
}

#[test]
fn a_table_is_created_once_and_deleted_with_its_items() {
    let mut account = account();
    assert_eq!(account.error("CreateTable", creation("orders")).code, "ResourceInUseException");
    assert!(account.message("CreateTable", creation("o!")).starts_with("Invalid table/index name."));
    let mut unpaid = creation("unpaid");
    unpaid.as_object_mut().unwrap().remove("BillingMode");
    assert!(account.message("CreateTable", unpaid.clone()).contains("must both be specified when BillingMode is PROVISIONED"));
    unpaid["ProvisionedThroughput"] = json!({ "ReadCapacityUnits": 3, "WriteCapacityUnits": 4 });
    let created = account.ok("CreateTable", unpaid);
    assert_eq!(created["TableDescription"]["ProvisionedThroughput"]["WriteCapacityUnits"], json!(4));
    let mut indexed = creation("indexed");
    indexed["GlobalSecondaryIndexes"] = json!([{}]);
    assert!(account.message("CreateTable", indexed).contains("no secondary indexes"));

    account.ok("PutItem", json!({ "Item": key("a", 1) }));
    account.ok("UpdateTable", json!({ "DeletionProtectionEnabled": true }));
    assert!(account.message("DeleteTable", json!({})).contains("protected against deletion"));
    account.ok("UpdateTable", json!({ "DeletionProtectionEnabled": false }));
    let deleted = account.ok("DeleteTable", json!({}));
    assert_eq!(deleted["TableDescription"]["TableStatus"], json!("DELETING"));
    assert_eq!(account.error("GetItem", json!({ "Key": key("a", 1) })).code, "ResourceNotFoundException");
    account.ok("CreateTable", creation("orders"));
    assert_eq!(account.items("orders"), json!([]));
}

#[test]
fn a_table_that_is_being_created_cannot_be_used_yet() {
    let mut account = account();
    account.tables.creation = 5_000;
    account.ok("CreateTable", creation("slow"));
    let status = |account: &mut Account| account.ok("DescribeTable", json!({ "TableName": "slow" }))["Table"]["TableStatus"].clone();
    let put = json!({ "TableName": "slow", "Item": key("a", 1) });
    account.now += 4_999;
    assert_eq!(status(&mut account), json!("CREATING"));
    assert_eq!(account.error("PutItem", put.clone()).code, "ResourceNotFoundException");
    for operation in ["UpdateTable", "DeleteTable"] {
        assert_eq!(account.error(operation, json!({ "TableName": "slow" })).code, "ResourceInUseException");
    }
    account.now += 1;
    assert_eq!(status(&mut account), json!("ACTIVE"));
    account.ok("PutItem", put);
}

#[test]
fn a_stream_is_enabled_once_and_disabled_once() {
    let mut account = account();
    let disable = json!({ "StreamSpecification": { "StreamEnabled": false } });
    assert!(account.message("UpdateTable", disable.clone()).starts_with("Table has no stream to disable"));
    let table = account.ok("UpdateTable", stream("NEW_IMAGE"))["TableDescription"].clone();
    assert_eq!(table["StreamSpecification"], json!({ "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" }));
    let arn = table["LatestStreamArn"].as_str().unwrap().to_owned();
    assert!(arn.ends_with(table["LatestStreamLabel"].as_str().unwrap()));
    assert!(account.message("UpdateTable", stream("KEYS_ONLY")).starts_with("Table already has an enabled stream"));
    let table = account.ok("UpdateTable", disable.clone())["TableDescription"].clone();
    assert_eq!((table.get("StreamSpecification"), table["LatestStreamArn"].as_str()), (None, Some(&*arn)));
    assert!(account.message("UpdateTable", disable).starts_with("Table has no stream to disable"));
    account.now += 1_000;
    account.ok("UpdateTable", stream("KEYS_ONLY"));
    assert!(account.message("UpdateTable", json!({})).starts_with("At least one of"));
    let without_view = json!({ "StreamSpecification": { "StreamEnabled": true } });
    assert!(account.message("UpdateTable", without_view).contains("StreamViewType is required"));
}

#[test]
fn changes_of_a_table_that_ever_had_a_stream_are_told_from_those_of_others() {
    let mut account = account();
    let mut create = creation("streamed");
    create["StreamSpecification"] = stream("NEW_AND_OLD_IMAGES")["StreamSpecification"].clone();
    account.ok("CreateTable", create);
    let put = |v: i64| json!({ "TableName": "streamed", "Item": item("a", 1, "v", n(v)) });
    account.ok("PutItem", put(1));
    account.ok("PutItem", put(1));
    account.ok("PutItem", put(2));
    account.ok("PutItem", json!({ "Item": key("elsewhere", 1) }));
    account.ok("UpdateTable", json!({ "TableName": "streamed", "StreamSpecification": { "StreamEnabled": false } }));
    account.ok("DeleteItem", json!({ "TableName": "streamed", "Key": key("a", 1) }));
    let seen: Vec<_> = changes(&account)
        .into_iter()
        .map(|change| (change.operation, json!([change.table, change.key, change.old, change.new]), change.by_ttl))
        .collect();
    let (one, two) = (item("a", 1, "v", n(1)), item("a", 1, "v", n(2)));
    let of = |old: &Value, new: &Value| json!(["streamed", key("a", 1), old, new]);
    let expected =
        [("INSERT", of(&json!(null), &one), false), ("MODIFY", of(&one, &two), false), ("REMOVE", of(&two, &json!(null)), false)];
    assert_eq!(seen, expected);
    assert_eq!(changes(&account)[2].place, None, "the stream was disabled before");
}

#[test]
fn items_expire_by_a_number_of_seconds_that_is_past_but_not_long_past() {
    let mut account = account();
    let mut create = creation("streamed");
    create["StreamSpecification"] = stream("NEW_AND_OLD_IMAGES")["StreamSpecification"].clone();
    account.ok("CreateTable", create);
    let settings = |enabled: bool, attribute: &str| json!({ "TableName": "streamed", "TimeToLiveSpecification": { "Enabled": enabled, "AttributeName": attribute } });
    assert_eq!(account.message("UpdateTimeToLive", settings(false, "ends")), "TimeToLive is already disabled");
    account.ok("UpdateTimeToLive", settings(true, "ends"));
    assert_eq!(account.message("UpdateTimeToLive", settings(true, "ends")), "TimeToLive is already enabled");
    assert!(account.message("UpdateTimeToLive", settings(false, "x")).contains("different AttributeName"));
    let described = account.ok("DescribeTimeToLive", json!({ "TableName": "streamed" }));
    assert_eq!(described, json!({ "TimeToLiveDescription": { "TimeToLiveStatus": "ENABLED", "AttributeName": "ends" } }));

    let now = account.now / 1000;
    let five_years = 5 * 365 * 86_400;
    let ends = [n(now - 1), n(now), n(now - five_years), n(now - five_years + 1), json!({ "S": (now - 1).to_string() })];
    for (s, value) in (1..).zip(ends) {
        account.ok("PutItem", json!({ "TableName": "streamed", "Item": item("a", s, "ends", value) }));
    }
    account.ok("PutItem", json!({ "TableName": "streamed", "Item": key("a", 6) }));
    let Account { tables, streams, journal, now, .. } = &mut account;
    assert_eq!(tables.expire_items(streams, *now, journal), 2);
    assert_eq!(tables.expire_items(streams, *now, journal), 0);
    let expired: Vec<_> =
        changes(&account).into_iter().filter(|change| change.by_ttl).map(|change| (change.operation, json!(change.key))).collect();
    assert_eq!(expired, [("REMOVE", key("a", 1)), ("REMOVE", key("a", 4))]);
    assert_eq!(account.items("streamed").as_array().unwrap().len(), 4);
}

#[test]
fn there_are_no_backups() {
    let mut account = account();
    let described = account.ok("DescribeContinuousBackups", json!({}));
    let recovery = &described["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"];
    assert_eq!(recovery, &json!("DISABLED"));
    assert_eq!(account.error("DescribeContinuousBackups", json!({ "TableName": "none" })).code, "TableNotFoundException");
}
