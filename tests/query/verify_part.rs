//! A part of the table against the lake: what changed since a snapshot, and what is drawn by lot.

use std::cell::Cell;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue as V;
use headwater::query::verify::{Counts, Kind, Report, SampleSize, Scope, VerifyError, VerifyOptions, VerifyProgress, verify};

use super::handmade::{Change, HandmadeLake, insert, modify, remove, snapshot_row};
use super::verify::{put, table};

const HOUR: &str = "dt=2026-11-21/hr=10";
const BEFORE: &str = "2026-11-21 09:00:00.000";

fn options(scope: Scope) -> VerifyOptions {
    VerifyOptions { scope, deadline: Duration::ZERO, ..VerifyOptions::default() }
}

const CHANGED: Scope = Scope { since_snapshot: true, sample: None };

fn sample(size: SampleSize) -> Scope {
    Scope { since_snapshot: false, sample: Some(size) }
}

async fn compare(client: &Client, lake: &HandmadeLake, scope: Scope) -> Report {
    verify(client, &lake.session().await, options(scope), |_| ()).await.unwrap()
}

/// The differing keys with their kinds, in the order of the keys.
fn differing(report: &Report) -> Vec<(String, Kind)> {
    let mut found: Vec<_> = report.differing.iter().map(|found| (found.key["order_id"].clone(), found.kind)).collect();
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}

async fn put_with_status(client: &Client, order: &str, status: &str) {
    put(client, order, &[("status", V::S(status.to_owned()))]).await;
}

