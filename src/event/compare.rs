//! Equality of values as DynamoDB means it: numbers by value, sets and maps without order.

use std::borrow::Cow;
use std::collections::HashMap;

use super::number::Number;
use super::{Item, Value};

/// Items with more attributes are compared through an index if their orders differ.
const SMALL: usize = 32;

/// The names of the attributes that differ between two items or are in one of them only, sorted.
pub(super) fn changed_attributes<'a>(new: &Item<'a>, old: &Item<'a>) -> Vec<Cow<'a, str>> {
    let mut changed = Vec::new();
    let mut shared = 0;
    let mut in_old = Lookup::new(old);
    for (i, (name, value)) in new.0.iter().enumerate() {
        match in_old.find(i, name) {
            Some(before) => {
                shared += 1;
                if !same_value(value, before) {
                    changed.push(name.clone());
                }
            }
            None => changed.push(name.clone()),
        }
    }
    if shared < old.0.len() {
        let mut in_new = Lookup::new(new);
        for (i, (name, _)) in old.0.iter().enumerate() {
            if in_new.find(i, name).is_none() {
                changed.push(name.clone());
            }
        }
    }
    changed.sort_unstable();
    changed
}

/// Whether two values are equal.
pub(super) fn same_value(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::S(a), Value::S(b)) | (Value::B(a), Value::B(b)) => a == b,
        (Value::N(a), Value::N(b)) => same_number(a, b),
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Null, Value::Null) => true,
        (Value::Ss(a), Value::Ss(b)) | (Value::Bs(a), Value::Bs(b)) => a == b || same_texts(a, b),
        (Value::Ns(a), Value::Ns(b)) => a == b || same_numbers(a, b),
        (Value::L(a), Value::L(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b)),
        (Value::M(a), Value::M(b)) => same_item(a, b),
        _ => false,
    }
}

fn same_item(a: &Item<'_>, b: &Item<'_>) -> bool {
    let mut in_b = Lookup::new(b);
    a.0.len() == b.0.len()
        && a.0.iter().enumerate().all(|(i, (name, value))| in_b.find(i, name).is_some_and(|other| same_value(value, other)))
}

/// Texts that are no numbers are equal only if they are the same text.
fn same_number(a: &str, b: &str) -> bool {
    a == b || matches!((Number::parse(a), Number::parse(b)), (Ok(a), Ok(b)) if a == b)
}

fn same_texts(a: &[Cow<'_, str>], b: &[Cow<'_, str>]) -> bool {
    fn sorted<'m>(members: &'m [Cow<'_, str>]) -> Vec<&'m str> {
        let mut members: Vec<_> = members.iter().map(AsRef::as_ref).collect();
        members.sort_unstable();
        members
    }
    a.len() == b.len() && sorted(a) == sorted(b)
}

fn same_numbers(a: &[Cow<'_, str>], b: &[Cow<'_, str>]) -> bool {
    let sorted = |members: &[Cow<'_, str>]| {
        let mut members: Vec<_> = members.iter().map(|m| Number::parse(m).map_err(|_| m.clone().into_owned())).collect();
        members.sort_unstable();
        members
    };
    a.len() == b.len() && sorted(a) == sorted(b)
}

/// Finds attributes of an item by name. Two images of one item mostly have their attributes in one order, so that position is
/// tried first.
struct Lookup<'i, 'a> {
    item: &'i Item<'a>,
    index: Option<HashMap<&'i str, &'i Value<'a>>>,
}

impl<'i, 'a> Lookup<'i, 'a> {
    fn new(item: &'i Item<'a>) -> Self {
        Self { item, index: None }
    }

    fn find(&mut self, likely: usize, name: &str) -> Option<&'i Value<'a>> {
        match self.item.0.get(likely) {
            Some((found, value)) if found == name => Some(value),
            _ if self.item.0.len() <= SMALL => self.item.get(name),
            _ => self.index.get_or_insert_with(|| self.item.iter().collect()).get(name).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::item_from_json;

    fn changed(new: &str, old: &str) -> Vec<String> {
        let (new, old) = (item_from_json(new).unwrap(), item_from_json(old).unwrap());
        changed_attributes(&new, &old).into_iter().map(Cow::into_owned).collect()
    }

    #[test]
    fn values_that_mean_the_same_do_not_differ() {
        let new = r#"{"n":{"N":"1.50"},"ns":{"NS":["1","2.0"]},"ss":{"SS":["a","b"]},"bs":{"BS":["YQ==","Yg=="]},"m":{"M":{"x":{"N":"1"},"y":{"NULL":true}}}}"#;
        let old = r#"{"m":{"M":{"y":{"NULL":true},"x":{"N":"1.0"}}},"bs":{"BS":["Yg==","YQ=="]},"ss":{"SS":["b","a"]},"ns":{"NS":["2","1E0"]},"n":{"N":"1.5"}}"#;
        assert_eq!(changed(new, old), [""; 0]);
    }

    #[test]
    fn values_that_differ_are_named_in_order() {
        let new = r#"{"z":{"S":"1"},"type":{"S":"1"},"list":{"L":[{"N":"1"},{"N":"2"}]},"set":{"SS":["a"]},"added":{"NULL":true},"same":{"S":""}}"#;
        let old = r#"{"z":{"S":"2"},"type":{"N":"1"},"list":{"L":[{"N":"2"},{"N":"1"}]},"set":{"SS":["a","b"]},"same":{"S":""},"gone":{"NULL":true}}"#;
        assert_eq!(changed(new, old), ["added", "gone", "list", "set", "type", "z"]);
    }

    #[test]
    fn large_items_in_another_order_are_compared_by_name() {
        let attribute = |i: usize, value: usize| format!(r#""a{i:03}":{{"N":"{value}"}}"#);
        let new: Vec<_> = (0..200).map(|i| attribute(i, i)).collect();
        let old: Vec<_> = (0..200).rev().map(|i| attribute(i, if i == 77 { 0 } else { i })).collect();
        let item = |attributes: &[String]| format!("{{{}}}", attributes.join(","));
        assert_eq!(changed(&item(&new), &item(&old)), ["a077"]);
    }
}
