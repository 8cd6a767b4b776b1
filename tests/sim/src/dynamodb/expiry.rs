//! Time to live, and the backups that there are none of.

use serde::Deserialize;
use serde_json::json;

use super::Tables;
use super::admin::NamedRequest;
use super::key::ItemKey;
use super::request;
use super::table::{Effects, Table};
use crate::call::{Answer, ApiError, Call, answer};
use crate::item::{AttributeValue, Decimal, Item};
use crate::journal::Journal;
use crate::streams::Streams;

/// How long ago an item may have expired to be deleted still: five years, in seconds. Older times are taken for mistakes.
const TOO_OLD: i64 = 5 * 365 * 24 * 60 * 60;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateRequest {
    table_name: String,
    time_to_live_specification: Specification,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Specification {
    enabled: bool,
    attribute_name: String,
}

impl Tables {
    /// DescribeTimeToLive.
    pub(super) fn describe_time_to_live(&mut self, call: &Call<'_>) -> Answer {
        let request: NamedRequest = request::read(call)?;
        let description = match &self.existing(&request.table_name)?.time_to_live {
            Some(attribute) => json!({ "TimeToLiveStatus": "ENABLED", "AttributeName": attribute }),
            None => json!({ "TimeToLiveStatus": "DISABLED" }),
        };
        answer(&json!({ "TimeToLiveDescription": description }))
    }

    /// UpdateTimeToLive, which takes effect at once.
    pub(super) fn update_time_to_live(&mut self, call: &Call<'_>) -> Answer {
        let request: UpdateRequest = request::read(call)?;
        let Specification { enabled, attribute_name: attribute } = request.time_to_live_specification;
        if !(1..=255).contains(&attribute.len()) {
            return Err(ApiError::validation("TimeToLiveSpecification.AttributeName must be between 1 and 255 characters long"));
        }
        let table = self.active(&request.table_name, call.now)?;
        match (&table.time_to_live, enabled) {
            (Some(_), true) => return Err(ApiError::validation("TimeToLive is already enabled")),
            (None, false) => return Err(ApiError::validation("TimeToLive is already disabled")),
            (Some(other), false) if *other != attribute => {
                return Err(ApiError::validation(format!(
                    "TimeToLive is active on a different AttributeName: current AttributeName is {other}"
                )));
            }
            _ => {}
        }
        table.time_to_live = enabled.then(|| attribute.clone());
        answer(&json!({ "TimeToLiveSpecification": { "Enabled": enabled, "AttributeName": attribute } }))
    }

    /// DescribeContinuousBackups: there are none, and so no exports.
    pub(super) fn describe_continuous_backups(&mut self, call: &Call<'_>) -> Answer {
        let request: NamedRequest = request::read(call)?;
        if self.existing(&request.table_name).is_err() {
            return Err(ApiError::new("TableNotFoundException", format!("Table not found: {}", request.table_name)));
        }
        let recovery = json!({ "PointInTimeRecoveryStatus": "DISABLED" });
        answer(&json!({
            "ContinuousBackupsDescription": { "ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery }
        }))
    }

    /// Deletes the items whose time has come, in all tables, and tells how many they were.
    pub fn expire_items(&mut self, streams: &mut Streams, now: i64, journal: &Journal) -> usize {
        let mut effects = Effects { streams, journal, now, worker: "" };
        let mut count = 0;
        for table in self.by_name.values_mut() {
            let expired = expired(table, now);
            count += expired.len();
            for key in expired {
                table.write(&mut effects, key, None, true);
            }
        }
        count
    }
}

fn expired(table: &Table, now: i64) -> Vec<ItemKey> {
    let Some(attribute) = &table.time_to_live else { return Vec::new() };
    let now = now.div_euclid(1000);
    let (now, oldest) = (Decimal::from(now), Decimal::from(now - TOO_OLD));
    let is_due = |item: &Item| match item.get(attribute) {
        Some(AttributeValue::N(time)) => time.parse::<Decimal>().is_ok_and(|time| oldest < time && time < now),
        _ => false,
    };
    table.items.iter().filter(|(_, stored)| is_due(&stored.item)).map(|(key, _)| key.clone()).collect()
}
