//! What is to be done, from the configuration and from what was found. Pure.

mod delivery;
mod kinesis;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;

pub use delivery::{DeliverySpec, Source};
pub use kinesis::KinesisSpec;

use super::seen::{Seen, SeenLeases, SeenTable};
use crate::config::{Settings, TableSettings};
use crate::lake::LakeLocation;
use crate::stream::View;

/// KCL's name for the key of a lease.
const LEASE_KEY: &str = "leaseKey";

/// Everything that the configuration needs, in the order in which it is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// One entry for each resource, and one for each way in which it is not as it should be.
    pub entries: Vec<Entry>,
}

/// A resource and what is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub resource: Resource,
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: State,
}

/// Kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// The stream of the table.
    TableStream,
    /// The lease table of a stage.
    LeaseTable,
    /// The Kinesis stream.
    KinesisStream,
    /// The lake's bucket.
    Bucket,
    /// The delivery stream.
    DeliveryStream,
}

/// How a resource stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is there, as it should be.
    Exists,
    /// It is there and not usable yet: it is waited for.
    Unready,
    /// It is not there: the step makes it.
    Missing {
        /// What makes it.
        step: Step,
        /// What to know about it.
        note: Option<&'static str>,
    },
    /// It is there, and the step makes it what it should be without harm to what it holds.
    Outdated {
        /// What it is.
        what: String,
        /// What changes it.
        step: Step,
    },
    /// It is there and not what it should be. It is left as it is: changing it may lose data or cost money.
    Differs {
        /// What it is.
        what: String,
        /// What to do about it.
        advice: String,
    },
    /// It cannot be made before something else is done by hand. Then nothing at all is made.
    Blocked {
        /// What is wrong.
        what: String,
        /// What to do about it.
        advice: String,
    },
}

/// One change to what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Gives the table a stream of both images.
    EnableStream,
    /// Creates a lease table.
    CreateLeaseTable,
    /// Creates the Kinesis stream.
    CreateKinesis(KinesisSpec),
    /// Raises the largest record of the Kinesis stream to so many KiB.
    RaiseRecordSize(u32),
    /// Creates the bucket.
    CreateBucket,
    /// Creates the delivery stream.
    CreateDelivery(DeliverySpec),
}

impl Plan {
    /// Whether everything is there as it should be.
    pub fn is_done(&self) -> bool {
        self.entries.iter().all(|entry| entry.state == State::Exists)
    }

    /// Whether something has to be done by hand before anything can be made.
    pub fn is_blocked(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.state, State::Blocked { .. }))
    }
}

impl State {
    /// The state in one word.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::Unready => "unready",
            Self::Missing { .. } => "missing",
            Self::Outdated { .. } | Self::Differs { .. } => "differs",
            Self::Blocked { .. } => "blocked",
        }
    }
}

impl Step {
    /// What has happened to the resource when the step is done, in one word.
    pub const fn done(&self) -> &'static str {
        match self {
            Self::EnableStream => "enabled",
            Self::CreateLeaseTable | Self::CreateKinesis(_) | Self::CreateBucket | Self::CreateDelivery(_) => "created",
            Self::RaiseRecordSize(_) => "changed",
        }
    }
}

impl fmt::Display for Step {
    /// What goes behind [`Step::done`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnableStream => f.write_str("with the view type NEW_AND_OLD_IMAGES"),
            Self::CreateLeaseTable => f.write_str("with on-demand billing"),
            Self::CreateKinesis(spec) => spec.fmt(f),
            Self::RaiseRecordSize(kib) => write!(f, "to take records up to {kib} KiB"),
            Self::CreateBucket => f.write_str("with the account's defaults"),
            Self::CreateDelivery(spec) => spec.fmt(f),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TableStream => "table stream",
            Self::LeaseTable => "lease table",
            Self::KinesisStream => "Kinesis stream",
            Self::Bucket => "bucket",
            Self::DeliveryStream => "delivery stream",
        })
    }
}

