//! The expressions of requests: conditions, filters, key conditions, updates and projections, with the names and values that a request
//! defines for them.

mod condition;
mod key_condition;
mod parser;
mod path;
mod reserved;
mod token;
mod update;

use std::collections::BTreeMap;
use std::fmt::Display;

pub(super) use condition::{Comparison, Condition, Operand};
pub(super) use key_condition::{KeyCondition, SortRange};
pub(super) use path::{Path, project};
pub(super) use update::{SetValue, Update};

use crate::call::ApiError;
use crate::item::{AttributeValue, Item, canonical};
use parser::Parser;

/// The longest expression, in bytes.
const LONGEST: usize = 4096;

/// The names (`#name`) and values (`:value`) that a request defines for its expressions, and which of them were used.
#[derive(Debug, Default)]
pub(super) struct Placeholders {
    names: BTreeMap<String, Defined<String>>,
    values: BTreeMap<String, Defined<AttributeValue>>,
}

#[derive(Debug)]
struct Defined<T> {
    meaning: T,
    used: bool,
}

impl<T> Defined<T> {
    fn new(meaning: T) -> Self {
        Self { meaning, used: false }
    }
}

impl Placeholders {
    /// Takes a request's definitions. `expressions` tells whether it has an expression that could use them.
    pub(super) fn new(names: Option<BTreeMap<String, String>>, values: Option<Item>, expressions: bool) -> Result<Self, ApiError> {
        const NAMES: &str = "ExpressionAttributeNames";
        const VALUES: &str = "ExpressionAttributeValues";
        for (what, given, empty) in [
            (NAMES, names.is_some(), names.as_ref().is_some_and(BTreeMap::is_empty)),
            (VALUES, values.is_some(), values.as_ref().is_some_and(Item::is_empty)),
        ] {
            if given && !expressions {
                return Err(ApiError::validation(format!("{what} can only be specified when using expressions")));
            }
            if empty {
                return Err(ApiError::validation(format!("{what} must not be empty")));
            }
        }
        let mut placeholders = Self::default();
        for (key, name) in names.unwrap_or_default() {
            check_key(NAMES, '#', &key)?;
            if name.is_empty() {
                return Err(ApiError::validation(format!("{NAMES} contains invalid value: Empty attribute name for key {key}")));
            }
            placeholders.names.insert(key, Defined::new(name));
        }
        for (key, mut value) in values.unwrap_or_default() {
            check_key(VALUES, ':', &key)?;
            canonical::check_value(&mut value)
                .map_err(|error| ApiError::validation(format!("{VALUES} contains invalid value: {error} for key {key}")))?;
            placeholders.values.insert(key, Defined::new(value));
        }
        Ok(placeholders)
    }

    /// Reads a ConditionExpression.
    pub(super) fn condition(&mut self, text: &str) -> Result<Condition, ApiError> {
        Parser::new("ConditionExpression", text, self)?.condition()
    }

    /// Reads a FilterExpression.
    pub(super) fn filter(&mut self, text: &str) -> Result<Condition, ApiError> {
        Parser::new("FilterExpression", text, self)?.condition()
    }

    /// Reads a KeyConditionExpression, for which [`KeyCondition::new`] has further rules.
    pub(super) fn key_condition(&mut self, text: &str) -> Result<Condition, ApiError> {
        Parser::new("KeyConditionExpression", text, self)?.condition()
    }

    /// Reads an UpdateExpression.
    pub(super) fn update(&mut self, text: &str) -> Result<Update, ApiError> {
        Parser::new("UpdateExpression", text, self)?.update()
    }

    /// Reads a ProjectionExpression.
    pub(super) fn projection(&mut self, text: &str) -> Result<Vec<Path>, ApiError> {
        Parser::new("ProjectionExpression", text, self)?.projection()
    }

