//! Plain JSON text of lists, sets and maps: the cells of JSON columns.
//!
//! A string is a JSON string, a number a number token with its canonical digits, NULL is `null`, a list an array, a map an object in
//! the order of the wire. A set is a sorted array, and the column's attribute type tells which set it is. Binaries and sets inside
//! lists and maps would be ambiguous, so such values have no plain text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json::push_string;
use super::number::Number;
use super::typed_json::Text;
use super::{AttributeType, Item, Value};

/// The plain text of a list, set or map; `None` if the value cannot be rebuilt from it exactly.
pub(super) fn plain_json(value: &Value<'_>) -> Option<String> {
    let mut out = String::with_capacity(64);
    match value {
        Value::L(_) | Value::M(_) => write_nested(value, &mut out)?,
        Value::Ss(members) | Value::Bs(members) => {
            let mut sorted: Vec<&str> = members.iter().map(AsRef::as_ref).collect();
            sorted.sort_unstable();
            write_array(&mut out, &sorted, |out, member| {
                push_string(out, member);
                Some(())
            })?;
        }
        Value::Ns(members) => {
            let mut sorted = members.iter().map(|member| Number::parse(member).ok()).collect::<Option<Vec<_>>>()?;
            sorted.sort_unstable();
            write_array(&mut out, &sorted, |out, member| {
                out.push_str(member.text().as_str());
                Some(())
            })?;
        }
        Value::S(_) | Value::N(_) | Value::B(_) | Value::Bool(_) | Value::Null => return None,
    }
    Some(out)
}

fn write_nested(value: &Value<'_>, out: &mut String) -> Option<()> {
    match value {
        Value::S(text) => push_string(out, text),
        Value::N(digits) => out.push_str(Number::parse(digits).ok()?.text().as_str()),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Null => out.push_str("null"),
        Value::L(values) => write_array(out, values, |out, value| write_nested(value, out))?,
        Value::M(item) => {
            out.push('{');
            for (i, (name, value)) in item.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                push_string(out, name);
                out.push(':');
                write_nested(value, out)?;
            }
            out.push('}');
        }
        Value::B(_) | Value::Ss(_) | Value::Ns(_) | Value::Bs(_) => return None,
    }
    Some(())
}

fn write_array<T>(out: &mut String, members: &[T], mut write: impl FnMut(&mut String, &T) -> Option<()>) -> Option<()> {
    out.push('[');
    for (i, member) in members.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write(out, member)?;
    }
    out.push(']');
    Some(())
}

/// The value of that type whose plain text this is.
pub(super) fn value_of(text: &str, source: AttributeType) -> Result<Value<'_>, serde_json::Error> {
    let strings = |text| -> Result<Vec<Cow<'_, str>>, serde_json::Error> {
        Ok(serde_json::from_str::<Vec<Text<'_>>>(text)?.into_iter().map(|Text(member)| member).collect())
    };
    match source {
        AttributeType::Ss => strings(text).map(Value::Ss),
        AttributeType::Bs => strings(text).map(Value::Bs),
        AttributeType::Ns => {
            Ok(Value::Ns(serde_json::from_str::<Vec<&RawValue>>(text)?.into_iter().map(|member| member.get().into()).collect()))
        }
        _ if depth(text) > DEEPEST => Err(serde_json::Error::custom("it nests deeper than any item does")),
        AttributeType::S
        | AttributeType::N
        | AttributeType::B
        | AttributeType::Bool
        | AttributeType::Null
        | AttributeType::L
        | AttributeType::M => nested_value(text),
    }
}

/// How deep plain text may nest. DynamoDB nests 32 levels; serde_json's own limit does not reach what is taken as its text.
const DEEPEST: usize = 128;

