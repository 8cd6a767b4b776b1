//! The thread that owns the tables.
//!
//! SQLite calls block, and only one may run at a time; so one thread owns the database, and requests are sent to it as closures.
//! Between requests it does what AWS does in the background: expiry by TTL, closing old shards, trimming old records.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dynoxide::storage::Storage;
use futures::FutureExt;
use tokio::sync::oneshot;

use super::operations::Replays;
use super::{EmbeddedError, Options, expiry, registry};

/// How often expired items are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);

/// SQLite's page cache in KiB (negative, as its pragma wants it): what bounds memory, whatever the size of the tables. Every commit walks
/// the changed pages in it, so a larger one makes writes slower and reads hardly faster.
const CACHE: i64 = -8 * 1024;

/// One table of records for all streams has no index of its own, and each write looks for the last sequence number.
const RECORD_INDEXES: &str = r#"
    CREATE INDEX IF NOT EXISTS "headwater:sequence" ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
    CREATE INDEX IF NOT EXISTS "headwater:created" ON _stream_records (created_at);
"#;

/// The tables and what belongs to them. Lives on the engine's thread.
pub(super) struct Engine {
    pub(super) storage: Storage,
    pub(super) replays: Replays,
    retention: Duration,
    shard_life: Duration,
}

type Job = Box<dyn FnOnce(&mut Engine) + Send>;

enum Message {
    Run(Job),
    Stop,
}

/// Sends work to the engine's thread.
#[derive(Clone)]
pub(super) struct Handle {
    jobs: mpsc::Sender<Message>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// The engine's thread is gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stopped;

impl Handle {
    /// Opens the tables and starts the thread.
    pub(super) async fn start(options: Options) -> Result<Self, EmbeddedError> {
        let (jobs, inbox) = mpsc::channel();
        let (opened, opening) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("embedded-dynamodb".to_owned())
            .spawn(move || match Engine::open(&options) {
                Ok(mut engine) => {
                    if opened.send(Ok(())).is_ok() {
                        engine.work(&inbox);
                    }
                }
                Err(source) => {
                    let place = options.data.map_or_else(|| "memory".to_owned(), |file| file.display().to_string());
                    // The caller may have gone away; then nobody wants to know.
                    let _ = opened.send(Err(EmbeddedError::Open { place, source }));
                }
            })
            .map_err(EmbeddedError::Thread)?;
        opening.await.map_err(|_closed| EmbeddedError::Panicked)??;
        Ok(Self { jobs, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Runs `act` on the engine's thread, in the order of calls.
    pub(super) async fn with<T: Send + 'static>(&self, act: impl FnOnce(&mut Engine) -> T + Send + 'static) -> Result<T, Stopped> {
        let (done, outcome) = oneshot::channel();
        let job: Job = Box::new(move |engine| {
            // A client that hung up gets no answer; the work is done all the same, as on AWS.
            let _ = done.send(act(engine));
        });
        self.jobs.send(Message::Run(job)).map_err(|_closed| Stopped)?;
        outcome.await.map_err(|_closed| Stopped)
    }

    /// Ends the thread once it has done what was sent before.
    pub(super) async fn stop(&self) -> Result<(), EmbeddedError> {
        // Already stopped: then there is nothing to send to, and the join below tells how it ended.
        let _ = self.jobs.send(Message::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return Ok(()) };
        match tokio::task::spawn_blocking(move || thread.join()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(EmbeddedError::Panicked),
        }
    }
}

impl Engine {
    fn open(options: &Options) -> dynoxide::Result<Self> {
        // SQLite's nameless database lives in its page cache and spills into a temporary file that it removes by itself.
        let path = options.data.as_ref().map_or_else(String::new, |file| file.display().to_string());
        let storage = Storage::new(&path)?;
        let connection = storage.conn();
        connection.pragma_update(None, "cache_size", CACHE)?;
        if options.data.is_some() {
            // With the write-ahead log, losing power may lose the last writes, and a crash of the process nothing.
            connection.pragma_update(None, "synchronous", "NORMAL")?;
        } else {
            connection.pragma_update(None, "journal_mode", "MEMORY")?;
            connection.pragma_update(None, "synchronous", "OFF")?;
        }
        connection.execute_batch(RECORD_INDEXES)?;
        registry::create(&storage)?;
        let engine = Self { storage, replays: Replays::default(), retention: options.retention, shard_life: options.shard_life };
        engine.tables_changed()?;
        Ok(engine)
    }

    /// Brings streams and expiry in line with the tables' settings, after any change of them.
    pub(super) fn tables_changed(&self) -> dynoxide::Result<()> {
        registry::reconcile(&self.storage, now_millis())?;
        expiry::index(&self.storage)
    }

    fn work(&mut self, inbox: &mpsc::Receiver<Message>) {
        let mut due = Instant::now();
        loop {
            match inbox.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Message::Run(job)) => job(self),
                Ok(Message::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= due {
                due = Instant::now() + self.upkeep();
            }
        }
    }

    /// Does a bounded piece of the background work, and says when to come back.
    fn upkeep(&mut self) -> Duration {
        let now = now_millis();
        let done = registry::rotate(&self.storage, now, millis(self.shard_life))
            .and_then(|()| registry::trim(&self.storage, now - millis(self.retention)))
            .and_then(|trimmed| Ok((trimmed, expiry::sweep(&self.storage, now / 1000)?)));
        match done {
            // More is waiting, and so may be requests: they come first, this goes on right behind them.
            Ok((trimmed, expired)) if trimmed.more || expired.more => Duration::ZERO,
            Ok(_) => EXPIRY_INTERVAL,
            Err(error) => {
                tracing::warn!(error = %error, "upkeep of the embedded DynamoDB failed, trying again");
                EXPIRY_INTERVAL
            }
        }
    }
}

/// A bounded piece of background work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// How many rows it removed.
    pub(super) removed: usize,
    /// The bound was reached: there may be more to do.
    pub(super) more: bool,
}

/// Runs a dynoxide action. Its futures never suspend on SQLite: they exist for another backend.
pub(super) fn now<T>(action: impl Future<Output = dynoxide::Result<T>>) -> dynoxide::Result<T> {
    action.now_or_never().unwrap_or_else(|| {
        Err(dynoxide::DynoxideError::InternalServerError("the embedded database suspended where it never should".to_owned()))
    })
}

/// The wall clock in milliseconds since the epoch.
pub(super) fn now_millis() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