/// Plans what the configuration needs.
pub fn plan(settings: &Settings, seen: &Seen) -> Plan {
    let mut entries = vec![Entry {
        resource: Resource::TableStream,
        name: settings.table.name.clone(),
        state: table_stream(&settings.table, seen.table),
    }];
    entries.push(leases("lease.application", &settings.lease.application, seen.leases.as_ref()));
    if let Some(deliver) = &settings.deliver {
        entries.push(leases("deliver.application", &deliver.application, seen.deliver_leases.as_ref()));
    }
    if let Some(wanted) = &settings.kinesis {
        let states = kinesis::states(wanted, seen.kinesis.as_ref());
        entries.extend(states.into_iter().map(|state| Entry { resource: Resource::KinesisStream, name: wanted.stream.clone(), state }));
    }
    if let LakeLocation::S3 { bucket: name, .. } = &settings.lake.location {
        entries.push(Entry { resource: Resource::Bucket, name: name.clone(), state: bucket(name, seen.bucket) });
    }
    if let Some(wanted) = &settings.firehose {
        let state = delivery::state(settings, wanted, seen);
        entries.push(Entry { resource: Resource::DeliveryStream, name: wanted.delivery_stream.clone(), state });
    }
    Plan { entries }
}

impl From<Step> for State {
    fn from(step: Step) -> Self {
        Self::Missing { step, note: None }
    }
}

fn table_stream(table: &TableSettings, seen: Option<SeenTable>) -> State {
    let view = match seen {
        None => {
            let advice = format!(
                "create it, or correct table.name, AWS_REGION or AWS_ENDPOINT_URL_DYNAMODB; to try things out: headwater generate --table {} \
                 --create-table",
                table.name
            );
            return State::Blocked { what: "the table does not exist".to_owned(), advice };
        }
        Some(SeenTable::NoStream) => return Step::EnableStream.into(),
        Some(SeenTable::Disabled) => {
            let note = "an earlier stream is disabled: what it still holds can be read for 24 hours after that";
            return State::Missing { step: Step::EnableStream, note: Some(note) };
        }
        Some(SeenTable::Stream { view: View::NewAndOldImages, ready: true }) => return State::Exists,
        Some(SeenTable::Stream { view: View::NewAndOldImages, ready: false }) => return State::Unready,
        Some(SeenTable::Stream { view, .. }) => view,
    };
    let what = match view {
        View::NewImage => "carries NEW_IMAGE: there are no old_ columns, and a REMOVE holds the key alone",
        View::OldImage => "carries OLD_IMAGE, from which the table cannot be replicated",
        View::KeysOnly => "carries KEYS_ONLY, from which the table cannot be replicated",
        View::NewAndOldImages | View::Unknown => "carries what this version of headwater does not know",
    };
    let advice = "disable it and enable it again with the view type NEW_AND_OLD_IMAGES, once everything in it is read: that makes a new \
                  stream, and the old one is gone a day later";
    State::Differs { what: what.to_owned(), advice: advice.to_owned() }
}

fn leases(key: &str, name: &str, seen: Option<&SeenLeases>) -> Entry {
    let state = match seen {
        None => Step::CreateLeaseTable.into(),
        Some(table) if table.keys != [LEASE_KEY] => State::Blocked {
            what: format!("is a table of something else: its key is {}, not {LEASE_KEY}", table.keys.join(" and ")),
            advice: format!("choose another {key}"),
        },
        Some(SeenLeases { ready: false, .. }) => State::Unready,
        Some(_) => State::Exists,
    };
    Entry { resource: Resource::LeaseTable, name: name.to_owned(), state }
}

fn bucket(name: &str, exists: bool) -> State {
    match exists {
        true => State::Exists,
        // Amazon S3 User Guide, "Directory bucket naming rules": made by another request, in a zone that only the user can choose.
        false if name.ends_with("--x-s3") => State::Blocked {
            what: "the directory bucket does not exist".to_owned(),
            advice: "create it in the availability zone that its name says".to_owned(),
        },
        false => Step::CreateBucket.into(),
    }
}
