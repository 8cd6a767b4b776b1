//! Where an export lies, and where its manifests' keys lead.
//!
//! Manifests name objects by their keys in the bucket that the export was written to. An export may have been copied since, with the folders above
//! its own or without them: `s3://b/exports/AWSDynamoDB/01` to `./01`, to `./exports/AWSDynamoDB/01` or to `s3://other/backup/AWSDynamoDB/01`. The key
//! of `manifest-files.json` tells its folder in the bucket. As much of that folder's end as the present folder ends with is kept, and keys lead from
//! what is above it. So the shared `AWSDynamoDB/data` of incremental exports is found beside the folder, if it was copied as well.

use std::path::Path as FilePath;
use std::sync::Arc;

use aws_config::SdkConfig;
use bytes::Bytes;
use md5::{Digest, Md5};
use object_store::ObjectStoreExt;
use object_store::local::LocalFileSystem;
use object_store::path::{Path, PathPart};
use tokio_util::sync::CancellationToken;

use super::manifest;
use crate::aws::describe;
use crate::lake::{LakeError, LakeLocation, LakeStore, Problem};
use crate::retry::{RetryPolicy, Transient, retry};
use crate::snapshot::source::SourceError;

/// What the checksum of a manifest may be called: the documentation's name, and the one that is seen.
const CHECKSUMS: [&str; 2] = ["checksum", "md5"];

/// The store of an export, with the export's folder as its prefix. Nothing is read yet.
pub(super) fn open(location: &str, sdk: Option<&SdkConfig>) -> Result<LakeStore, SourceError> {
    let broken = |problem: String| SourceError::Broken { doing: format!("open the export {location}"), problem };
    let folder = location.strip_suffix("manifest-summary.json").filter(|folder| folder.ends_with('/')).unwrap_or(location);
    let known: LakeLocation = folder.parse().map_err(|_| {
        broken("give the export's folder: s3://bucket/prefix/AWSDynamoDB/<export id>, or a local folder with a copy of it".to_owned())
    })?;
    match &known {
        LakeLocation::S3 { .. } => LakeStore::connect(&known, None, sdk).map_err(|error| broken(error.problem.to_string())),
        LakeLocation::Folder(path) => local(path).map_err(|error| broken(describe(&error))),
    }
}

/// Keys may lead to what lies beside the folder, so the store is the whole file system.
fn local(folder: &FilePath) -> Result<LakeStore, object_store::path::Error> {
    let unreachable = |source| object_store::path::Error::Canonicalize { path: folder.to_owned(), source };
    let folder = folder.canonicalize().map_err(unreachable)?;
    let prefix = Path::from_absolute_path(&folder)?;
    Ok(LakeStore { store: Arc::new(LocalFileSystem::new()), prefix, address: String::new(), ordered: false })
}

/// Reads one of the export's manifests and verifies it.
pub(super) async fn manifest(place: &LakeStore, name: &str) -> Result<(Path, Bytes), SourceError> {
    let location = place.prefix.clone().join(format!("{name}.json"));
    let broken = |problem: String| super::broken(place, &location, problem);
    let content = read(place, &location).await?.ok_or_else(|| {
        broken(
            "there is no such object: give the folder of one export, AWSDynamoDB/<export id>; if that is what was given, the export is not \
             complete"
                .to_owned(),
        )
    })?;
    let mut verified = false;
    for suffix in CHECKSUMS {
        let Some(checksum) = read(place, &place.prefix.clone().join(format!("{name}.{suffix}"))).await? else { continue };
        let text = String::from_utf8_lossy(&checksum);
        let expected = manifest::parse_checksum(&text).ok_or_else(|| broken(format!("its checksum in {name}.{suffix} is no MD5")))?;
        manifest::compare(Md5::new_with_prefix(&content), expected).map_err(broken)?;
        verified = true;
    }
    if !verified {
        return Err(broken(format!(
            "neither {name}.checksum nor {name}.md5 is beside it: the export is not complete, or not all of it was copied"
        )));
    }
    Ok((location, content))
}

/// A whole object; `None` when it is not there.
async fn read(place: &LakeStore, location: &Path) -> Result<Option<Bytes>, SourceError> {
    match fetch(place, location, || async { place.store.get(location).await?.bytes().await }).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Refusal { error: LakeError { problem: Problem::Missing, .. }, .. }) => Ok(None),
        Err(refusal) => Err(refusal.into()),
    }
}

/// Calls the store until it answers, or a person has to look at it.
pub(super) async fn fetch<T, F>(place: &LakeStore, location: &Path, mut call: impl FnMut() -> F) -> Result<T, Refusal>
where
    F: Future<Output = object_store::Result<T>>,
{
    let called = || {
        let answer = call();
        async { answer.await.map_err(|error| Refusal::new(place, location, error)) }
    };
    retry(RetryPolicy::COMMIT, &CancellationToken::new(), called).await
}

/// The store does not give an object.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(super) struct Refusal {
    error: LakeError,
    /// It is another object than the one whose beginning was read.
    replaced: bool,
}

