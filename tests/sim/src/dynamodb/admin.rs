//! CreateTable, DescribeTable, ListTables, UpdateTable, DeleteTable.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Tables;
use super::key::{AttributeDefinition, KeyElement, KeySchema};
use super::past::Past;
use super::request;
use super::table::{Capacity, Effects, Table, name_in};
use crate::call::{Answer, ApiError, Call, answer};
use crate::streams::{Streams, ViewType};

/// The most tables that one page of ListTables names.
const MOST_NAMES: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateRequest {
    table_name: String,
    attribute_definitions: Vec<AttributeDefinition>,
    key_schema: Vec<KeyElement>,
    #[serde(flatten)]
    settings: Settings,
    local_secondary_indexes: Option<Vec<Value>>,
    global_secondary_indexes: Option<Vec<Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateRequest {
    table_name: String,
    #[serde(flatten)]
    settings: Settings,
    global_secondary_index_updates: Option<Vec<Value>>,
}

/// What can be set when a table is created and later on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Settings {
    billing_mode: Option<BillingMode>,
    provisioned_throughput: Option<Throughput>,
    stream_specification: Option<StreamSpecification>,
    deletion_protection_enabled: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum BillingMode {
    Provisioned,
    PayPerRequest,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Throughput {
    read_capacity_units: u64,
    write_capacity_units: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StreamSpecification {
    stream_enabled: bool,
    stream_view_type: Option<ViewType>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NamedRequest {
    pub(super) table_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListRequest {
    exclusive_start_table_name: Option<String>,
    limit: Option<i64>,
}

impl Settings {
    /// How the table is paid for; `None` to leave it as it is.
    fn capacity(&self) -> Result<Option<Capacity>, ApiError> {
        match (self.billing_mode, self.provisioned_throughput) {
            (None, None) => Ok(None),
            (Some(BillingMode::PayPerRequest), None) => Ok(Some(Capacity::OnDemand)),
            (Some(BillingMode::PayPerRequest), Some(_)) => {
                Err(invalid("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"))
            }
            (Some(BillingMode::Provisioned), None) => {
                Err(invalid("ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"))
            }
            (_, Some(Throughput { read_capacity_units: read, write_capacity_units: write })) if read > 0 && write > 0 => {
                Ok(Some(Capacity::Provisioned { read, write }))
            }
            (_, Some(_)) => Err(invalid("ReadCapacityUnits and WriteCapacityUnits must be greater than or equal to 1")),
        }
    }
}

impl StreamSpecification {
    /// The view of a stream that is to be enabled; `None` for one that is to be disabled.
    fn view(&self) -> Result<Option<ViewType>, ApiError> {
        match (self.stream_enabled, self.stream_view_type) {
            (true, Some(view)) => Ok(Some(view)),
            (false, None) => Ok(None),
            (true, None) => Err(invalid("Stream StreamViewType is required when StreamEnabled is true")),
            (false, Some(_)) => Err(invalid("Stream StreamViewType cannot be specified when StreamEnabled is false")),
        }
    }
}

fn invalid(what: &str) -> ApiError {
    ApiError::validation(format!("One or more parameter values were invalid: {what}"))
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let valid = (3..=255).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if valid {
        return Ok(());
    }
    let rule = "Table/index names must be between 3 and 255 characters long, and may contain only the characters";
    Err(ApiError::validation(format!("Invalid table/index name.  {rule} a-z, A-Z, 0-9, '_', '-', and '.'")))
}

fn no_indexes(given: Option<&Vec<Value>>) -> Result<(), ApiError> {
    match given {
        Some(indexes) if !indexes.is_empty() => Err(ApiError::validation("The simulator has no secondary indexes")),
        _ => Ok(()),
    }
}

impl Tables {
    /// CreateTable.
    pub(super) fn create_table(&mut self, streams: &mut Streams, call: &Call<'_>) -> Answer {
        let request: CreateRequest = request::read(call)?;
        check_name(&request.table_name)?;
        no_indexes(request.local_secondary_indexes.as_ref())?;
        no_indexes(request.global_secondary_indexes.as_ref())?;
        let keys = KeySchema::new(&request.key_schema, &request.attribute_definitions)?;
        let no_capacity = "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED";
        let capacity = request.settings.capacity()?.ok_or_else(|| invalid(no_capacity))?;
        let view = request.settings.stream_specification.map(|stream| stream.view()).transpose()?.flatten();
        if self.by_name.contains_key(&request.table_name) {
            return Err(ApiError::new("ResourceInUseException", format!("Table already exists: {}", request.table_name)));
        }
        let mut table = Table {
            name: request.table_name.clone(),
            keys,
            elements: request.key_schema,
            definitions: request.attribute_definitions,
            created: call.now,
            active_from: call.now.saturating_add(self.creation),
            capacity,
            protected: request.settings.deletion_protection_enabled.unwrap_or(false),
            stream: None,
            time_to_live: None,
            items: BTreeMap::new(),
            bytes: 0,
            past: Past::default(),
        };
        if let Some(view) = view {
            table.enable_stream(view, self.partitions, &mut effects(streams, call))?;
        }
        // The answer shows the table as it is being created, even where the next call finds it ready.
        let output = json!({ "TableDescription": table.description("CREATING") });
        self.by_name.insert(request.table_name, table);
        answer(&output)
    }

    /// DescribeTable.
    pub(super) fn describe_table(&mut self, call: &Call<'_>) -> Answer {
        let request: NamedRequest = request::read(call)?;
        let table = self.existing(&request.table_name)?;
        answer(&json!({ "Table": table.description(table.status(call.now)) }))
    }

    /// ListTables.
    pub(super) fn list_tables(&self, call: &Call<'_>) -> Answer {
        let request: ListRequest = request::read(call)?;
        let limit = match request.limit.map(usize::try_from) {
            None => MOST_NAMES,
            Some(Ok(limit)) if (1..=MOST_NAMES).contains(&limit) => limit,
            Some(_) => {
                let rule = format!("failed to satisfy constraint: Member must have value between 1 and {MOST_NAMES}");
                return Err(ApiError::validation(format!("1 validation error detected: Value at 'limit' {rule}")));
            }
        };
        let start = request.exclusive_start_table_name.map_or(Bound::Unbounded, Bound::Excluded);
        let mut names = self.by_name.range::<String, _>((start, Bound::Unbounded)).map(|(name, _)| name);
        let page: Vec<&String> = names.by_ref().take(limit).collect();
        let mut output = json!({ "TableNames": page });
        if names.next().is_some() {
            output["LastEvaluatedTableName"] = json!(page.last());
        }
        answer(&output)
    }

    /// UpdateTable: how it is paid for, its stream, its protection.
    pub(super) fn update_table(&mut self, streams: &mut Streams, call: &Call<'_>) -> Answer {
        let UpdateRequest { table_name, settings, global_secondary_index_updates } = request::read(call)?;
        no_indexes(global_secondary_index_updates.as_ref())?;
        let partitions = self.partitions;
        let capacity = settings.capacity()?;
        let table = self.existing(&table_name)?;
        check_idle(table, call.now)?;
        if capacity.is_none() && settings.stream_specification.is_none() && settings.deletion_protection_enabled.is_none() {
            let rule = "At least one of ProvisionedThroughput, BillingMode, StreamSpecification or DeletionProtectionEnabled is required";
            return Err(ApiError::validation(rule));
        }
        if let Some(specification) = settings.stream_specification {
            let effects = &mut effects(streams, call);
            match specification.view()? {
                Some(view) => table.enable_stream(view, partitions, effects)?,
                None => table.disable_stream(effects)?,
            }
        }
        table.capacity = capacity.unwrap_or(table.capacity);
        table.protected = settings.deletion_protection_enabled.unwrap_or(table.protected);
        answer(&json!({ "TableDescription": table.description("UPDATING") }))
    }

    /// DeleteTable: its items go without a change being recorded, its stream is disabled.
    pub(super) fn delete_table(&mut self, streams: &mut Streams, call: &Call<'_>) -> Answer {
        let request: NamedRequest = request::read(call)?;
        let table = self.existing(&request.table_name)?;
        check_idle(table, call.now)?;
        if table.protected {
            let rule = "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.";
            return Err(ApiError::validation(rule));
        }
        if table.stream.as_ref().is_some_and(|stream| stream.enabled) {
            table.disable_stream(&mut effects(streams, call))?;
        }
        let output = json!({ "TableDescription": table.description("DELETING") });
        self.by_name.remove(name_in(&request.table_name));
        answer(&output)
    }
}

fn effects<'a>(streams: &'a mut Streams, call: &Call<'a>) -> Effects<'a> {
    Effects { streams, journal: call.journal, now: call.now, worker: call.worker }
}

fn check_idle(table: &Table, now: i64) -> Result<(), ApiError> {
    if table.status(now) == "ACTIVE" {
        return Ok(());
    }
    let what = "Attempt to change a resource which is still in use: Table is being created";
    Err(ApiError::new("ResourceInUseException", format!("{what}: {}", table.name)))
}
