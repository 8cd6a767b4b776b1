//! A table of any length, scanned as fast as a client can read it.
//!
//! The items are sales orders as they are when they are placed. Like the records of the stream they are rendered once for a lot, and a page is
//! copied from there with the number of the lot written over; so serving a page costs little more than its bytes. The table lies in the order of its
//! items' numbers, and a segment is a stretch of them: clients take the order of a scan as it comes.

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::digits::{digits, number};
use super::order::{LOT, Profile, image};
use super::plan::{History, LOT_DIGITS, LOT_ITEMS};
use crate::call::{Answer, ApiError, Intercept};
use crate::item::size;

/// As many as there are numbers for.
const MOST_ROWS: usize = 10_usize.pow(10);
/// How much a page reads at most, in bytes of items.
const PAGE: usize = 1024 * 1024;
/// Bytes of a read capacity unit.
const UNIT: usize = 4096;
/// Every item is at its first version of many.
const HISTORY: History = History { length: 5, life: 5 };
/// What every key begins with; ten digits follow.
const KEY: &str = "ord-";
const KEY_DIGITS: usize = 10;

/// The rows of one table, which answers its Scan in the models' stead. All other calls are left to them, DescribeTable among them.
#[derive(Debug)]
pub struct Rows {
    table: String,
    count: usize,
    /// The items of a lot as JSON, each with a comma behind it.
    json: Vec<u8>,
    /// Where each item of a lot begins in it, and at last where the lot ends.
    begins: Vec<usize>,
    /// Where the number of the lot goes.
    lots: Vec<usize>,
    /// The size of the items before each one of a lot by DynamoDB's rules, and at last of all.
    sizes: Vec<usize>,
    figures: Mutex<Scanned>,
}

/// What was scanned so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Pages that were served.
    pub pages: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of their JSON.
    pub bytes: u64,
    /// Half read capacity units.
    pub half_units: u64,
    begun: Option<Instant>,
    ended: Option<Instant>,
}

impl Scanned {
    /// The time from the first page to the last one.
    pub fn took(&self) -> Option<Duration> {
        Some(self.ended?.saturating_duration_since(self.begun?))
    }
}

/// There cannot be so many rows, or there would be none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} rows: 1 to {MOST_ROWS} are possible")]
pub struct InvalidRows(usize);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Scan<'a> {
    #[serde(borrow)]
    table_name: Cow<'a, str>,
    segment: Option<usize>,
    total_segments: Option<usize>,
    #[serde(borrow)]
    exclusive_start_key: Option<StartKey<'a>>,
    limit: Option<usize>,
    #[serde(default)]
    consistent_read: bool,
    #[serde(borrow)]
    return_consumed_capacity: Option<Cow<'a, str>>,
    filter_expression: Option<IgnoredAny>,
    projection_expression: Option<IgnoredAny>,
    select: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct StartKey<'a> {
    #[serde(borrow)]
    order_id: Text<'a>,
}

#[derive(Debug, Deserialize)]
struct Text<'a> {
    #[serde(rename = "S", borrow)]
    text: Cow<'a, str>,
}

impl Rows {
    /// A table with so many rows, drawn from a seed.
    pub fn new(table: &str, rows: usize, profile: Profile, seed: u64) -> Result<Self, InvalidRows> {
        if !(1..=MOST_ROWS).contains(&rows) {
            return Err(InvalidRows(rows));
        }
        let (mut json, mut begins, mut sizes) = (Vec::new(), vec![0], vec![0]);
        for item in 0..LOT_ITEMS.min(rows) {
            let image = image(seed, profile, HISTORY, item, 1);
            // Texts and numbers always have a JSON.
            json.extend_from_slice(serde_json::to_string(&image).unwrap_or_default().as_bytes());
            json.push(b',');
            begins.push(json.len());
            sizes.push(sizes[item] + size::item(&image));
        }
        let lots = memmem::find_iter(&json, LOT).collect();
        Ok(Self { table: table.to_owned(), count: rows, json, begins, lots, sizes, figures: Mutex::default() })
    }

    /// What was scanned so far.
    pub fn scanned(&self) -> Scanned {
        *self.figures()
    }

    /// Forgets what was scanned, for the next client.
    pub fn clear(&self) {
        *self.figures() = Scanned::default();
    }

