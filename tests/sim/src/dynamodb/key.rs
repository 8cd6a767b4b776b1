//! Primary keys: which attributes make them, how they are ordered, and where their partitions lie in the hash range.

use std::ops::Bound;

use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

use crate::call::ApiError;
use crate::item::{AttributeValue, Decimal, Item, bytes};

/// The longest partition key, in bytes.
const LONGEST_PARTITION: usize = 2048;
/// The longest sort key, in bytes.
const LONGEST_SORT: usize = 1024;

/// An element of a KeySchema.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct KeyElement {
    attribute_name: String,
    key_type: KeyRole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum KeyRole {
    Hash,
    Range,
}

/// An element of AttributeDefinitions.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AttributeDefinition {
    attribute_name: String,
    attribute_type: KeyType,
}

/// The types that a key attribute can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum KeyType {
    S,
    N,
    B,
}

/// A table's key attributes.
#[derive(Debug, Clone)]
pub(super) struct KeySchema {
    pub(super) partition: KeyAttribute,
    pub(super) sort: Option<KeyAttribute>,
}

/// A key attribute.
#[derive(Debug, Clone)]
pub(super) struct KeyAttribute {
    pub(super) name: String,
    kind: KeyType,
    longest: usize,
}

/// A key attribute's value. Those of one table are of one type, and ordered as DynamoDB orders them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeyValue {
    S(String),
    N(Decimal),
    B(Vec<u8>),
}

/// A primary key: items are ordered by the hash of their partition key, then by their sort key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ItemKey {
    /// The partition's place in the hash range.
    pub(super) hash: u64,
    partition: KeyValue,
    sort: SortPlace,
}

/// A place within a partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum SortPlace {
    /// Before all sort keys, and where the only item of a partition stands when there are none.
    First,
    At(KeyValue),
    /// Behind all sort keys.
    Last,
}

