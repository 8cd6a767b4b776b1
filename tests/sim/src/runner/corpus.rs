//! What hostile input begins with: input as the services and headwater itself make it, for the fuzz programs to change.
//!
//! A short history without faults is played. What the table's stream and the Kinesis stream then hold is read as any client reads it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use base64_simd::STANDARD;
use headwater::route::aggregate::{Unpacked, unpack};
use serde_json::{Value, json};

use super::{KINESIS, TABLE, short};
use crate::call::Quirks;
use crate::cloud::Cloud;

/// Records of a page: few, so that a fuzz program changes much of it.
const PAGE: usize = 4;
/// Pages, records and lines that are kept of each kind.
const KEPT: usize = 12;
/// Larger ones teach nothing more.
const LARGEST: usize = 8 << 10;

/// Writes the corpus of a seed below `folder`: `get_records`, `kinesis_page`, `aggregated` and `line`. What is there by these names is replaced.
pub fn write(seed: u64, folder: &Path) -> anyhow::Result<()> {
    let cloud = short::play(seed, None, None)?;
    let keep = |target: &str, contents: Vec<Vec<u8>>| -> anyhow::Result<()> {
        let folder = folder.join(target);
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        for (number, content) in contents.into_iter().filter(|content| content.len() <= LARGEST).take(KEPT).enumerate() {
            let file = folder.join(format!("simulator-{number:02}"));
            fs::write(&file, content).with_context(|| format!("write {}", file.display()))?;
        }
        Ok(())
    };
    keep("get_records", pages(&cloud, &Table::latest(&cloud)?)?)?;
    let pages = pages(&cloud, &Stream)?;
    let mut data = Vec::new();
    for page in &pages {
        let page: Value = serde_json::from_slice(page)?;
        for record in page["Records"].as_array().into_iter().flatten() {
            data.push(STANDARD.decode_to_vec(record["Data"].as_str().unwrap_or_default())?);
        }
    }
    keep("kinesis_page", pages)?;
    let lines = |data: &Vec<u8>| match unpack(data) {
        Unpacked::Plain => vec![data.clone()],
        Unpacked::Aggregated(users) => users.into_iter().map(|user| user.data.to_vec()).collect(),
    };
    keep("line", data.iter().flat_map(lines).collect())?;
    keep("aggregated", data.into_iter().filter(|data| unpack(data) != Unpacked::Plain).collect())
}

/// How one of the two services is asked for records.
trait Source {
    fn target(&self) -> &'static str;
    /// What the shards are listed with, and where the answer has them.
    fn listing(&self) -> (&'static str, Value, &'static str);
    /// What names a shard in GetShardIterator.
    fn named(&self, shard: &Value) -> Value;
}

/// The table's stream.
struct Table(String);

impl Table {
    fn latest(cloud: &Cloud) -> anyhow::Result<Self> {
        cloud.state().streams.latest(TABLE).map(|arn| Self(arn.to_owned())).context("the table has no stream")
    }
}

impl Source for Table {
    fn target(&self) -> &'static str {
        "DynamoDBStreams_20120810"
    }

    fn listing(&self) -> (&'static str, Value, &'static str) {
        ("DescribeStream", json!({"StreamArn": self.0}), "/StreamDescription/Shards")
    }

    fn named(&self, shard: &Value) -> Value {
        json!({"StreamArn": self.0, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"})
    }
}

/// The Kinesis stream.
struct Stream;

impl Source for Stream {
    fn target(&self) -> &'static str {
        "Kinesis_20131202"
    }

    fn listing(&self) -> (&'static str, Value, &'static str) {
        ("ListShards", json!({"StreamName": KINESIS}), "/Shards")
    }

    fn named(&self, shard: &Value) -> Value {
        json!({"StreamName": KINESIS, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"})
    }
}

/// Pages with records of all shards, as they come over the wire.
fn pages(cloud: &Cloud, source: &dyn Source) -> anyhow::Result<Vec<Vec<u8>>> {
    let call = |operation: &str, input: &Value| {
        let target = format!("{}.{operation}", source.target());
        let answer = cloud.call(&target, "", input.to_string().as_bytes(), &Quirks::default());
        answer.map_err(|error| anyhow!("{target}: {error}"))
    };
    let (operation, input, at) = source.listing();
    let listed: Value = serde_json::from_slice(&call(operation, &input)?)?;
    let mut pages = Vec::new();
    for shard in listed.pointer(at).and_then(Value::as_array).into_iter().flatten() {
        let answer: Value = serde_json::from_slice(&call("GetShardIterator", &source.named(shard))?)?;
        let mut next = answer["ShardIterator"].clone();
        while next.is_string() {
            let body = call("GetRecords", &json!({"ShardIterator": next, "Limit": PAGE}))?;
            let page: Value = serde_json::from_slice(&body)?;
            next = page["NextShardIterator"].clone();
            if page["Records"].as_array().is_none_or(Vec::is_empty) {
                break;
            }
            pages.push(body.to_vec());
        }
    }
    Ok(pages)
}
