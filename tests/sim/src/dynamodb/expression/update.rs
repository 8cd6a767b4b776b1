//! Updates: what an UpdateExpression makes of an item.

mod parse;

use std::collections::BTreeSet;

use super::path::Path;
use crate::call::ApiError;
use crate::item::{AttributeValue, Decimal, Item, canonical};

/// The parts of an update. Their paths are distinct, so their order does not matter.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::dynamodb) struct Update {
    /// What is set.
    pub(in crate::dynamodb) set: Vec<(Path, SetValue)>,
    /// What is removed.
    pub(in crate::dynamodb) remove: Vec<Path>,
    /// Numbers that are added to numbers, and members to sets.
    pub(in crate::dynamodb) add: Vec<(Path, AttributeValue)>,
    /// Members that are taken from sets.
    pub(in crate::dynamodb) delete: Vec<(Path, AttributeValue)>,
}

/// What a path is set to.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::dynamodb) enum SetValue {
    Value(AttributeValue),
    Path(Path),
    IfNotExists(Path, Box<SetValue>),
    ListAppend(Box<SetValue>, Box<SetValue>),
    Plus(Box<SetValue>, Box<SetValue>),
    Minus(Box<SetValue>, Box<SetValue>),
}

impl Update {
    /// The paths that it writes to.
    pub(in crate::dynamodb) fn paths(&self) -> impl Iterator<Item = &Path> {
        let valued = self.set.iter().map(|(path, _)| path);
        valued.chain(&self.remove).chain(self.add.iter().chain(&self.delete).map(|(path, _)| path))
    }

    /// The item after the update. Where there was none, one is made of the key attributes, `key`, even by an update that only removes.
    pub(in crate::dynamodb) fn apply(&self, old: Option<&Item>, key: &Item) -> Result<Item, ApiError> {
        let base = old.unwrap_or(key);
        // Everything is computed from the item as it was, and then put in place.
        let (puts, removals) = self.changes(base)?;
        let mut item = base.clone();
        // In order of their paths, so that elements behind a list's end keep the order of their indexes.
        for (path, value) in puts {
            path.put(&mut item, value);
        }
        // From the back, so that indexes keep their meaning.
        for path in removals.into_iter().rev() {
            path.remove(&mut item);
        }
        if canonical::is_nested_too_deep(&item) {
            return Err(ApiError::validation(canonical::ValueError::TooDeep.to_string()));
        }
        Ok(item)
    }

    /// What is put where and what is removed, both in the order of their paths.
    fn changes(&self, item: &Item) -> Result<Changes<'_>, ApiError> {
        if self.paths().any(|path| !path.has_parent(item)) {
            return Err(ApiError::validation("The document path provided in the update expression is invalid for update"));
        }
        let mut puts = Vec::new();
        // A path behind a list's end has nothing to remove, but would have once something was appended.
        let mut removals: BTreeSet<&Path> = self.remove.iter().filter(|path| path.get(item).is_some()).collect();
        for (path, value) in &self.set {
            puts.push((path, value.evaluate(item)?));
        }
        for (path, value) in &self.add {
            puts.push((path, path.get(item).map_or_else(|| Ok(value.clone()), |old| sum(old, value))?));
        }
        for (path, value) in &self.delete {
            match path.get(item).map(|old| difference(old, value)).transpose()? {
                Some(Some(rest)) => puts.push((path, rest)),
                Some(None) => _ = removals.insert(path),
                None => {}
            }
        }
        puts.sort_by_key(|(path, _)| *path);
        Ok((puts, removals))
    }
}

/// What is put where, and what is removed.
type Changes<'a> = (Vec<(&'a Path, AttributeValue)>, BTreeSet<&'a Path>);

impl SetValue {
    fn evaluate(&self, item: &Item) -> Result<AttributeValue, ApiError> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::Path(path) => path
                .get(item)
                .cloned()
                .ok_or_else(|| ApiError::validation("The provided expression refers to an attribute that does not exist in the item")),
            Self::IfNotExists(path, default) => {
                // The default has to be there even when it is not needed.
                let default = default.evaluate(item)?;
                Ok(path.get(item).cloned().unwrap_or(default))
            }
            Self::ListAppend(left, right) => match (left.evaluate(item)?, right.evaluate(item)?) {
                (AttributeValue::L(mut left), AttributeValue::L(right)) => {
                    left.extend(right);
                    Ok(AttributeValue::L(left))
                }
                _ => Err(incorrect_type()),
            },
            Self::Plus(left, right) => arithmetic(&left.evaluate(item)?, &right.evaluate(item)?, Decimal::checked_add),
            Self::Minus(left, right) => arithmetic(&left.evaluate(item)?, &right.evaluate(item)?, Decimal::checked_sub),
        }
    }
}

fn incorrect_type() -> ApiError {
    ApiError::validation("An operand in the update expression has an incorrect data type")
}

type Operation = fn(Decimal, Decimal) -> Result<Decimal, crate::item::decimal::NumberError>;

fn arithmetic(left: &AttributeValue, right: &AttributeValue, operation: Operation) -> Result<AttributeValue, ApiError> {
    let (AttributeValue::N(left), AttributeValue::N(right)) = (left, right) else { return Err(incorrect_type()) };
    let result = left.parse().and_then(|left| operation(left, right.parse()?));
    result.map(|number| AttributeValue::N(number.to_string())).map_err(|error| ApiError::validation(error.to_string()))
}

/// ADD: the sum of two numbers, or all members of two sets.
fn sum(old: &AttributeValue, added: &AttributeValue) -> Result<AttributeValue, ApiError> {
    let union = |old: &[String], added: &[String]| {
        let new = added.iter().filter(|member| !old.contains(member));
        old.iter().chain(new).cloned().collect()
    };
    let mut sum = match (old, added) {
        (AttributeValue::N(_), AttributeValue::N(_)) => return arithmetic(old, added, Decimal::checked_add),
        (AttributeValue::SS(old), AttributeValue::SS(added)) => AttributeValue::SS(union(old, added)),
        (AttributeValue::NS(old), AttributeValue::NS(added)) => AttributeValue::NS(union(old, added)),
        (AttributeValue::BS(old), AttributeValue::BS(added)) => AttributeValue::BS(union(old, added)),
        _ => return Err(incorrect_type()),
    };
    canonical::check_value(&mut sum).map_err(|error| ApiError::validation(error.to_string()))?;
    Ok(sum)
}

/// DELETE: the members of one set that are not in another; `None` when none is left, for there are no empty sets.
fn difference(old: &AttributeValue, taken: &AttributeValue) -> Result<Option<AttributeValue>, ApiError> {
    let rest = |old: &[String], taken: &[String]| {
        let rest: Vec<String> = old.iter().filter(|member| !taken.contains(member)).cloned().collect();
        Some(rest).filter(|rest| !rest.is_empty())
    };
    match (old, taken) {
        (AttributeValue::SS(old), AttributeValue::SS(taken)) => Ok(rest(old, taken).map(AttributeValue::SS)),
        (AttributeValue::NS(old), AttributeValue::NS(taken)) => Ok(rest(old, taken).map(AttributeValue::NS)),
        (AttributeValue::BS(old), AttributeValue::BS(taken)) => Ok(rest(old, taken).map(AttributeValue::BS)),
        _ => Err(incorrect_type()),
    }
}

#[cfg(test)]
mod tests;
