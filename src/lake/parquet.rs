//! Parquet files: one run of a shard, with where it starts and ends in the footer.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{KeyValue, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::LAST;
use super::rows::{RowBuffer, RowError};
use crate::contract::{ColumnType, TableSchema};
use crate::event::{ChangeEvent, Position};

/// The contract's id.
pub(super) const CONTRACT_ID: &str = "headwater.contract.id";
/// The contract's version.
pub(super) const CONTRACT_VERSION: &str = "headwater.contract.version";
/// The table's schema as JSON.
pub(super) const SCHEMA: &str = "headwater.schema";
/// The position that the run starts after.
pub(super) const AFTER: &str = "headwater.after";

/// zstd's own default: about half of snappy's size for half as much time again.
const ZSTD_LEVEL: i32 = 3;
/// Rows, or bytes of values, that wait in builders before they are encoded. Encoded pages are several times smaller.
const BATCH_ROWS: usize = 4096;
const BATCH_BYTES: usize = 2 << 20;
/// Small enough that statistics let a reader skip most of a file, large enough that dictionaries pay.
const ROW_GROUP_ROWS: usize = 128 * 1024;
/// A page is compressed as a whole, and the compressor's memory grows with it.
const PAGE_BYTES: usize = 256 << 10;

/// What a file has besides its columns: where it starts and ends, the contract.
const FILE_BYTES: usize = 2 << 10;
/// What a column's encoder occupies before its first value.
const ENCODER_COLUMN_MEMORY: usize = 4096;

/// One Parquet file in the making.
pub(super) struct ParquetRun {
    schema: Arc<TableSchema>,
    arrow: SchemaRef,
    rows: RowBuffer,
    /// Made when the first batch is encoded: a run of a few rows needs no encoder while it waits.
    writer: Option<ArrowWriter<Vec<u8>>>,
    encoded: usize,
    encoder_memory: usize,
}

impl ParquetRun {
    pub(super) fn new(schema: &Arc<TableSchema>, arrow: &SchemaRef) -> Result<Self, RowError> {
        Ok(Self {
            schema: Arc::clone(schema),
            arrow: Arc::clone(arrow),
            rows: RowBuffer::new(schema, Arc::clone(arrow))?,
            writer: None,
            encoded: 0,
            encoder_memory: 0,
        })
    }

    pub(super) fn append(&mut self, event: &ChangeEvent<'_>) -> Result<(), RowError> {
        self.rows.append(event)?;
        if is_batch(self.rows.rows(), self.rows.payload()) {
            self.encode()?;
        }
        Ok(())
    }

    /// The size that the file would have at most if it were finished now.
    pub(super) fn size(&self) -> usize {
        self.encoded + self.rows.payload()
    }

    /// What it occupies, open or closed: an object of a few rows is larger than they are, since each column has its part of the footer.
    pub(super) fn memory(&self) -> usize {
        FILE_BYTES + self.encoder_memory + self.rows.memory()
    }

    /// By how much the event makes that more, at most.
    pub(super) fn growth(&self, event: &ChangeEvent<'_>) -> usize {
        let is_full = is_batch(self.rows.rows() + 1, self.rows.payload() + self.rows.payload_of(event));
        let encoder = if is_full && self.writer.is_none() { self.arrow.fields().len() * ENCODER_COLUMN_MEMORY } else { 0 };
        self.rows.growth(event) + encoder
    }

    pub(super) fn finish(mut self, after: Position, last: Position) -> Result<Bytes, RowError> {
        let metadata = file_metadata(&self.schema, after, last);
        let writer = self.encode()?;
        for entry in metadata {
            writer.append_key_value_metadata(entry);
        }
        writer.finish()?;
        let mut file = std::mem::take(writer.inner_mut());
        // It may wait for its commit for long.
        file.shrink_to_fit();
        Ok(Bytes::from(file))
    }

    fn encode(&mut self) -> Result<&mut ArrowWriter<Vec<u8>>, RowError> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => ArrowWriter::try_new(Vec::new(), Arc::clone(&self.arrow), Some(properties(&self.schema)?))?,
        };
        let writer = self.writer.insert(writer);
        if self.rows.rows() > 0 {
            writer.write(&self.rows.take()?)?;
        }
        self.encoded = writer.bytes_written() + writer.in_progress_size();
        self.encoder_memory = writer.inner().capacity() + writer.memory_size();
        Ok(writer)
    }
}

/// Whether so much is encoded, and waits no longer.
fn is_batch(rows: usize, payload: usize) -> bool {
    rows >= BATCH_ROWS || payload >= BATCH_BYTES
}

fn properties(schema: &TableSchema) -> Result<WriterProperties, RowError> {
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("headwater ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_size_limit(PAGE_BYTES);
    // Dictionaries pay where values repeat; in these columns they hardly do, and each would be built only to be given up.
    for unique in ["cdc_event_id", "cdc_sequence", "cdc_extra", "old_cdc_extra"] {
        builder = without_dictionary(builder, unique);
    }
    for column in schema.columns.iter().filter(|column| column.kind == ColumnType::Json) {
        builder = without_dictionary(builder, &column.name);
        builder = without_dictionary(builder, &format!("{}{}", crate::contract::OLD_PREFIX, column.name));
    }
    Ok(builder.build())
}

fn without_dictionary(builder: WriterPropertiesBuilder, column: &str) -> WriterPropertiesBuilder {
    builder.set_column_dictionary_enabled(ColumnPath::from(column), false)
}

fn file_metadata(schema: &TableSchema, after: Position, last: Position) -> Vec<KeyValue> {
    let entry = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
    let mut entries = vec![entry(AFTER, &after.padded()), entry(LAST, &last.padded())];
    if let Ok(json) = serde_json::to_string(schema) {
        entries.push(entry(SCHEMA, &json));
    }
    if let Some(contract) = &schema.contract {
        entries.push(entry(CONTRACT_ID, &contract.id));
        entries.push(entry(CONTRACT_VERSION, &contract.version));
    }
    entries
}

/// What the end of a file says.
pub(super) enum Tail {
    /// The position of the run's last row.
    Last(Position),
    /// This many bytes from the end are needed.
    NeedBytes(usize),
    /// Not a file of ours.
    Foreign(String),
}

/// Reads the position of the last row from the last bytes of a file that is `size` bytes long.
pub(super) fn read_tail(tail: &Bytes, size: u64) -> Tail {
    let mut reader = ParquetMetaDataReader::new();
    match reader.try_parse_sized(tail, size).and_then(|()| reader.finish()) {
        Ok(metadata) => match last_of(&metadata) {
            Some(last) => Tail::Last(last),
            None => Tail::Foreign(format!("its footer has no {LAST}")),
        },
        Err(parquet::errors::ParquetError::NeedMoreData(bytes)) => Tail::NeedBytes(bytes),
        Err(error) => Tail::Foreign(error.to_string()),
    }
}

fn last_of(metadata: &ParquetMetaData) -> Option<Position> {
    metadata.file_metadata().key_value_metadata()?.iter().find(|entry| entry.key == LAST)?.value.as_deref()?.parse().ok()
}
