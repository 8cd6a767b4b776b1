//! GetRecords bodies into stream records, in one streaming pass.
//!
//! The fast pass reads the whole page at once and borrows from it every string that has no escapes. Only when it fails, a second pass
//! takes the records apart one by one, so that a record which cannot be decoded becomes a [`Poison`] and its neighbours do not suffer
//! (*no-silent-loss*). Members that are not needed are ignored, and `eventVersion` is not pinned: it may rise.

mod fields;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::fields::{OpenPage, RawPage};
use super::typed_json::Text;
use super::{SequenceNumber, StreamRecord, fault};

/// One response of GetRecords.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<'a> {
    /// The records in stream order.
    pub records: Vec<Decoded<'a>>,
    /// Where to read on; `None` when the shard is closed and drained.
    pub next_iterator: Option<Cow<'a, str>>,
}

/// A record of a page.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded<'a> {
    /// A change.
    Record(StreamRecord<'a>),
    /// A record that cannot be decoded, to be kept whole in quarantine.
    Poison(Poison<'a>),
}

/// A record that cannot be decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Poison<'a> {
    /// The record's JSON as it came.
    pub raw: &'a str,
    /// What is wrong with it; holds no value of it.
    pub reason: String,
    /// Its position, if that much can be read.
    pub sequence: Option<SequenceNumber>,
    /// Its `eventID`, if that much can be read.
    pub event_id: Option<Cow<'a, str>>,
}

/// The body is not a GetRecords response, so that its records cannot even be told apart. Reading again may help: nothing was consumed.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// JSON is UTF-8.
    #[error("the GetRecords response is not UTF-8; read the page again")]
    Encoding(#[source] std::str::Utf8Error),
    /// Broken JSON, or no `Records`.
    #[error("the GetRecords response is not a JSON object with Records; read the page again: {0}")]
    Malformed(String),
}

/// Decodes the body of a successful GetRecords response.
///
/// A body without `Records` is an error: taken for an empty last page, it would end the shard and lose the rest of it.
pub fn parse_page(body: &[u8]) -> Result<Page<'_>, PageError> {
    let text = std::str::from_utf8(body).map_err(PageError::Encoding)?;
    if let Ok(RawPage { records, next_iterator }) = serde_json::from_str::<RawPage<'_, Decoded<'_>>>(text) {
        return Ok(Page { records, next_iterator });
    }
    let RawPage { records, next_iterator }: OpenPage<'_> =
        serde_json::from_str(text).map_err(|error| PageError::Malformed(fault::of_json(&error)))?;
    let records = records.into_iter().map(|raw| parse_record(raw.get())).collect();
    Ok(Page { records, next_iterator })
}

/// Decodes one record from its own JSON text: a record of a page, or one that was quarantined.
pub fn parse_record(raw: &str) -> Decoded<'_> {
    match serde_json::from_str(raw) {
        Ok(record) => record,
        Err(error) => {
            let (event_id, sequence) = identity(raw);
            Decoded::Poison(Poison { raw, reason: fault::of_json(&error), sequence, event_id })
        }
    }
}

/// Finds what identifies a record, as far as it is there.
fn identity(raw: &str) -> (Option<Cow<'_, str>>, Option<SequenceNumber>) {
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(borrow, rename = "eventID", default)]
        event_id: Option<&'a RawValue>,
        #[serde(borrow, default)]
        dynamodb: Option<&'a RawValue>,
    }

    #[derive(Deserialize)]
    struct Change<'a> {
        #[serde(borrow, rename = "SequenceNumber", default)]
        sequence: Option<&'a RawValue>,
    }

    fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
        serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|Text(text)| text)
    }

    let Ok(outer) = serde_json::from_str::<Outer<'_>>(raw) else {
        return (None, None);
    };
    let change = outer.dynamodb.and_then(|raw| serde_json::from_str::<Change<'_>>(raw.get()).ok());
    let sequence = change.and_then(|change| change.sequence).and_then(text).and_then(|digits| digits.parse().ok());
    (outer.event_id.and_then(text), sequence)
}

#[cfg(test)]
mod tests;
