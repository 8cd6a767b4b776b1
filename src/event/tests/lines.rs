//! Properties of lines: what is written is read as it was, and nothing else is taken for a change.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::arbitrary::{Change, change, wire_page};
use super::only_record;
use crate::event::encode::{Decimals, SnapshotEnd, write_marker, write_ndjson, write_pointer};
use crate::event::flatten::Flattener;
use crate::event::parse::{ParseError, Parsed, parse_line};
use crate::event::{Cell, ChangeEvent, Operation, SequenceNumber, Side};

/// 9999-12-31T23:59:59Z.
const LAST_SECOND: i64 = 253_402_300_799;

/// A change, and the metadata that its record does not vary.
#[derive(Debug, Clone)]
struct Row {
    change: Change,
    event_id: String,
    sequence: SequenceNumber,
    time: i64,
    shard: String,
    snapshot: Option<String>,
    decimals: Decimals,
}

fn row() -> impl Strategy<Value = Row> {
    let metadata = (any::<String>(), "[0-9]{1,40}", 0..=LAST_SECOND, any::<String>(), any::<Option<String>>());
    let decimals = prop_oneof![Just(Decimals::Number), Just(Decimals::String)];
    (change(), metadata, decimals).prop_map(|(change, (event_id, sequence, time, shard, snapshot), decimals)| Row {
        change,
        event_id,
        sequence: sequence.parse().unwrap(),
        time,
        shard,
        snapshot,
        decimals,
    })
}

