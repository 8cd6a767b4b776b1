//! BatchWriteItem: puts and deletes without conditions, all of which are carried out.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Tables;
use super::key::ItemKey;
use super::request::{self, ReturnCapacity, write_units};
use super::table::Effects;
use crate::call::{Answer, ApiError, Call, answer};
use crate::item::{Item, size};
use crate::streams::Streams;

/// The most writes of one batch.
const MOST_WRITES: usize = 25;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchWriteRequest {
    request_items: BTreeMap<String, Vec<OneOf>>,
    #[serde(default)]
    return_consumed_capacity: ReturnCapacity,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OneOf {
    put_request: Option<PutRequest>,
    delete_request: Option<DeleteRequest>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRequest {
    item: Item,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteRequest {
    key: Item,
}

impl Tables {
    /// BatchWriteItem.
    pub(super) fn batch_write_item(&mut self, streams: &mut Streams, call: &Call<'_>) -> Answer {
        let request: BatchWriteRequest = request::read(call)?;
        if request.request_items.is_empty() {
            return Err(ApiError::validation("BatchWriteItem cannot have a null or no requests set"));
        }
        if request.request_items.values().map(Vec::len).sum::<usize>() > MOST_WRITES {
            return Err(ApiError::validation("Too many items requested for the BatchWriteItem call"));
        }
        // Nothing is written unless the whole batch is in order.
        let mut writes: BTreeMap<String, Vec<(ItemKey, Option<Item>)>> = BTreeMap::new();
        for (name, requests) in request.request_items {
            let table = self.active(&name, call.now)?;
            if requests.is_empty() {
                return Err(ApiError::validation(format!("The batch write request list for a table cannot be null or empty: {name}")));
            }
            let of_table = writes.entry(table.name.clone()).or_default();
            for one in requests {
                let write = match (one.put_request, one.delete_request) {
                    (Some(PutRequest { mut item }), None) => {
                        request::check(&mut item)?;
                        let key = table.keys.place_item(&item)?;
                        super::write::check_size(&item)?;
                        (key, Some(item))
                    }
                    (None, Some(DeleteRequest { mut key })) => {
                        request::check(&mut key)?;
                        (table.keys.place_key(&key)?, None)
                    }
                    _ => {
                        let rule =
                            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes";
                        return Err(ApiError::validation(rule));
                    }
                };
                if of_table.iter().any(|(key, _)| *key == write.0) {
                    return Err(ApiError::validation("Provided list of item keys contains duplicates"));
                }
                of_table.push(write);
            }
        }
        let mut units = BTreeMap::new();
        let mut effects = Effects { streams, journal: call.journal, now: call.now, worker: call.worker };
        for (name, writes) in writes {
            let table = self.active(&name, call.now)?;
            for (key, new) in writes {
                let old = table.items.get(&key).map_or(0, |stored| stored.size);
                *units.entry(name.clone()).or_insert(0.0) += write_units(old.max(new.as_ref().map_or(0, size::item)));
                table.write(&mut effects, key, new, false);
            }
        }
        let mut output = json!({ "UnprocessedItems": {} });
        if let Some(consumed) = request.return_consumed_capacity.consumed_by_table(&units) {
            output["ConsumedCapacity"] = Value::Array(consumed);
        }
        answer(&output)
    }
}