/// How deep a text nests, seen without recursion.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Numbers are taken as their text: serde_json would round them to what `f64` holds.
fn nested_value(text: &str) -> Result<Value<'_>, serde_json::Error> {
    let text = text.trim_ascii();
    Ok(match text.as_bytes().first() {
        Some(b'"') => Value::S(serde_json::from_str::<Text<'_>>(text)?.0),
        Some(b't' | b'f') => Value::Bool(serde_json::from_str(text)?),
        Some(b'n') => {
            serde_json::from_str::<()>(text)?;
            Value::Null
        }
        Some(b'[') => {
            let values = serde_json::from_str::<Vec<&RawValue>>(text)?;
            Value::L(values.into_iter().map(|value| nested_value(value.get())).collect::<Result<_, _>>()?)
        }
        Some(b'{') => {
            let mut reader = serde_json::Deserializer::from_str(text);
            let members = reader.deserialize_map(Members)?;
            reader.end()?;
            let values = members.into_iter().map(|(name, value)| Ok((name, nested_value(value.get())?)));
            Value::M(Item(values.collect::<Result<_, serde_json::Error>>()?))
        }
        _ => Value::N(serde_json::from_str::<&RawValue>(text)?.get().into()),
    })
}

/// The members of an object in their order, values as text.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((Text(name), value)) = map.next_entry()? {
            members.push((name, value));
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::item_from_json;

    fn value(typed: &str) -> String {
        format!(r#"{{"v":{typed}}}"#)
    }

    #[test]
    fn plain_text_is_what_a_reader_of_json_expects() {
        for (typed, plain) in [
            (r#"{"L":[{"S":"a\"b"},{"N":"01.50"},{"BOOL":false},{"NULL":true},{"L":[]},{"M":{}}]}"#, r#"["a\"b",1.5,false,null,[],{}]"#),
            (r#"{"M":{"z":{"N":"1E+125"},"a":{"S":""}}}"#, r#"{"z":1E+125,"a":""}"#),
            (r#"{"SS":["b","","B"]}"#, r#"["","B","b"]"#),
            (r#"{"NS":["10","9","-1","1e2"]}"#, "[-1,9,10,100]"),
            (r#"{"BS":["Yg==","YQ=="]}"#, r#"["YQ==","Yg=="]"#),
            (r#"{"L":[]}"#, "[]"),
        ] {
            let item = value(typed);
            let item = item_from_json(&item).unwrap();
            let original = item.get("v").unwrap();
            let text = plain_json(original).unwrap();
            assert_eq!(text, plain);
            let rebuilt = value_of(&text, original.attribute_type()).unwrap();
            assert_eq!(plain_json(&rebuilt).as_ref(), Some(&text), "{rebuilt:?}");
            assert_eq!(rebuilt.attribute_type(), original.attribute_type());
        }
    }

    #[test]
    fn what_plain_json_cannot_tell_apart_has_no_plain_text() {
        for typed in [
            r#"{"L":[{"B":"YQ=="}]}"#,
            r#"{"L":[{"SS":["a"]}]}"#,
            r#"{"M":{"n":{"NS":["1"]}}}"#,
            r#"{"M":{"n":{"L":[{"BS":["YQ=="]}]}}}"#,
            r#"{"L":[{"N":"many"}]}"#,
            r#"{"S":"a"}"#,
        ] {
            let item = value(typed);
            assert_eq!(plain_json(item_from_json(&item).unwrap().get("v").unwrap()), None, "{typed}");
        }
    }

    #[test]
    fn text_that_nests_without_end_is_an_error() {
        for (open, close, source) in [("[", "]", AttributeType::L), ("{\"a\":", "}", AttributeType::M)] {
            let nested = |levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
            assert!(value_of(&nested(DEEPEST), source).is_ok());
            assert!(value_of(&nested(DEEPEST + 1), source).is_err());
            assert!(value_of(&nested(200_000), source).is_err());
        }
        for text in [r#"["[[[[\"[[[","\\"]"#, r#"{"[":"{{"}"#] {
            assert_eq!(depth(text), 1, "brackets in strings are text: {text}");
        }
    }

    #[test]
    fn broken_text_is_an_error() {
        for (text, source) in [("[1", AttributeType::L), ("{\"a\"}", AttributeType::M), ("", AttributeType::L), ("[1]", AttributeType::Ss)]
        {
            assert!(value_of(text, source).is_err(), "{text}");
        }
    }
}
