//! Single items of the lease table: read, replaced if they still have the version that was seen, deleted likewise.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{LeaseTable, number, or_left};
use crate::aws::{AwsError, Failure};
use crate::lease::item::Item;
use crate::retry::{RetryPolicy, retry};

/// How replacing an item ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replaced {
    /// It is written.
    Done,
    /// Another version is there.
    Refused {
        /// Whether an earlier attempt may have written it without our hearing of it: then what is there may be what was to be.
        may_be_ours: bool,
    },
}

impl LeaseTable {
    /// The item of that key, read consistently.
    pub(super) async fn item(&self, policy: RetryPolicy, key: &str) -> Result<Option<Item>, AwsError> {
        let read = retry(policy, &self.stop, || async {
            let get = self.client.get_item().table_name(&self.name).consistent_read(true);
            let get = get.key("leaseKey", AttributeValue::S(key.to_owned())).send().await;
            get.map_err(|error| AwsError::new("GetItem", &self.name, &error))
        });
        Ok(read.await?.item)
    }

    /// Writes an item where the version that was `seen` still is, or where nothing is when nothing was seen.
    pub(super) async fn replace(&self, policy: RetryPolicy, item: Item, seen: Option<u64>) -> Result<Replaced, AwsError> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        let put = match seen {
            None => put.condition_expression("attribute_not_exists(leaseKey)"),
            Some(seen) => put
                .condition_expression("#version = :seen")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":seen", number(seen)),
        };
        let mut attempts = 0_u32;
        let written = retry(policy, &self.stop, || {
            attempts += 1;
            let put = put.clone();
            async move { put.send().await.map_err(|error| AwsError::new("PutItem", &self.name, &error)) }
        })
        .await;
        match written {
            Ok(_) => Ok(Replaced::Done),
            Err(error) if error.failure == Failure::ConditionFailed => Ok(Replaced::Refused { may_be_ours: attempts > 1 }),
            Err(error) => Err(error),
        }
    }

    /// Deletes an item if its `attribute`, which every write raises, still is as it was `seen`.
    pub(super) async fn delete(&self, policy: RetryPolicy, key: &str, attribute: &str, seen: u64) -> Result<(), AwsError> {
        let delete = retry(policy, &self.stop, || async {
            let delete = self.client.delete_item().table_name(&self.name).key("leaseKey", AttributeValue::S(key.to_owned()));
            let delete = delete.condition_expression("#attribute = :seen").expression_attribute_names("#attribute", attribute);
            let delete = delete.expression_attribute_values(":seen", number(seen)).send().await;
            delete.map_err(|error| AwsError::new("DeleteItem", &self.name, &error))
        });
        or_left(delete.await)
    }
}
