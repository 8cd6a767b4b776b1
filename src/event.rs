//! The flat change event, from the bytes of a GetRecords page to a row of the lake.
//!
//! A record is decoded once ([`decode`]), flattened once ([`flatten`]) and encoded once ([`encode`], or the Parquet writer of
//! [`crate::lake`]); what reads lines takes them back into events by the same schema ([`parse`]). Everything here is pure: no I/O, no clock. The rule that holds throughout is *exact-values*: from an event and
//! its [`TableSchema`](crate::contract::TableSchema) both images can be rebuilt exactly ([`restore`]).

mod cell;
mod compare;
pub mod decode;
pub mod encode;
pub(crate) mod fault;
pub mod flatten;
mod instant;
mod json;
pub mod number;
pub mod parse;
mod plain_json;
mod position;
pub mod restore;
mod sequence;
mod shard;
mod typed_json;
mod value;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use position::{InvalidPosition, Position};
pub use sequence::{InvalidSequence, SequenceNumber};
pub use shard::ShardId;
pub use typed_json::{item_from_json, write_typed_item, write_typed_json};
pub use value::{AttributeType, Item, Value};

/// What a change did to its item (`cdc_op`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The item came into being.
    Insert,
    /// An existing item changed.
    Modify,
    /// The item was deleted, by a user or by TTL.
    Remove,
    /// A row of a table snapshot.
    Snapshot,
}

impl Operation {
    /// The text in the `cdc_op` column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Modify => "MODIFY",
            Self::Remove => "REMOVE",
            Self::Snapshot => "SNAPSHOT",
        }
    }
}

/// One record of a DynamoDB stream, decoded but not yet flattened. Borrows from the page it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamRecord<'a> {
    /// The stream's `eventID`.
    pub event_id: Cow<'a, str>,
    /// INSERT, MODIFY or REMOVE.
    pub operation: Operation,
    /// Position within the shard.
    pub sequence: SequenceNumber,
    /// `ApproximateCreationDateTime` in whole seconds since the epoch (AWS floors it to the second).
    pub created: i64,
    /// The item's primary key.
    pub keys: Item<'a>,
    /// The item after the change; absent on REMOVE.
    pub new_image: Option<Item<'a>>,
    /// The item before the change; absent on INSERT.
    pub old_image: Option<Item<'a>>,
    /// A REMOVE made by TTL: `userIdentity` is DynamoDB itself.
    pub ttl_delete: bool,
}

impl StreamRecord<'_> {
    /// The record as DynamoDB Streams spells it, without the members that carry no change: what quarantine keeps of a record that decodes
    /// but is no event. [`decode::parse_record`] reads it back.
    pub fn to_json(&self) -> String {
        let image = |name: &str, image: &Option<Item<'_>>, out: &mut String| {
            if let Some(image) = image {
                out.push_str(name);
                typed_json::write_typed_item(image, out);
            }
        };
        let mut out = format!(
            r#"{{"eventID":{},"eventName":"{}","dynamodb":{{"ApproximateCreationDateTime":{},"SequenceNumber":"{}","Keys":"#,
            serde_json::Value::from(self.event_id.as_ref()),
            self.operation.as_str(),
            self.created,
            self.sequence,
        );
        typed_json::write_typed_item(&self.keys, &mut out);
        image(",\"NewImage\":", &self.new_image, &mut out);
        image(",\"OldImage\":", &self.old_image, &mut out);
        out.push('}');
        if self.ttl_delete {
            out.push_str(r#","userIdentity":{"Type":"Service","PrincipalId":"dynamodb.amazonaws.com"}"#);
        }
        out.push('}');
        out
    }
}

/// One flat change: the metadata columns, the key columns and the two sides. What the encoders take.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeEvent<'a> {
    /// `cdc_event_id`.
    pub event_id: Cow<'a, str>,
    /// `cdc_op`.
    pub operation: Operation,
    /// `cdc_sequence`.
    pub sequence: SequenceNumber,
    /// `cdc_time`, seconds since the epoch.
    pub time: i64,
    /// `cdc_shard`: the shard of the table's stream that the change was read from.
    pub shard: Cow<'a, str>,
    /// `cdc_snapshot_id`, on snapshot rows.
    pub snapshot_id: Option<Cow<'a, str>>,
    /// `cdc_ttl_delete`.
    pub ttl_delete: bool,
    /// `cdc_changed`: top-level attributes that differ between the images, sorted.
    pub changed: Vec<Cow<'a, str>>,
    /// Key columns as text, in the order of [`TableSchema::keys`](crate::contract::TableSchema::keys).
    pub keys: Vec<Cow<'a, str>>,
    /// The item's columns from the new image; `None` on REMOVE.
    pub new: Option<Side<'a>>,
    /// The `old_` columns from the old image; `None` on INSERT.
    pub old: Option<Side<'a>>,
}

/// One image, flattened.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Side<'a> {
    /// One cell for each of [`TableSchema::columns`](crate::contract::TableSchema::columns), in that order.
    pub cells: Vec<Cell<'a>>,
    /// What no column holds, as typed DynamoDB JSON: a partial item that is merged over the columns when rebuilding.
    pub extra: Option<String>,
    /// How many attributes were named by the contract but did not fit their column (they are in `extra`).
    pub misfits: u32,
}

/// The value of one column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// Absent, or kept in `extra` because it does not fit.
    Null,
    /// Text, base64 of a binary, or JSON text, as the column's type says.
    Text(Cow<'a, str>),
    /// A 64-bit integer.
    Int(i64),
    /// A decimal, unscaled: the column's type holds the scale.
    Decimal(i128),
    /// A boolean.
    Bool(bool),
    /// Microseconds since the epoch, UTC.
    Timestamp(i64),
}
