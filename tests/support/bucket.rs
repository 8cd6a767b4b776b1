//! An independent reader of buckets: a plain S3 client that copies objects into a folder.

use std::fs;
use std::path::{Path, PathBuf};

use futures::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{ObjectStore, ObjectStoreExt};

use super::aws;

/// A bucket of a stand-in.
pub(crate) struct Bucket {
    store: AmazonS3,
}

impl Bucket {
    pub(crate) fn new(endpoint: &str, name: &str) -> Self {
        let store = AmazonS3Builder::new()
            .with_endpoint(endpoint)
            .with_allow_http(true)
            .with_bucket_name(name)
            .with_region(aws::REGION)
            .with_access_key_id(aws::ACCESS_KEY)
            .with_secret_access_key(aws::ACCESS_KEY)
            .build();
        Self { store: store.unwrap() }
    }

    /// Whether there is such a bucket.
    pub(crate) async fn exists(&self) -> bool {
        match self.store.list_with_delimiter(None).await {
            Ok(_) => true,
            Err(error) if error.to_string().contains("NoSuchBucket") => false,
            Err(error) => panic!("list {}: {error}", self.store),
        }
    }

    /// Puts an object.
    pub(crate) async fn put(&self, key: &str, bytes: Vec<u8>) {
        self.store.put(&key.into(), bytes.into()).await.unwrap();
    }

    /// Copies the objects below `prefix` into `folder`, each under the whole of its name. Those that are there already stay: objects do
    /// not change.
    pub(crate) async fn copy(&self, prefix: &str, folder: &Path) {
        let listed: Vec<_> = self.store.list(Some(&prefix.into())).try_collect().await.unwrap();
        for object in listed {
            let copy = folder.join(object.location.as_ref());
            if !copy.exists() {
                let bytes = self.store.get(&object.location).await.unwrap().bytes().await.unwrap();
                fs::create_dir_all(copy.parent().unwrap()).unwrap();
                fs::write(copy, bytes).unwrap();
            }
        }
    }
}

/// Every file in and below `folder`. A folder that does not exist has none.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
