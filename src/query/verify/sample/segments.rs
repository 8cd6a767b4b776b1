//! Items of the table from random segments of a scan.

use std::collections::HashMap;
use std::ops::ControlFlow;

use aws_sdk_dynamodb::Client;
use fastrand::Rng;

use super::draw::Reservoir;
use crate::aws::AwsError;
use crate::contract::TableSchema;
use crate::query::verify::digest::{self, Digest};
use crate::query::verify::scope::{MOST_SAMPLED, SampleSize};
use crate::query::verify::{VerifyError, VerifyProgress, item_of, key_of};
use crate::table::{self, Key};

/// Items that a segment should have: few, so that a sample comes from many places; but each segment costs a request.
const SEGMENT_ITEMS: u64 = 25;
/// DynamoDB's figure of a table's items is up to six hours old, and zero of a new table.
const FEWEST_SEGMENTS: u64 = 200;
/// Amazon DynamoDB API Reference, Scan, "TotalSegments".
const MOST_SEGMENTS: u64 = 1_000_000;
const MILLION: u64 = 1_000_000;

/// What a scan is to read.
#[derive(Debug, Clone, Copy)]
struct Segment {
    number: u32,
    of: u32,
}

/// Draws items, and says whether they are all that the table has.
pub(super) async fn draw(
    dynamo: &Client,
    schema: &TableSchema,
    size: SampleSize,
    lot: &mut Rng,
    progress: &impl Fn(VerifyProgress),
) -> Result<(HashMap<Key, Digest>, bool), VerifyError> {
    let of = division(table::item_count(dynamo, &schema.table).await?);
    if ignores_segments(dynamo, schema, of).await? {
        return from_whole(dynamo, schema, size, lot, progress).await;
    }
    let (room, segments) = match size {
        SampleSize::Keys(keys) => (keys as usize, of),
        SampleSize::OfAMillion(parts) => (MOST_SAMPLED as usize, part(of, parts)),
    };
    let mut numbers: Vec<u32> = (0..of).collect();
    lot.shuffle(&mut numbers);
    numbers.truncate(segments as usize);
    let mut drawn = HashMap::new();
    let mut left_out = segments < of;
    for number in numbers {
        let read = scan(dynamo, schema, Some(Segment { number, of }), |key, item| {
            if drawn.len() >= room {
                return ControlFlow::Break(());
            }
            drawn.insert(key, item);
            ControlFlow::Continue(())
        });
        if read.await?.is_break() {
            left_out = true;
            break;
        }
        let rows = drawn.len() as u64;
        progress(VerifyProgress::Table { rows, about: rows });
    }
    Ok((drawn, !left_out))
}

/// Draws items from the whole table, where a part cannot be read alone.
async fn from_whole(
    dynamo: &Client,
    schema: &TableSchema,
    size: SampleSize,
    lot: &mut Rng,
    progress: &impl Fn(VerifyProgress),
) -> Result<(HashMap<Key, Digest>, bool), VerifyError> {
    let mut drawn = Reservoir::of(size);
    let mut rows = 0;
    let read = scan(dynamo, schema, None, |key, item| {
        drawn.offer(lot, (key, item));
        rows += 1;
        progress(VerifyProgress::Table { rows, about: rows });
        ControlFlow::Continue(())
    });
    // It goes on to the end whatever it meets.
    let _ = read.await?;
    let has_all = drawn.has_all();
    Ok((drawn.into_kept().into_iter().collect(), has_all))
}

/// Whether the service gives the whole table for every segment, as DynamoDB Local does: then two segments begin with one key.
async fn ignores_segments(dynamo: &Client, schema: &TableSchema, of: u32) -> Result<bool, VerifyError> {
    let mut first = Vec::new();
    for number in [0, 1] {
        let request = dynamo.scan().table_name(&schema.table).total_segments(signed(of)).segment(signed(number)).limit(1);
        let page = request.send().await.map_err(|error| AwsError::new("Scan", &schema.table, &error))?;
        let items = page.items.unwrap_or_default();
        first.push(items.first().map(|attributes| key_of(schema, &item_of(schema, attributes)?)).transpose()?);
    }
    Ok(first[0].is_some() && first[0] == first[1])
}

/// Reads a segment, or the table, consistently until `each` has enough, and says whether it came to that.
async fn scan(
    dynamo: &Client,
    schema: &TableSchema,
    segment: Option<Segment>,
    mut each: impl FnMut(Key, Digest) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, VerifyError> {
    let mut request = dynamo.scan().table_name(&schema.table).consistent_read(true);
    if let Some(Segment { number, of }) = segment {
        request = request.segment(signed(number)).total_segments(signed(of));
    }
    let mut pages = request.into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("Scan", &schema.table, &error))?;
        for attributes in page.items() {
            let item = item_of(schema, attributes)?;
            if each(key_of(schema, &item)?, digest::of_item(&item)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Into how many segments a table of about so many items is divided.
fn division(items: u64) -> u32 {
    u32::try_from((items / SEGMENT_ITEMS).clamp(FEWEST_SEGMENTS, MOST_SEGMENTS)).unwrap_or(u32::MAX)
}

/// So many of a million segments, at least one.
fn part(segments: u32, of_a_million: u32) -> u32 {
    u32::try_from((u64::from(segments) * u64::from(of_a_million)).div_ceil(MILLION)).unwrap_or(segments).max(1)
}

/// As the API has numbers of segments, which are a million at most.
fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_divided_finely_but_no_more_than_dynamodb_takes() {
        assert_eq!([0, 5_000, 1_000_000, u64::MAX].map(division), [200, 200, 40_000, 1_000_000]);
    }

    #[test]
    fn a_part_of_the_table_is_a_part_of_its_segments() {
        assert_eq!(part(200, 1), 1);
        assert_eq!(part(40_000, 10_000), 400);
        assert_eq!(part(1_000_000, 1_000_000), 1_000_000);
    }
}
