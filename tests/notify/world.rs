//! A lease table, a lake, and workers that look after notices.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use headwater::clock::{ServiceClock, WallClock, unix_seconds};
use headwater::config::{self, NotifySettings};
use headwater::consumer::WatchedStage;
use headwater::consumer::board::Board;
use headwater::contract::TableSchema;
use headwater::embedded::{Embedded, Options};
use headwater::event::{AttributeType, ShardId};
use headwater::lake::{Kind, Lake, PoisonRecord};
use headwater::lease::gap::{Gap, GapKind};
use headwater::lease::notice::Notice;
use headwater::lease::table::LeaseTable;
use headwater::lease::{Checkpoint, Lease};
use headwater::notify::{Context, Notifier, Rhythm, Sink};
use headwater::retry::RetryPolicy;
use headwater::stream::{StreamArn, StreamInfo};
use tokio_util::sync::CancellationToken;
use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;

pub(super) const TABLE: &str = "orders";
pub(super) const STAGE: &str = "capture";
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
const APPLICATION: &str = "headwater-orders";
const SHARD: &str = "shard";
const DAY: i64 = 24 * 3600;
/// How fresh the lake is promised to be.
const FRESHNESS: Duration = Duration::from_mins(5);

/// What outlives the workers of a test.
pub(super) struct World {
    pub(super) dynamo: Embedded,
    pub(super) folder: tempfile::TempDir,
    lake: Arc<Lake>,
}

impl World {
    pub(super) async fn new() -> Self {
        let dynamo = Embedded::start(Options::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let text = format!("[table]\nname = \"{TABLE}\"\n[lake]\nurl = \"{}\"", folder.path().display());
        let settings = config::parse(&text, folder.path()).unwrap();
        let schema = TableSchema::keys_only(TABLE, vec![("id".to_owned(), AttributeType::S)]);
        let lake = Arc::new(Lake::open(&settings.lake, Arc::new(schema), None).await.unwrap());
        let world = Self { dynamo, folder, lake };
        world.leases().ensure(true).await.unwrap();
        world
    }

    pub(super) fn leases(&self) -> LeaseTable {
        LeaseTable::new(&self.dynamo.sdk_config(), APPLICATION, CancellationToken::new())
    }

    /// A worker that has just been started, and tells the log and a webhook.
    pub(super) fn worker(&self, owner: &str, webhook: &str) -> Notifier {
        let settings =
            NotifySettings { sns_topic_arn: None, webhook: Some(webhook.parse().unwrap()), trim_warning: Duration::from_hours(6) };
        self.worker_with(owner, &settings, &self.dynamo.sdk_config())
    }

    /// The same, of which tests choose who is told. It looks when it is asked to, and does not wait long for other workers or failed
    /// receivers.
    pub(super) fn worker_with(&self, owner: &str, settings: &NotifySettings, sdk: &SdkConfig) -> Notifier {
        let board = Board::default();
        board.note_look(StreamInfo { arn: stream(), enabled: true, retention: DAY });
        Notifier::new(Context {
            stages: vec![WatchedStage {
                name: STAGE,
                counters: Arc::default(),
                board: Arc::new(board),
                leases: Arc::new(self.leases()),
                clock: ServiceClock::new(WallClock::system()),
            }],
            lake: Arc::clone(&self.lake),
            last_stage: STAGE,
            freshness: Some(FRESHNESS),
            trim_warning: settings.trim_warning,
            sinks: Sink::all(settings, sdk).unwrap(),
            owner: owner.to_owned(),
            rhythm: Rhythm { claim: Duration::from_millis(300), retry: SOON, ..Rhythm::SERVICE },
        })
    }

    /// Enters a gap into the ledger.
    pub(super) async fn lose(&self, shard: &str) -> Gap {
        let gap = Gap::of_shard(GapKind::Trimmed, &ShardId::new(shard), None, None, unix_seconds());
        self.leases().record(&gap).await.unwrap();
        gap
    }

    /// Closes it.
    pub(super) async fn bring_back(&self, gap: &Gap) {
        self.leases().close_gap(gap, "snapshot", unix_seconds()).await.unwrap();
    }

    /// The one shard of the stream is durable through so many seconds ago.
    pub(super) async fn behind(&self, seconds: i64) {
        let lease = Lease::new(ShardId::new(SHARD), stream(), Checkpoint::TrimHorizon);
        self.leases().create(&lease).await.unwrap();
        let client = aws_sdk_dynamodb::Client::new(&self.dynamo.sdk_config());
        let update = client.update_item().table_name(APPLICATION).key("leaseKey", AttributeValue::S(SHARD.to_owned()));
        let through = AttributeValue::N((unix_seconds() - seconds).to_string());
        update.update_expression("SET durableThrough = :t").expression_attribute_values(":t", through).send().await.unwrap();
    }

    /// Puts a record into quarantine.
    pub(super) async fn quarantine(&self) {
        let shard = ShardId::new(SHARD);
        let record = PoisonRecord {
            shard: &shard,
            position: None,
            event_id: None,
            key: None,
            raw: b"{}",
            kind: Kind::Undecodable,
            reason: "a test",
            time: unix_seconds(),
        };
        self.lake.quarantine(&record).await.unwrap();
    }

    /// Takes everything out of quarantine.
    pub(super) fn empty_quarantine(&self) {
        std::fs::remove_dir_all(self.folder.path().join(TABLE).join("quarantine")).unwrap();
    }

    /// The notices of the lease table.
    pub(super) async fn notices(&self) -> Vec<Notice> {
        self.leases().read().await.unwrap().notices
    }
}

/// Failed receivers are tried again within moments.
const SOON: RetryPolicy =
    RetryPolicy { first: Duration::from_millis(20), longest: Duration::from_millis(50), give_up_after: Duration::MAX };

fn stream() -> StreamArn {
    StreamArn::new("arn:aws:dynamodb:eu-central-1:111122223333:table/orders/stream/2026-11-21T00:00:00.000")
}

/// What the log says, from now until this is dropped, on the thread of the test.
pub(super) struct Log {
    lines: Lines,
    _guard: DefaultGuard,
}

impl Log {
    pub(super) fn listen() -> Self {
        // While there is but one subscriber, tracing asks that of the thread which comes by a log line first whether anybody listens there, and
        // remembers the answer for all threads.
        static ANOTHER: OnceLock<Dispatch> = OnceLock::new();
        ANOTHER.get_or_init(|| Dispatch::new(tracing_subscriber::fmt().with_writer(std::io::sink).finish()));
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        Self { lines, _guard: tracing::subscriber::set_default(subscriber) }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap()
    }

    /// The notifications among the lines, in order.
    pub(super) fn notifications(&self) -> Vec<serde_json::Value> {
        let lines = self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>();
        lines.into_iter().filter(|line| line["target"] == "headwater::notify" && !line["state"].is_null()).collect()
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