/// A lake whose snapshot `s1` started at ten, with changes before and behind it, and what the table should have by its account.
async fn snapshotted(client: &Client) -> HandmadeLake {
    let lake = HandmadeLake::new();
    lake.parquet("dt=2026-11-21/hr=09", "a", &[insert("before", 1).at(BEFORE)]);
    let rows = ["unchanged", "changed", "removed"].map(|order| snapshot_row("s1", order).with(r#""status":"snapshot""#));
    lake.parquet(HOUR, "s1", &rows);
    lake.snapshot_marker("s1", "2026-11-21T10:00:00Z");
    lake.parquet(
        HOUR,
        "b",
        &[
            modify("changed", 2).with(r#""status":"stream""#),
            remove("removed", 3),
            insert("new", 4).with(r#""status":"stream""#),
            insert("gone", 5),
            remove("gone", 6),
        ],
    );
    put_with_status(client, "unchanged", "snapshot").await;
    put_with_status(client, "changed", "stream").await;
    put_with_status(client, "new", "stream").await;
    lake
}

#[tokio::test]
async fn since_a_snapshot_only_what_changed_is_compared() {
    let (_serving, client) = table().await;
    let lake = snapshotted(&client).await;

    let report = compare(&client, &lake, CHANGED).await;
    assert_eq!(report.counts, Counts { matched: 2, absent: 2, ..Counts::default() }, "'unchanged' is not looked at");
    assert_eq!((report.scope, report.snapshot.as_deref()), (CHANGED, Some("s1")));

    put_with_status(&client, "unchanged", "other").await;
    assert!(compare(&client, &lake, CHANGED).await.equal(), "what the snapshot says is taken on trust");

    put_with_status(&client, "changed", "other").await;
    put_with_status(&client, "removed", "other").await;
    client.delete_item().table_name("orders").key("order_id", V::S("new".into())).send().await.unwrap();
    let report = compare(&client, &lake, CHANGED).await;
    let expected = [("changed", Kind::Different), ("new", Kind::Extra), ("removed", Kind::Missing)];
    assert_eq!(differing(&report), expected.map(|(key, kind)| (key.to_owned(), kind)));
    assert_eq!(report.counts, Counts { missing: 1, extra: 1, different: 1, absent: 1, rechecked: 3, matched: 0 });
}

#[tokio::test]
async fn what_a_partial_snapshot_read_again_counts_as_changed() {
    let (_serving, client) = table().await;
    let lake = snapshotted(&client).await;
    let noon = "2026-11-21 12:00:00.000";
    let part = [
        snapshot_row("s2", "unchanged").at(noon).with(r#""status":"part""#),
        Change::new("REMOVE", "changed", 0).of_snapshot("s2").at(noon),
    ];
    lake.parquet("dt=2026-11-21/hr=12", "s2", &part);
    lake.part_marker("s2", "2026-11-21T12:00:00Z");

    let report = compare(&client, &lake, CHANGED).await;

    assert_eq!(report.snapshot.as_deref(), Some("s1"), "a partial one does not tell since when to compare");
    let expected = [("changed", Kind::Missing), ("unchanged", Kind::Different)];
    assert_eq!(differing(&report), expected.map(|(key, kind)| (key.to_owned(), kind)), "as `current` has it");
    assert_eq!((report.counts.matched, report.counts.absent), (1, 2));
}

#[tokio::test]
async fn without_a_complete_snapshot_nothing_can_be_compared_since_it() {
    let (_serving, client) = table().await;
    let lake = HandmadeLake::new();
    lake.parquet(HOUR, "a", &[insert("1", 1), snapshot_row("s1", "2")]);
    lake.part_marker("s1", "2026-11-21T10:00:00Z");

    let error = verify(&client, &lake.session().await, options(CHANGED), |_| ()).await.unwrap_err();

    assert!(matches!(&error, VerifyError::NoSnapshot { table } if table == "orders"), "{error}");
    assert!(error.to_string().contains("headwater snapshot start"), "{error}");
}

#[tokio::test]
async fn a_changed_key_that_the_lake_lags_behind_on_settles_when_it_lands() {
    let (_serving, client) = table().await;
    let lake = snapshotted(&client).await;
    put_with_status(&client, "changed", "later").await;
    let rounds = Cell::new(0);
    let landing = |progress| {
        if let VerifyProgress::Recheck { open: 1, .. } = progress
            && rounds.replace(rounds.get() + 1) == 1
        {
            lake.parquet(HOUR, "c", &[modify("changed", 7).with(r#""status":"later""#)]);
        }
    };
    let options = VerifyOptions { scope: CHANGED, ..VerifyOptions::default() };

    let report = verify(&client, &lake.session().await, options, landing).await.unwrap();

    assert_eq!(report.counts, Counts { matched: 2, absent: 2, rechecked: 1, ..Counts::default() });
}

/// A lake and a table of 300 orders that are equal.
async fn three_hundred(client: &Client) -> HandmadeLake {
    let lake = HandmadeLake::new();
    let order = |number: u128| format!("o-{number:03}");
    lake.parquet(HOUR, "a", &(0..300).map(|number| insert(&order(number), number + 1)).collect::<Vec<_>>());
    for number in 0..300 {
        put(client, &order(number), &[]).await;
    }
    lake
}

#[tokio::test]
async fn a_sample_is_drawn_from_both_sides_and_says_what_it_proves() {
    let (_serving, client) = table().await;
    let lake = three_hundred(&client).await;

    let report = compare(&client, &lake, sample(SampleSize::Keys(30))).await;

    assert!(report.equal());
    let drawn = report.sample.unwrap();
    assert_eq!((drawn.of_table, drawn.of_lake, drawn.complete), (30, 30, false));
    // The table has 200 segments of one or two items each.
    assert!((10..=30).contains(&drawn.places), "{drawn:?}");
    assert_eq!(drawn.at_most_of_a_million, Some(3_000_000_u64.div_ceil(drawn.places)), "the keys of a segment count as one");
    assert!((30..=60).contains(&report.counts.matched), "{:?}: a key that is drawn on both sides is compared once", report.counts);

    let part = compare(&client, &lake, sample(SampleSize::OfAMillion(200_000))).await;
    let drawn = part.sample.unwrap();
    assert!(part.equal() && !drawn.complete);
    // A fifth of 300; seven standard deviations.
    assert!((10..=110).contains(&drawn.of_lake) && (5..=150).contains(&drawn.of_table), "{drawn:?}");

    let everything = compare(&client, &lake, sample(SampleSize::Keys(1000))).await;
    let all = everything.sample.unwrap();
    assert_eq!((everything.counts.matched, all.of_table, all.of_lake), (300, 300, 300));
    assert_eq!((all.complete, all.at_most_of_a_million), (true, Some(0)));
}

#[tokio::test]
async fn a_sample_finds_what_is_wrong_in_either_direction() {
    let (_serving, client) = table().await;
    let lake = three_hundred(&client).await;
    // The lake knows nothing of these, and the table nothing of those.
    for number in 0..150 {
        put(&client, &format!("only-table-{number}"), &[]).await;
    }
    lake.parquet(HOUR, "b", &(0..150).map(|number| insert(&format!("only-lake-{number}"), number + 400)).collect::<Vec<_>>());

    let report = compare(&client, &lake, sample(SampleSize::Keys(100))).await;

    // A third of each side; 60 is far beyond chance, and so is 10.
    assert!((10..=60).contains(&report.counts.missing) && (10..=60).contains(&report.counts.extra), "{:?}", report.counts);
    assert!(differing(&report).iter().all(|(key, kind)| match kind {
        Kind::Missing => key.starts_with("only-table-"),
        Kind::Extra => key.starts_with("only-lake-"),
        Kind::Different => false,
    }));
    assert_eq!(report.sample.unwrap().at_most_of_a_million, None, "what differs is counted, not bounded");
}

#[tokio::test]
async fn both_together_compare_the_keys_of_either_once() {
    let (_serving, client) = table().await;
    let lake = snapshotted(&client).await;
    put_with_status(&client, "unchanged", "other").await;
    put_with_status(&client, "changed", "other").await;

    let report = compare(&client, &lake, Scope { since_snapshot: true, sample: Some(SampleSize::Keys(100)) }).await;

    assert_eq!(report.counts, Counts { matched: 1, different: 2, absent: 2, rechecked: 2, ..Counts::default() });
    let expected = [("changed", Kind::Different), ("unchanged", Kind::Different)];
    assert_eq!(differing(&report), expected.map(|(key, kind)| (key.to_owned(), kind)), "the sample finds what the snapshot has wrong");
    let drawn = report.sample.unwrap();
    assert_eq!((drawn.of_table, drawn.of_lake, drawn.complete, drawn.at_most_of_a_million), (3, 3, true, None));
}
