//! One text for all spellings of an item.

use std::borrow::Cow;

use crate::event::json::push_string;
use crate::event::number::{Number, canonical};
use crate::event::typed_json::write_typed_json;
use crate::event::{Item, Value};

/// Typed DynamoDB JSON with attributes sorted by name, numbers in canonical digits and sets sorted: two items are equal, as DynamoDB
/// means it, exactly if their canonical texts are.
pub fn canonical_item(item: &Item<'_>) -> String {
    let mut out = String::with_capacity(256);
    write_item(item, &mut out);
    out
}

fn write_item(item: &Item<'_>, out: &mut String) {
    let mut attributes: Vec<_> = item.iter().collect();
    attributes.sort_unstable_by_key(|(name, _)| *name);
    out.push('{');
    for (i, (name, value)) in attributes.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(out, name);
        out.push(':');
        write_value(value, out);
    }
    out.push('}');
}

fn write_value(value: &Value<'_>, out: &mut String) {
    match value {
        Value::N(digits) => write_typed_json(&Value::N(canonical_or_same(digits)), out),
        Value::Ns(members) => write_typed_json(&Value::Ns(sorted_numbers(members)), out),
        Value::Ss(members) => write_typed_json(&Value::Ss(sorted_texts(members)), out),
        Value::Bs(members) => write_typed_json(&Value::Bs(sorted_texts(members)), out),
        Value::L(values) => {
            out.push_str(r#"{"L":["#);
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(value, out);
            }
            out.push_str("]}");
        }
        Value::M(item) => {
            out.push_str(r#"{"M":"#);
            write_item(item, out);
            out.push('}');
        }
        Value::S(_) | Value::B(_) | Value::Bool(_) | Value::Null => write_typed_json(value, out),
    }
}

/// A text that is no number stands for itself.
fn canonical_or_same(digits: &str) -> Cow<'_, str> {
    canonical(digits).unwrap_or(Cow::Borrowed(digits))
}

fn sorted_texts<'i>(members: &'i [Cow<'_, str>]) -> Vec<Cow<'i, str>> {
    let mut sorted: Vec<_> = members.iter().map(|member| Cow::Borrowed(member.as_ref())).collect();
    sorted.sort_unstable();
    sorted
}

fn sorted_numbers<'i>(members: &'i [Cow<'_, str>]) -> Vec<Cow<'i, str>> {
    let mut sorted: Vec<_> = members.iter().map(|member| canonical_or_same(member)).collect();
    sorted.sort_by_cached_key(|member| Number::parse(member).map_err(|_| member.to_string()));
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::item_from_json;

    fn canonical_text(typed: &str) -> String {
        canonical_item(&item_from_json(typed).unwrap())
    }

    #[test]
    fn spellings_of_one_item_have_one_text() {
        let spellings = [
            r#"{"b":{"N":"1.50"},"a":{"NS":["10","9.0"]},"m":{"M":{"y":{"SS":["b","a"]},"x":{"L":[{"N":"-0"}]}}},"z":{"BS":["Yg==","YQ=="]}}"#,
            r#"{"z":{"BS":["YQ==","Yg=="]},"m":{"M":{"x":{"L":[{"N":"0"}]},"y":{"SS":["a","b"]}}},"a":{"NS":["9","1E1"]},"b":{"N":"15E-1"}}"#,
        ];
        let expected =
            r#"{"a":{"NS":["9","10"]},"b":{"N":"1.5"},"m":{"M":{"x":{"L":[{"N":"0"}]},"y":{"SS":["a","b"]}}},"z":{"BS":["YQ==","Yg=="]}}"#;
        for spelling in spellings {
            assert_eq!(canonical_text(spelling), expected);
        }
    }

    #[test]
    fn different_items_have_different_texts() {
        let items = [
            r#"{"a":{"L":[{"S":"x"}]}}"#,
            r#"{"a":{"SS":["x"]}}"#,
            r#"{"a":{"S":"x"}}"#,
            r#"{"a":{"B":"x"}}"#,
            r#"{"a":{"NULL":true}}"#,
            "{}",
            r#"{"a":{"M":{}}}"#,
            r#"{"a":{"L":[]}}"#,
            r#"{"a":{"N":"1"}}"#,
            r#"{"a":{"S":"1"}}"#,
            r#"{"a":{"N":"1E-130"}}"#,
            r#"{"a":{"L":[{"N":"1"},{"N":"2"}]}}"#,
            r#"{"a":{"L":[{"N":"2"},{"N":"1"}]}}"#,
        ];
        for (i, a) in items.iter().enumerate() {
            for b in &items[i + 1..] {
                assert_ne!(canonical_text(a), canonical_text(b));
            }
        }
    }
}
