//! DynamoDB: tables, items, conditional writes.
//!
//! Every call is decided and carried out on its own, so a condition holds exactly as long as it takes to write. What differs from AWS:
//! reads are strongly consistent, whether they ask for it or not, nothing is throttled, and batches are processed whole, unless a fault says
//! otherwise; item counts and sizes are exact; there are no secondary indexes, no PartiQL and no backups.

mod admin;
mod batch;
mod expiry;
mod expression;
mod key;
mod legacy;
mod pages;
mod past;
mod read;
mod request;
mod table;
mod transact;
mod write;

use std::collections::BTreeMap;

use crate::call::{Answer, ApiError, Call};
use crate::item::Item;
use crate::journal::Journal;
use crate::streams::Streams;
use table::{Effects, Table, name_in};
use write::Kind;

/// The tables of one account.
#[derive(Debug)]
pub struct Tables {
    /// How many shards a new stream begins with.
    pub partitions: usize,
    /// How long a new table cannot be used yet, in milliseconds.
    pub creation: i64,
    by_name: BTreeMap<String, Table>,
    tokens: transact::Tokens,
}

impl Default for Tables {
    fn default() -> Self {
        Self { partitions: 1, creation: 0, by_name: BTreeMap::new(), tokens: transact::Tokens::default() }
    }
}

impl Tables {
    /// Answers a call of the DynamoDB API.
    pub fn call(&mut self, streams: &mut Streams, call: &Call<'_>) -> Answer {
        match call.operation {
            "GetItem" => self.get_item(call),
            "PutItem" => self.write(Kind::Put, streams, call),
            "UpdateItem" => self.write(Kind::Update, streams, call),
            "DeleteItem" => self.write(Kind::Delete, streams, call),
            "Query" => self.query(call),
            "Scan" => self.scan(call),
            "BatchGetItem" => self.batch_get_item(call),
            "BatchWriteItem" => self.batch_write_item(streams, call),
            "TransactGetItems" => self.transact_get_items(call),
            "TransactWriteItems" => self.transact_write_items(streams, call),
            "CreateTable" => self.create_table(streams, call),
            "DescribeTable" => self.describe_table(call),
            "ListTables" => self.list_tables(call),
            "UpdateTable" => self.update_table(streams, call),
            "DeleteTable" => self.delete_table(streams, call),
            "DescribeTimeToLive" => self.describe_time_to_live(call),
            "UpdateTimeToLive" => self.update_time_to_live(call),
            "DescribeContinuousBackups" => self.describe_continuous_backups(call),
            other => Err(ApiError::new("UnknownOperationException", format!("An unknown operation was requested: {other}"))),
        }
    }

    /// A table's items in the order of a scan; `None` when there is no such table.
    pub fn items(&self, table: &str) -> Option<impl Iterator<Item = &Item>> {
        Some(self.by_name.get(table)?.items.values().map(|stored| &stored.item))
    }

    /// Puts an item, as nobody in particular.
    pub fn put(&mut self, streams: &mut Streams, table: &str, mut item: Item, now: i64, journal: &Journal) -> Result<(), ApiError> {
        let table = self.existing(table)?;
        request::check(&mut item)?;
        let key = table.keys.place_item(&item)?;
        write::check_size(&item)?;
        table.write(&mut Effects { streams, journal, now, worker: "" }, key, Some(item), false);
        Ok(())
    }

    /// Deletes an item, as nobody in particular. `key` holds the key attributes.
    pub fn delete(&mut self, streams: &mut Streams, table: &str, key: &Item, now: i64, journal: &Journal) -> Result<(), ApiError> {
        let table = self.existing(table)?;
        let mut key = key.clone();
        request::check(&mut key)?;
        let key = table.keys.place_key(&key)?;
        table.write(&mut Effects { streams, journal, now, worker: "" }, key, None, false);
        Ok(())
    }

    /// A table, by its name or ARN.
    fn existing(&mut self, name: &str) -> Result<&mut Table, ApiError> {
        let name = name_in(name);
        self.by_name.get_mut(name).ok_or_else(|| ApiError::not_found(format!("Requested resource not found: Table: {name} not found")))
    }

    /// A table that can be used.
    fn active(&mut self, name: &str, now: i64) -> Result<&mut Table, ApiError> {
        match self.existing(name) {
            Ok(table) if now >= table.active_from => Ok(table),
            _ => Err(ApiError::not_found("Requested resource not found")),
        }
    }
}

#[cfg(test)]
mod tests;
