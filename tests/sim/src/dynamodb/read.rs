//! GetItem and BatchGetItem.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Tables;
use super::expression::{Path, Placeholders};
use super::key::ItemKey;
use super::past::Sight;
use super::request::{self, ReturnCapacity, Wanted, read_units, view};
use super::table::Table;
use crate::call::{Answer, ApiError, Call, answer};
use crate::item::Item;

/// The most keys of one BatchGetItem.
const MOST_KEYS: usize = 100;

/// GetItem, and an element of TransactGetItems.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetRequest {
    pub(super) table_name: String,
    key: Item,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    wanted: Wanted,
    #[serde(default)]
    consistent_read: bool,
    #[serde(default)]
    return_consumed_capacity: ReturnCapacity,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchGetRequest {
    request_items: BTreeMap<String, KeysAndAttributes>,
    #[serde(default)]
    return_consumed_capacity: ReturnCapacity,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeysAndAttributes {
    keys: Vec<Item>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    wanted: Wanted,
    #[serde(default)]
    consistent_read: bool,
}

/// An item that was read, and its size.
pub(super) struct Found {
    pub(super) item: Option<Item>,
    pub(super) size: usize,
}

impl GetRequest {
    /// Reads the item, as it is when the read is to be consistent. Tells also which one it is.
    pub(super) fn get(&mut self, table: &Table, call: &Call<'_>, is_consistent: bool) -> Result<(ItemKey, Found), ApiError> {
        let paths = paths(&self.wanted, self.expression_attribute_names.take())?;
        let key = place(&mut self.key, table)?;
        let found = find(&table.seen_by(call, is_consistent), &key, paths.as_deref());
        Ok((key, found))
    }
}

fn paths(wanted: &Wanted, names: Option<BTreeMap<String, String>>) -> Result<Option<Vec<Path>>, ApiError> {
    let mut placeholders = Placeholders::new(names, None, wanted.projection_expression.is_some())?;
    let paths = wanted.paths(&mut placeholders)?;
    placeholders.all_used()?;
    Ok(paths)
}

fn place(key: &mut Item, table: &Table) -> Result<ItemKey, ApiError> {
    request::check(key)?;
    table.keys.place_key(key)
}

fn find(table: &Sight<'_>, key: &ItemKey, paths: Option<&[Path]>) -> Found {
    match table.get(key) {
        Some(stored) => Found { item: Some(view(&stored.item, paths)), size: stored.size },
        None => Found { item: None, size: 0 },
    }
}

impl Tables {
    /// GetItem.
    pub(super) fn get_item(&mut self, call: &Call<'_>) -> Answer {
        let mut request: GetRequest = request::read(call)?;
        let table = self.active(&request.table_name, call.now)?;
        let (_, found) = request.get(table, call, request.consistent_read)?;
        let mut output = Map::new();
        output.extend(found.item.map(|item| ("Item".to_owned(), json!(item))));
        let consumed = request.return_consumed_capacity.consumed(&table.name, read_units(found.size, request.consistent_read));
        output.extend(consumed.map(|consumed| ("ConsumedCapacity".to_owned(), consumed)));
        answer(&Value::Object(output))
    }

    /// BatchGetItem. All keys are processed, however much they bring.
    pub(super) fn batch_get_item(&mut self, call: &Call<'_>) -> Answer {
        let request: BatchGetRequest = request::read(call)?;
        if request.request_items.is_empty() {
            return Err(ApiError::validation("BatchGetItem must have some requests set"));
        }
        if request.request_items.values().map(|of_table| of_table.keys.len()).sum::<usize>() > MOST_KEYS {
            return Err(ApiError::validation("Too many items requested for the BatchGetItem call"));
        }
        let (mut responses, mut units) = (Map::new(), BTreeMap::new());
        for (name, mut of_table) in request.request_items {
            let table = self.active(&name, call.now)?;
            if of_table.keys.is_empty() {
                let rule = "The list of keys in RequestItems for BatchGetItem is required";
                return Err(ApiError::validation(format!("{rule}: {name} has empty list")));
            }
            let paths = paths(&of_table.wanted, of_table.expression_attribute_names)?;
            let mut keys = Vec::new();
            for key in &mut of_table.keys {
                keys.push(place(key, table)?);
            }
            let mut distinct = keys.clone();
            distinct.sort();
            distinct.dedup();
            if distinct.len() < keys.len() {
                return Err(ApiError::validation("Provided list of item keys contains duplicates"));
            }
            let seen = table.seen_by(call, of_table.consistent_read);
            let found: Vec<Found> = keys.iter().map(|key| find(&seen, key, paths.as_deref())).collect();
            let used: f64 = found.iter().map(|found| read_units(found.size, of_table.consistent_read)).sum();
            *units.entry(table.name.clone()).or_insert(0.0) += used;
            responses.insert(name, found.into_iter().filter_map(|found| found.item).map(|item| json!(item)).collect());
        }
        let mut output = json!({ "Responses": responses, "UnprocessedKeys": {} });
        if let Some(consumed) = request.return_consumed_capacity.consumed_by_table(&units) {
            output["ConsumedCapacity"] = Value::Array(consumed);
        }
        answer(&output)
    }
}
