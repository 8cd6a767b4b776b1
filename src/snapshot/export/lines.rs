//! A gzipped file taken apart into lines while it arrives. No I/O.

use std::io::Write as _;

use flate2::write::MultiGzDecoder;
use md5::{Digest, Md5};

use super::manifest::{self, Checksum};

/// About how many bytes the lines of a page have together: what a page of a scan has.
pub(super) const PAGE: usize = 1 << 20;
/// No line is longer: an item has 400 KB, its two images and JSON's escapes (six characters for one at worst) make under 6 MB of it.
const LONGEST: usize = 16 << 20;
/// How much is inflated at a time. Deflate makes at most a thousandfold of it.
const PIECE: usize = 8 << 10;

/// Lines of a file, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    text: Vec<u8>,
    /// Where each line ends, behind its line feed.
    ends: Vec<usize>,
}

impl Lines {
    /// The lines, without their line feeds.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| {
            let line = &self.text[start..end];
            line.strip_suffix(b"\n").unwrap_or(line)
        })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }
}

/// Turns the bytes of a file into lines.
#[derive(Debug)]
pub(super) struct Inflater {
    gzip: MultiGzDecoder<Vec<u8>>,
    md5: Md5,
    /// Where each whole line in the decoder's output ends, as far as that is searched.
    ends: Vec<usize>,
    searched: usize,
}

impl Inflater {
    pub(super) fn new() -> Self {
        Self { gzip: MultiGzDecoder::new(Vec::new()), md5: Md5::new(), ends: Vec::new(), searched: 0 }
    }

    /// Takes the beginning of what comes next in the file, and returns how much it took.
    pub(super) fn feed(&mut self, compressed: &[u8]) -> Result<usize, String> {
        let piece = &compressed[..compressed.len().min(PIECE)];
        self.md5.update(piece);
        self.gzip.write_all(piece).map_err(|error| damaged(&error))?;
        self.search();
        if self.open_line() > LONGEST {
            return Err(format!("a line of it has more than {} MiB, which no item has: export the table again", LONGEST >> 20));
        }
        Ok(piece.len())
    }

    /// The file is over: its gzip stream has to be whole, and its checksum right. What stands behind the last line feed is a line.
    pub(super) fn end(&mut self, expected: Checksum) -> Result<(), String> {
        // First, because it also tells of damage that the gzip stream notices.
        manifest::compare(std::mem::take(&mut self.md5), expected)?;
        self.gzip.try_finish().map_err(|error| damaged(&error))?;
        self.search();
        if self.open_line() > 0 {
            self.ends.push(self.searched);
        }
        Ok(())
    }

    fn search(&mut self) {
        let text = self.gzip.get_ref();
        let new = text[self.searched..].iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        self.ends.extend(new.map(|(at, _)| self.searched + at + 1));
        self.searched = text.len();
    }

    /// The bytes behind the last whole line.
    fn open_line(&self) -> usize {
        self.searched - self.ends.last().copied().unwrap_or(0)
    }

    /// How many whole lines are there.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many lines the next page has of those that are there: no more than `most`, and one at least however long it is.
    pub(super) fn next_page(&self, most: usize) -> usize {
        let fit = self.ends.iter().take(most).take_while(|end| **end <= PAGE).count();
        fit.max(1).min(self.len())
    }

    /// Takes so many lines out.
    pub(super) fn take(&mut self, count: usize) -> Lines {
        let later = self.ends.split_off(count);
        let ends = std::mem::replace(&mut self.ends, later);
        let end = ends.last().copied().unwrap_or(0);
        let text = self.gzip.get_mut();
        let rest = text.split_off(end);
        let text = std::mem::replace(text, rest);
        self.ends.iter_mut().for_each(|later| *later -= end);
        self.searched -= end;
        Lines { text, ends }
    }
}

fn damaged(error: &std::io::Error) -> String {
    format!("its gzip stream is damaged ({error}): copy it anew or export the table again")
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(file: &[u8], checksum: Checksum) -> Result<Inflater, String> {
        let mut inflater = Inflater::new();
        let mut rest = file;
        while !rest.is_empty() {
            let taken = inflater.feed(rest)?;
            rest = &rest[taken..];
        }
        inflater.end(checksum).map(|()| inflater)
    }

    fn lines(file: &[u8]) -> Result<Vec<String>, String> {
        let mut inflater = inflate(file, Md5::digest(file).into())?;
        let lines = inflater.take(inflater.len());
        Ok(lines.iter().map(|line| String::from_utf8(line.to_vec()).unwrap()).collect())
    }

    #[test]
    fn lines_are_told_apart_with_or_without_a_last_line_feed() {
        assert_eq!(lines(&gzip(b"a\nbc\n")).unwrap(), ["a", "bc"]);
        assert_eq!(lines(&gzip(b"a\n\nbc")).unwrap(), ["a", "", "bc"]);
        assert!(lines(&gzip(b"")).unwrap().is_empty());
    }

    #[test]
    fn members_of_a_gzip_file_are_one_text() {
        assert_eq!(lines(&[gzip(b"a\nb"), gzip(b"c\nd\n")].concat()).unwrap(), ["a", "bc", "d"]);
    }

    #[test]
    fn a_file_that_is_cut_off_is_damaged_wherever_the_cut_is() {
        let file = gzip("line\n".repeat(10_000).as_bytes());
        for cut in [0, 5, file.len() / 2, file.len() - 8, file.len() - 1] {
            let problem = lines(&file[..cut]).unwrap_err();
            assert!(problem.contains("gzip stream is damaged"), "{cut}: {problem}");
        }
    }

    #[test]
    fn what_is_no_gzip_or_has_something_behind_it_is_damaged() {
        assert!(lines(b"{\"Item\":{}}\n").unwrap_err().contains("gzip stream is damaged"));
        assert!(lines(&[gzip(b"a\n"), b"more, and more".to_vec()].concat()).unwrap_err().contains("gzip stream is damaged"));
    }

    #[test]
    fn another_file_than_the_one_that_was_written_has_another_checksum() {
        let problem = inflate(&gzip(b"a\n"), Md5::digest(gzip(b"b\n")).into()).unwrap_err();
        assert!(problem.contains("its MD5 is"), "{problem}");
    }

    #[test]
    fn a_page_has_no_more_lines_than_wanted_and_about_a_mebibyte_of_them() {
        let long = "x".repeat(PAGE / 3);
        let file = gzip(format!("{long}\n{long}\n{long}\n{}\nshort\n", "y".repeat(2 * PAGE)).as_bytes());
        let mut inflater = inflate(&file, Md5::digest(&file).into()).unwrap();
        assert_eq!(inflater.next_page(1), 1);
        assert_eq!(inflater.next_page(usize::MAX), 2, "three are longer than a page");
        assert_eq!(inflater.take(3).iter().map(<[u8]>::len).collect::<Vec<_>>(), [long.len(); 3]);
        assert_eq!(inflater.next_page(usize::MAX), 1, "one line that is longer than a page is a page");
        assert_eq!(inflater.take(1).iter().map(<[u8]>::len).collect::<Vec<_>>(), [2 * PAGE]);
        assert_eq!(inflater.take(1).iter().collect::<Vec<_>>(), [b"short"]);
        assert_eq!((inflater.len(), inflater.next_page(5)), (0, 0));
    }

    #[test]
    fn a_line_without_an_end_does_not_fill_the_memory() {
        let problem = lines(&gzip(&vec![b' '; LONGEST + PIECE * 2000])).unwrap_err();
        assert!(problem.contains("16 MiB, which no item has"), "{problem}");
    }
}
