//! The parameters from before there were expressions, which older clients still send: `Expected`, `AttributeUpdates`, `KeyConditions`,
//! `QueryFilter` and `ScanFilter`. They become conditions and updates like any other.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::expression::{Comparison, Condition, Operand, Path, SetValue, Update};
use crate::call::ApiError;
use crate::item::{AttributeValue, canonical};

/// ConditionalOperator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum ConditionalOperator {
    #[default]
    And,
    Or,
}

/// What is expected of an attribute.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Expected {
    value: Option<AttributeValue>,
    exists: Option<bool>,
    comparison_operator: Option<Operator>,
    attribute_value_list: Option<Vec<AttributeValue>>,
}

/// ComparisonOperator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Operator {
    Eq,
    Ne,
    Le,
    Lt,
    Ge,
    Gt,
    NotNull,
    Null,
    Contains,
    NotContains,
    BeginsWith,
    In,
    Between,
}

impl fmt::Display for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}

impl Operator {
    /// Refuses operands that it cannot have, whatever the item is.
    fn check(self, operands: &[AttributeValue]) -> Result<(), ApiError> {
        let needed = match self {
            Self::Null | Self::NotNull => 0..=0,
            Self::Between => 2..=2,
            Self::In => 1..=100,
            _ => 1..=1,
        };
        if !needed.contains(&operands.len()) {
            return Err(invalid(format_args!("Invalid number of argument(s) for the {self} ComparisonOperator")));
        }
        if let Some(operand) = operands.iter().find(|operand| !self.takes(operand)) {
            let kind = operand.kind();
            return Err(invalid(format_args!("ComparisonOperator {self} is not valid for {kind} AttributeValue type")));
        }
        if operands.windows(2).any(|pair| pair[0].kind() != pair[1].kind()) {
            return Err(invalid("AttributeValues inside AttributeValueList must be of same type"));
        }
        if let (Self::Between, [low, high]) = (self, operands)
            && low.order(high).is_some_and(Ordering::is_gt)
        {
            let rule = "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound";
            return Err(ApiError::validation(rule));
        }
        Ok(())
    }

    /// Whether an operand is of a type that it takes.
    fn takes(self, operand: &AttributeValue) -> bool {
        use AttributeValue::{B, BOOL, N, NULL, S};
        match self {
            Self::Eq | Self::Ne | Self::Null | Self::NotNull => true,
            Self::Le | Self::Lt | Self::Ge | Self::Gt | Self::In | Self::Between => matches!(operand, S(_) | N(_) | B(_)),
            Self::Contains | Self::NotContains => matches!(operand, S(_) | N(_) | B(_) | BOOL(_) | NULL(_)),
            Self::BeginsWith => matches!(operand, S(_) | B(_)),
        }
    }
}

/// What is done to an attribute.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AttributeUpdate {
    value: Option<AttributeValue>,
    #[serde(default)]
    action: Action,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Action {
    #[default]
    Put,
    Add,
    Delete,
}

/// The condition that all (or any) of these make.
pub(super) fn condition(conditions: BTreeMap<String, Expected>, operator: ConditionalOperator) -> Result<Option<Condition>, ApiError> {
    let mut joined: Option<Condition> = None;
    for (name, expected) in conditions {
        let condition = Box::new(expected.condition(&name)?);
        joined = Some(match (joined, operator) {
            (None, _) => *condition,
            (Some(left), ConditionalOperator::And) => Condition::And(Box::new(left), condition),
            (Some(left), ConditionalOperator::Or) => Condition::Or(Box::new(left), condition),
        });
    }
    Ok(joined)
}

impl Expected {
    fn condition(self, name: &str) -> Result<Condition, ApiError> {
        let values = self.attribute_value_list.into_iter().flatten().chain(self.value);
        let values: Vec<AttributeValue> = values.map(checked).collect::<Result<_, _>>()?;
        let operator = match (self.comparison_operator, self.exists) {
            (Some(operator), None) => operator,
            (Some(_), Some(_)) => return Err(invalid_for(name, "Exists and ComparisonOperator cannot be used together")),
            (None, Some(false)) if values.is_empty() => Operator::Null,
            (None, Some(false)) => return Err(invalid_for(name, "Value cannot be used when Exists is false")),
            (None, exists) if values.is_empty() => {
                let exists = if exists.is_some() { "true" } else { "null" };
                return Err(invalid_for(name, format_args!("Value must be provided when Exists is {exists}")));
            }
            (None, _) => Operator::Eq,
        };
        operator.check(&values)?;
        let mut values: Vec<Operand> = values.into_iter().map(Operand::Value).collect();
        let path = Path::of_attribute(name);
        let exists = Condition::Exists(path.clone());
        let attribute = Operand::Path(path);
        let last = values.pop();
        Ok(match (operator, last) {
            (Operator::Null, _) => Condition::Not(Box::new(exists)),
            (Operator::NotNull, _) | (_, None) => exists,
            (Operator::Eq, Some(value)) => Condition::Compare(attribute, Comparison::Equal, value),
            (Operator::Ne, Some(value)) => Condition::Compare(attribute, Comparison::Unequal, value),
            (Operator::Le, Some(value)) => Condition::Compare(attribute, Comparison::LessOrEqual, value),
            (Operator::Lt, Some(value)) => Condition::Compare(attribute, Comparison::Less, value),
            (Operator::Ge, Some(value)) => Condition::Compare(attribute, Comparison::GreaterOrEqual, value),
            (Operator::Gt, Some(value)) => Condition::Compare(attribute, Comparison::Greater, value),
            (Operator::Contains, Some(value)) => Condition::Contains(attribute, value),
            (Operator::NotContains, Some(value)) => {
                Condition::And(Box::new(exists), Box::new(Condition::Not(Box::new(Condition::Contains(attribute, value)))))
            }
            (Operator::BeginsWith, Some(value)) => Condition::BeginsWith(attribute, value),
            (Operator::In, Some(value)) => {
                values.push(value);
                Condition::In(attribute, values)
            }
            (Operator::Between, Some(high)) => match values.pop() {
                Some(low) => Condition::Between(attribute, low, high),
                None => Condition::Compare(attribute, Comparison::LessOrEqual, high),
            },
        })
    }
}

