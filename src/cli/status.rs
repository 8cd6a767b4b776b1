//! `headwater status`.

/// Arguments of `headwater status`.
#[derive(Debug, clap::Args)]
pub struct Args {}
