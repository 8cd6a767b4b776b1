//! What many requests have in common: how they are read, what capacity they used, which attributes they want.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::expression::{Path, Placeholders, project};
use crate::call::{ApiError, Call};
use crate::item::{EMPTY_VALUE, Item, MANIFOLD_VALUE, canonical};

/// Reads a request. What is missing or outside an enumeration is a matter of validation, as with AWS; the rest cannot be serialised at all.
pub(super) fn read<T: DeserializeOwned>(call: &Call<'_>) -> Result<T, ApiError> {
    serde_json::from_slice(call.body).map_err(|error| {
        let message = error.to_string();
        for known in [EMPTY_VALUE, MANIFOLD_VALUE] {
            if message.starts_with(known) {
                return ApiError::validation(known);
            }
        }
        if let Some(member) = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            let member = member.chars().take(1).map(|first| first.to_ascii_lowercase()).chain(member.chars().skip(1)).collect::<String>();
            return missing(&member);
        }
        if message.starts_with("unknown variant") {
            return ApiError::validation(format!("1 validation error detected: {message}"));
        }
        ApiError::new("SerializationException", message)
    })
}

/// A request without a member that it needs.
pub(super) fn missing(member: &str) -> ApiError {
    let rule = "failed to satisfy constraint: Member must not be null";
    ApiError::validation(format!("1 validation error detected: Value null at '{member}' {rule}"))
}

/// Brings an item of a request into its one spelling.
pub(super) fn check(item: &mut Item) -> Result<(), ApiError> {
    canonical::check(item).map_err(|error| ApiError::validation(error.to_string()))
}

/// ReturnConsumedCapacity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum ReturnCapacity {
    #[default]
    None,
    Total,
    Indexes,
}

/// The capacity that reading so many bytes takes: a unit for every 4 KB begun, at least one; half of that unless the read is consistent.
pub(super) fn read_units(bytes: usize, consistent: bool) -> f64 {
    units(bytes, 4096) * if consistent { 1.0 } else { 0.5 }
}

/// The capacity that writing so many bytes takes: a unit for every 1 KB begun, at least one.
pub(super) fn write_units(bytes: usize) -> f64 {
    units(bytes, 1024)
}

fn units(bytes: usize, unit: usize) -> f64 {
    u32::try_from(bytes.div_ceil(unit).max(1)).map_or(f64::MAX, f64::from)
}

impl ReturnCapacity {
    /// ConsumedCapacity of one table, if it is wanted.
    pub(super) fn consumed(self, table: &str, units: f64) -> Option<Value> {
        match self {
            Self::None => None,
            Self::Total => Some(json!({ "TableName": table, "CapacityUnits": units })),
            Self::Indexes => Some(json!({ "TableName": table, "CapacityUnits": units, "Table": { "CapacityUnits": units } })),
        }
    }

    /// ConsumedCapacity of several tables, if it is wanted.
    pub(super) fn consumed_by_table(self, units: &BTreeMap<String, f64>) -> Option<Vec<Value>> {
        (self != Self::None).then(|| units.iter().filter_map(|(table, units)| self.consumed(table, *units)).collect())
    }
}

/// Which attributes a read wants.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Wanted {
    pub(super) projection_expression: Option<String>,
    pub(super) attributes_to_get: Option<Vec<String>>,
}

impl Wanted {
    /// The paths of the wanted parts; `None` for all.
    pub(super) fn paths(&self, placeholders: &mut Placeholders) -> Result<Option<Vec<Path>>, ApiError> {
        match (&self.projection_expression, &self.attributes_to_get) {
            (Some(_), Some(_)) => Err(mixed("AttributesToGet", "ProjectionExpression")),
            (Some(text), None) => placeholders.projection(text).map(Some),
            (None, Some(names)) => Ok(Some(names.iter().map(|name| Path::of_attribute(name)).collect())),
            (None, None) => Ok(None),
        }
    }
}

/// An item, or the wanted parts of it.
pub(super) fn view(item: &Item, paths: Option<&[Path]>) -> Item {
    paths.map_or_else(|| item.clone(), |paths| project(item, paths))
}

/// A request that says the same in the old way and in the new.
pub(super) fn mixed(old: &str, new: &str) -> ApiError {
    let rule = "Can not use both expression and non-expression parameters in the same request";
    ApiError::validation(format!("{rule}: Non-expression parameters: {{{old}}} Expression parameters: {{{new}}}"))
}
