//! ministack as the whole of AWS, CloudFormation among it, and what its own clients say of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_config::SdkConfig;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::process::Child;

use crate::support::bucket::Bucket;
use crate::support::dynamodb_local::free_port;
use crate::support::process::Headwater;
use crate::support::stand_ins::watchdog;
use crate::support::{aws, tools, wait_until};

/// What the stand-in needs to convert a delivery stream's records to Parquet, and the client that speaks CloudFormation, which takes the same
/// botocore. The stand-in is the one of docker-compose.yml.
const PACKAGES: [&str; 3] = ["ministack==1.5.33", "duckdb==2.0.0", "boto3==1.43.106"];
const NEEDS: &str =
    "ministack comes from PyPI: python3 (3.10 or later) with venv and access to PyPI are needed (apt-get install python3-venv).";
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/stack");
/// Starting takes half a second on an idle machine.
const START: Duration = Duration::from_mins(2);
/// A port may be taken between being chosen and being used.
const ATTEMPTS: usize = 3;

/// A running stand-in without any resources. Dropping it ends it.
pub(super) struct Cloud {
    endpoint: String,
    server: Child,
    /// Kills the server's process group when this process is gone, however it ends.
    watchdog: process::Child,
    python: PathBuf,
    /// The server's working directory with its log and its temporary files, and where headwater's containers would have theirs.
    home: TempDir,
    processes: AtomicUsize,
}

impl Cloud {
    /// Starts a stand-in of its own on a free port, fetching it if this is the first time.
    pub(super) async fn start() -> Self {
        let tool = tokio::task::spawn_blocking(tool).await.unwrap();
        let mut log = String::new();
        for _ in 0..ATTEMPTS {
            match Self::start_once(&tool).await {
                Ok(cloud) => return cloud,
                Err(words) => log = words,
            }
        }
        panic!("ministack ended while starting, {ATTEMPTS} times.\n{log}");
    }

    /// `Err` holds the log of a server that ended by itself.
    async fn start_once(tool: &Path) -> Result<Self, String> {
        let port = free_port();
        let home = tempfile::tempdir().unwrap();
        let log_path = home.path().join("ministack.log");
        let log = File::create(&log_path).unwrap();
        let temporary = home.path().join("tmp");
        fs::create_dir(&temporary).unwrap();
        let server = tokio::process::Command::new(tool.join("bin/ministack"))
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("TMPDIR", &temporary)
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("start ministack: {error}"));
        let endpoint = format!("http://127.0.0.1:{port}");
        let watchdog = watchdog(server.id().unwrap());
        let mut this = Self { endpoint, server, watchdog, python: tool.join("bin/python"), home, processes: AtomicUsize::new(0) };
        let client = aws_sdk_dynamodb::Client::new(&this.sdk_config());
        let mut ended = false;
        wait_until(START, "ministack answers or ends", async || {
            ended = this.server.try_wait().unwrap().is_some();
            ended || client.list_tables().send().await.is_ok()
        })
        .await;
        if ended { Err(fs::read_to_string(&log_path).unwrap_or_default()) } else { Ok(this) }
    }

    /// Settings of the plain SDK, for every service.
    pub(super) fn sdk_config(&self) -> SdkConfig {
        aws::sdk_config(&self.endpoint)
    }

    /// A bucket, which need not be there.
    pub(super) fn bucket(&self, name: &str) -> Bucket {
        Bucket::new(&self.endpoint, name)
    }

    /// A folder for what a test writes, in which the processes run.
    pub(super) fn folder(&self) -> &Path {
        self.home.path()
    }

    /// Runs a script beside this file and reads the JSON that it prints.
    pub(super) async fn python<T: DeserializeOwned>(&self, script: &str, args: &[&str]) -> T {
        let mut command = Command::new(&self.python);
        // Its modules lie in the sources, where nothing may be written.
        command
            .arg("-B")
            .arg(Path::new(SCRIPTS).join(script))
            .args(args)
            .envs(aws::environment(&self.endpoint))
            .env("AWS_DEFAULT_REGION", "us-east-1");
        let printed = tokio::task::spawn_blocking(move || tools::output(&mut command, NEEDS)).await.unwrap();
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{script} {args:?} printed {printed}: {error}"))
    }

    /// Starts `headwater ARGS` where this is AWS, with further variables.
    pub(super) fn headwater(&self, variables: &[(&str, String)], args: &[&str]) -> Headwater {
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        let log = self.folder().join(format!("{number}-{}.log", args[0]));
        Headwater::start(self.folder(), log, &[&aws::environment(&self.endpoint), variables].concat(), args)
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // A test that fails already has more to tell than that.
        let _ = self.watchdog.wait();
    }
}

/// The folder of the stand-in and its client.
fn tool() -> PathBuf {
    tools::provide(&format!("stack-{}", PACKAGES.join("-").replace("==", "-")), |home| {
        tools::output(Command::new("python3").args(["-m", "venv"]).arg(home), NEEDS);
        let mut pip = Command::new(home.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
        tools::output(&mut pip, NEEDS);
    })
}
