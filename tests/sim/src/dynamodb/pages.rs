//! Query and Scan: pages of items in order of their keys.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds as _};

use serde::Deserialize;
use serde_json::json;

use super::Tables;
use super::expression::{Condition, KeyCondition, Path, Placeholders, SortRange};
use super::key::{ItemKey, KeyValue};
use super::legacy::{self, ConditionalOperator, Expected};
use super::request::{self, ReturnCapacity, Wanted, mixed, read_units, view};
use super::table::{Stored, Table};
use crate::call::{Answer, ApiError, Call, answer};
use crate::item::Item;
use crate::journal::Event;

/// How much a page reads at most before it is filtered, in bytes.
const PAGE: usize = 1024 * 1024;
/// The most segments of a parallel scan.
const SEGMENTS: u64 = 1_000_000;

/// The members of Query and Scan.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PageRequest {
    table_name: String,
    index_name: Option<String>,
    key_condition_expression: Option<String>,
    key_conditions: Option<BTreeMap<String, Expected>>,
    filter_expression: Option<String>,
    #[serde(alias = "ScanFilter")]
    query_filter: Option<BTreeMap<String, Expected>>,
    conditional_operator: Option<ConditionalOperator>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<Item>,
    #[serde(flatten)]
    wanted: Wanted,
    select: Option<Select>,
    scan_index_forward: Option<bool>,
    exclusive_start_key: Option<Item>,
    limit: Option<i64>,
    segment: Option<i64>,
    total_segments: Option<i64>,
    #[serde(default)]
    consistent_read: bool,
    #[serde(default)]
    return_consumed_capacity: ReturnCapacity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Select {
    AllAttributes,
    AllProjectedAttributes,
    SpecificAttributes,
    Count,
}

/// What a page is made of.
struct Selection {
    filter: Option<Condition>,
    paths: Option<Vec<Path>>,
    limit: usize,
    start: Option<ItemKey>,
}

impl PageRequest {
    /// Reads the expressions: the query's key condition, and what both kinds of pages share.
    fn selection(&mut self, table: &Table, is_query: bool) -> Result<(Option<Condition>, Selection), ApiError> {
        if let Some(index) = &self.index_name {
            return Err(ApiError::validation(format!("The table does not have the specified index: {index}")));
        }
        let new = [self.key_condition_expression.is_some(), self.filter_expression.is_some(), self.wanted.projection_expression.is_some()];
        if self.filter_expression.is_some() && self.query_filter.is_some() {
            return Err(mixed(if is_query { "QueryFilter" } else { "ScanFilter" }, "FilterExpression"));
        }
        if self.key_condition_expression.is_some() && self.key_conditions.is_some() {
            return Err(mixed("KeyConditions", "KeyConditionExpression"));
        }
        if self.conditional_operator.is_some() && self.query_filter.is_none() {
            return Err(ApiError::validation("ConditionalOperator cannot be used without Filter or Expected"));
        }
        let (names, values) = (self.expression_attribute_names.take(), self.expression_attribute_values.take());
        let mut placeholders = Placeholders::new(names, values, new.contains(&true))?;
        let keys = match (&self.key_condition_expression, self.key_conditions.take()) {
            (Some(text), _) => Some(placeholders.key_condition(text)?),
            (None, conditions) => legacy::condition(conditions.unwrap_or_default(), ConditionalOperator::And)?,
        };
        let filter = match (&self.filter_expression, self.query_filter.take()) {
            (Some(text), _) => Some(placeholders.filter(text)?),
            (None, conditions) => legacy::condition(conditions.unwrap_or_default(), self.conditional_operator.unwrap_or_default())?,
        };
        let paths = self.wanted.paths(&mut placeholders)?;
        placeholders.all_used()?;
        self.check_select()?;
        let on_key = |filter: &Condition| filter.paths().iter().find(|path| table.keys.contain(path.attribute())).map(ToString::to_string);
        if let Some(key) = filter.as_ref().filter(|_| is_query).and_then(on_key) {
            let rule = "Filter Expression can only contain non-primary key attributes: Primary key attribute";
            return Err(ApiError::validation(format!("{rule}: {}", key.trim_matches(['[', ']']))));
        }
        let limit = match self.limit {
            None => usize::MAX,
            Some(limit) => usize::try_from(limit).ok().filter(|limit| *limit > 0).ok_or_else(|| {
                let rule = "failed to satisfy constraint: Member must have value greater than or equal to 1";
                ApiError::validation(format!("1 validation error detected: Value '{limit}' at 'limit' {rule}"))
            })?,
        };
        let start = self.exclusive_start_key.as_mut().map(|key| {
            request::check(key)?;
            table.keys.place_key(key).map_err(|_| {
                ApiError::validation("The provided starting key is invalid: The provided key element does not match the schema")
            })
        });
        Ok((keys, Selection { filter, paths, limit, start: start.transpose()? }))
    }

