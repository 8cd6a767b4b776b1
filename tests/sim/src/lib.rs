//! A simulator of the services that headwater talks to, at their worst.
//!
//! One [`cloud::Cloud`] holds the models of DynamoDB, DynamoDB Streams, Kinesis, Firehose and S3 behind one lock, on one [`clock::Clock`] that
//! a test can move, and writes everything that happens into one [`journal::Journal`].

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
