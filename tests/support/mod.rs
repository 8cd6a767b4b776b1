//! What the tests stand on: the built command as a child process, an independent reader of lakes and of streams, and services
//! that are fetched when a test first asks for them.

pub(crate) mod aws;
pub(crate) mod bucket;
pub(crate) mod cloudformation;
pub(crate) mod duckdb;
pub(crate) mod dynamodb_local;
pub(crate) mod exports;
pub(crate) mod kinesis_agg;
pub(crate) mod kinesis_local;
pub(crate) mod kinesis_stream;
pub(crate) mod lake;
pub(crate) mod moto;
pub(crate) mod process;
pub(crate) mod site;
pub(crate) mod sqlglot;
pub(crate) mod stand_ins;
pub(crate) mod stream;
pub(crate) mod table;
pub(crate) mod tools;
mod wait;

pub(crate) use wait::wait_until;
