//! The simulator's integration tests: one binary, because each of several would link everything again; a module per matter.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[cfg(feature = "runner")]
mod account;
mod boto3;
mod conformance;
#[cfg(feature = "runner")]
mod invariants;
#[cfg(feature = "runner")]
mod lease_cost;
#[cfg(feature = "runner")]
mod logs;
#[cfg(feature = "runner")]
mod mutants;
mod simulator;
#[cfg(feature = "runner")]
mod takeover;
#[cfg(feature = "runner")]
mod target_down;

#[expect(dead_code, reason = "the settings for child processes serve the main package's tests")]
#[path = "../../support/aws.rs"]
mod aws;
#[path = "../../support/dynamodb_local.rs"]
mod dynamodb_local;
#[path = "../../support/tools.rs"]
mod tools;
#[path = "../../support/wait.rs"]
mod wait;

use wait::wait_until;
