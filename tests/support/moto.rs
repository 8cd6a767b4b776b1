//! moto, another implementation of DynamoDB and S3: the one stand-in that writes the data files of exports.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use aws_config::SdkConfig;
use tempfile::TempDir;
use tokio::process::Child;

use super::bucket::Bucket;
use super::dynamodb_local::free_port;
use super::{aws, tools, wait_until};

const VERSION: &str = "5.2.5";
/// What its server needs, without the many packages of services that no test uses.
const SERVER: [&str; 2] = ["flask==3.1.3", "flask-cors==6.0.5"];
const NEEDS: &str = "moto comes from PyPI: python3 (3.10 or later) with venv and access to PyPI are needed (apt-get install python3-venv).";
/// Starting takes two seconds on an idle machine.
const START: Duration = Duration::from_mins(2);
/// A port may be taken between being chosen and being used.
const ATTEMPTS: usize = 3;

/// A running moto without tables and buckets. Dropping it ends it.
pub(crate) struct Moto {
    endpoint: String,
    server: Child,
    /// The server's working directory, with its log.
    _home: TempDir,
}

impl Moto {
    /// Starts a server of its own on a free port, fetching the package if this is the first time.
    pub(crate) async fn start() -> Self {
        let program = tokio::task::spawn_blocking(program).await.unwrap();
        let mut log = String::new();
        for _ in 0..ATTEMPTS {
            match Self::start_once(&program).await {
                Ok(server) => return server,
                Err(words) => log = words,
            }
        }
        panic!("moto ended while starting, {ATTEMPTS} times.\n{log}");
    }

    /// `Err` holds the log of a server that ended by itself.
    async fn start_once(program: &Path) -> Result<Self, String> {
        let port = free_port();
        let home = tempfile::tempdir().unwrap();
        let log_path = home.path().join("log");
        let log = File::create(&log_path).unwrap();
        let server = tokio::process::Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let mut this = Self { endpoint: format!("http://127.0.0.1:{port}"), server, _home: home };
        let client = aws_sdk_dynamodb::Client::new(&this.sdk_config());
        let mut ended = false;
        wait_until(START, "moto answers or ends", async || {
            ended = this.server.try_wait().unwrap().is_some();
            ended || client.list_tables().send().await.is_ok()
        })
        .await;
        if ended { Err(fs::read_to_string(&log_path).unwrap_or_default()) } else { Ok(this) }
    }

    /// Settings of the plain SDK for this server, which is all services at once.
    pub(crate) fn sdk_config(&self) -> SdkConfig {
        aws::sdk_config(&self.endpoint)
    }

    /// A bucket of the stand-in, which need not be there yet.
    pub(crate) fn bucket(&self, name: &str) -> Bucket {
        Bucket::new(&self.endpoint, name)
    }
}

/// The server's program.
fn program() -> PathBuf {
    let home = tools::provide(&format!("moto-{VERSION}-{}", SERVER.join("-").replace("==", "-")), |home| {
        tools::output(Command::new("python3").args(["-m", "venv"]).arg(home), NEEDS);
        let mut pip = Command::new(home.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", &format!("moto[dynamodb,s3]=={VERSION}")]).args(SERVER);
        tools::output(&mut pip, NEEDS);
    });
    home.join("bin/moto_server")
}