impl KeySchema {
    /// A table's keys, if the definitions make a whole.
    pub(super) fn new(elements: &[KeyElement], definitions: &[AttributeDefinition]) -> Result<Self, ApiError> {
        let attribute = |element: &KeyElement, longest| {
            let name = &element.attribute_name;
            let definition = definitions.iter().find(|definition| definition.attribute_name == *name).ok_or_else(|| {
                let rule = "Some index key attributes are not defined in AttributeDefinitions";
                let defined: Vec<_> = definitions.iter().map(|definition| &*definition.attribute_name).collect();
                invalid(format_args!("{rule}. Keys: [{name}], AttributeDefinitions: [{}]", defined.join(", ")))
            })?;
            Ok(KeyAttribute { name: name.clone(), kind: definition.attribute_type, longest })
        };
        let (partition, sort) = match elements {
            [partition] if partition.key_type == KeyRole::Hash => (partition, None),
            [partition, sort] if partition.key_type == KeyRole::Hash && sort.key_type == KeyRole::Range => {
                if partition.attribute_name == sort.attribute_name {
                    return Err(ApiError::validation("Both the Hash Key and the Range Key element in the KeySchema have the same name"));
                }
                (partition, Some(sort))
            }
            [] | [_, _, _, ..] => {
                return Err(ApiError::validation(
                    "1 validation error detected: Value at 'keySchema' failed to satisfy constraint: Member must have length between 1 and 2",
                ));
            }
            [first, ..] if first.key_type != KeyRole::Hash => {
                return Err(ApiError::validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type"));
            }
            _ => return Err(ApiError::validation("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")),
        };
        let keys =
            Self { partition: attribute(partition, LONGEST_PARTITION)?, sort: sort.map(|sort| attribute(sort, LONGEST_SORT)).transpose()? };
        if definitions.len() != elements.len() {
            let rule = "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions";
            return Err(invalid(rule));
        }
        Ok(keys)
    }

    /// The key attributes, the partition key first.
    pub(super) fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.partition).chain(&self.sort)
    }

    /// Whether an attribute belongs to the key.
    pub(super) fn contain(&self, name: &str) -> bool {
        self.attributes().any(|attribute| attribute.name == name)
    }

    /// An item's key attributes.
    pub(super) fn of(&self, item: &Item) -> Item {
        self.attributes()
            .filter_map(|attribute| item.get_key_value(&attribute.name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// The key of an item that is to be stored.
    pub(super) fn place_item(&self, item: &Item) -> Result<ItemKey, ApiError> {
        self.place(item, |attribute, value| match value {
            None => invalid(format_args!("Missing the key {} in the item", attribute.name)),
            Some(value) => {
                invalid(format_args!("Type mismatch for key {} expected: {:?} actual: {}", attribute.name, attribute.kind, value.kind()))
            }
        })
    }

    /// A key that a request gives: the key attributes and nothing else.
    pub(super) fn place_key(&self, key: &Item) -> Result<ItemKey, ApiError> {
        if key.len() != self.attributes().count() {
            return Err(ApiError::validation("The number of conditions on the keys is invalid"));
        }
        self.place(key, |_, _| ApiError::validation("The provided key element does not match the schema"))
    }

    fn place(&self, item: &Item, mismatch: impl Fn(&KeyAttribute, Option<&AttributeValue>) -> ApiError) -> Result<ItemKey, ApiError> {
        let value = |attribute: &KeyAttribute| {
            let given = item.get(&attribute.name);
            let value = given.and_then(|value| KeyValue::new(attribute, value)).ok_or_else(|| mismatch(attribute, given))?;
            value.check(attribute)?;
            Ok(value)
        };
        let partition = value(&self.partition)?;
        let sort = self.sort.as_ref().map(value).transpose()?.map_or(SortPlace::First, SortPlace::At);
        Ok(ItemKey { hash: partition.hash(), partition, sort })
    }
}

fn invalid(what: impl std::fmt::Display) -> ApiError {
    ApiError::validation(format!("One or more parameter values were invalid: {what}"))
}

impl KeyValue {
    /// The value, if it has the attribute's type.
    pub(super) fn new(attribute: &KeyAttribute, value: &AttributeValue) -> Option<Self> {
        match (attribute.kind, value) {
            (KeyType::S, AttributeValue::S(text)) => Some(Self::S(text.clone())),
            (KeyType::N, AttributeValue::N(text)) => text.parse().ok().map(Self::N),
            (KeyType::B, AttributeValue::B(base64)) => Some(Self::B(bytes(base64).into_owned())),
            _ => None,
        }
    }

    /// Whether a value begins with another; numbers do not.
    pub(super) fn starts_with(&self, prefix: &Self) -> bool {
        match (self, prefix) {
            (Self::S(text), Self::S(prefix)) => text.starts_with(prefix),
            (Self::B(binary), Self::B(prefix)) => binary.starts_with(prefix),
            _ => false,
        }
    }

    /// Refuses a value that no item's key can have: an empty one, or one that is too long.
    pub(super) fn check(&self, attribute: &KeyAttribute) -> Result<(), ApiError> {
        let (length, kind) = match self {
            Self::S(text) => (text.len(), "string"),
            Self::B(binary) => (binary.len(), "binary"),
            Self::N(_) => return Ok(()),
        };
        if length == 0 {
            let name = &attribute.name;
            let rule = "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty";
            return Err(ApiError::validation(format!("{rule} {kind} value. Key: {name}")));
        }
        if length > attribute.longest {
            return Err(invalid(if attribute.longest == LONGEST_PARTITION {
                format!("Size of hashkey has exceeded the maximum size limit of{LONGEST_PARTITION} bytes")
            } else {
                format!("Aggregated size of all range keys has exceeded the size limit of {LONGEST_SORT} bytes")
            }));
        }
        Ok(())
    }

    /// The place in the hash range: the beginning of the MD5 of type and value.
    fn hash(&self) -> u64 {
        let digest = Md5::new();
        let digest = match self {
            Self::S(text) => digest.chain_update("S").chain_update(text),
            Self::N(number) => digest.chain_update("N").chain_update(number.to_string()),
            Self::B(binary) => digest.chain_update("B").chain_update(binary),
        };
        digest.finalize().iter().take(size_of::<u64>()).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
    }
}

impl ItemKey {
    /// The place before the first item whose hash is at least this.
    pub(super) fn before_hash(hash: u64) -> Self {
        // Nothing stands before an empty text: it is the first value of the first type.
        Self { hash, partition: KeyValue::S(String::new()), sort: SortPlace::First }
    }

    /// The bounds of the sort keys between two within a partition.
    pub(super) fn range(partition: &KeyValue, low: Bound<KeyValue>, high: Bound<KeyValue>) -> (Bound<Self>, Bound<Self>) {
        let hash = partition.hash();
        let at = |sort| Self { hash, partition: partition.clone(), sort };
        let place = |bound: Bound<KeyValue>, open| match bound {
            Bound::Unbounded => Bound::Included(at(open)),
            bound => bound.map(|value| at(SortPlace::At(value))),
        };
        (place(low, SortPlace::First), place(high, SortPlace::Last))
    }

    /// The sort key, where there is one.
    pub(super) fn sort(&self) -> Option<&KeyValue> {
        match &self.sort {
            SortPlace::At(value) => Some(value),
            SortPlace::First | SortPlace::Last => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(partition: &str, sort: Option<&str>) -> KeySchema {
        let mut elements: Vec<KeyElement> = serde_json::from_str(r#"[{"AttributeName":"p","KeyType":"HASH"}]"#).unwrap();
        let definition =
            |name: &str, kind: &str| serde_json::from_str(&format!(r#"{{"AttributeName":"{name}","AttributeType":"{kind}"}}"#)).unwrap();
        let mut definitions: Vec<AttributeDefinition> = vec![definition("p", partition)];
        if let Some(sort) = sort {
            elements.push(serde_json::from_str(r#"{"AttributeName":"s","KeyType":"RANGE"}"#).unwrap());
            definitions.push(definition("s", sort));
        }
        KeySchema::new(&elements, &definitions).unwrap()
    }

    fn item(json: &str) -> Item {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_hash_is_that_of_type_and_value() {
        let hash = |kind, json| schema(kind, None).place_key(&item(json)).unwrap().hash;
        // The beginning of MD5("Sa") and of MD5("N1").
        assert_eq!(hash("S", r#"{"p":{"S":"a"}}"#), 0xe55b_b1ae_59b6_a648);
        assert_eq!(hash("N", r#"{"p":{"N":"1"}}"#), 0x86bc_43e5_56b1_df28);
        assert_eq!(hash("N", r#"{"p":{"N":"1.0"}}"#), 0x86bc_43e5_56b1_df28);
    }

    #[test]
    fn sort_keys_are_ordered_by_value() {
        let keys = schema("S", Some("N"));
        let key = |sort: &str| keys.place_item(&item(&format!(r#"{{"p":{{"S":"a"}},"s":{{"N":"{sort}"}}}}"#))).unwrap();
        assert!(key("-1") < key("9") && key("9") < key("10") && key("10") < key("10.5"));
        assert!(ItemKey::before_hash(key("1").hash) < key("-9e125"));
        let (low, high) = ItemKey::range(&KeyValue::S("a".into()), Bound::Unbounded, Bound::Excluded(KeyValue::N(Decimal::from(10))));
        assert!(matches!(&low, Bound::Included(low) if *low < key("-9e125")));
        assert_eq!(high, Bound::Excluded(key("10")));
    }

    #[test]
    fn keys_are_whole_and_within_their_limits() {
        let keys = schema("S", Some("B"));
        let error = |json: &str| keys.place_item(&item(json)).unwrap_err().message;
        assert_eq!(error(r#"{"p":{"S":"a"}}"#), "One or more parameter values were invalid: Missing the key s in the item");
        assert_eq!(
            error(r#"{"p":{"N":"1"},"s":{"B":"YQ=="}}"#),
            "One or more parameter values were invalid: Type mismatch for key p expected: S actual: N"
        );
        let empty = "The AttributeValue for a key attribute cannot contain an empty";
        assert!(error(r#"{"p":{"S":""},"s":{"B":"YQ=="}}"#).contains(empty));
        assert!(error(r#"{"p":{"S":"a"},"s":{"B":""}}"#).contains("an empty binary value. Key: s"));
        let (fits, over) = ("x".repeat(2048), "x".repeat(2049));
        assert!(keys.place_item(&item(&format!(r#"{{"p":{{"S":"{fits}"}},"s":{{"B":"YQ=="}}}}"#))).is_ok());
        assert!(error(&format!(r#"{{"p":{{"S":"{over}"}},"s":{{"B":"YQ=="}}}}"#)).contains("Size of hashkey"));
        // 1,026 bytes.
        assert!(error(&format!(r#"{{"p":{{"S":"a"}},"s":{{"B":"{}"}}}}"#, "AAAA".repeat(342))).contains("1024 bytes"));
        let error = |json: &str| keys.place_key(&item(json)).unwrap_err().message;
        assert_eq!(error(r#"{"p":{"S":"a"}}"#), "The number of conditions on the keys is invalid");
        assert_eq!(error(r#"{"p":{"S":"a"},"x":{"B":"YQ=="}}"#), "The provided key element does not match the schema");
    }

    #[test]
    fn a_schema_has_a_partition_key_and_perhaps_a_sort_key() {
        let error = |elements: &str, definitions: &str| {
            let elements: Vec<KeyElement> = serde_json::from_str(elements).unwrap();
            let definitions: Vec<AttributeDefinition> = serde_json::from_str(definitions).unwrap();
            KeySchema::new(&elements, &definitions).unwrap_err().message
        };
        let one = r#"[{"AttributeName":"p","AttributeType":"S"}]"#;
        let two = r#"[{"AttributeName":"p","AttributeType":"S"},{"AttributeName":"s","AttributeType":"S"}]"#;
        assert!(error(r#"[{"AttributeName":"s","KeyType":"HASH"}]"#, one).contains("Keys: [s], AttributeDefinitions: [p]"));
        assert!(error(r#"[{"AttributeName":"p","KeyType":"RANGE"}]"#, one).contains("is not a HASH key type"));
        assert!(error(r#"[{"AttributeName":"p","KeyType":"HASH"}]"#, two).contains("does not exactly match"));
        let twice = r#"[{"AttributeName":"p","KeyType":"HASH"},{"AttributeName":"p","KeyType":"RANGE"}]"#;
        assert!(error(twice, two).contains("same name"));
        let hashes = r#"[{"AttributeName":"p","KeyType":"HASH"},{"AttributeName":"s","KeyType":"HASH"}]"#;
        assert!(error(hashes, two).contains("is not a RANGE key type"));
        assert!(error("[]", two).contains("length between 1 and 2"));
    }
}
