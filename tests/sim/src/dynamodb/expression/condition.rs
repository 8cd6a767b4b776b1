//! Conditions: what a ConditionExpression or FilterExpression asks of an item.

mod parse;

use std::borrow::Cow;
use std::cmp::Ordering;

use super::path::Path;
use crate::item::{AttributeValue, Item, bytes, size};

/// A condition on an item.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::dynamodb) enum Condition {
    Compare(Operand, Comparison, Operand),
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    Exists(Path),
    IsType(Operand, String),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
}

/// What a condition compares.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::dynamodb) enum Operand {
    /// What stands at a path of the item.
    Path(Path),
    /// A value of the request.
    Value(AttributeValue),
    /// The size of another operand.
    Size(Box<Operand>),
}

/// How two operands are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dynamodb) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// How the expressions spell it.
    pub(in crate::dynamodb) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Unequal => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// The comparison with the operands the other way round.
    pub(super) fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Equal | Self::Unequal => self,
        }
    }

    /// A missing operand is equal to nothing, and values of different types have no order.
    fn holds(self, left: Option<&AttributeValue>, right: Option<&AttributeValue>) -> bool {
        let order = || left?.order(right?);
        match self {
            Self::Equal => left.is_some() && left == right,
            Self::Unequal => left.is_none() || left != right,
            Self::Less => order() == Some(Ordering::Less),
            Self::LessOrEqual => order().is_some_and(Ordering::is_le),
            Self::Greater => order() == Some(Ordering::Greater),
            Self::GreaterOrEqual => order().is_some_and(Ordering::is_ge),
        }
    }
}

impl Condition {
    /// Whether it holds for an item. A missing item is one without attributes.
    pub(in crate::dynamodb) fn holds(&self, item: &Item) -> bool {
        match self {
            Self::Compare(left, comparison, right) => comparison.holds(left.of(item).as_deref(), right.of(item).as_deref()),
            Self::Between(operand, low, high) => {
                let value = operand.of(item);
                Comparison::GreaterOrEqual.holds(value.as_deref(), low.of(item).as_deref())
                    && Comparison::LessOrEqual.holds(value.as_deref(), high.of(item).as_deref())
            }
            Self::In(operand, among) => {
                let value = operand.of(item);
                among.iter().any(|other| Comparison::Equal.holds(value.as_deref(), other.of(item).as_deref()))
            }
            Self::Exists(path) => path.get(item).is_some(),
            Self::IsType(operand, kind) => operand.of(item).is_some_and(|value| value.kind() == kind),
            Self::BeginsWith(operand, prefix) => match (operand.of(item).as_deref(), prefix.of(item).as_deref()) {
                (Some(AttributeValue::S(text)), Some(AttributeValue::S(prefix))) => text.starts_with(prefix),
                (Some(AttributeValue::B(binary)), Some(AttributeValue::B(prefix))) => bytes(binary).starts_with(&bytes(prefix)),
                _ => false,
            },
            Self::Contains(operand, part) => operand.of(item).zip(part.of(item)).is_some_and(|(whole, part)| contains(&whole, &part)),
            Self::And(left, right) => left.holds(item) && right.holds(item),
            Self::Or(left, right) => left.holds(item) || right.holds(item),
            Self::Not(condition) => !condition.holds(item),
        }
    }

    /// The paths that it looks at.
    pub(in crate::dynamodb) fn paths(&self) -> Vec<&Path> {
        fn of<'a>(operands: impl IntoIterator<Item = &'a Operand>) -> Vec<&'a Path> {
            operands.into_iter().filter_map(Operand::path).collect()
        }
        match self {
            Self::Compare(left, _, right) | Self::BeginsWith(left, right) | Self::Contains(left, right) => of([left, right]),
            Self::Between(operand, low, high) => of([operand, low, high]),
            Self::In(operand, among) => of(std::iter::once(operand).chain(among)),
            Self::Exists(path) => vec![path],
            Self::IsType(operand, _) => of([operand]),
            Self::And(left, right) | Self::Or(left, right) => [left.paths(), right.paths()].concat(),
            Self::Not(condition) => condition.paths(),
        }
    }
}

impl Operand {
    /// Its value for an item.
    fn of<'a>(&'a self, item: &'a Item) -> Option<Cow<'a, AttributeValue>> {
        match self {
            Self::Path(path) => path.get(item).map(Cow::Borrowed),
            Self::Value(value) => Some(Cow::Borrowed(value)),
            Self::Size(operand) => size(&*operand.of(item)?).map(|size| Cow::Owned(AttributeValue::N(size.to_string()))),
        }
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Value(_) => None,
            Self::Size(operand) => operand.path(),
        }
    }
}

/// The function `size`; numbers and truth values have none. Text is measured in UTF-16 units, as Java does.
fn size(value: &AttributeValue) -> Option<usize> {
    match value {
        AttributeValue::S(text) => Some(text.encode_utf16().count()),
        AttributeValue::B(base64) => Some(size::binary(base64)),
        AttributeValue::SS(members) | AttributeValue::NS(members) | AttributeValue::BS(members) => Some(members.len()),
        AttributeValue::M(map) => Some(map.len()),
        AttributeValue::L(list) => Some(list.len()),
        AttributeValue::N(_) | AttributeValue::BOOL(_) | AttributeValue::NULL(_) => None,
    }
}

