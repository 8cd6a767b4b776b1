//! `headwater-sim corpus`.

use std::path::PathBuf;

use crate::runner::corpus;

/// Arguments of `corpus`.
#[derive(Debug, clap::Args)]
pub(super) struct CorpusArgs {
    /// The folder, which has a folder for each fuzz program.
    #[arg(long, default_value = "tests/hostile/corpus")]
    into: PathBuf,
    /// The history that is played.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Writes the corpus.
pub(super) fn write(args: &CorpusArgs) -> anyhow::Result<()> {
    corpus::write(args.seed, &args.into)
}
