//! `headwater init`.

use std::fmt::Write as _;
use std::time::Duration;

use indicatif::ProgressBar;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::source::ConfigArgs;
use super::{Exit, Globals, Output};
use crate::aws;
use crate::init::plan::{Resource, State};
use crate::init::{Endpoints, Entry, Plan, plan};

/// How often the line on a terminal is redrawn.
const REDRAW: Duration = Duration::from_millis(100);

const HELP: &str = "\
What is there stays as it is, and a second run finds nothing to do. The one thing that is changed is a Kinesis stream's record size: it is \
raised where kinesis.large_records is \"raise\". The table itself is never created. The lease table is created even where \
lease.create_table is false: that is about `headwater run`, whose credentials may be allowed less.

Exit codes:
  0  everything is there as it should be
  1  with --dry-run: something is missing or differs; without it: something is left to you, as told
  2  the configuration is wrong
  3  a service refused or could not be reached: mend it and run this again to go on";

/// Arguments of `headwater init`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Creates what is missing.
pub async fn run(args: Args, globals: &Globals) -> anyhow::Result<Exit> {
    let settings = match args.config.load() {
        Ok(settings) => settings,
        Err(error) => return super::usage(&error),
    };
    let sdk = aws::sdk_config().await;
    let endpoints = Endpoints::new(&settings, &sdk, CancellationToken::new())?;
    let plan = plan(&settings, &endpoints.look(&settings).await?);
    let changes = !args.dry_run && !plan.is_blocked();
    let mut rows = Vec::new();
    let mut failed = None;
    for entry in &plan.entries {
        let mut row = Row::planned(entry);
        if changes {
            let waiting = show(entry, globals);
            let outcome = endpoints.carry_out(entry).await;
            if let Some(line) = waiting {
                line.finish_and_clear();
            }
            match outcome {
                Ok(()) => row.carried_out(entry),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if globals.output != Output::Json {
            print!("{}", row.text(name_width(&plan)));
        }
        rows.push(row);
    }
    if globals.output == Output::Json {
        println!("{}", serde_json::to_string_pretty(&Report { dry_run: args.dry_run, resources: rows })?);
    } else if failed.is_none()
        && let Some(summary) = summary(&plan, args.dry_run)
    {
        println!("\n{summary}");
    }
    if let Some(error) = failed {
        return Err(error.into());
    }
    let left = |entry: &Entry| matches!(entry.state, State::Differs { .. });
    let done = plan.is_done() || (changes && !plan.entries.iter().any(left));
    Ok(if done { Exit::Success } else { Exit::Differs })
}

/// On a terminal, a line for as long as a resource is made or waited for.
fn show(entry: &Entry, globals: &Globals) -> Option<ProgressBar> {
    let waits = matches!(entry.state, State::Unready | State::Missing { .. } | State::Outdated { .. });
    (waits && super::is_interactive(globals)).then(|| {
        let line = super::log::bars().add(ProgressBar::new_spinner());
        line.set_message(format!("{} {}", entry.resource, entry.name));
        line.enable_steady_tick(REDRAW);
        line
    })
}

fn summary(plan: &Plan, dry_run: bool) -> Option<&'static str> {
    match (plan.is_blocked(), plan.is_done()) {
        (true, _) => Some("nothing was changed: do first what is said where it says blocked"),
        (false, true) => Some("everything is there"),
        (false, false) => dry_run.then_some("nothing was changed: this is what `headwater init` finds and would do"),
    }
}

fn name_width(plan: &Plan) -> usize {
    plan.entries.iter().map(|entry| entry.name.len()).max().unwrap_or_default()
}

#[derive(Debug, Serialize)]
struct Report {
    dry_run: bool,
    resources: Vec<Row>,
}

/// One resource, as it is shown.
#[derive(Debug, Serialize)]
struct Row {
    resource: Resource,
    name: String,
    /// How it stood.
    state: &'static str,
    /// What was done; absent when nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<&'static str>,
    /// What is found, what is to be done or what was done, what to know: sentences in that order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<String>,
}

impl Row {
    fn planned(entry: &Entry) -> Self {
        let details = match &entry.state {
            State::Exists => Vec::new(),
            State::Unready => vec!["is not usable yet: it is waited for".to_owned()],
            State::Missing { step, note } => {
                let note = note.map(|note| format!("note: {note}"));
                [format!("will be {} {step}", step.done())].into_iter().chain(note).collect()
            }
            State::Outdated { what, step } => vec![what.clone(), format!("will be {} {step}", step.done())],
            State::Differs { what, advice } | State::Blocked { what, advice } => vec![what.clone(), format!("to do: {advice}")],
        };
        Self { resource: entry.resource, name: entry.name.clone(), state: entry.state.word(), done: None, details }
    }

    fn carried_out(&mut self, entry: &Entry) {
        match &entry.state {
            State::Exists | State::Differs { .. } | State::Blocked { .. } => {}
            State::Unready => {
                self.done = Some("ready");
                self.details.clear();
            }
            State::Missing { step, note } => {
                self.done = Some(step.done());
                self.details = [step.to_string()].into_iter().chain(note.map(|note| format!("note: {note}"))).collect();
            }
            State::Outdated { step, .. } => {
                self.done = Some(step.done());
                self.details = vec![step.to_string()];
            }
        }
    }

    /// One line, and one more for each further sentence.
    fn text(&self, width: usize) -> String {
        let mut details = self.details.iter();
        let first = details.next().map_or("", String::as_str);
        let word = self.done.unwrap_or(self.state);
        let head = format!("{word:9}{:17}{:width$}  {first}", self.resource, self.name);
        let mut text = format!("{}\n", head.trim_end());
        for detail in details {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{:indent$}{detail}", "", indent = 9 + 17 + width + 2);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Settings, parse};
    use crate::init::Seen;
    use crate::init::seen::{KinesisStatus, SeenKinesis, SeenLeases, SeenTable};
    use crate::stream::View;

    const EVERYTHING: &str = r#"
        [table]
        name = "sales_orders"
        [route]
        kind = "kinesis"
        [kinesis]
        stream = "changes"
        large_records = "raise"
        shards = 2
        [firehose]
        delivery_stream = "changes-to-s3"
        role_arn = "arn:aws:iam::111122223333:role/firehose"
        [deliver]
        target = "lake"
        [lake]
        url = "s3://sales-lake/raw"
    "#;

    fn settings() -> Settings {
        parse(EVERYTHING, Path::new(".")).unwrap()
    }

    fn shown(seen: &Seen, done: bool) -> String {
        let plan = plan(&settings(), seen);
        let row = |entry| {
            let mut row = Row::planned(entry);
            if done {
                row.carried_out(entry);
            }
            row.text(name_width(&plan))
        };
        let mut text: String = plan.entries.iter().map(row).collect();
        if let Some(summary) = summary(&plan, !done) {
            text.push('\n');
            text.push_str(summary);
        }
        text
    }

    fn half_done() -> Seen {
        Seen {
            table: Some(SeenTable::Disabled),
            leases: Some(SeenLeases { keys: vec!["leaseKey".to_owned()], ready: false }),
            kinesis: Some(SeenKinesis {
                status: KinesisStatus::Active,
                on_demand: false,
                open_shards: 4,
                record_kib: 1024,
                ignores_keys: false,
            }),
            bucket: true,
            ..Seen::default()
        }
    }

    #[test]
    fn a_dry_run_says_what_is_missing_and_what_would_be_done() {
        let seen = Seen { table: Some(SeenTable::NoStream), ..Seen::default() };
        insta::assert_snapshot!(shown(&seen, false), @r"
        missing  table stream     sales_orders                    will be enabled with the view type NEW_AND_OLD_IMAGES
        missing  lease table      headwater-sales_orders          will be created with on-demand billing
        missing  lease table      headwater-sales_orders-deliver  will be created with on-demand billing
        missing  Kinesis stream   changes                         will be created with 2 shards, records up to 10240 KiB
        missing  bucket           sales-lake                      will be created with the account's defaults
        missing  delivery stream  changes-to-s3                   will be created with Kinesis stream changes as its source, objects of 5 MiB or 60 s in s3://sales-lake/raw/sales_orders/firehose

        nothing was changed: this is what `headwater init` finds and would do
        ");
    }

    #[test]
    fn a_dry_run_says_what_differs_and_what_to_do_about_it() {
        insta::assert_snapshot!(shown(&half_done(), false), @r"
        missing  table stream     sales_orders                    will be enabled with the view type NEW_AND_OLD_IMAGES
                                                                  note: an earlier stream is disabled: what it still holds can be read for 24 hours after that
        unready  lease table      headwater-sales_orders          is not usable yet: it is waited for
        missing  lease table      headwater-sales_orders-deliver  will be created with on-demand billing
        differs  Kinesis stream   changes                         has 4 open shards, and kinesis.shards is 2
                                                                  to do: correct kinesis.shards, or change the stream (UpdateShardCount)
        differs  Kinesis stream   changes                         takes records up to 1024 KiB
                                                                  will be changed to take records up to 10240 KiB
        exists   bucket           sales-lake
        missing  delivery stream  changes-to-s3                   will be created with Kinesis stream changes as its source, objects of 5 MiB or 60 s in s3://sales-lake/raw/sales_orders/firehose
                                                                  note: it begins at the end of the Kinesis stream, which is there already: changes that are in it now are not delivered

        nothing was changed: this is what `headwater init` finds and would do
        ");
    }

    #[test]
    fn what_was_done_is_said_in_the_past() {
        insta::assert_snapshot!(shown(&half_done(), true), @r"
        enabled  table stream     sales_orders                    with the view type NEW_AND_OLD_IMAGES
                                                                  note: an earlier stream is disabled: what it still holds can be read for 24 hours after that
        ready    lease table      headwater-sales_orders
        created  lease table      headwater-sales_orders-deliver  with on-demand billing
        differs  Kinesis stream   changes                         has 4 open shards, and kinesis.shards is 2
                                                                  to do: correct kinesis.shards, or change the stream (UpdateShardCount)
        changed  Kinesis stream   changes                         to take records up to 10240 KiB
        exists   bucket           sales-lake
        created  delivery stream  changes-to-s3                   with Kinesis stream changes as its source, objects of 5 MiB or 60 s in s3://sales-lake/raw/sales_orders/firehose
                                                                  note: it begins at the end of the Kinesis stream, which is there already: changes that are in it now are not delivered
        ");
    }

    #[test]
    fn without_the_table_nothing_is_done() {
        let blocked = shown(&Seen::default(), false);
        assert!(blocked.starts_with("blocked  table stream     sales_orders"), "{blocked}");
        assert!(blocked.contains("to do: create it") && blocked.ends_with("where it says blocked"), "{blocked}");
    }

    #[test]
    fn machines_get_the_same_in_fields() {
        let seen = Seen { table: Some(SeenTable::Stream { view: View::NewAndOldImages, ready: true }), ..Seen::default() };
        let plan = plan(&settings(), &seen);
        let rows: Vec<Row> = plan.entries[..2].iter().map(Row::planned).collect();
        insta::assert_snapshot!(serde_json::to_string_pretty(&Report { dry_run: true, resources: rows }).unwrap(), @r#"
        {
          "dry_run": true,
          "resources": [
            {
              "resource": "table-stream",
              "name": "sales_orders",
              "state": "exists"
            },
            {
              "resource": "lease-table",
              "name": "headwater-sales_orders",
              "state": "missing",
              "details": [
                "will be created with on-demand billing"
              ]
            }
          ]
        }
        "#);
    }
}
