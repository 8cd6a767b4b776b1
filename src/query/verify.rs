//! The proof that the lake equals the table: a consistent scan of the table against the view `current`, row by row.
//!
//! Both sides are reduced to digests of the whole item in its canonical form and spilled to disk by the digest of the key; then bucket
//! after bucket is compared in memory (`spill`). Memory is bounded by [`VerifyOptions::memory`], whatever the size of the table.
//!
//! A table that is written to meanwhile differs from a lake that lags behind it. So keys that differ are read again on both sides until
//! they settle or [`VerifyOptions::deadline`] has passed (`recheck`). A key has settled when the lake's row is one that the table was
//! seen to hold during the verification.
//!
//! What this does not prove: that the lake's *history* is complete. It proves that its last word on every key is right.

mod digest;
mod recheck;
mod rows;
mod spill;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::TryStreamExt;
use serde::Serialize;

use self::rows::LakeRows;
use self::spill::{Outcome, Spill};
use super::{QueryError, Session};
use crate::aws::AwsError;
use crate::contract::TableSchema;
use crate::event::Item;
use crate::table::{self, Attributes, GetError, Key};

/// How a verification is done.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// How long keys that differ are read again before they count as differing.
    pub deadline: Duration,
    /// How many differing keys the report shows.
    pub examples: usize,
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
            // The lake closes its objects after a minute by default.
            deadline: Duration::from_mins(1),
            examples: 10,
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

/// How a key differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// In the table, not in the lake.
    Missing,
    /// In the lake, not in the table.
    Extra,
    /// In both, with different attributes.
    Different,
}

/// A key that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// How it differs.
    pub kind: Kind,
    /// The key's columns and their text in the lake.
    pub key: BTreeMap<String, String>,
    /// The attributes that differ, dotted where a field of a map does; empty unless the kind is [`Kind::Different`]. Names only: values
    /// may be personal data.
    pub columns: Vec<String>,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Keys whose item is the same on both sides.
    pub matched: u64,
    /// Keys in the table that the lake has not.
    pub missing: u64,
    /// Keys in the lake that the table has not.
    pub extra: u64,
    /// Keys whose item differs.
    pub different: u64,
    /// Keys that were read again because they differed at first.
    pub rechecked: u64,
    /// The first keys that differ.
    pub examples: Vec<Example>,
}

impl Report {
    /// Whether the lake equals the table.
    pub const fn equal(&self) -> bool {
        self.missing == 0 && self.extra == 0 && self.different == 0
    }

    fn count(&mut self, kind: Kind) {
        match kind {
            Kind::Missing => self.missing += 1,
            Kind::Extra => self.extra += 1,
            Kind::Different => self.different += 1,
        }
    }
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

/// Compares the table with the lake. Reads the whole table consistently, which consumes read capacity for every item.
pub async fn verify(
    dynamo: &aws_sdk_dynamodb::Client,
    session: &Session,
    options: VerifyOptions,
    progress: impl Fn(VerifyProgress),
) -> Result<Report, VerifyError> {
    let directory = options.spill_directory.clone().unwrap_or_else(std::env::temp_dir);
    let spilling = |source| VerifyError::Spill { directory: directory.clone(), source };
    let room = tempfile::Builder::new().prefix("headwater-verify-").tempdir_in(&directory).map_err(spilling)?;

    // The table first: what the lake lags behind has the time of the scan to land.
    let table = spill_table(dynamo, session, &room.path().join("table"), &spilling, &progress).await?;
    let lake = spill_lake(session, &room.path().join("lake"), table.rows(), &spilling, &progress).await?;

    progress(VerifyProgress::Compare);
    let (limit, memory) = (options.recheck_limit, options.memory);
    let compared = tokio::task::spawn_blocking(move || first_pass(table, lake, memory, limit)).await;
    let (mut report, doubtful) = compared.map_err(std::io::Error::other).flatten().map_err(spilling)?;

    report.rechecked = doubtful.len() as u64;
    recheck::settle(dynamo, session, doubtful, &options, &progress, &mut report).await?;
    Ok(report)
}

async fn spill_table(
    dynamo: &aws_sdk_dynamodb::Client,
    session: &Session,
    directory: &Path,
    spilling: &impl Fn(std::io::Error) -> VerifyError,
    progress: &impl Fn(VerifyProgress),
) -> Result<Spill, VerifyError> {
    let schema = session.schema();
    let about = table::item_count(dynamo, &schema.table).await?;
    let mut spill = Spill::create(directory).map_err(spilling)?;
    table::scan(dynamo, &schema.table, |page| {
        for attributes in &page {
            let item = item_of(schema, attributes)?;
            spill.push(&key_of(schema, &item)?, digest::of_item(&item)).map_err(spilling)?;
        }
        progress(VerifyProgress::Table { rows: spill.rows(), about });
        Ok::<_, VerifyError>(())
    })
    .await?;
    Ok(spill)
}

async fn spill_lake(
    session: &Session,
    directory: &Path,
    about: u64,
    spilling: &impl Fn(std::io::Error) -> VerifyError,
    progress: &impl Fn(VerifyProgress),
) -> Result<Spill, VerifyError> {
    let mut spill = Spill::create(directory).map_err(spilling)?;
    let current = session.view("current").await?;
    let mut batches = current.execute_stream().await.map_err(QueryError::Run)?;
    while let Some(batch) = batches.try_next().await.map_err(QueryError::Run)? {
        LakeRows::of(session.schema(), &batch).each(|key, item| spill.push(&key, digest::of_item(item)).map_err(spilling))?;
        progress(VerifyProgress::Lake { rows: spill.rows(), about });
    }
    Ok(spill)
}

/// Compares all digests. Gives the counts of what is settled, and the differing keys that will be read again.
fn first_pass(table: Spill, lake: Spill, memory: usize, limit: usize) -> std::io::Result<(Report, Vec<Key>)> {
    let mut report = Report::default();
    let mut doubtful = Vec::new();
    spill::compare(table, lake, memory, &mut |outcome| match outcome {
        Outcome::Same => report.matched += 1,
        Outcome::Differs(_, key) if doubtful.len() < limit => doubtful.push(key),
        Outcome::Differs(kind, _) => report.count(kind),
    })?;
    Ok((report, doubtful))
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