/// The update that these make.
pub(super) fn update(updates: BTreeMap<String, AttributeUpdate>) -> Result<Update, ApiError> {
    let mut update = Update::default();
    for (name, AttributeUpdate { value, action }) in updates {
        let path = Path::of_attribute(&name);
        match (action, value.map(checked).transpose()?) {
            (Action::Delete, None) => update.remove.push(path),
            (_, None) => return Err(invalid_for(&name, "Only DELETE action is allowed when no attribute value is specified")),
            (Action::Put, Some(value)) => update.set.push((path, SetValue::Value(value))),
            (Action::Add, Some(value @ (AttributeValue::N(_) | AttributeValue::SS(_) | AttributeValue::NS(_) | AttributeValue::BS(_)))) => {
                update.add.push((path, value));
            }
            (Action::Delete, Some(value @ (AttributeValue::SS(_) | AttributeValue::NS(_) | AttributeValue::BS(_)))) => {
                update.delete.push((path, value));
            }
            (action, Some(value)) => {
                let kind = value.kind();
                return Err(invalid_for(&name, format_args!("{action:?} action is not supported for the type {kind}")));
            }
        }
    }
    Ok(update)
}

fn checked(mut value: AttributeValue) -> Result<AttributeValue, ApiError> {
    canonical::check_value(&mut value).map_err(|error| ApiError::validation(error.to_string()))?;
    Ok(value)
}

fn invalid(what: impl fmt::Display) -> ApiError {
    ApiError::validation(format!("One or more parameter values were invalid: {what}"))
}

