//! Buckets and their objects, in memory.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::journal::{Event, Journal};

/// The buckets of one account.
#[derive(Debug, Default)]
pub struct Buckets(BTreeMap<String, BTreeMap<String, Object>>);

/// An object.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its content.
    pub body: Bytes,
    /// When it was written (milliseconds since the epoch).
    pub modified: i64,
}

impl Buckets {
    /// Creates a bucket unless it exists.
    pub fn create(&mut self, bucket: &str) {
        self.0.entry(bucket.to_owned()).or_default();
    }

    /// A bucket's objects by key; `None` when there is no such bucket.
    pub fn objects(&self, bucket: &str) -> Option<&BTreeMap<String, Object>> {
        self.0.get(bucket)
    }

    /// Writes an object into an existing bucket. False when there is no such bucket.
    pub fn put(&mut self, bucket: &str, key: &str, body: Bytes, now: i64, worker: &str, journal: &Journal) -> bool {
        let Some(objects) = self.0.get_mut(bucket) else { return false };
        let replaced = objects.insert(key.to_owned(), Object { body: body.clone(), modified: now });
        let event = Event::Object { bucket: bucket.to_owned(), key: key.to_owned(), body, replaced: replaced.map(|object| object.body) };
        journal.record(now, worker, event);
        true
    }

    /// Deletes an object; deleting what is not there is no error.
    pub fn delete(&mut self, bucket: &str, key: &str, now: i64, worker: &str, journal: &Journal) {
        if self.0.get_mut(bucket).and_then(|objects| objects.remove(key)).is_some() {
            journal.record(now, worker, Event::Deleted { bucket: bucket.to_owned(), key: key.to_owned() });
        }
    }
}
