//! Bodies of Scan and Query into rows, in one streaming pass.
//!
//! As with GetRecords, the fast pass reads the whole page at once and borrows from it; only when it fails, a second one takes the items apart one by
//! one, so that one which cannot be decoded becomes poison and its neighbours do not suffer.

use std::borrow::Cow;
use std::sync::OnceLock;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::source::{Cursor, Row, RowPage, SourceError};
use crate::event::{Item, fault, item_from_json};

/// A response of Scan or Query.
pub(super) struct ItemsPage {
    operation: &'static str,
    body: Bytes,
    rest: OnceLock<Rest>,
}

/// What a response says beside its items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rest {
    next: Option<Cursor>,
    half_units: u64,
}

#[derive(Deserialize)]
struct Body<'a, I> {
    #[serde(rename = "Items")]
    items: I,
    #[serde(borrow, rename = "LastEvaluatedKey", default)]
    last: Option<&'a RawValue>,
    #[serde(rename = "ConsumedCapacity", default)]
    consumed: Option<Consumed>,
}

/// Items that are decoded at once.
#[derive(Deserialize)]
#[serde(transparent)]
struct Decoded<'a>(#[serde(borrow)] Vec<Item<'a>>);

/// Items that are only told apart.
#[derive(Deserialize)]
#[serde(transparent)]
struct Apart<'a>(#[serde(borrow)] Vec<&'a RawValue>);

#[derive(Deserialize)]
struct Consumed {
    #[serde(rename = "CapacityUnits", default)]
    units: f64,
}

impl ItemsPage {
    pub(super) fn new(operation: &'static str, body: Bytes) -> Self {
        Self { operation, body, rest: OnceLock::new() }
    }

    fn text(&self) -> Result<&str, SourceError> {
        std::str::from_utf8(&self.body).map_err(|error| self.unreadable(&error.to_string()))
    }

    /// Nothing was consumed: reading the page again may help.
    fn unreadable(&self, problem: &str) -> SourceError {
        SourceError::Unavailable {
            doing: format!("read a page of {}", self.operation),
            problem: format!("the response is not what {} answers: {problem}", self.operation),
        }
    }

    /// What the response says beside its items, whether they were asked for or not.
    fn rest(&self) -> Option<&Rest> {
        if let Some(rest) = self.rest.get() {
            return Some(rest);
        }
        let body: Body<'_, IgnoredAny> = serde_json::from_str(self.text().ok()?).ok()?;
        Some(self.rest.get_or_init(|| rest(body.last, body.consumed)))
    }
}

impl RowPage for ItemsPage {
    fn rows(&self) -> Result<Vec<Row<'_>>, SourceError> {
        let text = self.text()?;
        if let Ok(body) = serde_json::from_str::<Body<'_, Decoded<'_>>>(text) {
            self.rest.get_or_init(|| rest(body.last, body.consumed));
            return Ok(body.items.0.into_iter().map(Row::Item).collect());
        }
        let body: Body<'_, Apart<'_>> = serde_json::from_str(text).map_err(|error| self.unreadable(&fault::of_json(&error)))?;
        self.rest.get_or_init(|| rest(body.last, body.consumed));
        let rows = body.items.0.into_iter().map(|raw| match item_from_json(raw.get()) {
            Ok(item) => Row::Item(item),
            Err(error) => Row::Poison { raw: Cow::Borrowed(raw.get()), reason: fault::of_json(&error) },
        });
        Ok(rows.collect())
    }

    fn next(&self) -> Option<Cursor> {
        self.rest().and_then(|rest| rest.next.clone())
    }

    fn half_units(&self) -> u64 {
        self.rest().map_or(0, |rest| rest.half_units)
    }
}

fn rest(last: Option<&RawValue>, consumed: Option<Consumed>) -> Rest {
    let last = last.map(RawValue::get).filter(|last| item_from_json(last).is_ok_and(|key| !key.0.is_empty()));
    Rest { next: last.map(|last| Cursor(last.to_owned())), half_units: consumed.map_or(0, |consumed| half_units(consumed.units)) }
}

/// Capacity units come in halves.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a page costs a few hundred units; the cast saturates")]
pub(super) fn half_units(units: f64) -> u64 {
    (units * 2.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Value;

    fn page(body: &'static str) -> ItemsPage {
        ItemsPage::new("Scan", Bytes::from_static(body.as_bytes()))
    }

    const PAGE: &str = r#"{"Count":2,"Items":[{"id":{"S":"a"},"n":{"N":"1.50"}},{"id":{"S":"b"}}],"ScannedCount":2,
        "LastEvaluatedKey":{"id":{"S":"b"}},"ConsumedCapacity":{"TableName":"t","CapacityUnits":2.5}}"#;

    #[test]
    fn a_page_gives_its_rows_where_to_go_on_and_what_it_cost() {
        let page = page(PAGE);
        let rows = page.rows().unwrap();
        let Row::Item(first) = &rows[0] else { panic!("{rows:?}") };
        assert_eq!((rows.len(), first.get("n")), (2, Some(&Value::N("1.50".into()))));
        assert_eq!((page.next(), page.half_units()), (Some(Cursor(r#"{"id":{"S":"b"}}"#.to_owned())), 5));
    }

    #[test]
    fn where_to_go_on_is_told_before_the_rows_are_asked_for() {
        assert!(page(PAGE).next().is_some());
        assert_eq!(page(PAGE).half_units(), 5);
    }

    #[test]
    fn the_last_page_leads_nowhere() {
        for body in [r#"{"Items":[]}"#, r#"{"Items":[],"LastEvaluatedKey":null}"#, r#"{"Items":[],"LastEvaluatedKey":{}}"#] {
            let page = page(body);
            assert_eq!((page.rows().unwrap(), page.next(), page.half_units()), (Vec::new(), None, 0), "{body}");
        }
    }

    #[test]
    fn an_item_that_cannot_be_decoded_is_poison_among_its_neighbours() {
        let page = page(r#"{"Items":[{"id":{"S":"a"}},{"id":{"Q":"b"}},{"id":{"S":"c"}}],"LastEvaluatedKey":{"id":{"S":"c"}}}"#);
        let rows = page.rows().unwrap();
        assert!(matches!((&rows[0], &rows[2]), (Row::Item(_), Row::Item(_))), "{rows:?}");
        let Row::Poison { raw, reason } = &rows[1] else { panic!("{rows:?}") };
        assert_eq!(raw, r#"{"id":{"Q":"b"}}"#);
        assert!(reason.contains("'Q'"), "{reason}");
        assert!(page.next().is_some());
    }

    #[test]
    fn what_is_no_page_is_to_be_read_again() {
        for body in ["<html>", "{}", r#"{"Items":[{"id""#] {
            let error = page(body).rows().unwrap_err();
            assert!(matches!(error, SourceError::Unavailable { .. }), "{body}: {error}");
        }
    }
}
