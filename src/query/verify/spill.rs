//! Digests of one side on disk, in buckets by key, and the comparison of two sides bucket by bucket.
//!
//! A record is the digest of the row, then the key. Both sides put a key into the bucket of the same number, so buckets are compared one
//! by one. A pair of buckets that is too large for the memory is split again by the next byte of the key's digest, so memory is bounded
//! without knowing the number of rows beforehand.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::Kind;
use super::digest::{self, Digest};
use crate::table::Key;

/// Buckets at each level. Two sides at once keep the number of open files far below the usual limit of 1,024.
const FAN_OUT: u8 = 64;

/// A pair of buckets of this size is never split: splitting costs [`FAN_OUT`] files on each side.
const SMALLEST_SPLIT: u64 = 64 * 1024;

/// Bytes that a record takes in memory beside its key: two digests, and the vector of the key.
const RECORD_OVERHEAD: u64 = 96;

/// Bytes of a record's head on disk: row digest and length of the key.
const HEAD: u64 = 20;

/// One side, being written.
pub(super) struct Spill {
    directory: PathBuf,
    level: usize,
    buckets: Vec<BufWriter<File>>,
    rows: u64,
}

/// What comparing one key showed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Both sides have the same row.
    Same,
    /// The sides differ.
    Differs(Kind, Key),
}

impl Spill {
    /// Opens the buckets of one side in a new directory.
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        Self::at_level(directory, 0)
    }

    fn at_level(directory: &Path, level: usize) -> io::Result<Self> {
        std::fs::create_dir(directory)?;
        let buckets = (0..FAN_OUT).map(|bucket| File::create(path(directory, bucket)).map(BufWriter::new));
        Ok(Self { directory: directory.to_owned(), level, buckets: buckets.collect::<io::Result<_>>()?, rows: 0 })
    }

    /// Adds a row.
    pub(super) fn push(&mut self, key: &Key, row: Digest) -> io::Result<()> {
        let bytes = key.to_bytes();
        let length = u32::try_from(bytes.len()).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
        let bucket = digest::of_key(key).to_be_bytes()[self.level] % FAN_OUT;
        let file = &mut self.buckets[usize::from(bucket)];
        file.write_all(&row.to_le_bytes())?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(&bytes)?;
        self.rows += 1;
        Ok(())
    }

    /// How many rows were added.
    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    /// Closes the files and gives the directory and level.
    fn finish(self) -> io::Result<(PathBuf, usize)> {
        for bucket in self.buckets {
            bucket.into_inner().map_err(io::IntoInnerError::into_error)?;
        }
        Ok((self.directory, self.level))
    }
}

/// Compares the table's side with the lake's within `memory` bytes, and removes the files.
pub(super) fn compare(table: Spill, lake: Spill, memory: usize, found: &mut impl FnMut(Outcome)) -> io::Result<()> {
    let (table, level) = table.finish()?;
    let (lake, _) = lake.finish()?;
    let room = SMALLEST_SPLIT.max(memory as u64);
    for bucket in 0..FAN_OUT {
        let (table, lake) = (path(&table, bucket), path(&lake, bucket));
        // Keys are unique on each side, so a bucket gets smaller with every level; the last level is never reached in earnest.
        if footprint(&table)? + footprint(&lake)? > room && level + 1 < size_of::<Digest>() {
            compare(split(&table, level + 1)?, split(&lake, level + 1)?, memory, found)?;
        } else {
            merge(load(&table)?, load(&lake)?, found);
        }
        std::fs::remove_file(&table)?;
        std::fs::remove_file(&lake)?;
    }
    Ok(())
}

fn path(directory: &Path, bucket: u8) -> PathBuf {
    directory.join(bucket.to_string())
}

/// An upper bound of what a bucket takes in memory: every record taken for one with the shortest key.
fn footprint(bucket: &Path) -> io::Result<u64> {
    let bytes = std::fs::metadata(bucket)?.len();
    Ok(bytes + bytes / HEAD.saturating_add(9) * RECORD_OVERHEAD)
}

