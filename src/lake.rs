//! The lake.

pub mod columns;
