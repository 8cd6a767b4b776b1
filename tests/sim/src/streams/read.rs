//! GetShardIterator and GetRecords.

use serde::{Deserialize, Serialize};

use super::iterator::{Position, ShardIterator};
use super::shard::{Page, Shard};
use super::stream::{Stream, no_shard};
use super::{DAY, Streams, request};
use crate::call::{Answer, ApiError, Call, answer};
use crate::journal::Event;
use crate::sequence::Sequence;

/// The most records of one page.
const LARGEST_PAGE: usize = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IteratorInput {
    stream_arn: Option<String>,
    shard_id: Option<String>,
    shard_iterator_type: Option<String>,
    sequence_number: Option<String>,
    timestamp: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct IteratorOutput {
    shard_iterator: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecordsInput {
    shard_iterator: Option<String>,
    limit: Option<i64>,
}

/// Where an iterator is asked to begin.
enum Start {
    TrimHorizon,
    Latest,
    At(Sequence),
    After(Sequence),
    /// Milliseconds since the epoch.
    Since(i64),
}

impl Streams {
    /// An iterator for a position in a shard. That the position may be trimmed before it is used is for GetRecords to tell.
    pub(super) fn get_shard_iterator(&self, call: &Call<'_>) -> Answer {
        let input: IteratorInput = call.input()?;
        let arn = request::stream_arn(input.stream_arn.as_deref())?;
        let id = request::shard_id("shardId", request::required("shardId", input.shard_id.as_deref())?)?;
        let (kind, start) = start(&input, call.now)?;
        let stream = self.stream(arn)?;
        let shard = stream.shards.get(id).ok_or_else(no_shard)?;
        let position = position(stream, shard, start, call.now)?;
        let iterator = ShardIterator { stream: arn.to_owned(), shard: id.to_owned(), position, issued: call.now };
        let shard_iterator = iterator.encode();
        let asked = input.sequence_number.or(input.timestamp.map(|seconds| seconds.to_string()));
        call.record(Event::Iterator { stream: iterator.stream, shard: iterator.shard, kind, position: asked });
        answer(&IteratorOutput { shard_iterator })
    }

    /// A page of a shard, as a concatenation of its records.
    pub(super) fn get_records(&self, call: &Call<'_>) -> Answer {
        let input: RecordsInput = call.input()?;
        let invalid = || ApiError::validation("Invalid ShardIterator");
        let iterator = input.shard_iterator.as_deref().and_then(ShardIterator::decode).ok_or_else(invalid)?;
        let too_many = || ApiError::new("LimitExceededException", "Limit should be less than or equal to 1000");
        let limit = request::limit(input.limit, LARGEST_PAGE, too_many)?;
        if iterator.is_expired(call.now) {
            return Err(ApiError::new("ExpiredIteratorException", "The provided iterator exceeds the maximum age allowed."));
        }
        let shard = self.stream(&iterator.stream)?.shards.get(&iterator.shard).ok_or_else(no_shard)?;
        if shard.has_lost(&iterator.position) {
            return Err(trimmed());
        }
        let page = tampered_page(shard, &iterator.position, limit, call);
        let body = body(shard, &page, &iterator, call.now);
        let place = |index: usize| shard.records().get(index).map(|record| record.sequence.clone());
        call.record(Event::Page {
            stream: iterator.stream,
            shard: iterator.shard,
            records: page.records.len(),
            range: if page.records.is_empty() { None } else { place(page.records.start).zip(place(page.records.end - 1)) },
            end: page.end,
        });
        Ok(body.into())
    }
}

/// The type that is asked for, as the API names it, and what it says with the members that belong to it.
fn start(input: &IteratorInput, now: i64) -> Result<(&'static str, Start), ApiError> {
    let kind = request::required("shardIteratorType", input.shard_iterator_type.as_deref())?;
    let sequence = || {
        let text = input.sequence_number.as_deref().ok_or_else(invalid_sequence)?;
        Sequence::parse(request::length("sequenceNumber", text, 21, 40)?).ok_or_else(invalid_sequence)
    };
    let start = match kind {
        "TRIM_HORIZON" => ("TRIM_HORIZON", Start::TrimHorizon),
        "LATEST" => ("LATEST", Start::Latest),
        "AT_SEQUENCE_NUMBER" => ("AT_SEQUENCE_NUMBER", Start::At(sequence()?)),
        "AFTER_SEQUENCE_NUMBER" => ("AFTER_SEQUENCE_NUMBER", Start::After(sequence()?)),
        "AT_TIMESTAMP" => {
            let time = milliseconds(input.timestamp.ok_or_else(|| request::invalid("Invalid Timestamp"))?);
            if time > now {
                return Err(request::invalid("Timestamp cannot be in the future"));
            }
            ("AT_TIMESTAMP", Start::Since(time))
        }
        other => {
            let types = "[AT_SEQUENCE_NUMBER, AFTER_SEQUENCE_NUMBER, AT_TIMESTAMP, TRIM_HORIZON, LATEST]";
            let complaint = format!("Member must satisfy enum value set: {types}");
            return Err(request::constraint("shardIteratorType", &format!("'{other}'"), &complaint));
        }
    };
    if input.sequence_number.is_some() && !matches!(start.1, Start::At(_) | Start::After(_)) {
        return Err(request::invalid("SequenceNumber should not be passed for this iterator type"));
    }
    if input.timestamp.is_some() && !matches!(start.1, Start::Since(_)) {
        return Err(request::invalid("Timestamp should not be passed for this iterator type"));
    }
    Ok(start)
}

#[expect(clippy::cast_possible_truncation, reason = "a time beyond what fits becomes the last that does")]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

/// The position in the shard. A sequence number that is asked for has to lie within the shard, and above what was trimmed of it: even the
/// position right behind the last trimmed record is refused, since it is told by a record that is gone.
fn position(stream: &Stream, shard: &Shard, start: Start, now: i64) -> Result<Position, ApiError> {
    let within = |sequence: Sequence| {
        let last = shard.end.as_ref().map_or(stream.numbers.last(), |end| &end.sequence);
        if sequence > *last {
            Err(invalid_sequence())
        } else if sequence < shard.starting || shard.trimmed.as_ref().is_some_and(|trimmed| sequence <= *trimmed) {
            Err(trimmed())
        } else {
            Ok(sequence)
        }
    };
    Ok(match start {
        Start::TrimHorizon => Position::Horizon,
        // Nothing with a number up to this one can come any more.
        Start::Latest => Position::After(stream.numbers.last().clone()),
        Start::At(sequence) => Position::At(within(sequence)?),
        Start::After(sequence) => Position::After(within(sequence)?),
        Start::Since(time) if now.saturating_sub(time) > DAY => Position::Horizon,
        Start::Since(time) => shard.since(time),
    })
}

/// The page, after what goes wrong with it. Whatever that is, no record is lost by it: the next position stays where it has to.
fn tampered_page(shard: &Shard, position: &Position, limit: usize, call: &Call<'_>) -> Page {
    let quirks = call.quirks;
    let mut page = shard.page(position, limit);
    let says_something = |page: &Page| !page.records.is_empty() || page.end;
    if quirks.empty_page && says_something(&page) {
        quirks.bite("empty_page");
        page = Page { end: false, ..shard.page(position, 0) };
    } else if let Some(short) = quirks.short_page.filter(|short| *short < page.records.len()) {
        quirks.bite("short_page");
        page = shard.page(position, short);
    }
    if quirks.repeat_page && says_something(&page) {
        quirks.bite("repeat_page");
        page = Page { next: shard.page(position, 0).next, end: false, ..page };
    }
    page
}

fn body(shard: &Shard, page: &Page, iterator: &ShardIterator, now: i64) -> String {
    let records = || shard.records().range(page.records.clone());
    let next = (!page.end).then(|| ShardIterator { position: page.next.clone(), issued: now, ..iterator.clone() }.encode());
    let length = records().map(|record| record.json.len() + 1).sum::<usize>() + next.as_ref().map_or(0, String::len);
    let mut body = String::with_capacity(length + 40);
    body.push_str(r#"{"Records":["#);
    for (n, record) in records().enumerate() {
        if n > 0 {
            body.push(',');
        }
        body.push_str(&record.json);
    }
    body.push(']');
    // Nothing in an iterator needs escaping.
    if let Some(next) = next {
        body.push_str(r#","NextShardIterator":""#);
        body.push_str(&next);
        body.push('"');
    }
    body.push('}');
    body
}

fn trimmed() -> ApiError {
    ApiError::new("TrimmedDataAccessException", "The operation attempted to read past the oldest stream record in a shard.")
}

fn invalid_sequence() -> ApiError {
    request::invalid("Invalid SequenceNumber")
}

#[cfg(test)]
mod tests;
