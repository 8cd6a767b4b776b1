//! Small lakes made by hand: change objects whose every field a test chooses, written without the program's own writers.

use std::io::Write as _;
use std::path::Path;

use datafusion::arrow::json::ReaderBuilder;
use flate2::write::GzEncoder;
use headwater::contract::ddl::{self, Dialect, Layout, Place, Stored};
use headwater::contract::{Column, ColumnType, TableSchema, TimestampFormat};
use headwater::event::AttributeType;
use headwater::lake::{LakeLocation, arrow_schema};
use headwater::query::render::{Format, write};
use headwater::query::{Script, Session};
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

/// A lake with one table, `orders`.
pub(super) struct HandmadeLake {
    folder: TempDir,
    pub(super) schema: TableSchema,
}

/// One change as the fields of its NDJSON line.
#[derive(Clone)]
pub(super) struct Change {
    key: String,
    op: &'static str,
    sequence: u128,
    time: &'static str,
    shard: &'static str,
    snapshot: Option<&'static str>,
    ttl: bool,
    rest: String,
}

impl Change {
    pub(super) fn new(op: &'static str, order: &str, sequence: u128) -> Self {
        Self {
            key: format!(r#""order_id":"{order}""#),
            op,
            sequence,
            time: "2026-11-21 10:00:00.000",
            shard: "shard-1",
            snapshot: None,
            ttl: false,
            rest: String::new(),
        }
    }

    /// Instead of `order_id`, for tables with other keys.
    pub(super) fn keys(mut self, json: &str) -> Self {
        json.clone_into(&mut self.key);
        self
    }

    pub(super) fn at(mut self, time: &'static str) -> Self {
        self.time = time;
        self
    }

    pub(super) fn shard(mut self, shard: &'static str) -> Self {
        self.shard = shard;
        self
    }

    pub(super) fn of_snapshot(mut self, id: &'static str) -> Self {
        self.snapshot = Some(id);
        self
    }

    pub(super) fn by_ttl(mut self) -> Self {
        self.ttl = true;
        self
    }

    /// Further fields as JSON text, so that number tokens keep their digits.
    pub(super) fn with(mut self, json: &str) -> Self {
        self.rest.push(',');
        self.rest.push_str(json);
        self
    }

    fn line(&self) -> String {
        let Self { key, op, sequence, time, shard, snapshot, ttl, rest } = self;
        let snapshot = snapshot.map(|id| format!(r#""cdc_snapshot_id":"{id}","#)).unwrap_or_default();
        format!(
            r#"{{"cdc_event_id":"{shard}-{sequence}","cdc_op":"{op}","cdc_sequence":"{sequence:040}","cdc_time":"{time}","cdc_table":"orders","cdc_shard":"{shard}",{snapshot}"cdc_ttl_delete":{ttl},"cdc_changed":[],{key}{rest}}}"#
        ) + "\n"
    }
}

pub(super) fn insert(order: &str, sequence: u128) -> Change {
    Change::new("INSERT", order, sequence)
}

pub(super) fn modify(order: &str, sequence: u128) -> Change {
    Change::new("MODIFY", order, sequence)
}

pub(super) fn remove(order: &str, sequence: u128) -> Change {
    Change::new("REMOVE", order, sequence)
}

/// A snapshot's row: sequence zero.
pub(super) fn snapshot_row(id: &'static str, order: &str) -> Change {
    Change::new("SNAPSHOT", order, 0).of_snapshot(id)
}

/// `orders` with a column of each kind that the views are tested with.
pub(super) fn orders() -> TableSchema {
    let column = |name: &str, source, kind| Column { name: name.into(), path: vec![name.into()], source, kind, classification: None };
    TableSchema {
        columns: vec![
            column("status", AttributeType::S, ColumnType::Text),
            column("price", AttributeType::N, ColumnType::Decimal { precision: 38, scale: 6 }),
            column("quantity", AttributeType::N, ColumnType::BigInt),
            column("placed", AttributeType::S, ColumnType::Timestamp { format: TimestampFormat::Millis }),
        ],
        ..TableSchema::keys_only("orders", vec![("order_id".into(), AttributeType::S)])
    }
}

impl HandmadeLake {
    pub(super) fn new() -> Self {
        Self::of(orders())
    }

    pub(super) fn of(schema: TableSchema) -> Self {
        let lake = Self { folder: tempfile::tempdir().unwrap(), schema };
        lake.put("schema.json", &serde_json::to_vec(&lake.schema).unwrap());
        lake
    }

    /// Writes an object under the table's directory.
    pub(super) fn put(&self, path: &str, body: &[u8]) {
        let file = self.folder.path().join("orders").join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, body).unwrap();
    }

    /// `hour` is `dt=…/hr=…`.
    pub(super) fn ndjson(&self, hour: &str, name: &str, changes: &[Change]) {
        let mut body = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for change in changes {
            body.write_all(change.line().as_bytes()).unwrap();
        }
        self.put(&format!("changes/{hour}/{name}.json.gz"), &body.finish().unwrap());
    }

    pub(super) fn parquet(&self, hour: &str, name: &str, changes: &[Change]) {
        self.parquet_of(&self.schema, hour, name, changes);
    }

    /// A Parquet object of another schema than the lake's present one.
    pub(super) fn parquet_of(&self, schema: &TableSchema, hour: &str, name: &str, changes: &[Change]) {
        let schema = arrow_schema(schema);
        let lines: String = changes.iter().map(Change::line).collect();
        let mut body = ArrowWriter::try_new(Vec::new(), schema.clone(), None).unwrap();
        for batch in ReaderBuilder::new(schema).build(lines.as_bytes()).unwrap() {
            body.write(&batch.unwrap()).unwrap();
        }
        self.put(&format!("changes/{hour}/{name}.parquet"), &body.into_inner().unwrap());
    }

    pub(super) fn snapshot_marker(&self, id: &str, started: &str) {
        let marker = format!(r#"{{"snapshot_id":"{id}","table":"orders","started_at":"{started}","completed_at":"{started}","rows":2}}"#);
        self.put(&format!("snapshots/{id}.json"), marker.as_bytes());
    }

    /// The marker of a snapshot whose rows stand for their own keys alone.
    pub(super) fn part_marker(&self, id: &str, started: &str) {
        let marker = format!(
            r#"{{"snapshot_id":"{id}","table":"orders","started_at":"{started}","completed_at":"{started}","rows":2,"whole":false}}"#
        );
        self.put(&format!("snapshots/{id}.json"), marker.as_bytes());
    }

    pub(super) async fn session(&self) -> Session {
        Session::open(&LakeLocation::Folder(self.folder.path().to_owned()), "orders", None).await.unwrap()
    }

    /// The folder of the lake.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The rows of a query as CSV lines without the header. What it asks of `current`, the view that other engines get answers in the same way.
    pub(super) async fn rows(&self, sql: &str) -> Vec<String> {
        let session = self.session().await;
        let found = rows(&session, sql).await.unwrap();
        if sql.contains("current") {
            assert_eq!(rows_by_shared_view(&session, sql).await, found, "the current of other engines differs");
        }
        found
    }
}

/// The rows of a query as CSV lines without the header; the error's whole chain if it fails.
pub(super) async fn rows(session: &Session, sql: &str) -> Result<Vec<String>, String> {
    let mut text = Vec::new();
    let stream = session.query(sql).await.map_err(|error| format!("{error:?}"))?;
    write(stream, Format::Csv, &mut text).await.map_err(|error| format!("{error:?}"))?;
    Ok(String::from_utf8(text).unwrap().lines().skip(1).map(str::to_owned).collect())
}

/// The same with the view `current` that Athena and other engines get in the place of the session's own.
pub(super) async fn rows_by_shared_view(session: &Session, sql: &str) -> Vec<String> {
    let place = Place { location: "s3://lake".into(), layout: Layout::Lake(Stored::Parquet) };
    let view = ddl::statements(Dialect::Athena, session.schema(), &place).into_iter().find(|view| view.name == "current").unwrap();
    let scripts = [Script { name: view.name, sql: view.text }, Script { name: "the query".into(), sql: sql.into() }];
    let mut text = Vec::new();
    write(session.run(&scripts).await.unwrap(), Format::Csv, &mut text).await.unwrap();
    session.refresh().await.unwrap();
    String::from_utf8(text).unwrap().lines().skip(1).map(str::to_owned).collect()
}
