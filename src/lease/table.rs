//! The lease table in DynamoDB.

mod notices;
mod single;
mod snapshots;

use std::collections::BTreeSet;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder as UpdateRequest;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
};
use tokio_util::sync::CancellationToken;

use super::gap::Gap;
use super::item::{self, Item};
use super::notice::Notice;
use super::snapshot::{SegmentProgress, Snapshot};
use super::{Checkpoint, Lease};
use crate::aws::{AwsError, Failure};
use crate::event::ShardId;
use crate::retry::{RetryPolicy, retry};
pub use snapshots::Move;

/// How often a table of several pages is read again before it counts as too restless.
const MOST_LOOKS: u32 = 10;
/// A new on-demand table is usable within seconds.
const CREATION_DEADLINE: Duration = Duration::from_mins(1);

/// How a conditional write ended. Losing is an outcome, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// The lease as it now stands.
    Done(Lease),
    /// Nothing was written: another worker has asked for the lease, which stands like this now. Its holder finishes and hands it over.
    Asked(Lease),
    /// Somebody else wrote it meanwhile.
    Lost,
}

/// What a holder writes to its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// Only the counter: the holder lives.
    Renew,
    /// Everything up to here is durable.
    Checkpoint(SequenceOrEnd),
    /// As [`Checkpoint`](Self::Checkpoint), on a segment of a snapshot, with where its reading goes on and what it has cost.
    Segment(SequenceOrEnd, SegmentProgress),
    /// The holder gives the lease up, or passes it on to who has asked for it.
    Release,
}

/// Where a checkpoint moves to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceOrEnd {
    /// This record.
    Sequence(crate::event::Position),
    /// The end of the shard, reached at this time (seconds since the epoch).
    End(i64),
}

/// What the lease table holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// Leases on shards.
    pub leases: Vec<Lease>,
    /// The gap ledger.
    pub gaps: Vec<Gap>,
    /// Snapshots, whatever became of them.
    pub snapshots: Vec<Snapshot>,
    /// Leases on segments of snapshots.
    pub segments: Vec<Lease>,
    /// What a person is told of.
    pub notices: Vec<Notice>,
}

/// The table that holds the leases of one application.
#[derive(Debug, Clone)]
pub struct LeaseTable {
    client: Client,
    name: String,
    stop: CancellationToken,
}

impl LeaseTable {
    /// A table of that name. `stop` ends waiting between retries.
    pub fn new(config: &SdkConfig, name: impl Into<String>, stop: CancellationToken) -> Self {
        let config = aws_sdk_dynamodb::config::Builder::from(config).retry_config(RetryConfig::disabled()).build();
        Self { client: Client::from_conf(config), name: name.into(), stop }
    }

    /// Gives up an attempt of a call after so long. A holder's calls must not take longer than its lease lasts.
    #[must_use]
    pub fn answering_within(self, limit: Duration) -> Self {
        let timeouts = self.client.config().timeout_config().map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
        let config = self.client.config().to_builder().timeout_config(timeouts.operation_attempt_timeout(limit).build()).build();
        Self { client: Client::from_conf(config), ..self }
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes sure that the table is there and usable; creates it, billed on demand, if it may.
    pub async fn ensure(&self, create: bool) -> Result<(), AwsError> {
        let deadline = tokio::time::Instant::now() + CREATION_DEADLINE;
        let mut created = false;
        loop {
            match retry(RetryPolicy::START_UP, &self.stop, || self.is_active()).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if error.failure == Failure::NotFound && create && !created => {
                    tracing::info!(table = self.name, "creating the lease table, billed on demand");
                    self.create_table().await?;
                    created = true;
                }
                // A table that was just created may not be described at once.
                Err(error) if error.failure == Failure::NotFound && created => {}
                Err(error) => return Err(error),
            }
            if tokio::time::Instant::now() > deadline {
                return Err(AwsError::of(
                    "CreateTable",
                    Failure::Unavailable,
                    format!("the lease table '{}' does not become active", self.name),
                ));
            }
            tokio::time::sleep(Duration::from_millis(if created { 250 } else { 1000 })).await;
        }
    }

    async fn is_active(&self) -> Result<bool, AwsError> {
        let described = self.client.describe_table().table_name(&self.name).send().await;
        let described = described.map_err(|error| AwsError::new("DescribeTable", &self.name, &error))?;
        let status = described.table.and_then(|table| table.table_status);
        Ok(matches!(status, Some(TableStatus::Active | TableStatus::Updating)))
    }

