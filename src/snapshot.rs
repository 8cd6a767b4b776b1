//! Snapshots: the table, or a part of it, replayed through the route while capture goes on.
//!
//! # What holds
//!
//! A snapshot's rows have the operation SNAPSHOT, the sequence number zero and the snapshot's start as their time. The start is DynamoDB's own time
//! less a margin, taken before the first row is read and after the stream's position is secured by leases; so every change made from then on is in
//! the stream, lies above the rows, and brings whatever the scan saw too early or too late to its last state. The marker comes last, when every row
//! is where the route leads. A snapshot without its marker changes nothing that `current` shows.
//!
//! # Who does the work
//!
//! [`start`] writes a request into the lease table. Every worker of the capture stage runs a [`runner`], which begins what is requested,
//! takes leases on segments, and completes a snapshot when its last segment is done. A segment is read page by page ([`source`]), and
//! checkpointed behind what its writer calls durable, like a shard (`segment`). What is read is a scan or a query (`scan`), or a list of keys (`keys`).
//!
//! # What is bounded
//!
//! A process reads `snapshot.at_once` segments at a time and keeps one page of each; what waits in their writers counts in the memory budget of the
//! route. The pace keeps to a read budget (`budget`), and everything that needs no I/O to be decided is decided in `plan`.

mod budget;
mod counters;
pub mod export;
mod keys;
mod page;
pub mod plan;
mod reader;
mod request;
mod row;
pub mod runner;
mod scan;
mod segment;
pub mod source;
mod sources;

pub use counters::{Counters, Totals};
pub use reader::TableReader;
pub use request::{SnapshotError, SnapshotProgress, cancel, start, start_for_keys};
pub use runner::Runner;
