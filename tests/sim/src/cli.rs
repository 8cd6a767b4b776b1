//! The command line: one file a command.

use clap::{Parser, Subcommand};

mod load;
mod serve;

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
}

impl Cli {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Serve(serve) => serve.run().await,
            Command::Ceiling(measure) => measure.run(),
        }
    }
}