    fn check_select(&self) -> Result<(), ApiError> {
        let given = match (&self.wanted.projection_expression, &self.wanted.attributes_to_get) {
            (Some(_), _) => Some("ProjectionExpression"),
            (None, given) => given.as_ref().map(|_| "AttributesToGet"),
        };
        let what = match (self.select, given) {
            (Some(Select::AllProjectedAttributes), _) => "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
            (Some(Select::SpecificAttributes), None) => {
                "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
            }
            (Some(Select::Count), Some(given)) => {
                return Err(ApiError::validation(format!("Cannot specify the {given} when choosing to get only the Count")));
            }
            (Some(Select::AllAttributes), Some(given)) => {
                return Err(ApiError::validation(format!("Cannot specify the {given} when choosing to get ALL_ATTRIBUTES")));
            }
            _ => return Ok(()),
        };
        Err(ApiError::validation(what))
    }

    /// The hashes of the segment that is to be scanned: from the first on, up to the second.
    fn segment(&self) -> Result<(u64, Option<u64>), ApiError> {
        let out_of_range = |value: i64, name: &str, rule: String| {
            Err(ApiError::validation(format!(
                "1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: Member must have value {rule}"
            )))
        };
        let (segment, total) = match (self.segment, self.total_segments) {
            (None, None) => return Ok((0, None)),
            (Some(segment), Some(total)) => (segment, total),
            (None, Some(_)) => {
                return Err(ApiError::validation(
                    "The Segment parameter is required but was not present in the request when parameter TotalSegments is present",
                ));
            }
            (Some(_), None) => {
                return Err(ApiError::validation(
                    "The TotalSegments parameter is required but was not present in the request when Segment parameter is present",
                ));
            }
        };
        let Some(segments) = u64::try_from(total).ok().filter(|total| (1..=SEGMENTS).contains(total)) else {
            return out_of_range(total, "totalSegments", format!("between 1 and {SEGMENTS}"));
        };
        match u64::try_from(segment) {
            Ok(segment) if segment < segments => {
                Ok((first_of(segment, segments), Some(segment + 1).filter(|next| *next < segments).map(|next| first_of(next, segments))))
            }
            Ok(_) => Err(ApiError::validation(format!(
                "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: {segment} is not less than TotalSegments: {total}"
            ))),
            Err(_) => out_of_range(segment, "segment", "greater than or equal to 0".to_owned()),
        }
    }

    /// The page, from the items that are to be read in their order.
    fn page<'a>(
        &self,
        call: &Call<'_>,
        table: &Table,
        selection: &Selection,
        items: impl Iterator<Item = (&'a ItemKey, &'a Stored)>,
    ) -> Answer {
        // A service may end a page before it has to; never before its first item.
        let short = call.quirks.short_page.map_or(usize::MAX, |most| most.max(1));
        let (mut count, mut scanned, mut read, mut found, mut last) = (0, 0, 0, Vec::new(), None);
        let mut items = items.peekable();
        while let Some((_, stored)) = items.next() {
            scanned += 1;
            read += stored.size;
            if selection.filter.as_ref().is_none_or(|filter| filter.holds(&stored.item)) {
                count += 1;
                if self.select != Some(Select::Count) {
                    found.push(view(&stored.item, selection.paths.as_deref()));
                }
            }
            // A page that stops at its limit does not look whether anything follows.
            if scanned == selection.limit || (read > PAGE || scanned == short) && items.peek().is_some() {
                if scanned == short && scanned < selection.limit {
                    call.quirks.bite("short_page");
                }
                last = Some(table.keys.of(&stored.item));
                break;
            }
        }
        // The lease tables, which have no streams, are scanned all the time.
        if call.operation == "Scan" && table.stream.is_some() {
            let segment = self.segment.zip(self.total_segments);
            call.record(Event::Scanned { table: table.name.clone(), segment, items: scanned, end: last.is_none() });
        }
        let mut output = json!({ "Count": count, "ScannedCount": scanned });
        if self.select != Some(Select::Count) {
            output["Items"] = json!(found);
        }
        if let Some(last) = last {
            output["LastEvaluatedKey"] = json!(last);
        }
        if let Some(consumed) = self.return_consumed_capacity.consumed(&table.name, read_units(read, self.consistent_read)) {
            output["ConsumedCapacity"] = consumed;
        }
        answer(&output)
    }
}

