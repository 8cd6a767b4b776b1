//! The capture stage: one shard's reader on scripted responses, and the whole stage on a stream that splits, trims and vanishes, with
//! real leases in the embedded DynamoDB and a real lake in a folder.

#[cfg_attr(
    not(feature = "embedded"),
    allow(dead_code, reason = "some faults serve the tests of the whole stage only, which need the embedded DynamoDB")
)]
pub(crate) mod model;
mod reader;
#[cfg(feature = "embedded")]
mod silent;
#[cfg(feature = "embedded")]
mod stage;
#[cfg(feature = "embedded")]
mod workers;
#[cfg(feature = "embedded")]
mod world;
