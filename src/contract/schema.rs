//! The columns of a table in the lake.

use serde::{Deserialize, Serialize};

use crate::event::AttributeType;

/// Which columns a table has in the lake, in order. Written beside the data as `schema.json`, so that the lake describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSchema {
    /// The DynamoDB table's name.
    pub table: String,
    /// Partition key, then sort key if the table has one. Always text columns.
    pub keys: Vec<KeyColumn>,
    /// The item's other columns, in the order of the contract; empty without one.
    pub columns: Vec<Column>,
    /// The contract that the columns come from.
    pub contract: Option<ContractId>,
}

/// Identity of the contract, written into every Parquet file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractId {
    /// The document's `id`.
    pub id: String,
    /// The document's `version`.
    pub version: String,
}

/// A key attribute. Its column is text, so that every key groups exactly: S as it is, N as canonical digits
/// (see [`crate::event::number`]), B as base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyColumn {
    /// The attribute's name in DynamoDB.
    pub attribute: String,
    /// The column's name in the lake.
    pub column: String,
    /// S, N or B.
    pub attribute_type: AttributeType,
    /// The contract's classification, for masking; `None` when it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<String>,
}

/// A column that holds one attribute, or one field of a nested map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The column's name: lower snake case, valid in Glue. Its old side is `old_<name>`.
    pub name: String,
    /// Where the value stands in the item: one name, or several for a field of a flattened map.
    pub path: Vec<String>,
    /// The attribute type that fits this column; another one goes to `cdc_extra`.
    pub source: AttributeType,
    /// How the lake stores it.
    pub kind: ColumnType,
    /// The contract's classification, for masking; `None` when it names none.
    pub classification: Option<String>,
}

/// Classifications that are shown.
const SHOWN: [&str; 2] = ["public", "internal"];

/// Whether what has that classification is masked: all but what is known to be harmless. A word that nobody thought of must not publish what it protects.
pub(super) fn is_masked(classification: &str) -> bool {
    !SHOWN.iter().any(|shown| classification.trim().eq_ignore_ascii_case(shown))
}

/// The lake's type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ColumnType {
    /// UTF-8 text: S as it is, N as canonical digits, B as base64.
    Text,
    /// 64-bit signed integer.
    BigInt,
    /// Exact decimal; a value that needs more digits goes to `cdc_extra`.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
    },
    /// Boolean.
    Boolean,
    /// UTC timestamp in microseconds, from an S of exactly this format.
    Timestamp {
        /// How the attribute spells it.
        format: TimestampFormat,
    },
    /// JSON text of a list, set or map. Sets are sorted arrays; values that JSON cannot hold exactly go to `cdc_extra`.
    Json,
}

/// RFC 3339 in UTC with a fixed number of fraction digits, so that the text can be rebuilt from the instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestampFormat {
    /// `2026-11-21T03:00:00Z`.
    Seconds,
    /// `2026-11-21T03:00:00.000Z`.
    Millis,
    /// `2026-11-21T03:00:00.000000Z`.
    Micros,
}

impl TableSchema {
    /// The schema without a contract: keys only, everything else in `cdc_extra`. A key whose name belongs to the lake gets the prefix
    /// `key_`, and a sort key whose column would be the partition key's gets the suffix `_2`; a contract may name them better.
    pub fn keys_only(table: impl Into<String>, keys: Vec<(String, AttributeType)>) -> Self {
        let mut columns: Vec<KeyColumn> = Vec::with_capacity(keys.len());
        for (attribute, attribute_type) in keys {
            let mut column = snake_case(&attribute);
            if is_reserved(&column) || !column.bytes().any(|b| b.is_ascii_alphanumeric()) {
                column = format!("key_{}", column.trim_start_matches('_'));
            }
            if columns.iter().any(|other| other.column == column) {
                column.push_str("_2");
            }
            columns.push(KeyColumn { attribute, column, attribute_type, classification: None });
        }
        Self { table: table.into(), keys: columns, columns: Vec::new(), contract: None }
    }
}

/// Prefix of the metadata columns.
const METADATA_PREFIX: &str = "cdc_";

/// Prefix of the columns of the image before the change.
pub const OLD_PREFIX: &str = "old_";

/// Columns of the lake's partitions.
const PARTITION_COLUMNS: [&str; 2] = ["dt", "hr"];

/// Whether a column of that name is, or may become, one of the lake's own.
pub(super) fn is_reserved(column: &str) -> bool {
    column.strip_prefix(OLD_PREFIX).unwrap_or(column).starts_with(METADATA_PREFIX) || PARTITION_COLUMNS.contains(&column)
}

/// The column name of an attribute: lower snake case, everything but `[a-z0-9_]` replaced by `_`.
///
/// ```
/// use headwater::contract::snake_case;
/// assert_eq!(snake_case("orderId"), "order_id");
/// assert_eq!(snake_case("HTTPStatus"), "http_status");
/// assert_eq!(snake_case("Ship-To.city"), "ship_to_city");
/// ```
pub fn snake_case(attribute: &str) -> String {
    let chars: Vec<char> = attribute.chars().collect();
    let mut out = String::with_capacity(attribute.len() + 4);
    for (i, &c) in chars.iter().enumerate() {
        if c.is_ascii_uppercase() {
            let after_lower = i > 0 && (chars[i - 1].is_ascii_lowercase() || chars[i - 1].is_ascii_digit());
            let ends_acronym = i > 0 && chars[i - 1].is_ascii_uppercase() && chars.get(i + 1).is_some_and(char::is_ascii_lowercase);
            if (after_lower || ends_acronym) && !out.ends_with('_') {
                out.push('_');
            }
            out.push(c.to_ascii_lowercase());
        } else if c.is_ascii_lowercase() || c.is_ascii_digit() {
            out.push(c);
        } else if !out.ends_with('_') {
            out.push('_');
        }
    }
    out
}
