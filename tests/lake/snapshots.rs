//! Rows of snapshots on the lake route: which run they join, and that they land once.

use headwater::event::ChangeEvent;
use headwater::lake::Format;
use headwater::route::Progress::{Durable, Rewind, Unchanged};
use headwater::route::ShardWriter;

use super::bench::{Bench, HOUR, THREE_O_CLOCK, insert_at, position, snapshot_row};

const FORMATS: [Format; 2] = [Format::Parquet, Format::Ndjson];
/// The snapshot started an hour ago.
const START: i64 = THREE_O_CLOCK - HOUR;

/// What comes at a position: a change of that hour of the day, or a row of the snapshot.
#[derive(Debug, Clone, Copy)]
enum Kind {
    At(i64),
    Row,
}
use Kind::{At, Row};

fn event(number: u64, kind: Kind) -> ChangeEvent<'static> {
    match kind {
        At(hour) => insert_at(number, THREE_O_CLOCK + (hour - 3) * HOUR),
        Row => snapshot_row(number, START),
    }
}

/// Appends what comes from position `first` on, until another process turns out to be ahead.
async fn take(writer: &mut dyn ShardWriter, first: u64, kinds: &[Kind]) {
    for (number, kind) in (first..).zip(kinds) {
        let progress = writer.append(position(number), &event(number, *kind)).await.unwrap();
        assert!(!matches!(progress, Rewind(_)), "{number}: {progress:?}");
    }
}

/// The objects in the order of their positions: the hour of the day, and the numbers in them.
async fn objects(bench: &Bench) -> Vec<(String, Vec<u64>)> {
    let mut objects: Vec<(String, Vec<u64>)> = Vec::new();
    let mut rows = bench.rows().await;
    rows.sort_by_key(super::bench::Row::number);
    let mut last = String::new();
    for row in rows {
        if row.object != last {
            last.clone_from(&row.object);
            objects.push((row.hour().rsplit_once('=').unwrap().1.to_owned(), Vec::new()));
        }
        objects.last_mut().unwrap().1.push(row.number());
    }
    objects
}

fn expected(objects: &[(&str, &[u64])]) -> Vec<(String, Vec<u64>)> {
    objects.iter().map(|(hour, numbers)| ((*hour).to_owned(), numbers.to_vec())).collect()
}

#[tokio::test]
async fn a_row_joins_the_run_that_is_open() {
    for format in FORMATS {
        let bench = Bench::memory(format);
        let mut writer = bench.writer(0).await;
        take(&mut *writer, 1, &[At(3), Row, At(3), Row, Row]).await;
        assert_eq!(writer.flush().await.unwrap(), Durable(position(5)));
        assert_eq!(objects(&bench).await, expected(&[("03", &[1, 2, 3, 4, 5])]));
    }
}

#[tokio::test]
async fn a_run_that_begins_with_a_row_has_the_row_s_hour_and_a_change_of_another_hour_ends_it() {
    for format in FORMATS {
        let bench = Bench::memory(format);
        let mut writer = bench.writer(0).await;
        take(&mut *writer, 1, &[Row, Row, At(3), Row, At(4), Row]).await;
        assert_eq!(writer.flush().await.unwrap(), Durable(position(6)));
        assert_eq!(objects(&bench).await, expected(&[("02", &[1, 2]), ("03", &[3, 4]), ("04", &[5, 6])]));
    }
}

#[tokio::test]
async fn a_row_does_not_join_a_run_of_an_hour_before_its_own() {
    let bench = Bench::memory(Format::Parquet);
    let mut writer = bench.writer(0).await;
    take(&mut *writer, 1, &[At(1), Row, At(2), Row]).await;
    writer.flush().await.unwrap();
    assert_eq!(objects(&bench).await, expected(&[("01", &[1]), ("02", &[2, 3, 4])]));
}