    /// Refuses definitions that no expression used.
    pub(super) fn all_used(&self) -> Result<(), ApiError> {
        fn unused<T>(defined: &BTreeMap<String, Defined<T>>) -> Vec<&str> {
            defined.iter().filter(|(_, defined)| !defined.used).map(|(key, _)| &**key).collect()
        }
        for (what, keys) in [("ExpressionAttributeNames", unused(&self.names)), ("ExpressionAttributeValues", unused(&self.values))] {
            if !keys.is_empty() {
                return Err(ApiError::validation(format!("Value provided in {what} unused in expressions: keys: {{{}}}", keys.join(", "))));
            }
        }
        Ok(())
    }

    fn name(&mut self, key: &str) -> Option<String> {
        let defined = self.names.get_mut(key)?;
        defined.used = true;
        Some(defined.meaning.clone())
    }

    fn value(&mut self, key: &str) -> Option<AttributeValue> {
        let defined = self.values.get_mut(key)?;
        defined.used = true;
        Some(defined.meaning.clone())
    }
}

fn check_key(what: &str, sign: char, key: &str) -> Result<(), ApiError> {
    let word = key.strip_prefix(sign).unwrap_or_default();
    if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(ApiError::validation(format!("{what} contains invalid key: Syntax error; key: \"{key}\"")));
    }
    Ok(())
}

/// What is wrong with an expression.
fn invalid(which: &str, what: impl Display) -> ApiError {
    ApiError::validation(format!("Invalid {which}: {what}"))
}

/// An operand of a type that its operator or function does not take.
fn incorrect_type(which: &str, operator: &str, kind: &str) -> ApiError {
    invalid(which, format_args!("Incorrect operand type for operator or function; operator or function: {operator}, operand type: {kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders(names: &str, values: &str) -> Result<Placeholders, String> {
        let names = serde_json::from_str(names).unwrap();
        Placeholders::new(Some(names), Some(serde_json::from_str(values).unwrap()), true).map_err(|error| error.message)
    }

    #[test]
    fn every_definition_is_used_and_every_use_is_defined() {
        let mut defined = placeholders(r##"{"#n":"name","#u":"x"}"##, r#"{":v":{"N":"1"}}"#).unwrap();
        defined.condition("#n = :v").unwrap();
        let unused = "Value provided in ExpressionAttributeNames unused in expressions: keys: {#u}";
        assert_eq!(defined.all_used().unwrap_err().message, unused);
        defined.filter("attribute_exists(#u)").unwrap();
        assert_eq!(defined.all_used(), Ok(()));
        let undefined = "Invalid ConditionExpression: An expression attribute value used in expression is not defined; attribute value: :w";
        assert_eq!(defined.condition("#n = :w").unwrap_err().message, undefined);
        let undefined =
            "Invalid UpdateExpression: An expression attribute name used in the document path is not defined; attribute name: #z";
        assert_eq!(defined.update("REMOVE a.#z").unwrap_err().message, undefined);
    }

    #[test]
    fn definitions_are_checked() {
        let error = |names, values| placeholders(names, values).unwrap_err();
        assert_eq!(error(r#"{"n":"a"}"#, r#"{":v":{"N":"1"}}"#), "ExpressionAttributeNames contains invalid key: Syntax error; key: \"n\"");
        assert_eq!(
            error(r##"{"#n":""}"##, r#"{":v":{"N":"1"}}"#),
            "ExpressionAttributeNames contains invalid value: Empty attribute name for key #n"
        );
        assert_eq!(error(r##"{"#n":"a"}"##, "{}"), "ExpressionAttributeValues must not be empty");
        let number = "The parameter cannot be converted to a numeric value: x for key :v";
        assert_eq!(error(r##"{"#n":"a"}"##, r#"{":v":{"N":"x"}}"#), format!("ExpressionAttributeValues contains invalid value: {number}"));
        let without = Placeholders::new(None, Some(Item::from([(":v".to_owned(), AttributeValue::BOOL(true))])), false);
        assert_eq!(without.unwrap_err().message, "ExpressionAttributeValues can only be specified when using expressions");
    }
}
