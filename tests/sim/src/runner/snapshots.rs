//! Snapshots as somebody asks for them, and calls them off: straight into the lease table, without the service's own code for that.

use anyhow::{Context as _, bail};
use headwater::lease::snapshot::{Cause, ReadBudget, Request, Snapshot, Source, State};
use serde_json::Value;

use crate::cloud::Cloud;
use crate::item::{AttributeValue, Item};

/// A request of somebody for the whole table, with nothing said about how.
pub fn whole_table() -> Request {
    Request { source: Source::Table, cause: Cause::Request, consistent: true, segments: None, budget: None, limit: None }
}

/// The same with a budget of read capacity units a second.
pub fn within(units: u32, request: Request) -> Request {
    Request { budget: Some(ReadBudget::Units(units)), ..request }
}

/// Asks for a snapshot: writes its item into a lease table, and gives its id. `unique`: tells apart what is asked for within one second.
pub fn request_snapshot(cloud: &Cloud, leases: &str, request: Request, unique: u32) -> anyhow::Result<String> {
    let requested_at = cloud.clock.now().div_euclid(1000);
    let time = jiff::Timestamp::from_second(requested_at)?.strftime("%Y%m%dT%H%M%SZ");
    let snapshot = Snapshot {
        id: format!("{time}-{unique:08x}"),
        version: 0,
        request,
        state: State::Requested,
        requested_at,
        started_at: None,
        whole: false,
        segments: 0,
        rows: 0,
        half_units: 0,
        completed_at: None,
        ended_at: None,
        problem: None,
    };
    write(cloud, leases, snapshot_item(&snapshot)?)?;
    Ok(snapshot.id)
}

/// The item of a snapshot, as the service writes it.
pub fn snapshot_item(snapshot: &Snapshot) -> anyhow::Result<Item> {
    let AttributeValue::M(mut item) = attribute(&serde_json::to_value(snapshot)?) else { bail!("a snapshot is no structure") };
    item.insert("leaseKey".to_owned(), AttributeValue::S(Snapshot::key(&snapshot.id)));
    item.insert("entityType".to_owned(), AttributeValue::S("SNAPSHOT".to_owned()));
    Ok(item)
}

/// The snapshots in a lease table, whatever became of them; none when there is no such table.
pub fn snapshots(cloud: &Cloud, leases: &str) -> anyhow::Result<Vec<Snapshot>> {
    let state = cloud.state();
    let items = state.tables.items(leases).into_iter().flatten();
    let of_snapshots = items.filter(|item| item.get("entityType") == Some(&AttributeValue::S("SNAPSHOT".to_owned())));
    of_snapshots.map(|item| serde_json::from_value(json(&AttributeValue::M(item.clone()))).context("read a snapshot")).collect()
}

/// Calls off one of the snapshots that are asked for or at work. Tells whether there was any.
pub(super) fn cancel_snapshot(cloud: &Cloud, leases: &str, pick: usize) -> anyhow::Result<bool> {
    let mut open = snapshots(cloud, leases)?;
    open.retain(|snapshot| matches!(snapshot.state, State::Requested | State::Running));
    let Some(snapshot) = open.get(pick % open.len().max(1)) else { return Ok(false) };
    let ended_at = Some(cloud.clock.now().div_euclid(1000));
    let cancelled = Snapshot { version: snapshot.version + 1, state: State::Cancelled, ended_at, ..snapshot.clone() };
    write(cloud, leases, snapshot_item(&cancelled)?)?;
    Ok(true)
}

fn write(cloud: &Cloud, leases: &str, item: Item) -> anyhow::Result<()> {
    let now = cloud.clock.now();
    let state = &mut *cloud.state();
    let put = state.tables.put(&mut state.streams, leases, item, now, &cloud.journal);
    put.map_err(|error| anyhow::anyhow!("write to the lease table: {error}"))
}

/// JSON as DynamoDB's types.
fn attribute(value: &Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::NULL(true),
        Value::Bool(value) => AttributeValue::BOOL(*value),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text.clone()),
        Value::Array(values) => AttributeValue::L(values.iter().map(attribute).collect()),
        Value::Object(members) => AttributeValue::M(members.iter().map(|(name, value)| (name.clone(), attribute(value))).collect()),
    }
}

/// The way back. Snapshots have whole numbers only, and neither binary values nor sets.
fn json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) | AttributeValue::B(text) => Value::from(text.as_str()),
        AttributeValue::N(digits) => digits.parse::<i64>().map_or(Value::Null, Value::from),
        AttributeValue::BOOL(value) => Value::from(*value),
        AttributeValue::NULL(_) => Value::Null,
        AttributeValue::SS(members) | AttributeValue::NS(members) | AttributeValue::BS(members) => Value::from(members.as_slice()),
        AttributeValue::L(values) => values.iter().map(json).collect(),
        AttributeValue::M(item) => item.iter().map(|(name, value)| (name.clone(), json(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::call::Quirks;
    use crate::clock::Clock;
    use crate::journal::Journal;

    #[tokio::test]
    async fn what_is_asked_for_can_be_called_off_once() {
        let cloud = Cloud::new(Clock::starting_at(1_795_230_000_000), Journal::keeping());
        assert!(snapshots(&cloud, "leases").unwrap().is_empty());
        let table = json!({
            "TableName": "leases", "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "leaseKey", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "leaseKey", "AttributeType": "S"}],
        });
        cloud.call("DynamoDB_20120810.CreateTable", "", table.to_string().as_bytes(), &Quirks::default()).unwrap();
        let request = Request { segments: Some(3), source: Source::Segment { number: 1, of: 4 }, ..within(5, whole_table()) };
        let id = request_snapshot(&cloud, "leases", request.clone(), 0x3f9a_1c2e).unwrap();
        assert_eq!(id, "20261121T030000Z-3f9a1c2e");
        let [asked] = snapshots(&cloud, "leases").unwrap().try_into().unwrap();
        assert_eq!((asked.version, asked.state, &asked.request), (0, State::Requested, &request));
        assert!(cancel_snapshot(&cloud, "leases", 7).unwrap());
        let [cancelled] = snapshots(&cloud, "leases").unwrap().try_into().unwrap();
        assert_eq!((cancelled.version, cancelled.state), (1, State::Cancelled));
        assert!(!cancel_snapshot(&cloud, "leases", 7).unwrap());
    }

    #[test]
    fn an_item_is_spelled_as_the_service_reads_it() {
        let item = snapshot_item(&Snapshot {
            id: "s".to_owned(),
            version: 3,
            request: within(5, whole_table()),
            state: State::Running,
            requested_at: 1,
            started_at: Some(2),
            whole: true,
            segments: 4,
            rows: 0,
            half_units: 0,
            completed_at: None,
            ended_at: None,
            problem: None,
        });
        let item: Item = item.unwrap().into_iter().filter(|(name, _)| !["rows", "halfUnits"].contains(&name.as_str())).collect();
        let expected = json!({
            "leaseKey": {"S": "snapshot-s"}, "entityType": {"S": "SNAPSHOT"}, "id": {"S": "s"}, "version": {"N": "3"},
            "request": {"M": {
                "source": {"M": {"kind": {"S": "table"}}}, "cause": {"S": "request"}, "consistent": {"BOOL": true},
                "budget": {"M": {"units": {"N": "5"}}},
            }},
            "state": {"S": "running"}, "requestedAt": {"N": "1"}, "startedAt": {"N": "2"}, "whole": {"BOOL": true}, "segments": {"N": "4"},
        });
        assert_eq!(serde_json::to_value(item).unwrap(), expected);
    }
}
