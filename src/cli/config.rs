//! `headwater config`.

/// Arguments of `headwater config`.
#[derive(Debug, clap::Args)]
pub struct Args {}
