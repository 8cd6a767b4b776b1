//! The contract: an Open Data Contract Standard document that says what an item looks like.
//!
//! [`schema`] holds what the rest of the program uses, a [`TableSchema`]: the key columns and the item's columns in lake order.
//! It is derived from a document, or, without one, from the table's keys alone. Pure: reading files is the caller's.

mod schema;

pub use schema::{Column, ColumnType, ContractId, KeyColumn, TableSchema, TimestampFormat, snake_case};
