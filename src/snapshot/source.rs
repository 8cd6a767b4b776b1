//! What the rows of a snapshot are read from: a scan, a list of keys, an export.

use std::borrow::Cow;

use async_trait::async_trait;

use crate::aws::AwsError;
use crate::event::Item;
use crate::retry::{Cause, Transient};
use crate::table::Key;

/// Something that gives the rows of a snapshot, segment by segment.
#[async_trait]
pub trait RowSource: Send + Sync {
    /// Reads the page of a segment that follows `after`; the first page when it is none. `most`: no more rows than that are wanted.
    async fn page(&self, segment: u32, after: Option<&Cursor>, most: Option<u32>) -> Result<Box<dyn RowPage>, SourceError>;

    /// Where to read on behind the row with this key and this number in the segment (the first has 1), which another worker has landed.
    fn behind(&self, key: &Key, number: u64) -> Result<Cursor, SourceError>;
}

/// A page of rows.
pub trait RowPage: Send + Sync {
    /// The rows, in order.
    fn rows(&self) -> Result<Vec<Row<'_>>, SourceError>;

    /// Where to read on; none when the segment ends here.
    fn next(&self) -> Option<Cursor>;

    /// Half read capacity units that the page cost.
    fn half_units(&self) -> u64;
}

/// Where reading of a segment goes on, in the words of its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub String);

/// A row of a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub enum Row<'p> {
    /// An item.
    Item(Item<'p>),
    /// There is no item of this key.
    Absent(Key),
    /// What is no item, to be kept whole in quarantine.
    Poison {
        /// As it came.
        raw: Cow<'p, str>,
        /// What is wrong with it.
        reason: String,
    },
}

/// Rows could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A service refused, or did not come back.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// What is read is not what it should be, and reading again does not help.
    #[error("{doing}: {problem}")]
    Broken {
        /// What was being read.
        doing: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// What is read cannot be reached now.
    #[error("{doing}: {problem}")]
    Unavailable {
        /// What was being read.
        doing: String,
        /// What happened.
        problem: String,
    },
}

impl Transient for SourceError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Aws(error) => error.is_transient(),
            Self::Unavailable { .. } => true,
            Self::Broken { .. } => false,
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Self::Aws(error) => error.cause(),
            Self::Unavailable { .. } | Self::Broken { .. } => Cause::Unavailable,
        }
    }
}
