//! A simulator of the services that headwater talks to, at their worst, and the proof of headwater's invariants on it.
//!
//! One [`cloud::Cloud`] holds the models of DynamoDB, DynamoDB Streams, Kinesis, Firehose and S3 behind one lock, on one [`clock::Clock`] that
//! a test can move, and writes everything that happens into one [`journal::Journal`]. A call is bytes of JSON in and bytes of JSON out
//! ([`call`]), so the models know nothing of HTTP.
//!
//! # Reading order
//!
//! - the models: [`item`] and [`dynamodb`], [`sequence`] and [`streams`], [`kinesis`], [`firehose`], [`buckets`];
//! - the network face: [`server`] speaks HTTP/1.1 on one port, [`faults`] decides what goes wrong with which call, [`s3`] speaks S3's protocol,
//!   [`control`] is the simulator's own interface under `/_sim/`;
//! - [`load`]: a stream of any length at a speed that bounds no client;
//! - with the feature `runner`: `runner` draws a history from a seed and plays the service through it, `check` judges the journal.
//!
//! Nothing here looks at the machine's clock or at global randomness, so the same calls get the same answers; the figures of [`load`] alone are
//! measured in real time.

pub mod buckets;
pub mod call;
#[cfg(feature = "runner")]
pub mod check;
pub mod cli;
pub mod clock;
pub mod cloud;
pub mod control;
pub mod dynamodb;
mod encoding;
pub mod faults;
pub mod firehose;
pub mod item;
pub mod journal;
pub mod kinesis;
pub mod load;
#[cfg(feature = "runner")]
pub mod runner;
pub mod s3;
pub mod sequence;
pub mod server;
pub mod streams;
