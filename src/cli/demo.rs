//! `headwater demo`: the main job on generated orders, in one process, in about a minute.

mod heal;

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::heal::Healed;
use super::{Exit, Globals, Output};
use crate::clock::WallClock;
use crate::config::{self, Settings};
use crate::embedded::generate::{GenerateOptions, create_table, generate};
use crate::embedded::orders::Mix;
use crate::embedded::{Embedded, Options};
use crate::pipeline::{Pipeline, Watch};
use crate::query::Session;
use crate::query::render;
use crate::query::verify::{Report, VerifyOptions, verify};

const TABLE: &str = "sales_orders";
const CONTRACT: &str = include_str!("../../schemas/sales_orders.odcs.yaml");
/// Written into a lake that a demo made: only such a lake may a later demo empty.
const MARKER: &str = ".headwater-demo";
/// The stream is taken to be drained when nothing more came for this long.
const QUIET: Duration = Duration::from_millis(1_500);
/// Twice the lake's `max_age`, and some.
const VERIFY_DEADLINE: Duration = Duration::from_secs(30);

const QUERIES: [(&str, &str); 3] = [
    (
        "Changes by operation",
        "SELECT cdc_op, count(*) AS changes, count(*) FILTER (WHERE cdc_ttl_delete) AS by_ttl FROM changes GROUP BY cdc_op ORDER BY cdc_op",
    ),
    (
        "Revenue by product category",
        "SELECT product_category, count(*) AS orders, sum(quantity * price) AS revenue FROM current \
         WHERE order_status NOT IN ('cancelled', 'returned') GROUP BY product_category ORDER BY revenue DESC",
    ),
    (
        "The history of one order",
        "SELECT cdc_time, cdc_op, old_order_status, order_status, cdc_changed FROM changes WHERE order_id = (SELECT order_id FROM changes \
         GROUP BY order_id ORDER BY count(*) DESC, order_id LIMIT 1) ORDER BY cdc_sequence",
    ),
];

/// Arguments of `headwater demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The lake's folder. One that an earlier demo made is emptied; any other must not exist.
    #[arg(long, value_name = "PATH", default_value = "lake")]
    lake: PathBuf,
    /// How many writes go to the table.
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    writes: u64,
    /// Writes a second; 0 for as many as the table takes.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    rate: u32,
    /// The same seed gives the same orders.
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

/// Runs the demo.
pub async fn run(args: Args, globals: &Globals) -> anyhow::Result<Exit> {
    prepare(&args.lake)?;
    let file = args.lake.join("headwater.toml");
    let settings = config::Source::File(file.clone()).load().context("read the demo's own configuration")?;
    let say = |text: &str| {
        if globals.output == Output::Text {
            println!("{text}");
        }
    };

    say("Starting a DynamoDB in this process, with the table sales_orders and its stream.");
    let dynamo = Embedded::start(Options::default()).await?;
    let sdk = dynamo.sdk_config();
    let client = aws_sdk_dynamodb::Client::new(&sdk);
    create_table(&client, TABLE).await?;

    say(&format!("Writing {} changes to the table and replicating them into {}.", args.writes, args.lake.display()));
    let pipeline = Pipeline::build(&settings, &sdk, WallClock::system()).await?;
    let watch = pipeline.watch();
    let stop = CancellationToken::new();
    let mut replication = tokio::spawn(pipeline.run(stop.clone()));
    let scene = Scene { client, sdk, settings, watch, text: globals.output == Output::Text };
    let traffic = GenerateOptions {
        table: TABLE.to_owned(),
        rate: (args.rate > 0).then_some(args.rate),
        duration: None,
        count: Some(args.writes),
        mix: Mix::default(),
        seed: args.seed,
        concurrency: NonZeroUsize::MIN.saturating_add(15),
    };
    let told = tokio::select! {
        told = scene.play(traffic) => told?,
        ended = &mut replication => {
            ended.context("replicate")??;
            anyhow::bail!("replication ended before the traffic did");
        }
    };
    stop.cancel();
    replication.await.context("replicate")??;
    dynamo.shutdown().await?;
    if scene.text {
        println!("{}", next_steps(&file));
    } else {
        println!("{}", serde_json::to_string_pretty(&told)?);
    }
    std::io::stdout().flush()?;
    Ok(if told.proven() { Exit::Success } else { Exit::Differs })
}

/// What everything in the demo happens to.
struct Scene {
    client: aws_sdk_dynamodb::Client,
    sdk: SdkConfig,
    settings: Settings,
    watch: Watch,
    /// Whether people read along.
    text: bool,
}

/// What the demo has shown.
#[derive(Debug, Serialize)]
struct Told {
    /// The comparison after the traffic.
    replicated: Report,
    /// What became of the lake that lost objects; nothing where it had none.
    healed: Option<Healed>,
}

