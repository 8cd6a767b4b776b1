//! Reads a line of NDJSON back into an event, with nothing of the code under test but the number parser.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::contract::{Column, ColumnType, TableSchema};
use crate::event::encode::Decimals;
use crate::event::number::Number;
use crate::event::{Cell, ChangeEvent, Operation, Side};

type Members<'l> = HashMap<&'l str, &'l RawValue>;

/// The event of a line. Misfits are not in a line.
pub(super) fn read(line: &str, schema: &TableSchema, decimals: Decimals) -> ChangeEvent<'static> {
    let mut members: Members<'_> = serde_json::from_str(line).unwrap();
    let mut text = |name: &str| members.remove(name).map(|raw| serde_json::from_str::<String>(raw.get()).unwrap());
    assert_eq!(text("cdc_table").as_deref(), Some(schema.table.as_str()));
    let shard = text("cdc_shard").unwrap();
    let sequence = text("cdc_sequence").unwrap();
    assert_eq!(sequence.len(), 40);
    let operation = match text("cdc_op").as_deref() {
        Some("INSERT") => Operation::Insert,
        Some("MODIFY") => Operation::Modify,
        Some("REMOVE") => Operation::Remove,
        other => panic!("{other:?}"),
    };
    let time = text("cdc_time").unwrap();
    let event_id = text("cdc_event_id").unwrap();
    let keys = schema.keys.iter().map(|key| text(&key.column).unwrap().into()).collect();
    let extras = (text("cdc_extra"), text("old_cdc_extra"));
    let changed: Vec<String> = serde_json::from_str(members.remove("cdc_changed").unwrap().get()).unwrap();
    let ttl_delete = serde_json::from_str(members.remove("cdc_ttl_delete").unwrap().get()).unwrap();
    let mut side = |prefix: &str, extra| Side {
        cells: schema
            .columns
            .iter()
            .map(|column| cell(members.remove(format!("{prefix}{}", column.name).as_str()), column, decimals))
            .collect(),
        extra,
        misfits: 0,
    };
    let (new, old) = (side("", extras.0), side("old_", extras.1));
    assert!(members.is_empty(), "unexpected columns: {members:?}");
    ChangeEvent {
        event_id: event_id.into(),
        operation,
        sequence: sequence.parse().unwrap(),
        time: micros(&time, 3) / 1_000_000,
        shard: shard.into(),
        snapshot_id: None,
        ttl_delete,
        changed: changed.into_iter().map(Cow::Owned).collect(),
        keys,
        new: (operation != Operation::Remove).then_some(new),
        old: (operation != Operation::Insert).then_some(old),
    }
}

fn cell(raw: Option<&RawValue>, column: &Column, decimals: Decimals) -> Cell<'static> {
    let Some(raw) = raw.map(RawValue::get) else {
        return Cell::Null;
    };
    let text = || serde_json::from_str::<String>(raw).unwrap();
    match column.kind {
        ColumnType::Text | ColumnType::Json => Cell::Text(text().into()),
        ColumnType::BigInt => Cell::Int(raw.parse().unwrap()),
        ColumnType::Boolean => Cell::Bool(raw.parse().unwrap()),
        ColumnType::Timestamp { .. } => Cell::Timestamp(micros(&text(), 6)),
        ColumnType::Decimal { precision, scale } => {
            let digits = if decimals == Decimals::String { text() } else { raw.to_owned() };
            Cell::Decimal(Number::parse(&digits).unwrap().to_unscaled(precision, scale).unwrap())
        }
    }
}

fn micros(text: &str, places: usize) -> i64 {
    assert_eq!(text.len(), "YYYY-MM-DD HH:MM:SS.".len() + places, "{text}");
    let civil: jiff::civil::DateTime = text.parse().unwrap();
    civil.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_microsecond()
}
