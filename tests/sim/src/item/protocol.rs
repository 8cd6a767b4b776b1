//! A value's JSON: an object with one member, named after the type.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::AttributeValue;

/// What DynamoDB says to a value that names no type.
pub(crate) const EMPTY_VALUE: &str = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes";
/// What DynamoDB says to a value that names several types.
pub(crate) const MANIFOLD_VALUE: &str =
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes";

impl<'de> Deserialize<'de> for AttributeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OneMember)
    }
}

struct OneMember;

impl<'de> Visitor<'de> for OneMember {
    type Value = AttributeValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AttributeValue, A::Error> {
        let mut value = None;
        while let Some(kind) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            // A member that is null counts as absent, and so does one that the service does not know.
            let member = match &*kind {
                "S" => map.next_value::<Option<_>>()?.map(AttributeValue::S),
                "N" => map.next_value::<Option<_>>()?.map(AttributeValue::N),
                "B" => map.next_value::<Option<_>>()?.map(AttributeValue::B),
                "SS" => map.next_value::<Option<_>>()?.map(AttributeValue::SS),
                "NS" => map.next_value::<Option<_>>()?.map(AttributeValue::NS),
                "BS" => map.next_value::<Option<_>>()?.map(AttributeValue::BS),
                "M" => map.next_value::<Option<_>>()?.map(AttributeValue::M),
                "L" => map.next_value::<Option<_>>()?.map(AttributeValue::L),
                "BOOL" => map.next_value::<Option<_>>()?.map(AttributeValue::BOOL),
                "NULL" => map.next_value::<Option<_>>()?.map(AttributeValue::NULL),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    None
                }
            };
            if member.is_some() && value.is_some() {
                return Err(A::Error::custom(MANIFOLD_VALUE));
            }
            value = member.or(value);
        }
        value.ok_or_else(|| A::Error::custom(EMPTY_VALUE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::Item;

    #[test]
    fn every_type_survives_the_way_through_json() {
        let json = r#"{"b":{"B":"YQ=="},"bool":{"BOOL":false},"bs":{"BS":["YQ=="]},"l":{"L":[{"S":""},{"L":[]}]},"m":{"M":{"x":{"N":"1"}}},"n":{"N":"1"},"ns":{"NS":["1"]},"null":{"NULL":true},"s":{"S":"é"},"ss":{"SS":["a"]}}"#;
        let item: Item = serde_json::from_str(json).unwrap();
        assert_eq!(item.len(), 10);
        assert_eq!(serde_json::to_string(&item).unwrap(), json);
    }

    #[test]
    fn a_value_has_exactly_one_known_type() {
        let error = |json| serde_json::from_str::<AttributeValue>(json).unwrap_err().to_string();
        assert!(error("{}").starts_with(EMPTY_VALUE));
        assert!(error(r#"{"X":"1"}"#).starts_with(EMPTY_VALUE));
        assert!(error(r#"{"S":null}"#).starts_with(EMPTY_VALUE));
        assert!(error(r#"{"S":"a","N":"1"}"#).starts_with(MANIFOLD_VALUE));
        assert!(error(r#"{"S":1}"#).contains("expected a string"));
        assert_eq!(serde_json::from_str::<AttributeValue>(r#"{"N":null,"S":"a"}"#).unwrap(), AttributeValue::S("a".into()));
    }
}
