//! Properties of the whole path: wire → record → event → line, and back.

mod arbitrary;
mod lines;
mod sdk;

use std::collections::BTreeSet;

use proptest::prelude::*;

use self::arbitrary::{Change, change, wire_page};
use super::decode::{Decoded, parse_page, parse_record};
use super::flatten::Flattener;
use super::restore::{canonical_item, restore, restore_row};
use super::{Cell, Item, StreamRecord};

/// The only record of a page, or a failure of the test.
fn only_record(body: &str) -> StreamRecord<'_> {
    let mut page = parse_page(body.as_bytes()).unwrap();
    match (page.records.pop(), page.records.len()) {
        (Some(Decoded::Record(record)), 0) => record,
        other => panic!("{other:?}"),
    }
}

fn canonical(image: Option<&Item<'_>>) -> Option<String> {
    image.map(canonical_item)
}

/// The attributes that differ, found through canonical texts.
fn differing(new: &Item<'_>, old: &Item<'_>) -> Vec<String> {
    let one = |item: &Item<'_>, name: &str| item.get(name).map(|v| canonical_item(&Item(vec![("v".into(), v.clone())])));
    let names: BTreeSet<&str> = new.iter().chain(old.iter()).map(|(name, _)| name).collect();
    names.into_iter().filter(|name| one(new, name) != one(old, name)).map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn both_images_are_rebuilt_exactly_from_the_event(change in change()) {
        let Change { schema, keys, new, old, .. } = &change;
        let body = wire_page(std::slice::from_ref(&change));
        let record = only_record(&body);
        let event = Flattener::new(schema).flatten(&record, "shard \"1\"").unwrap();
        let images = restore(&event, schema).unwrap();
        prop_assert_eq!(canonical_item(&images.keys), canonical_item(keys));
        prop_assert_eq!(canonical(images.new.as_ref()), canonical(new.as_ref()));
        prop_assert_eq!(canonical(images.old.as_ref()), canonical(old.as_ref()));
        if let (Some(new), Some(old)) = (new, old) {
            prop_assert_eq!(event.changed, differing(new, old));
        } else {
            prop_assert!(event.changed.is_empty());
        }
    }

    #[test]
    fn a_row_is_rebuilt_from_cells_by_name(change in change()) {
        let Change { schema, new: Some(new), .. } = &change else { return Ok(()) };
        let body = wire_page(std::slice::from_ref(&change));
        let record = only_record(&body);
        let event = Flattener::new(schema).flatten(&record, "shard \"1\"").unwrap();
        let side = event.new.as_ref().unwrap();
        let keys: Vec<Cell<'_>> = event.keys.iter().map(|key| Cell::Text(key.clone())).collect();
        let by_name = |name: &str| match schema.keys.iter().position(|key| key.column == name) {
            Some(at) => &keys[at],
            None => &side.cells[schema.columns.iter().position(|column| column.name == name).unwrap()],
        };
        let item = restore_row(schema, side.extra.as_deref(), by_name).unwrap();
        prop_assert_eq!(canonical_item(&item), canonical_item(new));
    }
}

#[test]
fn a_record_survives_its_own_json() {
    let raw = r#"{"eventID":"e\"1","eventName":"REMOVE","dynamodb":{"ApproximateCreationDateTime":5,"SequenceNumber":"100","Keys":{"id":{"S":"k"}},"OldImage":{"id":{"S":"k"},"n":{"N":"1.50"},"l":{"L":[{"NULL":true}]}}},"userIdentity":{"Type":"Service","PrincipalId":"dynamodb.amazonaws.com"}}"#;
    let Decoded::Record(record) = parse_record(raw) else { panic!("a record") };
    assert!(record.ttl_delete);
    assert_eq!(parse_record(&record.to_json()), Decoded::Record(record.clone()));
}
