//! `headwater generate`.

/// Arguments of `headwater generate`.
#[derive(Debug, clap::Args)]
pub struct Args {}
