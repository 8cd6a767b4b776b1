//! The two manifests of an export, and the checksums that go with them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use md5::{Digest, Md5};
use object_store::path::Path;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::place::Keys;

/// The versions of the manifests that are known, which differ in nothing that matters here: the second came with incremental exports.
const VERSIONS: [&str; 2] = ["2020-06-30", "2023-08-01"];

/// An MD5 digest.
pub(super) type Checksum = [u8; 16];

/// What the rows of an export are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Every item of the table.
    Full,
    /// What became of the items that were written within a time.
    Incremental,
}

/// What is needed of `manifest-summary.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) table: String,
    pub(super) table_id: Option<String>,
    pub(super) kind: Kind,
    /// The time whose table the rows show, in seconds since the epoch, rounded down.
    pub(super) shows: i64,
    pub(super) items: u64,
    /// The key of the other manifest in the bucket that the export was written to.
    pub(super) files_key: String,
    /// Whether the ETag of a data file can be the MD5 of its bytes: not when KMS encrypts it.
    etags_are_checksums: bool,
}

/// A data file with rows in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DataFile {
    pub(super) location: Path,
    pub(super) items: u64,
    /// Of the file as it lies there, compressed.
    pub(super) checksum: Checksum,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSummary {
    version: String,
    table_arn: String,
    table_id: Option<String>,
    export_time: Option<String>,
    export_to_time: Option<String>,
    export_type: Option<String>,
    output_format: String,
    manifest_files_s3_key: String,
    item_count: u64,
    s3_sse_algorithm: Option<String>,
    filter_specification: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFile {
    item_count: u64,
    md5_checksum: Option<String>,
    etag: Option<String>,
    data_file_s3_key: String,
}

impl Summary {
    /// Reads `manifest-summary.json`. The error says what is wrong, and what to do.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let raw: RawSummary = serde_json::from_slice(text).map_err(|error| format!("it is no summary of an export: {error}"))?;
        if !VERSIONS.contains(&raw.version.as_str()) {
            return Err(format!("its version is {}, and {} are known: use a newer headwater", raw.version, VERSIONS.join(" and ")));
        }
        if raw.output_format != "DYNAMODB_JSON" {
            let format = raw.output_format;
            return Err(format!("the export is in the format {format}, which is not read: export the table with the format DYNAMODB_JSON"));
        }
        if raw.filter_specification.is_some() {
            return Err("the export was filtered, so its rows may be without some attributes: export the table without a filter".to_owned());
        }
        // Absent from the first version, which had but one.
        let kind = match raw.export_type.as_deref() {
            None | Some("FULL_EXPORT") => Kind::Full,
            Some("INCREMENTAL_EXPORT") => Kind::Incremental,
            Some(other) => return Err(format!("the export is of the type {other}, which is not known: use a newer headwater")),
        };
        let (name, time) = match kind {
            Kind::Full => ("exportTime", raw.export_time),
            Kind::Incremental => ("exportToTime", raw.export_to_time),
        };
        let time = time.ok_or_else(|| format!("it has no {name}"))?;
        let time: Timestamp = time.parse().map_err(|error| format!("its {name} '{time}' is no time: {error}"))?;
        let table = raw.table_arn.rsplit_once("table/").map(|(_, table)| table.to_owned());
        Ok(Self {
            table: table.ok_or_else(|| format!("its tableArn '{}' names no table", raw.table_arn))?,
            table_id: raw.table_id,
            kind,
            shows: time.as_second(),
            items: raw.item_count,
            files_key: raw.manifest_files_s3_key,
            etags_are_checksums: raw.s3_sse_algorithm.is_none_or(|algorithm| algorithm == "AES256"),
        })
    }
}

