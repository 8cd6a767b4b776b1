//! Typed DynamoDB JSON, `{"name":{"S":"text"}}`: the wire's spelling of items, and that of `cdc_extra`.
//!
//! Reading is one streaming pass that borrows every string which has no escapes. Writing is exact: what is written reads back as
//! the same item.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::json::push_string;
use super::{Item, Value};

/// Reads an item from typed DynamoDB JSON.
///
/// ```
/// use headwater::event::{Value, item_from_json};
/// let item = item_from_json(r#"{"price":{"N":"12.50"}}"#)?;
/// assert_eq!(item.get("price"), Some(&Value::N("12.50".into())));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn item_from_json(text: &str) -> Result<Item<'_>, serde_json::Error> {
    serde_json::from_str(text)
}

/// Appends a value as typed DynamoDB JSON.
pub fn write_typed_json(value: &Value<'_>, out: &mut String) {
    match value {
        Value::S(text) => write_scalar(out, "S", text),
        Value::N(digits) => write_scalar(out, "N", digits),
        Value::B(base64) => write_scalar(out, "B", base64),
        Value::Bool(true) => out.push_str(r#"{"BOOL":true}"#),
        Value::Bool(false) => out.push_str(r#"{"BOOL":false}"#),
        Value::Null => out.push_str(r#"{"NULL":true}"#),
        Value::Ss(members) => write_set(out, "SS", members),
        Value::Ns(members) => write_set(out, "NS", members),
        Value::Bs(members) => write_set(out, "BS", members),
        Value::L(values) => {
            out.push_str(r#"{"L":["#);
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_typed_json(value, out);
            }
            out.push_str("]}");
        }
        Value::M(item) => {
            out.push_str(r#"{"M":"#);
            write_typed_item(item, out);
            out.push('}');
        }
    }
}

/// Appends an item as typed DynamoDB JSON, attributes in their present order.
pub fn write_typed_item(item: &Item<'_>, out: &mut String) {
    out.push('{');
    for (i, (name, value)) in item.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(out, name);
        out.push(':');
        write_typed_json(value, out);
    }
    out.push('}');
}

fn write_scalar(out: &mut String, tag: &str, text: &str) {
    out.push_str("{\"");
    out.push_str(tag);
    out.push_str("\":");
    push_string(out, text);
    out.push('}');
}

fn write_set(out: &mut String, tag: &str, members: &[Cow<'_, str>]) {
    out.push_str("{\"");
    out.push_str(tag);
    out.push_str("\":[");
    for (i, member) in members.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(out, member);
    }
    out.push_str("]}");
}

/// A JSON string, borrowed from the input unless it has escapes. (Serde's own `Cow` is always owned.)
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// The members of a set.
struct Members<'a>(Vec<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of strings")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(Text(member)) = seq.next_element()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_seq(MembersVisitor)
    }
}

/// Characters of the longest tags of a typed value, BOOL and NULL.
const LONGEST_TAG: usize = 4;

/// The one key of a typed value.
#[derive(Clone, Copy)]
enum Tag {
    S,
    N,
    B,
    Bool,
    Null,
    Ss,
    Ns,
    Bs,
    L,
    M,
}

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TagVisitor;

        impl Visitor<'_> for TagVisitor {
            type Value = Tag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an attribute type")
            }

            fn visit_str<E: de::Error>(self, tag: &str) -> Result<Tag, E> {
                Ok(match tag {
                    "S" => Tag::S,
                    "N" => Tag::N,
                    "B" => Tag::B,
                    "BOOL" => Tag::Bool,
                    "NULL" => Tag::Null,
                    "SS" => Tag::Ss,
                    "NS" => Tag::Ns,
                    "BS" => Tag::Bs,
                    "L" => Tag::L,
                    "M" => Tag::M,
                    // Anything longer is no type of a later version of the API, but may be a value that stands in the wrong place.
                    other if other.len() <= LONGEST_TAG => return Err(E::custom(format_args!("unknown attribute type '{other}'"))),
                    _ => return Err(E::custom("what stands in the place of an attribute type is none")),
                })
            }
        }

        deserializer.deserialize_identifier(TagVisitor)
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;

        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = Value<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an attribute value such as {\"S\":\"text\"}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
                let Some(tag) = map.next_key()? else {
                    return Err(de::Error::custom("an attribute value has no type"));
                };
                let value = match tag {
                    Tag::S => Value::S(map.next_value::<Text<'de>>()?.0),
                    Tag::N => Value::N(map.next_value::<Text<'de>>()?.0),
                    Tag::B => Value::B(map.next_value::<Text<'de>>()?.0),
                    Tag::Bool => Value::Bool(map.next_value()?),
                    Tag::Null if map.next_value()? => Value::Null,
                    Tag::Null => return Err(de::Error::custom("an attribute value of type NULL is false")),
                    Tag::Ss => Value::Ss(map.next_value::<Members<'de>>()?.0),
                    Tag::Ns => Value::Ns(map.next_value::<Members<'de>>()?.0),
                    Tag::Bs => Value::Bs(map.next_value::<Members<'de>>()?.0),
                    Tag::L => Value::L(map.next_value()?),
                    Tag::M => Value::M(map.next_value()?),
                };
                match map.next_key::<Tag>()? {
                    None => Ok(value),
                    Some(_) => Err(de::Error::custom("an attribute value has two types")),
                }
            }
        }

        deserializer.deserialize_map(ValueVisitor)
    }
}

impl<'de> Deserialize<'de> for Item<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemVisitor;

        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = Item<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of attribute values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item<'de>, A::Error> {
                let mut attributes = Vec::new();
                while let Some(Text(name)) = map.next_key()? {
                    attributes.push((name, map.next_value()?));
                }
                if any_twice(&attributes) {
                    return Err(de::Error::custom("an attribute is given twice, so that its value is uncertain"));
                }
                Ok(Item(attributes))
            }
        }

        deserializer.deserialize_map(ItemVisitor)
    }
}

