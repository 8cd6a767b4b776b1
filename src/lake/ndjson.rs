//! NDJSON files: one change a line, gzip-compressed. The comment in the gzip header says where the run ends, so that its first bytes tell.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::LAST;
use crate::contract::TableSchema;
use crate::event::encode::{Decimals, write_ndjson};
use crate::event::{ChangeEvent, Position};

/// What a deflate stream occupies: window, hash chains, pending output.
const DEFLATE_MEMORY: usize = 384 << 10;
/// Lines that wait before they are compressed: a run of a few rows needs no compressor while it waits.
const PENDING_BYTES: usize = 64 << 10;

/// RFC 1952: ten bytes, of which the fourth holds the flags; a comment that ends in a zero byte follows if flag 4 is set.
const HEADER_BYTES: usize = 10;
const FLAGS_AT: usize = 3;
const HAS_COMMENT: u8 = 1 << 4;
/// The header and a comment of ours fit.
pub(super) const BEGINNING_BYTES: u64 = 256;

/// One NDJSON file in the making.
pub(super) struct NdjsonRun {
    schema: Arc<TableSchema>,
    decimals: Decimals,
    pending: Vec<u8>,
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl NdjsonRun {
    pub(super) fn new(schema: &Arc<TableSchema>, decimals: Decimals) -> Self {
        Self { schema: Arc::clone(schema), decimals, pending: Vec::new(), encoder: None }
    }

    pub(super) fn append(&mut self, event: &ChangeEvent<'_>) -> io::Result<()> {
        write_ndjson(event, &self.schema, self.decimals, &mut self.pending);
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

    /// The whole file of the run, whose last row stands at `last`.
    pub(super) fn finish(mut self, last: Position) -> io::Result<Bytes> {
        self.compress()?;
        let mut file = self.encoder.map_or_else(|| Ok(Vec::new()), GzEncoder::finish)?;
        let Some(flags) = file.get_mut(FLAGS_AT) else { return Ok(Bytes::new()) };
        // The comment is known only now, and the encoder has written its header without one.
        *flags |= HAS_COMMENT;
        let comment = format!("{LAST}={}\0", last.padded());
        file.splice(HEADER_BYTES..HEADER_BYTES, comment.into_bytes());
        Ok(Bytes::from(file))
    }

    fn compress(&mut self) -> io::Result<()> {
        // GzEncoder leaves the header's time at zero, so that equal runs are equal bytes.
        self.encoder.get_or_insert_with(|| GzEncoder::new(Vec::new(), Compression::default())).write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }
}

/// Reads the position of the last row from the beginning of a file; the error says why it is not one of ours.
pub(super) fn read_last(beginning: &[u8]) -> Result<Position, String> {
    let mut decoder = GzDecoder::new(beginning);
    // The header is parsed with the first byte behind it, which need not be there.
    let _ = decoder.read(&mut [0]);
    let comment = decoder.header().and_then(flate2::GzHeader::comment).ok_or("its gzip header has no comment")?;
    let last = std::str::from_utf8(comment).ok().and_then(|comment| comment.strip_prefix(LAST)?.strip_prefix('=')?.parse().ok());
    last.ok_or_else(|| format!("the comment in its gzip header has no {LAST}"))
}