/// Distributes a bucket over buckets of the next level.
fn split(bucket: &Path, level: usize) -> io::Result<Spill> {
    let mut directory = bucket.as_os_str().to_owned();
    directory.push("-split");
    let mut spill = Spill::at_level(Path::new(&directory), level)?;
    read(bucket, |key, row| spill.push(&key, row))?;
    Ok(spill)
}

/// The rows of a bucket, by the key's digest.
fn load(bucket: &Path) -> io::Result<Vec<(Digest, Digest, Key)>> {
    let mut rows = Vec::new();
    read(bucket, |key, row| {
        rows.push((digest::of_key(&key), row, key));
        Ok(())
    })?;
    rows.sort_unstable_by_key(|(key, ..)| *key);
    Ok(rows)
}

fn read(bucket: &Path, mut each: impl FnMut(Key, Digest) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufReader::new(File::open(bucket)?);
    let mut row = [0; size_of::<Digest>()];
    loop {
        match file.read_exact(&mut row) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut length = [0; size_of::<u32>()];
        file.read_exact(&mut length)?;
        let mut key = vec![0; u32::from_le_bytes(length) as usize];
        file.read_exact(&mut key)?;
        let key = Key::from_bytes(&key).ok_or_else(|| io::Error::from(ErrorKind::InvalidData))?;
        each(key, Digest::from_le_bytes(row))?;
    }
}

/// Walks two sorted sides in step.
fn merge(table: Vec<(Digest, Digest, Key)>, lake: Vec<(Digest, Digest, Key)>, found: &mut impl FnMut(Outcome)) {
    let (mut table, mut lake) = (table.into_iter().peekable(), lake.into_iter().peekable());
    loop {
        let order = match (table.peek(), lake.peek()) {
            (None, None) => return,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((in_table, ..)), Some((in_lake, ..))) => in_table.cmp(in_lake),
        };
        let (in_table, in_lake) = (table.next_if(|_| order.is_le()), lake.next_if(|_| order.is_ge()));
        match (in_table, in_lake) {
            (Some((_, table_row, key)), Some((_, lake_row, _))) => {
                found(if table_row == lake_row { Outcome::Same } else { Outcome::Differs(Kind::Different, key) });
            }
            (Some((_, _, key)), None) => found(Outcome::Differs(Kind::Missing, key)),
            (None, Some((_, _, key))) => found(Outcome::Differs(Kind::Extra, key)),
            (None, None) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many that some buckets exceed the smallest that is split.
    const KEYS: u32 = 20_000;
    const TENTH: u32 = KEYS / 10;

    /// Table: the first nine tenths of the keys, lake: the last nine tenths, of which every tenth row differs.
    fn outcomes(memory: usize) -> Vec<String> {
        let room = tempfile::tempdir().unwrap();
        let mut table = Spill::create(&room.path().join("table")).unwrap();
        let mut lake = Spill::create(&room.path().join("lake")).unwrap();
        let key = |n: u32| Key::of_texts(vec![n.to_string()]);
        (0..KEYS - TENTH).for_each(|n| table.push(&key(n), 1).unwrap());
        (TENTH..KEYS).for_each(|n| lake.push(&key(n), Digest::from(n % 10 != 0)).unwrap());
        let mut found = Vec::new();
        compare(table, lake, memory, &mut |outcome| {
            found.push(match outcome {
                Outcome::Same => "same".to_owned(),
                Outcome::Differs(kind, key) => format!("{kind:?} {key}"),
            });
        })
        .unwrap();
        found.sort();
        found
    }

    #[test]
    fn every_key_is_compared_once_whatever_the_memory() {
        let found = outcomes(usize::MAX);
        let count = |prefix: &str| found.iter().filter(|outcome| outcome.starts_with(prefix)).count();
        assert_eq!([count("same"), count("Missing"), count("Extra"), count("Different")], [14_400, 2_000, 2_000, 1_600]);
        assert!(found.contains(&"Missing 0".to_owned()) && found.contains(&"Extra 19999".to_owned()));
        assert!(found.contains(&"Different 2010".to_owned()));
        assert!(outcomes(0) == found, "with buckets that are split again");
    }
}
