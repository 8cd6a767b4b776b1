//! The lake and its route, on every kind of store.

mod bench;
mod bucket;
mod conformance;
mod failures;
mod histories;
mod pacing;
mod pressure;
pub(crate) mod s3;
mod snapshots;
