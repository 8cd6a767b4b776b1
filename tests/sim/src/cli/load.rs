//! The load mode of `serve`, and `headwater-sim ceiling`.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::load::ceiling::Ceiling;
use crate::load::{Load, Profile, Settings};

/// Options that make `serve` load its clients, without faults and pauses.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load mode")]
pub(super) struct LoadOptions {
    /// Serves a table whose stream has so many shards, closed at their end, and takes in what is put into any Kinesis or Firehose stream.
    #[arg(long, requires = "records")]
    shards: Option<usize>,
    /// Records in all shards.
    #[arg(long, requires = "shards")]
    records: Option<usize>,
    /// How large the items are.
    #[arg(long, value_enum, default_value_t = Profile::Lean, requires = "shards")]
    profile: Profile,
    /// The table's name.
    #[arg(long, value_name = "NAME", default_value = "load", requires = "shards")]
    load_table: String,
    /// Draws the items and their changes.
    #[arg(long, value_name = "SEED", default_value_t = 1, requires = "shards")]
    load_seed: u64,
    /// Shards of every Kinesis stream.
    #[arg(long, default_value_t = 1, requires = "shards")]
    kinesis_shards: usize,
}

impl LoadOptions {
    /// The load that is asked for, its last record made at `now` (milliseconds since the epoch).
    pub(super) fn plan(&self, now: i64) -> anyhow::Result<Option<Arc<Load>>> {
        let (Some(shards), Some(records)) = (self.shards, self.records) else { return Ok(None) };
        let settings = Settings {
            table: self.load_table.clone(),
            seed: self.load_seed,
            kinesis_shards: self.kinesis_shards,
            ..Settings::new(shards, records, self.profile, now)
        };
        Ok(Some(Arc::new(Load::new(settings)?)))
    }

    /// The table whose stream is the load.
    pub(super) fn table(&self) -> &str {
        &self.load_table
    }
}

/// Measures what the simulator itself can do in load mode, on one thread, with a client that does next to nothing.
#[derive(Debug, Args)]
pub(super) struct Measure {
    /// Shards of the stream.
    #[arg(long, default_value_t = 4)]
    shards: usize,
    /// How large the items are.
    #[arg(long, value_enum, default_value_t = Profile::Lean)]
    profile: Profile,
    /// How long each operation is measured.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

impl Measure {
    /// Measures and prints.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let ceiling = Ceiling::measure(self.shards, self.profile, Duration::try_from_secs_f64(self.seconds)?)?;
        println!(
            "{} items, {} shards, over loopback, the server on one thread and the client on another:",
            self.profile.as_str(),
            self.shards
        );
        print!("{ceiling}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Options {
        #[command(flatten)]
        load: LoadOptions,
    }

    fn options(arguments: &str) -> Result<LoadOptions, clap::Error> {
        Options::try_parse_from(["sim"].into_iter().chain(arguments.split_whitespace())).map(|options| options.load)
    }

    #[test]
    fn a_load_has_shards_and_records() {
        let load = options("--shards 2 --records 300 --profile rich --load-table orders").unwrap().plan(1_800_000_000_000);
        let report = load.unwrap().unwrap().report();
        assert_eq!(report["load"], serde_json::json!({ "table": "orders", "shards": 2, "records": 300, "profile": "rich", "seed": 1 }));
        assert!(options("").unwrap().plan(0).unwrap().is_none(), "without shards there is no load");
        for incomplete in ["--shards 2", "--records 300", "--profile rich", "--kinesis-shards 2"] {
            assert!(options(incomplete).is_err(), "{incomplete}");
        }
        assert!(options("--shards 3 --records 2").unwrap().plan(0).is_err());
    }
}
