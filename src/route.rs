//! Routes: where the changes of a shard go.
//!
//! A [`Route`] opens one [`ShardWriter`] for each shard that this process holds a lease on. The writer takes the shard's events in
//! stream order and says, by [`Progress`], up to where they are durable; the caller checkpoints nothing else
//! (*durable-before-checkpoint*).

pub mod aggregate;
pub mod budget;
pub mod counters;
pub mod firehose;
pub mod kinesis;
pub mod lake;
pub mod outbox;
pub mod shard_map;
mod wait;

use async_trait::async_trait;

use crate::event::{ChangeEvent, Position, ShardId};

/// A destination of change events.
#[async_trait]
pub trait Route: Send + Sync {
    /// Opens the writer of one shard whose records up to and including `after` are already durable
    /// ([`Position::ZERO`]: none is known to be).
    async fn open(&self, shard: &ShardId, after: Position) -> Result<Box<dyn ShardWriter>, RouteError>;

    /// Tells whoever reads behind the route that every row of a snapshot was given to it: all of them are durable in the route when this is called.
    /// May be repeated.
    async fn announce(&self, snapshot: &Announcement<'_>) -> Result<Arrival, RouteError>;
}

/// A snapshot whose rows are durable in the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement<'a> {
    /// The snapshot.
    pub id: &'a str,
    /// Its start, in seconds since the epoch.
    pub started_at: i64,
}

/// When the rows of an announced snapshot are in the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// They are.
    Landed,
    /// When what the stream delivers has been noted for the whole range of its hash keys ([`crate::lake::Lake::parts`]). The deliver stage does that,
    /// and nobody where there is none.
    Noted,
    /// Within this time, as far as the service tells.
    Within(std::time::Duration),
}

/// Takes the events of one shard, in order. Owned by the one task that reads the shard.
///
/// Dropping a writer abandons what is not durable yet: that is how a lost lease stops. No method is cancel-safe except
/// [`due`](ShardWriter::due); the caller drives each of the others to its end.
#[async_trait]
pub trait ShardWriter: Send {
    /// Takes the next event, which stands at `position` in the shard, and may first make earlier ones durable (or wait for memory). After [`Progress::Rewind`] the event was
    /// not taken.
    async fn append(&mut self, position: Position, event: &ChangeEvent<'_>) -> Result<Progress, RouteError>;

    /// Notes that the record at `position`, the next of the shard, is durable elsewhere (quarantine) and has no row here.
    fn skip(&mut self, position: Position);

    /// Whether the event that was appended last went to quarantine, because no record can hold it.
    fn set_aside(&self) -> bool {
        false
    }

    /// Resolves when [`poll`](ShardWriter::poll) has something to do: an object has come of age, or memory is short. Cancel-safe.
    async fn due(&mut self);

    /// Makes durable what is due by age or because memory is short.
    async fn poll(&mut self) -> Result<Progress, RouteError>;

    /// Makes more durable of what was taken, before a shard ends or is handed over, and returns when something became so, so that it can be
    /// checkpointed. To be called again until [`is_flushed`](ShardWriter::is_flushed).
    async fn flush(&mut self) -> Result<Progress, RouteError>;

    /// Whether everything that was taken is durable.
    fn is_flushed(&self) -> bool;

    /// Whether it waits for its target and holds so much that another change would have to wait too. Until it is not, it is best given none: who waits
    /// for it with a page in hand keeps others from reading.
    fn is_stuck(&self) -> bool {
        false
    }

    /// What became durable and was not told yet. After an error of another method there may be such: a call that fails does not undo those before.
    fn settled(&mut self) -> Progress;
}

/// How far a shard is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// No further than before.
    Unchanged,
    /// Every record up to and including this one is durable.
    Durable(Position),
    /// Another process made everything up to and including this one durable already. What was taken and is not durable was dropped:
    /// read on after this position.
    Rewind(Position),
}

impl RouteError {
    /// A record that cannot go on could not be set aside either. It must not be passed over, whatever keeps it from being stored: its shard waits.
    pub(crate) fn waiting(error: impl Into<Self>) -> Self {
        Self { may_pass: true, ..error.into() }
    }
}

/// The destination does not take events, and retrying inside the route did not help.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {hint}")]
pub struct RouteError {
    /// What was being done, such as `create object s3://…`.
    pub doing: String,
    /// What is wrong and what to do about it.
    pub hint: String,
    /// Whether it may pass without anything being set up differently: a service that is away or busy, a disk that is full.
    pub may_pass: bool,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}
