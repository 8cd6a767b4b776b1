//! Rows of a snapshot as change events.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::source::Row;
use crate::aws::describe;
use crate::contract::TableSchema;
use crate::event::flatten::Flattener;
use crate::event::{ChangeEvent, Operation, SequenceNumber, Side, write_typed_item};
use crate::lake::Kind;

/// The first bytes of a digest are an event's id, in hexadecimal.
const ID_BYTES: usize = 16;

/// Makes events of one segment's rows.
pub(super) struct RowEvents {
    flattener: Flattener,
    snapshot: String,
    segment: String,
    started_at: i64,
    /// What every event's id begins to be made of: the table and the snapshot.
    identity: Sha256,
}

/// A row that is no event, to be kept whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Poison<'r> {
    pub(super) raw: Cow<'r, str>,
    pub(super) kind: Kind,
    pub(super) reason: String,
}

impl RowEvents {
    /// For the rows of a segment of a snapshot that started then.
    pub(super) fn new(schema: &TableSchema, snapshot: &str, segment: &str, started_at: i64) -> Self {
        let mut identity = Sha256::new();
        name(&mut identity, &schema.table);
        name(&mut identity, snapshot);
        Self { flattener: Flattener::new(schema), snapshot: snapshot.to_owned(), segment: segment.to_owned(), started_at, identity }
    }

    /// The row's event. Its id is the same whenever the row is read.
    pub(super) fn event<'r>(&'r self, row: &'r Row<'r>) -> Result<ChangeEvent<'r>, Poison<'r>> {
        match row {
            Row::Item(item) => match self.flattener.flatten_row(item) {
                Ok((keys, side)) => Ok(self.of(Operation::Snapshot, keys, Some(side))),
                Err(error) => {
                    let mut raw = String::new();
                    write_typed_item(item, &mut raw);
                    Err(Poison { raw: raw.into(), kind: Kind::DoesNotFit, reason: describe(&error) })
                }
            },
            Row::Absent(key) => Ok(self.of(Operation::Remove, key.texts().iter().map(|text| Cow::Borrowed(text.as_str())).collect(), None)),
            Row::Poison { raw, reason } => Err(Poison { raw: Cow::Borrowed(raw), kind: Kind::Undecodable, reason: reason.clone() }),
        }
    }

    fn of<'r>(&'r self, operation: Operation, keys: Vec<Cow<'r, str>>, new: Option<Side<'r>>) -> ChangeEvent<'r> {
        let mut identity = self.identity.clone();
        for key in &keys {
            name(&mut identity, key);
        }
        ChangeEvent {
            event_id: hex(&identity.finalize()).into(),
            operation,
            sequence: SequenceNumber::ZERO,
            time: self.started_at,
            shard: Cow::Borrowed(&self.segment),
            snapshot_id: Some(Cow::Borrowed(&self.snapshot)),
            ttl_delete: false,
            changed: Vec::new(),
            keys,
            new,
            old: None,
        }
    }
}

/// A text behind its length, so that no two lists of texts are the same bytes.
fn name(digest: &mut Sha256, text: &str) {
    digest.update((text.len() as u64).to_le_bytes());
    digest.update(text);
}

fn hex(digest: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = String::with_capacity(2 * ID_BYTES);
    for byte in digest.iter().take(ID_BYTES) {
        hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
        hex.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{AttributeType, item_from_json};
    use crate::table::Key;

    fn schema() -> TableSchema {
        TableSchema::keys_only("orders", vec![("pk".into(), AttributeType::S), ("sk".into(), AttributeType::N)])
    }

    fn id(table: &str, snapshot: &str, keys: &[&str]) -> String {
        let schema = TableSchema { table: table.to_owned(), ..schema() };
        let row = Row::Absent(Key::of_texts(keys.iter().map(|&key| key.to_owned()).collect()));
        RowEvents::new(&schema, snapshot, "segment", 7).event(&row).unwrap().event_id.into_owned()
    }

    #[test]
    fn an_item_is_a_row_at_the_snapshot_s_start() {
        let row = Row::Item(item_from_json(r#"{"pk":{"S":"a"},"sk":{"N":"1.50"},"note":{"S":"x"}}"#).unwrap());
        let rows = RowEvents::new(&schema(), "snap", "snapshot-snap-00003", 7);
        let event = rows.event(&row).unwrap();
        assert_eq!((event.operation, event.sequence, event.time), (Operation::Snapshot, SequenceNumber::ZERO, 7));
        assert_eq!((event.shard.as_ref(), event.snapshot_id.as_deref()), ("snapshot-snap-00003", Some("snap")));
        assert_eq!(event.keys, ["a", "1.5"]);
        assert_eq!(event.new.unwrap().extra.as_deref(), Some(r#"{"note":{"S":"x"}}"#));
        assert_eq!(event.old, None);
    }

    #[test]
    fn an_absent_key_removes_what_the_lake_has_of_it() {
        let row = Row::Absent(Key::of_texts(vec!["a".into(), "1".into()]));
        let rows = RowEvents::new(&schema(), "snap", "segment", 7);
        let event = rows.event(&row).unwrap();
        assert_eq!((event.operation, event.snapshot_id.as_deref()), (Operation::Remove, Some("snap")));
        assert!(event.new.is_none() && event.old.is_none());
    }

    #[test]
    fn an_event_s_id_is_the_row_s_own() {
        let one = id("orders", "snap", &["a", "bc"]);
        assert_eq!(one.len(), 32);
        assert_eq!(one, id("orders", "snap", &["a", "bc"]));
        for other in [id("orders", "snap", &["ab", "c"]), id("orders", "snap2", &["a", "bc"]), id("others", "snap", &["a", "bc"])] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn an_item_with_another_key_is_kept_whole() {
        let row = Row::Item(item_from_json(r#"{"pk":{"N":"1"},"sk":{"N":"1"}}"#).unwrap());
        let rows = RowEvents::new(&schema(), "snap", "segment", 7);
        let poison = rows.event(&row).unwrap_err();
        assert_eq!(poison.raw, r#"{"pk":{"N":"1"},"sk":{"N":"1"}}"#);
        assert!(poison.reason.contains("'pk'"), "{}", poison.reason);
    }
}
