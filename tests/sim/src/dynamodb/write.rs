//! PutItem, UpdateItem and DeleteItem, and the writes and checks of transactions: a write is read from its request, decided on the item as it
//! is, and only then carried out.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Tables;
use super::expression::{Condition, Path, Placeholders, Update, project};
use super::key::ItemKey;
use super::legacy::{self, AttributeUpdate, ConditionalOperator, Expected};
use super::request::{self, ReturnCapacity, mixed, write_units};
use super::table::{Effects, Table};
use crate::call::{Answer, ApiError, Call, answer};
use crate::item::{Item, size};
use crate::journal::Event;
use crate::streams::Streams;

/// The largest item, in bytes.
const LARGEST: usize = 400 * 1024;

/// The kinds of writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Put,
    Update,
    Delete,
    /// Writes nothing: a transaction's ConditionCheck.
    Check,
}

/// The members of all writes' requests.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WriteRequest {
    pub(super) table_name: String,
    item: Option<Item>,
    key: Option<Item>,
    condition_expression: Option<String>,
    pub(super) update_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<Item>,
    expected: Option<BTreeMap<String, Expected>>,
    conditional_operator: Option<ConditionalOperator>,
    attribute_updates: Option<BTreeMap<String, AttributeUpdate>>,
    #[serde(default)]
    return_values: ReturnValues,
    #[serde(default)]
    return_values_on_condition_check_failure: ReturnOnFailure,
    #[serde(default)]
    return_consumed_capacity: ReturnCapacity,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ReturnValues {
    #[default]
    None,
    AllOld,
    UpdatedOld,
    AllNew,
    UpdatedNew,
}

/// ReturnValuesOnConditionCheckFailure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ReturnOnFailure {
    #[default]
    None,
    AllOld,
}

/// A write that is ready to be decided.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) key: ItemKey,
    /// The key attributes.
    pub(super) attributes: Item,
    condition: Option<Condition>,
    action: Action,
    returns: ReturnValues,
    shows_item_on_failure: bool,
}

#[derive(Debug)]
enum Action {
    Put(Item),
    Update(Update),
    Delete,
    Check,
}

/// Why a write is not carried out.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Its condition does not hold.
    Condition,
    /// It cannot be carried out on this item.
    Invalid(ApiError),
}

/// Refuses an item that is too large to be put.
pub(super) fn check_size(item: &Item) -> Result<(), ApiError> {
    if size::item(item) > LARGEST {
        return Err(ApiError::validation("Item size has exceeded the maximum allowed size"));
    }
    Ok(())
}

impl Write {
    pub(super) fn new(kind: Kind, mut request: WriteRequest, table: &Table) -> Result<Self, ApiError> {
        let allowed = match kind {
            Kind::Update => true,
            _ => matches!(request.return_values, ReturnValues::None | ReturnValues::AllOld),
        };
        if !allowed {
            return Err(ApiError::validation("Return values set to invalid value"));
        }
        let (condition, update) = request.expressions(kind)?;
        let given = if kind == Kind::Put { request.item.take() } else { request.key.take() };
        let mut given = given.ok_or_else(|| request::missing(if kind == Kind::Put { "item" } else { "key" }))?;
        request::check(&mut given)?;
        let key = if kind == Kind::Put { table.keys.place_item(&given)? } else { table.keys.place_key(&given)? };
        if let Some(path) = update.paths().find(|path| table.keys.contain(path.attribute())) {
            let rule = "One or more parameter values were invalid: Cannot update attribute";
            return Err(ApiError::validation(format!("{rule} {}. This attribute is part of the key", path.attribute())));
        }
        let attributes = table.keys.of(&given);
        let action = match kind {
            Kind::Put => {
                check_size(&given)?;
                Action::Put(given)
            }
            Kind::Update => Action::Update(update),
            Kind::Delete => Action::Delete,
            Kind::Check => Action::Check,
        };
        let shows_item_on_failure = request.return_values_on_condition_check_failure == ReturnOnFailure::AllOld;
        Ok(Self { key, attributes, condition, action, returns: request.return_values, shows_item_on_failure })
    }

    /// What the write makes of an item; `None` for no item. `interfered` is whether somebody else is said to have written in between, which
    /// matters to conditional writes alone.
    pub(super) fn outcome(&self, old: Option<&Item>, interfered: bool) -> Result<Option<Item>, Refusal> {
        let nothing = Item::new();
        if let Some(condition) = &self.condition
            && (interfered || !condition.holds(old.unwrap_or(&nothing)))
        {
            return Err(Refusal::Condition);
        }
        match &self.action {
            Action::Put(item) => Ok(Some(item.clone())),
            Action::Delete => Ok(None),
            Action::Check => Ok(old.cloned()),
            Action::Update(update) => {
                let new = update.apply(old, &self.attributes).map_err(Refusal::Invalid)?;
                if size::item(&new) > LARGEST {
                    return Err(Refusal::Invalid(ApiError::validation("Item size to update has exceeded the maximum allowed size")));
                }
                Ok(Some(new))
            }
        }
    }

