//! A history in which some records of the table's stream are none that the service can make sense of.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use serde_json::{Value, json};
use tracing::Level;

use super::{marks, short};
use crate::call::{Answer, Intercept, Quirks};
use crate::cloud::Cloud;
use crate::journal::Journal;

/// Plays the history of a seed, and gives its journal, in which the service's log is from `level` on.
pub fn play(seed: u64, level: Level) -> anyhow::Result<Journal> {
    let tamper: short::Tamper = |cloud| Arc::new(Spoilt { cloud: cloud.clone(), records: AtomicUsize::new(0) });
    Ok(short::play(seed, Some(level), Some(tamper))?.journal)
}

/// Spoils every third record of the table's stream.
#[derive(Debug)]
struct Spoilt {
    cloud: Cloud,
    records: AtomicUsize,
}

impl Intercept for Spoilt {
    fn intercept(&self, target: &str, worker: &str, body: &Bytes) -> Option<Answer> {
        if target != "DynamoDBStreams_20120810.GetRecords" {
            return None;
        }
        let answer = self.cloud.call(target, worker, body, &Quirks::default());
        Some(answer.map(|page| serde_json::from_slice(&page).map_or(page, |page| self.spoil(page).to_string().into())))
    }
}

impl Spoilt {
    fn spoil(&self, mut page: Value) -> Value {
        for record in page["Records"].as_array_mut().into_iter().flatten() {
            let number = self.records.fetch_add(1, Ordering::Relaxed);
            if number.is_multiple_of(3) {
                spoil(record, number / 3);
            }
        }
        page
    }
}

/// Puts a value where it does not belong: each way is told of in another way.
fn spoil(record: &mut Value, way: usize) {
    let change = &mut record["dynamodb"];
    match way % 8 {
        0 => change["NewImage"] = json!({"id": marks::TEXT}),
        1 => change["NewImage"] = json!({"id": {"S": [marks::TEXT]}}),
        2 => change["NewImage"] = json!({"id": {(marks::TEXT): "S"}}),
        3 => change["Keys"] = json!({"id": {"N": marks::TEXT}}),
        4 => change["Keys"] = json!({"id": {"N": marks::NUMBER.parse::<u64>().unwrap_or_default()}}),
        5 => change["OldImage"] = json!(marks::TEXT),
        6 => change["ApproximateCreationDateTime"] = json!(marks::TEXT),
        _ => change["Keys"] = json!({"id": {"S": format!("{} of another item", marks::TEXT)}}),
    }
}
