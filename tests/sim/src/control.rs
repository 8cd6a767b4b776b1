//! The simulator's own requests, for tests in other languages and for people: JSON under `/_sim/`.
//!
//! | request | what it does |
//! |---|---|
//! | `GET /_sim/journal?since=N` | the journal from entry N on, a line an entry; the header `x-sim-first` has the first's number |
//! | `GET /_sim/faults` | the seed and the rules, and how often each kind of fault struck |
//! | `PUT /_sim/faults` | takes `{"seed": …, "rules": […]}` in place of the rules in force |
//! | `POST /_sim/pause` | `{"worker": …, "seconds": …}`: that worker's requests wait so long |
//! | `POST /_sim/clock` | `{"advance_seconds": …}` moves the clock, up to the year 9999 |
//! | `POST /_sim/reshard` | `{"stream": ARN or table, "shard": id or the first open one, "into": 2}` closes a shard, opens others |
//! | `POST /_sim/expire` | deletes the items whose time to live has passed; items expire at no other time |
//! | `POST /_sim/trim` | drops the records that are older than a day |
//! | `GET /_sim/load` | in load mode: what was served, what was received of it, and whether that is exact |
//! | `POST /_sim/load/clear` | in load mode: forgets both, for the next client |
//!
//! A rule is `{"operation": "GetRecords", "fault": …, "chance": …}`: an operation or `*`, one of the faults below, and either
//! `{"probability": 0.1}` or `{"calls": [1, 4]}`, the matching calls counted from 1. It may ask for more: `"service"` (`dynamodb`,
//! `dynamodbstreams`, `kinesis`, `firehose`, `s3`), `"worker"` (an access key), `"resource"` (a part of the name of a table, a stream or an
//! object), `"from"` and `"until"` (milliseconds since the epoch). Rules that can never strike are refused. Load mode has neither faults nor
//! pauses, and refuses both with 409.
//!
//! | fault | what it does |
//! |---|---|
//! | `{"throttle": "LimitExceededException"}` | refuses; the other codes are listed below; S3 says SlowDown |
//! | `{"server_error": "500"}`, `{"server_error": "503"}` | fails |
//! | `"reset"` | resets the connection before the effect |
//! | `"lose_answer"` | closes the connection after the effect |
//! | `{"hang": {"ms": 5000}}`, `{"hang": {}}` | answers so much later, or never |
//! | `{"delay": {"ms": 5000}}` | the request arrives so much later, whether or not its sender still waits |
//! | `{"slow": {"pieces": 4, "ms": 100}}` | the answer's body comes in pieces, with so much time before each |
//! | `"truncate"` | the answer's body ends in the middle |
//! | `"empty_page"` | GetRecords: no records, and a live iterator |
//! | `{"short_page": 3}` | GetRecords: at most so many records; Scan, Query: at most so many items |
//! | `"repeat_page"` | GetRecords: the next iterator leads to the same page again |
//! | `{"stale_read": {"ms": 800}}` | Scan, Query, GetItem, BatchGetItem: unless consistent, items as they were so long ago, at most a second |
//! | `{"late_listing": {"ms": 5000}}` | DescribeStream of DynamoDB Streams: younger shards are not shown yet |
//! | `"parents_look_open"` | DescribeStream of DynamoDB Streams: closed shards whose children are shown look open |
//! | `"condition_fails"` | a conditional write is refused as if somebody else had written in between |
//! | `{"fail_records": {"probability": 0.5, "code": "InternalFailure"}}` | PutRecords, PutRecordBatch: some records fail |
//! | `"split_before"` | PutRecords: the shard of the first record splits before the records are placed |
//!
//! Codes of `throttle`: LimitExceededException, ProvisionedThroughputExceededException, ThrottlingException, RequestLimitExceeded,
//! ServiceUnavailableException. Codes of `fail_records`: ProvisionedThroughputExceededException, InternalFailure,
//! ServiceUnavailableException.

use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::call::{ApiError, Intercept, Quirks};
use crate::cloud::Cloud;
use crate::faults::{Faults, Script};
use crate::journal::Event;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    worker: String,
    seconds: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reshard {
    stream: String,
    shard: Option<String>,
    #[serde(default = "two")]
    into: usize,
}

fn two() -> usize {
    2
}

/// The last moment that the clock may be moved to: 9999-12-30T00:00:00Z, shortly before calendars end.
const END_OF_TIME: i64 = 253_402_128_000_000;

/// What the simulator says: JSON, or lines for people.
enum Reply {
    Json(Value),
    /// Lines, and the first one's number.
    Lines(usize, String),
}

