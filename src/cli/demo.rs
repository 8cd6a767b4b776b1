//! `headwater demo`.

/// Arguments of `headwater demo`.
#[derive(Debug, clap::Args)]
pub struct Args {}
