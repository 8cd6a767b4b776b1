//! Where the lake's objects are kept: a local folder or a bucket, behind one interface.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use aws_config::SdkConfig;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;

use super::error::{LakeError, Problem};
use super::s3;

/// Where a lake lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LakeLocation {
    /// A folder of this machine, created when absent.
    Folder(PathBuf),
    /// Objects of an S3 bucket whose keys begin with a prefix.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// What the keys begin with, without slashes at its ends; may be empty.
        prefix: String,
    },
}

/// The text names no lake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not the address of a lake: give a folder such as ./lake, or s3://bucket/prefix")]
pub struct InvalidLocation(String);

impl FromStr for LakeLocation {
    type Err = InvalidLocation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidLocation(text.to_owned());
        match text.split_once("://") {
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let prefix = prefix.trim_matches('/');
                if bucket.is_empty() || Path::parse(prefix).is_err() {
                    return Err(invalid());
                }
                Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
            }
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Folder(PathBuf::from(path))),
            Some(_) => Err(invalid()),
            None if text.is_empty() => Err(invalid()),
            None => Ok(Self::Folder(PathBuf::from(text))),
        }
    }
}

impl fmt::Display for LakeLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// An open store and the place of the lake in it.
#[derive(Debug, Clone)]
pub struct LakeStore {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The lake's place in it; empty for a local folder, which is its own root.
    pub prefix: Path,
    /// The store's part of an address, for messages: `s3://bucket` or the folder.
    pub address: String,
    /// Whether listings come in the order of names, so that a search may stop early.
    pub ordered: bool,
}

impl LakeStore {
    /// Opens the store of `location`. `aws` is needed for S3 alone. A local folder is created; a bucket is not touched yet.
    ///
    /// Files and their folders' entries are synced to the disk before a write counts as done. On S3 a request is retried up to five
    /// times within 20 seconds.
    pub fn connect(location: &LakeLocation, kms_key: Option<&str>, aws: Option<&SdkConfig>) -> Result<Self, LakeError> {
        match location {
            LakeLocation::Folder(path) => {
                let doing = || format!("create folder {}", path.display());
                std::fs::create_dir_all(path).map_err(|error| LakeError::from_io(doing(), error))?;
                let store = LocalFileSystem::new_with_prefix(path).map_err(|error| LakeError::from_store(doing(), error))?;
                Ok(Self {
                    store: Arc::new(store.with_fsync(true)),
                    prefix: Path::default(),
                    address: path.display().to_string(),
                    ordered: false,
                })
            }
            LakeLocation::S3 { bucket, prefix } => {
                let doing = || format!("open {location}");
                let aws = aws.ok_or_else(|| LakeError::new(doing(), Problem::Credentials))?;
                let prefix = Path::parse(prefix).map_err(|error| LakeError::from_store(doing(), error.into()))?;
                let store = Arc::new(s3::connect(bucket, kms_key, aws)?);
                // Amazon S3 API Reference, ListObjectsV2: keys come in UTF-8 order, save in directory buckets.
                Ok(Self { store, prefix, address: format!("s3://{bucket}"), ordered: !bucket.ends_with("--x-s3") })
            }
        }
    }

    /// A location in this store, for messages.
    pub fn describe(&self, location: &Path) -> String {
        format!("{}/{location}", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_buckets_are_told_apart() {
        let s3 = |bucket: &str, prefix: &str| Ok(LakeLocation::S3 { bucket: bucket.into(), prefix: prefix.into() });
        assert_eq!("s3://b/raw/orders/".parse(), s3("b", "raw/orders"));
        assert_eq!("s3://b".parse(), s3("b", ""));
        assert_eq!("./lake".parse(), Ok(LakeLocation::Folder("./lake".into())));
        assert_eq!("file:///var/lake".parse(), Ok(LakeLocation::Folder("/var/lake".into())));
    }

    #[test]
    fn other_addresses_are_refused() {
        for text in ["", "s3://", "s3:///x", "s3://b/a//c", "gs://b", "https://b.s3.amazonaws.com", "file://lake"] {
            assert!(text.parse::<LakeLocation>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_in_the_folders_place_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lake");
        std::fs::write(&file, "x").unwrap();
        let error = LakeStore::connect(&LakeLocation::Folder(file.join("sub")), None, None).unwrap_err();
        assert_eq!(error.problem, Problem::NotAFolder);
    }

    #[test]
    fn s3_needs_aws_settings() {
        let error = LakeStore::connect(&"s3://b/p".parse().unwrap(), None, None).unwrap_err();
        assert_eq!(error.problem, Problem::Credentials);
    }
}