impl Refusal {
    fn new(place: &LakeStore, location: &Path, error: object_store::Error) -> Self {
        let replaced = matches!(error, object_store::Error::Precondition { .. });
        Self { error: LakeError::from_store(format!("read {}", place.describe(location)), error), replaced }
    }
}

impl Transient for Refusal {
    fn is_transient(&self) -> bool {
        !self.replaced && matches!(self.error.problem, Problem::Unreachable | Problem::Other(_))
    }
}

impl From<Refusal> for SourceError {
    fn from(refusal: Refusal) -> Self {
        let transient = refusal.is_transient();
        let LakeError { doing, problem, .. } = refusal.error;
        let problem = match problem {
            _ if refusal.replaced => "it was replaced while it was read: start the snapshot again".to_owned(),
            Problem::Missing => "it is not there: it was deleted, or not copied with the export; export the table again".to_owned(),
            Problem::NoBucket => "there is no such bucket".to_owned(),
            Problem::Denied => {
                "permission denied: allow reading here (S3: s3:GetObject and s3:ListBucket, and kms:Decrypt if KMS encrypts it)".to_owned()
            }
            problem => problem.to_string(),
        };
        if transient { Self::Unavailable { doing, problem } } else { Self::Broken { doing, problem } }
    }
}

/// Translates keys of the bucket that the export was written to into locations of the store that it lies in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Keys {
    /// What the folders above the export's were, and are not needed any more.
    above_then: Vec<String>,
    /// What is there in their place.
    above_now: Path,
}

impl Keys {
    /// `folder` is where the export lies, `manifest` the key that its `manifest-files.json` was written to.
    pub(super) fn new(folder: &Path, manifest: &str) -> Result<Self, String> {
        let key = parse(manifest)?;
        let mut then: Vec<String> = key.parts().map(|part| part.as_ref().to_owned()).collect();
        then.pop();
        let mut now: Vec<PathPart<'_>> = folder.parts().collect();
        while let (Some(last_then), Some(last_now)) = (then.last(), now.last())
            && last_then == last_now.as_ref()
        {
            then.pop();
            now.pop();
        }
        Ok(Self { above_then: then, above_now: Path::from_iter(now) })
    }

    /// Where the object of a key lies.
    pub(super) fn locate(&self, key: &str) -> Result<Path, String> {
        let parsed = parse(key)?;
        let mut parts = parsed.parts();
        for above in &self.above_then {
            if parts.next().is_none_or(|part| part.as_ref() != above) {
                let folder = self.above_then.join("/");
                return Err(format!("'{key}' lies outside of {folder}, and only that was copied: copy the folder AWSDynamoDB as a whole"));
            }
        }
        Ok(self.above_now.parts().chain(parts).collect())
    }
}

fn parse(key: &str) -> Result<Path, String> {
    Path::parse(key).map_err(|error| format!("the key '{key}' cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "exports/AWSDynamoDB/01/manifest-files.json";
    const OWN: &str = "exports/AWSDynamoDB/01/data/x.json.gz";
    const SHARED: &str = "exports/AWSDynamoDB/data/x.json.gz";

    fn locate(folder: &str, key: &str) -> Result<String, String> {
        Keys::new(&Path::from(folder), MANIFEST)?.locate(key).map(|location| location.to_string())
    }

    #[test]
    fn keys_are_locations_where_the_export_was_written() {
        assert_eq!(locate("exports/AWSDynamoDB/01", OWN).unwrap(), OWN);
        assert_eq!(locate("exports/AWSDynamoDB/01", SHARED).unwrap(), SHARED);
    }

    #[test]
    fn a_copy_is_read_where_it_lies() {
        assert_eq!(locate("home/me/exports/AWSDynamoDB/01", SHARED).unwrap(), format!("home/me/{SHARED}"));
        assert_eq!(locate("backup/AWSDynamoDB/01", OWN).unwrap(), "backup/AWSDynamoDB/01/data/x.json.gz");
        assert_eq!(locate("backup/AWSDynamoDB/01", SHARED).unwrap(), "backup/AWSDynamoDB/data/x.json.gz");
        assert_eq!(locate("home/me/01", OWN).unwrap(), "home/me/01/data/x.json.gz");
        assert_eq!(locate("home/me/renamed", OWN).unwrap(), "home/me/renamed/data/x.json.gz");
    }

    #[test]
    fn files_that_were_not_copied_are_missed() {
        let problem = locate("home/me/renamed", SHARED).unwrap_err();
        assert!(problem.contains("copy the folder AWSDynamoDB as a whole"), "{problem}");
    }

    #[test]
    fn keys_that_are_no_locations_are_refused() {
        assert!(locate("exports/AWSDynamoDB/01", "exports/../secret").is_err());
        assert!(locate("exports/AWSDynamoDB/01", "exports//x").is_err());
    }

    #[test]
    fn an_address_of_something_else_is_refused_with_an_example() {
        let error = open("gs://bucket/AWSDynamoDB/01", None).unwrap_err().to_string();
        assert!(error.contains("s3://bucket/prefix/AWSDynamoDB/<export id>"), "{error}");
        let error = open("/no/such/folder", None).unwrap_err().to_string();
        assert!(error.contains("/no/such/folder") && error.contains("No such file"), "{error}");
    }
}
