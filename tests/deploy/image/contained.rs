//! Containers of the run image, without an engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::declared::Declared;
use super::root;
use crate::support::process::Headwater;
use crate::support::{tools, wait_until};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/image/contained.py");
const NEEDS: &str = "A container without an engine needs python3, util-linux 2.38 or later, and the right to make namespaces: run as root, \
    or allow user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu).";
/// Starting takes less than a second on an idle machine.
const START: Duration = Duration::from_mins(1);

/// The image, and what its containers are given.
pub(super) struct Image {
    pub(super) declared: Declared,
    root: &'static Path,
    /// Where logs go.
    folder: PathBuf,
    started: AtomicUsize,
}

impl Image {
    /// Panics where this machine cannot start a container.
    pub(super) fn new(folder: &Path) -> Self {
        let this = Self { declared: Declared::read(), root: root::root(), folder: folder.to_owned(), started: AtomicUsize::new(0) };
        let mut version = Command::new("python3");
        version.arg(SCRIPT).arg(this.root).args(this.place()).args(["--", &this.declared.program, "--version"]);
        assert!(tools::output(&mut version, NEEDS).starts_with("headwater "));
        this
    }

    /// The user's number and the working directory, as the script takes them.
    fn place(&self) -> [String; 2] {
        [self.declared.user.to_string(), self.declared.working_dir.clone()]
    }

    /// Starts a container with no environment but the given one, and with the file `.0` of this machine at the path `.1`.
    pub(super) fn start(&self, environment: &[(&str, String)], file: Option<(&Path, &str)>, args: &[&str]) -> Headwater {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let mut command = tokio::process::Command::new("python3");
        command.arg(SCRIPT).arg(self.root).args(self.place());
        if let Some((file, path)) = file {
            command.arg("--file").arg(file).arg(path);
        }
        command.args(["--", &self.declared.program]).args(args).env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        Headwater::spawn(command, self.folder.join(format!("contained-{number}.log")), args)
    }
}

/// The first process of a running container, which is the service itself.
pub(super) struct Inside {
    process: PathBuf,
}

impl Inside {
    /// Waits until the container has come to its program.
    pub(super) async fn of(container: &mut Headwater) -> Self {
        let starter = container.id();
        let mut process = None;
        container
            .wait_until(START, "the container runs its program", async || {
                let children = fs::read_to_string(format!("/proc/{starter}/task/{starter}/children")).unwrap_or_default();
                process = children.split_whitespace().next().map(|child| PathBuf::from("/proc").join(child));
                let name = process.as_ref().and_then(|process| fs::read_to_string(process.join("comm")).ok());
                name.as_deref() == Some("headwater\n")
            })
            .await;
        Self { process: process.unwrap() }
    }

    /// The words behind a name in the kernel's account of the process.
    pub(super) fn status(&self, name: &str) -> Vec<String> {
        let status = fs::read_to_string(self.process.join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name} in {status}")).split_whitespace().map(str::to_owned).collect()
    }

    /// What is mounted in the container: where, and with which options.
    pub(super) fn mounts(&self) -> Vec<(String, Vec<String>)> {
        let mounts = fs::read_to_string(self.process.join("mountinfo")).unwrap();
        let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        fields.map(|line| (line[4].to_owned(), line[5].split(',').map(str::to_owned).collect())).collect()
    }

    /// A path of the container as this machine's root user reaches it, through the container's mounts.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.process.join("root").join(path.trim_start_matches('/'))
    }

    /// Sends a signal as an engine does: to process 1 of the container, from outside.
    pub(super) fn signal(&self, name: &str) {
        let id = self.process.file_name().unwrap().to_str().unwrap();
        let sent = Command::new("sh").args(["-c", &format!("kill -s {name} {id}")]).status().unwrap();
        assert!(sent.success(), "send SIG{name} to process {id}");
    }
}

/// Waits until the health check of a container says so much.
pub(super) async fn healthy(image: &Image, environment: &[(&str, String)], options: &[&str], deadline: Duration) {
    let args = [&["health"], options].concat();
    wait_until(deadline, "the health check succeeds", async || {
        let mut check = image.start(environment, None, &args);
        check.exit(deadline).await.success()
    })
    .await;
}
