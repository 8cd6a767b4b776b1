//! The tables' behaviour, call by call. What expressions mean is tested where they are read.

mod conditional;
mod items;
mod pages;
mod tables;
mod transactions;

use serde_json::{Value, json};

use crate::call::{ApiError, Call, Quirks};
use crate::item::Item;
use crate::journal::{Event, Journal};
use crate::streams::Streams;

use super::Tables;

/// An account with one table, `orders`, of which `p` (S) and `s` (N) are the keys.
pub(super) struct Account {
    pub(super) tables: Tables,
    pub(super) streams: Streams,
    pub(super) journal: Journal,
    pub(super) now: i64,
    pub(super) quirks: Quirks,
}

pub(super) fn account() -> Account {
    let mut account = Account {
        tables: Tables::default(),
        streams: Streams::default(),
        journal: Journal::keeping(),
        now: 1_800_000_000_000,
        quirks: Quirks::default(),
    };
    account.ok("CreateTable", creation("orders"));
    account
}

pub(super) fn creation(table: &str) -> Value {
    json!({
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{ "AttributeName": "p", "AttributeType": "S" }, { "AttributeName": "s", "AttributeType": "N" }],
        "KeySchema": [{ "AttributeName": "p", "KeyType": "HASH" }, { "AttributeName": "s", "KeyType": "RANGE" }],
    })
}

impl Account {
    pub(super) fn call(&mut self, operation: &str, body: &[u8]) -> Result<Value, ApiError> {
        let call = Call { worker: "w1", now: self.now, operation, body, quirks: &self.quirks, journal: &self.journal };
        self.tables.call(&mut self.streams, &call).map(|answer| serde_json::from_slice(&answer).unwrap())
    }

    /// The answer of a call that succeeds. The table is `orders` unless the request names another.
    #[track_caller]
    pub(super) fn ok(&mut self, operation: &str, request: Value) -> Value {
        let body = on_orders(operation, request);
        self.call(operation, body.as_bytes()).unwrap_or_else(|error| panic!("{operation} {body}: {error}"))
    }

    /// The error of a call that fails.
    #[track_caller]
    pub(super) fn error(&mut self, operation: &str, request: Value) -> ApiError {
        let body = on_orders(operation, request);
        match self.call(operation, body.as_bytes()) {
            Err(error) => error,
            Ok(answer) => panic!("{operation} {body}: {answer}"),
        }
    }

    #[track_caller]
    pub(super) fn message(&mut self, operation: &str, request: Value) -> String {
        let error = self.error(operation, request);
        assert_eq!((error.code, error.status), ("ValidationException", 400), "{error}");
        error.message
    }

    /// The events of the journal from the given one on.
    pub(super) fn events(&self, since: usize) -> Vec<Event> {
        self.journal.since(since).into_iter().map(|entry| entry.event).collect()
    }

    /// What a table holds, as JSON.
    pub(super) fn items(&self, table: &str) -> Value {
        json!(self.tables.items(table).unwrap().collect::<Vec<&Item>>())
    }
}

fn on_orders(operation: &str, mut request: Value) -> String {
    let named = operation.starts_with("Batch") || operation.starts_with("Transact") || operation == "ListTables";
    if let Value::Object(members) = &mut request
        && !named
    {
        members.entry("TableName").or_insert_with(|| json!("orders"));
    }
    request.to_string()
}

/// A key of the table.
pub(super) fn key(p: &str, s: i64) -> Value {
    json!({ "p": { "S": p }, "s": { "N": s.to_string() } })
}

/// An item of the table with one more attribute.
pub(super) fn item(p: &str, s: i64, name: &str, value: Value) -> Value {
    let mut item = key(p, s);
    item[name] = value;
    item
}

pub(super) fn n(number: i64) -> Value {
    json!({ "N": number.to_string() })
}
