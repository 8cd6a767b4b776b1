//! Rows from an export that DynamoDB wrote to S3, full or incremental, in DynamoDB JSON.
//!
//! # Where things lie
//!
//! The folder of an export, `<prefix>/AWSDynamoDB/<export id>`, holds two manifests, each with its checksum; `manifest-files.json` names the data
//! files by their keys in the bucket (Amazon DynamoDB Developer Guide, "DynamoDB table export output format"). The data files of a full export lie
//! below the folder, those of incremental exports in `<prefix>/AWSDynamoDB/data`, which all of them share. A copy of an export, in a local folder or
//! under another prefix, is read where it lies.
//!
//! # What is guaranteed
//!
//! Each data file that has items is a segment, and each of its lines a row, so a cursor is a number of lines. The last page of a file is given
//! only when the file's checksum, the gzip stream and the number of items were found right: a segment of a damaged file never comes to its end, and
//! so neither does the snapshot, whatever pages went out before.
//!
//! # Memory
//!
//! A file is read in chunks of half a mebibyte, inflated piece by piece and given in pages of about a mebibyte. A segment that is read on
//! where its last page ended costs nothing extra; one that is resumed elsewhere is read from its beginning, because gzip cannot be entered in the
//! middle.

mod lines;
mod manifest;
mod place;
mod reader;
mod request;
mod row;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use tokio::time::Instant;

use self::lines::Lines;
use self::manifest::{DataFile, Kind, Summary};
use self::place::Keys;
use self::reader::Reader;
pub use self::request::{ExportError, ExportRequest, Extent, begin, locate, wait};
use super::source::{Cursor, Row, RowPage, RowSource, SourceError};
use crate::contract::TableSchema;
use crate::lake::LakeStore;
use crate::table::Key;

/// The items of a full export may show the table up to a minute before or after its time (Amazon DynamoDB Developer Guide, "Requesting a table
/// export"), and so may the ends of an incremental one.
const TEARING: i64 = 60;
/// How far a stream's times may lie below the true ones: a minute where they are floored to the minute, and what clocks of hosts differ by.
const MARGIN: i64 = 75;
/// Readers that nobody asked for a page in this time are given up: their segments were lost to another worker.
const IDLE: Duration = Duration::from_mins(5);

/// An export, open for reading.
pub struct Export {
    place: LakeStore,
    schema: Arc<TableSchema>,
    summary: Summary,
    files: Vec<DataFile>,
    /// Files that are open behind the last page that was given of each, by segment.
    readers: Mutex<HashMap<u32, Idle>>,
}

struct Idle {
    reader: Reader,
    since: Instant,
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export")
            .field("place", &self.place)
            .field("summary", &self.summary)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// Opens the export at `location`: `s3://bucket/prefix/AWSDynamoDB/<export id>`, or a local folder with a copy of that. Reads and verifies both
/// manifests. `sdk` is needed for S3 alone.
pub async fn open(location: &str, sdk: Option<&SdkConfig>, schema: Arc<TableSchema>) -> Result<Export, SourceError> {
    Export::on(place::open(location, sdk)?, schema).await
}

impl Export {
    /// Opens the export whose folder is the prefix of `place`.
    pub async fn on(place: LakeStore, schema: Arc<TableSchema>) -> Result<Self, SourceError> {
        let (location, text) = place::manifest(&place, "manifest-summary").await?;
        let broken = |problem: String| broken(&place, &location, problem);
        let summary = Summary::parse(&text).map_err(broken)?;
        if summary.table != schema.table {
            return Err(broken(format!("it is an export of table '{}', not of '{}'", summary.table, schema.table)));
        }
        let keys = Keys::new(&place.prefix, &summary.files_key).map_err(broken)?;

        let (location, text) = place::manifest(&place, "manifest-files").await?;
        let broken = |problem: String| self::broken(&place, &location, problem);
        let files = manifest::parse_files(&text, &summary, &keys).map_err(broken)?;
        if u32::try_from(files.len()).is_err() {
            return Err(broken(format!("it names {} files, more than a snapshot can have segments", files.len())));
        }
        Ok(Self { place, schema, summary, files, readers: Mutex::default() })
    }