/// Reads `manifest-files.json`, a line for each data file. Files without items are left out.
pub(super) fn parse_files(text: &[u8], summary: &Summary, keys: &Keys) -> Result<Vec<DataFile>, String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("it is not UTF-8: {error}"))?;
    let (mut files, mut items) = (Vec::new(), 0_u64);
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |problem: String| format!("line {}: {problem}", number + 1);
        let raw: RawFile = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        let too_many = || wrong("its files have more items together than can be counted".to_owned());
        items = items.checked_add(raw.item_count).ok_or_else(too_many)?;
        if raw.item_count > 0 {
            let checksum = file_checksum(&raw, summary).map_err(wrong)?;
            files.push(DataFile { location: keys.locate(&raw.data_file_s3_key).map_err(wrong)?, items: raw.item_count, checksum });
        }
    }
    if items != summary.items {
        return Err(format!("its files have {items} items together, and the summary says {}: is it of another export?", summary.items));
    }
    Ok(files)
}

/// The manifest's own checksum, or else the ETag where that is one: not of an upload in parts (`…-3`), nor of what KMS encrypts.
fn file_checksum(raw: &RawFile, summary: &Summary) -> Result<Checksum, String> {
    if let Some(text) = &raw.md5_checksum {
        return parse_checksum(text).ok_or_else(|| format!("md5Checksum '{text}' is no MD5"));
    }
    let etag = raw.etag.as_deref().filter(|_| summary.etags_are_checksums);
    etag.and_then(|etag| parse_checksum(etag.trim_matches('"'))).ok_or_else(|| {
        format!("it has no checksum of {}, so damage to the file could not be noticed: export the table again", raw.data_file_s3_key)
    })
}