    async fn create_table(&self) -> Result<(), AwsError> {
        let malformed = |error: aws_sdk_dynamodb::error::BuildError| AwsError::of("CreateTable", Failure::Invalid, error.to_string());
        let definition = AttributeDefinition::builder().attribute_name("leaseKey").attribute_type(ScalarAttributeType::S).build();
        let key = KeySchemaElement::builder().attribute_name("leaseKey").key_type(KeyType::Hash).build();
        let request = self
            .client
            .create_table()
            .table_name(&self.name)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(definition.map_err(malformed)?)
            .key_schema(key.map_err(malformed)?);
        match request.send().await.map_err(|error| AwsError::new("CreateTable", &self.name, &error)) {
            // Another worker was faster: the caller waits for the table all the same.
            Err(error) if error.failure == Failure::Unavailable => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }

    /// Everything in it, read consistently, as of one moment as far as it concerns which items there are.
    ///
    /// The pages of a Scan are read one after another, so that it may find a shard's lease and not its parent's, although that was created
    /// first. When there are several pages everything is read until the same items are found twice: those are there in between.
    pub async fn read(&self) -> Result<Contents, AwsError> {
        let (mut items, pages) = self.scan().await?;
        if pages == 1 {
            return self.contents(items);
        }
        for _ in 0..MOST_LOOKS {
            let (again, _) = self.scan().await?;
            if keys(&items) == keys(&again) {
                return self.contents(again);
            }
            items = again;
        }
        let problem = format!("items come and go in the lease table '{}' faster than it can be read", self.name);
        Err(AwsError::of("Scan", Failure::Unavailable, problem))
    }

    async fn scan(&self) -> Result<(Vec<Item>, usize), AwsError> {
        let (mut items, mut pages) = (Vec::new(), 0);
        let mut start: Option<Item> = None;
        loop {
            let page = retry(RetryPolicy::SERVICE, &self.stop, || async {
                let scan = self.client.scan().table_name(&self.name).consistent_read(true).set_exclusive_start_key(start.clone());
                scan.send().await.map_err(|error| AwsError::new("Scan", &self.name, &error))
            })
            .await?;
            items.extend(page.items.unwrap_or_default());
            pages += 1;
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok((items, pages));
            }
        }
    }

    fn contents(&self, items: Vec<Item>) -> Result<Contents, AwsError> {
        let problem = |problem: String| AwsError::of("Scan", Failure::Invalid, format!("in lease table '{}': {problem}", self.name));
        let mut contents = Contents::default();
        for item in items {
            // KCL: no entityType means a lease. Types that are not ours to read are left alone.
            match item.get("entityType").and_then(|kind| kind.as_s().ok()).map(String::as_str) {
                None | Some(item::LEASE) => contents.leases.push(item::from_item(item).map_err(problem)?),
                Some(item::SEGMENT) => contents.segments.push(item::from_item(item).map_err(problem)?),
                Some(item::SNAPSHOT) => {
                    contents.snapshots.push(serde_dynamo::from_item(item).map_err(|error| problem(error.to_string()))?);
                }
                Some(item::GAP) => contents.gaps.push(serde_dynamo::from_item(item).map_err(|error| problem(error.to_string()))?),
                // Nobody's work stops for a notice that cannot be read, such as one of a kind that only a newer worker knows.
                Some(item::NOTICE) => contents.notices.extend(serde_dynamo::from_item(item)),
                Some(_) => {}
            }
        }
        Ok(contents)
    }

    /// Creates a lease that nobody holds; one that exists is left as it is.
    pub async fn create(&self, lease: &Lease) -> Result<(), AwsError> {
        let item = item::to_item(lease).map_err(|error| AwsError::of("PutItem", Failure::Invalid, error.to_string()))?;
        self.put_if_absent(item).await
    }

    async fn put_if_absent(&self, item: Item) -> Result<(), AwsError> {
        self.put_if(item, "attribute_not_exists(leaseKey)", None).await
    }

