//! Items as DynamoDB's JSON protocol spells them. Numbers stay text, so no digit is lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The attributes of an item.
pub type Item = BTreeMap<String, AttributeValue>;

/// A typed value. Binary stays in its base64 text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the variants are DynamoDB's type names")]
pub enum AttributeValue {
    S(String),
    N(String),
    B(String),
    SS(Vec<String>),
    NS(Vec<String>),
    BS(Vec<String>),
    M(Item),
    L(Vec<AttributeValue>),
    BOOL(bool),
    NULL(bool),
}
