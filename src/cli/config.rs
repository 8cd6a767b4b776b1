//! `headwater config`.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Exit, Globals, Output};
use crate::config;

/// A configuration with every key, its default and its meaning.
pub const EXAMPLE: &str = include_str!("../config/example.toml");

/// Arguments of `headwater config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Validate a configuration and show the settings that follow from it.
    Check {
        /// The configuration.
        #[arg(long, default_value = "headwater.toml")]
        config: PathBuf,
    },
    /// Print a configuration with every key, its default and its meaning.
    Example,
}

/// Runs `headwater config`.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<Exit> {
    let path = match &args.action {
        Action::Check { config } => config,
        Action::Example => {
            print!("{EXAMPLE}");
            return Ok(Exit::Success);
        }
    };
    let settings = match config::load(path) {
        Ok(settings) => settings,
        Err(error) => return super::usage(&error),
    };
    if globals.output == Output::Json {
        let lake = settings.lake.location.to_string();
        println!("{}", serde_json::json!({ "table": settings.table.name, "lake": lake, "leases": settings.lease.application }));
    } else {
        println!("{} is valid", path.display());
        println!("  table     {}", settings.table.name);
        if let Some(contract) = &settings.table.contract {
            println!("  contract  {}", contract.display());
        }
        println!("  lake      {} ({:?})", settings.lake.location, settings.lake.format);
        println!("  leases    {}", settings.lease.application);
    }
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_states_the_defaults() {
        let folder = std::path::Path::new(".");
        let minimal = config::parse("[table]\nname = \"sales_orders\"", folder).unwrap();
        let mut example = config::parse(EXAMPLE, folder).unwrap();
        // The one key of the example that is no default.
        assert!(example.table.contract.take().is_some());
        assert_eq!(example, minimal);
    }
}
