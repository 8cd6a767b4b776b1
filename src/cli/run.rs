//! `headwater run`.

/// Arguments of `headwater run`.
#[derive(Debug, clap::Args)]
pub struct Args {}
