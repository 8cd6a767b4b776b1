//! What a million sales-order changes cost on their way through Kinesis, with aggregation and without.
//!
//! The simulator serves a table's stream of orders as fast as it is read, and takes what is put into Kinesis. The service's own pipeline
//! replicates that load twice over HTTP, with the same settings but `kinesis.aggregation`. All figures are the simulator's: it finds every change
//! in the records it was sent, and counts and rounds up each record as Kinesis bills it. A run counts only when each change has arrived once and in
//! its item's order. Exits with an error when aggregation saves less than [`MOST_UNITS`] promises.
//!
//! `cargo bench -p headwater-sim --bench kinesis`; without `--bench` (under `cargo test`) with fewer changes.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use headwater::clock::WallClock;
use headwater::pipeline::{Ended, Pipeline};
use headwater_sim::clock::Clock;
use headwater_sim::cloud::Cloud;
use headwater_sim::faults::Faults;
use headwater_sim::journal::Journal;
use headwater_sim::load::{Load, Profile, Received, Settings};
use headwater_sim::runner::sdk_config;
use headwater_sim::server::{Options, Server};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// What aggregation is for: the share of the PUT payload units that are left.
const MOST_UNITS: f64 = 0.1;
const CHANGES: usize = 1_000_000;
/// As many as fill a batch of each shard, and show in seconds, in a debug build, that all of this works.
const FEW_CHANGES: usize = 12_000;
/// Shards of the table's stream, and of the Kinesis stream.
const TABLE_SHARDS: usize = 4;
const KINESIS_SHARDS: usize = 4;

/// Columns of the table's first column.
const WIDTH: usize = 48;

const TABLE: &str = "sales_orders";
const BUCKET: &str = "lake";

/// How long the simulator may go without a new change before the run is given up.
const STALLED: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(20);

/// Dollars in us-east-1: a million PUT payload units of a provisioned stream, and a GB put into an on-demand stream.
const MILLION_UNITS: f64 = 0.014;
const ON_DEMAND_GB: f64 = 0.08;
const KIB_A_GB: f64 = 1_048_576.0;

fn main() -> Result<()> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    let measured = std::env::args().any(|argument| argument == "--bench");
    let simulator = Simulator::start(if measured { CHANGES } else { FEW_CHANGES })?;
    let runtime = tokio::runtime::Runtime::new().context("start a runtime")?;
    let run = |aggregation| {
        let run = runtime.block_on(simulator.replicate(aggregation));
        run.with_context(|| format!("replicate with aggregation = {aggregation}"))
    };
    let comparison = Comparison { without: run(false)?, with: run(true)? };
    drop(runtime);
    simulator.stop()?;
    print!("{comparison}");
    let share = comparison.share(|run| run.received.payload_units);
    ensure!(share <= MOST_UNITS, "aggregation leaves {share:.3} of the PUT payload units, and at most {MOST_UNITS} are wanted");
    Ok(())
}

/// The simulated account, served on a thread of its own.
struct Simulator {
    address: SocketAddr,
    load: Arc<Load>,
    end: oneshot::Sender<()>,
    serving: JoinHandle<Result<()>>,
}

impl Simulator {
    fn start(changes: usize) -> Result<Self> {
        let now = WallClock::system().unix_seconds() * 1_000;
        let settings = Settings {
            table: TABLE.to_owned(),
            kinesis_shards: KINESIS_SHARDS,
            ..Settings::new(TABLE_SHARDS, changes, Profile::Order, now)
        };
        let load = Arc::new(Load::new(settings)?);
        let (address, end) = (mpsc::channel(), oneshot::channel());
        let serving = std::thread::spawn({
            let load = Arc::clone(&load);
            move || serve(load, &address.0, end.1)
        });
        let address = address.1.recv().context("the simulator did not start")?;
        Ok(Self { address, load, end: end.0, serving })
    }

    fn stop(self) -> Result<()> {
        drop(self.end);
        self.serving.join().map_or_else(|_| bail!("the simulator's thread panicked"), |served| served.context("serve"))
    }

    /// Replicates the whole load through Kinesis.
    async fn replicate(&self, aggregation: bool) -> Result<Run> {
        self.load.clear();
        let cpu = cpu_time();
        let settings =
            headwater::config::parse(&configuration(aggregation), Path::new(env!("CARGO_MANIFEST_DIR"))).map_err(anyhow::Error::msg)?;
        let pipeline = Pipeline::build(&settings, &sdk_config(self.address, "bench"), WallClock::system()).await?;
        let stop = CancellationToken::new();
        let mut running = tokio::spawn(pipeline.run(stop.clone()));
        tokio::select! {
            ended = &mut running => bail!("the service ended by itself: {:?}", ended?),
            arrived = self.everything() => arrived?,
        }
        // What would come again now is counted too.
        stop.cancel();
        ensure!(matches!(running.await??, Ended::Clean), "the service did not finish what it had begun");
        ensure!(self.load.is_exact(), "changes were repeated, out of order or unknown: {:?}", self.load.received());
        let cpu = cpu_time().zip(cpu).map(|(after, before)| after.saturating_sub(before));
        Ok(Run { received: self.load.received(), took: self.load.took().context("nothing was put")?, cpu })
    }

