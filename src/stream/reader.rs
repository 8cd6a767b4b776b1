//! Reads one shard, page by page.
//!
//! Throttling, outages, broken responses and expired iterators are dealt with here, within [`RetryPolicy::SERVICE`]. What the caller has to
//! decide about, it gets as a [`Read`]: a page, a trimmed position, a shard that is no longer there. The reader's position moves only by
//! [`accept`](ShardReader::accept) and [`rewind`](ShardReader::rewind), so dropping the future of [`next`](ShardReader::next) loses
//! nothing: the same page is read again.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::poll::Rhythm;
use super::{IteratorStart, StreamApi, StreamArn};
use crate::aws::{AwsError, Failure};
use crate::clock::ServiceClock;
use crate::event::{Position, ShardId};
use crate::retry::{self, Delays, RetryPolicy, Transient as _};

/// What a shard gave.
#[derive(Debug)]
pub enum Read {
    /// A page of records, possibly empty.
    Page(RawPage),
    /// The position is older than what the stream keeps: the changes behind it are gone.
    Trimmed,
    /// The shard is no longer there, and whatever it held beyond the position with it.
    Vanished,
}

/// A page as it came, with the permit that bounds how many pages are in memory.
#[derive(Debug)]
pub struct RawPage {
    /// The response's body.
    pub body: Bytes,
    /// When the page was asked for, in seconds since the epoch: what was written before is in this page or an earlier one.
    pub asked_at: i64,
    /// The position that the reading was resumed at, until a page with records has come.
    pub resumed_at: Option<Position>,
    _permit: OwnedSemaphorePermit,
}

/// Reads one shard.
pub struct ShardReader {
    api: Arc<dyn StreamApi>,
    stream: StreamArn,
    shard: ShardId,
    pages: Arc<Semaphore>,
    clock: ServiceClock,
    position: IteratorStart,
    iterator: Option<String>,
    resumed_at: Option<Position>,
    rhythm: Rhythm,
    next_at: Instant,
    delays: Delays,
    failing: bool,
}

impl ShardReader {
    /// A reader that begins at `position`. `pages` bounds the pages in memory over all readers.
    pub fn new(
        api: Arc<dyn StreamApi>,
        stream: StreamArn,
        shard: ShardId,
        position: IteratorStart,
        rhythm: Rhythm,
        pages: Arc<Semaphore>,
        clock: ServiceClock,
    ) -> Self {
        Self {
            api,
            stream,
            shard,
            pages,
            clock,
            position,
            iterator: None,
            resumed_at: None,
            rhythm,
            next_at: Instant::now(),
            delays: Delays::new(RetryPolicy::SERVICE),
            failing: false,
        }
    }

    /// The next page, when it is time for one. Cancel-safe. An error is final: permission, a wrong request, or a service that did not
    /// come back in time.
    pub async fn next(&mut self) -> Result<Read, AwsError> {
        loop {
            tokio::time::sleep_until(self.next_at).await;
            let Ok(permit) = Arc::clone(&self.pages).acquire_owned().await else {
                return Err(AwsError::of("GetRecords", Failure::Unavailable, "the pipeline is closed".to_owned()));
            };
            let asked_at = self.clock.unix_seconds();
            let error = match self.page().await {
                Ok(body) => return Ok(Read::Page(RawPage { body, asked_at, resumed_at: self.resumed_at, _permit: permit })),
                Err(error) => error,
            };
            drop(permit);
            match error.failure {
                // From the horizon there is always something to go on with: it moved between two calls.
                Failure::Trimmed if self.position == IteratorStart::TrimHorizon => {
                    self.iterator = None;
                    self.pause_after(error)?;
                }
                Failure::Trimmed => return Ok(Read::Trimmed),
                Failure::NotFound => return Ok(Read::Vanished),
                Failure::ExpiredIterator => {
                    self.iterator = None;
                    self.pause_after(error)?;
                }
                Failure::Throttled | Failure::Unavailable => self.pause_after(error)?,
                // Endpoints that do not know AT_TIMESTAMP: read from the horizon, the caller drops what is too old.
                Failure::Invalid if matches!(self.position, IteratorStart::At(_)) && self.iterator.is_none() => {
                    self.position = IteratorStart::TrimHorizon;
                }
                Failure::Invalid | Failure::Denied | Failure::ConditionFailed => return Err(error),
            }
        }
    }

    async fn page(&mut self) -> Result<Bytes, AwsError> {
        let iterator = if let Some(iterator) = &self.iterator {
            iterator
        } else {
            let iterator = self.api.iterator(&self.stream, &self.shard, self.position).await?;
            self.resumed_at = match self.position {
                IteratorStart::After(position) => Some(position),
                IteratorStart::TrimHorizon | IteratorStart::At(_) => None,
            };
            self.iterator.insert(iterator)
        };
        self.api.records(iterator, self.rhythm.limit()).await
    }

    /// Takes note that a page was dealt with: the last position seen so far, the iterator that follows, the page's size,
    /// and whether there is more behind it, where the service tells.
    pub fn accept(&mut self, last: Option<Position>, next_iterator: String, records: usize, bytes: usize, more: Option<bool>) {
        if let Some(last) = last {
            self.position = IteratorStart::After(last);
        }
        self.iterator = Some(next_iterator);
        self.failing = false;
        if records > 0 {
            self.resumed_at = None;
        }
        self.next_at = Instant::now() + self.rhythm.after_page(records, bytes, more);
    }

    /// Goes on from another position.
    pub fn rewind(&mut self, position: IteratorStart) {
        self.position = position;
        self.iterator = None;
        self.rhythm.restart();
        // Reading works: a page led here.
        self.failing = false;
        self.next_at = Instant::now() + self.rhythm.shortest();
    }

    /// Whether it reads from the oldest record that there is.
    pub fn is_at_horizon(&self) -> bool {
        self.position == IteratorStart::TrimHorizon
    }

    /// The page could not be made sense of as a whole: it is asked for again, after a pause, until the policy gives up.
    pub fn refuse_page(&mut self, problem: String) -> Result<(), AwsError> {
        self.pause_after(AwsError::of("GetRecords", Failure::Unavailable, problem))
    }

    /// Whether the last pages show that the shard has nothing more for now.
    pub fn is_drained(&self) -> bool {
        self.rhythm.is_drained()
    }

    fn pause_after(&mut self, error: AwsError) -> Result<(), AwsError> {
        // The policy's time runs from the first failure of a series, not from the last success.
        if !std::mem::replace(&mut self.failing, true) {
            self.delays.reset();
        }
        let Some(delay) = self.delays.next_delay() else { return Err(error) };
        retry::count(error.cause());
        tracing::warn!(shard = %self.shard, %error, delay_ms = delay.as_millis(), "reading is held up; trying again");
        self.next_at = Instant::now() + delay;
        Ok(())
    }
}
