//! The integration tests, in one binary: each of several would link everything again.

mod lake;
#[cfg(feature = "sql")]
mod query;
