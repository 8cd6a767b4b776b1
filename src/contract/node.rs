//! A YAML document as a tree in which every key and every value knows its line and column.
//!
//! Deserialising straight into structs would stop at the first value of the wrong type; a tree lets the checks go on and report
//! everything that is wrong with a document at once.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::error::Position;

/// How deep a document may nest. A contract nests two levels (property, list) for each of the 32 levels of a DynamoDB item, and a few
/// more around them; the bound keeps the recursion over the tree short.
const MAX_DEPTH: usize = 128;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// The value.
    pub(super) value: Value,
    /// Where it starts; of a block mapping, that is its first key.
    pub(super) at: Position,
}

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    /// Any other number. Contracts compare and count with it, so that 64 bits are enough.
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the document.
    Map(Vec<(Key, Node)>),
}

/// A mapping's key and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) at: Position,
}

/// Reads a document. The error is the syntax error's position and text.
pub(super) fn parse(text: &str) -> Result<Node, (Position, String)> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let at = error.location().map_or(Position { line: 1, column: 1 }, |location| position(&location));
        (at, error.without_snippet().to_string())
    })
}

fn position(location: &Location) -> Position {
    Position { line: location.line(), column: location.column() }
}

impl Value {
    /// What the value is, for an error message.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("the boolean {value}"),
            Self::Integer(value) => format!("the number {value}"),
            Self::Float(value) => format!("the number {value}"),
            Self::Text(value) => format!("'{value}'"),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, at: position(&spanned.referenced) })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        #[expect(clippy::cast_precision_loss, reason = "no field of a contract needs an integer above 2^63 exactly")]
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Integer))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = access.next_element()? {
            list.push(node);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let key = Key { at: position(&key.referenced), name: key.value };
            map.push((key, access.next_value()?));
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u64, column: u64) -> Position {
        Position { line, column }
    }

    #[test]
    fn keys_and_values_know_where_they_stand() {
        let node = parse("a: 1\nb:\n  - x\n  - c: 'yes'\n    d: yes\n").unwrap();
        let Value::Map(map) = node.value else { panic!("a mapping") };
        assert_eq!((map[0].0.at, map[0].1.at), (at(1, 1), at(1, 4)));
        let Value::List(list) = &map[1].1.value else { panic!("a list") };
        assert_eq!((list[0].at, &list[0].value), (at(3, 5), &Value::Text("x".to_owned())));
        let Value::Map(inner) = &list[1].value else { panic!("a mapping") };
        assert_eq!((inner[0].0.at, inner[0].1.at), (at(4, 5), at(4, 8)));
        assert_eq!(inner[1].1.value, Value::Text("yes".to_owned()), "YAML 1.2 knows true and false only");
    }

    #[test]
    fn plain_scalars_have_the_types_of_yaml() {
        let node = parse("[v3.1.0, 1.10, '1.10', ~, true, -7, 2026-11-21, 18446744073709551615]").unwrap();
        let Value::List(list) = node.value else { panic!("a list") };
        let values: Vec<_> = list.into_iter().map(|node| node.value).collect();
        assert_eq!(
            values,
            [
                Value::Text("v3.1.0".to_owned()),
                Value::Float(1.1),
                Value::Text("1.10".to_owned()),
                Value::Null,
                Value::Bool(true),
                Value::Integer(-7),
                Value::Text("2026-11-21".to_owned()),
                Value::Float(18_446_744_073_709_551_615.0),
            ]
        );
    }

    #[test]
    fn a_syntax_error_has_a_position() {
        let (position, message) = parse("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert_eq!(position.line, 3, "{message}");
    }

    #[test]
    fn a_key_given_twice_is_an_error_at_the_second_one() {
        let (position, message) = parse("id: a\nname: b\nid: c\n").unwrap_err();
        assert_eq!(position, at(3, 1), "{message}");
    }

    #[test]
    fn a_document_that_nests_without_end_is_refused() {
        assert!(parse(&"[".repeat(10_000)).is_err());
        assert!(parse(&format!("{}{}", "[".repeat(200), "]".repeat(200))).is_err());
    }
}
