//! Streams and their shards, kept beside the tables.
//!
//! Records are stored by dynoxide, one sequence per table, never below the clock's microseconds. A stream is a span of that
//! sequence, and a shard a span of its stream; so closing a shard, disabling a stream and enabling a new one move no record.

use dynoxide::storage::Storage;
use jiff::Timestamp;

use super::engine::Piece;
use super::wire;

/// Names with a colon cannot be names of DynamoDB tables.
const SCHEMA: &str = r#"
    CREATE TABLE IF NOT EXISTS "headwater:streams" (
        arn TEXT PRIMARY KEY, table_name TEXT NOT NULL, label TEXT NOT NULL, view_type TEXT NOT NULL,
        key_schema TEXT NOT NULL, created INTEGER NOT NULL, disabled INTEGER, trimmed INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE IF NOT EXISTS "headwater:shards" (
        id TEXT PRIMARY KEY, arn TEXT NOT NULL, parent TEXT, first INTEGER NOT NULL, last INTEGER, opened INTEGER NOT NULL);
    CREATE INDEX IF NOT EXISTS "headwater:shards:arn" ON "headwater:shards" (arn, first);
"#;

/// Records removed in one piece, so that no request waits long.
const TRIM_BATCH: usize = 2_000;

/// Added to a stored sequence number, so that the public one has the 21 digits that AWS's have at least.
const OFFSET: u128 = 100_000_000_000_000_000_000;

/// One stream of a table: from enabling it to disabling it.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) arn: String,
    pub(super) table: String,
    pub(super) label: String,
    pub(super) view_type: String,
    /// JSON, as in DescribeTable.
    pub(super) key_schema: String,
    /// Milliseconds since the epoch.
    pub(super) created: i64,
    /// When it was disabled, milliseconds since the epoch.
    pub(super) disabled: Option<i64>,
    /// The last stored sequence number that is gone.
    pub(super) trimmed: i64,
}

/// One shard: the records from `first` to `last`, both included.
#[derive(Debug, Clone)]
pub(super) struct Shard {
    pub(super) id: String,
    pub(super) parent: Option<String>,
    pub(super) first: i64,
    /// `None` while the shard is open.
    pub(super) last: Option<i64>,
}

/// Makes the tables if they are missing.
pub(super) fn create(storage: &Storage) -> dynoxide::Result<()> {
    Ok(storage.conn().execute_batch(SCHEMA)?)
}

/// The public form of a stored sequence number.
pub(super) fn public(stored: i64) -> String {
    (OFFSET + u128::from(stored.unsigned_abs())).to_string()
}

/// The stored form of a public sequence number, if this service can have given it out.
pub(super) fn stored(public: &str) -> Option<i64> {
    i64::try_from(public.parse::<u128>().ok()?.checked_sub(OFFSET)?).ok()
}

/// Opens streams that tables have begun since the last call, and closes those that they have ended.
pub(super) fn reconcile(storage: &Storage, now: i64) -> dynoxide::Result<()> {
    let live = storage.list_stream_enabled_tables()?;
    for stream in streams(storage, None)?.into_iter().filter(|stream| stream.disabled.is_none()) {
        let goes_on = live.iter().any(|table| table.table_name == stream.table && table_label(table) == stream.label);
        if !goes_on {
            close_shard(storage, &stream)?;
            let disable = r#"UPDATE "headwater:streams" SET disabled = ?2 WHERE arn = ?1"#;
            storage.conn().execute(disable, (&stream.arn, now))?;
        }
    }
    for table in live {
        let label = table_label(&table);
        let arn = format!("{}table/{}/stream/{label}", wire::arn_prefix(), table.table_name);
        let insert = r#"INSERT INTO "headwater:streams" (arn, table_name, label, view_type, key_schema, created)
                        VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING"#;
        let view_type = table.stream_view_type.as_deref().unwrap_or("NEW_AND_OLD_IMAGES");
        let row = (&arn, &table.table_name, &label, view_type, &table.key_schema, now);
        if storage.conn().execute(insert, row)? == 1 {
            open_shard(storage, &arn, &table.table_name, None, now)?;
        }
    }
    Ok(())
}

/// The label of a table's current stream in AWS's form, `2026-11-21T09:30:00.123`.
fn table_label(table: &dynoxide::TableMetadata) -> String {
    let source = table.stream_label.as_deref().unwrap_or_default();
    let (seconds, nanos) = source.split_once('.').unwrap_or((source, "0"));
    let millis = seconds.parse::<i64>().unwrap_or_default() * 1000 + nanos.parse::<i64>().unwrap_or_default() / 1_000_000;
    Timestamp::from_millisecond(millis)
        .map_or_else(|_out_of_range| source.to_owned(), |at| at.strftime("%Y-%m-%dT%H:%M:%S.%3f").to_string())
}

fn open_shard(storage: &Storage, arn: &str, table: &str, parent: Option<&Shard>, now: i64) -> dynoxide::Result<()> {
    let next = storage.next_stream_sequence_number(table)?;
    let first = parent.and_then(|parent| parent.last).map_or(next, |last| next.max(last + 1));
    let mut crc = flate2::Crc::new();
    crc.update(arn.as_bytes());
    crc.update(&first.to_be_bytes());
    let id = format!("shardId-{now:020}-{:08x}", crc.sum());
    let insert = r#"INSERT INTO "headwater:shards" (id, arn, parent, first, opened) VALUES (?1, ?2, ?3, ?4, ?5)"#;
    storage.conn().execute(insert, (&id, arn, parent.map(|parent| &parent.id), first, now))?;
    Ok(())
}

