//! Reading what landed, independently of the service: Parquet with the parquet crate's own record reader, NDJSON line by line.

use std::collections::BTreeMap;
use std::io::Read as _;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde_json::Value;

use crate::item::Item;
use crate::sequence::Sequence;

/// A row of the lake, of a table without a contract: keys, metadata, and everything else in `cdc_extra`.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields are the columns")]
pub struct Row {
    pub event_id: String,
    pub operation: String,
    pub sequence: Sequence,
    /// Milliseconds since the epoch.
    pub time: i64,
    pub table: String,
    pub shard: String,
    pub snapshot: Option<String>,
    pub ttl_delete: bool,
    /// In order of name.
    pub changed: Vec<String>,
    /// Every column that is none of the service's.
    pub keys: BTreeMap<String, String>,
    pub new: Item,
    pub old: Item,
    /// Where the whole event is, below the table's folder, when the row is a pointer only.
    pub claim: Option<String>,
}

/// An object of the lake.
#[derive(Debug)]
pub struct Object {
    /// Its rows, in order.
    pub rows: Vec<Row>,
    /// Where its run starts after, if its footer tells that.
    pub after: Option<String>,
    /// The position of its last record, if its footer tells that, or its header.
    pub last: Option<String>,
}

/// Reads an object of that name.
pub fn read(name: &str, body: &Bytes) -> anyhow::Result<Object> {
    match name.rsplit_once('.') {
        Some((_, "parquet")) => parquet(body),
        Some((_, "gz")) => ndjson(body),
        _ => bail!("its name ends like no format's"),
    }
}

/// Reads one event: a line of NDJSON with its line feed.
pub fn line(event: &Bytes) -> anyhow::Result<Row> {
    let line = event.strip_suffix(b"\n").filter(|line| !line.contains(&b'\n')).context("it is not one line")?;
    row(columns(str::from_utf8(line)?)?)
}

/// The snapshot whose rows were all sent before this line, and the shard that the line is meant for, if it names one; `None` for lines of other kinds.
pub fn announced(event: &Bytes) -> Option<(String, Option<String>)> {
    let columns: Columns = serde_json::from_slice(event).ok()?;
    let is_announcement = columns.get("cdc_op").is_some_and(|operation| operation == "SNAPSHOT_END");
    let text = |name: &str| Some(columns.get(name)?.as_str()?.to_owned());
    Some((text("cdc_snapshot_id").filter(|_| is_announcement)?, text("cdc_shard")))
}

const AFTER: &str = "headwater.after";
const LAST: &str = "headwater.last";

type Columns = BTreeMap<String, Value>;

fn parquet(body: &Bytes) -> anyhow::Result<Object> {
    let file = SerializedFileReader::new(body.clone())?;
    let footer = file.metadata().file_metadata().key_value_metadata();
    let end = |name: &str| footer?.iter().find(|pair| pair.key == name)?.value.clone();
    let (after, last) = (end(AFTER), end(LAST));
    let mut rows = Vec::new();
    for columns in file.get_row_iter(None)? {
        let columns = columns?;
        let columns = columns.get_column_iter().filter_map(|(name, field)| {
            let value = match field {
                Field::Null => return None,
                Field::Str(text) => Value::from(text.as_str()),
                Field::Bool(value) => Value::from(*value),
                Field::TimestampMillis(millis) => Value::from(*millis),
                Field::ListInternal(members) => members.elements().iter().map(|element| Value::from(text_of(element))).collect(),
                other => Value::from(other.to_string()),
            };
            Some((name.clone(), value))
        });
        rows.push(row(columns.collect())?);
    }
    Ok(Object { rows, after, last })
}

fn text_of(field: &Field) -> String {
    match field {
        Field::Str(text) => text.clone(),
        other => other.to_string(),
    }
}

fn ndjson(body: &Bytes) -> anyhow::Result<Object> {
    let (mut text, mut file) = (String::new(), flate2::read::MultiGzDecoder::new(body.as_ref()));
    file.read_to_string(&mut text).context("unpack it")?;
    // The one subfield of the header's extra field: two letters, two bytes of length, the text.
    let extra = file.header().and_then(|header| str::from_utf8(header.extra()?.strip_prefix(b"hw")?.get(2..)?).ok());
    let last = extra.and_then(|extra| extra.strip_prefix(LAST)?.strip_prefix('=')).map(str::to_owned);
    let rows = text.lines().map(|line| row(columns(line)?)).collect::<anyhow::Result<_>>()?;
    Ok(Object { rows, after: None, last })
}

fn columns(line: &str) -> anyhow::Result<Columns> {
    let mut columns: Columns = serde_json::from_str(line).with_context(|| format!("read the line {line}"))?;
    if let Some(Value::String(time)) = columns.get("cdc_time") {
        let time: jiff::civil::DateTime = time.parse().with_context(|| format!("read the time {time}"))?;
        let millis = time.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp().as_millisecond();
        columns.insert("cdc_time".to_owned(), millis.into());
    }
    Ok(columns)
}

fn row(mut columns: Columns) -> anyhow::Result<Row> {
    let mut take = |name: &str| columns.remove(name);
    let text = |value: Option<Value>, name: &str| match value {
        Some(Value::String(text)) => Ok(text),
        other => bail!("{name} is {other:?}"),
    };
    let text_or_none = |value: Option<Value>, name: &str| match value {
        None | Some(Value::Null) => Ok(None),
        some => text(some, name).map(Some),
    };
    let image = |value: Option<Value>| match value {
        None | Some(Value::Null) => Ok(Item::new()),
        Some(Value::String(json)) => serde_json::from_str(&json).with_context(|| format!("read the image {json}")),
        Some(other) => bail!("an image is {other}"),
    };
    let sequence = text(take("cdc_sequence"), "cdc_sequence")?;
    let mut changed = Vec::new();
    for name in take("cdc_changed").as_ref().and_then(Value::as_array).context("cdc_changed is no list")? {
        changed.push(name.as_str().context("cdc_changed holds something else than names")?.to_owned());
    }
    changed.sort();
    Ok(Row {
        event_id: text(take("cdc_event_id"), "cdc_event_id")?,
        operation: text(take("cdc_op"), "cdc_op")?,
        sequence: Sequence::parse(&sequence).filter(|_| sequence.len() == 40).with_context(|| format!("cdc_sequence is {sequence}"))?,
        time: take("cdc_time").and_then(|time| time.as_i64()).context("cdc_time is no time")?,
        table: text(take("cdc_table"), "cdc_table")?,
        shard: text(take("cdc_shard"), "cdc_shard")?,
        snapshot: text_or_none(take("cdc_snapshot_id"), "cdc_snapshot_id")?,
        ttl_delete: take("cdc_ttl_delete").and_then(|value| value.as_bool()).context("cdc_ttl_delete is no boolean")?,
        changed,
        new: image(take("cdc_extra"))?,
        old: image(take("old_cdc_extra"))?,
        claim: text_or_none(take("cdc_claim_check"), "cdc_claim_check")?,
        keys: columns.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect(),
    })
}