    /// Returns when every change has arrived.
    async fn everything(&self) -> Result<()> {
        let (mut missing, mut since) = (u64::MAX, Instant::now());
        loop {
            let received = self.load.received();
            if received.missing == 0 {
                return Ok(());
            }
            if received.missing < missing {
                (missing, since) = (received.missing, Instant::now());
            }
            ensure!(since.elapsed() < STALLED, "nothing new has arrived for {} s: {received:?}", STALLED.as_secs());
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Runs the server on this thread until `end` is dropped: all services stand behind one lock, so more threads would not help.
fn serve(load: Arc<Load>, address: &mpsc::Sender<SocketAddr>, end: oneshot::Receiver<()>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let cloud = Cloud::new(Clock::of_this_machine(), Journal::forgetting());
        cloud.state().buckets.create_at(BUCKET, cloud.clock.now());
        let server = Server::start(cloud, Faults::default(), Options { intercept: Some(load), ..Options::default() }).await?;
        if address.send(server.address()).is_ok() {
            // Nothing is ever sent: it ends when the sender is gone.
            let _ = end.await;
        }
        server.stop().await;
        Ok(())
    })
}

/// Larger batches than by default, as a backlog is worked off: fewer records are sent before they are full.
fn configuration(aggregation: bool) -> String {
    format!(
        r#"
        [table]
        name = "{TABLE}"
        contract = "../../schemas/sales_orders.odcs.yaml"
        [lease]
        application = "bench-{}"
        [route]
        kind = "kinesis"
        [kinesis]
        stream = "sales-orders-changes"
        aggregation = {aggregation}
        batch_size = 4000
        batch_bytes = "4MiB"
        maximum_batching_window = "1s"
        [lake]
        url = "s3://{BUCKET}/cdc"
        "#,
        if aggregation { "aggregated" } else { "single" },
    )
}

/// The time that all threads of this process ran so far, where the system tells it as Linux does.
fn cpu_time() -> Option<Duration> {
    /// The kernel counts so many in a second, whatever its own clock.
    const TICKS: u64 = 100;
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program stands in parentheses and may hold anything; the twelfth and the thirteenth field behind it are the times.
    let times = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(11).take(2);
    let ticks = times.map(str::parse::<u64>).sum::<Result<u64, _>>().ok()?;
    Some(Duration::from_millis(ticks * 1_000 / TICKS))
}

/// What the simulator received in one run, and how long that took.
struct Run {
    received: Received,
    took: Duration,
    /// The processor time of the service and the simulator together.
    cpu: Option<Duration>,
}

struct Comparison {
    without: Run,
    with: Run,
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
impl Run {
    fn events_a_second(&self) -> f64 {
        self.received.changes as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Dollars for the PUT payload units of a million changes.
    fn provisioned(&self) -> f64 {
        self.a_million(self.received.payload_units as f64 / 1e6 * MILLION_UNITS)
    }

    /// Dollars for a million changes put into an on-demand stream.
    fn on_demand(&self) -> f64 {
        self.a_million(self.received.billed_kib as f64 / KIB_A_GB * ON_DEMAND_GB)
    }

    fn cpu_of_a_million(&self) -> Option<f64> {
        Some(self.a_million(self.cpu?.as_secs_f64()))
    }

    fn a_million(&self, of_all: f64) -> f64 {
        of_all * 1e6 / self.received.changes as f64
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
impl Comparison {
    /// What is left with aggregation, as a share.
    fn share(&self, of: impl Fn(&Run) -> u64) -> f64 {
        of(&self.with) as f64 / of(&self.without) as f64
    }

    fn row(&self, f: &mut fmt::Formatter<'_>, name: &str, of: impl Fn(&Run) -> u64) -> fmt::Result {
        writeln!(f, "  {name:<WIDTH$}{:>14}{:>14}{:>9.3}", grouped(of(&self.without)), grouped(of(&self.with)), self.share(of))
    }

    fn dollars(&self, f: &mut fmt::Formatter<'_>, name: &str, of: impl Fn(&Run) -> f64) -> fmt::Result {
        let (without, with) = (of(&self.without), of(&self.with));
        writeln!(f, "  {name:<WIDTH$}{:>14}{:>14}{:>9.3}", format!("${without:.4}"), format!("${with:.4}"), with / without)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} sales-order changes through Kinesis, {TABLE_SHARDS} shards of the table's stream, {KINESIS_SHARDS} of Kinesis, as the simulator received them",
            grouped(self.with.received.changes)
        )?;
        writeln!(f, "  {:<WIDTH$}{:>14}{:>14}{:>9}", "aggregation", "without", "with", "ratio")?;
        self.row(f, "changes, each once, in order of its item", |run| run.received.changes)?;
        self.row(f, "PutRecords calls", |run| run.received.calls)?;
        self.row(f, "records", |run| run.received.records)?;
        self.row(f, "bytes of data", |run| run.received.bytes)?;
        self.row(f, "PUT payload units (25 KiB a record, rounded up)", |run| run.received.payload_units)?;
        self.row(f, "KiB billed on demand (1 KiB, rounded up)", |run| run.received.billed_kib)?;
        self.dollars(f, "PUT payload units of a million changes", Run::provisioned)?;
        self.dollars(f, "on-demand data in of a million changes", Run::on_demand)?;
        let (without, with) = (self.without.events_a_second(), self.with.events_a_second());
        writeln!(f, "  {:<WIDTH$}{without:>14.0}{with:>14.0}{:>9.3}", "changes/s", with / without)?;
        if let (Some(without), Some(with)) = (self.without.cpu_of_a_million(), self.with.cpu_of_a_million()) {
            let name = "CPU seconds of a million, simulator included";
            writeln!(f, "  {name:<WIDTH$}{without:>14.1}{with:>14.1}{:>9.3}", with / without)?;
        }
        writeln!(
            f,
            "  Prices of us-east-1: ${MILLION_UNITS} a million units, ${ON_DEMAND_GB} a GB on demand. Check them against the price list; hours of shards \
             and streams,\n  and reading, come on top and do not depend on aggregation."
        )
    }
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}