/// Ends the open shard of a stream at its last record.
fn close_shard(storage: &Storage, stream: &Stream) -> dynoxide::Result<Option<Shard>> {
    let Some(mut open) = shards(storage, &stream.arn)?.into_iter().find(|shard| shard.last.is_none()) else { return Ok(None) };
    let last = last_record(storage, &stream.table, None)?.unwrap_or_default().max(open.first);
    open.last = Some(last);
    storage.conn().execute(r#"UPDATE "headwater:shards" SET last = ?2 WHERE id = ?1"#, (&open.id, last))?;
    Ok(Some(open))
}

/// The stored sequence number of a table's last record, at or before a limit.
pub(super) fn last_record(storage: &Storage, table: &str, limit: Option<i64>) -> dynoxide::Result<Option<i64>> {
    let select = "SELECT MAX(CAST(sequence_number AS INTEGER)) FROM _stream_records
                  WHERE table_name = ?1 AND CAST(sequence_number AS INTEGER) <= ?2";
    Ok(storage.conn().query_row(select, (table, limit.unwrap_or(i64::MAX)), |row| row.get(0))?)
}

/// Closes shards that have been open for `life` and opens their children.
pub(super) fn rotate(storage: &Storage, now: i64, life: i64) -> dynoxide::Result<()> {
    let due = {
        let select = r#"SELECT arn FROM "headwater:shards" WHERE last IS NULL AND opened <= ?1"#;
        let mut statement = storage.conn().prepare(select)?;
        let rows = statement.query_map([now.saturating_sub(life)], |row| row.get::<_, String>(0))?;
        rows.collect::<Result<Vec<_>, _>>()?
    };
    for arn in due {
        let Some(stream) = stream(storage, &arn)? else { continue };
        if let Some(parent) = close_shard(storage, &stream)? {
            open_shard(storage, &arn, &stream.table, Some(&parent), now)?;
        }
    }
    Ok(())
}

/// Removes records made before `horizon` (milliseconds), and closed shards and streams that are past it.
pub(super) fn trim(storage: &Storage, horizon: i64) -> dynoxide::Result<Piece> {
    let conn = storage.conn();
    let newest: Option<i64> = conn.query_row(
        "SELECT MAX(id) FROM (SELECT id FROM _stream_records WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)",
        (horizon.div_euclid(1000), i64::try_from(TRIM_BATCH).unwrap_or(i64::MAX)),
        |row| row.get(0),
    )?;
    let Some(newest) = newest else {
        conn.execute(r#"DELETE FROM "headwater:shards" WHERE last <= ?1"#, [horizon.saturating_mul(1000)])?;
        conn.execute(r#"DELETE FROM "headwater:streams" WHERE disabled < ?1"#, [horizon])?;
        return Ok(Piece { removed: 0, more: false });
    };
    // A stream's span is read off its shards, whose records lie between the first and the last of them.
    conn.execute(
        r#"UPDATE "headwater:streams" SET trimmed = MAX(trimmed, COALESCE((
               SELECT MAX(CAST(record.sequence_number AS INTEGER)) FROM _stream_records record
               WHERE record.id <= ?1 AND record.created_at < ?2 AND record.table_name = "headwater:streams".table_name), 0))"#,
        (newest, horizon.div_euclid(1000)),
    )?;
    let removed = conn.execute("DELETE FROM _stream_records WHERE id <= ?1 AND created_at < ?2", (newest, horizon.div_euclid(1000)))?;
    Ok(Piece { removed, more: removed >= TRIM_BATCH })
}

/// All streams, or those of one table, the oldest first.
pub(super) fn streams(storage: &Storage, table: Option<&str>) -> dynoxide::Result<Vec<Stream>> {
    let select = r#"SELECT arn, table_name, label, view_type, key_schema, created, disabled, trimmed FROM "headwater:streams"
                    WHERE ?1 IS NULL OR table_name = ?1 ORDER BY created, arn"#;
    let mut statement = storage.conn().prepare(select)?;
    let rows = statement.query_map([table], |row| {
        Ok(Stream {
            arn: row.get(0)?,
            table: row.get(1)?,
            label: row.get(2)?,
            view_type: row.get(3)?,
            key_schema: row.get(4)?,
            created: row.get(5)?,
            disabled: row.get(6)?,
            trimmed: row.get(7)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The stream of an ARN.
pub(super) fn stream(storage: &Storage, arn: &str) -> dynoxide::Result<Option<Stream>> {
    Ok(streams(storage, None)?.into_iter().find(|stream| stream.arn == arn))
}

/// The shards of a stream, parents before children.
pub(super) fn shards(storage: &Storage, arn: &str) -> dynoxide::Result<Vec<Shard>> {
    let select = r#"SELECT id, parent, first, last FROM "headwater:shards" WHERE arn = ?1 ORDER BY first"#;
    let mut statement = storage.conn().prepare(select)?;
    let rows =
        statement.query_map([arn], |row| Ok(Shard { id: row.get(0)?, parent: row.get(1)?, first: row.get(2)?, last: row.get(3)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