    /// Writes an item if `condition`, which `values` belong to, holds of what is there; otherwise that is left as it is.
    async fn put_if(&self, item: Item, condition: &str, values: Option<Item>) -> Result<(), AwsError> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        let put = put.condition_expression(condition).set_expression_attribute_values(values);
        let put = retry(RetryPolicy::SERVICE, &self.stop, || {
            let put = put.clone();
            async move { put.send().await.map_err(|error| AwsError::new("PutItem", &self.name, &error)) }
        });
        or_left(put.await)
    }

    /// Takes a lease for `owner`, if it still is as it was seen.
    pub async fn take(&self, seen: &Lease, owner: &str) -> Result<Write, AwsError> {
        let taken = Lease { owner: Some(owner.to_owned()), handing_over: None, counter: seen.counter + 1, ..seen.clone() };
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("leaseKey", AttributeValue::S(seen.shard.to_string()))
            .update_expression("SET leaseOwner = :owner, leaseCounter = :next REMOVE checkpointOwner ADD ownerSwitchesSinceCheckpoint :one")
            .condition_expression("leaseCounter = :seen")
            .expression_attribute_values(":owner", AttributeValue::S(owner.to_owned()))
            .expression_attribute_values(":seen", number(seen.counter))
            .expression_attribute_values(":next", number(taken.counter))
            .expression_attribute_values(":one", number(1));
        let taken_effect = |now: &Lease| now.owner == taken.owner && now.counter == taken.counter;
        match self.write(request, taken.clone(), taken_effect).await? {
            Write::Asked(_) => Ok(Write::Lost),
            written => Ok(written),
        }
    }

    /// Asks the holder of a lease to hand it over to `thief`: the holder learns it by its next write. The counter stays, so that the holder's time
    /// runs on as it did.
    pub async fn ask(&self, seen: &Lease, thief: &str) -> Result<Write, AwsError> {
        let holder = seen.owner.clone().unwrap_or_default();
        let asked = Lease { owner: Some(thief.to_owned()), handing_over: Some(holder.clone()), ..seen.clone() };
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("leaseKey", AttributeValue::S(seen.shard.to_string()))
            .update_expression("SET leaseOwner = :thief, checkpointOwner = :holder")
            .condition_expression("leaseOwner = :holder AND attribute_not_exists(checkpointOwner) AND checkpoint <> :end")
            .expression_attribute_values(":thief", AttributeValue::S(thief.to_owned()))
            .expression_attribute_values(":holder", AttributeValue::S(holder))
            .expression_attribute_values(":end", AttributeValue::S(item::checkpoint_text(Checkpoint::ShardEnd)));
        let taken_effect = |now: &Lease| now.owner == asked.owner && now.handing_over == asked.handing_over;
        self.write(request, asked.clone(), taken_effect).await
    }

    /// Writes to a lease that this process holds as `held`, if it still is the holder.
    pub async fn update(&self, held: &Lease, update: Update) -> Result<Write, AwsError> {
        let mut after = Lease { counter: held.counter + 1, ..held.clone() };
        let mut set = vec!["leaseCounter = :next"];
        let mut remove = Vec::new();
        let mut request = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("leaseKey", AttributeValue::S(held.shard.to_string()))
            .condition_expression(if held.handing_over.is_some() {
                "leaseCounter = :seen AND checkpointOwner = :holder"
            } else {
                "leaseCounter = :seen AND leaseOwner = :holder AND attribute_not_exists(checkpointOwner)"
            })
            .expression_attribute_values(":holder", AttributeValue::S(held.holder().unwrap_or_default().to_owned()))
            .expression_attribute_values(":seen", number(held.counter))
            .expression_attribute_values(":next", number(after.counter));
        if let Some(seconds) = held.durable_through {
            set.push("durableThrough = :through");
            request = request.expression_attribute_values(":through", AttributeValue::N(seconds.to_string()));
        }
        match update {
            Update::Renew => {}
            Update::Release if after.handing_over.take().is_some() => remove.push("checkpointOwner"),
            Update::Release => {
                after.owner = None;
                remove.push("leaseOwner");
            }
            Update::Checkpoint(reached) => {
                request = checkpoint(&mut after, reached, &mut set, request);
                // What is done is nobody's to finish.
                if after.checkpoint == Checkpoint::ShardEnd && after.handing_over.take().is_some() {
                    remove.push("checkpointOwner");
                }
            }
            Update::Segment(reached, progress) => {
                request = checkpoint(&mut after, reached, &mut set, request);
                set.extend(["segmentRows = :rows", "segmentHalfUnits = :units"]);
                request = request
                    .expression_attribute_values(":rows", number(progress.rows))
                    .expression_attribute_values(":units", number(progress.half_units));
                match &progress.cursor {
                    Some(cursor) => {
                        set.push("segmentCursor = :cursor");
                        request = request.expression_attribute_values(":cursor", AttributeValue::S(cursor.clone()));
                    }
                    None => remove.push("segmentCursor"),
                }
                after.segment = Some(progress);
            }
        }
        let mut expression = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            expression.push_str(" REMOVE ");
            expression.push_str(&remove.join(", "));
        }
        let request = request.update_expression(expression);
        // A request to hand it over may have come in between, and changes nothing of what was written.
        let taken_effect = |now: &Lease| now.counter == after.counter && (now.owner == after.owner || now.holder() == after.holder());
        match self.write(request, after.clone(), taken_effect).await? {
            // Refused because somebody asks for it: the holder stays the holder, by another attribute.
            Write::Asked(now) if now.holder() == held.holder() && now.counter == held.counter && held.handing_over.is_none() => {
                Ok(Write::Asked(now))
            }
            Write::Asked(_) => Ok(Write::Lost),
            written => Ok(written),
        }
    }

    /// Deletes a lease that nothing needs any more, if it still is as it was seen.
    pub async fn forget(&self, seen: &Lease) -> Result<(), AwsError> {
        self.delete(RetryPolicy::SERVICE, seen.shard.as_str(), "leaseCounter", seen.counter).await
    }

    /// Sends a conditional update. When its condition fails, an earlier attempt of ours may have taken effect without our hearing of it:
    /// `taken_effect` tells by the item as it then stands. Where it has not, and the lease is being handed over, that is told as it stands.
    async fn write(&self, request: UpdateRequest, after: Lease, taken_effect: impl Fn(&Lease) -> bool) -> Result<Write, AwsError> {
        let mut attempts = 0_u32;
        let written = retry(RetryPolicy::SERVICE, &self.stop, || {
            attempts += 1;
            let request = request.clone();
            async move { request.send().await.map_err(|error| AwsError::new("UpdateItem", &self.name, &error)) }
        })
        .await;
        match written {
            Ok(_) => Ok(Write::Done(after)),
            Err(error) if error.failure == Failure::ConditionFailed => Ok(match self.get(&after.shard).await? {
                Some(now) if attempts > 1 && taken_effect(&now) => Write::Done(now),
                Some(now) if now.handing_over.is_some() => Write::Asked(now),
                _ => Write::Lost,
            }),
            Err(error) => Err(error),
        }
    }

    /// The lease of a shard as it stands, read consistently.
    pub async fn get(&self, shard: &ShardId) -> Result<Option<Lease>, AwsError> {
        let item = self.item(RetryPolicy::SERVICE, shard.as_str()).await?;
        item.map(|item| item::from_item(item).map_err(|problem| AwsError::of("GetItem", Failure::Invalid, problem))).transpose()
    }
}

