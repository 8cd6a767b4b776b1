//! The integration tests: one binary, a module per behaviour.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[cfg(feature = "embedded")]
mod crash;
mod local;
#[cfg_attr(not(feature = "embedded"), allow(dead_code, reason = "parts serve the crash tests only, which need the embedded DynamoDB"))]
mod support;
