//! `headwater run`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use tokio_util::sync::CancellationToken;

use super::source::ConfigArgs;
use super::{Exit, Globals, Output};
use crate::clock::WallClock;
use crate::config::{Settings, Stages};
use crate::ops::{Health, emf, listener};
use crate::pipeline::{Ended, Pipeline, StartError, Watch};
use crate::{aws, clock, shutdown};

/// How often progress is told in the log.
const REPORT: Duration = Duration::from_secs(30);
/// How often the line on a terminal is redrawn.
const REDRAW: Duration = Duration::from_millis(250);

/// Arguments of `headwater run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Run this stage only. By default all that are configured run in this process.
    #[arg(long, value_enum)]
    stage: Option<Stage>,
}

/// A stage of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// The table's stream into the route.
    Capture,
    /// The Kinesis stream into the lake or Firehose.
    Deliver,
}

/// Replicates until a signal comes.
pub async fn run(args: Args, globals: &Globals) -> anyhow::Result<Exit> {
    let settings = match args.config.load() {
        Ok(settings) => settings,
        Err(error) => return super::usage(&error),
    };
    let settings = match chosen(settings, args.stage) {
        Ok(settings) => settings,
        Err(error) => return super::usage(error.as_ref()),
    };
    if globals.output == Output::Json && settings.health.emf_namespace.is_some() {
        let problem = "--output json and health.emf_namespace both write to standard output, where a reader takes one of them for the other: leave \
                       one of them out";
        return super::usage(&*Box::<dyn std::error::Error>::from(problem));
    }
    let health = Health::starting(&settings);
    if let Some(listener) = listener::bind(settings.health.listen).await? {
        // It answers until the process ends.
        tokio::spawn(listener::serve(listener, Arc::clone(&health)));
    }
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
    let watch = pipeline.watch();
    health.running(watch.clone());
    tokio::spawn(told_of_shutdown(Arc::clone(&health), pipeline.stopping()));
    let stages: Vec<&str> = watch.stages.iter().map(|stage| stage.name).collect();
    tracing::info!(table = settings.table.name, lake = %settings.lake.location, stages = stages.join(", "), "replicating");
    let finished = CancellationToken::new();
    let report = {
        let (watch, finished) = (watch.clone(), finished.clone());
        let on_terminal = super::is_interactive(globals);
        tokio::spawn(async move { report(on_terminal, &finished, &watch).await })
    };
    let metrics = settings.health.emf_namespace.clone().map(|namespace| tokio::spawn(emf::report(health, namespace, finished.clone())));
    let ended = pipeline.run(stop).await;
    finished.cancel();
    report.await.context("report progress")?;
    if let Some(metrics) = metrics {
        metrics.await.context("write the last metrics")?;
    }
    log_progress(&watch, "stopped");
    if globals.output == Output::Json {
        let stages = watch.stages.iter().map(|stage| (stage.name.to_owned(), stage.counters.totals().records.into()));
        let landed = watch.lake.counters().read();
        let stages = serde_json::Value::Object(stages.collect());
        println!("{}", serde_json::json!({ "changes": stages, "landed": landed.rows, "objects": landed.objects }));
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

/// The shutdown has begun, because of a signal or because a stage failed.
async fn told_of_shutdown(health: Arc<Health>, stopping: CancellationToken) {
    stopping.cancelled().await;
    health.stopping();
}

/// The settings with the one stage that was asked for.
fn chosen(settings: Settings, stage: Option<Stage>) -> Result<Settings, Box<dyn std::error::Error + Send + Sync>> {
    let stages = match stage {
        None => return Ok(settings),
        Some(Stage::Deliver) if !settings.stages.deliver => {
            return Err("--stage deliver: the configuration has no [deliver] part".into());
        }
        Some(stage) => Stages { capture: stage == Stage::Capture, deliver: stage == Stage::Deliver },
    };
    Ok(Settings { stages, ..settings })
}

/// Shows progress: one line that is redrawn on a terminal, log lines now and then elsewhere.
async fn report(on_terminal: bool, finished: &CancellationToken, watch: &Watch) {
    let line = on_terminal.then(|| super::log::bars().add(indicatif::ProgressBar::new_spinner()));
    let mut beat = tokio::time::interval(if on_terminal { REDRAW } else { REPORT });
    beat.tick().await;
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            () = finished.cancelled() => break,
        }
        if let Some(line) = &line {
            line.set_message(summary(watch));
            line.tick();
        } else {
            log_progress(watch, "progress");
        }
    }
    if let Some(line) = line {
        line.finish_and_clear();
    }
}

/// A log line for each stage, each service that is sent to, and the lake.
fn log_progress(watch: &Watch, message: &str) {
    for stage in &watch.stages {
        let taken = stage.counters.totals();
        tracing::info!(
            stage = stage.name,
            changes = taken.records,
            newest = %clock::rfc3339(taken.newest),
            misfits = taken.misfits,
            gaps = taken.gaps,
            "{message}"
        );
    }
    for (service, sent) in &watch.sent {
        let totals = sent.totals();
        tracing::info!(
            service,
            events = totals.events,
            records = totals.records,
            bytes = totals.bytes,
            billed_units = totals.units,
            calls = totals.calls,
            retried = totals.retried,
            misplaced = totals.misplaced,
            "{message}"
        );
    }
    let landed = watch.lake.counters().read();
    tracing::info!(
        landed = landed.rows,
        objects = landed.objects,
        bytes = landed.bytes,
        claims = landed.claims,
        quarantined = landed.quarantined,
        "{message}"
    );
}

fn summary(watch: &Watch) -> String {
    let mut text = String::new();
    for stage in &watch.stages {
        let _ = write!(text, "{}: {} changes, ", stage.name, stage.counters.totals().records);
    }
    for (service, sent) in &watch.sent {
        let totals = sent.totals();
        let _ = write!(text, "{service}: {} in {} records, ", totals.events, totals.records);
    }
    let (taken, landed) = (watch.taken(), watch.lake.counters().read());
    let _ = write!(text, "lake: {} in {} objects", landed.rows, landed.objects);
    if taken.newest > 0 {
        let _ = write!(text, ", newest {}", clock::rfc3339(taken.newest));
    }
    for (count, what) in [(landed.quarantined, "in quarantine"), (taken.gaps, "gaps: see headwater status")] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    text
}
