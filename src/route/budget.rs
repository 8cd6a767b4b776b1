//! The memory budget that all writers of a process share.
//!
//! A writer asks before it takes a change, for as much as the change will occupy, and what it was admitted counts as held at once. What
//! all of them hold stays within the limit, whatever their number; one change alone may be larger. `ledger` has the rule, and why nobody
//! starves by it.
//!
//! Who finds no room waits in line. The largest writer that can give is asked to close its run, or to send; who waits and holds something
//! itself gives that after [`PATIENCE`]. Who holds nothing waits for as long as it takes: for writers that are blocked by their target
//! until that takes something, or until they give up and are dropped.
//!
//! # What is counted
//!
//! - Changes that were taken and are not durable: encoded lines with their bookkeeping ([`kinesis`](super::kinesis),
//!   [`firehose`](super::firehose)), open runs with their columns and encoders, and closed ones until they are committed
//!   ([`lake`](super::lake)). An upload to the lake sends the closed run itself, not a copy.
//! - The bodies of calls to Kinesis and Firehose while they are on their way ([`Calls`]), in a quarter of the limit that is set aside for
//!   each of the two that is in use.
//!
//! # What is not
//!
//! - Pages of the streams: at most 8 of the table's, each up to 1 MB of records and 4 MB or so as JSON, and 3 of Kinesis', of 2 MB or so
//!   as JSON unless single records are large (up to 10 MiB). With what they are decoded to, that is about twice as much. 8 × 8 MB + 3 × 4
//!   MB make 76 MB at the very worst; pages that are full are the exception. The change that is being taken belongs to its page, and so
//!   does its line until it is admitted.
//! - What encoding needs while it runs: a batch of rows once more, or the object once more when a run is closed. That takes no waiting,
//!   so there are at most as many of them as there are threads.
//! - A few KB of each shard that is read, and what the SDKs and the allocator keep for themselves.

mod calls;
mod ledger;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

pub use self::calls::{Calls, Turn};
use self::ledger::{Id, Ledger, Remedy, Ticket};

/// How long who holds something waits for others before it gives that, and how long who was asked may take before another one is asked.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// What part of the limit is set aside for the calls of one route.
const SHARE_OF_CALLS: usize = 4;

/// A limit in bytes on what all writers of a process hold together.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: usize,
    books: Mutex<Books>,
    /// Something was given, or somebody left the line: who waits looks again.
    changed: Notify,
    /// What the bodies of calls on their way occupy.
    called: AtomicUsize,
}

#[derive(Debug)]
struct Books {
    ledger: Ledger,
    /// How each writer learns that it was asked.
    signals: BTreeMap<Id, Arc<Notify>>,
}

/// One writer's part of a budget; gives back what it holds when dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<MemoryBudget>,
    id: Id,
    signal: Arc<Notify>,
}

/// What an append has to do first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Nothing: the change counts as held.
    Proceed,
    /// Make something of its own durable, and ask again.
    CloseOwn,
}

impl MemoryBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        let books = Books { ledger: Ledger::new(limit), signals: BTreeMap::new() };
        Arc::new(Self { limit, books: Mutex::new(books), changed: Notify::new(), called: AtomicUsize::new(0) })
    }

    /// Adds a writer that holds nothing yet.
    pub fn share(self: &Arc<Self>) -> Share {
        let signal = Arc::new(Notify::new());
        let mut books = self.books();
        let id = books.ledger.open();
        books.signals.insert(id, Arc::clone(&signal));
        drop(books);
        Share { budget: Arc::clone(self), id, signal }
    }

    /// Sets a quarter of the limit aside for the bodies of one route's calls, for good.
    pub fn calls(self: &Arc<Self>) -> Calls {
        let aside = self.limit / SHARE_OF_CALLS;
        self.books().ledger.set_aside(aside);
        Calls::new(Arc::clone(self), aside)
    }

    /// The limit in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// What all writers hold, and what their calls carry, in bytes.
    pub fn held(&self) -> usize {
        let held = self.books().ledger.total();
        held + self.called.load(Ordering::Relaxed)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // The numbers are consistent after every statement, so a panic elsewhere does not spoil them.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn ask(&mut self, id: Id) {
        self.ledger.ask(id, Instant::now());
        if let Some(signal) = self.signals.get(&id) {
            signal.notify_one();
        }
    }
}

impl Share {
    /// States what this writer holds. When memory is nearly short, the largest writer is asked to close before anybody has to wait.
    pub fn hold(&self, bytes: usize) {
        let mut books = self.budget.books();
        let before = books.ledger.set(self.id, bytes);
        if let Some(largest) = books.ledger.early() {
            books.ask(largest);
        }
        drop(books);
        if bytes < before {
            self.budget.changed.notify_waiters();
        }
    }

    /// States whether what this writer holds cannot be given now.
    pub fn set_blocked(&self, blocked: bool) {
        if self.budget.books().ledger.set_blocked(self.id, blocked) {
            self.budget.changed.notify_waiters();
        }
    }

    /// Whether this writer is blocked and holds most of its part.
    pub fn is_stuck(&self) -> bool {
        self.budget.books().ledger.is_full(self.id)
    }

    /// This writer has given what it can. It is asked anew when memory is still short.
    pub fn answer(&self) {
        self.budget.books().ledger.answer(self.id);
    }

    /// Whether this writer is asked to close its run. Holding nothing answers the request, and so does being blocked.
    pub fn is_asked(&self) -> bool {
        self.budget.books().ledger.is_asked(self.id)
    }

    /// Resolves when this writer is asked to close its run. Cancel-safe.
    pub async fn asked(&self) {
        while !self.is_asked() {
            self.signal.notified().await;
        }
    }

    /// Waits until this writer may hold `need` more bytes, which then count as held, or has to give some of what it holds first. Who holds
    /// nothing is never told to give. Cancel-safe.
    pub async fn admit(&self, need: usize) -> Admission {
        if self.budget.books().ledger.admit(self.id, need, None) {
            return Admission::Proceed;
        }
        let place = Place::take(&self.budget, need);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut changed = pin!(self.budget.changed.notified());
            // Registered before looking, so that nothing is missed in between.
            changed.as_mut().enable();
            let now = Instant::now();
            let gives = {
                let mut books = self.budget.books();
                if books.ledger.admit(self.id, need, Some(place.ticket)) {
                    return Admission::Proceed;
                }
                let gives = books.ledger.held_by(self.id) > 0;
                let to_do = loop {
                    match books.ledger.remedy(self.id, need, Some(place.ticket), now, PATIENCE) {
                        Remedy::Ask(other) => books.ask(other),
                        to_do => break to_do,
                    }
                };
                if to_do == Remedy::Give || gives && now >= deadline {
                    // What it holds is as good as given: nobody else needs to give for it.
                    books.ledger.ask(self.id, now);
                    return Admission::CloseOwn;
                }
                gives
            };
            tokio::select! {
                () = changed => {}
                () = self.asked(), if gives => {}
                () = sleep_until(if gives { deadline } else { now + PATIENCE }) => {}
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut books = self.budget.books();
        books.ledger.close(self.id);
        books.signals.remove(&self.id);
        drop(books);
        self.budget.changed.notify_waiters();
    }
}

/// A place in the line of those that wait; given up when dropped.
struct Place<'b> {
    budget: &'b MemoryBudget,
    ticket: Ticket,
}

impl<'b> Place<'b> {
    fn take(budget: &'b MemoryBudget, need: usize) -> Self {
        Self { budget, ticket: budget.books().ledger.line_up(need) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.budget.books().ledger.leave(self.ticket);
        // Whoever is first now looks again.
        self.budget.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
