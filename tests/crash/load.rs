//! The load: an embedded DynamoDB in a process of its own, so that it outlives every kill, and generated orders.

use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, Select};
use tempfile::TempDir;

use crate::support::dynamodb_local::free_port;
use crate::support::process::Headwater;
use crate::support::site::{Settings, Site};
use crate::support::{aws, wait_until};

/// The generator's table.
pub(super) const TABLE: &str = "sales_orders";
/// Longer than any test: the generator is killed when the test has seen enough.
const DURATION: &str = "30m";
const START: Duration = Duration::from_mins(1);
const EXPIRE: Duration = Duration::from_mins(2);
const CATCH_UP: Duration = Duration::from_mins(3);
/// The shutdown deadline by default is 25 s.
pub(super) const SHUTDOWN: Duration = Duration::from_secs(30);

/// A DynamoDB with a growing table, and a place where headwater replicates it.
pub(super) struct Load {
    pub(super) site: Site,
    pub(super) database: Headwater,
    pub(super) generator: Headwater,
    _dir: TempDir,
}

impl Load {
    /// Starts the database and the generator (`rate` writes a second), and waits until the table, and so its stream, holds something.
    pub(super) async fn start(settings: &Settings, rate: u32, seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let endpoint = format!("http://{address}");
        let mut database = Headwater::start(dir.path(), dir.path().join("embedded.log"), &[], &["embedded", "--listen", &address]);
        let client = Client::new(&aws::sdk_config(&endpoint));
        database.wait_until(START, "the embedded DynamoDB answers", async || client.list_tables().send().await.is_ok()).await;
        let site = Site::new(&endpoint, settings);
        let (rate, seed) = (rate.to_string(), seed.to_string());
        let mut generator =
            site.start(&["generate", "--table", TABLE, "--create-table", "--rate", &rate, "--duration", DURATION, "--seed", &seed]);
        generator
            .wait_until(START, "the table has items", async || {
                // Not by reading the stream: on a busy machine that does not catch up with the writes.
                let tables = client.list_tables().send().await.unwrap();
                tables.table_names().iter().any(|name| name == TABLE)
                    && client.scan().table_name(TABLE).limit(1).send().await.is_ok_and(|page| page.count() > 0)
            })
            .await;
        Self { site, database, generator, _dir: dir }
    }

    /// Ends the writes and waits for the stream's last record, then runs headwater until the lake holds as many changes as the stream, and stops it in order.
    pub(super) async fn stop_and_catch_up(&mut self) {
        self.generator.kill().await;
        let client = Client::new(&self.site.sdk_config());
        // Until TTL has deleted what the generator left to it, the stream goes on growing.
        wait_until(EXPIRE, "nothing is left to expire", async || expired_items(&client).await == 0).await;
        let expected = self.site.stream().await.len();
        let site = &self.site;
        let mut run = site.run();
        run.wait_until(CATCH_UP, "every change has landed", async || site.rows().await.len() >= expected).await;
        run.signal("TERM");
        let status = run.exit(SHUTDOWN).await;
        assert!(status.success(), "headwater run ended with {status} after SIGTERM:\n{}", run.log());
    }
}

/// How many items of the table have passed their expiry time.
async fn expired_items(client: &Client) -> i32 {
    let scan = client.scan().table_name(TABLE).consistent_read(true).select(Select::Count);
    let expired = scan.filter_expression("expires_at < :now").expression_attribute_values(":now", AttributeValue::N(now().to_string()));
    let mut pages = expired.into_paginator().send();
    let mut count = 0;
    while let Some(page) = pages.next().await {
        count += page.unwrap().count;
    }
    count
}

/// Seconds since the epoch.
pub(super) fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(elapsed.as_secs()).unwrap()
}