/// The first hash of a segment.
fn first_of(segment: u64, segments: u64) -> u64 {
    // The segments divide the 2^64 hashes evenly; the quotient is below 2^64 because the segment is one of them.
    let first = (u128::from(segment) << u64::BITS).div_ceil(u128::from(segments));
    u64::try_from(first).unwrap_or(u64::MAX)
}

/// Nothing lies between bounds that cross; `BTreeMap` panics over them.
fn is_empty(bounds: &(Bound<ItemKey>, Bound<ItemKey>)) -> bool {
    match bounds {
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => low >= high,
        _ => false,
    }
}

impl Tables {
    /// Query.
    pub(super) fn query(&mut self, call: &Call<'_>) -> Answer {
        let mut request: PageRequest = request::read(call)?;
        let table = self.active(&request.table_name, call.now)?;
        let (keys, selection) = request.selection(table, true)?;
        let missing = "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.";
        let KeyCondition { partition, sort } = KeyCondition::new(keys.ok_or_else(|| ApiError::validation(missing))?, &table.keys)?;
        let (bounds, prefix) = match sort {
            SortRange::Between(low, high) => (ItemKey::range(&partition, low, high), None),
            SortRange::Prefix(prefix) => (ItemKey::range(&partition, Bound::Included(prefix.clone()), Bound::Unbounded), Some(prefix)),
        };
        let matches = |key: &ItemKey| {
            let begins = |prefix: &KeyValue| key.sort().is_some_and(|sort| sort.starts_with(prefix));
            prefix.as_ref().is_none_or(begins)
        };
        let forward = request.scan_index_forward.unwrap_or(true);
        let mut rest = bounds.clone();
        if let Some(start) = &selection.start {
            let partition = ItemKey::range(&partition, Bound::Unbounded, Bound::Unbounded);
            if !partition.contains(start) {
                return Err(ApiError::validation("The provided starting key is outside query boundaries based on provided conditions"));
            }
            if !bounds.contains(start) || !matches(start) {
                return Err(ApiError::validation("The provided starting key does not match the range key predicate"));
            }
            *(if forward { &mut rest.0 } else { &mut rest.1 }) = Bound::Excluded(start.clone());
        }
        if is_empty(&rest) {
            return request.page(call, table, &selection, std::iter::empty());
        }
        let range = table.seen_by(call, request.consistent_read).range(rest);
        if forward {
            request.page(call, table, &selection, range.take_while(|(key, _)| matches(key)))
        } else {
            request.page(call, table, &selection, range.rev().skip_while(|(key, _)| !matches(key)).take_while(|(key, _)| matches(key)))
        }
    }

    /// Scan.
    pub(super) fn scan(&mut self, call: &Call<'_>) -> Answer {
        let mut request: PageRequest = request::read(call)?;
        let table = self.active(&request.table_name, call.now)?;
        let (_, selection) = request.selection(table, false)?;
        let (first, end) = request.segment()?;
        let end = end.map_or(Bound::Unbounded, |end| Bound::Excluded(ItemKey::before_hash(end)));
        let bounds = match &selection.start {
            None => (Bound::Included(ItemKey::before_hash(first)), end),
            Some(start) if start.hash >= first && !matches!(&end, Bound::Excluded(end) if start >= end) => {
                (Bound::Excluded(start.clone()), end)
            }
            Some(_) => {
                let rule = "Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment";
                return Err(ApiError::validation(format!(
                    "The provided starting key is invalid: {rule}. TotalSegments: {} Segment: {}",
                    request.total_segments.unwrap_or(1),
                    request.segment.unwrap_or(0)
                )));
            }
        };
        if is_empty(&bounds) {
            return request.page(call, table, &selection, std::iter::empty());
        }
        request.page(call, table, &selection, table.seen_by(call, request.consistent_read).range(bounds))
    }
}
