//! Primary keys as the lake spells them: the text of each key column.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use crate::contract::{KeyColumn, TableSchema};
use crate::event::{AttributeType, Item, Value, number};

/// An item, or a text, that has not the table's key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key attribute '{attribute}': {problem}")]
pub struct KeyError {
    /// The key attribute.
    pub attribute: String,
    /// What is wrong.
    pub problem: String,
}

/// The texts of the key columns: partition key, then sort key if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Vec<String>);

impl Key {
    /// The key of these column texts.
    pub fn of_texts(texts: Vec<String>) -> Self {
        Self(texts)
    }

    /// The key of an item of the table.
    pub fn of_item(schema: &TableSchema, item: &Item<'_>) -> Result<Self, KeyError> {
        let wrong = |attribute: &str, problem: String| KeyError { attribute: attribute.to_owned(), problem };
        let text = |key: &KeyColumn| match item.get(&key.attribute) {
            Some(value) if value.attribute_type() != key.attribute_type => {
                let problem = format!("it is {} in the table and {} in the lake's schema", value.attribute_type(), key.attribute_type);
                Err(wrong(&key.attribute, problem))
            }
            Some(Value::S(text) | Value::B(text)) => Ok(text.to_string()),
            Some(Value::N(digits)) => {
                let problem = || "it is no number that DynamoDB can hold".to_owned();
                number::canonical(digits).map(std::borrow::Cow::into_owned).map_err(|_| wrong(&key.attribute, problem()))
            }
            Some(value) => Err(wrong(&key.attribute, format!("{} cannot be a key", value.attribute_type()))),
            None => Err(wrong(&key.attribute, "the item has no such attribute".to_owned())),
        };
        schema.keys.iter().map(text).collect::<Result<_, _>>().map(Self)
    }

    /// The key of a change that is written as a line of JSON, where that much of the line can be read.
    pub fn of_line(schema: &TableSchema, line: &[u8]) -> Option<Self> {
        let members: BTreeMap<String, &RawValue> = serde_json::from_slice(line).ok()?;
        let text = |key: &KeyColumn| serde_json::from_str(members.get(&key.column)?.get()).ok();
        schema.keys.iter().map(text).collect::<Option<_>>().map(Self)
    }

    /// The key for a request to DynamoDB.
    pub fn attributes(&self, schema: &TableSchema) -> Result<HashMap<String, AttributeValue>, KeyError> {
        let attribute = |(key, text): (&KeyColumn, &String)| {
            let value = match key.attribute_type {
                AttributeType::N => AttributeValue::N(text.clone()),
                AttributeType::B => {
                    let broken = |error| KeyError { attribute: key.attribute.clone(), problem: format!("it is not base64: {error}") };
                    AttributeValue::B(Blob::new(STANDARD.decode(text).map_err(broken)?))
                }
                _ => AttributeValue::S(text.clone()),
            };
            Ok((key.attribute.clone(), value))
        };
        schema.keys.iter().zip(&self.0).map(attribute).collect()
    }

    /// The partition key's text.
    pub fn partition(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// Column names and texts, for a report.
    pub fn named(&self, schema: &TableSchema) -> BTreeMap<String, String> {
        schema.keys.iter().map(|key| key.column.clone()).zip(self.0.iter().cloned()).collect()
    }

    /// The texts, each behind its length, so that no two keys have the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for text in &self.0 {
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    /// The key of [`to_bytes`](Self::to_bytes); `None` if they are not of a key.
    pub fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let mut texts = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk()?;
            let (text, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            texts.push(String::from_utf8(text.to_vec()).ok()?);
            bytes = rest;
        }
        Some(Self(texts))
    }

    /// The texts, in the order of the key columns.
    pub fn texts(&self) -> &[String] {
        &self.0
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(types: &[AttributeType]) -> TableSchema {
        TableSchema::keys_only("t", types.iter().enumerate().map(|(i, kind)| (format!("k{i}"), *kind)).collect())
    }

    #[test]
    fn bytes_tell_keys_apart_and_read_back() {
        let (a, b) = (Key(vec!["a".into(), "bc".into()]), Key(vec!["ab".into(), "c".into()]));
        assert_ne!(a.to_bytes(), b.to_bytes());
        assert_eq!(Key::from_bytes(&a.to_bytes()), Some(a));
        assert_eq!(Key::from_bytes(&b.to_bytes()[..9]), None);
    }

    #[test]
    fn a_number_key_has_one_spelling() {
        let schema = schema(&[AttributeType::N]);
        let key = |digits: &'static str| Key::of_item(&schema, &Item(vec![("k0".into(), Value::N(digits.into()))])).unwrap();
        assert_eq!(key("1.50"), key("15E-1"));
        assert_eq!(key("1.50").attributes(&schema).unwrap()["k0"], AttributeValue::N("1.5".into()));
    }

    #[test]
    fn a_line_tells_its_key_though_the_rest_of_it_is_wrong() {
        let schema = schema(&[AttributeType::S, AttributeType::N]);
        let line = br#"{"cdc_op":7,"k0":"a","k1":"1.5","strange":{}}"#;
        assert_eq!(Key::of_line(&schema, line), Some(Key(vec!["a".into(), "1.5".into()])));
        for line in [&b"{"[..], br#"{"k0":"a"}"#, br#"{"k0":"a","k1":1.5}"#] {
            assert_eq!(Key::of_line(&schema, line), None);
        }
    }

    #[test]
    fn a_binary_key_goes_back_as_bytes() {
        let key = Key(vec!["AQI=".into()]);
        let attributes = key.attributes(&schema(&[AttributeType::B])).unwrap();
        assert_eq!(attributes["k0"], AttributeValue::B(Blob::new(vec![1, 2])));
    }

    #[test]
    fn a_key_of_another_type_is_refused() {
        let item = Item(vec![("k0".into(), Value::S("a".into()))]);
        let error = Key::of_item(&schema(&[AttributeType::N]), &item).unwrap_err();
        assert!(error.to_string().contains("it is S in the table and N in the lake's schema"), "{error}");
    }
}