#[tokio::test]
async fn rows_in_a_later_hour_s_object_land_nothing_twice_after_a_crash_or_a_lost_lease_table() {
    for format in FORMATS {
        let bench = Bench::memory(format);
        let kinds = [Row, At(3), Row, At(3), Row, Row, At(4), Row];
        let mut writer = bench.writer(0).await;
        take(&mut *writer, 1, &kinds[..5]).await;
        writer.flush().await.unwrap();
        take(&mut *writer, 6, &kinds[5..]).await;
        writer.flush().await.unwrap();
        let landed = objects(&bench).await;
        assert_eq!(landed, expected(&[("02", &[1]), ("03", &[2, 3, 4, 5]), ("02", &[6]), ("04", &[7, 8])]));
        // From the beginning, and from the end of each object but the last, the first record leads to the end of the next one.
        for (after, end) in [(0, 1), (1, 5), (5, 6), (6, 8)] {
            let mut writer = bench.writer(after).await;
            let number = after + 1;
            let kind = kinds[usize::try_from(after).unwrap()];
            assert_eq!(writer.append(position(number), &event(number, kind)).await.unwrap(), Rewind(position(end)), "{number}");
        }
        assert_eq!(objects(&bench).await, landed);
    }
}

#[tokio::test]
async fn of_two_processes_that_begin_with_a_row_one_wins() {
    let bench = Bench::memory(Format::Parquet);
    let (mut zombie, mut owner) = (bench.writer(0).await, bench.writer(0).await);
    take(&mut *zombie, 1, &[Row, Row, Row]).await;
    take(&mut *owner, 1, &[Row, Row]).await;
    assert_eq!(owner.flush().await.unwrap(), Durable(position(2)));
    assert_eq!(zombie.flush().await.unwrap(), Rewind(position(2)));
    take(&mut *zombie, 3, &[Row]).await;
    zombie.flush().await.unwrap();
    assert_eq!(bench.keys().await, [1, 2, 3]);
}

#[tokio::test]
async fn a_row_that_another_process_has_landed_in_the_row_s_own_hour_does_not_join_the_run() {
    let bench = Bench::memory(Format::Parquet);
    // An earlier process began in the middle.
    let mut other = bench.writer(2).await;
    take(&mut *other, 3, &[Row, Row]).await;
    other.flush().await.unwrap();
    let mut writer = bench.writer(0).await;
    take(&mut *writer, 1, &[At(3), Row]).await;
    assert_eq!(writer.append(position(3), &event(3, Row)).await.unwrap(), Rewind(position(4)));
    assert_eq!(writer.append(position(4), &event(4, Row)).await.unwrap(), Unchanged, "it is behind");
    take(&mut *writer, 5, &[At(3)]).await;
    writer.flush().await.unwrap();
    assert_eq!(objects(&bench).await, expected(&[("03", &[1, 2]), ("02", &[3, 4]), ("03", &[5])]));
}

#[tokio::test]
async fn a_row_in_a_later_hour_s_object_is_found_there_once_that_hour_is_listed() {
    let bench = Bench::memory(Format::Parquet);
    let mut other = bench.writer(2).await;
    take(&mut *other, 3, &[At(3), Row, At(3)]).await;
    other.flush().await.unwrap();
    let mut writer = bench.writer(0).await;
    take(&mut *writer, 1, &[At(3)]).await;
    // What the other one's object begins with is no longer in the stream.
    assert_eq!(writer.append(position(4), &event(4, Row)).await.unwrap(), Rewind(position(5)));
    assert_eq!(bench.keys().await, [1, 3, 4, 5]);
}

#[tokio::test]
async fn a_lost_lease_table_and_a_trimmed_stream_may_land_copies_of_rows_but_none_of_changes() {
    let bench = Bench::memory(Format::Parquet);
    let mut other = bench.writer(0).await;
    take(&mut *other, 1, &[At(3), Row, At(3), Row]).await;
    other.flush().await.unwrap();
    let mut writer = bench.writer(0).await;
    take(&mut *writer, 2, &[Row]).await;
    assert_eq!(writer.append(position(3), &event(3, At(3))).await.unwrap(), Rewind(position(4)));
    assert_eq!(bench.keys().await, [1, 2, 2, 3, 4]);
}