fn contains(whole: &AttributeValue, part: &AttributeValue) -> bool {
    match (whole, part) {
        (AttributeValue::S(text), AttributeValue::S(part)) => text.contains(part),
        (AttributeValue::B(binary), AttributeValue::B(part)) => {
            let (binary, part) = (bytes(binary), bytes(part));
            part.is_empty() || binary.windows(part.len()).any(|window| window == &*part)
        }
        (AttributeValue::SS(members), AttributeValue::S(member))
        | (AttributeValue::NS(members), AttributeValue::N(member))
        | (AttributeValue::BS(members), AttributeValue::B(member)) => members.contains(member),
        (AttributeValue::L(list), element) => list.contains(element),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Placeholders;
    use super::*;
    use crate::item::canonical;

    const ITEM: &str = r#"{"p":{"S":"a"},"n":{"N":"5"},"m":{"M":{"x":{"N":"1"},"l":{"L":[{"S":"a"},{"N":"5"}]}}},"ss":{"SS":["b","a"]},
        "ns":{"NS":["1","2.5"]},"str":{"S":"héllo"},"b":{"B":"YWJj"},"t":{"BOOL":true},"z":{"NULL":true}}"#;
    const VALUES: &str = r#"{":n":{"N":"5.0"},":ten":{"N":"10"},":two":{"N":"2"},":s":{"S":"a"},":b":{"B":"YWI="},":bc":{"B":"YmM="},
        ":ss":{"SS":["a","b"]},":half":{"N":"2.50"},":true":{"BOOL":true},":h":{"S":"hé"},":ll":{"S":"ll"},":N":{"S":"N"},":SS":{"S":"SS"},
        ":m":{"M":{"l":{"L":[{"S":"a"},{"N":"5"}]},"x":{"N":"1"}}}}"#;

    fn holds(text: &str) -> bool {
        let mut item: Item = serde_json::from_str(ITEM).unwrap();
        canonical::check(&mut item).unwrap();
        let mut placeholders = Placeholders::new(None, Some(serde_json::from_str(VALUES).unwrap()), true).unwrap();
        placeholders.condition(text).unwrap_or_else(|error| panic!("{text}: {error}")).holds(&item)
    }

    #[test]
    fn conditions_hold_by_value() {
        for text in [
            "n = :n",
            "n < :ten AND n <= :n AND n >= :n AND :ten > n",
            "ss = :ss",
            "m = :m",
            "n <> :s",
            "n BETWEEN :n AND :ten",
            "n IN (:s, :n)",
            "m.l[0] = :s",
            "m.l[1] = n",
            "begins_with(str, :h)",
            "begins_with(b, :b)",
            "contains(b, :bc)",
            "contains(str, :ll)",
            "contains(ns, :half)",
            "contains(m.l, :s)",
            "contains(m.l, n)",
            "contains(:ss, p)",
            "size(str) = :n",
            "size(m) = :two AND size(b) > :two AND size(ss) = :two AND size(m.l) BETWEEN :two AND :two",
            "attribute_type(n, :N) AND attribute_type(ss, :SS)",
            "attribute_exists(m.l[1]) AND attribute_not_exists(m.l[2])",
            "t = :true",
            "NOT t <> :true",
            "n = :ten OR n = :n AND p = :s",
            "NOT (n = :ten OR n = :two)",
            "not n = :ten and p = :s",
        ] {
            assert!(holds(text), "{text}");
        }
    }

    #[test]
    fn conditions_fail_by_value() {
        for text in [
            "n < :n",
            "n > :s",
            "n = :s",
            "n BETWEEN :ten AND :ten",
            "begins_with(n, :s)",
            "contains(n, :n)",
            "contains(ss, :ll)",
            "contains(ns, :s)",
            "size(n) = :n",
            "attribute_type(n, :SS)",
            "(n = :n OR p = :s) AND n = :ten",
            "NOT n = :n OR n = :ten",
        ] {
            assert!(!holds(text), "{text}");
        }
    }

    #[test]
    fn a_missing_attribute_equals_nothing() {
        for text in ["q = :n", "q < :n", "q = r", "q IN (:n)", "q BETWEEN :n AND :ten", "size(q) = :n", "m.q.x = :n", "contains(q, :n)"] {
            assert!(!holds(text), "{text}");
            assert!(holds(&format!("NOT {text}")), "NOT {text}");
        }
        assert!(holds("q <> :n AND q <> r AND :n <> q AND size(q) <> :n"));
    }

    #[test]
    fn the_paths_of_a_condition_are_known() {
        let mut placeholders = Placeholders::new(None, Some(serde_json::from_str(VALUES).unwrap()), true).unwrap();
        let text = "NOT a = b OR size(c) IN (:n, d) AND (attribute_exists(e) OR attribute_type(f, :N) AND begins_with(g, :s)) AND h BETWEEN i AND j";
        let condition = placeholders.condition(text).unwrap();
        assert_eq!(condition.paths().iter().map(|path| path.attribute()).collect::<String>(), "abcdefghij");
    }
}