fn invalid_for(attribute: &str, what: impl fmt::Display) -> ApiError {
    invalid(format_args!("{what} for Attribute: {attribute}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::Item;

    const ITEM: &str = r#"{"n":{"N":"5"},"l":{"SS":["a","b"]}}"#;

    fn holds(expected: &str, operator: ConditionalOperator) -> Result<bool, String> {
        let item: Item = serde_json::from_str(ITEM).unwrap();
        let condition = condition(serde_json::from_str(expected).unwrap(), operator).map_err(|error| error.message)?;
        Ok(condition.unwrap().holds(&item))
    }

    #[test]
    fn expectations_are_conditions() {
        for (expected, result) in [
            (r#"{"n":{"Value":{"N":"5.0"}}}"#, true),
            (r#"{"n":{"Exists":true,"Value":{"N":"7"}}}"#, false),
            (r#"{"n":{"Exists":false}}"#, false),
            (r#"{"q":{"Exists":false},"n":{"ComparisonOperator":"NOT_NULL"}}"#, true),
            (r#"{"q":{"ComparisonOperator":"NULL"}}"#, true),
            (r#"{"n":{"ComparisonOperator":"NE","AttributeValueList":[{"N":"5"}]}}"#, false),
            (r#"{"n":{"ComparisonOperator":"LT","AttributeValueList":[{"N":"5"}]}}"#, false),
            (r#"{"n":{"ComparisonOperator":"LE","AttributeValueList":[{"N":"5"}]}}"#, true),
            (r#"{"n":{"ComparisonOperator":"GT","AttributeValueList":[{"N":"4"}]}}"#, true),
            (r#"{"n":{"ComparisonOperator":"GE","AttributeValueList":[{"N":"6"}]}}"#, false),
            (r#"{"n":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"4"},{"N":"6"}]}}"#, true),
            (r#"{"n":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"6"},{"N":"8"}]}}"#, false),
            (r#"{"n":{"ComparisonOperator":"IN","AttributeValueList":[{"N":"1"},{"N":"5"}]}}"#, true),
            (r#"{"l":{"ComparisonOperator":"CONTAINS","AttributeValueList":[{"S":"a"}]}}"#, true),
            (r#"{"l":{"ComparisonOperator":"NOT_CONTAINS","AttributeValueList":[{"S":"c"}]}}"#, true),
            (r#"{"q":{"ComparisonOperator":"NOT_CONTAINS","AttributeValueList":[{"S":"c"}]}}"#, false),
            (r#"{"n":{"ComparisonOperator":"BEGINS_WITH","AttributeValueList":[{"S":"c"}]}}"#, false),
        ] {
            assert_eq!(holds(expected, ConditionalOperator::And), Ok(result), "{expected}");
        }
        let two = r#"{"n":{"Value":{"N":"5"}},"q":{"Value":{"N":"5"}}}"#;
        assert_eq!([ConditionalOperator::And, ConditionalOperator::Or].map(|operator| holds(two, operator).unwrap()), [false, true]);
    }

    #[test]
    fn half_expectations_are_refused() {
        for (expected, what) in [
            (r#"{"n":{}}"#, "Value must be provided when Exists is null"),
            (r#"{"n":{"Exists":true}}"#, "Value must be provided when Exists is true"),
            (r#"{"n":{"Exists":false,"Value":{"N":"1"}}}"#, "Value cannot be used when Exists is false"),
        ] {
            let message = format!("One or more parameter values were invalid: {what} for Attribute: n");
            assert_eq!(holds(expected, ConditionalOperator::And), Err(message), "{expected}");
        }
    }

    #[test]
    fn operands_are_judged_before_the_item() {
        for (operator, operands, what) in [
            ("EQ", "[]", "Invalid number of argument(s) for the EQ ComparisonOperator"),
            ("NOT_NULL", r#"[{"N":"1"}]"#, "Invalid number of argument(s) for the NOT_NULL ComparisonOperator"),
            ("LT", r#"[{"SS":["a"]}]"#, "ComparisonOperator LT is not valid for SS AttributeValue type"),
            ("GE", r#"[{"BOOL":true}]"#, "ComparisonOperator GE is not valid for BOOL AttributeValue type"),
            ("BEGINS_WITH", r#"[{"N":"1"}]"#, "ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type"),
            ("NOT_CONTAINS", r#"[{"L":[]}]"#, "ComparisonOperator NOT_CONTAINS is not valid for L AttributeValue type"),
            ("IN", r#"[{"NULL":true}]"#, "ComparisonOperator IN is not valid for NULL AttributeValue type"),
            ("IN", r#"[{"N":"1"},{"S":"2"}]"#, "AttributeValues inside AttributeValueList must be of same type"),
            ("BETWEEN", r#"[{"N":"1"},{"S":"2"}]"#, "AttributeValues inside AttributeValueList must be of same type"),
            ("BETWEEN", r#"[{"SS":["a"]},{"N":"2"}]"#, "ComparisonOperator BETWEEN is not valid for SS AttributeValue type"),
        ] {
            let expected = format!(r#"{{"n":{{"ComparisonOperator":"{operator}","AttributeValueList":{operands}}}}}"#);
            let message = format!("One or more parameter values were invalid: {what}");
            assert_eq!(holds(&expected, ConditionalOperator::And), Err(message), "{expected}");
        }
        for (operator, operand) in [("NE", r#"{"M":{}}"#), ("NOT_CONTAINS", r#"{"BOOL":true}"#), ("NE", r#"{"SS":["a"]}"#)] {
            let expected = format!(r#"{{"n":{{"ComparisonOperator":"{operator}","AttributeValueList":[{operand}]}}}}"#);
            assert_eq!(holds(&expected, ConditionalOperator::And), Ok(true), "{expected}");
        }
    }

    #[test]
    fn a_range_is_not_upside_down() {
        let range = r#"{"n":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"10"},{"N":"9"}]}}"#;
        assert!(holds(range, ConditionalOperator::And).unwrap_err().contains("lower bound is greater than the upper bound"));
    }

    #[test]
    fn attribute_updates_are_updates() {
        let apply = |updates: &str| {
            let item: Item = serde_json::from_str(ITEM).unwrap();
            update(serde_json::from_str(updates).unwrap()).and_then(|update| update.apply(Some(&item), &Item::new()))
        };
        let updates = r#"{"n":{"Action":"ADD","Value":{"N":"1"}},"l":{"Action":"DELETE","Value":{"SS":["a"]}},"q":{"Value":{"S":"x"}}}"#;
        let item = apply(updates).unwrap();
        assert_eq!(serde_json::to_string(&item).unwrap(), r#"{"l":{"SS":["b"]},"n":{"N":"6"},"q":{"S":"x"}}"#);
        assert_eq!(apply(r#"{"n":{"Action":"DELETE"},"z":{"Action":"DELETE"}}"#).unwrap().len(), 1);
        assert!(apply(r#"{"n":{"Action":"PUT"}}"#).unwrap_err().message.contains("Only DELETE action is allowed"));
        assert!(apply(r#"{"n":{"Action":"ADD","Value":{"S":"x"}}}"#).unwrap_err().message.contains("not supported for the type S"));
    }
}
