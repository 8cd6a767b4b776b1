//! The proof that the lake equals the table: a consistent scan of the table against the view `current`, row by row.
//!
//! Both sides are reduced to digests of the whole item in its canonical form and spilled to disk by the digest of the key; then bucket
//! after bucket is compared in memory (`spill`). Memory is bounded by [`VerifyOptions::memory`], whatever the size of the table.
//!
//! A table that is written to meanwhile differs from a lake that lags behind it. So keys that differ are read again on both sides until
//! they settle or [`VerifyOptions::deadline`] has passed (`recheck`). A key has settled when the lake's row is one that the table was
//! seen to hold during the verification.
//!
//! Less may be compared ([`Scope`]): the keys that the lake heard of since its latest snapshot (`changed`), or keys drawn by lot (`sample`). What is
//! proved then holds for those keys; a change that the lake never heard of is found by lot alone.
//!
//! What none of this proves: that the lake's *history* is complete. It proves that its last word on every key is right.

mod changed;
mod digest;
mod everything;
mod lookup;
mod recheck;
pub mod report;
mod rows;
mod sample;
pub mod scope;
mod spill;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use self::report::Tally;
pub use self::report::{Counts, Difference, Kind, Report, Sampled};
use self::sample::Sample;
pub use self::scope::{SampleSize, Scope};
use super::{QueryError, Session};
use crate::aws::AwsError;
use crate::contract::TableSchema;
use crate::event::Item;
use crate::table::{self, Attributes, GetError, Key};

/// How a verification is done.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// What is compared.
    pub scope: Scope,
    /// How long keys that differ are read again before they count as differing.
    pub deadline: Duration,
    /// For how many differing keys it is found out which attributes differ.
    pub examples: usize,
    /// How many differing keys the report lists.
    pub listed: usize,
    /// How many differing keys are read again; those beyond count as differing at once.
    pub recheck_limit: usize,
    /// Bytes that the comparison of a bucket may take. (The lake is read within [`super::MEMORY`].)
    pub memory: usize,
    /// Where digests are spilled; the system's temporary directory if not given.
    pub spill_directory: Option<PathBuf>,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self {
            scope: Scope::default(),
            // The lake closes its objects after a minute by default.
            deadline: Duration::from_mins(1),
            examples: 10,
            // Some 250 bytes for each key.
            listed: 100_000,
            // About 100 bytes for each key.
            recheck_limit: 10_000,
            memory: 64 * 1024 * 1024,
            spill_directory: None,
        }
    }
}

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyProgress {
    /// The table is being scanned.
    Table {
        /// Items read.
        rows: u64,
        /// Items that the table is said to have; DynamoDB's figure may be six hours old.
        about: u64,
    },
    /// The lake's current rows are being read.
    Lake {
        /// Rows read.
        rows: u64,
        /// Items that the scan of the table found.
        about: u64,
    },
    /// Keys that the lake heard of since its latest snapshot are being compared.
    Changed {
        /// Keys compared.
        keys: u64,
    },
    /// Digests are being compared.
    Compare,
    /// Keys that differed are being read again.
    Recheck {
        /// Keys that have not settled.
        open: u64,
        /// Time until they count as differing.
        left: Duration,
    },
}

/// The comparison could not be made.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// DynamoDB refused a request or could not be reached.
    #[error("read the table")]
    Table(#[from] AwsError),
    /// An item of the table is not what the lake's schema says.
    #[error("compare {what} with the lake: {problem}; is '{table}' the table that this lake was made from?")]
    Item {
        /// Which item or attribute.
        what: String,
        /// What is wrong with it.
        problem: String,
        /// The table's name.
        table: String,
    },
    /// A row of the lake cannot be turned back into an item.
    #[error("rebuild item {key} from its row in the lake; if its object was not altered, this is a bug of headwater")]
    Row {
        /// The row's key.
        key: String,
        /// What is wrong with the row.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The lake cannot be read.
    #[error("read the lake")]
    Lake(#[from] QueryError),
    /// The lake has no snapshot since which anything could be compared.
    #[error(
        "compare what changed since the latest snapshot: the lake has no complete snapshot of the whole of '{table}'; take one with `headwater snapshot start`, or compare everything"
    )]
    NoSnapshot {
        /// The table's name.
        table: String,
    },
    /// Digests cannot be spilled.
    #[error("spill digests to {}: is the disk full?", directory.display())]
    Spill {
        /// The directory.
        directory: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
}

/// Compares the table with the lake, as far as [`VerifyOptions::scope`] goes. All reads are consistent. If everything is compared, the whole table is
/// read; otherwise the keys that are compared, in random segments or one by one.
pub async fn verify(
    dynamo: &aws_sdk_dynamodb::Client,
    session: &Session,
    options: VerifyOptions,
    progress: impl Fn(VerifyProgress),
) -> Result<Report, VerifyError> {
    let began = Timestamp::now();
    let mut snapshot = session.latest_whole().await?.map(|marker| marker.snapshot_id);
    let scope = options.scope;
    let mut tally = Tally::new(options.recheck_limit, options.listed);
    let mut sampled = None;
    if scope.is_everything() {
        tally = everything::compare(dynamo, session, &options, &progress, tally).await?;
    } else {
        let mut sample = match scope.sample {
            Some(size) => Some(Sample::draw(dynamo, session, size, &progress).await?),
            None => None,
        };
        if scope.since_snapshot {
            // A key of both counts once.
            let seen = |key: &Key| {
                if let Some(sample) = &mut sample {
                    sample.leave(key);
                }
            };
            snapshot = Some(changed::compare(dynamo, session, &progress, &mut tally, seen).await?);
        }
        if let Some(sample) = sample {
            sampled = Some(sample.compare(dynamo, session, &mut tally).await?);
        }
    }
    recheck::settle(dynamo, session, &options, &progress, &mut tally).await?;

    let Tally { counts, differing, .. } = tally;
    Ok(Report {
        table: session.schema().table.clone(),
        scope,
        snapshot,
        began,
        ended: Timestamp::now(),
        counts,
        sample: sampled.map(|sampled| sampled.bounded(counts.differing())),
        unlisted: counts.differing() - differing.len() as u64,
        differing,
        shown: options.examples,
        repair: None,
    })
}

/// The item of the SDK's attributes.
fn item_of<'a>(schema: &TableSchema, attributes: &'a Attributes) -> Result<Item<'a>, VerifyError> {
    table::item(attributes).map_err(|error| VerifyError::Item {
        what: format!("attribute '{}'", error.0),
        problem: "it has a type that this version of headwater does not know".to_owned(),
        table: schema.table.clone(),
    })
}

/// The key of an item of the table.
fn key_of(schema: &TableSchema, item: &Item<'_>) -> Result<Key, VerifyError> {
    Key::of_item(schema, item).map_err(|error| VerifyError::Item {
        what: format!("key attribute '{}'", error.attribute),
        problem: error.problem,
        table: schema.table.clone(),
    })
}

impl From<GetError> for VerifyError {
    fn from(error: GetError) -> Self {
        match error {
            GetError::Aws(error) => Self::Table(error),
            GetError::Key(error) => Self::Row { key: error.attribute.clone(), source: Box::new(error) },
        }
    }
}
