//! `headwater run`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::{Exit, Globals, Output};
use crate::clock::WallClock;
use crate::consumer::Totals;
use crate::lake::LakeCounts;
use crate::pipeline::{Ended, Pipeline, StartError};
use crate::{aws, clock, config, shutdown};

/// How often progress is told in the log.
const REPORT: Duration = Duration::from_secs(30);
/// How often the line on a terminal is redrawn.
const REDRAW: Duration = Duration::from_millis(250);

/// Arguments of `headwater run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration.
    #[arg(long, default_value = "headwater.toml")]
    config: PathBuf,
}

/// Replicates until a signal comes.
pub async fn run(args: Args, globals: &Globals) -> anyhow::Result<Exit> {
    let settings = match config::load(&args.config) {
        Ok(settings) => settings,
        Err(error) => return super::usage(&error),
    };
    let stop = shutdown::on_signals().context("listen for signals")?;
    let sdk = aws::sdk_config().await;
    let pipeline = tokio::select! {
        built = Pipeline::build(&settings, &sdk, WallClock::system()) => match built {
            Ok(pipeline) => pipeline,
            Err(error @ (StartError::Contract(_) | StartError::ContractFile { .. })) => return super::usage(&error),
            Err(error) => return Err(error.into()),
        },
        () = stop.cancelled() => return Ok(Exit::Success),
    };
    let (counters, lake) = (pipeline.counters(), pipeline.lake());
    tracing::info!(table = settings.table.name, lake = %settings.lake.location, "replicating");
    let finished = CancellationToken::new();
    let report = {
        let (counters, lake, finished) = (counters.clone(), lake.clone(), finished.clone());
        let on_terminal = super::is_interactive(globals);
        tokio::spawn(async move { report(on_terminal, &finished, || (counters.totals(), lake.counters().read())).await })
    };
    let ended = pipeline.run(stop).await;
    finished.cancel();
    report.await.context("report progress")?;
    let (taken, written) = (counters.totals(), lake.counters().read());
    tracing::info!(
        changes = taken.records,
        objects = written.objects,
        landed = written.rows,
        quarantined = taken.quarantined,
        gaps = taken.gaps,
        "stopped"
    );
    if globals.output == Output::Json {
        println!("{}", serde_json::json!({ "changes": taken.records, "landed": written.rows, "objects": written.objects }));
    }
    match ended? {
        Ended::Clean => Ok(Exit::Success),
        Ended::Unfinished => {
            tracing::warn!(
                deadline = ?settings.shutdown_deadline,
                "the shutdown's deadline passed: what was not durable is read again at the next start"
            );
            Ok(Exit::Unfinished)
        }
    }
}

/// Shows progress: one line that is redrawn on a terminal, a log line now and then elsewhere.
async fn report(on_terminal: bool, finished: &CancellationToken, totals: impl Fn() -> (Totals, LakeCounts)) {
    let line = on_terminal.then(|| super::log::bars().add(indicatif::ProgressBar::new_spinner()));
    let mut beat = tokio::time::interval(if on_terminal { REDRAW } else { REPORT });
    beat.tick().await;
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            () = finished.cancelled() => break,
        }
        let (taken, landed) = totals();
        if let Some(line) = &line {
            line.set_message(summary(&taken, &landed));
            line.tick();
        } else {
            tracing::info!(
                changes = taken.records,
                landed = landed.rows,
                objects = landed.objects,
                bytes = landed.bytes,
                newest = %clock::rfc3339(taken.newest),
                quarantined = taken.quarantined,
                misfits = taken.misfits,
                gaps = taken.gaps,
                "progress"
            );
        }
    }
    if let Some(line) = line {
        line.finish_and_clear();
    }
}

fn summary(taken: &Totals, landed: &LakeCounts) -> String {
    let mut text = format!("{} changes read, {} landed in {} objects", taken.records, landed.rows, landed.objects);
    if taken.newest > 0 {
        let _ = write!(text, ", newest {}", clock::rfc3339(taken.newest));
    }
    for (count, what) in [(taken.quarantined, "in quarantine"), (taken.gaps, "gaps: see headwater status")] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    text
}
