//! Items of the table from random segments of a scan.

use std::collections::HashMap;

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
const SEGMENT_ITEMS: u64 = 4;
/// Where so many keys are drawn, a segment gives no more than this: what lies side by side may be lost together, and then tells little more than one.
const MOST_OF_A_SEGMENT: usize = 8;
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

/// What was drawn of the table.
pub(super) struct Drawn {
    pub(super) items: HashMap<Key, Digest>,
    /// From how many places of the table that were drawn independently of each other.
    pub(super) places: u64,
    /// Whether they are all that the table has.
    pub(super) is_whole: bool,
}

/// Draws items.
pub(super) async fn draw(
    dynamo: &Client,
    schema: &TableSchema,
    size: SampleSize,
    lot: &mut Rng,
    progress: &impl Fn(VerifyProgress),
) -> Result<Drawn, VerifyError> {
    let of = division(table::item_count(dynamo, &schema.table).await?);
    if table::ignores_segments(dynamo, schema).await? {
        return from_whole(dynamo, schema, size, lot, progress).await;
    }
    let (room, segments, most) = match size {
        SampleSize::Keys(keys) => (keys as usize, of, MOST_OF_A_SEGMENT),
        SampleSize::OfAMillion(parts) => (MOST_SAMPLED as usize, part(of, parts), usize::MAX),
    };
    let mut numbers: Vec<u32> = (0..of).collect();
    lot.shuffle(&mut numbers);
    numbers.truncate(segments as usize);
    let mut drawn = Drawn { items: HashMap::new(), places: 0, is_whole: segments == of };
    for number in numbers {
        let (before, left) = (drawn.items.len(), room - drawn.items.len());
        let Some(most) = Some(most.min(left)).filter(|most| *most > 0) else {
            drawn.is_whole = false;
            break;
        };
        let read = scan(dynamo, schema, Some(Segment { number, of }), most, |key, item| {
            drawn.items.insert(key, item);
        });
        drawn.is_whole &= read.await?;
        drawn.places += u64::from(drawn.items.len() > before);
        let rows = drawn.items.len() as u64;
        progress(VerifyProgress::Table { rows, about: rows });
    }
    Ok(drawn)
}

/// Draws items from the whole table, where a part cannot be read alone.
async fn from_whole(
    dynamo: &Client,
    schema: &TableSchema,
    size: SampleSize,
    lot: &mut Rng,
    progress: &impl Fn(VerifyProgress),
) -> Result<Drawn, VerifyError> {
    let mut drawn = Reservoir::of(size);
    let mut rows = 0;
    let read = scan(dynamo, schema, None, usize::MAX, |key, item| {
        drawn.offer(lot, (key, item));
        rows += 1;
        progress(VerifyProgress::Table { rows, about: rows });
    });
    read.await?;
    let is_whole = drawn.has_all();
    let items: HashMap<_, _> = drawn.into_kept().into_iter().collect();
    Ok(Drawn { places: items.len() as u64, items, is_whole })
}

/// Reads a segment, or the table, consistently, at most so many items of it, and says whether that is all.
async fn scan(
    dynamo: &Client,
    schema: &TableSchema,
    segment: Option<Segment>,
    most: usize,
    mut each: impl FnMut(Key, Digest),
) -> Result<bool, VerifyError> {
    let mut request = dynamo.scan().table_name(&schema.table).consistent_read(true);
    if let Some(Segment { number, of }) = segment {
        request = request.segment(signed(number)).total_segments(signed(of));
    }
    if most <= MOST_OF_A_SEGMENT {
        request = request.limit(i32::try_from(most).unwrap_or(i32::MAX));
    }
    let mut pages = request.into_paginator().send();
    let mut read = 0;
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| AwsError::new("Scan", &schema.table, &error))?;
        for attributes in page.items() {
            if read == most {
                return Ok(false);
            }
            let item = item_of(schema, attributes)?;
            each(key_of(schema, &item)?, digest::of_item(&item));
            read += 1;
        }
        if read == most && page.last_evaluated_key.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
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
        assert_eq!([0, 800, 1_000_000, u64::MAX].map(division), [200, 200, 250_000, 1_000_000]);
    }

    #[test]
    fn a_part_of_the_table_is_a_part_of_its_segments() {
        assert_eq!(part(200, 1), 1);
        assert_eq!(part(40_000, 10_000), 400);
        assert_eq!(part(1_000_000, 1_000_000), 1_000_000);
    }
}
