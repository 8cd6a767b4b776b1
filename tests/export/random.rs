//! Whatever was exported is read, in whatever pages, resumed wherever.

use std::borrow::Cow;

use headwater::event::{Item, Value, write_typed_item};
use headwater::snapshot::source::Cursor;
use proptest::prelude::*;

use super::{Seen, TABLE, open_folder, page};
use crate::support::exports::{HandMade, gzip, text_of};

/// A step of reading a segment.
#[derive(Debug, Clone)]
enum Step {
    /// The next page, of so many rows at most.
    Page(Option<u32>),
    /// Another worker goes on where this one is.
    TakeOver,
    /// The same page again, or one further back: this worker goes on at an older checkpoint.
    Back(usize),
}

fn value() -> impl Strategy<Value = Value<'static>> {
    let text = || any::<String>().prop_map(Cow::Owned);
    let texts = move || prop::collection::vec(text(), 1..4);
    let leaf = prop_oneof![
        4 => text().prop_map(Value::S),
        2 => "-?[1-9][0-9]{0,37}".prop_map(|digits| Value::N(Cow::Owned(digits))),
        1 => prop_oneof![Just("AAE="), Just("")].prop_map(|base64| Value::B(Cow::Borrowed(base64))),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => Just(Value::Null),
        1 => texts().prop_map(Value::Ss),
        1 => prop::collection::vec("[1-9][0-9]{0,9}".prop_map(Cow::Owned), 1..4).prop_map(Value::Ns),
    ];
    leaf.prop_recursive(3, 12, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::L),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|fields| Value::M(Item(fields.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect()))),
        ]
    })
}

/// An item as typed JSON.
fn item() -> impl Strategy<Value = String> {
    prop::collection::btree_map(any::<String>(), value(), 0..5).prop_map(|attributes| {
        let item = Item(attributes.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect());
        let mut json = String::new();
        write_typed_item(&item, &mut json);
        json
    })
}

fn step() -> impl Strategy<Value = Step> {
    let most = prop_oneof![1 => Just(None), 6 => (1..12_u32).prop_map(Some)];
    prop_oneof![6 => most.prop_map(Step::Page), 1 => Just(Step::TakeOver), 1 => (0..10_usize).prop_map(Step::Back)]
}

/// A data file of these items: one gzip stream or several, with or without a last line feed.
fn file(items: &[String], members: usize, last_line_feed: bool) -> Vec<u8> {
    let mut text = text_of(&items.iter().map(|item| format!("{{\"Item\":{item}}}")).collect::<Vec<_>>());
    if !last_line_feed {
        text.pop();
    }
    text.as_bytes().chunks(text.len().div_ceil(members).max(1)).flat_map(gzip).collect()
}

async fn check(files: &[(Vec<String>, usize, bool)], steps: &[Step]) -> Result<(), TestCaseError> {
    let bucket = tempfile::tempdir().unwrap();
    let mut made = HandMade::full(TABLE);
    for (items, members, last_line_feed) in files {
        made.raw_data(file(items, *members, *last_line_feed), items.len() as u64);
    }
    let folder = made.write(bucket.path());
    let mut export = open_folder(&folder).await.unwrap();
    let segments: Vec<_> = files.iter().map(|(items, ..)| items).filter(|items| !items.is_empty()).collect();
    prop_assert_eq!(export.segments() as usize, segments.len().max(1));
    for (number, items) in (0_u32..).zip(segments) {
        let expected: Vec<_> = items.iter().cloned().map(Seen::Item).collect();
        let mut rows = Vec::new();
        let mut steps = steps.iter().cloned().chain(std::iter::repeat(Step::Page(Some(5))));
        loop {
            match steps.next().unwrap() {
                Step::Page(most) => {
                    let after = Some(Cursor(rows.len().to_string())).filter(|_| !rows.is_empty());
                    let (more, next) = page(&export, number, after.as_ref(), most).await.unwrap();
                    prop_assert!(most.is_none_or(|most| more.len() <= most as usize));
                    rows.extend(more);
                    match next {
                        Some(cursor) => prop_assert_eq!(cursor.0, rows.len().to_string()),
                        None => break,
                    }
                }
                Step::TakeOver => export = open_folder(&folder).await.unwrap(),
                Step::Back(lines) => rows.truncate(rows.len().saturating_sub(lines)),
            }
        }
        prop_assert_eq!(rows, expected);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_item_is_read_once_in_its_order(
        files in prop::collection::vec((prop::collection::vec(item(), 0..40), 1..4_usize, any::<bool>()), 0..4),
        steps in prop::collection::vec(step(), 0..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(&files, &steps))?;
    }
}
