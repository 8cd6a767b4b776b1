//! Keys as people write them: a list in a file, and the bounds of a partition on the command line. Pure.

use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use crate::contract::{KeyColumn, TableSchema};
use crate::event::{AttributeType, Value, number};
use crate::table::Key;

/// A list of keys cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyListError {
    /// A line is no key of the table.
    #[error("{list} line {line}: {problem}")]
    Line {
        /// The file's name.
        list: String,
        /// From one.
        line: usize,
        /// What is wrong and what it should be.
        problem: String,
    },
    /// There is nothing in it.
    #[error("{list} lists no key: give one JSON object a line, such as {example}")]
    Empty {
        /// The file's name.
        list: String,
        /// A line as it could be.
        example: String,
    },
}

/// The keys of a list, each once, in order. `list` names it in errors.
pub(super) fn parse(list: &str, text: &str, schema: &TableSchema) -> Result<Vec<Key>, KeyListError> {
    let mut seen = HashSet::new();
    let mut keys = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let key = key(line, schema).map_err(|problem| KeyListError::Line { list: list.to_owned(), line: index + 1, problem })?;
        // DynamoDB refuses to be asked for one key twice at a time.
        if seen.insert(key.clone()) {
            keys.push(key);
        }
    }
    if keys.is_empty() {
        return Err(KeyListError::Empty { list: list.to_owned(), example: example(schema) });
    }
    Ok(keys)
}

/// The key of one line: an object with the key's columns, or attributes, and nothing else.
fn key(line: &str, schema: &TableSchema) -> Result<Key, String> {
    let expected = || format!("expected {}", example(schema));
    let members: HashMap<String, Box<RawValue>> = serde_json::from_str(line).map_err(|error| format!("{error}; {}", expected()))?;
    let is_of = |column: &KeyColumn, name: &str| column.attribute == name || column.column == name;
    if let Some(other) = members.keys().find(|name| !schema.keys.iter().any(|column| is_of(column, name))) {
        return Err(format!("'{other}' is not part of the table's key; {}", expected()));
    }
    let texts = schema.keys.iter().map(|column| {
        let given = members.iter().find(|(name, _)| is_of(column, name));
        let (_, raw) = given.ok_or_else(|| format!("'{}' is missing; {}", column.attribute, expected()))?;
        let value = value(raw.get(), column.attribute_type).map_err(|problem| format!("'{}' {problem}", column.attribute))?;
        text(column, &value)
    });
    texts.collect::<Result<_, _>>().map(Key::of_texts)
}

/// A value in plain JSON, which the key's type explains, or in DynamoDB's typed JSON, which says its type itself.
fn value(raw: &str, key_type: AttributeType) -> Result<Value<'_>, String> {
    match raw.as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(raw).map_err(|error| error.to_string())?;
            Ok(match key_type {
                AttributeType::N => Value::N(text.into()),
                AttributeType::B => Value::B(text.into()),
                _ => Value::S(text.into()),
            })
        }
        // The digits as they stand: no float in between.
        Some(b'-' | b'0'..=b'9') if key_type == AttributeType::N => Ok(Value::N(raw.into())),
        Some(b'-' | b'0'..=b'9') => Err(format!("is a number here and {key_type} in the table")),
        Some(b'{') => serde_json::from_str(raw).map_err(|error| format!("is no typed DynamoDB JSON: {error}")),
        _ => Err(format!("is {raw}, which no key can be")),
    }
}

/// The lake's spelling of a key attribute that is given on the command line: text as it is, a number, or base64.
pub(super) fn bound(column: &KeyColumn, given: &str) -> Result<String, String> {
    let value = match column.attribute_type {
        AttributeType::N => Value::N(given.into()),
        AttributeType::B => Value::B(given.into()),
        _ => Value::S(given.into()),
    };
    text(column, &value)
}