    /// Whether it holds the whole table. An incremental export holds the items that changed in its time, and the keys of those that were deleted.
    pub fn whole(&self) -> bool {
        self.summary.kind == Kind::Full
    }

    /// The start of a snapshot of it, in seconds since the epoch: every change that its rows do not show has a later time in the stream.
    pub fn start(&self) -> i64 {
        self.summary.shows.saturating_sub(TEARING + MARGIN)
    }

    /// How many segments there are: one for each data file that is not empty, and at least one.
    pub fn segments(&self) -> u32 {
        u32::try_from(self.files.len()).unwrap_or(u32::MAX).max(1)
    }

    /// How many rows there are.
    pub fn items(&self) -> u64 {
        self.files.iter().map(|file| file.items).sum()
    }

    /// The id of the table that was exported, where its summary tells.
    pub fn table_id(&self) -> Option<&str> {
        self.summary.table_id.as_deref()
    }

    /// A reader of the segment that is not beyond line `after`: the one that gave the last page, or a new one.
    fn reader(&self, segment: u32, after: u64, file: &DataFile) -> Reader {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|_, idle| idle.since.elapsed() < IDLE);
        match readers.remove(&segment) {
            Some(Idle { reader, .. }) if reader.lines() <= after => reader,
            _ => Reader::new(self.place.clone(), file.clone()),
        }
    }

    fn keep(&self, segment: u32, reader: Reader) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.insert(segment, Idle { reader, since: Instant::now() });
    }

    async fn read(&self, segment: u32, after: u64, most: Option<u32>) -> Result<ExportPage, SourceError> {
        let page = |lines, next| ExportPage { lines, kind: self.summary.kind, schema: Arc::clone(&self.schema), next };
        let file = match self.files.get(segment as usize) {
            Some(file) => file,
            // The segment of an export without items, which is there so that a snapshot of it has one.
            None if self.files.is_empty() && segment == 0 => return Ok(page(Lines::default(), None)),
            None => {
                let problem =
                    format!("it has no segment {segment}, only {}: is it the export that the snapshot began with?", self.segments());
                return Err(broken(&self.place, &self.place.prefix, problem));
            }
        };
        let mut reader = self.reader(segment, after, file);
        match reader.page(after, most).await {
            Ok((lines, last)) => {
                let next = (!last).then(|| Cursor(reader.lines().to_string()));
                if !last {
                    self.keep(segment, reader);
                }
                Ok(page(lines, next))
            }
            Err(error @ SourceError::Broken { .. }) => Err(error),
            // Nothing was consumed, and reading goes on from there.
            Err(error) => {
                self.keep(segment, reader);
                Err(error)
            }
        }
    }
}

#[async_trait]
impl RowSource for Export {
    async fn page(&self, segment: u32, after: Option<&Cursor>, most: Option<u32>) -> Result<Box<dyn RowPage>, SourceError> {
        let after = match after {
            None => 0,
            Some(Cursor(text)) => text.parse().map_err(|_| {
                let problem = format!("'{text}' is no number of lines: the cursor is not of an export");
                broken(&self.place, &self.place.prefix, problem)
            })?,
        };
        Ok(Box::new(self.read(segment, after, most).await?))
    }

    fn behind(&self, _key: &Key, number: u64) -> Result<Cursor, SourceError> {
        Ok(Cursor(number.to_string()))
    }
}

/// Lines of a data file.
struct ExportPage {
    lines: Lines,
    kind: Kind,
    schema: Arc<TableSchema>,
    next: Option<Cursor>,
}

impl RowPage for ExportPage {
    fn rows(&self) -> Result<Vec<Row<'_>>, SourceError> {
        Ok(self.lines.iter().map(|line| row::row(line, self.kind, &self.schema)).collect())
    }

    fn next(&self) -> Option<Cursor> {
        self.next.clone()
    }

    fn half_units(&self) -> u64 {
        0
    }
}

fn broken(place: &LakeStore, location: &object_store::path::Path, problem: String) -> SourceError {
    SourceError::Broken { doing: format!("read {}", place.describe(location)), problem }
}
