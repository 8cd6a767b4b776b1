//! `headwater contract`.

/// Arguments of `headwater contract`.
#[derive(Debug, clap::Args)]
pub struct Args {}