/// The MD5 in a text, in base64 or hexadecimal.
pub(super) fn parse_checksum(text: &str) -> Option<Checksum> {
    let text = text.trim();
    if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes);
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// Compares the MD5 of a whole content with what it should be.
pub(super) fn compare(found: Md5, expected: Checksum) -> Result<(), String> {
    let found: Checksum = found.finalize().into();
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (STANDARD.encode(found), STANDARD.encode(expected));
    Err(format!("its MD5 is {found} where the export says {expected}: it is damaged, copy it anew or export the table again"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn raw_summary() -> Value {
        json!({
            "version": "2020-06-30", "exportArn": "arn:aws:dynamodb:us-east-1:1:table/orders/export/01",
            "startTime": "2026-11-20T07:28:34.028Z", "endTime": "2026-11-20T07:33:43.897Z",
            "tableArn": "arn:aws:dynamodb:us-east-1:1:table/orders", "tableId": "12345a12",
            "exportTime": "2026-11-20T07:28:34.928Z", "s3Bucket": "b", "s3Prefix": null, "s3SseAlgorithm": "AES256", "s3SseKmsKeyId": null,
            "manifestFilesS3Key": "AWSDynamoDB/01/manifest-files.json", "billedSizeBytes": 0, "itemCount": 8, "outputFormat": "DYNAMODB_JSON"
        })
    }

    fn summary(changes: &[(&str, Value)]) -> Result<Summary, String> {
        let mut raw = raw_summary();
        for (name, value) in changes {
            raw[*name] = value.clone();
        }
        Summary::parse(raw.to_string().as_bytes())
    }

    #[test]
    fn the_first_version_knows_full_exports_only() {
        let summary = summary(&[]).unwrap();
        assert_eq!((summary.kind, summary.table.as_str(), summary.items), (Kind::Full, "orders", 8));
        assert_eq!(summary.table_id.as_deref(), Some("12345a12"));
        assert_eq!(summary.shows, "2026-11-20T07:28:34Z".parse::<Timestamp>().unwrap().as_second(), "rounded down");
    }

    #[test]
    fn an_incremental_export_shows_the_end_of_its_time() {
        let incremental = [
            ("version", json!("2023-08-01")),
            ("exportType", json!("INCREMENTAL_EXPORT")),
            ("exportTime", Value::Null),
            ("exportFromTime", json!("2026-11-20T06:00:00Z")),
            ("exportToTime", json!("2026-11-20T07:00:00Z")),
            ("outputView", json!("NEW_IMAGE")),
        ];
        let summary = summary(&incremental).unwrap();
        assert_eq!((summary.kind, summary.shows), (Kind::Incremental, "2026-11-20T07:00:00Z".parse::<Timestamp>().unwrap().as_second()));
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_what_to_do() {
        for (name, value, expected) in [
            ("version", json!("2030-01-01"), "use a newer headwater"),
            ("outputFormat", json!("ION"), "export the table with the format DYNAMODB_JSON"),
            ("exportType", json!("PARTIAL"), "the type PARTIAL"),
            ("exportType", json!("INCREMENTAL_EXPORT"), "it has no exportToTime"),
            ("exportTime", json!("yesterday"), "exportTime 'yesterday' is no time"),
            ("tableArn", json!("orders"), "names no table"),
            ("filterSpecification", json!({"FilterExpression": "a > :b"}), "without a filter"),
        ] {
            let problem = summary(&[(name, value)]).unwrap_err();
            assert!(problem.contains(expected), "{name}: {problem}");
        }
        assert!(Summary::parse(b"<html>").unwrap_err().contains("no summary of an export"));
    }

    const MD5: &str = "sQMSpEILNgoQmarvDFonGQ==";

    fn files(lines: &[Value], summary: &Summary) -> Result<Vec<DataFile>, String> {
        let text = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        let keys = Keys::new(&Path::from("AWSDynamoDB/01"), &summary.files_key).unwrap();
        parse_files(text.as_bytes(), summary, &keys)
    }

    fn file(items: u64, md5: &str, etag: &str) -> Value {
        json!({"itemCount": items, "md5Checksum": md5, "etag": etag, "dataFileS3Key": format!("AWSDynamoDB/01/data/{items}.json.gz")})
    }

    #[test]
    fn data_files_with_items_are_listed() {
        let found = files(&[file(8, MD5, "af83d6f217c19b8b0fff8023d8ca4716-1"), file(0, "", "")], &summary(&[]).unwrap()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].location.as_ref(), found[0].items), ("AWSDynamoDB/01/data/8.json.gz", 8));
        assert_eq!(STANDARD.encode(found[0].checksum), MD5);
    }

    #[test]
    fn counts_that_do_not_add_up_are_refused() {
        let problem = files(&[file(3, MD5, "x")], &summary(&[]).unwrap()).unwrap_err();
        assert!(problem.contains("have 3 items together, and the summary says 8"), "{problem}");
    }

    #[test]
    fn an_etag_stands_for_a_missing_checksum_only_where_it_is_one() {
        let without = |etag: &str| json!({"itemCount": 8, "etag": etag, "dataFileS3Key": "AWSDynamoDB/01/data/x.json.gz"});
        let plain = "b10312a4420b360a1099aaef0c5a2719";
        let found = files(&[without(plain)], &summary(&[]).unwrap()).unwrap();
        assert_eq!(STANDARD.encode(found[0].checksum), MD5);
        let in_parts = files(&[without(&format!("{plain}-2"))], &summary(&[]).unwrap()).unwrap_err();
        assert!(in_parts.contains("it has no checksum of AWSDynamoDB/01/data/x.json.gz"), "{in_parts}");
        assert!(files(&[without(plain)], &summary(&[("s3SseAlgorithm", json!("KMS"))]).unwrap()).is_err());
    }

    #[test]
    fn a_damaged_line_of_the_manifest_is_named() {
        let problem = files(&[file(8, MD5, "x"), json!({"itemCount": 1})], &summary(&[]).unwrap()).unwrap_err();
        assert!(problem.contains("line 2: missing field `dataFileS3Key`"), "{problem}");
        assert!(files(&[file(8, "damaged", "x")], &summary(&[]).unwrap()).unwrap_err().contains("'damaged' is no MD5"));
    }
}
