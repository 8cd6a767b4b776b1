//! `headwater generate`.

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use anyhow::Context;
use aws_sdk_dynamodb::Client;
use indicatif::{ProgressBar, ProgressStyle};

use crate::embedded::generate::{GenerateOptions, GenerateProgress, Summary, create_table, generate};
use crate::embedded::orders::Mix;
use crate::shutdown;

/// How often a log line tells the progress where there is no terminal.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// Arguments of `headwater generate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The table to write to, with order_id (S) as its hash key.
    #[arg(long, default_value = "sales_orders")]
    table: String,
    /// Create the table if it does not exist: on-demand, with a stream of both images and TTL on expires_at.
    #[arg(long)]
    create_table: bool,
    /// Operations a second; 0 writes as fast as the table takes it.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Stop after this time, such as 30s or 10m. Without it and --count the traffic goes on until ctrl-c.
    #[arg(long, value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Stop after so many operations.
    #[arg(long, conflicts_with = "duration")]
    count: Option<u64>,
    /// How often orders are placed, changed and deleted, as weights.
    #[arg(long, default_value_t = Mix::default())]
    mix: Mix,
    /// The same seed gives the same orders.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Writers that work side by side.
    #[arg(long, default_value = "16")]
    concurrency: NonZeroUsize,
}

/// Writes the traffic; ctrl-c ends it early and in good order.
pub async fn run(args: Args, globals: &super::Globals) -> anyhow::Result<super::Exit> {
    let client = Client::new(&crate::aws::sdk_config().await);
    if args.create_table && create_table(&client, &args.table).await? {
        tracing::info!(table = args.table, "created the table");
    }
    let stop = shutdown::on_signals().context("listen for signals")?;
    let mut shown = Shown::new(&args);
    let options = GenerateOptions {
        table: args.table,
        rate: (args.rate > 0).then_some(args.rate),
        duration: args.duration,
        count: args.count,
        mix: args.mix,
        seed: args.seed,
        concurrency: args.concurrency,
    };
    let outcome = generate(&client, options, |progress| shown.update(progress), stop).await;
    shown.finish();
    print(&outcome?, globals.output)?;
    Ok(super::Exit::Success)
}

/// A bar on a terminal, log lines elsewhere.
enum Shown {
    Bar { bar: ProgressBar, of_time: bool },
    Lines { last: Instant },
}

impl Shown {
    fn new(args: &Args) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { last: Instant::now() };
        }
        let (bar, template, of_time) = match (args.count, args.duration) {
            (Some(count), _) => (ProgressBar::new(count), "{bar:32} {human_pos}/{human_len}  {msg}  {eta} left", false),
            (None, Some(duration)) => {
                let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                (ProgressBar::new(millis), "{bar:32} {percent}%  {msg}  {eta} left", true)
            }
            (None, None) => (ProgressBar::new_spinner(), "{spinner} {elapsed}  {msg}  ctrl-c stops", false),
        };
        // A template that indicatif refuses leaves its default style: still a bar.
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_invalid| ProgressStyle::default_bar()));
        Self::Bar { bar, of_time }
    }

    fn update(&mut self, progress: &GenerateProgress) {
        match self {
            Self::Bar { bar, of_time } => {
                let elapsed = u64::try_from(progress.elapsed.as_millis()).unwrap_or(u64::MAX);
                bar.set_position(if *of_time { elapsed } else { progress.operations() });
                bar.set_message(format!(
                    "{} puts, {} updates, {} deletes, {} expiries, {} errors",
                    progress.puts, progress.updates, progress.deletes, progress.expiries, progress.errors
                ));
            }
            Self::Lines { last } if last.elapsed() >= LOG_INTERVAL => {
                *last = Instant::now();
                tracing::info!(
                    puts = progress.puts,
                    updates = progress.updates,
                    deletes = progress.deletes,
                    expiries = progress.expiries,
                    errors = progress.errors,
                    retries = progress.retries,
                    seconds = progress.elapsed.as_secs(),
                    "generating"
                );
            }
            Self::Lines { .. } => {}
        }
    }

    fn finish(&self) {
        if let Self::Bar { bar, .. } = self {
            bar.finish_and_clear();
        }
    }
}

fn print(summary: &Summary, output: super::Output) -> anyhow::Result<()> {
    let Summary { counts, seconds, rate } = summary;
    match output {
        super::Output::Json => println!("{}", serde_json::to_string(summary).context("write the summary as JSON")?),
        super::Output::Csv => {
            println!("puts,updates,deletes,expiries,errors,retries,seconds,rate");
            let GenerateProgress { puts, updates, deletes, expiries, errors, retries, .. } = counts;
            println!("{puts},{updates},{deletes},{expiries},{errors},{retries},{seconds:.3},{rate:.1}");
        }
        super::Output::Text => println!(
            "{} puts, {} updates, {} deletes, {} left to TTL, {} errors in {seconds:.1} s ({rate:.0} operations/s)",
            counts.puts, counts.updates, counts.deletes, counts.expiries, counts.errors
        ),
    }
    Ok(())
}
