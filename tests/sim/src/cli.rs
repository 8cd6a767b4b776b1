//! The command line: one file a command.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

#[cfg(feature = "runner")]
mod corpus;
mod load;
mod serve;
#[cfg(feature = "runner")]
mod soak;

/// Behaves on the wire like DynamoDB, DynamoDB Streams, Kinesis, Firehose and S3 at their worst.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Ceiling(load::Measure),
    /// Plays seeded histories against the service and checks its invariants.
    #[cfg(feature = "runner")]
    Soak(soak::SoakArgs),
    /// Plays the history of one seed and prints what happened.
    #[cfg(feature = "runner")]
    Replay(soak::ReplayArgs),
    /// Writes what fuzz programs begin with.
    #[cfg(feature = "runner")]
    Corpus(corpus::CorpusArgs),
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(serve) => one_thread()?.block_on(serve.run()).map(|()| ExitCode::SUCCESS),
            Command::Ceiling(measure) => measure.run().map(|()| ExitCode::SUCCESS),
            #[cfg(feature = "runner")]
            Command::Soak(args) => soak::soak(&args),
            #[cfg(feature = "runner")]
            Command::Replay(args) => soak::replay(&args),
            #[cfg(feature = "runner")]
            Command::Corpus(args) => corpus::write(&args).map(|()| ExitCode::SUCCESS),
        }
    }
}

/// One thread: all services stand behind one lock, and an answer costs less than waking another thread.
fn one_thread() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")
}