/// Whether two attributes have one name. Items of a usual size are compared as they stand: most names differ in their length already.
fn any_twice(attributes: &[(Cow<'_, str>, Value<'_>)]) -> bool {
    const FEW: usize = 16;
    if attributes.len() <= FEW {
        return attributes.iter().enumerate().any(|(at, (name, _))| attributes[..at].iter().any(|(other, _)| other == name));
    }
    let mut names: Vec<&str> = attributes.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY_TYPE: &str = concat!(
        r#"{"s":{"S":"a \"quoted\"\nline"},"n":{"N":"1E+125"},"b":{"B":"AP8="},"t":{"BOOL":true},"f":{"BOOL":false},"nul":{"NULL":true},"#,
        r#""ss":{"SS":["b","a"]},"ns":{"NS":["2","1.0"]},"bs":{"BS":[""]},"l":{"L":[{"S":""},{"L":[]}]},"m":{"M":{"":{"M":{}}}}}"#
    );

    #[test]
    fn every_type_is_read_and_written_as_it_was() {
        let item = item_from_json(EVERY_TYPE).unwrap();
        let mut written = String::new();
        write_typed_item(&item, &mut written);
        assert_eq!(written, EVERY_TYPE);
    }

    #[test]
    fn strings_are_borrowed_unless_they_have_escapes() {
        let item = item_from_json(EVERY_TYPE).unwrap();
        assert!(matches!(item.get("n"), Some(Value::N(Cow::Borrowed("1E+125")))));
        assert!(matches!(item.get("s"), Some(Value::S(Cow::Owned(_)))));
    }

    #[test]
    fn what_is_not_a_typed_value_is_refused_with_the_reason() {
        for (json, reason) in [
            (r#"{"a":{"X":"1"}}"#, "unknown attribute type 'X'"),
            (r#"{"a":{}}"#, "has no type"),
            (r#"{"a":{"S":"1","N":"1"}}"#, "has two types"),
            (r#"{"a":{"NULL":false}}"#, "NULL is false"),
            (r#"{"a":{"N":1}}"#, "expected a string"),
            (r#"{"a":"plain"}"#, "expected an attribute value"),
            (r#"{"a":{"a@b.c":"x"}}"#, "in the place of an attribute type"),
            (r#"{"a":{"S":"1"},"b":{"S":"1"},"a":{"S":"2"}}"#, "is given twice"),
            (r#"{"a":{"M":{"b":{"S":"1"},"b":{"S":"1"}}}}"#, "is given twice"),
        ] {
            let error = item_from_json(json).unwrap_err().to_string();
            assert!(error.contains(reason), "{json}: {error}");
        }
    }
}
