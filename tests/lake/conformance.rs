//! What holds on every store and in both formats.

use headwater::event::{ChangeEvent, Operation, Position, Side};
use headwater::lake::{ChangeKey, Commit, Format, HourPartition, Kind, PoisonRecord, read_schema};
use headwater::route::Progress::{Durable, Rewind, Unchanged};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::bench::{Bench, HOUR, THREE_O_CLOCK, append, insert, insert_at, position, shard, table};

/// Makes a test of each behaviour on each store, for both formats.
macro_rules! on_every_store {
    ($($behaviour:ident)*) => {
        mod local { $(#[tokio::test] async fn $behaviour() {
            for format in super::FORMATS { super::$behaviour(super::Bench::local(format)).await; }
        })* }
        mod memory { $(#[tokio::test] async fn $behaviour() {
            for format in super::FORMATS { super::$behaviour(super::Bench::memory(format)).await; }
        })* }
        mod s3 { $(#[tokio::test] async fn $behaviour() {
            for format in super::FORMATS { super::$behaviour(super::Bench::s3(format).await).await; }
        })* }
    };
}

/// More digits than a float has.
const NUMBER: &str = r#"{"n": 1.00000000000000000000000000000000000001}"#;
const FORMATS: [Format; 2] = [Format::Parquet, Format::Ndjson];

on_every_store! {
    a_run_lands_as_one_object_named_by_its_start
    what_was_written_is_read_back_exactly
    the_loser_of_a_race_learns_where_the_winner_ended
    a_commit_whose_answer_was_lost_is_recognised
    a_crash_before_the_checkpoint_lands_nothing_twice
    a_lost_lease_table_lands_nothing_twice
    an_object_from_an_earlier_start_is_met_and_not_overlapped
    a_change_of_hour_closes_the_run
    skipped_records_are_covered_by_the_next_commit_and_move_nothing_alone
    a_repeated_change_is_taken_once
    another_shards_objects_are_not_mistaken_for_ones_own
    a_wide_footer_is_read_whole
    the_lake_describes_its_columns
    quarantine_keeps_a_record_whole_and_once
}

async fn a_run_lands_as_one_object_named_by_its_start(bench: Bench) {
    let mut writer = bench.writer(100).await;
    append(&mut *writer, [101, 103]).await;
    assert!(bench.objects().await.is_empty(), "nothing lands before the run closes");
    assert_eq!(writer.flush().await.unwrap(), Durable(position(103)));
    assert_eq!(writer.flush().await.unwrap(), Unchanged);
    append(&mut *writer, [104]).await;
    assert_eq!(writer.flush().await.unwrap(), Durable(position(104)));

    let names: Vec<_> = bench.objects().await;
    let expected = |start: u64| {
        let folder = format!("orders/changes/dt=2026-11-21/hr=03/{}", shard());
        format!("{folder}-{start:040}.{}", bench.format.extension())
    };
    assert_eq!(names.len(), 2);
    assert!(names[0].ends_with(&expected(100)) && names[1].ends_with(&expected(103)), "{names:?}");
    assert_eq!(bench.landed().await, [101, 103, 104]);
}

