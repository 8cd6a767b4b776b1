//! One integration binary: a module per behaviour.

#[cfg(feature = "embedded")]
mod embedded;
