//! Exports on the command line: what is given becomes the folder of an export that can be read.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_dynamodb::Client;
use indicatif::ProgressBar;
use tokio_util::sync::CancellationToken;

use super::Place;
use super::request::StartArgs;
use super::wait::Shown;
use crate::cli::log;
use crate::contract::TableSchema;
use crate::snapshot::export::{self, ExportRequest, Extent};
use crate::stream::TableInfo;

/// How often a log line tells how long DynamoDB has been at it.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// How getting an export ended.
pub(super) enum Got {
    /// It can be read.
    Export {
        /// Its folder.
        location: String,
        /// How many rows it has.
        rows: u64,
    },
    /// Waiting for it was stopped. DynamoDB goes on writing it.
    Stopped {
        /// Its ARN.
        arn: String,
    },
}

/// Finds the export that the flags name, or has one made, and checks that its manifests are there and sound.
pub(super) async fn get(
    args: &StartArgs,
    place: &Place,
    info: &TableInfo,
    shown: Shown,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Got>> {
    let dynamo = Client::new(&place.sdk);
    let location = match (&args.from_export, &args.export_bucket) {
        (Some(arn), _) if arn.starts_with("arn:") => export::locate(&dynamo, arn).await?,
        (Some(given), _) => for_any_folder(given).with_context(|| format!("find the export {given}"))?,
        (None, Some(bucket)) => {
            let request = ExportRequest {
                table_arn: table_arn(info).context("the table's description names no stream, so its ARN is not known")?.to_owned(),
                bucket: bucket.clone(),
                bucket_owner: None,
                prefix: args.export_prefix.clone().unwrap_or_default(),
                token: uuid::Uuid::now_v7().to_string(),
                extent: Extent::Whole,
            };
            let arn = export::begin(&dynamo, &request).await?;
            let mut progress = Progress::new(shown, &arn);
            let done = tokio::select! {
                done = export::wait(&dynamo, &arn, |taken| progress.show(taken)) => Some(done),
                () = stop.cancelled() => None,
            };
            progress.finish();
            match done {
                Some(done) => done?,
                None => return Ok(Some(Got::Stopped { arn })),
            }
        }
        (None, None) => return Ok(None),
    };
    let schema = TableSchema::keys_only(&place.settings.table.name, info.keys.clone());
    let rows = export::open(&location, Some(&place.sdk), Arc::new(schema)).await?.items();
    Ok(Some(Got::Export { location, rows }))
}

/// A local folder as seen from every folder: a worker runs elsewhere. Other locations are left as they are.
fn for_any_folder(given: &str) -> std::io::Result<String> {
    if given.contains("://") {
        return Ok(given.to_owned());
    }
    Path::new(given).canonicalize().map(|path| path.display().to_string())
}

/// The table's ARN, which the ARN of its stream begins with.
fn table_arn(info: &TableInfo) -> Option<&str> {
    let stream = info.stream.as_ref()?.arn.as_str();
    stream.split_once("/stream/").map(|(table, _)| table)
}

/// How long an export has been going on. DynamoDB does not tell how far it is.
struct Progress<'a> {
    arn: &'a str,
    bar: Option<ProgressBar>,
    told: Option<Duration>,
}

impl<'a> Progress<'a> {
    fn new(shown: Shown, arn: &'a str) -> Self {
        let bar = (shown == Shown::Bar).then(|| log::bars().add(ProgressBar::new_spinner()));
        if let Some(bar) = &bar {
            bar.set_message(format!("DynamoDB writes the export {arn}"));
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self { arn, bar, told: None }
    }

    fn show(&mut self, taken: Duration) {
        let seconds = Duration::from_secs(taken.as_secs());
        match &self.bar {
            Some(bar) => {
                bar.set_message(format!("DynamoDB writes the export {}, for {}", self.arn, humantime::format_duration(seconds)));
            }
            None if self.told.is_none_or(|told| taken.saturating_sub(told) >= LOG_INTERVAL) => {
                self.told = Some(taken);
                tracing::info!(export = self.arn, seconds = taken.as_secs(), "waiting for the export");
            }
            None => {}
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::AttributeType;
    use crate::stream::{StreamArn, StreamInfo, View};

    #[test]
    fn the_table_s_arn_is_read_from_its_stream_s() {
        let arn = StreamArn::new("arn:aws:dynamodb:eu-central-1:1:table/orders/stream/2026-11-21T03:00:00.000");
        let stream = Some(StreamInfo { arn, enabled: true, retention: 86_400 });
        let info = TableInfo { keys: vec![("id".into(), AttributeType::S)], stream, view: View::NewAndOldImages };
        assert_eq!(table_arn(&info), Some("arn:aws:dynamodb:eu-central-1:1:table/orders"));
        assert_eq!(table_arn(&TableInfo { stream: None, ..info }), None);
    }

    #[test]
    fn a_local_folder_is_told_to_workers_whole() {
        let folder = tempfile::tempdir().unwrap();
        let whole = for_any_folder(folder.path().to_str().unwrap()).unwrap();
        assert!(Path::new(&whole).is_absolute());
        assert_eq!(for_any_folder("s3://bucket/AWSDynamoDB/01").unwrap(), "s3://bucket/AWSDynamoDB/01");
        assert!(for_any_folder(&format!("{whole}/missing")).is_err());
    }
}