async fn what_was_written_is_read_back_exactly(bench: Bench) {
    let lake = bench.lake(bench.settings()).await;
    let key = ChangeKey {
        partition: HourPartition::containing(THREE_O_CLOCK).unwrap(),
        shard: shard(),
        after: Position::ZERO,
        format: bench.format,
    };
    let mut run = lake.begin(key).unwrap();
    run.append(position(1), &insert(1)).unwrap();
    let removed = ChangeEvent {
        operation: Operation::Remove,
        new: None,
        old: Some(Side { cells: insert(2).new.unwrap().cells, extra: Some(r#"{"note":{"S":"x"}}"#.into()), misfits: 0 }),
        ..insert(2)
    };
    run.append(position(2), &removed).unwrap();
    assert_eq!(lake.commit(&run.close().unwrap()).await.unwrap(), Commit::Committed);

    let rows = bench.rows().await;
    let digits = Some("1234567890123456789012345678.9012345678".to_owned());
    assert_eq!((&rows[0].price, &rows[0].old_price), (&digits, &None));
    assert_eq!((&rows[1].price, &rows[1].old_price), (&None, &digits));
    assert_eq!(rows[0].key, "order-1");
    assert_eq!(rows[0].changed, ["price"]);
    let time = if bench.format == Format::Parquet { "1795230000000" } else { "2026-11-21 03:00:00.000" };
    assert_eq!(rows[1].time, time);

    if bench.format == Format::Parquet {
        let name = Path::parse(&rows[0].object).unwrap();
        let file = SerializedFileReader::new(bench.store.store.get(&name).await.unwrap().bytes().await.unwrap()).unwrap();
        let entries = file.metadata().file_metadata().key_value_metadata().unwrap();
        let value = |key: &str| entries.iter().find(|entry| entry.key == key).unwrap().value.clone().unwrap();
        assert_eq!(value("headwater.contract.id"), "orders-contract");
        assert_eq!(value("headwater.contract.version"), "1.2.0");
        assert_eq!(value("headwater.after"), format!("{:040}", 0));
        assert_eq!(value("headwater.last"), format!("{:040}", 2));
        assert_eq!(serde_json::from_str::<headwater::contract::TableSchema>(&value("headwater.schema")).unwrap(), *table());
    }
}

async fn the_loser_of_a_race_learns_where_the_winner_ended(bench: Bench) {
    let mut zombie = bench.writer(0).await;
    let mut owner = bench.writer(0).await;
    append(&mut *zombie, [1, 2, 3, 4]).await;
    append(&mut *owner, [1, 2]).await;
    assert_eq!(owner.flush().await.unwrap(), Durable(position(2)));
    assert_eq!(zombie.flush().await.unwrap(), Rewind(position(2)));
    append(&mut *zombie, [3]).await;
    assert_eq!(zombie.flush().await.unwrap(), Durable(position(3)));
    append(&mut *owner, [3, 4]).await;
    assert_eq!(owner.flush().await.unwrap(), Rewind(position(3)));
    append(&mut *owner, [4]).await;
    assert_eq!(owner.flush().await.unwrap(), Durable(position(4)));
    assert_eq!(bench.landed().await, [1, 2, 3, 4]);
}

async fn a_commit_whose_answer_was_lost_is_recognised(bench: Bench) {
    let lake = bench.lake(bench.settings()).await;
    let partition = HourPartition::containing(THREE_O_CLOCK).unwrap();
    let key = ChangeKey { partition, shard: shard(), after: position(6), format: bench.format };
    let mut run = lake.begin(key).unwrap();
    run.append(position(7), &insert(7)).unwrap();
    let run = run.close().unwrap();
    assert_eq!(lake.commit(&run).await.unwrap(), Commit::Committed);
    assert_eq!(lake.commit(&run).await.unwrap(), Commit::Superseded { last: position(7) });
    let counts = lake.counters().read();
    assert_eq!((counts.objects, counts.rows, counts.superseded), (1, 1, 1));
    assert_eq!(counts.bytes, run.bytes.len() as u64);
}

async fn a_crash_before_the_checkpoint_lands_nothing_twice(bench: Bench) {
    let mut writer = bench.writer(10).await;
    append(&mut *writer, [11, 12]).await;
    writer.flush().await.unwrap();
    drop(writer);
    let mut reopened = bench.writer(10).await;
    assert_eq!(reopened.append(position(11), &insert(11)).await.unwrap(), Rewind(position(12)));
    append(&mut *reopened, [13]).await;
    assert_eq!(reopened.flush().await.unwrap(), Durable(position(13)));
    assert_eq!(bench.landed().await, [11, 12, 13]);
}

async fn a_lost_lease_table_lands_nothing_twice(bench: Bench) {
    let mut writer = bench.writer(0).await;
    for run in [[1, 2], [3, 4]] {
        append(&mut *writer, run).await;
        writer.flush().await.unwrap();
    }
    drop(writer);
    // The oldest record was trimmed meanwhile: reading begins in the middle of what has landed.
    let mut fresh = bench.writer(0).await;
    assert_eq!(fresh.append(position(2), &insert(2)).await.unwrap(), Rewind(position(2)));
    assert_eq!(fresh.append(position(3), &insert(3)).await.unwrap(), Rewind(position(4)), "it hops over whole objects");
    append(&mut *fresh, [5]).await;
    fresh.flush().await.unwrap();
    assert_eq!(bench.landed().await, [1, 2, 3, 4, 5]);

    let lake = bench.lake(bench.settings()).await;
    let partition = HourPartition::containing(THREE_O_CLOCK).unwrap();
    for (number, last) in [(1, Some(2)), (2, Some(2)), (3, Some(4)), (5, Some(5)), (6, None)] {
        let landed = lake.landed_run(&shard(), partition, position(number)).await.unwrap();
        assert_eq!(landed, last.map(position), "{number}");
    }
}

async fn an_object_from_an_earlier_start_is_met_and_not_overlapped(bench: Bench) {
    // The first process began at 5, as one that starts at the latest record does.
    let mut first = bench.writer(5).await;
    append(&mut *first, [6, 7]).await;
    first.flush().await.unwrap();
    drop(first);
    let mut second = bench.writer(0).await;
    append(&mut *second, [4, 5]).await;
    assert_eq!(second.append(position(6), &insert(6)).await.unwrap(), Rewind(position(7)));
    append(&mut *second, [8]).await;
    second.flush().await.unwrap();
    assert_eq!(bench.landed().await, [4, 5, 6, 7, 8]);
}

async fn a_change_of_hour_closes_the_run(bench: Bench) {
    let mut writer = bench.writer(0).await;
    append(&mut *writer, [1]).await;
    assert_eq!(writer.append(position(2), &insert_at(2, THREE_O_CLOCK + HOUR - 1)).await.unwrap(), Unchanged);
    assert_eq!(writer.append(position(3), &insert_at(3, THREE_O_CLOCK + HOUR)).await.unwrap(), Durable(position(2)));
    // A late change goes back to its own hour.
    assert_eq!(writer.append(position(4), &insert_at(4, THREE_O_CLOCK)).await.unwrap(), Durable(position(3)));
    assert_eq!(writer.flush().await.unwrap(), Durable(position(4)));
    let hours: Vec<_> = bench.rows().await.iter().map(|row| (row.sequence, row.object.contains("/hr=03/"))).collect();
    assert_eq!(hours, [(1, true), (2, true), (4, true), (3, false)]);
}

async fn skipped_records_are_covered_by_the_next_commit_and_move_nothing_alone(bench: Bench) {
    let mut writer = bench.writer(0).await;
    writer.skip(position(1));
    assert_eq!(writer.flush().await.unwrap(), Unchanged);
    append(&mut *writer, [2]).await;
    writer.skip(position(3));
    append(&mut *writer, [4]).await;
    writer.skip(position(5));
    assert_eq!(writer.flush().await.unwrap(), Durable(position(4)));
    drop(writer);
    // From every position that was ever reported, the next object has one and the same name.
    let mut reopened = bench.writer(4).await;
    reopened.skip(position(5));
    append(&mut *reopened, [6]).await;
    assert_eq!(reopened.flush().await.unwrap(), Durable(position(6)));
    assert_eq!(bench.landed().await, [2, 4, 6]);
}

async fn a_repeated_change_is_taken_once(bench: Bench) {
    let mut writer = bench.writer(1).await;
    append(&mut *writer, [1, 2, 2, 3, 2]).await;
    assert_eq!(writer.flush().await.unwrap(), Durable(position(3)));
    assert_eq!(bench.landed().await, [2, 3]);
}

async fn another_shards_objects_are_not_mistaken_for_ones_own(bench: Bench) {
    use headwater::event::ShardId;
    use headwater::route::Route;
    use headwater::route::budget::MemoryBudget;
    use headwater::route::lake::LakeRoute;

    let route = LakeRoute::new(bench.lake(bench.settings()).await, MemoryBudget::new(usize::MAX));
    // The longer id begins with the shorter one and the separator.
    for id in ["shard-1", "shard-1-2", "shard"] {
        let mut writer = route.open(&ShardId::new(id), Position::ZERO).await.unwrap();
        append(&mut *writer, [1, 2]).await;
        assert_eq!(writer.flush().await.unwrap(), Durable(position(2)), "{id}");
    }
    let mut writer = route.open(&ShardId::new("shard-1"), Position::ZERO).await.unwrap();
    assert_eq!(writer.append(position(1), &insert(1)).await.unwrap(), Rewind(position(2)));
}

async fn a_wide_footer_is_read_whole(bench: Bench) {
    use headwater::contract::{Column, ColumnType, TableSchema};
    use headwater::event::{AttributeType, Cell};
    use headwater::lake::Lake;
    use std::sync::Arc;

    let columns = 700;
    let mut wide: TableSchema = (*table()).clone();
    wide.columns = (0..columns)
        .map(|index| Column {
            name: format!("a_column_with_a_rather_long_name_{index}"),
            path: vec![format!("attribute{index}")],
            source: AttributeType::N,
            kind: ColumnType::BigInt,
            classification: None,
        })
        .collect();
    let lake = Lake::on(bench.store.clone(), bench.settings(), Arc::new(wide)).await.unwrap();
    let partition = HourPartition::containing(THREE_O_CLOCK).unwrap();
    let mut run = lake.begin(ChangeKey { partition, shard: shard(), after: position(0), format: bench.format }).unwrap();
    let cells = (0..columns).map(Cell::Int).collect();
    run.append(position(9), &ChangeEvent { new: Some(Side { cells, extra: None, misfits: 0 }), ..insert(9) }).unwrap();
    let run = run.close().unwrap();
    assert!(bench.format == Format::Ndjson || run.bytes.len() > 100_000, "the footer is larger than what is read at first");
    lake.commit(&run).await.unwrap();
    assert_eq!(lake.commit(&run).await.unwrap(), Commit::Superseded { last: position(9) });
}

async fn the_lake_describes_its_columns(bench: Bench) {
    bench.lake(bench.settings()).await;
    assert_eq!(read_schema(&bench.store, "orders").await.unwrap(), *table());
}

async fn quarantine_keeps_a_record_whole_and_once(bench: Bench) {
    let lake = bench.lake(bench.settings()).await;
    assert_eq!(lake.quarantined().count(u64::MAX).await.unwrap(), 0);
    let shard = shard();
    let record = PoisonRecord {
        shard: &shard,
        position: Some(position(17)),
        event_id: Some("e"),
        key: None,
        raw: NUMBER.as_bytes(),
        kind: Kind::DoesNotFit,
        reason: "no keys",
        time: THREE_O_CLOCK,
    };
    lake.quarantine(&record).await.unwrap();
    lake.quarantine(&record).await.unwrap();
    let garbled = PoisonRecord { position: None, raw: b"{not json", ..record.clone() };
    lake.quarantine(&garbled).await.unwrap();
    lake.quarantine(&garbled).await.unwrap();
    lake.quarantine(&PoisonRecord { raw: b"{nor this", ..garbled.clone() }).await.unwrap();
    lake.quarantine(&PoisonRecord { position: Some(position(18)), raw: b"\xf3\x89\x9a\xc2", ..garbled }).await.unwrap();
    assert_eq!(lake.quarantined().count(u64::MAX).await.unwrap(), 4);
    assert_eq!(lake.counters().read().quarantined, 4);

    let partition = HourPartition::containing(THREE_O_CLOCK).unwrap();
    let name = lake.layout().quarantined(partition, &shard, &format!("{:040}", 17), None);
    let stored = bench.store.store.get(&name).await.unwrap().bytes().await.unwrap();
    let text = std::str::from_utf8(&stored).unwrap();
    let name = lake.layout().quarantined(partition, &shard, &format!("{:040}", 18), None);
    let bytes = bench.store.store.get(&name).await.unwrap().bytes().await.unwrap();
    assert!(std::str::from_utf8(&bytes).unwrap().ends_with(r#""base64":"84mawg=="}"#), "{bytes:?}");
    let start = format!(
        r#"{{"origin":"capture","shard":"{shard}","position":"17","event_id":"e","kind":"does-not-fit","reason":"no keys","time":"2026-11-21T03:00:00Z","found_at":""#
    );
    assert!(text.starts_with(&start) && text.ends_with(&format!(r#","record":{NUMBER}}}"#)), "{text}");
}
