//! A lake that the service itself wrote: generated orders in an embedded DynamoDB, with snapshots of the table, of a part of it and of a list of keys.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use headwater::embedded::{Embedded, Options};

use super::super::shop::TABLE;
use crate::support::lake::not_landed;
use crate::support::process::Headwater;
use crate::support::{aws, duckdb, stream};

const CONTRACT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/sales_orders.odcs.yaml");
/// For what takes seconds on an idle machine.
const PATIENCE: Duration = Duration::from_mins(5);

/// A table, and a `headwater run` for each lake that is made of it.
struct Service {
    dynamo: Embedded,
    client: Client,
    folder: tempfile::TempDir,
}

/// Lakes of the same table in folders of `root`, named after their formats.
pub(super) async fn write_lakes(root: &Path, formats: &[&str]) {
    let dynamo = Embedded::start(Options::default()).await.unwrap();
    let client = Client::new(&dynamo.sdk_config());
    let service = Service { dynamo, client, folder: tempfile::tempdir().unwrap() };
    service.command(&["generate", "--table", TABLE, "--create-table", "--rate", "0", "--count", "200"]).succeeds(PATIENCE).await;
    let mut runs = Vec::new();
    for format in formats {
        let config = service.configure(root, format);
        let mut run = service.command(&["run", "--config", &config]);
        let changes = root.join(format).join(TABLE).join("changes");
        run.wait_until(PATIENCE, "the first changes have landed", async || changes.exists()).await;
        runs.push((format, run, config));
    }
    for (_, _, config) in &runs {
        service.snapshot(config, &[]).await;
    }
    service.command(&["generate", "--table", TABLE, "--rate", "0", "--count", "100", "--seed", "7"]).succeeds(PATIENCE).await;
    let keys = service.list_of_keys().await;
    for (_, _, config) in &runs {
        service.snapshot(config, &["--segment", "1/3"]).await;
        service.snapshot(config, &["--keys", &keys]).await;
    }
    service.command(&["generate", "--table", TABLE, "--rate", "0", "--count", "60", "--seed", "9"]).succeeds(PATIENCE).await;
    for (format, mut run, _) in runs {
        let lake = root.join(format);
        run.wait_until(PATIENCE, "every change has landed", async || {
            let stream = stream::read_all(&service.dynamo.sdk_config(), TABLE).await;
            not_landed(&duckdb::changes(&lake, TABLE).await, &stream).is_empty()
        })
        .await;
        run.signal("TERM");
        let status = run.exit(PATIENCE).await;
        assert!(status.success(), "{}", run.log());
    }
}

impl Service {
    fn command(&self, args: &[&str]) -> Headwater {
        let log = self.folder.path().join(format!("{}.log", fastrand::u64(..)));
        Headwater::start(self.folder.path(), log, &aws::environment(&self.dynamo.endpoint_url()), args)
    }

    /// Writes the configuration of one lake.
    fn configure(&self, root: &Path, format: &str) -> String {
        let (contract, lake) = (toml::Value::from(CONTRACT), toml::Value::from(root.join(format).to_str().unwrap()));
        let text = format!(
            r#"
            [table]
            name = "{TABLE}"
            contract = {contract}
            [stream]
            start = "trim-horizon"
            [lease]
            application = "headwater-{format}"
            [lake]
            url = {lake}
            format = "{format}"
            max_age = "1s"
            "#
        );
        let path = self.folder.path().join(format!("{format}.toml"));
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Takes a snapshot, of a part of the table where `what` says so.
    async fn snapshot(&self, config: &str, what: &[&str]) {
        self.command(&[&["snapshot", "start", "--wait", "--config", config], what].concat()).succeeds(PATIENCE).await;
    }

    /// A file with the keys of some orders, one of which is deleted, and of one that never was.
    async fn list_of_keys(&self) -> String {
        let page = self.client.scan().table_name(TABLE).limit(10).send().await.unwrap();
        let mut keys: Vec<String> = page.items().iter().map(|item| item["order_id"].as_s().unwrap().clone()).collect();
        self.client.delete_item().table_name(TABLE).key("order_id", AttributeValue::S(keys[0].clone())).send().await.unwrap();
        keys.push("ORD-that-never-was".to_owned());
        let lines: Vec<String> = keys.iter().map(|key| serde_json::json!({ "order_id": key }).to_string()).collect();
        let path = self.folder.path().join("keys");
        fs::write(&path, lines.join("\n")).unwrap();
        path.to_str().unwrap().to_owned()
    }
}
