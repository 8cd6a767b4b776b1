//! Independent readers of CloudFormation templates, from PyPI: cfn-lint, which knows the schema of every resource, and checkov with its policies.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::tools;

const CFN_LINT: &str = "1.58.0";
const CHECKOV: &str = "3.3.30";
const NEEDS: &str =
    "cfn-lint and checkov come from PyPI: python3 (3.10 or later) with venv and access to PyPI are needed (apt-get install python3-venv).";
const DECODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/cloudformation.py");

/// The template as JSON, with every function in its long form. Fails where it is not even YAML.
pub(crate) fn decode(template: &Path) -> serde_json::Value {
    let json = tools::output(Command::new(cfn_lint().join("python")).arg(DECODE).arg(template), NEEDS);
    serde_json::from_str(&json).unwrap()
}

/// What cfn-lint finds in a template: nothing, if it is fine.
pub(crate) fn lint(template: &Path) -> String {
    let mut command = Command::new(cfn_lint().join("cfn-lint"));
    // Away from any configuration of its own that lies about.
    command.args(["--format", "parseable", "--"]).arg(template).current_dir(template.parent().unwrap());
    told(&mut command)
}

/// The policies of checkov that a template breaks, as checkov tells them: nothing, if it is fine.
pub(crate) fn policies(template: &Path) -> String {
    let home = provide("checkov", CHECKOV);
    let mut command = Command::new(home.join("python"));
    // Nothing is fetched, nothing is sent.
    command
        .arg(home.join("checkov"))
        .args(["--framework", "cloudformation", "--skip-download", "--compact", "--quiet", "--file"])
        .arg(template);
    told(&mut command)
}

/// What a checker prints; nothing if it ended with success.
fn told(command: &mut Command) -> String {
    let shown = format!("{command:?}");
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("cannot start {shown}: {error}.\n{NEEDS}"));
    let told = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    match (status.success(), told.trim().is_empty()) {
        (true, _) => String::new(),
        (false, false) => told,
        (false, true) => panic!("{shown} ended with {status} and without a word"),
    }
}

/// cfn-lint's folder of programs.
fn cfn_lint() -> PathBuf {
    provide("cfn-lint", CFN_LINT)
}

fn provide(package: &str, version: &str) -> PathBuf {
    let home = tools::provide(&format!("{package}-{version}"), |home| {
        tools::output(Command::new("python3").args(["-m", "venv"]).arg(home), NEEDS);
        let mut pip = Command::new(home.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", &format!("{package}=={version}")]);
        tools::output(&mut pip, NEEDS);
    });
    home.join("bin")
}
