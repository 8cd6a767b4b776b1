//! `headwater verify`.

/// Arguments of `headwater verify`.
#[derive(Debug, clap::Args)]
pub struct Args {}
