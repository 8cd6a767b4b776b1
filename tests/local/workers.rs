//! Three workers on DynamoDB Local, of which one is killed every two seconds under load: every change lands once, and the lake equals the table.
//!
//! Forty seconds by default; `HEADWATER_KILL_SECONDS=600` in the environment makes it ten minutes.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;

use crate::support::dynamodb_local::DynamoDbLocal;
use crate::support::lake::assert_every_change_once;
use crate::support::process::Headwater;
use crate::support::site::{Settings, Site};
use crate::support::table;

const TABLE: &str = "sales_orders";
const KEY: &str = "order_id";
/// For how long workers are killed, unless the environment says otherwise.
const SECONDS: u64 = 40;
const WORKERS: usize = 3;
/// One worker is killed in this time, in turn, and starts again at once; the fail-over time of a site is a second.
const KILLED_EVERY: Duration = Duration::from_secs(2);
/// Writes a second.
const RATE: &str = "50";
const START: Duration = Duration::from_mins(1);
const CATCH_UP: Duration = Duration::from_mins(5);
/// The shutdown deadline by default is 25 s.
const SHUTDOWN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_are_killed_in_turn_land_every_change_once() {
    let length = std::env::var("HEADWATER_KILL_SECONDS").map_or(SECONDS, |seconds| seconds.parse().unwrap());
    let server = DynamoDbLocal::start().await;
    // Without time to live: the stream ends with the last write.
    table::create(&Client::new(&server.sdk_config()), TABLE, KEY).await;
    let settings = Settings { table: TABLE, format: "parquet", max_age: "500ms", shutdown_deadline: "25s", contract: None };
    let site = Site::new(server.endpoint_url(), &settings);
    let mut generator = site.start(&["generate", "--table", TABLE, "--rate", RATE]);
    let mut workers: Vec<Headwater> = (0..WORKERS).map(|_| site.run()).collect();
    workers[0].wait_until(START, "an object lands", async || site.objects() > 0).await;

    let begun = Instant::now();
    let mut kills = 0;
    let mut beat = tokio::time::interval(KILLED_EVERY);
    beat.tick().await;
    while begun.elapsed().as_secs() < length {
        beat.tick().await;
        let worker = &mut workers[kills % WORKERS];
        worker.assert_running();
        generator.assert_running();
        worker.kill().await;
        *worker = site.run();
        kills += 1;
    }
    let (under_fire, landed) = (begun.elapsed(), site.rows().await.len());
    generator.kill().await;

    let stream = site.stream().await;
    let [first, ..] = &mut workers[..] else { panic!("there are workers") };
    first.wait_until(CATCH_UP, "every change has landed", async || site.rows().await.len() >= stream.len()).await;
    for worker in &mut workers {
        worker.signal("TERM");
        let status = worker.exit(SHUTDOWN).await;
        assert!(status.success(), "headwater run ended with {status} after SIGTERM:\n{}", worker.log());
    }
    assert_every_change_once(&site.rows().await, &stream);
    if cfg!(feature = "sql") {
        let words = site.start(&["verify", "--config", "headwater.toml"]).succeeds(CATCH_UP).await;
        assert!(words.contains("lake equals table"), "{words}");
    }
    // Past the test harness, which keeps what a passing test prints to itself.
    let _ = writeln!(
        io::stderr(),
        "{kills} kills of {WORKERS} workers in {under_fire:.0?}: {} changes landed once each, {landed} of them under fire",
        stream.len()
    );
    assert!(landed > 0, "nothing landed while workers were killed");
}
