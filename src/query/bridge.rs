//! The lake's store under the older `object_store` trait that DataFusion speaks.
//!
//! Reads are handed through; writes are refused, so that nothing that runs as SQL can change the lake.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store as lake;
use object_store_df as df;
use object_store_df::path::Path;

/// A store of `object_store` 0.14, seen through the trait of 0.13.
#[derive(Debug)]
pub(super) struct Bridge(Arc<dyn lake::ObjectStore>);

impl Bridge {
    /// Bridges a store.
    pub(super) fn over(store: Arc<dyn lake::ObjectStore>) -> Self {
        Self(store)
    }
}

impl fmt::Display for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl df::ObjectStore for Bridge {
    async fn get_opts(&self, location: &Path, options: df::GetOptions) -> df::Result<df::GetResult> {
        let found = self.0.get_opts(&inward(location)?, options_inward(options)).await.map_err(error)?;
        Ok(df::GetResult {
            meta: meta(&found.meta)?,
            range: found.range.clone(),
            attributes: df::Attributes::default(),
            payload: df::GetResultPayload::Stream(found.into_stream().map_err(error).boxed()),
        })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> df::Result<Vec<Bytes>> {
        self.0.get_ranges(&inward(location)?, ranges).await.map_err(error)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, df::Result<df::ObjectMeta>> {
        match prefix.map(inward).transpose() {
            Ok(prefix) => self.0.list(prefix.as_ref()).map(|object| meta(&object.map_err(error)?)).boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> df::Result<df::ListResult> {
        let prefix = prefix.map(inward).transpose()?;
        let listed = self.0.list_with_delimiter(prefix.as_ref()).await.map_err(error)?;
        Ok(df::ListResult {
            common_prefixes: listed.common_prefixes.iter().map(outward).collect::<df::Result<_>>()?,
            objects: listed.objects.iter().map(meta).collect::<df::Result<_>>()?,
        })
    }

    async fn put_opts(&self, location: &Path, _: df::PutPayload, _: df::PutOptions) -> df::Result<df::PutResult> {
        Err(read_only(&format!("write {location}")))
    }

    async fn put_multipart_opts(&self, location: &Path, _: df::PutMultipartOptions) -> df::Result<Box<dyn df::MultipartUpload>> {
        Err(read_only(&format!("write {location}")))
    }

    fn delete_stream(&self, locations: BoxStream<'static, df::Result<Path>>) -> BoxStream<'static, df::Result<Path>> {
        locations.map(|location| Err(read_only(&format!("delete {}", location?)))).boxed()
    }

    async fn copy_opts(&self, from: &Path, to: &Path, _: df::CopyOptions) -> df::Result<()> {
        Err(read_only(&format!("copy {from} to {to}")))
    }
}

fn inward(path: &Path) -> df::Result<lake::path::Path> {
    lake::path::Path::parse(path.as_ref()).map_err(|source| generic(Box::new(source)))
}

fn outward(path: &lake::path::Path) -> df::Result<Path> {
    Ok(Path::parse(path.as_ref())?)
}

fn options_inward(options: df::GetOptions) -> lake::GetOptions {
    lake::GetOptions {
        if_match: options.if_match,
        if_none_match: options.if_none_match,
        if_modified_since: options.if_modified_since,
        if_unmodified_since: options.if_unmodified_since,
        range: options.range.map(|range| match range {
            df::GetRange::Bounded(range) => lake::GetRange::Bounded(range),
            df::GetRange::Offset(from) => lake::GetRange::Offset(from),
            df::GetRange::Suffix(length) => lake::GetRange::Suffix(length),
        }),
        version: options.version,
        head: options.head,
        ..lake::GetOptions::default()
    }
}

fn meta(object: &lake::ObjectMeta) -> df::Result<df::ObjectMeta> {
    Ok(df::ObjectMeta {
        location: outward(&object.location)?,
        last_modified: object.last_modified,
        size: object.size,
        e_tag: object.e_tag.clone(),
        version: object.version.clone(),
    })
}

/// Keeps the kinds of failure that DataFusion, or a person, tells apart.
fn error(error: lake::Error) -> df::Error {
    match error {
        lake::Error::NotFound { path, source } => df::Error::NotFound { path, source },
        lake::Error::Precondition { path, source } => df::Error::Precondition { path, source },
        lake::Error::NotModified { path, source } => df::Error::NotModified { path, source },
        lake::Error::PermissionDenied { path, source } => df::Error::PermissionDenied { path, source },
        lake::Error::Unauthenticated { path, source } => df::Error::Unauthenticated { path, source },
        other => generic(Box::new(other)),
    }
}

fn generic(source: Box<dyn std::error::Error + Send + Sync>) -> df::Error {
    df::Error::Generic { store: "lake", source }
}

fn read_only(attempt: &str) -> df::Error {
    df::Error::NotSupported { source: format!("{attempt}: queries cannot change the lake").into() }
}

#[cfg(test)]
mod tests {
    use df::{ObjectStore as _, ObjectStoreExt as _};
    use lake::ObjectStoreExt as _;

    use super::*;

    async fn bridged() -> Bridge {
        let store = lake::memory::InMemory::new();
        for (path, body) in [("a/dt=1/x", "0123456789"), ("a/dt=2/y", "y"), ("b", "b")] {
            store.put(&path.into(), body.into()).await.unwrap();
        }
        Bridge::over(Arc::new(store))
    }

    #[tokio::test]
    async fn reads_pass_through() {
        let store = bridged().await;
        let path = Path::from("a/dt=1/x");
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "0123456789");
        assert_eq!(store.get_range(&path, 2..5).await.unwrap(), "234");
        assert_eq!(store.get_ranges(&path, &[0..1, 8..10]).await.unwrap(), vec![Bytes::from("0"), Bytes::from("89")]);
        let suffix = df::GetOptions { range: Some(df::GetRange::Suffix(3)), ..df::GetOptions::default() };
        assert_eq!(store.get_opts(&path, suffix).await.unwrap().bytes().await.unwrap(), "789");
        assert_eq!(store.head(&path).await.unwrap().size, 10);
        assert!(matches!(store.head(&Path::from("none")).await, Err(df::Error::NotFound { .. })));
    }

    #[tokio::test]
    async fn listings_pass_through() {
        let store = bridged().await;
        let all: Vec<_> = store.list(Some(&Path::from("a"))).map_ok(|object| object.location.to_string()).try_collect().await.unwrap();
        assert_eq!(all, ["a/dt=1/x", "a/dt=2/y"]);
        let level = store.list_with_delimiter(None).await.unwrap();
        assert_eq!(level.common_prefixes, [Path::from("a")]);
        assert_eq!(level.objects.len(), 1);
    }

    #[tokio::test]
    async fn writes_are_refused() {
        let store = bridged().await;
        let path = Path::from("b");
        assert!(matches!(store.put(&path, "z".into()).await, Err(df::Error::NotSupported { .. })));
        assert!(matches!(store.delete(&path).await, Err(df::Error::NotSupported { .. })));
        assert!(store.copy(&path, &Path::from("c")).await.is_err());
        assert!(store.put_multipart(&path).await.is_err());
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "b");
    }
}
