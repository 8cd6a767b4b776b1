//! A parser of many SQL dialects that is none of the engines': sqlglot.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tools;

const VERSION: &str = "30.30.0";
const NEEDS: &str =
    "sqlglot comes from PyPI: python3 (3.10 or later) with venv and access to PyPI are needed (apt-get install python3-venv).";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/parse_sql.py");

/// A statement as the parser understood it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Parsed {
    /// Such as `create` or `select`.
    pub(crate) kind: String,
    /// The functions that it calls and the parser knows nothing of.
    pub(crate) unknown_functions: Vec<String>,
}

/// Parses SQL in a dialect. A mistake ends the test with the parser's words.
pub(crate) fn parse(sql: &str, dialect: &str) -> Vec<Parsed> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(sql.as_bytes()).unwrap();
    serde_json::from_str(&run(SCRIPT, &[Path::new(dialect), file.path()])).unwrap()
}

/// Runs a Python script that uses the parser, and gives what it prints.
pub(crate) fn run(script: &str, arguments: &[&Path]) -> String {
    tools::output(Command::new(python()).arg(script).args(arguments), NEEDS)
}

/// A Python that has sqlglot.
fn python() -> PathBuf {
    let home = tools::provide(&format!("sqlglot-{VERSION}"), |home| {
        tools::output(Command::new("python3").args(["-m", "venv"]).arg(home), NEEDS);
        let mut pip = Command::new(home.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", &format!("sqlglot=={VERSION}")]);
        tools::output(&mut pip, NEEDS);
    });
    home.join("bin/python")
}
