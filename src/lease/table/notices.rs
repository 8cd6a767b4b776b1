//! Notices in the lease table.

use super::LeaseTable;
use super::single::Replaced;
use crate::aws::AwsError;
use crate::lease::item::{self, Item};
use crate::lease::notice::Notice;
use crate::retry::RetryPolicy;

/// Notices are looked after once a minute: what does not work within seconds is tried again by then.
const POLICY: RetryPolicy = RetryPolicy::START_UP;

impl LeaseTable {
    /// Writes a notice if it still is as it was `seen`, or is not there as when nothing was seen. The notice as it now stands, or none when
    /// somebody else wrote it meanwhile.
    pub async fn write_notice(&self, seen: Option<&Notice>, mut notice: Notice) -> Result<Option<Notice>, AwsError> {
        notice.version = seen.map_or(1, |seen| seen.version + 1);
        let is_ours = match self.replace(POLICY, notice_item(&notice)?, seen.map(|seen| seen.version)).await? {
            Replaced::Done => true,
            Replaced::Refused { may_be_ours } => may_be_ours && self.notice(&notice.key()).await?.is_some_and(|now| now == notice),
        };
        Ok(is_ours.then_some(notice))
    }

    /// Deletes a notice that is over, if it still is as it was seen.
    pub async fn delete_notice(&self, seen: &Notice) -> Result<(), AwsError> {
        self.delete(POLICY, &seen.key(), "version", seen.version).await
    }

    async fn notice(&self, key: &str) -> Result<Option<Notice>, AwsError> {
        Ok(self.item(POLICY, key).await?.and_then(|item| serde_dynamo::from_item(item).ok()))
    }
}

fn notice_item(notice: &Notice) -> Result<Item, AwsError> {
    item::typed(notice, notice.key(), item::NOTICE)
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
