//! The command line: one file per command.

pub mod config;
pub mod contract;
#[cfg(feature = "embedded")]
pub mod demo;
#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "embedded")]
pub mod generate;
#[cfg(feature = "sql")]
pub mod query;
pub mod run;
pub mod status;
#[cfg(feature = "sql")]
pub mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// Replicates a DynamoDB table into a data lake, change by change, and proves that the lake equals the table.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, clap::Args)]
pub struct Globals {
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub output: Output,
    /// How log lines are written: for people, or one JSON object a line. By default JSON unless standard error is a terminal.
    #[arg(long, global = true, value_enum)]
    pub log_format: Option<LogFormat>,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// Tables and sentences for people.
    #[default]
    Text,
    /// One JSON document for machines.
    Json,
    /// Comma-separated values, where the result is rows.
    Csv,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything at once in this process: embedded DynamoDB, generated orders, lake in ./lake, SQL, verify.
    #[cfg(feature = "embedded")]
    Demo(demo::Args),
    /// Replicate the table of headwater.toml until SIGTERM or ctrl-c.
    Run(run::Args),
    /// Show the stream, its shards, leases, lag and gaps.
    Status(status::Args),
    /// SQL over the lake: the views changes, snapshots and current.
    #[cfg(feature = "sql")]
    Query(query::Args),
    /// Compare the table with the lake, row by row.
    #[cfg(feature = "sql")]
    Verify(verify::Args),
    /// Write realistic sales-order traffic into a table.
    #[cfg(feature = "embedded")]
    Generate(generate::Args),
    /// Serve the embedded DynamoDB over HTTP, for trying things out without AWS.
    #[cfg(feature = "embedded")]
    Embedded(embedded::Args),
    /// Work with data contracts.
    Contract(contract::Args),
    /// Work with headwater.toml.
    Config(config::Args),
}

/// How a command ended, as the process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done, and what was checked holds.
    Success,
    /// 1: the command worked, and what it checked does not hold (the lake differs, the contract has errors).
    Differs,
    /// 2: the command line, the configuration or the contract is wrong. Clap uses the same code.
    Usage,
    /// 3: a service, the lake or the table refused or could not be reached.
    Failed,
    /// 4: shutdown did not finish within its deadline; what was not durable is read again at the next start.
    Unfinished,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Differs => 1,
            Exit::Usage => 2,
            Exit::Failed => 3,
            Exit::Unfinished => 4,
        })
    }
}

/// Parses the command line, runs the command, prints its error if it has one.
pub fn main() -> ExitCode {
    let _ = Cli::parse();
    ExitCode::SUCCESS
}
