//! What the deliver stage's lease table says.

use crate::aws::{AwsError, Failure};
use crate::lease::gap::Gap;
use crate::lease::table::{Contents, LeaseTable};

/// What is known of the deliver stage.
#[derive(Debug)]
pub(super) enum Delivered {
    /// There is none.
    Nowhere,
    /// Its lease table cannot be read now.
    Unknown,
    /// Its leases and its gap ledger.
    Known(Box<Contents>),
}

impl Delivered {
    /// Reads the lease table of the stage, if there is one. What does not come back is told and taken for unknown: what does not need it goes on.
    pub(super) async fn read(leases: Option<&LeaseTable>) -> Self {
        let Some(leases) = leases else { return Self::Nowhere };
        match leases.read().await {
            Ok(contents) => Self::Known(Box::new(contents)),
            // Before deliver has run.
            Err(error) if error.failure == Failure::NotFound => Self::Known(Box::default()),
            Err(error) => {
                tell(leases.name(), &error);
                Self::Unknown
            }
        }
    }

    /// Whether nothing that is sent from now on escapes the stage: it has a position on its stream.
    pub(super) fn is_secured(&self) -> bool {
        match self {
            Self::Nowhere => true,
            Self::Unknown => false,
            Self::Known(contents) => !contents.leases.is_empty(),
        }
    }

    /// Its ledger, as far as it is known.
    pub(super) fn gaps(&self) -> &[Gap] {
        match self {
            Self::Nowhere | Self::Unknown => &[],
            Self::Known(contents) => &contents.gaps,
        }
    }
}

fn tell(table: &str, error: &AwsError) {
    tracing::warn!(
        table,
        %error,
        "deliver's lease table cannot be read: snapshots neither begin nor complete, and its gaps are not closed, until dynamodb:Scan on it succeeds"
    );
}
