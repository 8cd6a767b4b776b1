//! Where a delivery stream's objects go, and how they are made.

use serde::Deserialize;
use serde_json::{Value, json};

use super::prefix::{Prefix, check_error_prefix};
use crate::call::ApiError;
use crate::encoding::constraint;

/// The hints of a destination that gives none: 5 MiB or 300 seconds.
const USUAL_HINTS: BufferingHints = BufferingHints { size: 5, interval: 300 };
const LARGEST_SIZE: usize = 128;
const LONGEST_INTERVAL: i64 = 900;

/// What is made of the configuration.
#[derive(Debug, Clone)]
pub(super) struct Destination {
    pub(super) bucket: String,
    pub(super) prefix: Prefix,
    /// The bytes that fill a buffer.
    pub(super) size: usize,
    /// How long (milliseconds) a record waits for others.
    pub(super) interval: i64,
    pub(super) gzip: bool,
    pub(super) extension: String,
    pub(super) steps: Steps,
    /// The configuration with all defaults, as it is shown.
    pub(super) description: Value,
}

/// What happens to a record before it is added to the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Steps {
    /// A record of several JSON values becomes as many records.
    pub(super) split_json: bool,
    /// What is appended to each record.
    pub(super) delimiter: Vec<u8>,
}

/// A configuration as requests spell it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    #[serde(rename = "RoleARN")]
    _role: String,
    #[serde(rename = "BucketARN")]
    bucket: String,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    error_output_prefix: String,
    buffering_hints: Option<BufferingHints>,
    compression_format: Option<String>,
    #[serde(default)]
    file_extension: String,
    custom_time_zone: Option<String>,
    processing_configuration: Option<Processing>,
    data_format_conversion_configuration: Option<Switch>,
    dynamic_partitioning_configuration: Option<Switch>,
    s3_backup_mode: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
struct BufferingHints {
    #[serde(rename = "SizeInMBs")]
    size: usize,
    #[serde(rename = "IntervalInSeconds")]
    interval: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Switch {
    #[serde(default)]
    enabled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Processing {
    #[serde(default)]
    enabled: bool,
    #[serde(default)]
    processors: Vec<Processor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Processor {
    r#type: String,
    #[serde(default)]
    parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    parameter_name: String,
    parameter_value: String,
}

impl Destination {
    /// Reads a request's S3DestinationConfiguration or ExtendedS3DestinationConfiguration.
    pub(super) fn read(configuration: Value) -> Result<Self, ApiError> {
        let mut description = configuration.clone();
        let malformed = |error: serde_json::Error| ApiError::new("SerializationException", error.to_string());
        let given: Given = serde_json::from_value(configuration).map_err(malformed)?;
        let bucket = given.bucket.strip_prefix("arn:").and_then(|arn| arn.split_once(":s3:::")).map(|(_, name)| name.to_owned());
        let bucket = bucket
            .filter(|name| !name.is_empty())
            .ok_or_else(|| constraint("bucketARN", "satisfy regular expression pattern: arn:.*:s3:::[\\w\\.\\-]{1,255}"))?;
        let prefix = Prefix::parse(&given.prefix)?;
        check_error_prefix(&given.error_output_prefix)?;
        if prefix.has_expressions() && given.error_output_prefix.is_empty() {
            return Err(invalid("ErrorOutputPrefix must be given when Prefix contains expressions"));
        }
        let hints = given.buffering_hints.unwrap_or(USUAL_HINTS);
        if !(1..=LARGEST_SIZE).contains(&hints.size) {
            return Err(constraint("bufferingHints.sizeInMBs", &format!("have value between 1 and {LARGEST_SIZE}")));
        }
        if !(0..=LONGEST_INTERVAL).contains(&hints.interval) {
            return Err(constraint("bufferingHints.intervalInSeconds", &format!("have value between 0 and {LONGEST_INTERVAL}")));
        }
        let gzip = match given.compression_format.as_deref() {
            None | Some("UNCOMPRESSED") => false,
            Some("GZIP") => true,
            Some(format) => return Err(unsupported(&format!("CompressionFormat {format}"))),
        };
        for (wanted, what) in [
            (given.custom_time_zone.is_some_and(|zone| !["", "UTC"].contains(&&*zone)), "CustomTimeZone other than UTC"),
            (given.data_format_conversion_configuration.is_some_and(|switch| switch.enabled), "DataFormatConversionConfiguration"),
            (given.dynamic_partitioning_configuration.is_some_and(|switch| switch.enabled), "DynamicPartitioningConfiguration"),
            (given.s3_backup_mode.is_some_and(|mode| mode != "Disabled"), "S3BackupMode Enabled"),
        ] {
            if wanted {
                return Err(unsupported(what));
            }
        }
        let steps = given.processing_configuration.map(Processing::steps).transpose()?.unwrap_or_default();
        let extension = match (given.file_extension.as_str(), gzip) {
            ("", true) => ".gz".to_owned(),
            ("", false) => String::new(),
            (extension, _) if extension.starts_with('.') => extension.to_owned(),
            _ => return Err(constraint("fileExtension", "satisfy regular expression pattern: ^$|\\.[0-9a-z!\\-_.*'()]+")),
        };
        for (member, usual) in [
            ("BufferingHints", json!({"SizeInMBs": hints.size, "IntervalInSeconds": hints.interval})),
            ("CompressionFormat", json!("UNCOMPRESSED")),
            ("EncryptionConfiguration", json!({"NoEncryptionConfig": "NoEncryption"})),
            ("CloudWatchLoggingOptions", json!({"Enabled": false})),
        ] {
            if description[member].is_null() {
                description[member] = usual;
            }
        }
        let (size, interval) = (hints.size << 20, hints.interval * 1_000);
        Ok(Self { bucket, prefix, size, interval, gzip, extension, steps, description })
    }
}

impl Processing {
    fn steps(self) -> Result<Steps, ApiError> {
        let mut steps = Steps::default();
        for processor in self.processors.iter().filter(|_| self.enabled) {
            let parameter = |name: &str| {
                let found = processor.parameters.iter().find(|parameter| parameter.parameter_name == name);
                found.map(|parameter| parameter.parameter_value.as_str())
            };
            match (processor.r#type.as_str(), parameter("SubRecordType")) {
                // Configuration languages hand the escape sequence on as it is.
                ("AppendDelimiterToRecord", _) => {
                    steps.delimiter = parameter("Delimiter").unwrap_or("\n").replace("\\n", "\n").into_bytes();
                }
                ("RecordDeAggregation", Some("JSON")) => steps.split_json = true,
                (processor, Some(kind)) => return Err(unsupported(&format!("processor {processor} of {kind}"))),
                (processor, None) => return Err(unsupported(&format!("processor {processor}"))),
            }
        }
        Ok(steps)
    }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidArgumentException", message)
}

fn unsupported(what: &str) -> ApiError {
    invalid(format!("{what} is not supported by the simulator"))
}
