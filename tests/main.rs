//! Behaviour of the whole program, a module per part.

#[cfg(feature = "sql")]
mod query;
