//! NDJSON files: one change a line, gzip-compressed. The extra field of the gzip header says where the run ends, so that its first bytes tell. That is
//! the field for it, and readers pass over it; DuckDB refuses files whose header has a comment.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::LAST;
use crate::contract::TableSchema;
use crate::event::encode::{Decimals, write_ndjson};
use crate::event::{Cell, ChangeEvent, Position, Side};

/// What a deflate stream occupies: window, hash chains, pending output.
const DEFLATE_MEMORY: usize = 384 << 10;
/// Lines that wait before they are compressed: a run of a few rows needs no compressor while it waits.
const PENDING_BYTES: usize = 64 << 10;

/// What the compressor may write beyond what it is given, in one go: what it had kept back.
const COMPRESSOR_BYTES: usize = 64 << 10;
/// A file's header and trailer.
const FILE_OVERHEAD: usize = 256;
/// The members that every line has, without their texts.
const METADATA_BYTES: usize = 320;
/// What a member has besides its name and its value: punctuation, `old_`, `cdc_extra`.
const MEMBER_BYTES: usize = 24;
/// The longest number or time, with its quotes.
const LONGEST_NUMBER: usize = 48;

/// RFC 1952: ten bytes, of which the fourth holds the flags. The extra field follows if flag 2 is set: its length, then subfields, each of two letters
/// and a length before its data. Lengths are of two bytes, the lower first.
const HEADER_BYTES: usize = 10;
const FLAGS_AT: usize = 3;
const HAS_EXTRA: u8 = 1 << 2;
const LENGTH_BYTES: usize = 2;
/// The letters of our subfield.
const SUBFIELD: [u8; 2] = *b"hw";
/// The header and a subfield of ours fit.
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

    /// What it occupies, open or closed: what waits may be larger compressed than it is by the file's header.
    pub(super) fn memory(&self) -> usize {
        FILE_OVERHEAD + self.pending.capacity() + self.encoder.as_ref().map_or(0, |encoder| encoder.get_ref().capacity() + DEFLATE_MEMORY)
    }

    /// By how much the event makes that more, at most.
    pub(super) fn growth(&self, event: &ChangeEvent<'_>) -> usize {
        let pending = self.pending.len() + line_bound(event, &self.schema);
        // A vector that is full doubles.
        let line = if pending > self.pending.capacity() { 2 * pending - self.pending.capacity() } else { 0 };
        if pending < PENDING_BYTES {
            return line;
        }
        let encoder = if self.encoder.is_none() { DEFLATE_MEMORY } else { 0 };
        line + encoder + self.encoder.as_ref().map_or_else(|| room_for(0, pending), |encoder| room_for(encoder.get_ref().len(), pending))
    }

    /// The whole file of the run, whose last row stands at `last`.
    pub(super) fn finish(mut self, last: Position) -> io::Result<Bytes> {
        self.compress()?;
        let mut file = self.encoder.map_or_else(|| Ok(Vec::new()), GzEncoder::finish)?;
        let Some(flags) = file.get_mut(FLAGS_AT) else { return Ok(Bytes::new()) };
        // The position is known only now, and the encoder has written its header without an extra field.
        *flags |= HAS_EXTRA;
        file.splice(
            HEADER_BYTES..HEADER_BYTES,
            prefixed(&[&SUBFIELD[..], &prefixed(format!("{LAST}={}", last.padded()).as_bytes())?].concat())?,
        );
        // It may wait for its commit for long.
        file.shrink_to_fit();
        Ok(Bytes::from(file))
    }

    fn compress(&mut self) -> io::Result<()> {
        // GzEncoder leaves the header's time at zero, so that equal runs are equal bytes.
        let encoder = self.encoder.get_or_insert_with(|| GzEncoder::new(Vec::new(), Compression::default()));
        let file = encoder.get_mut();
        let most = self.pending.len() + COMPRESSOR_BYTES;
        if file.capacity() - file.len() < most {
            // Doubling would ask for the whole size of the file at once.
            file.reserve_exact(room_for(file.len(), self.pending.len()));
        }
        encoder.write_all(&self.pending)?;
        self.pending.clear();
        self.pending.shrink_to(2 * PENDING_BYTES);
        Ok(())
    }
}

/// How much more a file of `file` bytes makes room for, before so much is compressed into it: an eighth of itself, so that it is not moved for each.
fn room_for(file: usize, pending: usize) -> usize {
    (pending + COMPRESSOR_BYTES).max(file / 8)
}

