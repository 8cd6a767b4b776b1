//! Exports as DynamoDB writes them to S3, made by hand, with whatever is wrong that a test wants.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use serde_json::{Value, json};

/// The folder of a hand-made export in its bucket.
pub(crate) const FOLDER: &str = "exports/AWSDynamoDB/01763708400000-3f9a1c2e";
/// Where data files of incremental exports lie.
const SHARED: &str = "exports/AWSDynamoDB";

/// An export in the making. What stands in its manifests may be changed until they are written.
pub(crate) struct HandMade {
    /// `manifest-summary.json`, but for its count of items, which is added up unless it is set.
    pub(crate) summary: Value,
    /// The lines of `manifest-files.json`.
    pub(crate) files: Vec<Value>,
    /// What the manifests' checksums end with, instead of `md5`.
    pub(crate) checksums: &'static str,
    /// The objects, by their keys in the bucket.
    objects: Vec<(String, Vec<u8>)>,
}

impl HandMade {
    /// A full export of `table` at 2026-11-21T03:00:00.928Z.
    pub(crate) fn full(table: &str) -> Self {
        let table_arn = format!("arn:aws:dynamodb:eu-central-1:123456789012:table/{table}");
        let summary = json!({
            "version": "2020-06-30", "exportArn": format!("{table_arn}/export/01763708400000-3f9a1c2e"), "startTime": "2026-11-21T03:00:02.028Z",
            "endTime": "2026-11-21T03:05:43.897Z", "tableArn": table_arn, "tableId": "12345a12-abcd-123a-ab12-1234abc12345",
            "exportTime": "2026-11-21T03:00:00.928Z", "s3Bucket": "backups", "s3Prefix": "exports", "s3SseAlgorithm": "AES256",
            "s3SseKmsKeyId": null, "manifestFilesS3Key": format!("{FOLDER}/manifest-files.json"), "billedSizeBytes": 0,
            "itemCount": null, "outputFormat": "DYNAMODB_JSON"
        });
        Self { summary, files: Vec::new(), checksums: "md5", objects: Vec::new() }
    }

    /// An incremental export of `table` from 2026-11-21T02:00:00Z to 2026-11-21T03:00:00Z.
    pub(crate) fn incremental(table: &str) -> Self {
        let mut this = Self::full(table);
        this.summary["version"] = "2023-08-01".into();
        this.summary["exportType"] = "INCREMENTAL_EXPORT".into();
        this.summary["exportTime"] = Value::Null;
        this.summary["exportFromTime"] = "2026-11-21T02:00:00Z".into();
        this.summary["exportToTime"] = "2026-11-21T03:00:00Z".into();
        this.summary["outputView"] = "NEW_AND_OLD_IMAGES".into();
        this
    }

    /// Adds a data file with these lines.
    pub(crate) fn data(&mut self, lines: &[String]) -> &mut Self {
        self.raw_data(gzip(text_of(lines).as_bytes()), lines.len() as u64)
    }

    /// Adds a data file of these bytes, with so many items as the manifest has it.
    pub(crate) fn raw_data(&mut self, bytes: Vec<u8>, items: u64) -> &mut Self {
        let folder = if self.summary["exportType"] == "INCREMENTAL_EXPORT" { SHARED } else { FOLDER };
        let key = format!("{folder}/data/file{}.json.gz", self.files.len());
        self.foreign_data(&key, &bytes, items);
        self.objects.push((key, bytes));
        self
    }

    /// Tells of a data file that is there already.
    pub(crate) fn foreign_data(&mut self, key: &str, bytes: &[u8], items: u64) -> &mut Self {
        // An upload in one part still gets the entity tag of one in parts.
        let etag = format!("{}-1", "0123456789abcdef".repeat(2));
        self.files.push(json!({"itemCount": items, "md5Checksum": md5(bytes), "etag": etag, "dataFileS3Key": key}));
        self
    }

    /// All objects of the export, by their keys in the bucket.
    pub(crate) fn objects(&self) -> Vec<(String, Vec<u8>)> {
        let mut summary = self.summary.clone();
        if summary["itemCount"].is_null() {
            summary["itemCount"] = self.files.iter().map(|file| file["itemCount"].as_u64().unwrap()).sum::<u64>().into();
        }
        let folder = summary["manifestFilesS3Key"].as_str().unwrap().rsplit_once('/').unwrap().0.to_owned();
        let files = text_of(&self.files.iter().map(Value::to_string).collect::<Vec<_>>());
        let mut objects = self.objects.clone();
        for (name, text) in [("manifest-summary", summary.to_string()), ("manifest-files", files)] {
            objects.push((format!("{folder}/{name}.{}", self.checksums), md5(text.as_bytes()).into_bytes()));
            objects.push((format!("{folder}/{name}.json"), text.into_bytes()));
        }
        objects.push((format!("{folder}/_started"), Vec::new()));
        objects
    }

    /// Writes the export into a folder that stands for the bucket, and returns its own folder.
    pub(crate) fn write(&self, bucket: &Path) -> PathBuf {
        for (key, bytes) in self.objects() {
            let path = bucket.join(key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        bucket.join(FOLDER)
    }
}

/// Lines, each with its line feed.
pub(crate) fn text_of(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

/// One gzip stream of the text.
pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// As manifests spell it.
pub(crate) fn md5(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes))
}
