//! The integration tests: one binary, because each of several would link everything again; a module per behaviour.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod capture;
#[cfg(feature = "embedded")]
mod embedded;
mod lake;