    fn figures(&self) -> MutexGuard<'_, Scanned> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn scan(&self, request: &Scan<'_>) -> Result<Bytes, ApiError> {
        if request.filter_expression.is_some() || request.projection_expression.is_some() || request.select.is_some() {
            return Err(ApiError::validation("The load has whole items, and all of them"));
        }
        let (from, end) = self.stretch(request)?;
        let room = end.min(from.saturating_add(request.limit.unwrap_or(usize::MAX)));
        // The item that goes beyond the page's size is its last.
        let to = from + partition_point(room - from, |count| self.size(from, from + count) <= PAGE);
        let is_last = to == end && Some(to - from) != request.limit;
        let bytes = self.size(from, to);
        let half_units = bytes.div_ceil(UNIT).max(1) * if request.consistent_read { 2 } else { 1 };
        let asked = request.return_consumed_capacity.as_deref();
        let json = self.page(from, to, is_last, asked.is_some_and(|asked| asked != "NONE").then_some(half_units));
        let now = Instant::now();
        let mut figures = self.figures();
        figures.pages += 1;
        figures.rows += (to - from) as u64;
        figures.bytes += json.len() as u64;
        figures.half_units += half_units as u64;
        figures.begun.get_or_insert(now);
        figures.ended = Some(now);
        Ok(json)
    }

    /// The rows that are asked for, but for the page's limits.
    fn stretch(&self, request: &Scan<'_>) -> Result<(usize, usize), ApiError> {
        let (segment, segments) = match (request.segment, request.total_segments) {
            (None, None) => (0, 1),
            (Some(segment), Some(segments)) if segment < segments => (segment, segments),
            _ => return Err(ApiError::validation("Segment has to be less than TotalSegments, and neither can be given alone")),
        };
        if request.limit == Some(0) {
            return Err(ApiError::validation("Limit has to be at least 1"));
        }
        let first = |segment: usize| self.count * segment / segments;
        let (begin, end) = (first(segment), first(segment + 1));
        let Some(key) = &request.exclusive_start_key else { return Ok((begin, end)) };
        let after = key.order_id.text.strip_prefix(KEY).filter(|digits| digits.len() == KEY_DIGITS);
        match after.and_then(|digits| number(digits.as_bytes())).filter(|after| (begin..end).contains(after)) {
            Some(after) => Ok((after + 1, end)),
            None => Err(ApiError::validation(format!(
                "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: {segments} Segment: {segment}"
            ))),
        }
    }

    fn page(&self, from: usize, to: usize, is_last: bool, half_units: Option<usize>) -> Bytes {
        // Without growing, the buffer becomes the answer as it is.
        let items: usize = parts(from, to).map(|(_, begin, end)| self.begins[end] - self.begins[begin]).sum();
        let mut json = Vec::with_capacity(items + self.table.len() + 256);
        json.extend_from_slice(format!(r#"{{"Count":{0},"ScannedCount":{0},"Items":["#, to - from).as_bytes());
        for (lot, begin, end) in parts(from, to) {
            let (begin, end) = (self.begins[begin], self.begins[end]);
            let at = json.len();
            json.extend_from_slice(&self.json[begin..end]);
            let (page, lot) = (&mut json[at..], digits::<LOT_DIGITS>(lot));
            let first = self.lots.partition_point(|place| *place < begin);
            for place in self.lots[first..].iter().take_while(|place| **place < end) {
                page[place - begin..][..LOT_DIGITS].copy_from_slice(&lot);
            }
        }
        if json.last() == Some(&b',') {
            json.pop();
        }
        json.push(b']');
        if !is_last {
            json.extend_from_slice(format!(r#","LastEvaluatedKey":{{"order_id":{{"S":"{KEY}{:010}"}}}}"#, to - 1).as_bytes());
        }
        if let Some(half_units) = half_units {
            let (units, half) = (half_units / 2, half_units % 2 * 5);
            let consumed = format!(r#","ConsumedCapacity":{{"TableName":"{}","CapacityUnits":{units}.{half}}}"#, self.table);
            json.extend_from_slice(consumed.as_bytes());
        }
        json.push(b'}');
        json.into()
    }

    /// The size of rows, by DynamoDB's rules.
    fn size(&self, from: usize, to: usize) -> usize {
        let of_lot = self.sizes[self.sizes.len() - 1];
        let before = |row: usize| row / LOT_ITEMS * of_lot + self.sizes[row % LOT_ITEMS];
        before(to) - before(from)
    }
}

impl Intercept for Rows {
    fn intercept(&self, target: &str, _: &str, body: &Bytes) -> Option<Answer> {
        if target != "DynamoDB_20120810.Scan" {
            return None;
        }
        let request: Scan<'_> = serde_json::from_slice(body).ok()?;
        (request.table_name == self.table).then(|| self.scan(&request))
    }
}

/// The lots of a stretch of rows, each with the first of its items and the one behind the last.
fn parts(from: usize, to: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (from / LOT_ITEMS..to.div_ceil(LOT_ITEMS)).map(move |lot| {
        let first = lot * LOT_ITEMS;
        (lot, from.saturating_sub(first), (to - first).min(LOT_ITEMS))
    })
}

/// How many of `most` pass, and one more that does not, if there is one: `fits` tells of a number of them.
fn partition_point(most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = usize::midpoint(low, high);
        if fits(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;

    fn ask(rows: &Rows, mut request: Value) -> Result<Value, ApiError> {
        request["TableName"] = json!("orders");
        let answer = rows.intercept("DynamoDB_20120810.Scan", "w", &request.to_string().into()).unwrap();
        answer.map(|json| serde_json::from_slice(&json).unwrap())
    }

    /// The items of all pages of a segment.
    fn segment(rows: &Rows, request: &Value) -> Vec<Value> {
        let (mut request, mut items) = (request.clone(), Vec::new());
        loop {
            let mut page = ask(rows, request.clone()).unwrap();
            let of_page = page["Items"].as_array().unwrap();
            assert_eq!((page["Count"].as_u64(), &page["ScannedCount"]), (Some(of_page.len() as u64), &page["Count"]));
            items.extend(of_page.iter().cloned());
            if page.get("LastEvaluatedKey").is_none() {
                return items;
            }
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"].take();
        }
    }

    #[test]
    fn every_row_is_in_one_segment_once() {
        for count in [1, 999, 1_000, 1_001, 4_321] {
            let rows = Rows::new("orders", count, Profile::Lean, 1).unwrap();
            for (segments, limit) in [(1, 10_000), (3, 7), (8, 1_000)] {
                let mut keys = BTreeSet::new();
                for number in 0..segments {
                    let request = json!({ "Segment": number, "TotalSegments": segments, "Limit": limit });
                    for item in segment(&rows, &request) {
                        let key = item["order_id"]["S"].as_str().unwrap().to_owned();
                        let digits = key.strip_prefix("ord-").unwrap();
                        assert!(item["trail"]["S"].as_str().unwrap().starts_with(&format!("hw~{digits}~000001~")));
                        assert!(keys.insert(key));
                    }
                }
                assert_eq!(keys.len(), count);
                assert_eq!(keys.last().unwrap(), &format!("ord-{:010}", count - 1));
            }
        }
    }

    #[test]
    fn a_page_has_a_megabyte_and_tells_what_it_cost() {
        let rows = Rows::new("orders", 10_000, Profile::Order, 1).unwrap();
        let page = ask(&rows, json!({ "ReturnConsumedCapacity": "TOTAL" })).unwrap();
        let size = |items: &[Value]| items.iter().map(|item| size::item(&serde_json::from_value(item.clone()).unwrap())).sum::<usize>();
        let items = page["Items"].as_array().unwrap();
        let bytes = size(items);
        assert!(bytes > PAGE && size(&items[1..]) <= PAGE && items.len() > 1_000, "{bytes} bytes in {} items", items.len());
        assert_eq!(page["ConsumedCapacity"]["CapacityUnits"], json!(128.5));
        let consistent = json!({ "ReturnConsumedCapacity": "TOTAL", "ConsistentRead": true });
        assert_eq!(ask(&rows, consistent).unwrap()["ConsumedCapacity"]["CapacityUnits"], json!(257.0));
        let scanned = rows.scanned();
        assert_eq!((scanned.pages, scanned.rows, scanned.half_units), (2, 2 * items.len() as u64, 257 + 514));
        assert!(scanned.took().is_some());
        rows.clear();
        assert_eq!(rows.scanned(), Scanned::default());
    }

    #[test]
    fn a_page_at_its_limit_goes_on_though_nothing_is_left() {
        let rows = Rows::new("orders", 10, Profile::Lean, 1).unwrap();
        let key = json!({ "order_id": { "S": "ord-0000000009" } });
        let full = ask(&rows, json!({ "Limit": 10 })).unwrap();
        assert_eq!((&full["Count"], &full["LastEvaluatedKey"]), (&json!(10), &key));
        assert_eq!(
            ask(&rows, json!({ "Limit": 10, "ExclusiveStartKey": key })).unwrap(),
            json!({ "Count": 0, "ScannedCount": 0, "Items": [] })
        );
        assert_eq!(ask(&rows, json!({ "Limit": 11 })).unwrap().get("LastEvaluatedKey"), None);
    }

    #[test]
    fn what_is_wrong_is_refused_and_what_is_not_ours_is_left_alone() {
        let rows = Rows::new("orders", 10, Profile::Lean, 1).unwrap();
        let behind = |number: usize| json!({ "order_id": { "S": format!("ord-{number:010}") } });
        for request in [
            json!({ "Segment": 0, "TotalSegments": 2, "ExclusiveStartKey": behind(5) }),
            json!({ "Segment": 1, "TotalSegments": 2, "ExclusiveStartKey": behind(4) }),
            json!({ "ExclusiveStartKey": behind(10) }),
            json!({ "ExclusiveStartKey": { "order_id": { "S": "another" } } }),
            json!({ "Segment": 2, "TotalSegments": 2 }),
            json!({ "Segment": 0 }),
            json!({ "Limit": 0 }),
            json!({ "FilterExpression": "attribute_exists(quantity)" }),
        ] {
            assert_eq!(ask(&rows, request.clone()).unwrap_err().code, "ValidationException", "{request}");
        }
        for (target, body) in
            [("DynamoDB_20120810.Scan", r#"{"TableName":"leases"}"#), ("DynamoDB_20120810.Query", r#"{"TableName":"orders"}"#)]
        {
            assert!(rows.intercept(target, "w", &body.into()).is_none());
        }
        assert_eq!(Rows::new("orders", 0, Profile::Lean, 1).unwrap_err(), InvalidRows(0));
    }
}