    /// The item that a refusal shows, if it was asked to.
    pub(super) fn shown_on_failure<'a>(&self, old: Option<&'a Item>) -> Option<&'a Item> {
        old.filter(|_| self.shows_item_on_failure)
    }

    /// The attributes that the request wants back.
    fn returned(&self, old: Option<&Item>, new: Option<&Item>) -> Option<Item> {
        let updated = |item: Option<&Item>| match &self.action {
            Action::Update(update) => Some(project(item?, &update.paths().cloned().collect::<Vec<Path>>())),
            _ => None,
        };
        let returned = match self.returns {
            ReturnValues::None => None,
            ReturnValues::AllOld => old.cloned(),
            ReturnValues::AllNew => new.cloned(),
            ReturnValues::UpdatedOld => updated(old),
            ReturnValues::UpdatedNew => updated(new),
        };
        returned.filter(|item| !item.is_empty())
    }
}

impl WriteRequest {
    /// The condition and the update, from expressions or from what came before them.
    fn expressions(&mut self, kind: Kind) -> Result<(Option<Condition>, Update), ApiError> {
        let names = self.expression_attribute_names.take();
        let values = self.expression_attribute_values.take();
        let new = [("UpdateExpression", self.update_expression.is_some()), ("ConditionExpression", self.condition_expression.is_some())];
        let old = [("AttributeUpdates", self.attribute_updates.is_some()), ("Expected", self.expected.is_some())];
        if let (Some((old, _)), Some((new, _))) = (old.iter().find(|(_, given)| *given), new.iter().find(|(_, given)| *given)) {
            return Err(mixed(old, new));
        }
        if self.conditional_operator.is_some() && self.expected.is_none() {
            return Err(ApiError::validation("ConditionalOperator cannot be used without Filter or Expected"));
        }
        if kind == Kind::Check && self.condition_expression.is_none() {
            return Err(request::missing("conditionExpression"));
        }
        let mut placeholders = Placeholders::new(names, values, new.iter().any(|(_, given)| *given))?;
        let update = match (&self.update_expression, self.attribute_updates.take()) {
            (Some(text), _) => placeholders.update(text)?,
            (None, updates) => legacy::update(updates.unwrap_or_default())?,
        };
        let condition = match (&self.condition_expression, self.expected.take()) {
            (Some(text), _) => Some(placeholders.condition(text)?),
            (None, expected) => legacy::condition(expected.unwrap_or_default(), self.conditional_operator.unwrap_or_default())?,
        };
        placeholders.all_used()?;
        Ok((condition, update))
    }
}

impl Tables {
    /// PutItem, UpdateItem, DeleteItem.
    pub(super) fn write(&mut self, kind: Kind, streams: &mut Streams, call: &Call<'_>) -> Answer {
        let request: WriteRequest = request::read(call)?;
        let capacity = request.return_consumed_capacity;
        let table = self.active(&request.table_name, call.now)?;
        let write = Write::new(kind, request, table)?;
        let old = table.get(&write.key);
        let new = match write.outcome(old, call.quirks.condition_fails) {
            Ok(new) => new,
            Err(Refusal::Invalid(error)) => return Err(error),
            Err(Refusal::Condition) => {
                if !matches!(write.outcome(old, false), Err(Refusal::Condition)) {
                    call.quirks.bite("condition_fails");
                }
                call.record(Event::ConditionFailed { table: table.name.clone(), key: write.attributes.clone() });
                let mut error = ApiError::new("ConditionalCheckFailedException", "The conditional request failed");
                error.details.extend(write.shown_on_failure(old).map(|item| ("Item".to_owned(), json!(item))));
                return Err(error);
            }
        };
        let mut output = Map::new();
        output.extend(write.returned(old, new.as_ref()).map(|item| ("Attributes".to_owned(), json!(item))));
        let units = write_units(old.map_or(0, size::item).max(new.as_ref().map_or(0, size::item)));
        output.extend(capacity.consumed(&table.name, units).map(|consumed| ("ConsumedCapacity".to_owned(), consumed)));
        let mut effects = Effects { streams, journal: call.journal, now: call.now, worker: call.worker };
        table.write(&mut effects, write.key, new, false);
        answer(&Value::Object(output))
    }
}
