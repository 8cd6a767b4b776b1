//! An independent reader and writer of aggregated Kinesis records: Amazon's Python library, which shares no code with headwater.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::tools;

const VERSION: &str = "1.2.3";
/// What the library needs, in versions that it was seen to work with; it names one of them, and none of the versions.
const BESIDE_IT: [&str; 2] = ["protobuf==7.36.2", "six==1.17.0"];
const NEEDS: &str =
    "aws-kinesis-agg comes from PyPI: python3 (3.10 or later) with venv and access to PyPI are needed (apt-get install python3-venv).";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/kinesis_agg.py");

/// A record as a producer is given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserRecord {
    pub(crate) partition_key: String,
    pub(crate) explicit_hash_key: Option<String>,
    pub(crate) data: Vec<u8>,
}

/// Partition key, explicit hash key, data in base64.
#[derive(Serialize, Deserialize)]
struct Line(String, Option<String>, String);

/// The user records in the data of each Kinesis record. Fails on data that the library takes for a plain record.
pub(crate) async fn unpack(records: &[impl AsRef<[u8]>]) -> Vec<Vec<UserRecord>> {
    let unpacked = run("unpack", records.iter().map(|data| BASE64_STANDARD.encode(data)).collect()).await;
    unpacked.lines().map(|line| serde_json::from_str::<Vec<Line>>(line).unwrap().into_iter().map(user_record).collect()).collect()
}

/// The data of one Kinesis record for each list of user records.
pub(crate) async fn pack(lists: &[Vec<UserRecord>]) -> Vec<Vec<u8>> {
    let line = |list: &Vec<UserRecord>| serde_json::to_string(&list.iter().map(line).collect::<Vec<_>>()).unwrap();
    let packed = run("pack", lists.iter().map(line).collect()).await;
    packed.lines().map(|line| BASE64_STANDARD.decode(line).unwrap()).collect()
}

fn line(record: &UserRecord) -> Line {
    Line(record.partition_key.clone(), record.explicit_hash_key.clone(), BASE64_STANDARD.encode(&record.data))
}

fn user_record(Line(partition_key, explicit_hash_key, data): Line) -> UserRecord {
    UserRecord { partition_key, explicit_hash_key, data: BASE64_STANDARD.decode(data).unwrap() }
}

async fn run(mode: &'static str, lines: Vec<String>) -> String {
    tokio::task::spawn_blocking(move || {
        let mut file = NamedTempFile::new().unwrap();
        for line in lines {
            writeln!(file, "{line}").unwrap();
        }
        tools::output(Command::new(python()).arg(SCRIPT).arg(mode).arg(file.path()), NEEDS)
    })
    .await
    .unwrap()
}

/// A Python that has the library.
fn python() -> PathBuf {
    let home = tools::provide(&format!("aws-kinesis-agg-{VERSION}"), |home| {
        tools::output(Command::new("python3").args(["-m", "venv"]).arg(home), NEEDS);
        let mut pip = Command::new(home.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        tools::output(pip.arg(format!("aws-kinesis-agg=={VERSION}")).args(BESIDE_IT), NEEDS);
    });
    home.join("bin/python")
}
