//! `headwater verify`: the table against the lake, row by row.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use indicatif::{ProgressBar, ProgressStyle};

use super::query::Place;
use super::{Exit, Globals, Output, log};
use crate::query::verify::{Example, Kind, Report, VerifyOptions, VerifyProgress, verify};

/// Arguments of `headwater verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// How long keys that differ are read again, because the lake lags behind, before they count as differing.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    deadline: Duration,
    /// How many differing keys are shown.
    #[arg(long, value_name = "N", default_value_t = VerifyOptions::default().examples)]
    examples: usize,
    /// Where digests of all rows are kept meanwhile, about 100 bytes for each; by default the system's temporary directory.
    #[arg(long, value_name = "PATH")]
    spill: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(args: Args, globals: &Globals) -> anyhow::Result<Exit> {
    let Args { place, deadline, examples, spill } = args;
    let (lake, table) = match place.resolve() {
        Ok(place) => place,
        Err(error) => return super::usage(&error),
    };
    let session = super::query::open(&lake, &table).await?;
    let dynamo = Client::new(&crate::aws::sdk_config().await);
    let options = VerifyOptions { deadline, examples, spill_directory: spill, ..VerifyOptions::default() };

    let bar = if super::is_interactive(globals) { log::bars().add(ProgressBar::new(0)) } else { ProgressBar::hidden() };
    let outcome = verify(&dynamo, &session, options, |progress| show(&bar, progress)).await;
    bar.finish_and_clear();
    let report = outcome?;

    match globals.output {
        Output::Text => print!("{}", text(&report)),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
        Output::Csv => print!("{}", csv(&report)),
    }
    Ok(if report.equal() { Exit::Success } else { Exit::Differs })
}

/// Shows progress on a terminal; elsewhere the bar draws nothing.
fn show(bar: &ProgressBar, progress: VerifyProgress) {
    let (message, done, of) = match progress {
        VerifyProgress::Table { rows, about } => ("scanning the table".to_owned(), rows, about),
        VerifyProgress::Lake { rows, about } => ("reading the lake".to_owned(), rows, about),
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

/// The report for people. The last line says whether the lake equals the table.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    let lines = [
        ("matched", report.matched, "the same in the table and in the lake"),
        ("missing", report.missing, "in the table, not in the lake"),
        ("extra", report.extra, "in the lake, not in the table"),
        ("different", report.different, "in both, with different attributes"),
        ("re-checked", report.rechecked, "differed at first and were read again"),
    ];
    for (name, count, meaning) in lines {
        let _ = writeln!(out, "{name:<10} {count:>12}  {meaning}");
    }
    if !report.examples.is_empty() {
        out.push('\n');
    }
    for example in &report.examples {
        let _ = writeln!(out, "{:<10} {}{}", name(example.kind), key(example), columns(example));
    }
    out.push_str(if report.equal() { "lake equals table\n" } else { "lake differs from table\n" });
    out
}

/// The differing keys as rows.
fn csv(report: &Report) -> String {
    let mut out = String::from("kind,key,columns\n");
    for example in &report.examples {
        let _ = writeln!(out, "{},\"{}\",{}", name(example.kind), key(example).replace('"', "\"\""), example.columns.join(" "));
    }
    out
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Missing => "missing",
        Kind::Extra => "extra",
        Kind::Different => "different",
    }
}

fn key(example: &Example) -> String {
    example.key.iter().map(|(column, text)| format!("{column}={text}")).collect::<Vec<_>>().join(" ")
}

fn columns(example: &Example) -> String {
    if example.columns.is_empty() { String::new() } else { format!(": {}", example.columns.join(", ")) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_equal_lake_ends_with_the_sentence() {
        let report = Report { matched: 12, rechecked: 1, ..Report::default() };
        insta::assert_snapshot!(text(&report), @r"
        matched              12  the same in the table and in the lake
        missing               0  in the table, not in the lake
        extra                 0  in the lake, not in the table
        different             0  in both, with different attributes
        re-checked            1  differed at first and were read again
        lake equals table
        ");
    }

    #[test]
    fn differences_are_shown_by_key_and_column() {
        let key = BTreeMap::from([("order_id".to_owned(), "o-1".to_owned())]);
        let different = Example { kind: Kind::Different, key: key.clone(), columns: vec!["price".into(), "address.zip".into()] };
        let missing = Example { kind: Kind::Missing, key, columns: Vec::new() };
        let report = Report { missing: 1, different: 1, rechecked: 2, examples: vec![different, missing], ..Report::default() };
        let text = text(&report);
        let end = "\ndifferent  order_id=o-1: price, address.zip\nmissing    order_id=o-1\nlake differs from table\n";
        assert!(text.ends_with(end), "{text}");
    }
}