/// The lake's spelling of a key attribute's value, if it can be one.
fn text(column: &KeyColumn, value: &Value<'_>) -> Result<String, String> {
    let name = &column.attribute;
    let text = match value {
        value if value.attribute_type() != column.attribute_type => {
            return Err(format!("'{name}' is {} here and {} in the table", value.attribute_type(), column.attribute_type));
        }
        Value::N(digits) => number::canonical(digits).map_err(|error| format!("'{name}': {error}"))?.into_owned(),
        Value::S(text) | Value::B(text) => text.to_string(),
        other => return Err(format!("'{name}' is {}, which no key can be", other.attribute_type())),
    };
    if text.is_empty() {
        return Err(format!("'{name}' is empty, which no key can be"));
    }
    let alone = TableSchema { table: String::new(), keys: vec![column.clone()], columns: Vec::new(), contract: None };
    let sent = Key::of_texts(vec![text.clone()]).attributes(&alone);
    sent.map(|_| text).map_err(|error| error.to_string())
}

/// A line as it could be.
fn example(schema: &TableSchema) -> String {
    let member = |column: &KeyColumn| {
        let value = match column.attribute_type {
            AttributeType::N => "17",
            AttributeType::B => r#""AQI=""#,
            _ => r#""…""#,
        };
        format!(r#""{}":{value}"#, column.attribute)
    };
    format!("{{{}}}", schema.keys.iter().map(member).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(types: &[(&str, AttributeType)]) -> TableSchema {
        TableSchema::keys_only("t", types.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect())
    }

    fn orders() -> TableSchema {
        schema(&[("orderId", AttributeType::S), ("line", AttributeType::N)])
    }

    fn texts(text: &str, schema: &TableSchema) -> Vec<Vec<String>> {
        parse("keys.jsonl", text, schema).unwrap().iter().map(|key| key.texts().to_vec()).collect()
    }

    fn refused(text: &str, schema: &TableSchema) -> String {
        parse("keys.jsonl", text, schema).unwrap_err().to_string()
    }

    #[test]
    fn a_key_may_be_plain_or_typed_and_named_by_column_or_attribute() {
        let keys = r#"
            {"orderId":"o-1","line":1}
            {"order_id":"o-2","line":"2.50"}

            {"line":{"N":"3E2"},"orderId":{"S":"o-3"}}"#;
        assert_eq!(texts(keys, &orders()), [["o-1", "1"], ["o-2", "2.5"], ["o-3", "300"]]);
        let binary = schema(&[("k", AttributeType::B)]);
        assert_eq!(texts("{\"k\":\"AQI=\"}\n{\"k\":{\"B\":\"AQM=\"}}", &binary), [["AQI="], ["AQM="]]);
    }

    #[test]
    fn a_number_keeps_all_its_digits() {
        let digits = "12345678901234567890123456789012345678";
        assert_eq!(texts(&format!("{{\"k\":{digits}}}"), &schema(&[("k", AttributeType::N)])), [[digits]]);
    }

    #[test]
    fn a_key_that_is_listed_twice_is_read_once() {
        assert_eq!(texts("{\"orderId\":\"o\",\"line\":1}\n{\"orderId\":\"o\",\"line\":\"1.0\"}", &orders()), [["o", "1"]]);
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let good = r#"{"orderId":"o","line":1}"#;
        for (line, expected) in [
            ("o-2", r#"expected {"orderId":"…","line":17}"#),
            (r#"{"orderId":"o"}"#, "'line' is missing"),
            (r#"{"orderId":"o","line":1,"status":"paid"}"#, "'status' is not part of the table's key"),
            (r#"{"orderId":7,"line":1}"#, "'orderId' is a number here and S in the table"),
            (r#"{"orderId":{"N":"7"},"line":1}"#, "'orderId' is N here and S in the table"),
            (r#"{"orderId":"","line":1}"#, "'orderId' is empty"),
            (r#"{"orderId":"o","line":"one"}"#, "'one' is not a decimal number"),
            (r#"{"orderId":null,"line":1}"#, "'orderId' is null, which no key can be"),
        ] {
            let error = refused(&format!("{good}\n\n{line}\n"), &orders());
            assert!(error.starts_with("keys.jsonl line 3: ") && error.contains(expected), "{line} gave {error}");
        }
        let error = refused(r#"{"k":"not base64"}"#, &schema(&[("k", AttributeType::B)]));
        assert!(error.starts_with("keys.jsonl line 1: ") && error.contains("base64"), "{error}");
    }

    #[test]
    fn an_empty_list_is_refused() {
        assert_eq!(
            refused("\n \n", &orders()),
            r#"keys.jsonl lists no key: give one JSON object a line, such as {"orderId":"…","line":17}"#
        );
    }
}
