//! `headwater config`.

use clap::Subcommand;

use super::source::ConfigArgs;
use super::{Exit, Globals, Output};

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
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Print a configuration with every key, its default and its meaning.
    Example,
}

/// Runs `headwater config`.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<Exit> {
    let source = match &args.action {
        Action::Check { config } => config.source(),
        Action::Example => {
            print!("{EXAMPLE}");
            return Ok(Exit::Success);
        }
    };
    let settings = match source.load() {
        Ok(settings) => settings,
        Err(error) => return super::usage(&error),
    };
    if globals.output == Output::Json {
        let lake = settings.lake.location.to_string();
        println!("{}", serde_json::json!({ "table": settings.table.name, "lake": lake, "leases": settings.lease.application }));
    } else {
        println!("{source} is valid");
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
    use crate::config;

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