/// Answers a request of the simulator's own; none when it is not one.
pub fn answer(cloud: &Cloud, faults: &Faults, intercept: Option<&dyn Intercept>, head: &Parts, body: &Bytes) -> Option<Response<Bytes>> {
    let command = (head.method.as_str(), head.uri.path().strip_prefix("/_sim/")?);
    let reply = match intercept.and_then(|intercept| intercept.control(command.0, command.1)) {
        Some(intercepted) => Ok(Reply::Json(intercepted)),
        None if intercept.is_some() && matches!(command, ("PUT", "faults") | ("POST", "pause")) => Err(ApiError {
            status: 409,
            ..ApiError::new("ResourceInUseException", "load mode has neither faults nor pauses: start the simulator without a load")
        }),
        None => obey(cloud, faults, command, head.uri.query().unwrap_or_default(), body),
    };
    let (status, content_type, first, body) = match reply {
        Ok(Reply::Json(value)) => (200, "application/json", None, value.to_string()),
        Ok(Reply::Lines(first, text)) => (200, "text/plain; charset=utf-8", Some(first), text),
        Err(error) => (error.status, "application/json", None, json!({"code": error.code, "message": error.message}).to_string()),
    };
    let mut response = Response::new(body.into());
    *response.status_mut() = status.try_into().unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(first) = first {
        response.headers_mut().insert("x-sim-first", first.into());
    }
    Some(response)
}

fn obey(cloud: &Cloud, faults: &Faults, command: (&str, &str), query: &str, body: &Bytes) -> Result<Reply, ApiError> {
    let now = cloud.clock.now();
    let done = match command {
        ("GET", "journal") => return journal(cloud, query).map(|(first, text)| Reply::Lines(first, text)),
        ("GET", "faults") => {
            let Script { seed, rules } = faults.script();
            json!({"seed": seed, "rules": rules, "injected": faults.counts()})
        }
        ("PUT", "faults") => {
            let script: Script = input(body)?;
            let rules = script.rules.len();
            faults.set(script);
            json!({"rules": rules})
        }
        ("POST", "pause") => {
            let Pause { worker, seconds } = input(body)?;
            let until = now.saturating_add(milliseconds(seconds)?);
            faults.pause(&worker, until);
            json!({"worker": worker, "until": until})
        }
        ("POST", "clock") => {
            let by = milliseconds(input::<Advance>(body)?.advance_seconds)?;
            if now.saturating_add(by) > END_OF_TIME {
                return Err(ApiError::validation("the clock does not go beyond the year 9999"));
            }
            cloud.journal.record(now, "", Event::Jump { by });
            cloud.clock.jump(Duration::from_millis(by.unsigned_abs()));
            // What has become due is done before the answer, not at the next tick.
            cloud.tick();
            json!({"now": cloud.clock.now()})
        }
        ("POST", "reshard") => {
            let Reshard { stream, shard, into } = input(body)?;
            let stream = arn(cloud, stream)?;
            let mut state = cloud.state();
            let shard = match shard {
                Some(shard) => shard,
                None => state.streams.open_shards(&stream).into_iter().next().ok_or_else(|| ApiError::not_found("no shard is open"))?,
            };
            let children = state.streams.reshard(&stream, &shard, into, now, &cloud.journal)?;
            json!({"stream": stream, "shard": shard, "children": children})
        }
        ("POST", "expire") => {
            let mut state = cloud.state();
            let crate::cloud::State { tables, streams, .. } = &mut *state;
            json!({"deleted": tables.expire_items(streams, now, &cloud.journal)})
        }
        ("POST", "trim") => {
            cloud.state().streams.trim(now, &cloud.journal);
            json!({})
        }
        (method, command) => {
            let message = format!("the simulator has no {method} /_sim/{command}");
            return Err(ApiError { status: 404, ..ApiError::not_found(message) });
        }
    };
    Ok(Reply::Json(done))
}

fn input<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::validation(error.to_string()))
}

/// A time in milliseconds that does not go back.
fn milliseconds(seconds: f64) -> Result<i64, ApiError> {
    let time = Duration::try_from_secs_f64(seconds).ok().and_then(|time| i64::try_from(time.as_millis()).ok());
    time.ok_or_else(|| ApiError::validation(format!("{seconds} seconds is no time to wait")))
}

/// The journal's lines from the entry on that the query asks for, and the number of the first.
fn journal(cloud: &Cloud, query: &str) -> Result<(usize, String), ApiError> {
    let since = match query.split('&').find_map(|parameter| parameter.strip_prefix("since=")) {
        Some(since) => since.parse().map_err(|_| ApiError::validation(format!("since={since} is not a number")))?,
        None => 0,
    };
    let (first, entries) = cloud.journal.numbered_since(since);
    let text = entries.iter().fold(String::new(), |mut text, entry| {
        // Names and values may hold line feeds, and an entry is one line.
        for character in entry.to_string().chars() {
            if character.is_control() { text.extend(character.escape_default()) } else { text.push(character) }
        }
        text.push('\n');
        text
    });
    Ok((first, text))
}

/// A stream's ARN: what is given if it is one, else the latest stream of the table of that name.
fn arn(cloud: &Cloud, stream: String) -> Result<String, ApiError> {
    if stream.starts_with("arn:") {
        return Ok(stream);
    }
    let request = json!({"TableName": stream}).to_string();
    let table = cloud.call("DynamoDB_20120810.DescribeTable", "", request.as_bytes(), &Quirks::default())?;
    let table: Value = serde_json::from_slice(&table).map_err(|error| ApiError::validation(error.to_string()))?;
    let arn = table["Table"]["LatestStreamArn"].as_str().map(str::to_owned);
    arn.ok_or_else(|| ApiError::not_found(format!("the table {stream} has no stream")))
}