/// The longest that the event's line can be.
fn line_bound(event: &ChangeEvent<'_>, schema: &TableSchema) -> usize {
    let optional = |text: Option<&str>| text.map_or(0, text_bound);
    let side = |side: &Option<Side<'_>>| {
        side.as_ref().map_or(0, |side| {
            let cells = schema.columns.iter().zip(&side.cells).filter(|(_, cell)| !matches!(cell, Cell::Null));
            let cells = cells.map(|(column, cell)| {
                text_bound(&column.name) + MEMBER_BYTES + if let Cell::Text(text) = cell { text_bound(text) } else { LONGEST_NUMBER }
            });
            cells.sum::<usize>() + MEMBER_BYTES + optional(side.extra.as_deref())
        })
    };
    let keys = schema.keys.iter().zip(&event.keys).map(|(key, text)| text_bound(&key.column) + MEMBER_BYTES + text_bound(text));
    METADATA_BYTES
        + text_bound(&event.event_id)
        + text_bound(&event.shard)
        + text_bound(&schema.table)
        + optional(event.snapshot_id.as_deref())
        + event.changed.iter().map(|name| text_bound(name) + MEMBER_BYTES).sum::<usize>()
        + keys.sum::<usize>()
        + side(&event.new)
        + side(&event.old)
}

/// The length of a text inside of a JSON string, at most: a control character takes six, a quote and a backslash two.
fn text_bound(text: &str) -> usize {
    text.bytes().map(|byte| if byte < b' ' { 6 } else { 1 + usize::from(byte == b'"' || byte == b'\\') }).sum()
}

/// The data with its length before it.
fn prefixed(data: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(data.len()).map_err(io::Error::other)?;
    Ok([&length.to_le_bytes(), data].concat())
}

/// Reads the position of the last row from the beginning of a file; the error says why it is not one of ours.
pub(super) fn read_last(beginning: &[u8]) -> Result<Position, String> {
    let mut decoder = GzDecoder::new(beginning);
    // The header is parsed with the first byte behind it, which need not be there.
    let _ = decoder.read(&mut [0]);
    let extra = decoder.header().and_then(flate2::GzHeader::extra).ok_or("its gzip header has no extra field")?;
    let last = subfield(extra).and_then(|data| std::str::from_utf8(data).ok()?.strip_prefix(LAST)?.strip_prefix('=')?.parse().ok());
    last.ok_or_else(|| format!("the extra field in its gzip header has no {LAST}"))
}

/// The data of our subfield, if there is one.
fn subfield(mut extra: &[u8]) -> Option<&[u8]> {
    while !extra.is_empty() {
        let (letters, rest) = extra.split_at_checked(SUBFIELD.len())?;
        let (length, rest) = rest.split_at_checked(LENGTH_BYTES)?;
        let (data, rest) = rest.split_at_checked(u16::from_le_bytes(length.try_into().ok()?).into())?;
        if letters == SUBFIELD {
            return Some(data);
        }
        extra = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with this extra field, and one line.
    fn file(extra: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::GzBuilder::new().extra(extra).write(Vec::new(), Compression::default());
        encoder.write_all(b"{}\n").unwrap();
        encoder.finish().unwrap()
    }

    fn ours(position: &str) -> Vec<u8> {
        [&SUBFIELD[..], &prefixed(format!("{LAST}={position}").as_bytes()).unwrap()].concat()
    }

    #[test]
    fn the_end_of_the_run_is_found_beside_what_others_have_written() {
        let theirs = [&b"BC"[..], &prefixed(&[1, 2]).unwrap()].concat();
        assert_eq!(read_last(&file(&[theirs, ours("700000000000888747038")].concat())), Ok("700000000000888747038".parse().unwrap()));
    }

    #[test]
    fn a_file_of_something_else_is_told() {
        for (extra, expected) in
            [(&b"BC\x01\x00x"[..], "has no headwater.last"), (b"hw\xff\xff", "has no headwater.last"), (b"h", "has no")]
        {
            let error = read_last(&file(extra)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(read_last(&file(&ours("seven"))).unwrap_err().contains("has no headwater.last"));
        assert!(read_last(b"{}").unwrap_err().contains("no extra field"));
    }

    #[test]
    fn the_header_has_nothing_that_a_common_reader_refuses() {
        let schema = Arc::new(TableSchema::keys_only("orders", Vec::new()));
        let mut run = NdjsonRun::new(&schema, Decimals::Number);
        run.pending.extend_from_slice(b"{}\n");
        let last = Position::new(&"7".repeat(56), 31).unwrap();
        let file = run.finish(last).unwrap();
        assert_eq!(file[FLAGS_AT], HAS_EXTRA);
        let beginning = &file[..file.len().min(usize::try_from(BEGINNING_BYTES).unwrap())];
        assert_eq!(read_last(beginning), Ok(last));
        let mut text = String::new();
        GzDecoder::new(&file[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "{}\n");
    }
}
