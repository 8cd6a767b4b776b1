//! What a snapshot's request says, as something to read.

use std::sync::Arc;

use aws_config::SdkConfig;

use super::budget::Budget;
use super::export;
use super::keys::Keys;
use super::plan;
use super::reader::{TableFacts, TableReader};
use super::scan::Scan;
use super::source::{RowSource, SourceError};
use crate::config::SnapshotSettings;
use crate::lake::Lake;
use crate::lease::snapshot::{ReadBudget, Snapshot, Source};

/// Opens what snapshots read.
pub(super) struct Sources {
    pub(super) sdk: SdkConfig,
    pub(super) reader: TableReader,
    pub(super) lake: Arc<Lake>,
    pub(super) settings: SnapshotSettings,
}

/// How the work of a snapshot is divided, and what its rows stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) segments: u32,
    pub(super) whole: bool,
    /// When the rows were what they are, where that is not when they are read: seconds since the epoch, less a margin.
    pub(super) started_at: Option<i64>,
}

/// Rows and the pace at which they are read.
pub(super) struct Opened {
    pub(super) source: Arc<dyn RowSource>,
    pub(super) budget: Arc<Budget>,
}

impl Sources {
    /// Finds out what a requested snapshot amounts to. Looks at the table, and so sets the clock.
    pub(super) async fn extent(&self, snapshot: &Snapshot) -> Result<Extent, SourceError> {
        let facts = self.reader.facts().await?;
        self.budget(snapshot, &facts)?;
        let of = |segments| Extent { segments, whole: plan::is_whole(&snapshot.request), started_at: None };
        match &snapshot.request.source {
            Source::Table => {
                let segments = plan::segments(&snapshot.request, &self.settings, facts.bytes);
                if segments > 1 && self.reader.ignores_segments(self.lake.schema()).await? {
                    tracing::warn!(
                        snapshot = snapshot.id,
                        segments,
                        "the service does not divide a Scan into segments: reading the table as one"
                    );
                    return Ok(of(1));
                }
                Ok(of(segments))
            }
            Source::Segment { number, of: parts } if number < parts => Ok(of(1)),
            Source::Segment { number, of } => Err(SourceError::Broken {
                doing: format!("read segment {number} of {of}"),
                problem: format!("there is none: segments are counted from 0 to {}", of.saturating_sub(1)),
            }),
            Source::Partition { .. } | Source::Keys { .. } => Ok(of(1)),
            Source::Export { location } => Ok(self.export(snapshot, location, &facts).await?.0),
        }
    }

    /// Opens what a running snapshot reads.
    pub(super) async fn open(&self, snapshot: &Snapshot) -> Result<Opened, SourceError> {
        let (reader, schema, consistent) = (self.reader.clone(), Arc::clone(self.lake.schema()), snapshot.request.consistent);
        let facts = self.reader.facts().await?;
        let source: Arc<dyn RowSource> = match &snapshot.request.source {
            Source::Table => Arc::new(Scan::table(reader, schema, consistent, snapshot.segments)),
            Source::Segment { number, of } => Arc::new(Scan::part(reader, schema, consistent, *number, *of)),
            Source::Partition { partition, from, to } => {
                Arc::new(Scan::partition(reader, schema, consistent, partition, (from.as_deref(), to.as_deref()))?)
            }
            Source::Keys { .. } => Arc::new(Keys::open(reader, &self.lake, consistent, &snapshot.id).await?),
            Source::Export { location } => self.export(snapshot, location, &facts).await?.1,
        };
        Ok(Opened { source, budget: Arc::new(Budget::new(self.budget(snapshot, &facts)?)) })
    }

    /// Half read units a second; none where reading is free.
    fn budget(&self, snapshot: &Snapshot, facts: &TableFacts) -> Result<Option<f64>, SourceError> {
        // An export is read from S3.
        if matches!(snapshot.request.source, Source::Export { .. }) {
            return Ok(None);
        }
        match (snapshot.request.budget.or(self.settings.budget), facts.read_units) {
            (None, _) => Ok(None),
            (Some(ReadBudget::Units(units)), _) => Ok(Some(2.0 * f64::from(units.max(1)))),
            #[expect(clippy::cast_precision_loss, reason = "no table is provisioned with 2^52 units")]
            (Some(ReadBudget::Share(share)), Some(units)) => Ok(Some(2.0 * units as f64 * f64::from(share.max(1)) / 100.0)),
            (Some(ReadBudget::Share(share)), None) => Err(SourceError::Broken {
                doing: format!("take {share} % of the table's read capacity"),
                problem: "the table is billed on demand, so that there is nothing to take a share of: give read units instead".to_owned(),
            }),
        }
    }

    /// An export of the table: its extent, and its rows.
    async fn export(&self, snapshot: &Snapshot, location: &str, facts: &TableFacts) -> Result<(Extent, Arc<dyn RowSource>), SourceError> {
        let export = export::open(location, Some(&self.sdk), Arc::clone(self.lake.schema())).await?;
        if let (Some(own), Some(exported)) = (&facts.id, export.table_id())
            && own != exported
        {
            return Err(SourceError::Broken {
                doing: format!("take the export {location}"),
                problem: format!(
                    "it is of another table of this name, which was deleted or is in another account or region (its id is {exported}, and that of the \
                     table is {own}): export the table itself"
                ),
            });
        }
        let whole = export.whole() && snapshot.request.limit.is_none();
        let extent = Extent { segments: export.segments(), whole, started_at: Some(export.start()) };
        Ok((extent, Arc::new(export)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{ServiceClock, WallClock};
    use crate::contract::TableSchema;
    use crate::event::AttributeType;
    use crate::lake::{Decimals, Format, LakeLocation, LakeSettings};
    use crate::lease::snapshot::{Cause, Request};

    async fn sources(folder: &std::path::Path, budget: Option<ReadBudget>) -> Sources {
        let settings = LakeSettings {
            location: LakeLocation::Folder(folder.to_owned()),
            format: Format::Parquet,
            max_size: 1,
            max_age: Duration::from_secs(1),
            decimals: Decimals::Number,
            kms_key: None,
        };
        let schema = Arc::new(TableSchema::keys_only("t", vec![("id".to_owned(), AttributeType::S)]));
        let config = aws_config::SdkConfig::builder().behavior_version(aws_config::BehaviorVersion::latest()).build();
        Sources {
            reader: TableReader::new(&config, "t", ServiceClock::new(WallClock::system())),
            sdk: config,
            lake: Arc::new(Lake::open(&settings, schema, None).await.unwrap()),
            settings: SnapshotSettings { segments: None, at_once: 1, consistent: true, budget },
        }
    }

    #[tokio::test]
    async fn a_budget_is_in_units_or_a_share_of_what_is_provisioned() {
        let folder = tempfile::tempdir().unwrap();
        let sources = sources(folder.path(), Some(ReadBudget::Share(25))).await;
        let of = |budget, read_units| {
            let request = Request { source: Source::Table, cause: Cause::Request, consistent: true, segments: None, budget, limit: None };
            sources.budget(&plan::requested("s".to_owned(), request, 0), &TableFacts { id: None, bytes: 0, read_units })
        };
        assert_eq!(of(Some(ReadBudget::Units(50)), None).unwrap(), Some(100.0), "in half units");
        assert_eq!(of(None, Some(400)).unwrap(), Some(200.0), "what is configured");
        let error = of(None, None).unwrap_err();
        assert!(error.to_string().contains("on demand"), "{error}");
    }
}
