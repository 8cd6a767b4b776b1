//! What is to be done about the delivery stream.

use std::fmt;
use std::time::Duration;

use object_store::path::Path;

use super::super::seen::{DeliveryStatus, Seen, SeenDelivery, SeenSource};
use super::{State, Step};
use crate::config::{DeliverTarget, FirehoseSettings, RouteKind, Settings};
use crate::lake::{LakeLocation, Layout};

const MIB: u64 = 1 << 20;

/// A delivery stream as it is to be created: NDJSON, compressed with gzip, into the lake's bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverySpec {
    /// Where its records come from.
    pub source: Source,
    /// The role that it works in.
    pub role_arn: String,
    /// The bucket's name.
    pub bucket: String,
    /// The table's folder in it.
    pub folder: String,
    /// It writes an object when it has gathered so many MiB,
    pub buffer_mib: u64,
    /// or for so many seconds.
    pub buffer_seconds: u64,
    /// The ARN of the KMS key that encrypts its objects; without one the bucket's default applies.
    pub kms_key: Option<String>,
}

/// Where the records of a delivery stream are to come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This program puts them.
    DirectPut,
    /// It reads the Kinesis stream of this name by itself.
    Kinesis(String),
}

impl DeliverySpec {
    /// The bucket's ARN, in the partition that the role belongs to.
    pub fn bucket_arn(&self) -> String {
        let partition = self.role_arn.split(':').nth(1).filter(|partition| !partition.is_empty()).unwrap_or("aws");
        format!("arn:{partition}:s3:::{}", self.bucket)
    }

    /// What the names of its objects begin with: the hour in which Firehose took the oldest record in them.
    pub fn prefix(&self) -> String {
        format!("{}/firehose/dt=!{{timestamp:yyyy-MM-dd}}/hr=!{{timestamp:HH}}/", self.folder)
    }

    /// What the names of objects begin with that hold records it could not deliver.
    pub fn error_prefix(&self) -> String {
        format!("{}/firehose-errors/!{{firehose:error-output-type}}/dt=!{{timestamp:yyyy-MM-dd}}/", self.folder)
    }
}

impl fmt::Display for DeliverySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::DirectPut => f.write_str("for direct puts")?,
            Source::Kinesis(stream) => write!(f, "with Kinesis stream {stream} as its source")?,
        }
        let Self { bucket, folder, buffer_mib, buffer_seconds, .. } = self;
        write!(f, ", objects of {buffer_mib} MiB or {buffer_seconds} s in s3://{bucket}/{folder}/firehose")
    }
}

pub(super) fn state(settings: &Settings, wanted: &FirehoseSettings, seen: &Seen) -> State {
    let source = source(settings);
    match &seen.delivery {
        Some(delivery) => existing(delivery, &source),
        None => match spec(settings, wanted, source) {
            Ok(spec) => {
                // Firehose Developer Guide, "Configure source settings": it reads a Kinesis stream from LATEST.
                let late = matches!(spec.source, Source::Kinesis(_)) && seen.kinesis.is_some();
                let note =
                    "it begins at the end of the Kinesis stream, which is there already: changes that are in it now are not delivered";
                State::Missing { note: late.then_some(note), step: Step::CreateDelivery(spec) }
            }
            Err(blocked) => blocked,
        },
    }
}

/// On AWS nothing needs to stand between Kinesis and Firehose, unless the deliver stage does.
fn source(settings: &Settings) -> Source {
    let delivered = settings.deliver.as_ref().is_some_and(|deliver| deliver.target == DeliverTarget::Firehose);
    match &settings.kinesis {
        Some(kinesis) if settings.route == RouteKind::Kinesis && !delivered => Source::Kinesis(kinesis.stream.clone()),
        _ => Source::DirectPut,
    }
}

fn existing(seen: &SeenDelivery, wanted: &Source) -> State {
    match &seen.status {
        DeliveryStatus::Failed(reason) => {
            return State::Blocked {
                what: format!("could not be created or deleted: {reason}"),
                advice: "mend that, delete it, then run this again".to_owned(),
            };
        }
        DeliveryStatus::Deleting => {
            return State::Blocked {
                what: "is being deleted".to_owned(),
                advice: "wait until it is gone, then run this again, or choose another firehose.delivery_stream".to_owned(),
            };
        }
        DeliveryStatus::Active | DeliveryStatus::Creating => {}
    }
    let what = match (wanted, &seen.source) {
        (Source::DirectPut, SeenSource::DirectPut) => None,
        (Source::Kinesis(wanted), SeenSource::Kinesis(stream)) if wanted == stream => None,
        (Source::DirectPut, SeenSource::Kinesis(stream)) => {
            Some(format!("reads Kinesis stream {stream}, so that nothing can be put into it"))
        }
        (Source::DirectPut, SeenSource::Other(other)) => Some(format!("has the source {other}, so that nothing can be put into it")),
        (Source::Kinesis(wanted), SeenSource::DirectPut) => Some(format!("takes direct puts and does not read Kinesis stream {wanted}")),
        (Source::Kinesis(wanted), SeenSource::Kinesis(other)) => Some(format!("reads Kinesis stream {other}, not {wanted}")),
        (Source::Kinesis(wanted), SeenSource::Other(other)) => Some(format!("has the source {other}, not Kinesis stream {wanted}")),
    };
    let advice = match wanted {
        Source::DirectPut => "choose another firehose.delivery_stream",
        Source::Kinesis(_) => "choose another firehose.delivery_stream, or let headwater feed this one: [deliver] target = \"firehose\"",
    };
    match what {
        Some(what) => State::Differs { what, advice: format!("{advice} (a delivery stream's source cannot be changed)") },
        None if seen.status == DeliveryStatus::Creating => State::Unready,
        None => State::Exists,
    }
}

fn spec(settings: &Settings, wanted: &FirehoseSettings, source: Source) -> Result<DeliverySpec, State> {
    let blocked = |what: &str, advice: &str| State::Blocked { what: what.to_owned(), advice: advice.to_owned() };
    let LakeLocation::S3 { bucket, prefix } = &settings.lake.location else {
        return Err(blocked(
            "is missing and cannot be created: the lake is a folder, and Firehose writes to S3",
            "set lake.url to s3://bucket/prefix",
        ));
    };
    let Some(role_arn) = wanted.role_arn.clone() else {
        return Err(blocked(
            "is missing and cannot be created without a role",
            "set firehose.role_arn to a role that firehose.amazonaws.com may assume, and that may write to the bucket and read the Kinesis \
             stream",
        ));
    };
    if settings.lake.kms_key.as_ref().is_some_and(|key| !key.starts_with("arn:")) {
        return Err(blocked(
            "is missing, and lake.kms_key is no ARN: Firehose knows a key by nothing else",
            "set lake.kms_key to the key's ARN",
        ));
    }
    let Ok(prefix) = Path::parse(prefix) else {
        return Err(blocked("is missing, and the prefix in lake.url is no path", "correct lake.url"));
    };
    let folder = Layout::new(&prefix, &settings.table.name).root().to_string();
    if folder.contains("!{") {
        return Err(blocked("is missing, and Firehose would read '!{' in lake.url as an expression", "choose another prefix in lake.url"));
    }
    Ok(DeliverySpec {
        source,
        role_arn,
        bucket: bucket.clone(),
        folder,
        buffer_mib: wanted.buffer_size.div_ceil(MIB),
        buffer_seconds: whole_seconds(wanted.buffer_interval),
        kms_key: settings.lake.kms_key.clone(),
    })
}

/// Rounded up.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
