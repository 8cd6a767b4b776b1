//! The stand-ins of `deploy/local.sh up`: DynamoDB Local, and ministack for Kinesis, Firehose and S3, as a user starts them.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_config::SdkConfig;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout};

use super::aws;
use super::bucket::Bucket;
use super::process::Headwater;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/local.sh");
/// The first start fetches the stand-ins, and other tests may be fetching them already.
const START: Duration = Duration::from_mins(10);
/// The script gives each stand-in half a minute.
const STOP: Duration = Duration::from_mins(2);
/// What a shell reports of a script that SIGTERM ended.
const ENDED_BY_SIGTERM: i32 = 143;

/// Running stand-ins, empty at first. Dropping it kills them; [`stop`](Self::stop) ends them as a user does.
pub(crate) struct StandIns {
    script: Child,
    /// The script's process id, and that of the group that everything it starts belongs to.
    group: u32,
    /// Kills the group when this process is gone, however it ends.
    watchdog: process::Child,
    environment: Vec<(String, String)>,
    /// Open until the end, so that the script can write.
    output: BufReader<ChildStdout>,
    dir: TempDir,
    processes: AtomicUsize,
}

impl StandIns {
    /// Starts the script and takes the environment that it prints.
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("stand-ins");
        fs::create_dir(&work).unwrap();
        let mut script = tokio::process::Command::new("bash")
            .args([SCRIPT, "up"])
            // Where the tests keep what they fetch.
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap())
            .env("TMPDIR", &work)
            .env_remove("PORT_DYNAMODB")
            .env_remove("PORT_AWS")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(dir.path().join("local.sh.log")).unwrap())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("start bash {SCRIPT} up: {error}"));
        let output = BufReader::new(script.stdout.take().unwrap());
        let group = script.id().unwrap();
        let mut this =
            Self { script, group, watchdog: watchdog(group), environment: Vec::new(), output, dir, processes: AtomicUsize::new(0) };
        let read = tokio::time::timeout(START, this.read_environment()).await;
        assert!(matches!(read, Ok(true)), "deploy/local.sh up did not come up:\n{}", this.words());
        this
    }

    /// False when the script ends before it says that it is ready.
    async fn read_environment(&mut self) -> bool {
        let mut line = String::new();
        while self.output.read_line(&mut line).await.unwrap() > 0 {
            if let Some((name, value)) = line.trim_end().strip_prefix("export ").and_then(|set| set.split_once('=')) {
                self.environment.push((name.to_owned(), value.to_owned()));
            } else if line == "# ready\n" {
                return true;
            }
            line.clear();
        }
        false
    }

    /// What the script has said.
    fn words(&self) -> String {
        fs::read_to_string(self.dir.path().join("local.sh.log")).unwrap()
    }

    /// A folder for what a test writes.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Starts `headwater ARGS` with the environment that the script printed.
    pub(crate) fn headwater(&self, args: &[&str]) -> Headwater {
        self.headwater_with(&[], args)
    }

    /// The same, with other values of some variables.
    pub(crate) fn headwater_with(&self, other: &[(&str, &str)], args: &[&str]) -> Headwater {
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        let mut environment: Vec<_> = self.environment.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        environment.extend(other.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Headwater::start(self.folder(), self.folder().join(format!("{number}-{}.log", args[0])), &environment, args)
    }

    /// Settings of the plain SDK for DynamoDB.
    pub(crate) fn dynamodb(&self) -> SdkConfig {
        aws::sdk_config(self.endpoint("AWS_ENDPOINT_URL_DYNAMODB"))
    }

    /// Settings of the plain SDK for Kinesis and Firehose.
    pub(crate) fn services(&self) -> SdkConfig {
        aws::sdk_config(self.endpoint("AWS_ENDPOINT_URL"))
    }

    /// A bucket of the stand-in, which need not be there yet.
    pub(crate) fn bucket(&self, name: &str) -> Bucket {
        Bucket::new(self.endpoint("AWS_ENDPOINT_URL"), name)
    }

    fn endpoint(&self, variable: &str) -> &str {
        let found = self.environment.iter().find(|(name, _)| name == variable);
        &found.unwrap_or_else(|| panic!("deploy/local.sh up exports no {variable}: {:?}", self.environment)).1
    }

    /// Ends the script by SIGTERM, and panics unless it takes everything along that it started.
    pub(crate) async fn stop(mut self) {
        assert!(signal("TERM", &self.group.to_string()), "deploy/local.sh up had ended by itself:\n{}", self.words());
        let status = tokio::time::timeout(STOP, self.script.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("deploy/local.sh up did not end within {STOP:?}:\n{}", self.words())).unwrap();
        assert_eq!(status.code(), Some(ENDED_BY_SIGTERM), "{}", self.words());
        assert!(!self.any_process_left(), "deploy/local.sh up left a process behind:\n{}", self.words());
        let left: Vec<PathBuf> = fs::read_dir(self.dir.path().join("stand-ins")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "deploy/local.sh up left files behind: {left:?}");
    }

    fn any_process_left(&self) -> bool {
        signal("0", &format!("-{}", self.group))
    }
}

impl Drop for StandIns {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // A test that fails already has more to tell than that.
        let _ = self.watchdog.wait();
    }
}

/// A process that waits until its standard input is closed, and then kills the group. In a group of its own, so that ctrl-c does not end it
/// with the tests.
pub(crate) fn watchdog(group: u32) -> process::Child {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("cat; kill -s KILL -- -{group}")]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0).spawn().unwrap_or_else(|error| panic!("start sh: {error}"))
}

/// Whether the signal reached the process, or one of the group when `target` is a group with a minus sign.
fn signal(name: &str, target: &str) -> bool {
    let sent = Command::new("sh").args(["-c", &format!("kill -s {name} -- {target}")]).stderr(Stdio::null()).status();
    sent.unwrap().success()
}

#[cfg(test)]
mod tests {
    use super::super::wait_until;
    use super::*;

    #[tokio::test]
    async fn stand_ins_answer_and_go_with_the_script() {
        let stack = StandIns::start().await;
        let tables = aws_sdk_dynamodb::Client::new(&stack.dynamodb()).list_tables().send().await.unwrap();
        assert!(tables.table_names().is_empty());
        let streams = aws_sdk_kinesis::Client::new(&stack.services()).list_streams().send().await.unwrap();
        assert!(streams.stream_names().is_empty());
        stack.stop().await;
    }

    #[tokio::test]
    async fn a_test_that_fails_leaves_no_process_behind() {
        let stack = StandIns::start().await;
        let addresses = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"].map(|name| stack.endpoint(name).replace("http://", ""));
        for address in &addresses {
            tokio::net::TcpStream::connect(address).await.unwrap();
        }
        drop(stack);
        for address in &addresses {
            wait_until(STOP, "nothing answers", async || tokio::net::TcpStream::connect(address).await.is_err()).await;
        }
    }
}
