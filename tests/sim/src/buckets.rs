//! Buckets and their objects, in memory: conditional writes, listings and multipart uploads, as S3 has them. Nothing here knows of HTTP.

use std::collections::BTreeMap;

use bytes::Bytes;
use md5::{Digest, Md5};

use crate::journal::{Event, Journal};

pub mod listing;
pub mod uploads;

use uploads::Uploads;

/// The buckets of one account.
#[derive(Debug, Default)]
pub struct Buckets {
    buckets: BTreeMap<String, Bucket>,
    uploads: Uploads,
}

/// A bucket.
#[derive(Debug, Default)]
struct Bucket {
    created: i64,
    objects: BTreeMap<String, Object>,
}

/// An object.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its content.
    pub body: Bytes,
    /// When it was written (milliseconds since the epoch).
    pub modified: i64,
    /// The MD5 of its content in hex; of a multipart upload the MD5 of its parts' MD5s and their count.
    pub etag: String,
    /// What its writer said about it.
    pub headers: Headers,
}

/// What the writer of an object says about it; given back with the object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// The header `Content-Type`.
    pub content_type: Option<String>,
    /// The header `Content-Encoding`, without the transfer coding of the upload itself.
    pub content_encoding: Option<String>,
    /// The headers `x-amz-meta-…`.
    pub metadata: BTreeMap<String, String>,
}

/// On what a write depends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    /// On nothing.
    #[default]
    None,
    /// `If-None-Match: *`: there must be no such object.
    Absent,
    /// `If-Match: *`: there must be an object.
    Present,
    /// `If-Match`: there must be an object with this ETag.
    Matches(String),
}

/// Who writes, when, and where it is written down.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// Who.
    pub worker: &'a str,
    /// When (milliseconds since the epoch).
    pub now: i64,
    /// Where it is written down.
    pub journal: &'a Journal,
}

/// Why a bucket refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such bucket.
    #[error("The specified bucket does not exist")]
    NoSuchBucket,
    /// There is no such object.
    #[error("The specified key does not exist.")]
    NoSuchKey,
    /// A write's condition does not hold.
    #[error("At least one of the pre-conditions you specified did not hold")]
    PreconditionFailed,
    /// There is no such multipart upload, or it has ended.
    #[error("The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")]
    NoSuchUpload,
    /// A part was never uploaded, or not with that ETag.
    #[error("One or more of the specified parts could not be found.")]
    InvalidPart,
    /// The parts are not named in ascending order.
    #[error("The list of parts was not in ascending order. Parts must be ordered by part number.")]
    InvalidPartOrder,
    /// A part other than the last is smaller than 5 MiB.
    #[error("Your proposed upload is smaller than the minimum allowed size")]
    EntityTooSmall,
}

impl Buckets {
    /// Creates a bucket unless it exists; one that has been there for ever.
    pub fn create(&mut self, bucket: &str) {
        self.create_at(bucket, 0);
    }

    /// Creates a bucket. False when it exists.
    pub fn create_at(&mut self, bucket: &str, now: i64) -> bool {
        let exists = self.buckets.contains_key(bucket);
        if !exists {
            self.buckets.insert(bucket.to_owned(), Bucket { created: now, objects: BTreeMap::new() });
        }
        !exists
    }

    /// The buckets by name, with the time of their creation.
    pub fn names(&self) -> impl Iterator<Item = (&str, i64)> {
        self.buckets.iter().map(|(name, bucket)| (name.as_str(), bucket.created))
    }

    /// A bucket's objects by key; `None` when there is no such bucket.
    pub fn objects(&self, bucket: &str) -> Option<&BTreeMap<String, Object>> {
        self.buckets.get(bucket).map(|bucket| &bucket.objects)
    }

    /// An object.
    pub fn object(&self, bucket: &str, key: &str) -> Result<&Object, Refusal> {
        self.objects(bucket).ok_or(Refusal::NoSuchBucket)?.get(key).ok_or(Refusal::NoSuchKey)
    }

    /// Writes an object into an existing bucket, whatever is there. False when there is no such bucket.
    pub fn put(&mut self, bucket: &str, key: &str, body: Bytes, now: i64, worker: &str, journal: &Journal) -> bool {
        self.write(bucket, key, (body, Headers::default()), &Condition::None, &Writer { worker, now, journal }).is_ok()
    }

