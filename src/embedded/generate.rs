//! Writes sales-order traffic into a table, on any endpoint.
//!
//! Operations on one order are applied in their order: an order belongs to one writer, and a writer does one thing after another.
//! Throttled and failed calls are repeated, boundedly; what is given up is counted. A call whose answer was lost may have been done:
//! every write here can be done twice without another outcome.

mod table;
mod write;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::TimeToLiveStatus;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::orders::{Kind, Mix, Operation, Traffic};
use super::pacer::Pacer;

pub use table::{create_table, wait_until_active};

/// How often due operations are handed out.
const TICK: Duration = Duration::from_millis(10);

/// How often progress is told.
const PROGRESS: Duration = Duration::from_millis(100);

/// Operations that wait for one writer; more would only delay the end.
const QUEUE: usize = 16;

/// What to write, how fast and how long.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// The table, with `order_id` (S) as its hash key.
    pub table: String,
    /// Operations a second; `None` for as many as the endpoint takes.
    pub rate: Option<u32>,
    /// Ends after this time.
    pub duration: Option<Duration>,
    /// Ends after so many operations.
    pub count: Option<u64>,
    /// How often which kind of operation comes.
    pub mix: Mix,
    /// The same seed gives the same orders.
    pub seed: u64,
    /// How many writers work side by side.
    pub concurrency: NonZeroUsize,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct GenerateProgress {
    /// New orders written.
    pub puts: u64,
    /// Orders changed.
    pub updates: u64,
    /// Orders deleted.
    pub deletes: u64,
    /// Orders given over to the table's TTL, which deletes them when it comes by.
    pub expiries: u64,
    /// Operations given up.
    pub errors: u64,
    /// Calls that were repeated.
    pub retries: u64,
    /// Time since the start.
    #[serde(skip)]
    pub elapsed: Duration,
}

impl GenerateProgress {
    /// Operations that are through, given up ones included.
    pub fn operations(&self) -> u64 {
        self.puts + self.updates + self.deletes + self.expiries + self.errors
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// The counts.
    #[serde(flatten)]
    pub counts: GenerateProgress,
    /// Seconds that it took.
    pub seconds: f64,
    /// Operations a second that were achieved.
    pub rate: f64,
}

/// Why the traffic ended early.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The table does not exist, or the endpoint or the credentials are wrong.
    #[error("cannot {action} the table '{table}'; check the table's name, AWS_REGION, credentials and AWS_ENDPOINT_URL_DYNAMODB")]
    Table {
        /// What was being done.
        action: &'static str,
        /// The table.
        table: String,
        /// What the service said.
        #[source]
        source: Box<aws_sdk_dynamodb::Error>,
    },
    /// The table did not become usable in time.
    #[error("the table '{table}' is not active after {seconds} s; look at its status and try again")]
    NotActive {
        /// The table.
        table: String,
        /// How long was waited.
        seconds: u64,
    },
    /// A write that no retry can mend.
    #[error("cannot write order {order_id} to the table '{table}'; it needs the hash key order_id (S) and permission to write")]
    Write {
        /// The table.
        table: String,
        /// The order.
        order_id: String,
        /// What the service said.
        #[source]
        source: Box<aws_sdk_dynamodb::Error>,
    },
    /// A writer ended by a panic.
    #[error("a writer ended unexpectedly")]
    Panicked,
}

#[derive(Debug, Default)]
struct Counts {
    puts: AtomicU64,
    updates: AtomicU64,
    deletes: AtomicU64,
    expiries: AtomicU64,
    errors: AtomicU64,
    retries: AtomicU64,
}

impl Counts {
    fn of(&self, kind: Kind) -> &AtomicU64 {
        match kind {
            Kind::Insert => &self.puts,
            Kind::Update => &self.updates,
            Kind::Delete => &self.deletes,
            Kind::Expire => &self.expiries,
        }
    }

    fn progress(&self, elapsed: Duration) -> GenerateProgress {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        GenerateProgress {
            puts: read(&self.puts),
            updates: read(&self.updates),
            deletes: read(&self.deletes),
            expiries: read(&self.expiries),
            errors: read(&self.errors),
            retries: read(&self.retries),
            elapsed,
        }
    }
}

