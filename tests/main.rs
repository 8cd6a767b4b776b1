//! The integration tests: one binary, because each of several would link everything again; a module per behaviour.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod capture;
#[cfg(feature = "embedded")]
mod crash;
mod deploy;
#[cfg(feature = "embedded")]
mod embedded;
mod export;
mod health;
mod hostile;
mod kinesis;
mod lake;
mod local;
#[cfg(feature = "embedded")]
mod notify;
mod quarantine;
#[cfg(feature = "sql")]
mod query;
#[cfg(feature = "embedded")]
mod snapshot;
#[cfg(all(feature = "embedded", feature = "sql"))]
mod stack;
#[cfg_attr(not(feature = "embedded"), allow(dead_code, reason = "parts serve the crash tests only, which need the embedded DynamoDB"))]
mod support;
