//! The last row of every item against the item in the table.

use std::collections::{BTreeMap, HashMap};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::duckdb::Row;

/// The key attribute of the generator's table, and its column.
const KEY: &str = "order_id";

/// Panics unless each item's last row (by sequence) holds the item as the table has it, and items whose last row is a REMOVE are gone.
/// For a lake without a contract, where `cdc_extra` holds all but the key.
pub(super) async fn assert_equals_table(rows: &[Row], config: &SdkConfig, table: &str) {
    let mut last: HashMap<&str, &Row> = HashMap::new();
    for row in rows {
        let latest = last.entry(row.text(KEY)).or_insert(row);
        if row.text("cdc_sequence") > latest.text("cdc_sequence") {
            *latest = row;
        }
    }
    let lake: BTreeMap<String, Value> = last
        .into_iter()
        .filter(|(_, row)| row.text("cdc_op") != "REMOVE")
        .map(|(key, row)| {
            let mut item: Value = row.optional("cdc_extra").map_or_else(|| json!({}), |text| serde_json::from_str(text).unwrap());
            item[KEY] = json!({ "S": key });
            (key.to_owned(), with_sorted_sets(item))
        })
        .collect();
    let table = scan(config, table).await;
    for (key, item) in &table {
        assert_eq!(lake.get(key), Some(item), "the last row of {key} (left) is not its item in the table (right)");
    }
    let extra: Vec<_> = lake.keys().filter(|key| !table.contains_key(*key)).collect();
    assert!(extra.is_empty(), "the lake has items that are not in the table: {extra:?}");
}

async fn scan(config: &SdkConfig, table: &str) -> BTreeMap<String, Value> {
    let mut pages = Client::new(config).scan().table_name(table).consistent_read(true).into_paginator().items().send();
    let mut items = BTreeMap::new();
    while let Some(item) = pages.next().await {
        let item = item.unwrap();
        let AttributeValue::S(key) = &item[KEY] else { panic!("{KEY} is not text: {item:?}") };
        items.insert(key.clone(), with_sorted_sets(map_json(&item)));
    }
    items
}

fn map_json(map: &HashMap<String, AttributeValue>) -> Value {
    map.iter().map(|(name, value)| (name.clone(), typed_json(value))).collect()
}

/// An attribute as DynamoDB spells it on the wire.
fn typed_json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(digits) => json!({ "N": digits }),
        AttributeValue::B(bytes) => json!({ "B": STANDARD.encode(bytes) }),
        AttributeValue::Bool(truth) => json!({ "BOOL": truth }),
        AttributeValue::Null(truth) => json!({ "NULL": truth }),
        AttributeValue::Ss(texts) => json!({ "SS": texts }),
        AttributeValue::Ns(numbers) => json!({ "NS": numbers }),
        AttributeValue::Bs(binaries) => json!({ "BS": binaries.iter().map(|bytes| STANDARD.encode(bytes)).collect::<Vec<_>>() }),
        AttributeValue::L(list) => json!({ "L": list.iter().map(typed_json).collect::<Vec<_>>() }),
        AttributeValue::M(map) => json!({ "M": map_json(map) }),
        other => panic!("an attribute of an unknown type: {other:?}"),
    }
}

/// The order of a set means nothing, so both sides are sorted before they are compared.
fn with_sorted_sets(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(name, value)| match value {
                Value::Array(mut set) if matches!(name.as_str(), "SS" | "NS" | "BS") => {
                    set.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
                    (name, Value::Array(set))
                }
                other => (name, with_sorted_sets(other)),
            })
            .collect(),
        Value::Array(values) => values.into_iter().map(with_sorted_sets).collect(),
        other => other,
    }
}
