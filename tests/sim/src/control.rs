//! The simulator's own requests, for tests in other languages and for people: JSON under `/_sim/`.
//!
//! | request | what it does |
//! |---|---|
//! | `GET /_sim/journal?since=N` | the journal from entry N on, a line an entry |
//! | `GET /_sim/faults` | the seed and the rules, and how often each kind of fault was injected |
//! | `PUT /_sim/faults` | takes `{"seed": …, "rules": […]}` in place of the rules in force |
//! | `POST /_sim/pause` | `{"worker": …, "seconds": …}`: that worker's requests wait so long |
//! | `POST /_sim/clock` | `{"advance_seconds": …}` moves the clock |
//! | `POST /_sim/reshard` | `{"stream": ARN or table, "shard": id or the first open one, "into": 2}` closes a shard and opens others behind it |
//! | `POST /_sim/expire` | deletes the items whose time to live has passed |
//! | `POST /_sim/trim` | drops the records that are older than a day |
//! | `GET /_sim/load` | in load mode: what was served, what was received of it, and whether that is exact |
//! | `POST /_sim/load/clear` | in load mode: forgets both, for the next client |

use std::fmt::Write;
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

/// What the simulator says: JSON, or lines for people.
enum Reply {
    Json(Value),
    Lines(String),
}

/// Answers a request of the simulator's own; none when it is not one.
pub fn answer(cloud: &Cloud, faults: &Faults, intercept: Option<&dyn Intercept>, head: &Parts, body: &Bytes) -> Option<Response<Bytes>> {
    let command = (head.method.as_str(), head.uri.path().strip_prefix("/_sim/")?);
    let reply = match intercept.and_then(|intercept| intercept.control(command.0, command.1)) {
        Some(intercepted) => Ok(Reply::Json(intercepted)),
        None => obey(cloud, faults, command, head.uri.query().unwrap_or_default(), body),
    };
    let (status, content_type, body) = match reply {
        Ok(Reply::Json(value)) => (200, "application/json", value.to_string()),
        Ok(Reply::Lines(text)) => (200, "text/plain; charset=utf-8", text),
        Err(error) => (error.status, "application/json", json!({"code": error.code, "message": error.message}).to_string()),
    };
    let mut response = Response::new(body.into());
    *response.status_mut() = status.try_into().unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Some(response)
}

fn obey(cloud: &Cloud, faults: &Faults, command: (&str, &str), query: &str, body: &Bytes) -> Result<Reply, ApiError> {
    let now = cloud.clock.now();
    let done = match command {
        ("GET", "journal") => return journal(cloud, query).map(Reply::Lines),
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
            cloud.journal.record(now, "", Event::Jump { by });
            cloud.clock.jump(Duration::from_millis(by.unsigned_abs()));
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

fn journal(cloud: &Cloud, query: &str) -> Result<String, ApiError> {
    let since = match query.split('&').find_map(|parameter| parameter.strip_prefix("since=")) {
        Some(since) => since.parse().map_err(|_| ApiError::validation(format!("since={since} is not a number")))?,
        None => 0,
    };
    Ok(cloud.journal.since(since).iter().fold(String::new(), |mut text, entry| {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{entry}");
        text
    }))
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