/// Writes until the duration is over, the count is reached or `stop` is cancelled, whichever comes first; then waits for what is
/// under way. `on_progress` is called about ten times a second.
pub async fn generate(
    client: &Client,
    options: GenerateOptions,
    mut on_progress: impl FnMut(&GenerateProgress),
    stop: CancellationToken,
) -> Result<Summary, GenerateError> {
    let expiry = expires(client, &options.table).await?;
    let mut traffic = Traffic::new(options.seed, options.mix, expiry);
    let counts = Arc::new(Counts::default());
    let start = Instant::now();
    // Ends the writers' waiting for a retry when one of them gives up for good.
    let abort = CancellationToken::new();
    let mut writers = JoinSet::new();
    let queues: Vec<_> = (0..options.concurrency.get())
        .map(|_| {
            let (queue, operations) = mpsc::channel(QUEUE);
            writers.spawn(writer(client.clone(), options.table.clone(), operations, counts.clone(), abort.clone()));
            queue
        })
        .collect();

    let mut pacer = options.rate.map(Pacer::new);
    let mut left = options.count.unwrap_or(u64::MAX);
    let mut told = start;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    'traffic: while left > 0 && options.duration.is_none_or(|duration| start.elapsed() < duration) {
        let due = match &mut pacer {
            Some(pacer) => {
                tokio::select! {
                    () = stop.cancelled() => break,
                    _ = ticks.tick() => {}
                }
                pacer.due(start.elapsed())
            }
            // Full queues set the pace.
            None => QUEUE as u64,
        };
        for _ in 0..due.min(left) {
            let operation = traffic.next(now());
            let queue = &queues[slot(&operation.order_id, queues.len())];
            tokio::select! {
                () = stop.cancelled() => break 'traffic,
                // A closed queue: its writer met an error that ends everything.
                sent = queue.send(operation) => if sent.is_err() { break 'traffic },
            }
            left -= 1;
        }
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            on_progress(&counts.progress(start.elapsed()));
        }
    }

    drop(queues);
    let mut outcome = Ok(());
    while let Some(ended) = writers.join_next().await {
        let ended = ended.unwrap_or(Err(GenerateError::Panicked));
        if ended.is_err() {
            abort.cancel();
        }
        outcome = outcome.and(ended);
    }
    outcome?;
    let counts = counts.progress(start.elapsed());
    on_progress(&counts);
    let seconds = counts.elapsed.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people; exact up to 2^53 operations")]
    let rate = if seconds > 0.0 { counts.operations() as f64 / seconds } else { 0.0 };
    Ok(Summary { counts, seconds, rate })
}

/// Whether the table deletes expired items. Stand-ins that do not know the question do not.
async fn expires(client: &Client, table: &str) -> Result<bool, GenerateError> {
    match client.describe_time_to_live().table_name(table).send().await {
        Ok(answer) => {
            let description = answer.time_to_live_description();
            Ok(description.is_some_and(|ttl| {
                ttl.attribute_name() == Some("expires_at")
                    && matches!(ttl.time_to_live_status(), Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling))
            }))
        }
        Err(error) if write::is_unknown_operation(&error) => Ok(false),
        Err(error) => Err(GenerateError::Table { action: "find", table: table.to_owned(), source: Box::new(error.into()) }),
    }
}

/// The writer that an order belongs to.
fn slot(order_id: &str, writers: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    order_id.hash(&mut hasher);
    usize::try_from(hasher.finish() % writers as u64).unwrap_or_default()
}

async fn writer(
    client: Client,
    table: String,
    mut operations: mpsc::Receiver<Operation>,
    counts: Arc<Counts>,
    abort: CancellationToken,
) -> Result<(), GenerateError> {
    while let Some(operation) = operations.recv().await {
        let kind = operation.kind;
        match write::apply(&client, &table, operation, &counts.retries, &abort).await? {
            write::Outcome::Done => counts.of(kind).fetch_add(1, Ordering::Relaxed),
            write::Outcome::GivenUp => counts.errors.fetch_add(1, Ordering::Relaxed),
        };
    }
    Ok(())
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_always_has_the_same_writer() {
        for writers in [1, 3, 8] {
            let slots: Vec<_> = (0..100).map(|order| slot(&format!("ORD-{order}"), writers)).collect();
            assert_eq!(slots, (0..100).map(|order| slot(&format!("ORD-{order}"), writers)).collect::<Vec<_>>());
            assert_eq!(slots.iter().collect::<std::collections::BTreeSet<_>>().len(), writers, "every writer has orders");
        }
    }
}
