//! TransactWriteItems and TransactGetItems: all or nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Tables;
use super::read::GetRequest;
use super::request::{self, ReturnCapacity, read_units, write_units};
use super::table::Effects;
use super::write::{Kind, Refusal, Write, WriteRequest};
use crate::call::{Answer, ApiError, Call, answer};
use crate::item::{Item, size};
use crate::journal::Event;
use crate::streams::Streams;

/// The most actions of one transaction.
const MOST_ACTIONS: usize = 100;
/// How long a transaction is known by its token, in milliseconds.
const TOKEN_LIFE: i64 = 10 * 60 * 1000;
/// What a transactional read or write costs of a plain one.
const DOUBLE: f64 = 2.0;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TransactWriteRequest {
    transact_items: Vec<OneOf>,
    client_request_token: Option<String>,
    #[serde(default)]
    return_consumed_capacity: ReturnCapacity,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OneOf {
    condition_check: Option<WriteRequest>,
    put: Option<WriteRequest>,
    delete: Option<WriteRequest>,
    update: Option<WriteRequest>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TransactGetRequest {
    transact_items: Vec<GetOne>,
    #[serde(default)]
    return_consumed_capacity: ReturnCapacity,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetOne {
    get: GetRequest,
}

/// The transactions that were carried out under a token, so that one that is sent again takes effect once.
#[derive(Debug, Default)]
pub(super) struct Tokens(BTreeMap<String, (i64, Vec<u8>)>);

impl Tokens {
    /// Whether this very transaction was carried out before.
    fn knows(&mut self, token: &str, body: &[u8], now: i64) -> Result<bool, ApiError> {
        self.0.retain(|_, (at, _)| now - *at < TOKEN_LIFE);
        match self.0.get(token) {
            Some((_, known)) if known != body => Err(ApiError::new(
                "IdempotentParameterMismatchException",
                "The request uses the same client token as a previous, but non-identical request.",
            )),
            known => Ok(known.is_some()),
        }
    }
}

impl OneOf {
    fn into_write(self) -> Result<(Kind, WriteRequest), ApiError> {
        match (self.condition_check, self.put, self.delete, self.update) {
            (Some(request), None, None, None) => Ok((Kind::Check, request)),
            (None, Some(request), None, None) => Ok((Kind::Put, request)),
            (None, None, Some(request), None) => Ok((Kind::Delete, request)),
            // UpdateItem can do without an expression, a transaction cannot.
            (None, None, None, Some(request)) if request.update_expression.is_none() => Err(request::missing("updateExpression")),
            (None, None, None, Some(request)) => Ok((Kind::Update, request)),
            (None, None, None, None) => {
                Err(ApiError::validation("Invalid Request: TransactWriteRequest should contain Delete or Put or Update request"))
            }
            _ => Err(ApiError::validation("TransactItems can only contain one of Check, Put, Update or Delete")),
        }
    }
}

fn check_count(count: usize) -> Result<(), ApiError> {
    if (1..=MOST_ACTIONS).contains(&count) {
        return Ok(());
    }
    let rule = "failed to satisfy constraint: Member must have length";
    let bound = if count == 0 { "greater than or equal to 1".to_owned() } else { format!("less than or equal to {MOST_ACTIONS}") };
    Err(ApiError::validation(format!("1 validation error detected: Value at 'transactItems' {rule} {bound}")))
}

/// A transaction that has two actions for the same item.
fn repeated() -> ApiError {
    ApiError::validation("Transaction request cannot include multiple operations on one item")
}

/// A transaction that was cancelled, with the reason for each of its actions.
fn cancelled(reasons: &[Map<String, Value>]) -> ApiError {
    let codes: Vec<&str> = reasons.iter().filter_map(|reason| reason.get("Code").and_then(Value::as_str)).collect();
    let message = format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{}]", codes.join(", "));
    let mut error = ApiError::new("TransactionCanceledException", message);
    error.details.insert("CancellationReasons".to_owned(), json!(reasons));
    error
}

fn reason(code: &str, message: Option<&str>, item: Option<&Item>) -> Map<String, Value> {
    let mut reason = Map::from_iter([("Code".to_owned(), json!(code))]);
    reason.extend(message.map(|message| ("Message".to_owned(), json!(message))));
    reason.extend(item.map(|item| ("Item".to_owned(), json!(item))));
    reason
}

impl Tables {
    /// TransactWriteItems.
    pub(super) fn transact_write_items(&mut self, streams: &mut Streams, call: &Call<'_>) -> Answer {
        let request: TransactWriteRequest = request::read(call)?;
        check_count(request.transact_items.len())?;
        let known = match &request.client_request_token {
            Some(token) => self.tokens.knows(token, call.body, call.now)?,
            None => false,
        };
        let mut writes: Vec<(String, Write)> = Vec::new();
        let mut items = BTreeSet::new();
        for one in request.transact_items {
            let (kind, request) = one.into_write()?;
            let table = self.active(&request.table_name, call.now)?;
            let write = Write::new(kind, request, table)?;
            if !items.insert((table.name.clone(), write.key.clone())) {
                return Err(repeated());
            }
            writes.push((table.name.clone(), write));
        }
        let mut units: BTreeMap<String, f64> = BTreeMap::new();
        let (mut outcomes, mut reasons, mut refused) = (Vec::new(), Vec::new(), false);
        for (name, write) in &writes {
            let table = self.active(name, call.now)?;
            let old = table.get(&write.key);
            match write.outcome(old, call.quirks.condition_fails && !known) {
                Ok(new) => {
                    let size = old.map_or(0, size::item).max(new.as_ref().map_or(0, size::item));
                    *units.entry(name.clone()).or_default() += DOUBLE * write_units(size);
                    outcomes.push(new);
                    reasons.push(reason("None", None, None));
                }
                Err(Refusal::Condition) => {
                    refused = true;
                    if !matches!(write.outcome(old, false), Err(Refusal::Condition)) {
                        call.quirks.bite("condition_fails");
                    }
                    if !known {
                        call.record(Event::ConditionFailed { table: name.clone(), key: write.attributes.clone() });
                    }
                    reasons.push(reason("ConditionalCheckFailed", Some("The conditional request failed"), write.shown_on_failure(old)));
                }
                Err(Refusal::Invalid(error)) => {
                    refused = true;
                    reasons.push(reason("ValidationError", Some(&error.message), None));
                }
            }
        }
        if !known {
            if refused {
                return Err(cancelled(&reasons));
            }
            let mut effects = Effects { streams, journal: call.journal, now: call.now, worker: call.worker };
            for ((name, write), new) in writes.into_iter().zip(outcomes) {
                self.active(&name, call.now)?.write(&mut effects, write.key, new, false);
            }
            if let Some(token) = request.client_request_token {
                self.tokens.0.insert(token, (call.now, call.body.to_vec()));
            }
        }
        let consumed = request.return_consumed_capacity.consumed_by_table(&units);
        answer(&Value::Object(consumed.map(|consumed| ("ConsumedCapacity".to_owned(), Value::Array(consumed))).into_iter().collect()))
    }

    /// TransactGetItems.
    pub(super) fn transact_get_items(&mut self, call: &Call<'_>) -> Answer {
        let request: TransactGetRequest = request::read(call)?;
        check_count(request.transact_items.len())?;
        let (mut responses, mut units, mut items) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        for mut one in request.transact_items {
            let table = self.active(&one.get.table_name, call.now)?;
            let (key, found) = one.get.get(table, call, true)?;
            if !items.insert((table.name.clone(), key)) {
                return Err(repeated());
            }
            *units.entry(table.name.clone()).or_insert(0.0) += DOUBLE * read_units(found.size, true);
            responses.push(found.item.map_or_else(|| json!({}), |item| json!({ "Item": item })));
        }
        let mut output = json!({ "Responses": responses });
        if let Some(consumed) = request.return_consumed_capacity.consumed_by_table(&units) {
            output["ConsumedCapacity"] = Value::Array(consumed);
        }
        answer(&output)
    }
}
