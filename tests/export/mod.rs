//! Reading what DynamoDB exports to S3.

mod damage;
mod handmade;
mod moto;
mod random;
mod reading;
mod store;

use std::path::Path;
use std::sync::Arc;

use headwater::contract::TableSchema;
use headwater::event::{AttributeType, write_typed_item};
use headwater::snapshot::export::{Export, open};
use headwater::snapshot::source::{Cursor, Row, RowSource, SourceError};

const TABLE: &str = "orders";

/// A row that borrows nothing; items as typed JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Item(String),
    Absent(Vec<String>),
    Poison(String),
}

impl Seen {
    fn of(row: &Row<'_>) -> Self {
        match row {
            Row::Item(item) => {
                let mut json = String::new();
                write_typed_item(item, &mut json);
                Self::Item(json)
            }
            Row::Absent(key) => Self::Absent(key.texts().to_vec()),
            Row::Poison { raw, .. } => Self::Poison(raw.clone().into_owned()),
        }
    }
}

fn schema() -> Arc<TableSchema> {
    Arc::new(TableSchema::keys_only(TABLE, vec![("id".to_owned(), AttributeType::S)]))
}

async fn open_folder(folder: &Path) -> Result<Export, SourceError> {
    open(folder.to_str().unwrap(), None, schema()).await
}

/// A page of a segment, and where to read on.
async fn page(
    export: &Export,
    segment: u32,
    after: Option<&Cursor>,
    most: Option<u32>,
) -> Result<(Vec<Seen>, Option<Cursor>), SourceError> {
    let page = export.page(segment, after, most).await?;
    assert_eq!(page.half_units(), 0, "an export costs no read capacity");
    let rows = page.rows()?.iter().map(Seen::of).collect();
    Ok((rows, page.next()))
}

/// All rows of a segment, from pages of `most` rows.
async fn segment(export: &Export, segment: u32, most: Option<u32>) -> Result<Vec<Seen>, SourceError> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let (more, next) = page(export, segment, after.as_ref(), most).await?;
        rows.extend(more);
        match next {
            Some(_) => after = next,
            None => return Ok(rows),
        }
    }
}

/// All rows, segment by segment.
async fn rows(export: &Export) -> Result<Vec<Seen>, SourceError> {
    let mut rows = Vec::new();
    for number in 0..export.segments() {
        rows.extend(segment(export, number, Some(3)).await?);
    }
    Ok(rows)
}

fn item(id: usize) -> String {
    format!(r#"{{"id":{{"S":"order-{id}"}},"price":{{"N":"{id}.50"}}}}"#)
}

fn line(id: usize) -> String {
    format!(r#"{{"Item":{}}}"#, item(id))
}

fn lines(ids: std::ops::Range<usize>) -> Vec<String> {
    ids.map(line).collect()
}

fn items(ids: std::ops::Range<usize>) -> Vec<Seen> {
    ids.map(|id| Seen::Item(item(id))).collect()
}
