//! A data file that is read from its beginning to its end, page by page.

use bytes::{Buf as _, Bytes};
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};

use super::lines::{Inflater, Lines};
use super::manifest::DataFile;
use super::place::fetch;
use crate::lake::LakeStore;
use crate::snapshot::source::SourceError;

/// How much of a file is fetched at a time. Each is a request of its own: nothing stays open between pages, however long those take.
pub(super) const CHUNK: u64 = 512 << 10;

/// Reads one file. A failure to reach the store consumes nothing: what follows goes on behind the last page.
#[derive(Debug)]
pub(super) struct Reader {
    place: LakeStore,
    file: DataFile,
    /// The object's size and entity tag, so that all chunks are of the same one.
    object: Option<(u64, Option<String>)>,
    /// How much of it was fetched.
    fetched: u64,
    /// What was fetched and not inflated yet.
    chunk: Bytes,
    inflater: Inflater,
    /// Lines that were given or passed over.
    lines: u64,
    /// Whether the whole file was seen, and found right.
    verified: bool,
}

impl Reader {
    pub(super) fn new(place: LakeStore, file: DataFile) -> Self {
        Self { place, file, object: None, fetched: 0, chunk: Bytes::new(), inflater: Inflater::new(), lines: 0, verified: false }
    }

    /// Behind how many lines it stands.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// The lines behind the first `after`, `most` of them or as many as a page has room for, and whether they are the file's last: then the
    /// file was found to be what the manifest says.
    pub(super) async fn page(&mut self, after: u64, most: Option<u32>) -> Result<(Lines, bool), SourceError> {
        while self.lines < after {
            // The file's end brings lines too: the last ones leave the decoder with it.
            if self.inflater.len() == 0 && !self.more().await? && self.inflater.len() == 0 {
                let problem = format!("it has {} lines, and reading was to go on behind line {after}: is it the same export?", self.lines);
                return Err(self.broken(problem));
            }
            let pass = usize::try_from(after - self.lines).unwrap_or(usize::MAX).min(self.inflater.len());
            self.take(pass);
        }
        let most = most.map_or(usize::MAX, |most| most.max(1) as usize);
        // A line behind the page has to be there, or the file's end, so that the last page is known to be the last.
        while self.inflater.len() <= self.inflater.next_page(most) && self.more().await? {}
        let lines = self.take(self.inflater.next_page(most));
        Ok((lines, self.verified && self.inflater.len() == 0))
    }

    fn take(&mut self, count: usize) -> Lines {
        let lines = self.inflater.take(count);
        self.lines += lines.len() as u64;
        lines
    }

    /// Inflates the next piece; false at the end of the file.
    async fn more(&mut self) -> Result<bool, SourceError> {
        if self.verified {
            return Ok(false);
        }
        if self.chunk.is_empty() && !self.fetch().await? {
            let ended = self.inflater.end(self.file.checksum);
            ended.map_err(|problem| self.broken(problem))?;
            let found = self.found();
            if found != self.file.items {
                return Err(
                    self.broken(format!("it has {found} lines, and the manifest says {} items: export the table again", self.file.items))
                );
            }
            self.verified = true;
            // What stands behind the last line feed has become a line.
            return Ok(false);
        }
        let taken = self.inflater.feed(&self.chunk);
        let taken = taken.map_err(|problem| self.broken(problem))?;
        self.chunk.advance(taken);
        if self.found() > self.file.items {
            return Err(
                self.broken(format!("it has more lines than the {} items of the manifest: export the table again", self.file.items))
            );
        }
        // A file that is passed over to its middle keeps others waiting no longer than a piece takes.
        tokio::task::yield_now().await;
        Ok(true)
    }

    /// All lines that were seen.
    fn found(&self) -> u64 {
        self.lines + self.inflater.len() as u64
    }

    /// Fetches the next chunk; false when there is none.
    async fn fetch(&mut self) -> Result<bool, SourceError> {
        let (store, location) = (&self.place.store, &self.file.location);
        let (size, tag) = if let Some(object) = &self.object {
            object
        } else {
            let meta = fetch(&self.place, location, || store.head(location)).await?;
            self.object.insert((meta.size, meta.e_tag))
        };
        let range = self.fetched..(self.fetched + CHUNK).min(*size);
        if range.is_empty() {
            return Ok(false);
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), if_match: tag.clone(), ..GetOptions::default() };
        let get = || async { store.get_opts(location, options.clone()).await?.bytes().await };
        self.chunk = fetch(&self.place, location, get).await?;
        self.fetched = range.end;
        Ok(true)
    }

    fn broken(&self, problem: String) -> SourceError {
        super::broken(&self.place, &self.file.location, problem)
    }
}
