//! Programs that tests need beyond cargo: fetched on first use into `target/tools`, once, whoever asks.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder of the tool `name` (which holds its version). When it is not complete, `install` fills it; a lock file keeps other tests
/// and other test processes waiting meanwhile, and a marker written last tells a complete folder from an interrupted one.
pub(crate) fn provide(name: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools");
    provide_in(&tools, name, install)
}

fn provide_in(tools: &Path, name: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let home = tools.join(name);
    let complete = home.join(".complete");
    fs::create_dir_all(tools).unwrap_or_else(|error| panic!("create {}: {error}", tools.display()));
    let lock = tools.join(format!("{name}.lock"));
    let lock = File::create(&lock).unwrap_or_else(|error| panic!("create {}: {error}", lock.display()));
    lock.lock().unwrap_or_else(|error| panic!("lock {name} in {}: {error}", tools.display()));
    if !complete.exists() {
        match fs::remove_dir_all(&home) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("remove the incomplete {}: {error}", home.display()),
            _ => {}
        }
        fs::create_dir_all(&home).unwrap_or_else(|error| panic!("create {}: {error}", home.display()));
        install(&home);
        fs::write(&complete, "").unwrap_or_else(|error| panic!("write {}: {error}", complete.display()));
    }
    home
}

/// Runs a command to its end and returns its standard output. A command that is missing or fails ends the test with its own words
/// and with `needs`, which tells the reader what to install.
pub(crate) fn output(command: &mut Command, needs: &str) -> String {
    let shown = format!("{command:?}");
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => {
            String::from_utf8(output.stdout).unwrap_or_else(|error| panic!("{shown} printed something else than UTF-8: {error}"))
        }
        Ok(output) => panic!(
            "{shown} ended with {}.\n{needs}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        ),
        Err(error) => panic!("cannot start {shown}: {error}.\n{needs}"),
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_tool_is_installed_once_however_many_ask() {
        let tools = tempfile::tempdir().unwrap();
        let installs = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let home = provide_in(tools.path(), "hammer-1.0", |home| {
                        installs.fetch_add(1, Ordering::Relaxed);
                        fs::write(home.join("hammer"), "").unwrap();
                    });
                    assert!(home.join("hammer").exists());
                });
            }
        });
        assert_eq!(installs.into_inner(), 1);
    }

    #[test]
    fn an_interrupted_installation_starts_afresh() {
        let tools = tempfile::tempdir().unwrap();
        let interrupted = catch_unwind(AssertUnwindSafe(|| {
            provide_in(tools.path(), "saw-1.0", |home| {
                fs::write(home.join("half"), "").unwrap();
                panic!("no network");
            })
        }));
        assert!(interrupted.is_err());
        let home = provide_in(tools.path(), "saw-1.0", |_| {});
        assert!(!home.join("half").exists());
    }

    #[test]
    fn a_missing_program_is_named_with_what_to_install() {
        let failure = catch_unwind(|| output(&mut Command::new("headwater-no-such-program"), "Install it.")).unwrap_err();
        let words = failure.downcast_ref::<String>().unwrap();
        assert!(words.contains("headwater-no-such-program") && words.contains("Install it."), "{words}");
    }
}
