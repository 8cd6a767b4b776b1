//! The built command as a child process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Child;

use super::wait_until;

/// A running `headwater`. Dropping it kills it.
pub(crate) struct Headwater {
    command: String,
    child: Child,
    log: PathBuf,
}

impl Headwater {
    /// Starts `headwater ARGS` in `dir` with no environment but the given one. What it prints goes to the file `log`.
    pub(crate) fn start(dir: &Path, log: PathBuf, environment: &[(&str, String)], args: &[&str]) -> Self {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_headwater"));
        // No file of the user's home is to be read.
        command.args(args).current_dir(dir).env_clear().env("HOME", dir).env("RUST_BACKTRACE", "1");
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        Self::spawn(command, log, args)
    }

    /// Starts a command that ends in being `headwater ARGS`. What it prints goes to the file `log`.
    pub(crate) fn spawn(mut process: tokio::process::Command, log: PathBuf, args: &[&str]) -> Self {
        let command = format!("headwater {}", args.join(" "));
        let output = File::create(&log).unwrap();
        process.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output).kill_on_drop(true);
        let child = process.spawn().unwrap_or_else(|error| panic!("start {command}: {error}"));
        Self { command, child, log }
    }

    /// Its process id, while it runs.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap_or_else(|| panic!("{} has ended:\n{}", self.command, self.log()))
    }

    /// Everything that it has printed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| format!("({}: {error})", self.log.display()))
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Panics with its log if it has ended.
    pub(crate) fn assert_running(&mut self) {
        if let Some(status) = self.ended() {
            panic!("{} ended by itself with {status}:\n{}", self.command, self.log());
        }
    }

    /// Waits for a condition that needs this process: panics with its log when it ends meanwhile, or at the deadline.
    pub(crate) async fn wait_until(&mut self, deadline: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        let waiting = wait_until(Duration::MAX, what, async || {
            self.assert_running();
            condition().await
        });
        let held = tokio::time::timeout(deadline, waiting).await.is_ok();
        assert!(held, "waited {deadline:?} in vain until {what}; {} says:\n{}", self.command, self.log());
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.id();
        // The shell's own `kill` is on every Unix, and needs no unsafe code here.
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
        assert!(sent.success(), "send SIG{name} to {}", self.command);
    }

    /// Kills it as a power cut would: SIGKILL, no goodbye.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for its end, and panics with its log when it has not ended within `deadline`.
    pub(crate) async fn exit(&mut self, deadline: Duration) -> ExitStatus {
        let ended = self.ends_within(deadline).await;
        ended.unwrap_or_else(|| panic!("{} did not end within {deadline:?}:\n{}", self.command, self.log()))
    }

    /// Waits `time` at most for its end, and tells how it ended if it has.
    pub(crate) async fn ends_within(&mut self, time: Duration) -> Option<ExitStatus> {
        tokio::time::timeout(time, self.child.wait()).await.ok().map(Result::unwrap)
    }

    /// Waits for its end and panics with its log unless that is success.
    pub(crate) async fn succeeds(mut self, deadline: Duration) -> String {
        let status = self.exit(deadline).await;
        assert!(status.success(), "{} ended with {status}:\n{}", self.command, self.log());
        self.log()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    fn start(dir: &Path, args: &[&str]) -> Headwater {
        Headwater::start(dir, dir.join("log"), &[], args)
    }

    #[tokio::test]
    async fn what_a_process_prints_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let printed = start(dir.path(), &["--version"]).succeeds(SOON).await;
        assert!(printed.starts_with("headwater "), "{printed}");
    }

    #[tokio::test]
    #[should_panic(expected = "--no-such-option")]
    async fn a_process_that_fails_shows_its_words() {
        let dir = tempfile::tempdir().unwrap();
        start(dir.path(), &["--no-such-option"]).succeeds(SOON).await;
    }

    #[tokio::test]
    #[should_panic(expected = "ended by itself")]
    async fn waiting_for_a_process_ends_with_the_process() {
        let dir = tempfile::tempdir().unwrap();
        start(dir.path(), &["--version"]).wait_until(SOON, "the sky falls", async || false).await;
    }
}
