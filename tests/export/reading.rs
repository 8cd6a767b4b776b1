//! How much is read of an export, and what happens when it cannot be read for a while.

use std::sync::atomic::Ordering;

use headwater::snapshot::source::{Cursor, RowSource, SourceError};
use headwater::table::Key;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::store::Watched;
use super::{Seen, TABLE, items, lines, page, segment};
use crate::support::exports::{FOLDER, HandMade};

/// An item of about ten kilobytes that gzip cannot make much smaller.
fn large(id: u64) -> String {
    let mut state = id.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let noise: Vec<_> = (0..640)
        .map(|_| {
            // Xorshift: any digits will do that gzip finds no pattern in.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            format!("{state:016x}")
        })
        .collect();
    format!(r#"{{"id":{{"S":"order-{id}"}},"noise":{{"S":"{}"}}}}"#, noise.concat())
}

/// A data file of three megabytes, in six chunks.
fn large_export() -> HandMade {
    let mut made = HandMade::full(TABLE);
    let lines: Vec<_> = (0..500).map(|id| format!(r#"{{"Item":{}}}"#, large(id))).collect();
    made.data(&lines);
    made
}

fn large_items() -> Vec<Seen> {
    (0..500).map(|id| Seen::Item(large(id))).collect()
}

#[tokio::test]
async fn pages_are_bounded_and_reading_on_reads_nothing_twice() {
    let store = Watched::holding(&large_export()).await;
    let export = store.open().await;
    let (first, mut after) = page(&export, 0, None, None).await.unwrap();
    let bytes: usize = first.iter().map(|row| if let Seen::Item(item) = row { item.len() } else { 0 }).sum();
    assert!((900_000..1 << 20).contains(&bytes), "a page has a mebibyte at most, not {bytes} bytes");
    assert!(store.read.load(Ordering::SeqCst) < 2 << 20, "the file is not fetched as a whole for it");
    let mut rows = first;
    while let Some(cursor) = &after {
        let (more, next) = page(&export, 0, Some(cursor), None).await.unwrap();
        rows.extend(more);
        after = next;
    }
    assert_eq!(rows, large_items());
    let size = store.head(&Path::from(format!("{FOLDER}/data/file0.json.gz"))).await.unwrap().size;
    assert!(size > 2 << 20, "{size} bytes are too few for this test");
    assert_eq!(store.read.load(Ordering::SeqCst), size);
}

#[tokio::test]
async fn a_resumed_segment_is_passed_over_to_where_it_was_left() {
    let store = Watched::holding(&large_export()).await;
    let export = store.open().await;
    let cursor = export.behind(&Key::of_texts(vec!["order-321".to_owned()]), 322).unwrap();
    let (rows, _) = page(&export, 0, Some(&cursor), Some(20)).await.unwrap();
    assert_eq!(rows, large_items()[322..342]);
    // Back, as after a lost lease, and ahead of what was read.
    let (rows, _) = page(&export, 0, Some(&Cursor("2".to_owned())), Some(3)).await.unwrap();
    assert_eq!(rows, large_items()[2..5]);
    let (rows, next) = page(&export, 0, Some(&Cursor("490".to_owned())), Some(100)).await.unwrap();
    assert_eq!(rows, large_items()[490..]);
    assert_eq!(next, None);
}

#[tokio::test]
async fn behind_the_last_row_there_is_an_empty_last_page() {
    let mut made = HandMade::full(TABLE);
    made.data(&lines(0..10));
    let export = Watched::holding(&made).await.open().await;
    assert_eq!(page(&export, 0, Some(&Cursor("10".to_owned())), None).await.unwrap(), (Vec::new(), None));
    let (rows, next) = page(&export, 0, None, Some(10)).await.unwrap();
    assert_eq!((rows, next), (items(0..10), None), "a page that takes the last row is the last");
}

#[tokio::test]
async fn a_cursor_of_something_else_is_refused() {
    let mut made = HandMade::full(TABLE);
    made.data(&lines(0..10));
    let export = Watched::holding(&made).await.open().await;
    for (number, cursor, expected) in
        [(0, "11", "it has 10 lines, and reading was to go on behind line 11"), (0, "{}", "no number of lines"), (1, "0", "no segment 1")]
    {
        let error = page(&export, number, Some(&Cursor(cursor.to_owned())), None).await.unwrap_err();
        assert!(matches!(&error, SourceError::Broken { problem, .. } if problem.contains(expected)), "{cursor}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_while_costs_no_rows_and_no_reading_again() {
    let store = Watched::holding(&large_export()).await;
    let export = store.open().await;
    let (mut rows, after) = page(&export, 0, None, Some(7)).await.unwrap();
    store.down.store(true, Ordering::SeqCst);
    let error = segment_after(&export, after.as_ref(), &mut rows).await.unwrap_err();
    assert!(matches!(error, SourceError::Unavailable { .. }), "{error:?}");
    store.down.store(false, Ordering::SeqCst);
    let after = Cursor(rows.len().to_string());
    segment_after(&export, Some(&after), &mut rows).await.unwrap();
    assert_eq!(rows, large_items());
    let size = store.head(&Path::from(format!("{FOLDER}/data/file0.json.gz"))).await.unwrap().size;
    assert_eq!(store.read.load(Ordering::SeqCst), size);
}

/// Adds the rows behind the cursor, as long as there are any to be had.
async fn segment_after(
    export: &headwater::snapshot::export::Export,
    after: Option<&Cursor>,
    rows: &mut Vec<Seen>,
) -> Result<(), SourceError> {
    let mut after = after.cloned();
    while let Some(cursor) = after {
        let (more, next) = page(export, 0, Some(&cursor), Some(50)).await?;
        rows.extend(more);
        after = next;
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_replaced_while_it_is_read_is_noticed() {
    let store = Watched::holding(&large_export()).await;
    let export = store.open().await;
    page(&export, 0, None, None).await.unwrap();
    let location = Path::from(format!("{FOLDER}/data/file0.json.gz"));
    let same = store.get(&location).await.unwrap().bytes().await.unwrap();
    store.put(&location, same.into()).await.unwrap();
    let error = page(&export, 0, Some(&Cursor("400".to_owned())), None).await.unwrap_err();
    assert!(matches!(&error, SourceError::Broken { problem, .. } if problem.contains("it was replaced while it was read")), "{error}");
    assert_eq!(segment(&export, 0, None).await.unwrap(), large_items(), "and read anew when it is asked for again");
}
