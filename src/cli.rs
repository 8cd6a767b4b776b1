//! The command line: one file per command.

pub mod config;
pub mod contract;
#[cfg(all(feature = "embedded", feature = "sql"))]
pub mod demo;
#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "embedded")]
pub mod generate;
pub mod health;
pub mod init;
mod log;
#[cfg(feature = "sql")]
pub mod query;
pub mod redrive;
pub mod run;
pub mod snapshot;
pub mod source;
pub mod status;
#[cfg(feature = "sql")]
pub mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tracing::level_filters::LevelFilter;

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
    #[cfg(all(feature = "embedded", feature = "sql"))]
    Demo(demo::Args),
    /// Create what headwater.toml needs and is not there: the table's stream, lease tables, Kinesis stream, bucket, delivery stream.
    Init(init::Args),
    /// Replicate the table of headwater.toml until SIGTERM or ctrl-c.
    Run(run::Args),
    /// Replay the table, or a part of it, into the lake while replication goes on.
    Snapshot(snapshot::Args),
    /// Ask the `headwater run` beside it whether it is ready: for a container's health check.
    Health(health::Args),
    /// Send records back from quarantine into the route, in order; or list them, or set them aside.
    Redrive(redrive::Args),
    /// Show the stream, its shards, leases, lag, gaps and snapshots.
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
    /// 1: the command worked, and what it checked does not hold (the lake differs, the contract has errors, something is not set up, a snapshot was
    /// cancelled, the service is not ready).
    Differs,
    /// 2: the command line, the configuration or the contract is wrong. Clap uses the same code.
    Usage,
    /// 3: a service, the lake or the table refused or could not be reached.
    Failed,
    /// 4: shutdown did not finish within its deadline, and what was not durable is read again at the next start; or waiting for a snapshot was
    /// stopped.
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
    let Cli { globals, command } = Cli::parse();
    log::init(&globals, command.default_level());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("start the runtime")).into(),
    };
    let exit = runtime.block_on(command.run(&globals)).unwrap_or_else(|error| fail(&error));
    // Whatever still runs after its command returned was given up: it must not hold the process.
    runtime.shutdown_background();
    exit.into()
}

impl Command {
    /// Long-running commands tell what they do; the others only what goes wrong.
    const fn default_level(&self) -> LevelFilter {
        match self {
            Self::Run(_) => LevelFilter::INFO,
            #[cfg(feature = "embedded")]
            Self::Embedded(_) => LevelFilter::INFO,
            Self::Snapshot(args) if args.waits() => LevelFilter::INFO,
            Self::Redrive(args) if args.sends() => LevelFilter::INFO,
            _ => LevelFilter::WARN,
        }
    }

    async fn run(self, globals: &Globals) -> anyhow::Result<Exit> {
        match self {
            #[cfg(all(feature = "embedded", feature = "sql"))]
            Self::Demo(args) => Box::pin(demo::run(args, globals)).await,
            Self::Init(args) => init::run(args, globals).await,
            Self::Run(args) => run::run(args, globals).await,
            Self::Snapshot(args) => snapshot::run(args, globals).await,
            Self::Health(args) => health::run(args).await,
            Self::Redrive(args) => Box::pin(redrive::run(args, globals)).await,
            Self::Status(args) => status::run(args, globals).await,
            #[cfg(feature = "sql")]
            Self::Query(args) => query::run(args, globals).await,
            #[cfg(feature = "sql")]
            Self::Verify(args) => verify::run(args, globals).await,
            #[cfg(feature = "embedded")]
            Self::Generate(args) => generate::run(args, globals).await,
            #[cfg(feature = "embedded")]
            Self::Embedded(args) => embedded::run(args, globals).await,
            Self::Contract(args) => contract::run(args, globals).await,
            Self::Config(args) => config::run(&args, globals),
        }
    }
}

/// Prints an error with its causes and gives the exit code for it.
fn fail(error: &anyhow::Error) -> Exit {
    print_error(error.as_ref());
    Exit::Failed
}

/// Prints what is wrong with the configuration or the contract.
#[expect(clippy::unnecessary_wraps, reason = "commands return it as their result")]
fn usage(error: &dyn std::error::Error) -> anyhow::Result<Exit> {
    print_error(error);
    Ok(Exit::Usage)
}

fn print_error(error: &dyn std::error::Error) {
    let mut said = error.to_string();
    let mut text = format!("error: {said}");
    let mut cause = error.source();
    while let Some(error) = cause {
        // Some errors of the HTTP stack repeat what their cause says.
        let level = error.to_string();
        if !said.ends_with(&level) {
            text.push_str("\n  caused by: ");
            text.push_str(&level);
            said = level;
        }
        cause = error.source();
    }
    log::bars().suspend(|| eprintln!("{text}"));
}

/// Whether progress may be drawn: standard error is a terminal and nobody asked for log lines.
fn is_interactive(globals: &Globals) -> bool {
    globals.log_format.is_none() && std::io::IsTerminal::is_terminal(&std::io::stderr())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
