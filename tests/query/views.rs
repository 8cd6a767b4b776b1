//! The views `changes`, `snapshots` and `current`.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Decimal128Array, RecordBatch, new_null_array};
use headwater::lake::arrow_schema;
use parquet::arrow::ArrowWriter;

use super::handmade::{Change, HandmadeLake, insert, modify, orders, remove, rows, snapshot_row};

const HOUR: &str = "dt=2026-11-21/hr=10";
const STATE: &str = "SELECT order_id, status, cdc_op FROM current ORDER BY order_id";

/// 38 digits, six of them behind the point; a float keeps 17.
const EXACT: &str = "12345678901234567890123456789012.345678";

#[tokio::test]
async fn the_latest_change_of_a_key_is_its_current_state() {
    let lake = HandmadeLake::new();
    lake.parquet(
        HOUR,
        "a",
        &[
            insert("1", 1).with(r#""status":"placed""#),
            insert("2", 2).with(r#""status":"placed""#),
            insert("3", 3).with(r#""status":"placed""#),
        ],
    );
    lake.parquet(
        HOUR,
        "b",
        &[modify("1", 4).with(r#""status":"paid","old_status":"placed""#), remove("2", 5).with(r#""old_status":"placed""#)],
    );

    assert_eq!(lake.rows(STATE).await, ["1,paid,MODIFY", "3,placed,INSERT"]);
    assert_eq!(lake.rows("SELECT count(*) FROM changes").await, ["5"], "changes keeps the history");
    let columns = lake.rows("SELECT column_name FROM information_schema.columns WHERE table_name = 'current'").await;
    let expected = ["order_id", "status", "price", "quantity", "placed", "cdc_extra", "cdc_sequence", "cdc_time", "cdc_op"];
    assert_eq!(columns, expected);
}

#[tokio::test]
async fn a_key_that_expired_is_gone_until_it_is_inserted_again() {
    let lake = HandmadeLake::new();
    lake.parquet(HOUR, "a", &[insert("1", 1), remove("1", 2).by_ttl(), insert("2", 3), remove("2", 4).by_ttl()]);
    lake.parquet(HOUR, "b", &[insert("2", 5).with(r#""status":"again""#)]);

    assert_eq!(lake.rows(STATE).await, ["2,again,INSERT"]);
    assert_eq!(lake.rows("SELECT count(*) FROM changes WHERE cdc_ttl_delete").await, ["2"]);
}

#[tokio::test]
async fn sequences_of_different_lengths_are_ordered_as_numbers_across_shards() {
    let lake = HandmadeLake::new();
    let (short, long) = (700_000_000_000_000_888_747_038, 13_021_600_000_000_001_596_893_679);
    lake.parquet(HOUR, "parent", &[modify("1", short).shard("z-parent").with(r#""status":"old""#)]);
    lake.parquet(HOUR, "child", &[modify("1", long).shard("a-child").with(r#""status":"new""#)]);

    assert_eq!(lake.rows(STATE).await, ["1,new,MODIFY"]);
}

#[tokio::test]
async fn a_snapshot_lies_below_the_changes_since_its_start_and_heals_what_was_before() {
    let lake = HandmadeLake::new();
    // The stream lost the REMOVE of 'ghost' and the INSERT of 'lost'.
    lake.parquet("dt=2026-11-20/hr=09", "a", &[insert("ghost", 1).at("2026-11-20 09:00:00.000")]);
    lake.parquet("dt=2026-11-20/hr=09", "b", &[insert("kept", 2).at("2026-11-20 09:00:00.000").with(r#""status":"stale""#)]);
    lake.parquet(
        HOUR,
        "snapshot",
        &[
            snapshot_row("s1", "kept").with(r#""status":"snapshot""#),
            snapshot_row("s1", "lost").with(r#""status":"snapshot""#),
            snapshot_row("s1", "changed").with(r#""status":"snapshot""#),
            snapshot_row("s1", "removed").with(r#""status":"snapshot""#),
        ],
    );
    lake.parquet(
        HOUR,
        "c",
        &[
            modify("changed", 3).at("2026-11-21 10:00:00.000").with(r#""status":"stream""#),
            remove("removed", 4).at("2026-11-21 10:59:59.000"),
        ],
    );
    assert_eq!(lake.rows("SELECT order_id FROM current ORDER BY 1").await, ["changed", "ghost", "kept"], "no snapshot is complete");
    assert!(lake.rows("SELECT * FROM snapshots").await.is_empty());

    lake.snapshot_marker("s1", "2026-11-21T10:00:00.700Z");

    assert_eq!(lake.rows(STATE).await, ["changed,stream,MODIFY", "kept,snapshot,SNAPSHOT", "lost,snapshot,SNAPSHOT"]);
    assert_eq!(lake.rows("SELECT snapshot_id, rows, whole FROM snapshots").await, ["s1,2,true"]);
}

#[tokio::test]
async fn only_the_latest_complete_snapshot_counts() {
    let lake = HandmadeLake::new();
    lake.parquet(HOUR, "s1", &[snapshot_row("s1", "1"), snapshot_row("s1", "2")]);
    lake.parquet("dt=2026-11-21/hr=12", "s2", &[snapshot_row("s2", "1").at("2026-11-21 12:00:00.000").with(r#""status":"newer""#)]);
    lake.parquet("dt=2026-11-21/hr=13", "s3", &[snapshot_row("s3", "3").at("2026-11-21 13:00:00.000")]);
    lake.snapshot_marker("s1", "2026-11-21T10:00:00Z");
    let session = lake.session().await;
    assert_eq!(rows(&session, "SELECT order_id FROM current ORDER BY 1").await.unwrap(), ["1", "2"]);

    lake.snapshot_marker("s2", "2026-11-21T12:00:00Z");
    session.refresh().await.unwrap();

    assert_eq!(rows(&session, STATE).await.unwrap(), ["1,newer,SNAPSHOT"], "s3 has no marker");
}

#[tokio::test]
async fn a_later_partial_snapshot_stands_in_for_the_whole_one_at_its_keys() {
    let lake = HandmadeLake::new();
    let noon = "2026-11-21 12:00:00.000";
    let whole = ["kept", "stale", "ghost", "changed"].map(|order| snapshot_row("s1", order).with(r#""status":"whole""#));
    lake.parquet(HOUR, "s1", &whole);
    // What the stream says of the hours in between is wrong for 'stale' and 'ghost', which the partial snapshot reads again.
    lake.parquet("dt=2026-11-21/hr=11", "a", &[modify("stale", 5).at("2026-11-21 11:00:00.000").with(r#""status":"between""#)]);
    let mut part = ["stale", "changed", "new"].map(|order| snapshot_row("s2", order).at(noon).with(r#""status":"part""#)).to_vec();
    part.push(Change::new("REMOVE", "ghost", 0).of_snapshot("s2").at(noon));
    lake.parquet("dt=2026-11-21/hr=13", "s2", &part);
    lake.parquet("dt=2026-11-21/hr=12", "b", &[modify("changed", 6).at(noon).with(r#""status":"stream""#)]);
    lake.snapshot_marker("s1", "2026-11-21T10:00:00Z");
    assert_eq!(
        lake.rows(STATE).await,
        ["changed,stream,MODIFY", "ghost,whole,SNAPSHOT", "kept,whole,SNAPSHOT", "stale,between,MODIFY"],
        "rows without a marker count for nothing, whatever their operation"
    );

    lake.part_marker("s2", "2026-11-21T12:00:00Z");

    assert_eq!(
        lake.rows(STATE).await,
        ["changed,stream,MODIFY", "kept,whole,SNAPSHOT", "new,part,SNAPSHOT", "stale,part,SNAPSHOT"],
        "other keys are as the whole snapshot has them"
    );
    assert_eq!(lake.rows("SELECT snapshot_id, whole FROM snapshots ORDER BY 1").await, ["s1,true", "s2,false"]);
}

#[tokio::test]
async fn of_partial_snapshots_the_one_that_started_last_has_a_key() {
    let lake = HandmadeLake::new();
    lake.parquet(HOUR, "a", &[insert("1", 1).with(r#""status":"stream""#), insert("2", 2).with(r#""status":"stream""#)]);
    let row = |id, hour: &'static str, status| snapshot_row(id, "1").at(hour).with(&format!(r#""status":"{status}""#));
    lake.parquet("dt=2026-11-21/hr=12", "late", &[row("a-late", "2026-11-21 12:00:00.000", "late")]);
    lake.parquet("dt=2026-11-21/hr=12", "early", &[row("b-early", "2026-11-21 11:00:00.000", "early")]);
    lake.part_marker("a-late", "2026-11-21T12:00:00Z");
    lake.part_marker("b-early", "2026-11-21T11:00:00Z");

    assert_eq!(
        lake.rows(STATE).await,
        ["1,late,SNAPSHOT", "2,stream,INSERT"],
        "without a whole snapshot the stream counts from its beginning"
    );

    lake.parquet("dt=2026-11-21/hr=13", "whole", &[snapshot_row("s", "3").at("2026-11-21 13:00:00.000")]);
    lake.snapshot_marker("s", "2026-11-21T13:00:00Z");
    assert_eq!(lake.rows(STATE).await, ["3,,SNAPSHOT"], "a whole snapshot that started later overrides them all");
}

#[tokio::test]
async fn of_overlapping_snapshots_the_one_that_started_last_counts_whichever_completes_last() {
    let lake = HandmadeLake::new();
    let row = |id, hour: &'static str| snapshot_row(id, "1").at(hour).with(&format!(r#""status":"{id}""#));
    lake.parquet("dt=2026-11-21/hr=12", "s", &[row("early", "2026-11-21 11:00:00.000"), row("late", "2026-11-21 12:00:00.000")]);
    for (id, started, completed) in [("early", "11", "14"), ("late", "12", "13")] {
        let marker = format!(
            r#"{{"snapshot_id":"{id}","table":"orders","started_at":"2026-11-21T{started}:00:00Z","completed_at":"2026-11-21T{completed}:00:00Z","rows":1}}"#
        );
        lake.put(&format!("snapshots/{id}.json"), marker.as_bytes());
    }
    assert_eq!(lake.rows(STATE).await, ["1,late,SNAPSHOT"]);
}

#[tokio::test]
async fn of_snapshots_that_started_together_the_one_that_completed_last_counts_and_then_the_one_with_the_greater_id() {
    let lake = HandmadeLake::new();
    let row = |id, order| snapshot_row(id, order).at("2026-11-21 12:00:00.000").with(&format!(r#""status":"{id}""#));
    lake.parquet("dt=2026-11-21/hr=12", "s", &[row("a", "1"), row("b", "1"), row("b", "2"), row("c", "2"), row("d", "3")]);
    for (id, completed, whole) in [("a", "14", false), ("b", "13", false), ("c", "13", false), ("d", "12", true)] {
        let marker = format!(
            r#"{{"snapshot_id":"{id}","table":"orders","started_at":"2026-11-21T12:00:00Z","completed_at":"2026-11-21T{completed}:00:00Z","rows":1,"whole":{whole}}}"#
        );
        lake.put(&format!("snapshots/{id}.json"), marker.as_bytes());
    }
    assert_eq!(lake.rows("SELECT order_id, status FROM current ORDER BY 1").await, ["1,a", "2,c", "3,d"]);
}

#[tokio::test]
async fn copies_of_rows_change_nothing() {
    let lake = HandmadeLake::new();
    let changes = [insert("1", 1), modify("1", 2).with(r#""status":"paid""#), insert("2", 3), remove("2", 4), insert("3", 5)];
    let snapshot = [snapshot_row("s1", "3").with(r#""status":"whole""#), snapshot_row("s1", "4").with(r#""status":"whole""#)];
    for name in ["a", "b"] {
        lake.parquet(HOUR, name, &changes);
        lake.ndjson(HOUR, &format!("s-{name}"), &snapshot);
    }
    assert_eq!(lake.rows(STATE).await, ["1,paid,MODIFY", "3,,INSERT"]);
    lake.snapshot_marker("s1", "2026-11-21T10:00:00Z");
    assert_eq!(lake.rows(STATE).await, ["1,paid,MODIFY", "3,,INSERT", "4,whole,SNAPSHOT"]);
}

#[tokio::test]
async fn what_announces_the_end_of_a_snapshot_is_no_row_of_it() {
    let lake = HandmadeLake::new();
    let end = Change::new("SNAPSHOT_END", "", 0).keys(r#""order_id":null"#).of_snapshot("s1");
    lake.ndjson(HOUR, "s1", &[snapshot_row("s1", "1"), end]);
    lake.snapshot_marker("s1", "2026-11-21T10:00:00Z");
    assert_eq!(lake.rows("SELECT order_id FROM current").await, ["1"]);
}

#[tokio::test]
async fn a_lake_whose_format_changed_is_one_table() {
    let lake = HandmadeLake::new();
    lake.ndjson(HOUR, "a", &[insert("1", 1).with(r#""status":"ndjson""#), insert("2", 2).with(r#""status":"ndjson""#)]);
    lake.parquet(HOUR, "b", &[modify("2", 3).with(r#""status":"parquet""#)]);
    lake.ndjson(HOUR, "c", &[modify("1", 4).with(r#""status":"ndjson again""#)]);

    assert_eq!(lake.rows(STATE).await, ["1,ndjson again,MODIFY", "2,parquet,MODIFY"]);
    assert_eq!(lake.rows("SELECT DISTINCT dt, hr FROM changes").await, ["2026-11-21,10"]);
}

#[tokio::test]
async fn decimals_are_exact_in_both_formats() {
    let lake = HandmadeLake::new();
    lake.ndjson(HOUR, "token", &[insert("token", 1).with(&format!(r#""price":{EXACT}"#))]);
    lake.ndjson(HOUR, "text", &[insert("text", 2).with(&format!(r#""price":"{EXACT}""#))]);
    lake.ndjson(HOUR, "negative", &[insert("negative", 3).with(&format!(r#""price":-{EXACT}"#))]);
    lake.put(&format!("changes/{HOUR}/parquet.parquet"), &one_price(12_345_678_901_234_567_890_123_456_789_012_345_678));

    let prices = lake.rows("SELECT order_id, price FROM changes ORDER BY order_id NULLS FIRST").await;
    let expected = [format!(",{EXACT}"), format!("negative,-{EXACT}"), format!("text,{EXACT}"), format!("token,{EXACT}")];
    assert_eq!(prices, expected);
    let found = lake.rows(&format!("SELECT count(*) FROM changes WHERE price = {EXACT}")).await;
    assert_eq!(found, ["3"], "a literal is a decimal, too");
}

/// A Parquet object of one row whose price has these digits and whose other columns are null.
fn one_price(unscaled: i128) -> Vec<u8> {
    let fields: Vec<_> = arrow_schema(&orders()).fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let schema = Arc::new(datafusion::arrow::datatypes::Schema::new(fields));
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        if field.name() == "price" {
            Arc::new(Decimal128Array::from(vec![unscaled]).with_precision_and_scale(38, 6).unwrap())
        } else {
            new_null_array(field.data_type(), 1)
        }
    });
    let batch = RecordBatch::try_new(schema.clone(), columns.collect()).unwrap();
    let mut body = ArrowWriter::try_new(Vec::new(), schema, None).unwrap();
    body.write(&batch).unwrap();
    body.into_inner().unwrap()
}

#[tokio::test]
async fn times_of_both_formats_are_instants() {
    let lake = HandmadeLake::new();
    let change = |order: &str, sequence| insert(order, sequence).with(r#""placed":"2026-11-21 03:00:00.123000""#);
    lake.ndjson(HOUR, "a", &[change("1", 1)]);
    lake.parquet(HOUR, "b", &[change("2", 2)]);

    let found = lake.rows("SELECT order_id, cdc_time, placed FROM changes ORDER BY 1").await;
    let times = "2026-11-21T10:00:00Z,2026-11-21T03:00:00.123Z";
    assert_eq!(found, [format!("1,{times}"), format!("2,{times}")]);
}

#[tokio::test]
async fn objects_of_other_partitions_are_not_opened() {
    let lake = HandmadeLake::new();
    lake.parquet(HOUR, "a", &[insert("1", 1)]);
    for (hour, name) in [("dt=2026-11-21/hr=09", "x.parquet"), ("dt=2026-11-20/hr=10", "y.json.gz"), ("dt=2026-11-20/hr=23", "z.parquet")] {
        lake.put(&format!("changes/{hour}/{name}"), b"this is no such object, and opening it fails");
    }
    let session = lake.session().await;

    let one_hour = rows(&session, "SELECT order_id FROM changes WHERE dt = '2026-11-21' AND hr >= '10'").await;
    assert_eq!(one_hour.unwrap(), ["1"]);
    assert!(rows(&session, "SELECT order_id FROM changes").await.is_err(), "the broken objects are found when they are looked for");

    lake.snapshot_marker("s1", "2026-11-21T10:00:00Z");
    let state = rows(&lake.session().await, "SELECT order_id FROM current").await;
    assert_eq!(state.unwrap(), ["1"], "hours before the snapshot do not matter");
}

#[tokio::test]
async fn changes_that_land_while_a_session_is_open_are_seen() {
    let lake = HandmadeLake::new();
    let session = lake.session().await;
    assert_eq!(rows(&session, "SELECT count(*) FROM current").await.unwrap(), ["0"], "an empty lake has no rows");
    lake.parquet(HOUR, "a", &[insert("1", 1)]);
    assert_eq!(rows(&session, "SELECT count(*) FROM current").await.unwrap(), ["1"]);
}

#[tokio::test]
async fn objects_of_an_earlier_contract_lack_columns_and_are_still_read() {
    let lake = HandmadeLake::new();
    let mut earlier = orders();
    earlier.columns.truncate(1);
    lake.parquet_of(&earlier, HOUR, "a", &[insert("1", 1).with(r#""status":"placed""#)]);
    lake.parquet(HOUR, "b", &[insert("2", 2).with(r#""status":"placed","quantity":3"#)]);

    assert_eq!(lake.rows("SELECT order_id, status, quantity FROM current ORDER BY 1").await, ["1,placed,", "2,placed,3"]);
}

#[tokio::test]
async fn keys_of_two_columns_are_told_apart() {
    let keys = vec![("customer".to_owned(), headwater::event::AttributeType::S), ("number".to_owned(), headwater::event::AttributeType::N)];
    let lake = HandmadeLake::of(headwater::contract::TableSchema::keys_only("orders", keys));
    let change = |customer: &str, number: &str, sequence| {
        Change::new("INSERT", "", sequence).keys(&format!(r#""customer":"{customer}","number":"{number}""#))
    };
    lake.parquet(HOUR, "a", &[change("a", "1", 1), change("a", "2", 2), change("b", "1", 3), change("a", "1", 4)]);

    let state = lake.rows("SELECT customer, number, cast(cdc_sequence AS bigint) FROM current ORDER BY 1, 2").await;
    assert_eq!(state, ["a,1,4", "a,2,2", "b,1,3"]);
}
