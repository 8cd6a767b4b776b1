//! The capture stage: one shard's reader on scripted responses, and the whole stage on a stream that splits, trims and vanishes, with
//! real leases in the embedded DynamoDB and a real lake in a folder.

mod model;
mod reader;
#[cfg(feature = "embedded")]
mod stage;