impl Row {
    /// The event: that of the stream's record, or a snapshot row with the image of an insert.
    fn with_event<R>(&self, check: impl FnOnce(ChangeEvent<'_>) -> R) -> R {
        let body = wire_page(std::slice::from_ref(&self.change));
        let record = only_record(&body);
        let mut event = Flattener::new(&self.change.schema).flatten(&record, &self.shard).unwrap();
        event.event_id = self.event_id.as_str().into();
        event.sequence = self.sequence;
        event.time = self.time;
        if event.operation == Operation::Insert
            && let Some(id) = &self.snapshot
        {
            event.operation = Operation::Snapshot;
            event.snapshot_id = Some(id.as_str().into());
        }
        check(event)
    }

    fn line(&self, event: &ChangeEvent<'_>) -> Vec<u8> {
        let mut line = Vec::new();
        write_ndjson(event, &self.change.schema, self.decimals, &mut line);
        line
    }

    fn pointer(&self, event: &ChangeEvent<'_>) -> Vec<u8> {
        let mut line = Vec::new();
        write_pointer(event, "claims/dt=2026-11-21/shard-7.json", &self.change.schema, &mut line);
        line
    }
}

/// What a line can tell of an event: not how many misfits there were, and not an old image of which it holds nothing.
fn told(mut event: ChangeEvent<'_>) -> ChangeEvent<'_> {
    event.new.iter_mut().chain(&mut event.old).for_each(|side| side.misfits = 0);
    let is_empty = |side: &Side<'_>| side.extra.is_none() && side.cells.iter().all(|cell| *cell == Cell::Null);
    event.old = event.old.filter(|side| !is_empty(side));
    event
}

fn change_of(parsed: Result<Parsed, ParseError>) -> ChangeEvent<'static> {
    match parsed {
        Ok(Parsed::Change(event)) => event,
        other => panic!("{other:?}"),
    }
}

/// One thing that can happen to bytes.
#[derive(Debug, Clone)]
enum Damage {
    Replace(Index, u8),
    Remove(Index, usize),
    Repeat(Index, usize),
    Insert(Index, Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    let token = prop_oneof![
        Just(&b"null"[..]),
        Just(&b"0"[..]),
        Just(&b"-"[..]),
        Just(&b"e9"[..]),
        Just(&b"\""[..]),
        Just(&b"\\ud800"[..]),
        Just(&b","[..]),
        Just(&b"\n{}"[..]),
        Just(&b"\xff"[..]),
    ];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        (any::<Index>(), 1_usize..40).prop_map(|(at, len)| Damage::Remove(at, len)),
        (any::<Index>(), 1_usize..40).prop_map(|(at, len)| Damage::Repeat(at, len)),
        (any::<Index>(), token).prop_map(|(at, token)| Damage::Insert(at, token.to_vec())),
    ]
}

fn damaged(mut line: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        if line.is_empty() {
            return line;
        }
        match damage {
            Damage::Replace(at, byte) => {
                let at = at.index(line.len());
                line[at] = *byte;
            }
            Damage::Remove(at, len) => {
                let at = at.index(line.len());
                line.drain(at..(at + len).min(line.len()));
            }
            Damage::Repeat(at, len) => {
                let at = at.index(line.len());
                let again = line[at..(at + len).min(line.len())].to_vec();
                line.splice(at..at, again);
            }
            Damage::Insert(at, bytes) => {
                let at = at.index(line.len());
                line.splice(at..at, bytes.iter().copied());
            }
        }
    }
    line
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn an_event_is_read_from_its_line_as_it_was(row in row()) {
        row.with_event(|event| {
            let mut out = b"before\n".to_vec();
            write_ndjson(&event, &row.change.schema, row.decimals, &mut out);
            let line = out.strip_prefix(b"before\n").unwrap();
            prop_assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1), "one line");
            let parsed = change_of(parse_line(line, &row.change.schema));
            prop_assert_eq!(row.line(&parsed), line);
            prop_assert_eq!(parsed, told(event));
            Ok(())
        })?;
    }

    #[test]
    fn a_pointer_is_read_from_its_line_and_stands_for_its_event_alone(row in row(), location in "[a-z=%]{1,9}(/[a-z=%\"é]{1,9}){0,3}") {
        row.with_event(|event| {
            let mut line = Vec::new();
            write_pointer(&event, &location, &row.change.schema, &mut line);
            prop_assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1), "one line");
            let Ok(Parsed::Pointer(pointer)) = parse_line(&line, &row.change.schema) else {
                panic!("{}", String::from_utf8_lossy(&line))
            };
            prop_assert_eq!(&pointer.location, &location);
            let stored = change_of(parse_line(&row.line(&event), &row.change.schema));
            prop_assert!(pointer.stands_for(&stored));
            let mut other = stored.clone();
            other.event_id.to_mut().push('x');
            prop_assert!(!pointer.stands_for(&other));
            let mut other = stored;
            other.keys[0].to_mut().push('x');
            prop_assert!(!pointer.stands_for(&other));
            Ok(())
        })?;
    }

    #[test]
    fn a_marker_is_read_from_its_line_as_it_was(
        row in row(), snapshot_id in any::<String>(), ends in any::<(u128, u128)>(), damages in vec(damage(), 1..4),
    ) {
        let hash_range = (ends.0.min(ends.1), ends.0.max(ends.1));
        let end = SnapshotEnd { snapshot_id, time: row.time, shard: row.shard.clone(), hash_range };
        let mut line = Vec::new();
        write_marker(&end, &row.change.schema, &mut line);
        prop_assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1), "one line");
        prop_assert_eq!(parse_line(&line, &row.change.schema).unwrap(), Parsed::Marker(end));
        // Damaged, it is a marker of its own at most.
        let read = parse_line(&damaged(line, &damages), &row.change.schema);
        prop_assert!(matches!(read, Err(_) | Ok(Parsed::Marker(_))), "{:?}", read);
    }

    #[test]
    fn a_line_that_was_cut_short_is_refused(row in row(), cut in any::<Index>()) {
        row.with_event(|event| {
            for line in [row.line(&event), row.pointer(&event)] {
                let whole = line.len() - "}\n".len();
                prop_assert!(parse_line(&line[..cut.index(whole)], &row.change.schema).is_err());
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_damaged_line_is_refused_or_an_event_of_its_own(row in row(), damages in vec(damage(), 1..4)) {
        let schema = &row.change.schema;
        row.with_event(|event| {
            for line in [row.line(&event), row.pointer(&event)] {
                match parse_line(&damaged(line, &damages), schema) {
                    Ok(Parsed::Change(event)) => prop_assert_eq!(change_of(parse_line(&row.line(&event), schema)), event),
                    Ok(Parsed::Pointer(_)) => {}
                    Ok(Parsed::Marker(marker)) => panic!("{marker:?} of a line about {}", event.operation.as_str()),
                    Err(error) => prop_assert!(!error.to_string().is_empty()),
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn bytes_at_random_are_no_event(row in row(), bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(parse_line(&bytes, &row.change.schema).is_err());
    }
}
