//! Snapshots and gaps in the lease table.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{LeaseTable, number, or_left};
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
        let read = retry(RetryPolicy::SERVICE, &self.stop, || async {
            let get = self.client.get_item().table_name(&self.name).consistent_read(true);
            let get = get.key("leaseKey", AttributeValue::S(Snapshot::key(id))).send().await;
            get.map_err(|error| AwsError::new("GetItem", &self.name, &error))
        });
        let parse = |item| serde_dynamo::from_item(item).map_err(|error| unreadable(id, &error));
        read.await?.item.map(parse).transpose()
    }

    /// Moves a snapshot on, if it still is as it was `seen`.
    pub async fn advance(&self, seen: &Snapshot, change: impl FnOnce(&mut Snapshot)) -> Result<Move, AwsError> {
        let mut after = seen.clone();
        change(&mut after);
        after.version = seen.version + 1;
        let item = snapshot_item(&after)?;
        let mut attempts = 0_u32;
        let written = retry(RetryPolicy::SERVICE, &self.stop, || {
            attempts += 1;
            let put = self.client.put_item().table_name(&self.name).set_item(Some(item.clone()));
            let put = put.condition_expression("#version = :seen").expression_attribute_names("#version", "version");
            let put = put.expression_attribute_values(":seen", number(seen.version));
            async move { put.send().await.map_err(|error| AwsError::new("PutItem", &self.name, &error)) }
        })
        .await;
        match written {
            Ok(_) => Ok(Move::Done(Box::new(after))),
            Err(error) if error.failure == Failure::ConditionFailed => {
                // An earlier attempt may have taken effect without our hearing of it. Whether it was ours or another worker's that wrote the very same
                // makes no difference.
                if attempts > 1 && self.snapshot(&seen.id).await?.is_some_and(|now| now == after) {
                    return Ok(Move::Done(Box::new(after)));
                }
                Ok(Move::Lost)
            }
            Err(error) => Err(error),
        }
    }

    /// Enters a gap into the ledger. One that is there already is left as it is, unless it is closed or was found half a day ago: then changes were
    /// lost once more, and with them perhaps rows of a snapshot that began meanwhile.
    pub async fn record(&self, gap: &Gap) -> Result<(), AwsError> {
        let mut item: Item = serde_dynamo::to_item(gap).map_err(|error| AwsError::of("PutItem", Failure::Invalid, error.to_string()))?;
        item.insert("entityType".to_owned(), AttributeValue::S(item::GAP.to_owned()));
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
    let mut item: Item = serde_dynamo::to_item(snapshot).map_err(|error| AwsError::of("PutItem", Failure::Invalid, error.to_string()))?;
    item.insert("leaseKey".to_owned(), AttributeValue::S(Snapshot::key(&snapshot.id)));
    item.insert("entityType".to_owned(), AttributeValue::S(item::SNAPSHOT.to_owned()));
    Ok(item)
}

fn unreadable(id: &str, error: &serde_dynamo::Error) -> AwsError {
    AwsError::of("GetItem", Failure::Invalid, format!("snapshot '{id}' cannot be read: {error}"))
}
