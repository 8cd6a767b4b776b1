//! headwater replicates a DynamoDB table into a data lake, change by change, and can prove that the lake equals the table.
//!
//! # The path of a change
//!
//! ```text
//! table ──stream──▶ stream::reader ──page──▶ capture ──event──▶ route ──▶ lake object
//!                        ▲                                        ├─────▶ Firehose record ──▶ S3
//!                        │                                        └─────▶ Kinesis record
//!                   stream::lineage ◀── lease::table ◀─ checkpoint ◀─ Progress::Durable
//!
//! Kinesis ─────────▶ stream::reader ──page──▶ deliver ──event──▶ route ──▶ lake object, or Firehose record
//! ```
//!
//! There are two stages, in one process or in two, and one [`consumer`] of leased shards serves both; [`capture`] and [`deliver`] say what it reads
//! and how a page becomes events. A page of GetRecords is parsed in one streaming pass that borrows from the response ([`event::decode`]), each record
//! is flattened by the table's columns ([`event::flatten`]) and encoded once, by the writer that the [`route`] opened for the shard. The writer says
//! up to where changes are durable; only that is checkpointed ([`lease`]).
//!
//! # What always holds
//!
//! - **durable-before-checkpoint**: a checkpoint never passes a record that is not committed to the lake, acknowledged by Kinesis or Firehose, or
//!   stored in quarantine ([`route::Progress`], [`route::outbox`]).
//! - **item-order**: the changes of one item keep the order of the stream: one task reads a shard, in order ([`consumer`]), and a record that Kinesis
//!   did not take holds back the later ones of its key ([`route::kinesis`]).
//! - **parent-first**: a shard is read after its parents ([`stream::lineage`]).
//! - **one-writer**: every write to a lease is conditional on what the holder last saw ([`lease::table`]).
//! - **land-once**: an object is named after the position that its run starts behind and is created only if absent ([`lake::commit`]).
//! - **no-silent-loss**: what cannot be read, decoded or sent is recorded and visible ([`lease::gap`], [`lake::quarantine`], [`lake::claims`]).
//! - **exact-values**: both images can be rebuilt from the flat event ([`event::restore`]), and the event from its line ([`event::parse`]).
//! - **honest-lag**: lag is measured to durability and advances when a shard is seen to be drained ([`consumer`]).
//! - **bounded**: buffers share one budget ([`route::budget`]), pages in memory are counted ([`consumer`]).
//!
//! # Reading order
//!
//! [`event`] and [`contract`] (pure), [`lake`], [`route`], [`stream`], [`lease`], [`consumer`], [`capture`], [`deliver`], and [`pipeline`], the only
//! place that joins them. [`notify`] tells people of what needs them, [`ops`] how the service is, and [`redrive`] sends back what is in quarantine;
//! [`query`] reads the lake with SQL and verifies it against the table; [`init`] creates what is missing on AWS; [`embedded`] is a DynamoDB in this
//! process, with an order generator. [`cli`] has a file for each command. Arrows point down: `cli → ops → pipeline → {capture, deliver, notify,
//! redrive} → consumer → {route, lease, stream} → {lake, event, contract}`.

#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "sql")]
pub mod query;

pub mod aws;
pub mod capture;
pub mod cli;
pub mod clock;
pub mod config;
pub mod consumer;
pub mod contract;
pub mod deliver;
mod digest;
pub mod event;
pub mod histogram;
pub mod init;
pub mod lake;
pub mod lease;
pub mod mutant;
pub mod notify;
pub mod ops;
pub mod pipeline;
pub mod redrive;
pub mod retry;
pub mod route;
pub mod shutdown;
pub mod snapshot;
pub mod stream;
pub mod table;
