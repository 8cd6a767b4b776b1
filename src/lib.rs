//! headwater replicates a DynamoDB table into a data lake, change by change, and can prove that the lake equals the table.
//!
//! # The path of a change
//!
//! ```text
//! table ──stream──▶ stream::reader ──page──▶ event::decode ──record──▶ event::flatten ──event──▶ route ──rows──▶ lake object
//!                        ▲                                                                         │
//!                        │                                                                         ▼
//!                   stream::lineage ◀── lease::table ◀──────────────── checkpoint ◀────────── Progress::Durable
//! ```
//!
//! [`capture`] holds a lease for each shard that it reads. A page of GetRecords is parsed in one streaming pass that borrows from the
//! response ([`event::decode`]), each record is flattened by the table's columns ([`event::flatten`]) and encoded once, by the writer that
//! the [`route`] opened for the shard. The writer says up to where changes are durable; only that is checkpointed ([`lease`]).
//!
//! # What always holds
//!
//! - **durable-before-checkpoint**: a checkpoint never passes a record that is not committed to the lake or stored in quarantine
//!   ([`route::Progress`]).
//! - **item-order**: the changes of one item keep the order of the stream: one task reads a shard, in order ([`capture`]).
//! - **parent-first**: a shard is read after its parents ([`stream::lineage`]).
//! - **one-writer**: every write to a lease is conditional on what the holder last saw ([`lease::table`]).
//! - **land-once**: an object is named after the position that its run starts behind and is created only if absent ([`lake::commit`]).
//! - **no-silent-loss**: what cannot be read or decoded is recorded and visible ([`lease::gap`], [`lake::quarantine`]).
//! - **exact-values**: both images can be rebuilt from the flat event ([`event::restore`]).
//! - **honest-lag**: lag is measured to durability and advances when a shard is seen to be drained ([`capture`]).
//! - **bounded**: buffers share one budget ([`route::budget`]), pages in memory are counted ([`capture`]).
//!
//! # Reading order
//!
//! [`event`] and [`contract`] (pure), [`lake`], [`route`], [`stream`], [`lease`], [`capture`], and [`pipeline`], the only place that joins
//! them. [`query`] reads the lake with SQL and verifies it against the table; [`embedded`] is a DynamoDB in this process, with an order
//! generator; [`init`] creates what a configuration needs on its endpoints. [`cli`] has a file for each command. Arrows point down:
//! `cli → pipeline → capture → {route, lease, stream} → {lake, event, contract}`.

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
pub mod event;
pub mod init;
pub mod lake;
pub mod lease;
pub mod mutant;
pub mod pipeline;
pub mod retry;
pub mod route;
pub mod shutdown;
pub mod stream;
