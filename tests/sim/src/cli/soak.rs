//! `headwater-sim soak` and `headwater-sim replay`.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::bail;
use headwater::mutant::{self, Mutant};

use crate::runner::play;
use crate::runner::scenario::{Route, Scenario};
use crate::runner::soak::{self, Soak};

/// How often progress is told.
const REPORT: Duration = Duration::from_secs(10);

/// Violations of one seed that are shown; the first ones tell most.
const SHOWN: usize = 5;

/// Arguments of `soak`.
#[derive(Debug, clap::Args)]
pub(super) struct SoakArgs {
    /// How many seeds to play.
    #[arg(long, default_value_t = 300)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Which way the changes go.
    #[arg(long, default_value = "drawn")]
    route: RouteOption,
    /// Seeds that are played at once; one for each core unless it is given.
    #[arg(long)]
    threads: Option<usize>,
    /// Go on after a violation instead of ending.
    #[arg(long)]
    keep_going: bool,
    /// A decision of the service to take wrongly, to see whether the checks find it.
    #[arg(long)]
    mutant: Option<Mutant>,
}

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub(super) struct ReplayArgs {
    /// The seed.
    #[arg(long)]
    seed: u64,
    /// Which way the changes go.
    #[arg(long, default_value = "drawn")]
    route: RouteOption,
    /// Play it up to this often, until a violation shows: the service's retries are jittered.
    #[arg(long, default_value_t = 1)]
    times: u32,
    /// What the service logs goes into the trace too, from this level on: error, warn, info, debug or trace.
    #[arg(long)]
    logs: Option<tracing::Level>,
    /// A decision of the service to take wrongly.
    #[arg(long)]
    mutant: Option<Mutant>,
}

/// Which way the changes of a history go.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum RouteOption {
    /// Straight into the lake.
    Lake,
    /// Through Kinesis.
    Kinesis,
    /// As the seed draws it.
    Drawn,
}

impl RouteOption {
    fn fixed(self) -> Option<Route> {
        match self {
            Self::Lake => Some(Route::Lake),
            Self::Kinesis => Some(Route::Kinesis),
            Self::Drawn => None,
        }
    }
}

/// The route that a seed is played on.
fn route_of(option: RouteOption, seed: u64) -> Route {
    option.fixed().unwrap_or_else(|| Route::drawn(seed))
}

/// Plays many seeds. Ends with exit code 1 when an invariant did not hold.
pub(super) fn soak(args: &SoakArgs) -> anyhow::Result<ExitCode> {
    arm(args.mutant)?;
    let begun = Instant::now();
    let mutant = args.mutant.map(|mutant| format!(" --mutant {}", mutant.name())).unwrap_or_default();
    let told = Mutex::new((begun, 0));
    let progress = |soak: &Soak| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        for (seed, violations) in &soak.failed[told.1..] {
            println!("seed {seed}:");
            for violation in violations.iter().take(SHOWN) {
                println!("  {violation}");
            }
            let route = route_of(args.route, *seed).name();
            println!("  replay: headwater-sim replay --seed {seed} --route {route}{mutant}\n");
        }
        told.1 = soak.failed.len();
        if told.0.elapsed() >= REPORT {
            told.0 = Instant::now();
            eprintln!("{} of {} seeds, {} with violations", soak.played, args.seeds, soak.failed.len());
        }
    };
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let soak = soak::soak(args.first..args.first.saturating_add(args.seeds), args.route.fixed(), threads, !args.keep_going, &progress)?;
    print!("{}", soak.coverage);
    println!("\n{} seeds in {:.1} s, {} with violations", soak.played, begun.elapsed().as_secs_f64(), soak.failed.len());
    Ok(if soak.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Plays one seed and prints what happened. Ends with exit code 1 when an invariant did not hold.
pub(super) fn replay(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    arm(args.mutant)?;
    let scenario = Scenario::draw(args.seed, route_of(args.route, args.seed));
    let mut report = play(&scenario, args.logs)?;
    for _ in 1..args.times {
        if !report.violations.is_empty() {
            break;
        }
        report = play(&scenario, args.logs)?;
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{scenario}")?;
    let mut violations = report.violations.iter().peekable();
    for entry in report.journal.since(0) {
        while let Some(violation) = violations.next_if(|violation| violation.at < entry.at) {
            writeln!(out, ">>> {violation}")?;
        }
        writeln!(out, "{entry}")?;
    }
    for violation in violations {
        writeln!(out, ">>> {violation}")?;
    }
    writeln!(out, "\n{} violations\n{}", report.violations.len(), report.coverage)?;
    Ok(if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn arm(mutant: Option<Mutant>) -> anyhow::Result<()> {
    match mutant {
        Some(mutant) if !mutant::arm(mutant) => bail!("this process has another mutant already"),
        _ => Ok(()),
    }
}
