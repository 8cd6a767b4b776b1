//! Taking a lease from a worker that lives.
//!
//! The thief has asked for it ([`LeaseTable::ask`]). The holder learns that by its next write, which is a third of the fail-over time away at most, makes
//! durable what it has read, checkpoints and passes the lease on; so nothing is read twice and nothing is waited for longer than that. A holder that
//! dies meanwhile, or does not come to its end, loses the lease all the same, and is fenced as ever.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::table::{LeaseTable, Update, Write};
use super::{Checkpoint, Lease};
use crate::aws::AwsError;

/// How long the thief waits: KCL's `gracefulLeaseHandoffTimeoutMillis`.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a holder takes for finishing, from when it learns that it is asked. Less than the thief's patience by more than it takes to learn that, so
/// that a holder that cannot finish stops before the lease is taken from it.
pub const TIME_TO_FINISH: Duration = Duration::from_secs(20);
/// A look costs half a read unit; a hand-over takes a second or so.
const LONGEST_LOOK: Duration = Duration::from_millis(500);

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandOver {
    /// The lease is the thief's, by a write that was sent at this time.
    Passed(Lease, Instant),
    /// The holder did not pass it on in time and lost it.
    Forced(Lease, Instant),
    /// There is nothing to have any more: the shard is done, or somebody else was faster.
    Gone,
}

/// Waits until the lease that `thief` has asked for is passed on, or takes it when it is not.
pub async fn receive(table: &LeaseTable, asked: &Lease, thief: &str, failover: Duration) -> Result<HandOver, AwsError> {
    let begun = Instant::now();
    let (mut counter, mut since) = (asked.counter, begun);
    loop {
        sleep((failover / 20).min(LONGEST_LOOK)).await;
        let Some(now) = table.get(&asked.shard).await? else { return Ok(HandOver::Gone) };
        if now.owner.as_deref() != Some(thief) || now.checkpoint == Checkpoint::ShardEnd {
            return Ok(HandOver::Gone);
        }
        if now.handing_over.is_none() {
            return begin(table, now).await;
        }
        if now.counter != counter {
            // By when the answer came: the holder may have written as late as that.
            (counter, since) = (now.counter, Instant::now());
        }
        if since.elapsed() >= failover || begun.elapsed() >= PATIENCE {
            let sent = Instant::now();
            if let Write::Done(lease) = table.take(&now, thief).await? {
                return Ok(HandOver::Forced(lease, sent));
            }
        }
    }
}

/// Writes to a lease that was passed on: others may have seen that before we did, and from this write on their time and ours run alike.
async fn begin(table: &LeaseTable, mut passed: Lease) -> Result<HandOver, AwsError> {
    loop {
        let sent = Instant::now();
        match table.update(&passed, Update::Renew).await? {
            Write::Done(lease) => return Ok(HandOver::Passed(lease, sent)),
            Write::Asked(lease) => passed = lease,
            Write::Lost => return Ok(HandOver::Gone),
        }
    }
}
