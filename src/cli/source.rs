//! The option that all commands share which work with a configuration.

use std::path::PathBuf;

use crate::config::{ConfigError, Settings, Source, VARIABLE};

/// Which configuration a command works with.
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// The configuration's file. By default the text that the environment variable `HEADWATER_CONFIG` holds, or else ./headwater.toml.
    // Global so that it is understood behind the subcommands of a command too.
    #[arg(long, global = true, value_name = "PATH")]
    config: Option<PathBuf>,
}

impl ConfigArgs {
    /// Where the configuration comes from.
    pub(super) fn source(&self) -> Source {
        Source::choose(self.config.clone(), std::env::var_os(VARIABLE))
    }

    /// Reads and validates the configuration.
    pub(super) fn load(&self) -> Result<Settings, ConfigError> {
        self.source().load()
    }
}
