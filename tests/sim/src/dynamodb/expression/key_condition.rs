//! KeyConditionExpressions: one partition, and at most one condition on the sort key.

use std::ops::Bound;

use super::condition::{Comparison, Condition, Operand};
use crate::call::ApiError;
use crate::dynamodb::key::{KeyAttribute, KeySchema, KeyValue};
use crate::item::AttributeValue;

/// What a query asks of the keys.
#[derive(Debug)]
pub(in crate::dynamodb) struct KeyCondition {
    /// The partition.
    pub(in crate::dynamodb) partition: KeyValue,
    /// The part of it.
    pub(in crate::dynamodb) sort: SortRange,
}

/// A part of a partition.
#[derive(Debug)]
pub(in crate::dynamodb) enum SortRange {
    /// The items between two sort keys.
    Between(Bound<KeyValue>, Bound<KeyValue>),
    /// The items whose sort key begins like this.
    Prefix(KeyValue),
}

impl KeyCondition {
    /// Takes a condition apart that a table's query can be answered by.
    pub(in crate::dynamodb) fn new(condition: Condition, keys: &KeySchema) -> Result<Self, ApiError> {
        let mut conditions = Vec::new();
        flatten(condition, &mut conditions);
        let (mut partition, mut sort) = (None, None);
        for condition in conditions {
            let (name, asked) = Asked::new(condition)?;
            if name == keys.partition.name {
                let Asked::Compare(Comparison::Equal, value) = asked else { return Err(error("Query key condition not supported")) };
                set_once(&mut partition, key_value(&keys.partition, &value)?)?;
            } else if let Some(key) = keys.sort.as_ref().filter(|key| key.name == name) {
                set_once(&mut sort, asked.range(key)?)?;
            } else {
                return Err(error("Query condition missed key schema element"));
            }
        }
        let partition =
            partition.ok_or_else(|| ApiError::validation(format!("Query condition missed key schema element: {}", keys.partition.name)))?;
        Ok(Self { partition, sort: sort.unwrap_or(SortRange::Between(Bound::Unbounded, Bound::Unbounded)) })
    }
}

fn error(message: &str) -> ApiError {
    ApiError::validation(message)
}

fn not_supported(operator: &str) -> ApiError {
    ApiError::validation(format!("Invalid operator used in KeyConditionExpression: {operator}"))
}

fn set_once<T>(place: &mut Option<T>, value: T) -> Result<(), ApiError> {
    match place.replace(value) {
        Some(_) => Err(error("KeyConditionExpressions must only contain one condition per key")),
        None => Ok(()),
    }
}

fn flatten(condition: Condition, into: &mut Vec<Condition>) {
    match condition {
        Condition::And(left, right) => {
            flatten(*left, into);
            flatten(*right, into);
        }
        other => into.push(other),
    }
}

fn key_value(key: &KeyAttribute, value: &AttributeValue) -> Result<KeyValue, ApiError> {
    let mismatch = "One or more parameter values were invalid: Condition parameter type does not match schema type";
    let value = KeyValue::new(key, value).ok_or_else(|| error(mismatch))?;
    value.check(key)?;
    Ok(value)
}

/// What is asked of one key attribute.
enum Asked {
    Compare(Comparison, AttributeValue),
    Between(AttributeValue, AttributeValue),
    BeginsWith(AttributeValue),
}

impl Asked {
    fn new(condition: Condition) -> Result<(String, Self), ApiError> {
        let (operand, asked) = match condition {
            Condition::Compare(_, Comparison::Unequal, _) => return Err(not_supported("<>")),
            Condition::Compare(Operand::Value(value), comparison, path @ Operand::Path(_)) => {
                (path, Self::Compare(comparison.mirrored(), value))
            }
            Condition::Compare(operand, comparison, value) => (operand, Self::Compare(comparison, literal(value)?)),
            Condition::Between(operand, low, high) => (operand, Self::Between(literal(low)?, literal(high)?)),
            Condition::BeginsWith(operand, prefix) => (operand, Self::BeginsWith(literal(prefix)?)),
            Condition::In(..) => return Err(not_supported("IN")),
            Condition::Exists(_) => return Err(not_supported("attribute_exists")),
            Condition::IsType(..) => return Err(not_supported("attribute_type")),
            Condition::Contains(..) => return Err(not_supported("contains")),
            Condition::Or(..) => return Err(not_supported("OR")),
            Condition::Not(_) => return Err(not_supported("NOT")),
            Condition::And(..) => return Err(not_supported("AND")),
        };
        match operand {
            Operand::Path(path) if path.is_attribute() => Ok((path.attribute().to_owned(), asked)),
            Operand::Path(path) => {
                let rule = "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed";
                Err(ApiError::validation(format!("{rule}: Key: {}", path.attribute())))
            }
            Operand::Size(_) => Err(nested()),
            Operand::Value(_) => Err(error("Invalid condition in KeyConditionExpression: No key attribute specified")),
        }
    }