impl Told {
    fn proven(&self) -> bool {
        self.replicated.equal() && self.healed.as_ref().is_none_or(Healed::proven)
    }
}

impl Scene {
    fn say(&self, text: &str) {
        if self.text {
            println!("{text}");
        }
    }

    async fn play(&self, traffic: GenerateOptions) -> anyhow::Result<Told> {
        show(&self.client, traffic.clone(), &self.watch).await?;
        if self.text {
            let session = Session::open(&self.settings.lake.location, TABLE, None).await?;
            for (title, sql) in QUERIES {
                println!("\n{title}");
                render::write(session.query(sql).await?, super::query::format(Output::Text), &mut std::io::stdout()).await?;
            }
        }
        self.say("\nComparing every item of the table with the lake, while replication goes on.");
        let replicated = self.verify(VERIFY_DEADLINE, 10).await?;
        Ok(Told { replicated, healed: heal::heal(self, traffic).await? })
    }

    /// Compares the table with the lake, and shows the result. Keys that differ are read again until the deadline.
    async fn verify(&self, deadline: Duration, examples: usize) -> anyhow::Result<Report> {
        let session = Session::open(&self.settings.lake.location, TABLE, None).await?;
        let options = VerifyOptions { deadline, examples, ..VerifyOptions::default() };
        let report = verify(&self.client, &session, options, |_| {}).await?;
        if self.text {
            print!("{}", super::verify::text(&report));
        }
        Ok(report)
    }
}

/// An empty lake folder with the demo's configuration and contract in it.
fn prepare(folder: &Path) -> anyhow::Result<()> {
    let marker = folder.join(MARKER);
    if marker.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("empty the lake of an earlier demo, {}", folder.display()))?;
    } else if folder.exists() {
        anyhow::bail!("{} exists and was not made by a demo: choose another folder with --lake, or move it away", folder.display());
    }
    std::fs::create_dir_all(folder).with_context(|| format!("create the folder {}", folder.display()))?;
    let configuration = format!(
        "# Made by `headwater demo`.\n[table]\nname = \"{TABLE}\"\ncontract = \"{TABLE}.odcs.yaml\"\n\n[stream]\nidle_poll = \"200ms\"\n\n\
         # How soon a worker looks for snapshots follows from it.\n[lease]\nfailover = \"4s\"\n\n[lake]\n\
         url = \".\"\nmax_age = \"2s\"\n"
    );
    for (name, content) in [(MARKER, ""), ("headwater.toml", &configuration), (&format!("{TABLE}.odcs.yaml"), CONTRACT)] {
        let path = folder.join(name);
        std::fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// Writes the traffic and shows how it is written, read and landed, until the stream is drained and everything has landed.
async fn show(client: &aws_sdk_dynamodb::Client, traffic: GenerateOptions, watch: &Watch) -> anyhow::Result<()> {
    let writes = traffic.count.unwrap_or_default();
    let bars = super::log::bars();
    let bar = |name: &'static str| -> anyhow::Result<ProgressBar> {
        let style = ProgressStyle::with_template("  {prefix:<8} {bar:40} {human_pos:>7}/{human_len} {msg}")?;
        Ok(bars.add(ProgressBar::new(writes).with_style(style).with_prefix(name)))
    };
    let (written, landed) = (bar("written")?, bar("landed")?);
    let update = |bar: &ProgressBar| {
        let (taken, counts) = (watch.taken().records, watch.lake.counters().read());
        bar.set_length(writes.max(taken));
        bar.set_position(counts.rows);
        bar.set_message(format!("in {} objects", counts.objects));
    };
    let summary = generate(
        client,
        traffic,
        |progress| {
            written.set_position(progress.operations());
            update(&landed);
        },
        CancellationToken::new(),
    )
    .await?;
    written.abandon_with_message(format!("at {:.0} a second", summary.rate));
    drained(watch, 0, || update(&landed)).await;
    landed.abandon();
    Ok(())
}

/// Waits until the stream is drained and all of it has landed, beside so many rows of snapshots.
async fn drained(watch: &Watch, of_snapshots: u64, mut tick: impl FnMut()) {
    let mut quiet_since = tokio::time::Instant::now();
    let mut seen = 0;
    while quiet_since.elapsed() < QUIET {
        tick();
        let taken = watch.taken().records;
        if taken != seen || watch.lake.counters().read().rows < taken + of_snapshots {
            (seen, quiet_since) = (taken, tokio::time::Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn next_steps(configuration: &Path) -> String {
    let configuration = configuration.display();
    format!(
        "\nNext:\n  headwater query --config {configuration} \"SELECT * FROM current LIMIT 5\"\n  headwater embedded --listen 127.0.0.1:8000   a \
         DynamoDB that stays, to write to with `headwater generate`\n  headwater config example > headwater.toml    then `headwater run` \
         replicates your own table"
    )
}