    /// Writes an object if its condition holds, and gives its ETag.
    pub fn write(
        &mut self,
        bucket: &str,
        key: &str,
        (body, headers): (Bytes, Headers),
        condition: &Condition,
        by: &Writer<'_>,
    ) -> Result<String, Refusal> {
        self.check(bucket, key, condition)?;
        let etag = hex(&Md5::digest(&body));
        self.store(bucket, key, Object { body, modified: by.now, etag: etag.clone(), headers }, by)?;
        Ok(etag)
    }

    /// Deletes an object; deleting what is not there is no error. False when there is no such bucket.
    pub fn delete(&mut self, bucket: &str, key: &str, now: i64, worker: &str, journal: &Journal) -> bool {
        let Some(Bucket { objects, .. }) = self.buckets.get_mut(bucket) else { return false };
        if objects.remove(key).is_some() {
            journal.record(now, worker, Event::Deleted { bucket: bucket.to_owned(), key: key.to_owned() });
        }
        true
    }

    /// Whether a write's condition holds now.
    fn check(&self, bucket: &str, key: &str, condition: &Condition) -> Result<(), Refusal> {
        let found = self.objects(bucket).ok_or(Refusal::NoSuchBucket)?.get(key);
        match (condition, found) {
            (Condition::None, _) | (Condition::Absent, None) | (Condition::Present, Some(_)) => Ok(()),
            (Condition::Matches(etag), Some(object)) if object.etag == *etag => Ok(()),
            (Condition::Absent | Condition::Matches(_), Some(_)) => Err(Refusal::PreconditionFailed),
            (Condition::Present | Condition::Matches(_), None) => Err(Refusal::NoSuchKey),
        }
    }

    fn store(&mut self, bucket: &str, key: &str, object: Object, by: &Writer<'_>) -> Result<(), Refusal> {
        let Bucket { objects, .. } = self.buckets.get_mut(bucket).ok_or(Refusal::NoSuchBucket)?;
        let body = object.body.clone();
        let replaced = objects.insert(key.to_owned(), object).map(|object| object.body);
        by.journal.record(by.now, by.worker, Event::Object { bucket: bucket.to_owned(), key: key.to_owned(), body, replaced });
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(buckets: &mut Buckets, body: &'static str, condition: &Condition) -> Result<String, Refusal> {
        let journal = Journal::forgetting();
        let by = Writer { worker: "w", now: 5, journal: &journal };
        buckets.write("lake", "a", (Bytes::from_static(body.as_bytes()), Headers::default()), condition, &by)
    }

    #[test]
    fn create_if_absent_leaves_the_first_object() {
        let mut buckets = Buckets::default();
        assert_eq!(write(&mut buckets, "one", &Condition::Absent), Err(Refusal::NoSuchBucket));
        buckets.create("lake");
        assert_eq!(write(&mut buckets, "one", &Condition::Absent).as_deref(), Ok("f97c5d29941bfb1b2fdab0874906ab82"));
        assert_eq!(write(&mut buckets, "two", &Condition::Absent), Err(Refusal::PreconditionFailed));
        assert_eq!(buckets.object("lake", "a").unwrap().body, "one");
    }

    #[test]
    fn an_object_is_replaced_only_by_who_knows_its_etag() {
        let mut buckets = Buckets::default();
        buckets.create("lake");
        assert_eq!(write(&mut buckets, "one", &Condition::Present), Err(Refusal::NoSuchKey));
        let etag = write(&mut buckets, "one", &Condition::None).unwrap();
        write(&mut buckets, "two", &Condition::Matches(etag.clone())).unwrap();
        assert_eq!(write(&mut buckets, "three", &Condition::Matches(etag)), Err(Refusal::PreconditionFailed));
        assert_eq!(buckets.object("lake", "a").unwrap().body, "two");
    }

    #[test]
    fn the_journal_tells_what_a_write_replaced() {
        let (mut buckets, journal) = (Buckets::default(), Journal::keeping());
        buckets.create("lake");
        for body in ["one", "two"] {
            assert!(buckets.put("lake", "a", body.into(), 1, "w", &journal));
        }
        assert!(buckets.delete("lake", "a", 2, "w", &journal));
        assert!(buckets.delete("lake", "a", 3, "w", &journal), "deleting what is not there is no error");
        let events: Vec<_> = journal.since(0).into_iter().map(|entry| entry.event.to_string()).collect();
        assert_eq!(events, ["creates a (3 bytes)", "REPLACES a (3 bytes)", "deletes a"]);
    }
}
