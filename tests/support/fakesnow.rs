//! Stand-ins for Snowflake: fakesnow, a connection that DuckDB answers, and sqlfluff, which has Snowflake's grammar.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::tools;

const PACKAGES: [&str; 5] =
    ["fakesnow==0.11.22", "duckdb==1.5.6", "snowflake-connector-python==3.18.1", "sqlglot==30.22.0", "sqlfluff==4.5.0"];
const NEEDS: &str = "fakesnow and sqlfluff come from PyPI: python3 (3.10 or later) with venv and access to PyPI are needed \
    (apt-get install python3-venv).";

/// Runs a Python script that uses them, and gives what it prints.
pub(crate) fn run(script: &str, arguments: &[&Path]) -> String {
    tools::output(&mut command(script, arguments), NEEDS)
}

/// Whether such a script ends well.
pub(crate) fn succeeds(script: &str, arguments: &[&Path]) -> bool {
    command(script, arguments).output().unwrap_or_else(|error| panic!("start {script}: {error}")).status.success()
}

fn command(script: &str, arguments: &[&Path]) -> Command {
    let mut command = Command::new(python());
    // The connector warns of versions of what it does not use here.
    command.arg(script).args(arguments).env("PYTHONWARNINGS", "ignore");
    command
}

/// A Python that has them.
fn python() -> PathBuf {
    let home = tools::provide(&PACKAGES.join("-").replace("==", "-"), |home| {
        tools::output(Command::new("python3").args(["-m", "venv"]).arg(home), NEEDS);
        let mut pip = Command::new(home.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
        tools::output(&mut pip, NEEDS);
    });
    home.join("bin/python")
}
