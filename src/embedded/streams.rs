//! The operations of DynamoDB Streams.

use std::fmt::Write;

use dynoxide::actions::update_table::UpdateTableRequest;
use dynoxide::storage::Storage;
use serde::Deserialize;
use serde_json::{Value, json};

use super::engine::{Handle, now_millis};
use super::registry::{self, Shard, Stream, public, stored};
use super::wire::{Refusal, read};
use super::{REGION, iterator::Position};

/// DynamoDB's limit of a page: 1,000 records or 1 MB, whichever comes first.
const MAX_RECORDS: i64 = 1000;
const MAX_BYTES: usize = 1024 * 1024;

/// DynamoDB's limit of shards or streams in a page.
const MAX_LISTED: i64 = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListStreams {
    table_name: Option<String>,
    limit: Option<i64>,
    exclusive_start_stream_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeStream {
    stream_arn: String,
    limit: Option<i64>,
    exclusive_start_shard_id: Option<String>,
    shard_filter: Option<ShardFilter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ShardFilter {
    r#type: Option<String>,
    shard_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetShardIterator {
    stream_arn: String,
    shard_id: String,
    shard_iterator_type: String,
    sequence_number: Option<String>,
    /// Seconds since the epoch, with a fraction.
    timestamp: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetRecords {
    shard_iterator: String,
    limit: Option<i64>,
}

/// Answers a request of the target `DynamoDBStreams_20120810.<operation>`.
pub(super) async fn call(engine: &Handle, operation: &str, body: &str) -> Result<String, Refusal> {
    match operation {
        "ListStreams" => {
            let request = read(body)?;
            engine.with(move |engine| list(&engine.storage, &request)).await?
        }
        "DescribeStream" => {
            let request = read(body)?;
            engine.with(move |engine| describe(&engine.storage, &request)).await?
        }
        "GetShardIterator" => {
            let request = read(body)?;
            engine.with(move |engine| iterator(&engine.storage, &request, now_millis())).await?
        }
        "GetRecords" => {
            let request = read(body)?;
            engine.with(move |engine| records(&engine.storage, &request, now_millis())).await?
        }
        _ => Err(Refusal::unknown_operation()),
    }
}

/// Refuses to enable a stream that is enabled, and to disable one that is not.
pub(super) async fn check_update(engine: &Handle, request: UpdateTableRequest) -> Result<(), Refusal> {
    let Some(wanted) = request.stream_specification else { return Ok(()) };
    let table = engine.with(move |engine| engine.storage.get_table_metadata(&request.table_name)).await??;
    match table {
        Some(table) if table.stream_enabled && wanted.stream_enabled => Err(Refusal::validation("Table already has an enabled stream")),
        Some(table) if !table.stream_enabled && !wanted.stream_enabled => Err(Refusal::validation("Table has no stream to disable")),
        _ => Ok(()),
    }
}

/// How many entries a page may have.
fn page_size(limit: Option<i64>, max: i64) -> Result<usize, Refusal> {
    match limit {
        None => Ok(usize::try_from(max).unwrap_or(usize::MAX)),
        Some(limit) if (1..=max).contains(&limit) => Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
        Some(limit) => Err(Refusal::validation(format!(
            "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: Member must be between 1 and {max}"
        ))),
    }
}

fn list(storage: &Storage, request: &ListStreams) -> Result<String, Refusal> {
    let size = page_size(request.limit, MAX_LISTED)?;
    let streams = registry::streams(storage, request.table_name.as_deref())?;
    let start = match &request.exclusive_start_stream_arn {
        Some(arn) => streams.iter().position(|stream| &stream.arn == arn).map_or(streams.len(), |at| at + 1),
        None => 0,
    };
    let page = streams.iter().skip(start).take(size);
    let listed: Vec<Value> =
        page.map(|stream| json!({ "StreamArn": stream.arn, "TableName": stream.table, "StreamLabel": stream.label })).collect();
    let more = start + listed.len() < streams.len();
    let mut answer = json!({ "Streams": listed });
    if more && let Some(last) = streams.get(start + size - 1) {
        answer["LastEvaluatedStreamArn"] = json!(last.arn);
    }
    Ok(answer.to_string())
}

fn existing(storage: &Storage, arn: &str) -> Result<Stream, Refusal> {
    registry::stream(storage, arn)?.ok_or_else(|| Refusal::not_found(&format!("Stream: {arn} not found")))
}

fn describe(storage: &Storage, request: &DescribeStream) -> Result<String, Refusal> {
    let size = page_size(request.limit, MAX_LISTED)?;
    let stream = existing(storage, &request.stream_arn)?;
    let mut shards = registry::shards(storage, &stream.arn)?;
    if let Some(filter) = &request.shard_filter {
        match (filter.r#type.as_deref(), &filter.shard_id) {
            (Some("CHILD_SHARDS"), Some(parent)) => shards.retain(|shard| shard.parent.as_ref() == Some(parent)),
            _ => return Err(Refusal::validation("ShardFilter needs the Type CHILD_SHARDS and a ShardId")),
        }
    }
    let start = match &request.exclusive_start_shard_id {
        Some(id) => shards.iter().position(|shard| &shard.id == id).map_or(shards.len(), |at| at + 1),
        None => 0,
    };
    let page: Vec<&Shard> = shards.iter().skip(start).take(size).collect();
    let mut description = json!({
        "StreamArn": stream.arn,
        "StreamLabel": stream.label,
        "StreamStatus": if stream.disabled.is_some() { "DISABLED" } else { "ENABLED" },
        "StreamViewType": stream.view_type,
        "CreationRequestDateTime": stream.created / 1000,
        "TableName": stream.table,
        "KeySchema": serde_json::from_str::<Value>(&stream.key_schema).unwrap_or_default(),
        "Shards": page.iter().map(|shard| described(shard)).collect::<Vec<_>>(),
    });
    if start + page.len() < shards.len()
        && let Some(last) = page.last()
    {
        description["LastEvaluatedShardId"] = json!(last.id);
    }
    Ok(json!({ "StreamDescription": description }).to_string())
}

fn described(shard: &Shard) -> Value {
    let mut range = json!({ "StartingSequenceNumber": public(shard.first) });
    if let Some(last) = shard.last {
        range["EndingSequenceNumber"] = json!(public(last));
    }
    let mut described = json!({ "ShardId": shard.id, "SequenceNumberRange": range });
    if let Some(parent) = &shard.parent {
        described["ParentShardId"] = json!(parent);
    }
    described
}

fn trimmed() -> Refusal {
    Refusal::new("TrimmedDataAccessException", "The operation attempted to read past the oldest stream record in a shard")
}

fn existing_shard(storage: &Storage, stream: &Stream, id: &str) -> Result<Shard, Refusal> {
    let shard = registry::shards(storage, &stream.arn)?.into_iter().find(|shard| shard.id == id);
    shard.ok_or_else(|| Refusal::not_found(&format!("Shard: {id} of {} not found", stream.arn)))
}

fn iterator(storage: &Storage, request: &GetShardIterator, clock: i64) -> Result<String, Refusal> {
    let stream = existing(storage, &request.stream_arn)?;
    let shard = existing_shard(storage, &stream, &request.shard_id)?;
    let horizon = stream.trimmed.max(shard.first - 1);
    let after = match (request.shard_iterator_type.as_str(), &request.sequence_number, request.timestamp) {
        ("TRIM_HORIZON", None, None) => horizon,
        ("LATEST", None, None) => registry::last_record(storage, &stream.table, shard.last)?.unwrap_or_default().max(horizon),
        ("AT_SEQUENCE_NUMBER", Some(sequence), None) => sequence_in(&shard, sequence)? - 1,
        ("AFTER_SEQUENCE_NUMBER", Some(sequence), None) => sequence_in(&shard, sequence)?,
        ("AT_TIMESTAMP", None, Some(time)) => before_time(time, clock)?.max(horizon),
        (kind, sequence, time) => {
            let given = [sequence.as_ref().map(|_| "SequenceNumber"), time.map(|_| "Timestamp")];
            let given = given.into_iter().flatten().collect::<Vec<_>>().join(" and ");
            let given = if given.is_empty() { "no position".to_owned() } else { given };
            return Err(Refusal::validation(format!("Invalid ShardIteratorType: {kind} with {given}")));
        }
    };
    if after < horizon {
        return Err(trimmed());
    }
    let position = Position { arn: stream.arn, shard: shard.id, after, issued: clock };
    Ok(json!({ "ShardIterator": position.encode() }).to_string())
}

/// The stored number that a request names, which must be one of the shard's.
fn sequence_in(shard: &Shard, public: &str) -> Result<i64, Refusal> {
    if !(21..=40).contains(&public.len()) {
        return Err(Refusal::validation(format!(
            "1 validation error detected: Value '{public}' at 'sequenceNumber' failed to satisfy constraint: Member must have length between 21 and 40"
        )));
    }
    stored(public)
        .filter(|sequence| *sequence >= shard.first && shard.last.is_none_or(|last| *sequence <= last))
        .ok_or_else(|| Refusal::validation(format!("Invalid SequenceNumber for the shard: {public}")))
}

/// The stored number just before a time. Stored numbers are never below the clock's microseconds at the write.
fn before_time(seconds: f64, clock: i64) -> Result<i64, Refusal> {
    #[expect(clippy::cast_possible_truncation, reason = "a time out of range saturates, which is far in the past or the future")]
    let millis = (seconds * 1000.0).floor() as i64;
    if millis > clock {
        return Err(Refusal::validation("Timestamp cannot be in the future"));
    }
    Ok(millis.saturating_mul(1000) - 1)
}

struct Row {
    sequence: i64,
    name: String,
    keys: String,
    new: Option<String>,
    old: Option<String>,
    created: i64,
    identity: Option<String>,
    id: Option<String>,
}

fn records(storage: &Storage, request: &GetRecords, clock: i64) -> Result<String, Refusal> {
    let size = page_size(request.limit, MAX_RECORDS)?;
    let position = Position::decode(&request.shard_iterator).ok_or_else(|| Refusal::validation("Invalid ShardIterator"))?;
    if position.is_expired(clock) {
        return Err(Refusal::new("ExpiredIteratorException", "Iterator expired: it is older than 15 minutes"));
    }
    let stream = existing(storage, &position.arn)?;
    let shard = existing_shard(storage, &stream, &position.shard)?;
    if position.after < stream.trimmed.max(shard.first - 1) {
        return Err(trimmed());
    }

    let select = "SELECT CAST(sequence_number AS INTEGER), event_name, keys_json, new_image, old_image, created_at, user_identity, event_id
         FROM _stream_records
         WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) > ?2 AND CAST(sequence_number AS INTEGER) <= ?3
         ORDER BY CAST(sequence_number AS INTEGER)";
    let mut statement = storage.conn().prepare(select).map_err(dynoxide::DynoxideError::from)?;
    let mut rows = statement
        .query_map((&stream.table, position.after, shard.last.unwrap_or(i64::MAX)), |row| {
            Ok(Row {
                sequence: row.get(0)?,
                name: row.get(1)?,
                keys: row.get(2)?,
                new: row.get(3)?,
                old: row.get(4)?,
                created: row.get(5)?,
                identity: row.get(6)?,
                id: row.get(7)?,
            })
        })
        .map_err(dynoxide::DynoxideError::from)?;

    let mut body = String::from(r#"{"Records":["#);
    let mut after = position.after;
    let mut read = 0;
    let drained = loop {
        let Some(row) = rows.next() else { break true };
        let row = row.map_err(dynoxide::DynoxideError::from)?;
        after = row.sequence;
        read += 1;
        if !changes_nothing(&row) {
            if !body.ends_with('[') {
                body.push(',');
            }
            write_record(&mut body, &row, &stream.view_type);
        }
        if read == size || body.len() >= MAX_BYTES {
            break false;
        }
    };
    body.push(']');
    // A closed shard that is read to its end has no next iterator; an open one always has.
    if !(drained && shard.last.is_some()) {
        let next = Position { arn: stream.arn, shard: shard.id, after, issued: clock };
        body.push_str(r#","NextShardIterator":""#);
        body.push_str(&next.encode());
        body.push('"');
    }
    body.push('}');
    Ok(body)
}

/// dynoxide records every write; DynamoDB only those that change the item. Equal images are equally long, which spares most the parsing.
fn changes_nothing(row: &Row) -> bool {
    match (&row.new, &row.old) {
        (Some(new), Some(old)) if new.len() == old.len() => {
            new == old
                || matches!((serde_json::from_str::<Value>(new), serde_json::from_str::<Value>(old)), (Ok(new), Ok(old)) if new == old)
        }
        _ => false,
    }
}

fn write_record(body: &mut String, row: &Row, view_type: &str) {
    let length = |image: &Option<String>| image.as_ref().map_or(0, String::len);
    let bytes = row.keys.len() + length(&row.new) + length(&row.old);
    let id = row.id.clone().unwrap_or_else(|| row.sequence.to_string());
    // Writing to a string cannot fail.
    let _ = write!(
        body,
        r#"{{"eventID":"{id}","eventName":"{}","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"{REGION}","dynamodb":{{"ApproximateCreationDateTime":{},"Keys":{}"#,
        row.name, row.created, row.keys
    );
    for (name, image) in [("NewImage", &row.new), ("OldImage", &row.old)] {
        if let Some(image) = image {
            let _ = write!(body, r#","{name}":{image}"#);
        }
    }
    let _ = write!(body, r#","SequenceNumber":"{}","SizeBytes":{bytes},"StreamViewType":"{view_type}"}}"#, public(row.sequence));
    if row.identity.is_some() {
        body.push_str(r#","userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"}"#);
    }
    body.push('}');
}
