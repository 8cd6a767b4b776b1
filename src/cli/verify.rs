//! `headwater verify`: the table against the lake, row by row.

mod print;
mod repair;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_dynamodb::Client;
use indicatif::{ProgressBar, ProgressStyle};

pub use self::print::text;
use super::query::Place;
use super::{Exit, Globals, Output, log};
use crate::query::verify::{SampleSize, Scope, VerifyOptions, VerifyProgress, verify};

/// Compares the table with the lake, item by item, and exits with 0 if nothing differs and with 1 if something does.
///
/// By default everything is compared: the whole table is scanned consistently, which consumes one read capacity unit for each 4 KB. For a daily check
/// there is less: --since-snapshot reads only the items that changed, --sample draws some by lot, and together they compare the keys of either.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Compare only the keys that the lake heard of since the start of its latest complete snapshot of the whole table.
    ///
    /// Each of them is read from the table by BatchGetItem; the rest of the table costs nothing. What did not change since is taken from the snapshot
    /// on trust, and a change that the lake never heard of is not found: add --sample 1% to look for those.
    #[arg(long)]
    since_snapshot: bool,
    /// Compare keys drawn by lot: a number of them, or a part of the table such as 1%.
    ///
    /// So many items of random segments of the table are looked for in the lake, and so many random rows of the lake in the table. If nothing differs,
    /// less than 3 keys of n differ for keys from n segments, at 95 % confidence; a segment has about four items. 12,000 keys prove that less than one of
    /// a thousand differs. At most a million
    /// keys are drawn on each side. DynamoDB Local, which has no segments, is read whole.
    #[arg(long, value_name = "N|P%")]
    sample: Option<SampleSize>,
    /// Ask for a snapshot of just the keys that differ, which brings the lake to what the table has.
    ///
    /// A running `headwater run` takes it; `headwater snapshot status` shows how far it is. The exit code stays 1, because the lake differed. Lake and
    /// table are those of the configuration, for it also says where requests are put.
    #[arg(long, conflicts_with_all = ["lake", "table"])]
    repair: bool,
    /// How long keys that differ are read again, because the lake lags behind, before they count as differing.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    deadline: Duration,
    /// How many differing keys are shown, and with which attributes; in JSON and CSV all are listed, up to 100,000, and so many with their attributes.
    #[arg(long, value_name = "N", default_value_t = VerifyOptions::default().examples)]
    examples: usize,
    /// Where digests of all rows are kept meanwhile, about 100 bytes for each; by default the system's temporary directory.
    #[arg(long, value_name = "PATH")]
    spill: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(args: Args, globals: &Globals) -> anyhow::Result<Exit> {
    let Args { place, since_snapshot, sample, repair, deadline, examples, spill } = args;
    let (lake, table) = match place.resolve() {
        Ok(place) => place,
        Err(error) => return super::usage(&error),
    };
    // Read before the long work: what cannot be repaired in the end should be said in the beginning.
    let settings = match repair.then(|| place.settings()).transpose() {
        Ok(settings) => settings,
        Err(error) => return super::usage(&error),
    };
    let session = super::query::open(&lake, &table).await?;
    let dynamo = Client::new(&crate::aws::sdk_config().await);
    let scope = Scope { since_snapshot, sample };
    let options = VerifyOptions { scope, deadline, examples, spill_directory: spill, ..VerifyOptions::default() };

    let bar = if super::is_interactive(globals) { log::bars().add(ProgressBar::new(0)) } else { ProgressBar::hidden() };
    let outcome = verify(&dynamo, &session, options, |progress| show(&bar, progress)).await;
    bar.finish_and_clear();
    let mut report = outcome?;
    let requested = match settings {
        Some(settings) if !report.equal() => repair::request(&settings, &report.keys(session.schema())).await.map(Some),
        _ => Ok(None),
    };
    // The report is printed whatever became of the repair.
    report.repair = requested.as_ref().ok().cloned().flatten();
    match globals.output {
        Output::Text => print!("{}", text(&report)),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
        Output::Csv => {
            print!("{}", print::csv(&report));
            if let Some(snapshot) = &report.repair {
                eprintln!("snapshot {snapshot} was asked for, to repair what differs");
            }
        }
    }
    requested.context("ask for a snapshot of the keys that differ")?;
    Ok(if report.equal() { Exit::Success } else { Exit::Differs })
}

/// Shows progress on a terminal; elsewhere the bar draws nothing.
fn show(bar: &ProgressBar, progress: VerifyProgress) {
    let (message, done, of) = match progress {
        VerifyProgress::Table { rows, about } => ("scanning the table".to_owned(), rows, about),
        VerifyProgress::Lake { rows, about } => ("reading the lake".to_owned(), rows, about),
        VerifyProgress::Changed { keys } => ("comparing what changed".to_owned(), keys, keys),
        VerifyProgress::Compare => ("comparing".to_owned(), 1, 1),
        VerifyProgress::Recheck { open, left } => (format!("re-checking {open} keys, {} s left", left.as_secs()), 0, open),
    };
    if bar.message() != message {
        let template = "{spinner} {msg} {wide_bar} {human_pos}/{human_len} {elapsed}";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(message);
    }
    // The table's own figure may be hours old.
    bar.set_length(of.max(done));
    bar.set_position(done);
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::Args;

    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn what_is_repaired_is_the_lake_of_the_configuration() {
        assert!(Command::try_parse_from(["verify", "--repair", "--config", "other.toml"]).unwrap().args.repair);
        for other in [["--lake", "./lake"], ["--table", "orders"]] {
            let error = Command::try_parse_from(["verify", "--repair", other[0], other[1]]).unwrap_err();
            assert!(error.to_string().contains("cannot be used with"), "{error}");
        }
    }

    #[test]
    fn a_sample_that_is_none_is_refused_with_what_is_one() {
        let error = Command::try_parse_from(["verify", "--sample", "some"]).unwrap_err();
        assert!(error.to_string().contains("a part of the table such as 1%"), "{error}");
    }
}