    fn range(self, key: &KeyAttribute) -> Result<SortRange, ApiError> {
        use Bound::{Excluded, Included, Unbounded};
        let between = |low, high| Ok(SortRange::Between(low, high));
        match self {
            Self::Compare(comparison, value) => {
                let value = key_value(key, &value)?;
                match comparison {
                    Comparison::Equal => between(Included(value.clone()), Included(value)),
                    Comparison::Less => between(Unbounded, Excluded(value)),
                    Comparison::LessOrEqual => between(Unbounded, Included(value)),
                    Comparison::Greater => between(Excluded(value), Unbounded),
                    Comparison::GreaterOrEqual => between(Included(value), Unbounded),
                    Comparison::Unequal => Err(not_supported("<>")),
                }
            }
            Self::Between(low, high) => between(Included(key_value(key, &low)?), Included(key_value(key, &high)?)),
            Self::BeginsWith(prefix) => Ok(SortRange::Prefix(key_value(key, &prefix)?)),
        }
    }
}

fn literal(operand: Operand) -> Result<AttributeValue, ApiError> {
    match operand {
        Operand::Value(value) => Ok(value),
        Operand::Size(_) => Err(nested()),
        Operand::Path(_) => Err(error("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")),
    }
}

fn nested() -> ApiError {
    error("KeyConditionExpressions cannot contain nested operations")
}

#[cfg(test)]
mod tests {
    use super::super::Placeholders;
    use super::*;

    fn condition(text: &str) -> Result<KeyCondition, String> {
        condition_on("N", text)
    }

    /// A condition on the keys of a table whose sort key is of this type.
    fn condition_on(sort: &str, text: &str) -> Result<KeyCondition, String> {
        let keys = r#"[{"AttributeName":"p","KeyType":"HASH"},{"AttributeName":"s","KeyType":"RANGE"}]"#;
        let attributes = format!(r#"[{{"AttributeName":"p","AttributeType":"S"}},{{"AttributeName":"s","AttributeType":"{sort}"}}]"#);
        let keys: Vec<_> = serde_json::from_str(keys).unwrap();
        let attributes: Vec<_> = serde_json::from_str(&attributes).unwrap();
        let keys = KeySchema::new(&keys, &attributes).unwrap();
        let values = r#"{":p":{"S":"a"},":n":{"N":"10"},":m":{"N":"30"},":e":{"S":""},":b":{"B":""}}"#;
        let mut placeholders = Placeholders::new(None, Some(serde_json::from_str(values).unwrap()), true).unwrap();
        placeholders.key_condition(text).and_then(|condition| KeyCondition::new(condition, &keys)).map_err(|error| error.message)
    }

    #[test]
    fn a_query_names_one_partition_and_a_part_of_it() {
        for (text, range) in [
            ("p = :p", "Unbounded, Unbounded"),
            (":p = p AND s = :n", "Included 10, Included 10"),
            ("s > :n AND p = :p", "Excluded 10, Unbounded"),
            ("(p = :p) AND (:n > s)", "Unbounded, Excluded 10"),
            ("(p = :p AND s <= :n)", "Unbounded, Included 10"),
            ("p = :p AND s BETWEEN :n AND :m", "Included 10, Included 30"),
        ] {
            let condition = condition(text).unwrap();
            assert_eq!(condition.partition, KeyValue::S("a".into()), "{text}");
            let SortRange::Between(low, high) = condition.sort else { panic!("{text}") };
            let shown = |bound: Bound<KeyValue>| match bound {
                Bound::Included(KeyValue::N(number)) => format!("Included {number}"),
                Bound::Excluded(KeyValue::N(number)) => format!("Excluded {number}"),
                other => format!("{other:?}"),
            };
            assert_eq!(format!("{}, {}", shown(low), shown(high)), range, "{text}");
        }
    }

    #[test]
    fn no_key_is_compared_with_an_empty_value() {
        let rule = "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty";
        assert_eq!(condition("p = :e").unwrap_err(), format!("{rule} string value. Key: p"));
        for (kind, name, empty) in [("S", "string", ":e"), ("B", "binary", ":b")] {
            for text in ["s = :e", ":e > s", "begins_with(s, :e)", "s BETWEEN :e AND :e"] {
                let text = format!("p = :p AND {}", text.replace(":e", empty));
                assert_eq!(condition_on(kind, &text).unwrap_err(), format!("{rule} {name} value. Key: s"), "{text}");
            }
        }
    }

    #[test]
    fn other_conditions_on_keys_are_refused() {
        let missed = "Query condition missed key schema element";
        for (text, message) in [
            ("p > :p", "Query key condition not supported"),
            ("p = :p AND p = :p", "KeyConditionExpressions must only contain one condition per key"),
            ("p = :p AND s > :n AND s < :m", "KeyConditionExpressions must only contain one condition per key"),
            ("p = :p AND v = :n", missed),
            ("s = :n", "Query condition missed key schema element: p"),
            ("p = :n", "One or more parameter values were invalid: Condition parameter type does not match schema type"),
            ("p = :p OR s = :n", "Invalid operator used in KeyConditionExpression: OR"),
            ("p = :p AND s <> :n", "Invalid operator used in KeyConditionExpression: <>"),
            ("p = :p AND s IN (:n)", "Invalid operator used in KeyConditionExpression: IN"),
            ("p = :p AND NOT s = :n", "Invalid operator used in KeyConditionExpression: NOT"),
            ("p = :p AND attribute_exists(s)", "Invalid operator used in KeyConditionExpression: attribute_exists"),
            ("p = :p AND contains(s, :n)", "Invalid operator used in KeyConditionExpression: contains"),
            ("p = :p AND size(s) = :n", "KeyConditionExpressions cannot contain nested operations"),
            ("p.x = :p", "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: p"),
        ] {
            assert_eq!(condition(text).unwrap_err(), message, "{text}");
        }
    }
}
