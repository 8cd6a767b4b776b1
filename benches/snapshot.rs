//! How fast a snapshot of a large table comes into the lake, in how much memory, and how well a read budget is kept.
//!
//! The simulator serves the scan of a table of sales orders as fast as it is read ([`Rows`]), from a thread of its own. The service's own pipeline, with
//! the lake route into a local folder, takes a snapshot of it: each row is decoded, flattened by the contract and written as Parquet. A run counts only
//! when the snapshot completes with every row.
//!
//! `cargo bench -p headwater-sim --bench snapshot`; without `--bench` (under `cargo test`) with fewer rows. `--rows N` takes another number of them,
//! `--budget UNITS` reads no faster than so many read capacity units a second, and exits with an error when that is missed by more than
//! [`BUDGET_MISSED`].

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use headwater::clock::WallClock;
use headwater::lease::snapshot::{Request, Snapshot, State};
use headwater::pipeline::{Ended, Pipeline};
use headwater_sim::call::Quirks;
use headwater_sim::clock::Clock;
use headwater_sim::cloud::Cloud;
use headwater_sim::faults::Faults;
use headwater_sim::journal::Journal;
use headwater_sim::load::{Profile, Rows, Scanned};
use headwater_sim::runner::sdk_config;
use headwater_sim::runner::snapshots::{request_snapshot, snapshots, whole_table, within};
use headwater_sim::server::{Options, Server};
use serde_json::json;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

const ROWS: usize = 2_000_000;
/// As many as show in seconds, in a debug build, that all of this works.
const FEW_ROWS: usize = 5_000;
/// With a budget: as many as take this long at it, if they are no more than without.
const BUDGET_SECONDS: usize = 30;
/// Rows that a read capacity unit reads consistently, about.
const ROWS_OF_A_UNIT: usize = 9;
/// A budget may be missed by this share.
const BUDGET_MISSED: f64 = 0.05;
/// Segments: twice as many as are read at once, so that the readers end together.
const SEGMENTS: u32 = 8;

const TABLE: &str = "sales_orders";
const LEASES: &str = "bench-snapshot";
const MIB: f64 = 1024.0 * 1024.0;

/// How long the snapshot may go without a new page before the run is given up.
const STALLED: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_millis(50);

/// What the command line asks for.
struct Arguments {
    /// Measure; otherwise only show that it works.
    is_bench: bool,
    rows: Option<usize>,
    /// Read capacity units a second.
    budget: Option<u32>,
}

impl Arguments {
    /// Leaves alone what is meant for a test harness.
    fn given() -> Result<Self> {
        let given: Vec<String> = std::env::args().collect();
        let value = |name: &str| given.windows(2).find(|pair| pair[0] == name).map(|pair| &pair[1]);
        let wrong = |name: &str| format!("read what follows {name}");
        Ok(Self {
            is_bench: given.iter().any(|argument| argument == "--bench"),
            rows: value("--rows").map(|rows| rows.parse()).transpose().with_context(|| wrong("--rows"))?,
            budget: value("--budget").map(|units| units.parse()).transpose().with_context(|| wrong("--budget"))?,
        })
    }

    fn rows(&self) -> usize {
        let usual = if self.is_bench { ROWS } else { FEW_ROWS };
        let in_time = self.budget.map_or(usual, |units| units as usize * BUDGET_SECONDS * ROWS_OF_A_UNIT);
        self.rows.unwrap_or(usual.min(in_time))
    }
}

fn main() -> Result<()> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    let arguments = Arguments::given()?;
    let simulator = Simulator::start(arguments.rows())?;
    let lake = tempfile::tempdir().context("make a folder for the lake")?;
    let runtime = tokio::runtime::Runtime::new().context("start a runtime")?;
    let measured = runtime.block_on(simulator.snapshot(lake.path(), arguments.budget));
    drop(runtime);
    let measured = measured.and_then(|measured| simulator.stop().map(|()| measured))?;
    measured.print();
    if let Some(units) = arguments.budget.filter(|_| arguments.is_bench) {
        let missed = (measured.units_a_second() / f64::from(units) - 1.0).abs();
        ensure!(missed <= BUDGET_MISSED, "the budget of {units} units a second is missed by {:.1} %", missed * 100.0);
    }
    Ok(())
}

/// The simulated account, served on a thread of its own.
struct Simulator {
    address: SocketAddr,
    cloud: Cloud,
    rows: Arc<Rows>,
    count: usize,
    end: oneshot::Sender<()>,
    serving: JoinHandle<Result<()>>,
}

impl Simulator {
    fn start(count: usize) -> Result<Self> {
        let rows = Arc::new(Rows::new(TABLE, count, Profile::Order, 1)?);
        let (started, end) = (mpsc::channel(), oneshot::channel());
        let serving = std::thread::spawn({
            let rows = Arc::clone(&rows);
            move || serve(rows, &started.0, end.1)
        });
        let (address, cloud) = started.1.recv().context("the simulator did not start")?;
        Ok(Self { address, cloud, rows, count, end: end.0, serving })
    }

    fn stop(self) -> Result<()> {
        drop(self.end);
        self.serving.join().map_or_else(|_| bail!("the simulator's thread panicked"), |served| served.context("serve"))
    }

