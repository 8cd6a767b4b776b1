//! Multipart uploads: parts that become one object when their upload is completed, or are dropped with it.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use md5::{Digest, Md5};

use super::{Buckets, Condition, Headers, Object, Refusal, Writer, hex};

/// S3 takes smaller parts only at the end of an upload.
const LEAST_PART: usize = 5 << 20;

/// The uploads under way.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    begun: u64,
    open: BTreeMap<String, Upload>,
}

#[derive(Debug)]
struct Upload {
    bucket: String,
    key: String,
    headers: Headers,
    parts: BTreeMap<i32, Part>,
}

#[derive(Debug)]
struct Part {
    body: Bytes,
    md5: [u8; 16],
}

impl Uploads {
    fn find(&mut self, bucket: &str, key: &str, id: &str) -> Result<&mut Upload, Refusal> {
        self.open.get_mut(id).filter(|upload| upload.bucket == bucket && upload.key == key).ok_or(Refusal::NoSuchUpload)
    }
}

impl Buckets {
    /// Begins an upload and gives its id.
    pub fn begin_upload(&mut self, bucket: &str, key: &str, headers: Headers) -> Result<String, Refusal> {
        self.objects(bucket).ok_or(Refusal::NoSuchBucket)?;
        self.uploads.begun += 1;
        let id = format!("upload{:026}", self.uploads.begun);
        let upload = Upload { bucket: bucket.to_owned(), key: key.to_owned(), headers, parts: BTreeMap::new() };
        self.uploads.open.insert(id.clone(), upload);
        Ok(id)
    }

    /// Takes a part, in place of an earlier one of that number, and gives its ETag.
    pub fn upload_part(&mut self, bucket: &str, key: &str, id: &str, number: i32, body: Bytes) -> Result<String, Refusal> {
        let upload = self.uploads.find(bucket, key, id)?;
        let md5 = Md5::digest(&body).into();
        upload.parts.insert(number, Part { body, md5 });
        Ok(hex(&md5))
    }

    /// Makes an object of the named parts, if its condition holds, and gives its ETag. A refused upload stays open.
    pub fn complete_upload(
        &mut self,
        (bucket, key, id): (&str, &str, &str),
        parts: &[(i32, Option<String>)],
        condition: &Condition,
        by: &Writer<'_>,
    ) -> Result<String, Refusal> {
        let upload = self.uploads.find(bucket, key, id)?;
        if !parts.is_sorted_by(|(one, _), (next, _)| one < next) {
            return Err(Refusal::InvalidPartOrder);
        }
        let (mut body, mut digests) = (BytesMut::new(), Md5::new());
        for (at, (number, etag)) in parts.iter().enumerate() {
            let part = upload.parts.get(number).ok_or(Refusal::InvalidPart)?;
            if etag.as_ref().is_some_and(|etag| *etag != hex(&part.md5)) {
                return Err(Refusal::InvalidPart);
            }
            if part.body.len() < LEAST_PART && at + 1 < parts.len() {
                return Err(Refusal::EntityTooSmall);
            }
            body.extend_from_slice(&part.body);
            digests.update(part.md5);
        }
        let etag = format!("{}-{}", hex(&digests.finalize()), parts.len());
        let object = Object { body: body.freeze(), modified: by.now, etag: etag.clone(), headers: upload.headers.clone() };
        self.check(bucket, key, condition)?;
        self.store(bucket, key, object, by)?;
        self.uploads.open.remove(id);
        Ok(etag)
    }

    /// Drops an upload and its parts.
    pub fn abort_upload(&mut self, bucket: &str, key: &str, id: &str) -> Result<(), Refusal> {
        self.uploads.find(bucket, key, id)?;
        self.uploads.open.remove(id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    /// An upload of two parts, and its id.
    fn begun() -> (Buckets, String) {
        let mut buckets = Buckets::default();
        buckets.create("b");
        let id = buckets.begin_upload("b", "k", Headers::default()).unwrap();
        buckets.upload_part("b", "k", &id, 1, vec![b'x'; LEAST_PART].into()).unwrap();
        buckets.upload_part("b", "k", &id, 2, Bytes::from_static(b"end")).unwrap();
        (buckets, id)
    }

    fn complete(buckets: &mut Buckets, id: &str, parts: &[i32], condition: &Condition) -> Result<String, Refusal> {
        let parts: Vec<_> = parts.iter().map(|number| (*number, None)).collect();
        let journal = Journal::forgetting();
        buckets.complete_upload(("b", "k", id), &parts, condition, &Writer { worker: "w", now: 0, journal: &journal })
    }

    #[test]
    fn parts_become_an_object_when_the_upload_is_completed() {
        let (mut buckets, id) = begun();
        assert_eq!(buckets.object("b", "k").err(), Some(Refusal::NoSuchKey));
        let etag = complete(&mut buckets, &id, &[1, 2], &Condition::Absent).unwrap();
        assert!(etag.ends_with("-2"));
        assert_eq!(buckets.object("b", "k").unwrap().body.len(), LEAST_PART + 3);
        assert_eq!(complete(&mut buckets, &id, &[1, 2], &Condition::None), Err(Refusal::NoSuchUpload));
    }

    #[test]
    fn an_upload_that_lost_the_race_stays_open_and_leaves_the_winner() {
        let (mut buckets, id) = begun();
        assert!(buckets.put("b", "k", Bytes::from_static(b"winner"), 0, "w", &Journal::forgetting()));
        assert_eq!(complete(&mut buckets, &id, &[1, 2], &Condition::Absent), Err(Refusal::PreconditionFailed));
        assert_eq!(buckets.object("b", "k").unwrap().body, "winner");
        assert_eq!(buckets.abort_upload("b", "k", &id), Ok(()));
        assert_eq!(buckets.abort_upload("b", "k", &id), Err(Refusal::NoSuchUpload));
    }

    #[test]
    fn parts_must_be_there_in_order_and_large_enough() {
        let (mut buckets, id) = begun();
        assert_eq!(complete(&mut buckets, &id, &[1, 3], &Condition::None), Err(Refusal::InvalidPart));
        assert_eq!(complete(&mut buckets, &id, &[2, 1], &Condition::None), Err(Refusal::InvalidPartOrder));
        buckets.upload_part("b", "k", &id, 1, Bytes::from_static(b"small")).unwrap();
        assert_eq!(complete(&mut buckets, &id, &[1, 2], &Condition::None), Err(Refusal::EntityTooSmall));
    }
}
