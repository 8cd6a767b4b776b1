//! kinesis-local, a Kinesis that splits and merges shards as AWS does: the service of the kinesis-mock project, as an npm package.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use aws_config::SdkConfig;
use tempfile::TempDir;
use tokio::process::Child;

use super::dynamodb_local::free_port;
use super::{aws, tools, wait_until};

const PACKAGE: &str = "kinesis-local";
const VERSION: &str = "0.6.2";
const NEEDS_NPM: &str = "kinesis-local comes as an npm package: npm and access to the npm registry are needed (apt-get install npm).";
const NEEDS_NODE: &str = "kinesis-local needs Node.js 18 or later on the PATH (apt-get install nodejs).";
/// Starting takes a second on an idle machine.
const START: Duration = Duration::from_mins(2);
/// A port may be taken between being chosen and being used.
const ATTEMPTS: usize = 3;
/// How long a stream is CREATING or UPDATING: half a second by default.
const CHANGE: &str = "100ms";

/// A running kinesis-local without streams. Dropping it ends it.
pub(crate) struct KinesisLocal {
    endpoint: String,
    server: Child,
    /// The server's working directory, with its log.
    _home: TempDir,
}

impl KinesisLocal {
    /// Starts a server of its own on free ports, fetching the package if this is the first time.
    pub(crate) async fn start() -> Self {
        let package = tokio::task::spawn_blocking(package).await.unwrap();
        let mut log = String::new();
        for _ in 0..ATTEMPTS {
            match Self::start_once(&package).await {
                Ok(server) => return server,
                Err(words) => log = words,
            }
        }
        panic!("kinesis-local ended while starting, {ATTEMPTS} times.\n{NEEDS_NODE}\n{log}");
    }

    /// `Err` holds the log of a server that ended by itself.
    async fn start_once(package: &Path) -> Result<Self, String> {
        let (plain, tls) = (free_port(), free_port());
        let home = tempfile::tempdir().unwrap();
        let log_path = home.path().join("log");
        let log = File::create(&log_path).unwrap();
        let server = tokio::process::Command::new("node")
            .arg(package.join("main.js"))
            .env("KINESIS_MOCK_CERT_PATH", package.join("server.json"))
            .env("KINESIS_MOCK_PLAIN_PORT", plain.to_string())
            .env("KINESIS_MOCK_TLS_PORT", tls.to_string())
            .envs(["CREATE_STREAM_DURATION", "SPLIT_SHARD_DURATION", "MERGE_SHARDS_DURATION"].map(|name| (name, CHANGE)))
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start node: {error}.\n{NEEDS_NODE}"));
        let mut this = Self { endpoint: format!("http://127.0.0.1:{plain}"), server, _home: home };
        let client = aws_sdk_kinesis::Client::new(&this.sdk_config());
        let mut ended = false;
        wait_until(START, "kinesis-local answers or ends", async || {
            ended = this.server.try_wait().unwrap().is_some();
            ended || client.list_streams().send().await.is_ok()
        })
        .await;
        if ended { Err(fs::read_to_string(&log_path).unwrap_or_default()) } else { Ok(this) }
    }

    /// Where it answers.
    pub(crate) fn endpoint_url(&self) -> &str {
        &self.endpoint
    }

    /// Settings of the plain SDK for this server.
    pub(crate) fn sdk_config(&self) -> SdkConfig {
        aws::sdk_config(&self.endpoint)
    }
}

/// The folder with `main.js`.
fn package() -> PathBuf {
    let home = tools::provide(&format!("{PACKAGE}-{VERSION}"), |home| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error", "--prefix"])
            .arg(home)
            .arg(format!("{PACKAGE}@{VERSION}"));
        tools::output(&mut npm, NEEDS_NPM);
    });
    home.join("node_modules").join(PACKAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_server_starts_empty_and_ends_when_dropped() {
        let server = KinesisLocal::start().await;
        let client = aws_sdk_kinesis::Client::new(&server.sdk_config());
        assert!(client.list_streams().send().await.unwrap().stream_names().is_empty());
        let address = server.endpoint_url().trim_start_matches("http://").to_owned();
        drop(server);
        wait_until(Duration::from_mins(1), "the port is closed", async || tokio::net::TcpStream::connect(&address).await.is_err()).await;
    }
}
