//! The integration tests, in one binary: each of several would link everything again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, and says where")]

mod lake;