/// A conditional write whose condition does not hold leaves things as they are, which is as well.
fn or_left<T>(written: Result<T, AwsError>) -> Result<(), AwsError> {
    match written {
        Err(error) if error.failure != Failure::ConditionFailed => Err(error),
        _ => Ok(()),
    }
}

/// The keys of items.
fn keys(items: &[Item]) -> BTreeSet<Option<&str>> {
    items.iter().map(|item| item.get("leaseKey").and_then(|key| key.as_s().ok()).map(String::as_str)).collect()
}

/// Moves the checkpoint of `after`, and adds what is to be written for it.
fn checkpoint(after: &mut Lease, reached: SequenceOrEnd, set: &mut Vec<&'static str>, mut request: UpdateRequest) -> UpdateRequest {
    match reached {
        SequenceOrEnd::Sequence(sequence) => {
            after.checkpoint = Checkpoint::At(sequence);
            after.last_sequence = Some(sequence);
        }
        SequenceOrEnd::End(now) => {
            after.checkpoint = Checkpoint::ShardEnd;
            after.done_at = Some(now);
            set.push("doneAt = :done");
            request = request.expression_attribute_values(":done", AttributeValue::N(now.to_string()));
        }
    }
    set.extend(["checkpoint = :checkpoint", "checkpointSubSequenceNumber = :sub", "ownerSwitchesSinceCheckpoint = :zero"]);
    request = request
        .expression_attribute_values(":checkpoint", AttributeValue::S(item::checkpoint_text(after.checkpoint)))
        .expression_attribute_values(":sub", number(item::checkpoint_sub(after.checkpoint).into()))
        .expression_attribute_values(":zero", number(0));
    if let Some(last) = after.last_sequence {
        set.push("lastSequence = :last");
        request = request.expression_attribute_values(":last", AttributeValue::S(last.to_string()));
    }
    request
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
