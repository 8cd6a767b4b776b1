//! How much faster two workers are than one, and four than two.
//!
//! The simulator serves a table's stream of orders as fast as it is read, and takes what is put into Kinesis. Workers that share its shards out among
//! themselves replicate the same load: one, two, four. A worker is a pipeline of its own on a thread of its own, with its own name, memory budget and
//! connections: what a task with one processor is. They are threads of one process rather than processes, so that their processor time and the
//! simulator's can be told apart. A run counts only when each change has arrived, and in its item's order; what came twice is
//! told.
//!
//! All of it shares the processors of one machine, and the simulator needs one of them: the ratios say how the service shares out work, up to the point
//! where the machine has nothing left, which is told beside them. `cargo bench -p headwater-sim --bench scale_out`; without `--bench` (under
//! `cargo test`) with few changes.

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
use headwater_sim::load::{Load, Profile, Settings};
use headwater_sim::runner::sdk_config;
use headwater_sim::server::{Options, Server};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How many workers share the load.
const FLEETS: [usize; 3] = [1, 2, 4];
const CHANGES: usize = 1_000_000;
/// As many as show in seconds, in a debug build, that all of this works.
const FEW_CHANGES: usize = 12_000;
/// Two for each of the most workers.
const TABLE_SHARDS: usize = 8;
const KINESIS_SHARDS: usize = 8;
const TABLE: &str = "sales_orders";
const BUCKET: &str = "lake";

/// How long the simulator may go without a new change before the run is given up.
const STALLED: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(20);
/// The kernel counts so many ticks of processor time in a second, whatever its own clock.
const TICKS: u64 = 100;

fn main() -> Result<()> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_writer(std::io::stderr).init();
    let measured = std::env::args().any(|argument| argument == "--bench");
    let simulator = Simulator::start(if measured { CHANGES } else { FEW_CHANGES })?;
    let runs = FLEETS.map(|workers| simulator.replicate(workers).with_context(|| format!("replicate with {workers} workers")));
    simulator.stop()?;
    let [one, two, four] = runs;
    print(&[one?, two?, four?]);
    Ok(())
}

/// The simulated account, served on a thread of its own.
struct Simulator {
    address: SocketAddr,
    load: Arc<Load>,
    /// The kernel's number of the serving thread, where there is one.
    thread: Option<u64>,
    end: oneshot::Sender<()>,
    serving: JoinHandle<Result<()>>,
}

/// One run.
struct Run {
    workers: usize,
    changes: u64,
    /// Changes that came again, from a worker that had lost a lease: none, unless the machine was too busy to renew it.
    repeated: u64,
    took: Duration,
    /// How many processors the workers and the simulator kept busy.
    busy: Option<(f64, f64)>,
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
        let (started, end) = (mpsc::channel(), oneshot::channel());
        let serving = std::thread::spawn({
            let load = Arc::clone(&load);
            move || serve(load, &started.0, end.1)
        });
        let (address, thread) = started.1.recv().context("the simulator did not start")?;
        Ok(Self { address, load, thread, end: end.0, serving })
    }

    fn stop(self) -> Result<()> {
        drop(self.end);
        self.serving.join().map_or_else(|_| bail!("the simulator's thread panicked"), |served| served.context("serve"))
    }

    /// Replicates the whole load with so many workers.
    fn replicate(&self, workers: usize) -> Result<Run> {
        self.load.clear();
        let before = (ticks(None), ticks(self.thread));
        let begun = Instant::now();
        let stop = CancellationToken::new();
        let threads: Vec<_> = (0..workers)
            .map(|number| {
                let (address, stop) = (self.address, stop.clone());
                std::thread::spawn(move || work(address, workers, number, stop))
            })
            .collect();
        let arrived = self.everything(&threads);
        let took = begun.elapsed();
        let after = (ticks(None), ticks(self.thread));
        stop.cancel();
        for thread in threads {
            thread.join().unwrap_or_else(|_| bail!("a worker panicked"))?;
        }
        arrived?;
        let received = self.load.received();
        ensure!(received.out_of_order == 0 && received.unknown == 0, "changes came out of order, or some that nobody made: {received:?}");
        let (changes, took) = (received.changes - received.repeated, self.load.took().unwrap_or(took));
        Ok(Run { workers, changes, repeated: received.repeated, took, busy: busy(before, after, took) })
    }

    /// Returns when every change has arrived.
    fn everything(&self, workers: &[JoinHandle<Result<()>>]) -> Result<()> {
        let (mut missing, mut since) = (u64::MAX, Instant::now());
        loop {
            let received = self.load.received();
            if received.missing == 0 {
                return Ok(());
            }
            if received.missing < missing {
                (missing, since) = (received.missing, Instant::now());
            }
            ensure!(!workers.iter().any(JoinHandle::is_finished), "a worker ended by itself");
            ensure!(since.elapsed() < STALLED, "nothing new has arrived for {} s: {received:?}", STALLED.as_secs());
            std::thread::sleep(LOOK);
        }
    }
}

