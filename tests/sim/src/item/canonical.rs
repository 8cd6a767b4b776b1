//! What DynamoDB accepts as a value, and the one spelling that it is kept in.

use base64_simd::{STANDARD, STANDARD_NO_PAD};

use super::decimal::NumberError;
use super::{AttributeValue, Decimal, Item};

/// How deep documents may be nested, the item itself counted.
const NESTING: usize = 32;

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum ValueError {
    #[error("{0}")]
    Number(NumberError),
    #[error("{}: {text}", NumberError::NotNumeric)]
    NotNumeric { text: String },
    #[error("One or more parameter values were invalid: {0}")]
    EmptySet(&'static str),
    #[error("One or more parameter values were invalid: Input collection [{}] contains duplicates.", .0.join(", "))]
    Duplicates(Vec<String>),
    #[error("One or more parameter values were invalid: Null attribute value types must have the value of true")]
    FalseNull,
    #[error("Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit")]
    TooDeep,
    #[error("Empty attribute name")]
    EmptyName,
    #[error("Invalid attribute value type: {0:?} is not base64")]
    NotBase64(String),
}

/// Brings an item into its one spelling, or says why DynamoDB refuses it.
pub fn check(item: &mut Item) -> Result<(), ValueError> {
    check_map(item, 1)
}

/// Brings a value into its one spelling, or says why DynamoDB refuses it.
pub fn check_value(value: &mut AttributeValue) -> Result<(), ValueError> {
    check_at(value, 1)
}

/// Whether an item's documents are nested within the limit. For items that were put together from checked values.
pub fn is_nested_too_deep(item: &Item) -> bool {
    fn depth(value: &AttributeValue) -> usize {
        match value {
            AttributeValue::M(map) => 1 + map.values().map(depth).max().unwrap_or(0),
            AttributeValue::L(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }
    item.values().any(|value| depth(value) >= NESTING)
}

fn check_map(map: &mut Item, level: usize) -> Result<(), ValueError> {
    for (name, value) in map {
        if name.is_empty() {
            return Err(ValueError::EmptyName);
        }
        check_at(value, level)?;
    }
    Ok(())
}

fn check_at(value: &mut AttributeValue, level: usize) -> Result<(), ValueError> {
    match value {
        AttributeValue::S(_) | AttributeValue::BOOL(_) | AttributeValue::NULL(true) => Ok(()),
        AttributeValue::NULL(false) => Err(ValueError::FalseNull),
        AttributeValue::N(text) => number(text),
        AttributeValue::B(base64) => binary(base64),
        AttributeValue::SS(members) => set(members, "An string set  may not be empty", |_| Ok(()), Ord::cmp),
        AttributeValue::NS(members) => {
            let value = |text: &String| text.parse().unwrap_or(Decimal::ZERO);
            set(members, "An number set  may not be empty", number, |left, right| value(left).cmp(&value(right)))
        }
        AttributeValue::BS(members) => {
            set(members, "Binary sets should not be empty", binary, |left, right| super::bytes(left).cmp(&super::bytes(right)))
        }
        AttributeValue::M(_) | AttributeValue::L(_) if level >= NESTING => Err(ValueError::TooDeep),
        AttributeValue::M(map) => check_map(map, level + 1),
        AttributeValue::L(list) => list.iter_mut().try_for_each(|value| check_at(value, level + 1)),
    }
}

fn set(
    members: &mut [String],
    when_empty: &'static str,
    mut check: impl FnMut(&mut String) -> Result<(), ValueError>,
    order: impl Fn(&String, &String) -> std::cmp::Ordering,
) -> Result<(), ValueError> {
    if members.is_empty() {
        return Err(ValueError::EmptySet(when_empty));
    }
    members.iter_mut().try_for_each(&mut check)?;
    members.sort_by(order);
    if members.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(ValueError::Duplicates(members.to_vec()));
    }
    Ok(())
}

fn number(text: &mut String) -> Result<(), ValueError> {
    // Most numbers are plain integers, which need no rewriting.
    let plain = text.len() <= 38 && text.bytes().all(|byte| byte.is_ascii_digit()) && text.bytes().next().is_some_and(|byte| byte != b'0');
    if plain {
        return Ok(());
    }
    match text.parse::<Decimal>() {
        Ok(number) => *text = number.to_string(),
        Err(NumberError::NotNumeric) => return Err(ValueError::NotNumeric { text: std::mem::take(text) }),
        Err(error) => return Err(ValueError::Number(error)),
    }
    Ok(())
}

/// Clients pad their base64 or do not.
fn binary(base64: &mut String) -> Result<(), ValueError> {
    let digits = base64.trim_end_matches('=');
    let bytes = STANDARD_NO_PAD.decode_to_vec(digits).ok().filter(|_| base64.len() <= digits.len().next_multiple_of(4));
    *base64 = STANDARD.encode_to_string(bytes.ok_or_else(|| ValueError::NotBase64(base64.clone()))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(json: &str) -> Result<String, ValueError> {
        let mut value: AttributeValue = serde_json::from_str(json).unwrap();
        check_value(&mut value)?;
        Ok(serde_json::to_string(&value).unwrap())
    }

    #[test]
    fn equal_values_come_out_alike() {
        assert_eq!(checked(r#"{"NS":["10","2.50","-1e0"]}"#).unwrap(), r#"{"NS":["-1","2.5","10"]}"#);
        assert_eq!(checked(r#"{"SS":["b","a"]}"#).unwrap(), r#"{"SS":["a","b"]}"#);
        assert_eq!(checked(r#"{"BS":["+w","AA=="]}"#).unwrap(), r#"{"BS":["AA==","+w=="]}"#);
        assert_eq!(checked(r#"{"L":[{"M":{"x":{"N":"01"}}}]}"#).unwrap(), r#"{"L":[{"M":{"x":{"N":"1"}}}]}"#);
    }

    #[test]
    fn what_dynamodb_refuses_is_refused() {
        assert_eq!(checked(r#"{"SS":[]}"#), Err(ValueError::EmptySet("An string set  may not be empty")));
        assert_eq!(checked(r#"{"NS":["1","1.0"]}"#), Err(ValueError::Duplicates(vec!["1".into(), "1".into()])));
        assert_eq!(checked(r#"{"BS":["YQ==","YQ"]}"#), Err(ValueError::Duplicates(vec!["YQ==".into(), "YQ==".into()])));
        assert_eq!(checked(r#"{"L":[{"NS":["x"]}]}"#), Err(ValueError::NotNumeric { text: "x".into() }));
        assert_eq!(checked(r#"{"N":"1e126"}"#), Err(ValueError::Number(NumberError::Overflow)));
        assert_eq!(checked(r#"{"NULL":false}"#), Err(ValueError::FalseNull));
        for text in ["!!", "YQ===", "YWFh=", "YQ==YQ==", "YR"] {
            assert_eq!(checked(&format!(r#"{{"B":"{text}"}}"#)), Err(ValueError::NotBase64(text.into())));
        }
        assert_eq!(checked(r#"{"M":{"":{"S":"x"}}}"#), Err(ValueError::EmptyName));
        assert!(checked(r#"{"L":[{"S":""},{"B":""},{"L":[]},{"M":{}}]}"#).is_ok());
    }

    #[test]
    fn documents_are_nested_at_most_31_deep_within_an_item() {
        let nested = |depth: usize| format!("{}{}{}", r#"{"L":["#.repeat(depth), r#"{"S":"x"}"#, "]}".repeat(depth));
        assert!(checked(&nested(31)).is_ok());
        assert_eq!(checked(&nested(32)), Err(ValueError::TooDeep));
        let item = |depth| Item::from([("a".to_owned(), serde_json::from_str(&nested(depth)).unwrap())]);
        assert!(!is_nested_too_deep(&item(31)) && is_nested_too_deep(&item(32)));
    }
}
