//! Snapshots and gaps in the lease table.

use aws_sdk_dynamodb::types::AttributeValue;

use super::single::Replaced;
use super::{LeaseTable, or_left};
use crate::aws::{AwsError, Failure};
use crate::lease::gap::Gap;
use crate::lease::item::{self, Item};
use crate::lease::snapshot::Snapshot;
use crate::retry::{RetryPolicy, retry};

/// A gap that is found again so many seconds later is another one at the same place: nothing is lost from a stream before it is a day old.
const AGAIN: i64 = 12 * 3600;

/// How moving a snapshot on ended. Losing is an outcome, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// The snapshot as it now stands.
    Done(Box<Snapshot>),
    /// Somebody else moved it meanwhile.
    Lost,
}

impl LeaseTable {
    /// Writes a request for a snapshot; one of that id that exists is left as it is.
    pub async fn request(&self, snapshot: &Snapshot) -> Result<(), AwsError> {
        self.put_if_absent(snapshot_item(snapshot)?).await
    }

    /// The snapshot of that id, read consistently.
    pub async fn snapshot(&self, id: &str) -> Result<Option<Snapshot>, AwsError> {
        let item = self.item(RetryPolicy::SERVICE, &Snapshot::key(id)).await?;
        item.map(|item| serde_dynamo::from_item(item).map_err(|error| unreadable(id, &error))).transpose()
    }

    /// Moves a snapshot on, if it still is as it was `seen`.
    pub async fn advance(&self, seen: &Snapshot, change: impl FnOnce(&mut Snapshot)) -> Result<Move, AwsError> {
        let mut after = seen.clone();
        change(&mut after);
        after.version = seen.version + 1;
        match self.replace(RetryPolicy::SERVICE, snapshot_item(&after)?, Some(seen.version)).await? {
            Replaced::Done => Ok(Move::Done(Box::new(after))),
            // Whether it was ours or another worker's that wrote the very same makes no difference.
            Replaced::Refused { may_be_ours: true } if self.snapshot(&seen.id).await?.is_some_and(|now| now == after) => {
                Ok(Move::Done(Box::new(after)))
            }
            Replaced::Refused { .. } => Ok(Move::Lost),
        }
    }

    /// Enters a gap into the ledger. One that is there already is left as it is, unless it is closed or was found half a day ago: then changes were
    /// lost once more, and with them perhaps rows of a snapshot that began meanwhile.
    pub async fn record(&self, gap: &Gap) -> Result<(), AwsError> {
        let item = item::typed(gap, gap.key.clone(), item::GAP)?;
        let before = Item::from([(":before".to_owned(), AttributeValue::N((gap.found_at - AGAIN).to_string()))]);
        self.put_if(item, "attribute_not_exists(leaseKey) OR attribute_exists(closedAt) OR foundAt < :before", Some(before)).await
    }

    /// Notes that a snapshot brought back what was lost in a gap, unless the gap was closed or found once more meanwhile.
    pub async fn close_gap(&self, seen: &Gap, snapshot: &str, now: i64) -> Result<(), AwsError> {
        let update = retry(RetryPolicy::SERVICE, &self.stop, || async {
            self.client
                .update_item()
                .table_name(&self.name)
                .key("leaseKey", AttributeValue::S(seen.key.clone()))
                .update_expression("SET closedBy = :snapshot, closedAt = :now")
                .condition_expression("foundAt = :found AND attribute_not_exists(closedAt)")
                .expression_attribute_values(":snapshot", AttributeValue::S(snapshot.to_owned()))
                .expression_attribute_values(":now", AttributeValue::N(now.to_string()))
                .expression_attribute_values(":found", AttributeValue::N(seen.found_at.to_string()))
                .send()
                .await
                .map_err(|error| AwsError::new("UpdateItem", &self.name, &error))
        });
        or_left(update.await)
    }
}

fn snapshot_item(snapshot: &Snapshot) -> Result<Item, AwsError> {
    item::typed(snapshot, Snapshot::key(&snapshot.id), item::SNAPSHOT)
}

fn unreadable(id: &str, error: &serde_dynamo::Error) -> AwsError {
    AwsError::of("GetItem", Failure::Invalid, format!("snapshot '{id}' cannot be read: {error}"))
}
