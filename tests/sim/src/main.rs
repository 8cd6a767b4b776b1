//! The simulator's command line.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    headwater_sim::cli::Cli::parse().run().unwrap_or_else(|error| {
        eprintln!("headwater-sim: {error:#}");
        ExitCode::FAILURE
    })
}
