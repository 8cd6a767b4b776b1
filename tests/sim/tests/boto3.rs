//! A client of another language: boto3 against the simulator.

use std::path::PathBuf;
use std::process::Command;

use crate::{simulator, tools};

const VERSION: &str = "1.44.5";
const NEEDS: &str =
    "boto3 comes from PyPI: python3 (3.10 or later) with venv and access to PyPI are needed (apt-get install python3-venv).";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/boto3/lineage.py");

/// What the script finds if everything is as AWS has it.
const FINDINGS: &str = "\
DynamoDB refuses conditional writes with the exceptions of boto3
DynamoDB Streams: 160 records of 40 items in order, in 4 generations of shards
Kinesis: 300 records of 25 keys in order, in 5 shards
Firehose: 60 records in one object of gzip
S3: an object is created once
";

#[tokio::test(flavor = "multi_thread")]
async fn boto3_reads_a_stream_that_has_split() {
    let server = simulator::start().await;
    let endpoint = simulator::url(&server);
    let found = tokio::task::spawn_blocking(move || {
        let mut script = Command::new(python());
        // No configuration of the machine's user is to be read.
        script.arg(SCRIPT).arg(endpoint).env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        tools::output(&mut script, NEEDS)
    })
    .await
    .unwrap();
    assert_eq!(found, FINDINGS);
    server.stop().await;
}

/// A Python that has boto3.
fn python() -> PathBuf {
    let home = tools::provide(&format!("boto3-{VERSION}"), |home| {
        tools::output(Command::new("python3").args(["-m", "venv"]).arg(home), NEEDS);
        let mut pip = Command::new(home.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", &format!("boto3=={VERSION}")]);
        tools::output(&mut pip, NEEDS);
    });
    home.join("bin/python")
}
