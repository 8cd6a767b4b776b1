//! `headwater embedded` and `headwater generate`, as a person uses them.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use super::DEADLINE;
use crate::support::process::Headwater;

/// The first JSON object with this field among the lines of an output.
fn printed(log: &str, field: &str) -> Option<Value> {
    log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|line| line.get(field).is_some())
}

#[tokio::test]
async fn the_printed_environment_leads_another_process_to_the_tables() {
    let folder = tempfile::tempdir().unwrap();
    let start = |log: &str, environment: &[(&str, String)], args: &[&str]| {
        Headwater::start(folder.path(), folder.path().join(log), environment, args)
    };
    let mut service = start("service.log", &[], &["embedded", "--listen", "127.0.0.1:0", "--data", "tables.db", "--output", "json"]);
    let mut environment = None;
    while environment.is_none() {
        service.assert_running();
        environment = printed(&service.log(), "environment");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let environment: HashMap<String, String> = serde_json::from_value(environment.unwrap()["environment"].clone()).unwrap();
    assert!(environment.contains_key("AWS_ENDPOINT_URL_DYNAMODB_STREAMS"), "{environment:?}");
    let environment: Vec<(&str, String)> = environment.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();

    let traffic = ["generate", "--create-table", "--table", "orders", "--rate", "0", "--count", "60", "--output", "json"];
    let summary = start("first.log", &environment, &traffic).succeeds(DEADLINE).await;
    let summary = printed(&summary, "puts").unwrap_or_else(|| panic!("no summary: {summary}"));
    let total: u64 = ["puts", "updates", "deletes", "expiries"].iter().map(|kind| summary[kind].as_u64().unwrap()).sum();
    assert_eq!((total, summary["errors"].as_u64()), (60, Some(0)), "{summary}");

    service.signal("TERM");
    assert!(service.exit(DEADLINE).await.success());
    assert!(folder.path().join("tables.db").exists());
}

#[tokio::test]
async fn a_mix_without_inserts_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut refused = Headwater::start(folder.path(), folder.path().join("log"), &[], &["generate", "--mix", "update=1"]);
    assert_eq!(refused.exit(DEADLINE).await.code(), Some(2));
    assert!(refused.log().contains("at least one insert"), "{}", refused.log());
}
