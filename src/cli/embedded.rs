//! `headwater embedded`.

/// Arguments of `headwater embedded`.
#[derive(Debug, clap::Args)]
pub struct Args {}