    /// Takes one snapshot of the whole table.
    async fn snapshot(&self, lake: &Path, budget: Option<u32>) -> Result<Measured> {
        let request = Request { segments: Some(SEGMENTS), ..whole_table() };
        let request = budget.map_or_else(|| request.clone(), |units| within(units, request.clone()));
        let pipeline = Pipeline::build(&settings(lake)?, &sdk_config(self.address, "bench"), WallClock::system()).await?;
        let stop = CancellationToken::new();
        let mut running = tokio::spawn(pipeline.run(stop.clone()));
        let begun = Instant::now();
        let completed = tokio::select! {
            ended = &mut running => bail!("the service ended by itself: {:?}", ended?),
            completed = self.completed(request) => completed?,
        };
        let took = begun.elapsed();
        stop.cancel();
        ensure!(matches!(running.await??, Ended::Clean), "the service did not finish what it had begun");
        ensure!(completed.state == State::Completed, "the snapshot is {:?}: {:?}", completed.state, completed.problem);
        ensure!(usize::try_from(completed.rows) == Ok(self.count), "{} of {} rows are said to have landed", completed.rows, self.count);
        let scanned = self.rows.scanned();
        // Whether the service honours segments is found out with a page or two that do not count.
        ensure!(scanned.rows >= completed.rows, "{} rows were read for {} that landed", scanned.rows, completed.rows);
        ensure!(scanned.half_units >= completed.half_units, "{} half units are counted for {}", completed.half_units, scanned.half_units);
        Ok(Measured { scanned, took, lake: size_of(lake)?, memory: peak_memory(), budget })
    }

    /// Asks for the snapshot as soon as there is a lease table, and returns it when it has come to its end.
    async fn completed(&self, request: Request) -> Result<Snapshot> {
        while self.cloud.state().tables.items(LEASES).is_none() {
            tokio::time::sleep(LOOK).await;
        }
        request_snapshot(&self.cloud, LEASES, request, 1)?;
        let (mut pages, mut since) = (0, Instant::now());
        loop {
            if let Some(ended) = snapshots(&self.cloud, LEASES)?.into_iter().find(|snapshot| snapshot.state.is_final()) {
                return Ok(ended);
            }
            let scanned = self.rows.scanned();
            if scanned.pages > pages {
                (pages, since) = (scanned.pages, Instant::now());
            }
            ensure!(since.elapsed() < STALLED, "nothing more was read for {} s: {scanned:?}", STALLED.as_secs());
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Runs the server on this thread until `end` is dropped.
fn serve(rows: Arc<Rows>, started: &mpsc::Sender<(SocketAddr, Cloud)>, end: oneshot::Receiver<()>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let cloud = Cloud::new(Clock::of_this_machine(), Journal::forgetting());
        let table = json!({
            "TableName": TABLE, "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "order_id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "order_id", "AttributeType": "S"}],
            "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        });
        cloud.call("DynamoDB_20120810.CreateTable", "", table.to_string().as_bytes(), &Quirks::default())?;
        let server = Server::start(cloud.clone(), Faults::default(), Options { intercept: Some(rows), ..Options::default() }).await?;
        if started.send((server.address(), cloud)).is_ok() {
            // Nothing is ever sent: it ends when the sender is gone.
            let _ = end.await;
        }
        server.stop().await;
        Ok(())
    })
}

fn settings(lake: &Path) -> Result<headwater::config::Settings> {
    let text = format!(
        r#"
        [table]
        name = "{TABLE}"
        contract = "../../schemas/sales_orders.odcs.yaml"
        [lease]
        application = "{LEASES}"
        [lake]
        url = "{}"
        "#,
        lake.display(),
    );
    headwater::config::parse(&text, Path::new(env!("CARGO_MANIFEST_DIR"))).map_err(anyhow::Error::msg)
}

/// The bytes of all files in a folder.
fn size_of(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { size_of(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

/// The most memory that this process ever held, in KiB, where the system tells it as Linux does.
fn peak_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// What came of a snapshot.
struct Measured {
    scanned: Scanned,
    /// From the start of the service to the end of the snapshot.
    took: Duration,
    /// Bytes in the lake.
    lake: u64,
    memory: Option<u64>,
    budget: Option<u32>,
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
impl Measured {
    /// The time in which pages were read, from the first to the last.
    fn reading(&self) -> f64 {
        self.scanned.took().unwrap_or_default().as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn units_a_second(&self) -> f64 {
        self.scanned.half_units as f64 / 2.0 / self.reading()
    }

    fn print(&self) {
        let Scanned { pages, rows, bytes, half_units, .. } = self.scanned;
        let (reading, whole) = (self.reading(), self.took.as_secs_f64());
        println!("a snapshot of {rows} sales orders on the lake route, as Parquet, in {SEGMENTS} segments");
        println!("  read in {reading:.1} s, complete {whole:.1} s after the start of the service");
        println!("  {:>12.0} rows/s while reading, {:.0} rows/s over all", rows as f64 / reading, rows as f64 / whole);
        println!(
            "  {:>12.1} MiB/s of DynamoDB's JSON, in {pages} pages; {:.1} MiB in the lake",
            bytes as f64 / MIB / reading,
            self.lake as f64 / MIB
        );
        if let Some(memory) = self.memory {
            println!("  {:>12.1} MiB of memory at most, the simulator included", memory as f64 / 1024.0);
        }
        let units = self.units_a_second();
        match self.budget {
            None => println!("  {units:>12.1} read capacity units a second, {:.1} in all", half_units as f64 / 2.0),
            Some(budget) => println!(
                "  {units:>12.1} read capacity units a second of {budget} that were asked for ({:+.1} %), {:.1} in all",
                (units / f64::from(budget) - 1.0) * 100.0,
                half_units as f64 / 2.0
            ),
        }
    }
}
