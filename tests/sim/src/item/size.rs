//! What items weigh by DynamoDB's rules ("DynamoDB item sizes and formats").

use super::{AttributeValue, Decimal, Item};

/// What a list or map weighs beside its elements, and each of its elements beside itself.
const DOCUMENT: usize = 3;
const ELEMENT: usize = 1;

/// An item's size in bytes: names and values.
pub fn item(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + of(value)).sum()
}

/// A value's size in bytes.
pub fn of(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(text) => number(text),
        AttributeValue::B(base64) => binary(base64),
        AttributeValue::SS(members) => members.iter().map(String::len).sum(),
        AttributeValue::NS(members) => members.iter().map(|text| number(text)).sum(),
        AttributeValue::BS(members) => members.iter().map(|base64| binary(base64)).sum(),
        AttributeValue::M(map) => DOCUMENT + item(map) + map.len() * ELEMENT,
        AttributeValue::L(list) => DOCUMENT + list.iter().map(|value| of(value) + ELEMENT).sum::<usize>(),
        AttributeValue::BOOL(_) | AttributeValue::NULL(_) => 1,
    }
}

/// A byte for every pair of significant digits, one for the magnitude, one more below zero.
fn number(text: &str) -> usize {
    let number = text.parse().unwrap_or(Decimal::ZERO);
    number.pairs_of_digits() as usize + 1 + usize::from(number.is_negative())
}

/// The bytes behind base64 text of canonical form.
pub(crate) fn binary(base64: &str) -> usize {
    base64.len() / 4 * 3 - base64.bytes().rev().take_while(|byte| *byte == b'=').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_both_weigh() {
        let size = |json| item(&serde_json::from_str(json).unwrap());
        assert_eq!(size(r#"{"pk":{"S":"é"}}"#), 2 + 2);
        assert_eq!(size(r#"{"n":{"N":"1"}}"#), 1 + 2);
        assert_eq!(size(r#"{"n":{"N":"-12345"}}"#), 1 + 3 + 1 + 1);
        assert_eq!(size(r#"{"n":{"N":"1000000"}}"#), 1 + 2);
        assert_eq!(size(r#"{"n":{"N":"1.5"}}"#), 1 + 3);
        assert_eq!(size(r#"{"n":{"N":"0"}}"#), 1 + 1);
        assert_eq!(size(r#"{"b":{"B":"YWI="}}"#), 1 + 2);
        assert_eq!(size(r#"{"b":{"B":""}}"#), 1);
        assert_eq!(size(r#"{"s":{"SS":["a","bc"]},"t":{"BOOL":true}}"#), 1 + 3 + 1 + 1);
        assert_eq!(size(r#"{"l":{"L":[{"S":"a"},{"NULL":true}]}}"#), 1 + 3 + 2 + 2);
        assert_eq!(size(r#"{"m":{"M":{"ab":{"S":"cd"}}}}"#), 1 + 3 + 1 + 4);
    }
}
