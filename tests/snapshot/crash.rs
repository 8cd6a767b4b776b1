//! What a worker leaves behind that dies between an object and its checkpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use headwater::event::{ChangeEvent, Position, ShardId};
use headwater::lake::Format;
use headwater::lease::snapshot::{ReadBudget, Request, Source};
use headwater::route::{Announcement, Arrival, Progress, Route, RouteError, ShardWriter};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::world::{World, keys, request};

/// A route that makes rows durable and, after so many times, never comes back to say it.
struct Silenced {
    inner: Arc<dyn Route>,
    silence: Silence,
}

#[derive(Clone)]
struct Silence {
    left: Arc<AtomicUsize>,
    fallen: Arc<Notify>,
}

struct SilencedWriter {
    inner: Box<dyn ShardWriter>,
    silence: Silence,
}

impl Silence {
    fn after(times: usize) -> Self {
        Self { left: Arc::new(AtomicUsize::new(times)), fallen: Arc::default() }
    }

    async fn pass(&self, progress: Progress) -> Progress {
        if !matches!(progress, Progress::Durable(_)) {
            return progress;
        }
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left == Ok(1) || left.is_err() {
            self.fallen.notify_one();
            std::future::pending::<()>().await;
        }
        progress
    }
}

#[async_trait]
impl Route for Silenced {
    async fn open(&self, shard: &ShardId, after: Position) -> Result<Box<dyn ShardWriter>, RouteError> {
        Ok(Box::new(SilencedWriter { inner: self.inner.open(shard, after).await?, silence: self.silence.clone() }))
    }

    async fn announce(&self, snapshot: &Announcement<'_>) -> Result<Arrival, RouteError> {
        self.inner.announce(snapshot).await
    }
}

#[async_trait]
impl ShardWriter for SilencedWriter {
    async fn append(&mut self, position: Position, event: &ChangeEvent<'_>) -> Result<Progress, RouteError> {
        let progress = self.inner.append(position, event).await?;
        Ok(self.silence.pass(progress).await)
    }

    fn skip(&mut self, position: Position) {
        self.inner.skip(position);
    }

    async fn due(&mut self) {
        self.inner.due().await;
    }

    async fn poll(&mut self) -> Result<Progress, RouteError> {
        let progress = self.inner.poll().await?;
        Ok(self.silence.pass(progress).await)
    }

    async fn flush(&mut self) -> Result<Progress, RouteError> {
        let progress = self.inner.flush().await?;
        Ok(self.silence.pass(progress).await)
    }

    fn is_flushed(&self) -> bool {
        self.inner.is_flushed()
    }

    fn settled(&mut self) -> Progress {
        self.inner.settled()
    }
}

/// Workers that each die right after an object of theirs, the second of each by turns; the last one finishes.
async fn die_between_object_and_checkpoint(format: Format) {
    const ITEMS: u32 = 400;
    let mut world = World::new().await;
    // Some seventy items a page, some twenty an object: objects end within pages.
    world.settings.lake.max_size = 40_000;
    world.settings.lake.format = format;
    world.put(0..ITEMS, 2000).await;
    let request = Request { segments: Some(2), budget: Some(ReadBudget::Units(70)), ..request(Source::Table) };
    let id = world.start(request).await;
    for (attempt, objects) in [1, 2, 3, 1].into_iter().enumerate() {
        let silence = Silence::after(objects);
        let around = |inner| Arc::new(Silenced { inner, silence: silence.clone() }) as Arc<dyn Route>;
        let runner = world.runner(&format!("worker {attempt}"), around).await;
        let running = tokio::spawn(runner.run(CancellationToken::new()));
        silence.fallen.notified().await;
        running.abort();
        assert!(running.await.is_err_and(|error| error.is_cancelled()));
        // Meanwhile the table changes before and behind where they were.
        let changed = u32::try_from(attempt).unwrap() * 90;
        world.put_value(&super::world::key(changed), "changed").await;
    }
    let runner = world.runner("the last one", |route| route).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(runner.run(stop.clone()));
    let snapshot = world.completed(&id).await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(snapshot.rows, u64::from(ITEMS));
    assert!(world.objects_of(&id) > 6, "{} objects", world.objects_of(&id));
    assert_eq!(world.rows_of(&id).into_keys().collect::<Vec<_>>(), keys(0..ITEMS));
}

#[tokio::test]
async fn no_key_is_in_the_lake_twice_when_workers_die_between_object_and_checkpoint() {
    die_between_object_and_checkpoint(Format::Parquet).await;
}

#[tokio::test]
async fn the_same_holds_of_lines() {
    die_between_object_and_checkpoint(Format::Ndjson).await;
}

#[tokio::test]
async fn a_killed_worker_s_segments_go_on_where_they_were() {
    let mut world = World::new().await;
    world.settings.lake.max_size = 40_000;
    world.put(0..200, 2000).await;
    let id = world.start(Request { budget: Some(ReadBudget::Units(40)), segments: Some(2), ..request(Source::Table) }).await;
    for _ in 0..3 {
        let worker = world.worker().await;
        let before = world.look(&id).await.snapshot.rows;
        crate::support::wait_until(std::time::Duration::from_secs(30), "some rows are durable", async || {
            world.look(&id).await.snapshot.rows > before
        })
        .await;
        worker.kill().await;
    }
    let worker = world.worker().await;
    world.completed(&id).await;
    worker.drain().await;
    assert_eq!(world.rows_of(&id).into_keys().collect::<Vec<_>>(), keys(0..200));
}
