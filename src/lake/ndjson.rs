//! NDJSON files: one change a line, gzip-compressed. The last line's `cdc_sequence` is where the run ends.

use std::io::{self, BufRead, BufReader, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::Deserialize;

use crate::contract::TableSchema;
use crate::event::encode::{Decimals, Origin, write_ndjson};
use crate::event::{ChangeEvent, SequenceNumber, ShardId};

/// What a deflate stream occupies: window, hash chains, pending output.
const DEFLATE_MEMORY: usize = 384 << 10;
/// Lines that wait before they are compressed: a run of a few rows needs no compressor while it waits.
const PENDING_BYTES: usize = 64 << 10;

/// One NDJSON file in the making.
pub(super) struct NdjsonRun {
    schema: Arc<TableSchema>,
    shard: ShardId,
    decimals: Decimals,
    pending: Vec<u8>,
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl NdjsonRun {
    pub(super) fn new(schema: &Arc<TableSchema>, shard: &ShardId, decimals: Decimals) -> Self {
        Self { schema: Arc::clone(schema), shard: shard.clone(), decimals, pending: Vec::new(), encoder: None }
    }

    pub(super) fn append(&mut self, event: &ChangeEvent<'_>) -> io::Result<()> {
        let origin = Origin { table: &self.schema.table, shard: self.shard.as_str() };
        write_ndjson(event, origin, &self.schema, self.decimals, &mut self.pending);
        if self.pending.len() >= PENDING_BYTES {
            self.compress()?;
        }
        Ok(())
    }

    /// The size that the file would have at most if it were finished now.
    pub(super) fn size(&self) -> usize {
        self.pending.len() + self.encoder.as_ref().map_or(0, |encoder| encoder.get_ref().len())
    }

    pub(super) fn memory(&self) -> usize {
        self.pending.capacity() + self.encoder.as_ref().map_or(0, |encoder| encoder.get_ref().capacity() + DEFLATE_MEMORY)
    }

    pub(super) fn finish(mut self) -> io::Result<Bytes> {
        self.compress()?;
        self.encoder.map_or_else(|| Ok(Bytes::new()), |encoder| encoder.finish().map(Bytes::from))
    }

    fn compress(&mut self) -> io::Result<()> {
        // GzEncoder leaves the header's time at zero, so that equal runs are equal bytes.
        self.encoder.get_or_insert_with(|| GzEncoder::new(Vec::new(), Compression::default())).write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }
}

/// Reads the last sequence from a whole file; the error says why it is not one of ours.
pub(super) fn read_last(file: &Bytes) -> Result<SequenceNumber, String> {
    #[derive(Deserialize)]
    struct Line {
        cdc_sequence: String,
    }
    let mut reader = BufReader::new(MultiGzDecoder::new(file.as_ref()));
    let (mut line, mut last) = (Vec::new(), Vec::new());
    while reader.read_until(b'\n', &mut line).map_err(|error| error.to_string())? > 0 {
        std::mem::swap(&mut line, &mut last);
        line.clear();
    }
    let line: Line = serde_json::from_slice(&last).map_err(|error| format!("its last line is not a change: {error}"))?;
    line.cdc_sequence.parse().map_err(|error| format!("its last line is not a change: {error}"))
}