/// Runs the server on this thread until `end` is dropped: all services stand behind one lock, so more threads would not help.
fn serve(load: Arc<Load>, started: &mpsc::Sender<(SocketAddr, Option<u64>)>, end: oneshot::Receiver<()>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let cloud = Cloud::new(Clock::of_this_machine(), Journal::forgetting());
        cloud.state().buckets.create_at(BUCKET, cloud.clock.now());
        let server = Server::start(cloud, Faults::default(), Options { intercept: Some(load), ..Options::default() }).await?;
        if started.send((server.address(), this_thread())).is_ok() {
            // Nothing is ever sent: it ends when the sender is gone.
            let _ = end.await;
        }
        server.stop().await;
        Ok(())
    })
}

/// A worker, on this thread, until it is stopped.
fn work(address: SocketAddr, fleet: usize, number: usize, stop: CancellationToken) -> Result<()> {
    let settings = headwater::config::parse(&configuration(fleet), Path::new(env!("CARGO_MANIFEST_DIR"))).map_err(anyhow::Error::msg)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let pipeline = Pipeline::build(&settings, &sdk_config(address, &format!("worker-{number}")), WallClock::system()).await?;
        ensure!(matches!(pipeline.run(stop).await?, Ended::Clean), "the worker did not finish what it had begun");
        Ok(())
    })
}

/// A fail-over time that is short, so that shards are shared out while there is still something to do, and no shorter than a thread may have to wait for
/// a processor here.
fn configuration(fleet: usize) -> String {
    format!(
        r#"
        [table]
        name = "{TABLE}"
        contract = "../../schemas/sales_orders.odcs.yaml"
        [lease]
        application = "bench-{fleet}"
        failover = "5s"
        [route]
        kind = "kinesis"
        [kinesis]
        stream = "sales-orders-changes"
        batch_size = 4000
        batch_bytes = "4MiB"
        maximum_batching_window = "1s"
        [lake]
        url = "s3://{BUCKET}/cdc"
        "#
    )
}

/// The kernel's number of this thread, on Linux.
fn this_thread() -> Option<u64> {
    std::fs::read_link("/proc/thread-self").ok()?.file_name()?.to_str()?.parse().ok()
}

/// The processor time that a thread of this process has had, or all together, in ticks, where the system tells it as Linux does.
fn ticks(thread: Option<u64>) -> Option<u64> {
    let file = thread.map_or_else(|| "/proc/self/stat".to_owned(), |thread| format!("/proc/self/task/{thread}/stat"));
    let text = std::fs::read_to_string(file).ok()?;
    // The name stands in parentheses and may hold anything; the twelfth and the thirteenth field behind it are the times.
    text.rsplit_once(')')?.1.split_ascii_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>().ok()
}

/// How many processors the workers and the simulator had, by ticks of the whole and of the simulator.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn busy(before: (Option<u64>, Option<u64>), after: (Option<u64>, Option<u64>), took: Duration) -> Option<(f64, f64)> {
    let share = |ticks: u64| ticks as f64 / TICKS as f64 / took.as_secs_f64();
    let (whole, simulator) = (after.0?.saturating_sub(before.0?), after.1?.saturating_sub(before.1?));
    Some((share(whole.saturating_sub(simulator)), share(simulator)))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn print(runs: &[Run]) {
    let rate = |run: &Run| run.changes as f64 / run.took.as_secs_f64().max(f64::MIN_POSITIVE);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{} sales-order changes through Kinesis, {TABLE_SHARDS} shards of the table's stream, shared out among workers of one thread each; {processors} \
         processors for workers and simulator together",
        runs[0].changes
    );
    println!("  {:<10}{:>14}{:>9}{:>10}{:>22}{:>12}", "workers", "changes/s", "ratio", "repeated", "processors: workers", "simulator");
    for run in runs {
        let busy = run.busy.map_or_else(|| ("?".to_owned(), "?".to_owned()), |(own, other)| (format!("{own:.2}"), format!("{other:.2}")));
        let ratio = rate(run) / rate(&runs[0]);
        println!("  {:<10}{:>14.0}{ratio:>9.2}{:>10}{:>22}{:>12}", run.workers, rate(run), run.repeated, busy.0, busy.1);
    }
    println!(
        "  What bounds it here: a worker's thread is busy alone with one worker; with more, workers and simulator together have no more than the\n  \
         {processors} processors of this machine. On machines of their own, each worker has its shards for itself."
    );
}
