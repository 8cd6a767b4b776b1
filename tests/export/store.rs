//! A store in memory that counts what is read from it, and fails when it is told to.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use headwater::lake::LakeStore;
use headwater::snapshot::export::Export;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

use super::schema;
use crate::support::exports::{FOLDER, HandMade};

#[derive(Debug, Default)]
pub(super) struct Watched {
    inner: InMemory,
    /// Whether nothing can be read now.
    pub(super) down: AtomicBool,
    /// How many bytes were read of data files.
    pub(super) read: AtomicU64,
}

impl Watched {
    pub(super) async fn holding(made: &HandMade) -> Arc<Self> {
        let this = Self::default();
        for (key, bytes) in made.objects() {
            this.inner.put(&Path::from(key), bytes.into()).await.unwrap();
        }
        Arc::new(this)
    }

    pub(super) async fn open(self: &Arc<Self>) -> Export {
        let store = LakeStore { store: Arc::clone(self) as _, prefix: Path::from(FOLDER), address: "memory:".to_owned(), ordered: true };
        Export::on(store, schema()).await.unwrap()
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "watched {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if self.down.load(Ordering::SeqCst) {
            return Err(object_store::Error::Generic {
                store: "watched",
                source: Box::new(std::io::Error::from(std::io::ErrorKind::TimedOut)),
            });
        }
        let head = options.head;
        let found = self.inner.get_opts(location, options).await?;
        if !head && location.as_ref().contains("/data/") {
            self.read.fetch_add(found.range.end - found.range.start, Ordering::SeqCst);
        }
        Ok(found)
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
