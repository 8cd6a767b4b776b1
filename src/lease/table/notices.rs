//! Notices in the lease table.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{LeaseTable, number, or_left};
use crate::aws::{AwsError, Failure};
use crate::lease::item::{self, Item};
use crate::lease::notice::Notice;
use crate::retry::{RetryPolicy, retry};

/// Notices are looked after once a minute: what does not work within seconds is tried again by then.
const POLICY: RetryPolicy = RetryPolicy::START_UP;

impl LeaseTable {
    /// Writes a notice if it still is as it was `seen`, or is not there as when nothing was seen. The notice as it now stands, or none when
    /// somebody else wrote it meanwhile.
    pub async fn write_notice(&self, seen: Option<&Notice>, mut notice: Notice) -> Result<Option<Notice>, AwsError> {
        notice.version = seen.map_or(1, |seen| seen.version + 1);
        let (item, mut attempts) = (notice_item(&notice)?, 0_u32);
        let written = retry(POLICY, &self.stop, || {
            attempts += 1;
            let put = self.client.put_item().table_name(&self.name).set_item(Some(item.clone()));
            let put = match seen {
                None => put.condition_expression("attribute_not_exists(leaseKey)"),
                Some(seen) => put
                    .condition_expression("#version = :seen")
                    .expression_attribute_names("#version", "version")
                    .expression_attribute_values(":seen", number(seen.version)),
            };
            async move { put.send().await.map_err(|error| AwsError::new("PutItem", &self.name, &error)) }
        })
        .await;
        match written {
            Ok(_) => Ok(Some(notice)),
            // An earlier attempt may have taken effect without our hearing of it.
            Err(error) if error.failure == Failure::ConditionFailed => {
                let is_ours = attempts > 1 && self.notice(&notice.key()).await?.is_some_and(|now| now == notice);
                Ok(is_ours.then_some(notice))
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes a notice that is over, if it still is as it was seen.
    pub async fn delete_notice(&self, seen: &Notice) -> Result<(), AwsError> {
        let delete = retry(POLICY, &self.stop, || async {
            let delete = self.client.delete_item().table_name(&self.name).key("leaseKey", AttributeValue::S(seen.key()));
            let delete = delete.condition_expression("#version = :seen").expression_attribute_names("#version", "version");
            let delete = delete.expression_attribute_values(":seen", number(seen.version)).send().await;
            delete.map_err(|error| AwsError::new("DeleteItem", &self.name, &error))
        });
        or_left(delete.await)
    }

    async fn notice(&self, key: &str) -> Result<Option<Notice>, AwsError> {
        let read = retry(POLICY, &self.stop, || async {
            let get = self.client.get_item().table_name(&self.name).consistent_read(true);
            let get = get.key("leaseKey", AttributeValue::S(key.to_owned())).send().await;
            get.map_err(|error| AwsError::new("GetItem", &self.name, &error))
        });
        Ok(read.await?.item.and_then(|item| serde_dynamo::from_item(item).ok()))
    }
}

fn notice_item(notice: &Notice) -> Result<Item, AwsError> {
    let mut item: Item = serde_dynamo::to_item(notice).map_err(|error| AwsError::of("PutItem", Failure::Invalid, error.to_string()))?;
    item.insert("leaseKey".to_owned(), AttributeValue::S(notice.key()));
    item.insert("entityType".to_owned(), AttributeValue::S(item::NOTICE.to_owned()));
    Ok(item)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lease::notice::{Belief, NoticeKind};

    #[test]
    fn a_notice_survives_the_table() {
        let notice = Notice {
            version: 3,
            kind: NoticeKind::Gap,
            subject: "trimmed/shard/5".to_owned(),
            stage: "deliver".to_owned(),
            since: 1_795_230_000,
            open: false,
            beliefs: [("sns".to_owned(), Belief::Raised), ("webhook".to_owned(), Belief::Unsure)].into(),
            teller: Some("worker".to_owned()),
            summary: "s".to_owned(),
            action: "a".to_owned(),
            details: json!({ "origin": "shard", "seconds": -5, "after": null }).as_object().unwrap().clone(),
        };
        let item = notice_item(&notice).unwrap();
        assert_eq!(
            (item["leaseKey"].as_s().unwrap().as_str(), item["entityType"].as_s().unwrap().as_str()),
            ("notice/gap/trimmed/shard/5", "NOTICE")
        );
        assert_eq!(serde_dynamo::from_item::<_, Notice>(item).unwrap(), notice);
    }
}
