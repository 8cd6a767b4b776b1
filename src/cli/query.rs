//! `headwater query`.

/// Arguments of `headwater query`.
#[derive(Debug, clap::Args)]
pub struct Args {}
