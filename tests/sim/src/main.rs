//! The simulator's command line.

use std::process::ExitCode;

use clap::Parser;

// One thread: all services stand behind one lock, and an answer costs less than waking another thread.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match headwater_sim::cli::Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("headwater-sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}
